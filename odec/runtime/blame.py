"""Which part of a model's equations made a number that is not finite, in the user's names.

    x' = y/(a - x)    at x = a    →    `y/(a - x)` is inf, with y = 2 and a - x = 0

The text of the generated function is read (`ast`) and computed here in float64, operation by operation, at one point.
Nothing is evaluated by Python from text, and only what odec's own emitter writes is known: of anything else, and of
arrays, whose elements have no name of their own in a formula, nothing is said.
"""

from __future__ import annotations

import ast
import inspect
import operator
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from odec.runtime import functions
from odec.runtime.contract import Model
from odec.runtime.description import Description


@dataclass(frozen=True)
class Blame:
    """`text` has the `value` inf, -inf or NaN, though its `operands` (text, value) are finite; where one of the given
    numbers is not finite itself, that is it, without operands. `name` is the state or output whose formula it is in."""

    text: str
    value: float
    operands: tuple[tuple[str, float], ...]
    name: str

    def __str__(self) -> str:
        """In words: "`y/(a - x)` is inf, with y = 2 and a - x = 0"."""
        parts = [f"{text} = {value:.6g}" for text, value in self.operands]
        known = ", ".join(parts[:-1]) + (" and " if parts[1:] else "") + parts[-1] if parts else ""
        return f"`{self.text}` is {self.value:g}" + (f", with {known}" if known else "")


def blame(
    model: type[Model], t: float, states: Sequence[Any], params: Sequence[Any], consts: Sequence[Any], inputs: Any = ()
) -> Blame | None:
    """The first part of `rhs`, then of `outputs`, that is not finite at a point: numbers in the order of the
    description.

    None where all is finite (in float64), and where the text of the model's functions cannot be had or understood.
    """
    description = model.description
    rows = (("rhs", [s.name for s in description.states]), ("outputs", [o.name for o in description.outputs]))
    given = {"t": t, "states": states, "params": params, "consts": consts, "inputs": inputs}
    with np.errstate(all="ignore"):
        for function, names in rows:
            try:
                reading = _Reading(description, _body(getattr(model, function)), given)
                found = reading.first(names)
            except (_UnknownError, OSError, TypeError, ValueError, SyntaxError, RecursionError, ArithmeticError):
                return None
            if found is not None:
                return found
    return None


class _UnknownError(Exception):
    """A node that odec's emitter does not write for numbers."""


@dataclass(frozen=True)
class _Found:
    """The value of a formula, and what is to blame where it is not finite."""

    value: Any
    fault: Blame | None = None


def _body(function: Callable[..., Any]) -> list[ast.stmt]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    if not isinstance(definition, ast.FunctionDef) or definition.name != function.__name__:
        raise _UnknownError
    return definition.body[1:]


class _Reading:
    """One generated function, read and computed line by line."""

    def __init__(self, description: Description, body: list[ast.stmt], given: dict[str, Any]) -> None:
        self.given = given
        self.items: dict[str, tuple[Any, ...]] = {
            "states": description.states,
            "params": description.params,
            "consts": (*description.consts, *description.sizes),
            "inputs": description.inputs,
        }
        self.outputs = {output.name for output in description.outputs}
        self.known = {"t": _given("t", given["t"])}
        # What each Python name is called by the user, or the formula that stands behind a name of the compiler's.
        self.names: dict[str, str | ast.expr] = {"t": "t"}
        # The names of what is a Python number in the run too: consts, and what is made of them alone.
        self.numbers: set[str] = set()
        self.results: list[ast.expr] = []
        for line in body:
            self._line(line)

    def first(self, names: Iterable[str]) -> Blame | None:
        """The first fault among the returned values, which belong to these names."""
        for name, result in zip(names, self.results, strict=True):
            fault = self._found(result).fault
            if fault is not None:
                return replace(fault, name=name)
        return None

    def _line(self, line: ast.stmt) -> None:
        match line:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Name(id=argument)) if argument in self.items:
                items, values = self.items[argument], self.given[argument]
                for target, item, value in zip(targets, items, values, strict=True):
                    if not isinstance(target, ast.Name) or getattr(item, "shape", None):
                        raise _UnknownError
                    self.known[target.id], self.names[target.id] = _given(item.name, value), item.name
                    self.numbers.update([target.id] if argument == "consts" else [])
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self.known[name] = self._found(value)
                self.numbers.update([name] if self._is_number(value) else [])
                own = name if name in self.outputs else name.rstrip("_")
                self.names[name] = own if own in self.outputs else value
            case ast.Return(value=ast.Tuple(elts=results)):
                self.results = results
            case ast.Return(value=ast.expr() as result):
                self.results = [result]
            case _:
                raise _UnknownError

    def _found(self, node: ast.expr) -> _Found:
        """The value of a formula. Of a choice only what is chosen is looked at."""
        match node:
            case ast.Constant(value=bool() as truth):
                return _Found(truth)
            case ast.Constant(value=int() | float() as number):
                return _Found(np.float64(number))
            case ast.Name(id=name) if name in self.known:
                return self.known[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                found = self._found(operand)
                return _Found(-found.value, found.fault)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
                return self._computed(node, _OPERATIONS[type(op)], [left, right])
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
                return _Found(bool(_COMPARISONS[type(op)](self._found(left).value, self._found(right).value)))
            case ast.Call(func=ast.Name(id="select"), args=[*choices, otherwise]):
                for condition, value in zip(choices[::2], choices[1::2], strict=True):
                    if self._found(condition).value:
                        return self._found(value)
                return self._found(otherwise)
            case ast.Call(func=ast.Name(id="power"), args=[base, ast.Constant(value=0.5)]) if not self._is_number(base):
                # Of a tensor, that is the square root which is 0 below 0.
                return self._computed(node, functions.sqrt, [base])
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in _FUNCTIONS:
                return self._computed(node, getattr(functions, name), arguments)
        raise _UnknownError

    def _is_number(self, node: ast.expr) -> bool:
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        return names <= self.numbers | _FUNCTIONS | {"select"}

    def _computed(self, node: ast.expr, function: Callable[..., Any], operands: list[ast.expr]) -> _Found:
        found = [self._found(operand) for operand in operands]
        value = function(*(one.value for one in found))
        if isinstance(value, bool):
            return _Found(value)
        # Python's own floats raise where these are infinite.
        value = np.float64(value)
        if np.isfinite(value):
            return _Found(value)
        inherited = next((one.fault for one in found if one.fault is not None), None)
        if inherited is not None:
            return _Found(value, inherited)
        seen = {
            self._text(operand): float(one.value)
            for operand, one in zip(operands, found, strict=True)
            if not isinstance(operand.operand if isinstance(operand, ast.UnaryOp) else operand, ast.Constant)
        }
        return _Found(value, Blame(self._text(node), float(value), tuple(seen.items()), ""))

    # As the user writes

    def _text(self, node: ast.expr, least: int = 0) -> str:
        text, binding = self._written(node)
        return text if binding >= least else f"({text})"

    def _written(self, node: ast.expr) -> tuple[str, int]:
        """The text of a formula, and how tightly its outermost operation binds."""
        match node:
            case ast.Name(id=name):
                own = self.names[name]
                return (own, _ATOM) if isinstance(own, str) else self._written(own)
            case ast.UnaryOp(operand=operand):
                return f"-{self._text(operand, _PRODUCT)}", _PRODUCT
            case ast.BinOp(left=left, op=op, right=right):
                sign, binding, beside = _SIGNS[type(op)]
                return f"{self._text(left, binding)}{sign}{self._text(right, beside)}", binding
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                return f"{self._text(left, _SUM)} {_RELATIONS[type(op)]} {self._text(right, _SUM)}", _COMPARED
            case ast.Call(func=ast.Name(id="power"), args=[base, exponent]):
                return f"{self._text(base, _ATOM)}^{self._text(exponent, _ATOM)}", _POWER
            case ast.Call(func=ast.Name(id="x_over_expm1"), args=[argument]):
                return f"{self._text(argument, _PRODUCT)}/(exp({self._text(argument)}) - 1)", _PRODUCT
            case ast.Call(func=ast.Name(id="logical_not"), args=[condition]):
                return f"not {self._text(condition, _COMPARED)}", _LOGICAL
            case ast.Call(func=ast.Name(id="logical_and" | "logical_or" as name), args=conditions):
                return f" {name[8:]} ".join(self._text(c, _COMPARED) for c in conditions), _LOGICAL
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return f"{_SPELLINGS.get(name, name)}({', '.join(map(self._text, arguments))})", _ATOM
        return ast.unparse(node), _ATOM


def _given(name: str, value: Any) -> _Found:
    number = np.float64(np.asarray(value, dtype=np.float64).reshape(()))
    return _Found(number, None if np.isfinite(number) else Blame(name, float(number), (), ""))


_LOGICAL, _COMPARED, _SUM, _PRODUCT, _POWER, _ATOM = range(6)
# How the user writes an operation, how tightly it binds, and what may stand behind it without brackets.
_SIGNS: dict[type[ast.operator], tuple[str, int, int]] = {
    ast.Add: (" + ", _SUM, _PRODUCT),
    ast.Sub: (" - ", _SUM, _PRODUCT),
    ast.Mult: ("*", _PRODUCT, _POWER),
    ast.Div: ("/", _PRODUCT, _POWER),
    ast.Pow: ("^", _ATOM, _ATOM),
}
_OPERATIONS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_RELATIONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_SPELLINGS = {"minimum": "min", "maximum": "max", "absolute": "abs", "select": "if"}
_FUNCTIONS = frozenset(
    [
        *(
            "exp",
            "expm1",
            "log",
            "log2",
            "log10",
            "log1p",
            "sqrt",
            "power",
            "sigmoid",
            "softplus",
            "erf",
            "x_over_expm1",
        ),
        *("sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
        *("absolute", "sign", "floor", "ceil", "mod", "minimum", "maximum", "relu", "heaviside"),
        *("logical_and", "logical_or", "logical_not"),
    ]
)
