"""The first guess of each trained number: those of an array one by one, drawn where the model names an initializer."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import keras
import numpy as np

from odec.runtime.description import Description, Param, element_names


def initializer(param: Param, seed: int | None = None) -> Any:
    """The Keras initializer of a param's weight, inside its bounds. Without a seed Keras's random state decides."""
    if isinstance(param.value, str):
        drawn = _drawing(param.value, seed)
        return lambda shape, dtype=None: keras.ops.clip(drawn(shape, dtype), param.lower, param.upper)
    return exactly(param.value)


def _drawing(name: str, seed: int | None) -> Any:
    """A Keras initializer by name, or `small_normal`, that of a net's last layer: a tenth of Glorot's normal."""
    if name == "small_normal":
        return keras.initializers.VarianceScaling(0.01, "fan_avg", "truncated_normal", seed=seed)
    drawn = keras.initializers.get(name)
    return type(drawn)(seed=seed) if seed is not None and hasattr(drawn, "seed") else drawn


def exactly(value: Any) -> Any:
    """An initializer with this number or these numbers, to the last digit (keras.initializers.Constant is float32)."""

    def initialize(shape: tuple[int, ...], dtype: Any) -> Any:
        return keras.ops.convert_to_tensor(np.broadcast_to(np.asarray(value, dtype=np.float64), shape), dtype=dtype)

    return initialize


@lru_cache(maxsize=64)
def scalar_params(description: Description, seed: int = 0) -> tuple[Param, ...]:
    """A param for each trained number, under its element's name and with the array's bounds. The same for one seed."""
    found: list[Param] = []
    for param in description.params:
        if not param.shape:
            found.append(param)
            continue
        drawn = np.ravel(np.asarray(initializer(param, seed)(param.shape, "float64")))
        names = element_names(param.name, param.shape)
        found += [replace(param, name=n, value=float(v), shape=()) for n, v in zip(names, drawn, strict=True)]
    return tuple(found)
