"""`odec.solve` without a step: what `auto` chooses, the V cases, and what is said where a run ends early."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from odec.diagnostics import OdecError
from odec.solution import Solution, solve

Run = Callable[..., Solution]

STIFF = "param l = 1e5\nstate x = 1\nx' = -l*(x - cos(t))\n"
DECAY = "state x = 1\nstate y = 1\nx' = -x\ny' = -2*y\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Solves a model that is given as text."""

    def solved(text: str, **options: Any) -> Solution:
        path = tmp_path / "model.ode"
        path.write_text(text, encoding="utf-8")
        return solve(path, **options)

    return solved


def test_a_circuit_at_rest_starts_with_a_stiff_method() -> None:
    """exp(U) - 1 is nothing but rounding while the voltage U is below 1e-16."""
    path = Path(__file__).parent / "models/ring_modulator.ode"
    stiff, explicit = (solve(path, to=2e-8, method=method) for method in ("rodas5p", "tsit5"))
    largest = np.abs(explicit.values).max()
    np.testing.assert_allclose(stiff.values[-1], explicit.values[-1], rtol=1e-4, atol=1e-6 * largest)


def test_auto_says_what_it_chose_and_why(run: Run) -> None:
    plain = run(DECAY, to=2)
    assert (plain.method, plain.why, plain.step, plain.rtol) == ("tsit5", "auto: tsit5", None, 1e-6)
    np.testing.assert_allclose(plain.values[-1], (math.exp(-2), math.exp(-4)), rtol=1e-6)
    # The second run is at a tenth of the tolerance: its estimate is right to the order.
    assert 0 < plain.error < 1e-5 and plain.warnings == ()
    fine = run(DECAY, to=2, rtol=1e-10)
    assert fine.method == "dop853"
    assert fine["x"][-1] == pytest.approx(math.exp(-2), rel=1e-9)


def test_auto_goes_on_with_a_stiff_method(run: Run) -> None:
    stiff = run(STIFF, to=2)
    assert stiff.method == "rodas5p"
    assert stiff.why.startswith("auto: tsit5, then rodas5p: stiff from t = 0.00")
    # The stability of tsit5 ends at h·|λ| = 3.5, |λ| = 1e5.
    assert "(|λ| = 1e+05 allows no step above 3.5e-05)" in stiff.why
    # x = cos(t) + O(1/λ); ten thousand explicit steps were needed.
    assert stiff["x"][-1] == pytest.approx(math.cos(2), abs=2e-5)
    assert stiff.steps < 100


def test_the_model_s_step_is_set_aside_by_a_tolerance(run: Run) -> None:
    text = "state x = 1\nx' = -x\nsolve to 1, step 0.5, method euler\n"
    assert run(text)["x"].tolist() == [1, 0.5, 0.25]
    finer = run(text, rtol=1e-9)
    assert finer.times.tolist() == [0, 0.5, 1] and finer.step is None
    assert finer["x"][-1] == pytest.approx(math.exp(-1), rel=1e-8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rtol": 0}, "rtol is 0"),
        ({"rtol": -1}, "rtol is -1"),
        ({"rtol": 1e-20}, "finer than the numbers themselves"),
        ({"atol": -1e-9}, "atol is -1e-09"),
        ({"atol": {"x": 1e-9}}, "not for `y`"),
        ({"step": 0.1, "rtol": 1e-6}, "leave one of them away"),
        ({"step": 0.1, "method": "auto"}, "leave one of them away"),
        ({"method": "rk4", "atol": 1e-9}, "no absolute tolerance"),
    ],
)
def test_wrong_tolerances(run: Run, options: dict[str, Any], words: str) -> None:
    with pytest.raises(OdecError, match="E0606") as error:
        run(DECAY, to=1, **options)
    assert words in str(error.value)


def test_a_tiny_state_is_solved_as_well_as_a_large_one(run: Run) -> None:
    text = "state x = 1e-12\nstate y = 1\nx' = -x\ny' = -2*y\n"
    assert run(text, to=2)["x"][-1] == pytest.approx(1e-12 * math.exp(-2), rel=1e-6)


# Where the solution, or a formula, ends: at t = 1 but for x' = -1/x, whose x = sqrt(1 - 2t) ends at 0.5.
@pytest.mark.parametrize(
    ("text", "options", "code", "words"),
    [
        ("state x = 1\nx' = x^2\n", {}, "E0601", ["`x` grows without bound near t = 1", "stop before t = 1"]),
        ("state x = 1\nstate y = 0\nx' = -1\ny' = log(x)\n", {}, "E0601", ["`log(x)` is nan", "equation of `y`"]),
        ("state x = 1\nx' = 1/(t - 1)\n", {}, "E0601", ["`1/(t - 1)` is inf, with t - 1 = 0", "near t = 1"]),
        ("state x = 1\nx' = -1/x\n", {}, "E0608", ["at t = 0.5", "`x`", "division by zero"]),
        ("param p = 1\nstate x = log(p)\nx' = -x\n", {"params": {"p": -1}}, "E0601", ["`x` starts at nan"]),
        ("param p = 1\nstate x = 1\nx' = log(p)*x\n", {"params": {"p": -1}}, "E0601", ["`log(p)` is nan, with p = -1"]),
        ("state x = 1\nx' = -1\nobserve y = log(x)\n", {}, "E0601", ["`y` is nan at t = 1.01", "`log(x)` is nan"]),
    ],
    ids=["blow-up", "log", "division", "slope", "start", "param", "output"],
)
def test_a_run_that_ends_early_says_why(
    run: Run, text: str, options: dict[str, Any], code: str, words: list[str]
) -> None:
    with pytest.raises(OdecError, match=code) as error:
        run(text, to=2, **options)
    for word in words:
        assert word in str(error.value)


def test_an_unstable_step_is_told_with_its_state_and_limit(shared: Path, load: Any) -> None:
    # Case V16: |1 + hλ| = 1.5 for c; Euler is stable up to h·|λ| = 2.
    (warning,) = solve(
        load(shared / "cases/V16-negative-concentration/model.ode"), to=1, step=0.1, method="euler"
    ).warnings
    assert warning.code == "W0601"
    assert "h·|λ| = 2.5 is above 2, so that each step multiplies an error in `c` by 1.5" in warning.message
    assert warning.help is not None and warning.help.endswith("or method rodas5p")


def test_cases_that_need_many_steps_or_small_tolerances(shared: Path, load: Any) -> None:
    cases = shared / "cases"
    many = solve(load(cases / "V04-many-steps/model.ode"), times=[10, 200], rtol=1e-8)
    # The case asks for 1e-3 absolute.
    np.testing.assert_allclose(many.values, [(-0.262053579, 5.42162222), (0.426965626, 4.80944434)], atol=1e-3)
    left = solve(load(cases / "V16-negative-concentration/model.ode"), to=5, rtol=1e-6, atol=1e-9)
    assert abs(left["c"][-1]) < 1e-8
    # s follows sqrt(c): an error of atol in a c near 0 is one of sqrt(1e-9) = 3e-5 in the slope of s.
    assert left["s"][-1] == pytest.approx(0.0008286002, rel=1e-3)


def test_conditions_are_found_in_adaptive_runs(shared: Path, load: Any) -> None:
    cases = shared / "cases"
    ball = solve(load(cases / "V11-bouncing-ball/model.ode"), times=[5])
    assert (ball.method, ball["n"][0]) == ("tsit5", 3)
    assert ball["y"][0] == pytest.approx(0.27779712, abs=1e-7)
    neuron = solve(load(cases / "V13-integrate-and-fire/model.ode"), times=[10, 100])
    assert neuron["spikes"].tolist() == [10, 101]
    assert neuron["v"][0] == pytest.approx(0.27912267, rel=1e-5)
