"""What is computed on every back end, and by SciPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Asked:
    """A model file, the times of the rows (the first is the start), replaced sizes, params, consts and starts, a
    tolerance, and the tables of the inputs."""

    model: str
    times: tuple[float, ...]
    params: Mapping[str, float]
    init: Mapping[str, float]
    rtol: float
    inputs: Mapping[str, str] = field(default_factory=dict)

    def weights(self, states: int) -> np.ndarray:
        """(times, states): what makes one number of a run, for its gradient. No two derivatives cancel."""
        return 1.0 + np.arange(len(self.times) * states).reshape(-1, states) % 3


# The inputs among the numbers of a back end.
KNOTS, SERIES = "knots", "series"


@dataclass(frozen=True)
class Series:
    """The inputs of a run: `values` (K, I) at the ascending times `knots` (K,); beyond its ends the first and last."""

    knots: np.ndarray
    values: np.ndarray
