"""Directional derivatives of formulas on arrays: the forward mode, one array operation for each of the formula's.

    dx = (roll(x, -1) - roll(x, 2))*roll(x, 1) - x + F
    →   (roll(ẋ, -1) - roll(ẋ, 2))*roll(x, 1) + (roll(x, -1) - roll(x, 2))*roll(ẋ, 1) - ẋ + Ḟ

where ẋ and Ḟ are the directions, of the shapes of x and F. An array is never taken apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from odec.model.expression import (
    CONDITIONS,
    ZERO,
    Expression,
    add,
    choose,
    index,
    is_number,
    matmul,
    mean,
    multiply,
    negate,
    postorder,
    roll,
    stacked,
    symbol,
    total,
)
from odec.model.model import Model
from odec.passes.derivatives import choices, partials

Directions = Mapping[Expression, Expression]


def direction(name: Expression) -> Expression:
    """The symbol of a state's, param's or intermediate's direction."""
    return symbol(str(name.value), f"{name.role} direction", name.shape)


def tangents(formulas: Iterable[Expression]) -> tuple[Expression, ...]:
    """The directional derivatives, in terms of the directions of the symbols."""
    formulas = tuple(formulas)
    done: dict[Expression, Expression] = {}
    for node in postorder(formulas):
        done[node] = _tangent(node, done)
    return tuple(done[formula] for formula in formulas)


def model_tangents(
    model: Model, formulas: Iterable[Expression]
) -> tuple[tuple[Expression, ...], dict[Expression, Expression]]:
    """The tangents of formulas, and the definition of each intermediate's direction that they may use."""
    definitions = {direction(d.symbol): tangents([d.value])[0] for d in model.intermediates}
    return tangents(formulas), definitions


def _tangent(node: Expression, done: Directions) -> Expression:
    if node.head == "symbol":
        return direction(node) if node.role in ("state", "param", "intermediate") else ZERO
    if node.head in CONDITIONS or not node.args:
        return ZERO
    moving = [done[argument] for argument in node.args]
    if all(is_number(part, 0) for part in moving):
        return ZERO
    match node.head:
        case "sum":
            return total(moving[0])
        case "mean":
            return mean(moving[0])
        case "roll":
            return roll(moving[0], node.args[1])
        case "index":
            return index(moving[0], node.args[1:], node.shape)
        case "array":
            return stacked(tuple(moving))
        case "matmul":
            left, right = node.args
            parts = (
                matmul(moving[0], right) if moving[0].shape else ZERO,
                matmul(left, moving[1]) if moving[1].shape else ZERO,
            )
            return add(*parts)
        case "add":
            return add(*moving)
        case "negate":
            return negate(moving[0])
        case "if" | "max" | "min":
            return _choice(node, done)
    terms = [multiply(partial, done[a]) for a, partial in partials(node) if not is_number(done[a], 0)]
    return add(*terms)


def _choice(node: Expression, done: Directions) -> Expression:
    conditions, values = choices(node)
    parts = [done[value] for value in values]
    return choose(*(part for pair in zip(conditions, parts, strict=False) for part in pair), parts[-1])
