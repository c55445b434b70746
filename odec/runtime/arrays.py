"""Arrays in generated equations, the batch last: a vector is (N, batch), a matrix (N, M, batch); 1 where it is shared.

Without a batch axis there are only numbers; so a sum over "all elements" is a sum over all axes but the last.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from odec.runtime.working import as_tensor, is_known


def matmul(a: Any, b: Any) -> Any:
    """`a @ b` for vectors and matrices with the batch last. A shared side makes it one matrix product."""
    left, right = _rank(a), _rank(b)
    if left == 1 and right == 1:
        return total(a * b)
    if is_known(a, b):
        return np.moveaxis(np.matmul(*_numpy_pair(a, b)), 0, -1).reshape(_product_shape(a, b))
    if left == 2 and right == 1 and a.shape[-1] == 1:
        return ops.matmul(as_tensor(a)[..., 0], as_tensor(b))
    if left == 1 and right == 2 and b.shape[-1] == 1:
        return ops.matmul(ops.transpose(as_tensor(b)[..., 0]), as_tensor(a))
    # (i, j, batch) and (j, k, batch): the shared axis is summed, row by row.
    letters = {(2, 1): "ijb,jb->ib", (1, 2): "jb,jkb->kb", (2, 2): "ijb,jkb->ikb"}[left, right]
    a, b = _same_batch(as_tensor(a), as_tensor(b))
    return ops.einsum(letters, a, b)


def total(x: Any) -> Any:
    """The sum of all elements, for each row."""
    return _over_all(x, np.sum, ops.sum)


def mean(x: Any) -> Any:
    """The mean of all elements, for each row."""
    return _over_all(x, np.mean, ops.mean)


def largest(x: Any) -> Any:
    """The largest of all elements, for each row."""
    return _over_all(x, np.max, ops.max)


def smallest(x: Any) -> Any:
    """The smallest of all elements, for each row."""
    return _over_all(x, np.min, ops.min)


def _over_all(x: Any, of_array: Callable[..., Any], of_tensor: Callable[..., Any]) -> Any:
    axes = tuple(range(_rank(x)))
    return (of_array if is_known(x) else of_tensor)(x, axis=axes)


def roll(x: Any, shift: int) -> Any:
    """The vector shifted around: element i comes from i - shift."""
    return np.roll(x, shift, axis=0) if is_known(x) else ops.roll(x, shift, axis=0)


def counted(length: int) -> Any:
    """0, 1, …, length - 1 as a vector (length, 1)."""
    return as_tensor(np.arange(length, dtype="float64")[:, None])


def stacked(*items: Any) -> Any:
    """The items along a new first axis: numbers give a vector, vectors a matrix."""
    if is_known(*items):
        arrays = [np.asarray(item, dtype="float64") for item in items]
        inner = np.broadcast_shapes(*(array.shape or (1,) for array in arrays))
        return as_tensor(np.stack([np.broadcast_to(array, inner) for array in arrays]))
    tensors = [as_tensor(item) for item in items]
    like = sum((t * 0 for t in tensors[1:]), tensors[0] * 0)
    like = like if len(like.shape) else ops.reshape(like, (1,))
    return ops.stack([t + like for t in tensors])


def filled(value: Any, *shape: int) -> Any:
    """A const's value in its shape: a number stands for every element."""
    return as_tensor(value + np.zeros((*shape, 1)))


def widened(x: Any, like: Any) -> Any:
    """The value in the shape of another one."""
    if is_known(x, like):
        return x + np.zeros(np.shape(like))
    return as_tensor(x) + ops.zeros_like(as_tensor(like))


def whole(x: Any) -> int:
    """A number made of sizes, as an index or a length. Raises ValueError where it is not whole."""
    if x != int(x):
        raise ValueError(f"an index or a length made of sizes must be a whole number. Received: {float(x):g}")
    return int(x)


def _rank(x: Any) -> int:
    """The number of axes of an array of the model; that of the batch is not counted."""
    return max(0, np.ndim(x) - 1) if is_known(x) else max(0, len(x.shape) - 1)


def _same_batch(a: Any, b: Any) -> tuple[Any, Any]:
    """Both with the larger of the two batches."""
    zero = a[(0,) * (len(a.shape) - 1)] * 0 + b[(0,) * (len(b.shape) - 1)] * 0
    return a + zero, b + zero


def _numpy_pair(a: Any, b: Any) -> tuple[Any, Any]:
    """With the batch first, vectors as one row or one column."""
    a, b = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    return (a[:, None, :] if a.ndim == 2 else a), (b[:, :, None] if b.ndim == 2 else b)


def _product_shape(a: Any, b: Any) -> tuple[int, ...]:
    batch = max(a.shape[-1], b.shape[-1])
    return (*a.shape[:-2], *b.shape[1:-1], batch) if a.ndim > 2 else (*b.shape[1:-1], batch)
