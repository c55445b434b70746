"""The words that a model cannot use as names, and why."""

from __future__ import annotations

from odec.functions import FUNCTIONS

# Words of the language itself; they can be no name and no value.
SIGN_WORDS = {
    "and": "it joins conditions",
    "or": "it joins conditions",
    "not": "it negates a condition",
    "in": "it gives bounds",
    "for": "it is kept for a later version of the language",
}
VALUES = {"t": "it is the time", "pi": "it is the number 3.14159…", "inf": "it is infinity"}
# `if` and the functions of arrays have rules of their own instead of a row in the table.
FUNCTION_WORDS = frozenset(FUNCTIONS) | {"if", "sum", "mean", "dot", "roll", "range"}


def why_reserved(name: str) -> str:
    """Why a model cannot define this name; "" where it can."""
    if name in FUNCTION_WORDS:
        return "it is a built-in function"
    return SIGN_WORDS.get(name) or VALUES.get(name, "")
