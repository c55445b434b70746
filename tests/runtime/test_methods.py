"""Methods are data that check themselves; what order they have, in every part, is measured."""

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
from competition import Competition
from lotka_volterra import LotkaVolterra
from scipy.integrate import DOP853, RK45

from odec import methods as names
from odec.diagnostics import OdecError
from odec.runtime import simulate
from odec.runtime.methods import METHODS, Rosenbrock, Tableau, step, tableau
from odec.runtime.schedule import Schedule

EXPLICIT = [method for method in METHODS.values() if isinstance(method, Tableau)]
STIFF = [method for method in METHODS.values() if isinstance(method, Rosenbrock)]
ADAPTIVE = [method for method in METHODS.values() if method.error]
by_name = {"ids": lambda method: method.name}


# A nonlinear problem with time in both equations, whose solution is known: (exp(sin t), 2 + cos t).
def _exact(t):
    return np.array([math.exp(math.sin(t)), 2 + math.cos(t)])


def _rhs(t, x):
    p, q = x
    return np.array([p**2 * (q - 2) * math.exp(-math.sin(t)), -math.log(p) - (q**2 - (2 + math.cos(t)) ** 2) / 2])


def _rhs_x(t, x):
    p, q = x
    e = math.exp(-math.sin(t))
    return np.array([[2 * p * (q - 2) * e, p**2 * e], [-1 / p, -q]])


def _rhs_t(t, x):
    p, q = x
    slope = -math.cos(t) * p**2 * (q - 2) * math.exp(-math.sin(t))
    return np.array([slope, -(2 + math.cos(t)) * math.sin(t)])


def _increments(method, t, h, x, rhs=_rhs, rhs_x=_rhs_x, rhs_t=_rhs_t):
    """h k_i of an explicit method, u_i of a Rosenbrock method: (stages, states)."""
    found = []
    if isinstance(method, Tableau):
        for row, c in zip(((), *method.a, *method.extra), (*method.c, *method.extra_c), strict=True):
            found.append(h * rhs(t + c * h, x + sum(w * k for w, k in zip(row, found, strict=True))))
        return np.array(found)
    matrix = np.eye(len(x)) / (h * method.gamma) - rhs_x(t, x)
    for a, c, alpha, gamma in zip(((), *method.a), ((), *method.c), method.alpha, method.gammas, strict=True):
        right = rhs(t + alpha * h, x + sum(w * u for w, u in zip(a, found, strict=True)))
        right = right + sum(w * u for w, u in zip(c, found, strict=True)) / h + gamma * h * rhs_t(t, x)
        found.append(np.linalg.solve(matrix, right))
    return np.array(found)


def _advanced(method, t, h, x):
    weights = method.b if isinstance(method, Tableau) else method.m
    return x + weights @ _increments(method, t, h, x)[: len(weights)]


def _measured(values):
    """The order at which values fall when the step is halved: the slope of their logarithm, continued to h = 0."""
    first, second = (math.log2(coarse / fine) for coarse, fine in pairwise(values))
    return 2 * second - first


def _end(method, steps):
    schedule = Schedule.fixed(0, [12.0], 12.0 / steps)
    return simulate.solve(LotkaVolterra, schedule, method=method, params=[0.5, 0.02], columns=("x", "y"))[0, 0]


@pytest.mark.parametrize("method", EXPLICIT, **by_name)
def test_measured_order_is_the_claimed_one(method):
    # Fine enough for the leading term to rule, coarse enough to stay above rounding (1e-13 of 40).
    steps = {1: 8000, 2: 2000, 4: 320, 5: 160, 8: 40}[method.order]
    coarse, middle, fine = (_end(method.name, n) for n in (steps, 2 * steps, 4 * steps))
    ratio = np.linalg.norm(coarse - middle) / np.linalg.norm(middle - fine)
    assert math.log2(ratio) == pytest.approx(method.order, abs=0.2)


@pytest.mark.parametrize("method", METHODS.values(), **by_name)
def test_measured_order_with_a_known_solution(method):
    coarsest = {1: 400, 2: 200, 4: 64, 5: 64, 8: 4}[method.order]
    errors = []
    for steps in (coarsest, 2 * coarsest, 4 * coarsest):
        x, h = _exact(0.0), 4.0 / steps
        for i in range(steps):
            x = _advanced(method, i * h, h, x)
        errors.append(np.linalg.norm(x - _exact(4.0)))
    assert _measured(errors) == pytest.approx(method.order, abs=0.2)


@pytest.mark.parametrize("method", ADAPTIVE, **by_name)
def test_the_dense_output_has_its_order_all_along_the_step(method):
    start, errors = 0.3, []
    # As small as rounding allows.
    longest = 0.4 if method.dense_order > 4 else 0.1
    for h in (longest, longest / 2, longest / 4):
        found = _increments(method, start, h, _exact(start))
        dense = np.array(method.dense)
        misses = []
        for theta in np.linspace(0.05, 0.95, 19):
            powers = theta ** np.arange(1, dense.shape[1] + 1)
            misses.append(_exact(start) + found.T @ dense @ powers - _exact(start + theta * h))
        errors.append(np.linalg.norm(misses))
    assert _measured(errors) == pytest.approx(method.dense_order + 1, abs=0.2)


@pytest.mark.parametrize("method", ADAPTIVE, **by_name)
def test_the_error_estimate_has_its_order(method):
    start, estimates = 0.3, []
    for h in (0.1, 0.05, 0.025):
        found = _increments(method, start, h, _exact(start))
        if isinstance(method, Rosenbrock):
            norms = [np.linalg.norm(method.error @ found)]
        else:
            norms = [np.linalg.norm(weights @ found[: len(weights)]) for weights in method.error]
        estimates.append(norms[0] if len(norms) == 1 else norms[0] ** 2 / math.hypot(norms[0], 0.1 * norms[1]))
    assert _measured(estimates) == pytest.approx(method.error_order + 1, abs=0.2)


def test_dopri5_is_scipys():
    np.testing.assert_allclose(METHODS["dopri5"].dense, RK45.P, rtol=0, atol=1e-13)  # rounding of numbers up to 10
    np.testing.assert_allclose(METHODS["dopri5"].error, [-RK45.E], rtol=0, atol=1e-16)


def test_dop853_is_scipys():
    method, h = METHODS["dop853"], 0.2
    peer = DOP853(_rhs, 0.3, _exact(0.3), 2.0, first_step=h, rtol=1e-3)
    peer.step()
    found = _increments(method, 0.3, h, _exact(0.3))
    assert peer.t == pytest.approx(0.3 + h)
    np.testing.assert_allclose(_exact(0.3) + method.b @ found[:13], peer.y, rtol=1e-14)
    for theta in (0.1, 0.5, 0.9):
        got = _exact(0.3) + found.T @ np.array(method.dense) @ theta ** np.arange(1, 8)
        # Rounding of weights up to 500.
        np.testing.assert_allclose(got, peer.dense_output()(0.3 + theta * h), rtol=1e-13)
    np.testing.assert_allclose(method.error, [DOP853.E5, DOP853.E3], rtol=0, atol=1e-15)


@pytest.mark.parametrize("method", EXPLICIT, **by_name)
def test_a_fixed_step_evaluates_no_slope_at_its_end(method):
    calls = []

    def rhs(t, x):
        calls.append(t)
        return _rhs(t, x)

    got = step(method, rhs, lambda c: 0.3 + 0.1 * c, 0.1, _exact(0.3))
    assert len(calls) == len(method.b) - method.last_is_first
    np.testing.assert_allclose(got, _advanced(method, 0.3, 0.1, _exact(0.3)), rtol=1e-14)


@pytest.mark.parametrize("method", STIFF, **by_name)
def test_a_stiff_method_is_stable(method):
    assert abs(method.stability(np.inf)) < 1e-13
    # A-stable: by the maximum principle it is enough to look along the imaginary axis, there being no pole on the left.
    assert max(abs(method.stability(1j * y)) for y in np.logspace(-3, 6, 400)) <= 1 + 1e-13
    assert method.stability(-0.1) == pytest.approx(math.exp(-0.1), rel=1e-6)
    # A step of dx/dt = -1e8 (x - cos t): the next value is that of the slow solution, whatever x was.
    stiff = (
        lambda t, x: -1e8 * (x - math.cos(t)),
        lambda t, x: np.array([[-1e8]]),
        lambda t, x: np.array([-1e8 * math.sin(t)]),
    )
    found = 5.0 + method.m @ _increments(method, 0.0, 0.1, np.array([5.0]), *stiff)
    assert found[0] == pytest.approx(math.cos(0.1), abs=1e-4)


def _off(row, by=1e-6):
    return (row[0] + by, *row[1:])


@pytest.mark.parametrize(
    ("name", "field", "value", "said"),
    [
        ("tsit5", "error", lambda m: (_off(m.error[0]),), "not an estimate of order 4"),
        ("tsit5", "error_order", lambda m: 5, "not an estimate of order 5"),
        (
            "tsit5",
            "dense",
            lambda m: (*m.dense[:2], (*m.dense[2][:3], 2.5), *m.dense[3:]),
            "no dense output of order 4",
        ),
        ("tsit5", "dense_order", lambda m: 5, "no dense output of order 5"),
        ("tsit5", "c", lambda m: (0, *_off(m.c[1:])), "row sum"),
        ("dop853", "extra_c", lambda m: _off(m.extra_c), "row sum"),
        ("dop853", "order", lambda m: 9, "not of order 9"),
        ("rodas5p", "gamma", lambda m: m.gamma + 1e-6, "row sum"),
        ("rodas5p", "gammas", lambda m: _off(m.gammas), "row sum"),
        ("rodas5p", "m", lambda m: _off(m.m), "not stiffly accurate"),
        ("rodas5p", "order", lambda m: 6, "not of order 6"),
        ("rodas5p", "error", lambda m: _off(m.error), "not an estimate of order 4"),
        ("rodas4", "dense", lambda m: (_off(m.dense[0]), *m.dense[1:]), "no dense output of order 3"),
        ("rodas4", "c", lambda m: (*m.c[:-1], _off(m.c[-1])), "row sum"),
    ],
)
def test_a_wrong_coefficient_of_an_adaptive_method_is_refused(name, field, value, said):
    with pytest.raises(AssertionError, match=said):
        dataclasses.replace(METHODS[name], **{field: value(METHODS[name])})


def test_a_wrong_coefficient_is_refused():
    with pytest.raises(AssertionError, match="not of order 4"):
        Tableau("off", 4, ((1 / 2,), (0, 1 / 2), (0, 0, 1)), (1 / 6, 1 / 6, 1 / 2, 1 / 6), (0, 1 / 2, 1 / 2, 1), "")
    with pytest.raises(AssertionError, match="row sum"):
        Tableau("off", 1, ((1 / 2,),), (0, 1), (0, 1), "")


def test_every_method_has_its_source():
    assert all(method.source and name == method.name for name, method in METHODS.items())


def test_unknown_method_names_the_nearest():
    with pytest.raises(OdecError, match="did you mean `euler`") as error:
        tableau("eular")
    assert error.value.diagnostics[0].code == "E0408"
    assert "did you mean `auto`" in names.unknown_method("aut").help


@pytest.mark.parametrize(
    ("elsewhere", "here"), [("RK45", "dopri5"), ("ode45", "dopri5"), ("LSODA", "auto"), ("BDF", "rodas5p")]
)
def test_methods_of_other_tools_are_known_by_what_does_the_same(elsewhere, here):
    assert names.unknown_method(elsewhere).help == f"`{here}` does that here"


def test_euler_equals_a_numpy_loop():
    params = [param.value for param in Competition.description.params]
    r1, r2, a1, a2, n1, n2 = params
    x1, x2, rows = 100.0, 150.0, []
    for _ in range(1000):
        dx1 = r1 * x1 * (1 - n1 * x1) - a1 * x1 * x2
        dx2 = r2 * x2 * (1 - n2 * x2) - a2 * x1 * x2
        x1, x2 = x1 + 0.1 * dx1, x2 + 0.1 * dx2
        rows.append((x1, x2))
    got = simulate.solve(Competition, Schedule.grid(0, 0.1, 1000), method="euler", params=params, columns=("x1", "x2"))
    np.testing.assert_allclose(got[0], rows, rtol=1e-10)
    np.testing.assert_allclose(got[0, 999], (373.568, 250.442), rtol=2e-6)
