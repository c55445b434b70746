"""Values and derivatives of what generated equations call, at the places where plain operations give NaN."""

import math

import numpy as np
import pytest
import tensorflow as tf

from odec.runtime import functions as f

NAN, INF = math.nan, math.inf

# name, function, [(x, value, derivative)]
EDGES = [
    ("sqrt", f.sqrt, [(-1.0, 0, 0), (0.0, 0, 0), (4.0, 2, 0.25), (NAN, NAN, NAN)]),
    ("log", f.log, [(-1.0, NAN, 0), (0.0, -INF, 0), (4.0, math.log(4), 0.25)]),
    ("log2", f.log2, [(0.0, -INF, 0), (8.0, 3, 1 / (8 * math.log(2)))]),
    ("log10", f.log10, [(0.0, -INF, 0), (1000.0, 3, 1 / (1000 * math.log(10)))]),
    ("log1p", f.log1p, [(-2.0, NAN, 0), (-1.0, -INF, 0), (1.0, math.log(2), 0.5)]),
    ("square", lambda x: f.power(x, 2), [(-3.0, 9, -6), (0.0, 0, 0)]),
    ("seventh", lambda x: f.power(x, 7), [(-1.0, -1, 7), (0.0, 0, 0), (2.0, 128, 448)]),
    ("inverse", lambda x: f.power(x, -1), [(-2.0, -0.5, -0.25)]),
    ("hundredth", lambda x: f.power(x, 100), [(-1.0, 1, -100), (0.0, 0, 0)]),
    ("zeroth", lambda x: f.power(x, 0), [(0.0, 1, 0)]),
    ("root", lambda x: f.power(x, 0.5), [(0.0, 0, 0), (4.0, 2, 0.25)]),
    ("2.5", lambda x: f.power(x, 2.5), [(-1.0, NAN, NAN), (0.0, 0, 0), (4.0, 32, 20)]),
    ("0.3", lambda x: f.power(x, 0.3), [(0.0, 0, 0), (1.0, 1, 0.3)]),
    ("2^x", lambda x: f.power(2, x), [(0.0, 1, math.log(2)), (3.0, 8, 8 * math.log(2))]),
    ("0^n", lambda n: f.power(0.0 * n, n), [(0.0, 1, 0), (0.5, 0, 0), (2.0, 0, 0)]),
    ("3^n", lambda n: f.power(3.0 + 0 * n, n), [(2.0, 9, 9 * math.log(3))]),
    ("maximum", lambda x: f.maximum(x, 2.0, 0.5), [(1.0, 2, 0), (2.0, 2, 1), (3.0, 3, 1), (NAN, NAN, 1)]),
    ("maximum, second", lambda x: f.maximum(2.0, x), [(2.0, 2, 0), (3.0, 3, 1), (NAN, NAN, 1)]),
    ("minimum", lambda x: f.minimum(x, 3.0), [(2.0, 2, 1), (3.0, 3, 1), (4.0, 3, 0)]),
    ("relu", f.relu, [(-1.0, 0, 0), (0.0, 0, 0), (2.0, 2, 1)]),
    ("heaviside", f.heaviside, [(-1.0, 0, 0), (0.0, 1, 0), (1.0, 1, 0)]),
    ("mod", lambda x: f.mod(x, 3.0), [(-1.0, 2, 1), (4.0, 1, 1)]),
    ("mod, divisor", lambda y: f.mod(7.0, y), [(-4.0, -1, 2)]),
    ("atan2", lambda y: f.atan2(y, 0.0 * y), [(0.0, 0, 0), (1.0, math.pi / 2, 0)]),
    ("sigmoid", f.sigmoid, [(-800.0, 0, 0), (0.0, 0.5, 0.25), (800.0, 1, 0)]),
    ("softplus", f.softplus, [(-800.0, 0, 0), (0.0, math.log(2), 0.5), (800.0, 800, 1)]),
    ("erf", f.erf, [(0.0, 0, 2 / math.sqrt(math.pi))]),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("function", "rows"), [edge[1:] for edge in EDGES], ids=[edge[0] for edge in EDGES])
def test_value_and_derivative_at_the_edge(function, rows, dtype):
    points, values, derivatives = zip(*rows, strict=True)
    x = tf.constant(points, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    slope = tape.gradient(y, x, unconnected_gradients="zero")
    assert y.dtype.name == dtype
    tolerance = {"float32": 2e-6, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(y.numpy(), values, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(slope.numpy(), derivatives, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_x_over_expm1_is_right_near_zero_and_far_away(dtype):
    import mpmath

    points = [-1e3, -30, -0.31, -0.29, -1e-4, -1e-6, 0, 1e-6, 1e-4, 0.29, 0.31, 1, 30, 80]
    x = tf.constant(points, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = f.x_over_expm1(x)
    slope = tape.gradient(y, x).numpy()

    def exact(z):
        return z / mpmath.expm1(z) if z else mpmath.mpf(1)

    with mpmath.workdps(40):
        at = [mpmath.mpf(float(v)) for v in x.numpy()]
        values = [float(exact(z)) for z in at]
        slopes = [float(1 / mpmath.expm1(z) - z * mpmath.exp(z) / mpmath.expm1(z) ** 2) if z else -0.5 for z in at]
    tolerance = {"float32": 2e-6, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(y.numpy(), values, rtol=tolerance, atol=0)
    # 1/x - 1/x loses digits just outside the series: a few units in the last place of 1/0.3.
    np.testing.assert_allclose(slope, slopes, rtol=10 * tolerance, atol=0)


@pytest.mark.parametrize("function", [edge[1] for edge in EDGES], ids=[edge[0] for edge in EDGES])
def test_python_numbers_stay_python_numbers(function):
    value = function(2.0)
    assert isinstance(value, float)
    assert value == pytest.approx(float(function(tf.constant(2.0, tf.float64))), rel=1e-15)


def test_numbers_at_the_edge_agree_with_arrays():
    assert f.sqrt(-1.0) == 0 and f.log(0.0) == -INF and math.isnan(f.log(-1.0)) and f.heaviside(0) == 1
    assert f.exp(1000.0) == INF and f.power(0.0, -1.0) == INF and math.isnan(f.power(-1.0, 0.5 + 0.1))
    assert math.isnan(f.maximum(1.0, NAN)) and math.isnan(f.minimum(NAN, 1.0)) and f.x_over_expm1(0.0) == 1


def test_select_chooses_elementwise_and_at_once():
    assert f.select(True, 1, 2) == 1
    np.testing.assert_array_equal(f.select(tf.constant([True, False]), 1.0, tf.constant([5.0, 6.0])), [1, 6])
