"""`--method scipy`, `--method lbfgs`: SciPy's searches on the same loss and derivatives, start by start.

The first is the oracle of ours; the second needs nothing of a loss but its gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import least_squares, minimize

from odec.fit.checkpoint import Journal, Stopped
from odec.fit.least_squares import GRADIENT, LIMIT, NOT_FINITE, OUTSIDE, REDUCTION, RUNNING, STEP, Points, Search
from odec.fit.problem import Problem

if TYPE_CHECKING:
    from odec.fit.staged import Progress

LBFGS = "lbfgs"
# SciPy's `status` of `least_squares` in our words.
REASONS = {0: LIMIT, 1: GRADIENT, 2: REDUCTION, 3: STEP, 4: REDUCTION}
# What a point without a value counts as, so that a search steps back from it.
NO_VALUE_LOSS = 1e100
TOLERANCE = 1e-12
# L-BFGS-B begins again from its end, with the loss there as its unit, until that gains less than a millionth.
MOST_ROUNDS = 20
ENOUGH = 1e-6


def scipy_search(
    problem: Problem, z: np.ndarray, method: str, journal: Journal, progress: Progress | None = None
) -> Search:
    """The ends of all starts `z` (S, Q): of L-BFGS-B where the method is `lbfgs` or the loss a likelihood, else of
    `least_squares`. The journal keeps those that have ended; where the user stops, the others are left running at their
    starts."""
    box, count = problem.scale.box, len(z)
    kept = journal.stage(method) or {
        "z": np.clip(z, box.lower, box.upper),
        "loss": np.full(count, np.inf),
        "reason": np.full(count, RUNNING, dtype="<U80"),
        "iterations": np.zeros(count, dtype=int),
        "evaluations": np.zeros(count, dtype=int),
    }
    for i in np.flatnonzero(kept["reason"] == RUNNING):
        end = _followed(problem, z[i], _lbfgs if method == LBFGS or problem.is_likelihood else _squares)
        for name, value in end.items():
            kept[name][i] = value
        if progress is not None:
            progress(int(i) + 1, count, float(kept["loss"].min()))
        try:
            journal.keep(method, kept)
        except Stopped:
            break
    last = problem.evaluate(kept["z"])
    loss = np.where(np.isfinite(last.loss), last.loss, np.inf)
    counts = kept["iterations"], kept["evaluations"]
    return Search(
        kept["z"], last.residuals, last.jacobian, loss, np.ones(count), *counts, kept["reason"].astype(object)
    )


def _followed(problem: Problem, start: np.ndarray, follow: Callable[..., Any]) -> dict[str, Any]:
    """The end of one start (Q,), with its reason."""
    one = _Remembered(problem)
    first = one.at(start)
    if not np.isfinite(first.loss[0]) or not np.isfinite(first.jacobian).all():
        reason = OUTSIDE if np.isposinf(first.loss[0]) else NOT_FINITE
        return {"z": start, "reason": reason, "iterations": 0, "evaluations": 1}
    end, reason, iterations = follow(one, start)
    end = np.clip(end, problem.scale.box.lower, problem.scale.box.upper)
    loss = float(one.at(end).loss[0])
    return {"z": end, "loss": loss, "reason": reason, "iterations": iterations, "evaluations": one.count}


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


def _lbfgs(one: _Remembered, start: np.ndarray) -> tuple[np.ndarray, str, int]:
    """In units of each coordinate, so that one of 1e9 moves as one of 1e-9. A sum of squares is measured by what it is
    where a round begins, since L-BFGS-B takes a fall of less than its tolerance for none, whatever the data's unit."""
    box = one.problem.scale.box
    unit = box.unit(start[None], one.at(start).jacobian, one.at(start).residuals)[0]
    bounds = list(zip(box.lower / unit, box.upper / unit, strict=True))
    options = {"maxiter": 2000, "maxfun": 4000, "ftol": TOLERANCE, "gtol": 1e-8}
    z, iterations = start, 0
    for _ in range(1 if one.problem.is_likelihood else MOST_ROUNDS):
        before = float(one.at(z).loss[0])
        size = 1.0 if one.problem.is_likelihood else max(before, np.finfo(float).tiny)

        def both(u: np.ndarray, size: float = size) -> tuple[float, np.ndarray]:
            points = one.at(u * unit)
            gradient = 2 * points.jacobian[0].T @ points.residuals[0] * unit / size
            if np.isfinite(points.loss[0]) and np.isfinite(gradient).all():
                return float(points.loss[0]) / size, gradient
            return NO_VALUE_LOSS, np.zeros_like(u)

        found = minimize(both, z / unit, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        z, iterations = np.clip(found.x * unit, box.lower, box.upper), iterations + found.nit
        if not float(one.at(z).loss[0]) < (1 - ENOUGH) * before:
            break
    return z, REDUCTION if found.success else LIMIT, iterations
