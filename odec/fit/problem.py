"""A model, its data and a solver as one function: search coordinates → residuals and their Jacobian."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from odec.diagnostics import OdecError
from odec.fit.data import Data
from odec.fit.scale import Scale
from odec.runtime import simulate
from odec.runtime.schedule import Schedule
from odec.runtime.signals import Signal

# Batches shrink by this factor when so few starts are left; each size is compiled once, so there are few sizes.
SHRINK = 8
SMALLEST_BATCH = 16


@dataclass(frozen=True)
class Problem:
    """What is fitted: residual = model - datum for each measured cell (M of them), in the data's fixed order.

    `consts` and `initial` replace the model's own, and `inputs` drive it, as in a run. `solver` names the
    method, `schedule` holds the steps.
    """

    model: Any
    data: Data
    scale: Scale
    solver: str
    schedule: Schedule
    consts: Mapping[str, float] | None = None
    initial: Mapping[str, float] | None = None
    inputs: Signal | None = None
    cells: tuple[np.ndarray, np.ndarray, np.ndarray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rows, columns = np.nonzero(np.isfinite(self.data.values))
        times = np.searchsorted(data_times(self.data), self.data.times[rows])
        object.__setattr__(self, "cells", (times, columns, self.data.values[rows, columns]))

    @property
    def size(self) -> float:
        """The norm of the measured values: what a residual is small against."""
        return float(np.linalg.norm(self.cells[2]))

    @property
    def floor(self) -> float:
        """A loss that is nothing but the rounding of the model's values."""
        return (1e-15 * self.size) ** 2

    def residuals(self, values: np.ndarray) -> np.ndarray:
        """Model minus data (S, M) at parameter values (S, P)."""
        return self.picked(self.solve(values, self.schedule)) - self.cells[2]

    def picked(self, solution: np.ndarray) -> np.ndarray:
        """The measured cells (S, M) of a solution (S, times, columns) at the data's times."""
        times, columns, _ = self.cells
        return solution[:, times, columns]

    def solve(self, values: np.ndarray, schedule: Schedule, columns: tuple[str, ...] | None = None) -> np.ndarray:
        """The solution (S, times, columns) at parameter values (S, P); the data's columns where none are named."""
        return np.asarray(
            simulate.solve(
                self.model,
                schedule,
                method=self.solver,
                params=np.asarray(values, dtype=float),
                columns=self.data.names if columns is None else columns,
                **self._replaced(),
            )
        )

    def evaluate(self, z: np.ndarray, rows: np.ndarray, batch: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Residuals (n, M) and their Jacobian (n, M, P) in search coordinates `z` (n, P), in one compiled call.

        The call is padded to `batch` rows with copies of the first. `rows` is not looked at: every start is alike.
        """
        values = self.scale.to_values(z)
        count = len(values)
        padded = np.concatenate([values, np.repeat(values[:1], max(batch - count, 0), axis=0)])
        solution, jacobian = simulate.sensitivities(
            self.model, self.schedule, method=self.solver, params=padded, columns=self.data.names, **self._replaced()
        )
        times, columns, measured = self.cells
        residuals = np.asarray(solution)[:count, times, columns] - measured
        slopes = np.asarray(jacobian)[:count, times, columns, :]
        with np.errstate(invalid="ignore", over="ignore"):
            return residuals, slopes * self.scale.slope(values)[:, None, :]

    def batched(self, starts: int) -> Any:
        """`evaluate` for a search of `starts` starts: few batch sizes, so few compilations."""
        sizes = [starts]
        while sizes[-1] // SHRINK >= SMALLEST_BATCH:
            sizes.append(-(-sizes[-1] // SHRINK))

        def evaluate(z: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return self.evaluate(z, rows, min(size for size in sizes if size >= len(z)))

        return evaluate

    def loss(self, values: np.ndarray) -> np.ndarray:
        """Sum of squares (S,) at parameter values (S, P)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.sum(self.residuals(values) ** 2, axis=1)

    def with_schedule(self, schedule: Schedule) -> Problem:
        """The same problem solved with other steps."""
        return replace(self, schedule=schedule)

    def _replaced(self) -> dict[str, Any]:
        return {"consts": self.consts, "initial": self.initial, "inputs": self.inputs}


def data_times(data: Data) -> np.ndarray:
    """The distinct times of the measurements, ascending."""
    return np.unique(data.times)


def check_supported(model: Any, data: Data) -> None:
    """Raises OdecError (E0702) for what the fit cannot do yet."""
    if len(data.experiments) > 1:
        listed = ", ".join(f"`{name}`" for name in data.experiments)
        raise OdecError.of(
            "E0702",
            f"the data hold several experiments ({listed}): fitting them together comes with a later release",
            help="fit one at a time; rows that only repeat a measurement need no `experiment` column",
        )
    description = model.description
    if description.noises:
        written = description.noises[0]
        raise OdecError.of(
            "E0702",
            f"`{written.output} ~ {written.kind}(…)` asks for a fit by likelihood, which comes with a later release",
            help="leave the `~ …` away to fit by least squares",
        )
    for param in description.params:
        if param.prior is not None:
            raise OdecError.of(
                "E0702",
                f"`{param.name}` has a prior, which a fit by least squares cannot use",
                help="leave the `~ …` away; bounds keep a param in its range",
            )
        if param.shape:
            raise OdecError.of("E0702", f"`{param.name}` is an array: fitting arrays comes with a later release")
