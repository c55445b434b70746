"""Models drawn from the grammar: four meanings of each agree at random points.

The reference interpreter of the tree, the Model through sympy, the generated module in float64, and its derivatives
against central differences.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from functools import partial
from typing import Any

import mpmath
import numpy as np
import pytest
import reference
import sympy
from agreement import Where, compare_at, compiled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_text import JUMPY, UNARY, ArrayWriter, Writer

from odec.diagnostics import OdecError
from odec.model.expression import TIME, Expression, postorder
from odec.source import Source
from odec.syntax.parser import parse

# Of each of four parts, and of those whose module is asked with tensors.
MODELS, TENSORS = 505, 60
# How many of them have vectors and matrices.
ARRAYS = 0.27

_MEANINGS = {f"our_{name}": partial(reference.EXACT.function, name) for name in reference._MEANINGS}
_MEANINGS["our_x_over_expm1"] = lambda x: x / mpmath.expm1(x) if x else mpmath.mpf(1)


def to_sympy(formula: Expression, names: dict[Expression, Any]) -> Any:
    """The formula as sympy would have it, by sympy's own functions where it has them."""
    done: dict[Expression, Any] = {}
    for node in postorder([formula]):
        done[node] = names[node] if node.head == "symbol" else _SYMPY[node.head](node, *(done[a] for a in node.args))
    return done[formula]


def _choice(node: Expression, *args: Any) -> Any:
    return sympy.Piecewise(*zip(args[1::2], args[:-1:2], strict=False), (args[-1], True))


def _guarded_root(node: Expression, x: Any) -> Any:
    return sympy.Piecewise((sympy.sqrt(x), x > 0), (sympy.Integer(0), True))


_SYMPY: dict[str, Any] = {
    "number": lambda node: sympy.Float(node.value, 17) if isinstance(node.value, float) else sympy.Integer(node.value),
    "add": lambda node, *xs: sympy.Add(*xs, evaluate=False),
    "multiply": lambda node, *xs: sympy.Mul(*xs, evaluate=False),
    "negate": lambda node, x: sympy.Mul(-1, x, evaluate=False),
    "divide": lambda node, x, y: sympy.Mul(x, sympy.Pow(y, -1, evaluate=False), evaluate=False),
    "power": lambda node, x, y: sympy.Pow(x, y, evaluate=False),
    "if": _choice,
    "and": lambda node, *xs: sympy.And(*xs, evaluate=False),
    "or": lambda node, *xs: sympy.Or(*xs, evaluate=False),
    "not": lambda node, x: sympy.Not(x, evaluate=False),
    "sqrt": _guarded_root,
}


def _opaque(head: str) -> Any:
    return lambda node, *xs: sympy.Function(f"our_{head}")(*xs)


for _head, _relation in (
    ("<", sympy.Lt),
    ("<=", sympy.Le),
    (">", sympy.Gt),
    (">=", sympy.Ge),
    ("==", sympy.Eq),
    ("!=", sympy.Ne),
):
    _SYMPY[_head] = lambda node, x, y, relation=_relation: relation(x, y, evaluate=False)
for _head in (*UNARY, *JUMPY, "max", "min", "mod", "atan2", "x_over_expm1", "expm1", "log1p"):
    _SYMPY.setdefault(_head, _opaque(_head))


def _written(seed: int) -> Source:
    chance = random.Random(seed)
    writer = ArrayWriter(chance) if chance.random() < ARRAYS else Writer(chance)
    return Source.from_text("\n".join(writer.system()) + "\n", "random.ode")


def _compiles(source: Source) -> Any:
    """The compiled model; None where the text says something like 1/0, which is an error and not a model."""
    try:
        return compiled(source)
    except OdecError as error:
        assert {d.code for d in error.diagnostics} == {"E0405"}, f"{error}\n{source.text}"
        return None


def _points(model: reference.Reference, count: int, seed: int) -> list[Where]:
    chance = random.Random(seed)

    def drawn(names: Iterable[str], least: float) -> dict[str, Any]:
        found = {}
        for name in names:
            shape = model.shapes.get(name, ())
            numbers = [chance.uniform(least, 3) for _ in range(math.prod(shape))]
            found[name] = np.reshape(numbers, shape) if shape else numbers[0]
        return found

    return [
        Where(chance.uniform(0, 3), drawn(model.states, -2), drawn(model.params, 0.1), drawn(model.others, -2))
        for _ in range(count)
    ]


@np.errstate(all="ignore")
def _check(seed: int, tensors: bool) -> bool:
    source = _written(seed)
    found = _compiles(source)
    if found is None:
        return False
    result, layer = found
    meaning = reference.Reference(parse(source))
    where = _points(meaning, 1 if meaning.has_arrays else 2, seed)
    compare_at(meaning, layer, where, tensors=tensors, text=source.text)
    if not tensors and not meaning.has_arrays:
        _check_sympy(result.model, meaning, where, source.text)
    return True


def _check_sympy(model: Any, meaning: reference.Reference, where: list[Where], text: str) -> None:
    """The Model's formulas, through sympy, at the first point."""
    w = where[0]
    names: dict[Expression, Any] = {}
    for item in (*model.states, *model.params, *model.consts, *model.inputs, *model.intermediates):
        names[item.symbol] = sympy.Dummy(real=True)
    names[TIME] = sympy.Dummy(real=True)
    with mpmath.workdps(reference.DIGITS):
        exact = reference.Exact()
        point = meaning.at(w.t, w.states, w.params, exact, w.others)
        values = {s: point.value(str(s.value)) for s in names}
        lines = [(d.value, point.value(d.name)) for d in model.intermediates]
        lines += [(e.value, point.slope(e.state.name)) for e in model.equations]
        if exact.undefined:
            # Somewhere there is no number; whether it is compared with another one has no meaning to agree on.
            return
        try:
            formulas = [to_sympy(f, names) for f, _ in lines]
        except TypeError:
            # sympy sees a pole of literals and cannot compare it.
            return
        try:
            function = sympy.lambdify(list(names.values()), formulas, modules=[_MEANINGS, "mpmath"])
        except KeyError:
            # `zoo`, a pole of literals, cannot be written as Python.
            return
        try:
            got = function(*values.values())
        except (ZeroDivisionError, ValueError, OverflowError, TypeError):
            # A complex number on the way, or a pole: there is no value to agree on.
            return
        for value, (_, wanted) in zip(got, lines, strict=True):
            if isinstance(value, mpmath.mpc) or not mpmath.isfinite(wanted) or not mpmath.isfinite(value):
                continue
            assert abs(value - wanted) <= 1e-9 * abs(wanted) + 1e-12, f"{value}, not {wanted} at {w}\n{text}"


_PROFILE = settings(
    max_examples=MODELS,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("part", range(4))
def test_four_meanings_agree(part: int) -> None:
    counted = [0]

    @_PROFILE
    @given(st.integers(0, 2**40))
    def each(seed: int) -> None:
        counted[0] += _check(seed * 4 + part, tensors=False)

    each()
    assert counted[0] >= MODELS * 0.9


def test_tensors_mean_the_same() -> None:
    assert sum(_check(seed, tensors=True) for seed in range(TENSORS)) >= TENSORS * 0.9
