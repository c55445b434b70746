"""The numbers of the examples that need the whole language: functions of mathematics, arrays, jumps, inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special
from scipy.linalg import expm

import odec
from odec.compiler import compile_source
from odec.source import Source

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FUNCTIONS = EXAMPLES / "special_functions"
LORENZ = EXAMPLES / "lorenz96" / "model.ode"

Truth = Callable[[np.ndarray], np.ndarray]


# Functions that are solutions.


@pytest.mark.parametrize(
    ("model", "value", "slope"),
    [
        ("exp", np.exp, None),
        ("sincos", np.sin, np.cos),
        ("bessel_j0", special.j0, lambda t: -special.j1(t)),
        ("bessel_j1", special.j1, lambda t: special.jvp(1, t)),
        ("legendre_p5", lambda t: special.eval_legendre(5, t), None),
        (
            "hypergeometric",
            lambda t: special.hyp2f1(0.5, 1.5, 2.5, t),
            lambda t: 0.3 * special.hyp2f1(1.5, 2.5, 3.5, t),
        ),
        ("airy", lambda t: special.airy(t)[0], lambda t: special.airy(t)[1]),
    ],
)
def test_a_special_function_is_the_solution_of_its_equation(model: str, value: Truth, slope: Truth | None) -> None:
    solution = odec.solve(FUNCTIONS / f"{model}.ode")
    # RK4's error at these steps is below 1e-11; SciPy's own functions are good to some 1e-14.
    np.testing.assert_allclose(solution["y"], value(solution.times), rtol=0, atol=1e-8)
    if slope is not None:
        np.testing.assert_allclose(solution["y'"], slope(solution.times), rtol=0, atol=1e-8)


def test_airy_is_solved_backwards() -> None:
    times = odec.solve(FUNCTIONS / "airy.ode").times
    assert times[0] == 0
    assert times[-1] == -15
    assert np.all(np.diff(times) < 0)


# Lorenz 96.


def lorenz96(size: int, h: float, steps: int) -> np.ndarray:
    """Steps of RK4 from the example's start."""

    def rhs(x: np.ndarray) -> np.ndarray:
        return (np.roll(x, -1) - np.roll(x, 2)) * np.roll(x, 1) - x + 8

    x = np.where(np.arange(size) == size // 2, 8.01, 8.0)
    rows = [x]
    for _ in range(steps):
        k1 = rhs(x)
        k2 = rhs(x + h / 2 * k1)
        k3 = rhs(x + h / 2 * k2)
        k4 = rhs(x + h * k3)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        rows.append(x)
    return np.stack(rows)


@pytest.mark.parametrize("size", [40, 10_000])
def test_lorenz96_is_a_plain_loop_at_any_size(size: int) -> None:
    solution = odec.solve(LORENZ, to=1, step=0.01, every=0.01, params={"N": size})
    assert solution.names == tuple(f"x[{i}]" for i in range(size))
    np.testing.assert_allclose(solution.values, lorenz96(size, 0.01, 100), rtol=0, atol=1e-10)


def test_lorenz96_agrees_with_the_forty_equations_written_out(shared: Path) -> None:
    run: dict[str, Any] = {"to": 2, "step": 0.01, "every": 0.5, "method": "rk4"}
    whole = odec.solve(LORENZ, init={"x[20]": 8, "x[19]": 8.01}, **run)
    written_out = odec.solve(shared / "reference" / "ivp" / "lorenz96_40" / "model.ode", **run)
    np.testing.assert_allclose(whole.values, written_out.values, rtol=0, atol=1e-10)


def test_the_text_of_lorenz96_is_as_long_for_any_size() -> None:
    written = LORENZ.read_text(encoding="utf-8")
    small, large = (
        compile_source(Source.from_text(written.replace("size N = 40", f"size N = {size}"), "lorenz96.ode")).text
        for size in (40, 10_000)
    )
    assert len(small.splitlines()) == len(large.splitlines())
    assert len(large) - len(small) < 20  # the digits of N


# Jumps.


def test_dosing_is_the_sum_of_its_doses() -> None:
    solution = odec.solve(EXAMPLES / "dosing" / "model.ode")
    ka, ke = 1.2, 0.15
    gut, blood = np.zeros_like(solution.times), np.zeros_like(solution.times)
    for time, dose in [(0, 400), *((12 * i, 200) for i in range(1, 10))]:
        since = solution.times - time
        taken = since >= 0
        gut += np.where(taken, dose * np.exp(-ka * since), 0)
        blood += np.where(taken, dose * ka / (ka - ke) * (np.exp(-ke * since) - np.exp(-ka * since)), 0)
    np.testing.assert_allclose(solution["gut"], gut, rtol=0, atol=1e-6)
    np.testing.assert_allclose(solution["blood"], blood, rtol=0, atol=1e-6)
    # A row at the time of a dose shows what is there after it.
    assert solution["gut"][0] == 400


def test_a_dose_at_a_param_s_time_and_two_at_one_time(tmp_path: Path) -> None:
    model = tmp_path / "tied.ode"
    model.write_text(
        "state d = 0, c = 0\nparam lag = 2\ndd = -d\ndc = d - 0.1*c\n"
        "at t = lag: d += 150\nat t = 2: c += 150\nat 2: d += 10\nat t = lag: c = 2*c\n"
    )
    solution = odec.solve(model, to=5, step=0.01, times=[2, 5], method="rk4")
    # ../shared/cases/V09: in the order of the text, each once.
    np.testing.assert_allclose(solution.values[0], [160, 300], rtol=1e-12)
    c = 300 * math.exp(-0.3) + 160 / 0.9 * (math.exp(-0.3) - math.exp(-3))
    np.testing.assert_allclose(solution.values[1], [160 * math.exp(-3), c], rtol=1e-8)


def ball(e: float, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Height and number of bounces by the closed form."""
    g = 9.81
    moment, speed, count = math.sqrt(2 * 8 / g), math.sqrt(2 * 8 * g), np.zeros_like(times)
    height = 8 - g / 2 * times**2
    while moment < times[-1]:
        speed *= e
        since = times - moment
        height = np.where(since >= 0, speed * since - g / 2 * since**2, height)
        count += since >= 0
        moment += 2 * speed / g
    return height, count


def test_the_ball_bounces_where_the_closed_form_says() -> None:
    solution = odec.solve(EXAMPLES / "bouncing_ball" / "model.ode")
    height, count = ball(0.8, solution.times)
    np.testing.assert_allclose(solution["y"], height, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(solution["bounces"], count)
    assert solution["y"].min() > -1e-8


def test_the_ball_s_height_changes_with_its_elasticity() -> None:
    from odec.runtime import simulate
    from odec.runtime.schedule import Schedule

    layer = odec.load_model(EXAMPLES / "bouncing_ball" / "model.ode")
    schedule = Schedule.fixed(0.0, np.array([2.0, 4.0]), 0.01)
    _, slopes, _ = simulate.sensitivities(layer, schedule, method="rk4", params=[0.8], columns=["y"])
    step = 1e-6
    truth = (ball(0.8 + step, np.array([2.0, 4.0]))[0] - ball(0.8 - step, np.array([2.0, 4.0]))[0]) / (2 * step)
    assert truth[0] == pytest.approx(9.0567356, rel=1e-6)
    np.testing.assert_allclose(slopes[0, :, 0, 0], truth, rtol=1e-6)


# Inputs.


def test_the_motor_is_a_matrix_exponential_between_switches() -> None:
    solution = odec.solve(EXAMPLES / "motor" / "model.ode", inputs={"V": EXAMPLES / "motor" / "voltage.csv"})
    table = np.loadtxt(EXAMPLES / "motor" / "voltage.csv", delimiter=",", skiprows=1)
    k, friction, inductance, resistance, inertia = 0.05, 0.001, 0.01, 1.0, 0.002
    # (i, w, V), V constant.
    matrix = np.array(
        [[-resistance / inductance, -k / inductance, 1 / inductance], [k / inertia, -friction / inertia, 0], [0, 0, 0]]
    )
    state, rows = np.zeros(2), []
    for (begin, voltage), end in zip(table, [*table[1:, 0], np.inf], strict=True):
        for time in solution.times[(solution.times >= begin - 1e-9) & (solution.times < end - 1e-9)]:
            rows.append(expm(matrix * (time - begin)) @ [*state, voltage])
        if np.isfinite(end):
            state = (expm(matrix * (end - begin)) @ [*state, voltage])[:2]
    truth = np.array(rows)
    # RK4 at h/τ = 0.05 for the current: it errs by (h/τ)^4/120 of a switch's 12 A.
    np.testing.assert_allclose(solution["i"], truth[:, 0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(solution["w"], truth[:, 1], rtol=0, atol=1e-6)


def test_a_motor_of_other_numbers_has_the_speed_that_the_case_says(tmp_path: Path) -> None:
    model = tmp_path / "motor.ode"
    model.write_text(
        "param k = 0.1\nparam B = 0.1\nconst L = 0.05; const R = 1.5; const J = 0.02\ninput V hold\n"
        "state i = 0, w = 0\ndi = (V - R*i - k*w)/L\ndw = (k*i - B*w)/J\n"
    )
    series = ([0, 0.5, 2, 3.5, 6], [0, 12, 6, 0, 12])
    solution = odec.solve(model, times=[1, 3], step=0.001, method="rk4", inputs={"V": series})
    # ../shared/cases/F16, at the start values.
    np.testing.assert_allclose(solution["w"], [6.885324, 3.770574], rtol=1e-6)
