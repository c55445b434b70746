"""The generated text: readable, the same each time, made of names, numbers and comments, whatever the model holds."""

from __future__ import annotations

import ast
import builtins
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from agreement import compiled

from odec.compiler import compile_source
from odec.source import Source

TESTS = Path(__file__).parent.parent
GOLDEN = TESTS / "golden"
MODELS = sorted(TESTS.glob("models/**/*.ode")) + sorted(TESTS.parent.glob("examples/*/*.ode"))
GOLDENS = {
    "competition": TESTS.parent / "examples/competition/model.ode",
    "definitions": TESTS / "models/definitions.ode",
    "conditions": TESTS / "models/conditions.ode",
    "unsafe_forms": TESTS / "models/unsafe_forms.ode",
    "names": TESTS / "models/names.ode",
    "universal": TESTS.parent / "examples/universal/model.ode",
}


@pytest.mark.parametrize("name", GOLDENS)
def test_the_module_is_the_golden_one(name: str) -> None:
    """After a change of the emitter: `ODEC_REFRESH=1 pytest tests/emit`, then read the diff."""
    text = compile_source(Source.from_file(GOLDENS[name])).text
    path = GOLDEN / f"{name}.py"
    if os.environ.get("ODEC_REFRESH"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", MODELS, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_line_is_wider_than_the_page(path: Path) -> None:
    for line in compile_source(Source.from_file(path)).text.splitlines():
        assert len(line) <= 120 or "description" in line or line.lstrip().startswith("text="), line


def test_ruff_finds_nothing(tmp_path: Path) -> None:
    ruff = Path(sys.executable).parent / "ruff"
    if not ruff.is_file():
        pytest.skip("ruff is not installed")
    for number, path in enumerate(MODELS):
        (tmp_path / f"m{number}.py").write_text(compile_source(Source.from_file(path)).text, encoding="utf-8")
    config = TESTS.parent / "pyproject.toml"
    # The user's own names and forms (`l`, `0 < x`), long descriptions, and `x1, x2 = states` where only one is needed.
    ignored = "E501,E741,N,A001,RUF001,RUF002,RUF003,D,SIM300,RUF059"
    command = [ruff, "check", "--config", config, "--ignore", ignored, "--no-cache", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def _names(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: "/".join(path.parts[-2:]))
def test_every_name_that_is_read_is_assigned_imported_or_an_argument(path: Path) -> None:
    tree = ast.parse(compile_source(Source.from_file(path)).text)
    imported = {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
    for function in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)):
        known = imported | {a.arg for a in function.args.args} | {"staticmethod"}
        for statement in function.body:
            read = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
            assert read <= known, (function.name, read - known)
            known |= {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        written = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        # A state may be called `State`: no function of the module uses the classes.
        hidden = {name for name in written & imported if name[0].islower()}
        assert not hidden, f"{function.name} hides {hidden}"


def test_the_same_text_twice() -> None:
    for path in MODELS:
        assert compile_source(Source.from_file(path)).text == compile_source(Source.from_file(path)).text


# Texts that would run, end a literal or break a line if anything but a literal or comment were made of them.
PLANTED = [
    '"""',
    '"""\nimport os; os.environ["ODEC_PLANTED"] = "1"\n"""',
    "'''",
    '"); planted(); ("',
    "\\",
    '\\"',
    'ends with a quote"',
    '""""',
    "\\N{DIGIT ONE} \\x41 \\u0041 \\t",
    "\\N{no such name}",
    "{planted()} {0} %s %(x)s $planted",
    "a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g\x00h\x07i\x1b[31m",
    "\u202e right to left \u2066",
    "x" * 5_000,
    "words " * 1_000,
    "# coding: rot13",
    "-*- coding: utf-7 -*-",
    "__import__('os').system('false')",
    "type: ignore  # noqa",
    "\ud7ff\ue000\ufffd 𝕏 é́",
]


@pytest.mark.parametrize("text", PLANTED, ids=range(len(PLANTED)))
def test_a_planted_text_stays_a_text(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "planted", lambda *a: pytest.fail("planted text ran"), raising=False)
    line = text.replace("\n", " ").replace("\x00", " ")
    describes = "\n".join(f"## {part}" for part in text.replace("\x00", " ").split("\n"))
    statements = ("state x = 1", "param k = 2", "const c = 3", "y = k*x", "x' = -c*y", "observe z = y")
    source = "\n".join([describes, *(f"{statement} # {line}" for statement in statements)])
    result, layer = compiled(Source.from_text(source, f"a/{line}.ode"))
    assert layer.rhs(0.0, (1.0,), (2.0,), (3.0,)) == (-6.0,)
    assert "ODEC_PLANTED" not in os.environ
    description = layer.description
    for item in (*description.states, *description.params, *description.consts):
        assert item.description == line.strip()
    # One statement for each of a class of known shape: nothing has been added.
    plain, _ = compiled(re.sub("#.*", "", source))
    kinds = [type(node).__name__ for node in ast.parse(result.text).body]
    assert kinds == ["Expr", "ImportFrom", "Expr", "ClassDef"]
    assert [n.name for n in ast.walk(ast.parse(result.text)) if isinstance(n, ast.FunctionDef)] == [
        n.name for n in ast.walk(ast.parse(plain.text)) if isinstance(n, ast.FunctionDef)
    ]


NAMES = [
    "self",
    "lambda",
    "class",
    "def",
    "import",
    "None",
    "True",
    "x",
    "t0",
    "states",
    "params",
    "consts",
    "inputs",
    "data",
    "Layer",
    "State",
    "Param",
    "Const",
    "Output",
    "select",
    "power",
    "w1",
    "w2",
    "dx",
    "dx1",
    "dx_",
    "x_",
    "_x",
    "__x",
    "__init__",
    "__class__",
    "__dict__",
    "maximum",
    "minimum",
    "register",
    "require",
    "Description",
    "Defaults",
    "ops",
    "keras",
    "np",
    "tf",
    "print",
    "eval",
    "exec",
    "len",
    "float",
    "int",
    "staticmethod",
    "type",
    "super",
    "S",
    "E",
    "I",
    "N",
    "O",
    "Q",
    "C",
    "beta",
    "gamma",
    "zeta",
    "lambda_",
    "class_",
    "matmul",
    "total",
    "stacked",
    "counted",
    "roll_",
    "description",
    "rhs",
    "outputs",
    "initial",
    "constants",
    "odec",
    "math",
    "logical_and",
    "absolute",
    "ln_",
    "e",
    "j",
    "state",
    "param",
    "const",
    "observe",
    "step",
    "method",
    "from",
    "to",
    "when",
    "at",
    "every",
    "size",
    "next",
    "hold",
    "linear",
    "normal",
    "lognormal",
    "per",
    "experiment",
    "ω₁",
    "α",
    "Δx",
    "ж",
    "变量",
    "ﬁ",
    "µ",
    "naïve",
    "ª",
    "K",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("role", ["state", "param", "const", "intermediate"])
def test_any_name_may_be_used_for_anything(name: str, role: str) -> None:
    other = {
        "state": "",
        "param": f"param {name} = 5\n",
        "const": f"const {name} = 5\n",
        "intermediate": f"{name} = 5 + 0*q\n",
    }
    state = name if role == "state" else "zz"
    rate = f"max({state}, 1)*(q*{name})^2 + (q*{name})^2*{state}^q + abs(t)"
    text = f"{other[role]}state {state} = 1\nparam q = 2\n{state}' = {rate}"
    if role == "intermediate" and name == "dx":
        pytest.skip("the derivative of x")
    _, layer = compiled(text)
    written = {"state": layer.description.states, "param": layer.description.params, "const": layer.description.consts}
    if role in written:
        assert unicodedata.normalize("NFKC", name) in [item.name for item in written[role]]
    value = 3.0 if role == "state" else 5.0
    x = 3.0
    p = tuple(5.0 if item.name != "q" else 2.0 for item in layer.description.params)
    c = (5.0,) if role == "const" else ()
    wanted = x * (2 * value) ** 2 + (2 * value) ** 2 * x**2 + 0.5
    assert layer.rhs(0.5, (x,), p, c)[0] == pytest.approx(wanted, rel=1e-14)


def test_names_keep_their_spelling_where_python_leaves_it_free() -> None:
    result, _ = compiled(
        "state lambda = 1\nstate lambda_ = 2\nstate S = 3\nlambda' = S\nlambda_' = lambda\nS' = lambda_"
    )
    assert "lambda__, lambda_, S = states" in result.text
    assert 'State("lambda")' in result.text and 'State("lambda_")' in result.text


def test_the_source_line_stands_above_its_equation() -> None:
    text = compiled("state x = 1\nparam k = 2\nrate  =  k*x   # a rate\nx' = -rate")[0].text
    assert "        # rate = k*x\n        rate = k * x\n        # x' = -rate\n        dx = -rate\n" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.1", "0.1"),
        ("1e-300", "1e-300"),
        ("1e22", "1e+22"),
        ("123456789.123456789", "123456789.12345679"),
        ("3", "3"),
        ("1_000", "1000"),
    ],
)
def test_numbers_are_written_so_that_they_read_back(value: str, text: str) -> None:
    assert f"dx = {text} * x\n" in compiled(f"x' = {value}*x")[0].text


def test_the_square_of_a_const_may_overflow() -> None:
    _, layer = compiled("const b = 1e200\nx' = -x/b^2")
    assert layer.rhs(0.0, (1.0,), (), (1e200,)) == (0.0,)
