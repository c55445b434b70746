"""Each distribution against SciPy's density, its score against differences, its information against quadrature."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import polygamma

from odec.fit.fitting import fit
from odec.fit.likelihoods import density, factored, lifted

# kind → (numbers, SciPy's distribution of them)
CASES: dict[str, tuple[tuple[float, ...], Callable[..., Any]]] = {
    "normal": ((1.5, 0.4), lambda y, s: stats.norm(y, s)),
    "lognormal": ((1.5, 0.4), lambda y, s: stats.lognorm(s, scale=y)),
    "laplace": ((1.5, 0.4), lambda y, b: stats.laplace(y, b)),
    "student_t": ((1.5, 0.4, 3.5), lambda y, s, nu: stats.t(nu, y, s)),
    "poisson": ((4.2,), lambda y: stats.poisson(y)),
    "negbinomial": ((4.2, 2.3), lambda y, r: stats.nbinom(r, r / (r + y))),
}
COUNTS = ("poisson", "negbinomial")
MEASURED = {kind: np.array([0.0, 1, 4, 11]) if kind in COUNTS else np.array([0.3, 1.4, 1.6, 4.0]) for kind in CASES}


def numbers(kind: str, count: int, changed: int = -1, by: float = 0.0) -> list[np.ndarray]:
    return [np.full(count, x + (by if i == changed else 0.0)) for i, x in enumerate(CASES[kind][0])]


@pytest.mark.parametrize("kind", CASES)
def test_value_is_scipys(kind: str) -> None:
    values, distribution = CASES[kind]
    m = MEASURED[kind]
    known = distribution(*values)
    expected = -(known.logpmf(m) if kind in COUNTS else known.logpdf(m))
    np.testing.assert_allclose(density(kind, m, numbers(kind, len(m))).value, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", CASES)
def test_score_is_the_slope_of_the_value(kind: str) -> None:
    m, h = MEASURED[kind], 1e-5
    found = density(kind, m, numbers(kind, len(m))).score
    for place in range(len(found)):
        up, down = (density(kind, m, numbers(kind, len(m), place, sign * h)).value for sign in (1, -1))
        # Central differences of step 1e-5: an error of 1e-10 and rounding of 1e-16/1e-5.
        np.testing.assert_allclose(found[place], (up - down) / (2 * h), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("kind", CASES)
def test_information_is_the_expected_square_of_the_score(kind: str) -> None:
    values, distribution = CASES[kind]
    known = distribution(*values)

    def score(m: Any) -> np.ndarray:
        m = np.atleast_1d(np.asarray(m, dtype=float))
        return density(kind, m, numbers(kind, len(m))).score

    found = density(kind, np.ones(1), numbers(kind, 1)).information[..., 0]
    for i in range(len(values)):
        for j in range(len(values)):
            if kind in COUNTS:
                m = np.arange(400.0)
                expected = float(np.sum(score(m)[i] * score(m)[j] * known.pmf(m)))
            else:
                low = 0.0 if kind == "lognormal" else -np.inf
                pieces = [(low, values[0]), (values[0], np.inf)]
                integrand = lambda m, i=i, j=j: float((score(m)[i] * score(m)[j])[0] * known.pdf(m))  # noqa: E731
                expected = sum(integrate.quad(integrand, *piece)[0] for piece in pieces)
            assert found[i, j] == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(("y", "r"), [(50_000.0, 3.0), (3_000.0, 0.2), (500.0, 1e4)])
def test_information_of_a_large_count_sums_over_some_of_its_values(y: float, r: float) -> None:
    found = density("negbinomial", np.ones(1), [np.full(1, y), np.full(1, r)]).information[1, 1, 0]
    m = np.arange(1_000_000.0)
    chance = stats.nbinom(r, r / (r + y)).pmf(m)
    expected = np.sum(chance * (polygamma(1, r) - polygamma(1, m + r))) - y / (r * (r + y))
    # Where r is large the expected second derivative has lost some digits here too.
    assert found == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("kind", "measured", "given"),
    [
        ("normal", 1.0, (1.0, 0.0)),
        ("normal", 1.0, (1.0, -1.0)),
        ("lognormal", 1.0, (-1.0, 1.0)),
        ("lognormal", 1.0, (0.0, 1.0)),
        ("poisson", 3.0, (0.0,)),
        ("poisson", 3.0, (-1.0,)),
        ("negbinomial", 3.0, (1.0, 0.0)),
        ("student_t", 1.0, (1.0, 1.0, -2.0)),
        ("laplace", 1.0, (1.0, 0.0)),
    ],
)
def test_outside_its_domain_a_density_is_infinitely_bad_and_no_nan(
    kind: str, measured: float, given: tuple[float, ...]
) -> None:
    found = density(kind, np.array([measured]), [np.array([x]) for x in given])
    assert found.value[0] == np.inf


def test_a_value_that_is_no_number_stays_none() -> None:
    assert np.isnan(density("normal", np.ones(1), [np.full(1, np.nan), np.ones(1)]).value[0])


def test_a_mean_of_zero_is_sure_of_no_count() -> None:
    assert density("poisson", np.zeros(1), [np.zeros(1)]).value[0] == 0.0


@pytest.mark.parametrize("kind", CASES)
def test_factors_give_gradient_and_information(kind: str) -> None:
    m = MEASURED[kind][None]
    given = [number[None] for number in numbers(kind, m.shape[1])]
    found = density(kind, m, given)
    d = len(given)
    slopes = np.random.default_rng(0).normal(size=(d, 1, m.shape[1], 3))
    residuals, jacobian = factored(found, slopes, range(d), expected=True)
    gradient = np.einsum("dsm,dsmq->q", found.score, slopes)
    hessian = np.einsum("dsmp,desm,esmq->pq", slopes, found.information, slopes)
    np.testing.assert_allclose(2 * jacobian[0].T @ residuals[0], gradient, rtol=1e-10)
    np.testing.assert_allclose(2 * jacobian[0].T @ jacobian[0], hessian, rtol=1e-10)


def test_what_the_steps_cannot_tell_from_0_is_above_0() -> None:
    curves = np.array([0, 0, 0, 1, 1])
    values = np.array([[100.0, -0.05, 0.0, 1e-3, -1e-2], [100.0, -0.2, -1e-9, np.nan, 1.0]])
    found = lifted(values, curves)
    np.testing.assert_array_equal(found[0], [100.0, 1e-10, 0.0, 1e-3, -1e-2])
    np.testing.assert_array_equal(found[1], [100.0, -0.2, 1e-10, np.nan, 1.0])


def test_starts_whose_epidemic_ends_below_0_do_not_fail(tmp_path: Path) -> None:
    # A recovery of 50 a day: the infected end at 0 within the steps' error, on either side of it.
    path = tmp_path / "sir.ode"
    path.write_text(
        "param b = 2 in [1, 4] log\nparam g = 0.5 in [0.1, 50] log\nstate S = 990\nstate I = 10\n"
        "dS = -b*S*I/1000\ndI = b*S*I/1000 - g*I\nobserve cases ~ poisson(I)\n"
    )
    data = {"t": np.arange(0, 41, 4.0), "cases": [10, 405, 104, 17, 3, 0, 0, 0, 0, 0, 0]}
    found = fit(path, data, starts=20, output=None)
    assert found.failed == {} and found.estimates["g"] == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("size", [1e-3, 1.0, 20.0, 1e5])
def test_counts_of_0_where_the_mean_is_0_leave_a_search_alone(size: float) -> None:
    found = density("negbinomial", np.zeros((1, 1)), [np.zeros((1, 1)), np.full((1, 1), size)])
    assert found.value[0, 0] == 0
    residuals, jacobian = factored(found, np.array([[[[1.0]]], [[[0.0]]]]), [0, 1])
    # The gradient 2Bᵀρ by the mean is 1, as Poisson's.
    np.testing.assert_allclose(2 * np.einsum("skq,sk->sq", jacobian, residuals), 1.0, rtol=1e-6)
