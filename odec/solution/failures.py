"""Why a run did not come to its end, with the state, the time and a cure."""

from __future__ import annotations

from typing import Any

import numpy as np

from odec.diagnostics import OdecError
from odec.runtime.adaptive import Adaptive
from odec.runtime.blame import Blame
from odec.runtime.schedule import Schedule
from odec.runtime.steering import ENDLESS, NOT_FINITE, TOO_MANY
from odec.solution.task import Task

# A state that would double so much faster than the run has lasted grows without bound.
STEEP = 1e6
# How far ahead, in last steps, a formula without a value is looked for: the attempts of a step lie there.
AHEAD = (1.0, 10.0, 100.0, 1e3, 1e4)
# Digits of a time at which a formula may have a pole.
DIGITS = (4, 8, 12)


def failure(task: Task, timing: Adaptive, method: str, found: Any, is_stiff: bool) -> OdecError:
    """The error for an adaptive run that ended early (`simulate.Run`)."""
    status, t = int(found.status[0]), float(found.reached[0])
    states, h = np.asarray(found.last[0], dtype=np.float64), float(found.last_step[0])
    if status == TOO_MANY:
        return _too_many(task, timing, method, found, is_stiff)
    if status == ENDLESS:
        texts = ", ".join(f"`{jump.text}`" for jump in task.description.jumps if jump.kind == "when")
        message = f"{texts} happens ever faster and comes to no end near t = {t:.6g} ({task.states_said(states)})"
        cure = f"end the run before t = {t:.6g}, or let the jump leave its condition for good"
        return OdecError.of("E0607", message, cure)
    stop = f"stop before t = {t:.6g}" if t != timing.start else ""
    ran = f"{method}, rtol {timing.rtol:g}"
    if not np.isfinite(states).all():
        name = task.description.state_elements[int(np.argmin(np.isfinite(states)))]
        value = states[int(np.argmin(np.isfinite(states)))]
        message = f"`{name}` starts at {value:g}"
        return OdecError.of("E0601", message, f"give it a number: `--init {name}=1`, or another value of a param")
    slopes = task.probe.slopes(t, states[:, None])[:, 0]
    fault = _fault_at(task, t, states)
    if fault is None and _is_steep(t - timing.start, states, slopes):
        return _unbounded(task, t, states, slopes, ran, stop)
    fault = fault or _fault_ahead(task, t, h, states, slopes)
    if fault is not None:
        where = f"in the equation of `{fault.name}` " if fault.name else ""
        message = f"{fault}, {where}near t = {t:.6g} ({task.states_said(states)}; {ran})"
        guard = "guard the formula with `if` or `max`"
        return OdecError.of("E0601", message, f"{stop}, or {guard}" if stop else guard)
    place = int(np.argmax(_rates(states, slopes)))
    name = task.description.state_elements[place]
    code = "E0601" if status == NOT_FINITE else "E0608"
    what = "a number that is not finite came up" if status == NOT_FINITE else "the step became too small"
    message = (
        f"{what} at t = {t:.6g}: `{name}` is {states[place]:.6g} and changes by {slopes[place]:.3g} a unit of time "
        f"({ran})"
    )
    cure = "look for a division by zero or the root of a negative number in its equation"
    if is_stiff:
        cure = "the equations are stiff: try method rodas5p"
    return OdecError.of(code, message, f"{cure}, or {stop}" if stop else cure)


def output_failure(task: Task, timing: Adaptive, values: np.ndarray) -> OdecError:
    """E0601 for an output without a value, though the states have theirs."""
    times = timing.times
    rows = np.argsort(np.abs(times - timing.start), kind="stable")
    bad = ~np.isfinite(values[rows])
    first = int(np.argmax(bad.any(axis=1)))
    row, column = rows[first], int(np.argmax(bad[first]))
    states = values[row, : len(task.description.state_elements)]
    fault = task.probe.fault(float(times[row]), states)
    said = f": {fault}" if fault is not None else f" ({task.states_said(states)})"
    message = f"`{task.columns[column]}` is {values[row, column]:g} at t = {times[row]:g}{said}"
    return OdecError.of("E0601", message, f"stop before t = {times[row]:g}, or guard the formula with `if` or `max`")


def without_end(task: Task, schedule: Schedule, values: np.ndarray, text: str, time: float) -> OdecError:
    """The jump that follows itself ever faster, the time at which it comes to no end, and the states before."""
    rows = np.isfinite(values).all(axis=1) & (schedule.times <= time)
    where = ""
    if rows.any():
        row = np.flatnonzero(rows)[np.argmax(schedule.times[rows])]
        where = f" (at t = {schedule.times[row]:g} {task.states_said(values[row])})"
    message = f"`{text}` happens ever faster and comes to no end near t = {time:.6g}{where}"
    return OdecError.of(
        "E0607", message, f"end the run before t = {time:.6g}, or let the jump leave its condition for good"
    )


def _too_many(task: Task, timing: Adaptive, method: str, found: Any, is_stiff: bool) -> OdecError:
    """How far it came, and at which pace."""
    steps, refused = int(found.steps[0]), int(found.refused[0])
    message = (
        f"{method} came in {steps + refused} steps only to t = {float(found.reached[0]):.6g} of {timing.end:g}, the "
        f"last of them {abs(float(found.last_step[0])):.3g} long (rtol {timing.rtol:g})"
    )
    if is_stiff:
        return OdecError.of("E0609", message, "the equations are stiff: try method rodas5p")
    return OdecError.of("E0609", message, "try a shorter run, or a looser rtol; something in it changes very fast")


def _unbounded(task: Task, t: float, states: np.ndarray, slopes: np.ndarray, ran: str, stop: str) -> OdecError:
    place = int(np.argmax(_rates(states, slopes)))
    name = task.description.state_elements[place]
    message = (
        f"`{name}` grows without bound near t = {t:.6g}: there it is {states[place]:.3g} and changes by "
        f"{slopes[place]:.3g} a unit of time ({ran})"
    )
    return OdecError.of("E0601", message, f"{stop}, or look for what should limit `{name}`")


def _rates(states: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """How fast each state changes relative to its size."""
    return np.abs(slopes) / np.maximum(np.abs(states), 1e-300)


def _is_steep(lasted: float, states: np.ndarray, slopes: np.ndarray) -> bool:
    """Whether the state that changes fastest grows, and would double in a moment."""
    place = int(np.argmax(_rates(states, slopes)))
    grows = slopes[place] * states[place] * np.sign(lasted) > 0
    return bool(grows and _rates(states, slopes)[place] * abs(lasted) > STEEP)


def _fault_at(task: Task, t: float, states: np.ndarray) -> Blame | None:
    """What has no value at t, or at the round number that t is but for the last digits."""
    for time in (t, *(float(f"{t:.{digits}g}") for digits in DIGITS)):
        if abs(time - t) <= 1e-6 * abs(t):
            fault = task.probe.fault(time, states)
            if fault is not None:
                return fault
    return None


def _fault_ahead(task: Task, t: float, h: float, states: np.ndarray, slopes: np.ndarray) -> Blame | None:
    """What has no value a little ahead, where a step was attempted."""
    for part in AHEAD:
        fault = task.probe.fault(t + part * h, states + part * h * slopes)
        if fault is not None:
            return fault
    return None
