"""Adaptive runs: values at any times, errors that follow the tolerance, rows that know nothing of each other."""

from __future__ import annotations

import numpy as np
import pytest

from odec.diagnostics import OdecError
from odec.loading import load_source
from odec.runtime import march, simulate
from odec.runtime.adaptive import Adaptive
from odec.source import Source

METHODS = ["tsit5", "dopri5", "dop853", "rodas4", "rodas5p"]
# A turn in the plane: x = cos w(t - t0), y = -sin w(t - t0).
TURN = "param w = 2\nstate x = 1\nstate y = 0\ndx = w*y\ndy = -w*x\n"
START, END = -0.7, 2.9
# All runs of `TURN` ask for seven times, so that they share one compiled loop.
TIMES = [1.5, 0.3, 0.3, END, START, 1.5, 0.111]
# Errors add up over the steps of a turn by 7.2, fewer than 100, and each is an estimate's, of either sign.
ADDED = 10


def model(text: str) -> type:
    return load_source(Source(text, "m.ode"))


def run(layer: type, timing: Adaptive, method: str = "tsit5", params=None, **more) -> simulate.Run:
    values = [param.value for param in layer.description.params] if params is None else params
    return simulate.run(layer, timing, method=method, params=values, **more)


def turn(method: str, start=START, times=TIMES, **options) -> simulate.Run:
    kinds = {name: options.pop(name) for name in ("dtype", "columns") if name in options}
    return run(model(TURN), Adaptive(start, times, **options), method, **kinds)


def turned(times, start=START) -> np.ndarray:
    angle = 2 * (np.asarray(times) - start)
    return np.stack([np.cos(angle), -np.sin(angle)], axis=-1)


# Times


@pytest.mark.parametrize("method", METHODS)
def test_times_come_in_the_order_they_were_asked_in(method):
    asked = turn(method)
    assert asked.values.shape == (1, 7, 2) and asked.status == march.DONE and asked.reached == END
    np.testing.assert_allclose(asked.values[0], turned(TIMES), atol=ADDED * 1e-6)
    # The start is its very value, equal times have equal values.
    np.testing.assert_array_equal(asked.values[0, 4], [1, 0])
    np.testing.assert_array_equal(asked.values[0, [0, 1]], asked.values[0, [5, 2]])
    in_order = turn(method, times=sorted(TIMES))
    np.testing.assert_array_equal(in_order.values[0], asked.values[0, np.argsort(TIMES, kind="stable")])
    assert (in_order.steps, in_order.refused) == (asked.steps, asked.refused)


@pytest.mark.parametrize("method", METHODS)
def test_steps_do_not_depend_on_the_times_asked_for(method):
    # Many times inside one step, and times next to each other, ends and start.
    close = [START + 1e-9, 0.4, 0.4 + 1e-13, 0.41, END - 1e-9, END, END]
    np.testing.assert_array_equal(turn(method).values[0, 3], turn(method, times=close).values[0, 5])
    np.testing.assert_allclose(turn(method, times=close).values[0], turned(close), atol=ADDED * 1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_time_may_run_backwards(method):
    times = [-2.0, 1.0, -1.5, 0.99, -2.0, 0.5, -0.25]
    found = turn(method, 1.0, times, rtol=1e-7)
    np.testing.assert_allclose(found.values[0], turned(times, 1.0), atol=ADDED * 1e-7)
    assert found.reached == -2 and found.last_step < 0


@pytest.mark.parametrize("method", METHODS)
def test_values_between_steps_are_as_exact_as_those_behind_them(method):
    # A step is a tenth of this span or shorter, so that most of these lie inside one.
    rows = [turn(method, times=[*np.linspace(at, at + 0.1, 6), END], rtol=1e-8) for at in (0.2, 1.3, 2.4)]
    apart = [
        np.abs(row.values[0, :6] - turned(at + np.linspace(0, 0.1, 6))).max()
        for row, at in zip(rows, (0.2, 1.3, 2.4), strict=True)
    ]
    inside = max(apart)
    assert inside < ADDED * 1e-8


def test_only_the_end_or_only_the_start():
    whole = turn("tsit5")
    end = turn("tsit5", times=[END])
    np.testing.assert_array_equal(end.values[0, 0], whole.values[0, 3])
    assert end.steps == whole.steps
    none = turn("tsit5", times=[START])
    np.testing.assert_array_equal(none.values, [[[1, 0]]])
    assert none.steps == 0 and none.status == march.DONE and none.reached == START
    assert turn("tsit5", times=[]).values.shape == (1, 0, 2)


def test_the_state_at_the_end_is_given_too():
    found = turn("tsit5")
    np.testing.assert_array_equal(found.last, found.values[:, 3])
    assert 0 < found.last_step < END - START


@pytest.mark.parametrize(
    ("start", "times", "code"),
    [(0, [1, np.nan], "E0604"), (np.inf, [1], "E0604"), (0, [1, np.inf], "E0604")],
)
def test_a_time_is_a_number(start, times, code):
    with pytest.raises(OdecError, match=code):
        Adaptive(start, times)


@pytest.mark.parametrize(
    "wrong", [{"rtol": 0}, {"rtol": -1e-3}, {"rtol": np.nan}, {"rtol": 1e-17}, {"atol": -1}, {"atol": [1, np.inf]}]
)
def test_a_tolerance_is_positive(wrong):
    with pytest.raises(OdecError, match="E0606"):
        Adaptive(0, [1], **wrong)


# Tolerances


@pytest.mark.parametrize("method", METHODS)
def test_the_error_follows_the_tolerance(method):
    tolerances = np.array([1e-4, 1e-6, 1e-8, 1e-10])
    errors = [np.abs(turn(method, rtol=rtol).values[0] - turned(TIMES)).max() for rtol in tolerances]
    assert np.all(errors < ADDED * tolerances)
    slope = np.polyfit(np.log10(tolerances), np.log10(errors), 1)[0]
    # The estimate is of one order below the step's: errors fall a little faster than the tolerance (5/4 of it).
    # (Of a method of order 8 so few steps are taken that the slope is uneven.)
    assert 0.7 < slope < 1.3


@pytest.mark.parametrize("method", METHODS)
def test_steps_grow_as_the_order_says(method):
    steps = [int(turn(method, rtol=rtol).steps[0]) for rtol in (1e-6, 1e-10)]
    order = {"tsit5": 5, "dopri5": 5, "dop853": 8, "rodas4": 4, "rodas5p": 5}[method]
    # The estimate of rodas4 and rodas5p, of order 3 and 4, is what its steps follow.
    assert steps[1] / steps[0] < 1.3 * 1e4 ** (1 / order)
