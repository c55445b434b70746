"""Many starts at a coarse tolerance first: what they are worth is known long before the last digits of a run are.

All starts are followed to their ends with steps of a coarse tolerance, and stop where the loss no longer falls by what
matters. Those that came near the best one are then followed with the problem's own tolerance, and the best of these to
the last digit; the others keep their coarse ends. All searches use the same compiled program: a tolerance is a number
that it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from odec.fit.checkpoint import Journal, arrays_of, followed
from odec.fit.least_squares import Evaluate, Search, Settings
from odec.fit.problem import Problem

# The tolerance of a coarse search. Measured on Boehm's problem, 200 starts: as many reach the optimum with 1e-3 as with
# 1e-5, in half the time.
RTOL = 1e-3
# A point that takes more coarse steps than this explodes, or is stiff while the method is explicit; so does one that
# takes DEAR times as many as the median of some starts, and DEAR_STEPS at least. Measured on two species, 1,000 starts:
# a quarter of the search's time is saved, and 706 starts come to the optimum instead of 712.
MOST_STEPS = 3000
DEAR, DEAR_STEPS, SAMPLE = 20, 1000, 16
# Fewer starts are searched finely at once: there is little to be saved.
FEWEST = 8
# A coarse search ends where the loss falls by less than its own error.
SETTINGS = Settings(gradient=1e-6, reduction=1e-8, step=1e-6, slow=1e-4, patience=10, iterations=100)
# Near the optimum many starts walk along a valley whose ground no data tell apart; only the best one walks to its end.
NEAR_SETTINGS = Settings(gradient=1e-6, reduction=1e-8, step=1e-7, slow=1e-3, patience=5)
# A start is near the best one where its likelihood is less than e^NEAR times smaller: the coarse steps may have made
# such a difference, and it is the least that statistics calls one.
NEAR = 2.0
# So often the best start may turn out to be one of those that were left at their coarse ends.
MOST_ROUNDS = 10


def pays(problem: Problem, starts: int) -> bool:
    """Whether so many starts are better searched coarsely first."""
    return starts >= FEWEST and problem.timing.rtol is not None and problem.timing.rtol < RTOL


def coarse_first(
    problem: Problem, z: np.ndarray, stage: str, journal: Journal, settings: Settings, watch: Callable[[Search], None]
) -> Search:
    """The ends of all starts `z` (S, Q), those near the best one found with the problem's own tolerance."""
    starts, box = len(z), problem.scale.box
    asked = replace(SETTINGS, floor=settings.floor)
    search = followed(journal, f"{stage}, coarse", quick(problem, z), z, box, asked, watch)
    fine = np.zeros(starts, dtype=bool)

    def follow(chosen: np.ndarray, name: str, settings: Settings) -> None:
        again = followed(journal, name, problem.searching(starts), search.z[chosen], box, settings, watch)
        again.iterations += search.iterations[chosen]
        again.evaluations += search.evaluations[chosen]
        for part, array in arrays_of(again).items():
            if part not in ("history", "reason"):
                getattr(search, part)[chosen] = array
        search.reason[chosen] = again.reason

    for turn in range(MOST_ROUNDS):
        chosen = np.flatnonzero(_near(problem, search) & ~fine)
        if not len(chosen) or journal.stopped():
            break
        fine[chosen] = True
        follow(chosen, f"{stage}, fine {turn}", replace(NEAR_SETTINGS, floor=settings.floor))
    if not journal.stopped():
        follow(np.array([search.best]), stage, settings)
    return search


def quick(problem: Problem, z: np.ndarray) -> Evaluate:
    """The problem with coarse steps, no more than a point of a search from the starts `z` (S, Q) is worth."""

    def limited(most: int) -> Evaluate:
        return problem.with_timing(replace(problem.timing, rtol=RTOL, most=most)).searching(len(z))

    sample = limited(MOST_STEPS)(z[:SAMPLE], np.arange(min(SAMPLE, len(z)))).attempts
    usual = 0.0 if sample is None else float(np.median(sample))
    return limited(int(np.clip(DEAR * usual, DEAR_STEPS, MOST_STEPS)))


def _near(problem: Problem, search: Search) -> np.ndarray:
    """Which starts (S,) have a loss that is hardly worse than the best one's."""
    loss = np.where(np.isfinite(search.loss), search.loss, np.inf)
    best = loss.min()
    if not np.isfinite(best):
        return np.zeros(len(loss), dtype=bool)
    if problem.is_likelihood:
        return np.asarray(loss <= best + NEAR)
    # A sum of squares is e^(2·nll/n) up to a factor; the errors of coarse steps are squared themselves.
    error = (RTOL * problem.size) ** 2
    return np.asarray(loss <= best * np.exp(2 * NEAR / len(problem.runs.cells)) + error)
