"""The pure functions of a model, a method and a choice of columns: what runs and fits compile, and keep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from odec.runtime import loops
from odec.runtime.contract import Model
from odec.runtime.equations import Equations, Slots, Variations
from odec.runtime.jumps import base
from odec.runtime.march import March, Options
from odec.runtime.motion import Motion, outputs
from odec.runtime.schedule import Schedule
from odec.runtime.signals import Signal, along, at_times, check_inputs, interpolated
from odec.runtime.stops import fixed_course

Tensor = Any


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
    def height(self) -> int:
        """How many rows the params and replaced consts take."""
        shapes = {const.name: const.shape for const in self.model.description.consts}
        return len(self.model.description.param_elements) + sum(math.prod(shapes[name]) for name in self.replaced)

    @property
    def size(self) -> int:
        """How many states there are."""
        return len(base(self.equations).states)

    @property
    def equations(self) -> Equations | Variations:
        """What is stepped."""
        names = tuple(param.name for param in self.model.description.params)
        equations = Equations(self.model, Slots(rows=names + self.replaced, numbers=self.numbers))
        return equations if self.wrt is None else Variations(equations, self.wrt)

    def trajectory(
        self, schedule: Schedule, rows: Tensor, given: Tensor | None = None, inputs: Signal | None = None
    ) -> Tensor:
        """In a graph: the columns (times, C, batch), with sensitivities (times, C, 1 + P, batch), at the schedule's
        times. E0702 where the times of jumps depend on params.

        `rows` (P + replaced, batch), `given` (len(given), batch), tensors of the program's dtype. Differentiable by
        both.
        """
        if given is None:
            given = ops.zeros_like(rows[:0])
        if self.is_plain:
            values = self.values(schedule.starts, schedule.steps, schedule.counts, rows, given, schedule.single)
            return ops.take(values, schedule.order, axis=0)
        check_inputs(self.model.description, inputs)
        laid = fixed_course(self.model, schedule, self.numbers, None if inputs is None else inputs.knots)
        signals = () if inputs is None else signals_of(self, inputs, laid, laid.times, False)
        parts = (laid.starts, laid.steps, laid.counts, laid.order, laid.times, laid.fired, laid.numbers)
        return self.along_course(laid.single, *parts, rows, given, *map(ops.convert_to_tensor, signals))[0]

    @property
    def is_plain(self) -> bool:
        """Whether nothing but the method moves the states: no jump, no input."""
        return not (self.model.description.jumps or self.model.description.inputs)

    def values(self, starts: Any, steps: Any, counts: Any, rows: Tensor, given: Tensor, single: bool) -> Tensor:
        """The columns at the start and the end of each interval, (M + 1, C, …, batch)."""
        motion, theta = Motion(self.equations, self.method), (ops.zeros((0,), dtype=self.dtype), rows)
        x0 = self.started(rows, given, theta)
        states = loops.trajectory(motion.step, x0, theta, starts, steps, counts, single=single)
        ends = ops.convert_to_tensor(starts) + ops.cast(counts, "float64") * steps
        times = ops.cast(ops.concatenate([ops.convert_to_tensor(starts)[:1], ends]), self.dtype)
        return self.equations.columns(times, ops.concatenate([x0[None], states]), theta, self.columns)

    def along_course(
        self,
        single: bool,
        starts: Any,
        steps: Any,
        counts: Any,
        order: Any,
        times: Any,
        fired: Any,
        numbers: Any,
        rows: Tensor,
        given: Tensor,
        *signals: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The columns at the asked times, and for each row the `when` that never ends and its time (2, batch).

        `signals` are the inputs at both ends of each interval and at the asked times.
        """
        motion, theta = Motion(self.equations, self.method), (ops.zeros((0,), dtype=self.dtype), rows)
        course = (starts, steps, counts, *map(ops.convert_to_tensor, (order, fired, numbers)))
        x0 = self.started(rows, given, theta)
        read, last = motion.run(x0, theta, course, signals[:2], single=single)
        read_inputs = signals[2] if signals else None
        values = outputs(motion, ops.cast(times, self.dtype), read, theta, self.columns, read_inputs)
        return values, last

    def march(
        self,
        options: Options,
        resumes: bool,
        starts: Any,
        ends: Any,
        fired: Any,
        numbers: Any,
        asked: Any,
        times: Any,
        tolerance: Any,
        limit: Any,
        turns: Any,
        rows: Tensor,
        given: Tensor,
        *more: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The columns at the asked times of an adaptive run, as far as it came in so many `turns` (chunks); then, for
        each row, how it went and the state it reached, and what a run that `resumes` it needs (`march.Outcome`).

        `more` are the inputs (as in `along_course`), and behind them, for a run that resumes, those last two.
        """
        more, paused = (more[:-2], more[-2:]) if resumes else (more, ())
        motion, theta = Motion(self.equations, self.method), (ops.zeros((0,), dtype=self.dtype), rows)
        parts = map(ops.convert_to_tensor, (starts, ends, fired, numbers, asked, times, tolerance, limit))
        march = March(motion, *parts, series=more[:2], options=options, turns=ops.convert_to_tensor(turns))  # type: ignore[misc]
        x0 = self.started(rows, given, theta)
        outcome = march.resumed(x0, theta, *paused) if resumes else march.run(x0, theta)
        moments = ops.cast(ops.convert_to_tensor(times), self.dtype)
        values = outputs(motion, moments, outcome.values, theta, self.columns, more[2] if more else None)
        assert outcome.kept is not None
        return values, outcome.info, outcome.last, outcome.kept, outcome.values

    def started(self, rows: Tensor, given: Tensor, theta: Sequence[Tensor]) -> Tensor:
        """The packed start (D, …, batch)."""
        like = ops.zeros_like(_first_row(rows, given))
        return self.equations.initial(theta, {name: given[i] for i, name in enumerate(self.given)}, like)


def signals_of(program: Program, inputs: Signal, laid: Any, times: np.ndarray, before: bool) -> tuple[np.ndarray, ...]:
    """The inputs at both ends of each interval of a course or of stops, and at the asked times."""
    linear = interpolated(program.model.description)
    found = (*along(inputs, laid.starts, laid.ends, linear), at_times(inputs, times, linear, before))
    return tuple(np.asarray(signal, dtype=program.dtype) for signal in found)


def _first_row(rows: Tensor, given: Tensor) -> Tensor:
    """Any array (batch,), for its shape and dtype; a model without params and given states has neither."""
    if rows.shape[0]:
        return rows[0]
    return given[0] if given.shape[0] else ops.sum(rows, axis=0)
