"""diffrax and optimistix's Levenberg-Marquardt, start by start: prints JSON as `with_scipy.py` does.

    python with_optimistix.py boehm|two_species DATA STARTS [SEED]

Forward derivatives, computed with the residuals. Bounds are kept by z = middle + half width * sin(u), as MINUIT does:
optimistix has none. Boehm: Kvaerno5 at 1e-6 (1e-8 absolute), the likelihood as a sum of squares as in
`with_roadrunner.py`; a search ends where params and residuals change by less than 1e-3 (1e-4: twice as long, for 7 of
200 starts instead of 6). Two species: Tsit5 at 1e-6; a search ends at 1e-6. One start after the other: `vmap` moves all
until the last one is done, and took two to three times as long.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()
os.environ.update(JAX_ENABLE_X64="1", JAX_PLATFORMS="cpu")

import diffrax  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optimistix  # noqa: E402

SPEC, VOLUMES = 0.107, 1.4 / 0.45
# Makes the logarithm of a variance positive.
RAISED = 50.0
# In place of a residual that is not finite.
NO_VALUE = 1e6
SOLVER_STEPS = 500


@dataclass(frozen=True)
class Problem:
    """Residuals of log10 params, their bounds, the loss of a sum of squares, and when a search ends."""

    residuals: Callable[[jax.Array], jax.Array]
    lower: np.ndarray
    upper: np.ndarray
    loss: Callable[[jax.Array], jax.Array]
    tolerance: float
    steps: int


def main(problem: Problem, count: int, seed: int = 1) -> None:
    """All starts one after the other."""
    middle, half = (problem.upper + problem.lower) / 2, (problem.upper - problem.lower) / 2
    z = np.random.default_rng(seed).uniform(problem.lower, problem.upper, (count, len(middle)))
    starts = np.arcsin((z - middle) / half)
    residuals = with_jacobian(lambda u: problem.residuals(middle + half * jnp.sin(u)))
    method = optimistix.LevenbergMarquardt(problem.tolerance, problem.tolerance)

    def search(u: jax.Array) -> jax.Array:
        found = optimistix.least_squares(lambda u, _: residuals(u), method, u, max_steps=problem.steps, throw=False)
        return problem.loss(jnp.sum(residuals(found.value) ** 2))

    def objective(u: jax.Array) -> Any:
        return residuals(u), jax.jacfwd(residuals)(u)

    searched = compiled(search, starts[0])
    build = time.perf_counter() - BEGAN
    began = time.perf_counter()
    losses = [float(searched(u)) for u in starts]
    took = time.perf_counter() - began
    print(
        json.dumps(
            {
                "build": build,
                "objective": seconds(compiled(objective, starts[0]), starts[0]),
                "search": took,
                "starts": count,
                "losses": losses,
                "best": min(losses),
            }
        )
    )


def with_jacobian(residuals: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """The residuals, finite, their derivative one matrix: else each solve of the linear system runs the ODE again."""

    @jax.custom_jvp
    def finite(u: jax.Array) -> jax.Array:
        found = residuals(u)
        return jnp.where(jnp.isfinite(found), found, NO_VALUE)

    @finite.defjvp
    def derivative(primals: Any, tangents: Any) -> Any:
        jacobian, found = jax.jacfwd(lambda u: (residuals(u),) * 2, has_aux=True)(*primals)
        jacobian = jnp.where(jnp.isfinite(jacobian) & jnp.isfinite(found)[:, None], jacobian, 0.0)
        return jnp.where(jnp.isfinite(found), found, NO_VALUE), jacobian @ tangents[0]

    return finite


def solved(
    rhs: Callable[..., jax.Array], solver: Any, controller: Any, initial: jax.Array, p: jax.Array, times: np.ndarray
) -> jax.Array:
    """The states at the times, (states, times); not finite behind the last step allowed."""
    found = diffrax.diffeqsolve(
        diffrax.ODETerm(rhs),
        solver,
        0.0,
        times[-1],
        None,
        initial,
        p,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=controller,
        adjoint=diffrax.ForwardMode(),
        max_steps=SOLVER_STEPS,
        throw=False,
    )
    return found.ys.T


def boehm(table: Path) -> Problem:
    """Six rates and three standard deviations, equations of the SBML file."""
    data = np.genfromtxt(table, delimiter=",", names=True, usecols=(1, 2, 3, 4))
    measured = np.stack([data[name] for name in ("pSTAT5A_rel", "pSTAT5B_rel", "rSTAT5A_rel")])
    initial = jnp.array([207.6 * 0.693, 207.6 * 0.307, 0, 0, 0, 0, 0, 0])
    # The gains that diffrax advises for stiff equations.
    controller = diffrax.PIDController(rtol=1e-6, atol=1e-8, pcoeff=0.3, icoeff=0.4)

    def rhs(t: jax.Array, x: jax.Array, p: jax.Array) -> jax.Array:
        a, b, ab, aa, bb, nuclear_aa, nuclear_ab, nuclear_bb = x
        degradation, out_hetero, out_homo, in_hetero, in_homo, phosphorylation = p
        rate = 1.25e-7 * jnp.exp(-degradation * t) * phosphorylation
        v1, v2, v3 = rate * a * a, rate * a * b, rate * b * b
        v4, v5, v6 = in_homo * aa, in_hetero * ab, in_homo * bb
        v7, v8, v9 = out_homo * nuclear_aa, out_hetero * nuclear_ab, out_homo * nuclear_bb
        return jnp.stack(
            [
                -2 * v1 - v2 + (2 * v7 + v8) / VOLUMES,
                -v2 - 2 * v3 + (v8 + 2 * v9) / VOLUMES,
                v2 - v5,
                v1 - v4,
                v3 - v6,
                v4 * VOLUMES - v7,
                v5 * VOLUMES - v8,
                v6 * VOLUMES - v9,
            ]
        )

    def residuals(z: jax.Array) -> jax.Array:
        rates, sd = jnp.split(10.0**z, [6])
        a, b, ab, aa, bb, *_ = solved(rhs, diffrax.Kvaerno5(), controller, initial, rates, data["t"])
        all_a, all_b = a * SPEC + 2 * aa * SPEC, (1 - SPEC) * (b + 2 * bb)
        seen = jnp.stack(
            [
                (100 * ab + 200 * aa * SPEC) / (ab + all_a),
                (100 * ab + 200 * bb * (1 - SPEC)) / (ab + all_b),
                (100 * ab + 100 * all_a) / (2 * ab + all_a + all_b),
            ]
        )
        sd = sd[:, None] * np.ones_like(measured)
        rows = [(seen - measured) / sd, jnp.sqrt(jnp.log(2 * np.pi * sd**2) + RAISED)]
        return jnp.concatenate(rows).ravel()

    return Problem(
        residuals,
        np.full(9, -5.0),
        np.full(9, 5.0),
        lambda squares: 0.5 * (squares - RAISED * measured.size),
        tolerance=1e-3,
        steps=250,
    )


def two_species(table: Path) -> Problem:
    """The params and bounds of `competition/model.ode`."""
    data = np.genfromtxt(table, delimiter=",", names=True)
    measured = np.stack([data["x1"], data["x2"]])
    truth = np.log10([0.1, 0.3, 1e-4, 2e-4, 0.002, 0.003])

    def rhs(_: jax.Array, x: jax.Array, p: jax.Array) -> jax.Array:
        u, v = x
        r1, r2, a1, a2, n1, n2 = p
        return jnp.stack([r1 * u * (1 - n1 * u) - a1 * u * v, r2 * v * (1 - n2 * v) - a2 * u * v])

    def residuals(z: jax.Array) -> jax.Array:
        controller = diffrax.PIDController(rtol=1e-6, atol=1e-6)
        found = solved(rhs, diffrax.Tsit5(), controller, jnp.array([100.0, 150.0]), 10.0**z, data["t"])
        return (found - measured).ravel()

    return Problem(residuals, truth - 2, truth + 2, lambda squares: squares, tolerance=1e-6, steps=500)


def compiled(function: Callable[..., Any], argument: np.ndarray) -> Callable[..., Any]:
    """The function, compiled for arguments like this one."""
    program = jax.jit(function).lower(argument).compile()
    return lambda given: jax.block_until_ready(program(given))


def seconds(call: Callable[[np.ndarray], object], argument: np.ndarray) -> float:
    """How long a call takes, the shortest of five."""
    taken = []
    for _ in range(5):
        began = time.perf_counter()
        call(argument)
        taken.append(time.perf_counter() - began)
    return min(taken)


if __name__ == "__main__":
    name, table, *numbers = sys.argv[1:]
    main({"boehm": boehm, "two_species": two_species}[name](Path(table)), *map(int, numbers))
