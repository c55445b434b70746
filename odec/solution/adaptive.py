"""Runs whose steps are chosen by their error, with a method that was named or with the one that `auto` finds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from odec.diagnostics import Diagnostic
from odec.methods import AUTO
from odec.runtime import methods, simulate
from odec.runtime.adaptive import FINEST, Adaptive
from odec.runtime.methods import ADAPTIVE_METHOD, STIFF_METHOD
from odec.runtime.schedule import Schedule
from odec.runtime.steering import DONE, STIFF, TOO_MANY, TOO_SMALL, stability_limit
from odec.solution.failures import failure, output_failure
from odec.solution.solution import Solution, Values, difference, said_error
from odec.solution.stability import MOST_STATES, eigen
from odec.solution.task import Task

# A run is begun again with the larger limit when it reaches the first, unless its end is out of reach: where it needs
# more steps of its last length than HOPELESS. The last is some minutes of a small model.
LIMITS = (2**20, 2**30)
HOPELESS = 2**31
# Below this rtol the explicit method is of order 8. Measured on detest_d5, Lotka-Volterra, Arenstorf, detest_b5,
# Brusselator and Pleiades of reference/ivp, dop853 takes 0.27 to 1.04 of tsit5's time at 1e-9, 0.29 to 0.82 at 1e-11.
FINE, FINE_METHOD = 1e-8, "dop853"
# The largest h·|λ| of a damped part, relative to the method's limit, where steps are kept short by stability.
AT_EDGE = 0.5
# The tolerance and the times of a run that only looks at what the solution does.
PILOT_RTOL, PILOT_TIMES = 1e-4, 33


@dataclass(frozen=True, eq=False)
class AdaptiveRun:
    """A run to a tolerance with one method; `why` says what chose it."""

    task: Task
    timing: Adaptive
    method: str
    found: simulate.Run
    watches: bool
    why: str = ""

    @property
    def status(self) -> int:
        """A constant of `odec.runtime.steering`."""
        return int(self.found.status[0])

    @property
    def reached(self) -> float:
        """The time it came to."""
        return float(self.found.reached[0])

    @property
    def last_step(self) -> float:
        """The length of the last step."""
        return float(self.found.last_step[0])

    @property
    def is_stiff(self) -> bool:
        """Whether stability kept the steps short, not the tolerance."""
        if self.status not in (TOO_SMALL, TOO_MANY):
            return self.status == STIFF
        if isinstance(methods.tableau(self.method), methods.Rosenbrock):
            return False
        return self.fastest * abs(self.last_step) > AT_EDGE * stability_limit(self.method)

    @property
    def fastest(self) -> float:
        """The |λ| of the fastest part that is damped, where the run ended; 0 where it cannot be told."""
        last = np.asarray(self.found.last[0], dtype=np.float64)
        if len(last) > MOST_STATES or not np.isfinite(last).all():
            return 0.0
        values, _ = eigen(self.task.probe, self.reached, last, np.abs(last))
        damped = values[values.real * np.sign(self.timing.end - self.timing.start) < 0]
        return float(np.abs(damped).max(initial=0.0))

    def solution(self) -> Solution:
        """What was computed; E0601, E0608, E0609 where the run did not come to its end."""
        values = self.found.values[0]
        if self.status != DONE:
            raise failure(self.task, self.timing, self.method, self.found, self.is_stiff)
        if not np.isfinite(values).all():
            raise output_failure(self.task, self.timing, values)
        return Solution(
            times=self.timing.times,
            names=self.task.columns,
            values=values,
            method=self.method,
            step=None,
            steps=int(self.found.steps[0]),
            model=self.task.description.name,
            notes=self.task.notes,
            rtol=self.timing.rtol,
            refused=int(self.found.refused[0]),
            why=self.why,
            _checks=self,
        )

    def error(self, values: Values) -> float:
        """The difference from a run at a tenth of the tolerance (ten times, where none is finer)."""
        scale = 0.1 if self.timing.rtol * 0.1 >= _finest(self.task.dtype) else 10.0
        atol = None if self.timing.atol is None else np.asarray(self.timing.atol) * scale
        timing = replace(self.timing, rtol=self.timing.rtol * scale, atol=atol)
        other = attempted(self.task, timing, self.method, self.watches)
        if self.watches and other.is_stiff:
            other = attempted(self.task, timing, STIFF_METHOD)
        return difference(values, other.found.values[0])

    def inaccurate(self, error: float) -> Diagnostic:
        """W0606: that the tolerance of a step is not kept by the whole run."""
        message = f"rtol {self.timing.rtol:g} is not enough here: the error of the run is {said_error(error)}"
        cure = f"try rtol {max(self.timing.rtol * 1e-3, 1e-12):.0e}; the solution may be sensitive to the least change"
        return Diagnostic("W0606", message, help=cure, severity="warning")


def solved(task: Task, timing: Adaptive, method: str) -> Solution:
    """The run with `method`, or with what `auto` finds."""
    timing = replace(timing, rtol=max(timing.rtol, _finest(task.dtype)))
    return (automatic(task, timing) if method == AUTO else attempted(task, timing, method)).solution()


def automatic(task: Task, timing: Adaptive) -> AdaptiveRun:
    """An explicit run, and where that turns out to be stiff a Rosenbrock run from the start."""
    explicit = FINE_METHOD if timing.rtol < FINE else ADAPTIVE_METHOD
    run = attempted(task, timing, explicit, watches=True)
    if not run.is_stiff:
        return replace(run, why=f"{AUTO}: {explicit}")
    fastest, why = run.fastest, f"{AUTO}: {explicit}, then {STIFF_METHOD}: stiff from t = {run.reached:.4g}"
    if fastest > 0:
        longest = stability_limit(explicit) / fastest
        why += f" (|λ| = {fastest:.2g} allows no step above {longest:.2g})"
    return replace(attempted(task, timing, STIFF_METHOD), why=why)


def attempted(task: Task, timing: Adaptive, method: str, watches: bool = False) -> AdaptiveRun:
    """The run, with ever more steps allowed; `watches` ends an explicit one where the problem is stiff."""
    for limit in LIMITS:
        run = AdaptiveRun(task, timing, method, task.adapted(replace(timing, most=limit), method, watches), watches)
        if run.status != TOO_MANY or abs(timing.end - run.reached) > HOPELESS * abs(run.last_step):
            break
    return run


def pilot(task: Task, schedule: Schedule) -> tuple[np.ndarray, np.ndarray] | None:
    """Times (T,) over a run and its states there (T, D), from a stiff method at a loose tolerance, as far as it comes;
    None for models that it does not take."""
    description = task.description
    if description.is_map or len(description.state_elements) > MOST_STATES or takes_fixed_steps(description):
        return None
    far = schedule.times[np.argmax(np.abs(schedule.times - schedule.start))]
    times = np.linspace(schedule.start, far, PILOT_TIMES)
    timing = Adaptive(schedule.start, times, rtol=max(PILOT_RTOL, _finest(task.dtype)))
    found = attempted(replace(task, columns=description.state_elements), timing, STIFF_METHOD).found
    states = found.values[0]
    finite = np.isfinite(states).all(axis=1)
    return (times[finite], states[finite]) if finite.any() else None


def takes_fixed_steps(description: Any) -> bool:
    """Whether the model runs with fixed steps alone."""
    return bool(description.is_map)


def _finest(dtype: str) -> float:
    return FINEST * float(np.finfo(dtype).eps)
