"""A layer with given weights as a saved Keras model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras


def save_model(layer: Any, arguments: Mapping[str, Any], path: str | Path) -> None:
    """Saves `Sequential([Input((states,)), layer(**arguments)])` in float64 as a `.keras` file."""
    states = len(layer.description.states)
    model = keras.Sequential([keras.Input((states,), dtype="float64"), layer(**arguments, dtype="float64")])
    model.save(path)
