"""AMICI and fides, through pyPESTO, on a PEtab problem, start by start: prints JSON as `with_scipy.py` does.

    python with_amici.py YAML STARTS [SEED]

The model is compiled in a fresh folder. CVODES at AMICI's 1e-8, 1e-12 absolute (at its 1e-16 more runs fail), forward
sensitivities. fides takes the Fisher information for the Hessian: with pyPESTO's default, which turns to BFGS later, 1
of 200 starts of Boehm's problem found the optimum, not 7. Starts are uniform within the bounds on the search scale.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

BEGAN = time.perf_counter()
# AMICI looks for swig there.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

import amici  # noqa: E402, F401 (pyPESTO asks for it only when the model is imported)
import numpy as np  # noqa: E402
import petab.v1 as petab  # noqa: E402
import pypesto.optimize  # noqa: E402
import pypesto.petab  # noqa: E402


def main(yaml: Path, count: int, seed: int = 1) -> None:
    """All starts one after the other."""
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        table = petab.Problem.from_yaml(yaml)
        importer = pypesto.petab.PetabImporter(table, output_folder=f"{folder}/model", model_name="model")
        objective = importer.create_objective_creator().create_objective(verbose=False)
        objective.amici_solver.set_absolute_tolerance(1e-12)
        problem = importer.create_problem(objective)
        starts = np.random.default_rng(seed).uniform(problem.lb, problem.ub, (count, problem.dim))

        def one() -> float:
            began = time.perf_counter()
            problem.objective(starts[0], sensi_orders=(0, 1))
            return time.perf_counter() - began

        one()
        build = time.perf_counter() - BEGAN
        shortest = min(one() for _ in range(5))
        problem.set_x_guesses(np.stack([problem.get_full_vector(z, problem.x_fixed_vals) for z in starts]))
        began = time.perf_counter()
        found = pypesto.optimize.minimize(
            problem,
            optimizer=pypesto.optimize.FidesOptimizer(hessian_update=None, verbose=logging.ERROR),
            n_starts=count,
            progress_bar=False,
        )
        searched = time.perf_counter() - began
    losses = [float(loss) for loss in found.optimize_result.fval]
    print(
        json.dumps(
            {
                "build": build,
                "objective": shortest,
                "search": searched,
                "starts": count,
                "losses": losses,
                "best": min(losses),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
