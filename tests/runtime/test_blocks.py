"""A layer's batch in blocks of rows: values and gradients are those of the batch taken at once (on TensorFlow; the
other back ends: `tests/backends/`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from odec.loading import load_source
from odec.runtime import loops, recurrence
from odec.source import Source

# With blocks of at most 8 rows: three of 8 that are not full, and one.
BATCHES = (22, 3)
TEXT = """param k = 0.5
param a = 0.3
state x = 1
state y = 2
dx = -k*x + a*y*cos(t)
dy = a*x - y
observe s = x + k*y
"""
DRIVEN = "input u linear\nparam k = 0.5\nparam a = 0.2\nstate x = 1\nstate y = 0\ndx = k*(u - x^3)\ndy = a*x - y\n"
DOSED = "param k = 0.5\nparam a = 0.2\nstate x = 1\nstate y = 0\ndx = -k*x\ndy = a*x - y\nat 1: x += a\n"
MAP = "input u\nparam k = 0.5\nparam a = 0.2\nstate x = 1\nstate y = 0\nnext x = k*x + u\nnext y = a*x*u\n"
CASES = {
    "one step an interval": (TEXT, {"steps": 6, "h": 0.2}, 0),
    "several": (TEXT, {"times": [2.0, 0.5, 2.0, 0.0], "h": 0.2, "outputs": ["s", "x"]}, 0),
    "the last row": (TEXT, {"steps": 6, "h": 0.2, "return_sequences": False}, 0),
    "driven": (DRIVEN, {"steps": 4, "h": 0.2}, 5),
    "jumps": (DOSED, {"times": [0.7, 1.0, 2.0], "h": 0.2}, 0),
    "map": (MAP, {}, 4),
    "a stiff method": (TEXT, {"steps": 6, "h": 0.2, "method": "rodas5p"}, 0),
    "adaptive": (TEXT, {"times": [0.5, 2.0], "rtol": 1e-6, "method": "tsit5"}, 0),
}


@pytest.fixture
def in_blocks(monkeypatch: Any) -> Any:
    """Counts the calls that made blocks."""
    for name in ("BLOCK", "WHOLE"):
        monkeypatch.setattr(recurrence, name, 1)
    for name in ("FEWEST", "ADAPTIVE_BLOCK", "ADAPTIVE_WHOLE"):
        monkeypatch.setattr(recurrence, name, 8)
    asked: list[int] = []
    own = loops.in_blocks

    def counted(*arguments: Any, length: int, most: int) -> Any:
        asked.append(length)
        return own(*arguments, length=length, most=most)

    monkeypatch.setattr(loops, "in_blocks", counted)
    return asked


def taken(case: str, batches: tuple[int, ...], known: bool) -> list[list[np.ndarray]]:
    """For each batch: the output, and the gradients of a sum of it by start, series, k of each row and the shared a.
    Unless it is `known`, a batch may have any length when the graph is made."""
    text, arguments, knots = CASES[case]
    layer = load_source(Source(text, "case.ode"))(**{"method": "rk4", **arguments}, dtype="float64", frozen=["k"])
    layer(*inputs(1, knots))

    def both(*parts: tf.Tensor) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(parts)
            values = layer(parts[0], *parts[2:], params={"k": parts[1]})
            weights = 1 + tf.cast(tf.range(tf.size(values[0])) % 3, "float64")
            total = tf.reduce_sum(tf.reshape(values, (tf.shape(values)[0], -1)) * weights)
        weight = next(weight.value for weight in layer.trainable_variables if weight.name == "a")
        return values, *tape.gradient(total, [*parts, weight])

    shapes = [(None, *part.shape[1:]) for part in parts_of(1, knots)]
    signature = None if known else [tf.TensorSpec(shape, "float64") for shape in shapes]
    function = tf.function(both, input_signature=signature)
    return [[part.numpy() for part in function(*map(tf.constant, parts_of(n, knots)))] for n in batches]


def parts_of(rows: int, knots: int) -> list[np.ndarray]:
    """Starts, k of each row, and a series of so many knots."""
    number = np.arange(rows)
    parts = [np.stack([1 + number / 9, 2 - number / 7], axis=1), 0.3 + number / 40]
    return [*parts, np.sin(number[:, None, None] + np.arange(knots)[None, :, None])] if knots else parts


def inputs(rows: int, knots: int) -> list[np.ndarray]:
    start, _, *series = parts_of(rows, knots)
    return [start, *series]


@pytest.mark.parametrize("case", CASES)
def test_blocks_change_nothing(case: str, in_blocks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [*taken(case, BATCHES, False), *taken(case, BATCHES[:1], True)]
    assert set(in_blocks) == {8}
    monkeypatch.undo()
    whole = taken(case, BATCHES, True)
    for mine, theirs in zip(found, [*whole, whole[0]], strict=True):
        assert mine[0].shape == theirs[0].shape
        for part, other in zip(mine, theirs, strict=True):
            # Sums over rows in another order.
            np.testing.assert_allclose(part, other, rtol=1e-12, atol=1e-13)


def test_a_row_knows_nothing_of_its_block(in_blocks: Any) -> None:
    """A row that is no number spoils none but itself, and gradients by what is its own."""
    model = load_source(Source(TEXT, "case.ode"))
    layer = model(steps=6, h=0.2, dtype="float64")
    start, k = parts_of(22, 0)
    whole = np.asarray(layer(start, params={"k": k}))
    start[21] = np.nan
    spoilt = np.asarray(layer(start, params={"k": k}))
    np.testing.assert_array_equal(spoilt[:21], whole[:21])
    assert np.all(np.isnan(spoilt[21]))
