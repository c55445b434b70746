"""In which dtype equations are computed: a generated function writes plain numbers, and an array of plain numbers
(`select(x > 3, 1, 0)`, `range(N)`) has to be told.

Outside a run (the consts, computed once in NumPy float64) there is none, and numbers stay NumPy's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from keras import ops

_dtype: ContextVar[str | None] = ContextVar("dtype", default=None)


@contextmanager
def working_in(dtype: str) -> Iterator[None]:
    """Equations called inside compute in this dtype."""
    token = _dtype.set(dtype)
    try:
        yield
    finally:
        _dtype.reset(token)


def is_known(*values: Any) -> bool:
    """Whether all are numbers or NumPy arrays, computed while the program is built."""
    return all(isinstance(value, (bool, int, float, np.number, np.bool_, np.ndarray)) for value in values)


def as_tensor(value: Any) -> Any:
    """A number or NumPy array as a tensor of the working dtype; outside a run, and for a tensor, the value itself."""
    dtype = _dtype.get()
    return ops.convert_to_tensor(value, dtype=dtype) if dtype is not None and is_known(value) else value
