"""`fit`: from a model and a table of data to estimates, and to what must be said about them."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

import odec
from odec.arithmetic import arithmetic_said
from odec.diagnostics import Diagnostic, OdecError, nearest
from odec.files import kept_if_filled, ready_folder
from odec.fit.data import read_data
from odec.fit.least_squares import CONVERGED, NOT_FINITE, UNFINISHED, UNFINISHED_WITH_RESULT, Search, Settings, minimise
from odec.fit.problem import Problem, check_supported, data_times
from odec.fit.scale import Scale
from odec.fit.steps import StepCheck, checked_step, found_step, not_finite
from odec.fit.uncertainty import Uncertainty, uncertainty
from odec.inputs import inputs_beside, outside, read_inputs
from odec.runtime.description import element_names
from odec.runtime.methods import DEFAULT_METHOD, tableau
from odec.runtime.schedule import Schedule
from odec.runtime.stops import jump_moments

if TYPE_CHECKING:
    from odec.solution import Solution

METHODS = ("lm", "adam")
# Two starts that end this close in loss, but apart in values, are two answers.
SAME_LOSS = 1e-4
OTHER_VALUES = 1e-2
MOST_REFITS = 4


class Progress(Protocol):
    """Called during a search: `done` of `total` (starts, iterations or epochs) and the least loss so far."""

    def __call__(self, done: int, total: int, best_loss: float) -> None:
        """Shows how far the search is."""


@dataclass(frozen=True)
class Estimate:
    """One parameter, all of it on the linear scale. `standard_error` is None where there is none to give."""

    name: str
    start: float
    estimate: float
    standard_error: float | None
    bound: str
    lower: float
    upper: float
    log: bool
    gradient: float
    description: str = ""

    @property
    def at_bound(self) -> bool:
        """Whether the estimate lies on one of its bounds (`bound` is then "lower" or "upper", else "")."""
        return bool(self.bound)


@dataclass(frozen=True)
class Fit:
    """What a fit found. `loss` is the sum of squares over the `observations` measured cells.

    `counts` and `losses` are those of each column; `seconds` is the whole fit, compilation included. `starts` were
    tried, `failed` says how many ended without a result and why. `problem` is what was solved, for more questions.
    """

    loss: float
    observations: int
    parameters: Mapping[str, Estimate]
    counts: Mapping[str, int]
    losses: Mapping[str, float]
    method: str
    reason: str
    converged: bool
    iterations: int
    evaluations: int
    solver: str
    step: float
    step_check: StepCheck
    starts: int
    failed: Mapping[str, int]
    start_losses: tuple[float, ...]
    seed: int
    uncertainty: Uncertainty
    warnings: tuple[Diagnostic, ...]
    version: str
    seconds: float
    problem: Problem
    accurate: bool
    output: Path | None = None

    @property
    def values(self) -> np.ndarray:
        """The estimates (P,) in the model's order."""
        return np.array([parameter.estimate for parameter in self.parameters.values()])

    @property
    def estimates(self) -> dict[str, float]:
        """Parameter name → estimate."""
        return {name: parameter.estimate for name, parameter in self.parameters.items()}

    @cached_property
    def solution(self) -> Solution:
        """All states and outputs at the estimates, from the start of the run to the last datum."""
        from odec.fit.curve import curve

        return curve(self.problem, self.values, self.accurate)

    @property
    def text(self) -> str:
        """The report for a reader."""
        from odec.fit.report import report_text

        return report_text(self)

    def as_dict(self) -> dict[str, Any]:
        """The report for a program: what `fit.json` holds."""
        from odec.fit.report import report_dict

        return report_dict(self)

    def __str__(self) -> str:
        return self.text


@arithmetic_said
def fit(
    model: Any,
    data: Any,
    *,
    time: str = "t",
    method: str = "lm",
    solver: str | None = None,
    step: float | None = None,
    start: Mapping[str, float] | None = None,
    starts: int = 1,
    seed: int = 0,
    epochs: int = 10_000,
    learning_rate: float | None = None,
    consts: Mapping[str, float] | None = None,
    initial: Mapping[str, float] | None = None,
    inputs: Mapping[str, Any] | None = None,
    output: str | Path | None = "fit",
    progress: Progress | None = None,
) -> Fit:
    """Fits the parameters of `model` (a path or a layer class) to `data` (a path, a DataFrame or a dict of columns).

    `solver` and `step` are those of the model's `solve` statement where not given; without any step the step is chosen
    so that it does not matter. `start` replaces first guesses; with several `starts` the others are drawn from `seed`.
    `inputs` are the tables of the model's inputs, as in `odec.solve`; an input may also be a column of the data.
    `epochs` and `learning_rate` (in the parameters' own values; by default 0.02 in the search's units) belong to
    `method="adam"`. The report is written to the folder `output` (None: nowhere).
    Raises OdecError for a wrong model, data, start or folder, before any search.
    """
    began = clock.perf_counter()
    if method not in METHODS:
        known = " or ".join(f"`{name}`" for name in METHODS)
        raise OdecError.of(
            "E0606", f"there is no fit method `{method}`", help=nearest(method, METHODS) or f"choose {known}"
        )
    if starts < 1:
        raise OdecError.of("E0606", f"{starts} starts were asked for", help="at least one start is needed")
    layer, text = _loaded(model)
    problem, accurate = _problem(layer, data, time, solver, step, start, consts, initial, inputs)
    made = output is not None and not Path(output).exists()
    folder = _folder(output)
    with kept_if_filled(folder, made):
        z = problem.scale.draw(starts, seed)
        if method == "lm":
            search = minimise(
                problem.batched(starts), z, problem.scale.box, Settings(floor=problem.floor), _watch(progress, starts)
            )
        else:
            from odec.fit.adam import adam

            search = adam(problem, z, epochs=epochs, learning_rate=learning_rate, progress=progress)
        if search.reason[search.best] == NOT_FINITE:
            message = not_finite(problem, problem.scale.to_values(z[0]))
            raise OdecError.of("E0605", message, help="start from other values, or narrow the bounds")
        if accurate and method == "lm":
            problem, search = _with_enough_steps(problem, search)
        found = _fit(problem, search, method, accurate, starts, seed, clock.perf_counter() - began)
        if folder is None:
            return found
        from odec.fit.report import write_report

        found = replace(found, output=folder)
        write_report(found, folder, layer, text, time)
        return found


def _loaded(model: Any) -> tuple[Any, str | None]:
    """The layer class, and the model file's text where there is one."""
    if isinstance(model, type):
        return model, None
    from odec.loading import load_model
    from odec.source import Source

    layer = load_model(model)
    return layer, Source.from_file(model).text if Path(model).suffix != ".py" else None


def _folder(output: str | Path | None) -> Path | None:
    return None if output is None else ready_folder(output)


def _problem(
    layer: Any,
    data: Any,
    time: str,
    solver: str | None,
    step: float | None,
    start: Mapping[str, float] | None,
    consts: Mapping[str, float] | None,
    initial: Mapping[str, float] | None,
    inputs: Mapping[str, Any] | None,
) -> tuple[Problem, bool]:
    """The problem, and whether its step was chosen here (so that it does not matter)."""
    description = layer.description
    measured = [state.name for state in description.states] + [output.name for output in description.outputs]
    others = {param.name: "a parameter" for param in description.params} | {
        c.name: "a const" for c in description.consts
    }
    given = inputs_beside(description, data, inputs, time)
    columns = [name for u in description.inputs for name in element_names(u.name, u.shape)]
    table = read_data(data, measured, time=time, others=others, besides=columns)
    check_supported(layer, table)
    scale = Scale.of(description.params, start)
    if not scale.names:
        raise OdecError.of("E0606", "the model has no parameter to fit", help="declare one: `param k = 0.1`")
    defaults = description.defaults
    # An explicit method without a step keeps the model's step; a model without a step gets one that does not matter.
    name = tableau(solver or defaults.method or DEFAULT_METHOD).name
    length = step if step is not None else defaults.step
    first = abs(length) if length is not None else 1.0
    times = data_times(table)
    try_first = Schedule.fixed(defaults.start, times, first if step is None else step)
    problem = Problem(layer, table, scale, name, try_first, consts, initial, read_inputs(description, given))
    if length is not None:
        return problem, False
    chosen = found_step(problem, scale.start)
    return problem.with_schedule(Schedule.fixed(defaults.start, times, chosen)), True


def _with_enough_steps(problem: Problem, search: Search) -> tuple[Problem, Search]:
    """The fit repeated from its estimates with smaller steps until they do not matter there either."""
    for _ in range(MOST_REFITS):
        values = problem.scale.to_values(search.z[search.best])
        step = _step_of(problem)
        needed = found_step(problem, values, largest=step)
        if needed >= step:
            break
        problem = problem.with_schedule(Schedule.fixed(problem.schedule.start, data_times(problem.data), needed))
        again = minimise(problem.evaluate, search.z[[search.best]], problem.scale.box, Settings(floor=problem.floor))
        best = search.best
        for name in ("z", "residuals", "jacobian", "loss", "radius", "reason"):
            getattr(search, name)[best] = getattr(again, name)[0]
        search.iterations[best] += again.iterations[0]
        search.evaluations[best] += again.evaluations[0]
    return problem, search


def _step_of(problem: Problem) -> float:
    """The step as it was asked for: the longest of the schedule, or one that a run without steps would take."""
    return problem.schedule.longest_step or 1.0


def _fit(problem: Problem, search: Search, method: str, accurate: bool, starts: int, seed: int, seconds: float) -> Fit:
    scale, best = problem.scale, search.best
    values = scale.to_values(search.z[best])
    residuals = search.residuals[best]
    slopes = search.jacobian[best] / scale.slope(values)
    gradient = 2 * slopes.T @ residuals
    bounds = _bounds(scale, values, gradient)
    fixed = np.array([bool(bound) for bound in bounds], dtype=bool)
    doubt = uncertainty(residuals, slopes, values, scale.names, fixed, scale.units(values), problem.size)
    check = checked_step(problem, values, _step_of(problem))
    reason = str(search.reason[best])
    parameters = {
        param.name: Estimate(
            name=param.name,
            start=float(scale.start[i]),
            estimate=float(values[i]),
            standard_error=float(doubt.standard_errors[i]) if np.isfinite(doubt.standard_errors[i]) else None,
            bound=bounds[i],
            lower=float(scale.lower[i]),
            upper=float(scale.upper[i]),
            log=bool(scale.log[i]),
            gradient=float(gradient[i]),
            description=param.description,
        )
        for i, param in enumerate(problem.model.description.params)
    }
    return Fit(
        loss=float(search.loss[best]),
        observations=len(residuals),
        parameters=parameters,
        counts=problem.data.counts,
        losses=_losses(problem, residuals),
        method=method,
        reason=reason,
        converged=reason in CONVERGED,
        iterations=int(search.iterations[best]),
        evaluations=int(search.evaluations[best]),
        solver=problem.solver,
        step=_step_of(problem),
        step_check=check,
        starts=starts,
        failed=_failed(search),
        start_losses=tuple(float(loss) for loss in search.loss),
        seed=seed,
        uncertainty=doubt,
        warnings=tuple(_warnings(problem, search, doubt, check, reason)),
        version=odec.__version__,
        seconds=seconds,
        problem=problem,
        accurate=accurate,
    )


def _bounds(scale: Scale, values: np.ndarray, gradient: np.ndarray) -> list[str]:
    """For each parameter "lower", "upper" or "": on a bound to a billionth of its size, the loss falling beyond it."""
    room = 1e-9 * np.where(
        np.isfinite(scale.upper - scale.lower), scale.upper - scale.lower, np.maximum(np.abs(values), 1.0)
    )
    names = []
    for i in range(len(values)):
        low = values[i] - scale.lower[i] <= room[i] and (gradient[i] >= 0 or values[i] == scale.lower[i])
        high = scale.upper[i] - values[i] <= room[i] and (gradient[i] <= 0 or values[i] == scale.upper[i])
        names.append("lower" if low else "upper" if high else "")
    return names


def _losses(problem: Problem, residuals: np.ndarray) -> dict[str, float]:
    columns = problem.cells[1]
    return {name: float(np.sum(residuals[columns == i] ** 2)) for i, name in enumerate(problem.data.names)}


def _failed(search: Search) -> dict[str, int]:
    """reason → how many starts ended without a result. A start that ran out of iterations or epochs has one."""
    reasons = [str(reason) for reason in search.reason if reason not in CONVERGED | UNFINISHED_WITH_RESULT]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}


def _warnings(problem: Problem, search: Search, doubt: Uncertainty, check: StepCheck, reason: str) -> list[Diagnostic]:
    found = [*problem.data.notes, *problem.scale.hints()]
    found += [*_far_start(problem), *_data_at_jumps(problem)]
    found += outside(problem.model.description, problem.inputs, problem.schedule.start, data_times(problem.data)[-1])
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
    if check.too_large:
        found.append(check.warning())
    found += [_warning("W0603", f"not identifiable: {sentence}", "") for sentence in doubt.undetermined]
    found += _other_answers(problem, search)
    return found


def _far_start(problem: Problem) -> list[Diagnostic]:
    """W0505: the data begin long after the integration does (years, mostly)."""
    times, start = data_times(problem.data), problem.schedule.start
    if abs(times[0] - start) <= 10 * (times[-1] - times[0]) or len(times) < 2:
        return []
    message = f"the data begin at t = {times[0]:g}, but the model starts at t = {start:g}"
    return [
        _warning("W0505", message, f"write `solve from {times[0]:g}` if the initial values belong to the first datum")
    ]


def _data_at_jumps(problem: Problem) -> list[Diagnostic]:
    """W0502: a datum at the very time of a jump is compared with the value behind it."""
    moments = jump_moments(problem.model, problem.schedule)
    times = [t for t in data_times(problem.data) if t in moments]
    if not times:
        return []
    message = f"a datum at t = {times[0]:g} stands at the time of a jump: it is compared with the value behind it"
    return [_warning("W0502", message, "was it taken before? Then give it a time a little earlier")]


def _other_answers(problem: Problem, search: Search) -> list[Diagnostic]:
    """W0604: another start reached the same loss with other values."""
    best = search.best
    loss, values = search.loss[best], problem.scale.to_values(search.z[best])
    limit = loss * (1 + SAME_LOSS) + 1e-12 * problem.size**2
    found = problem.scale.to_values(search.z)
    with np.errstate(invalid="ignore"):
        apart = (np.abs(found - values) > OTHER_VALUES * problem.scale.units(values)).any(axis=1)
    others = np.flatnonzero((search.loss <= limit) & apart)
    if not len(others):
        return []
    one = found[others[0]]
    listed = ", ".join(f"{name} = {value:.4g}" for name, value in zip(problem.scale.names, one, strict=True))
    message = f"{len(others)} of {len(search.loss)} starts reached the same loss with other values, such as {listed}"
    return [
        _warning("W0604", message, "the data do not choose between them; narrow the bounds if you know which is meant")
    ]


def _watch(progress: Progress | None, starts: int) -> Any:
    if progress is None:
        return None

    def watch(search: Search) -> None:
        ended = starts - len(search.running)
        loss = float(search.loss[search.best])
        if starts > 1:
            progress(ended, starts, loss)
        else:
            limit = Settings().iterations
            progress(limit if ended else int(search.iterations[0]), limit, loss)

    return watch


def _warning(code: str, message: str, help: str) -> Diagnostic:
    return Diagnostic(code, message, help=help, severity="warning")
