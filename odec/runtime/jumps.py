"""One jump applied to states and to their sensitivities.

Behind a jump x⁺ = J(t, x⁻, p) at the time τ(p), the sensitivities are (e.g. P. I. Barton, C. K. Lee, 2002)

    S⁺ = J_x (S⁻ + f⁻ τ_p) + J_p + J_t τ_p − f⁺ τ_p,

and where a root g(t, x, p) = 0 says when, τ_p = −(g_x S⁻ + g_p) / (g_x f⁻ + g_t).
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from odec.diagnostics import OdecError
from odec.runtime.equations import Equations, Variations, _placed
from odec.runtime.layout import spread
from odec.runtime.working import working_in

Tensor = Any


def base(equations: Equations | Variations) -> Equations:
    """The equations without their sensitivities."""
    return equations.equations if isinstance(equations, Variations) else equations


def uses_time(model: Any) -> bool:
    """Whether the equations of a generated class look at `t`."""
    functions = (getattr(model, name, None) for name in ("rhs", "outputs", "conditions", "jumps"))
    return any(
        "t" in (step.argval if isinstance(step.argval, tuple) else (step.argval,))
        for function in functions
        if function is not None
        for step in dis.get_instructions(inspect.unwrap(function))
        if step.opname.startswith("LOAD_FAST")
    )


def values(z: Tensor) -> Tensor:
    """The states (D, batch) of packed states with or without sensitivities."""
    return z if len(z.shape) == 2 else z[:, 0]


def known_jump(
    equations: Equations | Variations,
    j: int,
    kind: str,
    number: Tensor,
    fired: Tensor,
    t: Tensor,
    z: Tensor,
    theta: Sequence[Tensor],
) -> Tensor:
    """Behind jump j in the rows where it `fired` (batch or 1,); `number` says which of its times it is."""
    moved = None
    if isinstance(equations, Variations):
        moved = _moved_time(equations, j, kind, number, z[0, 0], theta)
    return ops.where(fired, jumped(equations, j, t, z, theta, moved), z)


def jumped(
    equations: Equations | Variations,
    j: int,
    t: Tensor,
    z: Tensor,
    theta: Sequence[Tensor],
    moved: Tensor | None = None,
) -> Tensor:
    """Behind jump j in every row; `moved` (P, batch) is τ_p, None where the time is fixed."""
    plain = base(equations)
    x = values(z)
    p, c = plain.arguments(theta)
    states = plain.layout.unpacked(x)
    with working_in(x.dtype):
        new: Sequence[Any] = plain.model.jumps(t, states, p, c)[j]  # type: ignore[attr-defined]
    behind = plain.layout.packed(new, x[0])
    if not isinstance(equations, Variations):
        return behind
    if not hasattr(plain.model, "jumps_x"):
        what = f"the sensitivities of {plain.model.__name__} through its jumps are not compiled"
        raise OdecError.of("E0702", what, "arrays and jumps in one model cannot be fitted yet")
    s = z[:, 1:]
    if moved is not None:
        s = s + plain.rhs(t, x, theta)[:, None] * moved
    with working_in(x.dtype):
        by_state, by_param, by_time = (
            getattr(plain.model, name)(t, states, p, c)[j] for name in ("jumps_x", "jumps_p", "jumps_t")
        )
    # The generated function hands back the very object of a state that it leaves alone.
    same = [name for name, old, now in zip(plain.states, states, new, strict=True) if now is old]
    chain = equations._chained({**by_state, **{(name, name): 1.0 for name in same}}, by_param, plain.states, s, x[0])
    if moved is not None:
        slope = ops.stack([spread(by_time.get(name, 0.0), ops.ones_like(x[0])) for name in plain.states])
        chain = chain + (slope - plain.rhs(t, behind, theta))[:, None] * moved
    return ops.concatenate([behind[:, None], chain], axis=1)


def known_switch(
    equations: Variations,
    place: int,
    number: Tensor,
    fired: Tensor,
    together: Tensor,
    sides: Sequence[Tensor],
    z: Tensor,
    theta: Sequence[Tensor],
) -> Tensor:
    """Behind the switch at that place of `switch_times`, where it `fired` (batch or 1,): S⁺ = S⁻ + (f⁻ − f⁺) τ_p, with
    the slopes at the times just before and behind it (`sides`). So many switches happen `together` (batch or 1,), as
    the two of `t > lag and mod(t - lag, 24) < 2`: f changes once, and each has its share."""
    if equations.is_directional:
        rows = equations.switch_directions(place, theta, z[0, 0])
    else:
        rows = _moved_numbers(equations, "switch_times_p", place, z[0, 0], theta)
    if rows is None:
        return z
    moved = rows[0] + (ops.cast(number, z.dtype) * rows[1] if len(rows) > 1 else 0.0)
    before, behind = (equations.equations.rhs(t, z[:, 0], theta) for t in sides)
    change = (before - behind)[:, None] * moved / ops.maximum(together, 1.0)
    return ops.where(fired, z + ops.concatenate([ops.zeros_like(z[:, :1]), change], axis=1), z)


def _moved_time(
    equations: Variations, j: int, kind: str, number: Tensor, like: Tensor, theta: Sequence[Tensor]
) -> Tensor | None:
    """τ_p (P, batch) of a known jump, None where its times depend on no param."""
    rows = _moved_numbers(equations, "jump_times_p", j, like, theta)
    if rows is None:
        return None
    if kind == "every":
        return rows[1] + ops.cast(number, like.dtype) * rows[0]
    total = ops.zeros_like(rows[0])
    for k, row in enumerate(rows):
        total = total + row * ops.cast(ops.equal(number, k), like.dtype)
    return total


def _moved_numbers(
    equations: Variations, function: str, place: int, like: Tensor, theta: Sequence[Tensor]
) -> list[Tensor] | None:
    """How each number of a jump or switch moves with the params, (P, batch); None where none does."""
    plain = equations.equations
    find = getattr(plain.model, function, None)
    if find is None:
        return None
    p, c = plain.arguments(theta)
    with working_in(like.dtype):
        tables: Sequence[Mapping[str, Any]] = find(p, c)[place]
    if not any(tables):
        return None
    return [_placed({("t", name): v for name, v in table.items()}, ("t",), equations.wrt, like)[0] for table in tables]


def moved_root(equations: Variations, w: int, t: Tensor, z: Tensor, theta: Sequence[Tensor]) -> Tensor:
    """τ_p (P, batch) of the `when` number w at its root."""
    plain = equations.equations
    if not hasattr(plain.model, "roots_x"):
        what = f"the sensitivities of {plain.model.__name__} through its jumps are not compiled"
        raise OdecError.of("E0702", what, "arrays and jumps in one model cannot be fitted yet")
    x, s = z[:, 0], z[:, 1:]
    p, c = plain.arguments(theta)
    states = plain.layout.unpacked(x)
    with working_in(x.dtype):
        by_state, by_param, by_time = (
            getattr(plain.model, name)(t, states, p, c)[w] for name in ("roots_x", "roots_p", "roots_t")
        )
    f = plain.rhs(t, x, theta)
    change = _placed({("g", name): v for name, v in by_param.items()}, ("g",), equations.wrt, x[0])[0]
    speed = spread(by_time, ops.ones_like(x[0]))
    for state, slope in by_state.items():
        place = plain.layout.places[state]
        change, speed = change + slope * s[place], speed + slope * f[place]
    # A root that stands still (speed 0) moves infinitely; its rows are not finite, and say so.
    return -change / speed
