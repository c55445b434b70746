"""The methods beside Levenberg-Marquardt reach its optimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from odec.fit.fitting import fit
from odec.loading import load_source
from odec.source import Source

TIMES = np.linspace(0, 6, 13)
WOBBLE = 0.03 * np.sin(9 * TIMES)
DECAY = "param a = 1\nparam k = 0.1 in [0.001, 10] log\nstate x = a\ndx = -k*x\nsolve step 0.05, method rk4\n"
NOISE = DECAY + "param s = 0.5 in [0.001, 5] log\nobserve y ~ student_t(x, s, 4)\n"


def model(text: str) -> Any:
    return load_source(Source.from_text(text))


@pytest.mark.parametrize("size", [1e-9, 1.0, 1e9])
def test_lbfgs_reaches_the_least_squares_in_any_unit(size: float) -> None:
    layer, data = model(DECAY), {"t": TIMES, "x": size * (3 * np.exp(-0.4 * TIMES) + WOBBLE)}
    first = {"a": size}
    best = fit(layer, data, start=first, output=None)
    found = fit(layer, data, start=first, method="lbfgs", output=None)
    assert found.converged
    assert found.loss == pytest.approx(best.loss, rel=1e-7, abs=0)
    np.testing.assert_allclose(found.values, best.values, rtol=1e-3)
    assert "L-BFGS-B" in found.text


def test_lbfgs_reaches_the_likelihood_s_optimum() -> None:
    layer, data = model(NOISE), {"t": TIMES, "y": 3 * np.exp(-0.4 * TIMES) + WOBBLE}
    best = fit(layer, data, output=None)
    found = fit(layer, data, method="lbfgs", output=None)
    assert found.loss == pytest.approx(best.loss, abs=1e-5)
