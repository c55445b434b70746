"""A model with other sizes than its text's: the same equations, on arrays of other lengths."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from odec.diagnostics import nearest


@lru_cache(maxsize=64)
def sized(model: Any, sizes: tuple[tuple[str, int], ...]) -> Any:
    """A class like `model` whose sizes, shapes and consts follow from `sizes`. ValueError for what is no size."""
    given = {name: _whole(model, name, value) for name, value in sizes}

    def constants(consts: dict[str, Any]) -> dict[str, Any]:
        return model.constants({**given, **consts})

    found = constants({})
    shapes = model.shapes(found)
    description = model.description.resized(shapes, given)
    description = description.resized(shapes | _output_shapes(model, description, found), given)
    return type(model.__name__, (model,), {"description": description, "constants": staticmethod(constants)})


def _whole(model: Any, name: str, value: Any) -> int:
    known = {size.name: size.value for size in model.description.sizes}
    if name not in known:
        cure = nearest(name, known) or f"there are: {', '.join(known) or 'none'}"
        raise ValueError(f"{model.__name__} has no size named {name!r}; {cure}. Received: {name!r}")
    if value != int(value) or value < 1:
        raise ValueError(f"the size {name} is a whole number of at least 1. Received: {value!r}")
    return int(value)


def _output_shapes(model: Any, description: Any, found: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """What the outputs' shapes are is seen from their values, at any point."""
    states, params, inputs = (
        tuple(np.ones((*item.shape, 1)) for item in items)
        for items in (description.states, description.params, description.inputs)
    )
    consts = tuple(found[item.name] for item in (*description.consts, *description.sizes))
    arguments = (states, params, consts, inputs) if description.inputs else (states, params, consts)
    values = model.outputs(np.zeros(1), *arguments)
    pairs = zip(description.outputs, values, strict=True)
    return {output.name: tuple(np.shape(value)[:-1]) if output.shape else () for output, value in pairs}
