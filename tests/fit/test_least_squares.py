"""The search on plain NumPy problems: SciPy's optimum, bounds, scales, failures; and many starts at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import least_squares

from odec.fit.least_squares import (
    CONVERGED,
    EXACT,
    LIMIT,
    NOT_FINITE,
    SLOW,
    Box,
    Evaluate,
    Points,
    Settings,
    minimise,
    squares,
)

Residuals = Callable[[np.ndarray], np.ndarray]


def evaluate(residuals: Residuals, jacobian: Residuals) -> Evaluate:
    """A batch of a function of one point."""

    def both(z: np.ndarray, rows: np.ndarray) -> Points:
        with np.errstate(all="ignore"):
            return squares(np.stack([residuals(p) for p in z]), np.stack([jacobian(p) for p in z]))

    return both


def box(start: np.ndarray, lower: float = -np.inf, upper: float = np.inf) -> Box:
    like = np.ones_like(start)
    return Box(lower * like, upper * like, np.abs(start), np.ones_like(start, dtype=bool))


T = np.linspace(0, 4, 15)
Y = 3.0 * np.exp(-0.7 * T) + 0.5 + 0.02 * np.sin(7 * T)


def decay(p: np.ndarray) -> np.ndarray:
    return p[0] * np.exp(-p[1] * T) + p[2] - Y


def decay_jacobian(p: np.ndarray) -> np.ndarray:
    e = np.exp(-p[1] * T)
    return np.stack([e, -p[0] * T * e, np.ones_like(T)], axis=1)


def rosenbrock(p: np.ndarray) -> np.ndarray:
    return np.array([10 * (p[1] - p[0] ** 2), 1 - p[0]])


def rosenbrock_jacobian(p: np.ndarray) -> np.ndarray:
    return np.array([[-20 * p[0], 10.0], [-1.0, 0.0]])


@pytest.mark.parametrize("start", [[1.0, 1.0, 1.0], [10.0, 0.1, -3.0], [0.1, 5.0, 0.0]])
def test_optimum_is_scipys(start: list[float]) -> None:
    z = np.array(start)
    found = minimise(evaluate(decay, decay_jacobian), z[None], box(z))
    oracle = least_squares(decay, z, decay_jacobian, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    np.testing.assert_allclose(found.z[0], oracle.x, rtol=1e-7)
    np.testing.assert_allclose(found.loss[0], 2 * oracle.cost, rtol=1e-12)
    assert found.reason[0] in CONVERGED


def test_optimum_within_bounds_is_scipys() -> None:
    z = np.array([1.0, 0.2, 1.0])
    walls = Box(np.array([0.0, 0.0, 0.8]), np.array([10.0, 0.6, 5.0]), np.abs(z), np.ones(3, dtype=bool))
    found = minimise(evaluate(decay, decay_jacobian), z[None], walls)
    oracle = least_squares(
        decay, z, decay_jacobian, bounds=(walls.lower, walls.upper), xtol=1e-15, ftol=1e-15, gtol=1e-15
    )
    np.testing.assert_allclose(found.loss[0], 2 * oracle.cost, rtol=1e-8)
    np.testing.assert_allclose(found.z[0], oracle.x, rtol=1e-4)
    assert found.z[0, 2] == 0.8  # on the bound to the last bit


def test_curved_valley_is_followed() -> None:
    z = np.array([-1.2, 1.0])
    found = minimise(evaluate(rosenbrock, rosenbrock_jacobian), z[None], box(z))
    np.testing.assert_allclose(found.z[0], [1, 1], rtol=1e-10)
    assert found.evaluations[0] < 60


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_search_is_free_of_the_scale_of_data(scale: float) -> None:
    z = np.array([1.0, 1.0, 1.0])
    both = evaluate(lambda p: scale * decay(p), lambda p: scale * decay_jacobian(p))
    found = minimise(both, z[None], box(z))
    plain = minimise(evaluate(decay, decay_jacobian), z[None], box(z))
    np.testing.assert_allclose(found.z, plain.z, rtol=1e-7)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_search_is_free_of_the_scale_of_parameters(unit: float) -> None:
    units = np.array([1.0, unit, 1.0])
    z = np.array([1.0, 1.0, 1.0]) * units
    both = evaluate(lambda p: decay(p / units), lambda p: decay_jacobian(p / units) / units)
    found = minimise(both, z[None], box(z))
    plain = minimise(evaluate(decay, decay_jacobian), np.ones((1, 3)), box(np.ones(3)))
    np.testing.assert_allclose(found.z / units, plain.z, rtol=1e-7)
    assert abs(int(found.evaluations[0]) - int(plain.evaluations[0])) <= 2


def test_start_on_a_bound_leaves_it() -> None:
    for start in (0.0, 2.0):
        z = np.array([start])
        both = evaluate(
            lambda p: 3 * np.exp(-p * T) - 3 * np.exp(-0.7 * T), lambda p: (-3 * T * np.exp(-p * T))[:, None]
        )
        found = minimise(both, z[None], box(z, 0.0, 2.0))
        np.testing.assert_allclose(found.z[0], 0.7, rtol=1e-9)


def test_optimum_beyond_a_bound_ends_on_it() -> None:
    z = np.array([0.5])
    both = evaluate(lambda p: 3 * np.exp(-p * T) - 3 * np.exp(-0.7 * T), lambda p: (-3 * T * np.exp(-p * T))[:, None])
    found = minimise(both, z[None], box(z, 0.0, 0.6))
    assert found.z[0, 0] == 0.6
    assert found.reason[0] in CONVERGED


def test_points_that_cannot_be_computed_are_walked_around() -> None:
    # log of a negative number is nan: the whole Gauss-Newton step from 3 lands there
    z = np.array([3.0])
    both = evaluate(lambda p: np.log(p) - np.log(0.01), lambda p: (1 / p)[:, None])
    found = minimise(both, z[None], box(z))
    np.testing.assert_allclose(found.z[0], 0.01, rtol=1e-9)


def test_start_that_cannot_be_computed_is_reported_and_the_others_go_on() -> None:
    both = evaluate(lambda p: np.log(p), lambda p: (1 / p)[:, None])
    found = minimise(both, np.array([[-1.0], [3.0]]), box(np.array([1.0])))
    assert found.reason[0] == NOT_FINITE
    assert found.reason[1] in CONVERGED
    assert found.best == 1


def test_rank_deficient_problem_reaches_the_optimum() -> None:
    z = np.array([0.1, 0.1, 1.0])

    def flat(p: np.ndarray) -> np.ndarray:
        return 10 * np.exp(-(p[0] + p[1]) * T) - 10 * np.exp(-0.5 * T)

    def jacobian(p: np.ndarray) -> np.ndarray:
        slope = -10 * T * np.exp(-(p[0] + p[1]) * T)
        return np.stack([slope, slope, 0 * T], axis=1)

    found = minimise(evaluate(flat, jacobian), z[None], box(z, 0.0, 3.0))
    np.testing.assert_allclose(found.z[0, :2].sum(), 0.5, rtol=1e-10)
    assert found.z[0, 2] == 1.0


def test_parameter_without_slope_at_the_start_moves_later() -> None:
    z = np.array([0.0, 0.5])
    both = evaluate(
        lambda p: np.array([p[0] * p[1] - 0.54, p[0] - 0.6]), lambda p: np.array([[p[1], p[0]], [1.0, 0.0]])
    )
    found = minimise(both, z[None], box(z, 0.0, 5.0))
    np.testing.assert_allclose(found.z[0], [0.6, 0.9], rtol=1e-9)


def test_loss_that_is_only_rounding_ends_the_search() -> None:
    found = minimise(
        evaluate(rosenbrock, rosenbrock_jacobian), np.array([[1.0, 1.0]]), box(np.ones(2)), Settings(floor=1e-30)
    )
    assert found.reason[0] == EXACT
    assert found.evaluations[0] == 1


def test_limit_of_iterations_is_kept() -> None:
    z = np.array([-1.2, 1.0])
    found = minimise(evaluate(rosenbrock, rosenbrock_jacobian), z[None], box(z), Settings(iterations=3))
    assert found.reason[0] == LIMIT
    assert found.iterations[0] == 3


def test_a_walk_along_a_flat_valley_ends() -> None:
    def residuals(p: np.ndarray) -> np.ndarray:
        return np.array([1.0, 1e-4 * np.exp(-p[0])])

    def jacobian(p: np.ndarray) -> np.ndarray:
        return np.array([[0.0], [-1e-4 * np.exp(-p[0])]])

    found = minimise(evaluate(residuals, jacobian), np.zeros((1, 1)), box(np.ones(1)), Settings(patience=3, slow=1e-7))
    assert found.reason[0] == SLOW
    assert found.iterations[0] == 3


def test_a_coordinate_may_be_put_where_it_is_best() -> None:
    """Curves a·exp(-k t): the best `a` of each k is known."""

    def both(z: np.ndarray, rows: np.ndarray) -> Points:
        curve = np.exp(-z[:, 1:] * T)
        a = np.clip(curve @ Y / np.sum(curve**2, axis=1), 0.0, 10.0)
        there = np.stack([a, z[:, 1]], axis=1)
        residuals = a[:, None] * curve - Y
        found = squares(residuals, np.stack([curve, -a[:, None] * T * curve], axis=2))
        return Points(found.loss, found.residuals, found.jacobian, there)

    found = minimise(both, np.array([[0.0, 0.1], [9.0, 5.0]]), box(np.ones(2), 0.0, 10.0))
    oracle = least_squares(lambda p: p[0] * np.exp(-p[1] * T) - Y, [3, 0.5], xtol=1e-14, ftol=1e-14, gtol=1e-14)
    np.testing.assert_allclose(found.z, [oracle.x, oracle.x], rtol=1e-6)


def test_loss_never_rises_and_bounds_are_never_crossed() -> None:
    z = np.random.default_rng(1).uniform(-2, 2, (20, 2))
    seen: list[np.ndarray] = []

    def watched(points: np.ndarray, rows: np.ndarray) -> Points:
        assert (np.abs(points) <= 2).all()
        return evaluate(rosenbrock, rosenbrock_jacobian)(points, rows)

    minimise(watched, z, box(np.ones(2), -2.0, 2.0), progress=lambda search: seen.append(search.loss.copy()))
    assert all((after <= before).all() for before, after in pairwise(seen))


def test_path_of_a_start_does_not_depend_on_the_others() -> None:
    starts = np.random.default_rng(2).uniform(0.1, 3, (8, 3))
    together = minimise(evaluate(decay, decay_jacobian), starts, box(np.ones(3)))
    for i, start in enumerate(starts):
        alone = minimise(evaluate(decay, decay_jacobian), start[None], box(np.ones(3)))
        np.testing.assert_allclose(together.z[i], alone.z[0], rtol=1e-12)
        assert together.evaluations[i] == alone.evaluations[0]


def test_points_that_take_as_long_are_evaluated_side_by_side() -> None:
    asked: list[np.ndarray] = []

    def slow_first(z: np.ndarray, rows: np.ndarray) -> Points:
        asked.append(rows)
        return replace(evaluate(rosenbrock, rosenbrock_jacobian)(z, rows), attempts=100.0 - rows)

    starts = np.random.default_rng(2).uniform(-2, 2, (6, 2))
    found = minimise(slow_first, starts, box(np.ones(2)))
    assert asked[1].tolist() == [5, 4, 3, 2, 1, 0]
    alone = minimise(evaluate(rosenbrock, rosenbrock_jacobian), starts, box(np.ones(2)))
    np.testing.assert_array_equal(found.z, alone.z)


def test_finished_starts_are_not_evaluated_again() -> None:
    counts = np.zeros(2, dtype=int)

    def counted(points: np.ndarray, rows: np.ndarray) -> Points:
        np.add.at(counts, rows, 1)
        return evaluate(rosenbrock, rosenbrock_jacobian)(points, rows)

    found = minimise(counted, np.array([[1.0, 1.0], [-1.2, 1.0]]), box(np.ones(2)))
    assert counts.tolist() == found.evaluations.tolist()
    assert counts[0] < counts[1]


def test_huge_numbers_do_not_overflow() -> None:
    """Warnings are errors in tests: a start that explodes must not raise one."""
    z = np.array([[20.0], [1.0]])
    both = evaluate(lambda p: np.exp(10 * p * T) - 1.0, lambda p: (10 * T * np.exp(10 * p * T))[:, None])
    found = minimise(both, z, box(np.ones(1)))
    assert found.reason[0] == NOT_FINITE
    np.testing.assert_allclose(found.z[1], 0.0, atol=1e-6)
