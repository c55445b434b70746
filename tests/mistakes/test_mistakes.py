"""Each `.ode` file here holds a mistake; the `.txt` beside it is exactly what the user is told.

After a message changed: `ODEC_REFRESH=1 pytest tests/mistakes`, then read the diff.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from odec.compiler import compile_source
from odec.diagnostics import OdecError
from odec.source import Source
from odec.syntax.parser import parse

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.ode"))
UGLY = re.compile(r"__ANON|LPAR|RPAR|LSQB|\$END|_EQUALS|NAME|No terminal|Traceback|U\+FFFD")


def diagnostics(path: Path) -> tuple[Any, ...]:
    """What is wrong in the file: of its syntax, or, where that is right, of its meaning."""
    source = Source.from_text(path.read_text(encoding="utf-8"), path.name)
    try:
        parse(source)
    except OdecError as error:
        return error.diagnostics
    try:
        return compile_source(source).warnings
    except OdecError as error:
        return error.diagnostics


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_mistake_is_told_in_these_words(path: Path) -> None:
    found = diagnostics(path)
    text = "\n\n".join(map(str, found)) + "\n"
    expected = path.with_suffix(".txt")
    if os.environ.get("ODEC_REFRESH"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    assert found[0].code == path.name[:5]
    assert not UGLY.search(text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_one_cause_gives_one_error(path: Path) -> None:
    found = diagnostics(path)
    lines = [item.source.position(item.span.start)[0] for item in found if item.span]
    assert len(set(lines)) == len(lines)
