"""Bands: against the textbook's of a straight line, a bootstrap, and where the data say nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from odec.fit.bands import band_of
from odec.fit.bootstrap import bootstrap
from odec.fit.fitting import Fit, fit
from odec.fit.spread import standardised

T = np.linspace(0, 4, 30)
Y = 1 + 2 * T + 0.3 * np.cos(17 * T)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Fit:
    path = tmp_path_factory.mktemp("line") / "model.ode"
    path.write_text("param a = 0.5\nparam b = 1\nstate y = a\ny' = b\n")
    return fit(path, {"t": T, "y": Y}, output=None)


def test_straight_line_has_the_textbook_bands(line: Fit) -> None:
    band = band_of(line.problem, line.values, line.uncertainty, 0, line.solution)
    s2 = line.loss / 28
    t = 2.048407142  # Student's t, 97.5 %, 28 degrees of freedom
    times = line.solution.times
    spread = s2 * (1 / T.size + (times - T.mean()) ** 2 / np.sum((T - T.mean()) ** 2))
    np.testing.assert_allclose((band.high - band.low)[:, 0] / 2, t * np.sqrt(spread), rtol=1e-6)
    np.testing.assert_allclose((band.high + band.low)[:, 0] / 2, line.solution["y"], rtol=1e-9)
    new = band.measured["y"]
    at_data = np.interp(T, times, spread)
    np.testing.assert_allclose((new.high - new.low) / 2, t * np.sqrt(at_data + s2), rtol=1e-3)
    assert band.drawn is None


def test_standardised_residuals_have_the_fits_variance(line: Fit) -> None:
    away = standardised(line.problem, line.values, line.uncertainty.variance)
    assert away @ away == pytest.approx(28)
    assert np.corrcoef(away, np.cos(17 * T))[0, 1] > 0.9  # datum less model, not the other way round


def test_bootstrap_agrees_with_the_delta_method(line: Fit) -> None:
    drawn = bootstrap(line, 400, seed=1)
    band = band_of(line.problem, line.values, line.uncertainty, 0, line.solution, drawn)
    assert band.drawn is not None
    # A 97.5 % point of 400 draws is right to 7 % of the reach; a bootstrap takes the normal, not Student's t (4 %).
    np.testing.assert_allclose(band.drawn[1] - band.drawn[0], band.high - band.low, rtol=0.25)


def test_curve_that_the_data_do_not_determine_has_no_band(tmp_path: Path) -> None:
    # Only a*x is seen, so that a*x has a band and x has none.
    (tmp_path / "model.ode").write_text(
        "param a = 2\nparam x0 = 3\nparam k = 0.5\nstate x = x0\nx' = -k*x\nobserve y = a*x\n"
    )
    found = fit(tmp_path / "model.ode", {"t": T, "y": 5 * np.exp(-0.6 * T) + 0.05 * np.cos(17 * T)}, output=None)
    band = band_of(found.problem, found.values, found.uncertainty, 0, found.solution)
    x, y = (found.solution.names.index(name) for name in ("x", "y"))
    assert np.isnan(band.low[:, x]).all()
    assert np.isfinite(band.low[:, y]).all()
    assert (band.low[:, y] < found.solution["y"]).all()
