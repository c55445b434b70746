"""The array language, compiled and run: every operation against NumPy, values and derivatives, in both precisions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from agreement import compare
from scipy.linalg import expm

import odec
from odec.loading import load_source
from odec.runtime import simulate
from odec.runtime.guesses import scalar_params
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
    "max(x)": lambda v: v.x.max(),
    "max(X*b)*x": lambda v: (v.X * v.b).max() * v.x,
    "min(w - x)": lambda v: (v.w - v.x).min(),
    "max(z)": lambda v: v.z,
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


# Derivatives


ELEMENTS = ("x[1]", "X[2,1]", "z", "k", "b[2]", "A[1,2]", "S[0,3]")


def flat_params(changes: dict[str, float] | None = None) -> np.ndarray:
    """The params in the order of the text, some elements replaced."""
    values = {name: np.array(PARAMS[name], dtype=float) for name in ("A", "b", "k", "S")}
    for name, value in (changes or {}).items():
        base, _, place = name.partition("[")
        values[base][tuple(int(i) for i in place.rstrip("]").split(",")) if place else ()] = value
    return np.concatenate([np.ravel(values[name]) for name in ("A", "b", "k", "S")])


def guess(name: str) -> float:
    """The value of an element of a param."""
    base, _, place = name.partition("[")
    return float(PARAMS[base][tuple(int(i) for i in place.rstrip("]").split(",")) if place else ()])


def test_sensitivities_of_every_operation_are_those_of_central_differences(layer: Any) -> None:
    schedule = Schedule.fixed(0.0, np.array([0.2, 0.5]), 0.1)
    columns = [f"o{i}" for i in range(len(FORMULAS))]
    _, slopes, _ = simulate.sensitivities(
        layer, schedule, method="rk4", params=flat_params(), columns=columns, wrt=ELEMENTS
    )
    step = 1e-6
    for place, name in enumerate(ELEMENTS):
        ends = []
        for sign in (1, -1):
            if name[0] in "xXz":
                start = {"x[1]": 1.1, "X[2,1]": 2.3, "z": 0.7}[name]
                run = {"params": flat_params(), "initial": {name: start + sign * step}}
            else:
                run = {"params": flat_params({name: guess(name) + sign * step})}
            ends.append(simulate.solve(layer, schedule, method="rk4", columns=columns, **run)[0])
        truth = (ends[0] - ends[1]) / (2 * step)
        # Rounding of a difference of 1e-6.
        np.testing.assert_allclose(slopes[0, :, :, place], truth, rtol=1e-6, atol=1e-7, err_msg=name)


def test_the_gradient_through_the_layer_is_the_sum_of_its_sensitivities(layer: Any) -> None:
    built = layer(times=[0.2, 0.5], h=0.1, method="rk4", dtype="float64")
    start = np.zeros((2, 0))
    built.build(start.shape)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(built(start) ** 2)
    gradients = dict(
        zip(
            [w.name for w in built.trainable_weights],
            tape.gradient(loss, [w.value for w in built.trainable_weights]),
            strict=True,
        )
    )
    values, slopes = built.sensitivities()
    truth = 2 * 2 * np.einsum("tc,tcp->p", values[0], slopes[0])
    found = np.concatenate([np.ravel(np.asarray(gradients[name])) for name in ("A", "b", "k", "S")])
    np.testing.assert_allclose(found, truth, rtol=1e-10, atol=1e-10)


# A linear system: dx = A @ x.


def linear(size: int) -> tuple[Any, np.ndarray]:
    """The class of dx = A @ x with A written as a literal, and A."""
    matrix = np.random.default_rng(3).normal(size=(size, size)) / np.sqrt(size) - np.eye(size)
    literal = ", ".join(f"[{', '.join(map(repr, row))}]" for row in matrix.tolist())
    text = (
        f"size N = {size}\nparam A[N, N] = [{literal}]\nstate x[N] = 1 + range(N)/N\ndx = A @ x\nobserve norm = x @ x\n"
    )
    return load_source(Source.from_text(text, "linear.ode")), matrix


def test_a_linear_system_of_fifty_is_a_matrix_exponential() -> None:
    layer, matrix = linear(50)
    solution = odec.solve(layer, to=2, step=0.005, every=0.5, method="rk4")
    start = 1 + np.arange(50) / 50
    for row, time in enumerate(solution.times):
        np.testing.assert_allclose(solution.values[row, :50], expm(matrix * time) @ start, rtol=0, atol=1e-8)
    # Its text holds one product.
    assert "matmul(A, x)" in inspect.getsource(layer.rhs)


def test_its_sensitivities_and_gradients_are_those_of_central_differences() -> None:
    layer, matrix = linear(50)
    wrt = ("A[0,1]", "A[7,7]", "A[49,3]", "x[4]")
    schedule = Schedule.fixed(0.0, np.array([1.0, 2.0]), 0.05)
    values, slopes, _ = simulate.sensitivities(
        layer, schedule, method="rk4", params=np.ravel(matrix), columns=["x", "norm"], wrt=wrt
    )
    step = 1e-5
    for place, name in enumerate(wrt):
        ends = []
        for sign in (1, -1):
            moved, initial = matrix.copy(), {}
            if name[0] == "A":
                moved[tuple(map(int, name[2:-1].split(",")))] += sign * step
            else:
                initial = {name: 1 + 4 / 50 + sign * step}
            ends.append(
                simulate.solve(
                    layer, schedule, method="rk4", params=np.ravel(moved), columns=["x", "norm"], initial=initial
                )[0]
            )
        np.testing.assert_allclose(slopes[0, :, :, place], (ends[0] - ends[1]) / (2 * step), rtol=1e-6, atol=1e-8)
    built = layer(times=[1.0, 2.0], h=0.05, method="rk4", outputs=["norm"], dtype="float64")
    start = np.zeros((1, 0))
    built.build(start.shape)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(built(start))
    gradient = np.asarray(tape.gradient(loss, built.weights[0].value))
    assert gradient.shape == (50, 50)
    for place, name in enumerate(wrt[:3]):
        found = gradient[tuple(map(int, name[2:-1].split(",")))]
        assert found == pytest.approx(slopes[0, :, 50, place].sum(), rel=1e-10)
    assert float(loss) == pytest.approx(values[0, :, 50].sum(), rel=1e-12)


# Sizes, rows, files


SIZED = """
size N = 4
const w[N] = range(N)/N
param a[N] = 0.5 in [0, 1]
param K[N, N] = glorot_normal()
param c = 0.2 log
state x[N] = 1 + w
dx = a*roll(x, 1) - c*x + 0.1*K @ x
observe top = x[N-1]
observe half = x[:floor(N/2)]
"""


def sized() -> Any:
    return load_source(Source.from_text(SIZED, "sized.ode"))


def stepped(size: int, a: np.ndarray, K: np.ndarray, c: float, steps: int) -> np.ndarray:
    """Euler steps of 0.1."""
    x = 1 + np.arange(size) / size
    for _ in range(steps):
        x = x + 0.1 * (a * np.roll(x, 1) - c * x + 0.1 * K @ x)
    return x


@pytest.mark.parametrize("size", [1, 4, 7])
def test_a_size_is_an_argument_of_the_layer(size: int) -> None:
    layer = sized()(N=size, steps=10, h=0.1, method="euler", dtype="float64", outputs=["x", "top"])
    found = np.asarray(layer(np.zeros((2, 0))))
    assert found.shape == (2, 10, size + 1)
    now = layer.parameters()
    assert now["a"].shape == (size,)
    assert now["K"].shape == (size, size)
    assert np.ptp(now["K"]) > 0 or size == 1
    truth = stepped(size, now["a"], now["K"], now["c"], 10)
    np.testing.assert_allclose(found[:, -1, :-1], [truth, truth], rtol=1e-12)
    np.testing.assert_allclose(found[:, -1, -1], truth[-1], rtol=1e-12)


def test_rows_start_where_they_are_told() -> None:
    layer = sized()(steps=1, h=0.1, method="euler", dtype="float64")
    start = np.arange(8.0).reshape(2, 4)
    found = np.asarray(layer(start))[:, 0]
    now = layer.parameters()
    for x, y in zip(start, found, strict=True):
        truth = x + 0.1 * (now["a"] * np.roll(x, 1) - now["c"] * x + 0.1 * now["K"] @ x)
        np.testing.assert_allclose(y, truth, rtol=1e-13)


def test_an_array_param_may_come_for_each_row() -> None:
    layer = sized()(steps=5, h=0.1, method="euler", dtype="float64", return_sequences=False)
    random = np.random.default_rng(0)
    a, K = random.uniform(size=(3, 4)), random.normal(size=(3, 4, 4))
    found = np.asarray(layer(np.zeros((3, 0)), params={"a": a, "K": K}))
    for row in range(3):
        np.testing.assert_allclose(found[row], stepped(4, a[row], K[row], 0.2, 5), rtol=1e-12)
    assert [weight.name for weight in layer.trainable_weights] == ["c"]


def test_bounds_hold_for_each_element_after_an_update() -> None:
    layer = sized()(steps=5, h=0.1, method="euler", return_sequences=False, frozen=["c", "K"])
    model = keras.Sequential([keras.Input((0,)), layer])
    model.compile(optimizer=keras.optimizers.SGD(10.0), loss="mse")
    model.fit(np.zeros((2, 0)), np.full((2, 4), 50.0), epochs=1, verbose=0)
    a = layer.parameters()["a"]
    assert a.shape == (4,)
    assert np.all((a >= 0) & (a <= 1))
    assert np.all(a == 1)


def test_a_saved_layer_keeps_its_sizes_and_arrays(tmp_path: Path) -> None:
    layer = sized()(N=6, steps=5, h=0.1, method="rk4", outputs=["half", "x"])
    model = keras.Sequential([keras.Input((0,)), layer])
    model.save(tmp_path / "sized.keras")
    model.save_weights(tmp_path / "sized.weights.h5")
    start = np.zeros((2, 0))
    before = model.predict(start, verbose=0)
    assert before.shape == (2, 5, 3 + 6)
    again = keras.saving.load_model(tmp_path / "sized.keras")
    np.testing.assert_array_equal(again.predict(start, verbose=0), before)
    other = keras.Sequential([keras.Input((0,)), type(layer)(N=6, steps=5, h=0.1, method="rk4", outputs=["half", "x"])])
    other.load_weights(tmp_path / "sized.weights.h5")
    np.testing.assert_array_equal(other.predict(start, verbose=0), before)


def test_params_and_elements_are_replaced_by_name() -> None:
    a = [0.1, 0.2, 0.3, 0.4]
    layer = sized()(steps=5, h=0.1, method="euler", dtype="float64", return_sequences=False, params={"a": a, "K": 0.3})
    found = np.asarray(layer(np.zeros((1, 0))))[0]
    np.testing.assert_allclose(found, stepped(4, np.array(a), np.full((4, 4), 0.3), 0.2, 5), rtol=1e-13)
    changed = {"a[0]": 0.1, "a[1]": 0.2, "a[2]": 0.3, "a[3]": 0.4, "K": 0.3}
    solution = odec.solve(sized(), to=0.5, step=0.1, method="euler", params=changed)
    np.testing.assert_allclose(solution.values[-1, :4], found, rtol=1e-13)
    assert solution.names == (*(f"x[{i}]" for i in range(4)), "top", "half[0]", "half[1]")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [({"M": 3}, "M"), ({"N": 0}, "N"), ({"N": 2.5}, "N"), ({"sizes": {"n": 3}}, "n")],
)
def test_a_wrong_size_says_what_was_received(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        sized()(steps=1, h=0.1, **arguments)


def test_a_state_of_second_order_may_be_an_array() -> None:
    text = "size N = 3\nconst w[N] = 1 + range(N)\nstate q[N] = 1\nstate q'[N] = 0\nq'' = -w^2*q\n"
    solution = odec.solve(load_source(Source.from_text(text, "ring.ode")), to=1, step=0.001, every=0.5, method="rk4")
    assert solution.names == ("q[0]", "q[1]", "q[2]", "q'[0]", "q'[1]", "q'[2]")
    for i in range(3):
        np.testing.assert_allclose(solution[f"q[{i}]"], np.cos((i + 1) * solution.times), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "text",
    [
        "size N = 3\nconst c[N] = [1, 2, 3]\nstate x[N] = 1\ndx = -c*x",
        "size N = 3\nparam c[N] = [1, 2, 3]\nstate x[N] = 1\ndx = -c*x",
        "size N = 3\nstate x[N] = 1\ny = [1, 2, 3]\ndx = -y*x",
        "size N = 3\nstate x[N] = [1, 2, 3]\ndx = -x",
        "size N = 6\nstate x[N/2] = 1\ndx = -x",
        "size N = 6\nstate x[N] = 1\ndx = -x*x[5]",
    ],
)
def test_an_array_that_is_written_out_does_not_grow(text: str) -> None:
    layer = load_source(Source.from_text(text, "written.ode"))
    with pytest.raises(ValueError, match="Written does not work with N = 5"):
        layer(N=5, steps=1, h=0.1)
    with pytest.raises(odec.OdecError, match="Written does not work with N = 5"):
        odec.solve(layer, to=1, step=0.1, params={"N": 5})


def test_solve_takes_arrays_by_name() -> None:
    a, x = [0.1, 0.2, 0.3, 0.4], [4.0, 3.0, 2.0, 1.0]
    found = odec.solve(sized(), to=0.1, step=0.1, method="euler", params={"a": a, "K": 0.3}, init={"x": x})
    truth = x + 0.1 * (a * np.roll(x, 1) - 0.2 * np.array(x) + 0.1 * 0.3 * np.sum(x))
    np.testing.assert_allclose(found.values[-1, :4], truth, rtol=1e-13)
    with pytest.raises(odec.OdecError, match=r"`a` has the shape \(4,\), and the value given for it \(3,\)"):
        odec.solve(sized(), to=0.1, step=0.1, params={"a": [1, 2, 3]})


def test_a_drawn_guess_lies_inside_its_bounds() -> None:
    text = "param W[20, 20] = random_normal() in [0, 0.02]\nstate x[20] = 1\ndx = W @ x"
    layer = load_source(Source.from_text(text, "drawn.ode"))
    built = layer(steps=1, h=0.1)
    built.build((None, 0))
    for drawn in (built.parameters()["W"], [p.value for p in scalar_params(layer.description)]):
        assert 0 <= np.min(drawn) < np.max(drawn) <= 0.02 + 1e-9  # float32 for one


# A number stands for every element, wherever the whole array is looked at.


@pytest.mark.parametrize(
    "formula",
    [
        "sum(c)",
        "[c, c] @ v",
        "sum(v^0)",
        "sum(A + k)",
        "mean(if(N > 2, k, v))",
        "sum(if(v > 0, k, k))",
        "sum(if(v > 1, sum(1/v), k))",
        "(A + k) @ v",
        "(v + k - v)[1]",
        "roll(q + k, 1)[0]",
        "([c, c, c]/[c, c, c] - [c, c, c]/[c, c, c]) @ v + k",
        "sum(A @ v*k - A @ v*c)",
    ],
)
def test_a_number_stands_for_every_element(formula: str) -> None:
    text = "size N = 3\nconst c[N] = 0.5\nparam k = 2\nparam A[N, N] = 0.3\nq = 2*c\n"
    assert compare(f"{text}state v[N] = [0.5, 1.5, 3]\nv' = -v + 0*sum(A)*k*sum(q)\nobserve y = {formula}\n")


def test_a_jump_when_the_largest_element_reaches_a_threshold() -> None:
    text = "size N = 3\nparam k[N] = [1, 2, 0.5]\nstate x[N] = 0\ndx = k\nwhen max(x) > 1: x = 0*x\n"
    found = odec.solve(load_source(Source.from_text(text, "Reset")), times=[0.4, 0.6, 1.2])
    np.testing.assert_allclose(found.values, np.outer([0.4, 0.1, 0.2], [1, 2, 0.5]), rtol=1e-6)


def test_a_number_for_all_elements_keeps_its_digits(tmp_path: Path) -> None:
    # 0.3, 0.1 and 0.7 are other numbers in float32.
    path = tmp_path / "m.ode"
    path.write_text("state x[2] = 0.3\nstate y = 0\nx' = 0.1\ny' = x[0]\nat 2: x = 0.7\n")
    found = odec.solve(path, times=[0, 1, 2, 3])
    np.testing.assert_allclose(found["x[1]"], [0.3, 0.4, 0.7, 0.8], rtol=1e-14)
