"""The cases of `../shared/cases` that the language alone decides: what is accepted, what is rejected in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from odec.compiler import compile_source
from odec.diagnostics import OdecError
from odec.source import Source

CASES = Path(__file__).resolve().parent.parent.parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases lie beside a checkout, and are not there")

ACCEPTED = {
    "P03-sympy-name-clash": ["model.ode"],
    "P04-keyword-names": ["model.ode"],
    "P05-reserved-word-message": ["model.ode"],
    "P07-implicit-multiplication": ["model.ode"],
    "P08-bom-crlf-eof": ["model.ode", "cr.ode"],
    "P09-syntax-error-messages": ["bad3.ode"],
    "P10-unicode-names": ["model.ode"],
    "P14-case-of-names": ["ok.ode"],
    "P15-d-prefix-ambiguity": ["model.ode"],
    "P16-power-signs": ["model.ode"],
    "P17-duplicate-definition": ["bad4.ode"],
    "P18-conditions": ["model.ode", "bad1.ode", "bad2.ode"],
    "S01-simplify-overflow": ["model.ode"],
    "S02-tanh-overflow": ["model.ode"],
    "S05-piecewise-dead-branch": ["model.ode"],
    "S06-hh-singularity-unguarded": ["model.ode"],
    "S07-max-min-gradient": ["model.ode"],
    "S11-order-free-and-loops": ["model.ode"],
    "S12-large-expression": ["model.ode", "gen200.ode"],
    "G01-generated-name-clash": ["model.ode"],
    "G02-deep-nesting": ["model.ode", "parens.ode"],
    "G03-state-order": ["model.ode"],
}

# file, code, line, column, words that the whole text holds.
REJECTED = [
    ("P05-reserved-word-message/bad1.ode", "E0201", 1, None, ["`exp`", "reserved", "bad1.ode:1"]),
    ("P05-reserved-word-message/bad2.ode", "E0201", 1, None, ["`t`", "reserved"]),
    ("P05-reserved-word-message/bad3.ode", "E0201", 1, None, ["`if`", "reserved"]),
    ("P07-implicit-multiplication/bad1.ode", "E0104", None, None, ["*", "`2`"]),
    ("P07-implicit-multiplication/bad2.ode", "E0212", None, None, ["*", "`k` is a param, not a function"]),
    ("P07-implicit-multiplication/bad3.ode", "E0104", None, None, ["*"]),
    ("P09-syntax-error-messages/bad1.ode", "E0102", 3, 9, ["never closed"]),
    ("P09-syntax-error-messages/bad2.ode", "E0103", 2, None, ["ends too early"]),
    ("P09-syntax-error-messages/bad4.ode", "E0101", 2, None, ["`=` stands twice"]),
    ("P14-case-of-names/model.ode", "E0203", 3, None, ["`I0`", "`i0` (case differs)"]),
    ("P15-d-prefix-ambiguity/bad1.ode", "E0205", None, None, ["`x` has no equation"]),
    ("P15-d-prefix-ambiguity/bad2.ode", "E0207", None, None, ["the derivative of the state `ose`", "a name `dose`"]),
    ("P15-d-prefix-ambiguity/bad3.ode", "E0205", None, None, ["`x` has no equation"]),
    ("P16-power-signs/bad.ode", "E0210", None, None, ["`exp` is a function"]),
    ("P17-duplicate-definition/model.ode", "E0204", 4, None, ["`dx` is defined twice (lines 3 and 4)"]),
    ("P17-duplicate-definition/bad2.ode", "E0202", 2, None, ["as a param and as a state"]),
    ("P17-duplicate-definition/bad3.ode", "E0202", 3, None, ["as a function and as an intermediate"]),
    ("S11-order-free-and-loops/bad.ode", "E0206", 2, None, ["`a` and `b` define each other (lines 2 and 3)"]),
    ("S11-order-free-and-loops/bad2.ode", "E0206", None, None, ["`f` calls itself"]),
]

WARNED = [
    ("P18-conditions/bad3.ode", "W0404", "at t = 3"),
    ("S09-negative-base-power/bad.ode", "W0405", "may be negative"),
]


@pytest.mark.parametrize("file", [f"{case}/{file}" for case, files in ACCEPTED.items() for file in files])
def test_a_case_is_accepted_and_python_takes_its_module(file: str) -> None:
    compile(compile_source(Source.from_file(CASES / file)).text, file, "exec")


@pytest.mark.parametrize(("file", "code", "line", "column", "words"), REJECTED, ids=[row[0] for row in REJECTED])
def test_a_case_is_rejected_once_at_its_place(file: str, code: str, line: int, column: int, words: list[str]) -> None:
    source = Source.from_file(CASES / file)
    with pytest.raises(OdecError) as raised:
        compile_source(source)
    (only,) = raised.value.diagnostics
    assert only.code == code
    place = source.position(only.span.start)
    assert line in (None, place[0]) and column in (None, place[1])
    text = str(only)
    assert all(word in text for word in words), text
    assert "^" in text and not any(word in text for word in ("__ANON", "LPAR", "$END", "No terminal", "Traceback"))


@pytest.mark.parametrize(("file", "code", "words"), WARNED)
def test_a_case_is_warned_of(file: str, code: str, words: str) -> None:
    warnings = compile_source(Source.from_file(CASES / file)).warnings
    assert any(w.code == code and words in str(w) for w in warnings)


def test_the_states_of_a_case_stand_as_declared() -> None:
    model = compile_source(Source.from_file(CASES / "G03-state-order/model.ode")).model
    assert [state.name for state in model.states] == ["z", "A", "m", "B"]


def test_the_same_module_whatever_the_line_ends() -> None:
    texts = [
        compile_source(Source.from_file(CASES / "P08-bom-crlf-eof" / name), "M").text
        for name in ("model.ode", "cr.ode")
    ]
    assert texts[0].replace("model.ode", "cr.ode") == texts[1]


@pytest.mark.parametrize("file", sorted(CASES.glob("../reference/*/*/model.ode")), ids=lambda path: path.parent.name)
def test_every_reference_model_compiles(file: Path) -> None:
    compile(compile_source(Source.from_file(file)).text, file.name, "exec")
