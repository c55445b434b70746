"""Named numbers and arrays as rows of one packed array (size, batch): each element of an array is one row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from keras import ops

from odec.runtime.description import element_names
from odec.runtime.working import is_known

Tensor = Any
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """Names with their shapes, in order."""

    names: tuple[str, ...]
    shapes: tuple[Shape, ...]

    @classmethod
    def of(cls, items: Iterable[Any]) -> Layout:
        """Of states, params, inputs or outputs of a description."""
        items = tuple(items)
        return cls(tuple(item.name for item in items), tuple(item.shape for item in items))

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """The name of each row."""
        pairs = zip(self.names, self.shapes, strict=True)
        return tuple(element for name, shape in pairs for element in element_names(name, shape))

    @cached_property
    def places(self) -> dict[str, int]:
        """The row of each element."""
        return {name: place for place, name in enumerate(self.elements)}

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """The number of rows of each name."""
        return tuple(map(math.prod, self.shapes))

    @cached_property
    def is_scalar(self) -> bool:
        """Whether there is no array."""
        return not any(self.shapes)

    def expanded(self, names: Sequence[str]) -> tuple[str, ...]:
        """The elements that names stand for: an array's own name means all of it."""
        whole = dict(zip(self.names, self.shapes, strict=True))
        return tuple(e for name in names for e in element_names(name, whole.get(name, ())))

    def unpacked(self, rows: Tensor) -> tuple[Tensor, ...]:
        """An array (*shape, batch) for each name from rows (size, batch)."""
        if self.is_scalar:
            return tuple(ops.unstack(rows, len(self.names), axis=0)) if self.names else ()
        values, start = [], 0
        for shape, size in zip(self.shapes, self.sizes, strict=True):
            part = rows[start : start + size]
            values.append(ops.reshape(part, (*shape, -1)) if shape else part[0])
            start += size
        return tuple(values)

    def packed(self, values: Sequence[Any], like: Tensor) -> Tensor:
        """Rows (size, batch) from a value for each name, spread over its shape; `like` (batch,) has shape and dtype."""
        ones = ops.ones_like(like)
        if self.is_scalar:
            return ops.stack([spread(value, ones) for value in values], axis=0)
        batch = ops.shape(like)[0]
        parts = []
        for value, shape, size in zip(values, self.shapes, self.sizes, strict=True):
            if not shape:
                parts.append(spread(value, ones)[None])
                continue
            # Not by way of Keras's own dtype, float32, in which 0.3 is another number.
            known = is_known(value)
            array = ops.convert_to_tensor(value, dtype=like.dtype) if known else ops.cast(value, like.dtype)
            # A number stands for every element; the batch of a shared array is 1.
            parts.append(ops.reshape(ops.broadcast_to(array, (*shape, batch)), (size, batch)))
        return ops.concatenate(parts, axis=0)


def spread(value: Any, ones: Tensor) -> Tensor:
    """A number, a 0-d tensor or (batch,) as (batch,), by a product with `ones` (batch,): a compiler takes it away, and
    it is quicker to trace than what asks for a shape."""
    if not is_known(value):
        value = ops.cast(value, ones.dtype)
    elif getattr(value, "ndim", 0) == 0:
        value = float(value)
    else:
        value = ops.convert_to_tensor(value, dtype=ones.dtype)
    # An operator: `ops.multiply` rounds a Python number to float32 on torch.
    return value * ones
