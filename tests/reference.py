"""What a model means, said a second time: an interpreter of the syntax tree that shares nothing with `odec.model`.

The compiler lowers a tree once, and all that it makes of it shares that lowering; a fault of precedence there would be
in every test of the rest. So this file reads the tree in the plainest way, with its own meaning of each function, on
two kinds of numbers: floats (what a user's calculator does, IEEE at the edges: 1/0 is inf), and mpmath's with 40
digits (what is true; central differences of it are right to about 25 digits). An array is NumPy's, of dtype object,
with such numbers as elements.

    point = Reference(parse(source)).at(t=0, states={"x": 1}, params={"k": 2})
    point.slope("x"), point.value("rate"), point.initial("x"), point.jumps()
"""

from __future__ import annotations

import math
import operator
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Any

import mpmath
import numpy as np

from odec.syntax import tree

DIGITS = 40
NAN, INF = math.nan, math.inf
# A chain of 2,000 intermediates is followed by recursion, which costs Python no C stack.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 60_000))


class Floats:
    """IEEE double precision, with inf and NaN where Python would raise."""

    number = float
    pi = math.pi
    undefined = False

    def divide(self, a: float, b: float) -> float:
        if b != 0:
            return a / b
        return NAN if a == 0 or a != a else math.copysign(INF, a) * math.copysign(1.0, b)

    def power(self, a: float, b: float) -> float:
        try:
            return math.pow(a, b)
        except OverflowError:
            return -INF if a < 0 and b % 2 == 1 else INF
        except ValueError:
            return INF if a == 0 else NAN

    def function(self, name: str, *arguments: float) -> float:
        if any(a != a for a in arguments):
            return NAN
        try:
            return float(_MEANINGS[name](math, *arguments))
        except OverflowError:
            return {"sinh": math.copysign(INF, arguments[0])}.get(name, INF)
        except (ValueError, ZeroDivisionError):
            return -INF if name.startswith(("log", "ln")) and arguments[0] == 0 else NAN


class Exact:
    """Real numbers to 40 digits; NaN where there is no real value, and `undefined` says that this has happened."""

    # The double next to π, as in the module: sin(pi) is 1.2e-16 for both.
    pi = mpmath.mpf(math.pi)

    def __init__(self) -> None:
        self.undefined = False

    def number(self, value: Any) -> Any:
        return mpmath.mpf(value)

    def divide(self, a: Any, b: Any) -> Any:
        return self._real(a / b if b != 0 else mpmath.nan)

    def power(self, a: Any, b: Any) -> Any:
        if a == 0:
            return self._real(mpmath.mpf(1) if b == 0 else mpmath.mpf(0) if b > 0 else mpmath.nan)
        return self._real(a**b if a > 0 or b == mpmath.floor(b) else mpmath.nan)

    def function(self, name: str, *arguments: Any) -> Any:
        if any(isinstance(a, mpmath.mpc) or mpmath.isnan(a) for a in arguments):
            return mpmath.nan
        try:
            return self._real(_MEANINGS[name](mpmath, *arguments))
        except (ValueError, ZeroDivisionError):
            return self._real(mpmath.nan)

    def _real(self, value: Any) -> Any:
        if isinstance(value, mpmath.mpc) or mpmath.isnan(value):
            self.undefined = True
            return mpmath.nan
        return value


FLOATS, EXACT = Floats(), Exact()

# `m` is `math` or `mpmath`.
_MEANINGS: dict[str, Callable[..., Any]] = {
    "exp": lambda m, x: m.exp(x),
    "log": lambda m, x: m.log(x),
    "ln": lambda m, x: m.log(x),
    "log2": lambda m, x: m.log(x) / m.log(2),
    "log10": lambda m, x: m.log(x) / m.log(10),
    "sqrt": lambda m, x: m.sqrt(x) if x > 0 else 0,
    "abs": lambda m, x: -x if x < 0 else x,
    "sign": lambda m, x: (x > 0) - (x < 0),
    "floor": lambda m, x: m.floor(x),
    "ceil": lambda m, x: m.ceil(x),
    "min": lambda m, *xs: min(xs),
    "max": lambda m, *xs: max(xs),
    "mod": lambda m, x, y: x - y * m.floor(x / y),
    "sin": lambda m, x: m.sin(x),
    "cos": lambda m, x: m.cos(x),
    "tan": lambda m, x: m.sin(x) / m.cos(x),
    "asin": lambda m, x: m.asin(x),
    "acos": lambda m, x: m.acos(x),
    "atan": lambda m, x: m.atan(x),
    "atan2": lambda m, y, x: m.atan2(y, x),
    "sinh": lambda m, x: m.sinh(x),
    "cosh": lambda m, x: m.cosh(x),
    "tanh": lambda m, x: m.tanh(x),
    "asinh": lambda m, x: m.asinh(x),
    "acosh": lambda m, x: m.acosh(x),
    "atanh": lambda m, x: m.atanh(x),
    "erf": lambda m, x: m.erf(x),
    "sigmoid": lambda m, x: 1 / (1 + m.exp(-x)) if x > -700 else m.exp(x),
    "softplus": lambda m, x: m.log(1 + m.exp(x)) if x < 30 else x + m.exp(-x) - m.exp(-2 * x) / 2,
    "relu": lambda m, x: x if x > 0 else 0,
    "heaviside": lambda m, x: 1 if x >= 0 else 0,
}

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


Shape = tuple[int, ...]
_JUMPS = (tree.At, tree.Every, tree.When)


def each(function: Callable[..., Any], *values: Any) -> Any:
    """A function of numbers, element by element where there are arrays."""
    for value in values:
        if isinstance(value, np.ndarray):
            return np.frompyfunc(function, len(values), 1)(*values)
    return function(*values)


def spread(value: Any, shape: Shape) -> Any:
    """The value in this shape: a number stands for every element."""
    return np.broadcast_to(np.asarray(value, dtype=object), shape) if shape else value


class Reference:
    """A file with its names sorted out, in the simplest way that LANGUAGE.md allows."""

    def __init__(self, file: tree.File) -> None:
        statements = file.statements
        self.params = {s.name.name: s for s in statements if isinstance(s, tree.Param)}
        self.consts = {s.name.name: s for s in statements if isinstance(s, tree.Const | tree.Size)}
        self.inputs = [s.name.name for s in statements if isinstance(s, tree.Input)]
        self.data = [s.name.name for s in statements if isinstance(s, tree.Data)]
        self.functions = {s.name.name: s for s in statements if isinstance(s, tree.Function)}
        self.nets = {s.name.name: s for s in statements if isinstance(s, tree.Net)}
        self.starts = {str(s.name): s.value for s in statements if isinstance(s, tree.State)}
        self.observed = [str(s.name) for s in statements if isinstance(s, tree.Observe)]
        self.noises = [s.noise for s in statements if isinstance(s, tree.Observe) and s.noise]
        self.jumps = [s for s in statements if isinstance(s, _JUMPS)]
        equations = {s.target.name: (s.target.order, s.value) for s in statements if isinstance(s, tree.Equation)}
        equations |= {s.target.name: (1, s.value) for s in statements if isinstance(s, tree.Next)}
        assigned = {s.name.name: s.value for s in statements if isinstance(s, tree.Assignment)}
        known = {name for name in self.starts if "'" not in name} | set(equations)
        declared = {*known, *self.params, *self.consts, *self.inputs, *self.data, *assigned}
        observed = {s.name.name: _measured(s) for s in statements if isinstance(s, tree.Observe)}
        # `observe x ~ normal(x, s)` of a state gives a noise and defines nothing.
        measured = {n: v for n, (v, own) in observed.items() if v is not None and (own or n not in declared)}
        others = {*self.params, *self.consts, *self.inputs, *self.data, *assigned, *measured}
        used = _used(file)
        for name in assigned:
            evident = name[1:] in used and name[1:] not in others and name not in used
            if name[0] == "d" and name[1:] not in ("", "t", "pi") and (name[1:] in known or evident):
                equations[name[1:]] = (1, assigned[name])
        self.intermediates = {n: v for n, v in assigned.items() if not (n[0] == "d" and n[1:] in equations)}
        self.intermediates |= {n: v for n, v in measured.items() if n not in equations}
        self.equations: dict[str, tree.Node | str] = {}
        for name, (order, value) in equations.items():
            for n in range(order - 1):
                self.equations[name + "'" * n] = name + "'" * (n + 1)
            self.equations[name + "'" * (order - 1)] = value
        self.has_arrays = any(isinstance(node, tree.Array) for node in _nodes(file))
        self.shapes: dict[str, Shape] = {}
        sizes = self.at()
        for s in statements:
            if isinstance(s, tree.State | tree.Param | tree.Const | tree.Input):
                self.shapes[str(s.name)] = tuple(int(sizes.number(part)) for part in s.shape)
        for name in self.states:
            # A slope has the shape of its state.
            self.shapes[name] = self.shapes.get(name) or self.shapes.get(name.rstrip("'"), ())
        self.weights: dict[str, Shape] = {}
        for name, net in self.nets.items():
            before = sum(int(sizes.number(item.shape[0])) if item.shape else 1 for item in net.inputs)
            for place, layer in enumerate(net.layers):
                width = int(sizes.number(layer.units))
                self.weights |= {f"{name}_{place}_kernel": (before, width), f"{name}_{place}_bias": (width,)}
                before = width
        self.has_arrays = self.has_arrays or bool(self.nets) or any(self.shapes.values())

    @property
    def states(self) -> list[str]:
        """Every state and slope: declared ones first, in the order of the text."""
        return [*self.starts, *(name for name in self.equations if name not in self.starts)]

    @property
    def others(self) -> list[str]:
        """What is given from outside: inputs and `data`."""
        return [*self.inputs, *self.data]

    def guesses(self, chance: random.Random | None = None) -> dict[str, Any]:
        """The first guess of each param; numbers between -1 and 1 where an initializer draws them."""
        chance = chance or random.Random(0)
        found: dict[str, Any] = {}
        for name, s in self.params.items():
            shape, written = self.shapes[name], s.value
            assert written is not None
            if shape and isinstance(written, tree.Call) and written.function.name not in self.functions:
                found[name] = np.reshape([chance.uniform(-1, 1) for _ in range(math.prod(shape))], shape)
                continue
            value = self.at().number(written)
            found[name] = np.asarray(spread(value, shape), dtype=float) if shape else float(value)
        for name, shape in self.weights.items():
            found[name] = np.reshape([chance.uniform(-1, 1) for _ in range(math.prod(shape))], shape)
        return found

    def at(
        self,
        t: Any = None,
        states: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        numbers: Any = FLOATS,
        others: Mapping[str, Any] | None = None,
    ) -> Point:
        """The model at a point; `others` are the values of inputs and `data`."""
        return Point(self, t, {**(states or {}), **(params or {}), **(others or {})}, numbers)


def _measured(observe: tree.Observe) -> tuple[tree.Expression | None, bool]:
    """What an `observe` defines, and whether it says so itself: the location of its noise is the output else."""
    if observe.value is not None or observe.noise is None or observe.name.order:
        return observe.value, True
    return observe.noise.arguments[0], False


class Point:
    """The values of a model where time, states, params, inputs and data have these values."""

    def __init__(self, model: Reference, t: Any, given: Mapping[str, Any], numbers: Any) -> None:
        self.model, self.n = model, numbers
        self.known = {name: each(numbers.number, value) for name, value in given.items()}
        if t is not None:
            self.known["t"] = numbers.number(t)

    def slope(self, state: str) -> Any:
        """The derivative of a state; its next value in a map."""
        equation = self.model.equations[state]
        return self._shaped(state, self.value(equation) if isinstance(equation, str) else self.number(equation))

    def initial(self, state: str) -> Any:
        """The start value of a state, None where the text gives none."""
        written = self.model.starts.get(state)
        return None if written is None else self._shaped(state, self.number(written))

    def noises(self) -> list[list[Any]]:
        """For each noise, what its distribution takes behind the location."""
        return [[self.number(argument) for argument in noise.arguments[1:]] for noise in self.model.noises]

    # Jumps

    def times(self) -> list[list[Any]]:
        """For each jump the times of an `at`; period, start and stop of an `every`; nothing of a `when`."""
        found = []
        for jump in self.model.jumps:
            match jump:
                case tree.At():
                    times: tuple[tree.Node | None, ...] = jump.times
                case tree.Every():
                    times = (jump.period, jump.start, jump.stop)
                case _:
                    times = ()
            found.append([None if time is None else self.number(time) for time in times])
        return found

    def jumps(self) -> list[dict[str, Any]]:
        """For each jump the new value of each state that it changes: all right-hand sides before any is assigned."""
        return [{str(c.target): self._shaped(str(c.target), self._new(c)) for c in j.changes} for j in self.model.jumps]

    def _new(self, change: tree.Change) -> Any:
        value, old = self.number(change.value), self.value(str(change.target))
        match change.operator:
            case "+=":
                return each(operator.add, old, value)
            case "-=":
                return each(operator.sub, old, value)
            case "*=":
                return each(operator.mul, old, value)
            case "/=":
                return each(self.n.divide, old, value)
        return value

    def conditions(self) -> list[tuple[bool, Any]]:
        """For each `when` whether it holds, and how far it is inside (negative: outside) of what it asks."""
        conditions = [jump.condition for jump in self.model.jumps if isinstance(jump, tree.When)]
        return [(self.holds(condition, {}), self._margin(condition)) for condition in conditions]

    def _margin(self, node: tree.Node) -> Any:
        match node:
            case tree.Comparison():
                values = [self.number(operand) for operand in node.operands]
                pairs = zip(node.operators, values, values[1:], strict=False)
                return self.n.function("min", *(_MARGINS[o](a, b) for o, a, b in pairs))
            case tree.Logical():
                least = "min" if node.operator == "and" else "max"
                return self.n.function(least, *map(self._margin, node.operands))
            case tree.Not():
                return -self._margin(node.operand)
        raise NotImplementedError(node)

    # Names and expressions

    def _shaped(self, name: str, value: Any) -> Any:
        return spread(value, self.model.shapes.get(name, ()))

    def value(self, name: str) -> Any:
        """What a name means."""
        if name not in self.known:
            model = self.model
            if name in model.consts:
                self.known[name] = self._shaped(name, self.number(model.consts[name].value))
            elif name == "pi":
                self.known[name] = self.n.pi
            else:
                self.known[name] = self.number(model.intermediates[name])
        return self.known[name]

    def number(self, node: tree.Node, own: Mapping[str, Any] = {}) -> Any:
        """The value of an expression; a condition counts 1 or 0. `own` are the arguments of the function around it."""
        n = self.n
        match node:
            case tree.Number():
                return n.number(node.value)
            case tree.Name():
                return own[node.name] if node.name in own else self.value(str(node))
            case tree.Negative():
                return each(operator.neg, self.number(node.operand, own))
            case tree.Sum():
                total = self.number(node.terms[0], own)
                for sign, term in zip(node.signs[1:], node.terms[1:], strict=True):
                    total = each(operator.add if sign > 0 else operator.sub, total, self.number(term, own))
                return total
            case tree.Product():
                product = self.number(node.factors[0], own)
                for written, factor in zip(node.operators, node.factors[1:], strict=True):
                    product = self._times(written, product, self.number(factor, own))
                return product
            case tree.Power():
                return each(n.power, self.number(node.base, own), self.number(node.exponent, own))
            case tree.Call():
                return self.call(node, own)
            case tree.Array():
                items = [np.asarray(self.number(item, own), dtype=object) for item in node.items]
                inner = np.broadcast_shapes(*(item.shape for item in items))
                return np.stack([np.broadcast_to(item, inner) for item in items])
            case tree.Index():
                return self.number(node.base, own)[tuple(self._place(item, own) for item in node.items)]
        return each(lambda truth: n.number(1 if truth else 0), self.holds(node, own))

    def _times(self, written: str, left: Any, right: Any) -> Any:
        if written == "@":
            return np.dot(left, right)
        return each(operator.mul if written == "*" else self.n.divide, left, right)

    def _place(self, item: tree.Node, own: Mapping[str, Any]) -> Any:
        if isinstance(item, tree.Slice):
            ends = (item.start, item.stop)
            return slice(*(None if end is None else int(self.number(end, own)) for end in ends))
        return int(self.number(item, own))

    def holds(self, node: tree.Node, own: Mapping[str, Any]) -> Any:
        """Whether a condition is true (for each element)."""
        match node:
            case tree.Comparison():
                values = [self.number(operand, own) for operand in node.operands]
                pairs = zip(node.operators, values, values[1:], strict=False)
                return reduce(_both, [each(_COMPARE[o], a, b) for o, a, b in pairs])
            case tree.Logical():
                return reduce(_both if node.operator == "and" else _either, [self.holds(o, own) for o in node.operands])
            case tree.Not():
                return each(operator.not_, self.holds(node.operand, own))
        raise NotImplementedError(node)

    def call(self, node: tree.Call, own: Mapping[str, Any]) -> Any:
        """The value of a call."""
        name, arguments = node.function.name, node.arguments
        if name == "if":
            return self._choice(arguments, own)
        values = [self.number(argument, own) for argument in arguments]
        if name in self.model.functions:
            function = self.model.functions[name]
            return self.number(function.value, dict(zip((p.name for p in function.parameters), values, strict=True)))
        if name in self.model.nets:
            return self._net(self.model.nets[name], values)
        match name:
            case "sum":
                return np.sum(values[0]) if isinstance(values[0], np.ndarray) else values[0]
            case "mean":
                return self.n.divide(np.sum(values[0]), np.size(values[0]))
            case "max" | "min" if len(values) == 1 and isinstance(values[0], np.ndarray):
                return self.n.function(name, *values[0].ravel())
            case "dot":
                return np.dot(*values)
            case "roll":
                return np.roll(values[0], int(values[1]))
            case "range":
                return each(self.n.number, np.arange(int(values[0])))
        return each(lambda *numbers: self.n.number(self.n.function(name, *numbers)), *values)

    def _net(self, net: tree.Net, values: list[Any]) -> Any:
        """Layer by layer, number by number."""
        numbers = [number for value in values for number in np.ravel(np.asarray(value, dtype=object))]
        for place, layer in enumerate(net.layers):
            kernel, bias = (self.value(f"{net.name}_{place}_{part}") for part in ("kernel", "bias"))
            sums = [
                sum(a * w for a, w in zip(numbers, row, strict=True)) + b for row, b in zip(kernel.T, bias, strict=True)
            ]
            numbers = [self._activated(layer.activation, total) for total in sums]
        last = net.layers[-1].units
        return numbers[0] if isinstance(last, tree.Number) and last.value == 1 else np.array(numbers, dtype=object)

    def _activated(self, activation: tree.Name | None, x: Any) -> Any:
        name = "linear" if activation is None else activation.name
        if name in self.model.functions:
            function = self.model.functions[name]
            return self.number(function.value, {function.parameters[0].name: x})
        match name:
            case "linear":
                return x
            case "swish" | "silu":
                return x * self.n.function("sigmoid", x)
            case "gelu":
                return x / 2 * (1 + self.n.function("erf", x / self.n.function("sqrt", self.n.number(2))))
        return self.n.number(self.n.function(name, x))

    def _choice(self, arguments: tuple[tree.Expression, ...], own: Mapping[str, Any]) -> Any:
        """The chosen branch, element by element; the others are looked at for their shape alone."""
        conditions = [self.holds(condition, own) for condition in arguments[:-1:2]]
        branches = [*arguments[1::2], arguments[-1]]
        if not self.model.has_arrays:
            return self.number(next((b for c, b in zip(conditions, branches, strict=False) if c), arguments[-1]), own)
        before = self.n.undefined
        values, hidden = [], False
        for branch in branches:
            self.n.undefined = False
            values.append(self.number(branch, own))
            # A NaN that is seen matters where it is chosen; one that went elsewhere (into a condition) always does.
            hidden = hidden or (self.n.undefined and not np.any(each(_is_nan, values[-1])))
        place = each(lambda *truths: truths.index(True) if True in truths else len(truths), *conditions)
        chosen = each(lambda at, *numbers: numbers[at], place, *values)
        self.n.undefined = before or hidden or bool(np.any(each(_is_nan, chosen)))
        return chosen


def _both(a: Any, b: Any) -> Any:
    return each(lambda p, q: bool(p and q), a, b)


def _either(a: Any, b: Any) -> Any:
    return each(lambda p, q: bool(p or q), a, b)


def _is_nan(value: Any) -> bool:
    return bool(value != value)


_MARGINS: dict[str, Callable[[Any, Any], Any]] = {
    "<": lambda a, b: b - a,
    "<=": lambda a, b: b - a,
    ">": lambda a, b: a - b,
    ">=": lambda a, b: a - b,
    "==": lambda a, b: -abs(a - b),
    "!=": lambda a, b: abs(a - b),
}


def _used(file: tree.File) -> set[str]:
    """The names that stand in expressions, wherever."""
    return {node.name for node in _nodes(file) if isinstance(node, tree.Name)}


def _nodes(file: tree.File) -> Iterator[tree.Node]:
    """Every node but the names of what is defined or called."""
    waiting: list[Any] = [file.statements]
    passed = {"name", "target", "function", "kind", "parameters", "activation", "method", "span", "comment"}
    while waiting:
        item = waiting.pop()
        if isinstance(item, tuple):
            waiting.extend(item)
        elif isinstance(item, tree.Node):
            yield item
            waiting.extend(getattr(item, key) for key in _fields(item) if key not in passed)


def _fields(node: tree.Node) -> list[str]:
    return list(node.__dataclass_fields__)


def central_difference(function: Callable[[Any], Any], at: float = 0.0, step: int = 13) -> tuple[Any, Any]:
    """The derivative of a function of an exact number, and what the digits that are carried leave open of it; arrays
    where the function gives one."""
    with mpmath.workdps(DIGITS):
        x = mpmath.mpf(at)
        h = mpmath.mpf(10) ** -step * max(abs(x), mpmath.mpf(10) ** -3)
        above, below = function(x + h), function(x - h)

        def slope(a: Any, b: Any) -> float:
            return float((a - b) / (2 * h))

        def open_digits(a: Any, b: Any) -> float:
            return float(max(abs(a), abs(b)) * mpmath.mpf(10) ** (3 - DIGITS) / h)

        return each(slope, above, below), each(open_digits, above, below)


def mixed_difference(function: Callable[[Any, Any], Any], at: float = 0.0, step: int = 10) -> tuple[float, float]:
    """The derivative by the first number, there, and by the second, at 0, of a function of two; and what the digits
    that are carried leave open of it."""
    with mpmath.workdps(DIGITS):
        x = mpmath.mpf(at)
        k = mpmath.mpf(10) ** -step
        h = k * max(abs(x), mpmath.mpf(10) ** -3)
        corners = [function(x + h, k), function(x - h, -k), -function(x + h, -k), -function(x - h, k)]
        open_digits = max(map(abs, corners)) * mpmath.mpf(10) ** (3 - DIGITS)
        return float(sum(corners) / (4 * h * k)), float(open_digits / (h * k))
