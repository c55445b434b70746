"""One step of a model as a Keras RNN cell: `keras.layers.RNN(Model.cell(h=0.1), return_sequences=True)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from odec.runtime import loops
from odec.runtime.equations import Equations, Slots
from odec.runtime.jumps import base, uses_time
from odec.runtime.layout import Layout
from odec.runtime.motion import Motion, outputs
from odec.runtime.stream import Stream

Tensor = Any
SHORT = 1e-6


@keras.saving.register_keras_serializable(package="odec")
class Cell(keras.layers.Layer):
    """A map's step, or a method's step of length `h`, for each row of a sequence; what the layer does, one at a time.

    The sequence holds the model's inputs as columns, held for the step; a model without inputs takes any sequence, for
    its length: (batch, steps, 0) or (batch, steps, 1). The output is the layer's columns behind the step.

    With `step="input"` the first column is the length of the step, before the model's inputs: each row of the batch has
    times of its own. A step of length 0 changes nothing, so that it can pad.

    The states are [x (batch, D)], then, where the equations look at the time, [count (batch, 1)], the steps taken so
    far, or [time (batch, 2)], the time and what rounding took from it, where steps come as input; then the flags of the
    `when`s where there are any. `started(x0)` makes all of them for an `initial_state`. Keras's `reset_state()` of a
    stateful RNN sets states to 0, which is no start of a model: assign `started(x0)` to `rnn.states` instead.

    Made by `Model.cell(…)`, with the layer's arguments.
    """

    def __init__(self, layer: Any, step: Literal["input"] | None = None, dtype: Any = None, **kwargs: Any) -> None:
        if isinstance(layer, dict):
            layer = keras.saving.deserialize_keras_object(layer)
        super().__init__(dtype=layer.dtype_policy if dtype is None else dtype, **kwargs)
        self.layer = layer
        description = layer.description
        if step not in (None, "input"):
            raise ValueError(f'step is "input" where the first column is the step, else h says it. Received: {step!r}')
        if step is not None and description.is_map:
            raise ValueError(f"{description.name} is a map, which has no step length. Received: step={step!r}")
        timed = [jump.text for jump in description.jumps if jump.kind != "when"]
        if timed:
            raise ValueError(f"a cell meets no time between its rows: `{timed[0]}` needs the layer {description.name}")
        self.given_steps = step == "input"
        self.h = 1.0 if description.is_map else float(layer.timing.steps[0])
        self.start = float(layer.timing.start) if layer.timing is not None else description.defaults.start
        self.counts = uses_time(layer._model)
        self.whens = sum(jump.kind == "when" for jump in description.jumps)
        self.width = len(description.state_elements)
        flags = [self.whens + 2] if self.whens else []
        self.clock = (2 if self.given_steps else 1) if self.counts else 0
        self.state_size = [self.width, *([self.clock] if self.clock else []), *flags]
        self.output_size = len(layer.columns)

    def build(self, inputs_shape: Any, states_shape: Any = None) -> None:
        """The layer's weights."""
        if not self.layer.built:
            self.layer.build((None, 0), (None, None, self._inputs)) if self._inputs else self.layer.build((None, 0))
        width, names = inputs_shape[-1], Layout.of(self.layer.description.inputs).elements
        names = ("step", *names) if self.given_steps else names
        if names and width != len(names):
            raise ValueError(
                f"{self.layer.description.name} takes {len(names)} input columns ({', '.join(names)}). "
                f"Received: {width} columns"
            )

    def call(self, inputs: Tensor, states: Sequence[Tensor], training: Any = None) -> tuple[Tensor, list[Tensor]]:
        """The columns (batch, columns) behind the step, and the states there."""
        return self.advanced(self.shared_params(), inputs, states)

    def advanced(self, shared: Tensor, inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The same from the values of all params (P,): a pure function."""
        dtype, motion = self.layer.compute_dtype, self._motion()
        theta = (shared, ops.zeros((0, ops.shape(inputs)[0]), dtype))
        columns, rest = ops.cast(inputs, dtype), list(states[1:])
        clock = rest.pop(0) if self.clock else None
        h, still = self.h, None
        if self.given_steps:
            still = columns[:, 0] == 0
            # A step of length 0 is taken with a short one and left out: a stiff method divides by it.
            h, columns = ops.cast(ops.where(still, SHORT, columns[:, 0]), "float64"), columns[:, 1:]
        held = ops.transpose(columns) if self._inputs else None
        before = ops.transpose(ops.cast(ops.concatenate([states[0], *rest], axis=1), dtype))
        moment = self._moment(self._time(clock), h, held)
        with loops.derivable():
            packed = motion.step(moment, before, theta)
        if still is not None:
            packed = ops.where(still, before, packed)
        x = packed[: self.width]
        new = [ops.transpose(x)]
        if clock is not None:
            new.append(self._later(clock, h, still))
        if self.whens:
            new.append(ops.transpose(packed[self.width :]))
        return self._columns(motion, moment, x, theta, held, still), new

    def shared_params(self) -> Tensor:
        """The values of all params (P,)."""
        return self.layer.shared_values(tuple(param.name for param in self.layer.description.params))

    def stream(self, x0: Any = None, batch: int = 1) -> Stream:
        """Steps one at a time, the state kept and open to corrections, from x0 (batch, D) or the model's own start."""
        return Stream(self, np.zeros((batch, 0)) if x0 is None else x0)

    def started(self, x0: Tensor) -> list[Tensor]:
        """All states at the start, from the model's (batch, D) or from (batch, 0) for its own values."""
        x0 = ops.convert_to_tensor(x0)
        names = self.layer.description.state_elements
        if len(x0.shape) != 2 or x0.shape[1] not in (0, len(names)):
            raise ValueError(
                f"{self.layer.description.name} starts at values of shape (batch, {len(names)}), one for each state "
                f"({', '.join(names)}), or (batch, 0) for its own. Received: shape {tuple(x0.shape)}"
            )
        dtype, batch = self.layer.compute_dtype, ops.shape(x0)[0]
        if not self.layer.built:
            self.build((None, self.columns_taken))
        motion, theta = self._motion(), (self.shared_params(), ops.zeros((0, batch), dtype))
        given = dict(zip(names, ops.unstack(ops.cast(x0, dtype), axis=1), strict=True)) if x0.shape[1] else {}
        rows = motion.equations.initial(theta, given, ops.zeros((batch,), dtype))
        states = [ops.transpose(rows)]
        clock = None
        if self.clock:
            start = np.array([[self.start, 0.0]]) if self.given_steps else np.zeros((1, 1))
            clock = ops.broadcast_to(ops.convert_to_tensor(start, dtype=dtype), (batch, self.clock))
            states.append(clock)
        if self.whens:
            none = ops.zeros((self._inputs, batch), dtype) if self._inputs else None
            packed = motion.started(rows, self._moment(self._time(clock), self.h, none), theta)
            states.append(ops.transpose(packed[self.width :]))
        return states

    def get_initial_state(self, batch_size: Any = None) -> list[Tensor]:
        """The model's own start."""
        return self.started(ops.zeros((batch_size, 0), self.layer.compute_dtype))

    def get_config(self) -> dict[str, Any]:
        """The layer that the cell steps, and where its steps come from."""
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer, "step": "input" if self.given_steps else None}

    @property
    def columns_taken(self) -> int:
        """How many columns of a sequence mean something: the step, where it comes as input, and the model's inputs."""
        return self._inputs + int(self.given_steps)

    @property
    def _inputs(self) -> int:
        return len(Layout.of(self.layer.description.inputs).elements)

    def _motion(self) -> Motion:
        layer = self.layer
        names = tuple(param.name for param in layer.description.params)
        return Motion(Equations(layer._model, Slots(shared=names, numbers=layer._numbers)), layer.method)

    def _time(self, clock: Tensor | None) -> Tensor:
        """Where the step begins, in float64: a number, or (batch,)."""
        if clock is None:
            return ops.convert_to_tensor(self.start, "float64")
        clock = ops.cast(clock, "float64")
        return clock[:, 0] + clock[:, 1] if self.given_steps else self.start + clock[:, 0] * self.h

    def _later(self, clock: Tensor, h: Tensor, still: Tensor | None) -> Tensor:
        """The clock behind the step."""
        if still is None:
            return clock + 1
        time = self._time(clock) + ops.where(still, 0, h)
        # What the dtype of the states leaves of the time, and what it takes from it: their sum does not drift.
        kept = ops.cast(time, self.layer.compute_dtype)
        return ops.stack([kept, ops.cast(time - ops.cast(kept, "float64"), kept.dtype)], axis=1)

    def _moment(self, start: Tensor, h: Any, held: Tensor | None) -> loops.Moment:
        number, one = ops.convert_to_tensor(0, "int32"), ops.convert_to_tensor(1, "int32")
        series = () if held is None else (held, held)
        h = ops.convert_to_tensor(h, "float64")
        if len(h.shape):
            start = ops.broadcast_to(start, ops.shape(h))
        return loops.Moment(start, h, number, one, self.layer.compute_dtype, series)

    def _columns(
        self, motion: Motion, moment: loops.Moment, x: Tensor, theta: Any, held: Tensor | None, still: Tensor | None
    ) -> Tensor:
        names = self.layer.columns
        states = base(motion.equations).states
        if set(names) <= set(states):
            return ops.transpose(ops.take(x, [states.index(name) for name in names], axis=0))
        end = moment.time(1.0) if still is None else ops.where(still, moment.time(0.0), moment.time(1.0))
        time = ops.broadcast_to(end, ops.shape(x[0]))
        # One time for each row of the batch: the rows are the times, of a batch of one.
        inputs = None if held is None else ops.transpose(held)[..., None]
        return outputs(motion, time, ops.transpose(x)[..., None], theta, names, inputs)[..., 0]


def cell_of(model: Any, h: float | None, step: Literal["input"] | None, arguments: dict[str, Any]) -> Cell:
    """The cell of a layer class."""
    description = model.description
    if step is not None:
        if h is not None:
            raise ValueError(f"the step comes as input, or h says it. Received: h={h}, step={step!r}")
        # Rows say their own; this one is only not to be small beside the start.
        h = max(1.0, abs(arguments.get("start") or description.defaults.start))
    elif not description.is_map:
        h = h if h is not None else description.defaults.step
        if h is None:
            raise ValueError(
                f'{description.name} does not know its step: give h, or `solve step` in the model, or step="input"'
            )
    name = arguments.pop("name", None)
    return Cell(model(steps=1, h=None if description.is_map else h, **arguments), step=step, name=name)
