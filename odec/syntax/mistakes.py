"""What people write by mistake, and what to say: one table is the messages, their documentation, their tests.

Lark says where a statement stops making sense. The first row of `MISTAKES` whose patterns fit the text before
and behind that place says why.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from odec.diagnostics import Diagnostic, Span
from odec.source import Source
from odec.syntax.mistake_table import MISTAKES, Mistake

# So much text around the place of an error decides; a line may have 100,000 characters.
_VIEW = 300
_WIDEST_TOKEN = 40

_TOKEN = re.compile(
    r"[0-9.][0-9._]*(?:[eE][+-]?[0-9]+)?|\w+|'+|\*\*|[<>=!:+*/-]=|=[<>]|<[->]|->|&&|\|\||//|/\*|[^\s]",
)
_SEPARATED = re.compile(r"\s+")

_KEYWORDS = (
    *("state", "param", "const", "size", "input", "data", "observe", "net"),
    *("next", "at", "every", "when", "solve"),
)
_OTHER_WORDS = {
    "par": "param", "parameter": "param", "parameters": "param", "p": "param", "fit": "param", "trainable": "param",
    "var": "state", "variable": "state", "init": "state", "initial": "state", "species": "state", "let": "const",
    "constant": "const", "number": "const", "num": "const", "val": "const", "int": "size", "dim": "size",
    "aux": "observe", "output": "observe", "obs": "observe", "forcing": "input", "event": "when", "map": "next",
    "float": "const", "double": "const", "real": "const",
}  # fmt: skip

_LOOKALIKES = {
    **dict.fromkeys("−–—‐‑‒﹣", "-"), **dict.fromkeys("×·⋅∙∗•", "*"), **dict.fromkeys("÷∕⁄", "/"),
    **dict.fromkeys("′’‘`´ʹ", "'"), **dict.fromkeys("″”“", "''"), "≤": "<=", "≥": ">=", "≠": "!=",
    "∞": "inf", "√": "sqrt(…)", "∧": "and", "∨": "or", "¬": "not", "∈": "in", "…": "...",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Situation:
    """Where a statement stops making sense, and the tokens around that place."""

    before: str
    behind: str
    left: Span
    right: Span


def explain_mistake(source: Source, plain: str, statement: Span, place: int) -> Diagnostic:
    """The one error for a statement that makes no sense from `place` on."""
    situation = _situation(plain, statement, place)
    mistake = next(row for row in MISTAKES if row.fits(situation.before, situation.behind))
    character = source.text[place : place + 1] if place < statement.stop else ""
    if mistake.code == "E0107" and not mistake.message:
        return _meaningless(source, place, character)
    word = _first_word(source.excerpt(statement))
    values = {
        "left": _shown(source.excerpt(situation.left)),
        "right": _shown(source.excerpt(situation.right)),
        "word": word,
        "side": _left_side(source.excerpt(statement)),
        "bare": _differentiated(source.excerpt(statement)),
        "keyword": _cure(word),
    }
    span = _marked(mistake.mark, situation, statement)
    return source.error(mistake.code, mistake.message.format(**values), span, help=mistake.help.format(**values))


def _situation(plain: str, statement: Span, place: int) -> _Situation:
    start = max(statement.start, place - _VIEW)
    tokens = list(_TOKEN.finditer(plain, start, place))
    left = Span(*tokens[-1].span()) if tokens else Span(statement.start, statement.start)
    found = _TOKEN.match(plain, place, min(statement.stop, place + _VIEW))
    right = Span(*found.span()) if found else Span(place, place)
    # The beginning of a long statement is kept, because it tells what kind of statement this is.
    head = plain[statement.start : min(start, statement.start + _VIEW)]
    before = _SEPARATED.sub(" ", head + plain[start:place]).rstrip()
    glued = bool(tokens) and left.stop == place
    behind = plain[place : min(statement.stop, place + _VIEW)]
    return _Situation(before + ("" if glued or not before else " "), behind, left, right)


def _marked(mark: Literal["right", "left", "both", "end", "statement"], situation: _Situation, statement: Span) -> Span:
    if mark == "end":
        return Span(statement.stop, statement.stop)
    if mark == "statement":
        return statement
    if mark == "left":
        return situation.left
    if mark == "both":
        return situation.left.to(situation.right)
    return situation.right


def _shown(text: str) -> str:
    return text if len(text) <= _WIDEST_TOKEN else text[:_WIDEST_TOKEN] + "…"


def _first_word(text: str) -> str:
    found = re.match(r"\w+", text)
    return _shown(found.group()) if found else _shown(text[:1])


def _differentiated(text: str) -> str:
    """`x` of `dx`, `d2x`, `d^2x`."""
    found = re.match(r"d ?(?:(?:\^|\*\*)? ?2)? ?([^\W\d]\w*)", text)
    return _shown(found.group(1)) if found else "x"


def _left_side(text: str) -> str:
    return _shown(_SEPARATED.sub(" ", text[:_VIEW].split("=")[0].rstrip("+-*/:<")).strip())


def _cure(word: str) -> str:
    known = _OTHER_WORDS.get(word.lower())
    if known is None:
        close = difflib.get_close_matches(word.lower(), _KEYWORDS, n=1, cutoff=0.6)
        known = close[0] if close else None
    if known is not None:
        return f"did you mean `{known}`?"
    return "a statement begins with a word such as `state`, `param`, `const`, `observe`, or it is `name = …`"


def _meaningless(source: Source, place: int, character: str) -> Diagnostic:
    number = f"U+{ord(character):04X}"
    shown = f"`{character}`" if character.isascii() else f"`{character}` ({number})"
    if not character.isprintable():
        shown = f"the character {number} ({unicodedata.name(character, 'a control character')})"
    cure = "" if character.isprintable() else "remove it"
    normal = unicodedata.normalize("NFKC", character)
    ascii_spelling = _LOOKALIKES.get(character) or (normal if normal != character and normal.isascii() else "")
    if unicodedata.decomposition(character).startswith("<super>"):
        cure = f"a power is written `^{normal}`"
    elif ascii_spelling:
        cure = f"write `{ascii_spelling}` instead"
    return source.error("E0107", f"{shown} means nothing here", Span(place, place + 1), help=cure)


__all__ = ["MISTAKES", "Mistake", "explain_mistake"]
