"""Inputs: series with their own times, in runs and in layers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from scipy.integrate import quad

import odec
from odec.diagnostics import OdecError
from odec.loading import load_source
from odec.runtime import simulate
from odec.runtime.schedule import Schedule
from odec.runtime.signals import Signal
from odec.source import Source

DECAY = "param k = 0.4\ninput u{kind}\nstate x = 0\ndx = u - k*x\nobserve y = x + u\n"
TIMES, VALUES = [0, 2, 4, 4.5, 10], [0, 0, 3, 1, 1]


def model(text: str) -> type:
    return load_source(Source(text, "m.ode"))


def decay(kind: str = "") -> type:
    return model(DECAY.format(kind=kind))


def truth(end: float, hold: bool = False) -> float:
    """x' = u - 0.4 x from 0, by quadrature."""

    def u(t: float) -> float:
        return VALUES[np.searchsorted(TIMES, t, side="right") - 1] if hold else np.interp(t, TIMES, VALUES)

    return quad(lambda t: np.exp(-0.4 * (end - t)) * u(t), 0, end, points=[t for t in TIMES if t < end], limit=200)[0]


@pytest.mark.parametrize(("kind", "expected"), [("", 2.53379498), (" hold", 2.37363114)])
@pytest.mark.parametrize("step", [0.3, 0.05, None])
def test_a_table_with_uneven_times(shared, kind, expected, step):
    # Case V06. The step is cut at the knots, so that even a coarse one is of the method's order.
    solution = odec.solve(
        decay(kind), times=[10, 3.3], step=step, inputs={"u": shared / "cases/V06-input-table/input.csv"}
    )
    np.testing.assert_allclose(solution["x"], [expected, truth(3.3, bool(kind))], rtol=1e-6)


def test_tables_come_as_frames_columns_and_pairs(shared):
    import pandas

    tables = [{"t": TIMES, "u": VALUES}, pandas.DataFrame({"t": TIMES, "u": VALUES}), (TIMES, VALUES)]
    found = [odec.solve(decay(), to=10, step=0.1, inputs={"u": table}).values for table in tables]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_a_held_input_changes_exactly_at_its_times():
    solution = odec.solve(decay(" hold"), times=[2, 3.999999, 4], step=0.1, inputs={"u": (TIMES, VALUES)})
    np.testing.assert_allclose(solution["y"] - solution["x"], [0, 0, 3], atol=1e-12)
    before = odec.solve(decay(" hold"), times=[4], step=0.1, inputs={"u": (TIMES, VALUES)}, before=True)
    assert before["y"][0] == before["x"][0]


def test_outside_the_table_the_last_value_is_held_and_said_once():
    solution = odec.solve(decay(), times=[12], step=0.05, inputs={"u": (TIMES, VALUES)})
    expected = 1 / 0.4 + (truth(10) - 1 / 0.4) * np.exp(-0.4 * 2)
    assert solution["x"][0] == pytest.approx(expected, rel=1e-8)
    assert [warning.code for warning in solution.warnings] == ["W0605"]
    assert "after t = 10 its last value is held" in solution.warnings[0].message


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        (None, "E0606", "needs its input `u`"),
        ({"w": (TIMES, VALUES)}, "E0603", "has no input `w`"),
        ({"u": {"t": [0, 1], "v": [1, 2]}}, "E0501", "has no column `u`"),
        ({"u": {"u": [1, 2]}}, "E0502", "help: the columns are to be `t` and `u`"),
        ({"u": {"t": [0, 1], "u": [1, None]}}, "E0503", "line 2 of `data`, column `u`: the value is missing"),
        ({"u": {"t": [0, 0], "u": [1, 2]}}, "E0507", "two rows at t = 0"),
        ({"u": "nothing.csv"}, "E0506", "there is no file `nothing.csv`"),
    ],
)
def test_mistakes_are_named(inputs, code, words):
    with pytest.raises(OdecError) as error:
        odec.solve(decay(), to=1, step=0.1, inputs=inputs)
    assert code in str(error.value)
    assert words in str(error.value)


def test_inputs_of_several_tables_and_arrays():
    layer = model("input u[2] hold\ninput v\nstate x = 0\nstate y[2] = 0\ndx = v\ndy = u*v\n")
    inputs = {"u": {"t": [0, 1], "u[0]": [1, 2], "u[1]": [3, 4]}, "v": ([0, 4], [0, 4])}
    found = odec.solve(layer, times=[2], step=0.3, inputs=inputs).values[0]
    # ∫v = 2; ∫u v = 1·0.5 + 2·1.5 and 3·0.5 + 4·1.5
    np.testing.assert_allclose(found, [2, 3.5, 7.5], rtol=1e-12)


def test_sensitivities_of_driven_models():
    signal = Signal(np.array(TIMES, float), np.array(VALUES, float)[:, None, None])
    setting = {"method": "rk4", "inputs": signal, "columns": ["x", "y"]}
    schedule = Schedule.fixed(0, [3, 7.7], 0.31)
    _, found, _ = simulate.sensitivities(decay(), schedule, params=[0.4], **setting)
    up, down = (simulate.solve(decay(), schedule, params=[0.4 + e], **setting) for e in (1e-6, -1e-6))
    np.testing.assert_allclose(found[..., 0], (up - down) / 2e-6, rtol=1e-7)


def test_a_layer_takes_series_as_its_second_argument():
    layer = decay()(times=[3.3, 10.0], h=0.05, method="rk4", input_times=TIMES, dtype="float64", outputs=["x", "y"])
    series = np.array([VALUES, [1] * 5], dtype=float)[..., None]
    found = np.asarray(layer(np.zeros((2, 0)), series))
    np.testing.assert_allclose(
        found[0], [[truth(3.3), truth(3.3) + np.interp(3.3, TIMES, VALUES)], [truth(10), truth(10) + 1]], rtol=1e-6
    )
    np.testing.assert_allclose(found[1, :, 0], (1 - np.exp(-0.4 * np.array([3.3, 10]))) / 0.4, rtol=1e-8)
    np.testing.assert_array_equal(layer([np.zeros((2, 0)), series]), found)
    np.testing.assert_array_equal(layer(series), found)


def test_by_default_there_is_a_row_for_each_step():
    layer = decay(" hold")(steps=3, h=1.0, method="rk4", dtype="float64")
    found = np.asarray(layer(np.array([[[1.0], [2.0], [0.0]]])))[0, :, 0]
    x, expected = 0.0, []
    for u in (1.0, 2.0, 0.0):
        x = u / 0.4 + (x - u / 0.4) * np.exp(-0.4)
        expected.append(x)
    np.testing.assert_allclose(found, expected, rtol=1e-3)  # RK4, step 1
    with pytest.raises(ValueError, match="a row for each of its 3 steps"):
        layer(np.zeros((1, 7, 1)))
    with pytest.raises(ValueError, match=r"series of shape \(batch, rows, 1\).*Received: none"):
        decay()(steps=3, h=1.0)(np.zeros((1, 1)))


@pytest.mark.parametrize("kind", ["", " hold"])
def test_gradients_reach_the_series_and_the_params(kind):
    layer = decay(kind)(times=[3.3, 10.0], h=0.3, method="rk4", input_times=TIMES, dtype="float64")
    series = tf.constant(np.array(VALUES, float)[None, :, None])
    layer(series)
    with tf.GradientTape() as tape:
        tape.watch(series)
        loss = tf.reduce_sum(layer(series) ** 2)
    by_series, by_k = tape.gradient(loss, [series, layer.trainable_weights[0]])

    def loss_at(change: np.ndarray) -> float:
        return float(tf.reduce_sum(layer(series + change) ** 2))

    for j in range(len(TIMES)):
        change = np.zeros((1, len(TIMES), 1))
        change[0, j] = 1e-5
        assert float(by_series[0, j, 0]) == pytest.approx((loss_at(change) - loss_at(-change)) / 2e-5, abs=1e-7)
    weight = layer.trainable_weights[0]
    weight.assign(0.4 + 1e-6)
    up = loss_at(np.zeros(1))
    weight.assign(0.4 - 1e-6)
    assert float(by_k) == pytest.approx((up - loss_at(np.zeros(1))) / 2e-6, rel=1e-6)


def test_a_fit_with_a_measured_input(shared, tmp_path):
    folder = shared / "cases/F16-input-driven-fit"
    text = (folder / "model.ode").read_text().replace("input V", "input V hold")
    (tmp_path / "model.ode").write_text(text)
    table = folder / "input.csv"
    start = odec.solve(tmp_path / "model.ode", times=[1, 3], inputs={"V": table})
    np.testing.assert_allclose(start["w"], [6.885324, 3.770574], atol=1e-6)
    found = odec.fit(tmp_path / "model.ode", folder / "data.csv", inputs={"V": table}, output=None)
    assert found.estimates["k"] == pytest.approx(0.2, rel=0.02)
    assert found.estimates["B"] == pytest.approx(0.03, rel=0.02)


def test_an_input_may_be_a_column_of_the_data():
    layer = decay(" hold")
    times = np.arange(0, 10, 0.5)
    u = (times > 3) * 2.0
    x = odec.solve(layer, times=times, inputs={"u": (times, u)}, params={"k": 0.7})["x"]
    found = odec.fit(layer, {"t": times, "x": x, "u": u}, output=None)
    assert found.estimates["k"] == pytest.approx(0.7, rel=1e-5)
    with pytest.raises(OdecError, match=r"E0503.*column `u`: the value is missing"):
        odec.fit(layer, {"t": times, "x": x, "u": [None, *u[1:]]}, output=None)
