"""Keras's own training around a layer: callbacks, half precision, weights that stay, memory that does not grow."""

from __future__ import annotations

import math
import resource
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.backend.common import global_state

from odec.losses import NanMSE

RATE = 0.4
STARTS = np.array([[3.0], [2.0], [5.0], [1.0]])
TIMES = np.array([1.0, 2.0, 4.0])
TARGETS = STARTS[..., None] * np.exp(-RATE * TIMES)[None, :, None]


@pytest.fixture(scope="module")
def network(load, examples):
    """One compiled layer for all tests: x' = −k x, k = 0.2 at first."""
    layer = load(examples / "exponential" / "model.ode")(times=TIMES, h=0.1, dtype="float64")
    return keras.Sequential([keras.Input((1,), dtype="float64"), layer])


@pytest.fixture
def model(network):
    network.layers[0].weights[0].assign(0.2)
    network.compile(keras.optimizers.Adam(0.05, clipnorm=1.0), NanMSE())
    return network


def rate_of(model):
    return model.layers[0].parameters()["k"]


def test_callbacks_stop_and_save(model, tmp_path):
    path = tmp_path / "best.keras"
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=10, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(path, "val_loss", save_best_only=True),
        keras.callbacks.ReduceLROnPlateau("val_loss", patience=5),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    history = model.fit(STARTS, TARGETS, epochs=200, validation_data=(STARTS, TARGETS), callbacks=callbacks, verbose=0)
    losses = history.history["val_loss"]
    assert 5 < len(losses) < 200
    assert min(losses) < 1e-3 * losses[0]
    again = keras.models.load_model(path)
    # What was saved, and put back, is the best epoch's.
    assert rate_of(again) == rate_of(model) == pytest.approx(RATE, rel=0.05)


def test_training_ends_where_a_loss_is_no_number(model):
    callbacks = [keras.callbacks.TerminateOnNaN()]
    history = model.fit(np.full((4, 1), math.inf), TARGETS, epochs=5, callbacks=callbacks, verbose=0)
    assert len(history.history["loss"]) == 1


def test_tensorboard_writes_what_it_writes(model, tmp_path):
    pytest.importorskip("tensorboard")
    callbacks = [keras.callbacks.TensorBoard(tmp_path, histogram_freq=1, write_graph=False)]
    model.fit(STARTS, TARGETS, epochs=2, validation_data=(STARTS, TARGETS), callbacks=callbacks, verbose=0)
    assert list(tmp_path.rglob("events.out.tfevents.*"))


def test_training_goes_on_from_where_it_was(model):
    first = model.fit(STARTS, TARGETS, epochs=3, verbose=0).history["loss"]
    second = model.fit(STARTS, TARGETS, epochs=3, verbose=0).history["loss"]
    assert first[0] > first[-1] > second[0] > second[-1]


def test_batches_of_any_length_and_series_that_end_early(model):
    """Five epochs of a tf.data set whose batches have other lengths, and cells that nobody measured."""
    targets = np.repeat(TARGETS, 2, axis=0)[:7]
    targets[2, 1:], targets[5] = np.nan, np.nan
    data = tf.data.Dataset.from_tensor_slices((np.repeat(STARTS, 2, axis=0)[:7], targets, np.arange(7.0))).batch(4)
    losses = model.fit(data, epochs=5, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < losses[0] and np.isfinite(losses).all()
    for batch in (1, 3):
        x = STARTS[:batch]
        np.testing.assert_allclose(model.predict(x, verbose=0)[..., 0], x * np.exp(-rate_of(model) * TIMES), rtol=1e-5)


def test_half_precision_around_the_layer(load, examples):
    policy = global_state.get_global_attribute("dtype_policy")
    keras.config.set_dtype_policy("mixed_float16")
    try:
        layer = load(examples / "exponential" / "model.ode")(times=TIMES, h=0.1)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones"), layer])
        model.compile(keras.optimizers.Adam(0.05), NanMSE())
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        losses = model.fit(STARTS, TARGETS, epochs=20, verbose=0).history["loss"]
        assert layer.compute_dtype == layer.variable_dtype == "float32"
        assert model.layers[0].compute_dtype == "float16"
        assert losses[-1] < 0.2 * losses[0] and np.isfinite(losses).all()
    finally:
        global_state.set_global_attribute("dtype_policy", policy)


def resident() -> float:
    """MB of memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
def test_memory_stays_flat_over_500_calls(model):
    """Case K08: less than 50 MB, other values each time, a batch in prediction and one in training."""
    model.predict_on_batch(STARTS)
    for k in range(520):
        if k == 20:
            before = resident()
        model.layers[0].weights[0].assign(0.1 + 0.001 * k)
        model.predict_on_batch(STARTS * (1 + 0.001 * k))
        if k % 10 == 0:
            model.train_on_batch(STARTS, TARGETS)
    assert resident() - before < 50


GRADIENT = """
import resource, sys
import numpy as np, tensorflow as tf
from odec.loading import load_model

layer = load_model(sys.argv[1])(times=[20.0, 200.0], h=0.01, method="rk4", dtype="float64")
layer(np.zeros((1, 0)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with tf.GradientTape() as tape:
    total = tf.reduce_sum(layer(np.zeros((256, 0)))[:, 0, 0])
gradient = tape.gradient(total, [weight.value for weight in layer.weights])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, *(float(part) / 256 for part in gradient))
"""


def test_memory_of_a_gradient_through_20000_fixed_steps(shared, root):
    """Case K06: below 2 GB for 256 rows, and the numbers there. Measured: 0.13 GB."""
    command = [sys.executable, "-c", GRADIENT, shared / "cases" / "K06-gradient-memory" / "model.ode"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    kilobytes, by_a, by_b = map(float, done.stdout.split())
    assert kilobytes < 5e5
    np.testing.assert_allclose([by_a, by_b], [-394.81, -3712.44], rtol=1e-3)
