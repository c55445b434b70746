"""What is said before a fit: true of models whose answer is known, and an exit code that a script can use."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from odec.cli.main import main
from odec.fit.least_squares import Points
from odec.fit.preflight import gradient_error, preflight
from odec.fit.problem import Problem

T = np.linspace(0.5, 4, 8)
LOOSE = """\
param a = 2 in [0.01, 100] log
param b = 1 in [0.01, 100] log
param k = 0.5
const s = 0.1
state x = 1
x' = -k*x
observe y ~ normal(a*b*x, s)
"""


def model(folder: Path, text: str) -> Path:
    path = folder / "model.ode"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return preflight(model(tmp_path_factory.mktemp("loose"), LOOSE), {"t": T, "y": 2 * np.exp(-0.7 * T)})


def test_rank_and_what_is_not_determined_are_said(loose: Any) -> None:
    assert (loose.doubt.rank, len(loose.searched)) == (2, 3)
    assert "only a*b is determined" in loose.text
    assert "2 of 3 directions" in loose.text
    assert loose.can_work
    assert loose.stiff is False


def test_expected_error_is_fishers(loose: Any) -> None:
    # y = a·b·exp(-k t) with sd 0.1 at the first guess: the information on (ab, k) by hand.
    e = np.exp(-0.5 * T)
    slopes = np.stack([e, -2 * T * e], axis=1) / 0.1
    expected = np.sqrt(np.linalg.inv(slopes.T @ slopes)[1, 1]) / 0.5
    assert loose.expected[2] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(loose.expected[:2]).all()


def test_gradient_is_compared_with_finite_differences(loose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert loose.gradient_error < 1e-6
    right = Problem.evaluate

    def wrong(self: Problem, *arguments: Any, **options: Any) -> Points:
        points = right(self, *arguments, **options)
        return replace(points, jacobian=points.jacobian * [1.0, 1.0, 1.1])

    monkeypatch.setattr(Problem, "evaluate", wrong)
    z = loose.problem.scale.to_search(loose.problem.scale.start)
    assert gradient_error(loose.problem, z) > 0.01


def test_fewer_values_than_parameters(tmp_path: Path) -> None:
    found = preflight(model(tmp_path, LOOSE), {"t": [1.0, 2.0], "y": [1.0, 0.5]})
    assert "3 parameters are to be found from 2 values" in found.text
    assert found.can_work


def test_stiff_equations_are_told_with_their_method(tmp_path: Path) -> None:
    text = "param k = 0.04\nconst fast = 100\nstate x = 1\nstate y = 0\nx' = -k*x\ny' = fast*(x - y)\n"
    found = preflight(model(tmp_path, text), {"t": [5.0, 40.0], "x": [0.8, 0.3]}, step=0.02)
    assert found.stiff
    assert "rodas5p" in found.advice


def checked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["check", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_command_says_whether_a_fit_can_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = model(tmp_path, "param k = 2\nstate x = 1\nx' = k*x^2\nsolve step 0.01\n")  # infinite at t = 1/2
    data = tmp_path / "data.csv"
    data.write_text("t,x\n0,1\n1,2\n2,3\n")
    code, out, _ = checked(capsys, path, "--data", data)
    assert code == 1
    assert "E0605" in out
    assert "a fit cannot work" in out
    code, out, _ = checked(capsys, path, "--data", data, "--set", "k=0.1", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["can_work"] is True
    assert found["parameters"] == {"k": 0.1}
    assert found["observations"] == {"x": 3}


@pytest.mark.parametrize(("options", "code", "can"), [((), 1, "a fit cannot work"), (("--step", "0.1"), 0, "W0609")])
def test_derivatives_that_are_no_numbers_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: int, can: str
) -> None:
    # The slope of V^(2/3) is infinite at 0, where the run starts: no step with slopes is short enough. Steps of equal
    # length give values, and a search begins beside a guess without slopes.
    path = model(tmp_path, "param V0 = 0 in [0, 1]\nparam a = 1\nstate V = V0\nV' = a*V^(2/3) + 0.1 - 0.3*V\n")
    data = tmp_path / "data.csv"
    data.write_text("t,V\n1,0.4\n2,1.2\n3,2.4\n")
    found, out, _ = checked(capsys, path, "--data", data, *options)
    assert found == code
    assert "derivatives by the parameters cannot be computed at V0 = 0, a = 1" in out
    assert "that of `V` is not finite at t = 1" in out
    assert can in out


def test_wrong_data_exit_with_1_and_are_json_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = model(tmp_path, LOOSE)
    (tmp_path / "data.csv").write_text("t,z\n0,1\n")
    code, _, err = checked(capsys, path, "--data", tmp_path / "data.csv")
    assert code == 1
    assert "E0501" in err
    code, out, _ = checked(capsys, path, "--data", tmp_path / "data.csv", "--json")
    assert code == 1
    assert json.loads(out)["diagnostics"][0]["code"] == "E0501"


def test_options_of_a_fit_need_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = model(tmp_path, LOOSE)
    assert checked(capsys, path, "--set", "k=1")[0] == 2
    assert checked(capsys, path, path, "--data", "data.csv")[0] == 2
