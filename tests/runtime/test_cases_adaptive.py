"""Cases of `../shared/cases` that an adaptive run has to take, their numbers from the cases' own `expected.txt`; the
gradients of the S cases are those of a stiff method, which asks for every derivative that odec writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import odec
from odec.runtime import simulate, steering
from odec.runtime.adaptive import Adaptive


@pytest.fixture
def case(shared: Path, load: Any) -> Any:
    return lambda name: load(next((shared / "cases").glob(f"{name}-*")) / "model.ode")


def runs(layer: Any, times: Any, start: float = 0.0, rtol: float = 1e-8, **more: Any) -> simulate.Run:
    params = [param.value for param in layer.description.params]
    return simulate.run(layer, Adaptive(start, times, rtol=rtol), **{"method": "tsit5", "params": params, **more})


def slopes(layer: Any, times: Any, rtol: float = 1e-8, **more: Any) -> Any:
    """Values (times, columns) and their derivatives (times, columns, wrt)."""
    params = [param.value for param in layer.description.params]
    found = simulate.sensitivities(layer, Adaptive(0, times, rtol=rtol), method="rodas5p", params=params, **more)
    return found.values[0], found.derivatives[0]


def test_conditions_within_one_step(case: Any) -> None:
    # V12: the third condition holds for 0.02 of a step that could be 10.
    found = odec.solve(case("V12"), times=[10.0], rtol=1e-6)
    assert (found["n"][-1], found["w"][-1]) == (11, 1)


def test_an_end_that_no_step_divides(shared: Path, load: Any) -> None:
    # V15: x' = -x. Asked times are met whatever they are, and a step may be longer than the interval.
    layer = load(next((shared / "cases").glob("V15-*")) / "model.ode")
    np.testing.assert_allclose(runs(layer, [1.0, 0.45, 0.3]).values[0, :, 0], np.exp([-1, -0.45, -0.3]), rtol=1e-7)
    assert odec.solve(layer, to=1.0, step=3.0, method="euler").values[-1, 0] == pytest.approx(0, abs=1e-15)


def test_a_stiff_outbreak(case: Any) -> None:
    # V17: the rate is not divided by the population; S falls to 2e-25.
    found = odec.solve(case("V17"), start=3, times=[4.0, 13.0], rtol=1e-8)
    np.testing.assert_allclose(found["I"], [304.30234, 3.3804937], rtol=1e-6)
    assert np.all(np.abs(found["S"]) < 1e-6)


def test_an_equation_of_second_order(case: Any) -> None:
    # V20.
    found = odec.solve(case("V20"), times=[3.0, 10.0], rtol=1e-9)
    np.testing.assert_allclose(found["x1"], [0.547703523, 0.166994763], rtol=1e-7)


def test_times_in_any_order(case: Any) -> None:
    # V21: from t = 2, some of them twice.
    times = [2, 2, 2.5, 7, 7.1, 50, 7]
    found = runs(case("V21"), times, start=2.0).values[0, :, 0]
    expected = [5, 5, 4.3140158, 1.2477899, 1.2178577, 1.5555584, 1.2477899]
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_each_row_has_events_of_its_own(case: Any) -> None:
    # V22: what starts above the threshold has no rising edge.
    starts = np.array([1, 2, 3.9, 5])
    found = runs(case("V22"), [10.0], initial={"x": starts})
    np.testing.assert_array_equal(found.values[:, 0, 1], [3, 4, 4, 0])
    np.testing.assert_allclose(found.values[:, 0, 0], [2.3189556, 1.1594778, 2.2609817, 742.0658], rtol=1e-6)


def test_the_root_of_what_runs_dry(case: Any) -> None:
    # S04: h = (2 - kt/2)² until 5, then 0; at the end h' has a corner, and 1/sqrt(h) no value.
    values, by_k = slopes(case("S04"), [3.0, 10.0])
    assert values[0, 0] == pytest.approx(0.64, rel=1e-6) and by_k[0, 0, 0] == pytest.approx(-2.4, rel=1e-6)
    assert abs(values[1, 0]) < 1e-3 and abs(by_k[1, 0, 0]) < 1e-3


def test_a_branch_that_is_not_taken_has_no_say(case: Any) -> None:
    # S05: 0/0 in the other branch, at the very start.
    values, by = slopes(case("S05"), [1.0], wrt=["g", "v"])
    assert values[0, 0] == pytest.approx(-43.6356267, rel=1e-7) and np.isfinite(by).all()
    step = 1e-4
    ends = [runs(case("S05"), [1.0], initial={"v": [-40 + s]}).values[0, 0, 0] for s in (step, -step)]
    # The step that starts within 1e-6 of the 0/0 sees the constant there, which a difference steps over.
    assert by[0, 0, 1] == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3)


def test_a_removable_singularity(case: Any) -> None:
    # S06: Hodgkin-Huxley rates without a guard, started on the 0/0.
    values, by = slopes(case("S06"), [5.0])
    assert values[0, list(simulate.default_columns(case("S06"))).index("m")] == pytest.approx(0.10649048, rel=1e-6)
    assert np.isfinite(by).all()


def test_the_other_side_of_a_maximum_has_no_say(case: Any) -> None:
    # S07: sqrt(max(0, x² - z²)), whose inner derivative is infinite where it is not taken.
    values, by = slopes(case("S07"), [1.0])
    assert values[0, 1] == pytest.approx(3.05, rel=1e-9) and by[0, 1, 0] == pytest.approx(1, rel=1e-9)


def test_powers_of_what_is_negative(case: Any) -> None:
    # S09: y = 4 - 8, w = 2^p, dw/dp = 4 log 2.
    values, by = slopes(case("S09"), [1.0])
    np.testing.assert_allclose(values[0], [1, -4, 4], rtol=1e-9)
    assert by[0, 2, 0] == pytest.approx(2.772588722, rel=1e-9)


def test_a_steep_curve_in_single_precision(case: Any) -> None:
    # S14: exp(350) overflows; the derivative is 1e-150.
    values, by = slopes(case("S14"), [4.0], rtol=1e-5, dtype="float32")
    assert values[0, 1] == pytest.approx(0.0270670566, rel=1e-4) and by[0, 1, 0] == 0


def test_a_million_oscillations(load: Any, tmp_path: Path) -> None:
    """2π·10⁶ radians: 10⁷ steps of order 8, two seconds on a quiet machine. Errors of a step of 1e-8 add up to 1e-3."""
    (tmp_path / "fast.ode").write_text("param w = 1\nstate x = 1\nstate v = 0\ndx = w*v\ndv = -w*x\n")
    found = runs(load(tmp_path / "fast.ode"), [1.0], rtol=1e-5, method="dop853", params=[2e6 * np.pi])
    assert found.status == steering.DONE and found.steps > 5e6
    np.testing.assert_allclose(np.hypot(*found.values[0, 0]), 1, atol=0.1)
