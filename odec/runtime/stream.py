"""A model stepped one row at a time, its state kept in between and open to corrections: what an online filter needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from odec.runtime import loops

if TYPE_CHECKING:
    from odec.runtime.cell import Cell


class Stream:
    """A cell with its states. One step is one call of a compiled program.

        stream = Tank.cell(h=0.1).stream([[2.0]])
        for level, inflow in measured:
            predicted = stream.step([[inflow]])
            stream.x = stream.x + gain * (level - predicted)

    `time` (batch,) is where the stream has come to. Made by `cell.stream(x0)`.
    """

    def __init__(self, cell: Cell, x0: Any) -> None:
        self._cell = cell
        self._states = cell.started(np.atleast_2d(np.asarray(x0, dtype=np.float64)))
        self._advanced = loops.compiled(lambda shared, inputs, *states: cell.advanced(shared, inputs, states))
        self.batch = int(self._states[0].shape[0])
        self.time = np.full(self.batch, cell.start)

    @property
    def x(self) -> np.ndarray:
        """The model's state (batch, D), a copy; what is assigned takes its place."""
        return np.array(ops.convert_to_numpy(self._states[0]))

    @x.setter
    def x(self, value: Any) -> None:
        shape = tuple(self._states[0].shape)
        given = np.asarray(value, dtype=np.float64)
        if given.shape != shape:
            raise ValueError(f"the state of this stream has the shape {shape}. Received: {given.shape}")
        self._states[0] = ops.convert_to_tensor(given, dtype=self._cell.layer.compute_dtype)

    def step(self, row: Any = None) -> np.ndarray:
        """The columns (batch, columns) behind the next step, for the row (batch, inputs) of a model with inputs, its
        first column the step's length where the cell says `step="input"`. ValueError for a row of another shape."""
        width = self._cell.columns_taken
        given = np.zeros((self.batch, 0)) if row is None else np.asarray(row, dtype=np.float64)
        if given.shape != (self.batch, width):
            raise ValueError(f"a row of this stream has the shape {(self.batch, width)}. Received: {given.shape}")
        inputs = ops.convert_to_tensor(given, dtype=self._cell.layer.compute_dtype)
        columns, states = self._advanced(self._cell.shared_params(), inputs, *self._states)
        self._states = list(states)
        self.time = self.time + (given[:, 0] if self._cell.given_steps else self._cell.h)
        return np.array(ops.convert_to_numpy(columns))
