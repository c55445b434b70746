"""A file's text cut into statements, before any of them is parsed, so that a fault in one does not hide the others."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from odec.diagnostics import Diagnostic, Span
from odec.source import Source

# Brackets deeper than this are a mistake or an attack; each stage may recurse this deep.
DEEPEST = 500

# Stands in `Scan.plain` for a character that has no meaning, but that the grammar's `\\w` would take for a letter.
MEANINGLESS = "\ufffd"

_CLOSING = {"(": ")", "[": "]"}
_OPENING = {")": "(", "]": "["}

_STRUCTURE = re.compile(r"#[^\n]*|\\[ \t]*(?:#[^\n]*)?(?:\n|\Z)|[\n;()\[\]]")
_HIDDEN = re.compile(r"#[^\n]*|\\[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
# A line that begins so can only be a new statement: `=` never stands inside brackets.
_NEW_STATEMENT = re.compile(
    r"[ \t]*(?:(?:state|param|const|size|input|data|observe|next|net)[ \t]+[^\W\d]"
    r"|[^\W\d]\w*[ \t]*(?:'+|\([\w ,]*\)|/[ \t]*dt)?[ \t]*=(?!=)|solve[ \t]+(?:from|to|step|every|method)\b)"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement's place, without blanks and comments around it; `fault` where its brackets do not match."""

    span: Span
    comment: str
    fault: Diagnostic | None = None


@dataclass(frozen=True, slots=True)
class Scan:
    """A file cut into pieces.

    `plain` is the text in which every character stands where it stood, but comments and joined line ends are blanks,
    and the letters of other scripts are ones that the grammar's `\\w` knows.
    """

    plain: str
    pieces: tuple[Piece, ...]
    description: str


def scan(source: Source) -> Scan:
    """The statements of `source`."""
    plain = _plain(source.text)
    return Scan(plain, _Cutter(source, plain).pieces(), _description(source.text))


def _description(text: str) -> str:
    lines = []
    for line in text.split("\n"):
        # A line joined to the next by `\\` is no statement of its own, and a `;` behind nothing ends none.
        line = line.strip().lstrip("\\; \t")
        if line.startswith("##"):
            lines.append(_comment(line))
        elif line and not line.startswith("#"):
            break
    return "\n".join(lines).strip()


def _comment(text: str) -> str:
    return text.lstrip("#").strip()


def _plain(text: str) -> str:
    text = _HIDDEN.sub(lambda match: " " * len(match.group()), text)
    if text.isascii():
        return text
    return text.translate({ord(c): _stand_in(c) for c in set(text) if not c.isascii()})


def _stand_in(character: str) -> str:
    """One character that the grammar reads as it should read this one."""
    category = unicodedata.category(character)
    if category == "Zs":
        return " "
    normal = unicodedata.normalize("NFKC", character)
    if category in ("Mn", "Mc"):
        return "_"
    # Subscripts are part of a name (ω₁ is ω1). A superscript digit would become the same digit, and mean another thing.
    if unicodedata.decomposition(character).startswith("<super>") and not character.isalpha():
        return MEANINGLESS
    if re.fullmatch(r"\w+", normal):
        return normal[0]
    return MEANINGLESS if re.match(r"\w", character) else character


class _Cutter:
    """Walks over the characters that end or join lines, with the open brackets on a stack."""

    def __init__(self, source: Source, plain: str) -> None:
        self.source = source
        self.plain = plain
        self.found: list[tuple[Span, Diagnostic | None]] = []
        self.comments: dict[int, str] = {}
        self.start = 0
        self.open: list[int] = []
        self.fault: Diagnostic | None = None
        self.line_of_last = False

    def pieces(self) -> tuple[Piece, ...]:
        text = self.source.text
        for match in _STRUCTURE.finditer(text):
            character = text[match.start()]
            if character == "#":
                self._on_comment(match.start(), match.group())
            elif character in "([":
                self._on_opening(match.start())
            elif character in ")]":
                self._on_closing(match.start(), character)
            elif character == "\n":
                self._on_newline(match.start())
            elif character == ";":
                self._on_semicolon(match.start())
        self._end(len(text), len(text))
        return tuple(Piece(span, self.comments.get(i, ""), fault) for i, (span, fault) in enumerate(self.found))

    def _on_comment(self, place: int, text: str) -> None:
        if self.open:
            return
        if self.plain[self.start : place].strip():
            self.comments[len(self.found)] = _comment(text)
        elif self.line_of_last:
            self.comments[len(self.found) - 1] = _comment(text)

    def _on_opening(self, place: int) -> None:
        self.open.append(place)
        if len(self.open) > DEEPEST and self.fault is None:
            self.fault = too_deep(self.source, Span(place, place + 1))

    def _on_closing(self, place: int, character: str) -> None:
        opened = self.source.text[self.open[-1]] if self.open else ""
        if opened == _OPENING[character]:
            self.open.pop()
            return
        if self.fault is None:
            self.fault = _unmatched(self.source, place, self.open[-1] if self.open else None)
        if self.open:
            self.open.pop()

    def _on_newline(self, place: int) -> None:
        if self.open and not _NEW_STATEMENT.match(self.plain, place + 1):
            return
        self._end(place, place + 1)
        self.line_of_last = False

    def _on_semicolon(self, place: int) -> None:
        self._end(place, place + 1)

    def _end(self, stop: int, resume: int) -> None:
        """Ends the statement at `stop`; where a bracket is open, only its own line is lost."""
        if self.open and self.fault is None:
            self.fault = _unclosed(self.source, self.open[-1])
        text = self.plain[self.start : stop]
        if text.strip():
            first = self.start + len(text) - len(text.lstrip())
            self.found.append((Span(first, self.start + len(text.rstrip())), self.fault))
            self.line_of_last = True
        self.start = resume
        self.open.clear()
        self.fault = None


def too_deep(source: Source, span: Span) -> Diagnostic:
    """The error for what is nested beyond `DEEPEST`."""
    return source.error(
        "E0106",
        f"this is nested more than {DEEPEST} levels deep",
        span,
        help="name the inner parts: `part = …` on a line of its own",
    )


def _unclosed(source: Source, place: int) -> Diagnostic:
    bracket = source.text[place]
    return source.error(
        "E0102",
        f"this `{bracket}` is never closed",
        Span(place, place + 1),
        help=f"a `{_CLOSING[bracket]}` is missing behind it",
    )


def _unmatched(source: Source, place: int, opened: int | None) -> Diagnostic:
    closing = source.text[place]
    span = Span(place, place + 1)
    if opened is None:
        return source.error(
            "E0102", f"this `{closing}` closes nothing", span, help=f"remove it, or open it with `{_OPENING[closing]}`"
        )
    opening = source.text[opened]
    line, column = source.position(opened)
    return source.error(
        "E0102",
        f"this `{closing}` cannot close the `{opening}` of line {line}, column {column}",
        span,
        help=f"close `{opening}` with `{_CLOSING[opening]}`",
    )
