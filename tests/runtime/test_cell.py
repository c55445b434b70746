"""Cells: Keras's RNN layer around one step of a model."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from odec.loading import load_source
from odec.runtime.cell import uses_time
from odec.source import Source

DRIVEN = "param k = 0.4\ninput u hold\nstate x = 1\ndx = u - k*x + sin(t)\nobserve z = x + t + u\n"


def model(text: str) -> type:
    return load_source(Source(text, "m.ode"))


def rnn(cell, **options):
    return keras.layers.RNN(cell, return_sequences=True, dtype="float64", **options)


def test_a_driven_cell_is_the_layer():
    setting = {"h": 0.3, "method": "rk4", "dtype": "float64", "outputs": ["x"]}
    series = np.random.default_rng(1).normal(size=(4, 7, 1))
    layer = model(DRIVEN)(steps=7, **setting)
    np.testing.assert_allclose(rnn(model(DRIVEN).cell(**setting))(series), layer(series), rtol=1e-13)


def test_an_autonomous_cell_takes_any_sequence_for_its_length(load, shared):
    # Case K04.
    layer = load(shared / "cases/K04-no-input-rnn/model.ode")
    start = np.array([[40.0, 9], [30, 4], [40, 9]])
    for width in (0, 1):
        cell = layer.cell(h=0.05, method="rk4", dtype="float64")
        assert cell.state_size == [2]
        found = np.asarray(rnn(cell)(np.zeros((3, 400, width)), initial_state=cell.started(start)))
        assert found.shape == (3, 400, 2)
        np.testing.assert_allclose(found[0, -1], [70.182202, 45.865325], rtol=1e-6)
        np.testing.assert_allclose(found[1, -1], [107.49356, 7.9500798], rtol=1e-6)
        np.testing.assert_array_equal(found[0], found[2])


def test_events_are_found_in_a_cell(load, shared):
    layer = load(shared / "cases/V13-integrate-and-fire/model.ode")
    setting = {"h": 0.1, "method": "rk4", "dtype": "float64"}
    expected = layer(steps=30, **setting)(np.zeros((2, 0)))
    np.testing.assert_allclose(rnn(layer.cell(**setting))(np.zeros((2, 30, 1))), expected, atol=1e-12)


def test_the_state_is_kept_between_calls():
    text, rows = DRIVEN, np.zeros((2, 5, 1))
    cell = model(text).cell(h=0.1, method="rk4", dtype="float64", outputs=["x"])
    assert cell.state_size == [1, 1]
    whole = np.asarray(rnn(cell)(np.zeros((2, 10, 1))))
    network = keras.Sequential([keras.Input(batch_shape=(2, 5, 1), dtype="float64"), rnn(cell, stateful=True)])
    parts = [network.predict(rows, verbose=0) for _ in range(2)]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, rtol=1e-12)


def test_the_last_state_is_returned():
    cell = model(DRIVEN).cell(h=0.1, method="rk4", dtype="float64", outputs=["x"])
    found, x, count = rnn(cell, return_state=True)(np.zeros((2, 5, 1)))
    np.testing.assert_array_equal(found[:, -1], x)
    np.testing.assert_array_equal(count, [[5], [5]])


def test_a_cell_is_saved_and_trains(tmp_path):
    series = np.random.default_rng(1).normal(size=(4, 7, 1))
    cell = model(DRIVEN).cell(h=0.3, method="rk4", outputs=["x"])
    network = keras.Sequential([keras.Input((None, 1)), keras.layers.RNN(cell)])
    network.compile(keras.optimizers.Adam(0.05), "mse")
    losses = network.fit(series, np.zeros((4, 1)), epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    network.save(tmp_path / "cell.keras")
    again = keras.models.load_model(tmp_path / "cell.keras")
    np.testing.assert_array_equal(again.predict(series, verbose=0), network.predict(series, verbose=0))


def test_what_a_cell_cannot_do(load, shared):
    with pytest.raises(ValueError, match="`at t = 12: A \\+= 100` needs the layer"):
        load(shared / "cases/V10-observation-at-dose/model.ode").cell(h=0.1)
    with pytest.raises(ValueError, match="does not know its step"):
        model(DRIVEN).cell()
    with pytest.raises(ValueError, match=r"takes 1 input columns \(u\)"):
        rnn(model(DRIVEN).cell(h=0.1))(np.zeros((2, 5, 3)))


def test_whether_the_equations_look_at_the_time():
    assert uses_time(model(DRIVEN))
    assert not uses_time(model("param k = 1\ndx = -k*x\n"))
