"""Learning rates of their own for params and nets: those of a mechanism seldom move at the pace of a network's weights.

    optimizer = odec.optimizers.by_name(keras.optimizers.Adam(1e-3), {"g": 1e-2, "r1": keras.optimizers.SGD(1e-4)})
    model.compile(optimizer, loss="mse", jit_compile=True)

It is Keras's `MultiOptimizer`: each group has an optimizer with its own state, saved and loaded with the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras

__all__ = ["ByName", "by_name"]


def by_name(optimizer: Any, rates: Mapping[str, Any]) -> ByName:
    """An optimizer that trains what `rates` names at its own rate, and all other weights by `optimizer`.

    Args:
        optimizer: a Keras optimizer.
        rates: for names of params, of nets (all their weights) or of layers, a learning rate (a number, or one of
            Keras's schedules) for an optimizer that is else like `optimizer`, or another optimizer.

    The names are looked for when the optimizer first sees the weights: ValueError where one is of nothing. It has no
    single `learning_rate`, so that callbacks which set one (ReduceLROnPlateau) do not go with it: give schedules.
    """
    return ByName(Names(optimizer, {name: _with_rate(optimizer, name, rate) for name, rate in rates.items()}))


@keras.saving.register_keras_serializable(package="odec")
class Names(keras.optimizers.OptimizerMap):
    """Optimizers by the names of params, nets and layers."""

    def __call__(self, variable: Any) -> Any:
        """That of a weight. ValueError where two names are its own."""
        own = _names_of(variable)
        found = [name for name in self if name in own]
        if len(found) > 1:
            raise ValueError(f"{variable.path} has two optimizers, by the names {found[0]!r} and {found[1]!r}")
        return self._optimizer_map[found[0]] if found else self.default_optimizer


@keras.saving.register_keras_serializable(package="odec")
class ByName(keras.optimizers.MultiOptimizer):
    """Keras's MultiOptimizer, which also says when one of its names is of no weight. Made by `by_name`."""

    def build(self, variables: Sequence[Any]) -> None:
        """An optimizer for each weight. ValueError where a name is of none."""
        known = [_names_of(variable) for variable in variables]
        for name in self._optimizer_map:
            if not any(name in own for own in known):
                paths = ", ".join(variable.path for variable in variables)
                raise ValueError(f"there is no weight of the name {name!r} to train; there are: {paths}")
        super().build(variables)


def _names_of(variable: Any) -> set[str]:
    """The layers that a weight is in, its own name, and the net that it is of."""
    parts = variable.path.split("/")
    # `net` marks the weights of a Keras model that was handed over; what their paths are depends on who built it.
    nets = re.findall(r"^(.+)_\d+_(?:kernel|bias)$", parts[-1])
    return {*parts, *nets, getattr(variable, "net", parts[-1])}


def _with_rate(optimizer: Any, name: str, rate: Any) -> Any:
    if isinstance(rate, keras.optimizers.Optimizer):
        return rate
    if isinstance(rate, int | float):
        if not rate > 0:
            raise ValueError(f"the learning rate of {name} must be positive. Received: {rate!r}")
        rate = float(rate)
    elif not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        raise ValueError(f"{name} needs a learning rate, a schedule or an optimizer. Received: {rate!r}")
    config = {**optimizer.get_config(), "learning_rate": rate}
    config.pop("name", None)
    return type(optimizer).from_config(config)
