"""`when`: found inside the step, for each row by itself, on the rising edge only."""

from __future__ import annotations

import time

import numpy as np
import pytest
import tensorflow as tf

import odec
from odec.diagnostics import OdecError
from odec.loading import load_source
from odec.runtime import simulate
from odec.runtime.schedule import Schedule
from odec.source import Source

NONE = np.zeros((2, 0))


def model(text: str) -> type:
    return load_source(Source(text, "m.ode"))


def run(layer: type, times, step=0.1, params=None, method="rk4", **more):
    values = [param.value for param in layer.description.params] if params is None else params
    return simulate.solve(layer, Schedule.fixed(0, times, step), method=method, params=values, **more)


@pytest.fixture(scope="module")
def ball(load, shared):
    """Case V11."""
    return load(shared / "cases/V11-bouncing-ball/model.ode")


def test_each_bounce_is_found_once_and_the_ball_stays_above_the_floor(ball):
    rows = run(ball, np.arange(0, 5.001, 0.01))[0]
    assert rows[-1, 2] == 3
    assert rows[-1, 0] == pytest.approx(0.27779712, abs=1e-7)
    assert rows[:, 0].min() > -1e-9
    bounces = np.arange(0, 5.001, 0.01)[1:][np.diff(rows[:, 2]) > 0]
    np.testing.assert_allclose(bounces, [1.2771017, 3.3204645, 4.9551546], atol=0.01)


def test_the_moment_is_exact_whatever_the_step(ball):
    # A parabola: RK4 and its cubic are exact, so only the root finding is left.
    for step in (0.013, 0.1, 1.0):
        np.testing.assert_allclose(run(ball, [5], step)[0, 0], [0.27779712, 5.97459142, 3], atol=1e-7)


@pytest.mark.parametrize("step", [None, 0.1, 0.7])
def test_bounces_without_end_are_named_and_never_hang(ball, step):
    began = time.perf_counter()
    with pytest.raises(OdecError) as error:
        odec.solve(ball, to=60, step=step)
    text = str(error.value)
    assert "E0607" in text
    assert "`when y < 0: v = -e*v, n += 1` happens ever faster and comes to no end near t = 11.49" in text
    assert time.perf_counter() - began < 60


def test_a_ball_that_loses_nearly_all_does_not_fall_through(ball):
    # Flights shrink by 1/5: below what a step resolves after a few bounces.
    rows = run(ball, np.arange(0, 3.001, 0.01), params=[0.2])[0]
    whole = np.isfinite(rows[:, 0])
    assert rows[whole, 0].min() > -1e-9
    which, moment = simulate.endless(ball, Schedule.fixed(0, [3], 0.1), method="rk4", params=[0.2])
    first = np.sqrt(2 * 8 / 9.81)
    assert which[0] == 0
    assert moment[0] == pytest.approx(first * (1 + 2 * 0.2 / 0.8), abs=1e-4)


def test_sensitivities_go_through_bounces(ball):
    _, found, _ = simulate.sensitivities(ball, Schedule.fixed(0, [2, 5], 0.1), method="rk4", params=[0.8])
    assert found[0, 0, 0, 0] == pytest.approx(9.0567356, abs=1e-6)
    up, down = (run(ball, [2, 5], params=[0.8 + e])[0] for e in (1e-6, -1e-6))
    np.testing.assert_allclose(found[0, ..., 0], (up - down) / 2e-6, rtol=1e-5, atol=1e-6)


def test_the_gradient_of_a_layer_goes_through_bounces(ball):
    layer = ball(times=[2.0], h=0.1, method="rk4", dtype="float64")
    layer(NONE)
    with tf.GradientTape() as tape:
        height = layer(NONE)[0, 0, 0]
    assert float(tape.gradient(height, layer.trainable_weights[0])) == pytest.approx(9.0567356, abs=1e-6)


@pytest.mark.parametrize("step", [0.1, 1.0, 3.0])
def test_thresholds_and_a_short_window_inside_one_step(load, shared, step):
    # Case V12: the third condition holds for 0.02 of the 1 to 3 that a step takes.
    found = run(load(shared / "cases/V12-event-large-step/model.ode"), [10], step)
    np.testing.assert_allclose(found[0, 0], [10, 11, 1], rtol=1e-12)


def test_spikes_are_counted(load, shared):
    # Case V13; euler is of order 1, but resets exactly.
    layer = load(shared / "cases/V13-integrate-and-fire/model.ode")
    found = run(layer, [10, 100], 0.02)[0]
    assert found[0, 0] == pytest.approx(0.27912267, abs=1e-6)
    np.testing.assert_array_equal(found[:, 1], [10, 101])


def test_rows_fire_each_at_its_own_time(load, shared):
    layer = load(shared / "cases/V22-batch-events/model.ode")
    x0 = np.array([1, 2, 3.9, 5])
    together = run(layer, [10], 0.05, params=[[0.5]] * 4, initial={"x": x0})[:, 0]
    np.testing.assert_allclose(together[:, 0], [2.3189556, 1.1594778, 2.2609817, 742.0658], rtol=1e-6)
    # The last row starts above: there is no rising edge.
    np.testing.assert_array_equal(together[:, 1], [3, 4, 4, 0])
    alone = [run(layer, [10], 0.05, initial={"x": start})[0, 0] for start in x0]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    many = run(layer, [10], 0.05, params=[[0.5]] * 1000, initial={"x": np.tile(x0, 250)})[:, 0]
    np.testing.assert_allclose(many, np.tile(together, (250, 1)), rtol=1e-12)


def test_a_jump_that_stays_in_its_condition_fires_once():
    layer = model("state x = 0\nstate n = 0\ndx = 1\ndn = 0\nwhen x > 1/3: n += 1\nwhen x >= 5: n += 10\n")
    for step in (0.1, 1.0, 1 / 3):
        np.testing.assert_allclose(run(layer, [4, 5.5, 9], step)[0, :, 1], [1, 11, 11])


def test_jumps_of_one_moment_follow_the_text():
    layer = model("state x = 0\nstate a = 1\ndx = 1\nda = 0\nwhen x > 1.5: a += 1\nwhen x > 1.5: a *= 10\n")
    assert run(layer, [2], 1.0)[0, 0, 1] == 20


def test_what_a_jump_makes_true_fires_too():
    layer = model("state x = 0\nstate n = 0\ndx = 1\ndn = 0\nat 2: x = 10\nwhen x > 5: n += 1\nwhen n > 0.5: n += 10\n")
    np.testing.assert_array_equal(run(layer, [1.9, 2, 3], 0.7)[0, :, 1], [0, 11, 11])


def test_two_jumps_that_cause_each_other_come_to_no_end():
    layer = model("state x = 0\nstate n = 0\ndx = 1\ndn = 0\nwhen x > 1: x = -1\nwhen x < 0: x = 2\n")
    with pytest.raises(OdecError, match="E0607"):
        odec.solve(layer, to=3, step=0.1)


def test_a_condition_on_time_and_a_joint_condition():
    layer = model(
        "state x = 0\nstate n = 0\nstate m = 0\ndx = cos(t)\ndn = 0\ndm = 0\n"
        "when t > 2.3: n += 1\nwhen x > 0.5 and t > 1: m += 1\n"
    )
    # sin t > 0.5 from 0.524 to 2.618 and again from 6.807: the first time the edge is that of t, 1.
    np.testing.assert_array_equal(run(layer, [0.9, 2.29, 2.31, 6.8, 6.81], 0.25)[0, :, 1:],
                                  [[0, 0], [0, 1], [1, 1], [1, 1], [1, 2]])  # fmt: skip


def test_float32_layers_find_events_too(load, shared):
    layer = load(shared / "cases/V13-integrate-and-fire/model.ode")(times=[10.0], h=0.1, method="rk4")
    found = np.asarray(layer(NONE))[0, 0]
    assert found[1] == 10
    assert found[0] == pytest.approx(0.27912, abs=2e-4)


def test_a_map_jumps_behind_its_step():
    layer = model("state x = 1\nstate n = 0\nnext x = 2*x\nnext n = n\nwhen x > 5: x = 1, n += 1\n")
    np.testing.assert_array_equal(odec.solve(layer, to=6)["x"], [1, 2, 4, 1, 2, 4, 1])
    np.testing.assert_array_equal(odec.solve(layer, to=6)["n"], [0, 0, 0, 1, 1, 1, 2])
