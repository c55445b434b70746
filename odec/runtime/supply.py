"""Layers that supply params: predicted by a network for each series, or one value for each group of series."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from odec.runtime import guesses
from odec.runtime.bounds import Bounds
from odec.runtime.description import Param

Tensor = Any
# A first guess at one of its bounds is moved inside by this share of their distance: no network could leave it.
INSIDE = 0.01
# How widely the first predictions of a head spread: near the first guesses, and not all the same.
SPREAD = 0.01


@dataclass(frozen=True)
class Spec:
    """A param as a layer's config holds it; `guess` is a number, or nested lists of an array's shape."""

    name: str
    guess: Any
    lower: float
    upper: float
    log: bool
    shape: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


def specs_of(params: Iterable[Param], start: Mapping[str, Any]) -> list[Spec]:
    """The specs of params, first guesses replaced by `start`; an initializer's guess is drawn here."""
    found = []
    for param in params:
        guess = start.get(param.name, param.value)
        drawn = guesses.initializer(param)(param.shape, "float64") if isinstance(guess, str) else guess
        array = np.broadcast_to(np.asarray(drawn, dtype=np.float64), param.shape)
        found.append(Spec(param.name, array.tolist(), param.lower, param.upper, param.log, param.shape))
    return found


@keras.saving.register_keras_serializable(package="odec")
class ParamHead(keras.layers.Layer):
    """Params for each series from features (batch, F): a dense layer, each number of which is put inside its bounds.

    The output is a dictionary, name → (batch,) or (batch, *shape), to be given to a model's layer. Before training each
    param is close to its first guess. Between two bounds the dense layer's number runs through a sigmoid, beside one
    bound through an exponential, both on the logarithm where the model says `log`; without a bound it is added in units
    of the first guess. So numbers of order 1 move each param by its own magnitude.

    Made by `Model.head(…)`.
    """

    def __init__(self, specs: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.specs = _specs(specs)
        self.dense = keras.layers.Dense(
            sum(spec.size for spec in self.specs),
            kernel_initializer=keras.initializers.VarianceScaling(SPREAD),
            dtype=self.dtype_policy,
            name="dense",
        )

    def build(self, features_shape: Any) -> None:
        """The dense layer's weights."""
        self.dense.build(features_shape)

    def call(self, features: Tensor) -> dict[str, Tensor]:
        """The params of each row."""
        numbers, found, start = self.dense(features), {}, 0
        for spec in self.specs:
            own = numbers[:, start : start + spec.size]
            start += spec.size
            guess = np.ravel(np.asarray(spec.guess, dtype=np.float64))
            value = _within_log(own, guess, spec) if spec.log else _within(own, guess, spec.lower, spec.upper)
            found[spec.name] = ops.reshape(value, (-1, *spec.shape))
        return found

    def compute_output_shape(self, features_shape: Any) -> dict[str, tuple[int | None, ...]]:
        """The shape of each param."""
        return {spec.name: (features_shape[0], *spec.shape) for spec in self.specs}

    def get_config(self) -> dict[str, Any]:
        """The params: names, guesses, bounds."""
        return {**super().get_config(), "specs": [asdict(spec) for spec in self.specs]}


@keras.saving.register_keras_serializable(package="odec")
class GroupParams(keras.layers.Layer):
    """Params that differ from group to group (an experiment, a patient, a site) and are shared inside one: embeddings.

    The input are the numbers of the groups, whole, from 0, (batch,) or (batch, 1); the output is a dictionary, name →
    (batch,) or (batch, *shape), to be given to a model's layer. The weight of a param bears its name, has a value for
    each group, (groups, *shape), and is kept inside the param's bounds. A number that is no group's gives NaN.

    Made by `Model.groups(n)`.
    """

    def __init__(self, groups: int, specs: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if int(groups) != groups or groups < 1:
            raise ValueError(f"groups is a whole number of at least 1. Received: groups={groups}")
        self.groups, self.specs = int(groups), _specs(specs)

    def build(self, groups_shape: Any) -> None:
        """A weight for each param."""
        for spec in self.specs:
            bounded = math.isfinite(spec.lower) or math.isfinite(spec.upper)
            self.add_weight(
                name=spec.name,
                shape=(self.groups, *spec.shape),
                initializer=guesses.exactly(spec.guess),
                constraint=Bounds(spec.lower, spec.upper) if bounded else None,
            )

    def call(self, groups: Tensor) -> dict[str, Tensor]:
        """The params of each row's group."""
        number = ops.cast(ops.reshape(groups, (-1,)), "int32")
        known = ops.logical_and(number >= 0, number < self.groups)
        found, weights = {}, {weight.name: weight for weight in self.weights}
        for spec in self.specs:
            value = ops.take(ops.convert_to_tensor(weights[spec.name]), ops.where(known, number, 0), axis=0)
            found[spec.name] = ops.where(ops.reshape(known, (-1, *(1 for _ in spec.shape))), value, np.nan)
        return found

    def compute_output_shape(self, groups_shape: Any) -> dict[str, tuple[int | None, ...]]:
        """The shape of each param."""
        return {spec.name: (groups_shape[0], *spec.shape) for spec in self.specs}

    def get_config(self) -> dict[str, Any]:
        """The number of groups, and the params: names, guesses, bounds."""
        return {**super().get_config(), "groups": self.groups, "specs": [asdict(spec) for spec in self.specs]}


def _specs(specs: Sequence[Any]) -> list[Spec]:
    """From a config too, where each is a dictionary and its shape a list."""
    made = [spec if isinstance(spec, Spec) else Spec(**spec) for spec in specs]
    return [Spec(spec.name, spec.guess, spec.lower, spec.upper, spec.log, tuple(spec.shape)) for spec in made]


def _within_log(z: Tensor, guess: np.ndarray, spec: Spec) -> Tensor:
    lower = math.log(spec.lower) if spec.lower > 0 else -math.inf
    return ops.exp(_within(z, np.log(guess), lower, math.log(spec.upper), unit=1.0))


def _within(z: Tensor, guess: np.ndarray, lower: float, upper: float, unit: float | None = None) -> Tensor:
    """z (batch, n) as numbers between the bounds, 0 as the guess (n,). `unit` is that of a number without bounds."""

    def constant(value: Any) -> Tensor:
        return ops.convert_to_tensor(np.asarray(value, dtype=np.float64), dtype=z.dtype)

    if math.isfinite(lower) and math.isfinite(upper):
        share = np.clip((guess - lower) / (upper - lower), INSIDE, 1 - INSIDE)
        return lower + (upper - lower) * ops.sigmoid(z + constant(np.log(share / (1 - share))))
    if math.isfinite(lower):
        return lower + constant(np.where(guess > lower, guess - lower, 1.0)) * ops.exp(z)
    if math.isfinite(upper):
        return upper - constant(np.where(guess < upper, upper - guess, 1.0)) * ops.exp(z)
    return constant(guess) + constant(unit or np.where(guess != 0, np.abs(guess), 1.0)) * z
