"""The LALR parser of one statement, made from `grammars/odec.lark`. Lark is imported here and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parent.parent
# In a wheel the grammar lies inside the package; in a checkout beside it.
_PLACES = (_PACKAGE / "grammars" / "odec.lark", _PACKAGE.parent / "grammars" / "odec.lark")


def grammar_text() -> str:
    """The text of the grammar file."""
    for place in _PLACES:
        if place.is_file():
            return place.read_text(encoding="utf-8")
    raise FileNotFoundError(f"odec is not installed completely: there is no file {_PLACES[0]}")


class StatementParser:
    """Parses one statement at a time; each rule of the grammar calls the method of `builder` that has its name.

    The callbacks run while the text is read, bottom-up, so nothing recurses however deep the text is nested.
    """

    def __init__(self, builder: object) -> None:
        import lark

        self._unexpected = lark.exceptions.UnexpectedInput
        self._parser = lark.Lark(
            grammar_text(), parser="lalr", lexer="contextual", maybe_placeholders=True, transformer=builder
        )

    def parse(self, text: str, start: int, stop: int) -> tuple[Any, int | None]:
        """What the builder made of `text[start:stop]`, and None; or None and the place where it stops making sense.

        Tokens count from `start`: Lark would count the lines of a whole text anew for each of its slices.
        """
        try:
            return self._parser.parse(text[start:stop]), None
        except self._unexpected as error:
            return None, min(stop, start + _place(error, stop - start))


def _place(error: Any, length: int) -> int:
    token = getattr(error, "token", None)
    if token is None:
        return int(error.pos_in_stream)
    return length if token.type == "$END" else int(token.start_pos)
