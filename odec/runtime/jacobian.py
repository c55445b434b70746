"""The linear systems of a Rosenbrock step: the model's Jacobian, W = I/(hγ) − J factorised, and J's own derivative.

Models with sparse derivatives give J by its entries, the others by directional derivatives: along many states at
once where each depends on few others, as in a partial differential equation on a line or a plane of cells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from keras import ops

from odec.runtime import loops
from odec.runtime.bands import LEAST, Place, banded, bands_of, coloured
from odec.runtime.equations import Equations, Variations, repeated
from odec.runtime.factor import factorised
from odec.runtime.functions import all_branches
from odec.runtime.jumps import base, values
from odec.runtime.layout import Layout
from odec.runtime.nets import no_derivatives
from odec.runtime.signals import driven, undriven
from odec.runtime.working import working_in

Tensor = Any


def solver(
    equations: Equations | Variations, t: Tensor, x: Tensor, theta: Sequence[Tensor], shift: Tensor
) -> Callable[[Tensor], Tensor]:
    """`solve(r)` gives u with (shift·I − J) u = r at the packed state x, for r of the shape of x.

    For sensitivities r's further columns are ṙ, and u's are u̇ = W⁻¹ (ṙ + J̇ u): the derivative of u.
    """
    plain = base(equations)
    solve = _solver_of_states(plain, t, values(x), theta, shift)
    if not isinstance(equations, Variations):
        return solve
    moved = (_moved_entries if hasattr(plain.model, "rhs_x_tangent") else _moved_direction)(equations, t, x, theta)

    def both(r: Tensor) -> Tensor:
        u = solve(r[:, 0])
        return ops.concatenate([u[:, None], solve(r[:, 1:] + moved(u))], axis=1)

    return both


def _solver_of_states(
    plain: Equations, t: Tensor, x: Tensor, theta: Sequence[Tensor], shift: Tensor
) -> Callable[[Tensor], Tensor]:
    """The solves with W = shift·I − ∂f/∂x at x (D, batch)."""
    size = x.shape[0]
    if hasattr(plain.model, "rhs_x"):
        p, c = plain.arguments(theta)
        with working_in(x.dtype):
            entries = plain.model.rhs_x(t, plain.layout.unpacked(x), p, c)
        number = plain.layout.places
        return factorised(shift, {(number[i], number[j]): value for (i, j), value in entries.items()}, size)
    if not hasattr(plain.model, "rhs_tangent"):
        raise no_derivatives(plain.model, "a stiff method")
    pattern = pattern_of(undriven(plain)) if size >= LEAST else frozenset()
    bands = bands_of(pattern, size)
    if bands is None:
        return factorised(shift, _along(plain, t, x, theta, np.eye(size)), size)
    places, colours = sorted(pattern), coloured(pattern, size)
    many = max(colours) + 1
    found = _along(plain, t, x, theta, np.eye(many)[colours])
    entries = ops.take(ops.reshape(found, (size * many, -1)), [i * many + colours[j] for i, j in places], axis=0)
    return banded(shift, entries, bands, places)


def _along(plain: Equations, t: Tensor, x: Tensor, theta: Sequence[Tensor], directions: np.ndarray) -> Tensor:
    """The directional derivatives (D, C, batch) along directions (D, C): C·batch rows in one go."""
    count, batch = directions.shape[1], ops.shape(x)[1]
    wide = ops.reshape(ops.repeat(x[:, None], count, axis=1), (x.shape[0], -1))
    times = ops.tile(t, (count,)) if len(t.shape) else t
    p, c = plain.arguments(repeated(theta, count))
    moved = ops.repeat(ops.convert_to_tensor(directions, dtype=x.dtype), batch, axis=1)
    return ops.reshape(_tangent(plain, times, wide, p, c, moved), (x.shape[0], count, -1))


def _tangent(plain: Equations, t: Tensor, x: Tensor, p: Any, c: Any, moved: Tensor) -> Tensor:
    """The change of f (D, batch) at states x as they are `moved` (D, batch)."""
    still = tuple(np.zeros((*param.shape, 1)) if param.shape else 0.0 for param in plain.model.description.params)
    with working_in(x.dtype):
        found = plain.model.rhs_tangent(  # type: ignore[attr-defined]
            t, plain.layout.unpacked(x), p, c, plain.layout.unpacked(moved), still
        )
    return plain.layout.packed(found, x[0])


# States that are moved together when it is found out which depend on which.
TOGETHER = 256


@lru_cache(maxsize=64)
def pattern_of(equations: Equations) -> frozenset[Place]:
    """The places (i, j) of J that may ever be other than 0, for a model without `rhs_x`.

    A state moves by NaN, and what changes by NaN depends on it: 0 times NaN is NaN, and all branches count. At which
    numbers does not matter, unless the equations make NaN of them: then the places are too many, never too few.
    """
    size, slots, inputs = len(equations.states), equations.slots, Layout.of(equations.model.description.inputs)

    def numbers(*shape: int) -> Tensor:
        return ops.convert_to_tensor(np.full(shape, 0.5), dtype="float64")

    def count(names: Sequence[str]) -> int:
        return sum(math.prod(equations.shapes[name]) for name in names)

    places: set[Place] = set()
    with loops.at_once(), all_branches():
        known = driven(equations, numbers(len(inputs.elements), 1) if inputs.names else None)
        p, c = equations.arguments((numbers(count(slots.shared)), numbers(count(slots.rows), 1)))
        for start in range(0, size, TOGETHER):
            columns = np.arange(start, min(start + TOGETHER, size))
            moved = np.where(np.arange(size)[:, None] == columns, np.nan, 0.0)
            x, directions = numbers(*moved.shape), ops.convert_to_tensor(moved, dtype="float64")
            found = ops.convert_to_numpy(_tangent(known, numbers(), x, p, c, directions))
            places |= {(int(i), int(j) + start) for i, j in zip(*np.nonzero(~np.isfinite(found)), strict=True)}
    return frozenset(places)


def _moved_entries(equations: Variations, t: Tensor, x: Tensor, theta: Sequence[Tensor]) -> Callable[[Tensor], Tensor]:
    """u → J̇ u (D, P, batch), the change of J along the sensitivities, from that of each of its entries."""
    plain = equations.equations
    p, c = plain.arguments(theta)
    states = plain.layout.unpacked(values(x))
    along = tuple(ops.unstack(x[:, 1:], axis=0))
    with working_in(x.dtype):
        entries = plain.model.rhs_x_tangent(  # type: ignore[attr-defined]
            t, states, p, c, along, equations.param_columns(x.dtype)
        )
    places = plain.layout.places

    def moved(u: Tensor) -> Tensor:
        rows = [ops.zeros_like(x[0, 1:])] * len(places)
        for (i, j), change in entries.items():
            rows[places[i]] = rows[places[i]] + change * u[places[j]]
        return ops.stack(rows)

    return moved


def _moved_direction(
    equations: Variations, t: Tensor, x: Tensor, theta: Sequence[Tensor]
) -> Callable[[Tensor], Tensor]:
    """The same for a model with directional derivatives: how that along u changes along the sensitivities.

    The change is a derivative forwards, by one number for each row: that of the pull-back by it, which is linear in
    what is pulled back (J. Townsend's double vector-Jacobian product).
    """
    plain, count = equations.equations, len(equations.wrt)
    if not hasattr(plain.model, "rhs_tangent"):
        raise no_derivatives(plain.model, "a stiff method")
    size = x.shape[0]
    wide = ops.reshape(ops.repeat(x[:, :1], count, axis=1), (size, -1))
    along, still = ops.reshape(x[:, 1:], (size, -1)), ops.zeros_like(wide)
    times = ops.tile(t, (count,)) if len(t.shape) else t
    p, c = plain.arguments(repeated(theta, count))
    directions = equations.param_directions(wide[0])

    def moved(u: Tensor) -> Tensor:
        beside = plain.layout.unpacked(ops.tile(u, (1, count)))

        def tangent(part: Tensor) -> Tensor:
            states = plain.layout.unpacked(wide + part * along)
            params = tuple(value + part * change for value, change in zip(p, directions, strict=True))
            with working_in(x.dtype):
                found = plain.model.rhs_tangent(  # type: ignore[attr-defined]
                    times, states, params, c, beside, tuple(ops.zeros_like(change) for change in directions)
                )
            return plain.layout.packed(found, wide[0])

        def pulled(weights: Tensor) -> Tensor:
            return loops.value_and_gradient(lambda part: ops.sum(weights * tangent(part)), still[0])[1][0]

        changes = loops.value_and_gradient(lambda weights: ops.sum(pulled(weights)), still)[1][0]
        return ops.reshape(changes, (size, count, -1))

    return moved


# A difference over this part of a step is exact to 1e-7 of ∂f/∂t, of which a step needs a part of its own error alone.
PART = 2.0**-12


def slope_in_time(rhs: Callable[[Any, Tensor], Tensor], first: Tensor, x: Tensor, h: Tensor) -> Tensor:
    """∂f/∂t at the start of a step, where the slope is `first`, of the shape of x, by a difference of order 2 of
    `rhs(c, x)` into the step.

    A difference, and not the compiled ∂f/∂t, because inputs move with the time too; its own derivative is the
    difference of derivatives, so that sensitivities stay exact. Into the step, because f may switch at its start.
    """
    return (4 * rhs(PART, x) - 3 * first - rhs(2 * PART, x)) / (2 * PART * h)
