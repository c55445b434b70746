"""The functions of the language: one row says all that any part of odec knows of one.

A derivative is written in the language itself, in terms of the row's parameters, so that it is documentation, and is
read by the same parser as a model; `max`, `min` and `if` take any number of arguments and have their rules in
`odec.passes.derivatives`. `value` is the meaning on Python floats: constant folding and the reference interpreter of
the tests use it. In generated modules a function is spelled by its own name, imported from `odec.runtime`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class LanguageFunction:
    """A function a model may call. `most` is None where any number of arguments is allowed."""

    name: str
    parameters: tuple[str, ...]
    derivatives: tuple[str, ...]
    value: Callable[..., float]
    latex: str
    documentation: str
    most: int | None = 0

    def __post_init__(self) -> None:
        assert len(self.derivatives) in (0, len(self.parameters))

    @property
    def least(self) -> int:
        """The smallest number of arguments."""
        return len(self.parameters)

    def takes(self, count: int) -> bool:
        """Whether the function can be called with so many arguments."""
        return self.least <= count if self.most is None else count == self.least


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-x)) if x >= 0 else math.exp(x) / (1.0 + math.exp(x))


def _sign(x: float) -> float:
    return math.copysign(1.0, x) if x != 0 else 0.0 * x


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _sqrt(x: float) -> float:
    # A tank that is empty to rounding is empty: the runtime's sqrt is 0 below 0 too.
    return math.sqrt(max(x, 0.0))


def _mod(x: float, y: float) -> float:
    return x - y * math.floor(x / y)


def _unary(name: str, derivative: str, value: Callable[[float], float], latex: str, text: str) -> LanguageFunction:
    return LanguageFunction(name, ("x",), (derivative,), value, latex, text)


_ROWS = (
    _unary("exp", "exp(x)", math.exp, r"e^{%s}", "The exponential; `exp(1)` where e is meant."),
    _unary("log", "1/x", math.log, r"\ln\left(%s\right)", "The natural logarithm."),
    _unary("ln", "1/x", math.log, r"\ln\left(%s\right)", "The natural logarithm, the same as `log`."),
    _unary("log2", "1/(x*0.6931471805599453)", math.log2, r"\log_2\left(%s\right)", "The logarithm to base 2."),
    _unary("log10", "1/(x*2.302585092994046)", math.log10, r"\log_{10}\left(%s\right)", "The logarithm to base 10."),
    _unary(
        "sqrt",
        "if(x > 0, 0.5/sqrt(x), 0)",
        _sqrt,
        r"\sqrt{%s}",
        "The square root; 0 below 0, with the derivative 0 there.",
    ),
    _unary("abs", "sign(x)", math.fabs, r"\left|%s\right|", "The absolute value; its derivative at 0 counts 0."),
    _unary("sign", "0", _sign, r"\operatorname{sign}\left(%s\right)", "-1, 0 or 1."),
    _unary("floor", "0", math.floor, r"\left\lfloor %s\right\rfloor", "The next whole number below."),
    _unary("ceil", "0", math.ceil, r"\left\lceil %s\right\rceil", "The next whole number above."),
    LanguageFunction(
        "min",
        ("x",),
        (),
        lambda *x: min(x),
        r"\min\left(%s\right)",
        "The smallest of its arguments, at a tie the first; the smallest element of one array.",
        None,
    ),
    LanguageFunction(
        "max",
        ("x",),
        (),
        lambda *x: max(x),
        r"\max\left(%s\right)",
        "The largest of its arguments, at a tie the first; the largest element of one array.",
        None,
    ),
    LanguageFunction(
        "mod",
        ("x", "y"),
        ("1", "-floor(x/y)"),
        _mod,
        r"%s \bmod %s",
        "x - y floor(x/y): the remainder with the sign of y.",
    ),
    _unary("sin", "cos(x)", math.sin, r"\sin\left(%s\right)", "The sine, of radians."),
    _unary("cos", "-sin(x)", math.cos, r"\cos\left(%s\right)", "The cosine, of radians."),
    _unary("tan", "1 + tan(x)^2", math.tan, r"\tan\left(%s\right)", "The tangent, of radians."),
    _unary("asin", "1/sqrt(1 - x^2)", math.asin, r"\arcsin\left(%s\right)", "The inverse sine, in radians."),
    _unary("acos", "-1/sqrt(1 - x^2)", math.acos, r"\arccos\left(%s\right)", "The inverse cosine, in radians."),
    _unary("atan", "1/(1 + x^2)", math.atan, r"\arctan\left(%s\right)", "The inverse tangent, in radians."),
    LanguageFunction(
        "atan2",
        ("y", "x"),
        ("x/(x^2 + y^2)", "-y/(x^2 + y^2)"),
        math.atan2,
        r"\operatorname{atan2}\left(%s, %s\right)",
        "The angle of the point (x, y), in radians; written `atan2(y, x)`.",
    ),
    _unary("sinh", "cosh(x)", math.sinh, r"\sinh\left(%s\right)", "The hyperbolic sine."),
    _unary("cosh", "sinh(x)", math.cosh, r"\cosh\left(%s\right)", "The hyperbolic cosine."),
    _unary("tanh", "1 - tanh(x)^2", math.tanh, r"\tanh\left(%s\right)", "The hyperbolic tangent."),
    _unary("asinh", "1/sqrt(x^2 + 1)", math.asinh, r"\operatorname{arsinh}\left(%s\right)", "The inverse of sinh."),
    _unary("acosh", "1/sqrt(x^2 - 1)", math.acosh, r"\operatorname{arcosh}\left(%s\right)", "The inverse of cosh."),
    _unary("atanh", "1/(1 - x^2)", math.atanh, r"\operatorname{artanh}\left(%s\right)", "The inverse of tanh."),
    _unary(
        "erf", "1.1283791670955126*exp(-x^2)", math.erf, r"\operatorname{erf}\left(%s\right)", "The error function."
    ),
    _unary(
        "sigmoid", "sigmoid(x)*sigmoid(-x)", _sigmoid, r"\sigma\left(%s\right)", "1/(1 + exp(-x)), finite for every x."
    ),
    _unary(
        "softplus",
        "sigmoid(x)",
        _softplus,
        r"\operatorname{softplus}\left(%s\right)",
        "log(1 + exp(x)), a smooth relu.",
    ),
    _unary("relu", "if(x > 0, 1, 0)", lambda x: max(x, 0.0), r"\operatorname{relu}\left(%s\right)", "max(x, 0)."),
    _unary("heaviside", "0", lambda x: float(x >= 0), r"\theta\left(%s\right)", "1 where x >= 0, else 0."),
)

FUNCTIONS: dict[str, LanguageFunction] = {row.name: row for row in _ROWS}

# What `if` and the array functions take is checked where they are lowered; their names are as reserved as the others.
SPECIAL_FUNCTIONS = ("if", "sum", "mean", "dot", "roll", "range")

# Written by the compiler, never by a user: safe forms that have no place in the language.
INTERNAL_FUNCTIONS: dict[str, LanguageFunction] = {
    row.name: row
    for row in (
        _unary(
            "x_over_expm1",
            "x_over_expm1_slope(x)",
            lambda x: x / math.expm1(x) if x != 0 else 1.0,
            r"\frac{%s}{e^{x} - 1}",
            "x/(exp(x) - 1), which is 1 at 0.",
        ),
        _unary(
            "x_over_expm1_slope",
            "0",
            lambda x: (math.expm1(x) - x * math.exp(x)) / math.expm1(x) ** 2 if abs(x) > 1e-3 else -0.5 + x / 6,
            r"%s",
            "The derivative of x_over_expm1, which is -1/2 at 0.",
        ),
        _unary("expm1", "exp(x)", math.expm1, r"\left(e^{%s} - 1\right)", "exp(x) - 1, to the last digit near 0."),
        _unary("log1p", "1/(1 + x)", math.log1p, r"\ln\left(1 + %s\right)", "log(1 + x), to the last digit near 0."),
    )
}

RESERVED_NAMES: dict[str, str] = {
    "t": "it is time",
    "pi": "it is the number 3.14159…",
    "inf": "it is infinity",
    **dict.fromkeys(("and", "or", "not", "for", "in"), "it is a word of the language"),
    **dict.fromkeys((*FUNCTIONS, *SPECIAL_FUNCTIONS), "it is a function"),
}
