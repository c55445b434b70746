"""The distributions of the language as negative log-likelihoods, with the derivatives that a search needs.

Natural logarithms, all constants included. A distribution of a measurement m takes d numbers: its location y, then what
`observe y ~ kind(y, …)` writes behind it. Score and Fisher information by these numbers are the textbooks'; those of
Student's t are in Lange, Little and Taylor, J. Am. Stat. Assoc. 84 (1989), appendix B.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import digamma, gammaln, polygamma

Numbers = Sequence[np.ndarray]
Rows = list[list[np.ndarray]]
# So many values of a count stand for all of them in an expectation.
NODES = 128
# |residual|/scale below which the kink of Laplace's density is rounded off in the search's quadratic model.
KINK = 1e-6
# The error of coarse steps, and what stands for 0 where 0 has no likelihood, as parts of a curve's largest value.
UNTOLD, NEARLY_NOTHING = 1e-3, 1e-12


@dataclass(frozen=True, eq=False)
class Density:
    """At each of many measurements: -log density, its derivative (d, …) by the distribution's numbers, and the expected
    second derivative (d, d, …). `curvature` is what a search takes in its place: the same, but for Laplace.

    `value` is infinite where a number or the measurement lies outside the distribution's domain.
    """

    value: np.ndarray
    score: np.ndarray
    information: np.ndarray
    curvature: np.ndarray


def density(kind: str, measured: np.ndarray, numbers: Numbers) -> Density:
    """The density of `measured` (any shape) under the distribution `kind` with `numbers` (d arrays of that shape).

    >>> import numpy as np
    >>> float(density("normal", np.zeros(1), [np.ones(1), np.ones(1)]).value[0])  # ½ln(2π) + ½
    1.4189385332046727
    """
    measured, *numbers = np.broadcast_arrays(measured, *numbers)
    with np.errstate(all="ignore"):
        inside, value, score, information = _KINDS[kind](measured, *numbers)
        value = np.where(inside, value, np.where(_any_nan(numbers), np.nan, np.inf))
        rows = _stacked(information)
        curvature = rows
        if kind == "laplace":
            away = np.abs(measured - numbers[0]) / numbers[1]
            curvature = rows.copy()
            # The quadratic that touches |r| at r and lies nowhere below it (Hunter and Lange, 2004).
            curvature[0, 0] = rows[0, 0] / np.maximum(away, KINK)
    return Density(value, np.stack(np.broadcast_arrays(*score)), rows, curvature)


def _any_nan(numbers: Numbers) -> np.ndarray:
    return np.isnan(np.stack(list(numbers))).any(axis=0)


def _stacked(rows: Rows) -> np.ndarray:
    flat = np.broadcast_arrays(*(entry for row in rows for entry in row))
    return np.stack(flat).reshape(len(rows), len(rows), *flat[0].shape)


Parts = tuple[np.ndarray, np.ndarray, list[np.ndarray], Rows]


def _normal(m: np.ndarray, y: np.ndarray, s: np.ndarray) -> Parts:
    r = (y - m) / s
    none = np.zeros_like(r)
    value = 0.5 * np.log(2 * np.pi * s * s) + 0.5 * r * r
    return (s > 0) & np.isfinite(r), value, [r / s, (1 - r * r) / s], [[s**-2.0, none], [none, 2 * s**-2.0]]


def _lognormal(m: np.ndarray, y: np.ndarray, s: np.ndarray) -> Parts:
    inside, value, (location, scale), ((first, none), (_, second)) = _normal(np.log(m), np.log(y), s)
    return inside & (m > 0) & (y > 0), value + np.log(m), [location / y, scale], [[first / y**2, none], [none, second]]


def _laplace(m: np.ndarray, y: np.ndarray, b: np.ndarray) -> Parts:
    r = (y - m) / b
    none = np.zeros_like(r)
    value = np.log(2 * b) + np.abs(r)
    return (b > 0) & np.isfinite(r), value, [np.sign(r) / b, (1 - np.abs(r)) / b], [[b**-2.0, none], [none, b**-2.0]]


def _student_t(m: np.ndarray, y: np.ndarray, s: np.ndarray, nu: np.ndarray) -> Parts:
    r = (y - m) / s
    q = r * r
    value = gammaln(nu / 2) - gammaln((nu + 1) / 2) + 0.5 * np.log(nu * np.pi) + np.log(s)
    value = value + 0.5 * (nu + 1) * np.log1p(q / nu)
    freedom = digamma(nu / 2) - digamma((nu + 1) / 2) + 1 / nu + np.log1p(q / nu) - (nu + 1) * q / (nu * (nu + q))
    score = [(nu + 1) * r / (s * (nu + q)), (1 - (nu + 1) * q / (nu + q)) / s, 0.5 * freedom]
    none = np.zeros_like(r)
    both = -2 / ((nu + 1) * (nu + 3) * s)
    third = 0.25 * (polygamma(1, nu / 2) - polygamma(1, (nu + 1) / 2)) - 0.5 * (nu + 5) / (nu * (nu + 1) * (nu + 3))
    # A difference of nearly equal numbers where nu is large: kept from losing the matrix its definiteness.
    third = np.maximum(third, 1.01 * (both * s) ** 2 * (nu + 3) / (2 * nu))
    rows = [[(nu + 1) / ((nu + 3) * s * s), none, none], [none, 2 * nu / ((nu + 3) * s * s), both], [none, both, third]]
    return (s > 0) & (nu > 0) & np.isfinite(r), value, score, rows


def _poisson(m: np.ndarray, y: np.ndarray) -> Parts:
    # A mean of 0 is sure of a count of 0.
    value = y - np.where(m > 0, m * np.log(y), 0.0) + gammaln(m + 1)
    inside = (m >= 0) & np.isfinite(y) & ((y > 0) | ((y == 0) & (m == 0)))
    y = np.maximum(y, np.finfo(float).tiny)
    return inside, value, [1 - m / y], [[1 / y]]


def _negbinomial(m: np.ndarray, y: np.ndarray, r: np.ndarray) -> Parts:
    inside = (m >= 0) & np.isfinite(y) & np.isfinite(r) & (r > 0) & ((y > 0) | ((y == 0) & (m == 0)))
    value = _count_value(m, y, r)
    y = np.maximum(y, np.finfo(float).tiny)
    none = np.zeros_like(y)
    slope = lambda count: digamma(r) - digamma(count + r) - np.log(r / (r + y)) - 1 + (count + r) / (r + y)  # noqa: E731
    # The square of the score, as the expected second derivative would cancel to nothing where r is large.
    # A mean of 0 says nothing of the size, and a search wants a curvature above 0.
    expected = np.maximum(_expected(lambda count: slope(count) ** 2, y, r), np.finfo(float).tiny)
    return inside, value, [r * (y - m) / (y * (r + y)), slope(m)], [[r / (y * (r + y)), none], [none, expected]]


def _count_value(m: np.ndarray, y: np.ndarray, r: np.ndarray) -> np.ndarray:
    value = gammaln(r) + gammaln(m + 1) - gammaln(m + r) + r * np.log1p(y / r)
    return value - np.where(m > 0, m * np.log(y / (r + y)), 0.0)


def _expected(function: Callable[[np.ndarray], np.ndarray], y: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The expectation of a function of a count of mean `y` and size `r`: the sum over its values, or, where they are
    too many, over some within twelve standard deviations, which lie close where the count is small."""
    reach = np.where(np.isfinite(y + r), 12 * np.sqrt(y + y * y / r) + 20, 1.0)
    low = np.floor(np.maximum(y - reach, 0.0))
    high = np.maximum(y + reach, low + NODES)
    power = np.where((low > 0) | (high == low + NODES), 1, 3)
    total, weight, count = np.zeros_like(y), np.zeros_like(y), low
    for k in range(1, NODES + 1):
        following = np.maximum(np.floor(low + (high - low) * (k / NODES) ** power), count)
        # The one in the middle stands for all values up to the next.
        middle = count + np.floor((following - count) / 2)
        chance = np.exp(-_count_value(middle, y, r)) * (following - count)
        total, weight = total + chance * function(middle), weight + chance
        count = following
    return total / weight


_KINDS: dict[str, Callable[..., Parts]] = {
    "normal": _normal,
    "lognormal": _lognormal,
    "laplace": _laplace,
    "student_t": _student_t,
    "poisson": _poisson,
    "negbinomial": _negbinomial,
}
COUNTS = frozenset({"poisson", "negbinomial"})
POSITIVE = frozenset({"lognormal"})


def lifted(location: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """Locations (S, n) that must not be negative: what is negative by no more than the steps' error (UNTOLD of the
    largest in its curve, `curves` (n,)) is nearly 0 instead. A population that dies out ends on both sides of 0."""
    size = np.zeros_like(location)
    with np.errstate(invalid="ignore"):
        for curve in np.unique(curves):
            own = curves == curve
            size[:, own] = np.abs(location[:, own]).max(axis=1, keepdims=True)
        return np.where((location < 0) & (location >= -UNTOLD * size), NEARLY_NOTHING * size, location)


def standardised(kind: str, measured: np.ndarray, numbers: Numbers) -> np.ndarray:
    """(y - m)/s of measurements under normal, lognormal (of the logarithms), Laplace's or Student's distribution."""
    location, scale, *_ = numbers
    with np.errstate(all="ignore"):
        if kind == "lognormal":
            return np.asarray((np.log(location) - np.log(measured)) / scale)
        return np.asarray((location - measured) / scale)


def factored(
    found: Density, slopes: np.ndarray, kept: Sequence[int], expected: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """A quadratic model of the -log density as residuals ρ (S, K) with a Jacobian B (S, K, Q): gradient 2Bᵀρ, and
    second derivative 2BᵀB, as of a sum of squares.

    `slopes` (d', S, M, Q) are the derivatives of the distribution's numbers `kept` (d' of the d; the others depend on
    nothing that is searched) by the coordinates; K = d'·M. The second derivative is that of the search, or with
    `expected` Fisher's information.
    """
    kept = list(kept)
    score = np.moveaxis(found.score[kept], 0, -1)
    second = (found.information if expected else found.curvature)[np.ix_(kept, kept)]
    second = np.moveaxis(second, (0, 1), (-2, -1))
    fine = np.isfinite(second).all(axis=(-2, -1)) & (np.linalg.det(np.where(np.isfinite(second), second, 0.0)) > 0)
    left = np.linalg.cholesky(np.where(fine[..., None, None], second, np.eye(len(kept))))
    residuals = np.linalg.solve(left, score[..., None])[..., 0]
    jacobian = np.einsum("smij,ismq->smjq", left, slopes)
    bad = ~(fine & np.isfinite(score).all(axis=-1))
    residuals[bad], jacobian[bad] = np.nan, np.nan
    count = len(residuals)
    half = np.sqrt(0.5)
    return half * residuals.reshape(count, -1), half * jacobian.reshape(count, -1, slopes.shape[-1])
