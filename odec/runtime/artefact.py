"""A layer with given weights as a saved Keras model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras


def save_model(layer: Any, arguments: Mapping[str, Any], path: str | Path) -> None:
    """Saves `Sequential([Input((states,)), layer(**arguments)])` in float64 as a `.keras` file; a model with inputs
    takes [states, series]."""
    description = layer.description
    states = keras.Input((len(description.state_elements),), dtype="float64")
    made = layer(**arguments, dtype="float64")
    if not description.inputs:
        keras.Sequential([states, made]).save(path)
        return
    width = sum(math.prod(u.shape) for u in description.inputs)
    series = keras.Input((len(arguments["input_times"]), width), dtype="float64")
    keras.Model([states, series], made([states, series])).save(path)
