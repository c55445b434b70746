"""Standard errors and what the data do not determine, on Jacobians whose answer is known."""

from __future__ import annotations

import numpy as np

from odec.fit.uncertainty import uncertainty

T = np.linspace(0, 8, 30)
NAMES = ("a", "b", "k", "c")


def test_straight_line_has_the_textbook_errors() -> None:
    design = np.stack([np.ones_like(T), T], axis=1)
    y = 1 + 2 * T + 0.1 * np.random.default_rng(0).normal(size=T.size)
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    residuals = design @ coefficients - y
    found = uncertainty(residuals, design, coefficients, ("a", "b"), np.zeros(2, dtype=bool))
    # slope: s / sqrt(sum (t - mean)^2)
    s2 = residuals @ residuals / (len(T) - 2)
    np.testing.assert_allclose(found.standard_errors[1], np.sqrt(s2 / np.sum((T - T.mean()) ** 2)), rtol=1e-12)
    covariance = s2 * np.linalg.inv(design.T @ design)
    np.testing.assert_allclose(found.standard_errors, np.sqrt(np.diag(covariance)), rtol=1e-12)
    np.testing.assert_allclose(
        found.correlations[0, 1], covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    )
    assert (found.rank, found.free, found.undetermined) == (2, 2, ())


def product(a: float, b: float, k: float) -> np.ndarray:
    e = np.exp(-k * T)
    return np.stack([b * e, a * e, -a * b * T * e, 0 * T], axis=1)


def test_product_is_named_and_the_others_keep_their_errors() -> None:
    residuals = 0.1 * np.cos(9 * T)
    found = uncertainty(
        residuals, product(2.0, 3.0, 0.5), np.array([2.0, 3.0, 0.5, 1.0]), NAMES, np.zeros(4, dtype=bool)
    )
    assert found.undetermined == ("c: no effect on the data", "a and b: only a*b is determined")
    assert found.without == ("a", "b", "c")
    assert (found.rank, found.free) == (2, 4)
    assert np.isnan(found.standard_errors[[0, 1, 3]]).all()
    # the same model with the product as one parameter
    alone = product(2.0, 3.0, 0.5)[:, [0, 2]]
    one = uncertainty(residuals, alone, np.array([2.0, 0.5]), ("a", "k"), np.zeros(2, dtype=bool))
    np.testing.assert_allclose(found.standard_errors[2], one.standard_errors[1], rtol=1e-10)


def test_difference_sum_and_ratio_are_named() -> None:
    e = np.exp(-T)
    none = np.zeros(2, dtype=bool)
    for jacobian, values, sentence in (
        (np.stack([e, e], axis=1), [1.0, 3.0], "a and b: only a + b is determined"),
        (np.stack([e, -e], axis=1), [1.0, 3.0], "a and b: only a - b is determined"),
        (np.stack([e, -2 * e], axis=1), [4.0, 2.0], "a and b: only a/b is determined"),
    ):
        assert uncertainty(e, jacobian, np.array(values), ("a", "b"), none).undetermined == (sentence,)


def test_two_separate_pairs_are_two_sentences() -> None:
    e, f = np.exp(-T), np.cos(T)
    found = uncertainty(
        e, np.stack([e, e, f, f], axis=1), np.array([1.0, 3.0, 2.0, 5.0]), NAMES, np.zeros(4, dtype=bool)
    )
    assert sorted(found.undetermined) == ["a and b: only a + b is determined", "k and c: only k + c is determined"]


def test_three_in_one_direction_are_told_with_their_changes() -> None:
    e, f = np.exp(-T), np.cos(T)
    found = uncertainty(e, np.stack([e, f, e + f], axis=1), np.ones(3), ("a", "b", "c"), np.zeros(3, dtype=bool))
    (sentence,) = found.undetermined
    assert sentence.startswith("a, b and c: not determined separately")


def test_parameters_at_a_bound_are_left_out() -> None:
    jacobian = product(2.0, 3.0, 0.5)
    found = uncertainty(T * 0.1, jacobian, np.ones(4), NAMES, np.array([False, True, False, True]))
    assert (found.rank, found.free, found.undetermined) == (2, 2, ())
    assert np.isnan(found.standard_errors[[1, 3]]).all()


def test_small_parameters_are_not_taken_for_dead_ones() -> None:
    jacobian = np.stack([np.exp(-T), 1e9 * T], axis=1)
    values = np.array([1.0, 1e-15])
    found = uncertainty(
        0.1 * np.cos(T), jacobian, values, ("a", "b"), np.zeros(2, dtype=bool), np.array([1.0, 1e-9]), 5.0
    )
    assert found.undetermined == ()


def test_no_degree_of_freedom_gives_no_error() -> None:
    found = uncertainty(np.zeros(2), np.eye(2), np.ones(2), ("a", "b"), np.zeros(2, dtype=bool))
    assert np.isnan(found.standard_errors).all()
    assert found.rank == 2


def test_everything_at_a_bound() -> None:
    found = uncertainty(np.ones(3), np.ones((3, 2)), np.ones(2), ("a", "b"), np.ones(2, dtype=bool))
    assert (found.rank, found.free, found.undetermined) == (0, 0, ())
