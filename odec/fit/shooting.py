"""Multiple shooting: the run is cut into segments that begin at states of their own, which are searched with the rest.

No segment is long enough to lose the data, however wrong the params are or however chaotic the model is (Bock, in
Modelling of Chemical Reaction Systems, 1981; Baake et al., Phys. Rev. A 45 (1992) 5524 for chaos). What the end of a
segment misses of the next one's start is one more residual, whose weight is raised until the gaps close; from there
the whole run is fitted as always.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from odec.diagnostics import OdecError
from odec.fit.checkpoint import Journal, followed
from odec.fit.data import Data
from odec.fit.experiments import Design, Group, Slots
from odec.fit.least_squares import Box, Evaluate, Points, Search, Settings
from odec.fit.objective import Squares
from odec.fit.priors import prior_terms
from odec.fit.problem import Problem, batch_sizes
from odec.fit.runs import Prediction, Runs
from odec.runtime.stops import jump_moments

# The weights of the gaps, one stage of the search for each: at 1 a gap of a tenth of a state's size counts as much as
# a datum that is missed by a tenth of the data's size.
WEIGHTS = (1.0, 10.0, 100.0)
# In units of the noise, where that is known, a gap of a tenth is so many.
IN_SD = 3.0
# A gap below this share of a state's size is closed.
CLOSED = 1e-3
SETTINGS = Settings(gradient=1e-4, reduction=1e-5, step=1e-5, floor=-np.inf, iterations=60)
# Corrections of a first state towards the data at its time.
CORRECTIONS = 2


@dataclass(frozen=True, eq=False)
class _Segment:
    """The runs of one segment, of all experiments that have data in it or behind it.

    `cells` (m,) are the places of its measurements among all, `own` (m,) those among the cells of `runs`. `first`
    (E', D) are the coordinates of its start in each experiment (none in the first segment), `ends` (E', D) the cells
    of `runs` that are the states at its end where the next one begins.
    """

    runs: Runs
    experiments: tuple[int, ...]
    cells: np.ndarray
    own: np.ndarray
    first: np.ndarray | None
    ends: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Shooting:
    """A problem with its runs cut at `breaks` (K - 1,), in the order of the run. Its coordinates are the Q of the
    problem, then the states at each break in each experiment that goes on there."""

    problem: Problem
    breaks: tuple[float, ...]

    @cached_property
    def segments(self) -> tuple[_Segment, ...]:
        """The K segments."""
        problem, states = self.problem, self.problem.model.description.state_elements
        data, start = problem.data, problem.timing.start
        far = [np.abs(data.times[data.experiment == e] - start).max() for e in range(len(data.experiments))]
        edges = [abs(time - start) for time in self.breaks]
        going = [tuple(e for e, end in enumerate(far) if end > edge) for edge in edges]
        distance = np.abs(data.times - start)
        inside = np.searchsorted(edges, distance, side="right")
        # A last datum at a break ends the segment before it.
        inside -= np.array([k > 0 and e not in going[k - 1] for k, e in zip(inside, data.experiment, strict=True)])
        count = len(problem.scale.names)
        longest = max(len(np.unique(data.times[inside == k])) for k in range(len(edges) + 1)) + 1
        found = []
        for k in range(len(edges) + 1):
            first = None
            chosen = tuple(range(len(data.experiments))) if k == 0 else going[k - 1]
            if k > 0:
                first = count + np.arange(len(chosen) * len(states)).reshape(len(chosen), len(states))
                count += first.size
            onward = going[k] if k < len(edges) else ()
            begin = start if k == 0 else self.breaks[k - 1]
            end = self.breaks[k] if onward else None
            found.append(self._segment(inside == k, chosen, first, begin, end, onward, longest))
        return tuple(found)

    def _segment(
        self,
        used: np.ndarray,
        chosen: tuple[int, ...],
        first: np.ndarray | None,
        begin: float,
        end: float | None,
        onward: Sequence[int],
        longest: int,
    ) -> _Segment:
        problem = self.problem
        runs, data, states = problem.runs, problem.data, problem.model.description.state_elements
        names = (*data.names, *(name for name in states if name not in data.names))
        times = _padded(data.times[used], begin, end, longest)
        # A row for each experiment and time; what is asked for is a number there, and its value is not looked at.
        values = np.full((len(chosen), len(times), len(names)), np.nan)
        row = {e: i for i, e in enumerate(chosen)}
        cells = np.flatnonzero(used[runs.cells.rows])
        experiment = np.array([row[e] for e in runs.cells.experiments[cells]], dtype=int)
        moment = np.searchsorted(times, data.times[runs.cells.rows[cells]])
        values[experiment, moment, runs.cells.columns[cells]] = 0.0
        state_columns = np.array([names.index(name) for name in states])
        last = np.array([row[e] for e in onward], dtype=int)
        if end is not None:
            at_end = int(np.searchsorted(times, end))
            values[last[:, None], at_end, state_columns] = 0.0
        # All times of a segment are asked for, so that each segment's program is the same.
        values[np.isnan(values).all(axis=2), state_columns[0]] = 0.0
        place = np.full(values.shape, -1)
        place[np.isfinite(values)] = np.arange(int(np.isfinite(values).sum()))
        size = len(chosen) * len(times)
        table = Data(
            name=data.name,
            names=names,
            times=np.tile(times, len(chosen)),
            values=values.reshape(size, -1),
            experiment=np.repeat(np.array(chosen), len(times)),
            beside=np.zeros((size, 0)),
            lines=np.zeros(size, dtype=int),
            experiments=data.experiments,
        )
        timing = replace(runs.timing, start=float(begin))
        return _Segment(
            replace(runs, data=table, timing=timing, design=_design(problem.design, chosen, first, states)),
            chosen,
            cells,
            place[experiment, moment, runs.cells.columns[cells]],
            first,
            None if end is None else place[last[:, None], at_end, state_columns],
        )

    @property
    def width(self) -> int:
        """How many coordinates there are."""
        return len(self.problem.scale.names) + sum(s.first.size for s in self.segments if s.first is not None)

    def box(self, size: np.ndarray) -> Box:
        """The bounds and units of all coordinates; the states, of typical `size` (D,), are free."""
        own = self.problem.scale.box
        free = self.width - len(own.lower)
        more = np.tile(size, free // len(size))
        return Box(
            np.append(own.lower, np.full(free, -np.inf)),
            np.append(own.upper, np.full(free, np.inf)),
            np.append(own.typical, more),
            np.append(own.grows, np.zeros(free, dtype=bool)),
        )

    def evaluate(self, z: np.ndarray, size: np.ndarray, weight: float, batch: int = 0) -> Points:
        """The loss at all coordinates `z` (S, width), with the gaps, in units of the states' `size` (D,)."""
        problem, count = self.problem, len(self.problem.scale.names)
        theta = self._theta(z)
        with np.errstate(all="ignore"):
            whole, gaps, gap_slopes = self._predicted(theta, size, batch)
            points = problem.objective.points(whole)
            own, residuals, jacobian = prior_terms(problem.design.coordinates, theta)
            unit = weight * self.unit
            slopes = np.concatenate([points.jacobian, jacobian, unit * gap_slopes], axis=1)
            slopes[:, :, :count] *= problem.scale.slope(theta[:, :count])[:, None, :]
            loss = points.loss + own + np.sum((unit * gaps) ** 2, axis=1)
            loss = np.where(np.isinf(loss) & np.isfinite(points.loss), np.nan, loss)
            residuals = np.concatenate([points.residuals, residuals, unit * gaps], axis=1)
            return Points(loss, residuals, slopes, attempts=whole.attempts)

    @property
    def unit(self) -> float:
        """What a residual is where the model misses the data by their size."""
        squares = isinstance(self.problem.objective, Squares)
        return self.problem.size / np.sqrt(len(self.problem.runs.cells)) if squares else IN_SD

    def batched(self, size: np.ndarray, weight: float, starts: int) -> Evaluate:
        """`evaluate` for a search of so many starts."""
        sizes = batch_sizes(starts)

        def evaluate(z: np.ndarray, rows: np.ndarray) -> Points:
            return self.evaluate(z, size, weight, min(n for n in sizes if n >= len(z)))

        return evaluate

    def gaps(self, search: Search, weight: float) -> np.ndarray:
        """The largest gap (S,) of each start, in units of the states' sizes."""
        count = sum(s.ends.size for s in self.segments if s.ends is not None)
        found: np.ndarray = np.abs(search.residuals[:, -count:]).max(axis=1) / (weight * self.unit)
        return found

    def begun(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All coordinates (S, width) for starts `z` (S, Q), and the sizes (D,) of the states.

        The states at a break are where the segment before it ends, moved as little as the data at the break ask.
        """
        count = z.shape[1]
        found = np.concatenate([z, np.zeros((len(z), self.width - count))], axis=1)
        size = self._sizes()
        for k, segment in enumerate(self.segments[:-1]):
            following = self.segments[k + 1]
            assert segment.ends is not None and following.first is not None
            values = segment.runs.with_slopes(self._theta(found), False, len(z)).values
            states = values[:, segment.ends]
            with np.errstate(invalid="ignore"):
                fine = np.isfinite(states).all(axis=2) & (np.abs(states) < 1e3 * size).all(axis=2)
            before = np.broadcast_to(size, states.shape) if segment.first is None else found[:, segment.first[:1]]
            states = np.where(fine[..., None], states, np.broadcast_to(before, states.shape))
            found[:, following.first] = states
            for _ in range(CORRECTIONS):
                self._correct(found, following, size)
        return found, size

    def _correct(self, found: np.ndarray, segment: _Segment, size: np.ndarray) -> None:
        """Moves the first states of a segment to the data at its time: the least change, in units of `size` (D,)."""
        runs, cells = self.problem.runs, self.problem.runs.cells
        assert segment.first is not None
        prediction = segment.runs.with_slopes(self._theta(found), False, len(found))
        at_start = runs.data.times[cells.rows[segment.cells]] == segment.runs.timing.start
        for e, first in zip(segment.experiments, segment.first, strict=True):
            mine = at_start & (cells.experiments[segment.cells] == e)
            if not mine.any():
                continue
            missed = cells.measured[segment.cells[mine]] - prediction.values[:, segment.own[mine]]
            slopes = prediction.slopes[:, segment.own[mine]][:, :, first] * size
            fine = np.isfinite(missed).all(axis=1) & np.isfinite(slopes).all(axis=(1, 2))
            change = np.linalg.pinv(slopes[fine], rcond=1e-6) @ missed[fine][..., None]
            found[np.ix_(fine, first)] += change[..., 0] * size

    def _sizes(self) -> np.ndarray:
        """What each state (D,) is like: the root mean square of what was measured of it, else at the model's guess."""
        problem = self.problem
        states = problem.model.description.state_elements
        guessed = [
            problem.runs.solution(problem.scale.start[None], e, problem.data.distinct_times, states)[0]
            for e in range(len(problem.data.experiments))
        ]
        with np.errstate(all="ignore"):
            size = np.sqrt(np.mean(np.concatenate(guessed) ** 2, axis=0))
        for i, name in enumerate(states):
            if name in problem.data.names:
                column = problem.data.values[:, problem.data.names.index(name)]
                size[i] = np.sqrt(np.nanmean(column**2))
        return np.where(np.isfinite(size) & (size > 0), size, 1.0)

    def _theta(self, z: np.ndarray) -> np.ndarray:
        count = len(self.problem.scale.names)
        return np.concatenate([self.problem.scale.to_values(z[:, :count]), z[:, count:]], axis=1)

    def _predicted(self, theta: np.ndarray, size: np.ndarray, batch: int) -> tuple[Prediction, np.ndarray, np.ndarray]:
        """The model at all measurements, and the gaps (S, G) with their slopes (S, G, width), in the states' sizes."""
        runs, width = self.problem.runs, theta.shape[1]
        states = len(self.problem.model.description.state_elements) if self.problem.objective.needs_states else 0
        shape = (len(theta), len(runs.cells))
        whole = Prediction(
            theta,
            np.zeros(shape),
            np.zeros((*shape, states)),
            np.zeros((*shape, width)),
            np.zeros((*shape, states, width)),
            np.zeros(len(theta)),
        )
        gaps, slopes = [], []
        for k, segment in enumerate(self.segments):
            found = segment.runs.with_slopes(theta, states > 0, batch)
            for name in ("values", "slopes", "states", "state_slopes"):
                getattr(whole, name)[:, segment.cells] = getattr(found, name)[:, segment.own]
            np.maximum(whole.attempts, found.attempts, out=whole.attempts)
            if segment.ends is not None:
                next_one = self.segments[k + 1].first
                assert next_one is not None
                onto = (next_one.reshape(-1)[:, None] == np.arange(width)).astype(float)
                unit = np.tile(size, len(next_one))
                ends = segment.ends.reshape(-1)
                gaps.append((found.values[:, ends] - theta[:, next_one.reshape(-1)]) / unit)
                slopes.append((found.slopes[:, ends] - onto) / unit[:, None])
        return whole, np.concatenate(gaps, axis=1), np.concatenate(slopes, axis=1)


def _design(design: Design, chosen: tuple[int, ...], first: np.ndarray | None, states: tuple[str, ...]) -> Design:
    """The design of a segment that begins at the coordinates `first`; of the first one: as the model says."""
    if first is None:
        return design
    return replace(design, groups=(Group(chosen, Slots(states, first, np.zeros(first.shape))),))


def _padded(times: np.ndarray, begin: float, end: float | None, count: int) -> np.ndarray:
    """The distinct times of a segment and its end, with further ones between up to `count`, ascending."""
    found = np.unique(np.append(times, [] if end is None else [end]))
    far = found[np.argmax(np.abs(found - begin))]
    more = begin + (far - begin) * np.linspace(0, 1, 4 * count + 2)[1:-1]
    spare = more[~np.isin(more, found)]
    missing = count - len(found)
    chosen = spare[np.linspace(0, len(spare) - 1, missing).astype(int)] if missing > 0 else spare[:0]
    return np.unique(np.concatenate([found, chosen]))


def shooting(problem: Problem, segments: int) -> Shooting:
    """The problem cut into `segments`, at times of its data, with about as many of them in each. E0606 where there are
    too few."""
    data, start = problem.data, problem.timing.start
    jumps = jump_moments(problem.model, problem.timing.fixed(data.distinct_times))
    inner = np.array([t for t in data.distinct_times if t not in jumps and t != start])
    inner = inner[np.argsort(np.abs(inner - start))][:-1]
    if not 2 <= segments <= len(inner) + 1:
        raise OdecError.of(
            "E0606",
            f"the run cannot be cut into {segments} segments",
            help=f"between 2 and {len(inner) + 1} can begin at the times of these data" if len(inner) else "",
        )
    places = np.round((len(inner) + 1) * np.arange(1, segments) / segments).astype(int) - 1
    return Shooting(problem, tuple(inner[np.clip(places, 0, len(inner) - 1)].tolist()))


def shot(
    problem: Problem,
    segments: int,
    z: np.ndarray,
    journal: Journal,
    watch: Callable[[Search], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """From the starts `z` (S, Q) where the search over segments ends, and the evaluations (S,) that it took."""
    cut = shooting(problem, segments)
    found, size = cut.begun(z)
    box, spent = cut.box(size), np.zeros(len(z), dtype=int)
    for i, weight in enumerate(WEIGHTS):
        evaluate, name = cut.batched(size, weight, len(z)), f"shooting {i + 1}"
        search = followed(journal, name, evaluate, found, box, SETTINGS, watch)
        found, spent = search.z, spent + search.evaluations
        open_ones = np.isfinite(search.loss) & (cut.gaps(search, weight) > CLOSED)
        if journal.stopped() or not open_ones.any():
            break
    return found[:, : z.shape[1]], spent
