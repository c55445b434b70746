"""The seam's loops on torch: Python's own, operation after operation. What each function gives: `odec.runtime.loops`.

Slow, a step taking as long as its operations one by one (10 to 20 µs each); the numbers and gradients are the same.
Gradients are written here as on the other back ends, so that memory is that of one interval and not of all steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from odec.runtime.backends.precision import keep_float64
from odec.runtime.moment import Finish, Moment, Step

keep_float64()

Tensor = Any


def compiled(
    function: Callable[..., Any],
    shapes: Sequence[Sequence[int | None]] | None = None,
    dtypes: Sequence[str] = (),
    of_many_sizes: bool = False,
) -> Any:
    """The function itself; without gradients where it takes arrays."""
    if shapes is None:
        return function

    def run(*arguments: Any) -> Any:
        arrays = (np.array(a, dtype) for a, dtype in zip(arguments, dtypes, strict=True))
        with torch.no_grad():
            return function(*map(torch.from_numpy, arrays))

    return run


def works_in_blocks() -> bool:
    """Never: each operation costs the same for any batch."""
    return False


def compiles() -> bool:
    """Nothing does."""
    return False


@contextmanager
def at_once() -> Iterator[None]:
    """All is."""
    yield


@contextmanager
def plain_graph() -> Iterator[None]:
    """There are no graphs."""
    yield


def either(condition: Tensor, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """A branch."""
    return then() if bool(condition) else otherwise()


chosen = either


def repeat(count: Any, body: Callable[[Any, Any], Any], carry: Any) -> Any:
    """A loop over numbers."""
    for i in range(int(count)):
        carry = body(i, carry)
    return carry


def bounded(
    going: Callable[..., Tensor], body: Callable[..., Any], carry: Sequence[Tensor], most: int
) -> tuple[Tensor, ...]:
    """A loop that ends early."""
    for _ in range(most):
        if not bool(going(*carry)):
            break
        carry = body(*carry)
    return tuple(carry)


def recorded(
    going: Callable[..., Tensor],
    body: Callable[..., Any],
    carry: Sequence[Tensor],
    like: Sequence[Tensor],
    most: int | None,
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """A loop that ends early and writes into arrays of the whole length."""
    stacks = [torch.zeros((most or 0, *leaf.shape), dtype=leaf.dtype) for leaf in like]
    k = 0
    while (most is None or k < most) and bool(going(k, *carry)):
        carry, record = body(k, *carry)
        for stack, leaf in zip(stacks, record, strict=True):
            stack[k] = leaf
        k += 1
    return list(carry), stacks, torch.tensor(k, dtype=torch.int32)


def backwards(count: Tensor, body: Callable[..., Sequence[Tensor]], carry: Sequence[Tensor]) -> list[Tensor]:
    """A loop over falling numbers."""
    for k in reversed(range(int(count))):
        carry = body(k, *carry)
    return list(carry)


def trajectory(
    step: Step,
    x0: Tensor,
    theta: Sequence[Tensor],
    starts: Any,
    steps: Any,
    counts: Any,
    *,
    single: bool,
    series: Sequence[Tensor] = (),
    finish: Finish | None = None,
    rows_first: bool = False,
) -> Tensor:
    """Two loops; `single` intervals have one step as any other has."""
    many = len(theta)
    first, length = (torch.as_tensor(part, dtype=torch.float64) for part in (starts, steps))
    numbers = torch.as_tensor(counts).tolist()

    def moment(i: int, k: int, x: Tensor, own: Sequence[Tensor]) -> Moment:
        return Moment(first[i], length[i], k, numbers[i], x.dtype, tuple(own))

    def stepped(i: int, k: int, x: Tensor, *leaves: Tensor) -> Tensor:
        return step(moment(i, k, x, leaves[many:]), x, leaves[:many])

    def finished(i: int, x: Tensor, *leaves: Tensor) -> Tensor:
        return x if finish is None else finish(i, moment(i, numbers[i], x, leaves[many:]), x, leaves[:many])

    def leaves_of(i: int, rest: Sequence[Tensor]) -> list[Tensor]:
        return [*rest[:many], *(part[i] for part in rest[many:])]

    def inside(i: int, x: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
        """The states before each step of an interval and behind the last."""
        found = [x]
        for k in range(numbers[i]):
            found.append(stepped(i, k, found[-1], *leaves))
        return found

    def forward(x: Tensor, *rest: Tensor) -> Tensor:
        states = []
        for i in range(len(numbers)):
            leaves = leaves_of(i, rest)
            x = finished(i, inside(i, x, leaves)[-1], *leaves)
            states.append(x)
        return torch.stack(states) if states else x.new_zeros((0, *x.shape))

    def backward(upstream: Tensor, states: Tensor, x0: Tensor, *rest: Tensor) -> list[Tensor]:
        adjoint, sums = torch.zeros_like(x0), [torch.zeros_like(part) for part in rest]
        for i in reversed(range(len(numbers))):
            leaves = leaves_of(i, rest)
            places = [*sums[:many], *(part[i] for part in sums[many:])]
            found = inside(i, states[i - 1] if i else x0, leaves)
            adjoint = adjoint + upstream[i]
            calls = [(partial(stepped, i, k), x) for k, x in enumerate(found[:-1])]
            if finish is not None:
                calls.append((partial(finished, i), found[-1]))
            for function, x in reversed(calls):
                adjoint, *shares = pulled_back(function, [x, *leaves], adjoint)
                for place, share in zip(places, shares, strict=True):
                    place += share
        return [adjoint, *sums]

    states = with_gradient(forward, backward)(x0, *theta, *series)
    return torch.movedim(states, -1, 0) if rows_first else states


def in_blocks(
    function: Callable[..., Tensor],
    shared: Sequence[Tensor],
    rows: Sequence[Tensor],
    *,
    length: int,
    most: int,
) -> Tensor:
    """All at once: each operation costs the same for any batch."""
    return function(*shared, *rows)


def value_and_gradient(function: Callable[..., Tensor], *arguments: Tensor) -> tuple[Tensor, list[Tensor]]:
    """By autograd."""
    with torch.enable_grad():
        own = [argument.detach().requires_grad_() for argument in arguments]
        value = function(*own)
        gradient = torch.autograd.grad(value, own, allow_unused=True, materialize_grads=True)
    return value.detach(), list(gradient)


class _WithGradient(torch.autograd.Function):
    """A function of tensors with a gradient that was given."""

    @staticmethod
    def forward(ctx: Any, ahead: Callable[..., Any], back: Callable[..., Any], *inputs: Tensor) -> Any:
        found = ahead(*inputs)
        ctx.several = isinstance(found, tuple)
        outputs = found if ctx.several else (found,)
        ctx.back, ctx.many = back, len(outputs)
        ctx.save_for_backward(*outputs, *inputs)
        return found

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        outputs, inputs = ctx.saved_tensors[: ctx.many], ctx.saved_tensors[ctx.many :]
        sent = (upstream, outputs) if ctx.several else (upstream[0], outputs[0])
        return None, None, *ctx.back(*sent, *inputs)


def with_gradient(forward: Callable[..., Any], backward: Callable[..., Sequence[Tensor]]) -> Callable[..., Any]:
    """By a function of autograd's."""
    return lambda *inputs: _WithGradient.apply(forward, backward, *inputs)


def derivable() -> AbstractContextManager[None]:
    """All loops are."""
    return nullcontext()


def pulled_back(function: Callable[..., Any], inputs: Sequence[Tensor], upstream: Any) -> list[Tensor]:
    """By autograd, one call."""
    with torch.enable_grad():
        own = [x.detach().requires_grad_() for x in inputs]
        found = function(*own)
        many = isinstance(found, list | tuple)
        pairs = zip(found if many else [found], upstream if many else [upstream], strict=True)
        asked = [(y, sent) for y, sent in pairs if y.requires_grad]
        if not asked:
            return [torch.zeros_like(x) for x in inputs]
        outputs, weights = zip(*asked, strict=True)
        return list(torch.autograd.grad(outputs, own, weights, allow_unused=True, materialize_grads=True))


def once(x: Tensor) -> Tensor:
    """Nothing finds that out."""
    return x


def forbidden(x: Tensor, message: str) -> Tensor:
    """By a gradient that raises."""

    def raising(*_: Tensor) -> list[Tensor]:
        raise ValueError(message)

    return with_gradient(lambda x: x.clone(), raising)(x)
