"""What must be said about a fit: what was assumed, what did not end well, what the data leave open."""

from __future__ import annotations

import numpy as np

from odec.diagnostics import Diagnostic
from odec.fit.least_squares import CONVERGED, STEP, UNFINISHED, Search, steepest
from odec.fit.problem import Problem
from odec.fit.setup import unequal_columns
from odec.fit.steps import StepCheck
from odec.fit.uncertainty import Uncertainty
from odec.inputs import outside
from odec.runtime.stops import jump_moments

# Two starts that end as low, but this far apart in values, are two answers.
OTHER_VALUES = 1e-2


def cautions(problem: Problem, search: Search, doubt: Uncertainty, check: StepCheck, reason: str) -> list[Diagnostic]:
    """All warnings of a fit that ended for this reason."""
    found = [*problem.data.notes, *before_search(problem)]
    if reason not in CONVERGED:
        found.append(
            _warning(
                "W0602",
                f"the search did not converge: {reason}",
                "run more with `--epochs`, or fit with the method lm"
                if reason == UNFINISHED
                else "start elsewhere, or try several starts: `--starts 20`",
            )
        )
    if reason == STEP and _still_slopes(problem, search):
        message = "the search came to a stop where the loss still slopes: it has a cliff there, or is rough"
        found.append(_warning("W0602", message, "go on by moving the estimates by chance: `--kicks 10`"))
    if check.too_large:
        found.append(check.warning())
    found += [_warning("W0603", f"not identifiable: {sentence}", "") for sentence in doubt.undetermined]
    found += _other_answers(problem, search)
    return found


def before_search(problem: Problem) -> list[Diagnostic]:
    """The warnings that need no search: of scales, columns, times and inputs."""
    found = [*problem.scale.hints(), *unequal_columns(problem), *_far_start(problem), *_data_at_jumps(problem)]
    times = problem.data.distinct_times
    return [*found, *outside(problem.model.description, problem.runs.inputs, problem.timing.start, times[-1])]


def _still_slopes(problem: Problem, search: Search) -> bool:
    """Whether a step along one coordinate alone should lower the best loss by what matters."""
    best = [search.best]
    residuals = search.residuals[best]
    cosine = steepest(search.z[best], residuals, search.jacobian[best], problem.scale.box)
    fall = float(cosine[0] ** 2 * np.sum(residuals**2))
    return fall > problem.noticeable(float(search.loss[best[0]]))


def _far_start(problem: Problem) -> list[Diagnostic]:
    """W0505: the data begin long after the integration does (years, mostly)."""
    times, start = problem.data.distinct_times, problem.timing.start
    if abs(times[0] - start) <= 10 * (times[-1] - times[0]) or len(times) < 2:
        return []
    message = f"the data begin at t = {times[0]:g}, but the model starts at t = {start:g}"
    return [
        _warning("W0505", message, f"write `solve from {times[0]:g}` if the initial values belong to the first datum")
    ]


def _data_at_jumps(problem: Problem) -> list[Diagnostic]:
    """W0502: a datum at the very time of a jump is compared with the value behind it."""
    all_times = problem.data.distinct_times
    moments = jump_moments(problem.model, problem.timing.fixed(all_times))
    times = [t for t in all_times if t in moments]
    if not times:
        return []
    message = f"a datum at t = {times[0]:g} stands at the time of a jump: it is compared with the value behind it"
    return [_warning("W0502", message, "was it taken before? Then give it a time a little earlier")]


def _other_answers(problem: Problem, search: Search) -> list[Diagnostic]:
    """W0604: another start reached the same loss with other values."""
    best = search.best
    loss, values = search.loss[best], problem.scale.to_values(search.z[best])
    found = problem.scale.to_values(search.z)
    with np.errstate(invalid="ignore"):
        apart = (np.abs(found - values) > OTHER_VALUES * problem.scale.units(values)).any(axis=1)
    others = np.flatnonzero((search.loss <= problem.same(float(loss))) & apart)
    if not len(others):
        return []
    one = found[others[0]]
    listed = ", ".join(f"{name} = {value:.4g}" for name, value in zip(problem.scale.names, one, strict=True))
    message = f"{len(others)} of {len(search.loss)} starts reached the same loss with other values, such as {listed}"
    return [
        _warning("W0604", message, "the data do not choose between them; narrow the bounds if you know which is meant")
    ]


def _warning(code: str, message: str, help: str) -> Diagnostic:
    return Diagnostic(code, message, help=help, severity="warning")
