"""The published estimation problems in `shared/reference/estimation`, with the values that their authors found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from odec.fit.problem import Problem
from odec.fit.setup import Asked, problem_of
from odec.loading import load_model

# The solver of each: the one that is chosen where none is named (which costs a compilation).
SOLVERS = {
    "Boehm_JProteomeRes2014": "rodas5p",
    "Borghans_BiophysChem1997": "rodas5p",
    "Bruno_JExpBot2016": "tsit5",
    "Crauste_CellSystems2017": "tsit5",
    "Elowitz_Nature2000": "rodas5p",
    "Fiedler_BMCSystBiol2016": "tsit5",
    "Fujita_SciSignal2010": "rodas5p",
    "Rahman_MBS2016": "tsit5",
    "Zhao_QuantBiol2020": "tsit5",
}


def problem(folder: Path, **asked: Any) -> Problem:
    """The problem in a folder, as a fit without further options has it."""
    return problem_of(load_model(folder / "model.ode"), folder / "data.csv", Asked(**asked))[0]


def reference(folder: Path) -> dict[str, Any]:
    """What is known of it."""
    known: dict[str, Any] = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
    return known


def nominal(found: Problem, known: dict[str, Any]) -> np.ndarray:
    """The authors' values (Q,) in the order of the problem's coordinates."""
    values = []
    for name in found.scale.names:
        param, _, experiment = name.removesuffix("]").partition("[")
        value = known["nominal"][param]
        values.append(value[experiment] if experiment else value)
    return np.array(values, dtype=float)
