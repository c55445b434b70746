"""The seam's loops on JAX: `lax` loops, with gradients written here. What each function gives: `odec.runtime.loops`.

Importing this file turns on JAX's 64 bits for the whole process: times are kept in float64 whatever the dtype of the
states is, and JAX would silently make them float32. Keras's own layers keep the dtype of their policy.

JAX has no reverse mode of a loop whose length is not known, and a function with a gradient of its own must not use
tracers from around it: `with_gradient` finds those and hands them in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from odec.runtime.backends.precision import keep_float64
from odec.runtime.moment import Finish, Moment, Step

jax.config.update("jax_enable_x64", True)
keep_float64()

Tensor = Any


def compiled(
    function: Callable[..., Any],
    shapes: Sequence[Sequence[int | None]] | None = None,
    dtypes: Sequence[str] = (),
    of_many_sizes: bool = False,
) -> Any:
    """A program for each combination of lengths, kept."""
    program = jax.jit(lambda *arguments: function(*arguments))
    if shapes is None:
        return program

    def run(*arguments: Any) -> Any:
        arrays = zip(arguments, dtypes, strict=True)
        return program(*(a if isinstance(a, jax.Array) else np.asarray(a, dtype) for a, dtype in arrays))

    return run


def works_in_blocks() -> bool:
    """On the CPU."""
    return jax.default_backend() == "cpu"


def compiles() -> bool:
    """Always: a compiled program inside another is a part of it."""
    return True


@contextmanager
def at_once() -> Iterator[None]:
    """With what is known."""
    with jax.ensure_compile_time_eval():
        yield


@contextmanager
def plain_graph() -> Iterator[None]:
    """JAX knows no other graphs."""
    yield


def either(condition: Tensor, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """A branch."""
    return lax.cond(condition, then, otherwise)


chosen = either


def repeat(count: Any, body: Callable[[Any, Any], Any], carry: Any) -> Any:
    """A loop over numbers."""
    carry = jax.tree.map(jnp.asarray, carry)
    return lax.fori_loop(0, count, lambda i, carry: _like(body(i, carry), carry), carry)


_differentiating: ContextVar[bool] = ContextVar("differentiating", default=False)


def derivable() -> AbstractContextManager[None]:
    """`bounded` loops have a derivative inside."""
    return _derived(True)


@contextmanager
def _derived(is_asked: bool) -> Iterator[None]:
    """Whether JAX differentiates what is traced inside. It does not look into what has a gradient of its own."""
    token = _differentiating.set(is_asked)
    try:
        yield
    finally:
        _differentiating.reset(token)


def bounded(
    going: Callable[..., Tensor], body: Callable[..., Any], carry: Sequence[Tensor], most: int
) -> tuple[Tensor, ...]:
    """A loop that ends early; where it is differentiated (`derivable`), one of `most` turns that do nothing at its
    end, for that has a derivative."""
    carry = tuple(map(jnp.asarray, carry))
    if _differentiating.get():

        def turn(carry: tuple[Tensor, ...], _: None) -> tuple[tuple[Tensor, ...], None]:
            return lax.cond(going(*carry), lambda: _like(tuple(body(*carry)), carry), lambda: carry), None

        return lax.scan(turn, carry, None, length=most)[0]

    def goes(state: Any) -> Tensor:
        return jnp.logical_and(state[0] < most, going(*state[1]))

    return lax.while_loop(goes, lambda state: (state[0] + 1, _like(tuple(body(*state[1])), state[1])), (0, carry))[1]


def recorded(
    going: Callable[..., Tensor],
    body: Callable[..., Any],
    carry: Sequence[Tensor],
    like: Sequence[Tensor],
    most: int | None,
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """A loop that ends early and writes into arrays of the whole length."""
    stacks = [jnp.zeros((most or 0, *leaf.shape), leaf.dtype) for leaf in like]

    def goes(state: Any) -> Tensor:
        k, carry, _ = state
        return going(k, *carry) if most is None else jnp.logical_and(k < most, going(k, *carry))

    def turn(state: Any) -> Any:
        k, carry, stacks = state
        new, record = body(k, *carry)
        written = [stack.at[k].set(leaf) for stack, leaf in zip(stacks, record, strict=True)]
        return k + 1, _like(list(new), carry), written

    count, last, stacks = lax.while_loop(goes, turn, (jnp.int32(0), list(map(jnp.asarray, carry)), stacks))
    return last, stacks, count


def backwards(count: Tensor, body: Callable[..., Sequence[Tensor]], carry: Sequence[Tensor]) -> list[Tensor]:
    """A loop over falling numbers."""

    def turn(state: Any) -> Any:
        k, carry = state
        return k - 1, _like(list(body(k, *carry)), carry)

    start = (jnp.asarray(count, jnp.int32) - 1, list(map(jnp.asarray, carry)))
    return lax.while_loop(lambda state: state[0] >= 0, turn, start)[1]


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
    """A scan over intervals. With counts that are not known it has no gradient: nothing could hold an interval.

    With `rows_first` and nothing to differentiate, states are written where they belong: half of the memory, and half
    of the time of a loop that moves them afterwards. The gradient reads them faster in the loop's own order.
    """
    known = None if isinstance(counts, jax.core.Tracer) else np.asarray(counts)
    walk = _Walk(step, finish, len(theta), single, known, _only(steps))
    times = (jnp.asarray(starts, jnp.float64), jnp.asarray(steps, jnp.float64), jnp.asarray(counts, jnp.int32))
    many = len(theta)

    def forward(x0: Tensor, *rest: Tensor) -> Tensor:
        return walk.forward(times, x0, rest[:many], rest[many:])

    def backward(upstream: Tensor, states: Tensor, x0: Tensor, *rest: Tensor) -> list[Tensor]:
        return walk.backward(times, x0, rest[:many], rest[many:], states, upstream)

    if known is None:
        states = forward(x0, *theta, *series)
        return jnp.moveaxis(states, -1, 0) if rows_first else states
    if not rows_first:
        return with_gradient(forward, backward, twice=True)(x0, *theta, *series)
    return with_gradient(
        lambda *inputs: jnp.moveaxis(forward(*inputs), -1, 0),
        lambda upstream, states, *inputs: backward(jnp.moveaxis(upstream, 0, -1), jnp.moveaxis(states, 0, -1), *inputs),
        lambda x0, *rest: walk.forward_in_rows(times, x0, rest[:many], rest[many:]),
        twice=True,
    )(x0, *theta, *series)


def _only(values: Any) -> np.float64 | None:
    """The one number that all of them are, where they are known and such."""
    if isinstance(values, jax.core.Tracer) or not np.size(values):
        return None
    first = np.float64(np.ravel(values)[0])
    return first if np.all(np.asarray(values) == first) else None


class _Walk:
    """The intervals of a trajectory, one after the other; `counts` are its counts as numbers, where they are known, and
    `length` that of all steps, where they are equal: a number is compiled into the step, an array read for each."""

    def __init__(
        self,
        step: Step,
        finish: Finish | None,
        many: int,
        single: bool,
        counts: np.ndarray | None,
        length: np.float64 | None,
    ) -> None:
        self.step, self.finish, self.many, self.single, self.length = step, finish, many, single, length
        self.most = 0 if counts is None else int(np.max(counts, initial=1))
        # Loops whose lengths all are the same number are simpler ones.
        self.same = counts is not None and bool(np.all(counts == self.most))

    def forward(self, times: Sequence[Tensor], x0: Tensor, theta: Sequence[Tensor], series: Sequence[Tensor]) -> Tensor:
        """The states at the ends."""

        def interval(x: Tensor, own: Any) -> tuple[Tensor, Tensor]:
            x = self._interval(own, x, theta)
            return x, x

        return lax.scan(interval, x0, (self._places(times), list(series)))[1]

    def forward_in_rows(
        self, times: Sequence[Tensor], x0: Tensor, theta: Sequence[Tensor], series: Sequence[Tensor]
    ) -> Tensor:
        """The same, the last axis first."""

        def interval(carry: tuple[Tensor, Tensor], own: Any) -> tuple[tuple[Tensor, Tensor], None]:
            x, states = carry
            x = self._interval(own, x, theta)
            placed = jnp.moveaxis(x, -1, 0)[:, None]
            return (x, lax.dynamic_update_slice_in_dim(states, placed, own[0][0], 1)), None

        states = jnp.zeros((x0.shape[-1], times[0].shape[0], *x0.shape[:-1]), x0.dtype)
        return lax.scan(interval, (x0, states), (self._places(times), list(series)))[0][1]

    def _interval(self, own: Any, x: Tensor, theta: Sequence[Tensor]) -> Tensor:
        """The state behind an interval."""
        leaves = [*theta, *own[1]]
        if self.single:
            x = self._stepped(own, 0, x, leaves)
        else:
            x = lax.fori_loop(0, self._count(own), lambda k, x: self._stepped(own, k, x, leaves), x)
        return self._finished(own, x, leaves)

    def backward(
        self,
        times: Sequence[Tensor],
        x0: Tensor,
        theta: Sequence[Tensor],
        series: Sequence[Tensor],
        states: Tensor,
        upstream: Tensor,
    ) -> list[Tensor]:
        """The gradients by x0, theta and series."""

        def interval(carry: Any, entry: Any) -> tuple[Any, list[Tensor]]:
            adjoint, gradients = carry
            own, sent = entry
            # Not an array of the states before, which would be another as large as that of those behind.
            i = own[0][0]
            start = jnp.where(i > 0, states[jnp.maximum(i - 1, 0)], x0)
            leaves = [*theta, *own[1]]
            shares = [*gradients, *map(jnp.zeros_like, own[1])]
            adjoint, shares = self._interval_back(own, start, leaves, adjoint + sent, shares)
            return (adjoint, shares[: self.many]), shares[self.many :]

        carry = (jnp.zeros_like(x0), list(map(jnp.zeros_like, theta)))
        entries = ((self._places(times), list(series)), upstream)
        (adjoint, gradients), by_series = lax.scan(interval, carry, entries, reverse=True)
        return [adjoint, *gradients, *by_series]

    def _interval_back(
        self, own: Any, start: Tensor, leaves: list[Tensor], adjoint: Tensor, shares: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """The adjoint at the start of an interval from the one at its end, and the shares with those of the interval.

        `shares` are the gradients by the leaves: theta and the interval's part of the series.
        """

        def through(function: Callable[..., Tensor], x: Tensor, carry: Any) -> tuple[Tensor, list[Tensor]]:
            adjoint, shares = carry
            first, *more = pulled_back(lambda x, *leaves: function(x, list(leaves)), [x, *leaves], adjoint)
            return first, [a + b for a, b in zip(shares, more, strict=True)]

        def ended(x: Tensor, carry: Any) -> Any:
            return carry if self.finish is None else through(lambda x, leaves: self._finished(own, x, leaves), x, carry)

        def stepped(k: Any, x: Tensor, carry: Any) -> Any:
            return through(lambda x, leaves: self._stepped(own, k, x, leaves), x, carry)

        if self.single:
            last = start if self.finish is None else self._stepped(own, 0, start, leaves)
            return stepped(0, start, ended(last, (adjoint, shares)))

        def again(k: Tensor, state: Any) -> Any:
            x, inside = state
            return self._stepped(own, k, x, leaves), inside.at[k].set(x)

        count = self._count(own)
        last, inside = lax.fori_loop(0, count, again, (start, jnp.zeros((self.most, *start.shape), start.dtype)))

        def back(j: Tensor, carry: Any) -> Any:
            k = count - 1 - j
            return stepped(k, inside[k], carry)

        adjoint, shares = lax.fori_loop(0, count, back, ended(last, (adjoint, shares)))
        return adjoint, shares

    def _stepped(self, own: Any, k: Any, x: Tensor, leaves: list[Tensor]) -> Tensor:
        return self.step(self._moment(own, k, x, leaves), x, leaves[: self.many]).astype(x.dtype)

    def _finished(self, own: Any, x: Tensor, leaves: list[Tensor]) -> Tensor:
        if self.finish is None:
            return x
        moment = self._moment(own, own[0][3], x, leaves)
        return self.finish(own[0][0], moment, x, leaves[: self.many]).astype(x.dtype)

    def _moment(self, own: Any, k: Any, x: Tensor, leaves: list[Tensor]) -> Moment:
        _, start, length, _ = own[0]
        length = length if self.length is None else self.length
        return Moment(start, length, k, self._count(own), x.dtype, tuple(leaves[self.many :]))

    def _count(self, own: Any) -> Any:
        return self.most if self.same else own[0][3]

    def _places(self, times: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """What belongs to each interval: its number, start, step and count."""
        return (jnp.arange(times[0].shape[0], dtype=jnp.int32), *times)


def in_blocks(
    function: Callable[..., Tensor],
    shared: Sequence[Tensor],
    rows: Sequence[Tensor],
    *,
    length: int,
    most: int,
) -> Tensor:
    """A loop over blocks of equal length, the last of which begins earlier where they do not fit: what it has in common
    with the one before is computed twice, and sent back once."""
    batch, many = rows[0].shape[0], len(shared)
    if batch <= most or not works_in_blocks():
        return function(*shared, *rows)
    count = -(-batch // length)
    size = -(-batch // count)

    def start(k: Tensor) -> Tensor:
        return jnp.minimum(k * size, batch - size)

    def part(array: Tensor, k: Tensor) -> Tensor:
        return lax.dynamic_slice_in_dim(array, start(k), size)

    def placed(array: Tensor, values: Tensor, k: Tensor) -> Tensor:
        return lax.dynamic_update_slice_in_dim(array, values, start(k), 0)

    def block(inputs: Sequence[Tensor], k: Tensor) -> list[Tensor]:
        return [*inputs[:many], *(part(array, k) for array in inputs[many:])]

    def forward(*inputs: Tensor) -> Tensor:
        like = jax.eval_shape(lambda: function(*block(inputs, 0)))

        def turn(k: Tensor, found: Tensor) -> Tensor:
            return placed(found, function(*block(inputs, k)), k)

        return lax.fori_loop(0, count, turn, jnp.zeros((batch, *like.shape[1:]), like.dtype))

    def backward(upstream: Tensor, _: Tensor, *inputs: Tensor) -> list[Tensor]:
        def turn(k: Tensor, found: list[Tensor]) -> list[Tensor]:
            sent = part(upstream, k)
            if batch % size:
                is_new = start(k) + jnp.arange(size) >= k * size
                sent = jnp.where(is_new.reshape(-1, *[1] * (sent.ndim - 1)), sent, 0)
            shares = pulled_back(function, block(inputs, k), sent)
            sums = [a + b for a, b in zip(found[:many], shares[:many], strict=True)]
            own = zip(found[many:], shares[many:], strict=True)
            return [*sums, *(placed(array, part(array, k) + share, k) for array, share in own)]

        return lax.fori_loop(0, count, turn, list(map(jnp.zeros_like, inputs)))

    return with_gradient(forward, backward, twice=True)(*shared, *rows)


def value_and_gradient(function: Callable[..., Tensor], *arguments: Tensor) -> tuple[Tensor, list[Tensor]]:
    """By reverse mode."""
    value, back = jax.vjp(function, *map(jnp.asarray, arguments))
    return value, list(back(jnp.ones_like(value)))


def with_gradient(
    forward: Callable[..., Any],
    backward: Callable[..., Sequence[Tensor]],
    alone: Callable[..., Any] | None = None,
    twice: bool = False,
) -> Callable[..., Any]:
    """The functions are traced at once, and what they use from around them becomes an input without a derivative.
    `alone` computes what `forward` does where no derivative is asked for. The gradient may be differentiated where it
    can be `twice`; else it takes for constants what is none (steps that were chosen, factors), and says no."""

    def run(*inputs: Tensor) -> Any:
        with _derived(False):
            ahead, shapes = jax.make_jaxpr(forward, return_shape=True)(*inputs)
            plain = ahead if alone is None else jax.make_jaxpr(alone)(*inputs)
        several = isinstance(shapes, tuple)

        def flat(upstream: Sequence[Tensor], found: Sequence[Tensor], *inputs: Tensor) -> list[Tensor]:
            sent = (tuple(upstream), tuple(found)) if several else (upstream[0], found[0])
            return [jnp.asarray(g, x.dtype) for g, x in zip(backward(*sent, *inputs), inputs, strict=True)]

        outputs = list(shapes) if several else [shapes]
        with _derived(False):
            behind = jax.make_jaxpr(flat)(outputs, outputs, *inputs)

        def sent_back(consts: Any, arguments: Any) -> list[Tensor]:
            return list(jaxpr_as_fun(ClosedJaxpr(behind.jaxpr, consts))(*arguments))

        gradient: Any = sent_back if twice else jax.custom_jvp(sent_back)
        if not twice:
            gradient.defjvp(_no_second_derivative)

        @jax.custom_vjp  # type: ignore[untyped-decorator]
        def call(around: Any, inputs: Any) -> list[Tensor]:
            return list(jaxpr_as_fun(ClosedJaxpr(plain.jaxpr, around[2]))(*inputs))

        def call_ahead(around: Any, inputs: Any) -> Any:
            found = list(jaxpr_as_fun(ClosedJaxpr(ahead.jaxpr, around[0]))(*inputs))
            return found, (around, inputs, found)

        def call_behind(kept: Any, upstream: Any) -> Any:
            around, inputs, found = kept
            # Whole numbers among the outputs are sent nothing back.
            sent = [jnp.zeros(f.shape, f.dtype) if _is_whole(f) else u for u, f in zip(upstream, found, strict=True)]
            return jax.tree.map(_nothing, around), gradient(around[1], [*sent, *found, *inputs])

        call.defvjp(call_ahead, call_behind)
        found = call((list(ahead.consts), list(behind.consts), list(plain.consts)), list(inputs))
        return tuple(found) if several else found[0]

    return run


def once(x: Tensor) -> Tensor:
    """By a gradient that says no."""
    return with_gradient(lambda x: x, lambda upstream, *_: [upstream])(x)


def _no_second_derivative(*_: Any) -> Any:
    raise NotImplementedError(
        "adaptive steps, stiff ones and `when` have first derivatives only: for a second one, take fixed steps of an "
        "explicit method (`h=…, method='rk4'`)"
    )


def _is_whole(x: Tensor) -> bool:
    return not jnp.issubdtype(x.dtype, jnp.floating)


def _nothing(x: Tensor) -> Any:
    """The derivative by what is not differentiated."""
    return np.zeros(x.shape, jax.dtypes.float0) if _is_whole(x) else jnp.zeros_like(x)


def pulled_back(function: Callable[..., Any], inputs: Sequence[Tensor], upstream: Any) -> list[Tensor]:
    """By reverse mode, one call."""
    with derivable():
        outputs, back = jax.vjp(lambda *inputs: jax.tree.leaves(function(*inputs)), *inputs)
    return list(back([jnp.asarray(u, y.dtype) for u, y in zip(jax.tree.leaves(upstream), outputs, strict=True)]))


def forbidden(x: Tensor, message: str) -> Tensor:
    """By a gradient that raises."""

    def raising(*_: Tensor) -> list[Tensor]:
        raise ValueError(message)

    @jax.custom_vjp  # type: ignore[untyped-decorator]
    def same(x: Tensor) -> Tensor:
        return x

    same.defvjp(lambda x: (x, None), raising)
    return same(x)


def _like(new: Any, old: Any) -> Any:
    """The new carry of a loop in the dtypes of the old one: whole numbers become 64 bits in sums."""
    return jax.tree.map(lambda a, b: jnp.asarray(a, b.dtype), new, old)
