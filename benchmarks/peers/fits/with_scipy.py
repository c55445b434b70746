"""SciPy's least_squares, or lmfit, on solve_ivp for the two-species problem: prints JSON as `with_odec.py` does,
with the losses in place of how many converged.

    python with_scipy.py scipy|lmfit DATA STARTS [SEED]

The first starts of odec's, one after the other: LSODA at 1e-8, derivatives by differences in the
logarithms, the bounds of `competition/model.ode`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

BEGAN = time.perf_counter()

import numpy as np  # noqa: E402
from scipy.integrate import solve_ivp  # noqa: E402
from scipy.optimize import least_squares  # noqa: E402

TRUTH = np.log10([0.1, 0.3, 1e-4, 2e-4, 0.002, 0.003])
NO_VALUE = 1e6


def main(tool: str, table: Path, count: int, seed: int = 1) -> None:
    """All starts one after the other."""
    data = np.genfromtxt(table, delimiter=",", names=True)
    times, measured = data["t"], np.stack([data["x1"], data["x2"]])
    lower, upper = TRUTH - 2, TRUTH + 2

    def residuals(z: np.ndarray) -> np.ndarray:
        r1, r2, a1, a2, n1, n2 = 10.0**z

        def rhs(_: float, x: np.ndarray) -> list[float]:
            u, v = x
            return [r1 * u * (1 - n1 * u) - a1 * u * v, r2 * v * (1 - n2 * v) - a2 * u * v]

        run = solve_ivp(rhs, (0.0, times[-1]), [100.0, 150.0], "LSODA", times, rtol=1e-8, atol=1e-8)
        if run.y.shape != measured.shape or not np.isfinite(run.y).all():
            return np.full(measured.size, NO_VALUE)
        return (run.y - measured).ravel()

    starts = np.random.default_rng(seed).uniform(lower, upper, (count, len(TRUTH)))
    build, losses = time.perf_counter() - BEGAN, []
    once = time.perf_counter()
    residuals(TRUTH)
    once = time.perf_counter() - once
    began = time.perf_counter()
    for z in starts:
        losses.append(_scipy(residuals, z, lower, upper) if tool == "scipy" else _lmfit(residuals, z, lower, upper))
    print(
        json.dumps(
            {
                "build": build,
                "objective": once * (1 + len(TRUTH)),
                "search": time.perf_counter() - began,
                "starts": count,
                "losses": losses,
                "best": min(losses),
            }
        )
    )


def _scipy(residuals: object, z: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    found = least_squares(residuals, z, bounds=(lower, upper), xtol=1e-10, ftol=1e-10)  # type: ignore[call-overload]
    return float(2 * found.cost)


def _lmfit(residuals: object, z: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    import lmfit

    params = lmfit.Parameters()
    for i, value in enumerate(z):
        params.add(f"z{i}", value=value, min=lower[i], max=upper[i])
    found = lmfit.minimize(lambda p: residuals(np.array([p[f"z{i}"].value for i in range(len(z))])), params)  # type: ignore[operator]
    return float(found.chisqr)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:]))
