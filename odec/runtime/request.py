"""What a caller asks of a run, checked and completed from the model's own `solve` statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from odec.diagnostics import OdecError, nearest
from odec.runtime.contract import Model
from odec.runtime.description import Description
from odec.runtime.guesses import scalar_params
from odec.runtime.rows import DEFAULT_ROWS, check_steps, rows_between
from odec.runtime.schedule import Schedule

MOST_ROWS = 2**26


def schedule(
    description: Description,
    to: float | None,
    start: float | None,
    step: float | None,
    every: float | None,
    times: Sequence[float] | None,
) -> tuple[Schedule, float | None]:
    """The schedule and the step that was said, if any."""
    defaults = description.defaults
    if description.is_map:
        return _steps_of_map(description, to, start, step, every, times), 1.0
    start = number("the start time", defaults.start if start is None else start, "E0604")
    step = defaults.step if step is None else step
    every = defaults.every if every is None else every
    for name, length in (("step", step), ("spacing of the rows", every)):
        if length is not None and not number(f"the {name}", length, "E0606") > 0:
            raise OdecError.of("E0606", f"the {name} must be positive, not {length:g}")
    if times is None:
        rows = _rows(description, start, defaults.stop if to is None else to, every or step)
    else:
        rows = np.asarray([number("a time", t, "E0604") for t in np.ravel(np.asarray(times, dtype=object))])
        if rows.size == 0:
            raise OdecError.of("E0604", "no time was asked for", "give at least one time")
    longest = float(np.abs(rows - start).max())
    return Schedule.fixed(start, rows, step if step is not None else (longest or 1.0)), step


def _steps_of_map(
    description: Description,
    to: float | None,
    start: float | None,
    step: float | None,
    every: float | None,
    times: Sequence[float] | None,
) -> Schedule:
    """E0604, E0606 for what has no meaning where time counts steps."""
    if step not in (None, 1):
        raise OdecError.of("E0606", f"{description.name} is a map: it has no step length", "leave the step away")
    start = number("the start time", description.defaults.start if start is None else start, "E0604")
    if times is None:
        spacing = number("the spacing of the rows", every or description.defaults.every or 1.0, "E0606")
        rows = _rows(description, start, description.defaults.stop if to is None else to, spacing)
    else:
        rows = np.asarray([number("a time", t, "E0604") for t in np.ravel(np.asarray(times, dtype=object))])
    check_steps(description, start, rows)
    return Schedule.fixed(start, rows, 1.0)


def _rows(description: Description, start: float, stop: float | None, spacing: float | None) -> np.ndarray:
    """The start, the end and the rows between."""
    if stop is None:
        cure = "give an end: `--to 100`, or `solve to 100` in the model"
        raise OdecError.of("E0602", f"{description.name} does not say how long to run", cure)
    stop = number("the end time", stop, "E0604")
    spacing = spacing or abs(stop - start) / DEFAULT_ROWS or 1.0
    if abs(stop - start) / spacing > MOST_ROWS:
        message = f"rows every {spacing:g} make more than {MOST_ROWS} rows"
        raise OdecError.of("E0606", message, "ask for fewer with `--every`")
    return rows_between(start, stop, spacing)


def settings(description: Description, settings: Mapping[str, float] | None) -> tuple[np.ndarray, dict[str, float]]:
    """The params in their order, and the consts that are replaced."""
    values = {param.name: param.value for param in scalar_params(description)}
    known = [const.name for const in description.consts]
    consts: dict[str, float] = {}
    for name, value in by_element(description, settings or {}).items():
        if name not in values and name not in known:
            cure = nearest(name, [*values, *known]) or f"it has {', '.join([*values, *known]) or 'none'}"
            raise OdecError.of("E0603", f"{description.name} has no param or const `{name}`", cure)
        (values if name in values else consts)[name] = number(f"`{name}`", value, "E0606")
    return np.array(list(values.values()), dtype=np.float64), consts


def by_element(description: Description, given: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each element: an array's own name takes a number for all of it, or nested numbers of its shape."""
    shapes = {param.name: param.shape for param in description.params}
    shapes |= {state.name: state.shape for state in description.states}
    found: dict[str, Any] = {}
    for name, value in given.items():
        elements, shape = description.expanded([name]), shapes.get(name, ())
        if not shape or isinstance(value, str) or np.ndim(value) == 0:
            found |= dict.fromkeys(elements, value)
            continue
        if np.shape(value) != shape:
            message = f"`{name}` has the shape {shape}, and the value given for it {np.shape(value)}"
            raise OdecError.of("E0606", message, f"give one number, or numbers of the shape {shape}")
        found |= dict(zip(elements, np.asarray(value, dtype=object).ravel(), strict=True))
    return found


def number(what: str, value: Any, code: str) -> float:
    """The value as a finite number; an error of that code where it is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise OdecError.of(code, f"{what} is {value!r}, which is not a number") from None
    if not np.isfinite(found):
        raise OdecError.of(code, f"{what} is {found}", "give a finite number")
    return found


def check_initial(model: type[Model], init: Mapping[str, float]) -> None:
    """E0606 when a state has no start value: neither its own nor one given."""
    given = set(model.description.expanded(init))
    without = model.description.expanded(state.name for state in model.description.states if not state.has_start)
    missing = [element for element in without if element not in given]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        raise OdecError.of(
            "E0606",
            f"{names} {'has' if len(missing) == 1 else 'have'} no initial value",
            f"give one: `--init {missing[0]}=1`, or `state {missing[0]} = 1` in the model",
        )
