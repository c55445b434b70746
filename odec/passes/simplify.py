"""Fewer operations by algebra, where nothing is lost: sympy pulls common factors out.

    r1*x1*(1 - iN1*x1) - a1*x1*x2   →   x1*(r1*(1 - iN1*x1) - a1*x2)

A new form replaces the user's only when it has fewer operations *and* is as good in floating point: at points of every
magnitude it must be finite where the user's is, in float32 too, and agree to rounding. Functions (`exp`, `tanh`, …) and
literals are opaque to sympy: it cannot rewrite decaying exponentials into ratios of growing ones, nor round a number.
The budget is counted in operations, not in seconds: the same file gives the same module on every machine.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from odec.model.expression import (
    ARRAY_OPERATIONS,
    CONDITIONS,
    Expression,
    add,
    divide,
    evaluate,
    multiply,
    negate,
    number,
    operation_count,
    postorder,
    power,
)
from odec.model.model import Model

if TYPE_CHECKING:
    import sympy

# Operations of one formula, and of all formulas together, that are looked at.
LARGEST_FORMULA = 80
BUDGET = 1_500
_FLOAT32_MAX = 3.4e38
_POINTS = 40


def simplify(model: Model) -> Model:
    """The model with formulas of fewer operations, within the budget, in the order of the text."""
    budget = [BUDGET]
    return replace(
        model,
        intermediates=tuple(replace(d, value=_within(budget, d.value)) for d in model.intermediates),
        equations=tuple(replace(e, value=_within(budget, e.value)) for e in model.equations),
    )


def _within(budget: list[int], formula: Expression) -> Expression:
    count = operation_count(formula)
    if count > LARGEST_FORMULA or count > budget[0] or not _may_gain(formula):
        return formula
    budget[0] -= count
    return simplified(formula)


def _may_gain(formula: Expression) -> bool:
    """Whether two terms of a sum share a factor: nothing else is looked for."""
    for node in postorder([formula]):
        if node.head == "add":
            factors = [_plain_factors(term) for term in node.args]
            if any(a & b for place, a in enumerate(factors) for b in factors[:place]):
                return not any(n.head == "if" or n.head in CONDITIONS for n in postorder([formula]))
    return False


def _plain_factors(term: Expression) -> set[Expression]:
    term = term.args[0] if term.head == "negate" else term
    term = term.args[0] if term.head == "divide" else term
    return {part for part in (term.args if term.head == "multiply" else (term,)) if part.head != "number"}


def simplified(formula: Expression) -> Expression:
    """The formula with common factors pulled out, or itself where nothing is gained."""
    import sympy

    translation = _Translation(formula, sympy)
    given = translation.there(formula)
    found = sympy.factor_terms(given)
    if found == given:
        return formula
    candidate = translation.back(found)
    if candidate.shape != formula.shape:
        # `v - v` is 0 for each element of v.
        return formula
    if operation_count(candidate) < operation_count(formula) and _is_as_good(candidate, formula):
        return candidate
    return formula


class _Translation:
    """To sympy and back. Everything but sums, products, quotients and whole powers is one opaque symbol."""

    def __init__(self, formula: Expression, sympy: Any) -> None:
        self.sympy = sympy
        self.opaque: dict[Any, Expression] = {}
        # What sympy leaves as it was comes back in the user's own form.
        self.unchanged: dict[Any, Expression] = {}
        self.rank = {node: place for place, node in enumerate(postorder([formula]))}

    def there(self, node: Expression) -> sympy.Expr:
        """The node for sympy."""
        expression = self._there(node)
        self.unchanged.setdefault(expression, node)
        return expression

    def _there(self, node: Expression) -> sympy.Expr:
        sympy = self.sympy
        match node.head:
            case "add":
                return sympy.Add(*map(self.there, node.args))
            case "multiply":
                return sympy.Mul(*map(self.there, node.args))
            case "negate":
                return -self.there(node.args[0])
            case "divide":
                return self.there(node.args[0]) / self.there(node.args[1])
            case "power" if node.args[1].head == "number" and isinstance(node.args[1].value, int):
                return self.there(node.args[0]) ** sympy.Integer(node.args[1].value)
            case "number" if node.value == 1:
                return sympy.Integer(1)
        symbol = sympy.Symbol(f"s{self.rank[node]}", real=True)
        self.opaque[symbol] = node
        return symbol

    def back(self, expression: sympy.Expr) -> Expression:
        """The formula of a sympy expression, its terms in the order of the original text."""
        sympy = self.sympy
        if expression in self.unchanged:
            return self.unchanged[expression]
        if isinstance(expression, sympy.Integer):
            return number(int(expression))
        if isinstance(expression, sympy.Rational):
            return divide(number(int(expression.p)), number(int(expression.q)))
        if isinstance(expression, sympy.Add):
            return add(*map(self.back, sorted(expression.args, key=self._place)))
        if isinstance(expression, sympy.Mul):
            return self._product(expression)
        assert isinstance(expression, sympy.Pow), expression
        base, exponent = self.back(expression.base), int(expression.exp)
        return power(base, number(exponent)) if exponent > 0 else divide(number(1), power(base, number(-exponent)))

    def _product(self, expression: sympy.Mul) -> Expression:
        coefficient, rest = expression.as_coeff_Mul()
        if coefficient == -1:
            return negate(self.back(rest))
        above, below = [], []
        for factor in sorted(expression.args, key=self._place):
            if isinstance(factor, self.sympy.Pow) and factor.exp.is_negative:
                below.append(self.back(1 / factor))
            else:
                above.append(self.back(factor))
        return divide(multiply(*above), multiply(*below)) if below else multiply(*above)

    def _place(self, part: sympy.Expr) -> tuple[bool, bool, float, str]:
        """Symbols before sums, each by where its first symbol stands in the text; numbers in front."""
        ranks = [self.rank[self.opaque[symbol]] for symbol in part.free_symbols]
        return isinstance(part, self.sympy.Add), not part.is_number, min(ranks, default=-1), str(part)


def _is_as_good(candidate: Expression, formula: Expression) -> bool:
    """Finite where the user's form is, in float32 too, and equal to rounding, at points of every magnitude."""
    # An array is looked at as one number, and so is what an operation on arrays gives.
    names = [n for n in postorder([formula]) if n.head == "symbol" or n.head in ARRAY_OPERATIONS]
    chance = random.Random(20180601)
    for point in range(_POINTS):
        reach = (1.0, 3.0, 12.0)[point % 3]
        values = {name: chance.choice((-1, 1)) * 10 ** chance.uniform(-reach, reach) for name in names}
        old, old_largest = _evaluated(formula, values)
        new, new_largest = _evaluated(candidate, values)
        if not math.isfinite(old):
            continue
        if not math.isfinite(new) or new_largest > _FLOAT32_MAX >= old_largest:
            return False
        if abs(new - old) > 1e-12 * max(abs(old), old_largest):
            return False
    return True


def _evaluated(formula: Expression, values: dict[Expression, float]) -> tuple[float, float]:
    """The value, and the largest number on the way to it."""
    numbers = evaluate(postorder([formula]), values)
    return numbers[-1], max(map(abs, numbers))
