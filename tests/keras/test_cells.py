"""Cells with steps of their own in each row, and streams: one step at a time."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from odec.loading import load_source
from odec.source import Source

DRIVEN = "param k = 0.4\ninput u hold\nstate x = 1\ndx = u - k*x + sin(t)\nobserve z = x + t + u\n"
STEPS = np.array([[0.1, 0.3, 0.05, 0.2], [0.2, 0.02, 0.4, 0.1], [0.1, 0.0, 0.0, 0.3]])
U = np.random.default_rng(1).normal(size=(3, 4))
SEQUENCE = np.stack([STEPS, U], axis=-1)


def model(text):
    return load_source(Source(text, "m.ode"))


def rk4(x, t, h, u, k=0.4):
    def slope(t, x):
        return u - k * x + np.sin(t)

    k1 = slope(t, x)
    k2 = slope(t + h / 2, x + h / 2 * k1)
    k3 = slope(t + h / 2, x + h / 2 * k2)
    k4 = slope(t + h, x + h * k3)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def expected(steps, u, x=1.0):
    """(rows, steps): a plain loop over each row of the batch."""
    found = np.zeros(steps.shape)
    for row in range(len(steps)):
        value, t = x, 0.0
        for i, h in enumerate(steps[row]):
            value, t = rk4(value, t, h, u[row, i]), t + h
            found[row, i] = value
    return found


@pytest.fixture(scope="module")
def cell():
    return model(DRIVEN).cell(step="input", method="rk4", dtype="float64", outputs=["x", "z"])


@pytest.fixture(scope="module")
def network(cell):
    """The cell in an RNN, behind a mask: rows whose step and input are both −1 are not there."""
    masked = keras.layers.Masking(mask_value=-1.0, dtype="float64")
    rnn = keras.layers.RNN(cell, return_sequences=True, return_state=True, dtype="float64")
    sequence = keras.Input((None, 2), dtype="float64")
    return keras.Model(sequence, rnn(masked(sequence)))


def test_each_row_has_its_own_times(network):
    found, x, clock = network(SEQUENCE)
    np.testing.assert_allclose(found[..., 0], expected(STEPS, U), rtol=1e-13)
    times = np.cumsum(STEPS, axis=1)
    np.testing.assert_allclose(found[..., 1], expected(STEPS, U) + times + U, rtol=1e-13)
    np.testing.assert_array_equal(x[:, 0], found[:, -1, 0])
    np.testing.assert_allclose(np.sum(clock, axis=1), times[:, -1], rtol=1e-15)


def test_it_is_the_layer_at_those_times(network):
    layer = model(DRIVEN)(times=np.cumsum(STEPS[0]), h=1.0, method="rk4", dtype="float64", outputs=["x"])
    np.testing.assert_allclose(network(SEQUENCE[:1])[0][..., 0], layer(U[:1, :, None])[..., 0], rtol=1e-13)


def test_masked_rows_are_not_there(network):
    padded = np.full((2, 6, 2), -1.0)
    padded[0, :4], padded[1, 1:3] = SEQUENCE[0], SEQUENCE[1, :2]
    found, x, _ = network(padded)
    rows = expected(STEPS, U)
    np.testing.assert_allclose(found[0, :4, 0], rows[0], rtol=1e-13)
    np.testing.assert_allclose(found[1, 1:3, 0], rows[1, :2], rtol=1e-13)
    # What is masked repeats the last output, and the state stays.
    np.testing.assert_array_equal(found[0, 4:, 0], [found[0, 3, 0]] * 2)
    np.testing.assert_allclose(x[:, 0], [rows[0, 3], rows[1, 1]], rtol=1e-13)


def test_the_gradient_reaches_steps_and_inputs(network):
    sequence = tf.constant(SEQUENCE)
    with tf.GradientTape() as tape:
        tape.watch(sequence)
        total = tf.reduce_sum(network(sequence)[1])
    gradient = tape.gradient(total, sequence).numpy()
    assert np.isfinite(gradient).all()
    for place in ((0, 1, 0), (1, 2, 1)):
        step = np.zeros_like(SEQUENCE)
        step[place] = 1e-5
        ends = [expected(*np.moveaxis(SEQUENCE + sign * step, -1, 0))[:, -1].sum() for sign in (1, -1)]
        assert gradient[place] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-7)


@pytest.mark.parametrize("method", ["euler", "rodas4"])
def test_a_step_of_no_length_changes_nothing(method):
    stiff = model("param k = 100\nstate x = 1\ndx = -k*x + t\n").cell(step="input", method=method, dtype="float64")
    steps = tf.constant([[[0.001], [0.0], [0.0], [0.001]]], "float64")
    with tf.GradientTape() as tape:
        tape.watch(steps)
        found = keras.layers.RNN(stiff, return_sequences=True, dtype="float64")(steps)
    assert found[0, 0, 0] == found[0, 1, 0] == found[0, 2, 0] != found[0, 3, 0]
    assert np.isfinite(tape.gradient(found, steps).numpy()).all()


def test_the_time_does_not_drift_in_float32():
    """Case V14: at 33,696,000 the numbers of float32 are 4 apart, and 120 steps of 0.1 are 12."""
    clock = model("state x = 0\ndx = 0*t + 1\nobserve time = t\n").cell(
        step="input", start=33696000.0, method="euler", outputs=["time"], dtype="float32"
    )
    assert clock.state_size == [1, 2]
    found = keras.layers.RNN(clock)(np.full((1, 120, 1), 0.1, "float32"))
    assert float(found[0, 0]) == 33696012


def test_a_stateful_network_goes_on_and_starts_again(cell):
    rnn = keras.layers.RNN(cell, stateful=True, return_sequences=True, dtype="float64")
    network = keras.Sequential([keras.Input(batch_shape=(3, 2, 2), dtype="float64"), rnn])
    whole = expected(STEPS, U)
    for _ in range(2):
        parts = [network(SEQUENCE[:, i : i + 2])[..., 0] for i in (0, 2)]
        np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-13)
        for state, value in zip(rnn.states, cell.started(np.zeros((3, 0))), strict=True):
            state.assign(value)


def test_a_stream_is_the_network_step_by_step(cell):
    stream = cell.stream(batch=3)
    found = np.stack([stream.step(SEQUENCE[:, i])[:, 0] for i in range(4)], axis=1)
    np.testing.assert_allclose(found, expected(STEPS, U), rtol=1e-13)
    np.testing.assert_allclose(stream.time, STEPS.sum(axis=1), rtol=1e-15)
    np.testing.assert_array_equal(stream.x[:, 0], found[:, -1])


def test_a_stream_is_a_filter():
    """A Luenberger observer: the state is corrected by a part of what the prediction was off by."""
    stream = model(DRIVEN).cell(h=0.1, method="rk4", dtype="float64", outputs=["x"]).stream([[5.0]])
    truth, guess, gain = 1.0, 5.0, 0.5
    for i in range(20):
        u, t = np.cos(0.3 * i), 0.1 * i
        truth = rk4(truth, t, 0.1, u)
        predicted = stream.step([[u]])[0, 0]
        stream.x = stream.x + gain * (truth - predicted)
        guess = rk4(guess, t, 0.1, u)
        guess += gain * (truth - guess)
        assert stream.x[0, 0] == pytest.approx(guess, rel=1e-12)
    assert stream.x[0, 0] == pytest.approx(truth, abs=1e-5)
    assert stream.time[0] == pytest.approx(2.0)


def test_new_params_count_in_the_next_step():
    cell = model("param k = 0\nstate x = 1\ndx = k\n").cell(h=1.0, method="euler")
    stream = cell.stream()
    assert stream.step()[0, 0] == 1
    cell.layer.weights[0].assign(2.0)
    assert stream.step()[0, 0] == 3


def test_what_a_cell_or_stream_cannot_take(cell):
    with pytest.raises(ValueError, match=r"takes 2 input columns \(step, u\). Received: 1 columns"):
        keras.layers.RNN(model(DRIVEN).cell(step="input"))(np.zeros((2, 5, 1)))
    with pytest.raises(ValueError, match="the step comes as input, or h says it"):
        model(DRIVEN).cell(h=0.1, step="input")
    with pytest.raises(ValueError, match='step is "input" where the first column'):
        model(DRIVEN).cell(step="inputs")
    with pytest.raises(ValueError, match="is a map, which has no step length"):
        model("state n = 1\nnext n = 2*n\n").cell(step="input")
    with pytest.raises(ValueError, match=r"starts at values of shape \(batch, 1\).*\(x\).*Received: shape \(1, 2\)"):
        cell.stream([[1.0, 2.0]])
    stream = cell.stream()
    with pytest.raises(ValueError, match=r"a row of this stream has the shape \(1, 2\). Received: \(1, 1\)"):
        stream.step([[1.0]])
    with pytest.raises(ValueError, match=r"the state of this stream has the shape \(1, 1\)"):
        stream.x = [1.0]


def test_a_cell_with_steps_as_input_is_saved(cell, network, tmp_path):
    network.save(tmp_path / "cell.keras")
    again = keras.models.load_model(tmp_path / "cell.keras")
    np.testing.assert_array_equal(again(SEQUENCE)[0], network(SEQUENCE)[0])
