"""Directional derivatives of formulas on arrays: the forward mode, one array operation for each of the formula's.

    dx = (roll(x, -1) - roll(x, 2))*roll(x, 1) - x + F
    →   (roll(ẋ, -1) - roll(ẋ, 2))*roll(x, 1) + (roll(x, -1) - roll(x, 2))*roll(ẋ, 1) - ẋ + Ḟ

where ẋ and Ḟ are the directions, of the shapes of x and F. An array is never taken apart.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from odec.model.expression import (
    ARRAY_OPERATIONS,
    CONDITIONS,
    ONE,
    ZERO,
    Expression,
    add,
    choose,
    compare,
    divide,
    index,
    is_number,
    matmul,
    mean,
    multiply,
    negate,
    postorder,
    roll,
    spread,
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


def tangents(formulas: Iterable[Expression], still: Container[Expression] = ()) -> tuple[Expression, ...]:
    """The directional derivatives, in terms of the directions of the symbols; those that are `still` have none."""
    formulas = tuple(formulas)
    done: dict[Expression, Expression] = {}
    for node in postorder(formulas):
        done[node] = ZERO if node in still else _tangent(node, done)
    return tuple(done[formula] for formula in formulas)


def model_tangents(
    model: Model, formulas: Iterable[Expression]
) -> tuple[tuple[Expression, ...], dict[Expression, Expression]]:
    """The tangents of formulas, and the definition of each intermediate's direction that they may use."""
    definitions: dict[Expression, Expression] = {}
    still: set[Expression] = set()
    for d in model.intermediates:
        moved = tangents([d.value], still)[0]
        if is_number(moved, 0):
            still.add(d.symbol)
        definitions[direction(d.symbol)] = moved if is_number(moved, 0) else spread(moved, d.value)
    return tangents(formulas, still), definitions


def _tangent(node: Expression, done: Directions) -> Expression:
    if node.head == "symbol":
        return direction(node) if node.role in ("state", "param", "intermediate") else ZERO
    if node.head in CONDITIONS or not node.args:
        return ZERO
    moving = [done[argument] for argument in node.args]
    if all(is_number(part, 0) for part in moving):
        return ZERO
    if node.head in ARRAY_OPERATIONS:
        return _linear(node, moving)
    match node.head:
        case "add":
            return add(*moving)
        case "negate":
            return negate(moving[0])
        case "power" if is_number(node.args[1], 0):
            return ZERO
        case "if" | "max" | "min":
            return _choice(node, done)
    terms = [multiply(partial, done[a]) for a, partial in partials(node) if not is_number(done[a], 0)]
    return add(*terms)


def _linear(node: Expression, moving: list[Expression]) -> Expression:
    """Of an operation that looks at places: a direction that is smaller than what it is of is spread over it first."""
    if node.head == "array":
        like = next((item for item in node.args if item.shape == node.shape[1:]), add(*node.args))
        return stacked((spread(moving[0], like), *moving[1:]))
    wide = [m if is_number(m, 0) else spread(m, a) for m, a in zip(moving, node.args, strict=True)]
    match node.head:
        case "sum":
            return total(wide[0])
        case "mean":
            return mean(wide[0])
        case "roll":
            return roll(wide[0], node.args[1])
        case "largest" | "smallest":
            return _at_extreme(node, wide[0])
        case "index":
            return index(wide[0], node.args[1:], node.shape)
    assert node.head == "matmul", node
    left, right = node.args
    parts = (matmul(wide[0], right) if wide[0].shape else ZERO, matmul(left, wide[1]) if wide[1].shape else ZERO)
    return add(*parts)


def _at_extreme(node: Expression, moving: Expression) -> Expression:
    """The direction of the largest or smallest element; the mean of those that are equal, as the back ends have it."""
    here = compare("==", node.args[0], node)
    return divide(total(choose(here, moving, ZERO)), total(choose(here, ONE, ZERO)))


def _choice(node: Expression, done: Directions) -> Expression:
    conditions, values = choices(node)
    parts = [done[value] for value in values]
    return choose(*(part for pair in zip(conditions, parts, strict=False) for part in pair), parts[-1])
