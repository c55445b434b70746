"""What `worker.py` asks of a peer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from peers.solvers.problems import Problem


@dataclass(frozen=True)
class Run:
    """What one call computed: values (rows, times, states); where they are known the mean number of accepted steps of a
    row, and the most attempts of any row."""

    values: np.ndarray
    steps: float | None = None
    attempts: float | None = None


# rtol and the absolute tolerance of each state → the run.
Solve = Callable[[float, np.ndarray], Run]


class Peer(Protocol):
    """A module: the names of its methods for a problem (a method may say how it takes a batch), and how one solves."""

    PACKAGES: tuple[str, ...]

    @staticmethod
    def methods(stiff: bool) -> tuple[str, ...]:
        """Those that suit."""
        ...

    @staticmethod
    def largest_batch(method: str) -> int:
        """The largest batch that is worth measuring: 1 for a tool that knows rows one by one only."""
        ...

    @staticmethod
    def prepare(problem: Problem, method: str, initial: np.ndarray, params: np.ndarray) -> Solve:
        """For rows (rows, states) and (rows, params); whatever is compiled is compiled at the first call."""
        ...
