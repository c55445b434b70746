"""How the runs of a fit are stepped: the one place that knows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from odec.runtime.adaptive import FINEST, Adaptive
from odec.runtime.schedule import Schedule

MOST_STEPS = 50_000
# The sensitivities keep so many times the tolerance. They are the derivatives of what is computed, whatever its error,
# so that a search ends at the optimum of the computed loss; this only keeps steps from passing over what the states do
# not feel (a start at rest). Holding them to the tolerance itself takes four times as long (Boehm's problem).
LOOSER = 1e3
# How much a finer adaptive run lowers its tolerance.
FINER = 0.01


@dataclass(frozen=True)
class Timing:
    """Fixed steps of the length `step` from `start`, each cut into `factor`; or, where `rtol` is said, steps chosen by
    their error.

    A row that takes more than `most` steps chosen by their error is a start that explodes: it has no value.

    A run ends at `until`: what is asked behind it is given as of then, so that the shapes stay what they are.

    Of a map the steps are `counted`: each is one, and a finer one would be another model."""

    start: float
    step: float
    factor: int = 1
    rtol: float | None = None
    until: float | None = None
    most: int = MOST_STEPS
    counted: bool = False

    def at(self, times: np.ndarray) -> Schedule | Adaptive:
        """What `simulate` takes, for a run that is asked for these times."""
        if self.rtol is None:
            return self.fixed(times)
        return Adaptive(self.start, self._cut(times), rtol=self.rtol, most=self.most, exact=LOOSER)

    def fixed(self, times: np.ndarray) -> Schedule:
        """The schedule of fixed steps."""
        return Schedule.fixed(self.start, self._cut(times), self.step).refined(self.factor)

    def _cut(self, times: np.ndarray) -> np.ndarray:
        if self.until is None:
            return times
        return np.where(np.abs(times - self.start) > abs(self.until - self.start), self.until, times)

    def with_step(self, step: float) -> Timing:
        """The same start with fixed steps of another length."""
        return Timing(self.start, step)

    @property
    def is_adaptive(self) -> bool:
        """Whether the error chooses the steps."""
        return self.rtol is not None

    @property
    def finer(self) -> Timing:
        """Half of every step, or a hundredth of the tolerance: whether the steps matter. A map has no finer ones."""
        if self.counted:
            return self
        if self.rtol is None:
            return replace(self, factor=2 * self.factor)
        return replace(self, rtol=max(FINER * self.rtol, FINEST * float(np.finfo(float).eps)))

    def longest(self, times: np.ndarray) -> float | None:
        """The longest fixed step that a run to these times takes; the asked one where it takes none. None where the
        steps are adaptive."""
        return None if self.is_adaptive else self.fixed(times).longest_step or self.step

    def said(self, times: np.ndarray) -> str:
        """The steps in words."""
        return f"step {self.longest(times):g}" if self.rtol is None else f"rtol {self.rtol:g}"
