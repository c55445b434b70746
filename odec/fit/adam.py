"""`--method adam`: gradient descent as the article did it, with its chunks of epochs compiled.

Without a learning rate it steps in the search's own units (decades of a `log` parameter, shares of another's first
guess); a learning rate is one of the values themselves, as the article's 1e-4. The default search,
Levenberg-Marquardt, needs a hundredth of the work: Adam is here for comparison, and for teaching.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from odec.diagnostics import OdecError
from odec.fit.checkpoint import Journal, Stopped
from odec.fit.least_squares import GRADIENT, INTERRUPTED, LARGEST, NOT_FINITE, STEP, UNFINISHED, Search, steepest
from odec.fit.problem import Problem
from odec.fit.scale import Scale
from odec.runtime.descent import Descent, State, prepared

if TYPE_CHECKING:
    from odec.fit.staged import Progress

SEARCH_RATE = 0.02
CHUNKS = 20
STAGE = "adam"
# An end this near the Gauss-Newton optimum, in units of each parameter's size, counts as one too: data that are met
# exactly leave residuals of no direction.
NEAR = 1e-4
# The cosine between residuals and Jacobian below which an end counts as an optimum.
FLAT = 1e-3


def adam(
    problem: Problem,
    z: np.ndarray,
    *,
    epochs: int,
    learning_rate: float | None,
    journal: Journal,
    progress: Progress | None = None,
) -> Search:
    """Runs `epochs` of Adam from each start `z` (S, P, search coordinates); each start ends at the best point it saw.
    The journal keeps where they stand between chunks of epochs.

    Raises OdecError: E0606 for a number of epochs or a rate that is not positive, E0702 for what is not the plain least
    squares of one experiment.
    """
    _check_plain(problem)
    if epochs < 1 or (learning_rate is not None and not learning_rate > 0):
        raise OdecError.of(
            "E0606", f"adam cannot run {epochs} epochs at rate {learning_rate}", help="both must be positive"
        )
    scale, linear = problem.scale, learning_rate is not None
    values, cells, moments = scale.to_values(z), problem.runs.cells, problem.data.distinct_times
    replaced = problem.design.settings(values[0], 0)
    program, others, given = prepared(
        problem.model, problem.solver, values, replaced.consts, replaced.initial, problem.data.names
    )
    log, unit, lower, upper = _coordinates(scale, linear)
    times = np.searchsorted(moments, problem.data.times[cells.rows])
    descent = Descent(
        program=program,
        schedule=problem.timing.fixed(moments),
        inputs=problem.runs.inputs,
        cells=times * len(problem.data.names) + cells.columns,
        measured=cells.measured,
        log=log,
        unit=unit,
        lower=lower,
        upper=upper,
        learning_rate=learning_rate if learning_rate is not None else SEARCH_RATE,
        epochs=epochs,
        floor=max(problem.floor, np.finfo(float).tiny),
    )
    state, done = _kept(journal) or (State.at(((values if linear else z) / unit).T), 0)
    run = descent.compiled()
    chunk = -(-epochs // CHUNKS)
    while done < epochs:
        count = min(chunk, epochs - done)
        state = run(state, done, count, others, given)
        done += count
        if progress is not None:
            progress(done, epochs, float(np.min(state.best_loss)))
        try:
            journal.keep(STAGE, vars(state) | {"done": np.array(done)})
        except Stopped:
            break
    ends = np.asarray(state.best_z).T * unit
    at = scale.to_search(scale.clipped(ends)) if linear else ends
    return _search(problem, at, done, UNFINISHED if done == epochs else INTERRUPTED)


def _kept(journal: Journal) -> tuple[State, int] | None:
    """Where the journal's stage stands, and the epochs until then."""
    kept = journal.stage(STAGE)
    if kept is None:
        return None
    arrays = dict(kept)
    done = int(arrays.pop("done"))
    return State(**arrays), done


def _check_plain(problem: Problem) -> None:
    design, parts = problem.design, []
    if problem.is_likelihood:
        parts.append("a likelihood")
    if problem.timing.is_adaptive:
        parts.append("steps chosen by a tolerance")
    if problem.weights != "none":
        parts.append("weights")
    if len(design.experiments) > 1:
        parts.append("several experiments")
    if design.names != problem.model.description.param_elements or (design.groups[0].initial.index >= 0).any():
        parts.append("fixed or replaced params")
    if parts:
        message = f"the method adam knows only plain least squares, not {' or '.join(parts)}"
        raise OdecError.of("E0702", message, help="fit with the method lm, the default")


def _coordinates(scale: Scale, linear: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which coordinates are log10, their unit, and their bounds: the values, or the search's in its units."""
    if linear:
        return np.zeros_like(scale.log), np.ones(len(scale.names)), scale.lower, scale.upper
    unit = np.where(scale.log | (scale.start == 0), 1.0, np.abs(scale.start))
    box = scale.box
    return scale.log, unit, box.lower / unit, box.upper / unit


def _search(problem: Problem, z: np.ndarray, epochs: int, otherwise: str) -> Search:
    """The ends of all starts in the form that the report reads; the reason of one that is no optimum is `otherwise`."""
    points = problem.evaluate(z)
    residuals, jacobian = points.residuals, points.jacobian
    with np.errstate(invalid="ignore"):
        good = (points.loss < LARGEST) & np.isfinite(jacobian).all(axis=(1, 2))
    reason = np.where(good, otherwise, NOT_FINITE).astype(object)
    loss = np.where(good, points.loss, np.inf)
    # A start that is not good has numbers too large for a direction.
    with np.errstate(all="ignore"):
        cosine = np.where(good, steepest(z, residuals, jacobian, problem.scale.box), np.inf)
        near = good & (_distance(problem, z, residuals, jacobian) <= NEAR)
    reason[cosine <= FLAT] = GRADIENT
    reason[near] = STEP
    counted = np.full(len(z), epochs)
    return Search(z, residuals, jacobian, loss, np.ones(len(z)), counted, counted + 1, reason)


def _distance(problem: Problem, z: np.ndarray, residuals: np.ndarray, jacobian: np.ndarray) -> np.ndarray:
    """How far (S,) the linear model's optimum is from `z` (S, P), the largest of all coordinates."""
    unit = problem.scale.box.unit(z, jacobian, residuals)
    finite = np.isfinite(residuals).all(axis=1) & np.isfinite(jacobian).all(axis=(1, 2))
    far = np.full(len(z), np.inf)
    for i in np.flatnonzero(finite):
        step, *_ = np.linalg.lstsq(jacobian[i] * unit[i], residuals[i], rcond=1e-9)
        far[i] = np.abs(step).max(initial=0.0)
    return far
