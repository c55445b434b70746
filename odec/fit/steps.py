"""How long a step may be: found by halving until the solution no longer changes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from odec.diagnostics import Diagnostic, OdecError
from odec.fit.problem import Problem, data_times
from odec.runtime.schedule import Schedule

# The largest change of any column, against its largest value, that a halved step may make.
TOLERANCE = 1e-7
FIRST_STEPS = 50
MOST_STEPS = 2_000_000
# A loss that a finer step changes by more than this share was made by the step.
LOSS_CHANGE = 0.01
LOSS_NOISE = 1e-10


def found_step(problem: Problem, values: np.ndarray, largest: float | None = None) -> float:
    """A round step (1, 2 or 5 times a power of ten) with which the solution at `values` (P,) is accurate to 1e-7.

    Raises OdecError (E0605) where no step gives finite numbers there.
    """
    start, times = problem.schedule.start, data_times(problem.data)
    span = max(abs(times[0] - start), abs(times[-1] - start))
    if span == 0:
        return 1.0
    step = rounded_down(min(span / FIRST_STEPS, largest or math.inf))
    coarse = _solution(problem, values, start, times, step)
    while span / step < MOST_STEPS:
        finer = next_smaller(step)
        fine = _solution(problem, values, start, times, finer)
        if _change(coarse, fine) < TOLERANCE and _is_its_own(problem, values, start, times, step, coarse):
            return step
        step, coarse = finer, fine
    if np.isfinite(coarse).all():
        return step
    raise OdecError.of("E0605", not_finite(problem, values), help="start from other values: `--set name=value`")


def not_finite(problem: Problem, values: np.ndarray) -> str:
    """Says where the solution at `values` (P,) stops being a number."""
    solution = problem.solve(values[None], problem.schedule)[0]
    times = problem.schedule.times
    where = np.argwhere(~np.isfinite(solution))
    given = ", ".join(f"{name} = {value:g}" for name, value in zip(problem.scale.names, values, strict=True))
    if not len(where):
        return f"the model cannot be computed at {given}"
    time, column = where[np.argmin(np.abs(times[where[:, 0]] - problem.schedule.start))]
    return (
        f"the model cannot be computed at {given}: `{problem.data.names[column]}` is not finite at t = {times[time]:g}"
    )


@dataclass(frozen=True)
class StepCheck:
    """The loss at the estimates with the step of the fit and with half of it."""

    step: float
    loss: float
    finer_loss: float
    too_large: bool

    def warning(self) -> Diagnostic:
        """W0601, with both losses."""
        verb = "rises" if self.finer_loss > self.loss else "changes"
        message = (
            f"with step {self.step / 2:g} the loss at the fitted parameters {verb} from {_short(self.loss)} to "
            f"{_short(self.finer_loss)}: the step is too large"
        )
        cure = "the estimates absorb the error of the step; fit with a smaller one, or with a method of higher order"
        return Diagnostic("W0601", message, help=cure, severity="warning")


def checked_step(problem: Problem, values: np.ndarray, step: float) -> StepCheck:
    """What half the step does to the loss at `values` (P,)."""
    loss = float(problem.loss(values[None])[0])
    finer = float(problem.with_schedule(problem.schedule.refined(2)).loss(values[None])[0])
    change = abs(finer - loss) if math.isfinite(finer) else math.inf
    noise = LOSS_NOISE * problem.size**2
    return StepCheck(step, loss, finer, change > max(LOSS_CHANGE * loss, noise))


def rounded_down(step: float) -> float:
    """The largest of … 0.1, 0.2, 0.5, 1, 2, 5, 10 … not above `step`."""
    power = math.floor(math.log10(step))
    # Rounding may put a power of ten on either side.
    candidates = [m * 10.0**p if p >= 0 else m / 10.0**-p for p in (power - 1, power, power + 1) for m in (1, 2, 5)]
    return max(candidate for candidate in candidates if candidate <= step * (1 + 1e-12))


def next_smaller(step: float) -> float:
    """The next round step that is at most half as long."""
    return rounded_down(step / 2)


def _solution(problem: Problem, values: np.ndarray, start: float, times: np.ndarray, step: float) -> np.ndarray:
    return problem.solve(values[None], Schedule.fixed(start, times, step))[0]


def _is_its_own(
    problem: Problem, values: np.ndarray, start: float, times: np.ndarray, step: float, coarse: np.ndarray
) -> bool:
    """Whether half of each step really taken changes nothing: jumps and knots of inputs may have shortened both steps
    alike."""
    description = problem.model.description
    if not (description.jumps or description.inputs):
        return True
    finer = Schedule.fixed(start, times, step).refined(2)
    return _change(coarse, problem.solve(values[None], finer)[0]) < TOLERANCE


def _change(coarse: np.ndarray, fine: np.ndarray) -> float:
    if not (np.isfinite(coarse).all() and np.isfinite(fine).all()):
        return math.inf
    size = np.abs(fine).max(axis=0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        change = np.abs(fine - coarse).max(axis=0) / size
    return float(np.max(np.where(size > 0, change, 0.0)))


def _short(loss: float) -> str:
    return "0" if loss < 1e-12 else f"{loss:.3g}"
