"""The house layout of a model file: a statement a line, even blanks, aligned columns. It changes no meaning."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from odec.diagnostics import Span
from odec.source import Source
from odec.syntax.parser import parse
from odec.syntax.scanner import scan

_TOKEN = re.compile(
    r"(?P<comment>#[^\n]*)|(?P<join>\\[ \t]*(?=\n|\Z|#))|(?P<newline>\n)"
    r"|(?P<number>(?:[0-9]+(?:_[0-9]+)*\.?(?:[0-9]+(?:_[0-9]+)*)?|\.[0-9]+(?:_[0-9]+)*)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<word>[^\W\d]\w*)|(?P<primes>'+)|(?P<sign>\*\*|->|[<>=!+*/-]=|[^\s\w])"
)
_SPACED = frozenset(["=", "+=", "-=", "*=", "/=", "<", "<=", ">", ">=", "==", "!=", "~", "@", "->"])
_TIGHT = frozenset(["*", "/", "^"])
_OPENING = frozenset("([")
_CLOSING = frozenset(")]")
_WORD_OPERATORS = frozenset(["and", "or", "not", "in"])
_CLAUSE_WORDS = _WORD_OPERATORS | {"from", "to", "step", "every", "at", "when"}
_WITH_CLAUSES = frozenset(["solve", "every", "at", "when"])
_ALIGNED = frozenset(["state", "param", "const", "size"])
_WIDEST_VALUE = 24
_WIDEST_COMMENTED = 72


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    blank_before: bool


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of the result: a statement (`word` is its first), a comment that stands alone, or nothing."""

    text: str
    comment: str = ""
    word: str = ""


def format_text(source: Source) -> str:
    """The file in the house layout. Raises OdecError where it cannot be parsed.

    >>> format_text(Source.from_text("state x=1;x'=- k *x #decay"))
    "state x = 1\\nx' = -k*x  # decay\\n"
    """
    parse(source)
    lines = _aligned_comments(_aligned_values(list(_without_double_blanks(_lines(source)))))
    return "".join((line.text + line.comment).rstrip() + "\n" for line in lines)


def _lines(source: Source) -> Iterator[_Line]:
    scanned = scan(source)
    place = 0
    statement: _Line | None = None
    for piece in scanned.pieces:
        yield from _between(source.text[place : piece.span.start], statement)
        statement = _statement(source, scanned.plain, piece.span)
        place = piece.span.stop
    yield from _between(source.text[place:], statement)


def _between(gap: str, statement: _Line | None) -> Iterator[_Line]:
    """The statement in front of a gap, with its comment, then the gap's own lines."""
    first, *others = gap.split("\n")
    behind = first.strip(" \t;\f\v")
    if statement is not None:
        yield replace(statement, comment=_comment(behind))
    elif behind:
        yield _Line(_comment(behind).strip())
    # What follows the last line end stands in front of the next statement, on its line.
    for line in others[:-1]:
        yield _Line(_comment(line.strip(" \t;\f\v")).strip())
    if others and others[-1].strip(" \t;\f\v"):
        yield _Line(_comment(others[-1].strip(" \t;\f\v")).strip())


def _comment(text: str) -> str:
    start = text.find("#")
    if start < 0:
        return ""
    body = text[start:].lstrip("#")
    marks = text[start : len(text) - len(body)]
    return f"  {marks} {body.strip()}".rstrip()


def _statement(source: Source, plain: str, span: Span) -> _Line:
    tokens = list(_tokens(source, plain, span))
    first = tokens[0].text
    return _Line(_spaced(tokens), word=first)


def _tokens(source: Source, plain: str, span: Span) -> Iterator[_Token]:
    # Comments are blanks in `plain`, and letters of other scripts are letters only there.
    text = "".join(
        own if own in "#\n\\" else known
        for own, known in zip(source.excerpt(span), plain[span.start : span.stop], strict=True)
    )
    end = 0
    for match in _TOKEN.finditer(text):
        if match.start() < end:
            continue
        kind = match.lastgroup or ""
        place = Span(span.start + match.start(), span.start + match.end())
        written = source.excerpt(place)
        if text[match.start()] == "#":
            stop = source.text.find("\n", place.start, span.stop)
            place = Span(place.start, span.stop if stop < 0 else stop)
            kind, written = "comment", _comment(source.excerpt(place)).strip()
        yield _Token(kind, "^" if written == "**" else written, match.start() > end)
        end = place.stop - span.start


def _spaced(tokens: list[_Token]) -> str:
    parts: list[str] = []
    brackets: list[str] = []
    before: _Token | None = None
    unary = False
    in_clauses = tokens[0].text in _WITH_CLAUSES
    for token in tokens:
        if token.kind == "newline":
            parts.append("\n    ")
            continue
        at_line_start = not parts or parts[-1] == "\n    "
        if token.kind in ("comment", "join"):
            parts.append(("" if at_line_start else "  " if token.kind == "comment" else " ") + token.text.rstrip())
            continue
        if not at_line_start and before is not None and _blank(before, token, unary, brackets, in_clauses):
            parts.append(" ")
        parts.append(token.text)
        unary = token.text in "+-" and _expects_value(before, token, in_clauses)
        if token.text in _OPENING:
            brackets.append(_kind_of_bracket(before, token))
        elif token.text in _CLOSING:
            brackets.pop()
        before = token
    return "\n".join(line.rstrip() for line in "".join(parts).split("\n"))


def _blank(before: _Token, token: _Token, unary: bool, brackets: list[str], in_clauses: bool) -> bool:
    """Whether a blank stands between two tokens; `unary` tells that the first is a sign of a number."""
    index = bool(brackets) and brackets[-1] == "index"
    if unary or before.text in _OPENING or token.text in _CLOSING or token.text == "," or token.kind == "primes":
        return False
    if before.text == ",":
        return True
    if ":" in (before.text, token.text):
        return before.text == ":" and not index
    if token.text in _TIGHT or before.text in _TIGHT:
        return before.text in _WORD_OPERATORS
    if token.text in _SPACED or before.text in _SPACED:
        return True
    if token.text in _OPENING:
        return before.text in _WORD_OPERATORS or _is_binary_sign(before, index) or _keeps_blank(before, token)
    if before.text in ("+", "-"):
        return not index
    if token.text in ("+", "-"):
        return not index or before.text in _WORD_OPERATORS
    return True


def _is_binary_sign(token: _Token, index: bool) -> bool:
    return token.text in ("+", "-") and not index


def _keeps_blank(before: _Token, token: _Token) -> bool:
    return before.text in _CLAUSE_WORDS and token.blank_before


def _expects_value(before: _Token | None, token: _Token, in_clauses: bool) -> bool:
    """Whether a sign behind this token belongs to a value, so that it is no sum."""
    if before is None or before.text in _WORD_OPERATORS:
        return True
    if before.kind == "word":
        return in_clauses and before.text in _CLAUSE_WORDS and token.blank_before
    return before.kind == "sign" and before.text not in _CLOSING


def _kind_of_bracket(before: _Token | None, token: _Token) -> str:
    if token.text != "[" or before is None or before.text in _WORD_OPERATORS:
        return token.text
    return "index" if before.kind in ("word", "primes") or before.text in _CLOSING else "["


def _without_double_blanks(lines: Iterator[_Line]) -> Iterator[_Line]:
    waiting: _Line | None = None
    begun = False
    for line in lines:
        if not line.text and not line.comment:
            waiting = line
            continue
        if waiting is not None and begun:
            yield waiting
        waiting = None
        begun = True
        yield line


def _aligned_values(lines: list[_Line]) -> list[_Line]:
    """`=`, and behind it `in`, under one another in neighbouring declarations of one kind."""
    result: list[_Line] = []
    for run in _runs(lines, lambda line: line.word if line.word in _ALIGNED and "\n" not in line.text else ""):
        result.extend(_padded(_padded(run, " = "), " in ["))
    return result


def _aligned_comments(lines: list[_Line]) -> list[_Line]:
    result: list[_Line] = []
    for run in _runs(lines, lambda line: "comment" if line.comment and "\n" not in line.text else ""):
        width = max(len(line.text) for line in run)
        if run[0].comment and len(run) > 1 and width <= _WIDEST_COMMENTED:
            run = [replace(line, text=line.text.ljust(width)) for line in run]
        result.extend(run)
    return result


def _runs(lines: list[_Line], key: Callable[[_Line], str]) -> Iterator[list[_Line]]:
    run: list[_Line] = []
    for line in lines:
        if run and (not key(line) or key(line) != key(run[-1])):
            yield run
            run = []
        run.append(line)
    if run:
        yield run


def _padded(run: list[_Line], sign: str) -> list[_Line]:
    places = [line.text.find(sign) for line in run]
    width = max((place for place in places if place >= 0), default=0)
    if len(run) == 1 or width > _WIDEST_VALUE + 12:
        return run
    return [
        replace(line, text=line.text[:place].ljust(width) + line.text[place:]) if place >= 0 else line
        for line, place in zip(run, places, strict=True)
    ]
