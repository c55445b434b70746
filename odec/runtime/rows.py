"""The times at which a run is read off."""

from __future__ import annotations

import math

import numpy as np

from odec.runtime.description import Description

# Rows of a run that says neither `every` nor `step`.
DEFAULT_ROWS = 200


def default_times(description: Description, start: float) -> np.ndarray:
    """Rows of the model's `solve` statement after the start: each `every` (else step, else 1/200 of the span)."""
    defaults = description.defaults
    if defaults.stop is None:
        raise ValueError(
            f"{description.name} does not know how long to run: give steps and h, or times, or `solve to` in the model"
        )
    span = defaults.stop - start
    return rows_between(start, defaults.stop, defaults.every or defaults.step or abs(span) / DEFAULT_ROWS)[1:]


def rows_between(start: float, stop: float, every: float) -> np.ndarray:
    """start, start ± every, …, stop; the end always among them. Rounded to 15 digits, so that 3·0.1 is 0.3."""
    span = stop - start
    count = math.floor(abs(span) / every + 1e-9) if span else 0
    rows = start + math.copysign(every, span) * np.arange(count + 1, dtype=np.float64)
    digits = 14 - math.floor(math.log10(max(abs(start), abs(stop), 1e-300)))
    rounded = np.round(rows, digits) if 0 <= digits <= 22 else rows
    if np.max(np.abs(rounded - rows)) < 1e-9 * every:
        rows = rounded
    if abs(rows[-1] - stop) <= 1e-9 * every:
        rows[-1] = stop
        return rows
    return np.append(rows, stop)
