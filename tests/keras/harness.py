"""Every example as a layer in a network: what the tests of the Keras contract share, compiled once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from odec.loading import load_model
from odec.losses import NanMSE
from odec.runtime.equations import Equations, Slots

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BATCH = 3

# A few steps of the method that an example names; what else a layer needs stands here.
SHORT: dict[str, Any] = {"times": [0.1, 0.25], "h": 0.05}
OPTIONS: dict[str, dict[str, Any]] = {
    # Its `when` is trained with a tolerance; the first bounce is at 1.28.
    "bouncing_ball": {"times": [0.5, 1.6], "rtol": 1e-10, "max_steps": 64},
    "dosing": {"times": [1.0, 13.0], "h": 0.5},
    "lorenz96": {**SHORT, "h": 0.02, "sizes": {"N": 6}},
    "motor": {"steps": 4, "h": 0.0005},
    "simple_rnn": {"sizes": {"U": 4, "D": 2}},
    "airy": {"times": [-0.1, -0.25], "h": 0.05},
}
# Not trained in a network here: airy has no params; the gradient of events takes 7 s to compile, each time
# (test_adaptive_layer.py trains another); the others are trained by tests of their own, or are as competition is.
UNTRAINED = ("airy", "amortised", "bouncing_ball", "exponential", "lorenz", "lotka_volterra", "spiral")
# Those of one folder are one model as far as Keras goes; one of them runs backwards.
LEFT_OUT = ("bessel_j0", "bessel_j1", "exp", "hypergeometric", "legendre_p5", "sincos")
ROWS = 4


@dataclass(frozen=True, eq=False)
class Case:
    """One example in float64. A model with inputs takes their series alone, and starts at its own values."""

    name: str
    path: Path

    @cached_property
    def layer(self) -> Any:
        """The layer, built."""
        made = load_model(self.path)(**OPTIONS.get(self.name, SHORT), dtype="float64", name=self.name)
        made.build((None, *self._width(made)))
        self.first.extend(np.array(weight.numpy()) for weight in made.weights)
        return made

    @cached_property
    def first(self) -> list[np.ndarray]:
        """The first guesses of the weights."""
        return []

    @cached_property
    def x(self) -> np.ndarray:
        """Inputs (3, …): rows around the model's own start, or a series."""
        random, width = np.random.default_rng(0), self._width(self.layer)
        if self.layer.description.inputs:
            return random.uniform(0.5, 1.5, (BATCH, *width))
        names = tuple(param.name for param in self.layer.description.params)
        equations = Equations(self.layer._model, Slots(shared=names, numbers=self.layer._numbers))
        theta = (self.layer.shared_values(names), tf.zeros((0, 1), "float64"))
        own = np.asarray(equations.initial(theta, {}, tf.zeros((1,), "float64"))).T
        return np.concatenate([own, own * random.uniform(0.9, 1.1, (BATCH - 1, *width))])

    @cached_property
    def y(self) -> np.ndarray:
        """What the layer says to them."""
        return np.asarray(self.layer(tf.constant(self.x)))

    @cached_property
    def data(self) -> tf.data.Dataset:
        """The inputs with targets of which the first was not measured, as one batch."""
        targets = self.y * 1.1
        targets[0, ..., 0] = np.nan
        return tf.data.Dataset.from_tensors((self.x, targets))

    @cached_property
    def sequential(self) -> keras.Sequential:
        """A network of the layer alone."""
        return keras.Sequential([keras.Input(self.x.shape[1:], dtype="float64"), self.layer], name="network")

    def compiled(self, **options: Any) -> keras.Sequential:
        """The same, from its first guesses and with a new optimizer."""
        self.start_again()
        # Adam moves each weight by the rate: small beside any param of the examples.
        self.sequential.compile(keras.optimizers.Adam(1e-6), NanMSE(), **options)
        return self.sequential

    def start_again(self) -> None:
        """The weights at their first guesses."""
        for weight, value in zip(self.layer.weights, self.first, strict=True):
            weight.assign(value)

    def _width(self, layer: Any) -> tuple[int, ...]:
        description = layer.description
        if description.inputs:
            return (ROWS, sum(int(np.prod(signal.shape)) for signal in description.inputs))
        return (len(description.state_elements),)


CASES = [
    Case(path.parent.name if path.stem == "model" else path.stem, path)
    for path in sorted(EXAMPLES.glob("*/*.ode"))
    if path.stem not in LEFT_OUT
]
TRAINED = [case for case in CASES if case.name not in UNTRAINED]
