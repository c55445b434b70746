"""Fits whose steps are chosen by their error: `rtol` instead of a step."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

from odec.diagnostics import OdecError
from odec.fit.coarse import FEWEST, quick
from odec.fit.fitting import fit
from odec.fit.setup import Asked, problem_of
from odec.loading import load_model
from odec.solution import solve

LOGISTIC = "param r = 0.5 in [0.01, 5]\nparam K = 8 in [1, 50]\nstate x = 1\ndx = r*x*(1 - x/K)\n"


@pytest.fixture
def logistic(tmp_path: Path) -> Path:
    path = tmp_path / "logistic.ode"
    path.write_text(LOGISTIC, encoding="utf-8")
    return path


def seen() -> dict[str, list[float]]:
    times = np.linspace(0, 12, 9)
    wobble = 0.1 * np.sin(7 * np.arange(9))
    return {"t": times.tolist(), "x": (10 / (1 + 9 * np.exp(-0.9 * times)) + wobble).tolist()}


def test_a_stiff_model_finds_its_method_f13(shared: Path) -> None:
    """The rate is 0.8 to 1 %; an explicit method needs 600,000 steps a run."""
    folder = shared / "cases/F13-stiff-fit"
    found = fit(folder / "model.ode", folder / "data.csv", rtol=1e-7, output=None)
    assert found.solver == "rodas5p" and found.step is None
    assert found.estimates["k1"] == pytest.approx(0.8, rel=0.01)
    assert not found.step_check.too_large


def test_starts_that_are_stiff_where_the_first_guess_is_not_have_the_stiff_method(tmp_path: Path) -> None:
    """A rate of 1 to 1e7 over 20 times its first guess' time scale: above 1e3 an explicit step is held by stability."""
    path = tmp_path / "tied.ode"
    path.write_text("param k = 1 in [1, 1e7] log\nstate x = 1\ndx = -k*(x - cos(t))\n", encoding="utf-8")
    data = {"t": [0, 5, 10, 15, 20], "x": [1.0, 0.3, -0.8, -0.7, 0.4]}
    layer = load_model(path)
    chosen = [problem_of(layer, data, Asked(starts=starts))[0].solver for starts in (1, 20)]
    assert chosen == ["tsit5", "rodas5p"]


def test_what_is_compiled_for_many_points_serves_one(logistic: Path) -> None:
    problem, _ = problem_of(load_model(logistic), seen(), Asked(starts=100))
    values = problem.scale.to_values(problem.scale.draw(100, 1))
    many = problem.runs.with_slopes(values)
    compiled = copy.deepcopy(problem.runs.lengths)
    one = problem.runs.at_cells(values[:1])
    assert problem.runs.lengths == compiled
    np.testing.assert_allclose(one.values[0], many.values[0], rtol=1e-12)
    # The quicker it grows the more steps it takes.
    fast, slow = values[:, 0] > 4, values[:, 0] < 0.5
    assert many.attempts[fast].min() > many.attempts[slow].max() > 0


def test_a_point_far_dearer_than_most_is_no_start(tmp_path: Path) -> None:
    """An oscillation through 10 w radians takes two coarse steps a radian: 27, and 2,547."""
    path = tmp_path / "spring.ode"
    path.write_text("param w = 1 in [0.1, 200] log\nstate x = 1\nstate v = 0\ndx = w*v\ndv = -w*x\n", encoding="utf-8")
    data = {"t": [0, 5, 10], "x": [1.0, 0.3, -0.8]}
    problem, _ = problem_of(load_model(path), data, Asked())
    few, many = (problem.scale.to_search(np.full((FEWEST, 1), w)) for w in (1.0, 120.0))
    mixed = np.concatenate([few[1:], many[:1]])
    for z, finite in ((few, [True] * 8), (many, [True] * 8), (mixed, [True] * 7 + [False])):
        assert np.isfinite(quick(problem, z)(z, np.arange(len(z))).loss).tolist() == finite


def test_the_optimum_is_that_of_the_differential_equation(logistic: Path) -> None:
    """SciPy's least squares on its own solution at 1e-11."""
    data = seen()

    def residuals(values: np.ndarray) -> np.ndarray:
        r, k = values
        run = solve_ivp(lambda _, x: r * x * (1 - x / k), (0, 12), [1], t_eval=data["t"], rtol=1e-11, atol=1e-12)
        return np.asarray(run.y[0] - data["x"])

    oracle = least_squares(residuals, [0.5, 8], xtol=1e-14, ftol=1e-14, gtol=1e-14)
    found = fit(logistic, data, rtol=1e-9, output=None)
    assert found.solver == "tsit5"
    assert found.loss == pytest.approx(2 * oracle.cost, rel=1e-7)
    assert list(found.estimates.values()) == pytest.approx(oracle.x.tolist(), rel=1e-5)


def test_a_loose_tolerance_is_said(logistic: Path) -> None:
    found = fit(logistic, seen(), rtol=0.3, output=None)
    assert found.step_check.too_large
    (warning,) = [w for w in found.warnings if w.code == "W0601"]
    assert "the tolerance is too large" in warning.message and "--rtol" in warning.help


def test_what_is_written_solves_again(logistic: Path, tmp_path: Path) -> None:
    found = fit(logistic, seen(), rtol=1e-8, output=tmp_path / "fit")
    report = json.loads((tmp_path / "fit/fit.json").read_text(encoding="utf-8"))
    assert (report["rtol"], report["step"], report["solver"]) == (1e-8, None, "tsit5")
    again = solve(tmp_path / "fit/fitted.ode", times=seen()["t"], rtol=1e-8)
    residuals = again["x"] - np.array(seen()["x"])
    assert float(residuals @ residuals) == pytest.approx(found.loss, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"rtol": 1e-6, "step": 0.1}, "E0606"),
        ({"rtol": -1.0}, "E0606"),
        ({"rtol": 1e-6, "solver": "rk4"}, "E0606"),
        ({"rtol": 1e-6, "method": "adam"}, "E0702"),
    ],
)
def test_wrong_tolerances_are_said(logistic: Path, options: dict[str, Any], code: str) -> None:
    with pytest.raises(OdecError, match=code):
        fit(logistic, seen(), output=None, **options)


def test_the_time_of_a_switch_is_fitted(tmp_path: Path) -> None:
    path = tmp_path / "step.ode"
    path.write_text("param k = 0.5 in [0.01, 5] log\nparam T = 3 in [0, 8]\nstate x = 1\ndx = -k*x + if(t > T, 1, 0)\n")
    times = np.arange(0, 10.5, 0.5)
    after = np.maximum(times - 4.3, 0)
    data = {"t": times, "x": np.exp(-0.7 * times) + (1 - np.exp(-0.7 * after)) / 0.7}
    assert fit(path, data, output=None).estimates == pytest.approx({"k": 0.7, "T": 4.3}, rel=1e-6)


def test_a_noise_is_known_to_be_nothing_else(tmp_path: Path) -> None:
    """Every other param moves the states: by a slope, a jump, its time, a condition or a switch; or an output."""
    path = tmp_path / "doses.ode"
    path.write_text(
        "param k = 1\nparam d = 3\nparam T = 2\nparam P = 3\nparam top = 5\nparam U = 1\nparam s = 1\nstate x = 1\n"
        "dx = -k*x + if(t > U, 1, 0)\nat T, 2*T: x += d\nevery P from 1 to 9: x += 1\nwhen x > top: x = x/2\n"
        "observe y ~ normal(x, s)\n"
    )
    problem, _ = problem_of(load_model(path), {"t": [1, 2, 3, 4], "y": [1, 2, 3, 2]}, Asked())
    assert problem.runs.moving == frozenset(range(6))
    assert [scale.place for scale in problem.noise_scales] == [6]
    path.write_text(
        "param b = 1\nparam s = 1\nparam r = 1\nparam c = 1\nstate x[2] = 1\ndx = -r*x\nwide = c*x[0]\n"
        "observe y ~ normal(b*x[1], s)\nobserve z ~ normal(x[0], wide)\n"
    )
    problem, _ = problem_of(load_model(path), {"t": [1, 2], "y": [1, 2], "z": [1, 2]}, Asked())
    assert [problem.scale.names[q] for q in sorted(problem.runs.moving)] == ["b", "r", "c"]
    assert [problem.scale.names[scale.place] for scale in problem.noise_scales] == ["s"]
