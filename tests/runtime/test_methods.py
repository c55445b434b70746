"""Methods are data that check themselves; what order they have is measured."""

import math

import numpy as np
import pytest
from competition import Competition
from lotka_volterra import LotkaVolterra

from odec.diagnostics import OdecError
from odec.runtime import simulate
from odec.runtime.methods import METHODS, Tableau, tableau
from odec.runtime.schedule import Schedule


def _end(method, steps):
    schedule = Schedule.fixed(0, [12.0], 12.0 / steps)
    return simulate.solve(LotkaVolterra, schedule, method=method, params=[0.5, 0.02], columns=("x", "y"))[0, 0]


@pytest.mark.parametrize("method", METHODS)
def test_measured_order_is_the_claimed_one(method):
    order = METHODS[method].order
    # Fine enough for the leading term to rule, coarse enough to stay above rounding (1e-13 of 40).
    steps = {1: 8000, 2: 2000, 4: 320, 5: 160}[order]
    coarse, middle, fine = (_end(method, n) for n in (steps, 2 * steps, 4 * steps))
    ratio = np.linalg.norm(coarse - middle) / np.linalg.norm(middle - fine)
    assert math.log2(ratio) == pytest.approx(order, abs=0.1)


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
