"""Fits of maps: a step counts one and is never cut, for a finer one would be another model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import odec
from odec.diagnostics import OdecError

LINEAR = "param a = 0.5 in [0, 2]\nparam b = 2\nstate x = 1\nnext x = a*x + b\n"
STEPS = np.arange(13)
# x_n of a = 0.9, b = 1: the fixed point is 10.
TRUTH = 10 - 9 * 0.9**STEPS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "linear.ode"
    path.write_text(LINEAR, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "options", [{}, {"starts": 5}, {"shooting": 3}, {"method": "lbfgs"}, {"method": "adam", "epochs": 300}], ids=str
)
def test_params_of_a_map_are_found(path: Path, options: dict[str, Any]) -> None:
    found = odec.fit(path, {"t": STEPS[::2], "x": TRUTH[::2]}, output=None, **options)
    # Adam stops where its steps are small.
    close = 1e-2 if "epochs" in options else 1e-6
    assert found.estimates == pytest.approx({"a": 0.9, "b": 1.0}, rel=close)
    assert "W0601" not in [warning.code for warning in found.warnings]


def test_the_report_says_nothing_of_steps_and_the_fitted_model_gives_the_curve(path: Path, tmp_path: Path) -> None:
    found = odec.fit(path, {"t": STEPS, "x": TRUTH}, output=tmp_path / "fit")
    assert "solver" not in found.text and "half the step" not in found.text
    assert "solved finer" not in (tmp_path / "fit" / "report.html").read_text(encoding="utf-8")
    solution = odec.solve(tmp_path / "fit" / "fitted.ode")
    np.testing.assert_allclose(solution["x"], TRUTH, rtol=1e-9)
    assert solution.summary == "a map; 12 steps"


def test_the_check_before_a_fit_advises_no_steps(path: Path) -> None:
    found = odec.preflight(path, {"t": STEPS, "x": TRUTH})
    assert found.can_work
    assert "a map has no steps" in found.text
    assert "advised" not in found.text and "solved finer" not in found.text


@pytest.mark.parametrize(
    ("data", "options", "code"),
    [
        ({"t": [0, 1.5], "x": [1, 2]}, {}, "E0604"),
        ({"t": [-1, 1], "x": [1, 2]}, {}, "E0604"),
        ({"t": [0, 1], "x": [1, 2]}, {"step": 0.5}, "E0606"),
        ({"t": [0, 1], "x": [1, 2]}, {"rtol": 1e-6}, "E0606"),
    ],
)
def test_what_a_fit_of_a_map_cannot_be_asked(path: Path, data: Any, options: dict[str, Any], code: str) -> None:
    with pytest.raises(OdecError, match=code):
        odec.fit(path, data, output=None, **options)
