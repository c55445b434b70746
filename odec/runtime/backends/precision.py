"""Keras's operations in float64, where the back end has it."""

from __future__ import annotations

from keras.src.backend.common import dtypes


def keep_float64() -> None:
    """Let Keras's operations give float64 for float64. Off TensorFlow they give float32 (`ops.sin`, `ops.minimum`),
    after JAX's default; TensorFlow's own table says float64, and this is that entry of it. Who never makes a float64
    array notices nothing."""
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
