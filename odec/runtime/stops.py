"""The known jump times of rows of numbers, and the courses they make."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from odec.diagnostics import OdecError
from odec.runtime.adaptive import Adaptive, Stops, laid
from odec.runtime.contract import Model
from odec.runtime.course import Course, Firings, course, firings
from odec.runtime.schedule import Schedule

# For each row, for each jump, its numbers: nested tuples, so that a course is found again.
Times = tuple[tuple[tuple[float | None, ...], ...], ...]


def numeric_times(
    model: type[Model],
    numbers: Mapping[str, Any],
    names: Sequence[str],
    rows: np.ndarray,
    switches: bool = False,
) -> Times:
    """`jump_times` for rows of params and consts (the elements of `names`, batch), one entry where all rows agree;
    behind them the times of the `switches` of the equations."""
    description = model.description
    items: tuple[Any, ...] = (*description.params, *description.consts)
    shapes = {item.name: item.shape for item in items}
    values: dict[str, Any] = {name: np.asarray(v) if isinstance(v, tuple) else v for name, v in numbers.items()}
    place = 0
    for name in names:
        size = math.prod(shapes[name])
        values[name] = rows[place : place + size].reshape(*shapes[name], -1)
        place += size
    consts: tuple[Any, ...] = (*description.consts, *description.sizes)
    arguments = (tuple(values[q.name] for q in description.params), tuple(values[q.name] for q in consts))
    found = _times_of(model, arguments, switches)
    batch = rows.shape[-1]
    by_row = np.array(
        [np.broadcast_to(np.nan if t is None else np.asarray(t, dtype=float), (batch,)) for jump in found for t in jump]
    ).reshape(-1, batch)
    if by_row.size == 0 or np.array_equal(by_row, np.broadcast_to(by_row[:, :1], by_row.shape), equal_nan=True):
        by_row = by_row[:, :1] if by_row.size else np.zeros((0, 1))
    return tuple(_regrouped(found, column) for column in by_row.T)


def _times_of(model: Any, arguments: tuple[Any, ...], switches: bool) -> tuple[Any, ...]:
    """For each jump, and for each switch, its numbers."""
    jumps = model.jump_times(*arguments) if model.description.jumps and hasattr(model, "jump_times") else ()
    return (*jumps, *(_switch_times(model, arguments) if switches else ()))


def _switch_times(model: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """A time that does not exist (a division by 0 in a branch that is not taken) is a number that is not finite."""
    if not hasattr(model, "switch_times"):
        return ()
    params, consts = (tuple(np.float64(v) if isinstance(v, float) else v for v in part) for part in arguments)
    with np.errstate(all="ignore"):
        return tuple(model.switch_times(params, consts))


@lru_cache(maxsize=64)
def switch_count(model: type[Model]) -> int:
    """How many conditions on the time alone the equations have."""
    return len(_switch_times(model, (_ones(model), _own_consts(model))))


def _regrouped(found: Any, column: np.ndarray) -> tuple[tuple[float | None, ...], ...]:
    rest = iter(column.tolist())
    return tuple(tuple(None if t is None else v for t, v in ((t, next(rest)) for t in jump)) for jump in found)


def course_of(
    model: type[Model], schedule: Schedule, times: Times, knots: np.ndarray | None = None, before: bool = False
) -> Course:
    """The schedule split at jump times and knots. E0606 for a run backwards through jumps."""
    return _course(model, schedule, times, None if knots is None else tuple(knots.tolist()), before)


def jump_moments(model: type[Model], schedule: Schedule) -> frozenset[float]:
    """The asked times of a schedule at which a jump happens whatever the params are."""
    description = model.description
    if not description.jumps or timed_by(model):
        return frozenset()
    behind, before = (fixed_course(model, schedule, _own_numbers(model), before=before) for before in (False, True))
    return frozenset(schedule.times[behind.order != before.order].tolist())


def _own_numbers(model: type[Model]) -> tuple[tuple[str, Any], ...]:
    return tuple(model.constants({}).items())


def fixed_course(
    model: type[Model],
    schedule: Schedule,
    numbers: Sequence[tuple[str, Any]],
    knots: np.ndarray | None = None,
    known: Mapping[str, float] | None = None,
    before: bool = False,
) -> Course:
    """The course of a program whose params are not known when it is built, but for those `known` (that are not
    trained). E0702 where jump times depend on others."""
    return course_of(model, schedule, fixed_times(model, numbers, known), knots, before)


def fixed_times(
    model: type[Model],
    numbers: Sequence[tuple[str, Any]],
    known: Mapping[str, float] | None = None,
    switches: bool = False,
) -> Times:
    """The jump times of such a program, and the times of the `switches` that depend on nothing else."""
    if not (model.description.jumps or (switches and switch_count(model))):
        return ((),)
    known = known or {}
    if model.description.jumps:
        check_fixed(model, known)
    elements = model.description.param_elements
    names = [param.name for param in model.description.params]
    rows = np.array([[known.get(name, 1.0)] for name in elements]).reshape(len(elements), 1)
    times = numeric_times(model, dict(numbers), names, rows, switches)
    others = np.array([[known.get(name, 1.7)] for name in elements]).reshape(len(elements), 1)
    jumps = len(model.description.jumps)
    fixed = zip(times[0], numeric_times(model, dict(numbers), names, others, switches)[0], strict=True)
    # A switch that params move is not stopped at: they may be trained.
    return (tuple(own if j < jumps or own == other else (None, None) for j, (own, other) in enumerate(fixed)),)


def timed_by(model: type[Model]) -> tuple[str, ...]:
    """The params that the times of jumps depend on; all of them where the module does not say."""
    description = model.description
    if all(jump.kind == "when" for jump in description.jumps):
        return ()
    if not hasattr(model, "jump_times_p"):
        return _by_difference(model)
    tables = model.jump_times_p(_ones(model), _own_consts(model))
    named = {name for jump in tables for table in jump for name in table}
    return tuple(param.name for param in description.params if param.name in named)


def _by_difference(model: type[Model]) -> tuple[str, ...]:
    """The params whose value changes what `jump_times` gives, as far as two values tell."""
    description, consts = model.description, _own_consts(model)

    def times(other: str) -> Any:
        scale = {param.name: 1.7 if param.name == other else 1.0 for param in description.params}
        values = (scale[p.name] * (np.ones((*p.shape, 1)) if p.shape else 1.0) for p in description.params)
        return repr(model.jump_times(tuple(values), consts))  # type: ignore[attr-defined]

    return tuple(param.name for param in description.params if times(param.name) != times(""))


def _ones(model: type[Model]) -> tuple[Any, ...]:
    return tuple(np.ones((*param.shape, 1)) if param.shape else 1.0 for param in model.description.params)


def _own_consts(model: type[Model]) -> tuple[Any, ...]:
    items: tuple[Any, ...] = (*model.description.consts, *model.description.sizes)
    found = model.constants({})
    return tuple(found[item.name] for item in items)


def check_fixed(model: type[Model], known: Collection[str] = ()) -> None:
    """E0702 where the times of jumps depend on params that are not `known`."""
    names = [name for name in timed_by(model) if name not in known]
    if names:
        listed = ", ".join(f"`{name}`" for name in names)
        message = f"the times of jumps in {model.description.name} depend on {listed}, which is trained here"
        raise OdecError.of("E0702", message, "fit it by least squares (`odec fit`), or freeze it: `frozen=[…]`")


@lru_cache(maxsize=64)
def _course(
    model: type[Model], schedule: Schedule, times: Times, knots: tuple[float, ...] | None, before: bool
) -> Course:
    description = model.description
    far = schedule.times[int(np.argmax(np.abs(schedule.times - schedule.start)))]
    rows = _firings(model, times, schedule.start, far)
    found = course(schedule, len(description.jumps), rows, None if knots is None else np.array(knots), before)
    return found if found.starts.size else _still(found, schedule.start)


def stops_of(
    model: type[Model], timing: Adaptive, times: Times, knots: np.ndarray | None = None, before: bool = False
) -> Stops:
    """The intervals of an adaptive run between jump times and knots. E0606 for a run backwards through jumps."""
    return _stops(model, timing, times, None if knots is None else tuple(knots.tolist()), before)


@lru_cache(maxsize=64)
def _stops(model: type[Model], timing: Adaptive, times: Times, knots: tuple[float, ...] | None, before: bool) -> Stops:
    rows = _firings(model, times, timing.start, timing.end)
    return laid(timing, len(model.description.jumps) + switch_count(model), rows, np.array(knots or ()), before)


def _firings(model: type[Model], times: Times, start: float, end: float) -> list[Firings]:
    """The known jumps of each row. E0606 for a run backwards."""
    description = model.description
    if end < start and description.jumps:
        message = f"{description.name} jumps, and this run goes backwards in time: a jump cannot be undone"
        raise OdecError.of("E0606", message, "run it forwards, from an earlier start")
    ends = (min(start, end), max(start, end))
    return [firings(description, row, *ends) for row in times] or [firings(description, (), *ends)]


def _still(found: Course, start: float) -> Course:
    """One interval without steps, where a run has none."""
    jumps = found.fired.shape[1]
    return Course(
        np.array([start]),
        np.zeros(1),
        np.zeros(1, dtype=np.int32),
        found.order,
        found.times,
        np.zeros((1, jumps, 1), dtype=bool),
        np.zeros((1, jumps, 1), dtype=np.int32),
    )
