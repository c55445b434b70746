"""The course of a run: the schedule's intervals split at jumps and at the knots of inputs, and where each jump happens.

A jump is an interval without steps: the state before it and the state behind it are both kept, and either can be asked
for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from odec.diagnostics import OdecError
from odec.runtime.description import Description
from odec.runtime.schedule import Schedule, cut

# Two times closer than this, relative to them, are one: 3·0.1 and 0.3, but not 2 and 2.0000000001.
SAME_TIME = 1e-12
# And relative to the whole run, where a time is nearly 0.
SAME_IN_RUN = 1e-15
MOST_FIRINGS = 2**22
# Of switches that come oftener than this in a run none is stopped at: steps are as short as they are anyway.
MOST_SWITCHES = 2**16


@dataclass(frozen=True, eq=False)
class Firings:
    """What is known beforehand of one run's jumps: F times, which of the model's jumps it is, and the number of the
    time: its place in an `at`, the count of periods in an `every`."""

    times: np.ndarray
    jumps: np.ndarray
    numbers: np.ndarray


@dataclass(frozen=True, eq=False)
class Course:
    """Intervals i = 1 … M as `loops.trajectory` takes them; rows with times of their own have (M, batch).

    `fired` (M, J, batch or 1) says which jumps happen at the end of an interval, `numbers` (the same shape) which of
    their times it is. `order` (T,) or (T, batch) is the place of each asked time among the start and the ends.
    """

    starts: np.ndarray
    steps: np.ndarray
    counts: np.ndarray
    order: np.ndarray
    times: np.ndarray
    fired: np.ndarray
    numbers: np.ndarray

    @property
    def by_row(self) -> bool:
        """Whether rows have times of their own."""
        return self.starts.ndim == 2

    @property
    def ends(self) -> np.ndarray:
        """Where the intervals end, of the shape of `starts`."""
        return self.starts + self.steps * (self.counts[:, None] if self.by_row else self.counts)

    @property
    def single(self) -> bool:
        """Whether each interval is one step."""
        return bool(np.all(self.counts == 1))

    @property
    def total(self) -> int:
        """How many steps the whole run takes."""
        return int(self.counts.sum(dtype=np.int64))


def firings(description: Description, times: Sequence[Sequence[float | None]], start: float, stop: float) -> Firings:
    """The known jumps between start and stop, both included, of what `jump_times` gives for one row; and the times of
    switches, of what `switch_times` gives behind it, that lie between them.

    E0606 for a period that is not positive, or far too many jumps.
    """
    found: list[tuple[np.ndarray, int, np.ndarray]] = []
    for j, numbers in enumerate(times[len(description.jumps) :], start=len(description.jumps)):
        k, moments = _switches(numbers, start, stop)
        found.append((moments, j, k))
    for j, (jump, numbers) in enumerate(zip(description.jumps, times, strict=False)):
        if jump.kind == "every":
            k = _periods(jump.text, numbers, start, stop)
            begin = start if numbers[1] is None else float(numbers[1])
            found.append((begin + k * float(numbers[0] or 0), j, k))
        elif jump.kind == "at":
            at = np.array([np.nan if t is None else float(t) for t in numbers])
            slack = _slack(start, stop)
            inside = (at >= start - slack) & (at <= stop + slack)
            found.append((at[inside], j, np.nonzero(inside)[0]))
    if not found:
        return Firings(np.zeros(0), np.zeros(0, int), np.zeros(0, int))
    moments = np.clip(np.concatenate([t for t, _, _ in found]), start, stop)
    which = np.concatenate([np.full(len(t), j) for t, j, _ in found])
    return Firings(moments, which, np.concatenate([k for _, _, k in found]).astype(int))


def _periods(text: str, numbers: Sequence[float | None], start: float, stop: float) -> np.ndarray:
    """The whole numbers k with from + k·period inside the run and not behind the jump's own end."""
    period = float(numbers[0] or 0)
    if not (np.isfinite(period) and period > 0):
        raise OdecError.of("E0606", f"`{text}` has the period {period:g}", "a period is a positive number")
    begin = start if numbers[1] is None else float(numbers[1])
    end = stop if numbers[2] is None else min(float(numbers[2]), stop)
    slack = _slack(start, stop) / period
    first, last = np.ceil((start - begin) / period - slack), np.floor((end - begin) / period + slack + SAME_TIME)
    if last - first > MOST_FIRINGS:
        message = f"`{text}` happens {last - first:.3g} times in this run"
        raise OdecError.of("E0606", message, "choose a longer period, or end the run earlier")
    return np.arange(max(first, 0.0), last + 1)


def _switches(numbers: Sequence[float | None], start: float, stop: float) -> tuple[np.ndarray, np.ndarray]:
    """The numbers and times of one switch strictly inside the run: a time, or each one a period from it."""
    time, period = numbers
    if time is None or not np.isfinite(time):
        return np.zeros(0, int), np.zeros(0)
    if period is None:
        k = np.zeros(1)
    elif not (np.isfinite(period) and period != 0) or abs((stop - start) / period) > MOST_SWITCHES:
        # No period, or one far below the steps: nothing to stop at.
        return np.zeros(0, int), np.zeros(0)
    else:
        ends = sorted(((start - time) / period, (stop - time) / period))
        k = np.arange(np.ceil(ends[0]), np.floor(ends[1]) + 1)
    moments = time + k * (period or 0.0)
    inside = (moments > start) & (moments < stop)
    return k[inside].astype(int), moments[inside]


def _slack(start: float, stop: float) -> float:
    return SAME_TIME * max(abs(start), abs(stop))


def course(
    schedule: Schedule, jumps: int, rows: Sequence[Firings], knots: np.ndarray | None = None, before: bool = False
) -> Course:
    """The schedule with its steps, split at the times of each row (one of `rows` for all, or one for each row) and at
    `knots`. `jumps` is their number in the model; `before` asks for values before the jumps at their times."""
    knots = np.zeros(0) if knots is None else np.asarray(knots, dtype=np.float64)
    if schedule.steps.size and schedule.steps[0] < 0:
        return _mirrored(course(_mirrored(schedule), jumps, rows, -knots, before))
    ends = _boundaries(schedule)
    made = [_row(schedule, ends, jumps, row, knots, before) for row in rows]
    if len(made) == 1:
        return made[0]
    return _side_by_side(made, len(ends) - 1 + len(knots) + 2 * max(len(row.times) for row in rows), ends[-1])


def _mirrored(found: Any) -> Any:
    """A schedule or course with its times and steps negated: backwards time as forwards time."""
    extra = {"start": -found.start} if isinstance(found, Schedule) else {}
    return replace(found, starts=-found.starts, steps=-found.steps, times=-found.times, **extra)


def _boundaries(schedule: Schedule) -> np.ndarray:
    """The start and the end of each interval."""
    if schedule.starts.size == 0:
        return np.array([schedule.start])
    last = schedule.starts[-1] + schedule.counts[-1] * schedule.steps[-1]
    reached = schedule.times[schedule.order == len(schedule.starts)]
    return np.append(schedule.starts, reached[0] if reached.size else last)


def stops(ends: np.ndarray, jumps: int, row: Firings, knots: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`ends` (ascending) with the knots between them and the times of a row's jumps, (K,); which jumps happen at each
    of them and the numbers of these, (K, jumps)."""
    inner = knots[(knots > ends[0]) & (knots < ends[-1])]
    merged = _merged(ends, np.concatenate([inner, row.times]))
    fired = np.zeros((len(merged), jumps), dtype=bool)
    numbers = np.zeros((len(merged), jumps), dtype=np.int32)
    place = nearest_place(merged, row.times)
    # Backwards, so that the first of two equal times of one jump is the one kept.
    fired[place, row.jumps] = True
    numbers[place[::-1], row.jumps[::-1]] = row.numbers[::-1]
    return merged, fired, numbers


def _row(schedule: Schedule, ends: np.ndarray, jumps: int, row: Firings, knots: np.ndarray, before: bool) -> Course:
    merged, fired, numbers = stops(ends, jumps, row, knots)
    starts, steps, counts = _split(schedule, ends, merged)
    has = fired.any(axis=1)
    behind = np.arange(len(merged)) + np.cumsum(has)
    moving, jumping = (behind - has)[1:] - 1, behind[has] - 1
    size = len(starts) + int(has.sum())
    result = Course(
        np.empty(size),
        np.zeros(size),
        np.zeros(size, dtype=np.int32),
        (behind - has if before else behind)[nearest_place(merged, ends)][schedule.order].astype(np.int32),
        schedule.times,
        np.zeros((size, jumps, 1), dtype=bool),
        np.zeros((size, jumps, 1), dtype=np.int32),
    )
    result.starts[moving], result.steps[moving], result.counts[moving] = starts, steps, counts
    result.starts[jumping] = merged[has]
    result.fired[jumping, :, 0], result.numbers[jumping, :, 0] = fired[has], numbers[has]
    return result


def _merged(ends: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """`ends` (ascending) with the stops that are none of them, each once."""
    slack = SAME_IN_RUN * abs(ends[-1] - ends[0])
    close = np.abs(ends[nearest_place(ends, stops)] - stops) <= SAME_TIME * np.abs(stops) + slack
    others = np.sort(stops[~close])
    if others.size:
        apart = np.diff(others, prepend=-np.inf) > SAME_TIME * np.abs(others) + slack
        return np.sort(np.concatenate([ends, others[apart]]))
    return ends


def nearest_place(sorted_times: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The place of the nearest of the ascending times."""
    right = np.clip(np.searchsorted(sorted_times, times), 0, len(sorted_times) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(sorted_times[left] - times) < np.abs(sorted_times[right] - times), left, right)


def _split(schedule: Schedule, ends: np.ndarray, merged: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, steps and counts of the parts; a part is stepped no coarser than the interval that it comes from."""
    if len(merged) == len(ends):
        return schedule.starts, schedule.steps, schedule.counts
    parent = np.clip(np.searchsorted(ends, merged[:-1], side="right") - 1, 0, len(schedule.starts) - 1)
    whole = (merged[:-1] == ends[parent]) & (merged[1:] == ends[parent + 1])
    counts, steps = cut(np.diff(merged), schedule.steps[parent] * schedule.factor)
    counts, steps = counts * schedule.factor, steps / schedule.factor
    return (
        merged[:-1],
        np.where(whole, schedule.steps[parent], steps),
        np.where(whole, schedule.counts[parent], counts).astype(np.int32),
    )


def _side_by_side(rows: list[Course], size: int, end: float) -> Course:
    """Rows of different times as one: each interval takes as many steps as the row that needs most; a row with fewer
    intervals waits at the end. `size` is the most that such rows can have, so that programs are found again."""
    counts = np.zeros((size, len(rows)), dtype=np.int32)
    starts, lengths = np.full((size, len(rows)), end), np.zeros((size, len(rows)))
    jumps = rows[0].fired.shape[1]
    fired = np.zeros((size, jumps, len(rows)), dtype=bool)
    numbers = np.zeros((size, jumps, len(rows)), dtype=np.int32)
    for b, row in enumerate(rows):
        m = len(row.starts)
        starts[:m, b], counts[:m, b], lengths[:m, b] = row.starts, row.counts, row.steps * row.counts
        fired[:m, :, b], numbers[:m, :, b] = row.fired[:, :, 0], row.numbers[:, :, 0]
    most = counts.max(axis=1)
    steps = lengths / np.maximum(most, 1)[:, None]
    order = np.stack([row.order for row in rows], axis=1)
    return Course(starts, steps, most, order, rows[0].times, fired, numbers)
