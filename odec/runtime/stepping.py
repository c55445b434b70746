"""One step of a method, with what an adaptive run needs of it: the error, a polynomial between its ends, the stiffness.

Explicit methods step any packed array; a Rosenbrock method solves linear systems with the model's Jacobian, and steps
sensitivities by the exact derivative of its own step: from W u = r follows W u̇ = ṙ + J̇ u, with W factorised once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from odec.runtime import loops
from odec.runtime.tableau import Rosenbrock, Tableau, combined, square

Tensor = Any
# rhs(c, x) -> the slope at fraction c of the step, of the shape of x.
Slope = Callable[[Any, Tensor], Tensor]

# Axes of packed sensitivities (states, columns, batch). They have no gradient.
SENSITIVE = 3


@dataclass(frozen=True)
class Step:
    """Behind a step: the state `x`; then, where they are asked for,

    `errors`: the estimates of what `x` is off by (one, or the two of dop853);
    `inside()`: an estimate of what the polynomial is off by, where its error is not that of the step's end;
    `dense()`: arrays c_0 … c_q of x's shape with x(θ) = Σ c_m θ^m for 0 ≤ θ ≤ 1;
    `slope`: the right-hand side behind the step, where the method has it anyway;
    `stretch`: two differences whose quotient estimates h·|λ| of the fastest component, and the h·|λ| at which the
    method becomes unstable.
    """

    x: Tensor
    errors: tuple[Tensor, ...] = ()
    inside: Callable[[], Tensor] | None = None
    dense: Callable[[], tuple[Tensor, ...]] = tuple
    slope: Tensor | None = None
    stretch: tuple[Tensor, Tensor] | None = None


def explicit(
    method: Tableau, rhs: Slope, h: Tensor, x: Tensor, first: Tensor | None = None, looped: bool = False
) -> Step:
    """An adaptive explicit step; `first` is the slope at its start, where it is known. `looped` stages have no gradient
    and are compiled once."""
    slopes = [rhs(0.0, x) if first is None else first]
    if looped:
        slopes = _slopes(method, rhs, h, x, slopes[0])
    else:
        for row, c in zip(method.a, method.c[1:], strict=True):
            slopes.append(rhs(c, x + h * combined(row, slopes)))
    # The last stage of a method of this kind stands at the end of the step: x1.
    assert method.last_is_first
    before, inner = (x + h * combined(row, slopes[: len(row)]) for row in method.a[-2:])

    def dense() -> tuple[Tensor, ...]:
        more = list(slopes)
        for row, c in zip(method.extra, method.extra_c, strict=True):
            more.append(rhs(c, x + h * combined(row, more)))
        powers = np.array(method.dense).T
        return x, *(h * combined(tuple(power), more) for power in powers)

    errors = tuple(h * combined(weights, slopes) for weights in method.error)
    stretch = (h * (slopes[-1] - slopes[-2]), inner - before) if method.c[-2] == 1 else None
    return Step(inner, errors, dense=dense, slope=slopes[-1], stretch=stretch)


def _slopes(method: Tableau, rhs: Slope, h: Tensor, x: Tensor, first: Tensor) -> list[Tensor]:
    """The slopes of all stages, as the turns of a loop."""
    a = ops.convert_to_tensor(square(((), *method.a)), dtype=x.dtype)
    c = ops.convert_to_tensor(np.array(method.c), dtype=x.dtype)
    return _in_turn(lambda i, found: rhs(c[i], x + h * _weighted(a[i], found)), len(method.c), x, first)


def _in_turn(
    stage: Callable[[Tensor, Tensor], Tensor], count: int, x: Tensor, first: Tensor | None = None
) -> list[Tensor]:
    """`stage(i, found)` of the shape of x for all i, or all behind `first`, in a loop; `found` holds those before i,
    and zeros."""
    known = 0 if first is None else 1

    def turn(k: Tensor, found: Tensor) -> Tensor:
        i = k + known
        return ops.slice_update(found, (i, *(0 for _ in x.shape)), stage(i, found)[None])

    found = ops.repeat(ops.zeros_like(x)[None], count - known, axis=0)
    found = loops.repeat(count - known, turn, found if first is None else ops.concatenate([first[None], found]))
    return [found[i] for i in range(count)]


def _weighted(weights: Tensor, found: Tensor) -> Tensor:
    """Σ weights_i found_i."""
    return ops.sum(ops.reshape(weights, (-1, *(1 for _ in found.shape[1:]))) * found, axis=0)


def rosenbrock(
    method: Rosenbrock,
    rhs: Slope,
    slope_in_time: Tensor | None,
    solve: Callable[[Tensor], Tensor],
    h: Tensor,
    x: Tensor,
    first: Tensor | None = None,
    looped: bool = False,
) -> Step:
    """A step of a Rosenbrock method. `solve(r)` gives u with (I/(hγ) − J) u = r, for sensitivities with their J̇ u
    (`linear.Linear`); `slope_in_time` is ∂f/∂t at the start, None where it is zero. `looped` stages have no gradient
    and are compiled once: 40 states written out take 21 s of the processor to compile and 6 s as a loop, and run no
    faster."""
    if looped or len(x.shape) == SENSITIVE:
        found = _looped(method, rhs, slope_in_time, solve, h, x)
    else:
        found = _written_out(method, rhs, slope_in_time, solve, h, x, first)

    def dense() -> tuple[Tensor, ...]:
        return x, *(combined(tuple(power), found) for power in np.array(method.dense).T)

    def inside() -> Tensor:
        """What the equations, at the middle of the polynomial, say that it is off by.

        Where states are tied to what moves with the time (x' = -k (x - g(t)), k large), the step's end is right
        whatever its length, and the error at the end with it; the polynomial is not. The residual of the polynomial
        there, divided by I/(hγ) - J, is the distance (G. Steinebach, 2023, steers by the residual, too).
        """
        parts = dense()
        rises = [m * part for m, part in enumerate(parts) if m]
        return solve(rhs(0.5, along(parts, 0.5)) - along(rises, 0.5) / h)

    return Step(x + combined(method.m, found), (combined(method.error, found),), inside, dense)


def _written_out(
    method: Rosenbrock,
    rhs: Slope,
    slope_in_time: Tensor | None,
    solve: Callable[[Tensor], Tensor],
    h: Tensor,
    x: Tensor,
    first: Tensor | None,
) -> list[Tensor]:
    """The stages of a Rosenbrock step, one behind the other in the program."""
    found: list[Tensor] = []
    for i in range(len(method.m)):
        inner = x + combined(method.a[i - 1], found) if i and any(method.a[i - 1]) else x
        right = first if i == 0 and first is not None else rhs(method.alpha[i], inner)
        if i and any(method.c[i - 1]):
            right = right + combined(method.c[i - 1], found) / h
        if slope_in_time is not None and method.gammas[i] != 0:
            right = right + (h * method.gammas[i]) * slope_in_time
        found.append(solve(right))
    return found


def _looped(
    method: Rosenbrock,
    rhs: Slope,
    slope_in_time: Tensor | None,
    solve: Callable[[Tensor], Tensor],
    h: Tensor,
    x: Tensor,
) -> list[Tensor]:
    """The same stages as the turns of a loop: a program of an eighth of the size."""
    a, c = (ops.convert_to_tensor(square(((), *rows)), dtype=x.dtype) for rows in (method.a, method.c))
    alpha, gammas = (ops.convert_to_tensor(np.array(row), dtype=x.dtype) for row in (method.alpha, method.gammas))

    def stage(i: Tensor, found: Tensor) -> Tensor:
        right = rhs(alpha[i], x + _weighted(a[i], found)) + _weighted(c[i], found) / h
        if slope_in_time is not None:
            right = right + (h * gammas[i]) * slope_in_time
        return solve(right)

    return _in_turn(stage, len(method.m), x)


def along(dense: Sequence[Tensor], theta: Tensor) -> Tensor:
    """x(θ) = Σ c_m θ^m."""
    total = dense[-1]
    for part in reversed(dense[:-1]):
        total = part + theta * total
    return total
