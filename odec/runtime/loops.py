"""The seam: the only file that asks which Keras back end runs. Compiled loops and their gradients.

Each function below is that of the back end (`backends/loops_….py`), which differ in how a loop is written and
differentiated and in nothing else: TensorFlow and JAX compile loops by XLA and get their gradients written by hand;
torch runs them one operation after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

import keras

from odec.runtime.backends import xla
from odec.runtime.moment import SAME_TIME, Finish, Moment, Step

__all__ = ["BACKENDS", "SAME_TIME", "Finish", "Moment", "Step"]

BACKENDS = ("tensorflow", "jax", "torch")

if keras.backend.backend() not in BACKENDS:
    raise ImportError(
        f"odec runs on the Keras back ends {', '.join(BACKENDS)}. Received: KERAS_BACKEND={keras.backend.backend()}. "
        f"Set KERAS_BACKEND to one of them before Keras is imported."
    )

xla.prepare()
_own: Any = import_module(f"odec.runtime.backends.loops_{keras.backend.backend()}")

Tensor = Any


# Programs.


def compiled(
    function: Callable[..., Any],
    shapes: Sequence[Sequence[int | None]] | None = None,
    dtypes: Sequence[str] = (),
    of_many_sizes: bool = False,
) -> Any:
    """The function as one compiled program (on torch: as it is). With `shapes` (None for any length) it takes NumPy
    arrays of those shapes and dtypes, and needs no new trace for other values. One that takes arrays
    `of_many_sizes` is not compiled for each of them, where that can be: without a loop it loses little by that."""
    return _own.compiled(function, shapes, dtypes, of_many_sizes)


def works_in_blocks() -> bool:
    """Whether cores take a large batch faster in blocks: where programs are compiled for the CPU."""
    return bool(_own.works_in_blocks())


def compiles() -> bool:
    """Whether a layer compiles its loop by itself: not inside `plain_graph`, nor in a graph that is compiled anyway."""
    return bool(_own.compiles())


def at_once() -> AbstractContextManager[None]:
    """What is computed inside from numbers is known at once, whatever is being traced around it."""
    manager: AbstractContextManager[None] = _own.at_once()
    return manager


def plain_graph() -> AbstractContextManager[None]:
    """Layers traced inside write their loop as ordinary graph operations, for exports to what knows no XLA."""
    manager: AbstractContextManager[None] = _own.plain_graph()
    return manager


def either(condition: Tensor, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """One of two branches, of which only that one is computed."""
    return _own.either(condition, then, otherwise)


def chosen(condition: Tensor, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """One of two nests of tensors, of which only that one is computed, unless its derivatives ask for both."""
    return _own.chosen(condition, then, otherwise)


# Loops without a gradient of their own.


def repeat(count: Any, body: Callable[[Any, Any], Any], carry: Any) -> Any:
    """`carry = body(i, carry)` for i = 0 … count-1 inside a compiled program; `count` may be a number or a tensor.

    `carry` is a nest of tensors whose shapes stay. For whole chunks of epochs in one compiled call.
    """
    return _own.repeat(count, body, carry)


def bounded(
    going: Callable[..., Tensor], body: Callable[..., Any], carry: Sequence[Tensor], most: int
) -> tuple[Tensor, ...]:
    """`carry = body(*carry)` while `going(*carry)`, at most `most` times; the shapes of the carry stay. It may lie in
    what is differentiated."""
    return tuple(_own.bounded(going, body, carry, most))


def recorded(
    going: Callable[..., Tensor],
    body: Callable[..., Any],
    carry: Sequence[Tensor],
    like: Sequence[Tensor],
    most: int | None,
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """`carry, record = body(k, *carry)` for k = 0 … while `going(k, *carry)`, at most `most` times.

    The carry at the end, the records as stacks (most, …), zero behind the last one, and how many there are. `like` are
    tensors of the records' shapes; without any, `most` may be None. `going` must hold at the start.
    """
    found: tuple[list[Tensor], list[Tensor], Tensor] = _own.recorded(going, body, carry, like, most)
    return found


def backwards(count: Tensor, body: Callable[..., Sequence[Tensor]], carry: Sequence[Tensor]) -> list[Tensor]:
    """`carry = body(k, *carry)` for k = count − 1 … 0, inside a compiled program."""
    return list(_own.backwards(count, body, carry))


# Gradients.


def trajectory(
    step: Step,
    x0: Tensor,
    theta: Sequence[Any],
    starts: Any,
    steps: Any,
    counts: Any,
    *,
    single: bool,
    series: Sequence[Tensor] = (),
    finish: Finish | None = None,
    rows_first: bool = False,
) -> Tensor:
    """The states (M, …) at the ends of M intervals, interval i being `counts[i]` steps of length `steps[i]` from
    `starts[i]`, and then `finish`.

    `x0` is an array of any shape, `theta` a nest of tensors, all of one dtype; `starts`, `steps` are float64 (M,), or
    (M, batch) where rows have their own times, `counts` int32 (M,), 0 where only `finish` happens. `series` are tensors
    (M, …): the steps of interval i see their parts i. `single` promises that each interval is one step. With
    `rows_first` the states are (batch, M, …), the last axis first. To be called inside a graph or a compiled program.

    The gradient by x0, theta and series is that of the computed numbers (discretise, then differentiate): intervals are
    taken in reverse, the states inside one are computed again from its stored start, and one step is differentiated at
    a time. Memory: the output and the states of one interval. On JAX it needs `counts` as numbers, not as a tracer.
    """
    leaves = keras.tree.flatten(theta)

    def nested(values: Sequence[Tensor]) -> Any:
        return keras.tree.pack_sequence_as(theta, list(values))

    return _own.trajectory(
        lambda moment, x, values: step(moment, x, nested(values)),
        x0,
        leaves,
        starts,
        steps,
        counts,
        single=single,
        series=series,
        finish=finish and (lambda i, moment, x, values: finish(i, moment, x, nested(values))),
        rows_first=rows_first,
    )


def in_blocks(
    function: Callable[..., Tensor],
    shared: Sequence[Tensor],
    rows: Sequence[Tensor],
    *,
    length: int,
    most: int,
) -> Tensor:
    """`function(*shared, *rows)`: `rows` and the result are arrays with the batch first, and a row of the result
    depends on that row alone.

    On a CPU a batch of more than `most` rows is computed in blocks of at most `length`, in a loop inside the compiled
    program, and each of them again for its gradient, so that what a block needs stays in the cache and nothing but the
    result is kept.
    """
    return _own.in_blocks(function, shared, rows, length=length, most=most)


def value_and_gradient(function: Callable[..., Tensor], *arguments: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The value of `function(*arguments)` and its gradient by each argument; usable inside a compiled program."""
    value, gradient = _own.value_and_gradient(function, *arguments)
    return value, list(gradient)


def with_gradient(forward: Callable[..., Any], backward: Callable[..., Sequence[Tensor]]) -> Callable[..., Any]:
    """`forward(*inputs)`, whose gradient is `backward(upstream, output, *inputs)`: one for each input, of its shape.

    Where `forward` gives a tuple, `upstream` and `output` are tuples. What the two take from around them must not
    depend on what is differentiated. There are no second derivatives: they are NaN or an error.
    """
    run: Callable[..., Any] = _own.with_gradient(forward, backward)
    return run


def derivable() -> AbstractContextManager[None]:
    """What is traced inside may be differentiated by whoever calls, as a step inside a loop of Keras's own is: JAX has
    to write loops that end early as others then."""
    manager: AbstractContextManager[None] = _own.derivable()
    return manager


def pulled_back(function: Callable[..., Any], inputs: Sequence[Tensor], upstream: Any) -> list[Tensor]:
    """The gradients by `inputs` of Σ upstream · function(*inputs), zero where an input does not matter."""
    return list(_own.pulled_back(function, inputs, upstream))


def once(x: Tensor) -> Tensor:
    """x, whose gradient is right and the derivative of its gradient is not: where JAX is asked for that it says so."""
    return _own.once(x)


def forbidden(x: Tensor, message: str) -> Tensor:
    """x, which nothing may be differentiated through: ValueError with that message where it is tried."""
    return _own.forbidden(x, message)
