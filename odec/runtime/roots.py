"""Where along a step conditions turn true: samples, narrow windows between them, bisection.

A place is a fraction s of the way, 0 … 1; 2 (`NOWHERE`) stands for none. `look(s)` with s (K, batch) gives for each of
W conditions whether it holds and its number, positive where it holds: two arrays (W, K, batch).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from odec.runtime import loops

Tensor = Any
Look = Callable[[Tensor], tuple[Tensor, Tensor]]

# Where a step is looked at: closely near its start, for a condition that just caused a jump may be false only briefly.
SAMPLES = (0.0, *(2.0**-k for k in (26, 18, 12, 8, 6)), *(k / 16 for k in range(1, 17)))
NOWHERE = 2.0
# A number this close to 0, relative to its size along the step, is at its edge.
EDGE = 1e-9
BISECTIONS = 44
# Of the interval around a maximum 0.618^32 is left.
GOLDEN_SECTIONS = 32
GOLDEN = (np.sqrt(5.0) - 1) / 2
SECANTS = 5


def first_rises(look: Look, armed: Tensor, blur: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For each condition (W, batch): where it first turns true, `NOWHERE` if it does not; whether it was false anywhere
    (or `armed`: false before); how near 0 its number is at its edge; and its number at the start.

    A condition that is not armed has to be seen false behind the start, and farther from its edge than rounding takes
    it (`blur`, to which EDGE of its size along the way is added), before it can turn true.
    """
    batch = ops.shape(blur)[1]
    s = ops.broadcast_to(ops.convert_to_tensor(SAMPLES, dtype=blur.dtype)[:, None], (len(SAMPLES), batch))
    holds, g = look(s)
    edge = ops.stop_gradient(blur + EDGE * ops.max(ops.where(ops.isfinite(g), ops.abs(g), 0.0), axis=1))
    false = ops.cast(ops.logical_and(ops.logical_not(holds), ops.abs(g) > edge[:, None]), "int32")
    before = ops.cumsum(false, axis=1) - false
    may = ops.logical_or(armed[:, None], before > 0)
    places = ops.minimum(ops.where(holds, s, NOWHERE), _windows(look, s, g, holds))
    places = ops.where(may, places, NOWHERE)
    high = ops.min(places, axis=1)
    low = ops.max(ops.where(s[None] < high[:, None], s[None], 0.0), axis=1)
    found = loops.either(ops.any(high <= 1), lambda: _bisected(look, ops.minimum(low, high), high), lambda: high)
    ready = ops.logical_or(armed, ops.any(false > 0, axis=1))
    return ops.stop_gradient(found), ready, edge, g[:, 0]


def _windows(look: Look, s: Tensor, g: Tensor, holds: Tensor) -> Tensor:
    """(W, S, batch): near sample k a place where the condition holds though it does not at the samples around.

    Looked for at maxima of the number that may reach 0 if they go on as their slopes do (golden section).
    """
    nowhere = ops.full_like(g, NOWHERE)
    low, middle, high = g[:, :-2], g[:, 1:-1], g[:, 2:]
    a, m, b = s[None, :-2], s[None, 1:-1], s[None, 2:]
    rise = ops.maximum((middle - low) / (m - a) * (b - m), (middle - high) / (b - m) * (m - a))
    # The outer chords matter where the peak lies between two samples of nearly equal numbers.
    chords = ops.abs(g[:, 1:] - g[:, :-1]) / (s[None, 1:] - s[None, :-1])
    wide = ops.concatenate([chords[:, :1], chords, chords[:, -1:]], axis=1)
    steepest = ops.maximum(ops.maximum(wide[:, :-3], wide[:, 1:-2]), ops.maximum(wide[:, 2:-1], wide[:, 3:]))
    rise = ops.maximum(rise, steepest * ops.maximum(m - a, b - m))
    peak = ops.logical_and(middle >= low, middle >= high)
    hopeful = ops.logical_and(ops.logical_and(peak, ops.logical_not(holds[:, 1:-1])), middle + rise >= 0)

    def search() -> Tensor:
        def narrowed(lo: Tensor, hi: Tensor, best: Tensor, i: Tensor) -> tuple[Tensor, ...]:
            p, q = hi - GOLDEN * (hi - lo), lo + GOLDEN * (hi - lo)
            (holds_p, g_p), (holds_q, g_q) = _each(look, p), _each(look, q)
            best = ops.minimum(best, ops.minimum(ops.where(holds_p, p, NOWHERE), ops.where(holds_q, q, NOWHERE)))
            return ops.where(g_p >= g_q, lo, p), ops.where(g_p >= g_q, q, hi), best, i + 1

        lo, hi = (ops.broadcast_to(edge, ops.shape(middle)) for edge in (a, b))
        start = (lo, hi, ops.full_like(middle, NOWHERE), ops.zeros((), "int32"))
        best = loops.bounded(lambda lo, hi, best, i: i < GOLDEN_SECTIONS, narrowed, start, GOLDEN_SECTIONS)[2]
        found = ops.where(hopeful, best, NOWHERE)
        return ops.concatenate([nowhere[:, :1], found, nowhere[:, :1]], axis=1)

    return loops.either(ops.any(hopeful), search, lambda: nowhere)


def _bisected(look: Look, low: Tensor, high: Tensor) -> Tensor:
    """The first place (W, batch) behind `low` at which the condition holds as it does at `high`."""

    def halved(lo: Tensor, hi: Tensor, i: Tensor) -> tuple[Tensor, ...]:
        middle = (lo + hi) / 2
        holds = _each(look, middle[:, None])[0][:, 0]
        return ops.where(holds, lo, middle), ops.where(holds, middle, hi), i + 1

    start = (low, high, ops.zeros((), "int32"))
    found = loops.bounded(lambda lo, hi, i: i < BISECTIONS, halved, start, BISECTIONS)[1]
    return ops.where(high <= 1, found, high)


def _each(look: Look, s: Tensor) -> tuple[Tensor, Tensor]:
    """Each condition at its own places: s (W, K, batch) → (W, K, batch)."""
    parts = [look(s[w]) for w in range(s.shape[0])]
    holds = ops.stack([holds[w] for w, (holds, _) in enumerate(parts)])
    return holds, ops.stack([g[w] for w, (_, g) in enumerate(parts)])


def polished(number: Callable[[Tensor], Tensor], place: Tensor) -> Tensor:
    """The root near `place` (batch,) of a number (batch,), by secants; the best seen where they do not converge."""

    def secant(a: Tensor, g_a: Tensor, b: Tensor, g_b: Tensor, i: Tensor) -> tuple[Tensor, ...]:
        flat = ops.equal(g_b, g_a)
        move = ops.where(flat, 0.0, g_b * (b - a) / ops.where(flat, 1.0, g_b - g_a))
        c = ops.clip(b - ops.clip(move, -0.25, 0.25), 0.0, 1.0)
        g_c = number(c)
        better = ops.abs(g_c) < ops.abs(g_b)
        return (
            ops.where(better, b, a),
            ops.where(better, g_b, g_a),
            ops.where(better, c, b),
            ops.where(better, g_c, g_b),
            i + 1,
        )

    near = place * (1 - 2.0**-10)
    start = (near, number(near), place, number(place), ops.zeros((), "int32"))
    return loops.bounded(lambda *carry: carry[4] < SECANTS, secant, start, SECANTS)[2]


def following(number: Callable[[Tensor], Tensor], root: Tensor) -> Tensor:
    """The root with its derivative by all that `number` depends on (the theorem of implicit functions)."""
    fixed, d = ops.stop_gradient(root), 2.0**-12
    slope = ops.stop_gradient((number(fixed + d) - number(fixed - d)) / (2 * d))
    value = number(fixed)
    return loops.once(fixed - (value - ops.stop_gradient(value)) / ops.where(ops.equal(slope, 0), 1.0, slope))
