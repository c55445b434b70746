"""The grammar's rules as nodes of the tree, one method a rule, called bottom-up while Lark reads the text.

A token carries `start_pos` and `end_pos`, offsets into its statement. A list of children holds None where an optional
part of the rule is missing.
"""

# What a method makes is said by the grammar's rule of its name.
# ruff: noqa: D102

from __future__ import annotations

import dataclasses
import math
import unicodedata
from typing import Any

from odec.diagnostics import Diagnostic, Span
from odec.source import Source
from odec.syntax import tree
from odec.syntax.reserved import FUNCTION_WORDS, SIGN_WORDS, why_reserved

_SIGNS = {"+": 1, "-": -1}


class Builder:
    """`open` is called before each file, `begin` before each statement. What a rule finds wrong is in `diagnostics`."""

    def __init__(self) -> None:
        self.open(Source(""))

    def open(self, source: Source) -> None:
        """The next statements are of this file."""
        self.source = source
        self.diagnostics: list[Diagnostic] = []
        self.reserved_definitions: set[str] = set()
        self._statement = Span(0, 0)
        self._comment = ""

    def begin(self, statement: Span, comment: str) -> None:
        """The next rules belong to this statement."""
        self._statement = statement
        self._comment = comment

    def _wrong(self, code: str, message: str, span: Span, help: str = "") -> None:
        self.diagnostics.append(self.source.error(code, message, span, help=help))

    def _make(self, kind: Any, *fields: Any) -> Any:
        return kind(self._statement, *fields, comment=self._comment)

    def _text(self, token: Any) -> str:
        name = _normal(self.source.text[self._start(token) : self._stop(token)])
        if not name.isidentifier():
            self._wrong(
                "E0107", f"`{name}` is no name", self._span(token), help="a name is made of letters, digits and `_`"
            )
        return name

    # Places: a token counts from the start of its statement.

    def _start(self, token: Any) -> int:
        return self._statement.start + int(token.start_pos)

    def _stop(self, token: Any) -> int:
        return self._statement.start + int(token.end_pos)

    def _span(self, token: Any) -> Span:
        return Span(self._start(token), self._stop(token))

    def _place_name(self, name: str, token: Any, primes: Any) -> tree.Name:
        if primes is None:
            return tree.Name(self._span(token), name)
        return tree.Name(Span(self._start(token), self._stop(primes)), name, len(primes))

    # Names

    def name(self, parts: list[Any]) -> tree.Name:
        token, primes = parts
        name = self._text(token)
        if name in SIGN_WORDS:
            self._wrong(
                "E0201", f"`{name}` is reserved: {SIGN_WORDS[name]}", self._span(token), help="a value is missing here"
            )
        elif name in FUNCTION_WORDS:
            self._wrong(
                "E0210",
                f"`{name}` is a function and needs `(…)`",
                self._span(token),
                help=f"write `{name}(…)` with its arguments",
            )
        return self._place_name(name, token, primes)

    def derivable(self, parts: list[Any]) -> tree.Name:
        token, primes = parts
        name = self._text(token)
        self._check_definition(name, self._span(token))
        return self._place_name(name, token, primes)

    def defined(self, parts: list[Any]) -> tree.Name:
        return self.derivable([parts[0], None])

    def primed(self, parts: list[Any]) -> tree.Name:
        return self.derivable(parts)

    def _check_definition(self, name: str, span: Span) -> None:
        reason = why_reserved(name)
        if reason:
            self.reserved_definitions.add(name)
            cure = f"choose another name, such as `{name}_1`"
            if name == "t":
                cure += "; a function of the time alone is written without `(t)`: `f = sin(t)`"
            self._wrong("E0201", f"`{name}` is reserved: {reason}", span, help=cure)

    def _plain_name(self, token: Any) -> tree.Name:
        return self._place_name(self._text(token), token, None)

    # Expressions

    def number(self, parts: list[Any]) -> tree.Number:
        token = parts[0]
        text = str(token)
        value = _value(text)
        if text != self.source.excerpt(self._span(token)):
            self._wrong(
                "E0108", "this number is not written in plain digits", self._span(token), help=f"write `{text}`"
            )
        if math.isinf(value):
            self._wrong(
                "E0108", "this number is too large", self._span(token), help="the largest number is about 1.8e308"
            )
        return tree.Number(self._span(token), text, value)

    def bracketed(self, parts: list[Any]) -> tree.Expression:
        opening, inner, closing = parts
        if isinstance(inner, tree.Name | tree.Number):
            return inner
        return dataclasses.replace(inner, span=Span(self._start(opening), self._stop(closing)))

    def signed(self, parts: list[Any]) -> tree.Expression:
        sign, operand = parts
        return operand if sign == "+" else tree.Negative(Span(self._start(sign), operand.span.stop), operand)

    def power(self, parts: list[Any]) -> tree.Power:
        base, exponent = parts
        return tree.Power(base.span.to(exponent.span), base, exponent)

    def product(self, parts: list[Any]) -> tree.Product:
        factors = tuple(parts[::2])
        return tree.Product(factors[0].span.to(factors[-1].span), tuple(sign.value for sign in parts[1::2]), factors)

    def sum(self, parts: list[Any]) -> tree.Sum:
        terms = tuple(parts[::2])
        return tree.Sum(terms[0].span.to(terms[-1].span), (1, *(_SIGNS[sign] for sign in parts[1::2])), terms)

    def comparison(self, parts: list[Any]) -> tree.Comparison:
        operands = tuple(parts[::2])
        return tree.Comparison(
            operands[0].span.to(operands[-1].span), tuple(sign.value for sign in parts[1::2]), operands
        )

    def negation(self, parts: list[Any]) -> tree.Not:
        word, operand = parts
        return tree.Not(Span(self._start(word), operand.span.stop), operand)

    def conjunction(self, parts: list[Any]) -> tree.Logical:
        return tree.Logical(parts[0].span.to(parts[-1].span), "and", tuple(parts))

    def disjunction(self, parts: list[Any]) -> tree.Logical:
        return tree.Logical(parts[0].span.to(parts[-1].span), "or", tuple(parts))

    def call(self, parts: list[Any]) -> tree.Call:
        function, *arguments, closing = parts
        return tree.Call(
            Span(self._start(function), self._stop(closing)), self._plain_name(function), _present(arguments)
        )

    def index(self, parts: list[Any]) -> tree.Index:
        base, *items, closing = parts
        return tree.Index(Span(base.span.start, self._stop(closing)), base, tuple(items))

    def slice(self, parts: list[Any]) -> tree.Slice:
        start, colon, stop = parts
        first = self._start(colon) if start is None else start.span.start
        return tree.Slice(Span(first, self._stop(colon) if stop is None else stop.span.stop), start, stop)

    def array(self, parts: list[Any]) -> tree.Array:
        opening, *items, closing = parts
        return tree.Array(Span(self._start(opening), self._stop(closing)), tuple(items))

    # Declarations

    def shape(self, parts: list[Any]) -> tuple[tree.Expression, ...]:
        return tuple(parts)

    def state(self, parts: list[Any]) -> tree.State:
        name, shape, value = parts
        return self._make(tree.State, name, shape or (), value)

    def param(self, parts: list[Any]) -> tree.Param:
        name, shape, value, *clauses = parts
        given: dict[str, Any] = {}
        for field, content, span in clauses:
            if field in given:
                self._wrong("E0101", f"`{name}` has this clause twice", span, help="remove one of them")
            given[field] = content
        return self._make(tree.Param, name, shape or (), value, *(given.get(field) for field in _CLAUSES))

    def bounds(self, parts: list[Any]) -> tuple[str, tree.Bounds, Span]:
        opening, lower, upper, closing = parts
        span = Span(self._start(opening), self._stop(closing))
        return "bounds", tree.Bounds(span, lower, upper), span

    def logarithmic(self, parts: list[Any]) -> tuple[str, Span, Span]:
        return "log", self._span(parts[0]), self._span(parts[0])

    def prior(self, parts: list[Any]) -> tuple[str, tree.Distribution, Span]:
        return "prior", parts[0], parts[0].span

    def per_experiment(self, parts: list[Any]) -> tuple[str, Span, Span]:
        return "per_experiment", self._span(parts[0]), self._span(parts[0])

    def distribution(self, parts: list[Any]) -> tree.Distribution:
        kind, *arguments, closing = parts
        return tree.Distribution(
            Span(self._start(kind), self._stop(closing)), self._plain_name(kind), _present(arguments)
        )

    def const(self, parts: list[Any]) -> tree.Const:
        name, shape, value = parts
        return self._make(tree.Const, name, shape or (), value)

    def size(self, parts: list[Any]) -> tree.Size:
        return self._make(tree.Size, *parts)

    def input(self, parts: list[Any]) -> tree.Input:
        name, shape, interpolation = parts
        return self._make(tree.Input, name, shape or (), str(interpolation or "linear"))

    def data(self, parts: list[Any]) -> tree.Data:
        return self._make(tree.Data, *parts)

    def output(self, parts: list[Any]) -> tree.Observe:
        name, value, noise = parts
        if value is not None:
            self._check_definition(name.name, name.span)
        return self._make(tree.Observe, name, value, noise)

    def _several(self, parts: list[Any]) -> tuple[tree.AnyStatement, ...]:
        return tuple(parts)

    states = params = consts = sizes = inputs = data_columns = outputs = _several

    # Equations

    def equation(self, parts: list[Any]) -> tree.Equation:
        return self._make(tree.Equation, *parts)

    def leibniz_equation(self, parts: list[Any]) -> tree.Equation:
        token, value = parts
        text = str(token).split("/")[0].rstrip()
        span = Span(self._start(token) + 1, self._start(token) + len(text))
        name = _normal(self.source.excerpt(span))
        self._check_definition(name, span)
        return self._make(tree.Equation, tree.Name(span, name, 1), value)

    def operator_equation(self, parts: list[Any]) -> tree.Equation:
        target, value = parts
        return self._make(tree.Equation, dataclasses.replace(target, order=target.order + 1), value)

    def assignment(self, parts: list[Any]) -> tree.Assignment:
        return self._make(tree.Assignment, *parts)

    def next(self, parts: list[Any]) -> tree.Next:
        return self._make(tree.Next, *parts)

    def function(self, parts: list[Any]) -> tree.Function:
        name, parameters, value = parts
        return self._make(tree.Function, name, parameters or (), value)

    def parameters(self, parts: list[Any]) -> tuple[tree.Name, ...]:
        return tuple(parts)

    # Networks

    def net(self, parts: list[Any]) -> tree.Net:
        name, inputs, *layers = parts
        return self._make(tree.Net, name, inputs or (), tuple(layers))

    def given_net(self, parts: list[Any]) -> tree.Net:
        name, inputs, outputs = parts
        return self._make(tree.Net, name, inputs or (), (), outputs)

    def net_inputs(self, parts: list[Any]) -> tuple[tree.NetInput, ...]:
        return tuple(parts)

    def net_input(self, parts: list[Any]) -> tree.NetInput:
        name, shape = parts
        return tree.NetInput(name.span, name, shape or ())

    def dense(self, parts: list[Any]) -> tree.Dense:
        kind, units, activation, closing = parts
        span = Span(self._start(kind), self._stop(closing))
        return tree.Dense(
            span, self._plain_name(kind), units, None if activation is None else self._plain_name(activation)
        )

    # Jumps and runs

    def times(self, parts: list[Any]) -> tuple[tree.Expression, ...]:
        return tuple(parts)

    def change(self, parts: list[Any]) -> tree.Change:
        target, operator, value = parts
        return tree.Change(target.span.to(value.span), target, operator.value, value)

    def assigned(self, parts: list[Any]) -> tree.Change:
        target, value = parts
        return tree.Change(target.span.to(value.span), target, "=", value)

    def changes(self, parts: list[Any]) -> tuple[tree.Change, ...]:
        return tuple(parts)

    def at(self, parts: list[Any]) -> tree.At:
        return self._make(tree.At, *parts)

    def every(self, parts: list[Any]) -> tree.Every:
        return self._make(tree.Every, *parts)

    def when(self, parts: list[Any]) -> tree.When:
        return self._make(tree.When, *parts)

    def from_option(self, parts: list[Any]) -> tuple[str, tree.Expression]:
        return "start", parts[0]

    def to_option(self, parts: list[Any]) -> tuple[str, tree.Expression]:
        return "stop", parts[0]

    def step_option(self, parts: list[Any]) -> tuple[str, tree.Expression]:
        return "step", parts[0]

    def every_option(self, parts: list[Any]) -> tuple[str, tree.Expression]:
        return "every", parts[0]

    def method_option(self, parts: list[Any]) -> tuple[str, tree.Name]:
        return "method", self._plain_name(parts[0])

    def solve(self, parts: list[Any]) -> tree.Solve:
        given: dict[str, Any] = {}
        for field, content in parts:
            if field in given:
                self._wrong(
                    "E0101", f"`solve` has `{_OPTION_WORDS[field]}` twice", content.span, help="remove one of them"
                )
            given[field] = content
        return self._make(tree.Solve, *(given.get(field) for field in _OPTION_WORDS))


_CLAUSES = ("bounds", "log", "prior", "per_experiment")
_OPTION_WORDS = {"start": "from", "stop": "to", "step": "step", "every": "every", "method": "method"}


def _normal(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFKC", name)


def _present(arguments: list[Any]) -> tuple[tree.Expression, ...]:
    return tuple(argument for argument in arguments if argument is not None)


def _value(text: str) -> int | float:
    digits = text.replace("_", "")
    # A whole number of more than 308 digits is beyond floating point, and `int` refuses very long ones.
    return int(digits) if digits.isdigit() and len(digits) <= 308 else float(digits)
