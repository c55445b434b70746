"""The search by least squares in stages: plainly, over a growing horizon, by multiple shooting, or all in turn; and
rounds of kicks behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from odec.fit.checkpoint import Journal, arrays_of, followed
from odec.fit.coarse import coarse_first, pays
from odec.fit.horizon import grown, horizons
from odec.fit.kicks import kicked
from odec.fit.least_squares import CONVERGED, GRADIENT, NOT_FINITE, Box, Search, Settings
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
# A start where the loss has no slope is moved by this share of its coordinates' units.
NUDGE = 0.1


class Progress(Protocol):
    """Called during a search: `done` of `total` (starts, iterations or epochs) and the least loss so far. In a stage
    before the last one nothing is done yet, and the loss is the stage's own."""

    def __call__(self, done: int, total: int, best_loss: float) -> None:
        """Shows how far the search is."""


def staged(
    problem: Problem,
    z: np.ndarray,
    horizon: bool,
    segments: int | None,
    journal: Journal,
    progress: Progress | None,
    kicks: int = 0,
    seed: int = 0,
) -> tuple[Search, str]:
    """The ends of all starts `z` (S, Q), searched at once, and what was done beside the plain search, in words.

    Over a growing `horizon`, or by shooting over `segments`, where that is asked; else plainly and, where that
    collapses, over a growing horizon and, where that collapses too, by shooting; the best of them. Then so many rounds
    of `kicks`, drawn from `seed`.
    """
    search, approach = _approached(problem, z, horizon, segments, journal, progress)
    if not kicks or journal.stopped():
        return search, approach
    kicked(problem, search, kicks, seed, journal, _watching_a_stage(progress, len(z)))
    rounds = f"{kicks} round{'s' if kicks > 1 else ''} of kicks"
    return search, f"{approach}; then {rounds}" if approach else f"with {rounds}"


def _approached(
    problem: Problem, z: np.ndarray, horizon: bool, segments: int | None, journal: Journal, progress: Progress | None
) -> tuple[Search, str]:
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

    evaluate, box = problem.searching(starts), problem.scale.box
    if pays(problem, starts):
        search = coarse_first(problem, z, stage, journal, settings, watch)
    else:
        search = followed(journal, stage, evaluate, z, box, settings, watch)
    stuck, moved = nudged(search, box)
    if len(stuck) and not journal.stopped():
        again = followed(journal, f"{stage}, nudged", evaluate, moved, box, settings)
        better = again.loss < search.loss[stuck]
        for name, array in arrays_of(again).items():
            if name != "history":
                getattr(search, name)[stuck[better]] = array[better]
    return search


def nudged(search: Search, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """The starts (n,) that ended where they began since the loss has no slope there by some coordinate, or an infinite
    one, though it can be computed; and points (n, Q) a tenth of a unit from them, where it may have one."""
    blind = (search.jacobian == 0).all(axis=1)
    endless = np.isfinite(search.residuals).all(axis=1) & ~np.isfinite(search.jacobian).all(axis=(1, 2))
    flat = (search.reason == GRADIENT) & blind.any(axis=1)
    stuck = np.flatnonzero((search.iterations == 0) & (flat | ((search.reason == NOT_FINITE) & endless)))
    z, slopes = search.z[stuck], np.nan_to_num(search.jacobian[stuck], posinf=0.0, neginf=0.0)
    move = blind[stuck] | ~np.isfinite(search.jacobian[stuck]).all(axis=1)
    unit = np.where(move, NUDGE * box.unit(z, slopes, search.residuals[stuck]), 0.0)
    return stuck, np.clip(np.where(z + unit <= box.upper, z + unit, z - unit), box.lower, box.upper)


def _watching_a_stage(progress: Progress | None, starts: int) -> Callable[[Search], None]:
    total = starts if starts > 1 else Settings().iterations

    def watch(search: Search) -> None:
        if progress is not None:
            progress(0, total, float(search.loss[search.best]))

    return watch
