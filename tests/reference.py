"""What a model means, said a second time: an interpreter of the syntax tree that shares nothing with `odec.model`.

The compiler lowers a tree once, and all that it makes of it shares that lowering; a fault of precedence there would be
in every test of the rest. So this file reads the tree in the plainest way, with its own meaning of each function, on
two kinds of numbers: floats (what a user's calculator does, IEEE at the edges: 1/0 is inf), and mpmath's with 40
digits (what is true; central differences of it are right to about 25 digits).

    point = Reference(parse(source)).at(t=0, states={"x": 1}, params={"k": 2})
    point.slope("x"), point.value("rate"), point.initial("x")
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import mpmath

from odec.syntax import tree

DIGITS = 40
NAN, INF = math.nan, math.inf
# A chain of 2,000 intermediates is followed by recursion, which costs Python no C stack.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 60_000))


class Floats:
    """IEEE double precision, with inf and NaN where Python would raise."""

    number = float
    pi = math.pi

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


class Reference:
    """A file with its names sorted out, in the simplest way that LANGUAGE.md allows."""

    def __init__(self, file: tree.File) -> None:
        statements = file.statements
        self.params = {s.name.name: s for s in statements if isinstance(s, tree.Param)}
        self.consts = {s.name.name: s for s in statements if isinstance(s, tree.Const)}
        self.functions = {s.name.name: s for s in statements if isinstance(s, tree.Function)}
        self.starts = {str(s.name): s.value for s in statements if isinstance(s, tree.State)}
        self.observed = [str(s.name) for s in statements if isinstance(s, tree.Observe)]
        equations = {s.target.name: (s.target.order, s.value) for s in statements if isinstance(s, tree.Equation)}
        assigned = {s.name.name: s.value for s in statements if isinstance(s, tree.Assignment)}
        known = {name for name in self.starts if "'" not in name} | set(equations)
        others = {
            *self.params,
            *self.consts,
            *assigned,
            *(s.name.name for s in statements if isinstance(s, tree.Observe) and s.value),
        }
        used = _used(file)
        for name in assigned:
            evident = name[1:] in used and name[1:] not in others and name not in used
            if name[0] == "d" and name[1:] not in ("", "t", "pi") and (name[1:] in known or evident):
                equations[name[1:]] = (1, assigned[name])
        self.intermediates = {n: v for n, v in assigned.items() if not (n[0] == "d" and n[1:] in equations)}
        self.intermediates |= {s.name.name: s.value for s in statements if isinstance(s, tree.Observe) and s.value}
        self.equations: dict[str, tree.Node | str] = {}
        for name, (order, value) in equations.items():
            for n in range(order - 1):
                self.equations[name + "'" * n] = name + "'" * (n + 1)
            self.equations[name + "'" * (order - 1)] = value

    @property
    def states(self) -> list[str]:
        """Every state and slope: declared ones first, in the order of the text."""
        return [*self.starts, *(name for name in self.equations if name not in self.starts)]

    def guesses(self) -> dict[str, float]:
        """The first guess of each param."""
        return {name: float(self.at().number(s.value)) for name, s in self.params.items()}

    def at(
        self,
        t: Any = None,
        states: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        numbers: Any = FLOATS,
    ) -> Point:
        """The model at a point."""
        return Point(self, t, states or {}, params or {}, numbers)


class Point:
    """The values of a model where time, states and params have these values."""

    def __init__(self, model: Reference, t: Any, states: Mapping, params: Mapping, numbers: Any) -> None:
        self.model, self.n = model, numbers
        self.known = {name: numbers.number(v) for name, v in [*states.items(), *params.items()]}
        if t is not None:
            self.known["t"] = numbers.number(t)

    def slope(self, state: str) -> Any:
        """The derivative of a state."""
        equation = self.model.equations[state]
        return self.value(equation) if isinstance(equation, str) else self.number(equation)

    def initial(self, state: str) -> Any:
        """The start value of a state, None where the text gives none."""
        written = self.model.starts.get(state)
        return None if written is None else self.number(written)

    def value(self, name: str) -> Any:
        """What a name means."""
        if name not in self.known:
            model = self.model
            if name in model.consts:
                self.known[name] = self.number(model.consts[name].value)
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
                return -self.number(node.operand, own)
            case tree.Sum():
                total = self.number(node.terms[0], own)
                for sign, term in zip(node.signs[1:], node.terms[1:], strict=True):
                    total = total + sign * self.number(term, own)
                return total
            case tree.Product():
                product = self.number(node.factors[0], own)
                for operator, factor in zip(node.operators, node.factors[1:], strict=True):
                    value = self.number(factor, own)
                    product = product * value if operator == "*" else n.divide(product, value)
                return product
            case tree.Power():
                return n.power(self.number(node.base, own), self.number(node.exponent, own))
            case tree.Call():
                return self.call(node, own)
        return n.number(1 if self.holds(node, own) else 0)

    def holds(self, node: tree.Node, own: Mapping[str, Any]) -> bool:
        """Whether a condition is true."""
        match node:
            case tree.Comparison():
                values = [self.number(operand, own) for operand in node.operands]
                return all(_COMPARE[o](a, b) for o, a, b in zip(node.operators, values, values[1:], strict=False))
            case tree.Logical(operator="and"):
                return all(self.holds(operand, own) for operand in node.operands)
            case tree.Logical(operator="or"):
                return any(self.holds(operand, own) for operand in node.operands)
            case tree.Not():
                return not self.holds(node.operand, own)
        raise NotImplementedError(node)

    def call(self, node: tree.Call, own: Mapping[str, Any]) -> Any:
        """The value of a call; of an `if` only the chosen branch is looked at."""
        name, arguments = node.function.name, node.arguments
        if name == "if":
            for condition, value in zip(arguments[:-1:2], arguments[1::2], strict=False):
                if self.holds(condition, own):
                    return self.number(value, own)
            return self.number(arguments[-1], own)
        values = [self.number(argument, own) for argument in arguments]
        if name in self.model.functions:
            function = self.model.functions[name]
            return self.number(function.value, dict(zip((p.name for p in function.parameters), values, strict=True)))
        return self.n.number(self.n.function(name, *values))


def _used(file: tree.File) -> set[str]:
    """The names that stand in expressions, wherever."""
    found: set[str] = set()
    waiting: list[Any] = [file.statements]
    while waiting:
        item = waiting.pop()
        if isinstance(item, tuple):
            waiting.extend(item)
        elif isinstance(item, tree.Name):
            found.add(item.name)
        elif isinstance(item, tree.Node):
            fields = {"name", "target", "function", "kind", "parameters", "method", "span", "comment"}
            waiting.extend(getattr(item, key) for key in _fields(item) if key not in fields)
    return found


def _fields(node: tree.Node) -> list[str]:
    return list(node.__dataclass_fields__)


def central_difference(function: Callable[[Any], Any], at: float, step: int = 13) -> tuple[float, float]:
    """The derivative of a function of an exact number, and what the digits that are carried leave open of it."""
    with mpmath.workdps(DIGITS):
        x = mpmath.mpf(at)
        h = mpmath.mpf(10) ** -step * max(abs(x), mpmath.mpf(10) ** -3)
        above, below = function(x + h), function(x - h)
        open_digits = max(abs(above), abs(below)) * mpmath.mpf(10) ** (3 - DIGITS) / h
        return float((above - below) / (2 * h)), float(open_digits)
