"""Networks inside the equations: written in the text, and Keras models that are handed over."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.integrate import solve_ivp

import odec
from odec.compiler import compile_file
from odec.diagnostics import OdecError
from odec.loading import load_source

ROOT = Path(__file__).parents[2]
RULES = """state x = 0.5
state y = 0.8
param r = 1.0 in [0, 5]
param k = 30
u = g(x, y)
dx = r*x*(1 - x) - u
dy = u - k*(y - 0.5*x^2)
"""
NET = "net g(x, y) = dense(6, tanh), dense(1)\n"
GIVEN = "net g(x, y) -> 1\n"
START = np.array([[0.5, 0.8], [0.9, 0.2], [0.3, 0.4]])
FREE = np.zeros((1, 0))


@cache
def model_of(net: str) -> Any:
    return load_source(odec.Source.from_text(net + RULES), "Mixed")


def layer_of(**options: Any) -> Any:
    """The layer with the net in the text, with weights that matter."""
    layer = model_of(NET)(**{"steps": 12, "h": 0.02, "method": "rk4", "dtype": "float64", **options})
    layer.build((None, 2))
    random = np.random.default_rng(0)
    for weight in layer.weights:
        if weight.name.startswith("g"):
            weight.assign(random.normal(size=weight.shape))
    return layer


def keras_net(layer: Any, **options: Any) -> keras.Model:
    """The net of a layer as a Keras model."""
    net = keras.Sequential(
        [
            keras.Input((2,), dtype="float64"),
            keras.layers.Dense(6, "tanh", dtype="float64"),
            keras.layers.Dense(1, dtype="float64"),
        ],
        **options,
    )
    net.set_weights([weight.numpy() for weight in layer.weights if weight.name.startswith("g")])
    return net


def slopes_of(layer: Any) -> Callable[[float, np.ndarray], np.ndarray]:
    """dx/dt in NumPy."""
    p = {name: np.asarray(value) for name, value in layer.parameters().items()}

    def slopes(_: float, z: np.ndarray) -> np.ndarray:
        hidden = np.tanh(z @ p["g_0_kernel"] + p["g_0_bias"])
        u = (hidden @ p["g_1_kernel"] + p["g_1_bias"])[..., 0]
        x, y = z[..., 0], z[..., 1]
        return np.stack([p["r"] * x * (1 - x) - u, u - p["k"] * (y - 0.5 * x**2)], axis=-1)

    return slopes


def rk4(slopes: Callable[[float, np.ndarray], np.ndarray], z: np.ndarray, h: float, steps: int) -> np.ndarray:
    rows = []
    for _ in range(steps):
        a = slopes(0, z)
        b = slopes(0, z + h / 2 * a)
        c = slopes(0, z + h / 2 * b)
        d = slopes(0, z + h * c)
        z = z + h / 6 * (a + 2 * b + 2 * c + d)
        rows.append(z)
    return np.stack(rows, axis=1)


def gradients(layer: Any) -> tuple[float, dict[str, np.ndarray]]:
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(START) ** 2)
    weights = layer.trainable_variables
    return float(loss), {w.path: np.asarray(g) for w, g in zip(weights, tape.gradient(loss, weights), strict=True)}


# In the text


def test_the_layer_is_the_loop_that_numpy_makes_of_it() -> None:
    layer = layer_of()
    found = np.asarray(layer(START))
    np.testing.assert_allclose(found, rk4(slopes_of(layer), START, 0.02, 12), rtol=1e-12)
    assert [weight.name for weight in layer.trainable_weights] == [
        *("r", "k", "g_0_kernel", "g_0_bias", "g_1_kernel", "g_1_bias"),
    ]


def test_a_net_begins_small_and_its_draw_follows_the_seed() -> None:
    values = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        layer = model_of("net g(x, y) = dense(64, tanh), dense(1)\n")(steps=1, h=0.1)
        layer.build((None, 2))
        values.append(layer.parameters())
    first, same, other = (value["g_0_kernel"] for value in values)
    np.testing.assert_array_equal(first, same)
    assert np.any(first != other)
    # Glorot: the mean square is 2 over inputs and outputs, of the last layer a hundredth of that.
    assert np.mean(first**2) == pytest.approx(2 / 66, rel=0.4)
    assert np.mean(values[0]["g_1_kernel"] ** 2) == pytest.approx(0.02 / 65, rel=0.6)
    assert not np.any(values[0]["g_0_bias"])


def test_gradients_and_sensitivities_equal_central_differences() -> None:
    layer = layer_of()
    _, found = gradients(layer)
    curve, moved = layer.sensitivities(START)
    slots = iter(range(moved.shape[-1]))
    for weight in layer.weights:
        value = weight.numpy()
        flat, by_hand, curves = np.ravel(value), [], []
        for place in range(flat.size):
            ends = []
            for sign in (1, -1):
                shifted = flat.copy()
                shifted[place] += sign * 1e-5
                weight.assign(shifted.reshape(value.shape))
                ends.append(np.asarray(layer(START)))
            by_hand.append((np.sum(ends[0] ** 2) - np.sum(ends[1] ** 2)) / 2e-5)
            curves.append((ends[0] - ends[1]) / 2e-5)
        weight.assign(value)
        # Differences of order 2: 1e-10 of a third derivative, and rounding of 1e-16/1e-5.
        np.testing.assert_allclose(np.ravel(found[weight.path]), by_hand, rtol=1e-6, atol=1e-8)
        for by_difference in curves:
            np.testing.assert_allclose(moved[..., next(slots)], by_difference, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(curve, np.asarray(layer(START)), rtol=1e-12)


def test_a_stiff_method_knows_the_derivatives_of_a_net() -> None:
    layer = layer_of()
    stiff = model_of(NET)(times=[1.0, 3.0], rtol=1e-7, method="rodas5p", params={"k": 2000.0}, dtype="float64")
    stiff.build((None, 0))
    stiff.set_weights([w.numpy() if w.name != "k" else np.array(2000.0) for w in layer.weights])
    truth = solve_ivp(slopes_of(stiff), (0, 3), [0.5, 0.8], "Radau", [1.0, 3.0], rtol=1e-10, atol=1e-12)
    # The run keeps a few times the tolerance of a step.
    np.testing.assert_allclose(np.asarray(stiff(FREE))[0], truth.y.T, rtol=1e-5)
    solution = odec.solve(model_of(NET), times=[1.0, 3.0], params=stiff.parameters(), method="rodas5p", rtol=1e-7)
    np.testing.assert_allclose(solution.values[:, :2], truth.y.T, rtol=1e-5)


def test_a_cell_and_an_adaptive_layer_go_the_same_way() -> None:
    layer = layer_of()
    expected = np.asarray(layer(START))
    cell = model_of(NET).cell(h=0.02, method="rk4", dtype="float64")
    recurrent = keras.layers.RNN(cell, return_sequences=True, dtype="float64")
    rows = np.zeros((3, 12, 1))
    recurrent(rows, initial_state=cell.started(START))
    cell.layer.set_weights(layer.get_weights())
    np.testing.assert_allclose(recurrent(rows, initial_state=cell.started(START)), expected, rtol=1e-12)
    adaptive = layer_of(steps=None, h=None, times=[0.24], rtol=1e-9, method="tsit5")
    # RK4 at k h = 0.6 errs by some 1e-4.
    np.testing.assert_allclose(np.asarray(adaptive(START))[:, -1], expected[:, -1], rtol=3e-3)


def test_a_net_is_frozen_by_its_name_and_an_untrained_one_is_said() -> None:
    layer = layer_of(frozen=["g", "k"])
    assert [weight.name for weight in layer.trainable_weights] == ["r"]
    again = type(layer).from_config(layer.get_config())
    again.build((None, 2))
    assert [weight.name for weight in again.trainable_weights] == ["r"]
    (note,) = odec.solve(model_of(NET), times=[0.1]).notes
    assert note.code == "W0610" and "`g`" in note.message
    assert not odec.solve(model_of(NET), times=[0.1], params=layer.parameters()).notes


# Training


def trained_model(layer: Any, jit: bool = True) -> keras.Model:
    rates = {"g": 1e-2, "r": keras.optimizers.SGD(1e-3)}
    model = keras.Sequential([keras.Input((2,), dtype="float64"), layer])
    model.compile(odec.optimizers.by_name(keras.optimizers.Adam(1e-3, epsilon=1e-15), rates), "mse", jit_compile=jit)
    return model


def test_mechanism_and_net_train_at_their_own_rates_and_go_on_after_loading(tmp_path: Path) -> None:
    path = tmp_path / "mixed.ode"
    path.write_text(NET + RULES)
    compile_file(path)
    target = np.asarray(layer_of()(START)) * 1.1
    layer = odec.load_model(tmp_path / "mixed.py")(steps=12, h=0.02, method="rk4", dtype="float64")
    model = trained_model(layer)
    before = {weight.name: weight.numpy().copy() for weight in layer.weights}
    first = model.train_on_batch(START, target)
    moved = {name: np.max(np.abs(value - before[name])) for name, value in layer.parameters().items()}
    # Adam's first step is its rate, whatever the gradient; that of SGD is its rate times the gradient.
    assert moved["k"] == pytest.approx(1e-3, rel=1e-3)
    for name in ("g_0_kernel", "g_0_bias", "g_1_kernel", "g_1_bias"):
        assert moved[name] == pytest.approx(1e-2, rel=1e-3)
    assert 0 < moved["r"] < 1e-3
    model.save(tmp_path / "model.keras")
    losses = [float(model.train_on_batch(START, target)) for _ in range(3)]
    assert losses[-1] < float(first)
    np.savez(tmp_path / "data.npz", x=START, y=target)
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]\n"
        "import keras, mixed, numpy as np\n"
        f"model = keras.saving.load_model({str(tmp_path / 'model.keras')!r})\n"
        f"data = np.load({str(tmp_path / 'data.npz')!r})\n"
        "print([float(model.train_on_batch(data['x'], data['y'])) for _ in range(3)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    # The optimizer goes on with its own state: the same losses, to the last digits of float32.
    np.testing.assert_allclose(json.loads(done.stdout), losses, rtol=1e-6)


def test_names_of_no_weight_and_rates_that_are_none_are_refused() -> None:
    model = keras.Sequential([keras.Input((2,), dtype="float64"), layer_of()])
    model.compile(odec.optimizers.by_name(keras.optimizers.Adam(), {"gg": 1e-2}), "mse")
    with pytest.raises(ValueError, match=r"no weight of the name 'gg'.*mixed\S*/g_0_kernel"):
        model.train_on_batch(START, np.zeros((3, 12, 2)))
    with pytest.raises(ValueError, match=r"rate of g must be positive"):
        odec.optimizers.by_name(keras.optimizers.Adam(), {"g": 0})
    with pytest.raises(ValueError, match=r"g needs a learning rate, a schedule or an optimizer"):
        odec.optimizers.by_name(keras.optimizers.Adam(), {"g": "fast"})


# Handed over


def test_a_keras_model_is_the_same_net() -> None:
    layer = layer_of()
    net = keras_net(layer, name="g")
    other = model_of(GIVEN)(steps=12, h=0.02, method="rk4", dtype="float64", g=net)
    np.testing.assert_allclose(other(START), layer(START), rtol=1e-12)
    assert other.parameters()["g"].shape == (25,)
    loss, found = gradients(other)
    known_loss, known = gradients(layer)
    assert loss == pytest.approx(known_loss, rel=1e-12)
    for (path, gradient), expected in zip(found.items(), known.values(), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-10, err_msg=path)
    solution = odec.solve(model_of(GIVEN).with_nets(g=net), times=[0.24], step=0.02, method="rk4", init=_start())
    np.testing.assert_allclose(solution.values[-1, :2], np.asarray(layer(START))[0, -1], rtol=1e-12)


def _start() -> dict[str, float]:
    return {"x": 0.5, "y": 0.8}


def test_a_model_with_a_keras_model_is_trained_saved_and_loaded(tmp_path: Path) -> None:
    layer = model_of(GIVEN)(steps=12, h=0.02, method="rk4", dtype="float64", g=keras_net(layer_of(), name="g"))
    model = trained_model(layer)
    target = np.asarray(layer(START)) * 1.1
    losses = [float(model.train_on_batch(START, target)) for _ in range(3)]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.layers[-1].parameters()["g"], layer.parameters()["g"])
    np.testing.assert_allclose(again.predict(START, verbose=0), model.predict(START, verbose=0), rtol=1e-12)
    assert float(again.train_on_batch(START, target)) == pytest.approx(float(model.train_on_batch(START, target)))
    model.save_weights(tmp_path / "one.weights.h5")
    again.load_weights(tmp_path / "one.weights.h5")


def test_a_net_is_a_function_nothing_is_dropped_and_a_frozen_one_stays() -> None:
    net = keras.Sequential([keras.Input((2,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)], name="g")
    layer = model_of(GIVEN)(steps=3, h=0.02, method="euler", dtype="float64", g=net, frozen=["g"])
    first, second = (np.asarray(layer(START, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert [weight.name for weight in layer.trainable_weights] == ["r", "k"]


def test_what_does_not_fit_is_said() -> None:
    model, net = model_of(GIVEN), keras_net(layer_of())
    with pytest.raises(OdecError, match=r"E0610.*Mixed has a net `g`"):
        model(steps=1, h=0.1)
    with pytest.raises(OdecError, match=r"E0610"):
        odec.solve(model, to=1.0)
    with pytest.raises(ValueError, match=r"no net named 'f'; there are: g|did you mean"):
        model(steps=1, h=0.1, nets={"f": net})
    with pytest.raises(ValueError, match=r"takes \(batch, 2\), and its model does not"):
        model(steps=1, h=0.1, g=keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)]))
    with pytest.raises(ValueError, match=r"gives 1 numbers for each row.*\(2, 4\)"):
        model(steps=1, h=0.1, g=keras.layers.Dense(4))
    with pytest.raises(ValueError, match=r"is a Keras model or layer"):
        model(steps=1, h=0.1, g=np.tanh)
    with pytest.raises(ValueError, match=r"the text of Mixed says the layers of the net g"):
        model_of(NET)(steps=1, h=0.1, g=net)
    layer = model(steps=2, h=0.1, g=net, dtype="float64")
    with pytest.raises(ValueError, match=r"are the same for all rows"):
        layer(START, params={"g": np.zeros((3, 25))})
    with pytest.raises(OdecError, match=r"E0702.*a fit does not train the weights of the net `g`"):
        odec.fit(model_of(NET), {"t": [1.0, 2.0], "x": [0.4, 0.3]}, output=None)
    with pytest.raises(OdecError, match=r"E0610.*a sensitivity needs the derivatives of `g`"):
        layer.sensitivities()
    with pytest.raises(OdecError, match=r"E0610.*a stiff method needs the derivatives of `g`"):
        odec.solve(model.with_nets(g=net), to=0.1, method="rodas5p")
