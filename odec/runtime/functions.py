"""The functions that generated equations call, safe where floating point or automatic differentiation is not.

Each takes Python numbers (computed at once, in float64), arrays and tensors. Conventions at the edges:

- `sqrt(x)` is 0 with derivative 0 for x ≤ 0. A tank that drains by √h oversteps 0 by an amount that depends on the
  step and on nothing else, so no threshold tells rounding from error; the run would otherwise end in NaN after the
  tank is empty. A state that goes *far* below 0 is found by the solver's check of its step, not by a NaN.
- `log(x)` is -inf at 0 and NaN below, with derivative 0 there, so that a branch not taken never spoils a gradient.
- `power(x, y)` is NaN for a negative base and an exponent that is not whole.
- `minimum`, `maximum` give value and derivative of the *first* of equal arguments; `relu` has derivative 0 at 0.
- `heaviside(0)` is 1, as `t >= t0` is and as a value after a jump is.
- `mod(x, y)` has the sign of y, as in Python.
- NaN always passes through.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce
from typing import Any

import numpy as np
from keras import ops

from odec.runtime.working import as_tensor, is_known

# Whole exponents up to this one are products.
LARGEST_PRODUCT = 64


def _is_number(*values: Any) -> bool:
    return all(isinstance(value, (int, float, np.number)) for value in values)


def _elementary(name: str, of_tensor: Callable[[Any], Any], of_number: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that Python numbers never leave float64 for: `ops.exp(2.0)` alone would be a float32 tensor."""

    def function(x: Any) -> Any:
        if _is_number(x):
            with np.errstate(all="ignore"):
                return float(of_number(np.float64(x)))
        return of_tensor(x)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{name}`, elementwise."
    return function


exp = _elementary("exp", ops.exp, np.exp)
expm1 = _elementary("expm1", ops.expm1, np.expm1)
sin = _elementary("sin", ops.sin, np.sin)
cos = _elementary("cos", ops.cos, np.cos)
tan = _elementary("tan", ops.tan, np.tan)
asin = _elementary("asin", ops.arcsin, np.arcsin)
acos = _elementary("acos", ops.arccos, np.arccos)
atan = _elementary("atan", ops.arctan, np.arctan)
sinh = _elementary("sinh", ops.sinh, np.sinh)
cosh = _elementary("cosh", ops.cosh, np.cosh)
tanh = _elementary("tanh", ops.tanh, np.tanh)
asinh = _elementary("asinh", ops.arcsinh, np.arcsinh)
acosh = _elementary("acosh", ops.arccosh, np.arccosh)
atanh = _elementary("atanh", ops.arctanh, np.arctanh)
floor = _elementary("floor", ops.floor, np.floor)
ceil = _elementary("ceil", ops.ceil, np.ceil)
sign = _elementary("sign", ops.sign, np.sign)
absolute = _elementary("absolute", ops.abs, np.abs)
erf = _elementary("erf", ops.erf, math.erf)
sigmoid = _elementary("sigmoid", ops.sigmoid, lambda x: 1 / (1 + np.exp(-x)) if x > 0 else np.exp(x) / (1 + np.exp(x)))
softplus = _elementary("softplus", ops.softplus, lambda x: np.logaddexp(0, x))


_of_all_branches: ContextVar[bool] = ContextVar("of_all_branches", default=False)


@contextmanager
def all_branches() -> Iterator[None]:
    """Inside, `select` is the sum of its values: not a number where one of them is not."""
    token = _of_all_branches.set(True)
    try:
        yield
    finally:
        _of_all_branches.reset(token)


def select(*arguments: Any) -> Any:
    """`select(c1, a1, c2, a2, …, otherwise)`: the value behind the first condition that holds.

    All values are computed: guard the argument of a branch that may not be.
    """
    result = arguments[-1]
    if _of_all_branches.get():
        return sum(map(as_tensor, arguments[1::2]), as_tensor(result))
    for condition, value in zip(arguments[-3::-2], arguments[-2::-2], strict=True):
        if isinstance(condition, (bool, np.bool_)):
            result = _as_wide(value, result) if condition else _as_wide(result, value)
        else:
            result = ops.where(condition, as_tensor(value), as_tensor(result))
    return result


def _as_wide(chosen: Any, other: Any) -> Any:
    """The chosen value in the shape that both make: a number stands for every element of an array."""
    own, shape = np.shape(chosen) if is_known(chosen) else chosen.shape, getattr(other, "shape", ())
    if len(shape) < 2 or tuple(own[:-1]) == tuple(shape[:-1]):
        return chosen
    return as_tensor(chosen) + ops.zeros_like(as_tensor(other))


def logical_and(*conditions: Any) -> Any:
    """Whether all hold, elementwise; a Python truth stays one."""
    return _joined(conditions, ops.logical_and, neutral=True)


def logical_or(*conditions: Any) -> Any:
    """Whether any holds, elementwise; a Python truth stays one."""
    return _joined(conditions, ops.logical_or, neutral=False)


def logical_not(condition: Any) -> Any:
    """Whether it does not hold, elementwise."""
    return not condition if isinstance(condition, (bool, np.bool_)) else ops.logical_not(condition)


def _joined(conditions: tuple[Any, ...], join: Callable[[Any, Any], Any], neutral: bool) -> Any:
    known = [bool(condition) for condition in conditions if isinstance(condition, (bool, np.bool_))]
    others = [condition for condition in conditions if not isinstance(condition, (bool, np.bool_))]
    if (not neutral) in known:
        return not neutral
    return reduce(join, others) if others else neutral


def _where_not(excluded: Any, function: Callable[[Any], Any], x: Any, otherwise: Any) -> Any:
    """`function(x)`, but `otherwise` with derivative 0 where `excluded`; the function never sees an excluded x.

    The double where: the derivative of an excluded branch is multiplied by 0, and 0·inf would be NaN.
    """
    return ops.where(excluded, otherwise, function(ops.where(excluded, ops.ones_like(x), x)))


def sqrt(x: Any) -> Any:
    """√x, and 0 with derivative 0 for x ≤ 0 (see the head of this file)."""
    if _is_number(x):
        return math.sqrt(x) if x > 0 else (0.0 if x <= 0 else float(x))
    return _where_not(x <= 0, ops.sqrt, x, ops.zeros_like(x))


def _logarithm(
    name: str, of_tensor: Callable[[Any], Any], of_number: Callable[[Any], Any], edge: float
) -> Callable[[Any], Any]:
    """A logarithm with its pole at `edge`: -inf there, NaN below, derivative 0 at both."""

    def function(x: Any) -> Any:
        if _is_number(x):
            with np.errstate(all="ignore"):
                return float(of_number(np.float64(x)))
        outside = ops.where(x < edge, ops.full_like(x, math.nan), ops.full_like(x, -math.inf))
        return _where_not(x <= edge, of_tensor, x, outside)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`{name}`, elementwise: -inf at {edge:g}, NaN below, derivative 0 at both."
    return function


log = _logarithm("log", ops.log, np.log, 0)
log2 = _logarithm("log2", ops.log2, np.log2, 0)
log10 = _logarithm("log10", ops.log10, np.log10, 0)
log1p = _logarithm("log1p", ops.log1p, np.log1p, -1)


def power(x: Any, n: Any) -> Any:
    """x^n. A whole Python number n gives products (right value and derivative at and below 0), 0.5 gives `sqrt`.

    Otherwise the derivative by x is finite wherever the one-sided one is, 0 where it is not (0^0.3), and the derivative
    by n at base 0 is 0.
    """
    if _is_number(x, n):
        return _number_power(float(x), float(n))
    if _is_number(n):
        if float(n).is_integer() and abs(n) <= LARGEST_PRODUCT:
            return _whole_power(x, int(n))
        if n == 0.5:
            return sqrt(x)
        n = float(n)
        return _where_not(x == 0, lambda y: y**n, x, _of_zero(x, n)) if n < 1 else x**n
    if _is_number(x) and x != 0:
        return float(x) ** n
    x = x + ops.zeros_like(n)
    excluded = ops.logical_and(x == 0, n < 1)
    return _where_not(excluded, lambda y: y**n, x, _of_zero(x, n))


def _of_zero(x: Any, n: Any) -> Any:
    """0^n in the shape of x: 0, 1 or inf as n is above, at or below 0. A constant, whatever x and n are."""
    if _is_number(n):
        return ops.full_like(x, 0.0 if n > 0 else math.inf)
    blank = ops.zeros_like(x)
    return ops.where(n > 0, blank, ops.where(n < 0, ops.full_like(x, math.inf), ops.ones_like(x)))


def _number_power(x: float, n: float) -> float:
    with np.errstate(all="ignore"):
        return float(np.power(np.float64(x), np.float64(n)))


def _whole_power(x: Any, n: int) -> Any:
    """By repeated squaring."""
    if n == 0:
        return ops.ones_like(x)
    square, rest = x, abs(n)
    product: Any = None
    while True:
        if rest & 1:
            product = square if product is None else product * square
        rest >>= 1
        if not rest:
            break
        square = square * square
    return product if n > 0 else 1 / product


# x/(exp(x) - 1) = Σ B_k x^k/k!: the coefficients of x^2, x^4, …, x^10 (Bernoulli numbers over factorials).
_BERNOULLI = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160)


def x_over_expm1(x: Any) -> Any:
    """x/(exp(x) - 1), with value 1 and derivative -1/2 at 0; no overflow for large |x|.

    The series is used for |x| < 0.3 (its next term is below 3e-16), elsewhere exp is only taken of -|x|.
    """
    if _is_number(x):
        return 1.0 if x == 0 else (float(x / np.expm1(x)) if x < 700 else 0.0)
    near = ops.abs(x) < 0.3
    # An infinite or huge x must not meet the series, nor a tiny one the quotient: 0·inf is NaN in the derivative.
    small = ops.where(near, x, ops.zeros_like(x))
    large = ops.where(near, ops.ones_like(x), x)
    square = small * small
    series = reduce(lambda total, b: total * square + b, reversed(_BERNOULLI[:-1]), _BERNOULLI[-1])
    magnitude = ops.abs(large)
    quotient = magnitude / -ops.expm1(-magnitude)
    return ops.where(
        near, 1 - small / 2 + series * square, ops.where(large > 0, quotient * ops.exp(-magnitude), quotient)
    )


def x_over_expm1_slope(x: Any) -> Any:
    """The derivative of `x_over_expm1`: (1 - f)/(exp(x) - 1) - f; the series near 0, elsewhere exp only of -|x|."""
    if _is_number(x):
        return _slope_of_number(float(x))
    near = ops.abs(x) < 0.3
    small = ops.where(near, x, ops.zeros_like(x))
    large = ops.where(near, ops.ones_like(x), x)
    magnitude = ops.abs(large)
    decay = -1 / ops.expm1(-magnitude)
    inverse = ops.where(large > 0, decay * ops.exp(-magnitude), -decay)
    value = large * inverse
    return ops.where(near, _slope_series(small), (1 - value) * inverse - value)


def _slope_of_number(x: float) -> float:
    if abs(x) < 0.3:
        return float(_slope_series(x))
    inverse = (-math.exp(-x) if x > 0 else 1.0) / math.expm1(-abs(x))
    return (1 - x * inverse) * inverse - x * inverse


def _slope_series(x: Any) -> Any:
    coefficients = [2 * (k + 1) * b for k, b in enumerate((*_BERNOULLI, -691 / 1307674368000))]
    series = reduce(lambda total, c: total * (x * x) + c, reversed(coefficients[:-1]), coefficients[-1])
    return -0.5 + series * x


def relu(x: Any) -> Any:
    """max(0, x), with derivative 0 at 0."""
    return maximum(0.0, x)


def heaviside(x: Any) -> Any:
    """1 where x ≥ 0, else 0; derivative 0."""
    if _is_number(x):
        return 1.0 if x >= 0 else (0.0 if x < 0 else math.nan)
    return ops.where(x >= 0, ops.ones_like(x), ops.where(x < 0, ops.zeros_like(x), ops.full_like(x, math.nan)))


def maximum(*values: Any) -> Any:
    """The largest of any number of arguments; the first of equal ones, in value and derivative."""
    return reduce(lambda a, b: _first_that(a, b, lambda p, q: p >= q), values)


def minimum(*values: Any) -> Any:
    """The smallest of any number of arguments; the first of equal ones, in value and derivative."""
    return reduce(lambda a, b: _first_that(a, b, lambda p, q: p <= q), values)


def _first_that(a: Any, b: Any, wins: Callable[[Any, Any], Any]) -> Any:
    if _is_number(a, b):
        return float(a if wins(a, b) or math.isnan(a) else b)
    # A NaN on either side wins: `a != a` only for NaN, and a comparison with a NaN b is False.
    a_wins = wins(a, b) if _is_number(a) else ops.logical_or(wins(a, b), a != a)
    return ops.where(a_wins, as_tensor(a), as_tensor(b))


def mod(x: Any, y: Any) -> Any:
    """x - y·floor(x/y): the sign of y, as in Python; derivatives 1 and -floor(x/y)."""
    if _is_number(x, y):
        return float(np.mod(np.float64(x), np.float64(y)))
    return x - y * floor(x / y)


def atan2(y: Any, x: Any) -> Any:
    """The angle of the point (x, y); derivative 0 at the origin, where there is none."""
    if _is_number(x, y):
        return math.atan2(y, x)
    if not _is_number(y):
        x = x * ops.ones_like(y)
    y = y * ops.ones_like(x)
    origin = ops.logical_and(x == 0, y == 0)
    safe = ops.where(origin, ops.ones_like(x), x)
    return ops.where(origin, ops.zeros_like(safe), ops.arctan2(y, safe))
