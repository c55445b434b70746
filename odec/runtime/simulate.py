"""Runs and sensitivities of a model on NumPy arrays, compiled once and kept: what `odec.solve` and the fit call.

A program is traced once for each model, method, dtype and choice of columns; new numbers, rows, times and steps need
no new trace (XLA compiles again for other lengths of them, not for other values).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple
from weakref import WeakSet

import numpy as np
from keras import ops

from odec.diagnostics import OdecError, nearest
from odec.runtime import loops, methods
from odec.runtime.adaptive import Adaptive, Stops
from odec.runtime.contract import Model
from odec.runtime.driving import Drive, Report, blocks, filled
from odec.runtime.march import Options
from odec.runtime.program import Program as Program
from odec.runtime.program import signals_of
from odec.runtime.schedule import Schedule
from odec.runtime.signals import Signal, check_inputs, interpolated
from odec.runtime.stops import course_of, numeric_times, stops_of, switch_count

Numbers = Mapping[str, Any]
Tensor = Any
Timing = Schedule | Adaptive

# What the values kept of the steps in a chunk take, in bytes: the middle cache of a core holds them.
CHUNK_BYTES = 2**21
LONGEST_CHUNK, SHORTEST_CHUNK = 128, 8
# How many parts the stops have.
STOPS = 5

# The compiled runs that were called before.
_RUN: WeakSet[Callable[..., Any]] = WeakSet()


@dataclass(frozen=True)
class Run:
    """An adaptive run. `values` (rows, times, columns), NaN behind a failure; for each row: `status` (a constant of
    `odec.runtime.steering`), the time `reached` and the states `last` (rows, D) there, accepted `steps`, `refused`
    attempts, the length of the last step, and the last jump of a `when` (its place in `description.jumps`, -1: none).
    """

    values: np.ndarray
    status: np.ndarray
    reached: np.ndarray
    steps: np.ndarray
    refused: np.ndarray
    last_step: np.ndarray
    last: np.ndarray
    event: np.ndarray


class Sensitivities(NamedTuple):
    """`values` (rows, times, columns) with their `derivatives` (rows, times, columns, len(wrt)), and the `attempts` of
    a step (rows,) that an adaptive run took, accepted and refused."""

    values: np.ndarray
    derivatives: np.ndarray
    attempts: np.ndarray


def solve(
    model: type[Model],
    timing: Timing,
    *,
    method: str,
    params: Any,
    consts: Numbers | None = None,
    initial: Numbers | None = None,
    columns: Sequence[str] | None = None,
    dtype: str = "float64",
    inputs: Signal | None = None,
    before: bool = False,
) -> np.ndarray:
    """The columns (rows, times, columns) of one run for each row.

    `params` (P,) or (rows, P) in the order of the description; `consts` and `initial` map names to a number or to
    (rows,). `columns` are names of states and outputs, by default the states and then each `observe`. `inputs` are
    those of a model that has some. At the time of a jump the value behind it is given, or the one `before`. E0603 for
    a name that is none; a row in which jumps follow each other without end (see `endless`), or that fails in an
    adaptive run (see `run`), is NaN from there.
    """
    request = _request(model, method, params, consts, initial, columns, None, dtype)
    values = request.run(timing, inputs, before)
    return np.moveaxis(values, -1, 0)


def run(
    model: type[Model],
    timing: Adaptive,
    *,
    method: str,
    params: Any,
    consts: Numbers | None = None,
    initial: Numbers | None = None,
    columns: Sequence[str] | None = None,
    dtype: str = "float64",
    inputs: Signal | None = None,
    before: bool = False,
    watches: bool = False,
    report: Report | None = None,
) -> Run:
    """An adaptive run as `solve` makes it, with how it went. `watches` ends a row whose problem is stiff (status
    `STIFF`). A run that takes seconds calls `report` now and then (`driving.Progress`); what that raises ends it."""
    request = _request(model, method, params, consts, initial, columns, None, dtype)
    values, info, last = request.march(timing, inputs, before, watches, report)
    reached, last_step = info[1], info[4]
    status, steps, refused, event = info[[0, 2, 3, 5]].astype(int)
    whens = np.array([-1, *(j for j, jump in enumerate(model.description.jumps) if jump.kind == "when")])
    return Run(np.moveaxis(values, -1, 0), status, reached, steps, refused, last_step, last.T, whens[event])


def endless(
    model: type[Model],
    schedule: Schedule,
    *,
    method: str,
    params: Any,
    consts: Numbers | None = None,
    initial: Numbers | None = None,
    dtype: str = "float64",
    inputs: Signal | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """For each row the jump of `description.jumps` that follows itself without end (-1: none), and the time."""
    request = _request(model, method, params, consts, initial, None, None, dtype)
    number, time = request.run_to_end(schedule, inputs)
    whens = [j for j, jump in enumerate(model.description.jumps) if jump.kind == "when"]
    return np.array([whens[int(n) - 1] if n > 0 else -1 for n in number], dtype=int), time


def sensitivities(
    model: type[Model],
    timing: Timing,
    *,
    method: str,
    params: Any,
    consts: Numbers | None = None,
    initial: Numbers | None = None,
    columns: Sequence[str] | None = None,
    wrt: Sequence[str] | None = None,
    dtype: str = "float64",
    inputs: Signal | None = None,
    before: bool = False,
) -> Sensitivities:
    """The values with their derivatives, and what they took.

    `wrt` are names of params (default: all) or of states, whose initial value is then meant. The derivatives are
    exact for the numbers computed: the method is applied to the variational equation. (Where the time of a jump
    depends on a param, they are those of the solution.) A state in `initial` does not depend on params.
    """
    description = model.description
    names = description.param_elements if wrt is None else description.expanded(wrt)
    request = _request(model, method, params, consts, initial, columns, names, dtype)
    attempts = np.zeros(request.rows.shape[-1])
    if isinstance(timing, Adaptive):
        found, info, _ = request.march(timing, inputs, before)
        attempts = info[2] + info[3]
    else:
        found = request.run(timing, inputs, before)
    if not names:
        values = np.moveaxis(found, -1, 0)
        return Sensitivities(values, np.zeros((*values.shape, 0)), attempts)
    both = np.transpose(found, (3, 0, 1, 2))
    return Sensitivities(both[..., 0], both[..., 1:], attempts)


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors as one XLA program, for a loop of the caller's own around `Program.trajectory`.

    A chunk of epochs of gradient descent in one call:

        program = simulate.program(Competition, method="euler")
        def loss(theta):                                        # theta (P, rows)
            return ops.sum((program.trajectory(schedule, theta) - data) ** 2)
        def epoch(i, theta):
            value, (gradient,) = loops.value_and_gradient(loss, theta)
            return theta - 1e-9 * gradient
        chunk = simulate.compiled(lambda theta: loops.repeat(1000, epoch, theta))
    """
    return loops.compiled(function)


def default_columns(model: type[Model]) -> tuple[str, ...]:
    """The states, then each `observe` that is not a state's own name."""
    description = model.description
    states = description.state_elements
    observed = description.expanded(output.name for output in description.outputs if output.kind == "observe")
    return states + tuple(name for name in observed if name not in states)


def program(
    model: type[Model],
    *,
    method: str,
    columns: Sequence[str] | None = None,
    replaced: Sequence[str] = (),
    given: Sequence[str] = (),
    wrt: Sequence[str] | None = None,
    dtype: str = "float64",
) -> Program:
    """The program of a model whose params (and `replaced` consts) come as rows."""
    names = default_columns(model) if columns is None else model.description.expanded(columns)
    methods.tableau(method)
    _check_names(model, names, replaced, given, wrt or ())
    numbers = tuple((name, value) for name, value in _constants(model).items() if name not in replaced)
    return Program(
        model, method, names, tuple(replaced), numbers, tuple(given), None if wrt is None else tuple(wrt), dtype
    )


@dataclass(frozen=True)
class _Request:
    """A program with its arrays: rows (P + replaced, batch), given (G, batch)."""

    program: Program
    rows: np.ndarray
    given: np.ndarray

    def run(self, timing: Timing, inputs: Signal | None = None, before: bool = False) -> np.ndarray:
        """The columns at the asked times, batch last."""
        if isinstance(timing, Adaptive):
            return self.march(timing, inputs, before)[0]
        schedule = timing
        if not self.program.is_plain:
            return np.asarray(self._run_along(schedule, inputs, before)[0])
        if schedule.starts.size == 0:
            # Only the start was asked for: a step of length 0 leads there.
            still, one = np.zeros(1), np.ones(1, dtype=np.int32)
            values = _compiled(self.program, True)(still + schedule.start, still, one, self.rows, self.given)
        else:
            run = _compiled(self.program, schedule.single)
            values = run(schedule.starts, schedule.steps, schedule.counts, self.rows, self.given)
        return _at_times(np.asarray(values), schedule)

    def march(
        self,
        timing: Adaptive,
        inputs: Signal | None,
        before: bool,
        watches: bool = False,
        report: Report | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The columns at the asked times, batch last; how each row went, and the states it reached (`march.Outcome`)"""
        program = self.program
        check_inputs(program.model.description, inputs)
        if not methods.tableau(program.method).error:
            message = f"method {program.method} does not estimate its error, which a tolerance needs"
            raise OdecError.of("E0606", message, "choose tsit5 or rodas5p, or give a step")
        stops = stops_of(
            program.model, timing, self._jump_times(switches=True), None if inputs is None else inputs.knots, before
        )
        rows = self.rows.shape[-1]
        size, options, parts = _plan(program, timing, stops, rows, watches)
        signals = () if inputs is None else signals_of(program, inputs, stops, timing.times, before)

        def part(resumes: bool, turns: int, block: slice, paused: Sequence[Any]) -> Any:
            def own(array: Any) -> Any:
                return filled(array, block, rows)

            laid = map(own, parts[:STOPS]) if stops.by_row else parts[:STOPS]
            run = _compiled_march(program, options, stops.by_row, resumes)
            more = (_whole(turns), own(self.rows), own(self.given), *map(own, signals), *paused)
            found = run(*laid, *parts[STOPS:], *more)
            return *map(np.asarray, found[:3]), found[3:]

        from_start = _compiled_march(program, options, stops.by_row, False)
        drive = Drive(part, rows, size, options.chunk, timing.start, timing.end, report, from_start not in _RUN)
        found = drive()
        _RUN.add(from_start)
        return found

    def run_to_end(self, schedule: Schedule, inputs: Signal | None = None) -> np.ndarray:
        """(2, batch): the `when` (from 1) that has no end in a row, 0 for none, and the time."""
        return np.asarray(self._run_along(schedule, inputs, False)[1])

    def _run_along(self, schedule: Schedule, inputs: Signal | None, before: bool) -> Any:
        model, program = self.program.model, self.program
        check_inputs(model.description, inputs)
        laid = course_of(model, schedule, self._jump_times(), None if inputs is None else inputs.knots, before)
        parts = [laid.starts, laid.steps, laid.counts, laid.order, laid.times, laid.fired, laid.numbers]
        run = _compiled_course(program, laid.single, laid.by_row)
        if inputs is None:
            return run(*parts, self.rows, self.given)
        return run(*parts, self.rows, self.given, *signals_of(program, inputs, laid, laid.times, before))

    def _jump_times(self, switches: bool = False) -> Any:
        """What `jump_times` says for these rows, and `switch_times`."""
        program = self.program
        if not (program.model.description.jumps or (switches and switch_count(program.model))):
            return ()
        names = tuple(param.name for param in program.model.description.params) + program.replaced
        return numeric_times(program.model, dict(program.numbers), names, self.rows.astype(np.float64), switches)


def _at_times(values: np.ndarray, schedule: Schedule) -> np.ndarray:
    if schedule.follows_intervals:
        return values[1:]
    if len(schedule.order) == len(values) and np.all(schedule.order == np.arange(len(values))):
        return values
    return values[schedule.order]


@lru_cache(maxsize=64)
def _compiled(program: Program, single: bool) -> Callable[..., Any]:
    def run(starts: Tensor, steps: Tensor, counts: Tensor, rows: Tensor, given: Tensor) -> Tensor:
        return program.values(starts, steps, counts, rows, given, single)

    shapes = ([None], [None], [None], [program.height, None], [len(program.given), None])
    return loops.compiled(run, shapes, ("float64", "float64", "int32", program.dtype, program.dtype))


@lru_cache(maxsize=64)
def _plan(
    program: Program, timing: Adaptive, stops: Stops, rows: int, watches: bool
) -> tuple[int, Options, tuple[Any, ...]]:
    """How many numbers a row's packed states are, the options of a run of so many rows, and what it is asked, as
    tensors where that is the same for all rows: the parts of the stops, then the times, the tolerance and the limit."""
    size = program.size * (1 + len(program.wrt or ()))
    block = blocks(rows, size)[0]
    # Whether nothing but the end, behind all jumps, is asked for.
    to_end_only = timing.to_end_only and bool(np.all(stops.asked == len(stops.starts)))
    chunk = _chunk(program.method, size * (block.stop - block.start))
    laid = (stops.starts, stops.ends, stops.fired, stops.numbers, stops.asked)
    asked = (timing.times, timing.tolerance(program.size, program.dtype), np.int32(timing.limit))
    laid, asked = (
        parts if is_own else tuple(map(ops.convert_to_tensor, parts))
        for parts, is_own in ((laid, stops.by_row), (asked, False))
    )
    return size, Options(chunk, None, to_end_only, timing.exact, watches), (*laid, *asked)


@lru_cache(maxsize=64)
def _whole(number: int) -> Tensor:
    return ops.convert_to_tensor(number, dtype="int32")


def _chunk(method: str, size: int) -> int:
    """How many steps of packed states with `size` numbers are read together: a power of two."""
    dense = getattr(methods.tableau(method), "dense", ((),))
    fitting = CHUNK_BYTES // (8 * size * (len(dense[0]) + 1))
    return int(np.clip(2 ** (max(fitting, 1).bit_length() - 1), SHORTEST_CHUNK, LONGEST_CHUNK))


@lru_cache(maxsize=64)
def _compiled_march(program: Program, options: Options, by_row: bool, resumes: bool) -> Callable[..., Any]:
    description = program.model.description
    jumps, size = len(description.jumps) + switch_count(program.model), program.size
    own: list[int | None] = [None, None] if by_row else [None]
    shapes: list[list[int | None]] = [own, own, [None, jumps, None], [None, jumps, None], own, [None], [1 + size]]
    dtypes = ["float64", "float64", "bool", "int32", "int32", "float64", program.dtype, "int32", "int32"]
    columns = [] if program.wrt is None else [1 + len(program.wrt)]
    paused: list[list[int | None]] = [[None, None], [None, size, *columns, None]]
    function = partial(program.march, options, resumes)
    return _compiled_with(program, function, [*shapes, [], []], dtypes, paused if resumes else [])


def _compiled_with(
    program: Program,
    function: Callable[..., Any],
    shapes: list[list[int | None]],
    dtypes: list[str],
    paused: Sequence[list[int | None]] = (),
) -> Callable[..., Any]:
    """The function of arrays of those shapes, and behind them of the rows, the given states, the inputs, and of what a
    `paused` run left."""
    description = program.model.description
    shapes = [*shapes, [program.height, None], [len(program.given), None]]
    if description.inputs:
        shapes += [[None, len(interpolated(description)), None]] * 3
    dtypes = dtypes + [program.dtype] * (len(shapes) - len(dtypes))
    if paused:
        shapes, dtypes = [*shapes, *paused], [*dtypes, "float64", program.dtype]
    return loops.compiled(function, shapes, tuple(dtypes))


@lru_cache(maxsize=64)
def _compiled_course(program: Program, single: bool, by_row: bool) -> Callable[..., Any]:
    description = program.model.description
    jumps = len(description.jumps)
    own: list[int | None] = [None, None] if by_row else [None]
    shapes: list[list[int | None]] = [own, own, [None], own, [None], [None, jumps, None], [None, jumps, None]]
    dtypes = ["float64", "float64", "int32", "int32", "float64", "bool", "int32"]
    return _compiled_with(program, partial(program.along_course, single), shapes, dtypes)


def _request(
    model: type[Model],
    method: str,
    params: Any,
    consts: Numbers | None,
    initial: Numbers | None,
    columns: Sequence[str] | None,
    wrt: tuple[str, ...] | None,
    dtype: str,
) -> _Request:
    description = model.description
    consts = dict(consts or {})
    # A number for an array is that of each element.
    initial = {e: value for name, value in (initial or {}).items() for e in description.expanded([name])}
    rows = np.atleast_2d(np.asarray(params, dtype=np.float64)).T
    count = _row_count(rows, consts, initial)
    if consts:
        _check_names(model, (), consts, (), ())
        consts = _replaced(model, consts, count)
    template = program(
        model,
        method=method,
        columns=columns,
        replaced=tuple(consts),
        given=tuple(initial),
        wrt=wrt or None,
        dtype=dtype,
    )
    return _Request(template, _stacked(rows, consts, count, dtype), _stacked(np.zeros((0, 1)), initial, count, dtype))


def _row_count(rows: np.ndarray, *named: Numbers) -> int:
    lengths = {rows.shape[1], *(np.size(value) for numbers in named for value in numbers.values())} - {1}
    if len(lengths) > 1:
        raise OdecError.of(
            "E0606", f"params, consts and initial values have different numbers of rows: {sorted(lengths)}"
        )
    return lengths.pop() if lengths else 1


def _stacked(rows: np.ndarray, named: Numbers, count: int, dtype: str) -> np.ndarray:
    parts = [_spread(rows, count)]
    for value in map(np.asarray, named.values()):
        parts.append(_spread(value.reshape(-1, value.shape[-1]) if value.ndim > 1 else value.reshape(1, -1), count))
    return np.ascontiguousarray(np.concatenate(parts) if named else parts[0], dtype=dtype)


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    # NumPy's function alone takes 5 µs, a part of a short call that can be seen.
    return rows if rows.shape[1] == count else np.broadcast_to(rows, (len(rows), count))


@lru_cache(maxsize=64)
def _constants(model: type[Model]) -> dict[str, Any]:
    """Every const and size at the model's own value, as Python numbers that the compiler sees."""
    found = model.constants({})
    consts = {const.name: fixed(found[const.name], const.shape) for const in model.description.consts}
    return consts | {size.name: int(found[size.name]) for size in model.description.sizes}


def fixed(value: Any, shape: tuple[int, ...]) -> Any:
    """A const as a float, or an array of consts as nested tuples with the batch last."""
    if not shape:
        return float(value)
    array = np.asarray(value, dtype=np.float64)
    return _nested(np.broadcast_to(array, (*shape, 1)))


def _nested(array: np.ndarray) -> Any:
    return tuple(map(_nested, array)) if array.ndim else float(array)


def _replaced(model: type[Model], consts: Numbers, count: int) -> dict[str, np.ndarray]:
    """The replaced consts and all that depend on them, as rows."""
    given = {name: np.broadcast_to(np.asarray(value, dtype=np.float64), (count,)) for name, value in consts.items()}
    # A const that has no value now makes a run that is not finite, which is said with its place.
    with np.errstate(all="ignore"):
        found = model.constants(dict(given))
    own = model.constants({})
    changed = {}
    for const in model.description.consts:
        value = np.asarray(found[const.name], dtype=np.float64)
        if const.name in given or (
            value.shape[-1:] == (count,) and not np.array_equal(value, np.asarray(own[const.name]))
        ):
            changed[const.name] = np.broadcast_to(value, (*const.shape, count))
    return changed


def _check_names(
    model: type[Model],
    columns: Sequence[str],
    consts: Sequence[str] | Numbers,
    initial: Sequence[str] | Numbers,
    wrt: Sequence[str],
) -> None:
    description = model.description
    states, params, outputs = (
        [*elements, *(item.name for item in items)]
        for elements, items in (
            (description.state_elements, description.states),
            (description.param_elements, description.params),
            (description.output_elements, description.outputs),
        )
    )
    for names, kind, known in (
        (columns, "state or output", states + outputs),
        (consts, "const", [const.name for const in description.consts]),
        (initial, "state", states),
        (wrt, "param or state", params + states),
    ):
        for name in names:
            if name not in known:
                cure = nearest(name, known) or (
                    f"{description.name} has {', '.join(dict.fromkeys(known))}" if known else "it has none"
                )
                raise OdecError.of("E0603", f"{description.name} has no {kind} `{name}`", cure)
