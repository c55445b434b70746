"""Seconds that can be compared: the candidates take turns, so that a slow minute of the machine falls on all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# One sample lasts at least this long: a short call is repeated inside it.
SHORTEST_SAMPLE = 0.05


@dataclass(frozen=True)
class Seconds:
    """Samples of one candidate's seconds for one call."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one, which is what to quote."""
        return statistics.median(self.samples)

    def scaled(self, factor: float) -> Seconds:
        """Each sample times a factor: seconds for so many epochs, or for one of so many."""
        return Seconds(tuple(sample * factor for sample in self.samples))

    def __str__(self) -> str:
        if len(self.samples) == 1:
            return f"{duration(self.median)} (one run)"
        return f"{duration(self.median)} ({duration(min(self.samples))}–{duration(max(self.samples))})"


def interleaved(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Seconds]:
    """Each candidate timed once a round, after a first call that is not counted (tracing, compilation, caches)."""
    repeats = {name: _repeats(call) for name, call in candidates.items()}
    samples: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            began = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            samples[name].append((time.perf_counter() - began) / repeats[name])
    return {name: Seconds(tuple(taken)) for name, taken in samples.items()}


def _repeats(call: Callable[[], object]) -> int:
    call()
    began = time.perf_counter()
    call()
    return max(1, round(SHORTEST_SAMPLE / (time.perf_counter() - began)))


def duration(seconds: float) -> str:
    """Three digits with a unit that suits them.

    >>> duration(0.0123456), duration(374.2)
    ('12.3 ms', '374 s')
    """
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            number = seconds / size
            return f"{number:.0f} {unit}" if number >= 100 else f"{number:.3g} {unit}"
    raise AssertionError(seconds)
