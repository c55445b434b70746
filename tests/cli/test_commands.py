"""Each command end to end, through the real library."""

from __future__ import annotations

import ast
import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def decay(examples: Path) -> Path:
    """The smallest example: dx = -k*x, x(0) = 3, k = 0.2."""
    return examples / "exponential" / "model.ode"


def rows(text: str) -> list[dict[str, float]]:
    """The rows of a CSV text."""
    return [{name: float(cell) for name, cell in row.items()} for row in csv.DictReader(io.StringIO(text))]


def test_compile_writes_a_module_beside_the_model(odec: Any, decay: Path, tmp_path: Path) -> None:
    model = tmp_path / "decay.ode"
    model.write_bytes(decay.read_bytes())
    result = odec("compile", model)
    assert result.code == 0, result.err
    assert result.out == ""
    assert "class Decay(Layer)" in (tmp_path / "decay.py").read_text(encoding="utf-8")


def test_compile_to_stdout_prints_the_module_and_nothing_else(odec: Any, decay: Path) -> None:
    result = odec("compile", decay, "-o", "-", "--name", "Washout")
    assert result.code == 0, result.err
    classes = [node.name for node in ast.parse(result.out).body if isinstance(node, ast.ClassDef)]
    assert classes == ["Washout"]


@pytest.mark.parametrize("name", ["2fast", "class", "a b", ""])
def test_a_class_name_that_python_does_not_know_is_refused(odec: Any, decay: Path, tmp_path: Path, name: str) -> None:
    result = odec("compile", decay, "-o", tmp_path / "m.py", "--name", name)
    assert result.code == 2
    assert "--name" in result.err
    assert not (tmp_path / "m.py").exists()


def test_a_model_is_never_overwritten_by_its_module(odec: Any, decay: Path, tmp_path: Path) -> None:
    model = tmp_path / "decay.py"
    model.write_bytes(decay.read_bytes())
    assert odec("compile", model).code == 2
    assert odec("compile", model, "-o", tmp_path / ".." / tmp_path.name / "decay.py").code == 2
    assert model.read_bytes() == decay.read_bytes()


def test_check_says_what_is_wrong_in_each_file(odec: Any, decay: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.ode"
    wrong.write_text("param k = 1\nstate x = 1\ndx = -kk*x\n", encoding="utf-8")
    result = odec("check", decay, wrong)
    assert result.code == 1
    assert f"{decay}: ok" in result.err
    assert "`kk` is not defined" in result.err
    assert odec("check", decay).code == 0


def test_check_gives_editors_json(odec: Any, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.ode"
    wrong.write_text("param k = 1\nstate x = 1\ndx = -kk*x - k*x\n", encoding="utf-8")
    result = odec("check", "--json", wrong)
    assert result.code == 1
    [diagnostic] = json.loads(result.out)
    assert (diagnostic["line"], diagnostic["column"], diagnostic["end_column"]) == (3, 7, 9)
    assert diagnostic["severity"] == "error"


@pytest.mark.parametrize(
    ("name", "better"),
    [("my model", "model_my_model.py"), ("2comp", "model_2comp.py"), ("lambda", "model_lambda.py"), ("sir", "")],
)
def test_a_module_that_python_cannot_import_is_noted(odec: Any, tmp_path: Path, name: str, better: str) -> None:
    path = tmp_path / f"{name}.ode"
    path.write_text("x' = -x\n", encoding="utf-8")
    result = odec("compile", path)
    assert result.code == 0
    assert ("cannot import" in result.err) == bool(better)
    assert better in result.err


def test_show_prints_the_model_after_each_pass(odec: Any, decay: Path) -> None:
    from odec.compiler import PASSES

    for name in PASSES:
        result = odec("show", decay, "--after", name)
        assert result.code == 0, result.err
        assert "k" in result.out
    result = odec("show", decay, "--after", "magic")
    assert result.code == 2
    assert next(iter(PASSES)) in result.err


def test_show_latex(odec: Any, decay: Path) -> None:
    result = odec("show", decay, "--latex")
    assert result.code == 0, result.err
    assert "k" in result.out


def test_explain_knows_each_code(odec: Any) -> None:
    from odec.codes import CODES

    for code in CODES:
        assert odec("explain", code).code == 0
    code = next(iter(CODES))
    assert odec("explain", code.lower()).out == odec("explain", code).out
    result = odec("explain", "E9999")
    assert result.code == 2
    assert "E9999" in result.err


def test_solve_prints_the_table_with_the_start_as_first_row(odec: Any, decay: Path) -> None:
    result = odec("solve", decay, "--to", "1", "--every", "0.5")
    assert result.code == 0, result.err
    assert result.out.splitlines()[0] == "t,x"
    table = rows(result.out)
    assert [row["t"] for row in table] == [0, 0.5, 1]
    # RK4 at h = 0.1: the error of exp(-0.2 t) is about (0.02)^4/120 a step.
    assert table[-1]["x"] == pytest.approx(3 * math.exp(-0.2), rel=1e-8)


def test_solve_takes_values_and_writes_files(odec: Any, decay: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "out.csv", tmp_path / "out.png"
    result = odec("solve", decay, "--times", "2,1", "--set", "k=1", "--init", "x=1", "-o", out, "--plot", picture)
    assert result.code == 0, result.err
    assert result.out == ""
    table = rows(out.read_text(encoding="utf-8"))
    assert [row["t"] for row in table] == [2, 1]
    assert table[0]["x"] == pytest.approx(math.exp(-2), rel=1e-5)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_solve_speaks_json(odec: Any, decay: Path) -> None:
    result = odec("solve", decay, "--to", "1", "--every", "1", "--json")
    found = json.loads(result.out)
    assert found["t"] == [0, 1]
    assert found["method"] == "rk4"
    assert list(found["columns"]) == ["x"]


def test_a_fit_writes_its_folder_and_feeds_a_solve(odec: Any, examples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fit"
    model, data = examples / "exponential" / "model.ode", examples / "exponential" / "data.csv"
    result = odec("fit", model, data, "--set", "k=0.5", "-o", folder)
    assert result.code == 0, result.err
    assert "k" in result.out
    report = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
    estimate = report["parameters"]["k"]["estimate"]
    assert report["parameters"]["k"]["start"] == 0.5
    assert report["observations"] == 7
    assert list(folder.glob("*.png"))
    solved = odec("solve", model, "--params", folder / "fit.json", "--times", "0,1,2,3,4,6,8")
    assert solved.code == 0, solved.err
    measured = rows(data.read_text(encoding="utf-8"))
    loss = sum((a["x"] - b["x"]) ** 2 for a, b in zip(rows(solved.out), measured, strict=True))
    assert loss == pytest.approx(report["loss"], rel=1e-6)
    other = odec("solve", model, "--params", folder / "fit.json", "--set", "k=1", "--times", "1")
    assert rows(other.out)[0]["x"] != pytest.approx(3 * math.exp(-estimate), rel=1e-3)


def test_a_fit_of_several_experiments_is_solved_and_exported_with_what_is_chosen(odec: Any, tmp_path: Path) -> None:
    model, data, folder = tmp_path / "m.ode", tmp_path / "d.csv", tmp_path / "fit"
    model.write_text("param k = 0.3 per experiment\nstate x = 2\nx' = -k*x\n", encoding="utf-8")
    rates = {"a": 0.2, "b": 0.5}
    lines = [f"{name},{t},{2 * math.exp(-k * t)!r}" for name, k in rates.items() for t in (1, 2, 3)]
    data.write_text("\n".join(["experiment,t,x", *lines]), encoding="utf-8")
    assert odec("fit", model, data, "-o", folder).code == 0
    asked = ("solve", model, "--params", folder, "--times", "1")
    result = odec(*asked)
    assert result.code == 1
    assert "error[E0603]" in result.err
    assert "`k[a]` = 0.2, `k[b]` = 0.5" in result.err and "`--set k=0.2`" in result.err
    assert rows(odec(*asked, "--set", "k=0.5").out)[0]["x"] == pytest.approx(2 * math.exp(-0.5))
    result = odec("export", folder, "-o", tmp_path / "out")
    assert "a fit of several experiments is no single model" in result.err
    assert f"export `{folder / 'fitted.ode'}`" in result.err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"parameters": 3}', '{"parameters": {"k": {"estimate": "x"}}}'])
def test_estimates_that_are_none_are_refused(odec: Any, decay: Path, tmp_path: Path, text: str) -> None:
    path = tmp_path / "fit.json"
    path.write_text(text, encoding="utf-8")
    result = odec("solve", decay, "--params", path)
    assert result.code == 1
    assert "fit.json" in result.err
    assert "Traceback" not in result.err


def test_fit_speaks_json(odec: Any, examples: Path, tmp_path: Path) -> None:
    folder = examples / "exponential"
    result = odec("fit", folder / "model.ode", folder / "data.csv", "--json", "-o", tmp_path / "fit")
    assert json.loads(result.out)["parameters"]["k"]["estimate"] == pytest.approx(0.35, abs=0.02)


def test_fmt_prints_checks_and_writes(odec: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.ode"
    path.write_text("state x=1#start\ndx=-x\n", encoding="utf-8")
    assert odec("fmt", "--check", path).code == 1
    printed = odec("fmt", path)
    assert printed.code == 0, printed.err
    assert "start" in printed.out
    assert odec("fmt", "--write", path).code == 0
    assert path.read_text(encoding="utf-8") == printed.out
    assert odec("fmt", "--check", path).code == 0


def test_tensorflow_keeps_silent(odec_process: Any, decay: Path) -> None:
    result = odec_process("solve", decay, "--to", "0.1")
    assert result.code == 0, result.err
    # The run's own summary, and nothing else.
    assert len(result.err.splitlines()) == 1 and "estimated error" in result.err


def test_a_run_says_what_the_model_is_warned_of(odec: Any, tmp_path: Path) -> None:
    model = tmp_path / "m.ode"
    model.write_text("param k = 1\nparam idle = 3\nstate x = 1\ndx = -k*x\n", encoding="utf-8")
    result = odec("solve", model, "--to", "1", "--every", "1")
    assert result.code == 0
    assert "warning[W0401]" in result.err
    assert "idle" in result.err
    assert len(rows(result.out)) == 2


def test_a_fit_takes_a_tolerance(odec: Any, tmp_path: Path) -> None:
    model, data = tmp_path / "m.ode", tmp_path / "data.csv"
    model.write_text("param k = 1 in [0, 5]\nstate x = 1\ndx = -k*x\n", encoding="utf-8")
    data.write_text("t,x\n1,0.61\n2,0.37\n3,0.22\n", encoding="utf-8")
    result = odec("fit", model, data, "--rtol", "1e-7", "-o", tmp_path / "fit")
    assert result.code == 0
    assert "rtol 1e-07" in result.out
