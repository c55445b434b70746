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
from odec.verify.asked import Asked
from odec.verify.independent import Independent, refusal

__all__ = ["Difference", "Verification", "verify"]

SCIPY, REVERSE = "SciPy", "backwards and forwards"

ROWS = 11
RTOL = 1e-9
# Back ends round in other orders. SciPy's is another solver: a run at rtol keeps about 100 of it, and a difference of
# runs over 1e-4 of a number is exact to 1e-8 or so.
SAME, NEAR = 1e-10, {"values": 1e-6, "sensitivities": 1e-5}

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
) -> Verification:
    """Run a model file on each installed back end and by SciPy, from its start to `to`, and compare values, their
    derivatives by the params (sensitivities), and the gradient of a layer. `params` (and consts) and `init` replace
    values.

    Raises OdecError as `odec.solve` does.
    """
    graph = check(Source.from_file(str(model)))[0]
    asked = Asked(str(Path(model).resolve()), _rows(graph, to), dict(params or {}), dict(init or {}), RTOL)
    found, method = _on_back_ends(asked)
    omitted = [f"{name}: not installed ({cure})" for name, cure in BACKENDS.values() if name not in found]
    differences: list[Difference] = []
    first = next(iter(found))
    for name in found:
        if name != first:
            pairs = [(what, found[name].get(what), numbers) for what, numbers in found[first].items()]
            differences += [
                Difference(f"{name} and {first}", what, largest(mine, theirs), SAME)
                for what, mine, theirs in pairs
                if mine is not None
            ]
    differences += [
        Difference(name, REVERSE, largest(numbers["gradient"], _summed(asked, numbers)), SAME)
        for name, numbers in found.items()
        if "gradient" in numbers
    ]
    why = refusal(graph)
    if why:
        omitted.append(f"{SCIPY}: not asked, because {why}")
    else:
        differences += _beside_scipy(Independent(graph, asked), first, found[first], method)
    ran = (*found, *([] if why else [SCIPY]))
    return Verification(Path(model).name, ran, method, tuple(omitted), tuple(differences))


def largest(mine: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, relative to the largest number along the first axis; 0 where both are 0."""
    scale = np.max(np.abs(theirs), axis=0)
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


def _on_back_ends(asked: Asked) -> tuple[dict[str, Numbers], str]:
    """The numbers of each installed back end, and the method."""
    found, method = {}, ""
    with tempfile.TemporaryDirectory() as folder:
        running = {}
        for key, (name, _) in BACKENDS.items():
            if installed(key):
                out = Path(folder) / f"{key}.npz"
                command = [sys.executable, "-m", "odec.verify.backend", json.dumps(asdict(asked)), str(out)]
                environment = {**os.environ, VARIABLE: key, "TF_CPP_MIN_LOG_LEVEL": "3"}
                running[name] = out, subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        for name, (out, process) in running.items():
            said = process.communicate()[1]
            if out.with_suffix(".json").exists():
                parts = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
                raise OdecError(Diagnostic(code, message, help=cure) for code, message, cure in parts)
            if process.returncode:
                raise OdecError.of("E0620", f"{name} ended with {process.returncode} and said:\n{said[-3000:]}")
            numbers = dict(np.load(out))
            method = str(numbers.pop("method"))
            found[name] = numbers
    if not found:
        raise OdecError.of("E0620", "no back end of Keras is installed", BACKENDS["tensorflow"][1])
    return found, method


def _summed(asked: Asked, numbers: Numbers) -> np.ndarray:
    """What the gradient should be, from the sensitivities."""
    parts = numbers["sensitivities"]
    return np.einsum("tc,tcp->p", asked.weights(parts.shape[1])[1:], parts[1:])


def _beside_scipy(scipy: Independent, first: str, numbers: Numbers, method: str) -> list[Difference]:
    states = scipy.values(method)
    between, count = f"{SCIPY} and {first}", states.shape[1]
    found = [Difference(between, "values", largest(numbers["values"][:, :count], states), NEAR["values"])]
    if "sensitivities" in numbers:
        off = largest(numbers["sensitivities"], scipy.sensitivities(method))
        found.append(Difference(between, "sensitivities", off, NEAR["sensitivities"]))
    return found
