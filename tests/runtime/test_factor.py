"""Linear solves of a stiff step, against NumPy's; gradients against differences of NumPy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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
    rows = iter(loops.tf.unstack(values))
    jacobian = {place: CONSTANT.get(place) or next(rows) for place in PATTERN}
    return factor.factorised(shift, jacobian, SIZE)(r)


def problem(batch: int, many: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(batch)
    r = random.normal(size=(SIZE, batch) if many is None else (SIZE, many, batch))
    return 4 + random.random(batch), entries(random, batch), r


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("many", [None, 3])
def test_a_sparse_solution_is_numpys(batch: int, many: int | None) -> None:
    found = sparse(*map(loops.tf.constant, problem(batch, many)))
    np.testing.assert_allclose(found, expected(*problem(batch, many)), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("many", [None, 3])
def test_the_gradient_inside_a_compiled_loop_is_that_of_differences(many: int | None) -> None:
    shift, values, r = problem(2, many)
    weights = np.random.default_rng(7).normal(size=r.shape)

    def loss(shift: Any, values: Any, r: Any) -> Any:
        return loops.tf.reduce_sum(sparse(shift, values, r) * weights)

    def gradient(shift: Any, values: Any, r: Any) -> Any:
        carry = [loops.tf.zeros_like(leaf) for leaf in (shift, values, r)]
        return loops.repeat(1, lambda _, carry: loops.value_and_gradient(loss, shift, values, r)[1], carry)

    found = loops.compiled(gradient)(*map(loops.tf.constant, (shift, values, r)))
    for place, leaf in enumerate((shift, values, r)):
        for index in np.ndindex(*leaf.shape):
            # Central differences of numbers around 1: an error of about 1e-10 at this width.
            ends = []
            for step in (1e-5, -1e-5):
                moved = [np.array(a) for a in (shift, values, r)]
                moved[place][index] += step
                ends.append(float(np.sum(expected(*moved) * weights)))
            assert float(found[place][index]) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-8)
