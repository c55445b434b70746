"""A layer with given weights as a Keras model of its own, for a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from odec.runtime.equations import Equations, Slots


def save_model(layer: Any, arguments: Mapping[str, Any], path: str | Path) -> None:
    """Saves `keras_model(layer, arguments)` in float64 as a `.keras` file."""
    keras_model(layer, arguments).save(path)


def keras_model(layer: Any, arguments: Mapping[str, Any], dtype: str = "float64") -> Any:
    """`Sequential([Input((states,)), layer(**arguments)])`; a model with inputs takes [states, series].

    The series has a row for each of `input_times`, else for each row that comes out.
    """
    made = layer(**arguments, dtype=dtype)
    description = made.description
    states = keras.Input((len(description.state_elements),), dtype=dtype)
    if not description.inputs:
        return keras.Sequential([states, made])
    knots = arguments.get("input_times")
    rows = len(knots) if knots is not None else None if made.timing is None else len(made.timing.times)
    series = keras.Input((rows, sum(math.prod(u.shape) for u in description.inputs)), dtype=dtype)
    return keras.Model([states, series], made([states, series]))


def start_of(layer: Any) -> np.ndarray:
    """The initial values (states,) of a built layer with its present weights, 1 for a state that has none."""
    description, names = layer.description, tuple(param.name for param in layer.description.params)
    equations = Equations(layer._model, Slots(shared=names, numbers=layer._numbers))
    theta = (layer.shared_values(names), ops.zeros((0, 1), layer.compute_dtype))
    like = ops.ones((1,), layer.compute_dtype)
    missing = [state.name for state in description.states if not state.has_start]
    rows = equations.initial(theta, dict.fromkeys(equations.layout.expanded(missing), like), like)
    return np.asarray(ops.convert_to_numpy(rows))[:, 0]
