"""`fit`: from a model and a table of data to estimates, and to what must be said about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import odec
from odec.arithmetic import arithmetic_said
from odec.diagnostics import Diagnostic
from odec.files import kept_if_filled, ready_folder
from odec.fit.checkpoint import FILE, Journal, fingerprint
from odec.fit.interruption import Interrupted, interruptible
from odec.fit.intervals import with_intervals
from odec.fit.least_squares import INTERRUPTED, Search, Settings, minimise
from odec.fit.problem import Problem
from odec.fit.result import Criteria, Estimate, Fit, result
from odec.fit.setup import Asked, problem_of
from odec.fit.staged import Progress
from odec.fit.steps import found_step
from odec.fit.strategy import METHODS, Strategy, searched

__all__ = ["METHODS", "Criteria", "Estimate", "Fit", "Interrupted", "Progress", "fit"]

MOST_REFITS = 4


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
    horizon: bool = False,
    shooting: int | None = None,
    kicks: int = 0,
    consts: Mapping[str, float] | None = None,
    initial: Mapping[str, float] | None = None,
    inputs: Mapping[str, Any] | None = None,
    conditions: Any = None,
    weights: str = "none",
    output: str | Path | None = "fit",
    resume: bool = False,
    profiles: bool = False,
    bootstrap: int = 0,
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

    `solver` and `step` are those of the model's `solve` statement where not given. Without a step, or with `rtol`, the
    steps are chosen by their error (by default rtol 1e-8), with tsit5, or rodas5p where a run at the first guess or at
    half of some starts is stiff, unless `solver` says another; for one that does not estimate its error a step is found
    that does not matter.
    `method` is `lm` (a trust region for all starts at once), `lbfgs` (L-BFGS-B on the gradient alone), `scipy` (SciPy's
    `least_squares`, or L-BFGS-B for a likelihood; both one start after the other) or `adam`, to which `epochs` and
    `learning_rate` (in the parameters' own values; by default 0.02 in the search's units) belong. The report is written
    to the folder `output` (None: nowhere).

    With `horizon` the method lm fits the data up to a first time, from there those up to a later one, and so on; with
    `shooting` it cuts the run into so many segments whose start states are searched too, until they meet: for
    oscillations and chaos. Both are tried without being asked for where the plain search comes to nothing. After the
    search come so many rounds of `kicks` (from `seed`), in which the best ends are moved by chance and searched again:
    for a loss with many valleys.

    With `profiles` a profile likelihood is followed for each parameter, and with `bootstrap` so many data sets are
    simulated at the estimates (from `seed`) and fitted again: intervals that do not rest on a linear theory.

    While it searches a checkpoint is written into that folder every few seconds. With `resume` the fit goes on from
    there, bit for bit as if it had not been ended; where there is none it begins anew.
    Raises OdecError for a wrong model, data, start, folder or checkpoint, before any search; `Interrupted`, a
    KeyboardInterrupt, where Ctrl-C ended the search: what there is, is then written, and is its `fit`.
    """
    strategy = Strategy(method, starts, seed, epochs, learning_rate, horizon, shooting, kicks)
    layer, text = _loaded(model)
    asked = Asked(
        time, solver, step, rtol, start, fix, consts, initial, inputs, conditions, weights, method == "adam", starts
    )
    made = output is not None and not Path(output).exists()
    folder = None if output is None else ready_folder(output)
    with kept_if_filled(folder, made), interruptible() as stopped:
        journal = Journal(None if folder is None else folder / FILE, stopped)
        problem, accurate = problem_of(layer, data, asked)
        options = vars(strategy) | {"profiles": profiles, "bootstrap": bootstrap}
        journal.identify(fingerprint(problem, options, odec.__version__), resume, problem.runs.lengths)
        search, approach = searched(problem, strategy, journal, progress)
        if accurate and method != "adam" and not stopped():
            problem, search = _with_enough_steps(problem, search)
        found = replace(result(problem, search, method, accurate, starts, seed, journal.seconds), approach=approach)
        if profiles or bootstrap:
            found = with_intervals(found, profiles, bootstrap, journal)
        if stopped():
            found = _marked(found, search, bool(profiles or bootstrap))
        found = replace(found, seconds=journal.seconds)
        if folder is not None:
            from odec.fit.report import write_report

            found = replace(found, output=folder)
            write_report(found, folder, layer, text, time)
        if not found.interrupted:
            journal.remove()
        if stopped():
            raise Interrupted(found)
        return found


def _marked(found: Fit, search: Search, with_more: bool) -> Fit:
    """The fit with what must be said of one that was interrupted: in its search, or `with_more` to come behind it."""
    running, starts = int(np.sum(search.reason == INTERRUPTED)), len(search.reason)
    if running:
        message = f"the search was interrupted: {running} of {starts} starts had not ended"
    elif with_more:
        message = "the fit was interrupted before all intervals were found that were asked for"
    else:
        return found
    warning = Diagnostic("W0607", message, help="`--resume` goes on from there", severity="warning")
    return replace(found, interrupted=True, warnings=(warning, *found.warnings))


def _loaded(model: Any) -> tuple[Any, str | None]:
    """The layer class, and the model file's text where there is one."""
    if isinstance(model, type):
        return model, None
    from odec.loading import load_model
    from odec.source import Source

    layer = load_model(model)
    return layer, Source.from_file(model).text if Path(model).suffix != ".py" else None


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
