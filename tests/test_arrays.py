"""The array language, compiled and run: every operation against NumPy, values and derivatives, in both precisions."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from scipy.linalg import expm

import odec
from odec.loading import load_source
from odec.runtime import simulate
from odec.runtime.schedule import Schedule
from odec.source import Source

tf = pytest.importorskip("tensorflow")

Meaning = Callable[[Any], Any]

HEAD = """
size N = 4; size M = 3
const w[N] = range(N)/N
const g = [[1, 2, 3], [4, 5, 6]]
param A[N, M] = [[0.1, 0.2, 0.3], [0.4, -0.5, 0.6], [0.7, 0.8, -0.9], [1, 1.1, 1.2]]
param b[M] = [0.5, 1.5, 2.5] in [0.1, 9] log
param k = 0.7
param S[N, N] = 0.25
state x[N] = 1 + 0.1*range(N)
state X[N, M] = A + b
state z = k
f(a, c) = a/(1 + c^2)
y = 2*x - z
dx = A @ b - k*x*y + w
dX = -X + S @ X
dz = sum(x) - z
"""


def _where(condition: Any, yes: Any, no: Any) -> Any:
    return np.where(condition, yes, no)


FORMULAS: dict[str, Meaning] = {
    # Places
    "x[0]": lambda v: v.x[0],
    "x[N-1] + x[N - 2]": lambda v: v.x[3] + v.x[2],
    "x[1:3]": lambda v: v.x[1:3],
    "x[1:] - x[:N-1]": lambda v: np.diff(v.x),
    "x[:]": lambda v: v.x,
    "X[1, 2]*b[0]": lambda v: v.X[1, 2] * v.b[0],
    "X[1]": lambda v: v.X[1],
    "X[:, 0]": lambda v: v.X[:, 0],
    "X[1:, M-1]": lambda v: v.X[1:, 2],
    "X[0:2, 1:3]": lambda v: v.X[:2, 1:],
    "(x + w)[2]": lambda v: v.x[2] + v.w[2],
    "[4, 5, 6][1]*z": lambda v: 5 * v.z,
    # One with another
    "x + z": lambda v: v.x + v.z,
    "z - X": lambda v: v.z - v.X,
    "A*b": lambda v: v.A * v.b,
    "X*X/b": lambda v: v.X * v.X / v.b,
    "x*w + 1": lambda v: v.x * v.w + 1,
    "-x^2": lambda v: -(v.x**2),
    "x^w": lambda v: v.x**v.w,
    "2^x": lambda v: 2**v.x,
    "X[:, 0:1]*[1, 2]": lambda v: v.X[:, :1] * np.array([1, 2]),
    # Made here
    "[1, 2, 3]*b": lambda v: np.array([1, 2, 3]) * v.b,
    "[x[0], z, 2]": lambda v: np.array([v.x[0], v.z, 2]),
    "[[1, 2], [3, z]]": lambda v: np.array([[1, 2], [3, v.z]]),
    "[b, 2*b]": lambda v: np.stack([v.b, 2 * v.b]),
    "range(N)": lambda v: np.arange(4),
    "range(N)^2/(N - 1)": lambda v: np.arange(4) ** 2 / 3,
    "range(M)*b + N": lambda v: np.arange(3) * v.b + 4,
    # All elements
    "sum(x)": lambda v: v.x.sum(),
    "sum(X)": lambda v: v.X.sum(),
    "sum(x*w)/N": lambda v: (v.x * v.w).sum() / 4,
    "mean(x)": lambda v: v.x.mean(),
    "mean(X*b)": lambda v: (v.X * v.b).mean(),
    "sum(z)": lambda v: v.z,
    "dot(x, w)": lambda v: v.x @ v.w,
    "x - mean(x)": lambda v: v.x - v.x.mean(),
    # Around
    "roll(x, 1)": lambda v: np.roll(v.x, 1),
    "roll(x, -1)": lambda v: np.roll(v.x, -1),
    "roll(x, -2)*roll(x, 5)": lambda v: np.roll(v.x, -2) * np.roll(v.x, 5),
    # Products
    "S @ x": lambda v: v.S @ v.x,
    "x @ S": lambda v: v.x @ v.S,
    "x @ A": lambda v: v.x @ v.A,
    "A @ b": lambda v: v.A @ v.b,
    "S @ X": lambda v: v.S @ v.X,
    "X @ b": lambda v: v.X @ v.b,
    "x @ w": lambda v: v.x @ v.w,
    "x @ x": lambda v: v.x @ v.x,
    "x @ S @ w": lambda v: v.x @ v.S @ v.w,
    "x @ X @ b": lambda v: v.x @ v.X @ v.b,
    "g @ b": lambda v: np.array([[1, 2, 3], [4, 5, 6]]) @ v.b,
    "S[1:3, :] @ x": lambda v: v.S[1:3] @ v.x,
    "2*A @ b - x": lambda v: 2 * v.A @ v.b - v.x,
    "(S @ S) @ x": lambda v: v.S @ v.S @ v.x,
    # Functions and conditions, element by element
    "f(x, w)": lambda v: v.x / (1 + v.w**2),
    "f(z, x)": lambda v: v.z / (1 + v.x**2),
    "if(x > 1.15, x, -w)": lambda v: _where(v.x > 1.15, v.x, -v.w),
    "if(z > 0, X, 0)": lambda v: _where(v.z > 0, v.X, 0),
    "if(x > 1.15 and w < 0.6, x^2, x < 1, 3, z)": lambda v: _where(
        (v.x > 1.15) & (v.w < 0.6), v.x**2, _where(v.x < 1, 3, v.z)
    ),
    "(x > 1.15)*2": lambda v: (v.x > 1.15) * 2.0,
    "max(x, w)": lambda v: np.maximum(v.x, v.w),
    "min(x, 1.2, 3*w)": lambda v: np.minimum(np.minimum(v.x, 1.2), 3 * v.w),
    "atan2(x, w - 0.3)": lambda v: np.arctan2(v.x, v.w - 0.3),
    "abs(x - 1.23)": lambda v: np.abs(v.x - 1.23),
    "exp(-x)*sin(X[:, 0])": lambda v: np.exp(-v.x) * np.sin(v.X[:, 0]),
    "tanh(X)": lambda v: np.tanh(v.X),
    "log(b) + sqrt(b)": lambda v: np.log(v.b) + np.sqrt(v.b),
    "mod(x, 0.3)": lambda v: np.mod(v.x, 0.3),
    "y*t": lambda v: (2 * v.x - v.z) * v.t,
}
TEXT = HEAD + "\n".join(f"observe o{i} = {formula}" for i, formula in enumerate(FORMULAS))
PARAMS = {
    "A": np.array([[0.1, 0.2, 0.3], [0.4, -0.5, 0.6], [0.7, 0.8, -0.9], [1, 1.1, 1.2]]),
    "b": np.array([0.5, 1.5, 2.5]),
    "k": np.array(0.7),
    "S": np.full((4, 4), 0.25),
}


@pytest.fixture(scope="module")
def layer() -> Any:
    return load_source(Source.from_text(TEXT, "arrays.ode"))


def point(solution: odec.Solution, row: int, params: dict[str, np.ndarray]) -> SimpleNamespace:
    """What the formulas speak of, in one row of a solution."""
    values = solution.values[row]
    return SimpleNamespace(
        t=solution.times[row], x=values[:4], X=values[4:16].reshape(4, 3), z=values[16], w=np.arange(4) / 4, **params
    )


def column(solution: odec.Solution, name: str, row: int) -> np.ndarray:
    """An output with all of its elements, flat."""
    names = [n for n in solution.names if n == name or n.startswith(f"{name}[")]
    return np.array([solution[n][row] for n in names])


@pytest.fixture(scope="module", params=["float64", "float32"])
def solution(layer: Any, request: pytest.FixtureRequest) -> tuple[odec.Solution, str]:
    return odec.solve(layer, to=0.5, step=0.1, every=0.25, method="rk4", dtype=request.param), request.param


@pytest.mark.parametrize("place", range(len(FORMULAS)), ids=list(FORMULAS))
def test_a_formula_of_arrays_is_numpy_s(solution: tuple[odec.Solution, str], place: int) -> None:
    found, dtype = solution
    meaning = list(FORMULAS.values())[place]
    for row in range(len(found.times)):
        truth = np.asarray(meaning(point(found, row, PARAMS)), dtype=np.float64)
        tolerance = 1e-13 if dtype == "float64" else 2e-6
        np.testing.assert_allclose(
            column(found, f"o{place}", row), np.ravel(truth), rtol=tolerance, atol=tolerance * 10
        )


def test_columns_are_named_by_their_places(solution: tuple[odec.Solution, str]) -> None:
    names = solution[0].names
    assert names[:17] == (
        *(f"x[{i}]" for i in range(4)),
        *(f"X[{i},{j}]" for i in range(4) for j in range(3)),
        "z",
    )
    assert "o0" in names
    assert "o2[1]" in names
    assert "o9[1,1]" in names


def test_equations_of_arrays_are_numpy_s(layer: Any) -> None:
    start = odec.solve(layer, to=0.1, step=0.1, method="euler")
    v = point(start, 0, PARAMS)
    np.testing.assert_allclose(v.x, 1 + 0.1 * np.arange(4), rtol=1e-15)
    np.testing.assert_allclose(v.X, v.A + v.b, rtol=1e-15)
    after = point(start, 1, PARAMS)
    np.testing.assert_allclose(after.x, v.x + 0.1 * (v.A @ v.b - v.k * v.x * (2 * v.x - v.z) + v.w), rtol=1e-14)
    np.testing.assert_allclose(after.X, v.X + 0.1 * (-v.X + v.S @ v.X), rtol=1e-14)
    np.testing.assert_allclose(after.z, v.z + 0.1 * (v.x.sum() - v.z), rtol=1e-14)
