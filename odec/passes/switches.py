"""When the equations switch by themselves: times at which a condition on `t` alone changes, or a kink in `t` stands.

    if(t < t0 + w, a, 0)             →   t0 + w
    max(t - 3, 0)                    →   3
    if(mod(t - 2, T) < w, a, 0)      →   2 + k*T  and  2 + w + k*T, for every whole number k

A step across such a time does not have the order of its method, and one longer than a pulse does not see it at all: a
run stops there. What also depends on a state or an input has no time that is known beforehand, and is not found here;
nor is what holds at one moment only (`t == 3`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from odec.model.expression import (
    ONE,
    TIME,
    ZERO,
    Expression,
    add,
    call,
    divide,
    is_number,
    multiply,
    negate,
    number,
    postorder,
    power,
    subtract,
)
from odec.model.model import Model

# `abs(abs(t - 3) - 1) < 0.1` is solved from the outside in; each level may double the times.
DEEPEST = 3
_TURN = number(2 * math.pi)
_HALF_TURN = number(math.pi)


@dataclass(frozen=True)
class Switch:
    """At `time`, and where there is a period (of either sign) at time + k*period for every whole number k. Formulas of
    what does not change in a run; not finite where nothing switches (`k*t > 1` with k = 0)."""

    time: Expression
    period: Expression | None = None


@dataclass(frozen=True)
class _Line:
    """slope*base + offset; the base is TIME, a function of a line (`abs`, `mod`, `sin`, `cos`), or None: a number."""

    base: Expression | None
    slope: Expression
    offset: Expression


def switches(model: Model) -> tuple[Switch, ...]:
    """The switches in the equations, intermediates and outputs, in the order of the text, each once."""
    if model.is_map:
        return ()
    formulas = [*(d.value for d in model.intermediates), *(e.value for e in model.equations)]
    search = _Search({definition.symbol: definition.value for definition in model.intermediates}, formulas)
    return tuple(dict.fromkeys(switch for node in postorder(formulas) for switch in search.of(node)))


class _Search:
    def __init__(self, definitions: Mapping[Expression, Expression], formulas: Iterable[Expression]) -> None:
        self.lines: dict[Expression, _Line | None] = {}
        self.definitions = definitions
        for node in postorder(formulas):
            self.lines[node] = self._line(node)

    def of(self, node: Expression) -> Iterator[Switch]:
        """The switches of one operation, not of its arguments."""
        if node.shape or not node.args:
            return
        match node.head:
            case "<" | "<=" | ">" | ">=":
                yield from self._equal(*(self.lines[argument] for argument in node.args))
            case "abs" | "sign" | "heaviside" | "relu" | "sqrt":
                yield from self._reaches(self.lines[node.args[0]], ZERO)
            case "max" | "min":
                for left, right in combinations(node.args, 2):
                    yield from self._equal(self.lines[left], self.lines[right])
            case "floor" | "ceil":
                yield from _each(self.lines[node.args[0]], ZERO, ONE)
            case "mod" if self._is_fixed(node.args[1]):
                yield from _each(self.lines[node.args[0]], ZERO, node.args[1])

    def _is_fixed(self, node: Expression) -> bool:
        line = self.lines[node]
        return line is not None and line.base is None

    # Lines

    def _line(self, node: Expression) -> _Line | None:
        if node is TIME:
            return _Line(TIME, ONE, ZERO)
        if node.head == "symbol":
            if node.role == "intermediate":
                line = self.lines.get(self.definitions[node])
                return _fixed(node) if line is not None and line.base is None else line
            return _fixed(node) if node.role in ("param", "const", "size") else None
        lines = [self.lines[argument] for argument in node.args]
        known = [line for line in lines if line is not None]
        if len(known) < len(lines):
            return None
        moving = [place for place, line in enumerate(known) if line.base is not None]
        if not moving:
            return _fixed(node)
        if node.shape:
            return None
        match node.head:
            case "add":
                return _sum(known)
            case "negate":
                return _scaled(known[0], number(-1))
            case "multiply" if len(moving) == 1:
                others = (argument for place, argument in enumerate(node.args) if place not in moving)
                return _scaled(known[moving[0]], multiply(*others))
            case "divide" if moving == [0]:
                return _scaled(known[0], divide(ONE, node.args[1]))
            case "abs" | "sin" | "cos":
                return _Line(node, ONE, ZERO)
            case "mod" if moving == [0]:
                return _Line(node, ONE, ZERO)
        return None

    # Times

    def _equal(self, left: _Line | None, right: _Line | None) -> Iterator[Switch]:
        if left is not None and right is not None:
            yield from self._reaches(_sum([left, _scaled(right, number(-1))]), ZERO)

    def _reaches(self, line: _Line | None, value: Expression, depth: int = 0) -> Iterator[Switch]:
        """Where a line has a value that is fixed."""
        if line is None or line.base is None or is_number(line.slope, 0) or depth > DEEPEST:
            return
        wanted = _over(subtract(value, line.offset), line.slope)
        if line.base is TIME:
            yield Switch(wanted)
            return
        inner = self.lines[line.base.args[0]]
        match line.base.head:
            case "abs":
                yield from self._reaches(inner, wanted, depth + 1)
                yield from self._reaches(inner, negate(wanted), depth + 1)
            case "mod":
                yield from _each(inner, wanted, line.base.args[1])
            case "sin":
                angle = call("asin", wanted)
                yield from _each(inner, angle, _TURN)
                yield from _each(inner, subtract(_HALF_TURN, angle), _TURN)
            case "cos":
                angle = call("acos", wanted)
                yield from _each(inner, angle, _TURN)
                yield from _each(inner, negate(angle), _TURN)


def _fixed(node: Expression) -> _Line:
    return _Line(None, ZERO, node)


def _sum(lines: list[_Line]) -> _Line | None:
    bases = {line.base for line in lines if line.base is not None}
    if len(bases) > 1:
        return None
    return _Line(next(iter(bases), None), add(*(line.slope for line in lines)), add(*(line.offset for line in lines)))


def _scaled(line: _Line, factor: Expression) -> _Line:
    return _Line(line.base, multiply(line.slope, factor), multiply(line.offset, factor))


def _each(line: _Line | None, value: Expression, period: Expression) -> Iterator[Switch]:
    """Where a line in time is value + k*period."""
    if line is not None and line.base is TIME and not is_number(line.slope, 0):
        yield Switch(_over(subtract(value, line.offset), line.slope), _over(period, line.slope))


def _over(top: Expression, slope: Expression) -> Expression:
    """top/slope; a slope of 0 makes it infinite or no number, not an error of Python."""
    if slope.head == "negate":
        return negate(_over(top, slope.args[0]))
    if slope.head == "divide" and slope.args[0].head == "number":
        return divide(multiply(top, slope.args[1]), slope.args[0])
    return divide(top, slope) if slope.head == "number" else multiply(top, power(slope, number(-1)))
