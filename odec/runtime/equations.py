"""A model's equations on packed arrays: states (D, batch), parameters and constants in two arrays, batch last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from keras import ops

from odec.runtime.contract import Model
from odec.runtime.layout import Layout, spread
from odec.runtime.nets import check_nets, no_derivatives
from odec.runtime.working import is_known, working_in

Tensor = Any
Values = tuple[Any, ...]


@dataclass(frozen=True)
class Slots:
    """Where each param and const of a model is found: `shared` names in a vector (S,), `rows` names in an array (R,
    batch), `numbers` are known when the program is built. Together `theta = (vector, array)` carries all that may be
    differentiated. An array takes as many places as it has elements; an array among `numbers` is nested tuples. Where
    none of its names is an array, either of the two may be a tuple of its places (`lanes`).
    """

    shared: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    numbers: tuple[tuple[str, Any], ...] = ()

    def values(self, theta: Sequence[Tensor], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
        """Each name with its Python number, 0-d tensor, array (batch,), or array (*shape, batch or 1)."""
        like = theta[1][0] if isinstance(theta[1], tuple) else theta[1]
        values: dict[str, Any] = {name: _constant(value, like.dtype) for name, value in self.numbers}
        for names, packed in zip((self.shared, self.rows), theta, strict=True):
            if isinstance(packed, tuple):
                values.update(zip(names, packed, strict=True))
            elif names:
                layout = Layout(names, tuple(shapes[name] for name in names))
                shared_arrays = packed[:, None] if len(packed.shape) == 1 and not layout.is_scalar else packed
                found = layout.unpacked(shared_arrays)
                if shared_arrays is not packed:
                    found = tuple(v if shape else v[0] for v, shape in zip(found, layout.shapes, strict=True))
                values.update(zip(names, found, strict=True))
        return values


def repeated(theta: Sequence[Any], count: int) -> tuple[Any, Any]:
    """theta for a batch that is `count` times the one it is for; what all rows share stays."""

    def tiled(values: Tensor) -> Tensor:
        return values if values.shape[-1] == 1 else ops.tile(values, (*(1,) * (len(values.shape) - 1), count))

    shared, rows = theta
    wide = tuple(map(tiled, shared)) if isinstance(shared, tuple) else shared
    return wide, tuple(map(tiled, rows)) if isinstance(rows, tuple) else tiled(rows)


def _constant(value: Any, dtype: str) -> Any:
    return ops.convert_to_tensor(np.asarray(value), dtype=dtype) if isinstance(value, tuple) else value


@dataclass(frozen=True)
class Equations:
    """A generated class with its slots: the meeting place of what the module says and what the loops need."""

    model: type[Model]
    slots: Slots

    def __post_init__(self) -> None:
        check_nets(self.model)

    @cached_property
    def layout(self) -> Layout:
        """Of the packed states."""
        return Layout.of(self.model.description.states)

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the packed array's rows."""
        return self.layout.elements

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the params, consts and sizes."""
        description = self.model.description
        items: tuple[Any, ...] = (*description.params, *description.consts)
        return {item.name: item.shape for item in items}

    def lanes(self, theta: Sequence[Tensor], like: Tensor) -> tuple[Any, Any]:
        """theta with a tensor of its own, of the shape of `like` (batch,), for each value, where there is no array: the
        gradient of a loop then adds to each row's share in each step, and sums over rows once, at its end. (One row
        alone has nothing to sum.)"""
        if like.shape[0] == 1:
            return theta[0], theta[1]

        def split(names: tuple[str, ...], packed: Tensor) -> Any:
            if not names or any(self.shapes[name] for name in names):
                return packed
            parts = ops.unstack(packed, len(names), axis=0)
            return tuple(ops.broadcast_to(part, ops.shape(like)) for part in parts)

        return split(self.slots.shared, theta[0]), split(self.slots.rows, theta[1])

    def arguments(self, theta: Sequence[Tensor]) -> tuple[Values, Values]:
        """`params` and `consts` as the generated functions take them."""
        values, description = self.slots.values(theta, self.shapes), self.model.description
        consts: tuple[Any, ...] = (*description.consts, *description.sizes)
        return tuple(values[q.name] for q in description.params), tuple(values[q.name] for q in consts)

    def initial(self, theta: Sequence[Tensor], given: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """The start (D, batch): the model's values, `given` in their place (by element); `like` (batch,) has one
        state's shape and dtype."""
        p, c = self.arguments(theta)
        with working_in(like.dtype):
            own = self.model.initial(p, c)
        missing = [
            element
            for state, value in zip(self.model.description.states, own, strict=True)
            for element in self.layout.expanded([state.name])
            if value is None and element not in given
        ]
        if missing:
            raise ValueError(
                f"{self.model.__name__} has no initial value for {', '.join(missing)}: give one for each state "
                f"({', '.join(self.states)})"
            )
        rows = self.layout.packed([0.0 if value is None else value for value in own], like)
        if not given:
            return rows
        return ops.stack([ops.cast(given[e], like.dtype) if e in given else rows[i] for i, e in enumerate(self.states)])

    def rhs(self, t: Tensor, x: Tensor, theta: Sequence[Tensor]) -> Tensor:
        """dx/dt (D, batch) at the scalar time t."""
        p, c = self.arguments(theta)
        with working_in(x.dtype):
            return self.layout.packed(self.model.rhs(t, self.layout.unpacked(x), p, c), x[0])

    def columns(self, t: Tensor, x: Tensor, theta: Sequence[Tensor], names: Sequence[str]) -> Tensor:
        """The asked states and outputs (T, C, batch), by element, of states x (T, D, batch) at times t (T,)."""
        if set(names) <= set(self.states):
            return x if tuple(names) == self.states else ops.take(x, _places(self.layout, names), axis=1)
        t, flat, theta = _flattened(t, x, theta)
        p, c = self.arguments(theta)
        rows = self._rows(t, flat, p, c)
        return _unflattened(_taken(rows, self._row_layout, names), x)

    @cached_property
    def outputs(self) -> Layout:
        """Of the packed outputs. A state is no output of its own."""
        return Layout.of(self.model.description.outputs)

    @cached_property
    def _row_layout(self) -> Layout:
        """States, then outputs: all that can be a column."""
        layouts = (self.layout, self.outputs)
        return Layout(
            *(tuple(part for layout in layouts for part in getattr(layout, kind)) for kind in ("names", "shapes"))
        )

    def _rows(self, t: Tensor, x: Tensor, p: Values, c: Values) -> Tensor:
        """States and outputs packed, from packed states."""
        with working_in(x.dtype):
            outputs = self.model.outputs(t, self.layout.unpacked(x), p, c)
        return ops.concatenate([x, self.outputs.packed(outputs, x[0])], axis=0) if outputs else x


@dataclass(frozen=True)
class Variations:
    """The equations with their sensitivities: arrays z (D, 1 + P, batch), the state first, then its derivative by
    each of `wrt`.

    `wrt` are elements of params, or of states whose initial value is meant. One array, so that any one-step method
    steps it as it steps a state: the result is the exact derivative of what the method computed. A model with sparse
    derivatives is chained entry by entry; one with arrays gives its directional derivatives, all directions as rows.
    """

    equations: Equations
    wrt: tuple[str, ...]

    def __post_init__(self) -> None:
        if not (hasattr(self.equations.model, "rhs_p") or self.is_directional):
            raise no_derivatives(self.equations.model, "a sensitivity")

    @property
    def is_directional(self) -> bool:
        """Whether the model gives directional derivatives."""
        return hasattr(self.equations.model, "rhs_tangent")

    def initial(self, theta: Sequence[Tensor], given: Mapping[str, Tensor], like: Tensor) -> Tensor:
        """A state in `given` starts there whatever the params are: its sensitivity to them starts at zero."""
        equations, count = self.equations, len(self.wrt)
        x0 = equations.initial(theta, given, like)
        if self.is_directional:
            own = self._initial_directions(theta, like)
        else:
            p, c = equations.arguments(theta)
            with working_in(like.dtype):
                own = _placed(equations.model.initial_p(p, c), equations.states, self.wrt, like)
        free = np.array([[0.0 if e in given else 1.0] for e in equations.states])
        unit = np.array([[float(e == name) for name in self.wrt] for e in equations.states]).reshape(-1, count)
        mask, unit = (ops.convert_to_tensor(a[..., None], dtype=like.dtype) for a in (free, unit))
        # A state by its own initial value starts at one.
        return ops.concatenate([x0[:, None], own * mask + unit], axis=1)

    def per_unit(self, theta: Sequence[Tensor], like: Tensor) -> Tensor:
        """1/|p| (P, batch) of each param in `wrt`: times a state, the size that a sensitivity has which matters. A
        param that is 0 counts as 1e8, for it may be of any size; 0 for a state's initial value."""
        layout = Layout.of(self.equations.model.description.params)
        sizes = ops.abs(layout.packed(self.equations.arguments(theta)[0], like))
        units = 1 / ops.where(sizes > 0, sizes, 1e8)
        own = [units[layout.places[name]] if name in layout.places else ops.zeros_like(like) for name in self.wrt]
        return ops.stack(own)

    def rhs(self, t: Tensor, z: Tensor, theta: Sequence[Tensor]) -> Tensor:
        """x' = f, S' = (∂f/∂x) S + ∂f/∂p."""
        equations, model = self.equations, self.equations.model
        x, s = z[:, 0], z[:, 1:]
        slopes = equations.rhs(t, x, theta)
        if self.is_directional:
            moved = self._directed("rhs_tangent", equations.layout, t, x, s, theta)
        else:
            p, c = equations.arguments(theta)
            states = equations.layout.unpacked(x)
            with working_in(x.dtype):
                by_state, by_param = model.rhs_x(t, states, p, c), model.rhs_p(t, states, p, c)
            moved = self._chained(by_state, by_param, equations.states, s, x[0])
        return ops.concatenate([slopes[:, None], moved], axis=1)

    def columns(self, t: Tensor, z: Tensor, theta: Sequence[Tensor], names: Sequence[str]) -> Tensor:
        """The asked columns with their sensitivities (T, C, 1 + P, batch) from z (T, D, 1 + P, batch)."""
        equations = self.equations
        if set(names) <= set(equations.states):
            return z if tuple(names) == equations.states else ops.take(z, _places(equations.layout, names), axis=1)
        t, x, theta = _flattened(t, z[:, :, 0], theta)
        s = ops.reshape(ops.transpose(z[:, :, 1:], (1, 2, 0, 3)), (len(equations.states), len(self.wrt), -1))
        p, c = equations.arguments(theta)
        values = _taken(equations._rows(t, x, p, c), equations._row_layout, names)
        if self.is_directional:
            outputs = self._directed("outputs_tangent", equations.outputs, t, x, s, theta)
            moved = _taken(ops.concatenate([s, outputs], axis=0), equations._row_layout, names)
        else:
            moved = self._output_changes(t, x, s, p, c, names)
        flat = ops.concatenate([values[:, None], moved], axis=1)
        shape = ops.shape(z)
        return ops.transpose(ops.reshape(flat, (len(names), 1 + len(self.wrt), shape[0], shape[3])), (2, 0, 1, 3))

    def _output_changes(self, t: Tensor, x: Tensor, s: Tensor, p: Values, c: Values, names: Sequence[str]) -> Tensor:
        equations, states = self.equations, self.equations.states
        rows = equations.layout.unpacked(x)
        with working_in(x.dtype):
            by_state = {pair: v for pair, v in equations.model.outputs_x(t, rows, p, c).items() if pair[0] in names}
            by_param = {pair: v for pair, v in equations.model.outputs_p(t, rows, p, c).items() if pair[0] in names}
        by_state.update({(name, name): 1.0 for name in names if name in states})
        return self._chained(by_state, by_param, names, s, x[0])

    def _chained(self, by_state: dict, by_param: dict, targets: Sequence[str], s: Tensor, like: Tensor) -> Tensor:
        """Σ_j (∂target/∂x_j) S_j + ∂target/∂p, (targets, P, batch), over the nonzero derivatives only."""
        places = self.equations.layout.places
        direct = _placed(by_param, targets, self.wrt, like)
        rows = {target: direct[i] for i, target in enumerate(targets)}
        for (target, state), value in by_state.items():
            if target in rows:
                rows[target] = rows[target] + value * s[places[state]]
        return ops.stack([rows[target] for target in targets], axis=0)

    # Directional derivatives: P directions of a batch are P·batch rows.

    def _directed(
        self, function: str, targets: Layout, t: Tensor, x: Tensor, s: Tensor, theta: Sequence[Tensor]
    ) -> Tensor:
        """The changes (rows of targets, P, batch) along S (D, P, batch) and the params themselves."""
        equations, count = self.equations, len(self.wrt)
        shape = ops.shape(s)
        wide = ops.reshape(ops.repeat(x[:, None], count, axis=1), (shape[0], -1))
        times = ops.tile(t, (count,)) if len(t.shape) else t
        p, c = equations.arguments(repeated(theta, count))
        along = equations.layout.unpacked(ops.reshape(s, (shape[0], -1)))
        with working_in(x.dtype):
            states = equations.layout.unpacked(wide)
            moved = getattr(equations.model, function)(times, states, p, c, along, self.param_directions(wide[0]))
        packed = targets.packed(moved, wide[0])
        return ops.reshape(packed, (packed.shape[0], count, -1))

    def _initial_directions(self, theta: Sequence[Tensor], like: Tensor) -> Tensor:
        equations, count = self.equations, len(self.wrt)
        wide = ops.tile(like, (count,))
        p, c = equations.arguments(repeated(theta, count))
        with working_in(like.dtype):
            moved = getattr(equations.model, "initial_tangent")(p, c, self.param_directions(wide))  # noqa: B009 (optional)
        packed = equations.layout.packed([0.0 if value is None else value for value in moved], wide)
        return ops.reshape(packed, (packed.shape[0], count, -1))

    def switch_directions(self, place: int, theta: Sequence[Tensor], like: Tensor) -> list[Tensor] | None:
        """How each number of the switch at that place of `switch_times` moves with the params, (P, batch), of a model
        with directional derivatives; None where it does not."""
        equations, count = self.equations, len(self.wrt)
        wide = ops.tile(like, (count,))
        p, c = equations.arguments(repeated(theta, count))
        with working_in(like.dtype):
            moved = getattr(equations.model, "switch_times_tangent")(p, c, self.param_directions(wide))[place]  # noqa: B009 (optional)
        if all(is_known(value) and not np.any(value) for value in moved):
            return None
        return [ops.reshape(spread(value, ops.ones_like(wide)), (count, -1)) for value in moved]

    def param_columns(self, dtype: Any) -> Values:
        """Each param's change along each direction, (P, 1): 1 or 0."""
        params = self.equations.model.description.param_elements
        unit = np.array([[[float(e == name)] for name in self.wrt] for e in params])
        return tuple(ops.convert_to_tensor(row, dtype=dtype) for row in unit)

    def param_directions(self, like: Tensor) -> Values:
        """Each param's change along each direction, as the batch P·batch of `like`."""
        layout = Layout.of(self.equations.model.description.params)
        unit = np.array([[float(e == name) for name in self.wrt] for e in layout.elements])
        unit = unit.reshape(len(layout.elements), len(self.wrt))
        repeats = ops.shape(like)[0] // len(self.wrt)
        rows = ops.repeat(ops.convert_to_tensor(unit, dtype=like.dtype), repeats, axis=1)
        return layout.unpacked(rows)


def _placed(
    entries: Mapping[tuple[str, str], Any], targets: Sequence[str], columns: Sequence[str], like: Tensor
) -> Tensor:
    """The derivatives in `entries` as an array (targets, columns, batch), zero elsewhere."""
    zero = ops.stack([ops.zeros_like(like)] * len(columns), axis=0)
    layout = Layout(tuple(columns), ((),) * len(columns))
    rows = []
    for target in targets:
        present = any((target, name) in entries for name in columns)
        rows.append(layout.packed([entries.get((target, name), 0.0) for name in columns], like) if present else zero)
    return ops.stack(rows, axis=0)


def _places(layout: Layout, names: Sequence[str]) -> list[int]:
    return [layout.places[name] for name in names]


def _taken(rows: Tensor, layout: Layout, names: Sequence[str]) -> Tensor:
    """The rows of these elements; a state stands before an output of its name."""
    first: dict[str, int] = {}
    for place, element in enumerate(layout.elements):
        first.setdefault(element, place)
    return ops.take(rows, [first[name] for name in names], axis=0)


def _flattened(t: Tensor, x: Tensor, theta: Sequence[Tensor]) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """Times t (T,) and states x (T, D, batch) as one batch of T·batch: outputs of all times are one evaluation."""
    count, batch = ops.shape(x)[0], ops.shape(x)[2]
    times = ops.reshape(ops.broadcast_to(t[:, None], (count, batch)), (-1,))
    flat = ops.reshape(ops.transpose(x, (1, 0, 2)), (x.shape[1], -1))
    return times, flat, repeated(theta, count)


def _unflattened(values: Tensor, x: Tensor) -> Tensor:
    """(C, T·batch) as (T, C, batch)."""
    count, batch = ops.shape(x)[0], ops.shape(x)[2]
    return ops.transpose(ops.reshape(values, (values.shape[0], count, batch)), (1, 0, 2))
