"""What is wrong in a model, its data or a command, said so that it can be mended: the thing, its place, the cure."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from odec.source import Source

# A source line longer than this is shown only around the caret.
WIDEST_LINE = 120
# A file of another kind is wrong in every line.
MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of offsets into a source's text."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        assert 0 <= self.start <= self.stop, (self.start, self.stop)

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of the other."""
        return Span(self.start, max(self.stop, other.stop))


@dataclass(frozen=True)
class Diagnostic:
    """One error or warning. `str()` is the text that the user sees.

    `code` is a key of the catalogue that `odec explain` shows; `span` and `source` are None where there is no place
    in a model file (a missing file, a wrong data column).
    """

    code: str
    message: str
    span: Span | None = None
    source: Source | None = None
    help: str = ""
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        lines = [f"{self.severity}[{self.code}]: {self.message}"]
        if self.source is not None and self.span is not None:
            lines.extend(_excerpt(self.source, self.span))
        elif self.source is not None:
            lines.append(f"  --> {self.source.name}")
        if self.help:
            lines.append(f"help: {self.help}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The same facts for editors (`--json`); line and column count from 1, `end` is behind the last character."""
        place: dict[str, Any] = {}
        if self.source is not None:
            place["file"] = self.source.name
            if self.span is not None:
                place["line"], place["column"] = self.source.position(self.span.start)
                place["end_line"], place["end_column"] = self.source.position(self.span.stop)
        return {"severity": self.severity, "code": self.code, "message": self.message, "help": self.help, **place}


class OdecError(Exception):
    """The model, the data or the command is wrong. Holds every diagnostic of one stage; `str()` shows the first."""

    exit_code = 1

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        assert self.diagnostics
        shown = [str(diagnostic) for diagnostic in self.diagnostics[:MOST_SHOWN]]
        if len(self.diagnostics) > MOST_SHOWN:
            shown.append(f"and {len(self.diagnostics) - MOST_SHOWN} more errors; `odec check` shows those of a model")
        super().__init__("\n\n".join(shown))

    @classmethod
    def of(cls, code: str, message: str, help: str = "") -> OdecError:
        """An error that has no place in a model file."""
        return cls([Diagnostic(code, message, help=help)])


def nearest(name: str, candidates: Iterable[str]) -> str:
    """A cure for a name that does not exist: "did you mean `i0` (case differs)?", or "" where nothing is near.

    >>> nearest("I0", ["i0", "v"])
    'did you mean `i0` (case differs)?'
    """
    names = sorted(set(candidates))
    for candidate in names:
        if candidate.casefold() == name.casefold():
            return f"did you mean `{candidate}` (case differs)?"
    # Short names are near one another by chance; half of the letters must agree.
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6 if len(name) > 2 else 0.5)
    return f"did you mean `{close[0]}`?" if close else ""


def _excerpt(source: Source, span: Span) -> list[str]:
    line_number, column = source.position(span.start)
    line = source.line(line_number)
    first = column - 1
    length = max(1, min(span.stop - span.start, len(line) - first))
    shown, first = _window(line, first, length)
    length = max(1, min(length, len(shown) - first))
    margin = " " * len(str(line_number))
    # Tabs stay tabs in front of the caret, so that it stands under its character whatever a tab's width is.
    indent = "".join("\t" if character == "\t" else " " * _width(character) for character in shown[:first])
    carets = "^" * max(1, sum(_width(character) for character in shown[first : first + length]))
    return [
        f"{margin} --> {source.name}:{line_number}:{column}",
        f"{margin} |",
        f"{line_number} | {shown}",
        f"{margin} | {indent}{carets}",
    ]


def _window(line: str, first: int, length: int) -> tuple[str, int]:
    if len(line) <= WIDEST_LINE:
        return line, first
    start = max(0, min(first - WIDEST_LINE // 3, len(line) - WIDEST_LINE))
    stop = start + WIDEST_LINE
    left, right = "… " if start else "", " …" if stop < len(line) else ""
    return left + line[start:stop] + right, first - start + len(left)


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
