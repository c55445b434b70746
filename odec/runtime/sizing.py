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

    try:
        found = constants({})
        shapes = model.shapes(found)
        description = model.description.resized(shapes, given)
        # At a point that nobody chose a formula need not have a value.
        with np.errstate(all="ignore"):
            _check_arrays(model, description, found)
            description = description.resized(shapes | _output_shapes(model, description, found), given)
    except (ValueError, IndexError) as error:
        asked = ", ".join(f"{name} = {value}" for name, value in given.items())
        message = f"{model.__name__} does not work with {asked}: an array or an index of its text no longer fits"
        raise ValueError(f"{message} ({error})") from None
    return type(model.__name__, (model,), {"description": description, "constants": staticmethod(constants)})


def _whole(model: Any, name: str, value: Any) -> int:
    known = {size.name: size.value for size in model.description.sizes}
    if name not in known:
        cure = nearest(name, known) or f"there are: {', '.join(known) or 'none'}"
        raise ValueError(f"{model.__name__} has no size named {name!r}; {cure}. Received: {name!r}")
    if not isinstance(value, int | float | np.number) or value != int(value) or value < 1:
        raise ValueError(f"the size {name} is a whole number of at least 1. Received: {value!r}")
    return int(value)


def _check_arrays(model: Any, description: Any, found: dict[str, Any]) -> None:
    """ValueError where an array that is written out, number by number, is not of the shape that the sizes ask for."""
    for item in description.consts:
        np.broadcast_to(np.asarray(found[item.name]), (*item.shape, 1) if item.shape else ())
    for item in description.params:
        if not isinstance(item.value, str):
            np.broadcast_to(np.asarray(item.value), item.shape)
    states, params, consts, inputs = _ones(description, found)
    arguments = (states, params, consts, inputs) if description.inputs else (states, params, consts)
    for values in (model.initial(params, consts), model.rhs(np.zeros(1), *arguments)):
        for item, value in zip(description.states, values, strict=True):
            if value is not None:
                np.broadcast_to(np.asarray(value), (*item.shape, 1))


def _ones(description: Any, found: dict[str, Any]) -> tuple[tuple[Any, ...], ...]:
    """States, params, consts and inputs at a point where all that is not known is 1."""
    states, params, inputs = (
        tuple(np.broadcast_to(1.0, (*item.shape, 1)) for item in items)
        for items in (description.states, description.params, description.inputs)
    )
    return states, params, tuple(found[item.name] for item in (*description.consts, *description.sizes)), inputs


def _output_shapes(model: Any, description: Any, found: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """What the outputs' shapes are is seen from their values, at any point."""
    states, params, consts, inputs = _ones(description, found)
    arguments = (states, params, consts, inputs) if description.inputs else (states, params, consts)
    values = model.outputs(np.zeros(1), *arguments)
    pairs = zip(description.outputs, values, strict=True)
    return {output.name: tuple(np.shape(value)[:-1]) if output.shape else () for output, value in pairs}
