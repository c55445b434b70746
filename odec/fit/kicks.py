"""Rounds of kicks: the best ends of a search are moved by chance and searched again, for a loss with many valleys.

An iterated local search (Lourenço, Martin and Stützle, in Handbook of Metaheuristics, 2003; basin hopping of Wales and
Doye, J. Phys. Chem. A 101 (1997) 5111) of several members at once. Near a good end there often is a better one: an
oscillation that begins a little later, a ratio of two params that the data hardly tell, the other side of a cliff on
whose edge the search came to a stop. Starts drawn anew from all that the bounds allow hardly ever find it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from odec.fit.checkpoint import Journal, arrays_of, followed
from odec.fit.coarse import MOST_STEPS, NEAR_SETTINGS, RTOL, SETTINGS, pays
from odec.fit.least_squares import Search, Settings
from odec.fit.problem import Problem

# So many ends, each with another loss, are kept from round to round, and so many kicks are given in one.
MEMBERS, KICKS = 8, 32
# How far: from where only a cliff or a narrow valley is left to whole units (of a `log` param: decades). Nothing is
# known of the right size, so that every kick has its own.
SMALLEST, LARGEST = 1e-3, 1.0


def kicked(
    problem: Problem,
    search: Search,
    rounds: int,
    seed: int,
    journal: Journal,
    watch: Callable[[Search], None] | None = None,
) -> None:
    """Where the rounds find a better end than the best one of `search`, that takes its row; the evaluations are counted
    there in any case."""
    box, floor = problem.scale.box, problem.floor
    members = _members(problem, search.loss)
    if not len(members):
        return
    z, loss = search.z[members], search.loss[members]
    timing = problem.timing
    quick = problem.with_timing(replace(timing, rtol=RTOL, most=MOST_STEPS)) if pays(problem, KICKS) else problem
    evaluate, spent = quick.searching(KICKS), 0
    for turn in range(rounds):
        if journal.stopped():
            break
        trial = kicks(problem, z, np.random.default_rng([seed, turn]))
        ends = followed(journal, f"kicks {turn + 1}", evaluate, trial, box, replace(SETTINGS, floor=floor), watch)
        spent += int(ends.evaluations.sum())
        z, loss = np.concatenate([z, ends.z]), np.concatenate([loss, ends.loss])
        members = _members(problem, loss)
        z, loss = z[members], loss[members]
    near, exact = replace(NEAR_SETTINGS, floor=floor), Settings(floor=floor)
    found = followed(journal, "kicked, fine", problem.searching(len(z)), z, box, near, watch)
    last = followed(journal, "kicked, best", problem.searching(1), found.z[[found.best]], box, exact, watch)
    best = search.best
    search.evaluations[best] += spent + int(found.evaluations.sum()) + int(last.evaluations[0])
    if last.loss[0] < search.loss[best]:
        for name, array in arrays_of(last).items():
            if name not in ("evaluations", "history"):
                getattr(search, name)[best] = array[0]
        search.history.append(float(last.loss[0]))


def kicks(problem: Problem, z: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Points (KICKS, Q) around the members `z` (n, Q), in turn: each moves some share of its coordinates, at least one,
    by normal numbers of a size of its own."""
    origin, box = z[np.arange(KICKS) % len(z)], problem.scale.box
    size = 10 ** generator.uniform(np.log10(SMALLEST), np.log10(LARGEST), (KICKS, 1))
    move = generator.normal(size=origin.shape) * size
    chosen = generator.random(origin.shape) < generator.random((KICKS, 1))
    chosen[np.arange(KICKS), generator.integers(origin.shape[1], size=KICKS)] = True
    unit = np.where(box.grows, problem.scale.units(origin), box.typical)
    return np.clip(origin + np.where(chosen, move * unit, 0.0), box.lower, box.upper)


def _members(problem: Problem, loss: np.ndarray) -> list[int]:
    """The places of the best of n ends, no two of which are as good as one another."""
    chosen: list[int] = []
    for i in np.argsort(loss, kind="stable"):
        if np.isfinite(loss[i]) and (not chosen or loss[i] > problem.same(loss[chosen[-1]])):
            chosen.append(int(i))
    return chosen[:MEMBERS]
