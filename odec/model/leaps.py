"""Equations that leap where a condition on states turns: no step ends there, and no derivative knows of it.

    dx = if(x < top, 1, 0.2)         leaps from 1 to 0.2
    dx = if(x < top, top - x, 0)     does not

Found by trying: a state is moved to where the condition turns, and the slopes on both sides of that are compared.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import pairwise

from odec.diagnostics import Diagnostic
from odec.model.expression import Expression, evaluate, is_number, postorder, substitute, subtract, symbols
from odec.model.model import Definition, Equation, Model

# Where a state is looked for: both signs, some decades, and hardly ever at a number of the text.
SIZES = sorted((0.0, *(sign * 1.037 * 10.0 ** (power / 2) for sign in (1, -1) for power in range(-8, 9))))
DRAWS, HALVINGS = 3, 40
# Slopes leap that differ on both sides by this part of what they are some way off: a root's steep start does not.
LEAP = 1e-4
# So many operations are evaluated in all, some tenths of a second: conditions that would take more are not looked at.
BUDGET = 300_000
Values = dict[Expression, float]


def leaps(model: Model) -> list[Diagnostic]:
    """W0406 for each line with such a condition."""
    if model.is_map or model.has_arrays or model.nets:
        return []
    lines: tuple[Definition | Equation, ...] = (*model.intermediates, *model.equations)
    places = [(line, number) for line in lines for number in _turning(line.value)]
    if not places:
        return []
    search = _Search(model)
    found: dict[int, Diagnostic] = {}
    for line, number in places:
        if line.span is not None and line.span.start not in found and search.leaps_at(number):
            found[line.span.start] = model.source.warning(
                "W0406",
                "the slopes leap where a condition of this line on states turns: no step ends there, and derivatives "
                "leave out that the moment moves",
                line.span,
                help="let a state remember: `state low = 1`, `dlow = 0`, `when x > top: low = 0`, `if(low > 0, …)`",
            )
    return list(found.values())


def _turning(formula: Expression) -> Iterator[Expression]:
    """The numbers at whose zeros a part of the formula turns."""
    for node in postorder([formula]):
        if node.head in ("<", "<=", ">", ">="):
            yield subtract(*node.args)
        elif node.head in ("sign", "heaviside"):
            yield node.args[0]


class _Search:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.meaning: dict[Expression, Expression] = {}
        for definition in model.intermediates:
            (self.meaning[definition.symbol],) = substitute([definition.value], self.meaning)
        self.slopes = substitute([equation.value for equation in model.equations], self.meaning)
        self.names = symbols(*self.slopes)
        self.moving = {e.state.symbol for e, f in zip(model.equations, self.slopes, strict=True) if not is_number(f, 0)}
        self.size, self.left = _size(*self.slopes), BUDGET

    def leaps_at(self, number: Expression) -> bool:
        """Whether the slopes do where a number is zero; false where that takes more than is left of the budget."""
        (number,) = substitute([number], self.meaning)
        states = [name for name in symbols(number) if name in self.moving]
        once = (len(SIZES) + HALVINGS) * _size(number) + 4 * self.size
        if len(states) * DRAWS * once > self.left:
            return False
        self.left -= len(states) * DRAWS * once
        return any(self._leaps(number, state, seed) for state in states for seed in range(DRAWS))

    def _leaps(self, number: Expression, state: Expression, seed: int) -> bool:
        values = self._drawn(seed)

        def at(x: float) -> float:
            return evaluate([number], {**values, state: x})[0]

        def slopes(x: float) -> list[float]:
            return evaluate(self.slopes, {**values, state: x})

        tried = [(x, at(x)) for x in SIZES]
        for (low, below), (high, above) in pairwise(tried):
            if not (math.isfinite(below) and math.isfinite(above)) or (below > 0) == (above > 0):
                continue
            off = zip(slopes(low), slopes(high), strict=True)
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                low, high = (middle, high) if (at(middle) > 0) == (below > 0) else (low, middle)
            near = zip(slopes(low), slopes(high), strict=True)
            # The first zero stands for all: a budget must know how much is evaluated.
            return any(abs(a - b) > LEAP * max(map(abs, (a, b, *far))) for (a, b), far in zip(near, off, strict=True))
        return False

    def _drawn(self, seed: int) -> Values:
        """A number for each name: consts and first guesses as they are, all others by chance."""
        chance = random.Random(seed)
        values = {name: chance.uniform(0.5, 2.0) for name in self.names}
        values |= {param.symbol: param.value for param in self.model.params if isinstance(param.value, float)}
        for const in self.model.consts:
            values[const.symbol] = evaluate([const.value], values)[0]
        return values


def _size(*formulas: Expression) -> int:
    """How many operations they are."""
    return sum(1 for _ in postorder(formulas))
