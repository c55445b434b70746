"""How expressions are grouped, and that size does not matter."""

from __future__ import annotations

import pytest
from syntax_support import errors, expression, infix, statements

from odec.syntax import tree


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        ("a - b - c", "(a - b - c)"),
        ("a/b/c*d", "(a / b / c * d)"),
        ("-x^2", "(-(x^2))"),
        ("2^-1", "(2^(-1))"),
        ("2 ** -3 ^ 2", "(2^(-(3^2)))"),
        ("-a*b", "((-a) * b)"),
        ("a*-b", "(a * (-b))"),
        ("+a", "a"),
        ("a + b*c^d", "(a + (b * (c^d)))"),
        ("(a + b)*c", "((a + b) * c)"),
        ("not a < b and c > d or e == f", "(((not (a < b)) and (c > d)) or (e == f))"),
        ("not not a", "(not (not a))"),
        ("0 < x <= 2", "(0 < x <= 2)"),
        ("W @ x + b", "((W @ x) + b)"),
        ("x[1:N-1]", "x[1:(N - 1)]"),
        ("x[:, -1]", "x[:, (-1)]"),
        ("x'[0]", "x'[0]"),
        ("[[1, 2], [3, 4]]", "[[1, 2], [3, 4]]"),
        ("if(x > 1, a, b)", "if((x > 1), a, b)"),
        ("f()", "f()"),
        ("x'' + x'", "(x'' + x')"),
        ("1_000 + .5 + 1. + 1e-3 + 2.5E+2", "(1000 + 0.5 + 1.0 + 0.001 + 250.0)"),
        ("inhib*and_x + notx", "((inhib * and_x) + notx)"),
    ],
)
def test_grouping(text: str, grouped: str) -> None:
    assert infix(expression(text)) == grouped


def test_span_of_a_name_is_its_own() -> None:
    value = expression("r1*x1 - alpha*x1")
    assert value.terms[1].factors[0].span.start == len("value = r1*x1 - ")


def test_operators_are_plain_text() -> None:
    assert type(expression("a*b").operators[0]) is str


@pytest.mark.parametrize(
    "text",
    [
        "(" * 250 + "1" + ")" * 250,
        "-" * 300 + "1",
        "^".join(["2"] * 300),
        "not " * 300 + "a",
        "".join(f"if(t < {i}, {i}, " for i in range(70)) + "0" + ")" * 70,
        " + ".join(f"a{i}" for i in range(15_000)),
        "*".join(["x"] * 50_000),
    ],
    ids=["brackets", "signs", "powers", "nots", "ifs", "terms", "factors"],
)
def test_long_and_deep_expressions_are_read(text: str) -> None:
    assert isinstance(expression(text), tree.Node)


@pytest.mark.parametrize("text", ["(" * 501 + "1" + ")" * 501, "-" * 600 + "1", "^".join(["2"] * 600), "(" * 100_000])
def test_too_deep_is_one_error(text: str) -> None:
    assert [error.code for error in errors(f"x = {text}")] == ["E0106"]


def test_ten_thousand_statements_are_read() -> None:
    assert len(statements("\n".join(f"x{i}' = -k*x{i}" for i in range(10_000)))) == 10_000


@pytest.mark.parametrize("digits", [309, 5000])
def test_a_huge_number_is_an_error(digits: int) -> None:
    assert [error.code for error in errors("x = " + "9" * digits)] == ["E0108"]
