"""The fitted curve on a fine grid: every state and output of an experiment."""

from __future__ import annotations

import numpy as np

from odec.fit.problem import Problem
from odec.fit.steps import rounded_down
from odec.solution import Solution

# At least this many intervals, of a round length.
POINTS = 300
MOST_POINTS = 4000


def curve(problem: Problem, theta: np.ndarray, experiment: int, accurate: bool) -> Solution:
    """All states and outputs of an experiment from the start of the run to the last datum of any, its data's times
    included, at the coordinates' values `theta` (Q,).

    Where the step was chosen to be `accurate` the grid is free. Where it was given, the curve stops only where the
    fit's own steps stop: a finer grid would shorten the steps, and show another curve than the one that was fitted.
    """
    adaptive = problem.timing.is_adaptive
    times = _even(problem) if accurate or adaptive else _steps(problem)
    description = problem.model.description
    states = description.state_elements
    names = states + tuple(name for name in description.output_elements if name not in states)
    found = problem.runs.solution(theta[None], experiment, times, names)[0]
    steps = 0 if adaptive else problem.timing.fixed(times).total
    step = None if adaptive else problem.timing.fixed(times).longest_step
    return Solution(times, names, found, problem.solver, step, steps, description.name, rtol=problem.timing.rtol)


def _even(problem: Problem) -> np.ndarray:
    start, times = problem.timing.start, problem.data.distinct_times
    span = times[np.argmax(np.abs(times - start))] - start
    if span == 0:
        return np.array([start])
    spacing = rounded_down(abs(span) / POINTS)
    grid = start + np.sign(span) * spacing * np.arange(int(abs(span) / spacing * (1 + 1e-12)) + 1)
    # A grid point that is a datum's time up to rounding is that time.
    near = np.abs(grid[:, None] - times[None]).min(axis=1) < 1e-6 * spacing
    return np.unique(np.concatenate([[start], grid[~near], times]))


def _steps(problem: Problem) -> np.ndarray:
    times = problem.data.distinct_times
    schedule = problem.timing.fixed(times)
    inner = [
        begin + np.arange(1, count, _stride(schedule.total)) * step
        for begin, step, count in zip(schedule.starts, schedule.steps, schedule.counts, strict=True)
    ]
    return np.unique(np.concatenate([[schedule.start], *inner, times]))


def _stride(total: int) -> int:
    return max(1, -(-total // MOST_POINTS))
