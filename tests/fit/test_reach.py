"""How far intervals reach where the noise is estimated with the parameters: closed forms of linear models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from odec.fit.bands import band_of
from odec.fit.bootstrap import bootstrap
from odec.fit.fitting import Fit, fit
from odec.fit.profiles import profiles
from odec.fit.reach import Estimated, OneNoise, Reach

T = np.linspace(0, 3, 7)
Y = 1 + 2 * T + 0.3 * np.cos(17 * T)
LINE = "param a = 0.5\nparam b = 1\nstate y = a\ny' = b\n"
NOISE = "param s = 0.1 in [1e-4, 10] log\nobserve z ~ normal(y, s)\n"


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fit, Fit]:
    """A straight line by least squares, and with its noise as a parameter: the same, said in two ways."""
    folder = tmp_path_factory.mktemp("line")
    (folder / "squares.ode").write_text(LINE)
    (folder / "noise.ode").write_text(LINE + NOISE)
    return (
        fit(folder / "squares.ode", {"t": T, "y": Y}, output=None),
        fit(folder / "noise.ode", {"t": T, "z": Y}, output=None),
    )


def test_line_with_estimated_noise_has_the_intervals_of_least_squares(lines: tuple[Fit, Fit]) -> None:
    squares, noise = lines
    assert noise.noise_degrees == {"s": pytest.approx(5)}
    assert noise.as_dict()["noise_degrees_of_freedom"] == noise.noise_degrees
    for name in ("a", "b"):
        # The standard error stays the likelihood's, which divides by n.
        ratio = noise.parameters[name].standard_error / squares.parameters[name].standard_error  # type: ignore[operator]
        assert ratio == pytest.approx(np.sqrt(5 / 7), rel=1e-5)
        assert noise.parameters[name].interval == pytest.approx(squares.parameters[name].interval, rel=1e-5)
    ends = noise.estimates["s"] * np.sqrt(7 / stats.chi2.ppf([0.975, 0.025], 5))
    assert noise.parameters["s"].interval == pytest.approx(ends, rel=1e-9)
    assert "corrected for its degrees of freedom: s 5\n" in noise.text
    assert "95 % intervals: Student's t with 5 degrees of freedom" in squares.text


def test_line_with_estimated_noise_has_the_profiles_of_least_squares(lines: tuple[Fit, Fit]) -> None:
    by_squares, by_noise = (profiles(found).by_name for found in lines)
    for name in ("a", "b"):
        # A straight line between heights 0.995 and 1.005 is off by a ten-thousandth; the linear theory is exact.
        assert by_noise[name].interval == pytest.approx(by_squares[name].interval, rel=3e-4)
        assert by_noise[name].interval == pytest.approx(lines[1].parameters[name].interval, rel=3e-4)
    assert by_noise["s"].interval == pytest.approx(lines[1].parameters["s"].interval, rel=3e-4)


def test_line_with_estimated_noise_has_the_bands_of_least_squares(lines: tuple[Fit, Fit]) -> None:
    squares, noise = (band_of(f.problem, f.values, f.uncertainty, 0, f.solution) for f in lines)
    column = lines[1].solution.names.index("z")
    np.testing.assert_allclose(noise.low[:, column], squares.low[:, 0], rtol=1e-5)
    np.testing.assert_allclose(noise.measured["z"].high, squares.measured["y"].high, rtol=1e-5)


def test_bootstrap_draws_the_noise_of_least_squares(lines: tuple[Fit, Fit]) -> None:
    drawn = bootstrap(lines[1], 400, seed=1)
    errors = [parameter.standard_error for parameter in lines[0].parameters.values()]
    # A standard deviation of 400 draws is right to 1/√800 = 3.5 %; three of them. That of the likelihood is 15 % less.
    np.testing.assert_allclose(drawn.standard_errors[:2], errors, rtol=0.11)
    # The quantiles of 400 draws of χ with five degrees of freedom are right to 3 % and 7 %; three of them.
    ends = lines[1].parameters["s"].interval
    assert ends is not None
    assert drawn.intervals[2, 0] == pytest.approx(ends[0], rel=0.09)
    assert drawn.intervals[2, 1] == pytest.approx(ends[1], rel=0.21)


def test_each_of_several_noises_has_its_own_data(tmp_path: Path) -> None:
    """A line with normal noise, a decay whose logarithm is a line, counts, missing cells and a prior, in one model."""
    text = (
        LINE
        + NOISE
        + (
            "param k = 0.5 in [0.01, 10] log\nparam x0 = 3 in [0.1, 100] log\nparam r = 0.1 in [1e-4, 10] log\n"
            "param m = 4 in [0.1, 100] log ~ lognormal(5, 1)\nstate x = x0\nx' = -k*x\nobserve w ~ lognormal(x, r)\n"
            "state n = m\nn' = 0\nobserve c ~ poisson(n)\n"
        )
    )
    (tmp_path / "model.ode").write_text(text)
    t = np.linspace(0, 3, 9)
    z, w = 1 + 2 * t + 0.3 * np.cos(17 * t), 4 * np.exp(-0.6 * t + 0.2 * np.cos(23 * t))
    z[[1, 4]], w[[0, 4, 6]] = np.nan, np.nan
    found = fit(tmp_path / "model.ode", {"t": t, "z": z, "w": w, "c": np.arange(9.0)}, output=None)
    assert found.noise_degrees == {"s": pytest.approx(5), "r": pytest.approx(4)}
    known = np.isfinite(w)
    line = stats.linregress(t[known], np.log(w[known]))
    reach = stats.t.ppf(0.975, 4) * line.stderr
    # On a log scale the interval is symmetric in ln k.
    k = found.estimates["k"]
    assert k == pytest.approx(-line.slope, rel=1e-6)
    ends = k * np.exp(-reach / k), k * np.exp(reach / k)
    assert found.parameters["k"].interval == pytest.approx(ends, rel=1e-5)
    # Counts have no noise that is estimated: 1.96.
    m = found.parameters["m"]
    assert m.interval is not None and m.standard_error is not None
    assert np.log(m.interval[1] / m.estimate) == pytest.approx(1.959964 * m.standard_error / m.estimate, rel=1e-6)


def groups(sizes: tuple[int, int], first: int) -> list[OneNoise]:
    """Two groups of data, whose sds are the coordinates from `first` on; the likelihood has two rows for each datum."""
    group = np.repeat([0, 1], sizes)
    return [OneNoise(np.flatnonzero(group == i), np.tile(group == i, 2), first + i) for i in (0, 1)]


def information(locations: np.ndarray, sizes: tuple[int, int], sds: tuple[float, float]) -> np.ndarray:
    """The Jacobian of the likelihood of two groups of data, by what moves their `locations` (n, P) and by their sds."""
    sd, own = np.repeat(sds, sizes), np.repeat(np.eye(2), sizes, axis=0)
    both = np.zeros((2 * len(sd), locations.shape[1] + 2))
    both[: len(sd), :-2] = locations / sd[:, None]
    both[len(sd) :, -2:] = np.sqrt(2) * own / sd[:, None]
    return both / np.sqrt(2)


def test_difference_of_two_means_is_welchs() -> None:
    sizes, sds = (5, 9), (1.3, 0.4)  # by maximum likelihood: divided by n
    jacobian = information(np.repeat(np.eye(2), sizes, axis=0), sizes, sds)
    reach = Reach.of(jacobian, np.ones(4), 4, 0.5, groups(sizes, 2))
    parts = [sd**2 / (n - 1) for n, sd in zip(sizes, sds, strict=True)]
    welch = sum(parts) ** 2 / sum(part**2 / (n - 1) for n, part in zip(sizes, parts, strict=True))
    expected = stats.t.ppf(0.975, welch) * np.sqrt(sum(parts))
    assert reach.half_widths(np.array([1.0, -1, 0, 0])) == pytest.approx(expected, rel=1e-12)


def test_common_mean_of_two_groups_is_meiers() -> None:
    """P. Meier, Biometrics 9 (1953) 59: the variance of a mean with estimated weights."""
    sizes, sds = (5, 9), (1.3, 0.4)
    reach = Reach.of(information(np.ones((14, 1)), sizes, sds), np.ones(3), 3, 0.5, groups(sizes, 1))
    n, s2 = np.array(sizes), np.array(sds) ** 2
    degrees = n - n / s2 / np.sum(n / s2)
    assert [noise.degrees for noise in reach.noises] == pytest.approx(degrees, rel=1e-12)
    w = degrees / s2
    share = w / w.sum()
    variance = (1 + 4 * np.sum(share * (1 - share) / degrees)) / w.sum()
    t = stats.t.ppf(0.975, 1 / np.sum(share**2 / degrees))
    assert reach.half_widths(np.array([1.0, 0, 0])) == pytest.approx(t * np.sqrt(variance), rel=1e-12)
    # Its profile: each group's sum of squares rises by its share.
    rise = 0.5 * np.sum(n * np.log1p(share * t**2 / degrees))
    np.testing.assert_allclose(reach.rises()[0], [rise, rise], rtol=1e-12)


def test_known_noise_beside_an_estimated_one_has_no_degrees_to_lose() -> None:
    sizes, sds = (5, 9), (1.3, 0.4)
    jacobian = information(np.repeat(np.eye(2), sizes, axis=0), sizes, sds)[:, :3]
    reach = Reach.of(jacobian, np.ones(3), 3, 0.5, groups(sizes, 2)[:1])
    widths = reach.half_widths(np.eye(3))
    assert widths[0] == pytest.approx(stats.t.ppf(0.975, 4) * 1.3 / 2, rel=1e-12)
    assert widths[1] == pytest.approx(stats.norm.ppf(0.975) * 0.4 / 3, rel=1e-12)
    np.testing.assert_allclose(
        reach.rises()[:2, 0], [2.5 * np.log1p(stats.t.ppf(0.975, 4) ** 2 / 4), 1.9207294], rtol=1e-7
    )


def test_interval_of_a_noise_holds_its_estimate() -> None:
    """Of eight data with six parameters even the largest noise that is likely lies above the estimate."""
    noise = Estimated(OneNoise(np.arange(8), np.ones(16, dtype=bool), 0), 2.0, np.zeros((1, 1)))
    assert 8 / stats.chi2.ppf(0.975, 2) > 1
    np.testing.assert_allclose(noise.ratios, [1.0, np.sqrt(8 / stats.chi2.ppf(0.025, 2))])


def test_profile_of_such_a_noise_begins_at_its_estimate(tmp_path: Path) -> None:
    terms = " + ".join(f"c{i}*(t - 1)^{i}" for i in range(5))
    text = "".join(f"param c{i} = 1\n" for i in range(5)) + f"param a = 1\nstate y = a\ny' = {terms}\n{NOISE}"
    (tmp_path / "model.ode").write_text(text)
    t = np.linspace(0, 2, 8)
    found = fit(tmp_path / "model.ode", {"t": t, "z": t + 0.3 * np.cos(17 * t)}, output=None)
    profile, estimate = profiles(found).by_name["s"], found.estimates["s"]
    ends = estimate, estimate * np.sqrt(8 / stats.chi2.ppf(0.025, 2))
    assert found.parameters["s"].interval == pytest.approx(ends, rel=1e-6)
    assert profile.interval == pytest.approx(ends, rel=1e-3)
    assert profile.open == ("", "")
