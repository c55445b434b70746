"""A model's equations at single points, outside the compiled loops: how fast its parts are, and what has no value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from keras import ops

from odec.runtime.blame import Blame, blame
from odec.runtime.layout import Layout
from odec.runtime.signals import Signal, at_times, interpolated
from odec.runtime.working import working_in

# A difference quotient over this part of a state's size is right to 1e-7.
PART = 1e-7


@dataclass(frozen=True, eq=False)
class Probe:
    """A model with the values of its params (P,), its replaced consts and its inputs; all in float64."""

    model: Any
    params: np.ndarray
    consts: Mapping[str, float]
    inputs: Signal | None = None

    @property
    def size(self) -> int:
        """How many states there are."""
        return len(self._states.elements)

    def slopes(self, t: float, x: np.ndarray) -> np.ndarray:
        """dx/dt (D, batch) at the states x (D, batch)."""
        rows = ops.convert_to_tensor(x, dtype="float64")
        moment = ops.convert_to_tensor(t, dtype="float64")
        params = Layout.of(self.model.description.params).unpacked(
            ops.convert_to_tensor(self.params[:, None], dtype="float64")
        )
        inputs = (Layout.of(self.model.description.inputs).unpacked(self._driving(t)),) if self.inputs else ()
        with working_in("float64"), np.errstate(all="ignore"):
            found = self.model.rhs(moment, self._states.unpacked(rows), params, self._constants, *inputs)
        return np.asarray(ops.convert_to_numpy(self._states.packed(found, rows[0])))

    def jacobian(self, t: float, x: np.ndarray, size: np.ndarray) -> np.ndarray:
        """∂f/∂x (D, D) at x (D,), by differences; `size` (D,) is what each state is of."""
        h = PART * np.where(size > 0, np.maximum(np.abs(x), 1e-3 * size), 1.0)
        points = np.concatenate([x[:, None], x[:, None] + np.diag(h)], axis=1)
        slopes = self.slopes(t, points)
        return (slopes[:, 1:] - slopes[:, :1]) / h

    def fault(self, t: float, x: np.ndarray) -> Blame | None:
        """The part of the equations that has no finite value at x (D,), where it can be told."""
        inputs = self._driving(t)[:, 0] if self.inputs else ()
        return blame(self.model, t, list(x), list(self.params), self._constants, inputs)

    @cached_property
    def _states(self) -> Layout:
        return Layout.of(self.model.description.states)

    @cached_property
    def _constants(self) -> tuple[Any, ...]:
        description = self.model.description
        with np.errstate(all="ignore"):
            found = self.model.constants(dict(self.consts))
        consts = (_spread(found[const.name], const.shape) for const in description.consts)
        return (*consts, *(int(found[size.name]) for size in description.sizes))

    def _driving(self, t: float) -> np.ndarray:
        """The inputs (I, 1) at t."""
        assert self.inputs is not None
        found = at_times(self.inputs, np.array([t]), interpolated(self.model.description))
        return np.asarray(found[0], dtype=np.float64)


def _spread(value: Any, shape: tuple[int, ...]) -> Any:
    """A const as a number, or an array (*shape, 1)."""
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (*shape, 1)) if shape else float(value)
