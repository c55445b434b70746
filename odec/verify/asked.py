"""What is computed on every back end, and by SciPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Asked:
    """A model file, the times of the rows (the first is the start), replaced params and starts, and a tolerance."""

    model: str
    times: tuple[float, ...]
    params: Mapping[str, float]
    init: Mapping[str, float]
    rtol: float

    def weights(self, states: int) -> np.ndarray:
        """(times, states): what makes one number of a run, for its gradient. No two derivatives cancel."""
        return 1.0 + np.arange(len(self.times) * states).reshape(-1, states) % 3
