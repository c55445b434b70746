"""What a layer was called with, put in order: initial values, an input series, and what comes for each row by name."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras import ops

from odec.diagnostics import nearest
from odec.runtime.contract import Model
from odec.runtime.description import Description
from odec.runtime.layout import Layout
from odec.runtime.stops import timed_by

Tensor = Any
Shape = Sequence[int | None]


@dataclass(frozen=True)
class Given:
    """`states` (batch, D) or (batch, 0), `series` (batch, rows, inputs), None where there is none; `rows` are params
    and states by name, a value for each row of the batch. Tensors, or the shapes of such."""

    states: Any
    series: Any
    rows: dict[str, Any]

    def names(self, items: Iterable[Any]) -> tuple[str, ...]:
        """Which of the description's states or params come by name, in its order."""
        return tuple(item.name for item in items if item.name in self.rows)

    @property
    def first(self) -> Any:
        """One of them whose first axis is the batch."""
        parts = (*self.rows.values(), self.telling, self.series, self.states)
        return next(part for part in parts if part is not None)

    @property
    def telling(self) -> Any:
        """The initial values where they tell how many rows there are: (1, 0) does not."""
        own = self.states is not None and tuple(getattr(self.states, "shape", self.states)) == (1, 0)
        return None if own else self.states

    def initial(self, description: Description, dtype: str) -> tuple[Tensor, tuple[str, ...]]:
        """The initial values (batch, given), and the state elements that they are of."""
        if self.states is not None and self.states.shape[-1]:
            return ops.cast(self.states, dtype), description.state_elements
        names = self.names(description.states)
        if names:
            return ops.transpose(self.packed(description.states, dtype)), description.expanded(names)
        return ops.zeros((ops.shape(self.first)[0], 0), dtype), ()

    def packed(self, items: Iterable[Any], dtype: str) -> Tensor:
        """Those of them that come by name as an array (elements, batch)."""
        parts = [
            ops.transpose(ops.reshape(ops.cast(self.rows[item.name], dtype), (-1, math.prod(item.shape))))
            for item in items
            if item.name in self.rows
        ]
        return ops.concatenate(parts) if parts else ops.zeros((0, 1), dtype)


def ordered(description: Description, inputs: Any, series: Any, params: Any, *, shapes: bool = False) -> Given:
    """The arguments of a call, or, with `shapes`, their shapes.

    ValueError for names that are none, and for values of a shape that does not fit.
    """
    rows = dict(params or {})
    check_names(description, rows, "param", [param.name for param in description.params])
    if description.inputs and not isinstance(inputs, Mapping):
        inputs, series = _parted(inputs, series, shapes)
    if isinstance(inputs, Mapping):
        known = [item.name for item in _items(description)]
        check_names(description, inputs, "param or state", known)
        rows, inputs = {**rows, **inputs}, None
    found = Given(inputs, series, rows)
    shape_of = (lambda value: value) if shapes else (lambda value: getattr(value, "shape", None))
    _check_shapes(description, Given(shape_of(inputs), shape_of(series), {n: shape_of(v) for n, v in rows.items()}))
    return found


def check_supplied(model: type[Model], names: Collection[str]) -> None:
    """ValueError where a param that jump times follow from comes for each row: a layer's rows share their times."""
    timed = [name for name in timed_by(model) if name in names] if names else []
    if timed:
        raise ValueError(
            f"the times of jumps in {model.__name__} follow from {timed[0]}, and the rows of a layer share them: give "
            f"it as a number, params={{{timed[0]!r}: …}}. Received: {timed[0]} for each row"
        )


def _parted(inputs: Any, series: Any, shapes: bool) -> tuple[Any, Any]:
    """States and series from `(x0, u)`, `[x0, u]` or `(u)`."""
    is_pair = isinstance(inputs, (list, tuple)) and len(inputs) == 2
    if series is None and is_pair and not (shapes and isinstance(inputs[0], (int, type(None)))):
        return inputs[0], inputs[1]
    if series is None and inputs is not None and len(inputs if shapes else inputs.shape) == 3:
        return None, inputs
    return inputs, series


def check_names(description: Description, names: Iterable[str], kind: str, known: Sequence[str]) -> None:
    """ValueError, with what was perhaps meant, for a name that is not known."""
    for name in names:
        if name not in known:
            cure = nearest(name, known) or f"there are: {', '.join(dict.fromkeys(known)) or 'none'}"
            raise ValueError(f"{description.name} has no {kind} named {name!r}; {cure}. Received: {name!r}")


def _check_shapes(description: Description, given: Given) -> None:
    name, states = description.name, description.state_elements
    if given.states is not None and (len(given.states) != 2 or given.states[-1] not in (0, len(states))):
        raise ValueError(
            f"{name} takes initial values of shape (batch, {len(states)}), one for each state "
            f"({', '.join(states)}), or (batch, 0) for the model's own. Received: shape {tuple(given.states)}"
        )
    elements = Layout.of(description.inputs).elements
    if elements and (given.series is None or len(given.series) != 3 or given.series[-1] != len(elements)):
        received = "none" if given.series is None else f"shape {tuple(given.series)}"
        raise ValueError(
            f"{name} takes an input series of shape (batch, rows, {len(elements)}) as its second "
            f"argument ({', '.join(elements)}). Received: {received}"
        )
    for item in _items(description):
        if item.name in given.rows:
            _check_row(name, item, given.rows[item.name])
    if given.states is given.series is None and not given.rows:
        raise ValueError(f"{name} was called without anything: (batch, 0) starts at the model's own values")
    _check_batches(name, given)


def _check_batches(model: str, given: Given) -> None:
    """As many rows of each, where that is known; one series for all rows says nothing of it."""
    series = None if given.series is not None and given.series[0] == 1 else given.series
    parts = {**given.rows, "the input series": series, "the initial values": given.telling}
    lengths = {name: shape[0] for name, shape in parts.items() if shape is not None and shape[0] is not None}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{length} of {name}" for name, length in lengths.items())
        raise ValueError(f"the rows of a batch of {model} do not agree in number. Received: {listed}")


def _items(description: Description) -> tuple[Any, ...]:
    """What may come for each row."""
    return (*description.params, *description.states)


def _check_row(model: str, item: Any, shape: Shape | None) -> None:
    """A value for each row: (batch,) or (batch, 1) of a number, (batch, *shape) or (batch, elements) of an array."""
    shape = () if shape is None else tuple(shape)
    wanted = dict.fromkeys([tuple(item.shape), (math.prod(item.shape),)])
    if not shape or shape[1:] not in wanted:
        said = " or ".join(f"({', '.join(map(str, ('batch', *one)))}{'' if one else ','})" for one in wanted)
        received = f"shape {shape}" if shape else "a number"
        raise ValueError(f"{item.name} of {model} comes for each row, as {said}. Received: {received}")
