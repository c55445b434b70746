"""The search by least squares in stages: plainly, over a growing horizon, by multiple shooting, or all in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from odec.fit.checkpoint import Journal, followed
from odec.fit.horizon import grown, horizons
from odec.fit.least_squares import CONVERGED, Search, Settings
from odec.fit.problem import Problem
from odec.fit.setup import column_weights
from odec.fit.shooting import shot

# The names of searches on all data: the only one, and those that follow on a horizon and on shooting.
PLAIN, AFTER_HORIZON, AFTER_SHOOTING = "plain", "after horizon", "after shooting"
# So many segments are tried without being asked for, or one for each two times of the data.
SEGMENTS = 10
# Fewer times than this have no course that could be cut.
LEAST_TIMES = 4
# A curve that leaves this share of what varies in the data has not found their course.
LEFT = 0.5


class Progress(Protocol):
    """Called during a search: `done` of `total` (starts, iterations or epochs) and the least loss so far. In a stage
    before the last one nothing is done yet, and the loss is the stage's own."""

    def __call__(self, done: int, total: int, best_loss: float) -> None:
        """Shows how far the search is."""


def staged(
    problem: Problem, z: np.ndarray, horizon: bool, segments: int | None, journal: Journal, progress: Progress | None
) -> tuple[Search, str]:
    """The ends of all starts `z` (S, Q), searched at once, and what was done beside the plain search, in words.

    Over a growing `horizon`, or by shooting over `segments`, where that is asked; else plainly and, where that
    collapses, over a growing horizon and, where that collapses too, by shooting; the best of them.
    """
    if horizon:
        return _by_horizon(problem, z, journal, progress)
    if segments is not None:
        return _by_shooting(problem, z, segments, journal, progress)
    search, approach = _on_all(problem, z, PLAIN, journal, progress), ""
    why = collapsed(problem, search)
    times = len(problem.data.distinct_times)
    for other_way in ("horizon", "shooting"):
        if journal.stopped() or times < LEAST_TIMES or not collapsed(problem, search):
            break
        if other_way == "horizon":
            other, name = _by_horizon(problem, z, journal, progress)
        else:
            other, name = _by_shooting(problem, z, min(SEGMENTS, times // 2), journal, progress)
        other.evaluations += search.evaluations
        if other.loss[other.best] < search.loss[search.best]:
            search, approach = other, f"{name}, since {why}"
    return search, approach


def collapsed(problem: Problem, search: Search) -> str:
    """Why a search counts as having led nowhere; "" where it did not."""
    if not np.isin(search.reason, list(CONVERGED)).any():
        return "no plain start converged"
    cells, names = problem.runs.cells, problem.data.names
    values = problem.runs.at_cells(problem.scale.to_values(search.z[[search.best]])).values[0]
    curve = cells.experiments * len(names) + cells.columns
    constant = (np.bincount(curve, cells.measured) / np.maximum(np.bincount(curve), 1))[curve]
    weights = column_weights(problem.data, "scale")[cells.columns]
    missed, varies = (np.sum((weights * (found - cells.measured)) ** 2) for found in (values, constant))
    return "the plain starts explain less than half of what varies in the data" if missed >= LEFT * varies > 0 else ""


def _by_horizon(problem: Problem, z: np.ndarray, journal: Journal, progress: Progress | None) -> tuple[Search, str]:
    ends, spent = grown(problem, z, journal, _watching_a_stage(progress, len(z)))
    search = _on_all(problem, ends, AFTER_HORIZON, journal, progress)
    search.evaluations += spent
    return search, f"over a horizon that grew in {len(horizons(problem)) + 1} parts"


def _by_shooting(
    problem: Problem, z: np.ndarray, segments: int, journal: Journal, progress: Progress | None
) -> tuple[Search, str]:
    ends, spent = shot(problem, segments, z, journal, _watching_a_stage(progress, len(z)))
    search = _on_all(problem, ends, AFTER_SHOOTING, journal, progress)
    search.evaluations += spent
    return search, f"by multiple shooting over {segments} segments"


def _on_all(problem: Problem, z: np.ndarray, stage: str, journal: Journal, progress: Progress | None) -> Search:
    """The search on all data, as a stage of the journal."""
    settings, starts = Settings(floor=problem.floor), len(z)

    def watch(search: Search) -> None:
        if progress is None:
            return
        ended, loss = starts - len(search.running), float(search.loss[search.best])
        if starts > 1:
            progress(ended, starts, loss)
        else:
            progress(settings.iterations if ended else int(search.iterations[0]), settings.iterations, loss)

    return followed(journal, stage, problem.batched(starts), z, problem.scale.box, settings, watch)


def _watching_a_stage(progress: Progress | None, starts: int) -> Callable[[Search], None]:
    total = starts if starts > 1 else Settings().iterations

    def watch(search: Search) -> None:
        if progress is not None:
            progress(0, total, float(search.loss[search.best]))

    return watch
