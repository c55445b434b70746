"""Layers with a tolerance: values, gradients of everything that moves a state, Keras's own loops."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from odec.loading import load_source
from odec.runtime import simulate
from odec.runtime.adaptive import Adaptive
from odec.source import Source

TIMES = [0.7, 2.0, 5.0]

# A dose at 1.5 and 3, a pulse of the equations at 4 (a switch that no param moves), a threshold that is crossed.
BUSY = """param k = 0.8
param gain = 2
param low = 0.2
state x = 1
state y = 0
dx = -k*x + if(t >= 4 and t < 4.05, 30, 0)
dy = gain*x - y
at 1.5, 3: x += 0.5
when x < low: x = 2*low, y = y/2
"""
DRIVEN = "input u linear\nparam k = 0.5\nstate x = 1\ndx = k*(u - x^3)\n"
STARTS = np.array([[1.0, 0.0], [2.0, 1.0], [0.5, 3.0]])


def model(text: str, name: str = "Busy") -> Any:
    return load_source(Source(text, f"{name.lower()}.ode"))


@pytest.fixture(scope="module")
def busy() -> Any:
    return model(BUSY)


def weighed(values: Any) -> Any:
    """One number of many, so that no derivative cancels."""
    return tf.reduce_sum(tf.sin(values) * np.arange(1.0, 1 + int(np.prod(values.shape[1:]))).reshape(values.shape[1:]))


@pytest.fixture(scope="module", params=["tsit5", "rodas5p"])
def solved(request: Any, busy: Any) -> Any:
    """A layer, its output, and the gradients of `weighed` by the starts and by the weights."""
    layer = busy(times=TIMES, rtol=1e-9, method=request.param, dtype="float64", max_steps=512)
    start = tf.constant(STARTS)
    with tf.GradientTape() as tape:
        tape.watch(start)
        values = layer(start)
        loss = weighed(values)
    return layer, values.numpy(), tape.gradient(loss, [start, *layer.trainable_variables])


def test_a_layer_gives_what_a_run_gives(busy: Any, solved: Any) -> None:
    _, values, _ = solved
    exact = simulate.solve(
        busy,
        Adaptive(0, TIMES, rtol=1e-12),
        method="dop853",
        params=[0.8, 2, 0.2],
        initial={"x": STARTS[:, 0], "y": STARTS[:, 1]},
    )
    np.testing.assert_allclose(values, exact, rtol=1e-6)


def test_the_gradient_is_that_of_the_values(busy: Any, solved: Any) -> None:
    """Central differences of runs at 1e-12, whose own error is 1e-7 of the derivative: rtol 1e-9 leaves 1e-6."""
    layer, _, gradients = solved
    params = np.array([0.8, 2, 0.2])

    def loss(params: np.ndarray, starts: np.ndarray) -> float:
        found = simulate.solve(
            busy,
            Adaptive(0, TIMES, rtol=1e-12),
            method="dop853",
            params=np.tile(params, (3, 1)),
            initial={"x": starts[:, 0], "y": starts[:, 1]},
        )
        return float(weighed(tf.constant(found)))

    for i, weight in enumerate(layer.trainable_variables):
        step = np.zeros(3)
        step[i] = 1e-5 * params[i]
        slope = (loss(params + step, STARTS) - loss(params - step, STARTS)) / (2 * step[i])
        assert float(gradients[1 + i]) == pytest.approx(slope, rel=2e-5), weight.name
    for place in ((0, 0), (1, 1), (2, 0)):
        step = np.zeros_like(STARTS)
        step[place] = 1e-5
        slope = (loss(params, STARTS + step) - loss(params, STARTS - step)) / 2e-5
        assert float(gradients[0][place]) == pytest.approx(slope, rel=2e-5, abs=1e-7), place


@pytest.mark.parametrize("method", ["tsit5", "rodas5p"])
def test_the_gradient_by_an_input_series(method: str) -> None:
    layer = model(DRIVEN, "Driven")(
        times=[1.0, 2.5], input_times=[0, 1, 2, 3], rtol=1e-10, method=method, dtype="float64", max_steps=256
    )
    start, series = tf.constant([[1.0]]), np.array([[[1.0], [3.0], [0.5], [2.0]]])

    def loss(u: Any) -> Any:
        return tf.reduce_sum(layer(start, u) ** 2)

    given = tf.constant(series)
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = loss(given)
    gradient = tape.gradient(value, given).numpy()
    # What a user asks for: the derivatives by a param and by the start, at all times.
    values, slopes = layer.sensitivities([[1.0]], series, wrt=["k", "x"])
    np.testing.assert_allclose(values, layer(start, given), rtol=1e-8)
    with tf.GradientTape() as tape:
        tape.watch(start)
        value = loss(given)
    expected = [2 * np.sum(values[0, :, 0] * slopes[0, :, 0, i]) for i in range(2)]
    by_weight, by_start = tape.gradient(value, [layer.weights[0], start])
    np.testing.assert_allclose([by_weight, by_start[0, 0]], expected, rtol=1e-7)
    for k in range(4):
        step = np.zeros_like(series)
        step[0, k, 0] = 1e-4
        slope = (loss(tf.constant(series + step)) - loss(tf.constant(series - step))) / 2e-4
        assert gradient[0, k, 0] == pytest.approx(float(slope), rel=1e-6, abs=1e-8)


def test_sensitivities_are_held_to_the_tolerance_where_they_are_asked_to_be() -> None:
    layer = model("param k = 1\nstate x = 1\ndx = -k*x^3\n", "Cubic")(times=[1.0, 8.0], rtol=1e-4, method="tsit5")
    # x = (1/x0² + 2kt)^(-1/2), at k = x0 = 1.
    t = np.array([1.0, 8.0])
    exact = np.stack([-t * (1 + 2 * t) ** -1.5, (1 + 2 * t) ** -1.5], axis=-1)
    for controlled in (False, True):
        _, slopes = layer.sensitivities([[1.0]], wrt=["k", "x"], controlled=controlled)
        np.testing.assert_allclose(slopes[0, :, 0], exact, rtol=1e-4 if controlled else 1e-2)
    with pytest.raises(ValueError, match=r"no param or state named .K.; .*k"):
        layer.sensitivities(wrt=["K"])


def test_keras_trains_it_without_tracing_again(busy: Any, monkeypatch: Any) -> None:
    """One trace for a fit of many epochs, and the loss falls to nothing on data that the layer made itself."""
    truth = busy(times=TIMES, rtol=1e-8, dtype="float64", max_steps=256)(tf.constant(STARTS)).numpy()
    layer = busy(times=TIMES, rtol=1e-8, dtype="float64", max_steps=256, params={"gain": 1.5}, frozen=["k", "low"])
    trained = keras.Sequential([keras.Input((2,), dtype="float64"), layer])
    trained.compile(optimizer=keras.optimizers.Adam(0.1), loss="mse")
    trained.fit(STARTS, truth, epochs=1, verbose=0)
    traces: list[int] = []
    equations = busy.rhs

    def counted(*arguments: Any) -> Any:
        traces.append(1)
        return equations(*arguments)

    # The equations are Python only while they are traced.
    monkeypatch.setattr(busy, "rhs", staticmethod(counted))
    history = trained.fit(STARTS, truth, epochs=100, verbose=0).history["loss"]
    assert history[-1] < 1e-3 * history[0]
    assert layer.parameters()["gain"] == pytest.approx(2, rel=0.02)
    assert not traces


def test_a_row_without_steps_left_is_nan_and_the_others_are_not(busy: Any) -> None:
    few = busy(times=TIMES, rtol=1e-8, dtype="float64", max_steps=32)(tf.constant(STARTS)).numpy()
    # The first time is reached with 32 attempts, the last is not.
    assert np.isfinite(few[:, 0]).all() and np.isnan(few[:, -1]).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rtol": 1e-6, "h": 0.1}, "give rtol, or a step"),
        ({"rtol": 1e-6, "method": "rk4"}, "does not estimate its error"),
        ({"rtol": 1e-6, "atol": {"z": 1e-9}}, "no state 'z'"),
        ({"rtol": -1.0}, "a tolerance is a positive number"),
    ],
)
def test_wrong_arguments(busy: Any, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(Exception, match=words):
        busy(times=TIMES, **arguments)


def test_a_config_makes_the_same_layer(busy: Any) -> None:
    layer = busy(times=TIMES, rtol=1e-7, atol={"x": 1e-9}, method="rodas5p", max_steps=99)
    again = type(layer).from_config(layer.get_config())
    assert (again.timing.rtol, again.timing.most, again.method) == (1e-7, 99, "rodas5p")
    assert again.timing.atol[0] == 1e-9 and np.isnan(again.timing.atol[1])


def test_a_tolerance_sets_a_method_of_the_model_without_an_error_aside() -> None:
    plain = model("state x = 1\ndx = -x\nsolve to 1, step 0.1, method euler\n", "Plain")
    assert (plain().method, plain(times=[1.0], rtol=1e-6).method) == ("euler", "tsit5")
    assert plain(times=[1.0], rtol=1e-6, method="rodas5p").method == "rodas5p"


COMPILATIONS = """
import sys
import numpy as np, keras, tensorflow as tf
from odec.loading import load_source
from odec.source import Source
Decay = load_source(Source("param k = 1\\nstate x = 1\\ndx = -k*x\\n", "decay.ode"))
x, y = np.ones((3, 1)), np.zeros((3, 2, 1))
for timing in ({"rtol": 1e-6, "max_steps": 64}, {"h": 0.1}):
    for compiled in (False, True):
        layer = Decay(times=[1.0, 2.0], dtype="float64", **timing)
        net = keras.Sequential([keras.Input((1,), dtype="float64"), layer])
        net.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse", jit_compile=compiled)
        net.train_on_batch(x, y)
        print("TRAINED ONCE", file=sys.stderr, flush=True)
        for _ in range(3):
            net.train_on_batch(x, y)
        print("TRAINED", file=sys.stderr, flush=True)
"""


def test_new_values_are_not_compiled_for_again(root: Path) -> None:
    """What XLA compiles is only in its own log. New weights, each step, need nothing new."""
    logged = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0", "TF_CPP_VMODULE": "device_compiler=3"}
    done = subprocess.run([sys.executable, "-c", COMPILATIONS], cwd=root, env=logged, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    parts = re.split(r"^TRAINED(?: ONCE)?$", done.stderr, flags=re.MULTILINE)
    first, again = parts[:-1:2], parts[1::2]
    assert len(first) == len(again) == 4
    assert all("Instantly compiling" in part for part in first)
    assert not any("Instantly compiling" in part for part in again)


def test_training_fixed_steps_with_conditions_in_keras_says_what_to_do(busy: Any) -> None:
    def net() -> Any:
        made = keras.Sequential([keras.Input((2,), dtype="float64"), busy(times=[0.5], h=0.1, dtype="float64")])
        made.compile(loss="mse")
        return made

    assert np.isfinite(net().predict(STARTS, verbose=0)).all()
    with pytest.raises(ValueError, match=r"Busy jumps by conditions: to train it give `rtol`"):
        net().fit(STARTS, np.zeros((3, 1, 2)), verbose=0)
    # A batch of known length can be trained.
    assert np.isfinite(net().train_on_batch(STARTS, np.zeros((3, 1, 2))))
