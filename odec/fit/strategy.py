"""How the ends of all starts are found: by which method, in which stages, and what is tried where that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from odec.diagnostics import OdecError, nearest
from odec.fit.checkpoint import Journal, followed
from odec.fit.least_squares import INTERRUPTED, NO_VALUE, Search, Settings
from odec.fit.steps import not_finite

if TYPE_CHECKING:
    from odec.fit.problem import Problem

METHODS = ("lm", "adam", "scipy")
PLAIN = "plain"


class Progress(Protocol):
    """Called during a search: `done` of `total` (starts, iterations or epochs) and the least loss so far."""

    def __call__(self, done: int, total: int, best_loss: float) -> None:
        """Shows how far the search is."""


@dataclass(frozen=True)
class Strategy:
    """What the user asks of the search; see `odec.fit`."""

    method: str = "lm"
    starts: int = 1
    seed: int = 0
    epochs: int = 10_000
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        """E0606 for what is out of range."""
        if self.method not in METHODS:
            known = " or ".join(f"`{name}`" for name in METHODS)
            cure = nearest(self.method, METHODS) or f"choose {known}"
            raise OdecError.of("E0606", f"there is no fit method `{self.method}`", help=cure)
        if self.starts < 1:
            raise OdecError.of("E0606", f"{self.starts} starts were asked for", help="at least one start is needed")


def searched(problem: Problem, strategy: Strategy, journal: Journal, progress: Progress | None) -> Search:
    """The end of every start; those that the user stopped are `INTERRUPTED`. E0605 where none has a value."""
    z = problem.scale.draw(strategy.starts, strategy.seed)
    if strategy.method == "lm":
        search = plain(problem, z, journal, progress)
    elif strategy.method == "scipy":
        from odec.fit.peers import scipy_search

        search = scipy_search(problem, z, journal, progress)
    else:
        from odec.fit.adam import adam

        search = adam(
            problem,
            z,
            epochs=strategy.epochs,
            learning_rate=strategy.learning_rate,
            journal=journal,
            progress=progress,
        )
    search.reason[search.running] = INTERRUPTED
    if search.reason[search.best] in NO_VALUE:
        message = not_finite(problem, problem.scale.to_values(z[0]))
        raise OdecError.of("E0605", message, help="start from other values, or narrow the bounds")
    return search


def plain(problem: Problem, z: np.ndarray, journal: Journal, progress: Progress | None) -> Search:
    """All starts `z` (S, Q) at once by least squares, on all data."""
    settings = Settings(floor=problem.floor)
    watch = watching(progress, len(z), settings.iterations)
    return followed(journal, PLAIN, problem.batched(len(z)), z, problem.scale.box, settings, watch)


def watching(progress: Progress | None, starts: int, limit: int) -> Callable[[Search], None] | None:
    """What shows a search: how many starts have ended, or how many iterations a single one has taken."""
    if progress is None:
        return None

    def watch(search: Search) -> None:
        ended = starts - len(search.running)
        loss = float(search.loss[search.best])
        if starts > 1:
            progress(ended, starts, loss)
        else:
            progress(limit if ended else int(search.iterations[0]), limit, loss)

    return watch
