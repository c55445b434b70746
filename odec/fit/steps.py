"""How long a step may be: found by halving until the solution no longer changes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from odec.diagnostics import Diagnostic, OdecError
from odec.fit.problem import Problem
from odec.fit.timing import Timing

# The largest change of any column, against its largest value, that a halved step may make.
TOLERANCE = 1e-7
FIRST_STEPS = 50
MOST_STEPS = 2_000_000


def found_step(problem: Problem, theta: np.ndarray, largest: float | None = None) -> float:
    """A round step (1, 2 or 5 times a power of ten) with which the solution at the coordinates' values `theta` (Q,) is
    accurate to 1e-7 where something was measured.

    Raises OdecError (E0605) where no step gives finite numbers there.
    """
    span = float(np.abs(problem.data.times - problem.timing.start).max())
    if span == 0:
        return 1.0
    step = rounded_down(min(span / FIRST_STEPS, largest or math.inf))
    coarse = _solution(problem, theta, problem.timing.with_step(step))
    while span / step < MOST_STEPS:
        finer = next_smaller(step)
        fine = _solution(problem, theta, problem.timing.with_step(finer))
        if _change(problem, coarse, fine) < TOLERANCE and _is_its_own(problem, theta, step, coarse):
            return step
        step, coarse = finer, fine
    if np.isfinite(coarse).all():
        return step
    raise OdecError.of("E0605", not_finite(problem, theta), help="start from other values: `--set name=value`")


def not_finite(problem: Problem, theta: np.ndarray) -> str:
    """Says where the solution at `theta` (Q,), or its slopes, stop being numbers, or which datum its distribution
    excludes."""
    runs, data, start = problem.runs, problem.data, problem.timing.start
    given = ", ".join(f"{name} = {value:g}" for name, value in zip(problem.scale.names, theta, strict=True))
    message = f"the model cannot be computed at {given}"
    for e, experiment in enumerate(data.experiments):
        times = np.unique(data.times[data.experiment == e])
        bad = np.argwhere(~np.isfinite(runs.solution(theta[None], e, times, data.names)[0]))
        if len(bad):
            time, column = bad[np.argmin(np.abs(times[bad[:, 0]] - start))]
            return f"{message}: `{data.names[column]}` is not finite at t = {times[time]:g}{_of(experiment)}"
    cells = runs.cells
    moved = runs.with_slopes(theta[None])
    lost = np.flatnonzero(~(np.isfinite(moved.values[0]) & np.isfinite(moved.slopes[0]).all(axis=1)))
    if len(lost):
        first = lost[np.argmin(np.abs(data.times[cells.rows[lost]] - start))]
        name, experiment = data.names[cells.columns[first]], data.experiments[cells.experiments[first]]
        return (
            f"derivatives by the parameters cannot be computed at {given}: that of `{name}` is not finite at "
            f"t = {data.times[cells.rows[first]]:g}{_of(experiment)}, as that of a root or a power is where it is 0"
        )
    losses = problem.losses(theta[None])[0]
    without = np.flatnonzero(~np.isfinite(losses))
    if not len(without):
        return message
    first = without[0]
    row, column, value = cells.rows[first], cells.columns[first], runs.at_cells(theta[None]).values[0, first]
    name, experiment = data.names[column], data.experiments[data.experiment[row]]
    return (
        f"the datum of `{name}` at t = {data.times[row]:g}{_of(experiment)} has no likelihood at {given}: the model's "
        f"value is {value:g}, or the sd is not above 0"
    )


def _of(experiment: str) -> str:
    return f" in the experiment `{experiment}`" if experiment else ""


@dataclass(frozen=True)
class StepCheck:
    """The loss at the estimates with the steps of the fit (`step`, or a tolerance) and with finer ones."""

    timing: Timing
    step: float | None
    loss: float
    finer_loss: float
    too_large: bool

    def warning(self) -> Diagnostic:
        """W0601, with both losses."""
        verb = "rises" if self.finer_loss > self.loss else "changes"
        cure = "the estimates absorb the error of the step; fit with a smaller one"
        if self.step is None:
            finer, too, cure = f"rtol {self.timing.finer.rtol:g}", "tolerance", f"{cure}: `--rtol`"
        else:
            finer, too, cure = f"step {self.step / 2:g}", "step", f"{cure}, or with a method of higher order"
        message = (
            f"with {finer} the loss at the fitted parameters {verb} from {_short(self.loss)} to "
            f"{_short(self.finer_loss)}: the {too} is too large"
        )
        return Diagnostic("W0601", message, help=cure, severity="warning")


def checked_step(problem: Problem, theta: np.ndarray) -> StepCheck:
    """What finer steps do to the loss at the coordinates' values `theta` (Q,)."""
    loss = float(problem.loss(theta[None])[0])
    finer = float(problem.with_timing(problem.timing.finer).loss(theta[None])[0])
    change = abs(finer - loss) if math.isfinite(finer) else math.inf
    step = problem.timing.longest(problem.data.distinct_times)
    return StepCheck(problem.timing, step, loss, finer, change > problem.noticeable(loss))


def rounded_down(step: float) -> float:
    """The largest of … 0.1, 0.2, 0.5, 1, 2, 5, 10 … not above `step`."""
    power = math.floor(math.log10(step))
    # Rounding may put a power of ten on either side.
    candidates = [m * 10.0**p if p >= 0 else m / 10.0**-p for p in (power - 1, power, power + 1) for m in (1, 2, 5)]
    return max(candidate for candidate in candidates if candidate <= step * (1 + 1e-12))


def next_smaller(step: float) -> float:
    """The next round step that is at most half as long."""
    return rounded_down(step / 2)


def _solution(problem: Problem, theta: np.ndarray, timing: Timing) -> np.ndarray:
    """The model (M,) at the measured cells."""
    values: np.ndarray = problem.with_timing(timing).runs.at_cells(theta[None]).values[0]
    return values


def _is_its_own(problem: Problem, theta: np.ndarray, step: float, coarse: np.ndarray) -> bool:
    """Whether half of each step really taken changes nothing: jumps and knots of inputs may have shortened both steps
    alike."""
    description = problem.model.description
    if not (description.jumps or description.inputs):
        return True
    finer = _solution(problem, theta, problem.timing.with_step(step).finer)
    return _change(problem, coarse, finer) < TOLERANCE


def _change(problem: Problem, coarse: np.ndarray, fine: np.ndarray) -> float:
    """The largest change of a cell against the largest value of its column in its experiment."""
    if not (np.isfinite(coarse).all() and np.isfinite(fine).all()):
        return math.inf
    cells = problem.runs.cells
    curve = cells.experiments * len(problem.data.names) + cells.columns
    size = np.zeros(curve.max() + 1)
    np.maximum.at(size, curve, np.abs(fine))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        change = np.abs(fine - coarse) / size[curve]
    return float(np.max(np.where(size[curve] > 0, change, 0.0)))


def _short(loss: float) -> str:
    return "0" if abs(loss) < 1e-12 else f"{loss:.3g}"
