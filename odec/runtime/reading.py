"""Values at asked times, read from the steps of an adaptive run: many attempts and all times in one go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras import ops

from odec.runtime.rowwise import END, FRESH, INTERVAL, LENGTH, START, at, between_axes, taken
from odec.runtime.stepping import along

Tensor = Any


@dataclass(frozen=True, eq=False)
class Reading:
    """The asked `times` (T,), and the interval in which each lies, `asked` (T,) or (T, batch): -1 is the start, the
    number of intervals the end. The intervals have `starts` and `ends`, (M,) or (M, batch)."""

    starts: Tensor
    ends: Tensor
    asked: Tensor
    times: Tensor

    def values(self, plans: Tensor, records: Sequence[Tensor], count: Tensor, moves: bool) -> tuple[Tensor, Tensor]:
        """The values (T, D, …, batch) at the asked times, and whether each lies in one of the attempts (T, batch).

        Of attempts (K, 7, batch) the first `count` are meant. The records are the polynomials' parts (K, D, …, batch);
        where time `moves` with what is differentiated, in front of them the start and length of each, (K, batch).
        """
        place, theta, found = self.places(plans, count)
        if moves:
            start, length, *records = records
            start, length = (ops.take_along_axis(part, place, axis=0) for part in (start, length))
            theta = _part(found, self._times - start, length)
        parts = [taken(part, place) for part in records]
        return along(parts, ops.cast(between_axes(theta, parts[0]), parts[0].dtype)), found

    def places(self, plans: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For each asked time (T, batch): the attempt that it lies in, how far along, and whether there is one.

        A time at the end of a step belongs to it; one at the start of an interval to the interval's first attempt.
        """
        most = plans.shape[0]
        sign, times, asked = self._sign, self._times, self._asked
        interval, end = plans[:, INTERVAL], plans[:, END]
        earlier = ops.logical_or(
            interval[None] < asked[:, None],
            ops.logical_and(ops.equal(interval[None], asked[:, None]), sign * (end[None] - times[:, None]) < 0),
        )
        real = ops.arange(most, dtype="int32") < count
        place = ops.sum(ops.cast(ops.logical_and(earlier, real[None, :, None]), "int32"), axis=1)
        inside = place < count
        place = ops.minimum(place, most - 1)
        own = [ops.take_along_axis(plans[:, part], place, axis=0) for part in (INTERVAL, START, LENGTH, FRESH)]
        behind = sign * (times - own[1])
        begins = ops.logical_or(behind > 0, ops.logical_and(own[3] > 0, behind >= 0))
        found = ops.logical_and(inside, ops.logical_and(ops.equal(own[0], asked), begins))
        return place, _part(found, times - own[1], own[2]), found

    def completed(self, read: Tensor, start: Tensor, end: Tensor) -> Tensor:
        """What was read, with the states at the start and at the end of the run, which belong to no step."""
        count = ops.cast(ops.shape(self.ends)[0], "float64")
        read = ops.where(between_axes(ops.equal(self._asked, count), read), end[None], read)
        return ops.where(between_axes(self._asked < 0, read), start[None], read)

    @property
    def _sign(self) -> Tensor:
        sign = ops.sign(self.ends[-1] - self.starts[0])
        return ops.where(ops.equal(sign, 0), 1.0, sign)

    @property
    def _asked(self) -> Tensor:
        """(T, 1 or batch)."""
        asked = ops.cast(self.asked, "float64")
        return asked[:, None] if len(asked.shape) == 1 else asked

    @property
    def _times(self) -> Tensor:
        """The asked times (T, 1 or batch), each moved into its interval, from which it may be apart by rounding."""
        place = ops.maximum(self.asked, 0)
        if len(place.shape) == 1:
            bounds = [at(part, place) for part in (self.starts, self.ends)]
            low, high = (bound[:, None] for bound in bounds)
        else:
            place = ops.minimum(place, ops.shape(self.ends)[0] - 1)
            low, high = (ops.take_along_axis(part, place, axis=0) for part in (self.starts, self.ends))
        return ops.clip(self.times[:, None], ops.minimum(low, high), ops.maximum(low, high))


def _part(found: Tensor, way: Tensor, length: Tensor) -> Tensor:
    """way / length. A place that is not meant must still be finite: its derivative is multiplied by 0."""
    return ops.where(found, way, 0.0) / ops.where(found, length, 1.0)
