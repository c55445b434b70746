"""Rows of a batch that go at their own pace: the plan of an attempt at a step, and arrays read at each row's place."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any

# What the plan of an attempt holds, (7, batch) in float64: the number of the interval; when the attempt starts, how
# long it is, and where it leaves its row; whether the step was taken, whether it ends its interval, and whether it was
# the first attempt in it.
INTERVAL, START, LENGTH, END, APPLIED, LANDS, FRESH = range(7)


def blank_plan(like: Tensor) -> Tensor:
    """A plan for the shape of `like` (batch,)."""
    return ops.zeros((7, ops.shape(like)[0]), "float64")


def packed(plans: Tensor) -> Tensor:
    """What has to be kept of plans (K, 7, batch): (K, 2, batch)."""
    code = 8 * plans[:, INTERVAL] + 4 * plans[:, APPLIED] + 2 * plans[:, LANDS] + plans[:, FRESH]
    return ops.stack([plans[:, LENGTH], code], axis=1)


def unpacked(kept: Tensor, start: Tensor, ends: Tensor) -> Tensor:
    """The plan (7, batch) of an attempt that starts at these times (batch,), from what was kept of it (2, batch);
    `ends` are those of the intervals."""
    length, code = kept[0], ops.cast(kept[1], "int32")
    interval, flags = code // 8, code % 8
    applied, lands, fresh = flags // 4, (flags // 2) % 2, flags % 2
    end = ops.where(applied > 0, start + length, start)
    end = ops.where(lands > 0, at(ends, interval), end)
    return ops.stack([ops.cast(part, "float64") for part in (interval, start, length, end, applied, lands, fresh)])


def at(parts: Tensor, place: Tensor) -> Tensor:
    """Each row's part (batch,) of (M,), or of (M, batch); behind the last the last."""
    place = ops.minimum(place, ops.shape(parts)[0] - 1)
    if len(parts.shape) == 1:
        return ops.take(parts, place, axis=0)
    return ops.take_along_axis(parts, place[None], axis=0)[0]


def taken(parts: Tensor, place: Tensor) -> Tensor:
    """(K, D, …, batch) at the places (T, batch) of its first axis: (T, D, …, batch)."""
    inner = len(parts.shape) - 2
    index = ops.reshape(place, (ops.shape(place)[0], *[1] * inner, ops.shape(place)[1]))
    return ops.take_along_axis(parts, ops.broadcast_to(index, (ops.shape(place)[0], *ops.shape(parts)[1:])), axis=0)


def between_axes(rows: Tensor, like: Tensor) -> Tensor:
    """(T, batch) with the axes between of `like` (T, D, …, batch)."""
    return ops.reshape(rows, (ops.shape(rows)[0], *[1] * (len(like.shape) - 2), ops.shape(rows)[1]))


def one_row(x: Tensor) -> Tensor:
    """One row (batch,) of a packed array (D, …, batch), for its shape."""
    return x[(0,) * (len(x.shape) - 1)]


def largest(x: Tensor) -> Tensor:
    """The largest of (D, …, batch) for each of the batch."""
    return ops.max(x, axis=tuple(range(len(x.shape) - 1)))


def finite(x: Tensor) -> Tensor:
    """Whether all of (D, …, batch) is finite, for each of the batch."""
    return ops.all(ops.isfinite(x), axis=tuple(range(len(x.shape) - 1)))


def tiniest(dtype: Any) -> float:
    """Added to what is divided by: a state that is 0 and stays 0 has no error."""
    return 1e8 * float(np.finfo(keras.backend.standardize_dtype(dtype)).tiny)
