"""Runs with fixed steps: as long as was said, or halved until two solutions agree; and what is wrong with a step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from odec.diagnostics import Diagnostic, OdecError
from odec.runtime.methods import METHODS
from odec.runtime.schedule import Schedule
from odec.solution.adaptive import pilot
from odec.solution.failures import without_end
from odec.solution.solution import INACCURATE, Solution, Values, difference, said_error
from odec.solution.stability import Instability, instability
from odec.solution.task import Task

# Where no step is said, it is halved until two solutions agree to this, relative to the size of each state …
AGREEMENT = 1e-7
# … or the run takes this many steps.
MOST_STEPS = 2**22
# … or this many, where jumps follow each other without end.
MOST_STEPS_WITH_END = 2**17
# Two such ends within this part of their times are one, and no smaller step moves it.
SAME_END = 1e-3
# Halvings tried in search of a step to advise.
MOST_HALVINGS = 12


@dataclass(frozen=True, eq=False)
class FixedSteps:
    """A run with every step of the schedule cut into `factor`; `known` is its error where that is known already."""

    task: Task
    schedule: Schedule
    method: str
    factor: int = 1
    known: float | None = None

    def solution(self, values: Values | None = None, why: str = "") -> Solution:
        """The run's values, if they are finite; E0601 or E0607 where they are not."""
        values = self.values() if values is None else values
        if not np.isfinite(values).all():
            end = self.task.endless(self.schedule.refined(self.factor), self.method)
            raise self._not_finite(values) if end is None else without_end(self.task, self.schedule, values, *end)
        return Solution(
            times=self.schedule.times,
            names=self.task.columns,
            values=values,
            method=self.method,
            step=self.step,
            steps=self.schedule.total * self.factor,
            model=self.task.description.name,
            notes=self.task.notes,
            why=why,
            _checks=self,
        )

    def values(self, more: int = 1) -> Values:
        """The columns, with every step cut into so many more."""
        return self.task.along(self.schedule.refined(self.factor * more), self.method)

    @property
    def step(self) -> float:
        """The longest step."""
        return self.schedule.longest_step / self.factor

    def error(self, values: Values) -> float:
        """Richardson: the difference from half the step says how far that is off."""
        return self._richardson(values, self.values(2)) if self.known is None else self.known

    def inaccurate(self, error: float) -> Diagnostic:
        """W0601: that the step is unstable, or merely too long."""
        said = f"method {self.method} with step {self.step:g}"
        found = self._instability
        message = f"{said} is inaccurate here: its error is {said_error(error)}"
        if found is not None:
            message = f"{said} is unstable: {found}; its error is {said_error(error)}"
        return Diagnostic("W0601", message, help=self._advice(), severity="warning")

    def _richardson(self, coarse: Values, fine: Values) -> float:
        power = 2 ** METHODS[self.method].order
        return difference(coarse, fine) * power / (power - 1)

    @cached_property
    def _instability(self) -> Instability | None:
        accurate = pilot(self.task, self.schedule)
        if accurate is None or self.task.description.is_map:
            return None
        h = self.step * (-1 if self.schedule.starts.size and self.schedule.steps[0] < 0 else 1)
        return instability(self.task.probe, self.method, h, *accurate)

    def _advice(self) -> str:
        """A step that was tried and is accurate, if there is one within reach."""
        stable = self.step if self._instability is None else self._instability.longest
        other = "or leave the step away" if self._instability is None else "or method rodas5p"
        coarse: Values | None = None
        for halvings in range(1, MOST_HALVINGS):
            if self.schedule.total * self.factor * 2 ** (halvings + 1) > MOST_STEPS:
                break
            if self.step / 2**halvings > stable:
                continue
            coarse = self.values(2**halvings) if coarse is None else coarse
            fine = self.values(2 ** (halvings + 1))
            if self._richardson(coarse, fine) <= INACCURATE:
                return f"try step < {self.step / 2**halvings:.3g}, {other}"
            coarse = fine
        if self._instability is not None:
            return f"try step < {stable:.3g}, {other}"
        return "no step within reach is accurate: the system may be chaotic; leave the step away, with a small rtol"

    def _not_finite(self, values: Values) -> OdecError:
        """E0601: the column that fails first in the direction of the run, the last time at which all was well, and
        why."""
        times, start = self.schedule.times, self.schedule.start
        rows = np.argsort(np.abs(times - start), kind="stable")
        bad = ~np.isfinite(values[rows])
        first = int(np.argmax(bad.any(axis=1)))
        name, time = self.task.columns[int(np.argmax(bad[first]))], times[rows[first]]
        where = f"at t = {time:g}" if first == 0 else f"between t = {times[rows[first - 1]]:g} and t = {time:g}"
        message = f"`{name}` is no longer a finite number {where} (method {self.method}, step {self.step:.6g})"
        if self._instability is not None:
            message += f": {self._instability}"
        cures = []
        for halvings in range(1, MOST_HALVINGS):
            if self.schedule.total * self.factor * 2**halvings > MOST_STEPS:
                break
            if np.isfinite(self.values(2**halvings)).all():
                cures.append(f"try step < {self.step / 2**halvings:.3g}")
                break
        if self._instability is not None:
            cures.append("or method rodas5p" if cures else "try method rodas5p")
        elif cures:
            cures.append(f"or stop before t = {time:g}")
        else:
            cures.append(
                f"no shorter step helps: `{name}` may grow without bound, or its equation may have no value there"
            )
        return OdecError.of("E0601", message, ", ".join(cures))


def halved(task: Task, schedule: Schedule, method: str, agreement: float) -> Solution:
    """Halve the step until two solutions agree to `agreement` (or what the dtype holds), or to MOST_STEPS."""
    enough = max(agreement, 100 * float(np.finfo(task.dtype).eps))
    total, factor = schedule.total, 1
    most = MOST_STEPS if task.endless(schedule, method) is None else MOST_STEPS_WITH_END
    run, apart = FixedSteps(task, schedule, method), np.inf
    coarse = run.values()
    while total * factor * 2 <= max(most, 2 * total) and apart > enough and not _stays_endless(run, factor):
        factor *= 2
        fine = run.values(factor)
        apart, coarse = difference(coarse, fine), fine
    error = apart / (2 ** METHODS[method].order - 1)
    return FixedSteps(task, schedule, method, factor, error).solution(
        coarse, f"{method}, its step halved until two solutions agreed"
    )


def _stays_endless(run: FixedSteps, factor: int) -> bool:
    """Whether jumps follow each other without end at one time, whatever the step."""
    if factor == 1:
        return False
    now, then = (run.task.endless(run.schedule.refined(part), run.method) for part in (factor, factor // 2))
    return now is not None and then is not None and abs(now[1] - then[1]) <= SAME_END * (abs(now[1]) + abs(then[1]))
