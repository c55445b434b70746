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
    found = {_pattern(name): _with_rate(optimizer, name, rate) for name, rate in rates.items()}
    return ByName(keras.optimizers.OptimizerMap(optimizer, found))


@keras.saving.register_keras_serializable(package="odec")
class ByName(keras.optimizers.MultiOptimizer):
    """Keras's MultiOptimizer, which also says when one of its names is of no weight. Made by `by_name`."""

    def build(self, variables: Sequence[Any]) -> None:
        """An optimizer for each weight. ValueError where a name is of none."""
        paths = [variable.path for variable in variables]
        for pattern in self._optimizer_map:
            if not any(re.fullmatch(pattern, path) for path in paths):
                name = _name(pattern)
                raise ValueError(f"there is no weight of the name {name!r} to train; there are: {', '.join(paths)}")
        super().build(variables)


# What stands around a name in the path of a weight: the layers that it is in, and what is below it or of a net.
_BEFORE, _BEHIND = r"(?:.*/)?", r"(?:/.*|_\d+_(?:kernel|bias))?"


def _pattern(name: str) -> str:
    return _BEFORE + re.escape(name) + _BEHIND


def _name(pattern: str) -> str:
    return re.sub(r"\\(.)", r"\1", pattern.removeprefix(_BEFORE).removesuffix(_BEHIND))


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
