"""Jumps: what changes at a moment, and when.

at t = 10: x += dose        every 24 from 0 to 96: x += dose        when x > 3: x = 0, n += 1
"""

from __future__ import annotations

from odec.model.expression import (
    ZERO,
    Expression,
    add,
    call,
    divide,
    multiply,
    negate,
    shape_text,
    subtract,
)
from odec.model.lower import Lowering
from odec.model.model import Jump, State
from odec.model.names import Names
from odec.syntax import tree


def jumps_of(names: Names, lowering: Lowering, states: tuple[State, ...]) -> tuple[Jump, ...]:
    """The jumps of a file, in the order of the text."""
    by_name = {state.name: state for state in states}
    return tuple(
        _jump(statement, names, lowering, by_name)
        for statement in names.file.statements
        if isinstance(statement, tree.At | tree.Every | tree.When)
    )


def _jump(
    statement: tree.At | tree.Every | tree.When, names: Names, lowering: Lowering, states: dict[str, State]
) -> Jump:
    changes: dict[str, tuple[State, Expression]] = {}
    for change in statement.changes:
        name = str(change.target)
        if name in changes:
            message = f"one jump changes `{name}` twice"
            lowering.errors.append(names.source.error("E0202", message, change.span, "write one change of it"))
        if name not in states:
            message = f"`{name}` is not a state: its equation has no such order"
            lowering.errors.append(names.source.error("E0213", message, change.target.span, "change the state itself"))
            continue
        changes[name] = (states[name], _changed(states[name].symbol, change, lowering))
    found = tuple(changes.values())
    match statement:
        case tree.At():
            cure = "write several times with commas: `at 1, 2: …`"
            moments = tuple(lowering.single(time, "a time", cure) for time in statement.times)
            return Jump("at", found, statement.span, times=moments)
        case tree.Every():
            ends = (statement.start, statement.stop)
            cure = "choose one element"
            times = (
                lowering.single(statement.period, "a period", cure),
                *(None if end is None else lowering.single(end, "a time", cure) for end in ends),
            )
            return Jump("every", found, statement.span, times=times)
    condition = lowering.condition(statement.condition)
    if condition.shape:
        message = f"a condition of `when` is one, and this is {shape_text(condition.shape)}"
        cure = "ask one number, such as `max(x) > 1`"
        lowering.errors.append(names.source.error("E0301", message, statement.condition.span, cure))
        condition = ZERO
    return Jump("when", found, statement.span, condition=condition)


def _changed(old: Expression, change: tree.Change, lowering: Lowering) -> Expression:
    value = lowering.number(change.value)
    match change.operator:
        case "+=":
            return add(old, value)
        case "-=":
            return subtract(old, value)
        case "*=":
            return multiply(old, value)
        case "/=":
            return divide(old, value)
    return value


def root_function(condition: Expression) -> Expression:
    """A number that is positive where the condition holds and negative where it does not, zero at its edge."""
    match condition.head:
        case ">" | ">=":
            return subtract(*condition.args)
        case "<" | "<=":
            return subtract(condition.args[1], condition.args[0])
        case "==":
            return negate(call("abs", subtract(*condition.args)))
        case "!=":
            return call("abs", subtract(*condition.args))
        case "and":
            return call("min", *map(root_function, condition.args))
        case "or":
            return call("max", *map(root_function, condition.args))
        case "not":
            return negate(root_function(condition.args[0]))
    raise AssertionError(condition)
