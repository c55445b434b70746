"""Which name means what, in which order; and where it does not, the place of the one thing that is wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest

from odec.compiler import check, compile_source
from odec.diagnostics import OdecError
from odec.model.expression import evaluate, postorder
from odec.source import Source


def errors(text: str) -> list[tuple[str, str, str]]:
    """(code, the marked text, message) of every error."""
    source = Source.from_text(text, "m.ode")
    with pytest.raises(OdecError) as raised:
        compile_source(source)
    for found in raised.value.diagnostics:
        assert found.severity == "error" and found.span is not None
        assert not re.search(r"\b[Aa] [aeio]\w", re.sub("`[^`]*`", "…", found.message)), found.message
    return [(d.code, source.excerpt(d.span), d.message) for d in raised.value.diagnostics]


def error(text: str) -> tuple[str, str, int]:
    """(code, the marked text, its line) of the only error."""
    source = Source.from_text(text, "m.ode")
    with pytest.raises(OdecError) as raised:
        compile_source(source)
    (only,) = raised.value.diagnostics
    return only.code, source.excerpt(only.span), source.position(only.span.start)[0]


def states(text: str) -> list[str]:
    return [state.name for state in check(Source.from_text(text))[0].states]


# Order and evidence


def test_states_stand_as_declared_wherever_their_equations_are() -> None:
    assert states("B' = 1\nA' = 2\nstate z = 0\nz' = m\nstate A = 1\nm' = 1\nstate m = 20\nstate B = 300") == [
        "z",
        "A",
        "m",
        "B",
    ]


def test_a_state_declared_behind_its_equation_is_one_state() -> None:
    model, _ = check(Source.from_text("x' = -x\nstate x = 5"))
    assert [s.name for s in model.states] == ["x"] and model.states[0].initial.value == 5


def test_evident_states_stand_behind_the_declared_ones() -> None:
    assert states("q' = -q\nr' = r\nstate x\nx' = q") == ["x", "q", "r"]


@pytest.mark.parametrize("line", ["dx = -x", "x' = -x", "dx/dt = -x", "d/dt(x) = -x"])
def test_a_state_is_evident_from_its_equation(line: str) -> None:
    assert states(line) == ["x"]


def test_a_d_name_that_is_used_is_an_ordinary_name() -> None:
    model, _ = check(Source.from_text("x' = -dose*x\ndose = 5\nd0 = 1\ndelta = d0"))
    assert [d.name for d in model.intermediates] == ["dose", "d0", "delta"]


def test_a_second_order_state_is_two_states() -> None:
    model, _ = check(Source.from_text("state x = 1\nstate x' = 0\nx'' = -x - x'"))
    assert [s.name for s in model.states] == ["x", "x'"]
    assert repr(model.equations[0].value) == "x'"


def test_the_derivative_of_a_state_whose_name_begins_with_d() -> None:
    assert states("state x = 1\nstate dx = 2\nx' = -x\ndx' = -dx") == ["x", "dx"]


def test_names_that_differ_in_case_differ() -> None:
    assert errors("state v = 1\nparam i0 = 2\nv' = I0 - v") == [("E0203", "I0", "`I0` is not defined")]
    assert states("state k = 1\nstate K = 2\nk' = K\nK' = k") == ["k", "K"]


def test_an_argument_hides_a_name_inside_its_function() -> None:
    model, _ = check(Source.from_text("param k = 2\nf(k) = k^2\nx' = f(3) - k*x"))
    assert "9" in repr(model.equations[0].value)


def test_an_initial_value_of_params_and_intermediates() -> None:
    model, _ = check(Source.from_text("param p = 2\nhalf = p/2\nstate x = half + 1\nx' = -x"))
    assert repr(model.states[0].initial) == "add(half, 1)"


# One mistake, one error, at its place


@pytest.mark.parametrize(
    ("text", "code", "marked", "line"),
    [
        ("x' = -k*x", "E0203", "k", 1),
        ("param k = 1\nx' = -kk*x*k", "E0203", "kk", 2),
        ("x' = foo(x)", "E0203", "foo", 1),
        ("param x = 1\nstate x = 2\nx' = -x", "E0202", "x", 2),
        ("const a = 1\nparam a = 1\nx' = -a*x", "E0202", "a", 2),
        ("f(a) = a\nf = 2\nx' = -x*f(1)", "E0202", "f", 2),
        ("a = 1\na = 2\nx' = -a*x", "E0202", "a", 2),
        ("observe y = x\ny = 2*x\nx' = -x", "E0202", "y", 2),
        ("state x = 1\nstate x = 2\nx' = -x", "E0202", "x", 2),
        ("dx = -x\nx' = x", "E0204", "x'", 2),
        ("x' = -x\nx' = x", "E0204", "x'", 2),
        ("x' = -x\nx'' = x", "E0204", "x''", 2),
        ("state ose = 1\ndose = 5\nose' = -ose*dose", "E0207", "dose", 3),
        ("f(a, a) = a\nx' = f(x, 1)", "E0202", "a", 1),
        ("state x = 1\nstate y = 2\nx' = -x", "E0205", "y", 2),
        ("state x\ny' = x", "E0205", "x", 1),
        ("a = b + 1\nb = 0.5*a\nx' = a*x", "E0206", "a", 1),
        ("f(u) = f(u) + 1\nx' = f(x)", "E0206", "f", 1),
        ("a = a + 1\nx' = a*x", "E0206", "a", 1),
        ("const a = b\nconst b = a\nx' = a*x", "E0206", "a", 1),
        ("f(u) = g(u)\ng(u) = f(u)\nx' = f(x)", "E0206", "f", 1),
        ("state ose = 1\ndose = 5\nose' = -ose", "E0207", "dose", 2),
        ("state x = 1\nstate x' = 0\nx' = -x", "E0209", "x'", 2),
        ("state x = 1\nx'' = -x", "E0209", "x''", 2),
        ("param k = 1\nx' = -k'*x", "E0209", "k'", 2),
        ("x' = -x'", "E0209", "x'", 1),
        ("x' = exp*x", "E0210", "exp", 1),
        ("f(a) = a\nx' = f*x", "E0210", "f", 2),
        ("x' = sin(x, 1)", "E0211", "sin(x, 1)", 1),
        ("x' = atan2(x)", "E0211", "atan2(x)", 1),
        ("x' = if(x > 1, 2)", "E0211", "if(x > 1, 2)", 1),
        ("x' = if(x > 1, 2, x > 3, 4)", "E0211", "if(x > 1, 2, x > 3, 4)", 1),
        ("f(a, b) = a + b\nx' = f(x)", "E0211", "f(x)", 2),
        ("x' = max()", "E0211", "max()", 1),
        ("param k = 1\nx' = -k(x + 1)", "E0212", "k", 2),
        ("x' = -x(2)", "E0212", "x", 1),
        ("x' = if(x, 1, 2)", "E0302", "x", 1),
        ("x' = if(x > 1 and x, 1, 2)", "E0302", "x", 1),
        ("x' = not x", "E0302", "x", 1),
        ("f(u) = if(u, 1, 2)\nx' = f(x)", "E0302", "u", 1),
        ("param k = 2 in [0, 1]\nx' = -k*x", "E0401", "2", 1),
        ("param k = 1 in [3, 2]\nx' = -k*x", "E0401", "[3, 2]", 1),
        ("param k = 1 in [1, 1]\nx' = -k*x", "E0401", "[1, 1]", 1),
        ("param k = 1 in [0, 2] log\nx' = -k*x", "E0402", "0", 1),
        ("param k = -1 log\nx' = -k*x", "E0402", "-1", 1),
        ("state x = 1\nstate y = 2*x\nx' = -x\ny' = y", "E0403", "x", 2),
        ("state y = a\na = 2*b\nb = y\ny' = y", "E0403", "a", 1),
        ("state y = t\ny' = y", "E0403", "t", 1),
        ("param k = 1\nconst c = 2*k\nx' = c*x*k", "E0404", "k", 2),
        ("const c = t\nx' = c*x", "E0404", "t", 1),
        ("const c = x\nx' = c*x", "E0404", "x", 1),
        ("a = 2\nconst c = a\nx' = c*x", "E0404", "a", 2),
        ("param k = j\nparam j = 1\nx' = k*j*x", "E0404", "j", 1),
        ("const c = 1/0\nx' = c*x", "E0405", "1/0", 1),
        ("const z = 0\nconst c = 1/z\nx' = c*x", "E0405", "1/z", 2),
        ("x' = log(-1)*x", "E0405", "log(-1)", 1),
        ("x' = x + 1/(2 - 2)", "E0405", "1/(2 - 2)", 1),
        ("x' = 9^9^9*x", "E0405", "9^9^9", 1),
        ("x' = (-8)^(1/3)*x", "E0405", "(-8)^(1/3)", 1),
        ("f(u) = u/0\nx' = f(x)", "E0405", "u/0", 1),
        ("x' = inf*x", "E0405", "inf", 1),
        ("x' = -x\nsolve to 0", "E0409", "solve to 0", 2),
        ("x' = -x\nsolve to 1, step 0", "E0409", "0", 2),
        ("x' = -x\nsolve to x", "E0409", "x", 2),
        ("x' = -x\nsolve to 1\nsolve to 2", "E0202", "solve to 2", 3),
    ],
)
def test_a_mistake_is_one_error_at_its_place(text: str, code: str, marked: str, line: int) -> None:
    assert error(text) == (code, marked, line)


def test_all_mistakes_of_a_file_are_said_at_once_in_the_order_of_the_text() -> None:
    found = errors("x' = -k*x\nparam j = 1\ny' = sin(y, j)\nstate z\nz2 = if(y, 1, 2)\n")
    assert [(code, marked) for code, marked, _ in found] == [
        ("E0203", "k"),
        ("E0211", "sin(y, j)"),
        ("E0205", "z"),
        ("E0302", "y"),
    ]


def test_an_unknown_name_is_said_once() -> None:
    assert len(errors("x' = -k*x + k\ny' = k*y")) == 1


def test_a_name_that_is_wrongly_defined_causes_no_second_error() -> None:
    assert len(errors("const c = 1/0\nconst d = c + 1\nx' = d*x")) == 1
    assert len(errors("a = foo(x)\nb = a + 1\nx' = b")) == 1
    assert len(errors("state x = 1\nparam x = 1\nx' = -x\ny = x*2")) == 1


def test_a_loop_is_said_with_its_members_in_order() -> None:
    (found,) = errors("a = b + 1\nb = 0.5*a\nx' = a*x")
    assert found[2] == "`a` and `b` define each other (lines 1 and 2)"
    (found,) = errors("c = a\na = b\nb = c\nx' = a*x")
    assert found[2] == "`c`, `a` and `b` define each other (lines 1, 2 and 3)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("input u\nparam u = 1\nx' = u*x", "`u` is defined twice, as an input and as a param (lines 1 and 2)"),
        ("a = 1\nparam a = 1\nx' = a*x", "`a` is defined twice, as an intermediate and as a param (lines 1 and 2)"),
        ("observe a = x\nparam a = 1\nx' = a*x", "`a` is defined twice, as an observe and as a param (lines 1 and 2)"),
        ("x' = a(x)\na = 2", "`a` is an intermediate, not a function"),
        ("x' = -x\nx' = x\nx' = 2", "`x'` is defined 3 times (lines 1, 2 and 3)"),
        ("state x\ny' = x", "the state `x` has no equation"),
    ],
)
def test_a_message_is_said_in_these_words(text: str, message: str) -> None:
    assert [found[2] for found in errors(text)] == [message]


# Warnings


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("param k = 1\nx' = -x", ["W0401"]),
        ("param k = 1\nx' = -x\nobserve y = k*x", []),
        ("param k = 1\nstate x = k\nx' = -x", []),
        ("param k = 1\nk2 = k\nx' = -x", []),
        ("x' = -sin(x)/x", ["W0402"]),
        ("state y = 1\nx' = -x\ny' = 0", ["W0403"]),
        ("x' = if(t == 3, 1, 0) - x", ["W0404"]),
        ("const n = 2\nx' = if(n == 2, 1, 0) - x", []),
        ("param n = 2\nx' = (x - 3)^n", ["W0405"]),
        ("x' = (x - 3)^2", []),
        ("const n = 2\nx' = (x - 3)^n", []),
        ("param top = 1\nx' = if(x < top, 1, 0.2)", ["W0406"]),
        ("param top = 1\nx' = if(x < top, top - x, 0)", []),
        ("const v0 = -30\nv' = -v + 2*(v >= v0)", ["W0406"]),
        ("v = 3*x\non = if(v > 0.3 and t > 1, 1, 2)\nx' = -x*on", ["W0406"]),
        ("x' = -x*heaviside(x - 0.3)", ["W0406"]),
        ("x' = -abs(x) + max(x, 3)", []),
        ("x' = if(x > 0, sqrt(x), 0)", []),
        ("x' = if(x > 0, x*log(x), 0) - if(t > 2, 1, 0)", []),
        ("x' = if(abs(x - 2) < 1e-6, 1, sin(x - 2)/(x - 2))", []),
        ("state y = 2\nu = x*y\nx' = -x + if(u > -30, 2 + u, -28)\ny' = 1", []),
        ("param top = 1\nstate low = 1\nlow' = 0\nx' = if(low > 0, 1, 0.2)\nwhen x > top: low = 0", []),
    ],
)
def test_a_warning_is_given_where_it_helps(text: str, codes: list[str]) -> None:
    assert [warning.code for warning in compile_source(Source.from_text(text)).warnings] == codes


def test_conditions_that_take_long_to_look_at_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty conditions on the end of a chain of 1,500 lines that all states are in."""
    from odec.model import leaps

    operations = 0

    def counted(roots: Any, values: Any) -> list[float]:
        nonlocal operations
        operations += sum(1 for _ in postorder(roots))
        return evaluate(roots, values)

    monkeypatch.setattr(leaps, "evaluate", counted)
    count = 40
    text = f"a0 = {' + '.join(f'sin(x{i})' for i in range(count))}\n"
    text += "".join(f"a{i} = a{i - 1}*cos(a{i - 1}) + x{i % count}\n" for i in range(1, 1500))
    text += "".join(f"x{i}' = -x{i}*if(a1499 > {i}, 2, 1)\n" for i in range(count - 1)) + f"x{count - 1}' = -1\n"
    check(Source.from_text(text))
    assert operations <= 300_000
    operations = 0
    assert [warning.code for warning in check(Source.from_text("x' = if(x < 1, 1, 2)"))[1]] == ["W0406"]
    assert 0 < operations <= 300_000
