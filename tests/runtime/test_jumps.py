"""Jumps at known times: where they happen, in which order, and what they do to derivatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

import odec
from odec.diagnostics import OdecError
from odec.loading import load_source
from odec.runtime import simulate
from odec.runtime.course import SAME_TIME
from odec.runtime.schedule import Schedule
from odec.source import Source

LAG = """param k = 0.7 in [0, 2]
param lag = 2.2 in [0, 5]
param dose = 10
state x = 1
dx = -k*x
at lag: x += dose
"""
PERIODIC = """param p = 1.5
param from1 = 0.4
param k = 0.3
state x = 1
dx = -k*x + t
every p from from1: x = 0.5*x + k
"""


def model(text: str) -> type:
    return load_source(Source(text, "m.ode"))


def run(layer: type, times, step=0.1, params=None, **more):
    values = [param.value for param in layer.description.params] if params is None else params
    return simulate.solve(layer, Schedule.fixed(0, times, step), method="rk4", params=values, **more)


@pytest.mark.parametrize("step", [0.3, 0.01])
@pytest.mark.parametrize(
    "grid", [[0, 25], [0, 12, 20, 25], [*np.arange(0, 25, 0.7), 25], range(26), [25, 12, 20]], ids=str
)
def test_results_do_not_depend_on_the_rows_or_the_step(load, shared, grid, step):
    # Case V07. RK4 with step 0.3 is right to 1e-5 here.
    found = run(load(shared / "cases/V07-event-exact-time/model.ode"), list(grid), step)[0]
    truth = {12: (10, 12.6424112), 20: (0, 19.8652411), 25: (0, 1.63063829)}
    for time, row in zip(grid, found, strict=True):
        if time in truth:
            np.testing.assert_allclose(row, truth[time], rtol=3e-5 if step == 0.3 else 1e-8)


def test_a_step_that_is_found_is_fine_enough(load, shared):
    solution = odec.solve(load(shared / "cases/V07-event-exact-time/model.ode"), times=[12, 20, 25], rtol=1e-9)
    np.testing.assert_allclose(solution["x"], [12.6424112, 19.8652411, 1.63063829], rtol=1e-8)


def test_the_value_at_a_jump_is_the_one_behind_it_unless_before_is_asked(load, shared):
    layer = load(shared / "cases/V10-observation-at-dose/model.ode")
    behind = odec.solve(layer, times=[12, 24, 0], step=0.05)["A"]
    before = odec.solve(layer, times=[12, 24, 0], step=0.05, before=True)["A"]
    np.testing.assert_allclose(behind, [109.071795, 9.89477003, 100], rtol=1e-8)
    np.testing.assert_allclose(before, [9.07179533, 9.89477003, 100], rtol=1e-8)


def test_jumps_of_one_time_follow_the_text_each_once(load, shared):
    layer = load(shared / "cases/V09-tied-events/model.ode")
    found = odec.solve(layer, times=[2, 5], step=0.01).values
    np.testing.assert_allclose(found, [[160, 300], [7.96593094, 345.095449]], rtol=1e-8)


def test_times_that_differ_in_rounding_are_one_and_others_are_two():
    layer = model("state x = 1\nparam a = 2\ndx = 0\nat a: x += 1\nat 2: x *= 2\nat 2.0000000001: x += 0.5\n")
    for almost, expected in ((2 * (1 + SAME_TIME / 4), 4.5), (1.99999, 4.5), (2.00001, 3.5)):
        assert run(layer, [3], params=[almost])[0, 0, 0] == expected


def test_every_counts_periods_and_never_adds_them_up():
    layer = model("state n = 0\nstate x = 1\ndn = 0\ndx = -x\nevery 0.1: n += 1\n")
    rows = run(layer, [0, 0.05, 0.3, 9.95, 10], 0.3)[0, :, 0]
    np.testing.assert_array_equal(rows, [1, 1, 4, 100, 101])


def test_every_has_a_start_and_a_stop():
    layer = model("state n = 0\nparam x0 = 1\nstate x = x0\ndn = 0\ndx = -x\nevery 24 from 12 to 96: n += 1\n")
    np.testing.assert_array_equal(run(layer, [11, 12, 36, 84, 200], 1.0)[0, :, 0], [0, 1, 2, 4, 4])


def test_right_hand_sides_of_one_jump_are_simultaneous():
    layer = model("state x = 1\nstate y = 2\ndx = 0\ndy = 0\nat 1: x = y, y = x\n")
    np.testing.assert_array_equal(run(layer, [2])[0, 0], [2, 1])


def test_rows_have_times_of_their_own():
    params = np.array([[0.7, 2.2, 10], [0.5, 4.15, 3], [0.1, 9.0, 1]])
    together = run(model(LAG), [1, 3, 5], 0.05, params)
    alone = [run(model(LAG), [1, 3, 5], 0.05, row)[0] for row in params]
    # Rows that wait for others take smaller steps.
    np.testing.assert_allclose(together, alone, rtol=1e-8)
    truth = np.exp(-0.7 * 5) + 10 * np.exp(-0.7 * (5 - 2.2))
    assert together[0, 2, 0] == pytest.approx(truth, rel=1e-7)


@pytest.mark.parametrize("text", [LAG, PERIODIC], ids=["at", "every"])
def test_sensitivities_go_through_jumps_whose_times_are_params(text):
    layer, times = model(text), [1, 3, 5]
    point = np.array([param.value for param in layer.description.params]) + 0.0123
    # Steps so fine that where they are cut does not matter: differences and derivative are both of the solution.
    schedule = Schedule.fixed(0, times, 0.004)
    _, found, _ = simulate.sensitivities(layer, schedule, method="rk4", params=point)
    for j in range(len(point)):
        up, down = (np.array(point), np.array(point))
        up[j] += 1e-5
        down[j] -= 1e-5
        difference = (run(layer, times, 0.004, up) - run(layer, times, 0.004, down)) / 2e-5
        np.testing.assert_allclose(found[..., j], difference, rtol=1e-5, atol=1e-6)


def test_sensitivities_of_fixed_times_are_those_of_the_numbers(load, shared):
    layer = load(shared / "cases/V10-observation-at-dose/model.ode")
    _, found, _ = simulate.sensitivities(layer, Schedule.fixed(0, [5, 24], 0.7), method="euler", params=[0.2])
    up, down = (
        simulate.solve(layer, Schedule.fixed(0, [5, 24], 0.7), method="euler", params=[p])
        for p in (0.2 + 1e-6, 0.2 - 1e-6)
    )
    np.testing.assert_allclose(found[..., 0], (up - down) / 2e-6, rtol=1e-7)


def test_the_gradient_of_a_layer_passes_through_jumps():
    layer = model("param k = 0.7\nparam dose = 10\nstate x = 1\ndx = -k*x\nat 2.25, 4: x = x*x/4 + dose\n")(
        times=[1.0, 5.0], h=0.1, method="rk4", dtype="float64"
    )
    none = np.zeros((2, 0))
    layer(none)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(none) ** 2)
    found = dict(zip(("k", "dose"), tape.gradient(loss, layer.trainable_weights), strict=True))
    for weight in layer.trainable_weights:
        value, losses = float(weight.numpy()), []
        for change in (1e-6, -1e-6):
            weight.assign(value + change)
            losses.append(float(tf.reduce_sum(layer(none) ** 2)))
        weight.assign(value)
        assert float(found[weight.name]) == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-7)


def test_a_layer_does_not_train_the_time_of_a_jump():
    with pytest.raises(OdecError, match=r"E0702.*`lag`, which is trained here"):
        model(LAG)(times=[1.0, 3.0], h=0.1)
    frozen = model(LAG)(times=[1.0, 3.0], h=0.01, method="rk4", frozen=["lag"], dtype="float64")
    truth = math.exp(-2.1) + 10 * math.exp(-0.7 * 0.8)
    assert float(frozen(np.zeros((1, 0)))[0, 1, 0]) == pytest.approx(truth, rel=1e-8)


def test_a_jump_has_no_way_back():
    with pytest.raises(OdecError, match=r"E0606.*a jump cannot be undone"):
        odec.solve(model(LAG), start=5, to=0, step=0.1)


def test_a_period_is_positive():
    with pytest.raises(OdecError, match=r"E0606.*`every p from from1: .*` has the period 0"):
        odec.solve(model(PERIODIC), to=3, step=0.1, params={"p": 0})


def test_a_jump_at_the_start_is_in_the_first_row():
    layer = model("state x = 1\ndx = -x\nat 0: x = 5\n")
    np.testing.assert_array_equal(odec.solve(layer, times=[0]).values, [[5]])
    np.testing.assert_array_equal(odec.solve(layer, times=[0], before=True).values, [[1]])
