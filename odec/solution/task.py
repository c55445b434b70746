"""What all runs of one `odec.solve` share: the model and the numbers it is run with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from odec.diagnostics import Diagnostic
from odec.runtime import simulate
from odec.runtime.adaptive import Adaptive
from odec.runtime.description import Description
from odec.runtime.driving import Report
from odec.runtime.schedule import Schedule
from odec.runtime.signals import Signal
from odec.solution.probe import Probe


@dataclass(frozen=True, eq=False)
class Task:
    """A model, the values of its params (P,), its replaced consts and initial values, and the columns asked for."""

    model: Any
    columns: tuple[str, ...]
    params: np.ndarray
    consts: Mapping[str, float]
    initial: Mapping[str, float]
    dtype: str
    inputs: Signal | None
    before: bool
    notes: tuple[Diagnostic, ...]
    progress: Report | None = None

    @property
    def description(self) -> Description:
        """The model's."""
        found: Description = self.model.description
        return found

    def along(self, schedule: Schedule, method: str) -> np.ndarray:
        """The values (times, columns) of a run with fixed steps."""
        settings = {**self._settings, "columns": self.columns, "before": self.before}
        return simulate.solve(self.model, schedule, method=method, **settings)[0]

    def adapted(self, timing: Adaptive, method: str, watches: bool) -> simulate.Run:
        """An adaptive run of one row; one that `watches` ends where an explicit method finds a stiff problem."""
        settings = {**self._settings, "columns": self.columns, "before": self.before, "watches": watches}
        return simulate.run(self.model, timing, method=method, report=self.progress, **settings)

    def endless(self, schedule: Schedule, method: str) -> tuple[str, float] | None:
        """The text of a jump that never ends, and when; None where there is none."""
        if not any(jump.kind == "when" for jump in self.description.jumps):
            return None
        jumps, moments = simulate.endless(self.model, schedule, method=method, **self._settings)
        return None if jumps[0] < 0 else (self.description.jumps[jumps[0]].text, float(moments[0]))

    @cached_property
    def probe(self) -> Probe:
        """The equations at single points."""
        return Probe(self.model, self.params, self.consts, self.inputs)

    @property
    def _settings(self) -> dict[str, Any]:
        return {
            "params": self.params,
            "consts": self.consts,
            "initial": self.initial,
            "dtype": self.dtype,
            "inputs": self.inputs,
        }

    def states_said(self, states: np.ndarray, most: int = 4) -> str:
        """The first states with their values: "x = 1, y = 2"."""
        pairs = zip(self.description.state_elements[:most], states, strict=False)
        return ", ".join(f"{name} = {value:.6g}" for name, value in pairs)
