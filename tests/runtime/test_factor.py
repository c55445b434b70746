"""Linear solves of a stiff step, against NumPy's; gradients against differences of NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from odec.runtime import factor, loops

SIZE = 7
# An empty row (2), an empty column (4), both (6), a one-way chain, a cycle, and numbers that need no tensor.
PATTERN = ((0, 0), (0, 1), (1, 0), (1, 3), (3, 5), (5, 1), (0, 5), (4, 3), (4, 0), (5, 2), (3, 3))
CONSTANT = {(1, 3): -2.0, (3, 3): -1}


def entries(random: np.random.Generator, batch: int) -> np.ndarray:
    """Values of the pattern that are not in `CONSTANT`, (entries, batch)."""
    return random.normal(size=(len(PATTERN) - len(CONSTANT), batch))


def matrix(shift: np.ndarray, values: np.ndarray) -> np.ndarray:
    """shift·I − J as NumPy wants it, (batch, n, n)."""
    full = np.zeros((values.shape[1], SIZE, SIZE))
    for place, value in CONSTANT.items():
        full[:, *place] = -value
    for place, row in zip((p for p in PATTERN if p not in CONSTANT), values, strict=True):
        full[:, *place] = -row
    return full + shift[:, None, None] * np.eye(SIZE)


def expected(shift: np.ndarray, values: np.ndarray, r: np.ndarray) -> np.ndarray:
    """W⁻¹ r for r (n, batch) or (n, Q, batch)."""
    columns = np.moveaxis(r.reshape(SIZE, -1, r.shape[-1]), -1, 0)
    return np.moveaxis(np.linalg.solve(matrix(shift, values), columns), 0, -1).reshape(r.shape)


def sparse(shift: Any, values: Any, r: Any) -> Any:
    """What is tested, as a function of tensors."""
    rows = iter(tf.unstack(values))
    jacobian = {place: CONSTANT.get(place) or next(rows) for place in PATTERN}
    return factor.factorised(shift, jacobian, SIZE)(r)


def problem(batch: int, many: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(batch)
    r = random.normal(size=(SIZE, batch) if many is None else (SIZE, many, batch))
    return 4 + random.random(batch), entries(random, batch), r


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("many", [None, 3])
def test_a_sparse_solution_is_numpys(batch: int, many: int | None) -> None:
    found = sparse(*map(tf.constant, problem(batch, many)))
    np.testing.assert_allclose(found, expected(*problem(batch, many)), rtol=1e-10, atol=1e-12)


def test_one_precision_less() -> None:
    found = sparse(*(tf.constant(a, "float32") for a in problem(5, None)))
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, expected(*problem(5, None)), rtol=1e-5, atol=1e-6)


def random_matrix(size: int, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A shift, a J that is not symmetric and large enough that pivots matter, and a right side."""
    random = np.random.default_rng(size)
    return 5 + random.random(batch), random.normal(size=(size, size, batch)), random.normal(size=(size, batch))


def numpys(shift: np.ndarray, jacobian: np.ndarray, r: np.ndarray) -> np.ndarray:
    full = shift[:, None, None] * np.eye(len(r)) - np.moveaxis(jacobian, -1, 0)
    return np.moveaxis(np.linalg.solve(full, np.moveaxis(r.reshape(len(r), -1, len(shift)), -1, 0)), 0, -1).reshape(
        r.shape
    )


def places(jacobian: Any) -> dict[tuple[int, int], Any]:
    """A full matrix entry by entry."""
    return {(i, j): jacobian[i, j] for i in range(jacobian.shape[0]) for j in range(jacobian.shape[1])}


@pytest.mark.parametrize("batch", [1, 5])
def test_a_full_matrix_is_inverted(batch: int) -> None:
    shift, jacobian, r = map(tf.constant, random_matrix(20, batch))
    answer = numpys(*random_matrix(20, batch))
    assert not factor.is_straight(factor.elimination(frozenset(places(jacobian)), 20))
    for given in (jacobian, places(jacobian)):
        solve = factor.factorised(shift, given, 20)
        np.testing.assert_allclose(solve(r), answer, rtol=1e-10, atol=1e-10)
        wide = tf.stack([r, 2 * r], axis=1)
        np.testing.assert_allclose(solve(wide)[:, 1], 2 * answer, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("form", [lambda jacobian: jacobian, places], ids=["array", "places"])
def test_the_gradient_through_an_inverse(form: Any) -> None:
    shift, jacobian, r = random_matrix(6, 2)
    wide = np.stack([r, r[::-1]], axis=1)
    weights = np.random.default_rng(7).normal(size=wide.shape)

    def loss(shift: Any, jacobian: Any, r: Any) -> Any:
        return tf.reduce_sum(factor.factorised(shift, form(jacobian), 6)(r) * weights)

    assert not factor.is_straight(factor.elimination(frozenset(places(jacobian)), 6))
    tensors = [*map(tf.constant, (shift, jacobian, wide))]
    found = loops.compiled(lambda *tensors: loops.value_and_gradient(loss, *tensors)[1])(*tensors)
    for place, index in ((0, (1,)), (1, (2, 3, 0)), (1, (4, 4, 1)), (2, (5, 1, 1))):
        ends = []
        for step in (1e-5, -1e-5):
            moved = [np.array(a) for a in (shift, jacobian, wide)]
            moved[place][index] += step
            ends.append(float(np.sum(numpys(*moved) * weights)))
        assert float(found[place][index]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("solve", [sparse, lambda *given: factor.factorised(given[0], given[1], SIZE)(given[2])])
def test_a_row_that_is_not_a_number_leaves_the_others_alone(solve: Any) -> None:
    shift, values, r = problem(3, None)
    if solve is not sparse:
        values = np.random.default_rng(3).normal(size=(SIZE, SIZE, 3))
    clean = solve(*map(tf.constant, (shift, values, r))).numpy()
    for spoiled, number in ((shift, np.inf), (values, np.nan), (r, np.inf)):
        kept = spoiled[..., 1].copy()
        spoiled[..., 1] = number
        tensors = [*map(tf.constant, (shift, values, r))]
        dirty = solve(*tensors).numpy()
        np.testing.assert_array_equal(dirty[:, [0, 2]], clean[:, [0, 2]])
        gradients = loops.value_and_gradient(lambda *tensors: tf.reduce_sum(solve(*tensors)[:, ::2]), *tensors)[1]
        assert all(np.isfinite(leaf.numpy()[..., [0, 2]]).all() for leaf in gradients)
        spoiled[..., 1] = kept


def test_a_matrix_that_all_rows_share() -> None:
    jacobian = {(0, 1): 2.0, (1, 0): tf.constant(0.5, "float64")}
    shift, r = tf.constant(3.0, "float64"), tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], "float64")
    (share,) = loops.value_and_gradient(lambda shift: tf.reduce_sum(factor.factorised(shift, jacobian, 2)(r)), shift)[1]
    matrix = np.array([[3, -2], [-0.5, 3]])
    np.testing.assert_allclose(factor.factorised(shift, jacobian, 2)(r), np.linalg.solve(matrix, r), rtol=1e-12)
    # d(1ᵀ W⁻¹ r)/dshift = −1ᵀ W⁻¹ W⁻¹ r.
    expected = -np.sum(np.linalg.solve(matrix, np.linalg.solve(matrix, r)))
    assert float(share) == pytest.approx(expected, rel=1e-12)


def test_an_arrow_does_not_fill_in() -> None:
    """Taken from its tip, an arrow fills in all over; from its ends, nothing does."""
    size = 30
    arrow = frozenset({(0, i) for i in range(size)} | {(i, 0) for i in range(size)})
    plan = factor.elimination(arrow, size)
    # For each end: a reciprocal, one factor and one product; for the tip a reciprocal.
    assert plan.factor_operations == 3 * (size - 1) + 1
    assert plan.order[-1] == 0 or plan.order[-2:] == (0, size - 1)


def test_a_chain_is_not_factorised_at_all() -> None:
    """Each state depends on the one before alone: blocks of one place, in their order."""
    plan = factor.elimination(frozenset({(i, i - 1) for i in range(1, 50)}), 50)
    assert plan.blocks == tuple((i,) for i in range(50))
    assert plan.factor_operations == 50
    assert plan.solve_operations == 50 + 49


@pytest.mark.parametrize("many", [None, 3])
def test_the_gradient_inside_a_compiled_loop_is_that_of_differences(many: int | None) -> None:
    shift, values, r = problem(2, many)
    weights = np.random.default_rng(7).normal(size=r.shape)

    def loss(shift: Any, values: Any, r: Any) -> Any:
        return tf.reduce_sum(sparse(shift, values, r) * weights)

    def gradient(shift: Any, values: Any, r: Any) -> Any:
        carry = [tf.zeros_like(leaf) for leaf in (shift, values, r)]
        return loops.repeat(1, lambda _, carry: loops.value_and_gradient(loss, shift, values, r)[1], carry)

    found = loops.compiled(gradient)(*map(tf.constant, (shift, values, r)))
    for place, leaf in enumerate((shift, values, r)):
        for index in np.ndindex(*leaf.shape):
            # Central differences of numbers around 1: an error of about 1e-10 at this width.
            ends = []
            for step in (1e-5, -1e-5):
                moved = [np.array(a) for a in (shift, values, r)]
                moved[place][index] += step
                ends.append(float(np.sum(expected(*moved) * weights)))
            assert float(found[place][index]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-8)
