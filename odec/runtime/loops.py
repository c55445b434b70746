"""The seam: the only file that asks which Keras backend runs. Bounded compiled loops and their gradients.

Measured on TensorFlow 2.21: XLA compiles the gradient of a loop only with a static bound, and not at all when a
variable is read inside; so loops are bounded (`maximum_iterations`, `element_shape`), everything a body needs comes
in as a tensor, and the gradient of a trajectory is written here by hand instead of left to the framework.

Another backend needs its own branch of each public function below, and nothing else of the runtime changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import keras
import numpy as np

BACKENDS = ("tensorflow",)

if keras.backend.backend() not in BACKENDS:
    raise ImportError(
        f"odec's runtime runs on the Keras backend {' or '.join(BACKENDS)} in this version, "
        f"Received: KERAS_BACKEND={keras.backend.backend()}. Set KERAS_BACKEND=tensorflow before importing keras."
    )

import tensorflow as tf  # noqa: E402

Tensor = Any
# step(time, h, x, theta) -> x: `time(c)` is the time at fraction c of the step, in the dtype of x.
Step = Callable[[Callable[[float], Tensor], Tensor, Tensor, Sequence[Tensor]], Tensor]


def compiled(
    function: Callable[..., Any], shapes: Sequence[Sequence[int | None]] | None = None, dtypes: Sequence[str] = ()
) -> Any:
    """The function as one XLA program. With `shapes` (None for any length) other lengths need no new trace."""
    signature = None
    if shapes is not None:
        signature = [tf.TensorSpec(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    # A partial, because TensorFlow counts traces by code object and would warn of closures that share one.
    return tf.function(partial(function), jit_compile=True, input_signature=signature, autograph=False)


_plain: ContextVar[bool] = ContextVar("plain", default=False)


def compiles() -> bool:
    """Whether a layer compiles its loop by itself: always, but inside `plain_graph`.

    Run one by one, 1,000 steps would take seconds; in a graph that is not compiled, as Keras makes on a machine without
    a GPU (`jit_compile="auto"`), 14 ms instead of 0.2. Inside a compiled graph it makes no difference.
    """
    return not _plain.get()


@contextmanager
def plain_graph() -> Iterator[None]:
    """Layers traced inside write their loop as ordinary graph operations, for exports to what knows no XLA."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def repeat(count: Any, body: Callable[[Any, Any], Any], carry: Any) -> Any:
    """`carry = body(i, carry)` for i = 0 … count-1 inside a compiled program; `count` may be a number or a tensor.

    `carry` is a nest of tensors whose shapes stay. For whole chunks of epochs in one compiled call.
    """
    count = tf.convert_to_tensor(count, tf.int32)

    def turn(i: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        return i + 1, *tf.nest.flatten(body(i, tf.nest.pack_sequence_as(carry, state)))

    flat = [tf.convert_to_tensor(leaf) for leaf in tf.nest.flatten(carry)]
    result = tf.while_loop(lambda i, *_: i < count, turn, (tf.constant(0), *flat), maximum_iterations=count)
    return tf.nest.pack_sequence_as(carry, result[1:])


def value_and_gradient(function: Callable[..., Tensor], *arguments: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The value of `function(*arguments)` and its gradient by each argument; usable inside a compiled program."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = function(*arguments)
    return value, tape.gradient(value, list(arguments), unconnected_gradients="zero")


def trajectory(
    step: Step, x0: Tensor, theta: Sequence[Tensor], starts: Any, steps: Any, counts: Any, *, single: bool
) -> Tensor:
    """The states (M, …) at the ends of M intervals, interval i being `counts[i]` steps of length `steps[i]` from
    `starts[i]`.

    `x0` is an array of any shape, `theta` a list of tensors, all of one dtype; `starts`, `steps` are float64 (M,),
    `counts` int32 (M,). `single` promises that each interval is one step. To be called inside a graph or a compiled
    program.

    The gradient by x0 and theta is that of the computed numbers (discretise, then differentiate): intervals are taken
    in reverse, the states inside one are computed again from its stored start, and one step is differentiated at a
    time. Memory: the output and the states of one interval. Second derivatives are NaN.
    """
    grid = _Grid(
        tf.convert_to_tensor(starts, tf.float64),
        tf.convert_to_tensor(steps, tf.float64),
        tf.convert_to_tensor(counts, tf.int32),
    )

    forward = _underivable(lambda x0, *theta: _forward(step, x0, theta, grid, single))
    backward = _underivable(
        lambda upstream, states, x0, *theta: _backward(step, x0, theta, grid, states, upstream, single)
    )

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def run(x0: Tensor, *theta: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
        states = forward(x0, *theta)
        # A gather of some of the states sends back IndexedSlices.
        return states, lambda upstream: backward(tf.convert_to_tensor(upstream), states, x0, *theta)

    return run(x0, *theta)


def _underivable(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with NaN as its derivative, where one is asked for.

    A persistent tape builds second derivatives whether they are asked for or not, and those of nested loops do not
    compile. NaN, because zero would be a lie.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def run(*inputs: Tensor) -> tuple[Any, Callable[..., list[Tensor]]]:
        def derivative(*upstream: Tensor) -> list[Tensor]:
            asked = tf.reduce_any(tf.stack([tf.reduce_any(value != 0) for value in upstream]))
            nothing, nan = tf.zeros((), inputs[0].dtype), tf.constant(float("nan"), inputs[0].dtype)
            return [tf.fill(tf.shape(value), tf.where(asked, nan, nothing)) for value in inputs]

        return function(*inputs), derivative

    return run


class _Grid:
    """The intervals as tensors; time in float64 until the moment it is used."""

    def __init__(self, starts: Tensor, steps: Tensor, counts: Tensor) -> None:
        self.starts, self.steps, self.counts = starts, steps, counts

    @property
    def intervals(self) -> Tensor:
        return tf.shape(self.starts)[0]

    def apply(self, step: Step, i: Tensor, k: Tensor, x: Tensor, theta: Sequence[Tensor]) -> Tensor:
        """Step k of interval i."""
        start, h, k64 = self.starts[i], self.steps[i], tf.cast(k, tf.float64)
        return step(lambda c: tf.cast(start + (k64 + c) * h, x.dtype), tf.cast(h, x.dtype), x, theta)


def _forward(step: Step, x0: Tensor, theta: Sequence[Tensor], grid: _Grid, single: bool) -> Tensor:
    states = tf.TensorArray(x0.dtype, size=grid.intervals, element_shape=x0.shape)

    def interval(i: Tensor, x: Tensor, states: tf.TensorArray) -> tuple[Tensor, Tensor, tf.TensorArray]:
        if single:
            x = grid.apply(step, i, tf.constant(0), x, theta)
        else:
            x = _steps(lambda k, x: grid.apply(step, i, k, x, theta), grid.counts[i], x)
        return i + 1, tf.ensure_shape(x, x0.shape), states.write(i, x)

    return _loop(grid.intervals, interval, x0, states)[1].stack()


def _backward(
    step: Step, x0: Tensor, theta: Sequence[Tensor], grid: _Grid, states: Tensor, upstream: Tensor, single: bool
) -> list[Tensor]:
    before = tf.concat([x0[None], states[:-1]], axis=0)

    def one(
        i: Tensor, k: Tensor, x: Tensor, adjoint: Tensor, gradients: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """The adjoint before a step from the one after it, and the gradients by theta with the step's share."""
        with tf.GradientTape() as tape:
            tape.watch([x, *theta])
            after = grid.apply(step, i, k, x, theta)
        shares = tape.gradient(after, [x, *theta], output_gradients=adjoint, unconnected_gradients="zero")
        return shares[0], [g + share for g, share in zip(gradients, shares[1:], strict=True)]

    most = tf.reduce_max(grid.counts) if grid.counts.shape[0] != 0 else tf.constant(1)

    def inner(i: Tensor, adjoint: Tensor, gradients: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        buffer = tf.TensorArray(
            x0.dtype, size=_static(grid.counts, most), element_shape=x0.shape, clear_after_read=False
        )

        def again(k: Tensor, x: Tensor, buffer: tf.TensorArray) -> tuple[Tensor, Tensor, tf.TensorArray]:
            return k + 1, tf.ensure_shape(grid.apply(step, i, k, x, theta), x0.shape), buffer.write(k, x)

        inside = _loop(grid.counts[i], again, before[i], buffer)[1].stack()

        def back(j: Tensor, adjoint: Tensor, *gradients: Tensor) -> tuple[Tensor, ...]:
            k = grid.counts[i] - 1 - j
            adjoint, shares = one(i, k, inside[k], adjoint, gradients)
            return j + 1, adjoint, *shares

        result = _loop(grid.counts[i], back, adjoint, *gradients)
        return result[0], list(result[1:])

    def interval(j: Tensor, adjoint: Tensor, *gradients: Tensor) -> tuple[Tensor, ...]:
        i = grid.intervals - 1 - j
        adjoint = adjoint + upstream[i]
        if single:
            adjoint, shares = one(i, tf.constant(0), before[i], adjoint, gradients)
        else:
            adjoint, shares = inner(i, adjoint, gradients)
        return j + 1, adjoint, *shares

    return list(_loop(grid.intervals, interval, tf.zeros_like(x0), *[tf.zeros_like(leaf) for leaf in theta]))


def _static(counts: Tensor, most: Tensor) -> Any:
    """The largest count as a Python number where it is known: XLA must know the size of a buffer."""
    known = tf.get_static_value(counts)
    return most if known is None else int(np.max(known, initial=1))


def _steps(step: Callable[[Tensor, Tensor], Tensor], count: Tensor, x: Tensor) -> Tensor:
    return _loop(count, lambda k, x: (k + 1, tf.ensure_shape(step(k, x), x.shape)), x)[0]


def _loop(count: Tensor, body: Callable[..., Any], *carry: Any) -> tuple[Any, ...]:
    """`body(i, *carry)` returns (i + 1, *carry); the carry at the end."""
    return tf.while_loop(lambda i, *_: i < count, body, (tf.constant(0), *carry), maximum_iterations=count)[1:]
