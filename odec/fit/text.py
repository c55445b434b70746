"""The report of a fit for a reader, as plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from odec.fit.profiles import NO_NOISE

if TYPE_CHECKING:
    from odec.fit.profiles import Profile
    from odec.fit.result import Fit


def report_text(fit: Fit) -> str:
    """The report for a reader: loss, estimates with standard errors, what hit a bound, what the data do not say."""
    data = fit.problem.data
    end = "converged" if fit.converged else "did not converge"
    lines = [
        f"{fit.problem.model.description.name} fitted to {data.name}" + (" (INTERRUPTED)" if fit.interrupted else ""),
        "",
        f"{fit.loss_name:<22} {fit.loss:.6g} over {fit.observations} values",
        *_likelihood(fit),
        f"search                 {METHOD_NAMES[fit.method]}, {fit.iterations} iterations, {end}: {fit.reason}",
        *([f"{'':<22} {fit.approach}"] if fit.approach else []),
        *_steps(fit),
        f"starts                 {fit.starts}, failed {sum(fit.failed.values())}, seed {fit.seed}",
        "",
        *_table(fit),
        f"95 % intervals: {fit.intervals_said}",
        "",
        *_columns(fit),
    ]
    lines += _intervals(fit)
    lines += _section(
        "at a bound",
        [f"{p.name} = {p.estimate:g} (its {p.bound} bound)" for p in fit.parameters.values() if p.at_bound],
    )
    lines += _section("not identifiable", list(fit.uncertainty.undetermined))
    lines += _section("failed starts", [f"{count}: {reason}" for reason, count in fit.failed.items()])
    for warning in fit.warnings:
        if warning.code != "W0603":
            lines += ["", *str(warning).splitlines()]
    lines += ["", f"odec {fit.version}, {fit.seconds:.2f} s"]
    return "\n".join(lines)


METHOD_NAMES = {"lm": "Levenberg-Marquardt", "adam": "Adam", "scipy": "SciPy", "lbfgs": "L-BFGS-B"}


def _steps(fit: Fit) -> list[str]:
    """How the equations were solved, and what finer steps do; a map has neither."""
    timing = fit.problem.timing
    if timing.counted:
        return []
    chosen = " (chosen so that it does not matter)" if fit.accurate else ""
    finer = "half the step" if fit.step is not None else "a finer rtol"
    return [
        f"solver                 {fit.solver}, {timing.said(fit.problem.data.distinct_times)}{chosen}",
        f"{finer:<22} loss {fit.step_check.finer_loss:.6g}",
    ]


def _likelihood(fit: Fit) -> list[str]:
    """The parts of the loss, and what compares models."""
    aic, aicc, bic = fit.criteria.aic, fit.criteria.aicc, fit.criteria.bic
    lines = [f"AIC, AICc, BIC         {aic:.6g}, {aicc:.6g}, {bic:.6g}"]
    if fit.nll is not None and fit.nll != fit.loss:
        lines.insert(0, f"of it likelihood       {fit.nll:.6g}, priors {fit.prior:.6g}")
    if fit.experiments != ("",):
        lines.append(f"experiments            {', '.join(fit.experiments)}")
    if fit.fixed:
        lines.append("fixed                  " + ", ".join(f"{name} = {value:g}" for name, value in fit.fixed.items()))
    return lines


def _table(fit: Fit) -> list[str]:
    rows = [("parameter", "estimate", "std. error", "95 % interval", "start", "bounds", "")]
    for p in fit.parameters.values():
        error = "-" if p.standard_error is None else f"{p.standard_error:.3g}"
        within = "-" if p.interval is None else interval_said(p.interval)
        bounds = bounds_said(p.lower, p.upper, p.log)
        rows.append((p.name, f"{p.estimate:.6g}", error, within, f"{p.start:g}", bounds, p.description))
    return aligned(rows)


def bounds_said(lower: float, upper: float, log: bool) -> str:
    """Bounds as a model has them."""
    said = f"[{lower:g}, {upper:g}]" if math.isfinite(lower) or math.isfinite(upper) else "-"
    return f"{said} log" if log else said


def interval_said(interval: tuple[float, float]) -> str:
    """An interval in digits that a reader can use."""
    return f"{interval[0]:.4g} … {interval[1]:.4g}"


def profile_said(profile: Profile) -> str:
    """The interval of a profile, with what its open ends are."""
    if profile.open == (NO_NOISE, NO_NOISE):
        return f"none: {NO_NOISE}"
    ends = [
        f"{sign} {end:.4g} ({why})" if why else f"{end:.4g}"
        for sign, end, why in zip("<>", profile.interval, profile.open, strict=True)
    ]
    return " … ".join(ends)


def _intervals(fit: Fit) -> list[str]:
    """The intervals that were asked for beside those from standard errors."""
    lines = []
    if fit.profiles:
        rows = [(f"  {name}", profile_said(profile)) for name, profile in fit.profiles.items()]
        lines += ["", "95 % intervals by profile:", *aligned(rows)]
    if fit.bootstrap is not None:
        drawn = fit.bootstrap
        said = f"95 % intervals by bootstrap ({len(drawn.estimates)} of {drawn.asked} simulated data sets"
        said += f", seed {drawn.seed}"
        said += f", {drawn.unfinished} not at an optimum):" if drawn.unfinished else "):"
        rows = [(f"  {name}", interval_said(ends)) for name, ends in zip(fit.parameters, drawn.intervals, strict=True)]
        lines += ["", said, *aligned(rows)]
    return lines


def _columns(fit: Fit) -> list[str]:
    rows = [("column", "values", "loss")]
    rows += [(name, str(fit.counts[name]), f"{fit.losses[name]:.6g}") for name in fit.counts]
    return aligned(rows)


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The lines of a table whose columns stand below one another."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _section(title: str, sentences: list[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {sentence}" for sentence in sentences)] if sentences else []
