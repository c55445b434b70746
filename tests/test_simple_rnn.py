"""The recurrent layer of a text file is keras.layers.SimpleRNN: values, gradients, training."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import odec

tf = pytest.importorskip("tensorflow")

FOLDER = Path(__file__).resolve().parent.parent / "examples" / "simple_rnn"
UNITS, FEATURES, ROWS, BATCH = 5, 3, 7, 4


def pair(sequences: bool, dtype: str = "float32") -> tuple[Any, Any, np.ndarray]:
    """Our layer and Keras's with equal weights, and sequences for both."""
    random = np.random.default_rng(0)
    recurrent = odec.load_model(FOLDER / "model.ode")
    ours = recurrent(U=UNITS, D=FEATURES, return_sequences=sequences, dtype=dtype)
    theirs = keras.layers.SimpleRNN(UNITS, return_sequences=sequences, dtype=dtype)
    shape = (BATCH, ROWS, FEATURES)
    ours.build(shape)
    theirs.build(shape)
    for weight in ours.weights:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    named = ours.parameters()
    theirs.set_weights([named["W2"], named["W1"], named["b"]])
    return ours, theirs, random.normal(size=shape).astype(dtype)


@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-6), ("float64", 1e-13)])
def test_values_and_gradients_are_those_of_simple_rnn(sequences: bool, dtype: str, rtol: float) -> None:
    ours, theirs, sequence = pair(sequences, dtype)
    found = []
    for layer in (ours, theirs):
        signal = tf.constant(sequence)
        with tf.GradientTape() as tape:
            tape.watch(signal)
            values = layer(signal)
            loss = tf.reduce_sum(values**2)
        weights = {weight.name: weight for weight in layer.weights}
        names = ("W1", "W2", "b") if layer is ours else ("recurrent_kernel", "kernel", "bias")
        gradients = tape.gradient(loss, [*(weights[name].value for name in names), signal])
        found.append([np.asarray(part) for part in (values, *gradients)])
    assert found[0][0].shape == ((BATCH, ROWS, UNITS) if sequences else (BATCH, UNITS))
    for mine, yours in zip(*found, strict=True):
        np.testing.assert_allclose(mine, yours, rtol=0, atol=rtol * max(1.0, float(np.max(np.abs(yours)))))


def test_the_cell_in_keras_s_own_loop_is_simple_rnn() -> None:
    ours, theirs, sequence = pair(sequences=True)
    loop = keras.layers.RNN(odec.load_model(FOLDER / "model.ode").cell(U=UNITS, D=FEATURES), return_sequences=True)
    loop.build(sequence.shape)
    named = ours.parameters()
    for weight in loop.weights:
        weight.assign(named[weight.name])
    np.testing.assert_allclose(np.asarray(loop(sequence)), np.asarray(theirs(sequence)), rtol=0, atol=1e-6)


def test_the_layer_is_saved_with_its_sizes(tmp_path: Path) -> None:
    ours, _, sequence = pair(sequences=True)
    model = keras.Sequential([keras.Input(sequence.shape[1:]), ours])
    model.save(tmp_path / "rnn.keras")
    again = keras.saving.load_model(tmp_path / "rnn.keras")
    np.testing.assert_array_equal(again.predict(sequence, verbose=0), model.predict(sequence, verbose=0))


def test_training_goes_the_same_way() -> None:
    script = runpy.run_path(str(FOLDER / "train.py"))
    ours, theirs = script["losses"](epochs=3)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    assert ours[-1] < ours[0]
