"""Runs that take long: in parts and blocks that change nothing, with word of how far they are, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from odec.loading import load_source
from odec.runtime import driving, simulate, steering
from odec.runtime.adaptive import Adaptive
from odec.source import Source

TURN = "param w = 2\nstate x = 1\nstate y = 0\ndx = w*y\ndy = -w*x\n"
TIMES = np.linspace(0.5, 10, 7)
# 290 rows of 40 to 3,000 steps, in three blocks of 97: the last one is filled up.
PACES = np.geomspace(0.1, 20, 290)[:, None]


@pytest.fixture(scope="module")
def turn() -> Any:
    return load_source(Source(TURN, "turn.ode"))


def run(layer: Any, params: Any, times: Any = TIMES, **more: Any) -> simulate.Run:
    return simulate.run(layer, Adaptive(0, times, rtol=1e-7), method="tsit5", params=params, **more)


@pytest.fixture
def short_parts(monkeypatch: Any) -> None:
    monkeypatch.setattr(driving, "FIRST_PART", 2**10)
    monkeypatch.setattr(driving, "SHORTEST_PART", 1)
    monkeypatch.setattr(driving, "PART", 1e-3)


def test_blocks_cover_the_rows() -> None:
    assert driving.blocks(1, 8) == [slice(0, 1)]
    assert driving.blocks(64, 8) == [slice(0, 64)]
    assert driving.blocks(130, 8) == [slice(0, 44), slice(44, 88), slice(88, 132)]
    # However large the model, a block has some rows.
    assert len(driving.blocks(64, 10_000)) == 4
    row = np.arange(10.0)[None]
    np.testing.assert_array_equal(driving.filled(row, slice(8, 12), 10), [[8, 9, 9, 9]])
    np.testing.assert_array_equal(driving.filled(row[:, :1], slice(8, 12), 10), [[0]])


def test_a_run_in_blocks_is_that_of_each_row(turn: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(driving, "BLOCK", 256)
    whole = run(turn, PACES)
    assert whole.values.shape == (290, 7, 2) and np.all(whole.status == steering.DONE)
    for row in (0, 96, 97, 193, 194, 289):
        alone = run(turn, PACES[row])
        assert (alone.steps[0], alone.refused[0]) == (whole.steps[row], whole.refused[row])
        np.testing.assert_allclose(alone.values[0], whole.values[row], rtol=0, atol=1e-12)


@pytest.mark.usefixtures("short_parts")
def test_a_run_in_parts_is_the_same_and_tells_how_far_it_is(turn: Any, monkeypatch: Any) -> None:
    told: list[driving.Progress] = []
    parts = run(turn, [20.0], report=told.append)
    to_end = run(turn, [20.0], TIMES[-1:])
    monkeypatch.setattr(driving, "FIRST_PART", 2**24)
    whole = run(turn, [20.0], report=lambda _: pytest.fail("a short run has nothing to tell"))
    np.testing.assert_array_equal(parts.values, whole.values)
    np.testing.assert_array_equal(parts.steps, whole.steps)
    np.testing.assert_array_equal(to_end.values[0, 0], whole.values[0, -1])
    assert len(told) > 2
    shares = [each.share for each in told]
    assert shares == sorted(shares) and shares[0] > 0 and shares[-1] < 1
    assert told[-1].attempts <= whole.steps[0] + whole.refused[0]
    assert 0 < told[-1].seconds_left < np.inf


@pytest.mark.usefixtures("short_parts")
def test_what_a_report_raises_ends_the_run(turn: Any) -> None:
    def stop(_: driving.Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(turn, [20.0], report=stop)
    # The next run knows nothing of it.
    assert run(turn, [20.0]).status == steering.DONE


def test_memory_of_a_gradient_through_20000_steps_of_256_rows() -> None:
    # Case K06 for chosen steps. Measured: 0.42 GB.
    script = Path(__file__).parent / "models" / "gradient_memory.py"
    root = str(Path(__file__).resolve().parents[2])
    found = subprocess.run(
        [sys.executable, str(script), "45"],
        env={**os.environ, "PYTHONPATH": root, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    steps, used = map(int, found.stdout.split())
    assert steps > 20_000 and used < 1e9
