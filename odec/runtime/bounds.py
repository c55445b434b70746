"""The bounds of a trained number, as Keras keeps them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from odec.runtime.description import Description

SLACK = 1e-6


@keras.saving.register_keras_serializable(package="odec")
class Bounds(keras.constraints.Constraint):
    """Puts a weight back between its bounds after each update of the optimizer."""

    def __init__(self, lower: float, upper: float) -> None:
        self.lower, self.upper = lower, upper

    def __call__(self, w: Any) -> Any:
        """The weight, inside its bounds."""
        return ops.clip(w, self.lower, self.upper)

    def get_config(self) -> dict[str, float]:
        """The bounds."""
        return {"lower": self.lower, "upper": self.upper}


def caution_bounds(description: Description, values: Mapping[str, Any]) -> None:
    """Warns of params, by name, that lie outside their bounds or are no numbers.

    Keras's optimizers put a weight back between its bounds; what assigns to it by hand, or loads it, does not.
    """
    # The weights of a net that was handed over are none of `values`, and have no bounds.
    for param in (param for param in description.params if param.name in values):
        value = np.asarray(values[param.name])
        # float32 rounds a bound.
        lower, upper = param.lower - SLACK * abs(param.lower), param.upper + SLACK * abs(param.upper)
        if np.isnan(value).any():
            wrong = "is no number (NaN): a training step was too large, or a solution grew without end"
        elif np.any(value < lower) or np.any(value > upper):
            wrong = f"lies outside its bounds [{param.lower:g}, {param.upper:g}]"
        else:
            continue
        received = f"{value:.6g}" if value.ndim == 0 else f"{value.min():.6g} to {value.max():.6g}"
        warnings.warn(f"{param.name} of {description.name} {wrong}. Received: {received}", stacklevel=3)
