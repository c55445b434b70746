"""A model's equations on packed arrays: states (D, batch), parameters and constants in two arrays, batch last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from odec.runtime.contract import Model

Tensor = Any


@dataclass(frozen=True)
class Slots:
    """Where each param and const of a model is found: `shared` names in a vector (S,), `rows` names in an array (R,
    batch), `numbers` are known when the program is built. Together `theta = (vector, array)` carries all that may be
    differentiated.
    """

    shared: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    numbers: tuple[tuple[str, float], ...] = ()

    def values(self, theta: Sequence[Tensor]) -> dict[str, Any]:
        """Each name with its Python number, 0-d tensor or array (batch,)."""
        values: dict[str, Any] = dict(self.numbers)
        for names, packed in zip((self.shared, self.rows), theta, strict=True):
            if names:
                values.update(zip(names, ops.unstack(packed, len(names), axis=0), strict=True))
        return values


@dataclass(frozen=True)
class Equations:
    """A generated class with its slots: the meeting place of what the module says and what the loops need."""

    model: type[Model]
    slots: Slots

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the states, in the order of the packed array."""
        return tuple(state.name for state in self.model.description.states)

    def arguments(self, theta: Sequence[Tensor]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """`p` and `c` as the generated functions take them."""
        values, description = self.slots.values(theta), self.model.description
        return tuple(values[q.name] for q in description.params), tuple(values[q.name] for q in description.consts)

    def initial(self, theta: Sequence[Tensor], given: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """The start (D, batch): the model's values, or `given` ones; `like` (batch,) has the shape of one state."""
        p, c = self.arguments(theta)
        own = dict(zip(self.states, self.model.initial(p, c), strict=True))
        missing = [name for name in self.states if name not in given and own[name] is None]
        if missing:
            raise ValueError(
                f"{self.model.__name__} has no initial value for {', '.join(missing)}: give one for each state "
                f"({', '.join(self.states)})"
            )
        return packed([given.get(name, own[name]) for name in self.states], like)

    def rhs(self, t: Tensor, x: Tensor, theta: Sequence[Tensor]) -> Tensor:
        """dx/dt (D, batch) at the scalar time t."""
        p, c = self.arguments(theta)
        rows = unpacked(x)
        return packed(self.model.rhs(t, rows, p, c), rows[0])

    def columns(self, t: Tensor, x: Tensor, theta: Sequence[Tensor], names: Sequence[str]) -> Tensor:
        """The asked states and outputs (T, C, batch) of states x (T, D, batch) at times t (T,)."""
        if set(names) <= set(self.states):
            return (
                x if tuple(names) == self.states else ops.take(x, [self.states.index(name) for name in names], axis=1)
            )
        t, flat, theta = _flattened(t, x, theta)
        p, c = self.arguments(theta)
        rows = unpacked(flat)
        values = packed(self._named(t, rows, p, c, names), rows[0])
        return _unflattened(values, x)

    def _named(self, t: Tensor, rows: tuple[Tensor, ...], p: Any, c: Any, names: Sequence[str]) -> list[Tensor]:
        found = dict(zip(self.states, rows, strict=True))
        outputs = self.model.outputs(t, rows, p, c)
        found.update(zip((output.name for output in self.model.description.outputs), outputs, strict=True))
        # An output that names a state (`observe x1`) is the state.
        found.update(zip(self.states, rows, strict=True))
        return [found[name] for name in names]


@dataclass(frozen=True)
class Variations:
    """The equations with their sensitivities: arrays z (D, 1 + P, batch), the state first, then its derivative by
    each of `wrt`.

    `wrt` are names of params, or of states whose initial value is meant. One array, so that any one-step method steps
    it as it steps a state: the result is the exact derivative of what the method computed.
    """

    equations: Equations
    wrt: tuple[str, ...]

    def initial(self, theta: Sequence[Tensor], given: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """A state in `given` starts there whatever the params are: its sensitivity to them starts at zero."""
        equations = self.equations
        x0 = equations.initial(theta, given, like)
        p, c = equations.arguments(theta)
        own = {pair: v for pair, v in equations.model.initial_p(p, c).items() if pair[0] not in given}
        own.update({(name, name): 1.0 for name in self.wrt if name in equations.states})
        return ops.concatenate([x0[:, None], self._placed(own, equations.states, like)], axis=1)

    def rhs(self, t: Tensor, z: Tensor, theta: Sequence[Tensor]) -> Tensor:
        """x' = f, S' = (∂f/∂x) S + ∂f/∂p."""
        equations = self.equations
        p, c = equations.arguments(theta)
        x, s = unpacked(z[:, 0]), z[:, 1:]
        slopes = packed(equations.model.rhs(t, x, p, c), x[0])
        by_state, by_param = equations.model.rhs_x(t, x, p, c), equations.model.rhs_p(t, x, p, c)
        return ops.concatenate([slopes[:, None], self._chained(by_state, by_param, equations.states, s, x[0])], axis=1)

    def columns(self, t: Tensor, z: Tensor, theta: Sequence[Tensor], names: Sequence[str]) -> Tensor:
        """The asked columns with their sensitivities (T, C, 1 + P, batch) from z (T, D, 1 + P, batch)."""
        equations, states = self.equations, self.equations.states
        if set(names) <= set(states):
            return z if tuple(names) == states else ops.take(z, [states.index(name) for name in names], axis=1)
        t, x, theta = _flattened(t, z[:, :, 0], theta)
        s = ops.transpose(z[:, :, 1:], (1, 2, 0, 3))
        s = ops.reshape(s, (len(states), len(self.wrt), -1))
        p, c = equations.arguments(theta)
        rows = unpacked(x)
        values = packed(equations._named(t, rows, p, c, names), rows[0])
        by_state = {pair: v for pair, v in equations.model.outputs_x(t, rows, p, c).items() if pair[0] not in states}
        by_state.update({(name, name): 1.0 for name in names if name in states})
        by_param = {pair: v for pair, v in equations.model.outputs_p(t, rows, p, c).items() if pair[0] not in states}
        chained = self._chained(by_state, by_param, names, s, rows[0])
        flat = ops.concatenate([values[:, None], chained], axis=1)
        shape = ops.shape(z)
        return ops.transpose(ops.reshape(flat, (len(names), 1 + len(self.wrt), shape[0], shape[3])), (2, 0, 1, 3))

    def _chained(self, by_state: dict, by_param: dict, targets: Sequence[str], s: Tensor, like: Tensor) -> Tensor:
        """Σ_j (∂target/∂x_j) S_j + ∂target/∂p, (targets, P, batch), over the nonzero derivatives only."""
        states = self.equations.states
        direct = self._placed(by_param, targets, like)
        rows = []
        for i, target in enumerate(targets):
            row = direct[i]
            for j, state in enumerate(states):
                if (target, state) in by_state:
                    row = row + by_state[target, state] * s[j]
            rows.append(row)
        return ops.stack(rows, axis=0)

    def _placed(self, entries: Mapping[tuple[str, str], Any], targets: Sequence[str], like: Tensor) -> Tensor:
        """The derivatives in `entries` as an array (targets, P, batch), zero elsewhere."""
        blank = ops.zeros_like(like)
        zero = ops.stack([blank] * len(self.wrt), axis=0)
        rows = []
        for target in targets:
            present = [name for name in self.wrt if (target, name) in entries]
            if not present:
                rows.append(zero)
                continue
            values = [entries.get((target, name), 0.0) for name in self.wrt]
            rows.append(packed(values, like))
        return ops.stack(rows, axis=0)


def packed(values: Iterable[Any], like: Tensor) -> Tensor:
    """Numbers, 0-d tensors and arrays (batch,) as one array (len, batch) of the shape and dtype of `like` (batch,)."""
    return ops.stack([_broadcast(value, like) for value in values], axis=0)


def _broadcast(value: Any, like: Tensor) -> Tensor:
    if isinstance(value, (int, float, np.number, np.ndarray)) and np.ndim(value) == 0:
        return ops.full_like(like, float(value))
    value = ops.cast(value, like.dtype)
    return value if len(value.shape) == 1 else ops.broadcast_to(value, ops.shape(like))


def unpacked(x: Tensor) -> tuple[Tensor, ...]:
    """The rows of an array (D, batch)."""
    return tuple(ops.unstack(x, axis=0))


def _flattened(t: Tensor, x: Tensor, theta: Sequence[Tensor]) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Times t (T,) and states x (T, D, batch) as one batch of T·batch: outputs of all times are one evaluation."""
    count, batch = ops.shape(x)[0], ops.shape(x)[2]
    shared, rows = theta
    times = ops.reshape(ops.broadcast_to(t[:, None], (count, batch)), (-1,))
    flat = ops.reshape(ops.transpose(x, (1, 0, 2)), (x.shape[1], -1))
    return times, flat, (shared, ops.tile(rows, (1, count)))


def _unflattened(values: Tensor, x: Tensor) -> Tensor:
    """(C, T·batch) as (T, C, batch)."""
    count, batch = ops.shape(x)[0], ops.shape(x)[2]
    return ops.transpose(ops.reshape(values, (values.shape[0], count, batch)), (1, 0, 2))
