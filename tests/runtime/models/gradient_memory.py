"""Peak memory of the gradient of an adaptive layer over 20,000 steps for 256 rows, in bytes beyond what importing and
compiling a short run of the same layer take. Run by `test_long_runs.py` in a process of its own: prints the number of
steps of the longest row, and the bytes."""

from __future__ import annotations

import resource
import sys

import numpy as np
import tensorflow as tf

from odec.loading import load_source
from odec.runtime import simulate
from odec.runtime.adaptive import Adaptive
from odec.source import Source

ROWS, RTOL = 256, 1e-8


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def gradient(layer: type, end: float, starts: np.ndarray) -> np.ndarray:
    made = layer(times=[end / 2, end], rtol=RTOL, max_steps=2**15, dtype="float64")
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(made(tf.constant(starts))[:, -1, 0])
    return np.array([float(g) for g in tape.gradient(loss, made.weights)])


def main(end: float) -> None:
    text = "param w = 20\nstate x = 1\nstate y = 0\ndx = w*y\ndy = -w*x\n"
    layer = load_source(Source(text, "turn.ode"))
    starts = np.random.default_rng(1).uniform(0.5, 1.5, (ROWS, 2))
    gradient(layer, 0.1, starts[:2])
    before = peak()
    found = gradient(layer, end, starts)
    used = peak() - before
    # x(t) = x₀ cos wt + y₀ sin wt.
    angle = 20 * end
    exact = end * np.sum(-starts[:, 0] * np.sin(angle) + starts[:, 1] * np.cos(angle))
    assert abs(found[0] - exact) < 1e-4 * end * ROWS, (found, exact)
    run = simulate.run(
        layer,
        Adaptive(0, [end], rtol=RTOL),
        method="tsit5",
        params=[20.0],
        initial=dict(zip("xy", starts[:1].T, strict=True)),
    )
    print(run.steps[0], used)


if __name__ == "__main__":
    main(float(sys.argv[1]))
