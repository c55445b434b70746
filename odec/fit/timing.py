"""How the runs of a fit are stepped: the one place that knows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from odec.runtime.schedule import Schedule


@dataclass(frozen=True)
class Timing:
    """Steps of the length `step` from `start`, each cut into `factor`."""

    start: float
    step: float
    factor: int = 1

    def at(self, times: np.ndarray) -> Schedule:
        """What `simulate` takes, for a run that is asked for these times."""
        return Schedule.fixed(self.start, times, self.step).refined(self.factor)

    def with_step(self, step: float) -> Timing:
        """The same start with another step."""
        return Timing(self.start, step)

    @property
    def finer(self) -> Timing:
        """Half of every step: what shows whether the steps matter."""
        return replace(self, factor=2 * self.factor)


def longest_step(timing: Timing, times: np.ndarray) -> float:
    """The longest step that a run to these times takes; the asked one where it takes none."""
    return timing.at(times).longest_step or timing.step
