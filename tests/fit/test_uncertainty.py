"""Standard errors and what the data do not determine, on Jacobians whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

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
    assert sentence == "a, b and c: not determined separately; a*s, b*s, c/s fit as well for every s"


def test_three_that_change_by_no_common_factor_are_told_with_their_changes() -> None:
    e, f = np.exp(-T), np.cos(T)
    values, none = np.array([1.0, 3.7, 0.4]), np.zeros(3, dtype=bool)
    (sentence,) = uncertainty(e, np.stack([e, f, e + f], axis=1), values, ("a", "b", "c"), none).undetermined
    assert sentence.startswith("a, b and c: not determined separately; changing a by +1, b by +1, c by -1")


def test_scale_of_the_search_says_whether_a_sum_or_a_product_is_meant() -> None:
    e, none = np.exp(-T), np.zeros(2, dtype=bool)
    jacobian = np.stack([e, e], axis=1)
    for log, sentence in ((False, "a and b: only a + b is determined"), (True, "a and b: only a*b is determined")):
        found = uncertainty(e, jacobian, np.ones(2), ("a", "b"), none, log=np.array([log, log]))
        assert found.undetermined == (sentence,)


def test_powers_are_told() -> None:
    # y depends on a*b^2 alone: at (3, 2) ∂/∂a = b² = 4, ∂/∂b = 2ab = 12.
    e, none = np.exp(-T), np.zeros(2, dtype=bool)
    (sentence,) = uncertainty(e, np.stack([4 * e, 12 * e], axis=1), np.array([3.0, 2.0]), ("a", "b"), none).undetermined
    assert sentence == "a and b: not determined separately; a*s^2, b/s fit as well for every s"


def test_covariance_leaves_out_what_nothing_determines() -> None:
    e, f = np.exp(-T), np.cos(T)
    none = np.zeros(3, dtype=bool)
    found = uncertainty(0.1 * e, np.stack([e, e, f], axis=1), np.array([1.0, 3.0, 1.0]), ("a", "b", "c"), none)
    np.testing.assert_allclose(np.abs(found.directions), [[1, 1, 0]], atol=1e-12)
    # The variance of a + b is that of the one parameter that the sum would be.
    one = uncertainty(0.1 * e, np.stack([e, f], axis=1), np.ones(2), ("a", "c"), none[:2])
    sum_of = np.array([1.0, 1.0, 0.0])
    np.testing.assert_allclose(sum_of @ found.covariance @ sum_of, one.covariance[0, 0], rtol=1e-10)


def test_intervals_take_students_t_and_the_logarithm() -> None:
    design = np.stack([np.ones(5), np.arange(5.0)], axis=1)
    residuals = np.array([0.1, -0.2, 0.0, 0.2, -0.1])  # orthogonal to both columns
    found = uncertainty(residuals, design, np.array([1.0, 2.0]), ("a", "b"), np.zeros(2, dtype=bool))
    t = 3.182446  # 3 degrees of freedom, any table
    (low, high), (log_low, log_high) = found.intervals(np.array([1.0, 2.0]), np.array([False, True]))
    assert (high - low) / 2 == pytest.approx(t * found.standard_errors[0])
    assert low + high == pytest.approx(2.0)
    assert log_low * log_high == pytest.approx(4.0)
    assert np.log(log_high / 2) == pytest.approx(t * found.standard_errors[1] / 2)


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
