"""`when`: a jump in the moment in which a condition turns from false to true, for each row by itself.

A step of the method is taken, and the conditions are looked at along its dense output (C. Hermite's cubic from the
states and slopes at both ends). Where one turns true the moment is found on the cubic by bisection, then on the method
itself by secants: the state at the event is the method's own step to there. Then the jump, then the rest of the step,
in the same way.

A condition that is true only between two places that are looked at (1/16 of a step apart) is found where its number has
a maximum that its slopes let expect; a dip that nothing before and behind it announces is missed. A jump whose
condition still holds behind it does not fire again until the condition was false.

The packed state has further rows: for each `when`, 1 where its condition was false when last looked at; then, for a row
in which jumps follow each other without end, the number of the jump (from 1), and its time. Such a row goes on as NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
from keras import ops

from odec.runtime import loops
from odec.runtime.equations import Equations, Variations, repeated
from odec.runtime.jumps import base, jumped, moved_root, values
from odec.runtime.layout import spread
from odec.runtime.roots import EDGE, first_rises, following, polished
from odec.runtime.signals import driven, inside
from odec.runtime.stepping import along
from odec.runtime.working import working_in

Tensor = Any
# advanced(moment, x, theta, begin, span) -> x: the method over a part of the step.
Advanced = Callable[..., Tensor]

# Jumps of one row in one step; more are taken for jumps without end.
MOST_IN_STEP = 64
# Two roots closer than this part of a step are one moment.
TIED = 1e-10
# How far ahead (of a step) the slopes are followed, to see where a condition at its edge is going.
PROBE = 2.0**-10
# A state's rounding error, relative to it, is taken for this many units in the last place.
ROUNDING = 16


@dataclass(frozen=True)
class Place:
    """Where in a step a part of it begins: the fraction (batch,), or one for all rows."""

    moment: loops.Moment
    fraction: Any

    @property
    def time(self) -> Tensor:
        """The model's time."""
        return self.moment.time(self.fraction)

    def of(self, equations: Any) -> Any:
        """The equations with the inputs of this place."""
        return driven(equations, inside(self.moment.series, lambda: self.moment.along(self.fraction)))


@dataclass(frozen=True)
class Found:
    """What was found on a step: the place of each condition's first event (W, batch), `NOWHERE` for none; the first of
    these (batch,), and whether there is one; which conditions are `ready` for a later event, how near 0 their numbers
    are at their `edge`, and which are `stuck` at it (W, batch)."""

    places: Tensor
    first: Tensor
    hit: Tensor
    ready: Tensor
    edge: Tensor
    stuck: Tensor

    def part(self, number: Callable[[Tensor], Tensor]) -> Tensor:
        """The place of the first event, (batch,), as the root of its number, with its derivative; 1 where there is
        none."""
        later = ops.logical_and(self.hit, self.first > 0)
        root = ops.where(later, polished(number, ops.where(self.hit, self.first, 1.0)), self.first)
        return ops.where(self.hit, ops.where(later, following(number, ops.stop_gradient(root)), 0.0), 1.0)


@dataclass(frozen=True)
class Watch:
    """The `when`s of a model: on its equations with or without sensitivities, stepped by `advanced`; `plain` steps the
    states alone."""

    equations: Equations | Variations
    advanced: Advanced
    plain: Advanced

    @cached_property
    def places(self) -> tuple[int, ...]:
        """For each `when`, its place among all jumps."""
        jumps = base(self.equations).model.description.jumps
        return tuple(j for j, jump in enumerate(jumps) if jump.kind == "when")

    @cached_property
    def size(self) -> int:
        """The rows of the states."""
        return len(base(self.equations).states)

    def started(self, x0: Tensor, moment: loops.Moment, theta: Sequence[Tensor]) -> Tensor:
        """The start with its further rows: a condition that is true there has to turn false before it can fire."""
        holds, _ = self._conditions(Place(moment, 0.0), values(x0), theta)
        none = ops.zeros_like(values(x0)[:1])
        return self._with_flags(x0, ops.concatenate([1 - ops.cast(holds, x0.dtype), none, none]))

    def step(self, moment: loops.Moment, x: Tensor, theta: Sequence[Tensor]) -> Tensor:
        """One step, with all that fires in it."""
        if base(self.equations).model.description.is_map:
            # Nothing is between two steps of a map.
            behind = self.advanced(moment, x[: self.size], theta)
            return self._run(self._stand, Place(moment, 1.0), self._with_flags(behind, values(x)[self.size :]), theta)
        return self._run(self._go, Place(moment, 0.0), x, theta)

    def settled(self, moment: loops.Moment, x: Tensor, theta: Sequence[Tensor]) -> Tensor:
        """The state behind a known jump, and behind what that jump makes fire."""
        return self._run(self._stand, Place(moment, 0.0), x, theta)

    def flags_of(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The further rows: whether each condition is armed (W, batch); a jump without end and its time (2, batch)."""
        flags = values(x)[self.size :]
        return flags[: len(self.places)] > 0.5, flags[len(self.places) :]

    # In an adaptive run, a step ends at the first event in it.

    def found(self, moment: loops.Moment, theta: Sequence[Tensor], x: Tensor, dense: Sequence[Tensor]) -> Found:
        """The first events of a step from the packed x, whose states run along Σ dense_m s^m."""
        path = [ops.stop_gradient(values(part))[:, None] for part in dense]
        start, slope = path[0][:, 0], path[1][:, 0]
        none, armed = ops.zeros_like(start[0]), self.flags_of(x)[0]
        return self._look(moment, theta, none, none + 1, start, armed, lambda s: along(path, s), slope)

    def part_to(self, moment: loops.Moment, theta: Sequence[Tensor], found: Found, dense: Sequence[Tensor]) -> Tensor:
        """How far along the step each row's first event is, with its derivative; 1 where there is none."""
        path = [values(part) for part in dense]
        mine = self._first_of(found.places)

        def number(s: Tensor) -> Tensor:
            return ops.sum(ops.where(mine, self._conditions(Place(moment, s), along(path, s), theta)[1], 0.0), axis=0)

        return found.part(number)

    def passed(self, z: Tensor, x: Tensor, found: Found, applied: Tensor, time: Tensor) -> Tensor:
        """The packed state z behind a step without events, from x at its start; it was `applied` in these rows."""
        armed, stalled = self.flags_of(x)
        armed = ops.where(applied, found.ready, armed)
        return self.noted(
            self._with_flags(z, ops.concatenate([ops.cast(armed, z.dtype), stalled])),
            ops.logical_and(found.stuck, applied),
            time,
        )

    def behind(
        self, there: loops.Moment, theta: Sequence[Tensor], land: Tensor, x: Tensor, found: Found, hit: Tensor
    ) -> Tensor:
        """The packed state behind the events of the rows `hit`, which have landed on states `land` at the moment
        `there`, from x at the start of the step. What these jumps make fire is found at the start of the next step."""
        armed, stalled = self.flags_of(x)
        fired, place = ops.logical_and(hit, found.places <= found.first + TIED), Place(there, 0.0)
        row = self.size + len(self.places)
        moved = x[row, 1:] if len(x.shape) == 3 else self._unmoved(land)
        z, new, moved = self._fired(place, theta, land, armed, fired, moved, found.first <= 0, found.edge)
        packed = self._with_flags(z, ops.concatenate([ops.cast(new, z.dtype), stalled]))
        if len(x.shape) == 2:
            return packed
        # How the event's time moves with what sensitivities are by is needed if it makes another happen at once.
        own = ops.concatenate([packed[row, :1], moved])[None]
        return ops.concatenate([packed[:row], own, packed[row + 1 :]])

    def noted(self, x: Tensor, endless: Tensor, time: Tensor) -> Tensor:
        """x with the note that the jumps `endless` (W, batch) come to no end at the time."""
        flags, many = values(x)[self.size :], len(self.places)
        which = ops.cast(ops.argmax(ops.cast(endless, "int32"), axis=0) + 1, x.dtype)
        now = ops.where(ops.any(endless, axis=0), ops.stack([which, spread(time, ops.ones_like(which))]), flags[many:])
        return self._with_flags(x[: self.size], ops.concatenate([flags[:many], now]))

    # The loop over the parts of a step.

    def _unmoved(self, z: Tensor) -> Tensor:
        return ops.zeros_like(z[0, 1:]) if len(z.shape) == 3 else ops.zeros_like(z[0])

    def _run(self, part: Callable[..., Any], place: Place, x: Tensor, theta: Sequence[Tensor]) -> Tensor:
        z, flags = x[: self.size], values(x)[self.size :]
        none, moved = ops.zeros_like(flags[0]), self._unmoved(z)

        def body(begin: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
            new = part(place, theta, begin, *carry)
            # Rows that have arrived wait for the others.
            return tuple(ops.where(begin >= 1, old, now) for old, now in zip((begin, *carry), new, strict=True))

        carry = loops.bounded(
            lambda begin, *_: ops.any(begin < 1), body, (none, z, flags, none, moved), MOST_IN_STEP + 2
        )
        return self._with_flags(carry[1], carry[2])

    def _go(
        self, place: Place, theta: Any, begin: Tensor, z: Tensor, flags: Tensor, count: Tensor, moved: Tensor
    ) -> tuple[Tensor, ...]:
        """To the next event of each row, or to the end of the step where there is none."""
        moment, span, x = place.moment, 1 - begin, ops.stop_gradient(values(z))
        after = self.advanced(moment, z, theta, begin, span)
        armed, stalled = flags[: len(self.places)] > 0.5, flags[len(self.places) :]
        cubic, slope = self._dense(moment, theta, begin, x, ops.stop_gradient(values(after)))
        found = self._look(moment, theta, begin, span, x, armed, cubic, slope)

        def fire() -> tuple[Tensor, ...]:
            part = found.part(self._number(moment, theta, begin, z, found.places))
            land = self.advanced(moment, z, theta, begin, span * part)
            at = Place(moment, begin + span * part)
            fired = ops.logical_and(found.hit, found.places <= found.first + TIED)
            new = self._fired(at, theta, land, armed, fired, moved, found.first <= 0, found.edge)
            return self._counted(found.hit, fired, at, (found.ready, stalled, count, moved), *new)

        def go_on() -> tuple[Tensor, ...]:
            new = ops.concatenate([ops.cast(found.ready, z.dtype), stalled])
            return ops.ones_like(begin), after, new, count, moved

        behind, z, flags, count, moved = loops.chosen(ops.any(found.hit), fire, go_on)
        stuck = ops.logical_and(found.stuck, ops.logical_not(found.hit))
        return *self._stopped(stuck, Place(moment, begin), behind, z, flags), count, moved

    def _look(
        self,
        moment: loops.Moment,
        theta: Any,
        begin: Tensor,
        span: Tensor,
        x: Tensor,
        armed: Tensor,
        path: Callable[[Tensor], Tensor],
        slope: Tensor,
    ) -> Found:
        """The first events on a path from the states x at `begin`; `slope` is its change in a whole step."""

        def look(s: Tensor) -> tuple[Tensor, Tensor]:
            return self._conditions(Place(moment, begin + span * s), path(s), theta)

        blur, ahead = self._edges(Place(moment, begin), x, slope / span, theta)
        places, ready, edge, g = first_rises(look, armed, blur)
        # At its edge, about to turn false, and true again before the first place that was looked at.
        stuck = ops.logical_and(ops.abs(g) <= edge, ops.logical_not(ops.logical_or(ready, ahead)))
        first = ops.min(places, axis=0)
        return Found(places, first, first <= 1, ready, edge, stuck)

    def _stand(
        self, place: Place, theta: Any, begin: Tensor, z: Tensor, flags: Tensor, count: Tensor, moved: Tensor
    ) -> tuple[Tensor, ...]:
        """What fires without time going on."""
        armed, stalled = flags[: len(self.places)] > 0.5, flags[len(self.places) :]
        holds, g = self._conditions(place, values(z), theta)
        fired = ops.logical_and(armed, holds)
        hit = ops.any(fired, axis=0)
        ready = ops.logical_or(armed, ops.logical_not(holds))
        new = self._fired(place, theta, z, armed, fired, moved, hit, EDGE * ops.abs(g))
        at = Place(place.moment, place.fraction)
        _, *rest = self._counted(hit, fired, at, (ready, stalled, count, moved), *new)
        return ops.where(hit, begin, 1.0), *rest

    def _fired(
        self,
        place: Place,
        theta: Any,
        z: Tensor,
        armed: Tensor,
        fired: Tensor,
        moved: Tensor,
        at_once: Tensor,
        edge: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The state behind the jumps `fired` (W, batch) in the order of the text; what may fire next; τ_p."""
        equations, time = place.of(self.equations), place.time
        held, before = self._conditions(place, values(z), theta)
        for w, j in enumerate(self.places):
            own = None
            if isinstance(equations, Variations):
                # What one jump makes another do happens at the first one's time.
                own = ops.where(at_once, moved, moved_root(equations, w, time, z, theta))
                moved = ops.where(fired[w], own, moved)
            z = ops.where(fired[w], jumped(equations, j, time, z, theta, own), z)
        holds, g = self._conditions(place, values(z), theta)
        left = ops.logical_and(ops.logical_not(holds), ops.abs(g) > edge)
        seen_false = ops.logical_or(left, ops.logical_and(ops.logical_not(held), ops.abs(before) > edge))
        return z, ops.where(fired, left, ops.logical_or(armed, seen_false)), moved

    def _counted(
        self,
        hit: Tensor,
        fired: Tensor,
        place: Place,
        before: tuple[Tensor, ...],
        z: Tensor,
        armed: Tensor,
        moved: Tensor,
    ) -> tuple[Tensor, ...]:
        ready, stalled, count, _ = before
        flags = ops.concatenate([ops.cast(ops.where(hit, armed, ready), z.dtype), stalled])
        count = count + ops.cast(hit, z.dtype)
        begin = ops.where(hit, place.fraction + ops.zeros_like(count), 1.0)
        endless = ops.logical_and(fired, ops.logical_and(hit, count > MOST_IN_STEP))
        return *self._stopped(endless, place, begin, z, flags), count, moved

    def _stopped(
        self, endless: Tensor, place: Place, begin: Tensor, z: Tensor, flags: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rows in which a jump is `endless` (W, batch) become NaN, and remember which and when."""
        over, many = ops.any(endless, axis=0), len(self.places)
        which = ops.cast(ops.argmax(ops.cast(endless, "int32"), axis=0) + 1, z.dtype)
        now = ops.stack([which, spread(place.time, ops.ones_like(which))])
        flags = ops.concatenate([flags[:many], ops.where(over, now, flags[many:])])
        return ops.where(over, 1.0, begin), ops.where(over, ops.full_like(z, float("nan")), z), flags

    # What the search needs.

    def _edges(self, place: Place, x: Tensor, slope: Tensor, theta: Any) -> tuple[Tensor, Tensor]:
        """How far the numbers at `place` are blurred: by rounding of the states, and EDGE of what a whole step changes;
        and whether each condition holds a little ahead. `slope` is the change of x in a whole step."""
        tiny = ROUNDING * float(np.finfo(keras.backend.standardize_dtype(x.dtype)).eps)
        _, g = self._conditions(place, x, theta)
        _, rounded = self._conditions(place, x * (1 + tiny), theta)
        ahead, later = self._conditions(Place(place.moment, place.fraction + PROBE), x + PROBE * slope, theta)
        blur = ops.abs(rounded - g) + EDGE / PROBE * ops.abs(later - g)
        return ops.where(ops.isfinite(blur), blur, 0.0), ahead

    def _dense(
        self, moment: loops.Moment, theta: Any, begin: Tensor, x0: Tensor, x1: Tensor
    ) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """x at s (K, batch) of the way from `begin` to the end of the step, (D, K, batch); and the slope at `begin`."""
        h = moment.h * (1 - begin)
        plain = base(self.equations)
        ends = (Place(moment, begin), x0), (Place(moment, ops.ones_like(begin)), x1)
        d0, d1 = (place.of(plain).rhs(place.time, x, theta) * h for place, x in ends)
        a, b, da, db = (ops.stop_gradient(value)[:, None] for value in (x0, x1, d0, d1))

        def cubic(s: Tensor) -> Tensor:
            return a * (1 - s) + b * s - s * (1 - s) * ((1 - 2 * s) * (b - a) + (s - 1) * da + s * db)

        return cubic, ops.stop_gradient(d0)

    def _number(
        self, moment: loops.Moment, theta: Any, begin: Tensor, z: Tensor, found: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """The number of each row's first condition, on the method's own step to s (batch,) of the way."""
        mine = self._first_of(found)

        def number(s: Tensor) -> Tensor:
            span = (1 - begin) * s
            x = self.plain(moment, values(z), theta, begin, span)
            return ops.sum(ops.where(mine, self._conditions(Place(moment, begin + span), x, theta)[1], 0.0), axis=0)

        return number

    def _first_of(self, places: Tensor) -> Tensor:
        """For each row, which condition (W, batch) has the first event."""
        first = ops.argmin(places, axis=0)
        return ops.equal(ops.arange(len(self.places), dtype=first.dtype)[:, None], first[None])

    def _conditions(self, place: Place, x: Tensor, theta: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Whether each condition holds, and its number: (W, batch) for x (D, batch), (W, K, batch) for (D, K, batch)"""
        lanes = len(x.shape) == 3
        time, flat = place.time, x
        if lanes:
            flat, time = ops.reshape(x, (x.shape[0], -1)), ops.reshape(time, (-1,))
            theta = repeated(theta, ops.shape(x)[1])
        equations = place.of(base(self.equations))
        p, c = equations.arguments(theta)
        with working_in(x.dtype):
            pairs = equations.model.conditions(time, equations.layout.unpacked(flat), p, c)
        holds = ops.stack([spread(_as_number(condition, flat), ops.ones_like(flat[0])) for condition, _ in pairs]) > 0.5
        g = ops.stack([spread(number, ops.ones_like(flat[0])) for _, number in pairs])
        shape = (len(pairs), *ops.shape(x)[1:])
        return ops.reshape(holds, shape), ops.reshape(g, shape)

    def _with_flags(self, z: Tensor, flags: Tensor) -> Tensor:
        if len(z.shape) == 3:
            blank = ops.zeros((flags.shape[0], z.shape[1] - 1, ops.shape(z)[2]), dtype=z.dtype)
            flags = ops.concatenate([flags[:, None], blank], axis=1)
        return ops.concatenate([z, flags], axis=0)


def _as_number(condition: Any, like: Tensor) -> Any:
    return ops.cast(condition, like.dtype) if hasattr(condition, "dtype") else float(condition)
