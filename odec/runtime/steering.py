"""How an adaptive run steers each row: the first step, the error of an attempt, the next step, and when a row ends.

The next step follows from the last two errors (K. Gustafsson, 1991; constants of E. Hairer and G. Wanner, Solving
Ordinary Differential Equations II, IV.2), the first one from the slopes at the start (ibid. I, II.4), and stiffness
from the last two stages of an explicit step (ibid. II, IV.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from odec.runtime import methods
from odec.runtime.events import MOST_IN_STEP, Watch
from odec.runtime.jumps import values
from odec.runtime.rowwise import APPLIED, END, LANDS, START, finite, largest, one_row, tiniest
from odec.runtime.stepping import Step

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
# A sensitivity counts as this part of its state over its param (∂ln x/∂ln p) where it is smaller: one that is 0 but for
# rounding has no error that could be kept below a part of itself. (And where all states that a param reaches start at 0
# behind others, as in a chain of compartments, it counts as the negligible part of these.)
UNFELT = 1e-6
# The error of a step is held to this part of the tolerance: an explicit method's and a stiff one's. Errors add up along
# a run, most where nothing damps them (orbits): so that on the published problems (benchmarks/ivp.py) the sum stays
# below 100 rtol where rounding and conditioning allow. Four fifths more steps of an explicit method, and up to two
# fifths of a stiff one.
CAUTION, STIFF_CAUTION = 0.05, 0.4
# The first step, as a part of the run, where nothing says more.
FIRST = 1e-6
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


@dataclass(frozen=True, eq=False)
class Steering:
    """`tolerance` (1 + D,) is rtol and each state's atol, NaN for the scaled one; `limit` ends a row after so many
    attempts. `exact` sensitivities keep so many times the tolerance (0: none); `watches` ends a row whose problem is
    stiff. `span` is the (signed) length of the run, `intervals` the number of its intervals. `per_unit` (P, batch) is
    1/|p| of the params of exact sensitivities."""

    method: str
    tolerance: Tensor
    limit: Tensor
    span: Tensor
    intervals: Tensor
    exact: float = False
    watches: bool = False
    per_unit: Tensor | None = None

    def first_guess(self, x: Tensor, slope: Tensor) -> Tensor:
        """A length (batch,), signed, over which to look how the slope (D, …, batch) at the start x bends."""
        size = ops.abs(values(x))
        weight = self._weights(size, size)
        d0, d1 = (largest(ops.where(size > 0, ops.abs(part) / weight, 0.0)) for part in (size, values(slope)))
        guess = ops.where(ops.logical_and(d0 > 1e-5, d1 > 1e-5), 0.01 * d0 / ops.where(d1 > 0, d1, 1.0), 0.0)
        reach = ops.cast(ops.abs(self.span), x.dtype)
        return ops.where(guess > 0, ops.minimum(guess, reach), FIRST * reach) * ops.cast(ops.sign(self.span), x.dtype)

    def begun(self, x: Tensor, slope: Tensor, guess: Tensor, bent: Tensor) -> Control:
        """The control at the start x with its slope; `bent` is the slope a `guess` further on. The first step is the
        one whose first neglected term is 0.01 of the tolerance."""
        size, f, ahead = ops.abs(values(x)), values(slope), ops.abs(guess)
        moved = self._weights(size, ops.abs(values(x) + guess * f))
        d2 = largest(ops.abs(values(bent) - f) / moved) / ahead
        steepest = ops.maximum(largest(ops.abs(f) / moved), d2)
        longest = ops.where(steepest > 1e-15, (0.01 / ops.maximum(steepest, 1e-15)) ** self._power, 1e3 * ahead)
        reach = ops.cast(ops.abs(self.span), x.dtype)
        h = ops.minimum(ops.minimum(100 * ahead, longest), reach)
        # A slope that overflows says nothing; a step of length 0 would never end.
        h = ops.where(ops.logical_and(ops.isfinite(h), h > 0), h, FIRST * reach)
        sound = ops.logical_and(finite(size), finite(f))
        no = ops.zeros_like(one_row(x), dtype="bool")
        none = ops.cast(no, "int32")
        return Control(
            interval=none,
            h=ops.cast(h, "float64") * ops.sign(self.span),
            error=ops.ones_like(one_row(x)),
            refused_last=no,
            fresh=ops.logical_not(no),
            status=ops.cast(ops.where(sound, RUNNING, NOT_FINITE), "int32"),
            steps=none,
            refused=none,
            stiff=none,
            calm=none,
            event=none,
            bounces=none,
            size=ops.abs(x) if self.exact else size,
            slope=slope if self.keeps_slope else slope[:0],
        )

    def error(self, step: Step, x: Tensor, size: Tensor, reads_inside: bool) -> tuple[Tensor, Tensor]:
        """The largest value so far of each state, and the error of a step from x relative to the tolerance, (batch,):
        at its end, and inside it too where values are read there."""
        x, after = (ops.abs(ops.stop_gradient(self._controlled(part))) for part in (x, step.x))
        size = ops.maximum(size, x)
        weight = self._weights(size, ops.maximum(x, after))

        def relative(error: Tensor) -> Tensor:
            return ops.abs(ops.stop_gradient(self._controlled(error))) / weight

        at_end = [relative(error) for error in step.errors]
        parts = [largest(part) for part in at_end]
        error, sound = parts[0], ops.logical_and(finite(at_end[0]), finite(after))
        if len(parts) == 2:
            # The estimators of order 5 and 3 of dop853 as one of order 7 (Hairer, Nørsett, Wanner I, II.10).
            both = ops.sqrt(parts[0] ** 2 + 0.01 * parts[1] ** 2)
            error = parts[0] ** 2 / ops.where(both > 0, both, 1.0)
        if reads_inside and step.inside is not None:
            inside = relative(step.inside())
            error, sound = ops.maximum(error, largest(inside)), ops.logical_and(sound, finite(inside))
        return size, ops.where(sound, error / self._caution, float("inf"))

    def steered(
        self,
        control: Control,
        states: Tensor,
        step: Step,
        plan: Tensor,
        h: Tensor,
        error: Tensor,
        stands: Tensor,
        size: Tensor,
    ) -> Control:
        """The control behind an attempt of length h, whose error was `error`, at the `states` behind it. The rows that
        it `stands` for made none. (The slope is still that before.)"""
        applied, landed = plan[APPLIED] > 0, plan[LANDS] > 0
        was = ops.equal(control.status, RUNNING)
        refused = ops.logical_not(ops.logical_or(applied, stands))
        h_next, error = self._next_step(control, plan, h, error, refused)
        interval = control.interval + ops.cast(landed, "int32")
        steps = control.steps + ops.cast(applied, "int32")
        attempts = control.refused + ops.cast(refused, "int32")
        stiff, calm = self._stiffness(step, applied, control, states, size)
        status = ops.where(ops.greater_equal(interval, self.intervals), DONE, control.status)
        small = ops.abs(h_next) < SMALLEST_STEP * ops.abs(plan[END]) + tiniest("float64")
        # Accepted steps that no longer move the time, and do not grow, end a row too; between quick events they may.
        still = ops.logical_and(applied, ops.logical_and(ops.abs(h_next) <= ops.abs(h), ops.equal(control.bounces, 0)))
        vain = ops.logical_and(stands, ops.logical_not(landed))
        still = ops.logical_or(ops.logical_and(ops.logical_or(refused, still), small), vain)
        status = _ended(status, still, ops.where(ops.isfinite(error), TOO_SMALL, NOT_FINITE))
        status = _ended(status, stiff >= STIFF_STEPS, STIFF)
        status = _ended(status, steps + attempts >= self.limit, TOO_MANY)
        return control._replace(
            interval=interval,
            h=h_next,
            error=ops.where(applied, ops.maximum(error, 1e-4), control.error),
            refused_last=ops.where(stands, control.refused_last, refused),
            fresh=landed,
            status=ops.cast(ops.where(was, status, control.status), "int32"),
            steps=steps,
            refused=attempts,
            stiff=stiff,
            calm=calm,
            size=ops.where(applied, size, control.size),
        )

    def behind_event(self, control: Control, plan: Tensor, h: Tensor, event: Tensor, endless: Tensor) -> Control:
        """The control where the attempt may have ended at an `event` (its number, 0 for none), or has run into jumps
        that are `endless`."""
        at_event, used = event > 0, ops.abs(plan[END] - plan[START])
        # Where events follow each other fast, a step as long as ever would hide the next one.
        after = ops.minimum(ops.abs(h), ops.maximum(LARGEST_FACTOR * used, LEFT * ops.abs(h)))
        quick = used < QUICK * ops.abs(self.span)
        bounces = ops.cast(ops.where(quick, control.bounces + ops.cast(at_event, "int32"), 0), "int32")
        # A row that has ended stands still: its attempts have no length, and nothing happens in them.
        stalled = ops.logical_or(ops.logical_and(bounces > MOST_IN_STEP, at_event), endless)
        return control._replace(
            h=ops.where(at_event, ops.sign(h) * after, control.h),
            event=ops.where(at_event, event, control.event),
            bounces=bounces,
            status=ops.cast(ops.where(stalled, ENDLESS, control.status), "int32"),
        )

    @property
    def keeps_slope(self) -> bool:
        """Whether the slope at the end of a step is that at the start of the next."""
        return bool(getattr(methods.tableau(self.method), "last_is_first", False))

    # Inside.

    @property
    def _caution(self) -> float:
        return STIFF_CAUTION if isinstance(methods.tableau(self.method), methods.Rosenbrock) else CAUTION

    @property
    def _power(self) -> float:
        method: Any = methods.tableau(self.method)
        return 1.0 / (method.error_order + 1)

    def _controlled(self, x: Tensor) -> Tensor:
        """The part of the states whose error is controlled."""
        return x if self.exact else values(x)

    def _weights(self, size: Tensor, now: Tensor) -> Tensor:
        """What an error of each state is measured against: atol + rtol·|x|."""
        rtol, atol = self.tolerance[0], self.tolerance[1:]
        atol = ops.reshape(atol, (-1, *[1] * (len(now.shape) - 1)))
        scaled = rtol * (SCALED * size + NEGLIGIBLE * ops.max(size, axis=0, keepdims=True))
        if len(now.shape) == 3 and self.per_unit is not None:
            largest_state = ops.max(size[:, :1], axis=0, keepdims=True)
            unfelt = (UNFELT * size[:, :1] + NEGLIGIBLE * largest_state) * self.per_unit
            scaled = scaled + rtol * ops.concatenate([ops.zeros_like(size[:, :1]), unfelt], axis=1)
        weights = ops.where(ops.isnan(atol), scaled, atol) + rtol * now
        if len(now.shape) == 3 and self.exact > 1:
            columns = np.full((1, now.shape[1], 1), float(self.exact))
            columns[:, 0] = 1.0
            weights = weights * ops.convert_to_tensor(columns, dtype=now.dtype)
        return weights + tiniest(now.dtype)

    def _next_step(
        self, control: Control, plan: Tensor, h: Tensor, error: Tensor, refused: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The length of the next attempt, and the error that it follows from."""
        error = ops.maximum(error, NO_ERROR)
        safe = ops.where(ops.isfinite(error), error, 1e30)
        grown = safe ** (0.75 * MEMORY - self._power) * control.error**MEMORY
        held = ops.cast(ops.logical_or(refused, control.refused_last), safe.dtype)
        factor = SAFETY * ops.where(refused, safe**-self._power, grown)
        factor = ops.cast(ops.clip(factor, SMALLEST_FACTOR, held + LARGEST_FACTOR * (1 - held)), "float64")
        # A step that was cut short by a stop says little of the next one.
        cut = ops.abs(h) < ops.abs(control.h)
        follows = ops.where(cut, ops.sign(h) * ops.maximum(ops.abs(h * factor), ops.abs(control.h)), h * factor)
        return ops.where(refused, h * factor, ops.where(plan[APPLIED] > 0, follows, control.h)), error

    def _stiffness(
        self, step: Step, applied: Tensor, control: Control, states: Tensor, size: Tensor
    ) -> tuple[Tensor, Tensor]:
        """How many steps at the edge of stability there were, and how many others since."""
        if step.stretch is None or not self.watches:
            return control.stiff, control.calm
        weight = self._weights(values(size), ops.abs(values(states)))
        change, way = (ops.sum((ops.stop_gradient(values(part)) / weight) ** 2, axis=0) for part in step.stretch)
        at_edge = ops.logical_and(applied, change > (EDGE * stability_limit(self.method)) ** 2 * way)
        calm = ops.where(at_edge, 0, control.calm + ops.cast(applied, "int32"))
        stiff = ops.where(calm >= OTHER_STEPS, 0, control.stiff + ops.cast(at_edge, "int32"))
        return stiff, ops.cast(calm, "int32")


def endless(watch: Watch, x: Tensor) -> Tensor:
    """The rows (batch,) of a packed state in which jumps were seen to follow each other without end."""
    return watch.flags_of(ops.stop_gradient(x))[1][0] > 0


def _ended(status: Tensor, condition: Tensor, how: Any) -> Tensor:
    """The status, `how` for running rows that meet the condition."""
    return ops.where(ops.logical_and(condition, ops.equal(status, RUNNING)), how, status)


@lru_cache(maxsize=32)
def stability_limit(name: str) -> float:
    """The largest h·|λ| at which an explicit method damps x' = λx, λ < 0."""
    method: Any = methods.tableau(name)
    a, b = method.matrix, np.array(method.b)
    ones = np.ones(len(b))
    z = np.linspace(0.0, -20.0, 20001)[1:]
    growth = [abs(1 + step * b @ np.linalg.solve(np.eye(len(b)) - step * a, ones)) for step in z]
    return float(-z[int(np.argmax(np.array(growth) > 1 + 1e-9))])
