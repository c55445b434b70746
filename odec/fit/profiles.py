"""Profile likelihoods: how far each parameter can go while all the others make up for it as well as they can.

The interval ends where the loss has risen by half of chi-squared's 95 % point with one degree of freedom (Venzon and
Moolgavkar, Appl. Statist. 37 (1988) 87), or, where noise is estimated with the parameters, by what `reach.py` says.
Unlike a standard error it follows the curvature, and tells where nothing ends it: a flat side is a parameter that the
data do not determine.

Each parameter is followed outwards to both sides. All sides of all parameters are the rows of one search, one point
each at a time, each starting where its last one ended, carried on along the path.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count as count_from
from typing import TYPE_CHECKING

import numpy as np

from odec.fit.checkpoint import Journal, followed
from odec.fit.least_squares import Box, Evaluate, Points, Settings
from odec.fit.problem import Problem
from odec.fit.uncertainty import Uncertainty

if TYPE_CHECKING:
    from odec.fit.result import Fit

# Height is the root of the loss's rise against its rise at the interval's end: straight where the loss is a parabola.
# A step aims at this gain of height, and may grow or shrink by so much from the one before.
GAIN, GROWTH, SHRINK = 0.28, 3.0, 0.3
# An end is found when its height is so near to 1; a straight line does the rest.
NEAR = 0.005
MOST_CUTS, MOST_FAILURES = 6, 4
# Nothing is followed further: decades on a log scale, else units. A first step where nothing is known: that of a unit.
DECADES, UNITS, FIRST = 8.0, 1e3, 0.1
# A point of a profile needs no more digits than a picture of it: its search ends where a step would gain this share of
# the threshold, which is some units of one datum's part in the loss.
ENOUGH, MOST_ITERATIONS = 1e-3, 30
# A point this share of the threshold below the optimum is a better optimum.
BELOW = 1e-2

# Residuals of this share of the data are rounding.
ROUNDING = 1e-12

AT_BOUND = "its bound"
TOO_FAR = "no end in sight"
NO_VALUE = "the model has no value beyond"
UNFINISHED = "interrupted"
NO_NOISE = "the data tell nothing of their noise"


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where profiles start: search coordinates `z` (Q,), the loss, its `gradient` (Q,), and how it rises: by
    `curvature` (Q,) times the square of a coordinate's change, while the others follow `tangents` (Q, Q; a row for each
    coordinate). The lower and the upper end of an interval are where the loss has risen by `thresholds` (Q, 2)."""

    z: np.ndarray
    loss: float
    gradient: np.ndarray
    curvature: np.ndarray
    tangents: np.ndarray
    thresholds: np.ndarray

    @classmethod
    def of(cls, problem: Problem, z: np.ndarray, loss: float, gradient: np.ndarray, doubt: Uncertainty) -> Optimum:
        """From the end `z` (Q,) of a search, the loss and its gradient (Q,) by `z`, and the uncertainty there."""
        slope = problem.scale.slope(problem.scale.to_values(z))
        covariance = doubt.covariance / np.outer(slope, slope)
        own = np.diag(covariance)
        known = np.isfinite(doubt.standard_errors) & (own > 0)
        tangents = np.where(known[:, None], covariance / np.where(known, own, 1.0)[:, None], np.eye(len(z)))
        curvature = np.where(known, doubt.variance / np.where(known, own, 1.0), 0.0)
        return cls(z, loss, gradient, curvature, tangents, thresholds(problem, doubt))


def thresholds(problem: Problem, doubt: Uncertainty) -> np.ndarray:
    """The rise (Q, 2) of the loss at the ends of 95 % intervals; NaN for a sum of squares that tells nothing of the
    noise: no degree of freedom is left, or it is rounding, or the solver's error."""
    rises = doubt.reach.rises()
    rounding = (max(ROUNDING, problem.timing.rtol or 0.0) * problem.size) ** 2
    if not problem.is_likelihood and not doubt.variance > rounding:
        rises[:] = math.nan
    return rises


@dataclass(frozen=True, eq=False)
class Profile:
    """One parameter's profile, on the linear scale: at `values` (K,), ascending, the loss lies `rises` (K,) above the
    optimum, all parameters being `paths` (K, Q).

    `interval` holds the 95 % interval's ends, where the loss has risen by `thresholds` (lower, upper). An end that is
    not one has the last value that was looked at, and its reason in `open` (lower, upper), else "".
    """

    name: str
    values: np.ndarray
    rises: np.ndarray
    paths: np.ndarray
    thresholds: tuple[float, float]
    interval: tuple[float, float]
    open: tuple[str, str]

    @property
    def is_open(self) -> bool:
        """Whether the data leave a side without an end."""
        return any(self.open)


@dataclass(frozen=True, eq=False)
class Profiles:
    """The profiles of an optimum by parameter. `best_loss` is the least that any point had, `best` (Q,) its
    parameters: below the optimum where that was none."""

    by_name: dict[str, Profile]
    best_loss: float
    best: np.ndarray
    found_better: bool


def profiles(fit: Fit, journal: Journal | None = None) -> Profiles:
    """The profiles of a fit, each round of points a stage of the journal; as far as they are when that is stopped."""
    problem = fit.problem
    z = problem.scale.to_search(fit.values)
    gradient = np.array([parameter.gradient for parameter in fit.parameters.values()])
    by_z = gradient * problem.scale.slope(fit.values)
    (found,) = profiles_of(problem, [Optimum.of(problem, z, fit.loss, by_z, fit.uncertainty)], journal=journal)
    return found


def profiles_of(
    problem: Problem,
    optima: Sequence[Optimum],
    measured: np.ndarray | None = None,
    journal: Journal | None = None,
) -> list[Profiles]:
    """The profiles at each of n optima. `measured` (n, M) are the data of each, where they are not the problem's."""
    box, count = problem.scale.box, len(problem.scale.names)
    walkers = [
        _Walker(owner, optimum, coordinate, side, box, bool(problem.scale.log[coordinate]))
        for owner, optimum in enumerate(optima)
        for coordinate in range(count)
        for side in (-1, 1)
    ]
    evaluate = problem.batched(len(walkers), measured)
    reduction = ENOUGH / len(problem.runs.cells)
    settings = Settings(1e-4, reduction, step=1e-8, floor=-math.inf, iterations=MOST_ITERATIONS)
    journal, rounds = journal or Journal(), count_from(1)
    while (active := [walker for walker in walkers if not walker.ended]) and not journal.stopped():
        held, starts, values = _next_points(active, evaluate)
        search = followed(journal, f"profiles {next(rounds)}", held, starts, box, settings)
        if journal.stopped():
            break
        for i, (walker, x) in enumerate(zip(active, values, strict=True)):
            walker.take(x, float(search.loss[i]), search.z[i])
    return [_assembled(problem, optimum, walkers[2 * count * i :]) for i, optimum in enumerate(optima)]


def _next_points(walkers: list[_Walker], evaluate: Evaluate) -> tuple[Evaluate, np.ndarray, list[float]]:
    """One more point of every profile: the loss with one coordinate held at its value, where to start, the values."""
    asked = [walker.proposed() for walker in walkers]
    coordinates, owners = (np.array([getattr(walker, name) for walker in walkers]) for name in ("coordinate", "owner"))
    values = [x for x, _ in asked]
    held = _held(evaluate, coordinates, np.array(values), owners)
    return held, np.stack([start for _, start in asked]), values


def _held(evaluate: Evaluate, coordinates: np.ndarray, values: np.ndarray, owners: np.ndarray) -> Evaluate:
    """The same loss for rows that each hold one of their coordinates at a value: it does not move there."""

    def restricted(z: np.ndarray, rows: np.ndarray) -> Points:
        each = np.arange(len(rows))
        z = z.copy()
        z[each, coordinates[rows]] = values[rows]
        points = evaluate(z, owners[rows])
        points.jacobian[each, :, coordinates[rows]] = 0.0
        return points

    return restricted


@dataclass(frozen=True, eq=False)
class _Point:
    x: float
    height: float
    loss: float
    z: np.ndarray


@dataclass
class _Walker:
    """One side (-1, 1) of the profile of one coordinate of an optimum: `points` outwards, then, once one lies above
    the threshold (`outer`), inwards between it and the last below."""

    owner: int
    optimum: Optimum
    coordinate: int
    side: int
    box: Box
    log: bool
    points: list[_Point] = field(default_factory=list)
    outer: _Point | None = None
    step: float = 0.0
    cuts: int = 0
    failures: int = 0
    ended: bool = False
    open: str = UNFINISHED

    def __post_init__(self) -> None:
        optimum = self.optimum
        self.threshold = float(optimum.thresholds[self.coordinate, int(self.side > 0)])
        self.points.append(_Point(float(optimum.z[self.coordinate]), 0.0, optimum.loss, optimum.z))
        bounds = self.box.upper if self.side > 0 else self.box.lower
        self.bound = float(bounds[self.coordinate])
        here = np.abs(optimum.z[self.coordinate])
        self.unit = 1.0 if self.log else max(float(here), float(self.box.typical[self.coordinate])) or 1.0
        self.step = self._first_step()
        if math.isnan(self.threshold):
            self._end(NO_NOISE)
        elif self.threshold == 0:
            self._end("")
        elif self.points[0].x == self.bound:
            self._end(AT_BOUND)

    def _first_step(self) -> float:
        """As the parabola says, or the slope where the optimum lies at a bound."""
        optimum = self.optimum
        curvature, slope = optimum.curvature[self.coordinate], optimum.gradient[self.coordinate] * self.side
        steps = [FIRST * self.unit]
        if curvature > 0:
            steps = [GAIN * math.sqrt(self.threshold / curvature), DECADES if self.log else UNITS * self.unit]
        elif slope > 0:
            steps.append(GAIN**2 * self.threshold / slope)
        return float(min(steps))

    @property
    def inner(self) -> _Point:
        """The outermost point below the threshold."""
        return self.points[-1]

    def proposed(self) -> tuple[float, np.ndarray]:
        """The coordinate's next value, and a guess (Q,) of where all are then."""
        inner, outer = self.inner, self.outer
        if outer is not None:
            share = min(max((1 - inner.height) / (outer.height - inner.height), 0.05), 0.95)
            return inner.x + share * (outer.x - inner.x), inner.z + share * (outer.z - inner.z)
        x = inner.x + self.side * self.step
        x = min(x, self.bound) if self.side > 0 else max(x, self.bound)
        if len(self.points) > 1:
            before = self.points[-2]
            tangent = (inner.z - before.z) / (inner.x - before.x)
        else:
            tangent = self.optimum.tangents[self.coordinate]
        start = inner.z + tangent * (x - inner.x)
        start[self.coordinate] = x
        return x, start

    def take(self, x: float, loss: float, z: np.ndarray) -> None:
        """The end of the search with the coordinate at `x`."""
        if not math.isfinite(loss):
            self._failed()
            return
        height = math.sqrt(max(loss - self.optimum.loss, 0.0) / self.threshold)
        point, last = _Point(x, height, loss, z), self.inner
        if self.outer is not None:
            self.cuts += 1
        if height >= 1:
            self.outer = point
        else:
            self.points.append(point)
        if self.outer is not None:
            if abs(height - 1) < NEAR or self.cuts >= MOST_CUTS:
                self._end("")
        elif x == self.bound:
            self._end(AT_BOUND)
        elif abs(x - self.points[0].x) >= (DECADES if self.log else UNITS * self.unit):
            self._end(TOO_FAR)
        else:
            self._steer(abs(x - last.x), height - last.height, height)

    def _steer(self, length: float, gained: float, height: float) -> None:
        """The next step from the last: a share of what is missing, just beyond the end where that is near."""
        missing = 1 - height
        wanted = GAIN if missing > 1.5 * GAIN else missing + NEAR
        factor = wanted / gained if gained > 0 else GROWTH
        self.step = length * min(max(factor, SHRINK), GROWTH)

    def _failed(self) -> None:
        self.failures += 1
        if self.outer is not None:
            self._end("")
        elif self.failures > MOST_FAILURES:
            self._end(NO_VALUE)
        self.step *= SHRINK

    def _end(self, why: str) -> None:
        self.ended, self.open = True, why

    @property
    def crossing(self) -> float:
        """The coordinate at the end of the interval, or as far as was looked."""
        if self.outer is None:
            return self.inner.x
        share = (1 - self.inner.height) / (self.outer.height - self.inner.height)
        return self.inner.x + share * (self.outer.x - self.inner.x)


def _assembled(problem: Problem, optimum: Optimum, walkers: Sequence[_Walker]) -> Profiles:
    """The profiles of one optimum, from the first 2 Q walkers."""
    found, best = {}, _Point(0.0, 0.0, optimum.loss, optimum.z)
    to_values: Callable[[np.ndarray], np.ndarray] = problem.scale.to_values
    for i, name in enumerate(problem.scale.names):
        low, high = walkers[2 * i], walkers[2 * i + 1]
        sides = [walker.points[1:] + ([walker.outer] if walker.outer else []) for walker in (low, high)]
        points = [*reversed(sides[0]), low.points[0], *sides[1]]
        paths = to_values(np.stack([point.z for point in points]))
        ends = np.tile(optimum.z, (2, 1))
        ends[:, i] = low.crossing, high.crossing
        rises = np.array([point.loss - optimum.loss for point in points])
        interval = to_values(ends)[:, i]
        reasons, within = (low.open, high.open), (float(interval[0]), float(interval[1]))
        found[name] = Profile(name, paths[:, i], rises, paths, (low.threshold, high.threshold), within, reasons)
        best = min([best, *points], key=lambda point: point.loss)
    better = optimum.loss - best.loss > BELOW * float(np.max(optimum.thresholds))
    return Profiles(found, best.loss, to_values(best.z), better)
