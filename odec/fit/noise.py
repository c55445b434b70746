"""What the noise of each measurement is: the arguments of its distribution, with their derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from keras import ops

from odec.distributions import DISTRIBUTIONS
from odec.runtime import loops
from odec.runtime.equations import Equations
from odec.runtime.signals import driven
from odec.runtime.simulate import Program

Tensor = Any


@dataclass(frozen=True, eq=False)
class NoiseAt:
    """One noise of a model (`number` in `description.noises`, of a `kind`) at the n measurements that it is of.

    `cells` (n,) are their places among all; `times` (n,), `data` (K, n) what the model's `data` names say there,
    `inputs` (I, n) those of a model that has some.
    """

    number: int
    kind: str
    cells: np.ndarray
    times: np.ndarray
    data: np.ndarray
    inputs: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Arguments:
    """The distribution's arguments (A, S, n) with their derivatives by states (A, D, S, n) and params (A, P, S, n)."""

    values: np.ndarray
    by_state: np.ndarray
    by_param: np.ndarray


@dataclass(frozen=True, eq=False)
class NoiseProgram:
    """The model's `noise` at all measurements, as one compiled function.

    The derivatives are the back end's own: a reverse pass for each argument, exact, and independent for each
    measurement.
    """

    program: Program
    noises: tuple[NoiseAt, ...]

    def __call__(self, rows: np.ndarray, states: np.ndarray, once: bool = False) -> tuple[Arguments, ...]:
        """For each noise its arguments, from params and replaced consts `rows` (S, M, R) and states (S, M, D) at the
        measurements. `once` does not compile."""
        flat: list[np.ndarray] = []
        count = len(rows)
        for noise in self._with_arguments:
            own = [np.moveaxis(part[:, noise.cells], 2, 0).reshape(part.shape[2], -1) for part in (rows, states)]
            flat += [np.tile(noise.times, count), *own, np.tile(noise.data, (1, count))]
            if noise.inputs is not None:
                flat.append(np.tile(noise.inputs, (1, count)))
        run = self._uncompiled if once else self._compiled
        found = iter(run(*map(np.ascontiguousarray, flat)) if flat else ())
        params = len(self.program.model.description.param_elements)
        result = []
        for noise in self.noises:
            shape = (count, len(noise.cells))
            if width(noise.kind):
                values, by_state, by_row = (np.asarray(next(found)) for _ in range(3))
            else:
                values, by_state, by_row = np.zeros((0, 1)), np.zeros((0, 1, 1)), np.zeros((0, 1, 1))
                shape = (1, 1)
            parts = [part.reshape(*part.shape[:-1], *shape) for part in (values, by_state, by_row)]
            result.append(Arguments(parts[0], parts[1], parts[2][:, :params]))
        return tuple(result)

    @cached_property
    def _with_arguments(self) -> tuple[NoiseAt, ...]:
        return tuple(noise for noise in self.noises if width(noise.kind))

    @cached_property
    def _compiled(self) -> Any:
        description = self.program.model.description
        heights = [self.program.height, len(description.state_elements), len(description.data)]
        shapes: list[list[int | None]] = []
        for noise in self._with_arguments:
            own = heights if noise.inputs is None else [*heights, len(noise.inputs)]
            shapes += [[None], *([height, None] for height in own)]
        return loops.compiled(self._all, shapes, ("float64",) * len(shapes), of_many_sizes=True)

    def _uncompiled(self, *flat: np.ndarray) -> tuple[Tensor, ...]:
        return self._all(*(ops.convert_to_tensor(part, dtype="float64") for part in flat))

    def _all(self, *flat: Tensor) -> tuple[Tensor, ...]:
        """Values, derivatives by states and derivatives by rows of each noise, one behind the other."""
        given, found = iter(flat), []
        for noise in self._with_arguments:
            time, rows, states, data = (next(given) for _ in range(4))
            inputs = None if noise.inputs is None else next(given)
            parts = [
                self._argument(noise.number, place, time, rows, states, data, inputs)
                for place in range(width(noise.kind))
            ]
            found += [ops.stack(column, axis=0) for column in zip(*parts, strict=True)]
        return tuple(found)

    def _argument(self, number: int, place: int, time: Tensor, rows: Tensor, states: Tensor, *rest: Any) -> Any:
        def value(states: Tensor, rows: Tensor) -> Tensor:
            return self._values(number, time, rows, states, *rest)[place]

        _, (by_state, by_row) = loops.value_and_gradient(lambda x, r: ops.sum(value(x, r)), states, rows)
        return value(states, rows), by_state, by_row

    def _values(
        self, number: int, time: Tensor, rows: Tensor, states: Tensor, data: Tensor, inputs: Tensor | None
    ) -> list[Tensor]:
        """The arguments (n,) of one noise."""
        program = self.program
        equations = driven(program.equations, inputs)
        assert isinstance(equations, Equations)
        params, consts = equations.arguments((ops.zeros((0,), dtype="float64"), rows))
        measured = tuple(data[i] for i in range(data.shape[0]))
        noise = getattr(equations.model, "noise")  # noqa: B009 (only a model with noise has it)
        found = noise(time, equations.layout.unpacked(states), params, consts, measured)[number]
        return [ops.broadcast_to(ops.cast(argument, "float64"), ops.shape(time)) for argument in found]


def dependence(
    program: NoiseProgram, rows: np.ndarray, draws: int = 6
) -> tuple[list[tuple[bool, ...]], list[np.ndarray], bool]:
    """For each noise which of its arguments vary with what is searched, and their values (A, n) at the first of `rows`
    (S, M, R); and whether any depends on a state.

    Found by trying: the params of `rows`, and states of both signs and all sizes.
    """
    generator = np.random.default_rng(0)
    shape = (*rows.shape[:2], len(program.program.model.description.state_elements))
    states = [np.ones(shape)]
    states += [generator.choice([-1.0, 1.0], shape) * 10.0 ** generator.uniform(-3, 6, shape) for _ in range(draws)]
    first, *others = (program(rows, drawn, once=True) for drawn in states)
    varying, known, any_state = [], [], False
    for number, arguments in enumerate(first):
        by_state = [
            any(not _same(other[number].values[place], value) for other in others)
            for place, value in enumerate(arguments.values)
        ]
        by_param = [
            bool(np.any(arguments.by_param[place])) or not _same(value, np.broadcast_to(value[:1], value.shape))
            for place, value in enumerate(arguments.values)
        ]
        any_state |= any(by_state)
        varying.append(tuple(x or y for x, y in zip(by_state, by_param, strict=True)))
        known.append(arguments.values[:, 0])
    return varying, known, any_state


def _same(one: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.array_equal(one, other, equal_nan=True))


def width(kind: str) -> int:
    """How many arguments a distribution has behind its location."""
    return len(DISTRIBUTIONS[kind].parameters) - 1
