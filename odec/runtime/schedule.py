"""Where a run stops and how its steps are laid: intervals between asked times, each cut into equal steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from odec.diagnostics import OdecError

# A quotient dt/h this close to a whole number is one: 0.3/0.1 is 3 steps, not 4 (relative, of rounded decimals).
NEARLY_WHOLE = 1e-9
MOST_STEPS = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Schedule:
    """Intervals i = 1 … M between the sorted distinct times, interval i cut into `counts[i]` steps of length
    `steps[i]`.

    A time inside a run is `starts[i] + (k + c)·steps[i]` from the whole number k, never a running sum, so that it does
    not drift. Where the asked step does not divide an interval the step is *shortened* until it does.

    `times` (T,) are the asked ones in the asked order; `order` (T,) says for each whether it is the start (0) or the
    end of interval i (i). Steps are negative where time runs backwards. `factor` is how finely `refined` has cut the
    steps: a part of an interval is cut as the coarse step would be, then as finely.

    >>> Schedule.fixed(0, [0.3, 0.0, 0.3], 0.1).counts, Schedule.fixed(0, [0.3, 0.0, 0.3], 0.1).order
    (array([3], dtype=int32), array([1, 0, 1], dtype=int32))
    """

    start: float
    times: np.ndarray
    starts: np.ndarray
    steps: np.ndarray
    counts: np.ndarray
    order: np.ndarray
    factor: int = 1

    def __post_init__(self) -> None:
        assert self.starts.shape == self.steps.shape == self.counts.shape
        assert self.times.shape == self.order.shape
        assert self.counts.size == 0 or self.counts.min() >= 1

    @classmethod
    def fixed(cls, start: float, times: Iterable[float], step: float) -> Schedule:
        """The schedule that reaches each of `times` with steps no longer than `step` (> 0).

        E0604 for a time that is not a number, or times on both sides of the start; E0606 for a step that is not a
        positive number or needs more than 2^31 steps.
        """
        start = float(start)
        asked = np.asarray(times if isinstance(times, np.ndarray) else list(times), dtype=np.float64).reshape(-1)
        check_times(start, asked)
        _check_step(step)
        backwards = asked.size > 0 and asked.min() < start
        distinct, order = _distinct(start, asked, backwards)
        starts, lengths = distinct[:-1], np.diff(distinct)
        counts, steps = cut(lengths, float(step))
        return cls(start, asked, starts, steps, counts, order)

    @classmethod
    def grid(cls, start: float, step: float, count: int) -> Schedule:
        """`count` steps of exactly `step` (its sign is the direction), with a time after each."""
        _check_step(abs(step))
        k = np.arange(count + 1, dtype=np.float64)
        starts = float(start) + k[:-1] * step
        order = np.arange(1, count + 1, dtype=np.int32)
        counts = np.ones(count, dtype=np.int32)
        return cls(float(start), float(start) + k[1:] * step, starts, np.full(count, float(step)), counts, order)

    def refined(self, factor: int) -> Schedule:
        """The same times with every step cut into `factor`."""
        if factor == 1:
            return self
        counts = self.counts.astype(np.int64) * factor
        if counts.sum() > MOST_STEPS:
            raise OdecError.of(
                "E0606", f"the step is too small: the run needs {counts.sum()} steps", "choose a longer step"
            )
        steps, counts = self.steps / factor, counts.astype(np.int32)
        return Schedule(self.start, self.times, self.starts, steps, counts, self.order, self.factor * factor)

    @property
    def total(self) -> int:
        """How many steps the whole run takes."""
        return int(self.counts.sum(dtype=np.int64))

    @property
    def most(self) -> int:
        """The largest number of steps in one interval."""
        return int(self.counts.max(initial=1))

    @property
    def single(self) -> bool:
        """Whether each interval is one step."""
        return self.most == 1

    @property
    def follows_intervals(self) -> bool:
        """Whether the asked times are the intervals' ends in their own order (the start not among them)."""
        return len(self.order) == len(self.counts) and bool(np.all(self.order == np.arange(1, len(self.order) + 1)))

    @property
    def longest_step(self) -> float:
        """The length of the longest step to 12 digits (it is a difference of two times), 0 for a run without steps."""
        return float(f"{np.abs(self.steps).max(initial=0.0):.12g}")


def check_times(start: float, asked: np.ndarray) -> None:
    """E0604 for a time that is not a number, or times on both sides of the start."""
    if not np.isfinite(start):
        raise OdecError.of("E0604", f"the start time is {start}", "give a number")
    bad = asked[~np.isfinite(asked)]
    if bad.size:
        raise OdecError.of("E0604", f"a time that was asked for is {bad[0]}", "give numbers")
    if asked.size and asked.min() < start < asked.max():
        # The odd one out is on the side with fewer times.
        before, after = asked[asked < start], asked[asked > start]
        odd, side = (before[0], "before") if len(before) <= len(after) else (after[0], "after")
        message = f"time {odd:g} lies {side} the start {start:g}, others lie on the other side"
        raise OdecError.of("E0604", message, "a run goes one way: move the start, or make two runs")


def _check_step(step: float) -> None:
    if not (np.isfinite(step) and step > 0):
        raise OdecError.of("E0606", f"the step must be a positive number, not {step}")


def _distinct(start: float, asked: np.ndarray, backwards: bool) -> tuple[np.ndarray, np.ndarray]:
    """The start and the distinct times in the direction of the run, and the place of each asked time among them."""
    ahead = np.diff(asked, prepend=start)
    if asked.size and np.all(ahead < 0 if backwards else ahead > 0):
        return np.concatenate(([start], asked)), np.arange(1, len(asked) + 1, dtype=np.int32)
    ascending, place = np.unique(np.concatenate(([start], asked)), return_inverse=True)
    place = place[1:]
    if backwards:
        ascending, place = ascending[::-1], len(ascending) - 1 - place
    return ascending, place.astype(np.int32)


def cut(lengths: np.ndarray, step: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many steps each length takes, and how long they are: no longer than `step` (one for all, or for each)."""
    step = np.abs(step)
    quotients = np.abs(lengths) / step
    if quotients.sum() > MOST_STEPS:
        message = f"a step of {np.min(step):g} is too small: the run needs {quotients.sum():.3g} steps"
        raise OdecError.of("E0606", message, "choose a longer step")
    whole = np.round(quotients)
    divides = (np.abs(quotients - whole) <= NEARLY_WHOLE * np.maximum(whole, 1)) & (whole >= 1)
    counts = np.maximum(np.where(divides, whole, np.ceil(quotients)), 1)
    # Where the step divides it is taken as it was given, not as the rounded difference of two times.
    steps = np.where(divides, np.copysign(step, lengths), lengths / counts)
    return counts.astype(np.int32), steps
