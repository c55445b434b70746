"""All experiments of a fit, solved as the rows of a batch: what the model says at each measured cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from odec.fit.data import Data
from odec.fit.experiments import Design, Group, Slots, moving_params
from odec.fit.timing import Timing
from odec.runtime import simulate
from odec.runtime.adaptive import Adaptive
from odec.runtime.driving import longest_block
from odec.runtime.signals import Signal
from odec.runtime.steering import STIFF, TOO_MANY, TOO_SMALL

# So many points are run with slopes, where that is compiled, though none are asked for.
FEW = 16
# A run of known length may have so many times the rows that are needed.
MOST_PADDED = 32


@dataclass(frozen=True, eq=False)
class Prediction:
    """The model at the M measured cells, S times: `values` (S, M) of the measured columns, `states` (S, M, D) where
    they were asked for; `slopes` (S, M, Q) and `state_slopes` (S, M, D, Q) by the Q coordinates where those were;
    `attempts` (S,) of a step by the longest of its adaptive runs, where slopes were asked for."""

    theta: np.ndarray
    values: np.ndarray
    states: np.ndarray
    slopes: np.ndarray
    state_slopes: np.ndarray
    attempts: np.ndarray


@dataclass(frozen=True, eq=False)
class Cells:
    """The M measured cells in the data's fixed order: row of the data, column, experiment, and the datum, each (M,).

    Of simulated data `measured` is (S, M), a table for each point that is asked for."""

    rows: np.ndarray
    columns: np.ndarray
    experiments: np.ndarray
    measured: np.ndarray

    @classmethod
    def of(cls, data: Data) -> Cells:
        """The cells that hold a number."""
        rows, columns = np.nonzero(np.isfinite(data.values))
        return cls(rows, columns, data.experiment[rows], data.values[rows, columns])

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class _Part:
    """A group with its cells (m,): their places among all, and where in the group's solution they stand."""

    group: Group
    times: np.ndarray
    cells: np.ndarray
    place: tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Runs:
    """A model, its experiments and a solver. `inputs` drive it: the values of the experiments are its batch.

    `lengths` are the numbers of rows that were run before, by what was asked: another number compiles again."""

    model: Any
    data: Data
    design: Design
    solver: str
    timing: Timing
    inputs: Signal | None = None
    lengths: dict[Any, set[int]] = field(default_factory=dict)

    @cached_property
    def cells(self) -> Cells:
        """What was measured."""
        return Cells.of(self.data)

    def at_cells(self, theta: np.ndarray, states: bool = False) -> Prediction:
        """The model at coordinates' values `theta` (S, Q); slopes are not asked for."""
        # A run with slopes that is compiled takes less time than compiling one without.
        return self._predicted(theta, states, len(theta) <= FEW and self._has_slopes(states), 0)

    def with_slopes(self, theta: np.ndarray, states: bool = False, batch: int = 0) -> Prediction:
        """The same with slopes, with the shapes of a call for `batch` points at least."""
        return self._predicted(theta, states, True, batch)

    def solution(self, theta: np.ndarray, experiment: int, times: np.ndarray, columns: Sequence[str]) -> np.ndarray:
        """One experiment's solution (S, times, columns) at the coordinates' values `theta` (S, Q)."""
        given = self._given(self._alone(experiment), theta)
        return np.asarray(
            simulate.solve(self.model, self.timing.at(times), method=self.solver, columns=columns, **given)
        )

    def solution_slopes(
        self, theta: np.ndarray, experiment: int, times: np.ndarray, columns: Sequence[str]
    ) -> np.ndarray:
        """How one experiment's solution moves with the coordinates, (S, times, columns, Q), at `theta` (S, Q)."""
        alone = self._alone(experiment)
        slots = self._slots(alone)
        given = {"method": self.solver, "columns": columns, **self._given(alone, theta)}
        moved = simulate.sensitivities(self.model, self.timing.at(times), wrt=slots.names, **given).derivatives
        slopes: np.ndarray = np.asarray(moved) @ slots.matrix(theta.shape[1])[0]
        return slopes

    def are_stiff(self, theta: np.ndarray) -> np.ndarray:
        """Whether an explicit run at the coordinates' values `theta` (S, Q) finds an experiment stiff, or comes to no
        end: (S,)."""
        found = np.zeros(len(theta), dtype=bool)
        for part in self._parts:
            timing = self.timing.at(part.times)
            assert isinstance(timing, Adaptive)
            given = self._given(part.group, theta)
            run = simulate.run(self.model, replace(timing, exact=False), method=self.solver, watches=True, **given)
            failed = np.isin(run.status, (STIFF, TOO_MANY, TOO_SMALL))
            found |= failed.reshape(len(theta), len(part.group.experiments)).any(axis=1)
        return found

    def _alone(self, experiment: int) -> Group:
        """A group of one experiment."""
        group = next(group for group in self.design.groups if experiment in group.experiments)
        return Group((experiment,), group.initial.rows([group.experiments.index(experiment)]))

    @cached_property
    def _parts(self) -> tuple[_Part, ...]:
        cells, found = self.cells, []
        for group in self.design.groups:
            own = np.flatnonzero(np.isin(cells.experiments, group.experiments))
            times = np.unique(self.data.times[cells.rows[own]])
            row = np.array([group.experiments.index(e) for e in cells.experiments[own]], dtype=int)
            moment = np.searchsorted(times, self.data.times[cells.rows[own]])
            found.append(_Part(group, times, own, (row, moment, cells.columns[own])))
        return tuple(found)

    @cached_property
    def _moving(self) -> tuple[str, ...]:
        """The params by which the model is differentiated: those that move it and are searched in some experiment."""
        slots, moving = self.design.params, moving_params(self.model)
        return tuple(name for i, name in enumerate(slots.names) if name in moving and (slots.index[:, i] >= 0).any())

    @property
    def moving(self) -> frozenset[int]:
        """The coordinates on which a solution depends."""
        return frozenset(int(q) for group in self.design.groups for q in self._slots(group).index.ravel() if q >= 0)

    def _slots(self, group: Group) -> Slots:
        """What a group's solution is differentiated by: params, and start values that are searched."""
        params = self.design.params.rows(group.experiments).columns(self._moving)
        starts = group.initial
        starts = starts.columns([n for i, n in enumerate(starts.names) if (starts.index[:, i] >= 0).any()])
        return Slots(
            params.names + starts.names,
            np.hstack([params.index, starts.index]),
            np.hstack([params.numbers, starts.numbers]),
        )

    def _given(self, group: Group, theta: np.ndarray) -> dict[str, Any]:
        """Params, consts, initial values and inputs of a group as rows: the experiments of the first point, then those
        of the next."""
        count, chosen = len(theta), list(group.experiments)
        params = self.design.params.rows(chosen).values(theta)
        starts = group.initial.values(theta)
        inputs = self.inputs
        if inputs is not None and inputs.values.shape[-1] > 1:
            inputs = Signal(inputs.knots, np.tile(inputs.values[..., chosen], (1, 1, count)))
        return {
            "params": params.reshape(count * len(chosen), -1),
            "consts": {name: np.tile(self.design.consts[name][chosen], count) for name in self.design.replaced},
            "initial": {name: starts[:, :, i].reshape(-1) for i, name in enumerate(group.initial.names)},
            "inputs": inputs,
        }

    def _predicted(self, theta: np.ndarray, states: bool, slopes: bool, batch: int) -> Prediction:
        count, width, size = len(theta), theta.shape[1], len(self.cells)
        names = self.model.description.state_elements if states else ()
        columns = self._columns(states)
        places = [columns.index(name) for name in names]
        found = Prediction(
            theta,
            np.zeros((count, size)),
            np.zeros((count, size, len(names))),
            np.zeros((count, size, width if slopes else 0)),
            np.zeros((count, size, len(names), width if slopes else 0)),
            np.zeros(count),
        )
        for part in self._parts:
            row, moment, column = part.place
            shape = (count, len(part.group.experiments))
            slots = self._slots(part.group)
            rows = self._rows(part, slots.names if slopes else None, columns, shape[0] * shape[1], batch * shape[1])
            run = {"method": self.solver, "columns": columns, **_padded(self._given(part.group, theta), rows)}
            if not slopes:
                values = _shaped(simulate.solve(self.model, self.timing.at(part.times), **run), shape)
            else:
                values, moved, attempts = (
                    _shaped(array, shape)
                    for array in simulate.sensitivities(self.model, self.timing.at(part.times), wrt=slots.names, **run)
                )
                np.maximum(found.attempts, attempts.max(axis=1), out=found.attempts)
                onto = slots.matrix(width)[row]
                with np.errstate(invalid="ignore", over="ignore"):
                    found.slopes[:, part.cells] = _chained(moved[:, row, moment, column], onto)
                    for i, place in enumerate(places):
                        found.state_slopes[:, part.cells, i] = _chained(moved[:, row, moment, place], onto)
            found.values[:, part.cells] = values[:, row, moment, column]
            for i, place in enumerate(places):
                found.states[:, part.cells, i] = values[:, row, moment, place]
        return found

    def _has_slopes(self, states: bool) -> bool:
        """Whether adaptive runs with slopes are compiled for all experiments."""
        ready = {(key[0], key[4]) for key in self.lengths if key[1:3] == (self.solver, True) and key[3] is not None}
        return all((part.group.experiments, self._columns(states)) in ready for part in self._parts)

    def _columns(self, states: bool) -> tuple[str, ...]:
        """The measured columns, and behind them the other states where these are asked for."""
        names = self.model.description.state_elements if states else ()
        return (*self.data.names, *(name for name in names if name not in self.data.names))

    def _rows(
        self, part: _Part, wrt: tuple[str, ...] | None, columns: tuple[str, ...], needed: int, wanted: int
    ) -> int:
        """How many rows to run where some are `needed`, and as many as `wanted` will be: few different numbers."""
        rows = max(needed, wanted)
        if self.timing.is_adaptive:
            block = longest_block(len(self.model.description.state_elements) * (1 + len(wrt or ())))
            if rows > block:
                rows = -(-needed // block) * block
        else:
            block = rows
        key = (part.group.experiments, self.solver, self.timing.is_adaptive, wrt, columns)
        known = self.lengths.setdefault(key, set())
        if rows <= block:
            # A longer run costs less than a compilation; one of known length does not if it is much longer.
            longest = block if self.timing.is_adaptive else MOST_PADDED * rows
            rows = min((length for length in known if rows <= length <= longest), default=rows)
        known.add(min(rows, block))
        return rows


def _padded(given: Mapping[str, Any], rows: int) -> dict[str, Any]:
    """What `Runs._given` gives with copies of the first row behind the others, so many in all."""

    def longer(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array, np.repeat(array[:1], rows - len(array), axis=0)])

    inputs = given["inputs"]
    if inputs is not None and inputs.values.shape[-1] > 1:
        inputs = Signal(inputs.knots, np.moveaxis(longer(np.moveaxis(inputs.values, -1, 0)), 0, -1))
    consts, initial = ({name: longer(array) for name, array in given[key].items()} for key in ("consts", "initial"))
    return {"params": longer(given["params"]), "consts": consts, "initial": initial, "inputs": inputs}


def _shaped(array: Any, shape: tuple[int, int]) -> np.ndarray:
    """The first rows of an array, as (points, experiments, …)."""
    array = np.asarray(array)[: shape[0] * shape[1]]
    return array.reshape(*shape, *array.shape[1:])


def _chained(slopes: np.ndarray, onto: np.ndarray) -> np.ndarray:
    """Slopes (S, m, W) by what is stepped as slopes (S, m, Q) by the coordinates, onto (m, W, Q) leading there.

    A sum only over what a coordinate stands for, so that a NaN of one does not spread to the others."""
    found = np.zeros((*slopes.shape[:2], onto.shape[2]))
    for w in range(onto.shape[1]):
        for q in np.flatnonzero(onto[:, w].any(axis=0)):
            used = np.flatnonzero(onto[:, w, q])
            found[:, used, q] += slopes[:, used, w]
    return found
