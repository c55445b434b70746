"""The folder that a fit leaves behind, each file whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from odec.diagnostics import OdecError
from odec.files import write_text, write_whole
from odec.fit.fitted import fitted_text
from odec.fit.html import report_html
from odec.fit.text import report_text
from odec.start_up import start_up_hushed

if TYPE_CHECKING:
    from odec.fit.profiles import Profile
    from odec.fit.result import Estimate, Fit


@dataclass(frozen=True)
class Estimates:
    """What `fit.json` says of a run: with these `odec solve` draws the fitted curve again."""

    params: dict[str, float]
    method: str
    step: float | None


def write_report(fit: Fit, folder: Path, layer: Any, text: str | None, time: str) -> None:
    """Writes all of it; a picture for each experiment, and a Keras model where there is one experiment. `text` is the
    model file's, None for a model that is only a class: then no `fitted.ode`.

    Raises OdecError (E0701) where a file cannot be written.
    """
    write_text(folder / "report.txt", report_text(fit) + "\n")
    write_text(
        folder / "fit.json", json.dumps(_finite(report_dict(fit)), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )
    write_text(folder / "report.html", report_html(fit, text, time))
    write_text(folder / "trajectory.csv", _trajectory(fit, time))
    if text is not None:
        write_text(folder / "fitted.ode", fitted_text(fit, text))
    for name in fit.experiments:
        _write_picture(fit, name, folder / _picture_name(fit, name), time)
    if len(fit.experiments) == 1:
        _write_model(fit, folder / "model.keras", layer)


def read_estimates(path: str | Path) -> Estimates:
    """The estimates in a `fit.json`, or in a folder that holds one. Raises OdecError (E0506) where it is none."""
    path = Path(path)
    path = path / "fit.json" if path.is_dir() else path
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        params = {str(name): float(value["estimate"]) for name, value in found["parameters"].items()}
        step = found["step"]
        return Estimates(params, str(found["solver"]), None if step is None else float(step))
    except OSError as error:
        raise OdecError.of(
            "E0506", f"`{path}` cannot be read: {error.strerror}", help="name a fit's `fit.json`"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OdecError.of(
            "E0506", f"`{path}` is not the `fit.json` of a fit", help="name the file that `odec fit` wrote"
        ) from None


def report_dict(fit: Fit) -> dict[str, Any]:
    """All facts of a fit, every value on the linear scale. A number that is not finite becomes null in the file."""
    data, doubt = fit.problem.data, fit.uncertainty
    return {
        "model": fit.problem.model.description.name,
        "model_file": fit.problem.model.description.source,
        "model_digest": fit.problem.model.description.digest,
        "data_file": data.name,
        "data_digest": data.digest,
        "loss": fit.loss,
        "loss_name": fit.loss_name,
        "negative_log_likelihood": fit.nll,
        "prior": fit.prior,
        "aic": fit.criteria.aic,
        "aicc": fit.criteria.aicc,
        "bic": fit.criteria.bic,
        "weights": fit.problem.weights,
        "experiments": list(fit.experiments),
        "fixed": dict(fit.fixed),
        "observations": fit.observations,
        "parameters": {name: _parameter(parameter) for name, parameter in fit.parameters.items()},
        "columns": {name: {"observations": fit.counts[name], "loss": fit.losses[name]} for name in fit.counts},
        "method": fit.method,
        "converged": fit.converged,
        "reason": fit.reason,
        "interrupted": fit.interrupted,
        "approach": fit.approach or None,
        "iterations": fit.iterations,
        "evaluations": fit.evaluations,
        "residual_variance": doubt.variance,
        "rank": doubt.rank,
        "free_parameters": doubt.free,
        "not_identifiable": list(doubt.undetermined),
        "degrees_of_freedom": doubt.degrees,
        "noise_degrees_of_freedom": fit.noise_degrees,
        "correlations": _correlations(fit),
        "profiles": {name: _profile(profile) for name, profile in fit.profiles.items()},
        "bootstrap": _bootstrap(fit),
        "solver": fit.solver,
        "step": fit.step,
        "rtol": fit.problem.timing.rtol,
        "step_chosen": fit.accurate,
        "loss_with_half_the_step": fit.step_check.finer_loss,
        "starts": fit.starts,
        "failed_starts": sum(fit.failed.values()),
        "failed_reasons": dict(fit.failed),
        "start_losses": list(fit.start_losses),
        "seed": fit.seed,
        "version": fit.version,
        "seconds": fit.seconds,
        "command": " ".join(sys.argv),
        "warnings": [warning.as_dict() for warning in fit.warnings],
    }


def _parameter(parameter: Estimate) -> dict[str, Any]:
    error = parameter.standard_error
    return {
        "start": parameter.start,
        "estimate": parameter.estimate,
        "standard_error": error,
        "interval": None if parameter.interval is None else list(parameter.interval),
        "at_bound": parameter.at_bound,
        "bound": parameter.bound or None,
        "lower": parameter.lower,
        "upper": parameter.upper,
        "log": parameter.log,
        "gradient": parameter.gradient,
        "description": parameter.description,
    }


def _profile(profile: Profile) -> dict[str, Any]:
    return {
        "interval": list(profile.interval),
        "open": {side: why or None for side, why in zip(("lower", "upper"), profile.open, strict=True)},
        "thresholds": list(profile.thresholds),
        "values": profile.values.tolist(),
        "rises": profile.rises.tolist(),
    }


def _bootstrap(fit: Fit) -> dict[str, Any] | None:
    drawn = fit.bootstrap
    if drawn is None:
        return None
    return {
        "asked": drawn.asked,
        "fitted": len(drawn.estimates),
        "unfinished": drawn.unfinished,
        "seed": drawn.seed,
        "intervals": dict(zip(fit.parameters, drawn.intervals.tolist(), strict=True)),
        "standard_errors": dict(zip(fit.parameters, drawn.standard_errors.tolist(), strict=True)),
    }


def _correlations(fit: Fit) -> dict[str, dict[str, float]]:
    names, table = tuple(fit.parameters), fit.uncertainty.correlations
    return {
        a: {b: float(table[i, j]) for j, b in enumerate(names) if math.isfinite(table[i, j])}
        for i, a in enumerate(names)
        if math.isfinite(table[i, i])
    }


def _trajectory(fit: Fit, time: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    named = fit.experiments != ("",)
    writer.writerow([*(["experiment"] if named else []), time, *fit.solution.names])
    for experiment, solution in fit.solutions.items():
        for t, row in zip(solution.times.tolist(), solution.values.tolist(), strict=True):
            writer.writerow([*([experiment] if named else []), repr(t), *map(repr, row)])
    return text.getvalue()


def _picture_name(fit: Fit, experiment: str) -> str:
    """`fit.png`; of several experiments `fit-1.png`, `fit-2.png`, …, since a label need not be a file's name."""
    return "fit.png" if len(fit.experiments) == 1 else f"fit-{fit.experiments.index(experiment) + 1}.png"


def _write_picture(fit: Fit, experiment: str, path: Path, time: str) -> None:
    from odec.plot import plot_fit

    solution, data, description = fit.solutions[experiment], fit.problem.data, fit.problem.model.description
    own = data.experiment == fit.experiments.index(experiment)
    labels = {item.name: item.description for item in (*description.states, *description.outputs)}
    plot_fit(
        solution.times,
        np.stack([solution[name] for name in data.names], axis=1),
        data.names,
        data.times[own],
        data.values[own],
        path,
        title=f"{description.name}{f' · {experiment}' if experiment else ''} · loss {fit.loss:.5g}",
        labels=labels,
        time_label=time,
    )


def _write_model(fit: Fit, path: Path, layer: Any) -> None:
    """A Keras model of one experiment, whose weights are the estimates: initial values in, the curve at the data's
    times out."""
    from odec.runtime.artefact import save_model
    from odec.runtime.stops import timed_by

    problem, settings = fit.problem, fit.problem.design.settings(fit.values, 0)
    arguments = {
        "times": problem.data.distinct_times.tolist(),
        "h": fit.step,
        "rtol": problem.timing.rtol,
        "start": problem.timing.start,
        "method": fit.solver,
        "outputs": list(problem.data.names),
        "params": dict(settings.params),
        "consts": dict(settings.consts),
        "frozen": list(timed_by(layer)),
    }
    if problem.runs.inputs is not None:
        arguments["input_times"] = problem.runs.inputs.knots.tolist()
    # Keras loads TensorFlow to save a file, where it is installed, on the other back ends too.
    with start_up_hushed():
        write_whole(path, lambda beside: save_model(layer, arguments, beside))


def _finite(value: Any) -> Any:
    """JSON knows neither infinity nor NaN: null stands for them."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
