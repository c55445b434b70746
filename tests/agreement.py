"""A generated module beside the reference: the same numbers, and derivatives of the same numbers, at random points."""

from __future__ import annotations

import math
import random
import sys
import types
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mpmath
import numpy as np
import reference

from odec.compiler import Compiled, compile_source
from odec.source import Source
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
    states: Mapping[str, float]
    params: Mapping[str, float]

    def nudged(self, chance: random.Random) -> Where:
        """A point that differs by rounding."""

        def moved(value: float) -> float:
            return value * (1 + chance.choice((-1, 1)) * NUDGE)

        return Where(
            moved(self.t),
            {name: moved(value) for name, value in self.states.items()},
            {name: moved(value) for name, value in self.params.items()},
        )


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

    found = []
    for _ in range(count):
        params = {name: near(value) for name, value in guesses.items()}
        start = model.at(params=params)
        given = {name: start.initial(name) for name in model.states}
        states = {name: near(1.0 if value is None else float(value)) for name, value in given.items()}
        found.append(Where(chance.uniform(0, 3), states, params))
    return found


class Generated:
    """A generated class, asked at many points at once with TensorFlow, or one by one with numbers."""

    def __init__(self, layer: Any, where: Iterable[Where], tensors: bool, dtype: str = "float64") -> None:
        self.layer, self.where, self.tensors, self.dtype = layer, tuple(where), tensors, dtype
        description = layer.description
        self.states = [s.name for s in description.states]
        self.params = [p.name for p in description.params]
        self.outputs = [o.name for o in description.outputs]
        consts = layer.constants({})
        self.consts = tuple(consts[c.name] for c in description.consts)

    def ask(self, function: str) -> list[Any]:
        """What a function returns, for each point: a list, or a dict, of floats."""
        at_start = function in ("initial", "initial_p")
        if not self.tensors:
            return [
                self._plain(self._call(function, self._arguments([w], np.float64), at_start), 0) for w in self.where
            ]
        import tensorflow as tf

        from odec.runtime.working import working_in

        with working_in(self.dtype):
            answer = self._call(function, self._arguments(self.where, lambda v: tf.constant(v, self.dtype)), at_start)
        return [self._plain(answer, row) for row in range(len(self.where))]

    def _arguments(self, where: Iterable[Where], number: Any) -> tuple[Any, ...]:
        where = tuple(where)

        def column(values: list[float]) -> Any:
            return number(values if self.tensors else values[0])

        t = column([w.t for w in where])
        states = tuple(column([w.states[name] for w in where]) for name in self.states)
        params = tuple(column([w.params[name] for w in where]) for name in self.params)
        return t, states, params

    def _call(self, function: str, arguments: tuple[Any, ...], at_start: bool) -> Any:
        t, states, params = arguments
        given = (params, self.consts) if at_start else (t, states, params, self.consts)
        try:
            with np.errstate(all="ignore"):
                return getattr(self.layer, function)(*given)
        except (ZeroDivisionError, OverflowError):
            # Python's own floats raise where a tensor holds inf.
            assert not self.tensors
            return None

    def _plain(self, answer: Any, row: int) -> Any:
        if isinstance(answer, dict):
            return {key: self._plain(value, row) for key, value in answer.items()}
        if isinstance(answer, tuple):
            return [self._plain(value, row) for value in answer]
        if answer is None:
            return None
        values = np.asarray(answer, dtype=np.float64)
        return float(values if values.ndim == 0 else values[row])


def compare(source: Source | str, count: int = 4, seed: int = 0, tensors: bool = True, slopes: bool = True) -> int:
    """Assert that the generated module means what the reference says; the number of compared numbers."""
    source = source if isinstance(source, Source) else Source.from_text(source, "tested.ode")
    model = reference.Reference(parse(source))
    result, layer = compiled(source)
    where = points(model, count, seed)
    return compare_at(model, layer, where, tensors, slopes, result.text)


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
    generated = Generated(layer, where, tensors)
    nudged = [Generated(layer, [w.nudged(chance) for w in where], tensors) for _ in range(3)]
    assert set(generated.states) == set(model.states), (generated.states, model.states)
    wanted = _values(model, generated)
    for function, of in wanted.items():
        if not slopes and function not in ("rhs", "initial", "outputs"):
            continue
        if not hasattr(layer, function):
            continue
        answers = generated.ask(function)
        others = [n.ask(function) for n in nudged]
        for row, w in enumerate(where):
            found = answers[row]
            if found is None or any(o[row] is None for o in others):
                continue
            entries = of(w)
            keys = range(len(found)) if isinstance(found, list) else entries
            for key in keys:
                got = found[key] if isinstance(found, list) else found.get(key, 0.0)
                near = [o[row][key] if isinstance(found, list) else o[row].get(key, 0.0) for o in others]
                tolerance = VALUE if isinstance(found, list) else SLOPE
                _same(got, entries[key](), near, tolerance, f"{function}[{key}] at {w}\n{text}")
    return len(where)


def _values(model: reference.Reference, generated: Generated) -> dict[str, Any]:
    """For each function of the module: for a point, what each entry should be (called only when it is compared)."""
    states, params, outputs = generated.states, generated.params, generated.outputs

    def exact(w: Where, read: Any, **moved: Any) -> Any:
        with mpmath.workdps(reference.DIGITS):
            both = {
                **{("x", n): v for n, v in w.states.items()},
                **{("p", n): v for n, v in w.params.items()},
                ("t", "t"): w.t,
            }
            both.update(moved.get("moved", {}))
            point = model.at(
                both["t", "t"],
                {n: v for (k, n), v in both.items() if k == "x"},
                {n: v for (k, n), v in both.items() if k == "p"},
                numbers := reference.Exact(),
            )
            value = read(point)
            # Where something on the way is no number, nothing is promised: algebra may take 0*log(-1) away.
            return mpmath.nan if numbers.undefined else value

    def by(w: Where, read: Any, what: tuple[str, str]) -> Any:
        at = w.t if what[0] == "t" else (w.states if what[0] == "x" else w.params)[what[1]]
        return lambda step=13: reference.central_difference(lambda v: exact(w, read, moved={what: v}), at, step)

    def pair(read: Any) -> Any:
        """The exact value, and what plain floats make of the same text."""
        return lambda w: (exact(w, read), read(model.at(w.t, w.states, w.params)))

    def slope(name: str) -> Any:
        return lambda point: point.slope(name)

    def value(name: str) -> Any:
        return lambda point: point.value(name)

    def start(name: str) -> Any:
        return lambda point: point.initial(name)

    def values(reads: list[Any]) -> Any:
        return lambda w: [lambda read=read: pair(read)(w) for read in reads]

    def table(rows: list[str], read: Any, columns: list[str], kind: str) -> Any:
        return lambda w: {
            (row, column): lambda row=row, column=column: by(w, read(row), (kind, column))
            for row in rows
            for column in columns
        }

    given = [name for name in states if model.starts.get(name) is not None]
    return {
        "rhs": values([slope(n) for n in states]),
        "outputs": values([value(n) for n in outputs]),
        "initial": values([start(n) for n in states]),
        "rhs_x": table(states, slope, states, "x"),
        "rhs_p": table(states, slope, params, "p"),
        "rhs_t": lambda w: {n: lambda n=n: by(w, slope(n), ("t", "t")) for n in states},
        "initial_p": table(given, start, params, "p"),
        "outputs_x": table(outputs, value, states, "x"),
        "outputs_p": table(outputs, value, params, "p"),
    }


def _same(got: Any, wanted: Any, near: list[Any], tolerance: float, where: str) -> None:
    """`wanted`: the exact value with that of plain floats, or what computes the exact slope with its uncertainty."""
    again = wanted if callable(wanted) else None
    wanted, other = wanted() if callable(wanted) else wanted
    if wanted is None:
        assert got is None, where
        return
    wanted = float(wanted)
    if not math.isfinite(wanted):
        return
    if tolerance == VALUE:
        # Where plain floats overflow on the way the module may, but need not, do better.
        if not math.isfinite(other) and not math.isfinite(got):
            return
        # Where plain floats cancel to nothing, so may the module.
        floor = 10 * abs(other - wanted) if math.isfinite(other) else 0.0
    else:
        floor = FLOOR + other
    spread = max((abs(n - got) for n in near if math.isfinite(n)), default=0.0)
    if again is not None and not abs(got - wanted) <= tolerance * abs(wanted) + SPREAD * spread + floor:
        smaller, _ = again(17)
        if not abs(smaller - wanted) <= 1e-3 * abs(wanted):
            # The step crosses a jump: `mod` of a huge number is one saw-tooth beside the other.
            return
    assert math.isfinite(got), f"{got}, not {wanted}: {where}"
    assert abs(got - wanted) <= tolerance * abs(wanted) + SPREAD * spread + floor, (
        f"{got}, not {wanted} (±{spread}): {where}"
    )
