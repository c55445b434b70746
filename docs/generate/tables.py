"""Markdown tables."""

from __future__ import annotations

import re
from collections.abc import Iterable


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; a `|` in a cell, outside of code, is written so that it does not end it."""
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *map(list, rows)]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"(`[^`]*`)|\|", lambda found: found[1] or "\\|", text)


def code(text: str) -> str:
    """A text as code in a line."""
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def block(text: str, kind: str = "") -> str:
    """A text as a block of code."""
    return f"```{kind}\n{text.rstrip()}\n```\n"
