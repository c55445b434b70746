"""The Keras contract, for the layer of every example."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from harness import BATCH, CASES, TRAINED, Case

import odec


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: Any) -> Case:
    request.param.layer  # noqa: B018 (built)
    request.param.start_again()
    return request.param


@pytest.fixture(params=TRAINED, ids=lambda case: case.name)
def trained(request: Any) -> Case:
    request.param.layer  # noqa: B018 (built)
    request.param.start_again()
    return request.param


class Network(keras.Model):
    """A subclassed model around a layer."""

    def __init__(self, layer: Any) -> None:
        super().__init__(dtype="float64")
        self.inner = layer

    def call(self, inputs: Any) -> Any:
        return self.inner(inputs)


def test_every_kind_of_network_computes_what_the_layer_does(case: Case) -> None:
    assert np.isfinite(case.y).all()
    inputs = keras.Input(case.x.shape[1:], dtype="float64")
    for network in (keras.Model(inputs, case.layer(inputs)), case.sequential, Network(case.layer)):
        np.testing.assert_array_equal(network(tf.constant(case.x)), case.y)


def test_a_batch_may_have_any_length(trained: Case) -> None:
    np.testing.assert_allclose(trained.layer(tf.constant(trained.x[:2])), trained.y[:2], rtol=1e-13)


def test_the_shape_is_known_beforehand(case: Case) -> None:
    known = case.y.shape[1:]
    assert case.sequential.output_shape == (None, *known)
    assert case.layer.compute_output_shape((7, *case.x.shape[1:])) == (7, *known)
    assert case.layer(keras.Input(batch_shape=case.x.shape, dtype="float64")).shape == (BATCH, *known)
    assert case.layer(keras.Input(case.x.shape[1:], dtype="float64")).dtype == "float64"


def test_the_config_makes_the_same_layer(case: Case) -> None:
    config = case.layer.get_config()
    assert json.loads(json.dumps(config, allow_nan=False)) is not None
    assert type(case.layer).from_config(config).get_config() == config


def test_the_gradient_is_that_of_the_numbers(case: Case) -> None:
    """Along a direction for each weight and for the inputs, against central differences."""
    random, x = np.random.default_rng(1), tf.constant(case.x)
    weigh = random.normal(size=case.y.shape) / np.maximum(np.abs(case.y), 1e-3)

    def loss(inputs: Any) -> Any:
        return tf.reduce_sum(case.layer(inputs) * weigh)

    weights = case.layer.trainable_weights
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(x)
    gradients = tape.gradient(value, [*(weight.value for weight in weights), x], unconnected_gradients="zero")
    for weight, gradient in zip(weights, gradients, strict=False):
        first = np.array(weight.numpy())
        step = 1e-5 * np.where(first != 0, np.abs(first), 1.0) * random.choice([-1.0, 1.0], first.shape)
        ends = []
        for sign in (1, -1):
            weight.assign(first + sign * step)
            ends.append(float(loss(x)))
        weight.assign(first)
        agree(float(np.sum(gradient * step)), (ends[0] - ends[1]) / 2, ends)
    step = 1e-5 * np.maximum(np.abs(case.x), 0.1) * random.choice([-1.0, 1.0], case.x.shape)
    ends = [float(loss(tf.constant(case.x + sign * step))) for sign in (1, -1)]
    agree(float(np.sum(gradients[-1] * step)), (ends[0] - ends[1]) / 2, ends)


def agree(slope: float, difference: float, ends: list[float]) -> None:
    """To 1e-6, where the difference of two numbers of 16 digits says as much."""
    assert slope == pytest.approx(difference, rel=1e-6, abs=1e-13 * max(map(abs, ends)))


def test_eager_training_is_that_of_the_graph(trained: Case) -> None:
    losses, weights = [], []
    for eagerly in (False, True):
        model = trained.compiled(run_eagerly=eagerly)
        losses.append(model.fit(trained.data, epochs=2, shuffle=False, verbose=0).history["loss"])
        weights.append([np.array(weight.numpy()) for weight in model.weights])
    assert losses[0][0] > 0
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)  # Keras keeps losses in float32
    for graph, eager in zip(*weights, strict=True):
        np.testing.assert_allclose(eager, graph, rtol=1e-9, atol=1e-12)
    assert any(np.any(now != first) for now, first in zip(weights[0], trained.first, strict=True))


def test_new_values_are_not_traced_for(trained: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The equations are Python only while they are traced."""
    network, model, traced = trained.compiled(), trained.layer._model, []
    network.fit(trained.data, shuffle=False, verbose=0)
    trained.layer(tf.constant(trained.x))
    equations = model.rhs
    monkeypatch.setattr(model, "rhs", staticmethod(lambda *arguments: traced.append(1) or equations(*arguments)))
    for scale in (1.01, 1.02, 1.03):
        for weight in trained.layer.trainable_weights:
            weight.assign(weight * scale)
        trained.layer(tf.constant(trained.x * scale))
        network.fit(trained.data, shuffle=False, verbose=0)
    assert not traced


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a fresh process found that imports the generated modules alone, and what it should have found."""
    folder, expected = tmp_path_factory.mktemp("saved"), {}
    for case in CASES:
        odec.compile_file(case.path, folder / f"{case.name}.py")
        model, (x, y) = case.compiled(), next(iter(case.data))
        if case in TRAINED:
            model.fit(case.data, shuffle=False, verbose=0)
        np.savez(folder / f"{case.name}.npz", x=x, y=y, trained=case in TRAINED)
        model.save(folder / f"{case.name}.keras")
        model.save_weights(folder / f"{case.name}.weights.h5")
        loaded = [np.array(weight.numpy()) for weight in model.weights]
        loss = float(model.train_on_batch(x, y) if case in TRAINED else model.loss(y, model(x)))
        expected[case.name] = {"loaded": loaded, "loss": loss, "after": [np.array(w.numpy()) for w in model.weights]}
    script = Path(__file__).with_name("fresh_process.py")
    done = subprocess.run([sys.executable, script, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return {"found": json.loads((folder / "found.json").read_text()), "expected": expected}


def test_a_fresh_process_loads_it_and_trains_on(case: Case, carried: dict[str, Any]) -> None:
    found, expected = carried["found"][case.name], carried["expected"][case.name]
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    for name, rtol in (("loaded", 0), ("after", 1e-9)):
        for mine, theirs in zip(found[name], expected[name], strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=1e-12)


def test_the_compiler_is_not_needed_for_that(carried: dict[str, Any]) -> None:
    assert carried["found"]["modules"] == []
