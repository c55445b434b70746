"""`odec.solve`: where rows, steps and values come from, and what is said when a run goes wrong."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "runtime" / "models"))

from competition import Competition
from lotka_volterra import LotkaVolterra
from small import Clearance, Cosine, Decay, Epidemic, Forced, Nameless

from odec.diagnostics import OdecError
from odec.solution import solve


@pytest.fixture(scope="module")
def article():
    return solve(Competition)


def _code(error):
    return error.value.diagnostics[0].code


def test_model_s_own_statement_runs_it(article):
    assert article.names == ("x1", "x2", "total")
    assert article.times[[0, 1, 3, -1]].tolist() == [0, 0.1, 0.3, 100]
    assert (article.method, article.step, article.steps) == ("euler", 0.1, 1000)
    assert article.values[0].tolist() == [100, 150, 250]
    np.testing.assert_allclose(article.values[-1], (373.56820, 250.44160, 624.00980), rtol=1e-7)


def test_plain_euler_is_not_warned_about(article):
    assert 0 < article.error < 1e-2
    assert article.warnings == ()


def test_call_comes_before_the_model():
    solution = solve(Competition, to=10, step=0.5, every=2, method="rk4", params={"r1": 0.2}, init={"x1": 50})
    assert solution.times.tolist() == [0, 2, 4, 6, 8, 10]
    assert (solution.method, solution.steps) == ("rk4", 20)
    assert solution["x1"][0] == 50


def test_the_end_is_always_a_row():
    assert solve(Decay, to=1, every=0.3, step=0.1).times.tolist() == [0, 0.3, 0.6, 0.9, 1.0]


def test_a_step_that_does_not_divide_ends_at_the_asked_time():
    # Case V15: four steps of 0.25 between the only two rows.
    assert solve(Decay, times=[1], step=0.3, method="euler").values.tolist() == [[0.75**4]]
    assert solve(Decay, times=[0.3], step=0.1, method="euler").values[0, 0] == pytest.approx(0.729, rel=1e-14)


def test_without_a_step_one_is_found():
    solution = solve(LotkaVolterra, to=20)
    # Case K01 at t = 20, 8 digits; rtol 1e-6 is that of each step.
    np.testing.assert_allclose(solution.values[-1, :2], (70.182202, 45.865325), rtol=1e-6)
    assert solution.error < 1e-5 and solution.warnings == ()
    finer = solve(LotkaVolterra, to=20, rtol=1e-10)
    np.testing.assert_allclose(finer.values[-1, :2], (70.182202, 45.865325), rtol=2e-8)
    assert len(solution.times) == 201


def test_times_in_the_asked_order():
    solution = solve(Forced, start=2, times=[2, 2, 2.5, 7, 7.1, 50, 7], rtol=1e-9)
    np.testing.assert_allclose(
        solution.values[:, 0], [5, 5, 4.3140158, 1.2477899, 1.2178577, 1.5555584, 1.2477899], rtol=5e-8
    )


def test_time_runs_backwards():
    ahead = solve(LotkaVolterra, to=20)
    back = solve(LotkaVolterra, start=20, to=0, init=dict(zip("xy", ahead.values[-1, :2], strict=True)))
    assert back.times[0] == 20 and back.times[-1] == 0
    # There and back, with 200 steps of rtol 1e-6 each.
    np.testing.assert_allclose(back.values[-1, :2], (40, 9), rtol=1e-5)


def test_float32_time_is_exact_after_many_steps():
    # Case V14.
    solution = solve(Cosine, to=10000, step=0.1, every=1000, method="rk4", dtype="float32")
    assert solution.times[-1] == 10000
    assert solution["x"][-1] == pytest.approx(-0.305614389, abs=1e-3)


def test_consts_are_set_like_params():
    assert solve(LotkaVolterra, to=5, params={"c": 0.6})["y"][-1] != solve(LotkaVolterra, to=5)["y"][-1]


def test_unstable_step_is_warned_about_with_one_that_works():
    # Case V16: 1 + h*lambda = -1.5; sqrt of a negative is 0, so nothing is NaN.
    solution = solve(Clearance, to=1, step=0.1, method="euler")
    (warning,) = solution.warnings
    assert warning.code == "W0601" and "step 0.1" in warning.message
    advised = float(warning.help.removeprefix("try step < ").split(",")[0])
    assert solve(Clearance, to=1, step=advised, every=0.1, method="euler").warnings == ()


def test_overflow_names_state_time_and_step():
    # Case V17: RK4 with step 1 leaves at once.
    with pytest.raises(
        OdecError, match=r"`[SI]` is no longer a finite number between t = \d+ and t = \d+ .*rk4, step 1\)"
    ) as error:
        solve(Epidemic, start=3, to=13, step=1, method="rk4")
    assert _code(error) == "E0601"
    advised = float(error.value.diagnostics[0].help.split("step < ")[1].split(",")[0])
    assert np.isfinite(solve(Epidemic, start=3, to=13, step=advised, every=1, method="rk4").values).all()


def test_a_step_is_found_where_the_usual_one_fails():
    solution = solve(Epidemic, start=3, to=13, every=1)
    # Case V17: I(4), I(13).
    np.testing.assert_allclose(solution["I"][[1, -1]], (304.30234, 3.3804937), rtol=1e-6)


@pytest.mark.parametrize(
    ("model", "options", "code", "words"),
    [
        (LotkaVolterra, {}, "E0602", "how long to run"),
        (LotkaVolterra, {"to": 1, "params": {"A": 1}}, "E0603", "did you mean `a` .case differs"),
        (LotkaVolterra, {"to": 1, "init": {"z": 1}}, "E0603", "no state `z`"),
        (LotkaVolterra, {"to": 1, "init": {"a": 1}}, "E0603", "`a` is a param: `--set a=1`"),
        (LotkaVolterra, {"to": 1, "params": {"x": 1}}, "E0603", "`x` is a state: `--init x=1`"),
        (LotkaVolterra, {"to": 1, "method": "eular"}, "E0408", "did you mean `euler`"),
        (LotkaVolterra, {"start": 2, "times": [1.5, 3, 4]}, "E0604", "time 1.5 lies before the start 2"),
        (LotkaVolterra, {"to": "soon"}, "E0604", "'soon', which is not a number"),
        (LotkaVolterra, {"times": []}, "E0604", "no time"),
        (LotkaVolterra, {"to": 1, "step": 0}, "E0606", "step must be positive"),
        (LotkaVolterra, {"to": 1, "every": -1}, "E0606", "must be positive"),
        (LotkaVolterra, {"to": 1e9, "step": 1e-3}, "E0606", "rows"),
        (LotkaVolterra, {"times": [1e9], "step": 1e-3}, "E0606", "too small"),
        (LotkaVolterra, {"to": 1, "init": {"x": float("nan")}}, "E0606", "`x` is nan"),
        (LotkaVolterra, {"to": 1, "params": {"a": "much"}}, "E0606", "'much', which is not a number"),
        (Nameless, {"to": 1}, "E0606", "`x` has no initial value"),
    ],
)
def test_wrong_requests(model, options, code, words):
    with pytest.raises(OdecError, match=words) as error:
        solve(model, **options)
    assert _code(error) == code


def test_a_run_of_no_length_is_its_start():
    assert solve(LotkaVolterra, to=0).values.tolist() == [[40, 9, 49]]


def test_table_forms(article, tmp_path):
    frame = article.to_frame()
    assert list(frame.columns) == ["t", "x1", "x2", "total"] and len(frame) == 1001
    assert list(article.to_dict()) == ["t", "x1", "x2", "total"]
    article.write_csv(tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines[:2] == ["t,x1,x2,total", "0.0,100.0,150.0,250.0"]
    np.testing.assert_array_equal(np.loadtxt(lines[1:], delimiter=",")[:, 1:], article.values)
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_a_folder_that_does_not_exist(article, tmp_path):
    with pytest.raises(OdecError, match="cannot be written: there is no folder") as error:
        article.write_csv(tmp_path / "none" / "out.csv")
    assert _code(error) == "E0701"


@pytest.mark.parametrize("name", ["out.xlsx", "out.PNG", "out.tsv"])
def test_a_table_is_not_written_under_the_name_of_another_kind_of_file(article, tmp_path, name):
    with pytest.raises(OdecError, match=r"give the file the extension `\.csv`") as error:
        article.write_csv(tmp_path / name)
    assert _code(error) == "E0701"
    assert not (tmp_path / name).exists()


def test_unknown_column(article):
    with pytest.raises(KeyError, match="did you mean `x1`"):
        article["X1"]


@pytest.mark.parametrize(
    ("text", "params", "words"),
    [
        ("const a = 0\nstate x = 1\nx' = 1/a - x\n", {}, "`dx = 1 / a - x`"),
        ("const a = 0\nstate x = 1/a\nx' = -x\n", {}, "1 / a"),
        # What a caller sets is a tensor, and does not raise.
        ("const K = 2\nstate x = 1\nx' = 1/K - x\n", {"K": 0}, "`x` is no longer a finite number"),
    ],
)
def test_a_formula_of_consts_without_a_value_is_said(tmp_path, text, params, words):
    path = tmp_path / "model.ode"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OdecError, match="E0601") as error:
        solve(path, to=1, step=0.5, params=params)
    assert words in str(error.value)
