"""The linear systems of a Rosenbrock step: the model's Jacobian, W = I/(hγ) − J factorised, and J's own derivative.

Models with sparse derivatives give J by its entries; the others give it by directional derivatives, as a dense array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from odec.runtime import loops
from odec.runtime.equations import Equations, Variations, repeated
from odec.runtime.factor import factorised
from odec.runtime.jumps import base, values
from odec.runtime.nets import no_derivatives
from odec.runtime.working import working_in

Tensor = Any


def solver(
    equations: Equations | Variations, t: Tensor, x: Tensor, theta: Sequence[Tensor], shift: Tensor
) -> Callable[[Tensor], Tensor]:
    """`solve(r)` gives u with (shift·I − J) u = r at the packed state x, for r of the shape of x.

    For sensitivities r's further columns are ṙ, and u's are u̇ = W⁻¹ (ṙ + J̇ u): the derivative of u.
    """
    plain = base(equations)
    jacobian = of_states(plain, t, values(x), theta)
    solve = factorised(shift, jacobian, len(plain.states))
    if not isinstance(equations, Variations):
        return solve
    moved = (_moved_entries if hasattr(plain.model, "rhs_x_tangent") else _moved_direction)(equations, t, x, theta)

    def both(r: Tensor) -> Tensor:
        u = solve(r[:, 0])
        return ops.concatenate([u[:, None], solve(r[:, 1:] + moved(u))], axis=1)

    return both


def of_states(plain: Equations, t: Tensor, x: Tensor, theta: Sequence[Tensor]) -> Any:
    """∂f/∂x at x (D, batch): its entries {(i, j): value}, or an array (D, D, batch)."""
    if not hasattr(plain.model, "rhs_x"):
        return _directional(plain, t, x, theta)
    p, c = plain.arguments(theta)
    with working_in(x.dtype):
        entries = plain.model.rhs_x(t, plain.layout.unpacked(x), p, c)
    places = plain.layout.places
    return {(places[i], places[j]): value for (i, j), value in entries.items()}


def _directional(plain: Equations, t: Tensor, x: Tensor, theta: Sequence[Tensor]) -> Tensor:
    """J by one directional derivative along each state: D·batch rows in one go."""
    if not hasattr(plain.model, "rhs_tangent"):
        raise no_derivatives(plain.model, "a stiff method")
    size, batch = x.shape[0], ops.shape(x)[1]
    wide = ops.reshape(ops.repeat(x[:, None], size, axis=1), (size, -1))
    times = ops.tile(t, (size,)) if len(t.shape) else t
    p, c = plain.arguments(repeated(theta, size))
    unit = ops.repeat(ops.convert_to_tensor(np.eye(size), dtype=x.dtype), batch, axis=1)
    still = tuple(np.zeros((*param.shape, 1)) if param.shape else 0.0 for param in plain.model.description.params)
    with working_in(x.dtype):
        moved = plain.model.rhs_tangent(times, plain.layout.unpacked(wide), p, c, plain.layout.unpacked(unit), still)
    return ops.reshape(plain.layout.packed(moved, wide[0]), (size, size, -1))


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
