"""One step inside an interval: when it is and how long. What every loop hands to what it steps, on every back end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

Tensor = Any

# Two times closer than this, relative to them, are one (64 units in the last place).
SAME_TIME = 64 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Moment:
    """One step inside an interval: when it is, how long, and what belongs to the interval.

    `start` (float64, but in exports) is where the interval begins, `number` of `count` says which of its steps this is.
    `start` and `length` are scalars, or (batch,) where each row has its own times. `series` are the interval's parts of
    the series that `trajectory` was given. Where the steps of an interval differ, `placed` says how far along it this
    one begins and which share of it it is. `between` are times that those of the step lie strictly between, where the
    equations may switch.
    """

    start: Tensor
    length: Tensor
    number: Tensor
    count: Tensor
    dtype: Any
    series: tuple[Tensor, ...] = ()
    placed: tuple[Tensor, Tensor] | None = None
    between: tuple[Tensor, Tensor] | None = None

    @property
    def h(self) -> Tensor:
        """The step's (signed) length, in the dtype of the states."""
        return ops.cast(self.length, self.dtype)

    def time(self, c: Any) -> Tensor:
        """The time at fraction `c` of the step: from whole numbers, so that it does not drift."""
        time = self.start + self._steps(c) * self.length
        if self.between is not None:
            low, high = self.between
            time = ops.clip(time, low + self._apart(low), high - self._apart(high))
        return ops.cast(time, self.dtype)

    def sides(self) -> tuple[Tensor, Tensor]:
        """The times just before and just behind the start."""
        apart = self._apart(self.start)
        return ops.cast(self.start - apart, self.dtype), ops.cast(self.start + apart, self.dtype)

    def _apart(self, time: Tensor) -> Tensor:
        """What tells a time from the next, rounding of what is computed from it allowed."""
        return SAME_TIME * ops.maximum(ops.abs(time), ops.abs(self.length) * SAME_TIME)

    def along(self, c: Any) -> Tensor:
        """How far along the interval (0 … 1) the fraction `c` of the step is."""
        if self.placed is not None:
            begin, share = self.placed
            return ops.cast(begin + self._precise(c) * share, self.dtype)
        # An interval without steps is a moment: all its fractions are the same time.
        return ops.cast(self._steps(c) / ops.cast(ops.maximum(self.count, 1), self.start.dtype), self.dtype)

    def _steps(self, c: Any) -> Tensor:
        return ops.cast(self.number, self.start.dtype) + self._precise(c)

    def _precise(self, c: Any) -> Any:
        """A fraction of a step in the precision of times."""
        return c if isinstance(c, int | float) else ops.cast(c, self.start.dtype)


# step(moment, x, theta) -> x behind the step.
Step = Callable[[Moment, Tensor, Sequence[Tensor]], Tensor]
# finish(i, moment, x, theta) -> x behind what happens at the end of interval i.
Finish = Callable[[Tensor, Moment, Tensor, Sequence[Tensor]], Tensor]
