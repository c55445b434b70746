"""A growing horizon: the search on the data up to a first time, from its end on the data up to a later one, and so on.

Over a long time an oscillation that is a little too fast loses its step with the data, and the loss has a valley for
each period that it is off; over a short time it has one. What the early data say brings the start into the right
valley of the whole (Pitt and Banga, BMC Bioinformatics 20 (2019), on how such losses trap searches).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from odec.fit.checkpoint import Journal, followed
from odec.fit.experiments import moving_params
from odec.fit.least_squares import Search, Settings
from odec.fit.objective import Likelihood, NoiseOf, Squares
from odec.fit.problem import Problem

STAGES = 8
# A stage need not come to the end of its digits: the next one moves its optimum.
SETTINGS = Settings(gradient=1e-4, reduction=1e-5, step=1e-5, floor=-np.inf, iterations=40)


def horizons(problem: Problem, stages: int = STAGES) -> np.ndarray:
    """The times that end the stages before the last one, the nearest to the start first."""
    distances = np.unique(np.abs(problem.data.times - problem.timing.start))
    distances = distances[distances > 0]
    count = min(stages, len(distances))
    places = np.unique(np.ceil(len(distances) * np.arange(1, count) / count).astype(int)) - 1
    back = problem.data.times.min() < problem.timing.start
    ends: np.ndarray = problem.timing.start + (-distances if back else distances)[places]
    return ends


def grown(
    problem: Problem,
    z: np.ndarray,
    journal: Journal,
    watch: Callable[[Search], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """From the starts `z` (S, Q) where the stages before the last one end, and the evaluations (S,) that it took."""
    ends, fixed = horizons(problem), _only_noise(problem)
    start, spent = z, np.zeros(len(z), dtype=int)
    for i, until in enumerate(ends):
        part = restricted(problem, until)
        evaluate, name = part.batched(len(z)), f"horizon {i + 1}"
        search = followed(journal, name, evaluate, z, problem.scale.box, SETTINGS, watch)
        # The noise of few data, which the model meets too well, would mislead the next stage.
        z, spent = np.where(fixed, start, search.z), spent + search.evaluations
        if journal.stopped():
            break
    return z, spent


def restricted(problem: Problem, until: float) -> Problem:
    """The problem with the data up to a time. The runs end there; their shapes, and so their programs, stay."""
    objective, runs = problem.objective, problem.runs
    start = problem.timing.start
    times = problem.data.times[runs.cells.rows]
    used = np.abs(times - start) <= abs(until - start)
    runs = replace(runs, timing=replace(runs.timing, until=float(until)))
    if isinstance(objective, Squares):
        return replace(problem, runs=runs, objective=replace(objective, weights=np.where(used, objective.weights, 0)))
    assert isinstance(objective, Likelihood)
    return replace(problem, runs=runs, objective=_likelihood(objective, used))


def _likelihood(objective: Likelihood, used: np.ndarray) -> Likelihood:
    noises = tuple(_noise(noise, used[noise.at.cells]) for noise in objective.noises if used[noise.at.cells].any())
    program = replace(objective.program, noises=tuple(noise.at for noise in noises))
    return replace(objective, noises=noises, program=program)


def _noise(noise: NoiseOf, used: np.ndarray) -> NoiseOf:
    """The noise of those of its cells (n,) that are used."""
    at = noise.at
    inputs = None if at.inputs is None else at.inputs[:, used]
    at = replace(at, cells=at.cells[used], times=at.times[used], data=at.data[:, used], inputs=inputs)
    return replace(noise, at=at, known=noise.known[:, used])


def _only_noise(problem: Problem) -> np.ndarray:
    """Which coordinates (Q,) move nothing but the noise."""
    slots, moving = problem.design.params, moving_params(problem.model)
    found = np.ones(len(problem.scale.names), dtype=bool)
    for name, column in zip(slots.names, slots.index.T, strict=True):
        if name in moving:
            found[column[column >= 0]] = False
    for group in problem.design.groups:
        found[group.initial.index[group.initial.index >= 0]] = False
    return found
