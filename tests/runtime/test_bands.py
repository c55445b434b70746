"""Linear solves in blocks about the diagonal, against NumPy's; which states depend on which; and what that is for:
cells of a partial differential equation, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from odec.loading import load_source
from odec.runtime import bands, loops, simulate
from odec.runtime.adaptive import Adaptive
from odec.runtime.equations import Equations, Slots
from odec.runtime.jacobian import pattern_of
from odec.source import Source


def line(size: int, reach: int) -> set[tuple[int, int]]:
    return {(i, j) for i in range(size) for j in range(size) if abs(i - j) <= reach}


def ring(size: int, reach: int) -> set[tuple[int, int]]:
    return {(i, (i + k) % size) for i in range(size) for k in range(-reach, reach + 1)}


def plane(side: int) -> set[tuple[int, int]]:
    steps = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    cells = [(i, j) for i in range(side) for j in range(side)]
    return {
        (i * side + j, (i + a) * side + j + b) for i, j in cells for a, b in steps if {i + a, j + b} <= set(range(side))
    }


# Sizes that do and do not fill the last block; blocks longer than the least; parts that are not joined; one way only.
PATTERNS = {
    "a line": (64, line(64, 1)),
    "a wide line": (67, line(67, 11)),
    "a ring": (70, ring(70, 2)),
    "a plane": (144, plane(12)),
    "two lines": (80, line(40, 3) | {(i + 40, j + 40) for i, j in line(40, 1)}),
    "a chain": (65, {(i, i - 1) for i in range(1, 65)}),
}


def shuffled(name: str) -> tuple[int, list[tuple[int, int]]]:
    """A pattern whose states stand in an order that says nothing."""
    size, pattern = PATTERNS[name]
    new = np.random.default_rng(size).permutation(size)
    return size, [(int(new[i]), int(new[j])) for i, j in sorted(pattern)]


@pytest.mark.parametrize("many", [None, 3])
@pytest.mark.parametrize("name", PATTERNS)
def test_a_solution_and_its_gradient_are_numpys(name: str, many: int | None) -> None:
    size, places = shuffled(name)
    random = np.random.default_rng(1)
    batch = 2
    shift, entries = 10 + random.random(batch), random.normal(size=(len(places), batch))
    r, weights = random.normal(size=(2, size, *(() if many is None else (many,)), batch))
    found = bands.bands_of(frozenset(places) | {(i, i) for i in range(size)}, size)
    assert found is not None

    def loss(shift: tf.Tensor, entries: tf.Tensor, r: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(bands.banded(shift, entries, found, places)(r) * weights)

    tensors = [*map(tf.constant, (shift, entries, r))]
    solution = bands.banded(tensors[0], tensors[1], found, places)(tensors[2]).numpy()
    by_shift, by_entries, by_r = loops.compiled(lambda *t: loops.value_and_gradient(loss, *t)[1])(*tensors)
    rows, columns = np.transpose(places)
    for k in range(batch):
        matrix = shift[k] * np.eye(size)
        matrix[rows, columns] -= entries[:, k]
        u = np.linalg.solve(matrix, r[..., k])
        # For the sum of w·u, u = W⁻¹ r: W⁻ᵀ w by r, and (W⁻ᵀ w)_i u_j by J_ij.
        adjoint = np.linalg.solve(matrix.T, weights[..., k])
        share = (adjoint.reshape(size, -1)[:, None] * u.reshape(size, -1)[None]).sum(axis=-1)
        np.testing.assert_allclose(solution[..., k], u, rtol=0, atol=1e-13)
        np.testing.assert_allclose(by_r[..., k], adjoint, rtol=0, atol=1e-13)
        np.testing.assert_allclose(by_entries[:, k], share[rows, columns], rtol=0, atol=1e-13)
        np.testing.assert_allclose(by_shift[k], -np.trace(share), rtol=1e-12)


def test_a_matrix_that_all_rows_share() -> None:
    size, places = shuffled("a ring")
    entries = tf.constant(np.random.default_rng(2).normal(size=(len(places), 1)))
    r = tf.constant(np.random.default_rng(3).normal(size=(size, 3)))
    found = bands.bands_of(frozenset(places), size)
    shift = tf.constant(10.0, "float64")

    def gradient(entries: tf.Tensor, r: tf.Tensor) -> np.ndarray:
        return loops.value_and_gradient(
            lambda e: tf.reduce_sum(bands.banded(shift, e, found, places)(r) ** 2), entries
        )[1][0].numpy()

    alone = sum(gradient(entries, r[:, k : k + 1]) for k in range(3))
    np.testing.assert_allclose(gradient(entries, r), alone, rtol=1e-12, atol=1e-14)


def test_blocks_where_they_pay() -> None:
    assert bands.bands_of(frozenset(line(63, 1)), 63) is None
    assert bands.bands_of(frozenset(line(100, 34)), 100) is None
    arrow = {(0, i) for i in range(100)} | {(i, 0) for i in range(100)} | line(100, 0)
    assert bands.bands_of(frozenset(arrow), 100) is None
    size, places = shuffled("a ring")
    # Both ways round a ring at once: twice the reach.
    found = bands.bands_of(frozenset(places), size)
    assert found is not None
    assert (found.size, found.count) == (8, 9)
    # Layers of a plane are its diagonals.
    found = bands.bands_of(frozenset(plane(20)), 400)
    assert found is not None
    assert found.size <= 21


def test_columns_of_one_colour_share_no_row() -> None:
    size, places = shuffled("a plane")
    colours = bands.coloured(frozenset(places), size)
    for i in range(size):
        row = [colours[j] for k, j in places if k == i]
        assert len(set(row)) == len(row)
    assert max(colours) < 10


TEXT = """size N = 6
param k = 2
input w
state u[N] = 1
state v[N] = 1
state s = 1
du = if(u > 3, roll(v, 1), t > 1, -u, k*sqrt(abs(u)) - max(u, w)) + 0*v
dv = v*(s - v)*k
ds = -s + w*u[2]
"""


def test_which_states_depend_on_which() -> None:
    """All branches count, and so does what is multiplied by a zero that is known only later."""
    model = load_source(Source(TEXT, "m.ode"))
    found = pattern_of(Equations(model, Slots(rows=("k",), numbers=(("N", 6),))))
    own = {(i, i) for i in range(13)}
    neighbours = {(i, 6 + (i - 1) % 6) for i in range(6)}
    assert own | neighbours | {(6 + i, 12) for i in range(6)} | {(12, 2)} == found - {(i, 6 + i) for i in range(6)}


HEAT = """size N = 100
param D = 0.3
state u[N] = sin(pi*(range(N) + 1)/(N + 1))
state w[N] = 1
u' = D*(N + 1)^2*(left + right - 2*u)
w' = u - w
left = if(range(N) > 0, roll(u, 1), 0)
right = if(range(N) < N - 1, roll(u, -1), 0)
"""


def test_heat_along_a_rod() -> None:
    """The slowest mode of the rod decays at a known rate, and its sensitivity by D with it; w follows it linearly."""
    model = load_source(Source(HEAT, "heat.ode"))
    times = np.array([0.01, 0.1, 1.0])
    run = simulate.sensitivities(
        model, Adaptive(0, times, rtol=1e-8), method="rodas5p", params=[0.3], columns=("u[49]", "w[49]")
    )
    mode = np.sin(np.pi * 50 / 101)
    slope = -4 * 101**2 * np.sin(np.pi / 202) ** 2
    u = mode * np.exp(0.3 * slope * times)
    w = np.exp(-times) + mode * (np.exp(0.3 * slope * times) - np.exp(-times)) / (1 + 0.3 * slope)
    np.testing.assert_allclose(run.values[0], np.stack([u, w], axis=1), rtol=0, atol=1e-8)
    np.testing.assert_allclose(run.derivatives[0, :, 0, 0], slope * times * u, rtol=0, atol=1e-7)


@pytest.mark.parametrize("method", ["tsit5", "dop853", "rodas5p"])
def test_stages_in_a_loop_know_their_times(method: str) -> None:
    """Of so many equations that the stages of each step are a loop, and each follows the time: x_i = i sin t."""
    text = "".join(f"state x{i} = 0\nx{i}' = {i}*cos(t)\n" for i in range(30))
    times = np.array([0.5, 3.0])
    run = simulate.run(load_source(Source(text, "many.ode")), Adaptive(0, times, rtol=1e-9), method=method, params=[])
    np.testing.assert_allclose(run.values[0], np.sin(times)[:, None] * np.arange(30), rtol=0, atol=1e-6)
