"""The table of the language's functions, row by row: its value, its derivative, its text."""

from __future__ import annotations

import math
import random

import mpmath
import pytest
import reference
import sympy
from agreement import compiled

from odec.functions import FUNCTIONS, INTERNAL_FUNCTIONS, RESERVED_NAMES, SPECIAL_FUNCTIONS
from odec.source import Source
from odec.syntax import tree
from odec.syntax.parser import parse
from odec.syntax.reserved import why_reserved

ROWS = list(FUNCTIONS.values())
# Where a function has a value; (-3, 3) where it has one everywhere.
DOMAINS = {
    **dict.fromkeys(("log", "ln", "log2", "log10", "sqrt"), (0.05, 5)),
    **dict.fromkeys(("asin", "acos", "atanh"), (-0.95, 0.95)),
    "acosh": (1.05, 5),
}
# What sympy calls it; nothing where sympy has no such function, or none with a derivative that is a number.
SYMPY = {
    **{
        name: getattr(sympy, name)
        for name in ("exp", "log", "sqrt", "erf", "sin", "cos", "tan", "asin", "acos", "atan")
    },
    **{name: getattr(sympy, name) for name in ("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "atan")},
    "ln": sympy.log,
    "log2": lambda x: sympy.log(x, 2),
    "log10": lambda x: sympy.log(x, 10),
    "atan2": sympy.atan2,
    "sigmoid": lambda x: 1 / (1 + sympy.exp(-x)),
    "softplus": lambda x: sympy.log(1 + sympy.exp(x)),
    "abs": lambda x: sympy.sqrt(x**2),
    "relu": lambda x: (x + sympy.sqrt(x**2)) / 2,
}


def _points(name: str, count: int = 2) -> list[tuple[float, ...]]:
    chance = random.Random(name)
    low, high = DOMAINS.get(name, (-3, 3))
    return [tuple(chance.uniform(low, high) for _ in range(count)) for _ in range(20)]


def _arguments(row, point):
    return point[: max(1, len(row.parameters))] if row.most is not None else point


def _derivative(row, place, point):
    """The derivative as the row writes it, read by the parser and the reference."""
    statement = parse(Source.from_text(f"slope = {row.derivatives[place]}")).statements[0]
    assert isinstance(statement, tree.Assignment)
    model = reference.Reference(tree.File("", ()))
    with mpmath.workdps(reference.DIGITS):
        own = {name: mpmath.mpf(value) for name, value in zip(row.parameters, point, strict=True)}
        return float(model.at(numbers=reference.EXACT).number(statement.value, own))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_value_is_that_of_the_reference(row) -> None:
    for point in _points(row.name, 3):
        arguments = _arguments(row, point)
        assert row.value(*arguments) == pytest.approx(
            reference.FLOATS.function(row.name, *arguments), rel=1e-14, abs=1e-300
        )


@pytest.mark.parametrize("row", [row for row in ROWS if row.derivatives], ids=lambda row: row.name)
def test_the_derivative_is_the_slope_of_the_value(row) -> None:
    for point in _points(row.name):
        point = _arguments(row, point)
        for place, at in enumerate(point):

            def along(v, place=place, point=point):
                moved = [mpmath.mpf(a) for a in point]
                moved[place] = v
                return reference.EXACT.function(row.name, *moved)

            wanted, _ = reference.central_difference(along, at)
            assert _derivative(row, place, point) == pytest.approx(wanted, rel=1e-12, abs=1e-20)


@pytest.mark.parametrize("row", [row for row in ROWS if row.name in SYMPY], ids=lambda row: row.name)
def test_the_derivative_is_that_of_sympy(row) -> None:
    symbols = sympy.symbols("u v", real=True)[: len(row.parameters)]
    value = SYMPY[row.name](*symbols)
    for place, symbol in enumerate(symbols):
        slope = sympy.diff(value, symbol)
        for point in _points(row.name):
            point = _arguments(row, point)
            wanted = float(slope.evalf(30, subs=dict(zip(symbols, point, strict=True))))
            assert _derivative(row, place, point) == pytest.approx(wanted, rel=1e-12, abs=1e-20)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_text_of_a_call_is_the_functions_own_name(row) -> None:
    arguments = ["x", "k"][: max(1, len(row.parameters))] if row.most is not None else ["x", "k", "t"]
    result, layer = compiled(f"state x = 0.7\nparam k = 0.6\nx' = {row.name}({', '.join(arguments)})")
    called = {"abs": "absolute", "min": "minimum", "max": "maximum", "ln": "log"}.get(row.name, row.name)
    assert f"dx = {called}({', '.join(arguments)})" in result.text
    point = {"x": 0.7, "k": 0.6, "t": 0.2} if row.name != "acosh" else {"x": 1.7, "k": 0.6, "t": 0.2}
    wanted = row.value(*(point[name] for name in arguments))
    assert layer.rhs(point["t"], (point["x"],), (point["k"],), ())[0] == pytest.approx(wanted, rel=1e-14)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_call_of_literals_is_computed_at_once(row) -> None:
    arguments = _arguments(row, (0.5, 0.25, 0.75)) if row.name != "acosh" else (1.5,)
    result, layer = compiled(f"x' = {row.name}({', '.join(map(str, arguments))}) + 0*x")
    assert layer.rhs(0.0, (1.0,), (), ())[0] == pytest.approx(float(row.value(*arguments)), rel=1e-14)
    assert f"{row.name}(" not in result.text.split("def rhs(")[1].split("return")[0].replace(f"# x' = {row.name}(", "")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_says_all_of_itself(row) -> None:
    assert row.documentation.endswith(".") and row.latex.count("%s") in (1, 2)
    assert row.takes(len(row.parameters)) and not row.takes(0)
    assert row.takes(5) == (row.most is None)


def test_every_function_and_constant_is_reserved() -> None:
    for name in (*FUNCTIONS, *SPECIAL_FUNCTIONS, "t", "pi", "inf", "and", "or", "not", "for", "in"):
        assert name in RESERVED_NAMES and why_reserved(name), name


@pytest.mark.parametrize("row", list(INTERNAL_FUNCTIONS.values()), ids=lambda row: row.name)
@pytest.mark.parametrize("x", [-50.0, -1.0, -0.31, -1e-3, -1e-4, 0.0, 1e-9, 1e-4, 1e-3, 0.29, 2.0, 30.0])
def test_a_safe_form_is_right_everywhere(row, x) -> None:
    import odec.runtime

    if row.name == "log1p":
        x /= 100
    with mpmath.workdps(40):
        y = mpmath.mpf(x)
        value = y / mpmath.expm1(y) if x else mpmath.mpf(1)
        slope = (1 - value) / mpmath.expm1(y) - value if x else mpmath.mpf("-0.5")
        exact = {"x_over_expm1": value, "x_over_expm1_slope": slope, "expm1": mpmath.expm1(y), "log1p": mpmath.log1p(y)}
    wanted = float(exact[row.name])
    assert float(getattr(odec.runtime, row.name)(x)) == pytest.approx(wanted, rel=1e-12)
    # On the compiler's side it is only used to compare forms.
    assert row.value(x) == pytest.approx(wanted, rel=1e-6)
    assert math.isfinite(row.value(x))


@pytest.mark.parametrize("name", ["min", "max"])
def test_one_number_is_its_own_smallest_and_largest(name: str) -> None:
    value = FUNCTIONS[name].value
    assert value(2.5) == 2.5
    assert value(2.5, 1.0, 3.0) == {"min": 1.0, "max": 3.0}[name]
