"""Models drawn from the grammar: four meanings of each agree at random points.

The reference interpreter of the tree, the Model through sympy, the generated module in float64, and its derivatives
against central differences.
"""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import mpmath
import pytest
import reference
import sympy
from agreement import Where, compare_at, compiled
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odec.diagnostics import OdecError
from odec.model.expression import TIME, Expression, postorder
from odec.source import Source
from odec.syntax.parser import parse

# Of each of four parts, and of those whose module is asked with tensors.
MODELS, TENSORS = 520, 60

# Names that mean something to Python, Keras, sympy or the generated module; letters of other scripts.
# fmt: off
NAMES = [
    "lambda", "class", "def", "import", "return", "None", "True", "yield", "async", "self", "cls", "states", "params",
    "consts", "inputs", "data", "t0", "select", "power", "register", "require", "Layer", "State", "Param",
    "Description", "maximum", "minimum", "w1", "w2", "w3", "dx", "keras", "ops", "tf", "np", "K", "layer", "call",
    "build", "dtype", "weights", "S", "E", "I", "N", "O", "Q", "C", "beta", "gamma", "zeta", "Symbol", "Integer",
    "Add", "Mul", "exp1", "log_", "sin_", "cosx", "α", "β", "γ", "δ", "ε", "λ", "μ", "π_", "σ", "ω", "Δx", "ψ1", "ж",
    "变量", "naïve", "x_1", "_x", "__x", "step", "method", "from", "to", "every", "linear", "hold", "at", "when",
    "next", "state", "param", "const", "observe", "input", "size", "solve", "normal", "per", "experiment", "print",
    "eval", "exec", "open", "len", "float", "int", "abs_", "sum_", "k1", "k2", "h", "dt", "y0", "tau", "sp_1", "s0",
    "s1",
]
UNARY = [
    "exp", "log", "ln", "log2", "log10", "sqrt", "abs", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
    "tanh", "asinh", "acosh", "atanh", "erf", "sigmoid", "softplus", "relu",
]
# fmt: on
JUMPY = ["sign", "floor", "ceil", "heaviside"]


class Writer:
    """Writes text of the grammar from the bits that Hypothesis gives it."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.free = list(NAMES)
        self.time = ("t", "pi")
        chance.shuffle(self.free)

    def name(self) -> str:
        return self.free.pop() if self.free else f"z{self.chance.randrange(10**9)}"

    def number(self) -> str:
        kind = self.chance.randrange(6)
        if kind < 3:
            return str(self.chance.randrange(0, 5))
        if kind == 3:
            return repr(round(self.chance.uniform(0.1, 9), 2))
        return self.chance.choice(("1e-3", ".5", "1_000", "2.", "3e2", "0.25", "1/3", "2/4"))

    def atom(self, names: list[str]) -> str:
        if names and self.chance.random() < 0.75:
            return self.chance.choice(names)
        return self.chance.choice((self.number(), *self.time, self.number()))

    def expression(self, names: list[str], depth: int) -> str:
        pick = self.chance.random
        if depth == 0 or pick() < 0.15:
            return self.atom(names)
        kind = self.chance.randrange(20)
        one = self.expression(names, depth - 1)
        if kind < 9:
            two = self.expression(names, depth - 1)
            operator = self.chance.choice(("+", "-", "*", "/", " + ", " - ", " * "))
            three = self.chance.choice(("", f" - {self.atom(names)}", f"*{self.atom(names)}", f"/{self.atom(names)}"))
            text = f"{one}{operator}{two}{three}"
            return f"({text})" if pick() < 0.6 else text
        if kind < 11:
            return f"-{one}" if pick() < 0.5 else f"(-{one})"
        if kind < 13:
            exponent = self.chance.choice(("2", "3", "-1", "-2", "0.5", "2^-1", "1", "0", self.atom(names)))
            return f"{self._closed(one)}{self.chance.choice(('^', '**'))}{exponent}"
        if kind < 16:
            function = self.chance.choice(UNARY if pick() < 0.9 else JUMPY)
            return f"{function}({one})"
        if kind == 16:
            return (
                f"{self.chance.choice(('max', 'min'))}({one}, {self.expression(names, depth - 1)}, {self.atom(names)})"
            )
        if kind == 17:
            return f"{self.chance.choice(('mod', 'atan2'))}({one}, {self.expression(names, depth - 1)})"
        if kind == 18:
            return f"if({self.condition(names, depth - 1)}, {one}, {self.expression(names, depth - 1)})"
        return f"({self.condition(names, depth - 1)})*{self.atom(names)}"

    def _closed(self, text: str) -> str:
        return text if self.chance.random() < 0.5 else f"({text})"

    def condition(self, names: list[str], depth: int) -> str:
        parts = [self.atom(names) if depth == 0 else self.expression(names, depth - 1) for _ in range(3)]
        less = self.chance.choice(("<", "<=", ">", ">="))
        kind = self.chance.randrange(6)
        if kind == 0:
            return f"{parts[0]} < {parts[1]} <= {parts[2]}"
        if kind == 1:
            return f"{parts[0]} {less} {parts[1]} {self.chance.choice(('and', 'or'))} {parts[2]} > 1"
        if kind == 2:
            return f"not {parts[0]} {less} {parts[1]}"
        return f"{parts[0]} {less} {parts[1]}"

    def start(self, state: str, names: list[str]) -> str:
        """A state's declaration; time is not known before the run."""
        self.time, before = ("pi",), self.time
        value = self.expression(names, 1)
        self.time = before
        return f"state {state} = {value}" if self.chance.random() < 0.5 else f"state {state}"

    def system(self) -> list[str]:
        """A small model: its lines in any order."""
        x, y, a, b, c, rate, f, u, seen = (self.name() for _ in range(9))
        names = [x, y, a, b, c, rate]
        lines = [
            f"state {x} = {self.number()}",
            self.start(y, [a, c]),
            f"param {a} = {self.chance.uniform(0.1, 3):.3g}",
            f"param {b} = {self.chance.uniform(0.1, 3):.3g} in [0, 10]",
            f"const {c} = {self.chance.choice(('2', '0.5', '1/3', '4'))}",
            f"{rate} = {self.expression([x, y, a, b, c], 2)}",
            f"{f}({u}) = {self.expression([u, u, b, x], 2)}",
            f"{x}' = {self.expression(names, 3)}",
            f"d{y}/dt = {self.expression(names, 2)} + {f}({self.expression(names, 1)})",
        ]
        if self.chance.random() < 0.3:
            lines.append(f"observe {seen} = {self.expression(names, 2)}")
        self.chance.shuffle(lines)
        return lines


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
for _head in (*UNARY, *JUMPY, "max", "min", "mod", "atan2", "x_over_expm1"):
    _SYMPY.setdefault(_head, _opaque(_head))


def _written(seed: int) -> Source:
    return Source.from_text("\n".join(Writer(random.Random(seed)).system()) + "\n", "random.ode")


def _compiles(source: Source) -> Any:
    """The compiled model; None where the text says something like 1/0, which is an error and not a model."""
    try:
        return compiled(source)
    except OdecError as error:
        assert {d.code for d in error.diagnostics} == {"E0405"}, f"{error}\n{source.text}"
        return None


def _points(model: reference.Reference, count: int, seed: int) -> list[Where]:
    chance = random.Random(seed)
    return [
        Where(
            chance.uniform(0, 3),
            {name: chance.uniform(-2, 3) for name in model.states},
            {name: chance.uniform(0.1, 3) for name in model.params},
        )
        for _ in range(count)
    ]


def _check(seed: int, tensors: bool) -> bool:
    source = _written(seed)
    found = _compiles(source)
    if found is None:
        return False
    result, layer = found
    meaning = reference.Reference(parse(source))
    where = _points(meaning, 2, seed)
    compare_at(meaning, layer, where, tensors=tensors, text=source.text)
    if not tensors:
        _check_sympy(result.model, meaning, where, source.text)
    return True


def _check_sympy(model: Any, meaning: reference.Reference, where: list[Where], text: str) -> None:
    """The Model's formulas, through sympy, at the first point."""
    w = where[0]
    names: dict[Expression, Any] = {}
    for item in (*model.states, *model.params, *model.consts, *model.intermediates):
        names[item.symbol] = sympy.Dummy(real=True)
    names[TIME] = sympy.Dummy(real=True)
    with mpmath.workdps(reference.DIGITS):
        exact = reference.Exact()
        point = meaning.at(w.t, w.states, w.params, exact)
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
