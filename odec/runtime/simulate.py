"""Runs and sensitivities of a model on NumPy arrays, compiled once and kept: what `odec.solve` and the fit call.

A program is traced once for each model, method, dtype and choice of columns; new numbers, rows, times and steps need
no new trace (XLA compiles again for other lengths of them, not for other values).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from keras import ops

from odec.diagnostics import OdecError, nearest
from odec.runtime import loops, methods
from odec.runtime.contract import Model
from odec.runtime.equations import Equations, Slots, Variations
from odec.runtime.schedule import Schedule

Numbers = Mapping[str, Any]
Tensor = Any


def solve(
    model: type[Model],
    schedule: Schedule,
    *,
    method: str,
    params: Any,
    consts: Numbers | None = None,
    initial: Numbers | None = None,
    columns: Sequence[str] | None = None,
    dtype: str = "float64",
) -> np.ndarray:
    """The columns (rows, times, columns) of one run for each row.

    `params` (P,) or (rows, P) in the order of the description; `consts` and `initial` map names to a number or to
    (rows,). `columns` are names of states and outputs, by default the states and then each `observe`. E0603 for a
    name that is none.
    """
    request = _request(model, method, params, consts, initial, columns, None, dtype)
    values = request.run(schedule)
    return np.moveaxis(values, -1, 0)


def sensitivities(
    model: type[Model],
    schedule: Schedule,
    *,
    method: str,
    params: Any,
    consts: Numbers | None = None,
    initial: Numbers | None = None,
    columns: Sequence[str] | None = None,
    wrt: Sequence[str] | None = None,
    dtype: str = "float64",
) -> tuple[np.ndarray, np.ndarray]:
    """The values (rows, times, columns) and their derivatives (rows, times, columns, len(wrt)).

    `wrt` are names of params (default: all) or of states, whose initial value is then meant. The derivatives are
    exact for the numbers computed: the method is applied to the variational equation. A state in `initial` does not
    depend on params.
    """
    names = tuple(wrt) if wrt is not None else tuple(param.name for param in model.description.params)
    request = _request(model, method, params, consts, initial, columns, names, dtype)
    if not names:
        values = request.run(schedule)
        return np.moveaxis(values, -1, 0), np.zeros((*np.moveaxis(values, -1, 0).shape, 0))
    both = np.transpose(request.run(schedule), (3, 0, 1, 2))
    return both[..., 0], both[..., 1:]


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
    states = tuple(state.name for state in model.description.states)
    return states + tuple(o.name for o in model.description.outputs if o.kind == "observe" and o.name not in states)


@dataclass(frozen=True)
class Program:
    """The pure functions of one model, method and choice of columns. Hashable, so that its compiled form is found
    again.

    `replaced` are the consts that come as rows behind the params, `given` the states whose start is given; `wrt` is
    None for values alone.
    """

    model: type[Model]
    method: str
    columns: tuple[str, ...]
    replaced: tuple[str, ...]
    numbers: tuple[tuple[str, float], ...]
    given: tuple[str, ...]
    wrt: tuple[str, ...] | None
    dtype: str

    @property
    def equations(self) -> Equations | Variations:
        """What is stepped."""
        names = tuple(param.name for param in self.model.description.params)
        equations = Equations(self.model, Slots(rows=names + self.replaced, numbers=self.numbers))
        return equations if self.wrt is None else Variations(equations, self.wrt)

    def trajectory(self, schedule: Schedule, rows: Tensor, given: Tensor | None = None) -> Tensor:
        """In a graph: the columns (times, C, batch), with sensitivities (times, C, 1 + P, batch), at the schedule's
        times.

        `rows` (P + replaced, batch), `given` (len(given), batch), tensors of the program's dtype. Differentiable by
        both.
        """
        if given is None:
            given = ops.zeros_like(rows[:0])
        values = self._values(schedule.starts, schedule.steps, schedule.counts, rows, given, schedule.single)
        return ops.take(values, schedule.order, axis=0)

    def _values(self, starts: Any, steps: Any, counts: Any, rows: Tensor, given: Tensor, single: bool) -> Tensor:
        """The columns at the start and the end of each interval, (M + 1, C, …, batch)."""
        equations, method = self.equations, methods.tableau(self.method)
        theta = (ops.zeros((0,), dtype=self.dtype), rows)
        like = ops.zeros_like(_first_row(rows, given))
        x0 = equations.initial(theta, {name: given[i] for i, name in enumerate(self.given)}, like)

        def step(time: Callable[[float], Tensor], h: Tensor, x: Tensor, theta: Sequence[Tensor]) -> Tensor:
            return methods.step(method, lambda t, y: equations.rhs(t, y, theta), time, h, x)

        states = loops.trajectory(step, x0, theta, starts, steps, counts, single=single)
        ends = ops.convert_to_tensor(starts) + ops.cast(counts, "float64") * steps
        times = ops.cast(ops.concatenate([ops.convert_to_tensor(starts)[:1], ends]), self.dtype)
        return equations.columns(times, ops.concatenate([x0[None], states]), theta, self.columns)


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
    names = default_columns(model) if columns is None else tuple(columns)
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

    def run(self, schedule: Schedule) -> np.ndarray:
        """The columns at the asked times, batch last."""
        if schedule.starts.size == 0:
            # Only the start was asked for: a step of length 0 leads there.
            still, one = np.zeros(1), np.ones(1, dtype=np.int32)
            values = _compiled(self.program, True)(still + schedule.start, still, one, self.rows, self.given)
        else:
            run = _compiled(self.program, schedule.single)
            values = run(schedule.starts, schedule.steps, schedule.counts, self.rows, self.given)
        return _at_times(np.asarray(values), schedule)


def _at_times(values: np.ndarray, schedule: Schedule) -> np.ndarray:
    if schedule.follows_intervals:
        return values[1:]
    if len(schedule.order) == len(values) and np.all(schedule.order == np.arange(len(values))):
        return values
    return values[schedule.order]


@lru_cache(maxsize=64)
def _compiled(program: Program, single: bool) -> Callable[..., Any]:
    def run(starts: Tensor, steps: Tensor, counts: Tensor, rows: Tensor, given: Tensor) -> Tensor:
        return program._values(starts, steps, counts, rows, given, single)

    height = len(program.model.description.params) + len(program.replaced)
    shapes = ([None], [None], [None], [height, None], [len(program.given), None])
    return loops.compiled(run, shapes, ("float64", "float64", "int32", program.dtype, program.dtype))


def _first_row(rows: Tensor, given: Tensor) -> Tensor:
    """Any array (batch,), for its shape and dtype; a model without params and given states has neither."""
    if rows.shape[0]:
        return rows[0]
    return given[0] if given.shape[0] else ops.sum(rows, axis=0)


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
    consts, initial = dict(consts or {}), dict(initial or {})
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
    parts = [np.broadcast_to(rows, (len(rows), count))] + [np.broadcast_to(v, (1, count)) for v in named.values()]
    return np.ascontiguousarray(np.concatenate(parts) if named else parts[0], dtype=dtype)


@lru_cache(maxsize=64)
def _constants(model: type[Model]) -> dict[str, float]:
    """Every const at the model's own value, as a Python number that the compiler sees."""
    found = model.constants({})
    return {const.name: float(found[const.name]) for const in model.description.consts}


def _replaced(model: type[Model], consts: Numbers, count: int) -> dict[str, np.ndarray]:
    """The replaced consts and all that depend on them, as rows."""
    given = {name: np.broadcast_to(np.asarray(value, dtype=np.float64), (count,)) for name, value in consts.items()}
    found = model.constants(dict(given))
    return {const.name: found[const.name] for const in model.description.consts if np.ndim(found[const.name]) > 0}


def _check_names(
    model: type[Model],
    columns: Sequence[str],
    consts: Sequence[str] | Numbers,
    initial: Sequence[str] | Numbers,
    wrt: Sequence[str],
) -> None:
    description = model.description
    states = [state.name for state in description.states]
    params = [param.name for param in description.params]
    outputs = [output.name for output in description.outputs]
    for names, kind, known in (
        (columns, "state or output", states + outputs),
        (consts, "const", [const.name for const in description.consts]),
        (initial, "state", states),
        (wrt, "param or state", params + states),
    ):
        for name in names:
            if name not in known:
                cure = nearest(name, known) or (
                    f"{description.name} has {', '.join(known)}" if known else "it has none"
                )
                raise OdecError.of("E0603", f"{description.name} has no {kind} `{name}`", cure)
