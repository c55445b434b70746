"""How far a measurement lies from the model by its noise alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from odec.fit.likelihoods import POSITIVE
from odec.fit.objective import Likelihood, Squares
from odec.fit.problem import Problem


def standard_deviations(problem: Problem, theta: np.ndarray, variance: float) -> np.ndarray:
    """The standard deviation (M,) of each measurement's noise at the coordinates' values `theta` (Q,); of a lognormal
    noise that of the logarithm. `variance` is that of the (weighted) residuals of a sum of squares."""
    objective = problem.objective
    prediction = problem.runs.at_cells(theta[None], objective.needs_states)
    if isinstance(objective, Squares):
        return np.sqrt(variance) / objective.weights
    assert isinstance(objective, Likelihood)
    found = np.zeros(len(problem.runs.cells))
    with np.errstate(all="ignore"):
        for noise, numbers in zip(objective.noises, objective.numbers(prediction), strict=True):
            found[noise.at.cells] = DEVIATION[noise.at.kind](*numbers)[0]
    return found


def in_logarithms(problem: Problem) -> np.ndarray:
    """Which measurements (M,) have a lognormal noise: they are compared by their logarithms."""
    found = np.zeros(len(problem.runs.cells), dtype=bool)
    if isinstance(problem.objective, Likelihood):
        for noise in problem.objective.noises:
            found[noise.at.cells] = noise.at.kind in POSITIVE
    return found


def standardised(problem: Problem, theta: np.ndarray, variance: float) -> np.ndarray:
    """The residuals (M,), datum less model, in standard deviations of the noise."""
    measured, model = problem.runs.cells.measured, problem.runs.at_cells(theta[None]).values[0]
    log = in_logarithms(problem)
    with np.errstate(all="ignore"):
        away = np.where(log, np.log(measured / model), measured - model)
        return np.asarray(away / standard_deviations(problem, theta, variance))


# From the numbers of a distribution, its location first (`odec/distributions.py`).
DEVIATION: dict[str, Callable[..., np.ndarray]] = {
    "normal": lambda y, s: s,
    "lognormal": lambda y, s: s,
    "laplace": lambda y, b: np.sqrt(2) * b,
    # Without a variance (nu of 2 and less) its scale stands for it.
    "student_t": lambda y, s, nu: s * np.sqrt(np.where(nu > 2, nu / np.where(nu > 2, nu - 2, 1.0), 1.0)),
    "poisson": lambda y: np.sqrt(y),
    "negbinomial": lambda y, r: np.sqrt(y + y * y / r),
}
