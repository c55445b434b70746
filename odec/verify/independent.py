"""The same numbers by SciPy: `solve_ivp` on the model's formulas as they were read, with nothing of odec's runtime.

The formulas are evaluated one operation after the other in Python's numbers and NumPy's arrays, before any pass of the
compiler has changed them; derivatives are central differences of whole runs. `when` is an event of `solve_ivp` that
ends a run, which is begun again behind the jump. A map needs no solver: its formulas are applied step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from odec.model.expression import postorder, symbols
from odec.model.model import Model
from odec.verify.asked import Asked, Series
from odec.verify.system import System

# Of SciPy's runs. This solver takes an implicit method where the problem is stiff: an explicit one at the edge of its
# stability makes noise that differences magnify.
SOLVER, RTOL, ATOL = "LSODA", 1e-12, 1e-14
# A difference of order 4 over this part of a number.
MOVED = 1e-3
# By so many params runs are differentiated, in so many evaluations, some 20 µs each or more; and so many in one run.
MOST_DERIVATIVES, MOST_IN_ALL, MOST_EVALUATIONS = 16, 1_000_000, 100_000
# Runs between two jumps by conditions.
MOST_RUNS = 10_000
# A number at its event is zero but for so many times its rounding there.
EDGE = 1e3


class Unanswered(Exception):  # noqa: N818 (what is not asked is no error)
    """Why SciPy has no numbers."""


def refusal(model: Model) -> str:
    """Why SciPy is not asked about this model, "" where it is."""
    if model.given_nets:
        return f"`{model.given_nets[0].name}` is handed over, and is no formula"
    conditions = [jump.condition for jump in model.jumps if jump.condition is not None]
    if any(node.head in ("==", "!=") for node in postorder(conditions)):
        return "it jumps where two numbers are equal, which is no change of a sign"
    return ""


class Independent:
    """A model that `refusal` lets pass; `series` are its inputs."""

    def __init__(self, model: Model, asked: Asked, series: Series | None = None) -> None:
        self.model, self.asked, self.series, self.evaluations = model, asked, series, 0
        self.params = System(model, asked, series=series).params

    def values(self, params: np.ndarray | None = None) -> np.ndarray:
        """The states (times, states). Raises Unanswered."""
        system = System(self.model, self.asked, params=params, series=self.series)
        run = _Run(system, np.array(self.asked.times))
        if self.model.is_map:
            run.steps()
        else:
            run.flow()
        self.evaluations = run.evaluations
        return run.found

    @property
    def which(self) -> np.ndarray:
        """The params that derivatives are taken by, after a run: evenly chosen where all would take too long."""
        many, runs = len(self.params), MOST_IN_ALL // max(4 * self.evaluations, 1)
        asked = max(1, min(many, MOST_DERIVATIVES, runs))
        return np.unique(np.linspace(0, many - 1, asked).round().astype(int))

    @property
    def rows_with_derivatives(self) -> np.ndarray:
        """Which rows (times,) are not at a jump whose time depends on params: a value that leaps has no difference."""
        times, system = np.array(self.asked.times), System(self.model, self.asked, series=self.series)
        formulas = [[system.written_out(time) for time in jump.times if time is not None] for jump in self.model.jumps]
        moving = [any(symbol.role == "param" for symbol in symbols(*of_jump)) for of_jump in formulas]
        return ~np.isin(times, [time for time, j in system.jumps(times.min(), times.max()) if moving[j]])

    def sensitivities(self, which: Sequence[int]) -> np.ndarray:
        """The derivatives (times, states, which) of the states by some of the params."""
        columns = []
        for p in which:
            h = MOVED * (abs(self.params[p]) or 1.0)
            slope = np.zeros((len(self.asked.times), 1))
            for steps, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
                moved = self.params.copy()
                moved[p] += steps * h
                slope = slope + weight * self.values(moved) / (12 * h)
            columns.append(slope)
        return np.stack(columns, axis=-1)


class _Run:
    """One run: where it is (`t`, `x`), which conditions are `armed` (were false since they last fired), how near 0 the
    number of one that is not counts as its `edge`, what is `found` at the rows, and after how many `evaluations`."""

    def __init__(self, system: System, rows: np.ndarray) -> None:
        self.system, self.rows = system, rows
        self.t, self.x, self.evaluations = float(rows[0]), system.start, 0
        self.found = np.full((len(rows), len(self.x)), np.nan)
        self.armed = [not system.holds(w, self.t, self.x, self.t) for w in range(len(system.whens))]
        self.edge = [0.0] * len(self.armed)

    def steps(self) -> None:
        """A map: the next states, the conditions that have turned true there, the known jumps."""
        jumps = self.system.jumps(self.rows[0], self.rows[-1])
        while True:
            for time, j in jumps:
                if time == self.t:
                    self._jump(j)
            self._note()
            if self.t >= self.rows[-1]:
                return
            self.x = self.system.slopes(self.t, self.x, self.t)
            self.t += 1
            self._settle()

    def flow(self) -> None:
        """From stop to stop: known jumps, knots of the inputs, the last row."""
        first, last = float(self.rows[0]), float(self.rows[-1])
        way, low, high = (1.0 if last >= first else -1.0), min(first, last), max(first, last)
        stops: list[tuple[float, int | None]] = [*self.system.jumps(low, high), (last, None)]
        if self.system.series is not None:
            stops += [(float(knot), None) for knot in self.system.series.knots if low < knot < high]
        self._note()
        for stop, j in sorted(stops, key=lambda one: way * one[0]):
            self._to(stop, way)
            if j is not None:
                self._jump(j)
            self._note()

    def _to(self, stop: float, way: float) -> None:
        """To a stop, through the jumps by conditions on the way."""
        inside, runs = (self.t + stop) / 2, 0
        while self.t != stop:
            runs += 1
            if runs > MOST_RUNS:
                raise Unanswered(f"there are more than {MOST_RUNS} jumps until t = {self.t:g}")
            between = self.rows[(way * self.rows > way * self.t) & (way * self.rows < way * stop)]
            ran = solve_ivp(
                lambda t, x: self._slopes(t, x, inside),
                (self.t, stop),
                self.x,
                SOLVER,
                [*between, stop],
                events=[self._event(w, inside) for w in range(len(self.armed))],
                rtol=RTOL,
                atol=ATOL,
            )
            if ran.status < 0:
                raise Unanswered(f"its run ends at t = {self.t:g}: {ran.message}")
            # Where an event comes before any row there are none, and `y` is a list.
            for time, x in zip(ran.t, np.transpose(ran.y), strict=True):
                self.found[self.rows == time] = x
            if ran.status == 0:
                self.t, self.x = stop, ran.y[:, -1]
                return
            (w,) = [w for w, times in enumerate(ran.t_events) if len(times)][:1]
            self.t, self.x = float(ran.t_events[w][-1]), ran.y_events[w][-1]
            self._crossed(w, inside)
            self._note()

    def _slopes(self, t: float, x: Any, inside: float) -> np.ndarray:
        self.evaluations += 1
        if self.evaluations > MOST_EVALUATIONS:
            raise Unanswered(f"its run is at t = {t:g} after {MOST_EVALUATIONS} evaluations (do its slopes leap?)")
        return self.system.slopes(t, x, inside)

    def _event(self, w: int, inside: float) -> Callable[..., float]:
        """For `solve_ivp`: where an armed condition turns true, or one that is not turns false."""
        shift = 0.0 if self.armed[w] else 2 * self.edge[w]

        def number(t: float, x: Any) -> float:
            return self.system.number(w, t, x, inside) + shift

        number.terminal, number.direction = True, 1.0 if self.armed[w] else -1.0  # type: ignore[attr-defined]
        return number

    def _crossed(self, w: int, inside: float) -> None:
        if not self.armed[w]:
            self.armed[w] = True
            return
        self.edge[w] = max(EDGE * abs(self.system.number(w, self.t, self.x, inside)), np.finfo(float).tiny)
        self.x = self.system.behind(self.system.whens[w], self.t, self.x)
        self.armed[w] = self._is_left(w)
        self._settle()

    def _jump(self, j: int) -> None:
        self.x = self.system.behind(j, self.t, self.x)
        self._settle()

    def _settle(self) -> None:
        """What has turned true in a jump, or in the step of a map, fires at once."""
        for _ in range(MOST_RUNS):
            fired = [w for w, armed in enumerate(self.armed) if armed and self.system.holds(w, self.t, self.x, self.t)]
            self.armed = [armed or self._is_left(w) for w, armed in enumerate(self.armed)]
            if not fired:
                return
            for w in fired:
                self.x = self.system.behind(self.system.whens[w], self.t, self.x)
                self.armed[w] = self._is_left(w)
        raise Unanswered(f"jumps follow each other without end at t = {self.t:g}")

    def _is_left(self, w: int) -> bool:
        """Whether a condition is false, and not for rounding alone."""
        holds = self.system.holds(w, self.t, self.x, self.t)
        return not holds and self.system.number(w, self.t, self.x, self.t) <= -self.edge[w]

    def _note(self) -> None:
        self.found[self.rows == self.t] = self.x
