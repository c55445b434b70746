"""One step of a model as a Keras RNN cell: `keras.layers.RNN(Model.cell(h=0.1), return_sequences=True)`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from odec.runtime import loops
from odec.runtime.equations import Equations, Slots
from odec.runtime.jumps import base, uses_time
from odec.runtime.layout import Layout
from odec.runtime.motion import Motion, outputs

Tensor = Any


@keras.saving.register_keras_serializable(package="odec")
class Cell(keras.layers.Layer):
    """A map's step, or a method's step of length `h`, for each row of a sequence; what the layer does, one at a time.

    The sequence holds the model's inputs as columns, held for the step; a model without inputs takes any sequence, for
    its length: (batch, steps, 0) or (batch, steps, 1). The output is the layer's columns behind the step.

    The states are [x (batch, D)], then [count (batch, 1)], the steps taken so far, where the equations look at the
    time, then the flags of the `when`s where there are any. `started(x0)` makes all of them for an `initial_state`.

    Made by `Model.cell(…)`, with the layer's arguments.
    """

    def __init__(self, layer: Any, dtype: Any = None, **kwargs: Any) -> None:
        if isinstance(layer, dict):
            layer = keras.saving.deserialize_keras_object(layer)
        super().__init__(dtype=layer.dtype_policy if dtype is None else dtype, **kwargs)
        self.layer = layer
        description = layer.description
        timed = [jump.text for jump in description.jumps if jump.kind != "when"]
        if timed:
            raise ValueError(f"a cell meets no time between its rows: `{timed[0]}` needs the layer {description.name}")
        self.h = 1.0 if description.is_map else float(layer.timing.steps[0])
        self.start = float(layer.timing.start) if layer.timing is not None else description.defaults.start
        self.counts = uses_time(layer._model)
        self.whens = sum(jump.kind == "when" for jump in description.jumps)
        self.width = len(description.state_elements)
        flags = [self.whens + 2] if self.whens else []
        self.state_size = [self.width, *([1] if self.counts else []), *flags]
        self.output_size = len(layer.columns)

    def build(self, inputs_shape: Any, states_shape: Any = None) -> None:
        """The layer's weights."""
        if not self.layer.built:
            self.layer.build((None, 0), (None, None, self._inputs)) if self._inputs else self.layer.build((None, 0))
        width = inputs_shape[-1]
        if self._inputs and width != self._inputs:
            names = ", ".join(Layout.of(self.layer.description.inputs).elements)
            raise ValueError(
                f"{self.layer.description.name} takes {self._inputs} input columns ({names}). Received: {width} columns"
            )

    def call(self, inputs: Tensor, states: Sequence[Tensor], training: Any = None) -> tuple[Tensor, list[Tensor]]:
        """The columns (batch, columns) behind the step, and the states there."""
        motion, theta = self._motion(), self._theta(ops.shape(inputs)[0])
        dtype = self.layer.compute_dtype
        x, rest = ops.transpose(ops.cast(states[0], dtype)), list(states[1:])
        count = rest.pop(0)[:, 0] if self.counts else None
        packed = ops.concatenate([x, ops.transpose(rest[0])]) if self.whens else x
        held = ops.transpose(ops.cast(inputs, dtype)) if self._inputs else None
        moment = self._moment(count, held)
        packed = motion.step(moment, packed, theta)
        x = packed[: self.width]
        new = [ops.transpose(x)]
        if count is not None:
            new.append((count + 1)[:, None])
        if self.whens:
            new.append(ops.transpose(packed[self.width :]))
        return self._columns(motion, moment, x, theta, held), new

    def started(self, x0: Tensor) -> list[Tensor]:
        """All states at the start, from the model's (batch, D) or from (batch, 0) for its own values."""
        x0 = ops.convert_to_tensor(x0)
        dtype, batch = self.layer.compute_dtype, ops.shape(x0)[0]
        if not self.layer.built:
            self.build((None, self._inputs))
        motion, theta = self._motion(), self._theta(batch)
        names = base(motion.equations).states
        given = dict(zip(names, ops.unstack(ops.cast(x0, dtype), axis=1), strict=True)) if x0.shape[1] else {}
        rows = motion.equations.initial(theta, given, ops.zeros((batch,), dtype))
        states = [ops.transpose(rows)]
        count = ops.zeros((batch,), dtype) if self.counts else None
        if count is not None:
            states.append(count[:, None])
        if self.whens:
            none = ops.zeros((self._inputs, batch), dtype) if self._inputs else None
            packed = motion.started(rows, self._moment(count, none), theta)
            states.append(ops.transpose(packed[self.width :]))
        return states

    def get_initial_state(self, batch_size: Any = None) -> list[Tensor]:
        """The model's own start."""
        return self.started(ops.zeros((batch_size, 0), self.layer.compute_dtype))

    def get_config(self) -> dict[str, Any]:
        """The layer that the cell steps."""
        return {**super().get_config(), "layer": keras.saving.serialize_keras_object(self.layer)}

    @property
    def _inputs(self) -> int:
        return len(Layout.of(self.layer.description.inputs).elements)

    def _motion(self) -> Motion:
        layer = self.layer
        names = tuple(param.name for param in layer.description.params)
        return Motion(Equations(layer._model, Slots(shared=names, numbers=layer._numbers)), layer.method)

    def _theta(self, batch: Any) -> tuple[Tensor, Tensor]:
        layer = self.layer
        vector = layer.shared_values(tuple(param.name for param in layer.description.params))
        return vector, ops.zeros((0, batch), layer.compute_dtype)

    def _moment(self, count: Tensor | None, held: Tensor | None) -> loops.Moment:
        steps = 0.0 if count is None else ops.cast(count, "float64")
        start, h = (
            ops.convert_to_tensor(self.start + steps * self.h, "float64"),
            ops.convert_to_tensor(self.h, "float64"),
        )
        number, one = ops.convert_to_tensor(0, "int32"), ops.convert_to_tensor(1, "int32")
        return loops.Moment(start, h, number, one, self.layer.compute_dtype, () if held is None else (held, held))

    def _columns(self, motion: Motion, moment: loops.Moment, x: Tensor, theta: Any, held: Tensor | None) -> Tensor:
        names = self.layer.columns
        states = base(motion.equations).states
        if set(names) <= set(states):
            return ops.transpose(ops.take(x, [states.index(name) for name in names], axis=0))
        time = ops.broadcast_to(moment.time(1.0), ops.shape(x[0]))
        # One time for each row of the batch: the rows are the times, of a batch of one.
        inputs = None if held is None else ops.transpose(held)[..., None]
        return outputs(motion, time, ops.transpose(x)[..., None], theta, names, inputs)[..., 0]


def cell_of(model: Any, h: float | None, arguments: dict[str, Any]) -> Cell:
    """The cell of a layer class."""
    description = model.description
    if not description.is_map:
        h = h if h is not None else description.defaults.step
        if h is None:
            raise ValueError(f"{description.name} does not know its step: give h, or `solve step` in the model")
    name = arguments.pop("name", None)
    return Cell(model(steps=1, h=h, **arguments), **({} if name is None else {"name": name}))
