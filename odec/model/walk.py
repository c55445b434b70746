"""Walks over the syntax tree."""

from __future__ import annotations

from collections.abc import Iterator

from odec.syntax import tree


def children(node: tree.Node) -> tuple[tree.Node, ...]:
    """The parts of an expression, in the order of the text."""
    match node:
        case tree.Negative(operand=operand) | tree.Not(operand=operand):
            return (operand,)
        case tree.Sum(terms=parts) | tree.Product(factors=parts) | tree.Comparison(operands=parts):
            return parts
        case tree.Logical(operands=parts) | tree.Call(arguments=parts) | tree.Array(items=parts):
            return parts
        case tree.Power():
            return (node.base, node.exponent)
        case tree.Index():
            return (node.base, *node.items)
        case tree.Slice():
            return tuple(part for part in (node.start, node.stop) if part is not None)
        case tree.Distribution():
            return node.arguments
        case tree.Bounds():
            return (node.lower, node.upper)
    return ()


def nodes(root: tree.Node) -> Iterator[tree.Node]:
    """The node and all below it, in the order of the text."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def names_in(root: tree.Node) -> Iterator[tree.Name]:
    """The names that are used as values (not the names of called functions)."""
    return (node for node in nodes(root) if isinstance(node, tree.Name))


def expressions_of(statement: tree.AnyStatement) -> tuple[tree.Node, ...]:
    """The expressions that stand in a statement, in the order of the text."""
    match statement:
        case tree.State():
            return _present(*statement.shape, statement.value)
        case tree.Param():
            return _present(*statement.shape, statement.value, statement.bounds, statement.prior)
        case tree.Const():
            return _present(*statement.shape, statement.value)
        case tree.Input():
            return statement.shape
        case tree.Observe():
            return _present(statement.value, statement.noise)
        case tree.At():
            return (*statement.times, *(change.value for change in statement.changes))
        case tree.Every():
            parts = (statement.period, statement.start, statement.stop)
            return _present(*parts, *(change.value for change in statement.changes))
        case tree.When():
            return (statement.condition, *(change.value for change in statement.changes))
        case tree.Solve():
            return _present(statement.start, statement.stop, statement.step, statement.every)
        case tree.Net():
            shapes = (length for item in statement.inputs for length in item.shape)
            return _present(*shapes, *(layer.units for layer in statement.layers), statement.outputs)
        case tree.Size() | tree.Equation() | tree.Assignment() | tree.Next() | tree.Function():
            return (statement.value,)
    return ()


def _present(*parts: tree.Node | None) -> tuple[tree.Node, ...]:
    return tuple(part for part in parts if part is not None)
