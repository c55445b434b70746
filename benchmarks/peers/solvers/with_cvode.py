"""CVODE of SUNDIALS through CasADi: expressions on CasADi's machine, analytic sparse Jacobian, sparse QR.

Rows are solved one after another, or by as many threads as there are cores. CasADi takes one absolute tolerance for all
states, so the states are measured in units of their own.
"""

from __future__ import annotations

import os
import time
from functools import lru_cache

import casadi
import numpy as np

from peers.solvers.peer import Run, Solve
from peers.solvers.problems import Problem

PACKAGES = ("casadi",)
MOST_STEPS = 10_000_000
THREADS = ", threads"
COST_REPEATS = 200


def methods(stiff: bool) -> tuple[str, ...]:
    method = "BDF" if stiff else "Adams"
    return method, method + THREADS


def largest_batch(method: str) -> int:
    return 16_384


def prepare(problem: Problem, method: str, initial: np.ndarray, params: np.ndarray) -> Solve:
    count = len(initial)

    @lru_cache
    def solver(rtol: float, atol: tuple[float, ...]) -> tuple[casadi.Function, casadi.Function]:
        single = integrator(problem, method.removesuffix(THREADS), rtol, np.array(atol))
        if count == 1:
            return single, single
        how = ("thread", os.cpu_count()) if method.endswith(THREADS) else ("serial",)
        return single, single.map(count, *how)

    def call(rtol: float, atol: np.ndarray) -> Run:
        single, every = solver(rtol, tuple(atol))
        units = atol / rtol
        found = every(x0=(initial / units).T, p=params.T)["xf"].full() * units[:, None]
        # (states, rows × times) → (rows, times, states)
        values = found.T.reshape(count, len(problem.times), -1)
        return Run(values, single.stats()["nsteps"] if count == 1 else None)

    return call


def integrator(problem: Problem, method: str, rtol: float, atol: np.ndarray) -> casadi.Function:
    """CasADi's integrator to all times, of states measured in units of atol / rtol."""
    units = atol / rtol
    x, p = casadi.SX.sym("x", len(units)), casadi.SX.sym("p", len(problem.params))
    t = casadi.SX.sym("t")
    slopes = casadi.vertcat(*problem.rhs(t, casadi.vertsplit(x * units), casadi.vertsplit(p))) / units
    adams = {"linear_multistep_method": "adams", "nonlinear_solver_iteration": "functional"}
    options = {"reltol": rtol, "abstol": rtol, "max_num_steps": MOST_STEPS, **(adams if method == "Adams" else {})}
    return casadi.integrator("F", "cvodes", {"t": t, "x": x, "p": p, "ode": slopes}, 0.0, problem.times, options)


def cost(problem: Problem, batch: int, rtol: float, atol: np.ndarray) -> dict[str, float]:
    """Seconds of one step of one row and of its parts, and how many times a step needs them, from CasADi's counters."""
    solver, units = integrator(problem, "BDF", rtol, atol), atol / rtol
    (y0,), (p,) = problem.rows(1)
    best = np.inf
    for _ in range(COST_REPEATS):
        began = time.perf_counter()
        solver(x0=y0 / units, p=p)
        spent = time.perf_counter() - began
        if spent < best:
            best, stats = spent, solver.stats()
    steps = stats["nsteps"]
    slopes, jacobian = stats["t_wall_daeF"], stats["t_wall_jacF"]
    return {
        "steps": steps,
        "step": best / steps,
        "slopes a step": stats["n_call_daeF"] / steps,
        "Jacobians a step": stats["n_call_jacF"] / steps,
        "slope": slopes / stats["n_call_daeF"],
        "Jacobian": jacobian / stats["n_call_jacF"],
        "factorisation, solves and the rest, a step": (best - slopes - jacobian) / steps,
    }
