"""The parametric bootstrap: data simulated from the fitted model and noise, and fitted again as rows of one search.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 6.5 and 13 (percentile intervals). An estimated
noise is wrong by a factor whose distribution does not depend on it, and its interval is that of the factor (Davison
and Hinkley, Bootstrap Methods and their Application (1997), section 2.4, in logarithms).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from odec.fit.checkpoint import Journal, followed
from odec.fit.least_squares import LIMIT, NO_VALUE, Search, Settings
from odec.fit.objective import Likelihood, Squares
from odec.fit.problem import Problem
from odec.fit.reach import LEVEL

if TYPE_CHECKING:
    from odec.fit.result import Fit

# The estimates of simulated data are to be right to a small share of their spread, not to the last digit: a search ends
# where a step would gain this share of one datum's part in the loss.
ENOUGH, MOST_ITERATIONS = 1e-5, 100

# A sample of a shape (n, m) from a distribution with the numbers of `odec/distributions.py`, each (1, m).
DRAWN: dict[str, Callable[..., np.ndarray]] = {
    "normal": lambda g, shape, y, s: y + s * g.normal(size=shape),
    "lognormal": lambda g, shape, y, s: y * np.exp(s * g.normal(size=shape)),
    "laplace": lambda g, shape, y, b: y + b * g.laplace(size=shape),
    "student_t": lambda g, shape, y, s, nu: y + s * g.standard_t(np.broadcast_to(nu, shape)),
    "poisson": lambda g, shape, y: g.poisson(np.broadcast_to(y, shape)),
    "negbinomial": lambda g, shape, y, r: g.negative_binomial(np.broadcast_to(r, shape), r / (r + y)),
}


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """The estimates (B, Q) of B simulated data sets, of `asked` ones drawn from `seed`. The others had no value where
    their search began; `unfinished` of the B were stopped before an optimum. `noises` holds, by coordinate, the fit's
    estimate of each noise times that which the data were drawn with.
    """

    estimates: np.ndarray
    asked: int
    unfinished: int
    seed: int
    noises: Mapping[int, float]

    @property
    def standard_errors(self) -> np.ndarray:
        """The standard deviation (Q,) of each estimate; NaN for fewer than two."""
        if len(self.estimates) < 2:
            return np.full(self.estimates.shape[1], np.nan)
        errors: np.ndarray = self.estimates.std(axis=0, ddof=1)
        return errors

    @property
    def intervals(self) -> np.ndarray:
        """The 2.5 % and 97.5 % points (Q, 2) of the estimates, for noises what they say of the fit's; NaN for fewer
        than two."""
        if len(self.estimates) < 2:
            return np.full((self.estimates.shape[1], 2), np.nan)
        tail = (1 - LEVEL) / 2
        ends = np.quantile(self.estimates, [tail, 1 - tail], axis=0).T
        for place, product in self.noises.items():
            ends[place] = product / ends[place, ::-1]
        return ends


def bootstrap(fit: Fit, count: int, seed: int = 0, journal: Journal | None = None) -> Bootstrap:
    """`count` data sets simulated at a fit's estimates, at the measured cells, each fitted from those estimates, as a
    stage of the journal. The noise is as large as it is for its degrees of freedom."""
    problem, theta, doubt = fit.problem, fit.values, fit.uncertainty
    true = doubt.reach.corrected(theta)
    measured = simulated(problem, true, doubt.variance, count, seed)
    search = refitted(problem, theta, measured, journal)
    good = ~np.isin(search.reason, list(NO_VALUE))
    unfinished = int((search.reason == LIMIT).sum())
    noises = {place: float(theta[place] * true[place]) for place in doubt.reach.by_place}
    return Bootstrap(problem.scale.to_values(search.z[good]), count, unfinished, seed, noises)


def refitted(problem: Problem, theta: np.ndarray, measured: np.ndarray, journal: Journal | None = None) -> Search:
    """The ends of the fits to data `measured` (n, M), each started at the parameters `theta` (Q,), as a stage of the
    journal."""
    count = len(measured)
    start = np.tile(problem.scale.to_search(theta), (count, 1))
    reduction = ENOUGH / len(problem.runs.cells)
    settings = Settings(1e-5, reduction, step=1e-9, floor=-np.inf, iterations=MOST_ITERATIONS)
    evaluate, box = problem.batched(count, measured), problem.scale.box
    return followed(journal or Journal(), "bootstrap", evaluate, start, box, settings)


def simulated(problem: Problem, theta: np.ndarray, variance: float, count: int, seed: int) -> np.ndarray:
    """Data (count, M) at the measured cells, drawn at the coordinates' values `theta` (Q,). `variance` is that of the
    (weighted) residuals of a sum of squares, whose noise is taken for normal."""
    generator = np.random.default_rng(seed)
    objective = problem.objective
    prediction = problem.runs.at_cells(theta[None], objective.needs_states)
    shape = (count, len(problem.runs.cells))
    if isinstance(objective, Squares):
        deviation = np.sqrt(variance) / objective.weights
        return prediction.values + deviation * generator.normal(size=shape)
    assert isinstance(objective, Likelihood)
    measured = np.zeros(shape)
    for noise, numbers in zip(objective.noises, objective.numbers(prediction), strict=True):
        own = (count, len(noise.at.cells))
        measured[:, noise.at.cells] = DRAWN[noise.at.kind](generator, own, *numbers)
    return measured
