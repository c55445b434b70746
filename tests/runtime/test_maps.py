"""Maps: a step is a row; the recurrent layer of LANGUAGE.md is Keras's."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import odec
from odec.diagnostics import OdecError
from odec.loading import load_source
from odec.runtime import simulate
from odec.runtime.schedule import Schedule
from odec.source import Source

LOGISTIC = "param r = 3.2 in [0, 4]\nstate x = 0.3\nnext x = r*x*(1 - x)\nobserve d = x + t\n"
RECURRENT = """size U = 5; size D = 3
input u[D]
state y[U] = 0
param W1[U, U] = glorot_normal()
param W2[D, U] = glorot_normal()
param b[U] = 0
next y = tanh(y @ W1 + u @ W2 + b)
"""


def model(text: str) -> type:
    return load_source(Source(text, "m.ode"))


def logistic(r: float, x: float, count: int) -> list[float]:
    values = [x]
    for _ in range(count):
        values.append(r * values[-1] * (1 - values[-1]))
    return values


@pytest.fixture(scope="module")
def pair():
    """The layer from text and Keras's with the same weights, and a batch of sequences."""
    sequence = np.random.default_rng(0).normal(size=(4, 7, 3)).astype("float32")

    def made(return_sequences: bool):
        layer = model(RECURRENT)(return_sequences=return_sequences)
        keras_layer = keras.layers.SimpleRNN(5, return_sequences=return_sequences)
        layer(sequence)
        keras_layer(sequence)
        weights = layer.parameters()
        keras_layer.set_weights([weights["W2"], weights["W1"], weights["b"] + 0.1])
        {w.name: w for w in layer.weights}["b"].assign(weights["b"] + 0.1)
        return layer, keras_layer

    return made, sequence


def test_solve_counts_steps():
    solution = odec.solve(model(LOGISTIC), to=100)
    np.testing.assert_array_equal(solution.times, np.arange(101))
    np.testing.assert_allclose(solution["x"], logistic(3.2, 0.3, 100), rtol=1e-9)
    np.testing.assert_allclose(solution["d"], solution["x"] + np.arange(101))
    assert solution.error == 0
    assert solution.warnings == ()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"times": [0.5]}, "has no value at 0.5"),
        ({"to": 3, "step": 0.1}, "it has no step length"),
        ({"to": -3}, "which has no way back"),
        ({}, "does not say how long to run"),
    ],
)
def test_what_a_map_has_not(asked, words):
    with pytest.raises(OdecError, match=words):
        odec.solve(model(LOGISTIC), **asked)


def test_a_step_for_each_row_of_the_inputs():
    layer = model("input u\nstate x = 0\nnext x = x + u\nobserve y = x + 10*u + 100*t\n")
    solution = odec.solve(layer, inputs={"u": {"u": [1, 2, 4]}})
    np.testing.assert_array_equal(solution["x"], [0, 1, 3, 7])
    # Behind the last row the last value is held.
    np.testing.assert_array_equal(solution["y"], [10, 121, 243, 347])
    found = np.asarray(layer(outputs=["x", "y"])(np.array([[[1.0], [2.0], [4.0]]])))
    np.testing.assert_array_equal(found[0], np.column_stack([solution["x"], solution["y"]])[1:])


def test_jumps_happen_at_steps():
    layer = model("state x = 1\nnext x = 2*x\nat 2: x = 1\nevery 3: x += 0.5\n")
    np.testing.assert_array_equal(odec.solve(layer, to=4)["x"], [1.5, 3, 1, 2.5, 5])


def test_sensitivities_are_those_of_the_steps():
    schedule = Schedule.fixed(0, [3, 10], 1.0)
    _, found, _ = simulate.sensitivities(model(LOGISTIC), schedule, method="rk4", params=[2.9])
    up, down = (logistic(2.9 + e, 0.3, 10) for e in (1e-6, -1e-6))
    np.testing.assert_allclose(found[0, :, 0, 0], [(up[k] - down[k]) / 2e-6 for k in (3, 10)], rtol=1e-6)


def test_the_gradient_of_a_layer():
    layer = model(LOGISTIC)(steps=10, dtype="float64")
    layer(np.array([[0.2]]))
    with tf.GradientTape() as tape:
        last = layer(np.array([[0.2]]))[0, -1, 0]
    up, down = (logistic(3.2 + e, 0.2, 10)[-1] for e in (1e-6, -1e-6))
    assert float(tape.gradient(last, layer.trainable_weights[0])) == pytest.approx((up - down) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("return_sequences", [True, False])
def test_the_recurrent_layer_is_that_of_keras(pair, return_sequences):
    made, sequence = pair
    layer, keras_layer = made(return_sequences)
    found, expected = layer(sequence), keras_layer(sequence)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-6)
    gradients = []
    for one in (layer, keras_layer):
        series = tf.constant(sequence)
        with tf.GradientTape() as tape:
            tape.watch(series)
            loss = tf.reduce_mean(one(series) ** 2)
        named = {w.name: w for w in one.trainable_weights}
        order = ["W2", "W1", "b"] if one is layer else ["kernel", "recurrent_kernel", "bias"]
        gradients.append(tape.gradient(loss, [series, *(named[name] for name in order)]))
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_the_recurrent_layer_trains_as_that_of_keras(pair):
    made, sequence = pair
    losses = []
    for layer in made(False):
        network = keras.Sequential([keras.Input((None, 3)), layer])
        network.compile(keras.optimizers.Adam(0.01), "mse")
        target = np.tanh(sequence.sum(axis=(1, 2)))[:, None].repeat(5, axis=1)
        losses.append(network.fit(sequence, target, epochs=20, shuffle=False, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
    assert losses[0][-1] < 0.8 * losses[0][0]


def test_a_saved_network_with_series_comes_back(pair, tmp_path):
    _, sequence = pair
    states, series = keras.Input((5,)), keras.Input((None, 3))
    network = keras.Model([states, series], model(RECURRENT)(name="recurrent")([states, series]))
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    start = np.full((4, 5), 0.3, "float32")
    np.testing.assert_array_equal(
        again.predict([start, sequence], verbose=0), network.predict([start, sequence], verbose=0)
    )
