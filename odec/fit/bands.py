"""Bands around fitted curves: where the true curve lies (95 %), and where a new measurement would.

By the delta method: the variance of a value is j·C·j, with j its slopes by the parameters and C their covariance (Seber
and Wild, Nonlinear Regression, 1989, section 5.1), the quantile as of intervals (`reach.py`). From a bootstrap: the
quantiles of the curves of its estimates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from odec.fit.bootstrap import Bootstrap
from odec.fit.problem import Problem
from odec.fit.reach import LEVEL
from odec.fit.spread import in_logarithms, standard_deviations
from odec.fit.uncertainty import Uncertainty

if TYPE_CHECKING:
    from odec.solution import Solution

# A curve that moves by more than this share along a direction that the data do not determine has no band.
MOVES = 1e-6


@dataclass(frozen=True, eq=False)
class Measured:
    """Where new measurements of one column of an experiment would lie: `low` and `high` (n,) at `times` (n,)."""

    times: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class Band:
    """The bands of one experiment's curves: `low` and `high` (times, columns) at the solution's times, NaN where the
    data do not determine a curve; `drawn` (2, times, columns) the same from a bootstrap, None without one; `measured`
    by column."""

    low: np.ndarray
    high: np.ndarray
    drawn: np.ndarray | None
    measured: dict[str, Measured]


def band_of(
    problem: Problem,
    theta: np.ndarray,
    doubt: Uncertainty,
    experiment: int,
    solution: Solution,
    drawn: Bootstrap | None = None,
) -> Band:
    """The bands at the coordinates' values `theta` (Q,) around the `solution` of an experiment there."""
    slopes = problem.runs.solution_slopes(theta[None], experiment, solution.times, solution.names)[0]
    sizes = np.abs(solution.values).max(axis=0)
    reach = half_widths(slopes, doubt, theta, sizes)
    low, high = solution.values - reach, solution.values + reach
    quantiles = None
    if drawn is not None and len(drawn.estimates):
        curves = problem.runs.solution(drawn.estimates, experiment, solution.times, solution.names)
        tail = (1 - LEVEL) / 2
        quantiles = np.nanquantile(curves, [tail, 1 - tail], axis=0)
    return Band(low, high, quantiles, _measured(problem, theta, doubt, experiment, solution, reach))


def half_widths(slopes: np.ndarray, doubt: Uncertainty, theta: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """How far (…) the 95 % bands of values, of `sizes` (…), reach to each side, from their slopes (…, Q) by the
    parameters `theta` (Q,).

    NaN where nothing is known of the noise, and where a value moves along a direction that the data do not determine:
    by a share of its size when a parameter changes by its own.
    """
    reach = doubt.reach.half_widths(slopes)
    with np.errstate(invalid="ignore", over="ignore"):
        for direction in doubt.directions:
            parts = slopes * direction
            moved, largest = np.abs(parts.sum(axis=-1)), np.abs(parts).sum(axis=-1)
            used = direction != 0
            length = np.min(np.where(theta != 0, np.abs(theta), 1.0)[used] / np.abs(direction[used]))
            reach = np.where((moved > MOVES * largest) & (moved * length > MOVES * sizes), np.nan, reach)
    return reach


def _measured(
    problem: Problem, theta: np.ndarray, doubt: Uncertainty, experiment: int, solution: Solution, reach: np.ndarray
) -> dict[str, Measured]:
    """Curve and noise together, at the times of the data; of several noises at a time the widest."""
    cells, data = problem.runs.cells, problem.data
    noise = doubt.reach.quantiles_of_data(len(cells)) * standard_deviations(problem, theta, doubt.variance)
    log = in_logarithms(problem)
    found = {}
    for place, name in enumerate(data.names):
        own = np.flatnonzero((cells.experiments == experiment) & (cells.columns == place))
        if not len(own):
            continue
        times, at = np.unique(data.times[cells.rows[own]], return_inverse=True)
        widest = np.zeros(len(times))
        with np.errstate(invalid="ignore"):  # without a degree of freedom nothing is known of the noise
            np.maximum.at(widest, at, noise[own])
        rows, column = np.searchsorted(solution.times, times), solution.names.index(name)
        value, curve = solution.values[rows, column], reach[rows, column]
        with np.errstate(all="ignore"):
            if log[own[0]]:
                factor = np.exp(np.hypot(widest, curve / value))
                found[name] = Measured(times, value / factor, value * factor)
            else:
                both = np.hypot(widest, curve)
                found[name] = Measured(times, value - both, value + both)
    return found
