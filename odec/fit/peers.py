"""`--method scipy`: SciPy's searches on the same loss and derivatives, start by start; the oracle of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import least_squares, minimize

from odec.fit.least_squares import GRADIENT, LIMIT, NOT_FINITE, OUTSIDE, REDUCTION, STEP, Points, Search
from odec.fit.problem import Problem

if TYPE_CHECKING:
    from odec.fit.fitting import Progress

# SciPy's `status` of `least_squares` in our words.
REASONS = {0: LIMIT, 1: GRADIENT, 2: REDUCTION, 3: STEP, 4: REDUCTION}
# What a point without a value counts as, so that a search steps back from it.
NO_VALUE_LOSS = 1e100
TOLERANCE = 1e-12


def scipy_search(problem: Problem, z: np.ndarray, progress: Progress | None = None) -> Search:
    """The ends of all starts `z` (S, Q): of `least_squares` for a sum of squares, of L-BFGS-B for a likelihood."""
    ends, reasons, counts = [], [], []
    best = np.inf
    for i, start in enumerate(z):
        one = _Remembered(problem)
        first = one.at(start)
        if not np.isfinite(first.loss[0]) or not np.isfinite(first.jacobian).all():
            ends.append(start)
            reasons.append(OUTSIDE if np.isposinf(first.loss[0]) else NOT_FINITE)
            counts.append((0, 1))
            continue
        end, reason, iterations = _likelihood(one, start) if problem.is_likelihood else _squares(one, start)
        ends.append(np.clip(end, problem.scale.box.lower, problem.scale.box.upper))
        reasons.append(reason)
        counts.append((iterations, one.count))
        best = min(best, float(one.at(ends[-1]).loss[0]))
        if progress is not None:
            progress(i + 1, len(z), best)
    last = problem.evaluate(np.stack(ends))
    iterations, evaluations = np.array(counts).T
    loss = np.where(np.isfinite(last.loss), last.loss, np.inf)
    said = np.array(reasons, dtype=object)
    return Search(np.stack(ends), last.residuals, last.jacobian, loss, np.ones(len(z)), iterations, evaluations, said)


class _Remembered:
    """The loss at a point, kept until another point is asked for: SciPy asks for value and derivative apart."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.count = 0
        self._z: np.ndarray | None = None
        self._points: Any = None

    def at(self, z: np.ndarray) -> Points:
        """The single point `z` (Q,)."""
        if self._z is None or not np.array_equal(z, self._z):
            self._z, self.count = np.array(z), self.count + 1
            self._points = self.problem.evaluate(z[None])
        points: Points = self._points
        return points


def _squares(one: _Remembered, start: np.ndarray) -> tuple[np.ndarray, str, int]:
    box = one.problem.scale.box

    def residuals(z: np.ndarray) -> np.ndarray:
        found = one.at(z).residuals[0]
        return found if np.isfinite(found).all() else np.full_like(found, np.sqrt(NO_VALUE_LOSS / len(found)))

    def jacobian(z: np.ndarray) -> np.ndarray:
        return np.nan_to_num(one.at(z).jacobian[0], nan=0.0, posinf=0.0, neginf=0.0)

    unit = box.unit(start[None], one.at(start).jacobian, one.at(start).residuals)[0]
    found = least_squares(
        residuals,
        start,
        jacobian,
        bounds=(box.lower, box.upper),
        x_scale=unit,
        xtol=TOLERANCE,
        ftol=TOLERANCE,
        gtol=None,
    )
    return found.x, REASONS[found.status], found.njev


def _likelihood(one: _Remembered, start: np.ndarray) -> tuple[np.ndarray, str, int]:
    box = one.problem.scale.box

    def both(z: np.ndarray) -> tuple[float, np.ndarray]:
        points = one.at(z)
        gradient = 2 * points.jacobian[0].T @ points.residuals[0]
        if np.isfinite(points.loss[0]) and np.isfinite(gradient).all():
            return float(points.loss[0]), gradient
        return NO_VALUE_LOSS, np.zeros_like(z)

    options = {"maxiter": 2000, "maxfun": 4000, "ftol": TOLERANCE, "gtol": 1e-8}
    bounds = list(zip(box.lower, box.upper, strict=True))
    found = minimize(both, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return found.x, REDUCTION if found.success else LIMIT, found.nit
