"""One-step methods as data: a Butcher tableau with its source beside its numbers, and one stepping function for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from odec import methods as names
from odec.diagnostics import OdecError

# What the numbers of a tableau may miss an order condition by: they are quotients of integers, rounded once.
ROUNDING = 1e-13


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method x ← x + h Σ b_i k_i, k_i = f(t + c_i h, x + h Σ_j<i a_ij k_j).

    `a` holds the rows below the first (row i has i entries). The constructor checks that each row sums to its `c` and
    that the method has the order it claims (conditions of J. C. Butcher, 1963, up to order 5).

    >>> METHODS["heun"].order
    2
    """

    name: str
    order: int
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    source: str

    def __post_init__(self) -> None:
        assert len(self.b) == len(self.c) == len(self.a) + 1, self.name
        assert all(len(row) == i + 1 for i, row in enumerate(self.a)), self.name
        assert 1 <= self.order <= 5, self.name
        assert np.allclose(self.matrix.sum(axis=1), self.c, rtol=0, atol=ROUNDING), (
            f"{self.name}: a row sum is not its c"
        )
        for order, misses in _misses(self.matrix, np.array(self.b), np.array(self.c)):
            assert order > self.order or abs(misses) < ROUNDING, f"{self.name}: not of order {self.order}"

    @property
    def matrix(self) -> np.ndarray:
        """`a` as a square array, zero on and above the diagonal."""
        full = np.zeros((len(self.b), len(self.b)))
        for i, row in enumerate(self.a):
            full[i + 1, : i + 1] = row
        return full


def _misses(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> list[tuple[int, float]]:
    """By how much each order condition (one for each rooted tree) is missed, with the order it belongs to."""
    ac, acc, aac = a @ c, a @ c**2, a @ a @ c
    conditions = [
        (1, b.sum(), 1),
        (2, b @ c, 2),
        (3, b @ c**2, 3),
        (3, b @ ac, 6),
        (4, b @ c**3, 4),
        (4, b @ (c * ac), 8),
        (4, b @ acc, 12),
        (4, b @ aac, 24),
        (5, b @ c**4, 5),
        (5, b @ (c**2 * ac), 10),
        (5, b @ (c * acc), 15),
        (5, b @ (c * aac), 30),
        (5, b @ ac**2, 20),
        (5, b @ a @ c**3, 20),
        (5, b @ a @ (c * ac), 40),
        (5, b @ a @ acc, 60),
        (5, b @ a @ aac, 120),
    ]
    return [(order, float(value - 1 / density)) for order, value, density in conditions]


METHODS: dict[str, Tableau] = {
    tableau.name: tableau
    for tableau in (
        Tableau(
            name="euler",
            order=1,
            a=(),
            b=(1,),
            c=(0,),
            source="L. Euler, Institutiones calculi integralis, 1768",
        ),
        Tableau(
            name="midpoint",
            order=2,
            a=((1 / 2,),),
            b=(0, 1),
            c=(0, 1 / 2),
            source="C. Runge, 1895: the slope at the middle of the step",
        ),
        Tableau(
            name="heun",
            order=2,
            a=((1,),),
            b=(1 / 2, 1 / 2),
            c=(0, 1),
            source="K. Heun, 1900: the mean of the slopes at both ends (explicit trapezoidal rule)",
        ),
        Tableau(
            name="ralston",
            order=2,
            a=((2 / 3,),),
            b=(1 / 4, 3 / 4),
            c=(0, 2 / 3),
            source="A. Ralston, 1962: the two-stage method with the smallest bound on the error",
        ),
        Tableau(
            name="rk4",
            order=4,
            a=((1 / 2,), (0, 1 / 2), (0, 0, 1)),
            b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
            c=(0, 1 / 2, 1 / 2, 1),
            source="W. Kutta, 1901: the classical method",
        ),
        Tableau(
            name="dopri5",
            order=5,
            a=(
                (1 / 5,),
                (3 / 40, 9 / 40),
                (44 / 45, -56 / 15, 32 / 9),
                (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
                (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
            ),
            b=(35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
            c=(0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1),
            source="J. R. Dormand and P. J. Prince, 1980: the six stages and order-5 weights of RK5(4)7M",
        ),
    )
}

assert tuple(METHODS) == tuple(names.METHODS)

DEFAULT_METHOD = "dopri5"


def tableau(name: str) -> Tableau:
    """The method of that name; E0408 with the nearest name where there is none."""
    if name in METHODS:
        return METHODS[name]
    raise OdecError([names.unknown_method(str(name))])


def step(method: Tableau, rhs: Callable[[Any, Any], Any], time: Callable[[float], Any], h: Any, x: Any) -> Any:
    """One step of the method from `x`, an array of any shape.

    `time(c)` is the time at fraction `c` of the step and `h` its (signed) length, both scalars; `rhs(t, x)` has the
    shape of `x`.
    """
    slopes = [rhs(time(method.c[0]), x)]
    for row, c in zip(method.a, method.c[1:], strict=True):
        slopes.append(rhs(time(c), x + h * _combination(row, slopes)))
    return x + h * _combination(method.b, slopes)


def _combination(weights: tuple[float, ...], slopes: list[Any]) -> Any:
    """Σ w_i k_i without the terms whose weight is zero."""
    terms = [k if w == 1 else float(w) * k for w, k in zip(weights, slopes, strict=True) if w != 0]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
