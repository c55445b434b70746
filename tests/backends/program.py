"""Values and gradients of layers on the Keras back end of this process: `KERAS_BACKEND=jax program.py out.npz`.

The layers are every example and what no example has. What it writes is compared by `test_backends.py`; with the
argument `differences` it also writes derivatives by central differences of order 4, which the gradients of all back
ends have to agree with.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

import odec
from odec.loading import load_model, load_source
from odec.runtime import recurrence, simulate
from odec.runtime.adaptive import Adaptive
from odec.source import Source

EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
BACKEND = keras.backend.backend()
SIZES = {name: getattr(recurrence, name) for name in ("BLOCK", "WHOLE", "FEWEST", "ADAPTIVE_BLOCK", "ADAPTIVE_WHOLE")}
PAIRS = {"BLOCK": 1, "WHOLE": 1, "FEWEST": 2, "ADAPTIVE_BLOCK": 2, "ADAPTIVE_WHOLE": 2}
# The part of a number by which it is moved for a difference.
MOVED = 1e-3

# What moves a state in one text: a dose, a pulse of the equations, a threshold. Three rows cross it at other times.
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
# Van der Pol's oscillator in its stiff form.
STIFF = "param mu = 50\nstate x = 2\nstate v = -0.6\ndx = v\ndv = mu*(1 - x^2)*v - x\n"
# Cells beside one another, in which a substance spreads and is made.
CELLS = """size N = 64
param D = 1
param a = 0.3
state u[N] = 1 + sin(range(N))
du = D*(roll(u, 1) - 2*u + roll(u, -1)) + a*u^2
"""

# Off TensorFlow Keras's own operations are in float32 (`odec/runtime/backends/precision.py`).
FUNCTIONS = """param a = 0.3
state x = 0.7
state y = 0.4
dx = sin(a*x) + tanh(y)*cos(x) - min(x, y, 0.31) + atan2(y, x + 2) + x^0.3
dy = max(x, 0.1)*exp(-a*y) - asinh(y) + mod(x, 5.37) + erf(a*x) + 0.3^y + if(x > 5, 0.1, 0.2)*floor(x + 3.35)
"""


@dataclass
class Case:
    """A layer with what it is called with. The model is a text or the name of an example; without a `start` two rows
    begin at its own. `in_blocks` takes two rows at once."""

    model: str
    arguments: dict[str, Any]
    start: list[list[float]]
    series: Any = None
    is_cell: bool = False
    in_blocks: bool = False

    def layer(self) -> Any:
        """In float64."""
        is_text = "\n" in self.model
        model = load_source(Source(self.model, "case.ode")) if is_text else load_model(example(self.model))
        if self.is_cell:
            return keras.layers.RNN(
                model.cell(dtype="float64", **self.arguments), return_sequences=True, dtype="float64"
            )
        return model(dtype="float64", **self.arguments)

    @property
    def inputs(self) -> list[np.ndarray]:
        """What a gradient is taken by, beside the weights: the start, and the series of a layer."""
        series = [] if self.series is None or self.is_cell else [self.series]
        return [np.array(x, dtype=np.float64) for x in (*([self.start] if self.start else []), *series)]

    def called(self, layer: Any, inputs: list[Any]) -> Any:
        """What the layer says to `inputs` in their places."""
        start = inputs[0] if self.start else np.zeros((2, 0))
        if self.is_cell:
            return layer(ops.convert_to_tensor(self.series), initial_state=layer.cell.started(start))
        return layer(start) if self.series is None else layer(start, inputs[-1])


def example(name: str) -> Path:
    """The model of an example: its folder's, or the file of that name where a folder has several."""
    (path,) = (*EXAMPLES.glob(f"{name}/model.ode"), *EXAMPLES.glob(f"*/{name}.ode"))
    return path


def settle(layer: Any) -> None:
    """Matrices are guessed at random, and otherwise on each back end: here they are the same everywhere."""
    for weight in layer.trainable_variables:
        if len(weight.shape) == 2:
            weight.assign(0.4 * np.sin(np.arange(np.prod(weight.shape))).reshape(weight.shape))


WAVE = np.sin(np.arange(21) / 3.0)
SHORT: dict[str, Any] = {"steps": 3, "h": 0.1, "method": "rk4"}
CASES = {
    "airy": Case("airy", SHORT, [[0.4, -0.3], [1, 0.2]]),
    "amortised": Case("amortised", SHORT, [[20, 40], [50, 10]]),
    "bessel_j0": Case("bessel_j0", SHORT, [[0.8, -0.4], [0.2, 1]]),
    "bessel_j1": Case("bessel_j1", SHORT, [[0.4, 0.3], [1, 0.2]]),
    "exp": Case("exp", SHORT, [[1], [2]]),
    "exponential": Case("exponential", SHORT, [[3], [1]]),
    "hypergeometric": Case("hypergeometric", {**SHORT, "h": 0.02}, [[1, 0.3], [0.5, 0.1]]),
    "legendre_p5": Case("legendre_p5", SHORT, [[0.2, 2], [1, 0.2]]),
    "lorenz": Case("lorenz", {**SHORT, "h": 0.01}, [[1, 2, 3], [-3, 1, 20]]),
    "lorenz96": Case("lorenz96", {**SHORT, "h": 0.02, "sizes": {"N": 5}}, [[8, 9, 8, 7, 6], [1, 2, 3, 4, 5]]),
    "lotka_volterra": Case("lotka_volterra", SHORT, [[30, 4], [10, 9]]),
    "simple_rnn": Case(
        "simple_rnn", {"sizes": {"U": 3, "D": 2}}, [[0.5, -0.2, 0.1], [0, 0.3, 0.9]], WAVE[:12].reshape(2, 3, 2)
    ),
    "sincos": Case("sincos", SHORT, [[0, 1], [1, 2]]),
    "sir": Case("sir", SHORT, []),
    "spiral": Case("spiral", SHORT, [[2, 0], [1, 0.5]]),
    "universal": Case("universal", SHORT, [[1, 1], [2, 0.5]]),
    "competition": Case("competition", {"steps": 40, "h": 0.25, "method": "rk4"}, [[100, 150], [40, 20]]),
    "dosing": Case("dosing", {"times": [1.0, 12.0, 30.5], "h": 0.5, "method": "rk4"}, [[0, 0], [100, 5]]),
    "bouncing_ball": Case(
        "bouncing_ball", {"times": [1.0, 2.0, 3.1], "h": 0.1, "method": "rk4"}, [[8, 0, 0], [5, 1, 0]]
    ),
    "motor": Case(
        "motor",
        {"times": [0.05, 0.1], "h": 0.0025, "method": "rk4", "input_times": np.linspace(0, 0.1, 21).tolist()},
        [[0, 0], [1, 5]],
        np.stack([1 + WAVE, 2 - WAVE])[..., None],
    ),
    "functions": Case(FUNCTIONS, {"steps": 6, "h": 0.05, "method": "rk4"}, [[0.7, 0.4], [1.1, 0.9]]),
    "stiff steps": Case(STIFF, {"steps": 10, "h": 0.05, "method": "rodas5p"}, [[2, -0.6], [1.5, 0.1]]),
    "cells": Case(CELLS, {"steps": 2, "h": 0.2, "method": "rodas4"}, []),
    "adaptive": Case("competition", {"times": [1.0, 7.0], "rtol": 1e-11, "max_steps": 128}, [[100, 150], [40, 20]]),
    "busy": Case(BUSY, {"times": [0.7, 2.0, 5.0], "rtol": 1e-10, "max_steps": 1024}, [[1, 0], [2, 1], [0.5, 3]]),
    "stiff": Case(
        STIFF, {"times": [1.0, 3.0], "rtol": 1e-9, "method": "rodas5p", "max_steps": 512}, [[2, -0.6], [1.5, 0.1]]
    ),
    "driven": Case(
        DRIVEN,
        {"times": [0.5, 2.0], "rtol": 1e-10, "max_steps": 256, "input_times": [0.0, 0.7, 2.0]},
        [[1], [2]],
        np.array([[[0.5], [2.0], [1.0]], [[1.0], [0.0], [3.0]]]),
    ),
    "blocks": Case("competition", SHORT, [[100, 150], [40, 20], [70, 7], [9, 90], [3, 2]], in_blocks=True),
    "blocks with jumps": Case(
        "dosing", {"times": [1.0, 12.0], "h": 0.5, "method": "rk4"}, [[0, 0], [100, 5], [7, 3]], in_blocks=True
    ),
    "blocks with conditions": Case(
        "bouncing_ball",
        {"times": [1.0, 2.0, 3.1], "h": 0.1, "method": "rk4"},
        [[8, 0, 0], [5, 1, 0], [6, -1, 0]],
        in_blocks=True,
    ),
    "blocks of a series": Case(
        "simple_rnn",
        {"sizes": {"U": 3, "D": 2}},
        [[0.5, -0.2, 0.1], [0, 0.3, 0.9], [0.1, 0.2, 0.3]],
        WAVE[:18].reshape(3, 3, 2),
        in_blocks=True,
    ),
    "adaptive blocks": Case(
        "competition",
        {"times": [1.0, 7.0], "rtol": 1e-11, "max_steps": 128},
        [[100, 150], [40, 20], [70, 60]],
        in_blocks=True,
    ),
    "cell": Case(
        "competition", {"h": 0.25, "method": "rk4"}, [[100, 150], [40, 20]], np.zeros((2, 10, 0)), is_cell=True
    ),
}


def weighed(values: Any) -> Any:
    """One number of many, so that no derivative cancels."""
    shape = values.shape[1:]
    weights = 1 + np.arange(np.prod(shape)).reshape(shape) % 3
    return ops.sum(values * ops.convert_to_tensor(weights, "float64"))


def taken(case: Case, layer: Any) -> tuple[np.ndarray, list[np.ndarray]]:
    """The output, and the gradients of `weighed` by inputs and weights, as a user of the back end takes them."""
    inputs, weights = case.inputs, layer.trainable_variables
    of: Callable[..., Any]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tensors = [tf.constant(x) for x in inputs]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            values = case.called(layer, tensors)
            loss = weighed(values)
        return values.numpy(), [g.numpy() for g in tape.gradient(loss, [*tensors, *weights])]
    if BACKEND == "jax":
        import jax

        def loss(inputs: Any, trained: Any) -> Any:
            with keras.StatelessScope(state_mapping=list(zip(weights, trained, strict=True))):
                values = case.called(layer, inputs)
            return weighed(values), values

        of = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))
        gradients, values = of(inputs, [weight.value for weight in weights])
        return np.asarray(values), [np.asarray(g) for g in (*gradients[0], *gradients[1])]
    import torch

    tensors = [torch.tensor(x, requires_grad=True) for x in inputs]
    values = case.called(layer, tensors)
    found = torch.autograd.grad(weighed(values), [*tensors, *(weight.value for weight in weights)])
    return values.detach().numpy(), [g.numpy() for g in found]


def differences(case: Case, layer: Any) -> list[np.ndarray]:
    """The derivatives of `weighed` by the same things, by differences of order 4."""
    inputs, weights = case.inputs, layer.trainable_variables

    def value() -> float:
        return float(ops.convert_to_numpy(weighed(case.called(layer, inputs))))

    def moved(array: np.ndarray, put: Callable[[], None]) -> np.ndarray:
        found = np.zeros(array.size)
        for i in range(array.size):
            old = array.flat[i]
            h = MOVED * (abs(old) or 1.0)
            for part, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
                array.flat[i] = old + part * h
                put()
                found[i] += weight * value() / (12 * h)
            array.flat[i] = old
            put()
        return found.reshape(array.shape)

    found = [moved(array, lambda: None) for array in inputs]
    for weight in weights:
        array = np.array(ops.convert_to_numpy(weight.value))
        found.append(moved(array, lambda array=array, weight=weight: weight.assign(array)))
    return found


def runs() -> dict[str, np.ndarray]:
    """What is computed on arrays: sensitivities, a run of the solver, and a fit."""
    model, params = load_model(EXAMPLES / "competition" / "model.ode"), [0.1, 0.3, 1e-4, 2e-4, 0.002, 0.003]
    found = {}
    for method in ("tsit5", "rodas5p"):
        asked = Adaptive(0, [1.0, 5.0], rtol=1e-6)
        parts = simulate.sensitivities(model, asked, method=method, params=params)
        found |= {f"sensitivities {method}/values": parts[0], f"sensitivities {method}/derivatives": parts[1]}
    solution = odec.solve(EXAMPLES / "bouncing_ball" / "model.ode", to=3.0)
    found["solve/values"] = solution.to_frame().to_numpy(dtype=np.float64)
    folder = EXAMPLES / "exponential"
    for method in ({"method": "lm"}, {"method": "adam", "epochs": 5}):
        fitted = odec.fit(folder / "model.ode", folder / "data.csv", **method)
        found[f"fit by {method['method']}/values"] = np.array([fitted.estimates["k"]])
    return found


def main(out: str, differ: bool, names: list[str]) -> None:
    found: dict[str, np.ndarray] = {}
    for name in names or CASES:
        case, begun = CASES[name], time.perf_counter()
        for size, rows in (PAIRS if case.in_blocks else SIZES).items():
            setattr(recurrence, size, rows)
        layer = case.layer()
        case.called(layer, case.inputs)  # builds it
        settle(layer)
        plain = ops.convert_to_numpy(case.called(layer, case.inputs))
        values, gradients = taken(case, layer)
        np.testing.assert_allclose(plain, values, rtol=1e-12, atol=1e-12)
        found |= {f"{name}/values": values} | {f"{name}/gradient {i}": part for i, part in enumerate(gradients)}
        if differ:
            parts = differences(case, layer)
            found |= {f"{name}/difference {i}": part for i, part in enumerate(parts)}
        print(f"{name}: {time.perf_counter() - begun:.1f} s", flush=True)
    np.savez(out, **found, **({} if names else runs()))


if __name__ == "__main__":
    main(sys.argv[1], "differences" in sys.argv, [name for name in sys.argv[2:] if name != "differences"])
