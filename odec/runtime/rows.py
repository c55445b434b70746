"""The times at which a run is read off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from odec.diagnostics import OdecError, nearest
from odec.methods import AUTO
from odec.runtime import methods
from odec.runtime.adaptive import RTOL, Adaptive
from odec.runtime.description import Description
from odec.runtime.schedule import Schedule

# Rows of a run that says neither `every` nor `step`.
DEFAULT_ROWS = 200
# With neither a step nor a model that says one, a layer cuts its run into this many steps.
DEFAULT_STEPS = 1000


def default_times(description: Description, start: float) -> np.ndarray:
    """Rows of the model's `solve` statement after the start: each `every` (else step, else 1/200 of the span)."""
    defaults = description.defaults
    if defaults.stop is None:
        raise ValueError(
            f"{description.name} does not know how long to run: give steps and h, or times, or `solve to` in the model"
        )
    span = defaults.stop - start
    if description.is_map:
        return rows_between(start, defaults.stop, defaults.every or 1.0)[1:]
    return rows_between(start, defaults.stop, defaults.every or defaults.step or abs(span) / DEFAULT_ROWS)[1:]


def rows_between(start: float, stop: float, every: float) -> np.ndarray:
    """start, start ± every, …, stop; the end always among them. Rounded to 15 digits, so that 3·0.1 is 0.3."""
    span = stop - start
    count = math.floor(abs(span) / every + 1e-9) if span else 0
    rows = start + math.copysign(every, span) * np.arange(count + 1, dtype=np.float64)
    digits = 14 - math.floor(math.log10(max(abs(start), abs(stop), 1e-300)))
    rounded = np.round(rows, digits) if 0 <= digits <= 22 else rows
    if np.max(np.abs(rounded - rows)) < 1e-9 * every:
        rows = rounded
    if abs(rows[-1] - stop) <= 1e-9 * every:
        rows[-1] = stop
        return rows
    return np.append(rows, stop)


def layer_timing(
    description: Description,
    steps: int | None,
    h: float | None,
    times: Any,
    start: float | None,
    rtol: float | None,
    atol: Any,
    max_steps: int,
) -> Schedule | Adaptive | None:
    """The timing of a layer, adaptive where a tolerance is given; None where a map steps once for each row of its input
    series.

    ValueError for arguments that contradict each other or say nothing.
    """
    defaults = description.defaults
    start = defaults.start if start is None else float(start)
    if rtol is not None or atol is not None:
        if description.is_map:
            raise ValueError(f"{description.name} is a map, which has no tolerance. Received: rtol={rtol}, atol={atol}")
        if steps is not None or h is not None:
            raise ValueError(f"give rtol, or a step. Received: rtol={rtol}, steps={steps}, h={h}")
        asked = np.ravel(np.asarray(default_times(description, start) if times is None else times, dtype=np.float64))
        if asked.size == 0:
            raise ValueError("times is empty: ask for at least one time")
        return Adaptive(start, asked, RTOL if rtol is None else float(rtol), atol, max_steps)
    if description.is_map:
        if h is not None and h != 1:
            raise ValueError(f"{description.name} is a map, which has no step length. Received: h={h}")
        if steps is None and times is None and defaults.stop is None and description.inputs:
            return None
    step = 1.0 if description.is_map else h if h is not None else defaults.step
    if steps is not None:
        if times is not None:
            raise ValueError(f"give either steps and h, or times. Received: steps={steps}, times={times}")
        if step is None or int(steps) != steps or steps < 1:
            raise ValueError(f"steps is a whole number of steps of length h. Received: steps={steps}, h={h}")
        return Schedule.grid(start, float(step), int(steps))
    if times is None:
        times = default_times(description, start)
    asked = np.ravel(np.asarray(times, dtype=np.float64))
    if asked.size == 0:
        raise ValueError("times is empty: ask for at least one time")
    check_steps(description, start, asked)
    span = float(np.max(np.abs(asked - start)))
    return Schedule.fixed(start, asked, step if step is not None else (span or 1.0) / DEFAULT_STEPS)


def layer_method(asked: str | None, own: str | None, is_adaptive: bool) -> str:
    """The method of a layer: the one asked for, else the model's `own`, but where a tolerance is given and that has no
    error to go by. E0408 for a name that is none; ValueError for one asked for that has no error."""
    default = methods.ADAPTIVE_METHOD if is_adaptive else methods.DEFAULT_METHOD
    name = asked or own or default
    found = methods.tableau(default if name == AUTO else name)
    if not is_adaptive or found.error:
        return found.name
    if asked is None:
        return default
    raise ValueError(f"{name} does not estimate its error: give a step, or choose tsit5. Received: method={name!r}")


def by_states(description: Description, atol: Any) -> Any:
    """A tolerance for each state, from one by name; NaN, the scaled one, for states that are not named."""
    if not isinstance(atol, Mapping):
        return atol
    found = dict.fromkeys(description.state_elements, math.nan)
    for name, value in atol.items():
        elements = description.expanded([name])
        if not set(elements) <= set(found):
            raise ValueError(f"{description.name} has no state {name!r}; {nearest(name, found)}. Received: atol={atol}")
        found.update(dict.fromkeys(elements, float(value)))
    return np.array(list(found.values()))


def check_steps(description: Description, start: float, times: np.ndarray) -> None:
    """E0604 where a map is asked for a value between two steps, or before its start."""
    if not description.is_map or not times.size:
        return
    odd = times[times != start + np.round(times - start)]
    if odd.size:
        message = f"{description.name} is a map: its t counts steps, and has no value at {odd[0]:g}"
        raise OdecError.of("E0604", message, "ask for whole numbers of steps")
    if times.min() < start:
        raise OdecError.of("E0604", f"{description.name} is a map, which has no way back", "ask for later steps")
