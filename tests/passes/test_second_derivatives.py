"""How the Jacobian changes along directions. That the numbers are right on random models is said by `agreement`."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from agreement import compare, compiled

PENDULUM = """
state a = 0.1
state v = 0
param g = 9.81
input push
s = sin(a)
a' = v
v' = -g*s - v^2*exp(-t) + push*v
"""


def test_many_directions_of_many_rows() -> None:
    """States (batch,) and directions (P, batch): each direction as if it were alone."""
    _, layer = compiled(PENDULUM.replace("exp(-t)", "t").replace("sin(a)", "a^3"))
    states, push = (np.array([0.1, 0.7]), np.array([1.0, -2.0])), (np.array([0.5, 0.6]),)
    along = (np.array([[1.0, 1.0], [0.0, 2.0]]), np.array([[0.0, 3.0], [1.0, 1.0]])), (np.array([[0.0, 0], [1, 1]]),)
    found = layer.rhs_x_tangent(2.0, states, (9.0,), (), push, *along)
    (a, v), (da, dv), (dg,) = states, *along
    assert set(found) == {("v", "a"), ("v", "v")}
    np.testing.assert_allclose(found["v", "a"], -dg * 3 * a**2 - 9 * 6 * a * da, rtol=1e-14)
    np.testing.assert_allclose(found["v", "v"], -2 * 2 * dv, rtol=1e-14)
    found = layer.rhs_t_tangent(2.0, states, (9.0,), (), push, *along)
    assert set(found) == {"v"}
    np.testing.assert_allclose(found["v"], -2 * v * dv, rtol=1e-14)


def test_a_linear_system_has_none() -> None:
    _, layer = compiled("const k = 2\nparam j = 1\nx' = -k*x + j")
    assert layer.rhs_x_tangent(0.0, (1.0,), (1.0,), (2.0,), (1.0,), (1.0,)) == {}
    assert layer.rhs_t_tangent(0.0, (1.0,), (1.0,), (2.0,), (1.0,), (1.0,)) == {}


@pytest.mark.parametrize("v", [-90.0, -3.0, -0.2, 0.0, 1e-9, 0.3, 2.0, 90.0])
def test_a_form_that_is_0_by_0_has_its_second_derivative(v: float) -> None:
    _, layer = compiled("state v = 1\nv' = v/(exp(v) - 1)")
    found = layer.rhs_x_tangent(0.0, (np.array([v]),), (), (), (np.array([1.0]),), ())["v", "v"]
    with mpmath.workdps(90):
        # Around 0 by Cauchy's integral: the difference quotients of 0/0 are of no use.
        wanted = float(mpmath.re(mpmath.diff(lambda z: z / mpmath.expm1(z), v, 2, method="quad", radius=0.5)))
    # The series ends at 2e-15, the quotient loses two digits where it begins.
    np.testing.assert_allclose(found, wanted, rtol=3e-14)


def test_a_choice_that_is_not_taken_adds_nothing() -> None:
    assert compare("state x = 0.5\nparam k = 2\ny = if(x > 1, log(x - 1), x^2)\nx' = if(x > 1, y, k*y*x)") > 0


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"state x{i} = 1\nx{i}' = -x{i}^2*x{(i + 1) % 300}/(1 + x{i})" for i in range(300)),
        # The derivative of a product of n factors has n products, and those of theirs n².
        "state x = 1\nparam k = 1\nx' = " + "*".join(["x", "k"] * 60),
        "state n = 1\nnext n = n^2",
    ],
    ids=["many equations", "a long product", "a map"],
)
def test_large_systems_and_maps_do_without(text: str) -> None:
    _, layer = compiled(text)
    assert hasattr(layer, "rhs_x")
    assert not hasattr(layer, "rhs_x_tangent") and not hasattr(layer, "rhs_t_tangent")
