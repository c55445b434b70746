"""Runs and sensitivities on NumPy arrays."""

import numpy as np
import pytest
import tensorflow as tf
from competition import Competition
from keras import ops
from lotka_volterra import LotkaVolterra
from small import Cosine, Forced, Tank

from odec.diagnostics import OdecError
from odec.runtime import loops, simulate
from odec.runtime.program import Program
from odec.runtime.schedule import Schedule

GUESS = np.array([param.value for param in Competition.description.params])
ALL = ("x", "y", "eaten", "total")


@pytest.fixture(scope="module")
def schedule():
    return Schedule.fixed(0, [10, 2.5, 20, 10, 0], 0.25)


def test_time_does_not_drift_in_float32():
    end = simulate.solve(Cosine, Schedule.fixed(0, [10000], 0.1), method="rk4", params=[], dtype="float32")
    assert end[0, 0, 0] == pytest.approx(-0.305614389, abs=1e-3)


def test_a_large_start_does_not_swallow_the_step():
    got = simulate.solve(Cosine, Schedule.grid(33696000, 150, 10), method="euler", params=[], dtype="float64")[0, :, 0]
    times = 33696000 + 150 * np.arange(10)
    np.testing.assert_allclose(got, 150 * np.cumsum(np.cos(times)), rtol=1e-9)


def test_times_come_in_the_asked_order():
    schedule = Schedule.fixed(2, [2, 2, 2.5, 7, 7.1, 50, 7], 0.05)
    got = simulate.solve(Forced, schedule, method="dopri5", params=[0.3, 5.0])[0, :, 0]
    # Case V21, closed form, 8 digits.
    np.testing.assert_allclose(got, [5, 5, 4.3140158, 1.2477899, 1.2178577, 1.5555584, 1.2477899], rtol=1e-7)


def test_rows_of_params_consts_and_starts_are_independent(schedule):
    alone = [
        simulate.solve(LotkaVolterra, schedule, method="rk4", params=[0.5, b], consts={"c": c}, initial={"x": x})[0]
        for b, c, x in ((0.02, 0.4, 40), (0.03, 0.5, 30))
    ]
    together = simulate.solve(
        LotkaVolterra,
        schedule,
        method="rk4",
        params=[[0.5, 0.02], [0.5, 0.03]],
        consts={"c": [0.4, 0.5]},
        initial={"x": [40, 30]},
    )
    np.testing.assert_allclose(together, alone, rtol=1e-13)


def test_a_replaced_const_moves_those_that_depend_on_it(schedule):
    own = simulate.solve(LotkaVolterra, schedule, method="rk4", params=[0.5, 0.02], consts={"c": 0.6})
    both = simulate.solve(LotkaVolterra, schedule, method="rk4", params=[0.5, 0.02], consts={"c": 0.6, "e": 0.015})
    np.testing.assert_allclose(own, both, rtol=1e-14)


@pytest.mark.parametrize("method", ["euler", "rk4", "dopri5"])
def test_sensitivities_are_the_derivative_of_the_computed_numbers(schedule, method):
    theta = np.array([0.5, 0.02])
    values, jacobian, _ = simulate.sensitivities(LotkaVolterra, schedule, method=method, params=theta, columns=ALL)
    np.testing.assert_allclose(
        values, simulate.solve(LotkaVolterra, schedule, method=method, params=theta, columns=ALL), rtol=1e-13
    )
    for j, size in enumerate(theta):
        step = np.zeros(2)
        step[j] = 1e-5 * size
        ends = simulate.solve(LotkaVolterra, schedule, method=method, params=[theta + step, theta - step], columns=ALL)
        difference = (ends[0] - ends[1]) / (2 * step[j])
        np.testing.assert_allclose(jacobian[0, ..., j], difference, rtol=1e-6, atol=1e-6 * np.abs(difference).max())


def test_sensitivities_by_chosen_params_and_initial_states(schedule):
    _, full, _ = simulate.sensitivities(
        LotkaVolterra, schedule, method="rk4", params=[0.5, 0.02], columns=("y", "total")
    )
    _, some, _ = simulate.sensitivities(
        LotkaVolterra, schedule, method="rk4", params=[0.5, 0.02], columns=("y", "total"), wrt=("b", "x")
    )
    np.testing.assert_allclose(some[..., 0], full[..., 1], rtol=1e-12)
    ends = simulate.solve(
        LotkaVolterra,
        schedule,
        method="rk4",
        params=[0.5, 0.02],
        columns=("y", "total"),
        initial={"x": [40.001, 39.999]},
    )
    np.testing.assert_allclose(some[0, ..., 1], (ends[0] - ends[1]) / 0.002, rtol=1e-6, atol=1e-6)


def test_a_given_start_does_not_depend_on_params():
    schedule = Schedule.fixed(0, [0, 1], 0.1)
    _, own, _ = simulate.sensitivities(Forced, schedule, method="rk4", params=[0.3, 5.0])
    _, given, _ = simulate.sensitivities(Forced, schedule, method="rk4", params=[0.3, 5.0], initial={"x": 5.0})
    assert own[0, 0, 0].tolist() == [0, 1]
    assert given[0, :, 0, 1].tolist() == [0, 0]
    np.testing.assert_allclose(own[0, :, 0, 0], given[0, :, 0, 0])


def test_an_emptied_tank_has_finite_values_and_sensitivities():
    schedule = Schedule.fixed(0, [3, 10], 0.001)
    values, jacobian, _ = simulate.sensitivities(Tank, schedule, method="rk4", params=[0.8])
    # Case S04: h(3) = 0.64, dh/dk = -2.4; empty at t = 10.
    np.testing.assert_allclose(values[0, :, 0], [0.64, 0], atol=1e-3)
    assert jacobian[0, 0, 0, 0] == pytest.approx(-2.4, rel=1e-6)
    assert np.isfinite(jacobian).all()


def test_new_numbers_need_no_new_trace(monkeypatch):
    traces = []
    values = Program.values
    monkeypatch.setattr(Program, "values", lambda *arguments: (traces.append(1), values(*arguments))[1])
    simulate._compiled.cache_clear()
    for rows in (1, 2, 5):
        for step in (0.3, 0.1):
            schedule = Schedule.fixed(0, np.arange(1.0, 3 + rows), step)
            simulate.solve(Forced, schedule, method="heun", params=np.tile([0.2, 4.0], (rows, 1)))
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": ["X"]}, "no state or output `X`"),
        ({"consts": {"k": 1}}, "no const `k`"),
        ({"initial": {"xx": 1}}, "no state `xx`"),
        ({"initial": {"x": [1, 2]}, "consts": {"c": [1, 2, 3]}}, "different numbers of rows"),
    ],
)
def test_wrong_names_and_rows_are_refused(schedule, options, words):
    with pytest.raises(OdecError, match=words):
        simulate.solve(LotkaVolterra, schedule, method="euler", params=[0.5, 0.02], **options)


def test_a_chunk_of_epochs_is_one_compiled_call():
    schedule = Schedule.fixed(0, [10, 15, 30, 36, 40, 42], 1.0)
    program = simulate.program(Competition, method="euler", columns=("x1", "x2"))
    data = simulate.solve(Competition, schedule, method="euler", params=GUESS, columns=("x1", "x2"))[0][..., None]

    def loss(theta):
        return ops.sum((program.trajectory(schedule, theta) - data) ** 2)

    def epoch(i, carry):
        theta, _ = carry
        value, (gradient,) = loops.value_and_gradient(loss, theta)
        return theta - 1e-3 * theta**2 * gradient / (1 + ops.abs(theta * gradient)), value

    chunk = simulate.compiled(lambda theta: loops.repeat(50, epoch, (theta, ops.zeros((), "float64"))))
    start = tf.constant(GUESS[:, None] * 1.2)
    _, last = chunk(start)
    assert float(last) < 0.9 * float(loss_at(loss, start))
    _, jacobian, _ = simulate.sensitivities(
        Competition, schedule, method="euler", params=start[:, 0], columns=("x1", "x2")
    )
    _, (gradient,) = tf.function(lambda theta: loops.value_and_gradient(loss, theta))(start)
    values = simulate.solve(Competition, schedule, method="euler", params=start[:, 0], columns=("x1", "x2"))[0]
    by_hand = np.einsum("tc,tcp->p", 2 * (values - data[..., 0]), jacobian[0])
    np.testing.assert_allclose(gradient[:, 0], by_hand, rtol=1e-10)


def loss_at(loss, theta):
    return tf.function(loss)(theta)
