"""`odec.verify`: one model on all Keras back ends that are installed, and by SciPy; the largest differences.

Every back end has a process of its own (Keras reads KERAS_BACKEND once).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from odec.backends import BACKENDS, VARIABLE, installed
from odec.compiler import check
from odec.diagnostics import Diagnostic, OdecError
from odec.model.model import Model
from odec.source import Source
from odec.verify.asked import KNOTS, SERIES, Asked, Series
from odec.verify.formulas import elements, shape
from odec.verify.independent import Independent, Unanswered, refusal

__all__ = ["Difference", "Verification", "verify"]

SCIPY, REVERSE = "SciPy", "backwards and forwards"

COMPARED = ("values", "sensitivities", "gradient")
ROWS = 11
RTOL = 1e-9
# Back ends round in other orders; where that makes them take other steps, they are two runs, and a run at rtol keeps
# about 100 of it. SciPy's is another solver, and its derivatives are differences.
SAME, RUN, NEAR = 1e-10, 100 * RTOL, {"values": 1e-6, "sensitivities": 1e-5}

Numbers = dict[str, np.ndarray]


@dataclass(frozen=True)
class Difference:
    """The largest difference of two kinds of numbers that should be the same, relative to the largest number of its
    column, and what it may be."""

    between: str
    what: str
    largest: float
    limit: float

    @property
    def passes(self) -> bool:
        """Whether it is within the limit. NaN is not."""
        return self.largest <= self.limit


@dataclass(frozen=True)
class Verification:
    """What was run, with which method, what was not and why, and the differences."""

    model: str
    ran: tuple[str, ...]
    method: str
    omitted: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def passes(self) -> bool:
        """Whether all numbers agree."""
        return all(difference.passes for difference in self.differences)


def verify(
    model: str | Path,
    *,
    to: float | None = None,
    params: Mapping[str, float] | None = None,
    init: Mapping[str, float] | None = None,
    inputs: Mapping[str, str | Path] | None = None,
) -> Verification:
    """Run a model file on each installed back end and by SciPy, from its start to `to`, and compare values, their
    derivatives by the params (sensitivities), and the gradient of a layer. `params` (consts and sizes too) and `init`
    replace values; `inputs` are the tables of the inputs. What a layer guesses at random (weights of nets, params with
    an initializer) is drawn once, for all of them.

    Raises OdecError as `odec.solve` does.
    """
    graph = check(Source.from_file(str(model)))[0]
    tables = {name: str(Path(table).resolve()) for name, table in (inputs or {}).items()}
    values = {**drawn(graph, params or {}), **(params or {})}
    asked = Asked(str(Path(model).resolve()), _rows(graph, to), values, dict(init or {}), RTOL, tables)
    found, method, not_derived = _on_back_ends(asked)
    method = "its own steps" if graph.is_map else method
    omitted = [f"{name}: not installed ({cure})" for name, cure in BACKENDS.values() if name not in found]
    differences: list[Difference] = []
    first = next(iter(found))
    for name in found:
        if name != first:
            same = np.array_equal(found[name]["steps"], found[first]["steps"])
            pairs = [(what, found[name].get(what), found[first].get(what)) for what in COMPARED]
            differences += [
                Difference(f"{name} and {first}", what, largest(mine, theirs), SAME if same else RUN)
                for what, mine, theirs in pairs
                if mine is not None and theirs is not None
            ]
    # The derivative of an event is that of the solution forwards, and that of the event as it was found backwards.
    limit = RUN if any(jump.kind == "when" for jump in graph.jumps) and not graph.is_map else SAME
    differences += [
        Difference(name, REVERSE, largest(numbers["gradient"], _summed(asked, numbers)), limit)
        for name, numbers in found.items()
        if {"gradient", "sensitivities"} <= set(numbers)
    ]
    omitted += [f"{what}: not compared, because {why}" for what, why in not_derived]
    ran = list(found)
    try:
        differences += _beside_scipy(graph, asked, first, found[first], omitted)
        ran.append(SCIPY)
    except Unanswered as why:
        omitted.append(f"{SCIPY}: not asked, because {why}")
    return Verification(Path(model).name, tuple(ran), method, tuple(omitted), tuple(differences))


def largest(mine: np.ndarray, theirs: np.ndarray, least: np.ndarray | float = 0.0) -> float:
    """The largest difference, relative to the largest number along the first axis, or to `least` where that is more; 0
    where both are 0."""
    scale = np.maximum(np.max(np.abs(theirs), axis=0), least)
    off = np.max(np.abs(mine - theirs), axis=0)
    # A column whose numbers are all far smaller than the others' is as good as 0.
    scale = np.maximum(scale, 1e-12 * np.max(scale, initial=0.0))
    return float(np.max(np.divide(off, scale, out=np.array(off), where=scale > 0), initial=0.0))


def _rows(model: Model, to: float | None) -> tuple[float, ...]:
    start, stop = model.solve.start, model.solve.stop if to is None else to
    if stop is None:
        raise OdecError.of("E0602", "the run has no end", "say `--to`, or `solve to` in the model")
    if model.is_map:
        return tuple(np.unique(np.round(np.linspace(start, stop, ROWS))).tolist())
    return tuple(np.linspace(start, stop, ROWS).tolist())


def drawn(model: Model, replaced: Mapping[str, float]) -> dict[str, float]:
    """A value for each number that is guessed at random, of the size that Glorot's initializer gives."""
    random = np.random.default_rng(0)
    found: dict[str, float] = {}
    sizes = {size.symbol: replaced.get(size.name, size.value) for size in model.sizes}
    for param in model.params:
        if isinstance(param.value, str):
            own = shape(param.written_shape, sizes)
            drawn = np.clip(random.normal(scale=(2 / sum(own)) ** 0.5, size=own), param.lower, param.upper)
            found |= dict(zip(elements(param.name, own), np.ravel(drawn).tolist(), strict=True))
    return found


def _on_back_ends(asked: Asked) -> tuple[dict[str, Numbers], str, list[list[str]]]:
    """The numbers of each installed back end, the method, and which derivatives there are none of and why."""
    found, method, not_derived = {}, "", "[]"
    with tempfile.TemporaryDirectory() as folder:
        running, request = {}, Path(folder) / "request.json"
        request.write_text(json.dumps(asdict(asked)), encoding="utf-8")
        for key, (name, _) in BACKENDS.items():
            if installed(key):
                out = Path(folder) / f"{key}.npz"
                command = [sys.executable, "-m", "odec.verify.backend", str(request), str(out)]
                environment = {**os.environ, VARIABLE: key, "TF_CPP_MIN_LOG_LEVEL": "3"}
                running[name] = out, subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        said = {name: process.communicate()[1] for name, (_, process) in running.items()}
        for name, (out, process) in running.items():
            if out.with_suffix(".json").exists():
                parts = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
                raise OdecError(Diagnostic(code, message, help=cure) for code, message, cure in parts)
            if process.returncode:
                raise OdecError.of("E0620", f"{name} ended with {process.returncode} and said:\n{said[name][-3000:]}")
            numbers = dict(np.load(out))
            method, not_derived = str(numbers.pop("method")), str(numbers.pop("not_derived"))
            found[name] = numbers
    if not found:
        raise OdecError.of("E0620", "no back end of Keras is installed", BACKENDS["tensorflow"][1])
    return found, method, json.loads(not_derived)


def _summed(asked: Asked, numbers: Numbers) -> np.ndarray:
    """What the gradient should be, from the sensitivities."""
    parts = numbers["sensitivities"]
    return np.einsum("tc,tcp->p", asked.weights(parts.shape[1])[1:], parts[1:])


def _beside_scipy(model: Model, asked: Asked, first: str, numbers: Numbers, omitted: list[str]) -> list[Difference]:
    """Raises Unanswered."""
    why = refusal(model)
    if why:
        raise Unanswered(why)
    series = Series(numbers[KNOTS], numbers[SERIES]) if KNOTS in numbers else None
    scipy = Independent(model, asked, series)
    states, times = scipy.values(), np.array(asked.times)
    between, count = f"{SCIPY} and {first}", states.shape[1]
    found = [Difference(between, "values", largest(numbers["values"][:, :count], states), NEAR["values"])]
    if "sensitivities" in numbers:
        many, which = len(scipy.params), scipy.which
        if len(which) < many:
            omitted.append(f"{SCIPY}: derivatives by {len(which)} of the {many} params")
        rows = scipy.rows_with_derivatives
        omitted += [f"{SCIPY}: no derivatives at t = {t:g}, where a jump moves with a param" for t in times[~rows]]
        # Where a state hardly depends on a param, its own size over the param's is what a run is held to.
        sizes = np.abs(scipy.params[which])
        least = np.max(np.abs(states), axis=0)[:, None] / np.where(sizes > 0, sizes, 1.0)
        mine, theirs = numbers["sensitivities"][..., which], scipy.sensitivities(which.tolist())
        off = largest(mine[rows], theirs[rows], least)
        found.append(Difference(between, "sensitivities", off, NEAR["sensitivities"]))
    return found
