"""Profiles: their ends against a scan of the closed form, and what they say where there is no end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from odec.fit.fitting import Fit, fit
from odec.fit.profiles import Optimum, Profile, Profiles, profiles, profiles_of

# Bates and Watts's BOD data (their table A1.4).
T = np.array([1.0, 2, 3, 4, 5, 7])
Y = np.array([8.3, 10.3, 19.0, 16.0, 15.6, 19.8])
BOD = "param A = 20 in [1, 1000] log\nparam k = 0.5 in [0.001, 100]\nstate y = 0\ny' = k*(A - y)\n"


def fitted(folder: Path, text: str, data: dict[str, np.ndarray]) -> tuple[Fit, Profiles]:
    (folder / "model.ode").write_text(text)
    found = fit(folder / "model.ode", data, output=None)
    return found, profiles(found)


@pytest.fixture(scope="module")
def bod(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fit, Profiles]:
    return fitted(tmp_path_factory.mktemp("bod"), BOD, {"t": T, "y": Y})


def least(name: str, value: float) -> float:
    """The least sum of squares of A·(1 - exp(-k·t)) with one of the two held."""
    if name == "k":
        e = 1 - np.exp(-value * T)
        return float(np.sum((Y - (e @ Y) / (e @ e) * e) ** 2))
    shape = lambda log: float(np.sum((Y - value * (1 - np.exp(-np.exp(log) * T))) ** 2))  # noqa: E731
    grid = np.linspace(-4, 3, 200)
    best = int(np.argmin([shape(log) for log in grid]))
    return float(minimize_scalar(shape, bounds=(grid[best - 1], grid[best + 1]), options={"xatol": 1e-10}).fun)


@pytest.mark.parametrize(("name", "low", "high"), [("A", 10.0, 80.0), ("k", 0.05, 5.0)])
def test_ends_are_where_the_closed_form_says(bod: tuple[Fit, Profiles], name: str, low: float, high: float) -> None:
    found, both = bod
    profile = both.by_name[name]
    t = 2.776445105  # Student's t, 97.5 %, 4 degrees of freedom
    limit = found.loss * (1 + t * t / 4)
    above: Callable[[float], float] = lambda value: least(name, value) - limit  # noqa: E731
    ends = brentq(above, low, found.estimates[name]), brentq(above, found.estimates[name], high)
    # A straight line between heights 0.995 and 1.005 is off by a ten-thousandth.
    assert profile.interval == pytest.approx(ends, rel=3e-4)
    assert profile.open == ("", "")
    assert not both.found_better


def test_every_point_is_the_best_with_its_coordinate_held(bod: tuple[Fit, Profiles]) -> None:
    found, both = bod
    for i, (name, profile) in enumerate(both.by_name.items()):
        assert np.all(np.diff(profile.values) > 0)
        np.testing.assert_array_equal(profile.paths[:, i], profile.values)
        expected = np.array([least(name, value) for value in profile.values]) - found.loss
        # A search ends where a step would gain a thousandth of the threshold.
        np.testing.assert_allclose(profile.rises, expected, atol=1e-3 * profile.thresholds[0])
        assert np.all(profile.rises > expected - 1e-9 * profile.thresholds[0])


def decay(noise: str) -> tuple[str, dict[str, np.ndarray]]:
    t = np.linspace(0, 4, 12)
    text = f"param k = 0.5 in [0.01, 10] log\n{noise}state x = 1\nx' = -k*x\nobserve y ~ normal(x, s)\n"
    return text, {"t": t, "y": np.exp(-0.7 * t) + 0.05 * np.cos(17 * t)}


def test_estimated_noise_ends_where_chi_squared_says(tmp_path: Path) -> None:
    text, data = decay("param s = 0.1 in [1e-3, 1] log\n")
    found, both = fitted(tmp_path, text, data)
    # n·ŝ²/s² is chi-squared with n - 1 = 11 degrees of freedom: 3.815748 and 21.920049, any table.
    ends = [found.estimates["s"] * np.sqrt(12 / x) for x in (21.920049, 3.815748)]
    assert both.by_name["s"].interval == pytest.approx(ends, rel=3e-4)
    assert found.parameters["s"].interval == pytest.approx(ends, rel=1e-6)
    # The noise's other parameter ends where the sum of squares does: at SSE·(1 + t²/11).
    sse = lambda k: np.sum((data["y"] - np.exp(-k * data["t"])) ** 2)  # noqa: E731
    k, t = found.estimates["k"], 2.200985  # 97.5 %, 11 degrees of freedom
    above = lambda x: sse(x) - sse(k) * (1 + t * t / 11)  # noqa: E731
    assert both.by_name["k"].interval == pytest.approx((brentq(above, 0.3, k), brentq(above, k, 2)), rel=3e-4)


def test_known_noise_needs_no_estimated_variance(tmp_path: Path) -> None:
    text, data = decay("const s = 0.05\n")
    _, both = fitted(tmp_path, text, data)
    profile = both.by_name["k"]
    nll = lambda k: np.sum((data["y"] - np.exp(-k * data["t"])) ** 2) / (2 * 0.05**2)  # noqa: E731
    best = minimize_scalar(nll, bounds=(0.3, 1.5), options={"xatol": 1e-10})
    above = lambda k: nll(k) - best.fun - 1.9207294  # noqa: E731
    assert profile.interval == pytest.approx((brentq(above, 0.3, best.x), brentq(above, best.x, 2)), rel=3e-4)


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Profile]:
    """Only a*b is determined, c lies at its upper bound, and nothing depends on d."""
    text = (
        "param a = 2 in [0.01, 100] log\nparam b = 0.5 in [0.01, 100] log\nparam k = 0.5\nparam c = 0.5 in [0, 1]\n"
        "param d = 1 in [0.1, 3]\nstate y = 1\ny' = a*b*c - k*y + 0*d\n"
    )
    t = np.linspace(0, 8, 20)
    data = {"t": t, "y": 2 - np.exp(-0.5 * t) + 0.05 * np.cos(17 * t)}
    return fitted(tmp_path_factory.mktemp("loose"), text, data)[1].by_name


def test_what_is_not_determined_runs_to_its_bounds(loose: dict[str, Profile]) -> None:
    for name, bounds in (("a", (0.01, 100)), ("b", (0.01, 100)), ("d", (0.1, 3))):
        assert loose[name].interval == pytest.approx(bounds), name
        assert loose[name].open == ("its bound", "its bound")
    assert not loose["k"].is_open


def test_data_met_exactly_tell_nothing(tmp_path: Path) -> None:
    t = np.linspace(0, 2, 5)
    _, both = fitted(tmp_path, "param k = 1\nstate x = 1\nx' = -k*x\n", {"t": t, "x": np.exp(-t)})
    assert both.by_name["k"].open == ("the data tell nothing of their noise",) * 2


def test_lower_loss_on_the_way_is_said(bod: tuple[Fit, Profiles]) -> None:
    found, _ = bod
    problem = found.problem
    z = problem.scale.to_search(found.values * [0.8, 1.3])  # no optimum
    loss = float(problem.loss(problem.scale.to_values(z)[None])[0])
    (both,) = profiles_of(problem, [Optimum.of(problem, z, loss, np.zeros(2), found.uncertainty)])
    assert both.found_better
    # The way leads over the optimum, or near it.
    assert found.loss <= both.best_loss < found.loss + 0.2 * (loss - found.loss)
    assert both.best == pytest.approx(found.values, rel=0.1)
