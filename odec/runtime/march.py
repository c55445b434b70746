"""An adaptive run: every row of the batch with its own steps, error control, jumps and end, in one compiled loop.

The loop runs over attempts of a step, of all rows at once; a row that is refused tries again while others go on. What
is needed for reading values inside a step is kept for `chunk` attempts, then all asked times among them are read in one
go. With a limit on the attempts a run has a gradient: that of the computed numbers, with the steps as they were taken.

The next step follows from the last two errors (K. Gustafsson, 1991; constants of E. Hairer and G. Wanner, Solving
Ordinary Differential Equations II, IV.2), the first one from the slopes at the start (ibid. I, II.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from odec.runtime import loops, methods
from odec.runtime.equations import Variations
from odec.runtime.events import MOST_IN_STEP
from odec.runtime.jumps import values
from odec.runtime.motion import Motion
from odec.runtime.stepping import Step, along

Tensor = Any

# How a row ends.
RUNNING, DONE, TOO_SMALL, TOO_MANY, STIFF, NOT_FINITE, ENDLESS = range(7)

SAFETY, SMALLEST_FACTOR, LARGEST_FACTOR = 0.9, 0.2, 10.0
# The weight of the error before the last one.
MEMORY = 0.04
# A state's absolute tolerance, relative to rtol times the largest value that it has had …
SCALED = 1e-3
# … and to rtol times the largest of all states.
NEGLIGIBLE = 1e-14
# As parts of the run: the first step where nothing says more, and the step of a row that waits for others.
FIRST, WAITING = 1e-6, 1e-9
# The last step to a stop may be this much longer than the error allows.
STRETCHED = 1.01
# A step below this many units in the last place of the time ends a row.
SMALLEST_STEP = 8 * float(np.finfo(np.float64).eps)
# So many steps at the edge of stability (relative to it) make a problem stiff, so many others in a row make it not.
EDGE, STIFF_STEPS, OTHER_STEPS = 0.9, 15, 6
# Of a step that ends at an event at its very start this part is tried next.
LEFT = 1e-4
# Events closer than this part of the run, more than MOST_IN_STEP of them, come to no end.
QUICK = 1e-10
# An error of zero is taken for this.
NO_ERROR = 1e-10

# What the plan of an attempt holds, for each row.
INTERVAL, START, LENGTH, END, APPLIED, LANDS, FRESH = range(7)


class Control(NamedTuple):
    """What steers each row, (batch,) but for the last two, of a state's shape; derivatives do not flow through it."""

    interval: Tensor
    h: Tensor
    error: Tensor
    refused_last: Tensor
    fresh: Tensor
    status: Tensor
    steps: Tensor
    refused: Tensor
    stiff: Tensor
    calm: Tensor
    event: Tensor
    bounces: Tensor
    size: Tensor
    slope: Tensor


class Outcome(NamedTuple):
    """How each row went: `values` (T, D, …, batch), NaN behind a failure; `info` (6, batch) float64: status, time
    reached, steps, refused attempts, next step, last event (from 1; 0: none); `last` (D, …, batch), the state there."""

    values: Tensor
    info: Tensor
    last: Tensor


@dataclass(frozen=True)
class Options:
    """What is fixed when a run is compiled. `chunk` attempts are read together; `most` chunks end the run, and give it
    a gradient. `to_end_only`: no time but the end is asked for. `exact` sensitivities keep the tolerance, not the
    states alone. `watches` ends a row whose problem is stiff."""

    chunk: int = 64
    most: int | None = None
    to_end_only: bool = False
    exact: bool = False
    watches: bool = False


@dataclass(frozen=True, eq=False)
class March:
    """A motion between stops. `starts`, `ends` (M,) or (M, batch), `fired`, `numbers` (M + 1, J, batch or 1), `asked`
    (T,) or (T, batch) are those of `adaptive.Stops`, `times` (T,) the asked times, all tensors; `tolerance` (1 + D,) is
    rtol and each state's atol, NaN for the scaled one; `limit` ends a row after so many attempts. `series` (M, I, batch
    or 1) are the inputs at both ends of each interval.
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
    series: Sequence[Tensor] = ()
    options: Options = Options()

    def run(self, x0: Tensor, theta: Sequence[Tensor]) -> Outcome:
        """From the start x0 (D, …, batch) through all stops."""
        series, none = self._spread_series(x0), ops.zeros_like(_row(x0), dtype="int32")
        t0, moment = self._start(x0, series)
        x = self._jumped(ops.ones_like(none, dtype="bool"), none, moment, self.motion.started(x0, moment, theta), theta)
        control = self._begin(x, t0, moment, theta)
        shape = () if self.options.to_end_only else ops.shape(self.times)
        blank = ops.full((*shape, *ops.shape(x0)), float("nan"), dtype=x0.dtype)
        if self.options.most is None:
            [x, t], control, read, _, _ = self._ahead([x, t0], control, theta, series, blank)
            info = self._info(t, control)
        else:
            x, read, info = self._derivable(x, t0, control, theta, series, blank)
        last = self.motion.states_of(x)
        return Outcome(self._completed(read, x0, last, info), info, last)

    # The loop.

    def _ahead(
        self, state: Sequence[Tensor], control: Control, theta: Sequence[Tensor], series: Sequence[Tensor], read: Tensor
    ) -> tuple[list[Tensor], Control, Tensor, list[Tensor], Tensor]:
        """The state and control at the end, and what was read. With `most`: the states before each chunk and the packed
        plans (most, chunk, 2, batch)."""
        many = len(state)
        specimen = [ops.zeros((7, ops.shape(state[1])[0]), "float64"), *self._blank_record(state[0])]

        def attempt(k: Tensor, *carry: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            new, now, plan, record = self._attempt(carry[:many], Control(*carry[many:]), theta, series)
            return [*new, *now], [plan, *record]

        def going(_: Tensor, *carry: Tensor) -> Tensor:
            return ops.any(ops.equal(Control(*carry[many : many + len(control)]).status, RUNNING))

        def turn(i: Tensor, *carry: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            before, read = carry[:-1], carry[-1]
            after, (plans, *records), count = loops.recorded(going, attempt, before, specimen, self.options.chunk)
            kept = [*before[:many], _packed(plans)] if self.options.most else []
            return [*after, self._read(plans, records, count, read)], kept

        batch = ops.shape(state[1])[0]
        like = [*state, ops.zeros((self.options.chunk, 2, batch), "float64")] if self.options.most else []
        last, kept, _ = loops.recorded(going, turn, [*state, *control, read], like, self.options.most)
        return list(last[:many]), Control(*last[many:-1]), last[-1], kept[:many], kept[-1] if kept else None

    def _attempt(
        self, state: Sequence[Tensor], control: Control, theta: Sequence[Tensor], series: Sequence[Tensor]
    ) -> tuple[list[Tensor], Control, Tensor, list[Tensor]]:
        """One attempt of every row: the state and control behind it, the plan (7, batch), the record."""
        x, t = state
        goes = ops.equal(control.status, RUNNING)
        end = _at(self.ends, ops.minimum(control.interval, self._intervals - 1))
        left = end - t
        lands = ops.abs(left) <= STRETCHED * ops.abs(control.h)
        h = ops.where(ops.abs(left) <= 2 * ops.abs(control.h), left / 2, control.h)
        h = ops.where(lands, left, h)
        stands = ops.logical_or(ops.equal(h, 0), ops.logical_not(goes))
        h = ops.where(stands, self._waiting, h)
        moment = self._moment(control.interval, t, h, series, x.dtype)
        z = self.motion.states_of(x)
        step = self.motion.attempt(moment, z, theta, first=control.slope if self._keeps_slope else None)
        size, error = self._error(step, z, control.size)
        good = ops.logical_and(error <= 1, goes)
        applied = ops.logical_and(good, ops.logical_not(stands))
        landed = ops.logical_and(lands, ops.logical_or(good, ops.logical_and(stands, goes)))
        plan = [control.interval, t, ops.where(applied, h, self._waiting), ops.where(applied, t + h, t)]
        plan[END] = ops.where(landed, end, plan[END])
        plan = ops.stack([ops.cast(part, "float64") for part in (*plan, applied, landed, control.fresh)])
        new, plan, record, hit = self._moved(plan, moment, step, state, theta)
        control = self._steered(control, new, step, plan, h, error, hit, stands, size, theta, series)
        return new, control, plan, record

    def _moved(
        self, plan: Tensor, moment: loops.Moment, step: Step, state: Sequence[Tensor], theta: Sequence[Tensor]
    ) -> tuple[list[Tensor], Tensor, list[Tensor], Tensor | None]:
        """The state behind an attempt and behind the jumps of a stop; the plan, which an event may have cut short; the
        record, x(θ) = Σ c_m θ^m; and the number of the event (from 1) that has ended the step of each row, 0 for none;
        None for a model without events."""
        x, applied, hit = state[0], plan[APPLIED] > 0, None
        landed = plan[LANDS] > 0
        if self.motion.watch is None:
            x, t, dense, times = ops.where(applied, step.x, x), plan[END], step.dense(), ()
        else:
            x, t, dense, times, hit = self._watched(plan, moment, step, x, theta)
            landed = ops.logical_and(landed, ops.equal(hit, 0))
            parts = ops.unstack(plan, 7)
            parts[END], parts[LANDS] = ops.stop_gradient(t), ops.cast(landed, "float64")
            plan = ops.stack(parts)
        if self._jumps:
            interval = ops.cast(plan[INTERVAL], "int32")
            x = self._jumped(landed, interval + 1, self._there(moment, t, interval), x, theta)
        first, *rest = dense
        record = [*times, first, *(ops.where(applied, part, 0.0) for part in rest)]
        return [x, t], plan, [] if self.options.to_end_only else record, hit

    def _watched(
        self, plan: Tensor, moment: loops.Moment, step: Step, x: Tensor, theta: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        """The packed state behind an attempt that ends at its first event, and the time there; x(θ) along it, where it
        starts and how long it is; the number of the event, 0 for none."""
        watch, applied, dense = self.motion.watch, plan[APPLIED] > 0, step.dense()
        assert watch is not None
        found = watch.found(moment, theta, x, dense)
        hit = ops.logical_and(found.hit, applied)
        land = ops.where(applied, step.x, self.motion.states_of(x))

        def ended() -> tuple[Tensor, ...]:
            part = watch.part_to(moment, theta, found, dense)
            t = moment.start + moment.length * ops.cast(part, "float64")
            there = self._there(moment, t, ops.cast(plan[INTERVAL], "int32"))
            at = ops.where(hit, along(dense, part), land)
            behind = watch.behind(there, theta, at, x, found, hit)
            return ops.where(hit, behind, passed()), ops.where(hit, t, plan[END])

        def passed() -> Tensor:
            return watch.passed(land, x, found, applied, moment.time(0.0))

        x, t = loops.either(ops.any(hit), ended, lambda: (passed(), plan[END]))
        event = ops.where(hit, ops.cast(ops.argmin(found.places, axis=0), "int32") + 1, 0)
        return x, t, dense, (moment.start, moment.length), ops.cast(event, "int32")

    def _there(self, moment: loops.Moment, t: Tensor, interval: Tensor) -> loops.Moment:
        """The moment without a length at the time t."""
        return self._placed(replace(moment, start=t, length=moment.length * 0), interval)

    def _jumped(
        self, landed: Tensor, place: Tensor, moment: loops.Moment, x: Tensor, theta: Sequence[Tensor]
    ) -> Tensor:
        """Behind the known jumps at the stop `place` of each row that has `landed` on it."""
        if not self._jumps:
            return x
        fired = ops.logical_and(self._of_stop(self.fired, place), landed)
        return self.motion.jumped(moment, x, theta, fired, self._of_stop(self.numbers, place), settles=False)

    # Control of the step.

    def _begin(self, x: Tensor, t0: Tensor, moment: loops.Moment, theta: Sequence[Tensor]) -> Control:
        """The control at the start: the first step from the sizes of x, x' and x''."""
        x = ops.stop_gradient(self.motion.states_of(x))
        slope = ops.stop_gradient(self.motion.rhs(moment, 0.0, x, theta))
        span = _last(self.ends) - t0
        size, f = ops.abs(values(x)), values(slope)
        weight = self._weights(size, size)
        known = size > 0
        d0, d1 = (_largest(ops.where(known, ops.abs(part) / weight, 0.0)) for part in (size, f))
        guess = ops.where(ops.logical_and(d0 > 1e-5, d1 > 1e-5), 0.01 * d0 / ops.where(d1 > 0, d1, 1.0), 0.0)
        reach = ops.cast(ops.abs(span), x.dtype)
        guess = ops.where(guess > 0, ops.minimum(guess, reach), FIRST * reach)
        signed = guess * ops.cast(ops.sign(span), x.dtype)
        ahead = loops.Moment(t0, ops.cast(signed, "float64"), moment.number, moment.count, x.dtype, moment.series)
        bent = ops.stop_gradient(values(self.motion.rhs(ahead, 1.0, x + signed * slope, theta)))
        moved = self._weights(size, ops.abs(values(x) + signed * f))
        d2 = _largest(ops.abs(bent - f) / moved) / guess
        d1 = _largest(ops.abs(f) / moved)
        # The step whose first neglected term is 0.01 of the tolerance.
        power = 1.0 / (self._method.error_order + 1)
        steepest = ops.maximum(d1, d2)
        second = ops.where(steepest > 1e-15, (0.01 / ops.maximum(steepest, 1e-15)) ** power, 1e3 * guess)
        h = ops.minimum(ops.minimum(100 * guess, second), reach)
        h = ops.where(ops.isfinite(h), h, FIRST * reach)
        h = ops.cast(h, "float64") * ops.sign(span)
        sound = ops.logical_and(_finite(size), _finite(f))
        none = ops.zeros_like(t0, dtype="int32")
        no = ops.zeros_like(t0, dtype="bool")
        sizes = ops.abs(x) if self.options.exact else size
        status = ops.where(sound, RUNNING, NOT_FINITE)
        kept = slope if self._keeps_slope else slope[:0]
        one = ops.ones_like(_row(x))
        return Control(
            interval=none,
            h=h,
            error=one,
            refused_last=no,
            fresh=ops.logical_not(no),
            status=ops.cast(status, "int32"),
            steps=none,
            refused=none,
            stiff=none,
            calm=none,
            event=none,
            bounces=none,
            size=sizes,
            slope=kept,
        )

    def _error(self, step: Step, x: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """The largest value so far of each state, and the error of a step relative to the tolerance, (batch,)."""
        x, after = (ops.abs(ops.stop_gradient(self._controlled(part))) for part in (x, step.x))
        size = ops.maximum(size, x)
        weight = self._weights(size, ops.maximum(x, after))
        relative = [ops.abs(ops.stop_gradient(self._controlled(error))) / weight for error in step.errors]
        parts = [_largest(part) for part in relative]
        error = parts[0]
        if len(parts) == 2:
            # The estimators of order 5 and 3 of dop853 as one of order 7 (Hairer, Nørsett, Wanner I, II.10).
            both = ops.sqrt(parts[0] ** 2 + 0.01 * parts[1] ** 2)
            error = parts[0] ** 2 / ops.where(both > 0, both, 1.0)
        sound = ops.logical_and(_finite(relative[0]), _finite(after))
        return size, ops.where(sound, error, float("inf"))

    def _weights(self, size: Tensor, now: Tensor) -> Tensor:
        """What an error of each state is measured against: atol + rtol·|x|."""
        rtol, atol = self.tolerance[0], self.tolerance[1:]
        atol = ops.reshape(atol, (-1, *[1] * (len(now.shape) - 1)))
        largest = ops.max(size, axis=0, keepdims=True)
        scaled = rtol * (SCALED * size + NEGLIGIBLE * largest)
        return ops.where(ops.isnan(atol), scaled, atol) + rtol * now + tiniest(now.dtype)

    def _steered(
        self,
        control: Control,
        state: Sequence[Tensor],
        step: Step,
        plan: Tensor,
        h: Tensor,
        error: Tensor,
        hit: Tensor | None,
        stands: Tensor,
        size: Tensor,
        theta: Sequence[Tensor],
        series: Sequence[Tensor],
    ) -> Control:
        """The control behind an attempt of length h, whose error was `error`."""
        x, t = (ops.stop_gradient(leaf) for leaf in state)
        applied, landed = plan[APPLIED] > 0, plan[LANDS] > 0
        refused = ops.logical_not(ops.logical_or(applied, stands))
        safe = ops.maximum(ops.where(ops.isfinite(error), error, 1e30), NO_ERROR)
        power = 1.0 / (self._method.error_order + 1)
        factor = SAFETY * ops.where(refused, safe**-power, safe ** (0.75 * MEMORY - power) * control.error**MEMORY)
        held = ops.cast(ops.logical_or(refused, control.refused_last), factor.dtype)
        most = held + LARGEST_FACTOR * (1 - held)
        factor = ops.cast(ops.clip(factor, SMALLEST_FACTOR, most), "float64")
        # A step that was cut short by a stop says little of the next one.
        cut = ops.abs(h) < ops.abs(control.h)
        follows = ops.where(cut, ops.sign(h) * ops.maximum(ops.abs(h * factor), ops.abs(control.h)), h * factor)
        h_next = ops.where(refused, h * factor, ops.where(applied, follows, control.h))
        interval = control.interval + ops.cast(landed, "int32")
        status = ops.where(ops.greater_equal(interval, self._intervals), DONE, control.status)
        small = ops.abs(h_next) < SMALLEST_STEP * ops.abs(t) + tiniest(t.dtype)
        lost = ops.where(ops.isfinite(error), TOO_SMALL, NOT_FINITE)
        status = ops.where(ops.logical_and(refused, small), lost, status)
        stiff, calm = self._stiffness(step, applied, control, x, size)
        if self.options.watches:
            status = ops.where(ops.logical_and(stiff >= STIFF_STEPS, ops.equal(status, RUNNING)), STIFF, status)
        many = control.steps + control.refused + 1 >= self.limit
        status = ops.where(ops.logical_and(many, ops.equal(status, RUNNING)), TOO_MANY, status)
        was = ops.equal(control.status, RUNNING)
        status = ops.cast(ops.where(was, status, control.status), "int32")
        slope = control.slope
        event, bounces, bent = control.event, control.bounces, landed
        if hit is not None:
            at_event = hit > 0
            # Where events follow each other fast, a step as long as ever would hide the next one.
            used = ops.maximum(LARGEST_FACTOR * ops.abs(plan[END] - plan[START]), LEFT * ops.abs(h))
            h_next = ops.where(at_event, ops.sign(h) * ops.minimum(ops.abs(h), used), h_next)
            bent = ops.logical_or(landed, at_event)
            event = ops.where(at_event, hit, event)
            status, bounces = self._bouncing(status, bounces, plan, x, at_event)
        if self._keeps_slope:
            slope = ops.where(applied, ops.stop_gradient(step.slope), slope)
            if self._resets:
                slope = self._slope_behind(bent, interval, x, t, slope, theta, series)
        size = ops.where(applied, size, control.size)
        return Control(
            interval,
            h_next,
            ops.where(applied, ops.maximum(safe, 1e-4), control.error),
            ops.where(stands, control.refused_last, refused),
            landed,
            status,
            control.steps + ops.cast(applied, "int32"),
            control.refused + ops.cast(ops.logical_and(refused, was), "int32"),
            stiff,
            calm,
            event,
            bounces,
            size,
            slope,
        )

    def _bouncing(
        self, status: Tensor, bounces: Tensor, plan: Tensor, x: Tensor, at_event: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The status, of rows whose events come to no end too, and how many events came too quickly for long."""
        quick = ops.abs(plan[END] - plan[START]) < QUICK * ops.abs(_last(self.ends) - _first(self.starts))
        bounces = ops.where(quick, bounces + ops.cast(at_event, "int32"), 0)
        assert self.motion.watch is not None
        stalled = ops.logical_or(bounces > MOST_IN_STEP, self.motion.watch.flags_of(x)[1][0] > 0)
        return ops.where(stalled, ENDLESS, status), ops.cast(bounces, "int32")

    def _stiffness(
        self, step: Step, applied: Tensor, control: Control, x: Tensor, size: Tensor
    ) -> tuple[Tensor, Tensor]:
        """How many steps at the edge of stability there were, and how many others since (Hairer and Wanner IV.2)."""
        if step.stretch is None or not self.options.watches:
            return control.stiff, control.calm
        weight = self._weights(values(size), ops.abs(values(x)))
        change, way = (ops.sum((ops.stop_gradient(values(part)) / weight) ** 2, axis=0) for part in step.stretch)
        edge = (EDGE * stability_limit(self._method.name)) ** 2
        at_edge = ops.logical_and(applied, change > edge * way)
        calm = ops.where(at_edge, 0, control.calm + ops.cast(applied, "int32"))
        stiff = ops.where(calm >= OTHER_STEPS, 0, control.stiff + ops.cast(at_edge, "int32"))
        return stiff, ops.cast(calm, "int32")

    def _slope_behind(
        self,
        landed: Tensor,
        interval: Tensor,
        x: Tensor,
        t: Tensor,
        slope: Tensor,
        theta: Sequence[Tensor],
        series: Sequence[Tensor],
    ) -> Tensor:
        """The slope at the start of a new interval, where jumps and inputs have changed it."""

        def fresh() -> Tensor:
            moment = self._moment(interval, t, t * 0, series, x.dtype)
            new = self.motion.rhs(moment, 0.0, self.motion.states_of(x), theta)
            return ops.where(landed, ops.stop_gradient(new), slope)

        return loops.either(ops.any(landed), fresh, lambda: slope)

    # Reading values inside the steps.

    def _blank_record(self, x: Tensor) -> list[Tensor]:
        if self.options.to_end_only:
            return []
        like = self.motion.states_of(x)
        times = [] if self.motion.watch is None else [ops.zeros_like(_row(like), dtype="float64")] * 2
        return [*times, *[like] * (len(self._method.dense[0]) + 1)]

    def _read(self, plans: Tensor, records: Sequence[Tensor], count: Tensor, read: Tensor) -> Tensor:
        """`read` with the values in these attempts written over it."""
        if self.options.to_end_only:
            return read
        values, found = self._values(plans, records, count)
        return ops.where(_spread(found, values), values, read)

    def _values(self, plans: Tensor, records: Sequence[Tensor], count: Tensor) -> tuple[Tensor, Tensor]:
        """The values (T, D, …, batch) at the asked times, and whether each lies in one of the attempts (T, batch)."""
        place, theta, found = self._places(plans, count)
        if self.motion.watch is not None:
            # Where a step starts and how long it is depends on events, and with them on what is differentiated.
            start, length, *records = records
            start, length = (ops.take_along_axis(part, place, axis=0) for part in (start, length))
            theta = ops.where(found, self.times[:, None] - start, 0.0) / ops.where(found, length, 1.0)
        taken = [_taken(part, place) for part in records]
        return along(taken, _spread(theta, taken[0])), found

    def _places(self, plans: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For each asked time (T, batch): the attempt that it lies in, how far along, and whether there is one.

        A time at the end of a step belongs to it; one at the start of an interval to the interval's first attempt.
        """
        sign = ops.sign(_last(self.ends) - _first(self.starts))
        sign = ops.where(ops.equal(sign, 0), 1.0, sign)
        asked = ops.cast(self.asked, "float64")
        asked = asked[:, None] if len(asked.shape) == 1 else asked
        times = self.times[:, None]
        interval, end = plans[:, INTERVAL], plans[:, END]
        earlier = ops.logical_or(
            interval[None] < asked[:, None],
            ops.logical_and(ops.equal(interval[None], asked[:, None]), sign * (end[None] - times[:, None]) < 0),
        )
        real = ops.arange(self.options.chunk, dtype="int32") < count
        place = ops.sum(ops.cast(ops.logical_and(earlier, real[None, :, None]), "int32"), axis=1)
        inside = place < count
        place = ops.minimum(place, self.options.chunk - 1)
        own = [ops.take_along_axis(plans[:, part], place, axis=0) for part in (INTERVAL, START, LENGTH, FRESH)]
        behind = sign * (times - own[1])
        begins = ops.logical_or(behind > 0, ops.logical_and(own[3] > 0, behind >= 0))
        found = ops.logical_and(inside, ops.logical_and(ops.equal(own[0], asked), begins))
        # A place that is not meant must still be finite: its derivative is multiplied by 0.
        return place, ops.where(found, times - own[1], 0.0) / ops.where(found, own[2], 1.0), found

    def _completed(self, read: Tensor, x0: Tensor, last: Tensor, info: Tensor) -> Tensor:
        """What was read, with the start and the end of the run, which belong to no step."""
        done = ops.equal(info[0], DONE)
        end = ops.where(done, last, float("nan"))
        if self.options.to_end_only:
            return ops.repeat(end[None], ops.shape(self.times)[0], axis=0)
        asked = self.asked[:, None] if len(self.asked.shape) == 1 else self.asked
        read = ops.where(_spread(ops.equal(asked, self._intervals), read), end[None], read)
        return ops.where(_spread(asked < 0, read), x0[None], read)

    # The gradient.

    def _derivable(
        self,
        x: Tensor,
        t0: Tensor,
        control: Control,
        theta: Sequence[Tensor],
        series: Sequence[Tensor],
        blank: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The state at the end, what was read, and the info, with a gradient by x, theta and series."""
        many, width = len(theta), 2
        control = Control(*map(ops.stop_gradient, control))

        def forward(*inputs: Tensor) -> tuple[Tensor, ...]:
            state, theta, series = inputs[:width], inputs[width : width + many], inputs[width + many :]
            end, last, read, kept, plans = self._ahead(state, control, theta, series, blank)
            return (*end, read, self._info(end[1], last), *kept, plans)

        def backward(upstream: Sequence[Tensor], outputs: Sequence[Tensor], *inputs: Tensor) -> list[Tensor]:
            kept, plans = outputs[width + 2 : -1], outputs[-1]
            adjoint, sent = list(upstream[:width]), upstream[width]
            return self._back(adjoint, sent, kept, plans, inputs[width:], many)

        found = loops.with_gradient(forward, backward)(x, t0, *theta, *series)
        return found[0], found[2], ops.stop_gradient(found[3])

    def _back(
        self,
        adjoint: Sequence[Tensor],
        sent: Tensor,
        kept: Sequence[Tensor],
        plans: Tensor,
        leaves: Sequence[Tensor],
        many: int,
    ) -> list[Tensor]:
        """The gradients by the state at the start and by the leaves (theta and series), chunk by chunk from the end."""
        width = len(kept)
        taken = ops.any(plans[:, :, 0] != 0, axis=2)
        counts = ops.sum(ops.cast(taken, "int32"), axis=1)
        chunks = ops.sum(ops.cast(counts > 0, "int32"))

        def replay(packed: Tensor, *inputs: Tensor) -> tuple[list[Tensor], Tensor, list[Tensor]]:
            return self._replayed(packed, inputs[:width], inputs[width : width + many], inputs[width + many :])

        def chunk(i: Tensor, *carry: Tensor) -> list[Tensor]:
            c = chunks - 1 - i
            packed, count = plans[c], counts[c]
            start = [part[c] for part in kept]

            def again(k: Tensor, *state: Tensor) -> tuple[list[Tensor], list[Tensor]]:
                new, plan, record = replay(packed[k], *state, *leaves)
                return new, [*state, plan, *record]

            like = [*start, ops.zeros((7, ops.shape(start[1])[0]), "float64"), *self._blank_record(start[0])]
            _, stacks, _ = loops.recorded(lambda k, *_: k < count, again, start, like, self.options.chunk)
            states, plan, records = stacks[:width], stacks[width], stacks[width + 1 :]
            shares = []
            if records:
                found = self._places(plan, count)[2]
                upstream = ops.where(_spread(found, sent), sent, 0.0)
                shares = loops.pulled_back(lambda *parts: self._values(plan, parts, count)[0], records, upstream)

            def back(j: Tensor, *carry: Tensor) -> list[Tensor]:
                k = count - 1 - j
                adjoint, sums = carry[:width], carry[width:]
                upstream = [*adjoint, *(share[k] for share in shares)]
                inputs = [*(part[k] for part in states), *leaves]
                found = loops.pulled_back(lambda *inputs: _joined(*replay(packed[k], *inputs)), inputs, upstream)
                return [*found[:width], *(a + b for a, b in zip(sums, found[width:], strict=True))]

            return loops.repeated(count, back, carry)

        return loops.repeated(chunks, chunk, [*adjoint, *map(ops.zeros_like, leaves)])

    def _replayed(
        self, packed: Tensor, state: Sequence[Tensor], theta: Sequence[Tensor], series: Sequence[Tensor]
    ) -> tuple[list[Tensor], Tensor, list[Tensor]]:
        """The state behind an attempt that was planned, its whole plan, and its record."""
        plan = ops.stop_gradient(self._unpacked(packed, state[1]))
        x, start, length = state[0], plan[START], plan[LENGTH]
        if self.motion.watch is not None:
            # Behind an event, time itself depends on what is differentiated; a stop does not.
            start = state[1]
            length = ops.where(plan[LANDS] > 0, plan[END] - start, length)
        moment = self._moment(ops.cast(plan[INTERVAL], "int32"), start, length, series, x.dtype)
        step = self.motion.attempt(moment, self.motion.states_of(x), theta)
        return self._moved(plan, moment, step, state, theta)[:3]

    def _unpacked(self, packed: Tensor, start: Tensor) -> Tensor:
        """The plan (7, batch) of an attempt at these times, from what is kept of it."""
        length, code = packed[0], ops.cast(packed[1], "int32")
        interval, flags = code // 8, code % 8
        applied, lands, fresh = flags // 4, (flags // 2) % 2, flags % 2
        end = ops.where(applied > 0, start + length, start)
        end = ops.where(lands > 0, _at(self.ends, ops.minimum(interval, self._intervals - 1)), end)
        return ops.stack([ops.cast(part, "float64") for part in (interval, start, length, end, applied, lands, fresh)])

    # Parts.

    @property
    def _method(self) -> Any:
        return methods.tableau(self.motion.method)

    @property
    def _intervals(self) -> Tensor:
        return ops.shape(self.ends)[0]

    @property
    def _jumps(self) -> bool:
        """Whether anything happens at a stop: a jump, or a switch that sensitivities notice."""
        known = any(jump.kind != "when" for jump in self.motion.description.jumps)
        return known or (self._switches and isinstance(self.motion.equations, Variations))

    @property
    def _switches(self) -> bool:
        return bool(self.fired.shape[1] > len(self.motion.description.jumps))

    @property
    def _resets(self) -> bool:
        """Whether the slope may change at a stop."""
        return bool(self.series) or self._jumps or self._switches or self.motion.watch is not None

    @property
    def _keeps_slope(self) -> bool:
        """Whether the slope at the end of a step is that at the start of the next."""
        return bool(getattr(self._method, "last_is_first", False))

    @property
    def _waiting(self) -> Tensor:
        span = _last(self.ends) - _first(self.starts)
        return ops.where(ops.equal(span, 0), 1.0, WAITING * span)

    def _controlled(self, x: Tensor) -> Tensor:
        """The part of the states whose error is controlled."""
        return x if self.options.exact else values(x)

    def _info(self, t: Tensor, control: Control) -> Tensor:
        running = ops.equal(control.status, RUNNING)
        status = ops.where(running, TOO_MANY, control.status)
        parts = (status, t, control.steps, control.refused, control.h, control.event)
        return ops.stack([ops.cast(ops.stop_gradient(part), "float64") for part in parts])

    def _spread_series(self, x0: Tensor) -> list[Tensor]:
        batch = ops.shape(x0)[-1]
        return [ops.broadcast_to(part, (*ops.shape(part)[:2], batch)) for part in self.series]

    def _start(self, x0: Tensor, series: Sequence[Tensor]) -> tuple[Tensor, loops.Moment]:
        none = ops.zeros_like(_row(x0), dtype="int32")
        t0 = _at(self.starts, none)
        return t0, self._moment(none, t0, ops.zeros_like(t0), series, x0.dtype)

    def _moment(self, interval: Tensor, t: Tensor, h: Tensor, series: Sequence[Tensor], dtype: Any) -> loops.Moment:
        interval = ops.minimum(interval, self._intervals - 1)
        none, one = ops.zeros((), "int32"), ops.ones((), "int32")
        own = tuple(ops.take_along_axis(part, interval[None, None], axis=0)[0] for part in series)
        return self._placed(loops.Moment(t, h, none, one, dtype, own), interval)

    def _placed(self, moment: loops.Moment, interval: Tensor) -> loops.Moment:
        """The moment with its place in its interval, which inputs and switches ask for."""
        if not (moment.series or self._switches):
            return moment
        start, end = _at(self.starts, interval), _at(self.ends, interval)
        if self._switches:
            moment = replace(moment, between=(ops.minimum(start, end), ops.maximum(start, end)))
        length = ops.where(ops.equal(end, start), 1.0, end - start)
        begin, share = (moment.start - start) / length, moment.length / length
        return replace(moment, placed=(begin, share)) if moment.series else moment

    def _of_stop(self, parts: Tensor, place: Tensor) -> Tensor:
        """The rows (J, batch) of `fired` or `numbers` at each row's stop."""
        if len(self.starts.shape) == 1:
            return ops.transpose(ops.take(parts[:, :, 0], place, axis=0))
        jumps = parts.shape[1]
        return ops.take_along_axis(parts, ops.broadcast_to(place, (1, jumps, ops.shape(place)[0])), axis=0)[0]


def tiniest(dtype: Any) -> float:
    """Added to what is divided by: a state that is 0 and stays 0 has no error."""
    return 1e8 * float(np.finfo(keras.backend.standardize_dtype(dtype)).tiny)


@lru_cache(maxsize=32)
def stability_limit(name: str) -> float:
    """The largest h·|λ| at which an explicit method damps x' = λx, λ < 0."""
    method: Any = methods.tableau(name)
    a, b = method.matrix, np.array(method.b)
    ones = np.ones(len(b))
    z = np.linspace(0.0, -20.0, 20001)[1:]
    growth = [abs(1 + step * b @ np.linalg.solve(np.eye(len(b)) - step * a, ones)) for step in z]
    return float(-z[int(np.argmax(np.array(growth) > 1 + 1e-9))])


def _packed(plans: Tensor) -> Tensor:
    """What has to be kept of plans (K, 7, batch): (K, 2, batch)."""
    code = 8 * plans[:, INTERVAL] + 4 * plans[:, APPLIED] + 2 * plans[:, LANDS] + plans[:, FRESH]
    return ops.stack([plans[:, LENGTH], code], axis=1)


def _joined(state: list[Tensor], _: Tensor, record: list[Tensor]) -> list[Tensor]:
    return [*state, *record]


def _row(x: Tensor) -> Tensor:
    """One row (batch,) of a packed array, for its shape."""
    return x[(0,) * (len(x.shape) - 1)]


def _largest(x: Tensor) -> Tensor:
    """The largest of (D, …, batch) for each of the batch."""
    return ops.max(x, axis=tuple(range(len(x.shape) - 1)))


def _finite(x: Tensor) -> Tensor:
    """Whether all of (D, …, batch) is finite, for each of the batch."""
    return ops.all(ops.isfinite(x), axis=tuple(range(len(x.shape) - 1)))


def _at(parts: Tensor, place: Tensor) -> Tensor:
    """Each row's part (batch,) of (M,), or of (M, batch)."""
    if len(parts.shape) == 1:
        return ops.take(parts, place, axis=0)
    return ops.take_along_axis(parts, place[None], axis=0)[0]


def _first(parts: Tensor) -> Tensor:
    return parts[0]


def _last(parts: Tensor) -> Tensor:
    return parts[-1]


def _spread(rows: Tensor, like: Tensor) -> Tensor:
    """(T, batch) with the axes between of `like` (T, D, …, batch), in its dtype unless it is a mask."""
    rows = rows if rows.dtype == "bool" or "bool" in str(rows.dtype) else ops.cast(rows, like.dtype)
    return ops.reshape(rows, (ops.shape(rows)[0], *[1] * (len(like.shape) - 2), ops.shape(rows)[1]))


def _taken(parts: Tensor, place: Tensor) -> Tensor:
    """(K, D, …, batch) at the places (T, batch) of its first axis: (T, D, …, batch)."""
    inner = len(parts.shape) - 2
    index = ops.reshape(place, (ops.shape(place)[0], *[1] * inner, ops.shape(place)[1]))
    return ops.take_along_axis(parts, ops.broadcast_to(index, (ops.shape(place)[0], *ops.shape(parts)[1:])), axis=0)
