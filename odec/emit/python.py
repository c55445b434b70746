"""Formulas as Python text, and lines that fit the page."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterable, Iterator, Mapping

from odec.functions import FUNCTIONS, INTERNAL_FUNCTIONS
from odec.model.expression import CONDITIONS, Expression, postorder, symbols

WIDTH = 120

# Functions whose own names are Python's.
_SPELLINGS = {
    "min": "minimum",
    "max": "maximum",
    "abs": "absolute",
    "sum": "total",
    "array": "stacked",
    "range": "counted",
    "spread": "widened",
}
_LOGIC = {"and": "logical_and", "or": "logical_or", "not": "logical_not"}
RUNTIME_FUNCTIONS = frozenset(
    [_SPELLINGS.get(name, name) for name in (*FUNCTIONS, *INTERNAL_FUNCTIONS)]
    + [
        *_LOGIC.values(),
        "power",
        "select",
        "matmul",
        "total",
        "mean",
        "largest",
        "smallest",
        "roll",
        "stacked",
        "counted",
        "whole",
        "widened",
        "filled",
    ]
)
# Names that a generated function uses for itself.
_TAKEN = RUNTIME_FUNCTIONS | frozenset(
    ["t", "states", "params", "consts", "inputs", "data", "state_directions", "param_directions", "register", "require"]
)

_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(5)


class Identifiers:
    """A Python name for each symbol: the user's own where Python and the module leave it free.

    `lambda` becomes `lambda_`, and the slope `x'` becomes `x_slope`.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._used: set[str] = set(_TAKEN)
        self._names: dict[str, str] = {}
        names = tuple(names)
        # A name that needs no change keeps it, wherever it stands.
        plain = [name for name in names if self._is_free(name)]
        for name in (*plain, *names):
            if name not in self._names:
                self._names[name] = self.fresh(_legal(name))

    def _is_free(self, name: str) -> bool:
        return name.isidentifier() and not keyword.iskeyword(name) and name not in _TAKEN

    def __getitem__(self, name: str) -> str:
        return self._names[name]

    def fresh(self, wish: str) -> str:
        """A name that nothing else has."""
        while wish in self._used or keyword.iskeyword(wish):
            wish += "_"
        self._used.add(wish)
        return wish

    def copy(self) -> Identifiers:
        """The same names; what is made fresh here is not known there."""
        twin = Identifiers(())
        twin._used, twin._names = set(self._used), self._names
        return twin


def _legal(name: str) -> str:
    base = name.rstrip("'")
    order = len(name) - len(base)
    suffix = "" if not order else "_slope" if order == 1 else f"_slope{order}"
    if not base.isidentifier():
        base = "n" + "".join(c if f"n{c}".isidentifier() else f"_{ord(c):x}" for c in base)
    return base + suffix


class Printer:
    """Formulas in the names of one function. `used` collects the runtime's functions that the text calls."""

    def __init__(self, names: Mapping[Expression, str], used: set[str]) -> None:
        self.names = dict(names)
        self.used = used

    def text(self, formula: Expression) -> str:
        """The formula as a Python expression."""
        return self._text(formula)[0]

    def _text(self, node: Expression) -> tuple[str, int]:
        """The text, and how tightly its outermost operation binds."""
        match node.head:
            case "number":
                return _literal(node)
            case "symbol":
                return self.names[node], _ATOM
            case "add":
                return self._sum(node), _SUM
            case "multiply":
                return " * ".join(
                    self._at_least(a, _PRODUCT if not i else _SIGN) for i, a in enumerate(node.args)
                ), _PRODUCT
            case "divide":
                return f"{self._at_least(node.args[0], _PRODUCT)} / {self._at_least(node.args[1], _SIGN)}", _PRODUCT
            case "negate":
                # -(a*b) and -a*b are the same number; the second is what one writes.
                return f"-{self._at_least(node.args[0], _PRODUCT)}", _PRODUCT
            case "power":
                return self._power(node)
            case "if":
                return self._call("select", node.args), _ATOM
            case "index":
                items = ", ".join(self._item(item) for item in node.args[1:])
                return f"{self._at_least(node.args[0], _ATOM)}[{items}]", _ATOM
            case "roll":
                self.used.add("roll")
                return f"roll({self.text(node.args[0])}, {self.whole(node.args[1])})", _ATOM
            case "given":
                name, *inputs = map(self.text, node.args)
                return f"{name}({', '.join(inputs)})", _ATOM
            case "range":
                self.used.add("counted")
                return f"counted({self.whole(node.args[0])})", _ATOM
        if node.head in _LOGIC:
            return self._call(_LOGIC[node.head], node.args), _ATOM
        if node.head in CONDITIONS:
            left, right = (self._at_least(argument, _SUM) for argument in node.args)
            return f"{left} {node.head} {right}", _SUM - 1
        return self._call(_SPELLINGS.get(node.head, node.head), node.args), _ATOM

    def _at_least(self, node: Expression, binding: int) -> str:
        text, own = self._text(node)
        return text if own >= binding else f"({text})"

    def _sum(self, node: Expression) -> str:
        text = self._at_least(node.args[0], _SUM)
        for term in node.args[1:]:
            sign, inner = ("-", term.args[0]) if term.head == "negate" else ("+", term)
            if inner.head == "number" and inner.value < 0:  # type: ignore[operator]
                sign, written = "-" if sign == "+" else "+", repr(-inner.value)  # type: ignore[operator]
            else:
                written = self._at_least(inner, _PRODUCT)
            text += f" {sign} {written}"
        return text

    def _item(self, node: Expression) -> str:
        if node.head == "slice":
            return ":".join("" if end.head == "missing" else self.whole(end) for end in node.args)
        return self.whole(node)

    def whole(self, node: Expression) -> str:
        """A formula of sizes as an int: an index, a shift, the length of an axis."""
        if all(_keeps_whole(part) for part in postorder([node])):
            return self.text(node)
        self.used.add("whole")
        return f"whole({self.text(node)})"

    def _power(self, node: Expression) -> tuple[str, int]:
        base, exponent = node.args
        # A const is a Python number, and 1e200**2 raises where a product is inf; `power` does not.
        known = all(name.role in ("const", "size") for name in symbols(base))
        if exponent.head == "number" and exponent.value in (2, 3) and isinstance(exponent.value, int) and not known:
            return f"{self._at_least(base, _ATOM)}**{exponent.value}", _POWER
        return self._call("power", node.args), _ATOM

    def _call(self, name: str, arguments: Iterable[Expression]) -> str:
        self.used.add(name)
        return f"{name}({', '.join(self.text(argument) for argument in arguments)})"


def _keeps_whole(node: Expression) -> bool:
    """Whether Python gives an int, where the arguments are."""
    if node.head == "number":
        return isinstance(node.value, int)
    return node.role == "size" or node.head in ("add", "multiply", "negate")


def _literal(node: Expression) -> tuple[str, int]:
    text = repr(node.value)
    return text, _ATOM if not text.startswith("-") else _SIGN


def quoted(text: str) -> str:
    """A string literal in double quotes, on one line whatever the text holds."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\x7f").replace("\x85", "\\x85")


def one_line(text: str) -> str:
    """The text as one line without characters that end a line or a comment, cut where it is overlong."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= WIDTH - 20 else line[: WIDTH - 23] + " …"


_BREAKS = re.compile(r"(?<=,) | (?=[-+*/] )")
_BRACKETS = re.compile(r"(?<=\()")


def wrapped(prefix: str, text: str, suffix: str = "", indent: int = 8) -> list[str]:
    """`prefix text suffix`, broken inside brackets where it is longer than the page."""
    margin = " " * indent
    if indent + len(prefix) + len(text) + len(suffix) <= WIDTH:
        return [margin + prefix + text + suffix]
    lines, line = [f"{margin}{prefix}("], ""
    for piece, space in _pieces(text, WIDTH - indent - 4):
        if line and indent + 4 + len(line) + len(space) + len(piece) > WIDTH:
            lines.append(f"{margin}    {line}")
            line = piece
        else:
            line = f"{line}{space}{piece}" if line else piece
    return [*lines, f"{margin}    {line}", f"{margin}){suffix}"]


def _pieces(text: str, room: int) -> Iterator[tuple[str, str]]:
    """Pieces between which a line may end, each with the space in front of it: behind a bracket only where a piece
    would be too long."""
    for piece in _BREAKS.split(text):
        parts = [piece] if len(piece) <= room else _BRACKETS.split(piece)
        yield parts[0], " "
        yield from ((part, "") for part in parts[1:])
