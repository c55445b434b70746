"""How states move: one step of a model by a method, what happens at the end of an interval, and what is read off.

    motion = Motion(equations, "rk4")
    x0 = motion.started(x0)
    states = loops.trajectory(motion.step, x0, theta, …, series=…, finish=motion.finish(fired, numbers))

Where the model has a `when`, the packed array has further rows (`odec.runtime.events`); `states_of` takes them off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from keras import ops

from odec.runtime import jacobian, loops, methods, stepping
from odec.runtime.equations import Equations, Variations
from odec.runtime.events import Watch
from odec.runtime.jumps import base, known_jump, known_switch, uses_time, values
from odec.runtime.signals import driven, inside

Tensor = Any


# Equations, with those of sensitivities, from which on the stages of an explicit method are a loop: 40 states take
# 2.9 s of the processor to compile instead of 7.1, and no longer to run (1,024 rows at once: 1.4 times as long).
LONG = 24


@dataclass(frozen=True)
class Motion:
    """A model, with or without sensitivities, and the method that steps it (a map steps itself)."""

    equations: Equations | Variations
    method: str

    @cached_property
    def description(self) -> Any:
        """The model's."""
        return base(self.equations).model.description

    @cached_property
    def watch(self) -> Watch | None:
        """What looks for the conditions of `when`s, if there are any."""
        if not any(jump.kind == "when" for jump in self.description.jumps):
            return None
        plain = Motion(base(self.equations), self.method)
        return Watch(self.equations, self.advanced, plain.advanced)

    def rhs(self, moment: loops.Moment, c: Any, x: Tensor, theta: Sequence[Tensor]) -> Tensor:
        """The right-hand side at fraction `c` of a step."""
        inputs = inside(moment.series, lambda: moment.along(c))
        return driven(self.equations, inputs).rhs(moment.time(c), x, theta)

    def advanced(
        self, moment: loops.Moment, x: Tensor, theta: Sequence[Tensor], begin: Any = 0.0, span: Any = 1.0
    ) -> Tensor:
        """The method's step over the part of the moment from the fraction `begin`, `span` long."""
        if self.description.is_map:
            return self.rhs(moment, begin, x, theta)
        method = methods.tableau(self.method)
        if isinstance(method, methods.Rosenbrock):
            return self.attempt(moment, x, theta, begin, span).x
        h = moment.h if isinstance(span, float) else moment.h * span
        return methods.step(method, lambda c, y: self.rhs(moment, c, y, theta), lambda c: begin + c * span, h, x)

    def attempt(
        self,
        moment: loops.Moment,
        x: Tensor,
        theta: Sequence[Tensor],
        begin: Any = 0.0,
        span: Any = 1.0,
        first: Tensor | None = None,
        is_derived: bool = True,
    ) -> stepping.Step:
        """The same with the error, for a method that has one; `first` is the slope at the start, where it is known.
        What is not `is_derived` has no gradient, and less to compile."""
        method = methods.tableau(self.method)
        h = moment.h if isinstance(span, float) else moment.h * span

        def slope(c: Any, y: Tensor) -> Tensor:
            return self.rhs(moment, begin + c * span, y, theta)

        if isinstance(method, methods.Tableau):
            return stepping.explicit(method, slope, h, x, first, looped=self._is_long and not is_derived)
        equations = driven(self.equations, inside(moment.series, lambda: moment.along(begin)))
        solve = jacobian.solver(equations, moment.time(begin), x, theta, 1 / (h * method.gamma))
        in_time = None
        if uses_time(base(self.equations).model) or moment.series:
            first = slope(0.0, x) if first is None else first
            in_time = jacobian.slope_in_time(slope, first, x, h)
        return stepping.rosenbrock(method, slope, in_time, solve, h, x, first, looped=not is_derived)

    @cached_property
    def _is_long(self) -> bool:
        """Whether the right-hand side is a long program, and takes long to compile again for each stage."""
        equations = base(self.equations)
        columns = 1 + len(self.equations.wrt) if isinstance(self.equations, Variations) else 1
        return equations.layout.is_scalar and len(equations.states) * columns >= LONG

    def step(self, moment: loops.Moment, x: Tensor, theta: Sequence[Tensor]) -> Tensor:
        """One whole step."""
        return self.advanced(moment, x, theta) if self.watch is None else self.watch.step(moment, x, theta)

    def finish(self, fired: Tensor, numbers: Tensor) -> loops.Finish:
        """The known jumps of each interval: `fired` and `numbers` (M, J, batch or 1)."""

        def finish(i: Tensor, moment: loops.Moment, x: Tensor, theta: Sequence[Tensor]) -> Tensor:
            return self.jumped(moment, x, theta, fired[i], numbers[i])

        return finish

    def jumped(
        self, moment: loops.Moment, x: Tensor, theta: Sequence[Tensor], fired: Tensor, numbers: Tensor
    ) -> Tensor:
        """Behind the known jumps that happen at the moment, and behind what they make fire."""

        def behind() -> Tensor:
            packed = self.behind_jumps(moment, x, theta, fired, numbers)
            return packed if self.watch is None else self.watch.settled(moment, packed, theta)

        return loops.chosen(ops.any(fired), behind, lambda: x)

    def behind_jumps(
        self, moment: loops.Moment, x: Tensor, theta: Sequence[Tensor], fired: Tensor, numbers: Tensor
    ) -> Tensor:
        """Behind the known jumps, and behind them the switches, that `fired` (J, batch or 1) at the moment; `numbers`
        says which of their times."""
        equations = driven(self.equations, inside(moment.series, lambda: moment.along(0.0)))
        rows = self.states_of(x)
        for j, jump in enumerate(self.description.jumps):
            if jump.kind != "when":
                rows = known_jump(equations, j, jump.kind, numbers[j], fired[j], moment.time(0.0), rows, theta)
        if isinstance(equations, Variations):
            many = len(self.description.jumps)
            together = ops.sum(ops.cast(fired[many:], rows.dtype), axis=0)
            for s in range(fired.shape[0] - many):
                where = numbers[many + s], fired[many + s], together
                rows = known_switch(equations, s, *where, moment.sides(), rows, theta)
        return rows if self.watch is None else ops.concatenate([rows, x[self.watch.size :]], axis=0)

    def run(
        self,
        x0: Tensor,
        theta: Sequence[Tensor],
        course: Sequence[Tensor],
        series: Sequence[Tensor],
        *,
        single: bool,
    ) -> tuple[Tensor, Tensor]:
        """The states (T, D, …, batch) at the asked places of a course (its starts, steps, counts, order, fired and
        numbers, these three as tensors); for each row the `when` that never ends (0: none) and its time, (2, batch).
        """
        starts, steps, counts, order, fired, numbers = course
        first, none, count = map(ops.convert_to_tensor, (starts[0], steps[0] * 0, counts[0]))
        begin = loops.Moment(first, none, count, count, x0.dtype, tuple(part[0] for part in series))
        x0 = self.started(x0, begin, theta)
        known = any(jump.kind != "when" for jump in self.description.jumps)
        finish = self.finish(fired, numbers) if known else None
        states = loops.trajectory(
            self.step, x0, theta, starts, steps, counts, single=single, series=series, finish=finish
        )
        last = values(states[-1])[-2:] if self.watch is not None else ops.zeros((2, ops.shape(x0)[-1]), x0.dtype)
        read = picked(ops.concatenate([x0[None], states]), order)
        return self.states_of(read, axis=1), last

    def started(self, x0: Tensor, moment: loops.Moment, theta: Sequence[Tensor]) -> Tensor:
        """The start, with the rows that a `when` needs."""
        return x0 if self.watch is None else self.watch.started(x0, moment, theta)

    def states_of(self, x: Tensor, axis: int = 0) -> Tensor:
        """The states alone, along `axis` of an array of packed ones."""
        if self.watch is None:
            return x
        count = self.watch.size
        return x[:count] if axis == 0 else x[:, :count]


def outputs(
    motion: Motion,
    times: Tensor,
    states: Tensor,
    theta: Sequence[Tensor],
    columns: Sequence[str],
    inputs: Tensor | None,
) -> Tensor:
    """The columns (T, C, …, batch) of packed states (T, D, …, batch) at times (T,), with inputs (T, I, batch or 1)."""
    if inputs is not None:
        batch = ops.shape(states)[-1]
        inputs = ops.broadcast_to(inputs, (ops.shape(inputs)[0], inputs.shape[1], batch))
        inputs = ops.reshape(ops.transpose(inputs, (1, 0, 2)), (inputs.shape[1], -1))
    return driven(motion.equations, inputs).columns(times, states, theta, columns)


def picked(states: Tensor, order: Any) -> Tensor:
    """States (M + 1, D, …, batch) at the places `order` (T,), or (T, batch), each row's own."""
    order = ops.convert_to_tensor(order)
    if len(order.shape) == 1:
        return ops.take(states, order, axis=0)
    inner = [1] * (len(states.shape) - 2)
    shape = ops.shape(states)
    place = ops.reshape(order, (ops.shape(order)[0], *inner, ops.shape(order)[1]))
    return ops.take_along_axis(states, ops.broadcast_to(place, (ops.shape(order)[0], *shape[1:])), axis=0)
