"""Adaptive runs with jumps at known times and with inputs: exact stops, rows with stops of their own, sensitivities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from odec.diagnostics import OdecError
from odec.loading import load_source
from odec.runtime import simulate, steering
from odec.runtime.adaptive import Adaptive
from odec.runtime.signals import Signal
from odec.source import Source


def model(text: str) -> type:
    return load_source(Source(text, "m.ode"))


def run(layer: type, timing: Adaptive, method: str = "tsit5", params: Any = None, **more: Any) -> simulate.Run:
    values = [param.value for param in layer.description.params] if params is None else params
    found = simulate.run(layer, timing, method=method, params=values, **more)
    assert np.all(found.status == steering.DONE)
    return found


# Known times


@pytest.mark.parametrize("method", ["tsit5", "rodas5p"])
def test_results_do_not_depend_on_the_times_asked_for(load, shared, method):
    # Case V07; x' = p - x/2, p = 10 between 10 and 20.
    layer = load(shared / "cases/V07-event-exact-time/model.ode")
    grids = [[25, 12, 20, 25], [0, 12, 20, 25], [10, 20, 9.99999999, 25], [3, 13, 23, 25]]
    rows = [run(layer, Adaptive(0, grid, rtol=1e-9), method) for grid in grids]
    for grid, found in zip(grids, rows, strict=True):
        times = np.array(grid, dtype=float)
        exact = 20 * (1 - np.exp(-(np.clip(times, 10, 20) - 10) / 2)) * np.exp(-np.maximum(times - 20, 0) / 2)
        np.testing.assert_allclose(found.values[0, :, 1], exact, rtol=1e-7, atol=1e-8)
        np.testing.assert_array_equal(found.values[0, :, 0], np.where((times >= 10) & (times < 20), 10, 0))
        np.testing.assert_array_equal(found.values[0, -1], rows[0].values[0, -1])
        assert found.steps == rows[0].steps


def test_the_value_at_a_jump_is_the_one_behind_it_unless_before_is_asked(load, shared):
    layer, timing = load(shared / "cases/V10-observation-at-dose/model.ode"), Adaptive(0, [12, 24, 0], rtol=1e-9)
    behind, before = (run(layer, timing, before=before).values[0, :, 0] for before in (False, True))
    np.testing.assert_allclose(behind, [109.071795, 9.89477003, 100], rtol=1e-8)
    np.testing.assert_allclose(before, [9.07179533, 9.89477003, 100], rtol=1e-8)


def test_jumps_of_one_time_follow_the_text_each_once(load, shared):
    layer = load(shared / "cases/V09-tied-events/model.ode")
    found = run(layer, Adaptive(0, [2, 5], rtol=1e-9)).values[0]
    np.testing.assert_allclose(found, [[160, 300], [7.96593094, 345.095449]], rtol=1e-8)


# Decay with a rest from each dose; the doses' time and period differ by row.
DOSES = """param k = 0.5
param lag = 1
param p = 0.75
state x = 1
dx = -k*x
at lag: x += 10
every p from 0 to 6: x = x/2 + 1
"""


def dosed(params: np.ndarray, times: list[float], before: bool = False) -> np.ndarray:
    """x, by exp from jump to jump."""
    k, lag, p = params
    jumps = sorted([(lag, 0), *((n * p, 1) for n in range(int(6 / p + 1e-9) + 1))])
    found = []
    for time in times:
        x, last = 1.0, 0.0
        for at, kind in jumps:
            if at > time or (before and at == time):
                break
            x, last = x * np.exp(-k * (at - last)), at
            x = x + 10 if kind == 0 else x / 2 + 1
        found.append(x * np.exp(-k * (time - last)))
    return np.array(found)


def test_rows_have_jumps_of_their_own():
    # From 3 to 49 jumps, at the start, at the end, after the end, two at one time (the `at` is first in the text).
    params = np.array([[0.5, 1, 0.75], [0.1, 8, 2], [2, 0, 6], [0, 20, 0.125], [0.3, 3.3, 3], [1, 1.5, 1.5]])
    times = [8.0, 1.5, 0.0, 3.3, 6.0]
    timing = Adaptive(0, times, rtol=1e-9)
    together, before = (run(model(DOSES), timing, params=params, before=before) for before in (False, True))
    for row, behind, value in zip(params, together.values, before.values, strict=True):
        np.testing.assert_allclose(behind[:, 0], dosed(row, times), rtol=1e-8)
        np.testing.assert_allclose(value[:, 0], dosed(row, times, before=True), rtol=1e-8)
    alone = run(model(DOSES), timing, params=params[4])
    assert (alone.steps[0], alone.refused[0]) == (together.steps[4], together.refused[4])
    np.testing.assert_allclose(alone.values[0], together.values[4], rtol=1e-12)


EVERY_TENTH = "state n = 0\nstate x = 0\ndn = 0\ndx = -x\nevery 0.1: n += 1, x += 1\n"


def test_many_jumps():
    # 1,001 jumps: a sum of a geometric series.
    found = run(model(EVERY_TENTH), Adaptive(0, [100, 0, 9.95], rtol=1e-9))
    np.testing.assert_array_equal(found.values[0, :, 0], [1001, 1, 100])
    q = np.exp(-0.1)
    exact = [(1 - q**1001) / (1 - q), 1, np.exp(-0.05) * (1 - q**100) / (1 - q)]
    np.testing.assert_allclose(found.values[0, :, 1], exact, rtol=1e-8)


@pytest.mark.parametrize("before", [False, True])
def test_a_time_that_is_a_jump_but_for_rounding(before):
    # 3 · 0.1 is 0.30000000000000004, …: the jump is an ulp behind the time; with `before` some in front of it.
    times = np.array([0.3, 0.6, 0.7, 1.2, 3.3, 4.0])
    asked = times * (1 + 1e-15) if before else times
    found = run(model(EVERY_TENTH), Adaptive(0, asked), before=before)
    np.testing.assert_array_equal(found.values[0, :, 0], np.round(10 * times) + (not before))


def test_a_jump_has_no_way_back():
    with pytest.raises(OdecError, match=r"E0606.*a jump cannot be undone"):
        run(model(DOSES), Adaptive(5, [0.0]))


# Inputs

DRIVEN = "param k = 0.4\ninput u{kind}\nstate x = 0\ndx = u - k*x\nobserve y = x + u\n"


def driven(knots: np.ndarray, values: np.ndarray, time: float, hold: bool, k: float = 0.4) -> float:
    """x' = u - k x from 0: from knot to knot the solution for a line u = a + b t."""
    x = 0.0
    ends = np.append(knots, np.inf)
    for i, start in enumerate(knots):
        end = min(ends[i + 1], time)
        if end <= start:
            break
        slope = 0.0 if hold or i + 1 == len(knots) else (values[i + 1] - values[i]) / (knots[i + 1] - start)
        at_start, at_end = (values[i] / k - slope / k**2 + slope * s / k for s in (0.0, end - start))
        x = at_end + (x - at_start) * np.exp(-k * (end - start))
    return x


@pytest.mark.parametrize("kind", ["", " hold"])
def test_inputs_are_stopped_at(shared, kind):
    layer, hold = model(DRIVEN.format(kind=kind)), bool(kind)
    # Case V06, then a pulse of width 0.05 in a run of 100, which no step says a word of beforehand.
    table = np.loadtxt(shared / "cases/V06-input-table/input.csv", delimiter=",", skiprows=1)
    pulse = np.array([[0, 0], [50, 20], [50.05, 0], [60, 0], [100, 0]])
    for series, times in ((table, [10.0, 4.0, 4.25, 0.0, 3.3]), (pulse, [100.0, 50.02, 50.05, 51.0, 57.0])):
        knots, values = series.T
        signal = Signal(knots, values[:, None, None])
        found, before = (
            run(layer, Adaptive(0, times, rtol=1e-8), inputs=signal, before=before) for before in (False, True)
        )
        exact = np.array([driven(knots, values, time, hold) for time in times])
        np.testing.assert_allclose(found.values[0, :, 0], exact, rtol=1e-6, atol=1e-9)
        # A state does not jump at a knot, but is read inside another step.
        np.testing.assert_allclose(found.values[0, :, 0], before.values[0, :, 0], rtol=1e-12)
        u = found.values[0, :, 1] - found.values[0, :, 0]
        place = np.clip(np.searchsorted(knots, times, side="right") - 1, 0, None)
        np.testing.assert_allclose(u, values[place] if hold else np.interp(times, knots, values), atol=1e-12)
    # At the end of the pulse.
    assert before.values[0, 2, 1] - before.values[0, 2, 0] == pytest.approx(20 if hold else 0)


def test_v06_numbers(shared):
    table = np.loadtxt(shared / "cases/V06-input-table/input.csv", delimiter=",", skiprows=1)
    assert driven(*table.T, 10.0, hold=False) == pytest.approx(2.53379498, rel=1e-8)
    assert driven(*table.T, 10.0, hold=True) == pytest.approx(2.37363114, rel=1e-8)


# Sensitivities

LIVELY = """param k = 0.8
param d = 0.5
param lag = 1.3
param dose = 2
param p = 0.9
param x0 = 1.5
input u
state x = x0
state y = 0.4
dx = u - k*x*y
dy = k*x*y - d*y + 0.05*t
at lag: x += dose*y, y = y/2
every p from 0.5: y = y + 0.1*k*x
"""
WRT = ("k", "d", "lag", "dose", "p", "x0", "y")


@pytest.fixture(scope="module")
def lively() -> tuple[type, Signal, np.ndarray, np.ndarray]:
    """The layer, its input, and values and derivatives (times, states, WRT) by central differences of order 4 of
    solutions to 1e-12."""
    layer = model(LIVELY)
    signal = Signal(np.array([0.0, 0.7, 2.0, 3.5]), np.array([0.5, 1.5, 0.2, 0.8])[:, None, None])
    start = np.array([*(param.value for param in layer.description.params), 0.4])
    steps = 1e-3 * np.array([-2, -1, 1, 2])
    rows = np.concatenate([start + np.outer(steps, unit) for unit in np.eye(len(WRT))] + [start[None]])
    timing = Adaptive(0, LIVELY_TIMES, rtol=1e-12)
    found = run(layer, timing, "dop853", rows[:, :-1], inputs=signal, initial={"y": rows[:, -1]}).values
    parts = found[:-1].reshape(len(WRT), 4, *found.shape[1:])
    differences = (parts[:, 0] - 8 * parts[:, 1] + 8 * parts[:, 2] - parts[:, 3]) / (12 * 1e-3)
    return layer, signal, found[-1], np.moveaxis(differences, 0, -1)


LIVELY_TIMES = [3.0, 1.0, 2.5, 1.35]


@pytest.mark.parametrize("method", ["tsit5", "dop853", "rodas5p"])
def test_sensitivities_go_through_jumps_and_inputs(lively, method):
    layer, signal, values, derivatives = lively
    params = [param.value for param in layer.description.params]
    timing = Adaptive(0, LIVELY_TIMES, rtol=1e-9)
    both = simulate.sensitivities(layer, timing, method=method, params=params, inputs=signal, wrt=WRT)
    np.testing.assert_allclose(both[0][0], values, rtol=1e-7)
    # The differences' own error is 1e-10 of what they differ by, divided by 1e-3; that of the run is not controlled.
    np.testing.assert_allclose(both[1][0], derivatives, rtol=1e-6, atol=1e-6)


def test_exact_sensitivities_keep_the_tolerance_where_the_states_need_no_steps():
    # At rest: the states need no steps at all, what they do off it is a turn.
    layer = model("param w = 2\nstate x = 0\nstate y = 0\ndx = w*y\ndy = -w*x\n")
    times = [5.0, 1.0, 2.2]
    angle = 2 * np.array(times)
    truth = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    worst = {}
    for exact in (False, True):
        timing = Adaptive(0, times, rtol=1e-7, exact=exact)
        _, found, _ = simulate.sensitivities(layer, timing, method="tsit5", params=[2], wrt=("x", "y"))
        worst[exact] = np.abs(found[0].transpose(1, 2, 0) - truth).max()
    assert worst[True] < 1e-6 and worst[False] > 1e-3


TWO = "param k = 0.3\nparam lag = 2\nparam w = 5\n"


@pytest.mark.parametrize(
    "text",
    [
        # Of arrays, with a time that is made of params.
        "size N = 2\nstate x[N] = [1, 2]\nlate = lag + 2*k\nx' = if(t > lag and t < late + 3, -k*x, [0.1, -0.2])",
        "size N = 2\nstate x[N] = [1, 2]\nx' = if(mod(t - lag - 0.7, w) < 2, 1, -k*x)",
        # Two switches at one time are one change of the slope.
        "state x = 1\nx' = -k*x + if(t > lag and mod(t - lag, w) < 1.5, 5, 0)",
        "state x = 1\nx' = -k*x + if(t > lag, 5, 0) + if(2*t < 2*lag, x, 0)",
        "size N = 2\nstate x[N] = [1, 2]\nx' = -k*x + if(t > lag and mod(t - lag, w) < 1.5, 5, 0)",
    ],
)
def test_sensitivities_by_the_times_of_switches(text):
    layer, times, values, width = model(TWO + text), np.array([1.0, 4.1, 9.3, 19.0]), np.array([0.3, 2.0, 5.0]), 1e-4

    def ends(params: np.ndarray) -> np.ndarray:
        return run(layer, Adaptive(0, times, rtol=1e-11), params=params).values[0]

    exact = Adaptive(0, times, rtol=1e-9, exact=1.0)
    slopes = simulate.sensitivities(layer, exact, method="tsit5", params=values).derivatives[0]
    for place, step in enumerate(width * np.eye(3)):
        # Of the differences 1e-8 is left of the third derivative and 1e-7 of the runs' errors.
        between = (ends(values + step) - ends(values - step)) / (2 * width)
        np.testing.assert_allclose(slopes[..., place], between, rtol=1e-6, atol=1e-6)
