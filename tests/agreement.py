"""A generated module beside the reference: the same numbers, and derivatives of the same numbers, at random points."""

from __future__ import annotations

import math
import random
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import getitem
from typing import Any

import mpmath
import numpy as np
import reference

from odec.compiler import Compiled, compile_source
from odec.source import Source
from odec.syntax import tree
from odec.syntax.parser import parse

# The module and the reference may order a sum differently; a few roundings of what was added, nothing more.
VALUE = 1e-12
# Central differences of 40-digit numbers are exact here; what is left is the rounding inside the module's derivative.
SLOPE = 1e-10
# A derivative that is a small difference of large numbers (f - u*f') is right to a few roundings of those.
FLOOR = 2e-13
# What rounding does to a value is seen by moving the point by a few roundings: the answer may move `SPREAD` times more.
NUDGE, SPREAD = 1e-15, 50


@dataclass(frozen=True)
class Where:
    """A point: time, states and params by name."""

    t: float
    states: Mapping[str, Any]
    params: Mapping[str, Any]
    others: Mapping[str, Any] = field(default_factory=dict)

    def nudged(self, chance: random.Random) -> Where:
        """A point that differs by rounding."""

        def moved(value: Any) -> Any:
            if np.ndim(value):
                signs = [chance.choice((-1, 1)) for _ in range(value.size)]
                return value * (1 + NUDGE * np.reshape(signs, value.shape))
            return value * (1 + chance.choice((-1, 1)) * NUDGE)

        groups = ({name: moved(v) for name, v in group.items()} for group in (self.states, self.params, self.others))
        return Where(moved(self.t), *groups)

    def directions(self, chance: random.Random) -> Where:
        """A change of each state and param, of its shape."""

        def drawn(value: Any) -> Any:
            if np.ndim(value):
                return np.reshape([chance.uniform(-1, 1) for _ in range(value.size)], value.shape)
            return chance.uniform(-1, 1)

        return Where(0.0, *({name: drawn(v) for name, v in group.items()} for group in (self.states, self.params)))


def compiled(source: Source | str, without: tuple[str, ...] = ()) -> tuple[Compiled, Any]:
    """The compiled model, and its generated class."""
    source = source if isinstance(source, Source) else Source.from_text(source, "tested.ode")
    with _recursion_as_users_have_it():
        result = compile_source(source, without=without)
    module = types.ModuleType("generated")
    # The decorator would keep every class of the tests for ever.
    text = result.text.replace("\n@register\n", "\n")
    with _recursion_as_users_have_it():
        exec(compile(text, "<generated>", "exec"), module.__dict__)
    return result, getattr(module, result.name)


@contextmanager
def _recursion_as_users_have_it() -> Iterator[None]:
    """The reference has raised the limit for itself."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def points(model: reference.Reference, count: int, seed: int = 0, spread: float = 0.3) -> list[Where]:
    """Random points around the model's own start, so that they are in the domain of its functions."""
    chance = random.Random(seed)
    guesses = model.guesses()

    def near(value: float) -> float:
        return value * (1 + spread * chance.uniform(-1, 1)) + (chance.uniform(-0.1, 0.1) if value == 0 else 0.0)

    def around(value: Any) -> Any:
        return reference.each(near, value).astype(float) if np.ndim(value) else near(float(value))

    found = []
    for _ in range(count):
        params = {name: around(value) for name, value in guesses.items()}
        start = model.at(params=params)
        states = {}
        for name in model.states:
            value = start.initial(name)
            states[name] = around(reference.spread(1.0, model.shapes[name]) if value is None else value)
        others = {name: around(reference.spread(1.0, model.shapes.get(name, ()))) for name in model.others}
        found.append(Where(chance.uniform(0, 3), states, params, others))
    return found


AT_START = ("initial", "initial_p", "initial_tangent", "jump_times", "jump_times_p")


class Generated:
    """A generated class, asked at many points at once with TensorFlow, or one by one with numbers.

    `directions` are those of its directional derivatives. With `shared` the params are those of the first point, given
    once for all rows.
    """

    def __init__(
        self,
        layer: Any,
        where: Iterable[Where],
        tensors: bool,
        dtype: str = "float64",
        directions: Where | None = None,
        shared: bool = False,
    ) -> None:
        self.layer, self.where, self.tensors, self.dtype = layer, tuple(where), tensors, dtype
        self.directions, self.shared = directions, shared
        description = layer.description
        self.states = [s.name for s in description.states]
        self.params = [p.name for p in description.params]
        self.inputs = [i.name for i in description.inputs]
        self.outputs = [o.name for o in description.outputs]
        consts = layer.constants({})
        self.consts = tuple(
            np.broadcast_to(consts[c.name], (*c.shape, 1)) if c.shape else consts[c.name] for c in description.consts
        )
        self.consts += tuple(size.value for size in description.sizes)

    def ask(self, function: str) -> list[Any]:
        """What a function returns, for each point: lists and dicts of floats and arrays."""
        if not self.tensors:
            return [self._plain(self._call(function, [w]), 0) for w in self.where]
        from odec.runtime.working import working_in

        with working_in(self.dtype):
            answer = self._call(function, self.where)
        return [self._plain(answer, row) for row in range(len(self.where))]

    def _call(self, function: str, where: Iterable[Where]) -> Any:
        where = list(where)

        def columns(groups: list[Mapping[str, Any]], names: Iterable[str]) -> tuple[Any, ...]:
            return tuple(self._number([group[name] for group in groups]) for name in names)

        params = columns([w.params for w in (where[:1] if self.shared else where)], self.params)
        given: list[Any] = [params, tuple(self._tensor(c) if np.ndim(c) else c for c in self.consts)]
        if function not in AT_START:
            states = columns([w.states for w in where], self.states)
            given = [self._number([w.t for w in where]), states, *given]
            if self.inputs:
                given.append(columns([w.others for w in where], self.inputs))
        if function == "noise":
            given.append(columns([w.others for w in where], self.layer.description.data))
        if function.endswith("_tangent"):
            assert self.directions is not None
            if function not in AT_START:
                given.append(columns([self.directions.states] * len(where), self.states))
            given.append(columns([self.directions.params] * (1 if self.shared else len(where)), self.params))
        try:
            with np.errstate(all="ignore"):
                return getattr(self.layer, function)(*given)
        except (ZeroDivisionError, OverflowError):
            # Python's own floats raise where a tensor holds inf; so does what is made of sizes alone.
            assert not self.tensors or self.layer.description.sizes
            return None

    def _number(self, values: list[Any]) -> Any:
        """The values of the points, the batch last; a number that all share has none."""
        if not self.tensors:
            return np.float64(values[0])
        if len(values) == 1 and self.shared and not np.ndim(values[0]):
            return self._tensor(values[0])
        return self._tensor(np.stack([np.asarray(v, dtype=np.float64) for v in values], axis=-1))

    def _tensor(self, value: Any) -> Any:
        import tensorflow as tf

        return tf.constant(value, self.dtype)

    def _plain(self, answer: Any, row: int) -> Any:
        if isinstance(answer, dict):
            return {key: self._plain(value, row) for key, value in answer.items()}
        if isinstance(answer, tuple):
            return [self._plain(value, row) for value in answer]
        if answer is None:
            return None
        values = np.asarray(answer, dtype=np.float64)
        if values.ndim == 0:
            return float(values)
        values = values[..., row if values.shape[-1] > 1 else 0]
        return values if values.ndim else float(values)


def compare(source: Source | str, count: int = 4, seed: int = 0, tensors: bool = True, slopes: bool = True) -> int:
    """Assert that the generated module means what the reference says; the number of compared numbers."""
    source = source if isinstance(source, Source) else Source.from_text(source, "tested.ode")
    model = reference.Reference(parse(source))
    result, layer = compiled(source)
    where = points(model, count, seed)
    return compare_at(model, layer, where, tensors, slopes, result.text)


@np.errstate(all="ignore")
def compare_at(
    model: reference.Reference,
    layer: Any,
    where: list[Where],
    tensors: bool = True,
    slopes: bool = True,
    text: str = "",
) -> int:
    """The same at given points."""
    chance = random.Random(1)
    if model.has_arrays:
        _compare_arrays(model, layer, where, chance, slopes, text)
        return len(where)
    directions = where[0].directions(chance)
    generated = Generated(layer, where, tensors, directions=directions)
    near = ([w.nudged(chance) for w in where] for _ in range(3))
    nudged = [Generated(layer, group, tensors, directions=directions) for group in near]
    _compare_functions(model, generated, nudged, slopes, text)
    return len(where)


def _compare_arrays(
    model: reference.Reference, layer: Any, where: list[Where], chance: random.Random, slopes: bool, text: str
) -> None:
    """All points as one batch, with a param for each row; and then with the params of the first for all rows."""
    near = [[w.nudged(chance) for w in where] for _ in range(3)]
    directions = where[0].directions(chance)
    rows = [w for group in (where, *near) for w in group]
    # Of one point, as of random models, one of both; which, is as random as they are.
    for shared in (False, True) if len(where) > 1 else (len(text) % 2 == 0,):
        if shared:
            rows = [replace(w, params=where[0].params) for w in rows]
        whole = Asked(Generated(layer, rows, True, directions=directions, shared=shared), len(where))
        _compare_functions(model, whole.part(0), [whole.part(n) for n in (1, 2, 3)], slopes, text)


class Asked:
    """A batch that is asked once, and read in parts of some rows."""

    def __init__(self, generated: Generated, length: int) -> None:
        self.generated, self.length = generated, length
        self.answers: dict[str, list[Any]] = {}

    def part(self, place: int) -> Any:
        """Like the `Generated` of these rows."""
        rows = slice(place * self.length, (place + 1) * self.length)
        part = copy(self.generated)
        part.where = self.generated.where[rows]
        part.ask = lambda function: self._all(function)[rows]  # type: ignore[method-assign]
        return part

    def _all(self, function: str) -> list[Any]:
        if function not in self.answers:
            self.answers[function] = self.generated.ask(function)
        return self.answers[function]


def _compare_functions(
    model: reference.Reference, generated: Generated, nudged: list[Generated], slopes: bool, text: str
) -> None:
    layer = generated.layer
    assert set(generated.states) == set(model.states), (generated.states, model.states)
    for function, of in _values(model, generated).items():
        if (not slopes and function not in VALUES) or not hasattr(layer, function):
            continue
        answers = generated.ask(function)
        others = [n.ask(function) for n in nudged]
        for row, w in enumerate(generated.where):
            if answers[row] is None or any(o[row] is None for o in others):
                continue
            for path, wanted in of(w).items():
                got, near = _at(answers[row], path), [_at(o[row], path) for o in others]
                tolerance = VALUE if function in VALUES else SLOPE
                _same(got, wanted, near, tolerance, f"{function}{list(path)} at {w}\n{text}")


def _at(answer: Any, path: tuple[Any, ...]) -> Any:
    """An entry of nested lists and dicts; what is not in a dict is 0."""
    for key in path:
        answer = answer.get(key, 0.0) if isinstance(answer, dict) else answer[key]
    return answer


VALUES = ("rhs", "outputs", "initial", "jumps", "jump_times", "conditions", "noise")


def _values(model: reference.Reference, generated: Generated) -> dict[str, Any]:
    """For each function of the module: for a point, what each entry should be (called only when it is compared)."""
    states, params, outputs = generated.states, generated.params, generated.outputs

    def exact(w: Where, read: Any) -> Any:
        with mpmath.workdps(reference.DIGITS):
            point = model.at(w.t, w.states, w.params, numbers := reference.Exact(), w.others)
            value = read(point)
            # Where something on the way is no number, nothing is promised: algebra may take 0*log(-1) away.
            if not numbers.undefined or value is None:
                return value
            return reference.each(lambda v: mpmath.nan, value)

    def moved(w: Where, kind: str, name: str, value: Any) -> Where:
        if kind == "t":
            return replace(w, t=value)
        return (
            replace(w, states={**w.states, name: value})
            if kind == "x"
            else replace(w, params={**w.params, name: value})
        )

    def by(w: Where, read: Any, kind: str, name: str = "") -> Any:
        """The slope by one number."""
        at = w.t if kind == "t" else (w.states if kind == "x" else w.params)[name]
        return lambda step=13: reference.central_difference(lambda v: exact(moved(w, kind, name, v), read), at, step)

    def along(w: Where, read: Any) -> Any:
        """The slope along the directions."""
        return lambda step=13: reference.central_difference(moving(w, read), 0.0, step)

    def moving(w: Where, read: Any) -> Any:
        """The exact value as a function of how far one has gone along the directions."""
        to = generated.directions
        assert to is not None

        def shifted(group: Mapping[str, Any], by: Mapping[str, Any], h: Any) -> dict[str, Any]:
            return {n: reference.each(lambda x, d: mpmath.mpf(x) + h * d, v, by[n]) for n, v in group.items()}

        return lambda h: exact(
            replace(w, states=shifted(w.states, to.states, h), params=shifted(w.params, to.params, h)), read
        )

    def along_by(w: Where, read: Any, kind: str, name: str = "") -> Any:
        """The slope along the directions of the slope by one number."""
        at = w.t if kind == "t" else w.states[name]

        def function(v: Any, h: Any) -> Any:
            return moving(moved(w, kind, name, v), read)(h)

        return lambda step=13: reference.mixed_difference(function, at, step - 3)

    def pair(w: Where, read: Any) -> Any:
        """The exact value, and what plain floats make of the same text."""
        return exact(w, read), read(model.at(w.t, w.states, w.params, others=w.others))

    def slope(name: str) -> Any:
        return lambda point: point.slope(name)

    def value(name: str) -> Any:
        return lambda point: point.value(name)

    def start(name: str) -> Any:
        return lambda point: point.initial(name)

    def new(jump: int, name: str) -> Any:
        return lambda point: point.jumps()[jump].get(name) if name in changed[jump] else point.value(name)

    def entry(read: str, *path: int) -> Any:
        return lambda point: reduce(getitem, path, getattr(point, read)())

    def values(reads: Mapping[tuple[Any, ...], Any]) -> Any:
        return lambda w: {path: lambda read=read: pair(w, read) for path, read in reads.items()}

    def table(reads: Mapping[tuple[Any, ...], Any], columns: list[str], kind: str) -> Any:
        """`reads` by paths to a row; a key of the table is a pair where the row has a name."""

        def entries(w: Where) -> dict[tuple[Any, ...], Any]:
            return {
                (*path[:-1], (path[-1], column)) if isinstance(path[-1], str) else (*path, column): by(
                    w, read, kind, column
                )
                for path, read in reads.items()
                for column in columns
            }

        return entries

    def by_time(reads: Mapping[tuple[Any, ...], Any]) -> Any:
        return lambda w: {path: by(w, read, "t") for path, read in reads.items()}

    def tangents(reads: Mapping[tuple[Any, ...], Any]) -> Any:
        return lambda w: {path: along(w, read) for path, read in reads.items()}

    def numbered(reads: Iterable[Any]) -> dict[tuple[Any, ...], Any]:
        return {(place,): read for place, read in enumerate(reads)}

    def named(names: Iterable[str], read: Any) -> dict[tuple[Any, ...], Any]:
        return {(name,): read(name) for name in names}

    given = [name for name in states if model.starts.get(name) is not None]
    changed = [[str(change.target) for change in jump.changes] for jump in model.jumps]
    rows = model.at(params=model.guesses()).times()
    times = {(i, k): entry("times", i, k) for i, row in enumerate(rows) for k in range(len(row))}
    whens = range(sum(isinstance(jump, tree.When) for jump in model.jumps))
    everything = {(i, k): new(i, name) for i in range(len(changed)) for k, name in enumerate(states)}
    changes = {(i, name): new(i, name) for i, names in enumerate(changed) for name in names}
    roots = {(i,): entry("conditions", i, 1) for i in whens}
    said = {(i, k): read for (i, k), read in times.items() if rows[i][k] is not None}
    return {
        "rhs": values(numbered(map(slope, states))),
        "outputs": values(numbered(map(value, outputs))),
        "initial": values(numbered(map(start, states))),
        "jumps": values(everything),
        "jump_times": values(times),
        "conditions": values({(i, k): entry("conditions", i, k) for i in whens for k in (0, 1)}),
        "noise": values(
            {(i, k): entry("noises", i, k) for i, n in enumerate(model.noises) for k in range(len(n.arguments) - 1)}
        ),
        "rhs_x": table(named(states, slope), states, "x"),
        "rhs_p": table(named(states, slope), params, "p"),
        "rhs_t": by_time(named(states, slope)),
        "initial_p": table(named(given, start), params, "p"),
        "outputs_x": table(named(outputs, value), states, "x"),
        "outputs_p": table(named(outputs, value), params, "p"),
        "jumps_x": table(changes, states, "x"),
        "jumps_p": table(changes, params, "p"),
        "jumps_t": by_time(changes),
        "jump_times_p": table(said, params, "p"),
        "roots_x": table(roots, states, "x"),
        "roots_p": table(roots, params, "p"),
        "roots_t": by_time(roots),
        "rhs_tangent": tangents(numbered(map(slope, states))),
        "rhs_x_tangent": lambda w: {
            ((row, column),): along_by(w, slope(row), "x", column) for row in states for column in states
        },
        "rhs_t_tangent": lambda w: {(row,): along_by(w, slope(row), "t") for row in states},
        "initial_tangent": tangents({(states.index(name),): start(name) for name in given}),
        "outputs_tangent": tangents(numbered(map(value, outputs))),
    }


def _same(got: Any, wanted: Any, near: list[Any], tolerance: float, where: str) -> None:
    """`wanted` computes the exact value with that of plain floats, or the exact slope with its uncertainty."""
    truth, other = wanted()
    if truth is None:
        assert got is None, where
        return
    shape = np.shape(truth)
    if not shape:
        _same_number(
            float(got), float(truth), float(other), [float(n) for n in near], lambda: wanted(17)[0], tolerance, where
        )
        return
    got, other, *near = (np.broadcast_to(np.asarray(v, dtype=float), shape) for v in (got, other, *near))
    for place in np.ndindex(shape):
        _same_number(
            float(got[place]),
            float(truth[place]),
            float(other[place]),
            [float(n[place]) for n in near],
            lambda place=place: wanted(17)[0][place],
            tolerance,
            f"element {place} of {where}",
        )


def _same_number(
    got: float, wanted: float, other: float, near: list[float], again: Any, tolerance: float, where: str
) -> None:
    if not math.isfinite(wanted):
        return
    if tolerance == VALUE:
        # Where plain floats overflow on the way the module may, but need not, do better.
        if not math.isfinite(other) and not math.isfinite(got):
            return
        # Where plain floats cancel to nothing, so may the module.
        floor = FLOOR + (10 * abs(other - wanted) if math.isfinite(other) else 0.0)
    else:
        floor = FLOOR + other
    moved = max((abs(n - got) for n in near if math.isfinite(n)), default=0.0)
    close = abs(got - wanted) <= tolerance * abs(wanted) + SPREAD * moved + floor
    # Or the step crosses a jump: `mod` of a huge number is one saw-tooth beside the other.
    crossed = tolerance != VALUE and not close and not abs(again() - wanted) <= 1e-3 * abs(wanted)
    if not crossed:
        assert math.isfinite(got), f"{got}, not {wanted}: {where}"
        assert close, f"{got}, not {wanted} (±{moved}): {where}"
