"""The seam's loops on TensorFlow: compiled by XLA, with gradients written here. What each function gives: `loops.py`.

Measured on TensorFlow 2.21: XLA compiles the gradient of a loop only with a static bound, and not at all when a
variable is read inside; so loops are bounded (`maximum_iterations`, `element_shape`), everything a body needs comes
in as a tensor, and the gradient of a trajectory is written here by hand instead of left to the framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache, partial
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.ops.control_flow_ops import XLAControlFlowContext
from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext

from odec.runtime.moment import Finish, Moment, Step

Tensor = Any


def compiled(
    function: Callable[..., Any],
    shapes: Sequence[Sequence[int | None]] | None = None,
    dtypes: Sequence[str] = (),
    of_many_sizes: bool = False,
) -> Any:
    """The function as one XLA program, or as a graph where it takes arrays `of_many_sizes`, for each of which XLA would
    compile again. With `shapes` (None for any length) other lengths need no new trace."""
    # A partial, because TensorFlow counts traces by code object and would warn of closures that share one.
    program = tf.function(partial(function), jit_compile=not of_many_sizes, autograph=False)
    if shapes is None:
        return program
    signature = [tf.TensorSpec(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]

    @cache
    def traced() -> tuple[Any, Any, bool]:
        found = program.get_concrete_function(*signature)
        return found.inference_fn, found.captured_inputs, isinstance(found.structured_outputs, tuple)

    def run(*arguments: Any) -> Any:
        # Called itself, `program` would bind its arguments and look up what it was traced for: ten of them in 0.25 ms,
        # ten times as long as the call.
        function, captured, gives_tuple = traced()
        # `tf.is_tensor` looks through a protocol: 10 µs for each array.
        arrays = zip(arguments, dtypes, strict=True)
        flat = (a if isinstance(a, tf.Tensor) else tf.constant(a, dtype) for a, dtype in arrays)
        outputs = function.call_flat(*flat, *captured)
        return tuple(outputs) if gives_tuple else outputs[0]

    return run


@cache
def works_in_blocks() -> bool:
    """On the CPU."""
    return not tf.config.list_logical_devices("GPU")


_plain: ContextVar[bool] = ContextVar("plain", default=False)


def compiles() -> bool:
    """Whether a layer compiles its loop by itself: always, but inside `plain_graph` and in a graph that is compiled.

    Run one by one, 1,000 steps would take seconds; in a graph that is not compiled, as Keras makes on a machine without
    a GPU (`jit_compile="auto"`), 14 ms instead of 0.2. A compiled graph inside another makes XLA take the weights for
    constants where it is differentiated, and compile again after each step of an optimizer.
    """
    return not (_plain.get() or _in_compiled_graph())


@contextmanager
def at_once() -> Iterator[None]:
    """Eagerly."""
    with tf.init_scope():
        yield


@contextmanager
def plain_graph() -> Iterator[None]:
    """Layers traced inside write their loop for other machines than XLA: no gradients, which a saved graph would hold;
    no bound on a loop, which ONNX's has in another type of integer; rows of arrays taken by `gather`, and times in the
    precision of the states: LiteRT and OpenVINO have no others inside a loop. `tests/test_export.py` runs such files.
    """
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


def bounded(
    going: Callable[..., Tensor], body: Callable[..., Any], carry: Sequence[Tensor], most: int
) -> tuple[Tensor, ...]:
    """`carry = body(*carry)` while `going(*carry)`, at most `most` times; the shapes of the carry stay."""
    shapes = [leaf.shape for leaf in carry]

    def turn(*state: Tensor) -> list[Tensor]:
        return [tf.ensure_shape(leaf, shape) for leaf, shape in zip(body(*state), shapes, strict=True)]

    return tuple(tf.while_loop(going, turn, list(carry), maximum_iterations=_bound(most)))


def either(condition: Tensor, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """One of two branches, of which only that one is computed."""
    return tf.cond(condition, then, otherwise)


_taping: ContextVar[bool] = ContextVar("taping", default=False)


def chosen(condition: Tensor, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """One of two nests of tensors, of which only that one is computed; but where derivatives are taken (`pulled_back`)
    both are: XLA does not compile the gradient of a branch when the length of a batch is not known beforehand."""
    if not _taping.get():
        return tf.cond(condition, then, otherwise)
    return tf.nest.map_structure(lambda a, b: tf.where(condition, a, b), then(), otherwise())


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
    """A loop over intervals. Second derivatives are NaN."""
    precision = x0.dtype if _plain.get() else tf.float64
    grid = _Grid(
        tf.cast(tf.convert_to_tensor(starts, tf.float64), precision),
        tf.cast(tf.convert_to_tensor(steps, tf.float64), precision),
        tf.convert_to_tensor(counts, tf.int32),
        step,
        finish,
        single,
    )
    many = len(theta)

    def placed(states: Tensor) -> Tensor:
        rank = len(x0.shape)
        return tf.transpose(states, [rank, *range(rank)]) if rows_first else states

    if _plain.get():
        return placed(_forward(grid, x0, theta, series))
    forward = _underivable(_alone(lambda x0, *rest: _forward(grid, x0, rest[:many], rest[many:])))
    backward = _underivable(
        lambda upstream, states, x0, *rest: _backward(grid, x0, rest[:many], rest[many:], states, upstream)
    )

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def run(x0: Tensor, *rest: Tensor) -> tuple[Tensor, Callable[[Tensor], Any]]:
        states = forward(x0, *rest)
        # A gather of some of the states sends back IndexedSlices.
        return states, lambda upstream: backward(tf.convert_to_tensor(upstream), states, x0, *rest)

    return placed(run(x0, *theta, *series))


def in_blocks(
    function: Callable[..., Tensor],
    shared: Sequence[Tensor],
    rows: Sequence[Tensor],
    *,
    length: int,
    most: int,
) -> Tensor:
    """A loop over blocks of equal length, the last of which the last row fills up. Where the batch is not known
    beforehand there is always a loop, be it of one turn."""
    batch = rows[0].shape[0]
    if _plain.get() or not works_in_blocks() or (batch is not None and batch <= most):
        return function(*shared, *rows)
    if batch is None:
        batch = tf.shape(rows[0])[0]
        count = tf.where(batch <= most, 1, -(-batch // length))
    else:
        count = -(-batch // length)
    size = -(-batch // count)
    many = len(shared)

    def blocks(array: Tensor, filling: Tensor) -> Tensor:
        """(count, size, …), the rows behind the last one being `filling` (1, …)."""
        rest = [tf.shape(array)[i] if n is None else n for i, n in enumerate(array.shape)][1:]
        behind = tf.broadcast_to(filling, [count * size - batch, *rest])
        return tf.reshape(tf.concat([array, behind], axis=0), [count, size, *rest])

    def stacks(like: Sequence[Tensor]) -> list[tf.TensorArray]:
        return [tf.TensorArray(leaf.dtype, size=count, element_shape=leaf.shape[1:]) for leaf in like]

    def joined(stack: tf.TensorArray, shape: Any) -> Tensor:
        """(batch, …) of blocks of that shape."""
        values = stack.stack()
        flat = tf.reshape(values, tf.concat([[count * size], tf.shape(values)[2:]], axis=0))[:batch]
        return tf.ensure_shape(flat, [rows[0].shape[0], *shape[1:]])

    def forward(*inputs: Tensor) -> Tensor:
        own = [blocks(array, array[-1:]) for array in inputs[many:]]
        shapes = []

        def turn(k: Tensor, found: tf.TensorArray) -> tuple[Tensor, tf.TensorArray]:
            block = function(*inputs[:many], *(array[k] for array in own))
            shapes.append(block.shape)
            return k + 1, found.write(k, block)

        found = _loop(count, turn, tf.TensorArray(shared[0].dtype, size=count))[0]
        return joined(found, shapes[0])

    def backward(upstream: Tensor, _: Tensor, *inputs: Tensor) -> list[Tensor]:
        own = [blocks(array, array[-1:]) for array in inputs[many:]]
        sent = blocks(upstream, tf.zeros_like(upstream[-1:]))

        def turn(k: Tensor, found: Sequence[tf.TensorArray], *sums: Tensor) -> tuple[Any, ...]:
            shares = pulled_back(function, [*inputs[:many], *(array[k] for array in own)], sent[k])
            written = [stack.write(k, share) for stack, share in zip(found, shares[many:], strict=True)]
            return k + 1, written, *(a + b for a, b in zip(sums, shares[:many], strict=True))

        found, *sums = _loop(count, turn, stacks(own), *map(tf.zeros_like, inputs[:many]))
        return [*sums, *(joined(stack, array.shape[1:]) for stack, array in zip(found, own, strict=True))]

    return with_gradient(forward, backward)(*shared, *rows)


def _alone(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose inside nothing is differentiated through, not even where its result is."""

    def run(*inputs: Tensor) -> Any:
        token = _taping.set(False)
        try:
            return function(*inputs)
        finally:
            _taping.reset(token)

    return run


def _underivable(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with NaN as its derivative, where one is asked for.

    A persistent tape builds second derivatives whether they are asked for or not, and those of nested loops do not
    compile. NaN, because zero would be a lie.
    """
    if _plain.get():
        return function
    compiled_here = _in_compiled_graph()

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def run(*inputs: Tensor) -> tuple[Any, Callable[..., list[Tensor]]]:
        def derivative(*upstream: Tensor) -> list[Tensor]:
            asked = tf.reduce_any(tf.stack([tf.reduce_any(value != 0) for value in upstream]))
            filling = tf.where(asked, tf.constant(float("nan"), tf.float64), 0)
            return [tf.fill(tf.shape(value), tf.cast(filling, value.dtype)) for value in inputs]

        with _as_compiled(compiled_here):
            return function(*inputs), derivative

    return run


def once(x: Tensor) -> Tensor:
    """Second derivatives are NaN in any case."""
    return x


def forbidden(x: Tensor, message: str) -> Tensor:
    """x, which nothing may be differentiated through: ValueError with that message where it is tried."""
    if _plain.get():
        return x

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def run(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        def derivative(_: Tensor) -> Tensor:
            raise ValueError(message)

        return tf.identity(x), derivative

    return run(x)


def _in_compiled_graph() -> bool:
    return bool(GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()))


@contextmanager
def _as_compiled(is_compiled: bool) -> Iterator[None]:
    """What is traced inside is marked as a part of a compiled program, if it is one.

    The gradient of such a program is compiled too, but traced later, where TensorFlow does not know that. It then keeps
    what the gradient of a branch needs in a form that XLA has no operation for.
    """
    if not is_compiled or _in_compiled_graph():
        yield
        return
    context = XLAControlFlowContext()
    context.Enter()
    try:
        yield
    finally:
        context.Exit()


def with_gradient(forward: Callable[..., Any], backward: Callable[..., Sequence[Tensor]]) -> Callable[..., Any]:
    """`forward(*inputs)`, whose gradient is `backward(upstream, output, *inputs)`: one for each input, of its shape.

    Where `forward` gives a tuple, `upstream` and `output` are tuples. What the two take from around them must not
    depend on what is differentiated. Second derivatives are NaN.
    """
    if _plain.get():
        return forward

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def run(*inputs: Tensor) -> tuple[Any, Callable[..., Any]]:
        # A persistent tape would else keep what is inside, out of a compiled program.
        output = _underivable(forward)(*inputs)
        several = isinstance(output, tuple)
        outputs = output if several else (output,)

        def flat(*leaves: Tensor) -> list[Tensor]:
            upstream, found = leaves[: len(outputs)], leaves[len(outputs) : 2 * len(outputs)]
            rest = leaves[2 * len(outputs) :]
            return list(backward(upstream, found, *rest) if several else backward(upstream[0], found[0], *rest))

        derivative = _underivable(flat)
        return output, lambda *upstream: derivative(*map(tf.convert_to_tensor, upstream), *outputs, *inputs)

    return run


def derivable() -> AbstractContextManager[None]:
    """All loops are."""
    return nullcontext()


def pulled_back(function: Callable[..., Any], inputs: Sequence[Tensor], upstream: Any) -> list[Tensor]:
    """The gradients by `inputs` of Σ upstream · function(*inputs), zero where an input does not matter."""
    token = _taping.set(True)
    try:
        with tf.GradientTape() as tape:
            tape.watch(list(inputs))
            outputs = function(*inputs)
    finally:
        _taping.reset(token)
    return list(tape.gradient(outputs, list(inputs), output_gradients=upstream, unconnected_gradients="zero"))


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
    carry = [tf.convert_to_tensor(leaf) for leaf in carry]
    stacks = [tf.TensorArray(leaf.dtype, size=most, element_shape=leaf.shape) for leaf in like]

    def turn(k: Tensor, carry: Sequence[Tensor], stacks: Sequence[Any]) -> tuple[Any, ...]:
        new, record = body(k, *carry)
        new = [tf.ensure_shape(leaf, old.shape) for leaf, old in zip(new, carry, strict=True)]
        return k + 1, new, [stack.write(k, leaf) for stack, leaf in zip(stacks, record, strict=True)]

    count, last, stacks = tf.while_loop(
        lambda k, carry, _: going(k, *carry), turn, (tf.constant(0), carry, stacks), maximum_iterations=_bound(most)
    )
    return list(last), [stack.stack() for stack in stacks], count


def backwards(count: Tensor, body: Callable[..., Sequence[Tensor]], carry: Sequence[Tensor]) -> list[Tensor]:
    """`carry = body(k, *carry)` for k = count − 1 … 0, inside a compiled program.

    k is carried along: one computed from `count`, and used as an index, would make XLA take `count`, and what it was
    computed from, for constants, and compile again for each of their values.
    """

    def turn(k: Tensor, carry: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        new = body(k, *carry)
        return k - 1, [tf.ensure_shape(leaf, old.shape) for leaf, old in zip(new, carry, strict=True)]

    start = (tf.convert_to_tensor(count) - 1, [tf.convert_to_tensor(leaf) for leaf in carry])
    return list(tf.while_loop(lambda k, _: k >= 0, turn, start)[1])


class _Grid:
    """The intervals as tensors, time in float64 until the moment it is used, and what happens in them."""

    def __init__(
        self, starts: Tensor, steps: Tensor, counts: Tensor, step: Step, finish: Finish | None, single: bool
    ) -> None:
        self.starts, self.steps, self.counts = starts, steps, counts
        self.step, self.end, self.single = step, finish, single

    @property
    def intervals(self) -> Tensor:
        return tf.shape(self.starts)[0]

    def moment(self, i: Tensor, k: Tensor, dtype: Any, series: Sequence[Tensor]) -> Moment:
        return Moment(_row(self.starts, i), _row(self.steps, i), k, _row(self.counts, i), dtype, tuple(series))

    def apply(self, i: Tensor, k: Tensor, x: Tensor, theta: Sequence[Tensor], series: Sequence[Tensor]) -> Tensor:
        """Step k of interval i, whose parts of the series are `series`."""
        return self.step(self.moment(i, k, x.dtype, series), x, theta)

    def finish(self, i: Tensor, x: Tensor, theta: Sequence[Tensor], series: Sequence[Tensor]) -> Tensor:
        """What happens behind the last step of interval i."""
        if self.end is None:
            return x
        return self.end(i, self.moment(i, _row(self.counts, i), x.dtype, series), x, theta)


def _forward(grid: _Grid, x0: Tensor, theta: Sequence[Tensor], series: Sequence[Tensor]) -> Tensor:
    states = tf.TensorArray(x0.dtype, size=grid.intervals, element_shape=x0.shape)

    def interval(i: Tensor, x: Tensor, states: tf.TensorArray) -> tuple[Tensor, Tensor, tf.TensorArray]:
        own = [_row(leaf, i) for leaf in series]
        if grid.single:
            x = grid.apply(i, tf.constant(0), x, theta, own)
        else:
            x = _steps(lambda k, x: grid.apply(i, k, x, theta, own), _row(grid.counts, i), x)
        x = grid.finish(i, x, theta, own)
        return i + 1, tf.ensure_shape(x, x0.shape), states.write(i, x)

    return _loop(grid.intervals, interval, x0, states)[1].stack()


def _backward(
    grid: _Grid, x0: Tensor, theta: Sequence[Tensor], series: Sequence[Tensor], states: Tensor, upstream: Tensor
) -> list[Tensor]:
    """The gradients by x0, theta and series. Those by theta and by the interval's series are carried as one list."""
    before, many = tf.concat([x0[None], states[:-1]], axis=0), len(theta)
    most = tf.reduce_max(grid.counts) if grid.counts.shape[0] != 0 else tf.constant(1)
    size = _static(grid.counts, most)

    def shared(
        function: Callable[[Tensor, Sequence[Tensor]], Tensor],
        x: Tensor,
        leaves: Sequence[Tensor],
        adjoint: Tensor,
        gradients: Sequence[Tensor],
    ) -> tuple[Tensor, list[Tensor]]:
        """The adjoint before `function(x, leaves)` from the one behind it, the gradients with its share."""
        shares = pulled_back(lambda x, *leaves: function(x, leaves), [x, *leaves], adjoint)
        return shares[0], [g + share for g, share in zip(gradients, shares[1:], strict=True)]

    def one(i: Tensor, k: Tensor, x: Tensor, leaves: Sequence[Tensor], *carry: Any) -> tuple[Tensor, list[Tensor]]:
        return shared(lambda x, leaves: grid.apply(i, k, x, leaves[:many], leaves[many:]), x, leaves, *carry)

    def ended(i: Tensor, x: Tensor, leaves: Sequence[Tensor], *carry: Any) -> tuple[Tensor, list[Tensor]]:
        if grid.end is None:
            return carry[0], carry[1]
        return shared(lambda x, leaves: grid.finish(i, x, leaves[:many], leaves[many:]), x, leaves, *carry)

    def alone(i: Tensor, leaves: Sequence[Tensor], *carry: Any) -> tuple[Tensor, list[Tensor]]:
        """Through an interval of one step."""
        last = before[i] if grid.end is None else grid.apply(i, tf.constant(0), before[i], leaves[:many], leaves[many:])
        return one(i, tf.constant(0), before[i], leaves, *ended(i, last, leaves, *carry))

    def inner(
        i: Tensor, leaves: Sequence[Tensor], adjoint: Tensor, gradients: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        buffer = tf.TensorArray(x0.dtype, size=size, element_shape=x0.shape, clear_after_read=False)

        def again(k: Tensor, x: Tensor, buffer: tf.TensorArray) -> tuple[Tensor, Tensor, tf.TensorArray]:
            after = grid.apply(i, k, x, leaves[:many], leaves[many:])
            return k + 1, tf.ensure_shape(after, x0.shape), buffer.write(k, x)

        last, buffer = _loop(grid.counts[i], again, before[i], buffer)
        inside = buffer.stack()
        adjoint, gradients = ended(i, last, leaves, adjoint, gradients)

        def back(j: Tensor, adjoint: Tensor, *gradients: Tensor) -> tuple[Tensor, ...]:
            k = grid.counts[i] - 1 - j
            adjoint, shares = one(i, k, inside[k], leaves, adjoint, gradients)
            return j + 1, adjoint, *shares

        result = _loop(grid.counts[i], back, adjoint, *gradients)
        return result[0], list(result[1:])

    def interval(j: Tensor, adjoint: Tensor, written: Any, *gradients: Tensor) -> tuple[Any, ...]:
        i = grid.intervals - 1 - j
        own = [leaf[i] for leaf in series]
        leaves, sums = [*theta, *own], [*gradients, *map(tf.zeros_like, own)]
        adjoint, sums = (alone if grid.single else inner)(i, leaves, adjoint + upstream[i], sums)
        written = [array.write(i, part) for array, part in zip(written, sums[many:], strict=True)]
        return j + 1, adjoint, written, *sums[:many]

    blank = [tf.TensorArray(leaf.dtype, size=grid.intervals, element_shape=leaf.shape[1:]) for leaf in series]
    result = _loop(grid.intervals, interval, tf.zeros_like(x0), blank, *map(tf.zeros_like, theta))
    return [result[0], *result[2:], *(array.stack() for array in result[1])]


def _static(counts: Tensor, most: Tensor) -> Any:
    """The largest count as a Python number where it is known: XLA must know the size of a buffer."""
    known = tf.get_static_value(counts)
    return most if known is None else int(np.max(known, initial=1))


def _steps(step: Callable[[Tensor, Tensor], Tensor], count: Tensor, x: Tensor) -> Tensor:
    return _loop(count, lambda k, x: (k + 1, tf.ensure_shape(step(k, x), x.shape)), x)[0]


def _loop(count: Tensor, body: Callable[..., Any], *carry: Any) -> tuple[Any, ...]:
    """`body(i, *carry)` returns (i + 1, *carry); the carry at the end."""
    return tf.while_loop(lambda i, *_: i < count, body, (tf.constant(0), *carry), maximum_iterations=_bound(count))[1:]


def _bound(most: Any) -> Any:
    """How often a loop turns at most; XLA must know it, and in a plain graph nobody may (see `plain_graph`)."""
    return None if _plain.get() else most


def _row(array: Tensor, i: Tensor) -> Tensor:
    """Row i, a number that is known when the program runs."""
    return tf.gather(array, i) if _plain.get() else array[i]
