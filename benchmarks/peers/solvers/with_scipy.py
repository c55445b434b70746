"""SciPy's `solve_ivp`, row by row, with the analytic Jacobian for the methods that take one.

For so few states arithmetic on Python's floats is faster than NumPy's on short arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import sympy
from scipy.integrate import solve_ivp

from peers.solvers.peer import Run, Solve
from peers.solvers.problems import PROBLEMS, Problem

PACKAGES = ("scipy", "numpy")


def methods(stiff: bool) -> tuple[str, ...]:
    return ("Radau", "BDF", "LSODA") if stiff else ("RK45", "DOP853", "LSODA")


def largest_batch(method: str) -> int:
    return 1


def prepare(problem: Problem, method: str, initial: np.ndarray, params: np.ndarray) -> Solve:
    def rhs(t: float, y: np.ndarray, *p: float) -> list[float]:
        return problem.rhs(t, y.tolist(), p)

    options = {"jac": jacobian(problem.name)} if problem.stiff else {}

    def call(rtol: float, atol: np.ndarray) -> Run:
        values = np.full((len(initial), len(problem.times), initial.shape[1]), np.nan)
        for row, (y0, p) in enumerate(zip(initial, params, strict=True)):
            found = solve_ivp(
                rhs,
                (0.0, problem.times[-1]),
                y0,
                method,
                problem.times,
                args=tuple(p.tolist()),
                rtol=rtol,
                atol=atol,
                **options,
            )
            values[row, : found.y.shape[1]] = found.y.T
        return Run(values)

    return call


@lru_cache
def jacobian(name: str) -> Callable[..., np.ndarray]:
    """∂f/∂y (states, states) as a function of t, y and each param, from sympy."""
    problem = PROBLEMS[name]
    t, y = sympy.Symbol("t"), sympy.symbols(f"y:{len(problem.initial)}")
    p = sympy.symbols(f"p:{len(problem.params)}")
    entries = sympy.Matrix(problem.rhs(t, y, p)).jacobian(y).tolist()
    function = sympy.lambdify([t, y, *p], entries, "math", cse=True)

    def call(t: float, y: np.ndarray, *p: float) -> Any:
        return np.array(function(t, y.tolist(), *p), dtype=float)

    return call
