"""A model at given numbers, by its formulas: where it starts, its slopes, what its jumps do and when."""

from __future__ import annotations

from typing import Any

import numpy as np

from odec.model.expression import TIME, Expression, substitute
from odec.model.jumps import root_function
from odec.model.model import Jump, Model, Param, State
from odec.verify import formulas
from odec.verify.asked import Asked, Series

Array = np.ndarray


class System:
    """`params` are all numbers of the params in one vector, by default those of the text and of what is asked. States
    are one vector too."""

    def __init__(
        self, model: Model, asked: Asked, *, params: Array | None = None, series: Series | None = None
    ) -> None:
        self.model, self.series = model, series
        self.nets = {net.name: net for net in model.nets}
        known: dict[Expression, Any] = {size.symbol: asked.params.get(size.name, size.value) for size in model.sizes}
        items: tuple[Param | State, ...] = (*model.params, *model.states)
        shapes = {item: formulas.shape(item.written_shape, known) for item in items}
        if params is None:
            params = formulas.packed(
                formulas.filled(param.name, _own(param), shapes[param], asked.params) for param in model.params
            )
        self.params = params
        self.param_names = [name for param in model.params for name in formulas.elements(param.name, shapes[param])]
        parts = formulas.unpacked(params, [shapes[param] for param in model.params])
        known |= dict(zip((param.symbol for param in model.params), parts, strict=True))
        self.known = known
        for const in model.consts:
            shape = formulas.shape(const.written_shape, known)
            if const.name in asked.params:
                known[const.symbol] = formulas.filled(const.name, np.nan, shape, asked.params)
            else:
                own = self._values([const.value], known)[0]
                known[const.symbol] = np.broadcast_to(own, shape) if shape else own
        self.state_shapes = [shapes[state] for state in model.states]
        self.start = formulas.packed(
            formulas.filled(
                state.name,
                np.nan if state.initial is None else self._values([self.written_out(state.initial)], known)[0],
                shapes[state],
                asked.init,
            )
            for state in model.states
        )
        self.input_shapes = [formulas.shape(item.written_shape, known) for item in model.inputs]
        self.whens = [j for j, jump in enumerate(model.jumps) if jump.kind == "when"]

    def written_out(self, formula: Expression) -> Expression:
        """The formula of a start or a time without its intermediates, which elsewhere depend on states."""
        for definition in reversed(self.model.intermediates):
            (formula,) = substitute([formula], {definition.symbol: definition.value})
        return formula

    def slopes(self, t: float, x: Array, inside: float) -> Array:
        """The derivatives; in a map the next states. `inside` is a time within the interval between two knots."""
        there = self._there(t, x, inside)
        parts = self._values([equation.value for equation in self.model.equations], there)
        return formulas.packed(
            np.broadcast_to(part, shape) for part, shape in zip(parts, self.state_shapes, strict=True)
        )

    def number(self, w: int, t: float, x: Array, inside: float) -> float:
        """That of the w-th `when`: positive where its condition holds, 0 at its edge."""
        (found,) = self._values([root_function(self._condition(w))], self._there(t, x, inside))
        return float(found)

    def holds(self, w: int, t: float, x: Array, inside: float) -> bool:
        """Whether the condition of the w-th `when` does."""
        return bool(self._values([self._condition(w)], self._there(t, x, inside))[0])

    def behind(self, j: int, t: float, x: Array) -> Array:
        """The states behind the j-th jump."""
        states = self.model.states
        parts = dict(zip(states, formulas.unpacked(np.array(x), self.state_shapes), strict=True))
        changes = self.model.jumps[j].changes
        new = self._values([value for _, value in changes], self._there(t, x, t))
        parts |= dict(zip((state for state, _ in changes), new, strict=True))
        return formulas.packed(
            np.broadcast_to(parts[state], shape) for state, shape in zip(states, self.state_shapes, strict=True)
        )

    def jumps(self, low: float, high: float) -> list[tuple[float, int]]:
        """The times of known jumps from `low` to `high`, with the jumps' numbers."""
        found = []
        for j, jump in enumerate(self.model.jumps):
            found += [(time, j) for time in self._times(jump, low, high) if low <= time <= high]
        return found

    def _times(self, jump: Jump, low: float, high: float) -> list[float]:
        given = [
            np.nan if time is None else float(self._values([self.written_out(time)], self.known)[0])
            for time in jump.times
        ]
        if jump.kind != "every":
            return given
        period, start, stop = given
        first = low if np.isnan(start) else start
        last = high if np.isnan(stop) else min(stop, high)
        return [first + k * period for k in range(int(np.floor((last - first) / period + 1e-9)) + 1)]

    def _condition(self, w: int) -> Expression:
        condition = self.model.jumps[self.whens[w]].condition
        assert condition is not None
        return condition

    def _values(self, roots: list[Expression], known: formulas.Known) -> list[Any]:
        return formulas.values(roots, known, self.nets)

    def _there(self, t: float, x: Array, inside: float) -> dict[Expression, Any]:
        """All that formulas may name at a time: states, inputs and intermediates too."""
        model, there = self.model, {**self.known, TIME: float(t)}
        states = formulas.unpacked(np.asarray(x, dtype=float), self.state_shapes)
        there |= dict(zip((state.symbol for state in model.states), states, strict=True))
        if self.series is not None:
            inputs = formulas.unpacked(self._inputs(t, inside), self.input_shapes)
            there |= dict(zip((item.symbol for item in model.inputs), inputs, strict=True))
        for definition in model.intermediates:
            there[definition.symbol] = self._values([definition.value], there)[0]
        return there

    def _inputs(self, t: float, inside: float) -> Array:
        """The inputs at a time, read on the part between two knots that `inside` lies on."""
        assert self.series is not None
        knots, values = self.series.knots, self.series.values
        k = int(np.clip(np.searchsorted(knots, inside, "right") - 1, 0, len(knots) - 1))
        after = min(k + 1, len(knots) - 1)
        share = np.clip((t - knots[k]) / (knots[after] - knots[k]), 0.0, 1.0) if after > k else 0.0
        linear = np.repeat(
            [float(item.interpolation == "linear" and not self.model.is_map) for item in self.model.inputs],
            [int(np.prod(shape)) for shape in self.input_shapes],
        )
        found: Array = values[k] + share * linear * (values[after] - values[k])
        return found


def _own(param: Param) -> Any:
    """The value that the text gives; NaN where it is guessed at random."""
    return np.nan if isinstance(param.value, str) else param.value
