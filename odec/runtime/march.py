"""An adaptive run: every row of the batch with its own steps, error control, jumps and end, in one compiled loop.

The loop runs over attempts of a step, of all rows at once; a row that is refused tries again while others go on. What
is needed for reading values inside a step is kept for `chunk` attempts, then all asked times among them are read in one
go. With a limit on the attempts a run has a gradient: that of the computed numbers, with the steps as they were taken.

A chunk is taken again for the gradient: what is kept of it is the state before it, and 16 bytes of each attempt of a
row. Errors and lengths of steps have no derivative; behind an event, the time has one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from keras import ops

from odec.runtime import loops, methods
from odec.runtime.equations import Variations
from odec.runtime.motion import Motion
from odec.runtime.reading import Reading
from odec.runtime.rowwise import (
    APPLIED,
    END,
    INTERVAL,
    LANDS,
    LENGTH,
    START,
    at,
    between_axes,
    blank_plan,
    one_row,
    packed,
    unpacked,
)
from odec.runtime.steering import DONE, RUNNING, TOO_MANY, Control, Steering, endless
from odec.runtime.stepping import Step, along

Tensor = Any
Tensors = Sequence[Tensor]

# The step of a row that waits for others, as a part of the run.
WAITING = 1e-9
# The last step to a stop may be this much longer than the error allows.
STRETCHED = 1.01


class Outcome(NamedTuple):
    """How each row went: `values` (T, D, …, batch), NaN behind a failure; `info` (6, batch) float64: status, time
    reached, steps, refused attempts, next step, last event (from 1; 0: none); `last` (D, …, batch), the state there.
    A run that pauses gives what it needs to go on: `kept` (K, batch) float64."""

    values: Tensor
    info: Tensor
    last: Tensor
    kept: Tensor | None = None


@dataclass(frozen=True)
class Options:
    """What is fixed when a run is compiled. `chunk` attempts are read together; `most` chunks end the run, and give it
    a gradient. `to_end_only`: no time but the end is asked for. `exact` sensitivities keep the tolerance, not the
    states alone. `watches` ends a row whose problem is stiff."""

    chunk: int = 64
    most: int | None = None
    to_end_only: bool = False
    exact: float = False
    watches: bool = False


@dataclass(frozen=True, eq=False)
class March:
    """A motion between stops. `starts`, `ends` (M,) or (M, batch), `fired`, `numbers` (M + 1, J, batch or 1), `asked`
    (T,) or (T, batch) are those of `adaptive.Stops`, `times` (T,) the asked times, all tensors; `tolerance` (1 + D,) is
    rtol and each state's atol, NaN for the scaled one; `limit` ends a row after so many attempts. `series` (M, I, batch
    or 1) are the inputs at both ends of each interval. A run without a gradient pauses after `turns` chunks.
    """

    motion: Motion
    starts: Tensor
    ends: Tensor
    fired: Tensor
    numbers: Tensor
    asked: Tensor
    times: Tensor
    tolerance: Tensor
    limit: Tensor
    series: Tensors = ()
    options: Options = Options()
    turns: Tensor | None = None

    def run(self, x0: Tensor, theta: Tensors) -> Outcome:
        """From the start x0 (D, …, batch) through all stops, or until it pauses."""
        state, control, series = self._begun(x0, theta)
        blank = self._blank(x0)
        if self.options.most is None:
            return self._outcome(*self._ahead(state, control, theta, series, blank)[:3], x0)
        x, read, info = self._derivable(state, control, theta, series, blank)
        return self._told(x, read, info, x0)

    def resumed(self, x0: Tensor, theta: Tensors, kept: Tensor, read: Tensor) -> Outcome:
        """On from where a run from x0 paused: what it `kept`, and its values as far as they were `read`."""
        # The start gives the shapes; its numbers are not computed.
        state, control, series = self._begun(x0, theta)
        leaves = [*state, *control]
        ends = list(itertools.accumulate(math.prod(leaf.shape[:-1]) for leaf in leaves))
        x, t, *rest = (
            ops.cast(ops.reshape(kept[start:end], ops.shape(leaf)), leaf.dtype)
            for leaf, start, end in zip(leaves, [0, *ends[:-1]], ends, strict=True)
        )
        read = self._blank(x0) if self.options.to_end_only else read
        return self._outcome(*self._ahead([x, t], Control(*rest), theta, series, read)[:3], x0)

    def _begun(self, x0: Tensor, theta: Tensors) -> tuple[list[Tensor], Control, Tensors]:
        """The packed state and time, the control, and the inputs of each row at the start."""
        none = ops.zeros_like(one_row(x0), dtype="int32")
        series = [ops.broadcast_to(part, (*ops.shape(part)[:2], ops.shape(x0)[-1])) for part in self.series]
        t0 = at(self.starts, none)
        moment = self._moment(none, t0, ops.zeros_like(t0), series, x0.dtype)
        x = self.motion.started(x0, moment, theta)
        if self._jumps:
            # Not as a branch: XLA cannot differentiate one outside the loop.
            x = self.motion.behind_jumps(moment, x, theta, *self._at_stop(none))
        return [x, t0], self._steered_from(x, moment, theta), series

    def _outcome(self, state: Tensors, control: Control, read: Tensor, x0: Tensor) -> Outcome:
        x, t = state
        leaves = [ops.reshape(ops.cast(leaf, "float64"), (-1, ops.shape(t)[0])) for leaf in (x, t, *control)]
        told = self._told(x, read, self._info(t, control), x0)
        return told._replace(kept=ops.concatenate(leaves, axis=0))

    def _told(self, x: Tensor, read: Tensor, info: Tensor, x0: Tensor) -> Outcome:
        last = self.motion.states_of(x)
        end = ops.where(ops.equal(info[0], DONE), last, float("nan"))
        if self.options.to_end_only:
            return Outcome(ops.repeat(end[None], ops.shape(self.times)[0], axis=0), info, last)
        return Outcome(self._reading.completed(read, x0, end), info, last)

    def _blank(self, x0: Tensor) -> Tensor:
        """The values at the asked times before any is known: NaN."""
        times = () if self.options.to_end_only else ops.shape(self.times)
        return ops.full((*times, *ops.shape(x0)), float("nan"), x0.dtype)

    # Forwards.

    def _ahead(
        self, state: Tensors, control: Control, theta: Tensors, series: Tensors, read: Tensor
    ) -> tuple[list[Tensor], Control, Tensor, list[Tensor], Tensor]:
        """The state and control at the end, and what was read. With `most`: the states before each chunk and the packed
        plans (most, chunk, 2, batch)."""
        many, keeps = len(state), self.options.most is not None
        specimen = [blank_plan(state[1]), *self._blank_record(state[0])]

        def attempt(k: Tensor, *carry: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            new, now, plan, record = self._attempt(carry[:many], Control(*carry[many:]), theta, series)
            return [*new, *now], [plan, *record]

        def going(_: Tensor, *carry: Tensor) -> Tensor:
            return ops.any(ops.equal(Control(*carry[many : many + len(control)]).status, RUNNING))

        def turn(i: Tensor, *carry: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            before, read = carry[:-1], carry[-1]
            after, (plans, *records), count = loops.recorded(going, attempt, before, specimen, self.options.chunk)
            if records:
                values, found = self._reading.values(plans, records, count, self._time_moves)
                read = ops.where(between_axes(found, values), values, read)
            return [*after, read], [*before[:many], packed(plans)] if keeps else []

        plans = ops.zeros((self.options.chunk, 2, ops.shape(state[1])[0]), "float64")
        like = [*state, plans] if keeps else []

        def runs(i: Tensor, *carry: Tensor) -> Tensor:
            running = going(i, *carry)
            return running if self.turns is None else ops.logical_and(running, i < self.turns)

        last, kept, _ = loops.recorded(runs, turn, [*state, *control, read], like, self.options.most)
        return list(last[:many]), Control(*last[many:-1]), last[-1], kept[:many], kept[-1] if keeps else None

    def _attempt(
        self, state: Tensors, control: Control, theta: Tensors, series: Tensors
    ) -> tuple[list[Tensor], Control, Tensor, list[Tensor]]:
        """One attempt of every row: the state and control behind it, the plan (7, batch), the record."""
        x, t = state
        goes = ops.equal(control.status, RUNNING)
        end = at(self.ends, control.interval)
        left = end - t
        lands = ops.abs(left) <= STRETCHED * ops.abs(control.h)
        # Two equal steps to a stop, not a long one and a remainder.
        h = ops.where(ops.abs(left) <= 2 * ops.abs(control.h), left / 2, control.h)
        h = ops.where(lands, left, h)
        stands = ops.logical_or(ops.equal(h, 0), ops.logical_not(goes))
        h = ops.where(stands, self._waiting, h)
        moment = self._moment(control.interval, t, h, series, x.dtype)
        z, steering = self.motion.states_of(x), self._steering(theta, one_row(x))
        first = control.slope if steering.keeps_slope else None
        step = self.motion.attempt(moment, z, theta, first=first, is_derived=self.options.most is not None)
        size, error = steering.error(step, z, control.size, not self.options.to_end_only)
        good = ops.logical_and(error <= 1, goes)
        applied = ops.logical_and(good, ops.logical_not(stands))
        landed = ops.logical_and(lands, ops.logical_or(good, ops.logical_and(stands, goes)))
        reached = ops.where(landed, end, ops.where(applied, t + h, t))
        parts = (control.interval, t, ops.where(applied, h, self._waiting), reached, applied, landed, control.fresh)
        plan = ops.stack([ops.cast(part, "float64") for part in parts])
        new, plan, record, event = self._moved(plan, moment, step, state, theta)
        states = ops.stop_gradient(self.motion.states_of(new[0]))
        control = steering.steered(control, states, step, plan, h, error, stands, size)
        if event is not None:
            assert self.motion.watch is not None
            stalled = ops.logical_and(endless(self.motion.watch, new[0]), goes)
            control = steering.behind_event(control, plan, h, event, stalled)
        if steering.keeps_slope:
            control = control._replace(slope=self._slope_behind(control, plan, event, step, new, theta, series))
        return new, control, plan, record

    def _moved(
        self, plan: Tensor, moment: loops.Moment, step: Step, state: Tensors, theta: Tensors
    ) -> tuple[list[Tensor], Tensor, list[Tensor], Tensor | None]:
        """The state behind an attempt and behind the jumps of a stop; the plan, which an event may have cut short; the
        record, x(θ) = Σ c_m θ^m; and the number of the event (from 1) that has ended the step of each row, 0 for none;
        None for a model without events."""
        x, applied, event = state[0], plan[APPLIED] > 0, None
        landed = plan[LANDS] > 0
        if self.motion.watch is None:
            x, t, dense, times = ops.where(applied, step.x, x), plan[END], step.dense(), ()
        else:
            x, t, dense, times, event = self._watched(plan, moment, step, x, theta)
            landed = ops.logical_and(landed, ops.equal(event, 0))
            parts = list(ops.unstack(plan, 7))
            parts[END], parts[LANDS] = ops.stop_gradient(t), ops.cast(landed, "float64")
            plan = ops.stack(parts)
        if self._jumps:
            interval = ops.cast(plan[INTERVAL], "int32")
            x = self._jumped(landed, interval + 1, self._there(moment, t, interval), x, theta)
        first, *rest = dense
        record = [*times, first, *(ops.where(applied, part, 0.0) for part in rest)]
        return [x, t], plan, [] if self.options.to_end_only else record, event

    def _watched(
        self, plan: Tensor, moment: loops.Moment, step: Step, x: Tensor, theta: Tensors
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        """The packed state behind an attempt that ends at its first event, and the time there; x(θ) along it, where it
        starts and how long it is; the number of the event, 0 for none."""
        watch, applied, dense = self.motion.watch, plan[APPLIED] > 0, step.dense()
        assert watch is not None
        found = watch.found(moment, theta, x, dense)
        hit = ops.logical_and(found.hit, applied)
        land = ops.where(applied, step.x, self.motion.states_of(x))
        # A stop does not move with the start of the step to it, any other end of a step does.
        end = ops.where(plan[LANDS] > 0, plan[END], moment.start + ops.where(applied, moment.length, 0.0))

        def ended() -> tuple[Tensor, ...]:
            part = watch.part_to(moment, theta, found, dense)
            t = moment.start + moment.length * ops.cast(part, "float64")
            there = self._there(moment, t, ops.cast(plan[INTERVAL], "int32"))
            behind = watch.behind(there, theta, ops.where(hit, along(dense, part), land), x, found, hit)
            return ops.where(hit, behind, passed()), ops.where(hit, t, end)

        def passed() -> Tensor:
            return watch.passed(land, x, found, applied, moment.time(0.0))

        x, t = loops.chosen(ops.any(hit), ended, lambda: (passed(), end))
        event = ops.where(hit, ops.cast(ops.argmin(found.places, axis=0), "int32") + 1, 0)
        return x, t, dense, (moment.start, moment.length), ops.cast(event, "int32")

    def _jumped(self, landed: Tensor, place: Tensor, moment: loops.Moment, x: Tensor, theta: Tensors) -> Tensor:
        """Behind the known jumps at the stop `place` of each row that has `landed` on it."""
        fired, numbers = self._at_stop(place)
        fired = ops.logical_and(fired, landed)

        def behind() -> Tensor:
            return self.motion.behind_jumps(moment, x, theta, fired, numbers)

        return loops.chosen(ops.any(fired), behind, lambda: x)

    def _at_stop(self, place: Tensor) -> tuple[Tensor, Tensor]:
        """Which known jumps happen at each row's stop, and the numbers of their times: two arrays (J, batch)."""
        place = ops.minimum(place, ops.shape(self.fired)[0] - 1)
        if len(self.starts.shape) == 1:
            both = (ops.transpose(ops.take(parts[:, :, 0], place, axis=0)) for parts in (self.fired, self.numbers))
        else:
            index = ops.broadcast_to(place, (1, self.fired.shape[1], ops.shape(place)[0]))
            both = (ops.take_along_axis(parts, index, axis=0)[0] for parts in (self.fired, self.numbers))
        fired, numbers = both
        return fired, numbers

    # Steering.

    def _steered_from(self, x: Tensor, moment: loops.Moment, theta: Tensors) -> Control:
        x = ops.stop_gradient(self.motion.states_of(x))
        slope = ops.stop_gradient(self.motion.rhs(moment, 0.0, x, theta))
        steering = self._steering(theta, one_row(x))
        guess = steering.first_guess(x, slope)
        ahead = replace(moment, length=ops.cast(guess, "float64"))
        ahead = self._placed(ahead, ops.zeros_like(guess, dtype="int32"))
        bent = ops.stop_gradient(self.motion.rhs(ahead, 1.0, x + guess * slope, theta))
        return steering.begun(x, slope, guess, bent)

    def _slope_behind(
        self,
        control: Control,
        plan: Tensor,
        event: Tensor | None,
        step: Step,
        state: Tensors,
        theta: Tensors,
        series: Tensors,
    ) -> Tensor:
        """The slope at the start of the next step: that at the end of this one, unless jumps or inputs change it."""
        slope = ops.where(plan[APPLIED] > 0, ops.stop_gradient(step.slope), control.slope)
        if not (self.series or self._jumps or self._switches or event is not None):
            return slope
        bent = plan[LANDS] > 0
        bent = bent if event is None else ops.logical_or(bent, event > 0)
        x, t = map(ops.stop_gradient, state)

        def fresh() -> Tensor:
            moment = self._moment(control.interval, t, t * 0, series, x.dtype)
            new = self.motion.rhs(moment, 0.0, self.motion.states_of(x), theta)
            return ops.where(bent, ops.stop_gradient(new), slope)

        return loops.either(ops.any(bent), fresh, lambda: slope)

    def _steering(self, theta: Tensors, like: Tensor) -> Steering:
        options, intervals, equations = self.options, ops.shape(self.ends)[0], self.motion.equations
        per_unit = None
        if options.exact and isinstance(equations, Variations):
            per_unit = ops.stop_gradient(equations.per_unit(theta, like))
        return Steering(
            self.motion.method,
            self.tolerance,
            self.limit,
            self._span,
            intervals,
            options.exact,
            options.watches,
            per_unit,
        )

    def _info(self, t: Tensor, control: Control) -> Tensor:
        status = control.status
        if self.options.most is not None:
            status = ops.where(ops.equal(status, RUNNING), TOO_MANY, status)
        parts = (status, t, control.steps, control.refused, control.h, control.event)
        return ops.stack([ops.cast(ops.stop_gradient(part), "float64") for part in parts])

    # The gradient.

    def _derivable(
        self, state: Tensors, control: Control, theta: Tensors, series: Tensors, blank: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The state at the end, what was read, and the info, with a gradient by x, theta and series."""
        many, width = len(theta), len(state)
        control = Control(*map(ops.stop_gradient, control))

        def forward(*inputs: Tensor) -> tuple[Tensor, ...]:
            state, theta, series = inputs[:width], inputs[width : width + many], inputs[width + many :]
            end, last, read, kept, plans = self._ahead(state, control, theta, series, blank)
            return (*end, read, self._info(end[1], last), *kept, plans)

        def backward(upstream: Tensors, outputs: Tensors, *inputs: Tensor) -> list[Tensor]:
            kept, plans = outputs[width + 2 : -1], outputs[-1]
            return self._back(list(upstream[:width]), upstream[width], kept, plans, inputs[width:], many)

        found = loops.with_gradient(forward, backward)(*state, *theta, *series)
        return found[0], found[2], ops.stop_gradient(found[3])

    def _back(
        self, adjoint: Tensors, sent: Tensor, kept: Tensors, plans: Tensor, leaves: Tensors, many: int
    ) -> list[Tensor]:
        """The gradients by the state at the start and by the leaves (theta and series), chunk by chunk from the end."""
        width = len(kept)
        counts = ops.sum(ops.cast(ops.any(plans[:, :, 0] != 0, axis=2), "int32"), axis=1)
        chunks = ops.sum(ops.cast(counts > 0, "int32"))

        def replay(plan: Tensor, *inputs: Tensor) -> tuple[list[Tensor], Tensor, list[Tensor]]:
            return self._replayed(plan, inputs[:width], inputs[width : width + many], inputs[width + many :])

        def chunk(c: Tensor, *carry: Tensor) -> list[Tensor]:
            taken, count, start = plans[c], counts[c], [part[c] for part in kept]

            def again(k: Tensor, *state: Tensor) -> tuple[list[Tensor], list[Tensor]]:
                new, plan, record = replay(taken[k], *state, *leaves)
                return new, [*state, plan, *record]

            like = [*start, blank_plan(start[1]), *self._blank_record(start[0])]
            _, stacks, _ = loops.recorded(lambda k, *_: k < count, again, start, like, self.options.chunk)
            states, plan, records = stacks[:width], stacks[width], stacks[width + 1 :]

            def read(*parts: Tensor) -> Tensor:
                return self._reading.values(plan, parts, count, self._time_moves)[0]

            shares = []
            if records:
                found = self._reading.places(plan, count)[2]
                shares = loops.pulled_back(read, records, ops.where(between_axes(found, sent), sent, 0.0))

            def back(k: Tensor, *carry: Tensor) -> list[Tensor]:
                def behind(*inputs: Tensor) -> list[Tensor]:
                    new, _, record = replay(taken[k], *inputs)
                    return [*new, *record]

                inputs = [*(part[k] for part in states), *leaves]
                found = loops.pulled_back(behind, inputs, [*carry[:width], *(share[k] for share in shares)])
                return [*found[:width], *(a + b for a, b in zip(carry[width:], found[width:], strict=True))]

            return loops.backwards(count, back, carry)

        return loops.backwards(chunks, chunk, [*adjoint, *map(ops.zeros_like, leaves)])

    def _replayed(
        self, kept: Tensor, state: Tensors, theta: Tensors, series: Tensors
    ) -> tuple[list[Tensor], Tensor, list[Tensor]]:
        """The state behind an attempt that was planned, its whole plan, and its record."""
        plan = ops.stop_gradient(unpacked(kept, state[1], self.ends))
        x, start, length = state[0], plan[START], plan[LENGTH]
        if self._time_moves:
            start = state[1]
            length = ops.where(plan[LANDS] > 0, plan[END] - start, length)
        moment = self._moment(ops.cast(plan[INTERVAL], "int32"), start, length, series, x.dtype)
        step = self.motion.attempt(moment, self.motion.states_of(x), theta)
        return self._moved(plan, moment, step, state, theta)[:3]

    # Parts.

    @property
    def _reading(self) -> Reading:
        return Reading(self.starts, self.ends, self.asked, self.times)

    @property
    def _time_moves(self) -> bool:
        """Whether times depend on what is differentiated: behind an event."""
        return self.motion.watch is not None

    @property
    def _jumps(self) -> bool:
        """Whether anything happens at a stop: a jump, or a switch that sensitivities notice."""
        known = any(jump.kind != "when" for jump in self.motion.description.jumps)
        return known or (self._switches and isinstance(self.motion.equations, Variations))

    @property
    def _switches(self) -> bool:
        return bool(self.fired.shape[1] > len(self.motion.description.jumps))

    @property
    def _span(self) -> Tensor:
        return self.ends[-1] - self.starts[0]

    @property
    def _waiting(self) -> Tensor:
        return ops.where(ops.equal(self._span, 0), 1.0, WAITING * self._span)

    def _blank_record(self, x: Tensor) -> list[Tensor]:
        if self.options.to_end_only:
            return []
        like, method = self.motion.states_of(x), methods.tableau(self.motion.method)
        times = [ops.zeros_like(one_row(like), dtype="float64")] * 2 if self._time_moves else []
        return [*times, *[like] * (len(method.dense[0]) + 1)]

    def _moment(self, interval: Tensor, t: Tensor, h: Tensor, series: Tensors, dtype: Any) -> loops.Moment:
        none, one = ops.zeros((), "int32"), ops.ones((), "int32")
        place = ops.minimum(interval, ops.shape(self.ends)[0] - 1)
        own = tuple(ops.take_along_axis(part, place[None, None], axis=0)[0] for part in series)
        return self._placed(loops.Moment(t, h, none, one, dtype, own), interval)

    def _there(self, moment: loops.Moment, t: Tensor, interval: Tensor) -> loops.Moment:
        """The moment without a length at the time t."""
        return self._placed(replace(moment, start=t, length=moment.length * 0), interval)

    def _placed(self, moment: loops.Moment, interval: Tensor) -> loops.Moment:
        """The moment with its place in its interval, which inputs and switches ask for."""
        if not (moment.series or self._switches):
            return moment
        start, end = at(self.starts, interval), at(self.ends, interval)
        if self._switches:
            moment = replace(moment, between=(ops.minimum(start, end), ops.maximum(start, end)))
        length = ops.where(ops.equal(end, start), 1.0, end - start)
        begin, share = (moment.start - start) / length, moment.length / length
        return replace(moment, placed=(begin, share)) if moment.series else moment
