"""Each statement's tree; keywords that are names; comments; lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from syntax_support import errors, infix, statements

from odec.source import Source
from odec.syntax import tree
from odec.syntax.parser import parse


@pytest.mark.parametrize("text", ["x' = 1", "dx/dt = 1", "d/dt(x) = 1", "d / dt ( x ) = 1", "dx / dt = 1"])
def test_spellings_of_a_derivative(text: str) -> None:
    (equation,) = statements(text)
    assert isinstance(equation, tree.Equation)
    assert (equation.target.name, equation.target.order) == ("x", 1)


def test_dx_is_an_assignment_until_the_model_decides() -> None:
    (statement,) = statements("dx = -x")
    assert isinstance(statement, tree.Assignment)
    assert statement.name.name == "dx"


def test_orders_and_slopes() -> None:
    equation, slope = statements("x'' = -x\nstate x' = 0")
    assert equation.target.order == 2
    assert isinstance(slope, tree.State)
    assert slope.name.order == 1


def test_param_clauses_come_in_any_order() -> None:
    for text in ("in [1, 2] log ~ normal(0, 1) per experiment", "per  experiment ~ normal(0, 1) log in [1, 2]"):
        (param,) = statements(f"param k[N, 2] = 0.1 {text}")
        assert param.bounds is not None
        assert param.prior is not None
        assert param.prior.kind.name == "normal"
        assert param.log and param.per_experiment
        assert len(param.shape) == 2


def test_several_names_in_one_statement() -> None:
    first, second = statements("state x, y = 2  # both")
    assert (first.name.name, first.value, first.comment) == ("x", None, "both")
    assert (second.name.name, second.value.value, second.comment) == ("y", 2, "both")


def test_inputs_and_data() -> None:
    u, v, w, sd = statements("input u\ninput v hold\ninput w[3] linear\ndata sd")
    assert [u.interpolation, v.interpolation, w.interpolation] == ["linear", "hold", "linear"]
    assert isinstance(sd, tree.Data)


def test_outputs() -> None:
    plain, computed, noisy = statements("observe x\nobserve y = x + 1\nobserve z ~ normal(x, s)")
    assert plain.value is None and plain.noise is None
    assert infix(computed.value) == "(x + 1)"
    assert noisy.noise.kind.name == "normal"


@pytest.mark.parametrize("head", ["at t = 10, t2", "at 10, t2", "at t=10,t2", "at (10), t2"])
def test_jump_at_times(head: str) -> None:
    (jump,) = statements(f"{head}: x += 5, y' = 2*y'")
    assert [infix(time) for time in jump.times] == ["10", "t2"]
    assert [(str(change.target), change.operator) for change in jump.changes] == [("x", "+="), ("y'", "=")]


def test_repeated_and_conditional_jumps() -> None:
    every, whole, when = statements("every 24 from 0 to 96: x += d\nevery (2): x = 0\nwhen (x > 3) and y < 1: x = 0")
    assert (every.start.value, every.stop.value, whole.start) == (0, 96, None)
    assert infix(when.condition) == "((x > 3) and (y < 1))"


def test_solve_options() -> None:
    (solve,) = statements("solve from 0 to 100, step 0.1, every 1, method euler")
    assert [solve.start.value, solve.stop.value, solve.step.value, solve.every.value] == [0, 100, 0.1, 1]
    assert solve.method.name == "euler"


def test_function_map_size_const() -> None:
    f, step, size, const = statements("f(a, b) = a\nnext x = x/2\nsize N = 4\nconst A[2] = [1, 2]")
    assert [parameter.name for parameter in f.parameters] == ["a", "b"]
    assert [type(item) for item in (step, size, const)] == [tree.Next, tree.Size, tree.Const]


WORDS = [
    "state",
    "param",
    "const",
    "size",
    "input",
    "data",
    "observe",
    "next",
    "at",
    "every",
    "when",
    "solve",
    "from",
    "to",
    "step",
    "method",
    "linear",
    "hold",
    "per",
    "experiment",
]


@pytest.mark.parametrize("word", WORDS)
def test_a_keyword_is_a_name_everywhere_else(word: str) -> None:
    text = (
        f"state {word} = 1; param p{word} = {word}; {word}' = -{word}*2; d{word} = 1\n"
        f"{word} = 3; {word}(a, b) = a; const {word}_count = {word}; next {word} = {word}; size {word} = 3\n"
        f"observe {word}; data {word}; input {word}; at {word}: {word} = {word}; every {word}: {word} = 1\n"
        f"when {word} > 1: {word} = 0; y = {word} + {word}(2) - {word}[0]; {word}=1"
    )
    assert len(statements(text)) == 17
    assert statements(f"solve from {word} to {word}, step {word}, every {word}, method {word}")[0].method.name == word


@pytest.mark.parametrize("name", ["lambda", "class", "self", "None", "S", "dt", "h", "__x__", "π2", "名", "Δx", "é"])
def test_any_word_is_a_name(name: str) -> None:
    assert statements(f"const {name} = 1")[0].name.name == name


def test_names_are_normalised_once() -> None:
    micro, omega, use = statements("const \u00b5 = 1\nconst ω₁ = 2\nx = \u03bc*ω1")
    assert (micro.name.name, omega.name.name) == ("\u03bc", "ω1")
    assert infix(use.value) == "(\u03bc * ω1)"


@pytest.mark.parametrize(
    "word", ["t", "pi", "inf", "and", "or", "not", "for", "in", "exp", "if", "sum", "range", "max"]
)
def test_a_reserved_word_is_named_once(word: str) -> None:
    for text in (f"const {word} = 1\nx' = -{word}*x", f"param {word} = 1", f"f({word}) = 1", f"{word}' = 1"):
        found = errors(text)
        assert found[0].code == "E0201"
        assert f"`{word}` is reserved" in found[0].message
    assert len(errors(f"const {word} = 1")) == 1


def test_comments_describe_and_descriptions_head() -> None:
    head = "\ufeff# plain\n##  A model.\n## Two lines.\n"
    text = head + "state x = 1; # start\nx' = (-x +  # inner\n  1)  # outer\n\n# alone\n## no"
    file = parse(Source.from_text(text))
    assert file.description == "A model.\nTwo lines."
    assert [statement.comment for statement in file.statements] == ["start", "outer"]
    # A `;` that ends no statement is nothing: `odec fmt` leaves it away.
    assert parse(Source.from_text(f";{text[1:]};;")).description == "A model.\nTwo lines."


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_are_one(end: str) -> None:
    text = end.join(["# tank", "param k = 0.5 in [0, 2]", "", "state h = 3\t", "dh = -k*h  # last"])
    assert len(statements(text)) == 3
    (error,) = errors(text + end + "x = 2y")
    assert error.source is not None and error.span is not None
    assert error.source.position(error.span.start) == (6, 5)


def test_a_line_goes_on_in_brackets_and_behind_a_backslash() -> None:
    (joined,) = statements("x = a + \\\n  b*(c\n\n + # why\n d)")
    assert infix(joined.value) == "(a + (b * (c + d)))"


def test_semicolons_separate() -> None:
    assert len(statements("a = 1; b = 2;;\n;c = 3;")) == 3


def test_every_error_of_a_file_is_told_once() -> None:
    found = errors("x' = -(x + 1\ny = 2x\nok = 1\nz = = 1\nparameter k = 2\nw = 3)\n")
    assert [error.code for error in found] == ["E0102", "E0104", "E0101", "E0105", "E0102"]
    lines = [error.source.position(error.span.start)[0] for error in found if error.source and error.span]
    assert lines == [1, 2, 4, 5, 6]


def test_end_of_an_expression_is_on_its_own_line() -> None:
    (error,) = errors("state x = 1\ndx = -k*  # then\nparam k = 1")
    assert error.source is not None and error.span is not None
    assert error.source.position(error.span.start) == (2, 9)


def test_odd_blanks_are_blanks() -> None:
    assert len(statements("state\u00a0x\u2009=\t1\n\u3000x' = -x")) == 2


def test_models_of_the_reference_are_read(shared: Path) -> None:
    files = [path for path in shared.glob("reference/**/*.ode") if "xpp" not in path.parts]
    for path in files:
        parse(Source.from_file(path))
