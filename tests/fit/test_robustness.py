"""What goes wrong at a start, and is recovered from, or said. The truth is that of data without noise.

Elsewhere: starts and optima at bounds, flat starts and mixed units (`test_fitting.py`: F06, F07, F08, F11, F18), stiff
models (`test_tolerance.py`: F13), oscillations and chaos (`test_stages.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from odec.fit.fitting import Fit, fit
from odec.loading import load_source
from odec.source import Source

TIMES = np.linspace(0, 3, 31)
# x = 1/(1 - k t): it explodes at 1/k, within the data where k is above 1/3; the data's k is 0.3.
GROWN = 1 / (1 - 0.3 * TIMES)
DECAY = "param k = 1\nstate x = 1\ndx = -k*x\n"


def of(text: str, data: dict[str, Any], **options: Any) -> Fit:
    """With fixed steps, which compile faster; an error of 1e-8 of RK4 is far below the tolerances here."""
    layer = load_source(Source.from_text(f"{text}\nsolve step 0.02, method rk4\n"))
    return fit(layer, {"t": TIMES} | data, output=None, **options)


@pytest.fixture(scope="module")
def pole() -> Any:
    return load_source(Source.from_text("param k = 1.2 in [0.01, 10] log\nstate x = 1\ndx = k*x^2"))


def test_a_start_that_explodes_is_brought_in_by_the_early_data(pole: Any) -> None:
    found = fit(pole, {"t": TIMES, "x": GROWN}, rtol=1e-8, output=None)
    assert found.estimates["k"] == pytest.approx(0.3, rel=1e-8)
    assert found.approach == "over a horizon that grew in 8 parts, since no plain start converged"


def test_starts_that_explode_are_counted_with_their_reason(pole: Any) -> None:
    found = fit(pole, {"t": TIMES, "x": GROWN}, rtol=1e-8, starts=10, output=None)
    assert found.estimates["k"] == pytest.approx(0.3, rel=1e-8)
    assert found.approach == ""
    ((reason, count),) = found.failed.items()
    assert reason == "the model gives no finite number at the start" and 0 < count < 10


def test_an_infinite_slope_at_the_start() -> None:
    """The slope of p^(1/3) is infinite at 0, and k says nothing while p is 0."""
    found = of(f"param p = 0 in [0, 10]\n{DECAY}observe y = p^(1/3)*x", {"y": 2 * np.exp(-0.5 * TIMES)})
    assert found.estimates["k"] == pytest.approx(0.5, rel=1e-6)
    assert found.loss < 1e-15


def test_a_value_that_is_none_in_some_cells() -> None:
    """ln(x - c) is no number at the late times with the first guess, c = 1.3, where x falls below it."""
    early = {"t": TIMES[:8], "y": np.log(3 * np.exp(-0.5 * TIMES[:8]) - 0.5)}
    found = of("param c = 1.3 in [0, 2.5]\nparam a = 3\n" + DECAY + "observe y = ln(a*x - c)", early, fix={"a": 3.0})
    assert found.estimates["c"] == pytest.approx(0.5, rel=1e-6)


def test_params_of_1e_9_and_1e9_together() -> None:
    data = {"x": 1e9 * np.exp(-0.5 * TIMES), "y": 1.7 * np.exp(-0.5 * TIMES)}
    text = "param a = 3e-9\nparam b = 4e9\nparam k = 2\nstate x = b\ndx = -k*x\nobserve y = a*x"
    found = of(text, data, weights="scale")
    assert list(found.estimates.values()) == pytest.approx([1.7e-9, 1e9, 0.5], rel=1e-9)


def test_what_moves_nothing_is_said() -> None:
    found = of("param k = 1\nstate x = 0\ndx = -k*x", {"t": TIMES[:3], "x": np.ones(3)})
    assert found.reason == "the gradient vanishes"
    assert "k: no effect on the data" in found.text
