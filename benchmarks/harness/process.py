"""A command as a whole process: seconds from start to end, peak memory as the operating system counts it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.clock import Seconds

ROOT = Path(__file__).resolve().parents[2]
# What `ru_maxrss` counts in.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Runs:
    """The runs of one command: seconds by the clock and of the processors, and the largest peak memory in bytes."""

    seconds: Seconds
    processor: Seconds
    memory: float

    @property
    def megabytes(self) -> str:
        """The peak memory."""
        return f"{self.memory / 1e6:.0f} MB"


def alternated(
    commands: Mapping[str, Sequence[str]], rounds: int, limit: float = 600.0, warm: bool = True
) -> dict[str, Runs]:
    """Each command run once a round, with `warm` after a round that is not counted (file cache, `__pycache__`)."""
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for counted in (*[False] * warm, *[True] * rounds):
        for name, command in commands.items():
            one = run(command, limit)
            if counted:
                taken[name].append(one)
    return {name: _runs(*zip(*each, strict=True)) for name, each in taken.items()}


def _runs(seconds: tuple[float, ...], processor: tuple[float, ...], memory: tuple[float, ...]) -> Runs:
    return Runs(Seconds(seconds), Seconds(processor), max(memory))


class TooLongError(Exception):
    """The run was ended at its limit."""


def run(command: Sequence[str], limit: float = 600.0) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak bytes of one run. TooLongError after `limit` seconds,
    SystemExit with its words when it fails.

    A child inherits its parent's peak until it starts its own program, so the caller should stay small.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment())
    assert process.stderr is not None
    timer = threading.Timer(limit, process.kill)
    timer.start()
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    timer.cancel()
    if seconds >= limit:
        raise TooLongError
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with {process.returncode} and said:\n{said.decode()}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * RSS_UNIT


def environment() -> dict[str, str]:
    """Ours, with this checkout's odec first and TensorFlow hushed."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
