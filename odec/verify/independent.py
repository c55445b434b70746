"""The same numbers by SciPy: `solve_ivp` on the model's formulas as they were read, with nothing of odec's runtime.

The formulas are evaluated one operation after the other in Python's numbers, before any pass of the compiler has
changed them; derivatives are central differences of whole runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from odec.model.expression import TIME, Expression, evaluate
from odec.model.model import Model
from odec.verify.asked import Asked

# Of SciPy's runs; a run of this kind is right to about ten times as much.
RTOL, ATOL = 1e-12, 1e-14
# A difference over this part of a number: its own error is the square.
MOVED = 1e-4
STIFF = ("rodas",)


def refusal(model: Model) -> str:
    """Why SciPy is not asked about this model, "" where it is."""
    for has, what in (
        (model.is_map, "it is a map"),
        (model.inputs, "it has inputs"),
        (model.nets, "it has networks"),
        (model.has_arrays, "it has arrays"),
        (any(jump.kind == "when" for jump in model.jumps), "it jumps by conditions"),
    ):
        if has:
            return what
    return ""


class Independent:
    """A model that `refusal` lets pass."""

    def __init__(self, model: Model, asked: Asked) -> None:
        self.model, self.asked = model, asked
        replaced = dict(asked.params)
        self.params: list[Any] = [replaced.get(param.name, param.value) for param in model.params]

    def values(self, method: str, params: list[Any] | None = None) -> np.ndarray:
        """The states (times, states); the solver is chosen as odec chose its own method."""
        known = self._known(self.params if params is None else params)
        rows = np.array(self.asked.times)
        x = np.array([self.asked.init.get(s.name, self._at(s.initial, known)) for s in self.model.states], dtype=float)
        way = 1.0 if rows[-1] >= rows[0] else -1.0
        jumps = sorted(self._jumps(known, rows), key=lambda jump: way * jump[0])
        solver = "LSODA" if method.startswith(STIFF) else "DOP853"
        found, t = np.full((len(rows), len(x)), np.nan), rows[0]
        for moment, j in [*jumps, (rows[-1], None)]:
            inside = [i for i, row in enumerate(rows) if way * t <= way * row <= way * moment]
            found[[i for i in inside if rows[i] == t]] = x
            if moment != t:
                asked = np.unique([*rows[inside], moment])[:: int(way)]
                ran = solve_ivp(
                    lambda t, x: self._slopes(t, x, known), (t, moment), x, solver, asked, rtol=RTOL, atol=ATOL
                )
                for i in inside:
                    found[i] = ran.y[:, list(ran.t).index(rows[i])]
                t, x = moment, ran.y[:, -1]
            if j is not None:
                x = self._behind(j, t, x, known)
                found[[i for i in inside if rows[i] == t]] = x
        return found

    def sensitivities(self, method: str) -> np.ndarray:
        """The derivatives (times, states, params) of the states."""
        columns = []
        for p, value in enumerate(self.params):
            h = MOVED * (abs(value) or 1.0)
            ends = [self.values(method, [*self.params[:p], value + way * h, *self.params[p + 1 :]]) for way in (1, -1)]
            columns.append((ends[0] - ends[1]) / (2 * h))
        return np.stack(columns, axis=-1)

    def _known(self, params: list[Any]) -> dict[Expression, float]:
        """The numbers of params and consts."""
        known: dict[Expression, float] = dict(zip((p.symbol for p in self.model.params), params, strict=True))
        for const in self.model.consts:
            own = self.asked.params.get(const.name)
            known[const.symbol] = evaluate([const.value], known)[0] if own is None else own
        return known

    def _at(self, formula: Expression | None, known: Mapping[Expression, float]) -> float:
        return np.nan if formula is None else evaluate([formula], dict(known))[0]

    def _there(self, t: float, x: Any, known: Mapping[Expression, float]) -> dict[Expression, float]:
        """All that formulas may name at a time: states and intermediates too."""
        there = {
            **known,
            TIME: float(t),
            **dict(zip((s.symbol for s in self.model.states), map(float, x), strict=True)),
        }
        for definition in self.model.intermediates:
            there[definition.symbol] = evaluate([definition.value], there)[0]
        return there

    def _slopes(self, t: float, x: Any, known: Mapping[Expression, float]) -> list[float]:
        return evaluate([equation.value for equation in self.model.equations], self._there(t, x, known))

    def _behind(self, j: int, t: float, x: Any, known: Mapping[Expression, float]) -> np.ndarray:
        there, places = self._there(t, x, known), {state: i for i, state in enumerate(self.model.states)}
        behind = np.array(x)
        for state, value in self.model.jumps[j].changes:
            behind[places[state]] = evaluate([value], there)[0]
        return behind

    def _jumps(self, known: Mapping[Expression, float], rows: np.ndarray) -> list[tuple[float, int]]:
        """The times of known jumps between the first and the last row, with the jumps' numbers."""
        low, high = float(np.min(rows)), float(np.max(rows))
        found = []
        for j, jump in enumerate(self.model.jumps):
            times = [self._at(time, known) for time in jump.times]
            if jump.kind == "every":
                period, start, stop = times
                first = low if np.isnan(start) else start
                last = high if np.isnan(stop) else min(stop, high)
                times = [first + k * period for k in range(int(np.floor((last - first) / period + 1e-9)) + 1)]
            found += [(time, j) for time in times if low <= time <= high]
        return found
