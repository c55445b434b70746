"""Whether the numbers of a layer's dtype are fine enough for it."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np

from odec.runtime.adaptive import Adaptive
from odec.runtime.contract import Model
from odec.runtime.jumps import uses_time
from odec.runtime.schedule import Schedule

DTYPES = ("float32", "float64")


def full_precision(dtype: Any) -> Any:
    """The layer's own dtype: a policy of half precision around it (mixed_float16) leaves it at float32.

    ValueError where another dtype than float32 or float64 is asked for by its own name.
    """
    policy = keras.dtype_policies.get(dtype) if dtype is not None else keras.config.dtype_policy()
    if policy.compute_dtype in DTYPES:
        return dtype
    if dtype is None or policy.variable_dtype in DTYPES:
        return "float32"
    raise ValueError(
        f"a layer of equations computes in float32 or float64, because steps add small numbers to large ones. "
        f"Received: dtype={policy.name!r}"
    )


def caution_time(model: type[Model], timing: Schedule | Adaptive | None, dtype: str) -> None:
    """Warns where equations that look at the time are stepped more finely than the dtype tells times apart."""
    if timing is None or not uses_time(model):
        return
    if isinstance(timing, Schedule):
        moving = np.abs(timing.steps[timing.counts > 0])
    else:
        moving = np.diff(np.unique([timing.start, *timing.times]))
    latest = float(np.max(np.abs([timing.start, *timing.times])))
    apart = float(np.spacing(np.asarray(latest, dtype=dtype)))
    if moving.size and apart >= np.min(moving) / 2:
        warnings.warn(
            f"{dtype} tells times near {latest:.10g} apart by {apart:.3g}, and {model.__name__} looks at them in steps "
            f'of {np.min(moving):.3g}: its time stands still and jumps. Say dtype="float64", or count the time from 0',
            stacklevel=4,
        )
