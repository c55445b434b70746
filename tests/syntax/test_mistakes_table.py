"""Each row of the table of mistakes explains its own example, and each code its own file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from syntax_support import errors

from odec.codes import CODES, ROWS, Code, explain
from odec.diagnostics import OdecError
from odec.source import Source
from odec.syntax.mistakes import MISTAKES, Mistake

SYNTAX = [row for row in CODES.values() if row.code.startswith("E01") or row.code in ("E0201", "E0210")]
LATER = [row for row in CODES.values() if row.code[1:3] in ("02", "03", "04") or row.code == "E0003"]
MODEL = [row for row in LATER if row not in SYNTAX]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda row: row.example)
def test_a_row_explains_its_example(mistake: Mistake) -> None:
    (error,) = errors(mistake.example)
    assert error.code == mistake.code
    template = re.escape(mistake.message)
    assert re.fullmatch(re.sub(r"\\\{\w+\\\}", ".*", template) or ".*", error.message)


@pytest.mark.parametrize("row", SYNTAX, ids=lambda row: row.code)
def test_the_parser_raises_the_code_of_the_wrong_file_only(row: Code) -> None:
    assert {error.code for error in errors(row.wrong)} == {row.code}
    assert errors(row.right) == ()


@pytest.mark.parametrize("row", MODEL, ids=lambda row: row.code)
def test_the_compiler_raises_the_code_of_the_wrong_file_only(row: Code) -> None:
    assert row.code in _codes(row.wrong)
    assert row.code not in _codes(row.right)
    assert not any(code.startswith("E") for code in _codes(row.right))


def test_a_code_means_one_thing() -> None:
    assert len({row.code for row in ROWS}) == len(ROWS)


def _codes(text: str) -> set[str]:
    from odec.compiler import compile_source

    try:
        return {item.code for item in compile_source(Source.from_text(text)).warnings}
    except OdecError as error:
        return {item.code for item in error.diagnostics}


def test_every_code_in_the_source_is_in_the_catalogue(root: Path) -> None:
    used = set()
    for path in (root / "odec").rglob("*.py"):
        used.update(re.findall(r"\"([EW]0\d{3})\"", path.read_text(encoding="utf-8")))
    assert sorted(used - set(CODES)) == []


@pytest.mark.parametrize("code", sorted(CODES))
def test_a_page_says_what_is_wrong_and_right(code: str) -> None:
    page = explain(code)
    assert page.startswith(f"{code}: ")
    assert "\nwrong:  " in page and "\nright:  " in page
