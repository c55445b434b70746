"""The pure function behind a layer: states, input series and parameters in, columns out. It holds no variable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from odec.runtime import loops
from odec.runtime.adaptive import Adaptive
from odec.runtime.equations import Equations
from odec.runtime.march import March, Options
from odec.runtime.motion import Motion, outputs
from odec.runtime.schedule import Schedule
from odec.runtime.signals import Signal, along, at_times, interpolated
from odec.runtime.stops import fixed_course, fixed_times, stops_of

Tensor = Any

# Attempts of an adaptive layer that are read together, and computed again together for its gradient.
LAYER_CHUNK = 32

# Bytes of the states of a block of rows, which a core's cache holds, and of those of rows that are taken at once: from
# arrays of 32 MB on each call gets new ones, whose pages cost more to come by than the numbers in them. Measured on
# 1,000 Euler steps of two species.
BLOCK, WHOLE = 2**19, 2**24
# Rows of a block at least: fewer do not fill the processor's vectors.
FEWEST = 32
# Rows of a block of an adaptive run, which keeps steps and not only states, and of those that are taken at once.
# Measured as above with gradients: 1,024 rows take a third of the time on JAX, half of it on TensorFlow.
ADAPTIVE_BLOCK, ADAPTIVE_WHOLE = 64, 256


@dataclass(frozen=True, eq=False)
class Recurrence:
    """A model by a method. `timing` is None where a map steps once for each row of its series; `knots` are the times
    of the series' rows, None where they follow from a schedule. `frozen` are the params that jump times depend on;
    `given` are the state elements whose initial values come with the call."""

    equations: Equations
    method: str
    timing: Schedule | Adaptive | None
    columns: tuple[str, ...]
    sequences: bool
    knots: np.ndarray | None = None
    frozen: tuple[tuple[str, float], ...] = ()
    given: tuple[str, ...] = ()

    def __call__(self, initial: Tensor, series: Tensor | None, shared: Tensor, rows: Tensor) -> Tensor:
        """Columns (batch, steps, columns), or (batch, columns) of the last row, from initial values (batch, given),
        series (batch, K, I), params that all rows share (S,) and params of each row (R, batch)."""
        if series is not None and series.shape[0] == 1:
            series = ops.broadcast_to(series, (ops.shape(initial)[0], *ops.shape(series)[1:]))
        if not self.equations.slots.rows:
            rows = ops.broadcast_to(rows, (0, ops.shape(initial)[0]))
        parts = [initial, ops.transpose(rows)] if series is None else [initial, ops.transpose(rows), series]
        blocks = self._blocks(initial, series)
        if blocks is None:
            return self._block(shared, *parts)
        length, most = blocks
        return loops.in_blocks(self._block, [shared], parts, length=length, most=most)

    def _blocks(self, initial: Tensor, series: Tensor | None) -> tuple[int, int] | None:
        """How many rows a block has, and from how many rows on there are blocks; None where they gain nothing."""
        if isinstance(self.timing, Adaptive):
            # For a batch of any length TensorFlow would compile the loop over blocks too: 3 s more for each layer.
            return None if initial.shape[0] is None else (ADAPTIVE_BLOCK, ADAPTIVE_WHOLE)
        if isinstance(self.timing, Schedule):
            intervals = len(self.timing.counts) + self.timing.most
        elif series is not None and series.shape[1] is not None:
            intervals = series.shape[1]
        else:
            return None
        row = intervals * len(self.equations.states) * np.dtype(keras.backend.standardize_dtype(initial.dtype)).itemsize
        length = max(FEWEST, 2 ** (BLOCK // row).bit_length() // 2)
        return length, max(length, WHOLE // row)

    def _block(self, shared: Tensor, initial: Tensor, rows: Tensor, series: Tensor | None = None) -> Tensor:
        """The same with params of each row as (batch, R)."""
        equations, batch = self.equations, ops.shape(initial)[0]
        theta = (shared, ops.transpose(rows))
        like = ops.zeros((batch,), dtype=initial.dtype)
        given = dict(zip(self.given, ops.unstack(initial, axis=1), strict=True)) if self.given else {}
        x0 = equations.initial(theta, given, like)
        if series is not None:
            series = ops.transpose(series, (1, 2, 0))
        if self.timing is None:
            values = self._row_by_row(x0, theta, series)
        elif isinstance(self.timing, Adaptive):
            values = self._adaptive(self.timing, x0, theta, series)
        elif equations.model.description.jumps or series is not None:
            values = self._along_course(x0, theta, series)
        else:
            values = self._plain(x0, theta)
        return values if self.sequences else values[:, 0]

    def _plain(self, x0: Tensor, theta: Sequence[Tensor]) -> Tensor:
        equations, schedule = self.equations, self.timing
        assert isinstance(schedule, Schedule)
        times = ops.convert_to_tensor(schedule.times, dtype=x0.dtype)
        if not len(schedule.counts):  # nothing but the start is asked for, and a loop over nothing does not compile
            return self._read(times, ops.repeat(x0[None], len(schedule.times), axis=0), theta, None)
        asked_as_computed = self.sequences and schedule.follows_intervals and self.columns == equations.states
        states = loops.trajectory(
            Motion(equations, self.method).step,
            x0,
            equations.lanes(theta, x0[0]),
            schedule.starts,
            schedule.steps,
            schedule.counts,
            single=schedule.single,
            rows_first=asked_as_computed,
        )
        if asked_as_computed:
            return states
        if not schedule.follows_intervals:
            states = ops.take(ops.concatenate([x0[None], states]), schedule.order, axis=0)
        return self._read(times, states, theta, None)

    def _along_course(self, x0: Tensor, theta: Sequence[Tensor], series: Tensor | None) -> Tensor:
        equations, schedule = self.equations, self.timing
        assert isinstance(schedule, Schedule)
        description = equations.model.description
        signal: Signal | None = None
        ends: list[Tensor] = []
        read = None
        if series is not None:
            signal = Signal(series_times(description, schedule, series.shape[0], self.knots), series)
        knots = None if signal is None else signal.knots
        laid = fixed_course(equations.model, schedule, equations.slots.numbers, knots, dict(self.frozen))
        if signal is not None:
            linear = interpolated(description)
            ends = list(along(signal, laid.starts, laid.ends, linear))
            read = at_times(signal, laid.times, linear)
        tensors = map(ops.convert_to_tensor, (laid.order, laid.fired, laid.numbers))
        course = (laid.starts, laid.steps, laid.counts, *tensors)
        lanes = equations.lanes(theta, x0[0])
        states, _ = Motion(equations, self.method).run(x0, lanes, course, ends, single=laid.single)
        if any(jump.kind == "when" for jump in description.jumps) and x0.shape[-1] is None:
            # XLA cannot compile the gradient of the loop over the events in a step for batches of any length.
            states = loops.forbidden(
                states, f"{description.name} jumps by conditions: to train it give `rtol`, not `h`"
            )
        return self._read(ops.convert_to_tensor(laid.times, dtype=x0.dtype), states, theta, read)

    def _adaptive(self, timing: Adaptive, x0: Tensor, theta: Sequence[Tensor], series: Tensor | None) -> Tensor:
        equations, motion = self.equations, Motion(self.equations, self.method)
        model, knots, ends, read = equations.model, self.knots, [], None
        if series is not None and knots is None:
            knots = timing.rows(model.description.name, series.shape[0])
        numbers = equations.slots.numbers
        times = fixed_times(model, numbers, dict(self.frozen), switches=True)
        stops = stops_of(model, timing, times, knots)
        if series is not None:
            assert knots is not None
            signal, linear = Signal(knots, series), interpolated(model.description)
            ends = list(along(signal, stops.starts, stops.ends, linear))
            read = at_times(signal, timing.times, linear)
        parts = (stops.starts, stops.ends, stops.fired, stops.numbers, stops.asked, timing.times)
        tolerance = timing.tolerance(len(equations.states), keras.backend.standardize_dtype(x0.dtype))
        tensors = map(ops.convert_to_tensor, (*parts, tolerance, np.int32(timing.limit)))
        only_end = timing.to_end_only or (not self.sequences and timing.times[-1] == timing.end)
        options = Options(LAYER_CHUNK, -(-timing.limit // LAYER_CHUNK), only_end)
        march = March(motion, *tensors, series=ends, options=options)  # type: ignore[misc]
        values = march.run(x0, theta).values
        return self._read(ops.convert_to_tensor(timing.times, dtype=x0.dtype), values, theta, read)

    def _row_by_row(self, x0: Tensor, theta: Sequence[Tensor], series: Tensor) -> Tensor:
        """A map: a step for each row of the series, whose number may be unknown until it runs."""
        count = ops.shape(series)[0]
        numbers = ops.arange(count, dtype="int32")
        starts = ops.cast(numbers, "float64")
        equations, motion, whole = self.equations, Motion(self.equations, self.method), ops.ones_like(numbers)
        begin = loops.Moment(starts[0], starts[0] * 0, whole[0], whole[0], x0.dtype, (series[0], series[0]))
        x0, lanes = motion.started(x0, begin, theta), equations.lanes(theta, x0[0])
        states = loops.trajectory(
            motion.step, x0, lanes, starts, ops.ones_like(starts), whole, single=True, series=(series, series)
        )
        # A value belongs to the row of the series that is read next; behind the last row the last is held.
        read = ops.concatenate([series[1:], series[-1:]])
        times = ops.cast(starts + 1, x0.dtype)
        return self._read(times, motion.states_of(states, axis=1), theta, read)

    def _read(self, times: Tensor, states: Tensor, theta: Sequence[Tensor], inputs: Tensor | None) -> Tensor:
        """Columns (batch, T, C), of the last row alone without sequences."""
        if not self.sequences:
            times, states = times[-1:], states[-1:]
            inputs = None if inputs is None else inputs[-1:]
        values = outputs(Motion(self.equations, self.method), times, states, theta, self.columns, inputs)
        return ops.transpose(values, (2, 0, 1))


def signal_of(
    description: Any, timing: Schedule | Adaptive, series: np.ndarray, knots: Sequence[float] | None
) -> Signal:
    """A layer's series (batch, rows, inputs) as the signal of a run. ValueError where its rows do not fit."""
    rows, named = series.shape[1], None if knots is None else np.array(knots)
    if isinstance(timing, Schedule) or named is not None:
        times = series_times(description, timing, rows, named)
    else:
        times = timing.rows(description.name, rows)
    return Signal(times, np.moveaxis(series, 0, -1))


def series_times(description: Any, schedule: Any, rows: int | None, knots: np.ndarray | None) -> np.ndarray:
    """The time of each row of a series: the knots that were named, else the start and the ends of the schedule's
    intervals, the last one left out where there is one row less (it belongs to the last step).

    ValueError where the number of rows fits neither.
    """
    name = description.name
    if rows is None:
        raise ValueError(f"{name} has to know how many rows its input series has. Received: shape (batch, None, …)")
    if knots is None:
        ends = np.append(schedule.starts, schedule.starts[-1] + schedule.counts[-1] * schedule.steps[-1])
        if rows not in (len(ends) - 1, len(ends)):
            raise ValueError(
                f"{name} takes an input series with a row for each of its {len(ends) - 1} steps (or one more, for both "
                f"ends), or `input_times` says when its rows are. Received: {rows} rows"
            )
        return ends[:rows]
    if rows != len(knots):
        raise ValueError(f"{name} was given {len(knots)} input_times. Received: an input series of {rows} rows")
    return knots
