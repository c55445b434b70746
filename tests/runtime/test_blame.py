"""What made a number that is not finite: found, named as the user does, and nothing said where nothing can be."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from odec.loading import load_model
from odec.runtime.blame import Blame, blame

INF, NAN = math.inf, math.nan


@pytest.fixture
def compiled(tmp_path: Path) -> Any:
    """A text's generated class, with its module's own file."""

    def made(text: str) -> Any:
        path = tmp_path / "faulty.ode"
        path.write_text(text, encoding="utf-8")
        return load_model(path)

    return made


def _blamed(model: Any, *states: float, t: float = 0.0, **params: float) -> Blame | None:
    values = [params.get(param.name, param.value) for param in model.description.params]
    consts = model.constants({})
    inputs = [1.0 for _ in model.description.inputs]
    return blame(model, t, states, values, [consts[c.name] for c in model.description.consts], inputs)


HEAD = "state x = 1\nstate y = 1\nparam a = 2\nparam k = 1\nconst c = 0\ninput u\n"


@pytest.mark.parametrize(
    ("formula", "x", "y", "text", "value", "operands"),
    [
        ("y/(a - x)", 2, 3, "y/(a - x)", INF, {"y": 3, "a - x": 0}),
        ("y/(a - x)", 2, 0, "y/(a - x)", NAN, {"y": 0, "a - x": 0}),
        ("1/x - 1/y", 0, 1, "1/x", INF, {"x": 0}),
        ("k*log(x - a)", 1, 1, "log(x - a)", NAN, {"x - a": -1}),
        ("log(x)*y", 0, 1, "log(x)", -INF, {"x": 0}),
        ("exp(a*x)*k", 500, 1, "exp(a*x)", INF, {"a*x": 1000}),
        ("1/(1 + exp(k*x)) - exp(x)^2", 400, 1, "exp(x)^2", INF, {"exp(x)": math.exp(400)}),
        ("x^a", -1, 1, None, None, {}),
        ("x^(a/3)", -1, 1, "x^(a/3)", NAN, {"x": -1, "a/3": 2 / 3}),
        ("y + x^(-1)", 0, 1, "x^(-1)", INF, {"x": 0}),
        ("x*y*1e300", 1e200, 1, "x*y*1e+300", INF, {"x*y": 1e200}),
        ("acos(x)", 2, 1, "acos(x)", NAN, {"x": 2}),
        ("u/mod(x, y)", 4, 2, "u/mod(x, y)", INF, {"u": 1, "mod(x, y)": 0}),
        ("a/c", 1, 1, "a/c", INF, {"a": 2, "c": 0}),
        ("min(x, y)/max(t, 0)", 1, 2, "min(x, y)/max(t, 0)", INF, {"min(x, y)": 1, "max(t, 0)": 0}),
        ("x", NAN, 1, "x", NAN, {}),
        ("x*(c - 2)^0.5", 1, 1, "(c - 2)^0.5", NAN, {"c - 2": -2}),
    ],
)
def test_the_first_part_that_is_not_finite(
    compiled: Any, formula: str, x: float, y: float, text: str | None, value: float, operands: dict[str, float]
) -> None:
    found = _blamed(compiled(f"{HEAD}x' = {formula}\ny' = x*y"), x, y)
    if text is None:
        assert found is None
        return
    assert found is not None
    assert (found.text, found.name, dict(found.operands)) == (text, "x", pytest.approx(operands, rel=1e-15))
    assert found.value == value or (math.isnan(found.value) and math.isnan(value))


@pytest.mark.parametrize(
    ("formula", "x"),
    [
        ("if(x > 0, log(x), 0)", -1),
        ("if(abs(x) < 1e-6, 1, sin(x)/x)", 0),
        ("1/(1 + exp(x))", 1000),
        ("x/(exp(x) - 1)", 0),
        ("1/(1/x)", 0),
        ("sqrt(x) + x^0.5", -1),
        ("min(1, exp(x))", 1000),
    ],
)
def test_what_comes_out_finite_is_not_blamed(compiled: Any, formula: str, x: float) -> None:
    assert _blamed(compiled(f"x' = {formula}"), x) is None


def test_names_are_the_users(compiled: Any) -> None:
    """Names that Python does not allow, intermediates, and what the compiler named for itself written out."""
    model = compiled(
        "state lambda = 1\nstate x = 1\nrate = 1/(lambda*x - 1)\nclass = rate + 1\n"
        "lambda' = -x\nx' = log(sin(x)/x)*(x + class) + log(sin(x)/x)"
    )
    found = _blamed(model, 2.0, 0.5)
    assert found is not None and found.text == "1/(lambda*x - 1)"
    found = _blamed(model, 2.0, 4.0)
    assert found is not None
    assert (found.text, found.name) == ("log(sin(x)/x)", "x")
    found = _blamed(compiled("state lambda = 1\nclass = 1 - lambda\nlambda' = 2/class"), 1.0)
    assert found is not None and str(found) == "`2/class` is inf, with class = 0" and found.name == "lambda"


def test_it_says_where(compiled: Any) -> None:
    found = _blamed(compiled("state v = 1\nstate x = 2\nv' = x\nx' = v/x\nobserve z = log(-v)"), 1.0, 0.0)
    assert found is not None
    assert (found.name, str(found)) == ("x", "`v/x` is inf, with v = 1 and x = 0")
    found = _blamed(compiled("state v = 1\nv' = 1\nobserve z = log(-v)"), 1.0)
    assert found is not None
    assert (found.name, found.text) == ("z", "log(-v)")


def test_a_thousand_lines_are_read(compiled: Any) -> None:
    lines = ["state x = 1", "y0 = log(x)", *(f"y{i} = y{i - 1} + 1" for i in range(1, 1_000)), "x' = y999"]
    found = _blamed(compiled("\n".join(lines)), -1.0)
    assert found is not None and found.text == "log(x)"


def test_arrays_are_passed_over(compiled: Any) -> None:
    model = compiled("state x[2] = 1\nx' = 1/x")
    assert blame(model, 0.0, ([0.0, 1.0],), (), ()) is None


def test_without_a_text_nothing_is_said() -> None:
    model = type(
        "Model", (), {"rhs": staticmethod(math.sin), "description": type("D", (), {"states": (), "outputs": ()})}
    )
    assert blame(model, 0.0, (1.0,), (), ()) is None
