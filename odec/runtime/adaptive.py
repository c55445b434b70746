"""What an adaptive run is asked: times, tolerances, and the stops that its steps must not step over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from odec.diagnostics import OdecError
from odec.runtime.course import Firings, nearest_place, stops
from odec.runtime.schedule import check_times

RTOL = 1e-6
# A tolerance that rounding cannot meet, in units in the last place.
FINEST = 16
# Of a run that says no limit.
MOST_ATTEMPTS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Adaptive:
    """A run from `start` through `times` (any order, repeated or not) with steps chosen by their error.

    A step's error estimate stays below atol + rtol·|x| in each state. `atol` is one number or one for each state; None
    (or NaN for a state) takes a thousandth of rtol times the largest value that the state has had so far: a state of
    1e-9 is solved as well as one of 1, and none is followed below 1e-14 of the largest.

    `most` ends a row after so many steps (None: no limit); a run with a gradient needs one. `exact` are sensitivities
    that keep the tolerance too, not the states alone; where it is a number above 1, so many times the tolerance.

    E0604 for a wrong time, E0606 for a wrong tolerance.
    """

    start: float
    times: np.ndarray
    rtol: float = RTOL
    atol: Any = None
    most: int | None = None
    exact: float = False

    def __post_init__(self) -> None:
        times = np.asarray(self.times, dtype=np.float64).reshape(-1)
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "start", float(self.start))
        check_times(self.start, times)
        for name, value in (("rtol", self.rtol), ("atol", self.atol)):
            known = value is not None
            if known and not np.all(
                ((np.asarray(value) >= 0) & np.isfinite(value)) | (np.isnan(value) & (name == "atol"))
            ):
                raise OdecError.of("E0606", f"{name} is {value}", "a tolerance is a positive number")
        if self.rtol < FINEST * np.finfo(np.float64).eps:
            message = f"rtol {self.rtol:g} is finer than the numbers themselves"
            raise OdecError.of("E0606", message, "choose rtol between 1e-13 and 0.1")

    @property
    def end(self) -> float:
        """The asked time that is farthest from the start."""
        return float(self.times[np.argmax(np.abs(self.times - self.start))]) if self.times.size else self.start

    @property
    def limit(self) -> int:
        """The attempts after which a row ends."""
        return MOST_ATTEMPTS if self.most is None else int(self.most)

    def tolerance(self, size: int, dtype: Any) -> np.ndarray:
        """rtol, then atol for each of `size` states, NaN for the scaled one; no finer than the dtype holds."""
        rtol = max(self.rtol, FINEST * float(np.finfo(dtype).eps))
        atol = np.broadcast_to(np.nan if self.atol is None else self.atol, (size,))
        return np.append(rtol, atol).astype(dtype)

    def rows(self, name: str, count: int | None) -> np.ndarray:
        """The times of an input series that says none: the start and the asked times, or all of these but the last.

        ValueError where the number of rows fits neither.
        """
        ends = np.append(self.start, self.times)
        if count not in (len(ends) - 1, len(ends)) or np.any(np.diff(ends) <= 0):
            raise ValueError(f"{name} has to know when the rows of its input are: `input_times=[…]`")
        return ends[:count]

    @property
    def to_end_only(self) -> bool:
        """Whether nothing but the end is asked for."""
        return bool(np.all(self.times == self.end))


@dataclass(frozen=True, eq=False)
class Stops:
    """M intervals that steps do not cross, each row's own (M, batch) or one for all (M,).

    `fired` and `numbers` (M + 1, J, batch or 1) are the known jumps at the start and behind each interval. `asked` (T,)
    or (T, batch) says in which interval each asked time lies: -1 is the start before its jumps, M the end behind them.
    """

    starts: np.ndarray
    ends: np.ndarray
    fired: np.ndarray
    numbers: np.ndarray
    asked: np.ndarray

    @property
    def by_row(self) -> bool:
        """Whether rows have stops of their own."""
        return self.starts.ndim == 2


def laid(timing: Adaptive, jumps: int, rows: Sequence[Firings], knots: np.ndarray, before: bool = False) -> Stops:
    """The stops of a run at the times of each row (one of `rows` for all, or one for each row) and at `knots`; `before`
    asks for values before the jumps at their times."""
    sign = -1.0 if timing.end < timing.start else 1.0
    ends = np.unique(sign * np.array([timing.start, timing.end]))
    made = [_row(sign * timing.times, ends, jumps, row, sign * knots, before) for row in rows]
    most = max(len(row.starts) for row in made)
    if len(made) == 1:
        found = made[0]
    else:
        padded = [_padded(row, most) for row in made]
        parts = ("starts", "ends", "fired", "numbers", "asked")
        found = Stops(*(np.stack([getattr(row, part) for row in padded], axis=-1) for part in parts))
        found = Stops(found.starts, found.ends, found.fired[:, :, 0], found.numbers[:, :, 0], found.asked)
    return Stops(sign * found.starts, sign * found.ends, found.fired, found.numbers, found.asked)


def _row(times: np.ndarray, ends: np.ndarray, jumps: int, row: Firings, knots: np.ndarray, before: bool) -> Stops:
    merged, fired, numbers = stops(ends, jumps, row, knots)
    # The boundary that a time is, if it is one.
    nearest = nearest_place(merged, times)
    slack = 1e-12 * np.abs(times) + 1e-15 * (merged[-1] - merged[0])
    is_boundary = np.abs(merged[nearest] - times) <= slack
    inside = np.searchsorted(merged, times, side="right") - 1
    asked = np.where(is_boundary, nearest - before, inside)
    if len(merged) == 1:
        # A run of no length still needs an interval, without any.
        merged, still = np.repeat(merged, 2), np.zeros_like(fired)
        fired, numbers = np.concatenate([fired, still]), np.concatenate([numbers, still.astype(np.int32)])
    return Stops(merged[:-1], merged[1:], fired[:, :, None], numbers[:, :, None], asked.astype(np.int32))


def _padded(row: Stops, most: int) -> Stops:
    """The row with intervals of no length in front of its end, so that all rows have as many."""
    more = most - len(row.starts)
    if not more:
        return row
    last = row.ends[-1] if len(row.ends) else 0.0
    still = np.full(more, last)
    fired, numbers = (
        np.concatenate([part[:-1], np.zeros((more, *part.shape[1:]), dtype=part.dtype), part[-1:]])
        for part in (row.fired, row.numbers)
    )
    count = len(row.starts)
    asked = np.where(row.asked == count, most, row.asked)
    return Stops(np.append(row.starts, still), np.append(row.ends, still), fired, numbers, asked.astype(np.int32))
