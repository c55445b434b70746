"""The parametric bootstrap: what is drawn has the distribution's moments, and the refits spread as theory says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from odec.distributions import NOISE
from odec.fit.bootstrap import DRAWN, bootstrap, simulated
from odec.fit.fitting import fit

T = np.linspace(0, 4, 30)

NUMBERS = {
    "normal": ((3.0, 0.5), stats.norm(3, 0.5)),
    "lognormal": ((3.0, 0.5), stats.lognorm(0.5, scale=3)),
    "laplace": ((3.0, 0.5), stats.laplace(3, 0.5)),
    "student_t": ((3.0, 0.5, 6.0), stats.t(6, 3, 0.5)),
    "poisson": ((3.0,), stats.poisson(3)),
    "negbinomial": ((3.0, 2.0), stats.nbinom(2, 2 / 5)),  # mean 3, size 2
}


@pytest.mark.parametrize("kind", NOISE)
def test_every_noise_is_drawn_as_its_density_says(kind: str) -> None:
    numbers, distribution = NUMBERS[kind]
    drawn = DRAWN[kind](np.random.default_rng(1), (20_000, 1), *(np.full((1, 1), x) for x in numbers))[:, 0]
    # The share below any value is right to 4 standard deviations of a share of 20,000: 0.014.
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        value = distribution.ppf(share)
        assert np.mean(drawn <= value) == pytest.approx(distribution.cdf(value), abs=0.015)


def test_refits_spread_as_the_standard_errors_say(tmp_path: Path) -> None:
    (tmp_path / "model.ode").write_text(
        "param k = 0.5\nparam x0 = 1\nstate x = x0\nx' = -k*x\nobserve y = 10*x\nobserve z = x\n"
    )
    noise = np.random.default_rng(3).normal(size=(2, T.size))
    data = {"t": T, "y": 10 * np.exp(-0.7 * T) + 0.3 * noise[0], "z": np.exp(-0.7 * T) + 0.03 * noise[1]}
    found = fit(tmp_path / "model.ode", data, output=None, weights="scale")
    drawn = bootstrap(found, 400, seed=5)
    assert (len(drawn.estimates), drawn.unfinished) == (400, 0)
    # A standard deviation of 400 draws is right to 1/√800 = 3.5 %; three of them.
    np.testing.assert_allclose(drawn.standard_errors, found.uncertainty.standard_errors, rtol=0.11)
    np.testing.assert_allclose(drawn.intervals.mean(axis=1), found.values, rtol=0.02)
    # The same seed draws the same data; the noise of a column follows its weight.
    first, again = (simulated(found.problem, found.values, found.uncertainty.variance, 50, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    away = (first - found.problem.runs.at_cells(found.values[None]).values).std(axis=0)
    expected = np.sqrt(found.uncertainty.variance) / found.problem.objective.weights  # type: ignore[attr-defined]
    assert (away / expected).mean() == pytest.approx(1, abs=0.05)  # 3,000 draws: a standard deviation to 1.3 %


def test_likelihood_is_simulated_with_its_own_noise(tmp_path: Path) -> None:
    (tmp_path / "model.ode").write_text(
        "param k = 0.5 in [0.01, 10] log\nparam s = 0.1 in [0.001, 1] log\nstate x = 50\nx' = -k*x\n"
        "observe y ~ lognormal(x, s)\nobserve c ~ poisson(x)\n"
    )
    generator = np.random.default_rng(4)
    x = 50 * np.exp(-0.7 * T)
    data = {"t": T, "y": x * np.exp(0.1 * generator.normal(size=T.size)), "c": generator.poisson(x)}
    found = fit(tmp_path / "model.ode", data, output=None)
    drawn = bootstrap(found, 200, seed=2)
    assert (len(drawn.estimates), drawn.unfinished) == (200, 0)
    # 1/√400 = 5 %; three of them. That of s by Fisher's information is short for 30 values by a few per cent.
    np.testing.assert_allclose(drawn.standard_errors, found.uncertainty.standard_errors, rtol=0.18)
