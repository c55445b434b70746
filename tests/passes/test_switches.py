"""The times at which equations switch with t: found, of the right value, and not found where a state decides."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from agreement import compiled

HEAD = "state x = 1\ninput u\nparam a = 2\nparam w = 0.5\nconst T = 24\nconst k = 0\n"
PARAMS, CONSTS = (2.0, 0.5), (24.0, 0.0)


def _found(text: str) -> list[tuple[float, float | None]]:
    _, layer = compiled(HEAD + text)
    if not hasattr(layer, "switch_times"):
        return []
    return [(float(t), None if p is None else float(p)) for t, p in layer.switch_times(PARAMS, CONSTS)]


@pytest.mark.parametrize(
    ("formula", "times"),
    [
        ("if(t < a, 1, 0)", [(2, None)]),
        ("if(a <= t, 1, 0)", [(2, None)]),
        ("(t >= a + w)*3", [(2.5, None)]),
        ("if(a < t < a + w, 1, 0)", [(2, None), (2.5, None)]),
        ("if(not (t > a or t < 1), 1, 0)", [(2, None), (1, None)]),
        ("if(x > 1 and t > a, 1, 0)", [(2, None)]),
        ("if(2*t - a < 3 - t, 1, 0)", [(5 / 3, None)]),
        ("if(t/a < 3, 1, 0)", [(6, None)]),
        ("if(w*t < 3, 1, 0)", [(6, None)]),
        ("if(T - t < a, 1, 0)", [(22, None)]),
        ("heaviside(t - a)*x", [(2, None)]),
        ("sign(a - t)", [(2, None)]),
        ("max(t - a, 0)", [(2, None)]),
        ("min(t, a, 3)", [(2, None), (3, None)]),
        ("abs(t - a)", [(2, None)]),
        ("if(abs(t - a) < w, 1, 0)", [(2, None), (2.5, None), (1.5, None)]),
        ("sqrt(t - a)", [(2, None)]),
        ("floor(t/a)", [(0, 2)]),
        ("ceil((t - 1)/a)", [(1, 2)]),
        ("mod(t - a, T)", [(2, 24)]),
        ("if(mod(t - a, T) < w, 1, 0)", [(2, 24), (2.5, 24)]),
        ("if(mod(2*t, T) > 6 + w, 1, 0)", [(0, 12), (3.25, 12)]),
        ("if(sin(2*pi*t/T) > 0.5, 1, 0)", [(2, 24), (10, 24)]),
        ("if(cos(pi*t) > 0, 1, 0)", [(0.5, 2), (-0.5, 2)]),
    ],
)
def test_what_is_found(formula: str, times: list[tuple[float, float | None]]) -> None:
    found = _found(f"x' = -x + {formula}")
    assert len(found) == len(times), found
    for (t, period), (wanted, again) in zip(found, times, strict=True):
        assert t == pytest.approx(wanted, rel=1e-14) and (period is None) == (again is None)
        assert period is None or abs(period) == pytest.approx(again, rel=1e-14)


@pytest.mark.parametrize(
    "formula",
    [
        "if(x < a, 1, 0)",
        "if(t < x, 1, 0)",
        "if(t < u, 1, 0)",
        "if(t*x < 1, 1, 0)",
        "max(t - x, 0)",
        "floor(x)",
        "mod(t, x)",
        "if(exp(t) < 3, 1, 0)",
        "if(t == 3, 1, 0)",
        "if(a < 3, t, 0)",
        "if(t < t + a, 1, 0)",
        "t + sin(t)",
    ],
)
def test_what_is_not(formula: str) -> None:
    assert _found(f"x' = -x + {formula}") == []


def test_names_are_seen_through() -> None:
    text = "observe late = t - start\nstart = 3*a\nphase = mod(late, T)\nx' = if(phase < w, 1, 0) + if(late > 0, x, 0)"
    assert _found(text) == [(6.0, 24.0), (6.5, 24.0), (6.0, None)]


def test_a_map_has_none() -> None:
    _, layer = compiled("state n = 1\nnext n = if(t < 3, n, 0)")
    assert not hasattr(layer, "switch_times")


def test_an_array_has_those_of_its_numbers() -> None:
    _, layer = compiled("size N = 3\nstate x[N] = 1\nparam s[N] = 2\nx' = if(t < s[1], -x, x) + if(t < range(N), 1, 0)")
    ((t, period),) = layer.switch_times((np.full((3, 1), 2.0),), (3,))
    assert np.all(t == 2) and period is None
    assert not hasattr(layer, "switch_times_p")


def test_nothing_switches_where_time_does_not_count() -> None:
    """A slope of 0 is no error of Python."""
    _, layer = compiled(HEAD + "x' = if(k*t < a, 1, 0)")
    ((t, _),) = layer.switch_times(PARAMS, CONSTS)
    assert not math.isfinite(t)


@pytest.mark.parametrize(
    "formula", ["if(w*t < a^2, 1, 0)", "if(mod(t - a, 3*w) < w, 1, 0)", "if(sin(a*t) < w, 1, 0)", "floor(w*t - a)"]
)
def test_derivatives_by_the_params(formula: str) -> None:
    _, layer = compiled(HEAD + f"late = a*w\nx' = {formula} + if(t < late, 1, 0)")
    tables = layer.switch_times_p(PARAMS, CONSTS)
    # Central differences: 1e-5 leaves 1e-10 of the third derivative and 1e-11 of rounding.
    h = 1e-5
    for place, name in enumerate(("a", "w")):
        ends: list[Any] = []
        for sign in (1, -1):
            moved = tuple(p + sign * h * (i == place) for i, p in enumerate(PARAMS))
            ends.append(layer.switch_times(moved, CONSTS))
        for row, above, below in zip(tables, *ends, strict=True):
            for table, high, low in zip(row, above, below, strict=True):
                slope = 0.0 if high is None else (high - low) / (2 * h)
                assert table.get(name, 0.0) == pytest.approx(slope, rel=1e-8, abs=1e-8)


def test_a_tower_of_absolute_values_ends() -> None:
    tower = "abs(" * 60 + "t - 1" + ") - 0.1" * 60
    assert len(_found(f"x' = if({tower} < 0.01, 1, 0)")) < 1_000
