"""`fit`: from a model and a table of data to estimates, and to what must be said about them."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from odec.arithmetic import arithmetic_said
from odec.diagnostics import OdecError, nearest
from odec.files import kept_if_filled, ready_folder
from odec.fit.least_squares import NO_VALUE, Search, Settings, minimise
from odec.fit.problem import Problem
from odec.fit.result import Criteria, Estimate, Fit, result
from odec.fit.setup import Asked, problem_of
from odec.fit.steps import found_step, not_finite

__all__ = ["METHODS", "Criteria", "Estimate", "Fit", "Progress", "fit"]

METHODS = ("lm", "adam", "scipy")
MOST_REFITS = 4


class Progress(Protocol):
    """Called during a search: `done` of `total` (starts, iterations or epochs) and the least loss so far."""

    def __call__(self, done: int, total: int, best_loss: float) -> None:
        """Shows how far the search is."""


@arithmetic_said
def fit(
    model: Any,
    data: Any,
    *,
    time: str = "t",
    method: str = "lm",
    solver: str | None = None,
    step: float | None = None,
    rtol: float | None = None,
    start: Mapping[str, float] | None = None,
    fix: Mapping[str, float] | None = None,
    starts: int = 1,
    seed: int = 0,
    epochs: int = 10_000,
    learning_rate: float | None = None,
    consts: Mapping[str, float] | None = None,
    initial: Mapping[str, float] | None = None,
    inputs: Mapping[str, Any] | None = None,
    conditions: Any = None,
    weights: str = "none",
    output: str | Path | None = "fit",
    progress: Progress | None = None,
) -> Fit:
    """Fits the parameters of `model` (a path or a layer class) to `data` (a path, a DataFrame or a dict of columns).

    Where the measured outputs have a noise (`observe y ~ normal(y, s)`) the negative log-likelihood with all constants,
    plus the priors' part, is minimised; else the sum of squares, in which `weights="scale"` divides each column by its
    largest size and `weights="sd"` by the standard deviation of its data.

    With a column `experiment` all experiments are fitted together. `conditions` is the table of what differs between
    them, by default the `conditions.csv` beside the data; `consts` and `initial` replace numbers of the model in all.
    `start` replaces first guesses, `fix` gives params that are not searched; both know `k[e1]`. With several `starts`
    the others are drawn from `seed`. `inputs` are the tables of the model's inputs, as in `odec.solve`; an input may
    also be a column of the data.

    `solver` and `step` are those of the model's `solve` statement where not given; without any step the step is chosen
    so that it does not matter. With `rtol` the steps are chosen by their error, with tsit5, or rodas5p where a run at
    the first guess is stiff, unless `solver` says another. `method` is `lm` (a trust region for all starts at once),
    `scipy` (SciPy's `least_squares`, or L-BFGS-B for a likelihood, one start after the other) or `adam`, to which
    `epochs` and `learning_rate` (in the parameters' own values; by default 0.02 in the search's units) belong. The
    report is written to the folder `output` (None: nowhere).
    Raises OdecError for a wrong model, data, start or folder, before any search.
    """
    began = clock.perf_counter()
    if method not in METHODS:
        known = " or ".join(f"`{name}`" for name in METHODS)
        raise OdecError.of(
            "E0606", f"there is no fit method `{method}`", help=nearest(method, METHODS) or f"choose {known}"
        )
    if starts < 1:
        raise OdecError.of("E0606", f"{starts} starts were asked for", help="at least one start is needed")
    layer, text = _loaded(model)
    asked = Asked(time, solver, step, rtol, start, fix, consts, initial, inputs, conditions, weights)
    problem, accurate = problem_of(layer, data, asked)
    made = output is not None and not Path(output).exists()
    folder = None if output is None else ready_folder(output)
    with kept_if_filled(folder, made):
        search = _searched(problem, method, starts, seed, epochs, learning_rate, progress)
        if accurate and method != "adam":
            problem, search = _with_enough_steps(problem, search)
        found = result(problem, search, method, accurate, starts, seed, clock.perf_counter() - began)
        if folder is None:
            return found
        from odec.fit.report import write_report

        found = replace(found, output=folder)
        write_report(found, folder, layer, text, time)
        return found


def _loaded(model: Any) -> tuple[Any, str | None]:
    """The layer class, and the model file's text where there is one."""
    if isinstance(model, type):
        return model, None
    from odec.loading import load_model
    from odec.source import Source

    layer = load_model(model)
    return layer, Source.from_file(model).text if Path(model).suffix != ".py" else None


def _searched(
    problem: Problem,
    method: str,
    starts: int,
    seed: int,
    epochs: int,
    learning_rate: float | None,
    progress: Progress | None,
) -> Search:
    """The end of every start. E0605 where none has a value."""
    z = problem.scale.draw(starts, seed)
    if method == "lm":
        settings = Settings(floor=problem.floor)
        search = minimise(problem.batched(starts), z, problem.scale.box, settings, _watch(progress, starts))
    elif method == "scipy":
        from odec.fit.peers import scipy_search

        search = scipy_search(problem, z, progress)
    else:
        from odec.fit.adam import adam

        search = adam(problem, z, epochs=epochs, learning_rate=learning_rate, progress=progress)
    if search.reason[search.best] in NO_VALUE:
        message = not_finite(problem, problem.scale.to_values(z[0]))
        raise OdecError.of("E0605", message, help="start from other values, or narrow the bounds")
    return search


def _with_enough_steps(problem: Problem, search: Search) -> tuple[Problem, Search]:
    """The fit repeated from its estimates with smaller steps until they do not matter there either."""
    for _ in range(MOST_REFITS):
        values = problem.scale.to_values(search.z[search.best])
        step = problem.timing.fixed(problem.data.distinct_times).longest_step or problem.timing.step
        needed = found_step(problem, values, largest=step)
        if needed >= step:
            break
        problem = problem.with_timing(problem.timing.with_step(needed))
        settings = Settings(floor=problem.floor)
        again = minimise(problem.batched(1), search.z[[search.best]], problem.scale.box, settings)
        best = search.best
        for name in ("z", "residuals", "jacobian", "loss", "radius", "reason"):
            getattr(search, name)[best] = getattr(again, name)[0]
        search.iterations[best] += again.iterations[0]
        search.evaluations[best] += again.evaluations[0]
    return problem, search


def _watch(progress: Progress | None, starts: int) -> Any:
    if progress is None:
        return None

    def watch(search: Search) -> None:
        ended = starts - len(search.running)
        loss = float(search.loss[search.best])
        if starts > 1:
            progress(ended, starts, loss)
        else:
            limit = Settings().iterations
            progress(limit if ended else int(search.iterations[0]), limit, loss)

    return watch
