"""How the host drives an adaptive run: blocks of rows side by side, each in parts, so that it can be interrupted.

Rows do not know of each other, so a large batch is cut into blocks whose numbers stay in a core's cache, and every core
takes the next one. A block that is not done after some seconds pauses and goes on from where it was: between two parts
Ctrl-C is heard and the caller told how far the run is.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from odec.runtime import loops
from odec.runtime.steering import RUNNING

# Numbers in the packed states of a block. Measured (a step of one row, XLA on a core with 1 MB of cache): HIRES 0.24 µs
# in blocks of 64 and 0.30 of 256 rows, Lotka-Volterra 0.07 of 256 and 0.09 of 512, POLLU 1.3 of 16 and 2.1 of 64.
BLOCK = 512
FEWEST_ROWS = 16
# The first part has so many attempts for one number of the block, and for eight states of the model, between these
# bounds: some seconds. Going on costs a second compilation, which a run that is soon over should not pay.
FIRST_PART, SHORTEST_PART, LONGEST_PART = 2**24, 2**12, 2**23
# Later parts are made this long, in seconds.
PART = 1.0
# Seconds between two reports.
REPORTED = 0.5


@dataclass(frozen=True)
class Progress:
    """How far a run is: the `share` of the way (0 … 1, the mean of its rows), the `attempts` of a step of all rows, the
    `seconds` since it began."""

    share: float
    attempts: int
    seconds: float

    @property
    def seconds_left(self) -> float:
        """How long it takes from here, at the pace so far."""
        return self.seconds * self._left

    @property
    def attempts_left(self) -> float:
        """How many more attempts it takes, at the pace so far."""
        return self.attempts * self._left

    @property
    def _left(self) -> float:
        return (1 - self.share) / self.share if self.share > 0 else float("inf")


# May raise, which ends the run.
Report = Callable[[Progress], object]
# (resumes, the chunks of a part, the first and last row of a block, what a pause left) → values, info, last, the pause.
Part = Callable[[bool, int, slice, Sequence[Any]], tuple[np.ndarray, np.ndarray, np.ndarray, Sequence[Any]]]


def longest_block(size: int) -> int:
    """The most rows of `size` numbers that a block has. Runs of its multiples are all made of such blocks, and need one
    compilation."""
    return max(FEWEST_ROWS, BLOCK // size)


def blocks(rows: int, size: int) -> list[slice]:
    """Blocks of equal length that cover so many rows of `size` numbers each; the last one may reach beyond them."""
    if not loops.works_in_blocks():
        return [slice(0, rows)]
    count = -(-rows // longest_block(size))
    length = -(-rows // count)
    return [slice(i, i + length) for i in range(0, rows, length)]


def filled(array: np.ndarray, block: slice, rows: int) -> np.ndarray:
    """The columns of a block of an array (…, rows), the last one again for those beyond it; all of (…, 1)."""
    if array.shape[-1] != rows or block.stop - block.start == rows:
        return array
    return np.ascontiguousarray(array[..., np.minimum(np.arange(block.start, block.stop), rows - 1)])


@dataclass(eq=False)
class Drive:
    """A run of so many rows of `size` numbers each from `start` to `end`, by its parts of `chunk` attempts and more.

    Where the program `is_new`, the first block is run by itself: it compiles for all."""

    part: Part
    rows: int
    size: int
    chunk: int
    start: float
    end: float
    report: Report | None = None
    is_new: bool = True
    _began: float = field(default_factory=time.perf_counter)
    _info: dict[int, np.ndarray] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    # Held while a program may be traced: Keras keeps what it is tracing for in globals.
    _tracing: threading.Lock = field(default_factory=threading.Lock)
    _is_traced: bool = False

    def __call__(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The values, how each row went and its last states (`march.Outcome`), batch last."""
        todo = blocks(self.rows, self.size)
        alone = 1 if self.is_new or len(todo) == 1 else 0
        found = [self._driven(block, told=True) for block in todo[:alone]]
        if todo[alone:]:
            found += self._side_by_side(todo[alone:])
        if len(found) == 1:
            return found[0]
        values, info, last = (np.concatenate(parts, axis=-1)[..., : self.rows] for parts in zip(*found, strict=True))
        return values, info, last

    def _side_by_side(self, todo: Sequence[slice]) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        with ThreadPoolExecutor(cores()) as pool:
            waiting = [pool.submit(self._driven, block) for block in todo]
            try:
                while wait(waiting, REPORTED).not_done:
                    self._tell()
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
            return [each.result() for each in waiting]

    def _driven(self, block: slice, told: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        numbers = self.size * (block.stop - block.start) * (1 + self.size // 8)
        attempts = min(max(FIRST_PART // numbers, SHORTEST_PART), LONGEST_PART)
        turns = -(-attempts // self.chunk)
        values, info, last, paused = self.part(False, turns, block, ())
        turns = max(1, turns // 4)
        while np.any(info[0] == RUNNING):
            self._info[block.start] = info
            if told:
                self._tell()
            if self._stop.is_set():
                raise KeyboardInterrupt
            began = time.perf_counter()
            if self._is_traced:
                values, info, last, paused = self.part(True, turns, block, paused)
                turns = max(1, int(turns * min(4.0, PART / (time.perf_counter() - began))))
            else:
                with self._tracing:
                    values, info, last, paused = self.part(True, turns, block, paused)
                    self._is_traced = True
        self._info[block.start] = info
        return values, info, last

    def _tell(self) -> None:
        if self.report is None:
            return
        way, attempts = 0.0, 0
        for status, reached, steps, refused, *_ in list(self._info.values()):
            way += np.where(status == RUNNING, (reached - self.start) / (self.end - self.start), 1.0).mean()
            attempts += int(steps.sum() + refused.sum())
        # Blocks that are not begun have gone no way.
        share = float(way) / len(blocks(self.rows, self.size))
        self.report(Progress(share, attempts, time.perf_counter() - self._began))


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
