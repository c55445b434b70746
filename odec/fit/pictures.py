"""The pictures of a fit's report, each with what it shows in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import ndtri

from odec.fit.profiles import Profile
from odec.fit.spread import standardised

if TYPE_CHECKING:
    from odec.fit.result import Fit

# So many curves are shown; the table `trajectory.csv` has all.
MOST_CURVES = 60
SMOOTH = 200


@dataclass(frozen=True)
class Picture:
    """An SVG, and what it shows for those who cannot see it."""

    svg: str
    said: str


def pictures_of(fit: Fit, time_label: str) -> dict[str, list[Picture]]:
    """The pictures by part of the report: `curves`, `profiles`, `checks`."""
    away = standardised(fit.problem, fit.values, fit.uncertainty.variance)
    return {
        "curves": _curves(fit, away, time_label),
        "profiles": [_profile(fit, profile) for profile in fit.profiles.values()],
        "checks": _checks(fit, away),
    }


def _curves(fit: Fit, away: np.ndarray, time_label: str) -> list[Picture]:
    """A picture for each measured column of each experiment."""
    from odec.plot.panels import curve_panel, drawn

    cells, data = fit.problem.runs.cells, fit.problem.data
    found: list[Picture] = []
    for e, experiment in enumerate(fit.experiments):
        for place, name in enumerate(data.names):
            own = np.flatnonzero((cells.experiments == e) & (cells.columns == place))
            if not len(own) or len(found) >= MOST_CURVES:
                continue
            solution, band = fit.solutions[experiment], fit.bands[experiment]
            column = solution.names.index(name)
            new = band.measured[name]
            title = f"{name} · {experiment}" if experiment else name
            svg = drawn(
                curve_panel,
                solution.times,
                solution.values[:, column],
                (data.times[cells.rows[own]], cells.measured[own]),
                away[own],
                band=(band.low[:, column], band.high[:, column]),
                drawn=None if band.drawn is None else (band.drawn[0, :, column], band.drawn[1, :, column]),
                measured=(new.times, new.low, new.high),
                title=title,
                time_label=time_label,
            )
            found.append(Picture(svg, f"{title}: data, fitted curve with 95 % bands, and residuals"))
    return found


def _profile(fit: Fit, profile: Profile) -> Picture:
    from odec.plot.panels import drawn, profile_panel

    parameter = fit.parameters[profile.name]
    svg = drawn(
        profile_panel,
        profile.values,
        profile.rises,
        _smooth(profile, parameter.estimate, parameter.log),
        thresholds=profile.thresholds,
        interval=profile.interval,
        ended=(not profile.open[0], not profile.open[1]),
        parabola=_parabola(fit, profile),
        log=parameter.log,
        title=profile.name,
    )
    return Picture(svg, f"Profile of {profile.name}: how the loss rises as it moves away from its estimate")


def _smooth(profile: Profile, estimate: float, log: bool) -> tuple[np.ndarray, np.ndarray]:
    """A curve through the points: their signed roots lie nearly on a line."""
    if len(profile.values) < 2:
        return profile.values, profile.rises
    x = np.log(profile.values) if log else profile.values
    center = np.log(estimate) if log else estimate
    roots = np.sign(x - center) * np.sqrt(np.maximum(profile.rises, 0.0))
    fine = np.linspace(x[0], x[-1], SMOOTH)
    return np.exp(fine) if log else fine, PchipInterpolator(x, roots)(fine) ** 2


def _parabola(fit: Fit, profile: Profile) -> tuple[np.ndarray, np.ndarray] | None:
    """The rise that the standard error stands for, in the scale of the search."""
    parameter = fit.parameters[profile.name]
    if parameter.standard_error is None or parameter.standard_error == 0 or len(profile.values) < 2:
        return None
    values = profile.values
    if parameter.log:
        x = np.geomspace(values[0], values[-1], SMOOTH)
        away = np.log(x / parameter.estimate) * parameter.estimate
    else:
        x = np.linspace(values[0], values[-1], SMOOTH)
        away = x - parameter.estimate
    return x, fit.uncertainty.variance * (away / parameter.standard_error) ** 2


def _checks(fit: Fit, away: np.ndarray) -> list[Picture]:
    from odec.plot.panels import correlation_panel, drawn, quantile_panel, waterfall_panel

    found = []
    losses = np.array(fit.start_losses)
    if np.isfinite(losses).sum() > 1:
        said: dict[str, Any] = {"log": not fit.problem.is_likelihood, "label": fit.loss_name}
        svg = drawn(waterfall_panel, losses, fit.problem.same(fit.loss), **said)
        found.append(Picture(svg, "The losses of all starts, ascending"))
    known = np.sort(away[np.isfinite(away)])
    if len(known) > 1:
        shares = (np.arange(len(known)) + 0.5) / len(known)
        said_quantiles = "All residuals in standard deviations, sorted, against those of normal noise"
        found.append(Picture(drawn(quantile_panel, known, ndtri(shares)), said_quantiles))
    if len(fit.parameters) > 1 and np.isfinite(fit.uncertainty.correlations).any():
        svg = drawn(correlation_panel, tuple(fit.parameters), fit.uncertainty.correlations)
        found.append(Picture(svg, "Correlations of the estimates"))
    return found
