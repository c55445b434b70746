"""libRoadRunner and SciPy's least_squares on Boehm's problem, start by start: prints JSON as `with_scipy.py` does.

    python with_roadrunner.py SBML DATA STARTS [SEED]

SBML and DATA are those of the PEtab collection and of the problem's folder. CVODE at 1e-8, derivatives by differences
in log10 of the params, each residual followed by the square root of its noise's logarithm, raised to be positive: the
likelihood as a sum of squares.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

BEGAN = time.perf_counter()

import numpy as np  # noqa: E402
import roadrunner  # noqa: E402
from scipy.optimize import least_squares  # noqa: E402

SPECIES = ("STAT5A", "STAT5B", "pApB", "pApA", "pBpB")
RATES = ("Epo_degradation_BaF3", "k_exp_hetero", "k_exp_homo", "k_imp_hetero", "k_imp_homo", "k_phos")
LOWER, UPPER, SPEC = -5.0, 5.0, 0.107
# Makes the logarithm of a variance positive.
RAISED = 50.0


def main(sbml: Path, table: Path, count: int, seed: int = 1) -> None:
    """All starts one after the other."""
    data = np.genfromtxt(table, delimiter=",", names=True, usecols=(1, 2, 3, 4))
    measured = np.stack([data[name] for name in ("pSTAT5A_rel", "pSTAT5B_rel", "rSTAT5A_rel")])
    roadrunner.Logger.setLevel(roadrunner.Logger.LOG_FATAL)
    model = roadrunner.RoadRunner(sbml.read_text())
    integrator = model.getIntegrator()
    integrator.setValue("relative_tolerance", 1e-8)
    integrator.setValue("absolute_tolerance", 1e-10)
    integrator.setValue("maximum_num_steps", 20_000)
    model.timeCourseSelections = ["time", *(f"[{name}]" for name in SPECIES)]
    times = [float(t) for t in data["t"]]

    def residuals(z: np.ndarray) -> np.ndarray:
        values = 10.0**z
        try:
            for name, value in zip(RATES, values, strict=False):
                model.setValue(name, float(value))
            model.reset()
            a, b, ab, aa, bb = np.array(model.simulate(times=times))[:, 1:].T
        except RuntimeError:
            return np.full(2 * measured.size, 1e3)
        all_a, all_b = a * SPEC + 2 * aa * SPEC, (1 - SPEC) * (b + 2 * bb)
        seen = np.stack(
            [
                (100 * ab + 200 * aa * SPEC) / (ab + all_a),
                (100 * ab + 200 * bb * (1 - SPEC)) / (ab + all_b),
                (100 * ab + 100 * all_a) / (2 * ab + all_a + all_b),
            ]
        )
        sd = values[len(RATES) :, None] * np.ones_like(measured)
        rows = [(seen - measured) / sd, np.sqrt(np.maximum(np.log(2 * np.pi * sd**2) + RAISED, 1e-9))]
        found = np.concatenate(rows).ravel()
        return np.where(np.isfinite(found), found, 1e3)

    build = time.perf_counter() - BEGAN
    starts = np.random.default_rng(seed).uniform(LOWER, UPPER, (count, len(RATES) + 3))
    one = min(_seconds(residuals, starts[0]) for _ in range(5))
    began, losses = time.perf_counter(), []
    for z in starts:
        found = least_squares(
            residuals,
            np.clip(z, LOWER + 1e-6, UPPER - 1e-6),
            bounds=(LOWER, UPPER),
            diff_step=1e-4,
            max_nfev=200,
            ftol=1e-8,
            xtol=1e-8,
            gtol=1e-8,
        )
        losses.append(float(found.cost - 0.5 * RAISED * measured.size))
    print(
        json.dumps(
            {
                "build": build,
                "objective": one * (1 + starts.shape[1]),
                "search": time.perf_counter() - began,
                "starts": count,
                "losses": losses,
                "best": min(losses),
            }
        )
    )


def _seconds(call: object, z: np.ndarray) -> float:
    began = time.perf_counter()
    call(z)  # type: ignore[operator]
    return time.perf_counter() - began


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
