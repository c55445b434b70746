"""diffrax: one program for all rows (`vmap`), compiled once for every tolerance, float64 on the CPU."""

from __future__ import annotations

import os

os.environ.update(JAX_ENABLE_X64="1", JAX_PLATFORMS="cpu")

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from peers.solvers.peer import Run, Solve
from peers.solvers.problems import Problem

PACKAGES = ("diffrax", "jax")
SOLVERS = {"Tsit5": diffrax.Tsit5, "Dopri8": diffrax.Dopri8, "Kvaerno5": diffrax.Kvaerno5}


def methods(stiff: bool) -> tuple[str, ...]:
    return ("Kvaerno5",) if stiff else ("Tsit5", "Dopri8")


def largest_batch(method: str) -> int:
    return 16_384


def prepare(problem: Problem, method: str, initial: np.ndarray, params: np.ndarray) -> Solve:
    """The controller is diffrax's default for the explicit methods, and the PI of its advice for the stiff one."""
    times = jnp.asarray(problem.times)
    term = diffrax.ODETerm(lambda t, y, p: jnp.stack(problem.rhs(t, y, p)))
    gains = {"pcoeff": 0.3, "icoeff": 0.4} if problem.stiff else {}

    def one(y0: jax.Array, p: jax.Array, rtol: jax.Array, atol: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = diffrax.diffeqsolve(
            term,
            SOLVERS[method](),
            0.0,
            problem.times[-1],
            None,
            y0,
            args=p,
            saveat=diffrax.SaveAt(ts=times),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol, **gains),
            max_steps=None,
            throw=False,
        )
        return found.ys, found.stats["num_steps"]

    solve = jax.jit(jax.vmap(one, in_axes=(0, 0, None, None)))

    def call(rtol: float, atol: np.ndarray) -> Run:
        values, steps = solve(initial, params, rtol, atol)
        return Run(np.asarray(values), float(np.mean(steps)))

    return call
