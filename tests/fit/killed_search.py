"""Run by test_checkpoint.py: a search in a child that is killed with SIGKILL again and again, and resumed each time.

A process of its own, without TensorFlow: only one without its threads may fork.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from odec.fit.checkpoint import FILE, Journal, arrays_of, followed
from odec.fit.least_squares import Box, Points, Search, Settings, squares

KILLS = 20
STARTS = 6
BOX = Box(np.full(2, -5.0), np.full(2, 5.0), np.ones(2), np.zeros(2, dtype=bool))


def valley(z: np.ndarray, rows: np.ndarray) -> Points:
    """Rosenbrock's valley with ten times the curvature, in which a search takes 81 points; each takes a moment."""
    # Together they outlast twenty kills of at most 0.1 s, on a machine as quick as may be.
    time.sleep(2.0 / 80)
    x, y = z.T
    residuals = np.stack([100 * (y - x * x), 1 - x], axis=1)
    one = np.ones_like(x)
    return squares(residuals, np.stack([np.stack([-200 * x, 100 * one], 1), np.stack([-one, 0 * one], 1)], 1))


def run(folder: Path) -> Search:
    """The search, from its checkpoint where there is one."""
    journal = Journal(folder / FILE, every=0.0)
    journal.identify({"seed": "1"}, resume=True)
    start = np.random.default_rng(1).uniform(-5, 5, (STARTS, 2))
    settings = Settings(gradient=0.0, reduction=0.0, step=0.0, floor=-np.inf, patience=1000)
    return followed(journal, "plain", valley, start, BOX, settings)


def main(folder: Path) -> None:
    """Prints how many children the kill met at work, and whether the end is that of a search left alone."""
    moments = np.random.default_rng(7).uniform(0.01, 0.1, KILLS)
    met = 0
    for moment in moments:
        child = os.fork()
        if child == 0:
            run(folder)
            os._exit(0)
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        met += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    before = Journal(folder / FILE)
    before.identify({"seed": "1"}, resume=True)
    kept = before.stage("plain")
    steps = 0 if kept is None else int(kept["iterations"].max())
    resumed = run(folder)
    (folder / FILE).unlink()
    alone = run(folder)
    same = all(np.array_equal(one, arrays_of(alone)[name]) for name, one in arrays_of(resumed).items())
    print(met, steps, int(alone.iterations.max()), same)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
