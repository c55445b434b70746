"""odec: the generated layer of `benchmarks/models/NAME.ode`, through the call that `odec.fit` makes for its rows."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")

import numpy as np

import odec
from odec.runtime import simulate
from odec.runtime.adaptive import Adaptive
from peers.solvers.peer import Run, Solve
from peers.solvers.problems import Problem

PACKAGES = ("odec", "keras", "tensorflow")
MODELS = Path(__file__).resolve().parents[2] / "models"


def methods(stiff: bool) -> tuple[str, ...]:
    return ("rodas5p",) if stiff else ("tsit5", "dop853")


def largest_batch(method: str) -> int:
    return 16_384


def prepare(problem: Problem, method: str, initial: np.ndarray, params: np.ndarray) -> Solve:
    """With odec's own absolute tolerance, as a user gets it."""
    model = odec.load_model(MODELS / f"{problem.name}.ode")
    start = dict(zip(problem.initial, initial.T, strict=True))
    columns = tuple(problem.initial)

    def call(rtol: float, atol: np.ndarray) -> Run:
        timing = Adaptive(0.0, problem.times, rtol=rtol)
        return Run(simulate.solve(model, timing, method=method, params=params, initial=start, columns=columns))

    return call
