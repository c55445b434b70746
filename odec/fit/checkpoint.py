"""What a long fit has done so far, in one file of its output folder, from which it goes on bit for bit.

A fit is a sequence of stages (a search, or several on the way to one), each kept as plain arrays under its name. A fit
that is resumed asks for the stages in the same order: those that ended are there, the one that was under way goes on.
The file says which fit it belongs to, and another one is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time as clock
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from odec.diagnostics import OdecError
from odec.files import write_whole
from odec.fit.least_squares import Box, Evaluate, Search, Settings, begin, minimise

if TYPE_CHECKING:
    from odec.fit.problem import Problem

FILE = "checkpoint.npz"
# Seconds between two writings; a file that takes long to write is written more rarely, in a twentieth of the time.
EVERY = 3.0
SHARE = 0.05
# Under these names lie, beside the stages, what was asked and how many rows were run together (both JSON),
# and the seconds spent.
ASKED, LENGTHS, SECONDS = "asked", "lengths", "seconds"


# What was asked of a run → the numbers of rows that it was run with.
Lengths = dict[Any, set[int]]


class Stopped(KeyboardInterrupt):
    """The user has asked for an end: the stage under way is kept as it stands."""


class Journal:
    """The stages of a fit, in memory and, where `path` says a file, every few seconds in it.

    `stopped` tells whether the user wants an end.
    """

    def __init__(
        self, path: Path | None = None, stopped: Callable[[], bool] = lambda: False, every: float = EVERY
    ) -> None:
        self.path = path
        self.stopped = stopped
        self.every = every
        self._asked: dict[str, str] = {}
        self._lengths: Lengths = {}
        self._stages: dict[str, dict[str, np.ndarray]] = {}
        self._spent = 0.0
        self._began = clock.perf_counter()
        self._due = 0.0

    @property
    def seconds(self) -> float:
        """The time of this fit, what it took before it was resumed included."""
        return self._spent + clock.perf_counter() - self._began

    def identify(self, asked: Mapping[str, str], resume: bool = False, lengths: Lengths | None = None) -> None:
        """Says what makes this fit the one it is, part by part (see `fingerprint`), and what its runs remember of the
        `lengths` of their batches (`Runs.lengths`): the last bits of a row depend on how many are run with it.

        To `resume` it reads the file, where there is one, and sets the lengths; E0611 where that belongs to another
        fit, or is no checkpoint."""
        self._asked = dict(asked)
        self._lengths = {} if lengths is None else lengths
        if resume and self.path is not None and self.path.exists():
            self._read(self.path)

    def _read(self, path: Path) -> None:
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                asked, seconds = json.loads(str(kept[ASKED])), float(kept[SECONDS])
                lengths = json.loads(str(kept[LENGTHS]))
                arrays = {name: kept[name] for name in kept.files if name not in (ASKED, LENGTHS, SECONDS)}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            message = f"`{path}` cannot be read as a checkpoint"
            raise OdecError.of("E0611", message, help="begin anew: without `--resume`") from None
        changed = [part for part in self._asked if asked.get(part) != self._asked[part]]
        if changed:
            raise OdecError.of(
                "E0611",
                f"the checkpoint `{path}` belongs to another fit; not the same: {', '.join(changed)}",
                help="give what was given then, or begin anew: without `--resume`",
            )
        self._spent = seconds
        self._lengths.clear()
        self._lengths.update({_nested(key): set(found) for key, found in lengths})
        for name, array in arrays.items():
            stage, _, part = name.rpartition("/")
            self._stages.setdefault(stage, {})[part] = array

    def stage(self, name: str) -> dict[str, np.ndarray] | None:
        """The arrays that were kept of a stage; None where it has not begun."""
        return self._stages.get(name)

    def keep(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """How a stage stands. Raises `Stopped` where the user wants an end."""
        self._stages[name] = {part: np.array(array, order="C") for part, array in arrays.items()}
        if self.stopped():
            self.write()
            raise Stopped
        if clock.perf_counter() >= self._due:
            self.write()

    def write(self) -> None:
        """The file as of now, whole or not at all."""
        if self.path is None:
            return
        began = clock.perf_counter()
        parts = {f"{stage}/{part}": array for stage, kept in self._stages.items() for part, array in kept.items()}
        lengths = [(key, sorted(found)) for key, found in self._lengths.items()]
        about = {
            ASKED: np.array(json.dumps(self._asked)),
            LENGTHS: np.array(json.dumps(lengths)),
            SECONDS: np.array(self.seconds),
        }
        write_whole(self.path, lambda beside: np.savez(beside, **about, **parts))  # type: ignore[arg-type]
        now = clock.perf_counter()
        self._due = now + max(self.every, (now - began) / SHARE)

    def remove(self) -> None:
        """Takes the file away: the fit is done. What killed writings have left beside it goes too."""
        if self.path is None:
            return
        for file in (self.path, *self.path.parent.glob(f".{self.path.stem}-*{self.path.suffix}")):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)


def followed(
    journal: Journal,
    stage: str,
    evaluate: Evaluate,
    start: np.ndarray,
    box: Box,
    settings: Settings,
    watch: Callable[[Search], None] | None = None,
) -> Search:
    """`minimise` as a stage of the journal: begun there, or going on from where it stood. One that the user stops comes
    back with starts that are still running; one that would begin after that is not kept."""
    kept = journal.stage(stage)
    begun = None if kept is None else search_of(kept)
    if journal.stopped():
        return begun or begin(evaluate, start, box, settings)
    seen = begun

    def progress(search: Search) -> None:
        nonlocal seen
        seen = search
        if watch is not None:
            watch(search)
        journal.keep(stage, arrays_of(search))

    try:
        return minimise(evaluate, start, box, settings, progress, begun)
    except Stopped:
        assert seen is not None
        return seen


def arrays_of(search: Search) -> dict[str, np.ndarray]:
    """A search as arrays that `np.savez` takes."""
    found = {field.name: np.asarray(getattr(search, field.name)) for field in fields(search)}
    return found | {"reason": found["reason"].astype(str), "history": np.array(search.history, dtype=float)}


def search_of(arrays: Mapping[str, np.ndarray]) -> Search:
    """The search again."""
    parts: dict[str, Any] = dict(arrays)
    return Search(**parts | {"reason": parts["reason"].astype(object), "history": parts["history"].tolist()})


def fingerprint(problem: Problem, options: Mapping[str, Any], version: str) -> dict[str, str]:
    """What makes a fit this one and no other, part by part: in the words of a message → a digest."""
    data, design, scale, inputs = problem.data, problem.design, problem.scale, problem.runs.inputs
    settings = [design.params.index, design.params.numbers, design.names, sorted(design.fixed.items())]
    settings += [(name, values) for name, values in design.consts.items()]
    settings += [(g.experiments, g.initial.names, g.initial.index, g.initial.numbers) for g in design.groups]
    measured = [data.names, data.experiments, data.extras, data.times, data.values, data.experiment, data.beside]
    found = {
        "the model": problem.model.description.digest,
        "the data": _digest(measured),
        "what is given or fixed": _digest(settings),
        "the inputs": _digest(None if inputs is None else [inputs.knots, inputs.values]),
        "the first guesses or bounds": _digest([scale.names, scale.start, scale.lower, scale.upper, scale.log]),
        "the solver or its steps": _digest([problem.solver, repr(problem.timing)]),
        "the weights": problem.weights,
        "the version of odec": version,
    }
    return found | {f"`{name}`": repr(value) for name, value in options.items()}


def _nested(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(map(_nested, value)) if isinstance(value, list) else value


def _digest(value: Any) -> str:
    found = hashlib.sha256()
    _feed(found, value)
    return found.hexdigest()


def _feed(found: Any, value: Any) -> None:
    if isinstance(value, list | tuple):
        found.update(f"[{len(value)}".encode())
        for part in value:
            _feed(found, part)
    elif isinstance(value, np.ndarray):
        found.update(f"{value.dtype}{value.shape}".encode())
        found.update(np.ascontiguousarray(value).tobytes())
    else:
        found.update(repr(value).encode())
