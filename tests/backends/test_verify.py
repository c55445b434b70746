"""`odec verify`, and SciPy's side of it against what is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from odec.backends import BACKENDS, check_backend, installed
from odec.cli.main import main
from odec.compiler import check
from odec.diagnostics import OdecError
from odec.source import Source
from odec.verify import Difference, drawn, largest
from odec.verify.asked import Asked, Series
from odec.verify.independent import Independent, Unanswered, refusal

# A dose every second hour: x is known between and behind them.
DOSED = "param k = 0.5\nparam x0 = 2\nstate x = x0\ndx = -k*x\nevery 2 from 2 to 5: x += 1\nat 1: x = 3\n"
DRIVEN = "input u linear\n" + DOSED.replace("-k*x", "u - k*x")
TIMES = (0.0, 0.5, 1.0, 3.0, 4.0, 6.0)


def independent(
    text: str, times: tuple[float, ...] = TIMES, series: Series | None = None, **replaced: float
) -> Independent:
    model = check(Source(text, "model.ode"))[0]
    assert not refusal(model)
    return Independent(model, Asked("", times, replaced, {}, 1e-9), series)


def dosed(k: float) -> list[float]:
    """At TIMES, behind jumps."""
    x2 = 3 * np.exp(-k) + 1
    x4 = x2 * np.exp(-2 * k) + 1
    return [2, 2 * np.exp(-k / 2), 3, x2 * np.exp(-k), x4, x4 * np.exp(-2 * k)]


def test_scipy_runs_the_formulas_through_jumps() -> None:
    np.testing.assert_allclose(independent(DOSED).values()[:, 0], dosed(0.5), rtol=1e-10)
    np.testing.assert_allclose(independent(DOSED, k=0.8).values()[:, 0], dosed(0.8), rtol=1e-10)


def test_scipy_takes_differences() -> None:
    """Of order 4 over 1e-3: exact to 1e-12, of runs that are right to 1e-11."""
    exact = (np.array(dosed(0.5 + 1e-6)) - dosed(0.5 - 1e-6)) / 2e-6
    found = independent(DOSED).sensitivities([0, 1])
    np.testing.assert_allclose(found[:, 0, 0], exact, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found[:, 0, 1], [1, np.exp(-0.25), 0, 0, 0, 0], atol=1e-8)


def test_scipy_finds_when_a_condition_turns_true() -> None:
    """A ball with e = 1/2 from 1 with g = 2: it is down at t = 1, at 2, at 2.5; in between it is a parabola."""
    ball = "param e = 0.5\nstate y = 1\nstate v = 0\nstate n = 0\ndy = v\ndv = -2\ndn = 0\n"
    found = independent(ball + "when y < 0: v = -e*v, n += 1\n", (0.0, 0.5, 1.5, 2.25, 2.3)).values()
    exact = [[1, 0, 0], [0.75, -1, 0], [0.25, 0, 1], [0.0625, 0, 2], [0.06, -0.1, 2]]
    np.testing.assert_allclose(found, exact, atol=1e-9)


def test_scipy_gives_up_where_slopes_leap_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("odec.verify.independent.MOST_EVALUATIONS", 1000)
    with pytest.raises(Unanswered, match="after 1000 evaluations"):
        independent("state x = 0.5\ndx = if(x > 0, -1, 1)\n").values()


def test_a_jump_that_moves_with_a_param_has_no_differences_at_its_time() -> None:
    """x = 1, and 3 from the time 2·T on, which an intermediate says."""
    moved = independent("param T = 1.5\nat_T = 2*T\nstate x = 1\ndx = 0\nat at_T: x = 3\n")
    np.testing.assert_array_equal(moved.values()[:, 0], [1, 1, 1, 3, 3, 3])
    np.testing.assert_array_equal(moved.rows_with_derivatives, [True, True, True, False, True, True])


def test_a_condition_that_stays_true_fires_once_for_scipy() -> None:
    """x = t: above 1 from t = 1 on, below it again for a jump at 2, above at 3."""
    counted = "state x = 0\nstate n = 0\ndx = 1\ndn = 0\nwhen x >= 1: n += 1\nat 2: x = 0\n"
    found = independent(counted, (0.5, 1.5, 2.5, 3.5)).values()
    np.testing.assert_allclose(found, [[0, 0], [1, 1], [1 / 2, 1], [1.5, 2]], atol=1e-9)


def test_scipy_reads_inputs() -> None:
    """∫u of a line and of steps, between and beyond the knots."""
    driven = "input u linear\ninput h hold\nstate x = 0\nstate y = 0\ndx = u\ndy = h\n"
    series = Series(np.array([0.0, 1.0, 2.0]), np.array([[0.0, 1], [2, 5], [2, 7]]))
    found = independent(driven, (0.0, 0.5, 1.0, 3.0), series).values()
    np.testing.assert_allclose(found, [[0, 0], [0.25, 0.5], [1, 1], [5, 13]], atol=1e-9)


def test_a_map_and_its_conditions_step_by_step() -> None:
    doubling = "state x = 1\nstate n = 0\nnext x = 2*x\nnext n = n\nwhen x > 5: x = 1, n += 1\nat 1: x = 3\n"
    found = independent(doubling, (0.0, 1.0, 2.0, 3.0)).values()
    np.testing.assert_array_equal(found, [[1, 0], [3, 0], [1, 1], [2, 1]])


def test_scipy_takes_arrays_and_networks() -> None:
    """A map says what each formula gives."""
    text = """size N = 3
param w[N] = [1, 2, 4]
param M[2, N] = 1
state x[N] = range(N)
state y[2] = 0
state z = 0
net g(a, b) = dense(2, tanh), dense(1)
next x = roll(x, 1) + w[0] - if(x > 1, w, 0)
next y = M @ x + [sum(x[1:]), mean(w)]
next z = g(z, x[2])
"""
    replaced = {"M[1,0]": 5.0, "g_0_kernel": 0.5, "g_0_bias": 0.1, "g_1_kernel": 2.0, "g_1_bias": 0.25}
    found = independent(text, (0.0, 1.0), **replaced).values()
    np.testing.assert_allclose(found[0], [0, 1, 2, 0, 0, 0])
    np.testing.assert_allclose(found[1], [3, 1, -2, 3 + 3, 3 + 7 / 3, 2 * 2 * np.tanh(0.5 * 2 + 0.1) + 0.25])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("state x = 1\ndx = -x\nwhen x == 0.5: x = 1\n", "equal"),
        ("net g(x) -> 1\nstate x = 1\ndx = g(x)\n", "`g` is handed over"),
    ],
)
def test_what_scipy_is_not_asked(text: str, why: str) -> None:
    assert why in refusal(check(Source(text, "model.ode"))[0])


def test_differences_are_relative_to_a_column() -> None:
    mine, theirs = np.array([[1.0, 100.0], [2.0, 200.0]]), np.array([[1.0, 100.0], [2.0, 201.0]])
    assert largest(mine, theirs) == pytest.approx(1 / 201)
    assert largest(np.zeros(3), np.zeros(3)) == 0
    assert largest(np.full(2, 1e-9), np.zeros(2), 1.0) == 1e-9
    assert not Difference("", "values", float("nan"), 1.0).passes


def test_the_command_compares_all_that_is_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, table = tmp_path / "driven.ode", tmp_path / "u.csv"
    path.write_text(DRIVEN, encoding="utf-8")
    table.write_text("t,u\n0,1\n1,0.5\n4,2\n", encoding="utf-8")
    assert main(["verify", str(path), "--to", "5", "--set", "k=0.8", "--input", f"u={table}"]) == 0
    said = capsys.readouterr().out
    assert "SciPy and TensorFlow  sensitivities" in said and "DIFFERENT" not in said
    for key, (name, cure) in BACKENDS.items():
        assert f"{name}: not installed ({cure})" in said if not installed(key) else name in said


def test_a_model_that_cannot_run_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "endless.ode"
    path.write_text("state x = 1\ndx = -x\n", encoding="utf-8")
    assert main(["verify", str(path)]) == 1
    assert "E0602" in capsys.readouterr().err


def test_an_unknown_back_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jaxx")
    with pytest.raises(OdecError, match="did you mean `jax`"):
        check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    with pytest.raises(OdecError, match="there are tensorflow, jax, torch"):
        check_backend()
    monkeypatch.setattr("odec.backends.find_spec", lambda name: None)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(OdecError, match="JAX is not installed"):
        check_backend()


def test_the_names_are_those_of_the_seam() -> None:
    from odec.runtime import loops

    assert set(BACKENDS) == set(loops.BACKENDS)


def test_random_guesses_are_drawn_once_for_all() -> None:
    model = check(Source("size N = 2\nparam W[N, 3] = glorot_normal()\nparam k = 1\nstate x = k\ndx = -x\n", "m.ode"))[
        0
    ]
    assert list(drawn(model, {"N": 1})) == ["W[0,0]", "W[0,1]", "W[0,2]"]
    assert drawn(model, {}) == drawn(model, {})
