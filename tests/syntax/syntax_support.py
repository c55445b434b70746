"""Short ways to parse a text in a test."""

from __future__ import annotations

import dataclasses
from typing import Any

from odec.diagnostics import Diagnostic, OdecError, Span
from odec.source import Source
from odec.syntax import tree
from odec.syntax.parser import parse


def statements(text: str) -> tuple[Any, ...]:
    """The statements of a text."""
    return parse(Source.from_text(text)).statements


def expression(text: str) -> Any:
    """The tree of an expression."""
    return statements(f"value = {text}")[0].value


def errors(text: str) -> tuple[Diagnostic, ...]:
    """What the parser finds wrong in a text."""
    try:
        parse(Source.from_text(text))
    except OdecError as error:
        return error.diagnostics
    return ()


def meaning(item: Any) -> Any:
    """A tree without its places and spellings."""
    if isinstance(item, tuple):
        return tuple(meaning(part) for part in item)
    if isinstance(item, Span):
        return "place"
    if isinstance(item, tree.Node | tree.File):
        names = (field.name for field in dataclasses.fields(item) if field.name not in ("span", "text"))
        return (type(item).__name__, *(meaning(getattr(item, name)) for name in names))
    return item


def infix(item: Any) -> str:
    """An expression with a bracket around every operation."""
    match item:
        case tree.Number():
            return repr(item.value)
        case tree.Name():
            return str(item)
        case tree.Negative():
            return f"(-{infix(item.operand)})"
        case tree.Not():
            return f"(not {infix(item.operand)})"
        case tree.Power():
            return f"({infix(item.base)}^{infix(item.exponent)})"
        case tree.Sum():
            signs = ["" if i == 0 else " + " if sign > 0 else " - " for i, sign in enumerate(item.signs)]
            return "(" + "".join(sign + infix(term) for sign, term in zip(signs, item.terms, strict=True)) + ")"
        case tree.Product():
            return "(" + _chain(item.operators, item.factors) + ")"
        case tree.Comparison():
            return "(" + _chain(item.operators, item.operands) + ")"
        case tree.Logical():
            return "(" + f" {item.operator} ".join(map(infix, item.operands)) + ")"
        case tree.Call():
            return f"{item.function}({', '.join(map(infix, item.arguments))})"
        case tree.Index():
            return f"{infix(item.base)}[{', '.join(map(infix, item.items))}]"
        case tree.Slice():
            return ":".join("" if end is None else infix(end) for end in (item.start, item.stop))
        case tree.Array():
            return f"[{', '.join(map(infix, item.items))}]"
    raise AssertionError(item)


def _chain(operators: tuple[str, ...], operands: tuple[Any, ...]) -> str:
    parts = [infix(operands[0])]
    for operator, operand in zip(operators, operands[1:], strict=True):
        parts.append(f" {operator} {infix(operand)}")
    return "".join(parts)
