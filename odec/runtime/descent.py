"""Adam on the residuals of a run, many epochs in one compiled call (D. P. Kingma and J. Ba, 2015).

The gradient comes from the forward sensitivities: for the few parameters of a model they cost less than a reverse pass,
and the residuals come with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from keras import ops

from odec.runtime import loops
from odec.runtime.schedule import Schedule
from odec.runtime.signals import Signal
from odec.runtime.simulate import Program, _request

Tensor = Any
BETA_1, BETA_2, EPSILON = 0.9, 0.99, 1e-12
# A loss this many times the best one is a point where the model exploded, though its numbers are still finite.
EXPLODED = 1e6
# By how much an epoch without a failure raises a rate that failures have halved.
RECOVERY = 1.01
# A gradient entry beyond this is cut to it, as the article cut the derivative, before Adam's moments see it.
CLIP = 1e5


def prepared(
    model: type, method: str, params: np.ndarray, consts: Any, initial: Any, columns: Sequence[str]
) -> tuple[Program, np.ndarray, np.ndarray]:
    """A program with sensitivities by every param, its replaced consts (R, batch) and given start values (G, batch)."""
    names = tuple(param.name for param in model.description.params)  # type: ignore[attr-defined]
    request = _request(model, method, params, consts, initial, columns, names, "float64")
    return request.program, request.rows[len(names) :], request.given


@dataclass(frozen=True, eq=False)
class Descent:
    """What is descended. Coordinates (P, batch) are log10 of the values where `log` (P,) says so, else values / `unit`.

    `cells` are the places (M,) of the measured cells in a flattened (times, columns), `measured` (M,) their values;
    `lower` and `upper` (P,) bound the coordinates. Two departures from plain Adam: what is descended is the logarithm
    of the loss (+ `floor`), since Adam's memory of one gradient of 1e26 would hold every later one of size 1 still;
    and the learning rate falls to 0 along a half cosine over `epochs`, so that the end is a point and not a dance
    around it.
    """

    program: Program
    schedule: Schedule
    cells: np.ndarray
    measured: np.ndarray
    log: np.ndarray
    unit: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    learning_rate: float
    epochs: int
    floor: float
    inputs: Signal | None = None

    def __post_init__(self) -> None:
        assert self.program.wrt is not None
        assert self.cells.shape == self.measured.shape

    def compiled(self) -> Callable[..., State]:
        """`run(state, first, count, others, given)`: the state after the epochs first … first + count - 1.

        `others` (R, batch) are replaced consts, `given` (G, batch) start values, both NumPy arrays.
        """

        def chunk(first: Tensor, count: Tensor, others: Tensor, given: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
            def epoch(i: Tensor, leaves: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                return self._epoch(first + i, State(*leaves), others, given).leaves

            return loops.repeat(count, epoch, leaves)

        program = loops.compiled(chunk)

        def run(state: State, first: int, count: int, others: np.ndarray, given: np.ndarray) -> State:
            numbers = np.int32(first), np.int32(count)
            tensors = [ops.convert_to_tensor(array) for array in (*numbers, others, given, *state.leaves)]
            return State(*(np.asarray(leaf) for leaf in program(*tensors)))

        return run

    def values(self, z: Tensor) -> Tensor:
        """Parameter values (P, batch)."""
        log = self.log[:, None]
        return ops.where(log, ops.exp(ops.where(log, z, 0.0) * np.log(10.0)), z * self.unit[:, None])

    def _epoch(self, epoch: Tensor, state: State, others: Tensor, given: Tensor) -> State:
        loss, gradient = self._loss(state.z, others, given)
        good = ops.logical_and(ops.isfinite(loss), ops.all(ops.isfinite(gradient), axis=0))
        good = ops.logical_and(good, loss <= EXPLODED * (state.best_loss + self.floor))
        state = self._best(state, loss, good)
        gradient = ops.clip(ops.where(good, gradient, 0.0), -CLIP, CLIP)
        count = state.count + 1.0
        m = BETA_1 * state.m + (1 - BETA_1) * gradient
        v = BETA_2 * state.v + (1 - BETA_2) * gradient * gradient
        direction = (m / (1 - BETA_1**count)) / (ops.sqrt(v / (1 - BETA_2**count)) + EPSILON)
        lower, upper = self.lower[:, None], self.upper[:, None]
        z = ops.clip(state.z - self._rate(epoch) * state.factor * direction, lower, upper)
        # Where the model cannot be computed, or explodes: back to the best point, with no memory and half the rate.
        return replace(
            state,
            z=ops.where(good, z, state.best_z),
            m=ops.where(good, m, 0.0),
            v=ops.where(good, v, 0.0),
            count=ops.where(good, count, 0.0),
            factor=ops.where(good, ops.minimum(state.factor * RECOVERY, 1.0), 0.5 * state.factor),
            skipped=ops.where(good, state.skipped, state.skipped + 1.0),
        )

    def _rate(self, epoch: Tensor) -> Tensor:
        share = ops.cast(epoch, "float64") / max(self.epochs, 1)
        return self.learning_rate * 0.5 * (1 + ops.cos(np.pi * share))

    def _loss(self, z: Tensor, others: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of squares (batch,), and its gradient (P, batch) of its logarithm by the coordinates."""
        values = self.values(z)
        rows = ops.concatenate([values, others], axis=0)
        both = self.program.trajectory(self.schedule, rows, given, self.inputs)
        parts = len(self.log) + 1
        picked = ops.take(ops.reshape(both, (-1, parts, *both.shape[3:])), self.cells, axis=0)
        residuals = picked[:, 0] - self.measured[:, None]
        loss = ops.sum(residuals * residuals, axis=0)
        gradient = 2 * ops.sum(residuals[:, None] * picked[:, 1:], axis=0)
        slope = ops.where(self.log[:, None], values * np.log(10.0), ops.ones_like(values) * self.unit[:, None])
        return loss, gradient * slope / (loss + self.floor)

    def _best(self, state: State, loss: Tensor, good: Tensor) -> State:
        better = ops.logical_and(good, loss < state.best_loss)
        best_z = ops.where(better, state.z, state.best_z)
        return replace(state, best_z=best_z, best_loss=ops.where(better, loss, state.best_loss))


@dataclass(frozen=True, eq=False)
class State:
    """Where every start stands: position `z`, moments `m` and `v`, `best_z` (P, batch); the rest (batch,).

    `count` is Adam's own, since its memory was last emptied; `factor` on the learning rate; `skipped` epochs.
    """

    z: Tensor
    m: Tensor
    v: Tensor
    best_z: Tensor
    best_loss: Tensor
    count: Tensor
    factor: Tensor
    skipped: Tensor

    @classmethod
    def at(cls, z: np.ndarray) -> State:
        """The state before the first epoch at the coordinates `z` (P, batch)."""
        z = np.ascontiguousarray(z, dtype=np.float64)
        row = np.zeros(z.shape[1])
        return cls(z, np.zeros_like(z), np.zeros_like(z), z, row + np.inf, row, row + 1.0, row)

    @property
    def leaves(self) -> tuple[Tensor, ...]:
        """Its arrays, in the order of the constructor."""
        return (self.z, self.m, self.v, self.best_z, self.best_loss, self.count, self.factor, self.skipped)
