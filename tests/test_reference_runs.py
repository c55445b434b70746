"""Every model that other tools' numbers lie beside runs, from the text to a step of the compiled layer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import odec
from odec.loading import load_model

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"
MODELS = sorted(path for folder in ("ivp", "fits", "estimation") for path in REFERENCE.glob(f"{folder}/*/model.ode"))


@pytest.mark.skipif(not MODELS, reason=f"{REFERENCE} is missing")
@pytest.mark.parametrize("path", MODELS, ids=[path.parent.name for path in MODELS])
def test_a_reference_model_takes_a_step(path: Path) -> None:
    """One Euler step, short enough for every one of them, stiff or not."""
    meta = path.with_name("meta.json")
    span = json.loads(meta.read_text()) if meta.is_file() else {"t0": 0.0, "t_end": 1.0}
    start, step = span["t0"], 1e-9 * (span["t_end"] - span["t0"])
    layer = load_model(path)
    solution = odec.solve(layer, start=start, times=[start, start + step], step=abs(step), method="euler")
    assert np.isfinite(solution.values).all()
    assert solution.names[: len(layer.description.states)] == layer.description.state_elements
    assert solution.values.shape == (2, len(solution.names))
