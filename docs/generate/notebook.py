"""The tutorial notebook as a page: its text, code and what the code gave."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

from samples import formula
from tables import block

TUTORIAL = Path(__file__).resolve().parents[1] / "tutorial.ipynb"


def pages() -> str:
    """The whole notebook as Markdown."""
    parts = []
    for number, cell in enumerate(_cells()):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif source.startswith("%%ode"):
            parts.append(block(source, "text"))
        else:
            parts.append(block(source, "python"))
        said = "".join(_text(output["text"]) for output in _streams(cell))
        parts += [block(said, "text")] if said else []
        parts += [_shown(data, number) for data in _data(cell)]
    return "\n\n".join(part for part in parts if part)


def pictures() -> dict[str, bytes]:
    """The notebook's pictures by their paths in the site."""
    return {
        f"pictures/tutorial-{number}.png": base64.b64decode(_text(data["image/png"]))
        for number, cell in enumerate(_cells())
        for data in _data(cell)
        if "image/png" in data
    }


def _cells() -> list[dict[str, Any]]:
    if not TUTORIAL.exists():
        return []
    cells: list[dict[str, Any]] = json.loads(TUTORIAL.read_text(encoding="utf-8"))["cells"]
    return cells


def _data(cell: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (output["data"] for output in cell.get("outputs", ()) if "data" in output)


def _streams(cell: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (output for output in cell.get("outputs", ()) if output.get("name") == "stdout")


def _shown(data: dict[str, Any], number: int) -> str:
    """The richest form that a page without scripts can show."""
    if "image/png" in data:
        return f"![The figure that the code above draws](pictures/tutorial-{number}.png)"
    if "text/html" in data:
        # A fit's report, which is a text.
        return block(unescape(_text(data["text/html"]).removeprefix("<pre>").removesuffix("</pre>")), "text")
    if "text/latex" in data:
        return formula(_text(data["text/latex"]).strip("$"))
    return block(_text(data["text/plain"]), "text")


def _text(lines: str | list[str]) -> str:
    return lines if isinstance(lines, str) else "".join(lines)
