"""What a one-step method is made of: coefficients that check themselves against the conditions of their order."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

# What a method may miss a condition by, relative to its largest weight.
ROUNDING = 1e-14

Row = tuple[float, ...]
Rows = tuple[Row, ...]


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method x ← x + h Σ b_i k_i, k_i = f(t + c_i h, x + h Σ_j<i a_ij k_j).

    `a` holds the rows below the first (row i has i entries). With `last_is_first` the last stage is the slope at the
    end of the step (its row is `b`): the first stage of the next step.

    An adaptive method has `error`: with one such vector the estimate is h Σ error_i k_i, this solution minus that of
    `error_order`; with two of the orders p and q, which give E and F, it is |h| E²/sqrt(E² + F²/100) on norms, of order
    2p - q (E. Hairer's dop853). The step is proportional to estimate^(-1/(error_order + 1)).

    `dense` gives the solution inside a step, x(t + θ h) = x + h Σ_i k_i Σ_m dense[i][m] θ^(m+1) of order `dense_order`,
    i over the stages and behind them those of `extra`, which only the dense output needs (rows as in `a`; their times
    are `extra_c`).

    The constructor checks all of this: each row sums to its `c`, and every condition of order (J. C. Butcher, 1963) of
    the weights, the estimators and the dense output.

    >>> METHODS["heun"].order
    2
    """

    name: str
    order: int
    a: Rows
    b: Row
    c: Row
    source: str
    error: Rows = ()
    error_order: int = 0
    last_is_first: bool = False
    dense: Rows = ()
    dense_order: int = 0
    extra: Rows = ()
    extra_c: Row = ()

    def __post_init__(self) -> None:
        assert len(self.b) == len(self.c) == len(self.a) + 1, self.name
        assert len(self.extra) == len(self.extra_c), self.name
        rows = ((), *self.a, *self.extra)
        a = square(rows)
        assert np.allclose(a.sum(axis=1), (*self.c, *self.extra_c), rtol=0, atol=ROUNDING), (
            f"{self.name}: a row sum is not its c"
        )
        assert not self.last_is_first or self.b == (*self.a[-1], 0), f"{self.name}: the last stage is not at the end"
        weights = [np.pad(w, (0, len(a) - len(w))) for w in (self.b, *self.error)]
        _check(self, a, a, weights[0], weights[1:], np.array(self.dense))
        assert all(row[0] == (i == 0) for i, row in enumerate(self.dense)), (
            f"{self.name}: the dense output does not start with the slope"
        )

    @property
    def matrix(self) -> np.ndarray:
        """`a` as a square array, zero on and above the diagonal."""
        return square(((), *self.a))


@dataclass(frozen=True)
class Rosenbrock:
    """A Rosenbrock method for stiff equations, in the form that needs no product with the Jacobian J.

    With W = I/(h γ) - J, its stages solve
    W u_i = f(t + alpha_i h, x + Σ_j<i a_ij u_j) + Σ_j<i c_ij u_j / h + gammas_i h ∂f/∂t, then x ← x + Σ m_i u_i
    (E. Hairer and G. Wanner, Solving Ordinary Differential Equations II, 1996, IV.7). `a` and `c` hold the rows below
    the first. The error estimate is Σ error_i u_i, of order `error_order`; inside the step, to order `dense_order`,
    x(t + θ h) = x + Σ_i u_i Σ_m dense[i][m] θ^(m+1).

    The constructor checks the conditions of order, and that the method is stiffly accurate: the last stage is at the
    end of the step and its increment added, x ← x + Σ_j a_sj u_j + u_s, so that infinitely stiff parts vanish.

    >>> METHODS["rodas4"].order
    4
    """

    name: str
    order: int
    gamma: float
    a: Rows
    c: Rows
    alpha: Row
    gammas: Row
    m: Row
    error: Row
    error_order: int
    dense: Rows
    dense_order: int
    source: str

    def __post_init__(self) -> None:
        stages = len(self.m)
        assert len(self.a) == len(self.c) == stages - 1, self.name
        a, gamma = self.untransformed
        for row, sums in ((a.sum(axis=1), self.alpha), (gamma.sum(axis=1), self.gammas)):
            assert np.allclose(row, sums, rtol=0, atol=10 * ROUNDING), f"{self.name}: a row sum is not its time"
        assert self.m == (*self.a[-1], 1) and self.alpha[-1] == 1, f"{self.name}: not stiffly accurate"
        weights = [np.array(w) @ gamma for w in (self.m, self.error)]
        _check(self, a, a + gamma, weights[0], weights[1:], gamma.T @ np.array(self.dense))
        assert abs(self.stability(np.inf)) < 10 * ROUNDING, f"{self.name}: not L-stable"

    @property
    def untransformed(self) -> tuple[np.ndarray, np.ndarray]:
        """The matrices α and Γ (stages, stages) of the form with J in every stage, whose increments k give u = Γ k."""
        gamma = np.linalg.inv(np.eye(len(self.m)) / self.gamma - square(((), *self.c)))
        return square(((), *self.a)) @ gamma, gamma

    def stability(self, z: complex) -> complex:
        """What a step multiplies x by where dx/dt = λ x, z = h λ."""
        a, gamma = self.untransformed
        one = np.ones(len(self.m))
        b = np.array(self.m) @ gamma
        if np.isinf(z):
            return complex(1 - b @ np.linalg.solve(a + gamma, one))
        return complex(1 + z * b @ np.linalg.solve(np.eye(len(one)) - z * (a + gamma), one))


Method = Tableau | Rosenbrock
# A rooted tree: the trees that hang from its root, sorted.
Tree = tuple["Tree", ...]


@cache
def _trees(order: int) -> tuple[Tree, ...]:
    """The rooted trees with that many nodes."""
    if order == 1:
        return ((),)
    return tuple(sorted({grown for tree in _trees(order - 1) for grown in _grown(tree)}))


def _grown(tree: Tree) -> Iterator[Tree]:
    """The tree with one leaf more, anywhere."""
    yield tuple(sorted((*tree, ())))
    for i, branch in enumerate(tree):
        for grown in _grown(branch):
            yield tuple(sorted((*tree[:i], grown, *tree[i + 1 :])))


def _nodes(tree: Tree) -> int:
    return 1 + sum(_nodes(branch) for branch in tree)


def _density(tree: Tree) -> int:
    return _nodes(tree) * math.prod(_density(branch) for branch in tree)


def _elementary(tree: Tree, a: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """The elementary weight of the tree at each stage; `beta` is α + Γ of a Rosenbrock method, else `a`."""
    if len(tree) == 1:
        return np.asarray(beta @ _elementary(tree[0], a, beta))
    weight = np.ones(len(a))
    for branch in tree:
        weight = weight * (a @ _elementary(branch, a, beta))
    return weight


def _order(weights: np.ndarray, wanted: Callable[[int], Any], a: np.ndarray, beta: np.ndarray, most: int) -> int:
    """The highest order, up to `most`, to which `weights` (stages, …) meet every Σ w_i Φ_i = wanted / density."""
    allowed = ROUNDING * (1 + np.abs(weights).max())
    for order in range(1, most + 1):
        for tree in _trees(order):
            missed = weights.T @ _elementary(tree, a, beta) - wanted(order) / _density(tree)
            if np.abs(missed).max() > allowed:
                return order - 1
    return most


def _check(
    method: Method, a: np.ndarray, beta: np.ndarray, b: np.ndarray, errors: list[np.ndarray], dense: np.ndarray
) -> None:
    """Every condition on the order of a method: of its weights `b`, its error estimates and its dense output."""
    found = _order(b, lambda order: 1, a, beta, method.order)
    assert found == method.order, f"{method.name}: not of order {method.order}"
    if errors:
        orders = [_order(error, lambda order: 0, a, beta, method.order) for error in errors]
        found = orders[0] if len(orders) == 1 else 2 * orders[0] - orders[1]
        assert found == method.error_order, f"{method.name}: not an estimate of order {method.error_order}"
    if dense.size:
        # A tree of m nodes must give θ^m and no other power.
        powers = np.arange(1, dense.shape[1] + 1)
        found = _order(dense, lambda order: powers == order, a, beta, method.dense_order)
        assert found == method.dense_order, f"{method.name}: no dense output of order {method.dense_order}"
        assert np.allclose(dense.sum(axis=1), b, rtol=0, atol=ROUNDING * np.abs(dense).max()), (
            f"{method.name}: the dense output does not end where the step does"
        )


def square(rows: Rows) -> np.ndarray:
    """Rows of growing length as a square array, zero on and above the diagonal."""
    full = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        assert len(row) == i
        full[i, :i] = row
    return full


def nested(b: Row, higher: Rows) -> Rows:
    """The monomials of a dense output in the form of E. Hairer's codes.

    x + θ (F_0 + (1-θ) (F_1 + θ (F_2 + (1-θ) (F_3 + …)))), where F_0, F_1 and F_2 make the cubic through both ends with
    their slopes, k_1 and the last of `b`, and `higher` holds the weights of F_3 …
    """
    stages = len(higher[0])
    step = np.pad(b, (0, stages - len(b)))
    first, last = np.eye(stages)[[0, len(b) - 1]]
    total = np.zeros((stages, 1))
    for i, weights in reversed(list(enumerate((step, first - step, 2 * step - first - last, *higher)))):
        total[:, 0] += weights
        raised = np.pad(total, ((0, 0), (1, 0)))
        total = raised if i % 2 == 0 else np.pad(total, ((0, 0), (0, 1))) - raised
    return _rows(total[:, 1:])


def nested_stiff(m: Row, higher: Rows) -> Rows:
    """The monomials of the dense output of E. Hairer's rodas.f.

    x + θ (Σ m_i u_i + (1-θ) (H_0 + θ (H_1 + θ (H_2 + …)))), H_i = Σ_j higher[i][j] u_j.
    """
    h = np.array(higher).T
    flat = np.pad(h, ((0, 0), (0, 1))) - np.pad(h, ((0, 0), (1, 0)))
    flat[:, 0] += m
    return _rows(flat)


def _rows(values: np.ndarray) -> Rows:
    return tuple(tuple(row) for row in values.tolist())


def combined(weights: Sequence[float], arrays: Sequence[Any]) -> Any:
    """Σ w_i a_i without the terms whose weight is zero; one is not. Weights behind the last array are left out."""
    terms = [a if w == 1 else float(w) * a for w, a in zip(weights, arrays, strict=False) if w != 0]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
