"""The bounds of a trained number, as Keras keeps them."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


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
