"""Inputs: series of values with their own times, read between them by line or held, and given to the equations.

Inside an interval of a run (which ends at every knot) a signal is a line, so two values say all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from keras import ops

from odec.diagnostics import OdecError
from odec.runtime.description import Description
from odec.runtime.equations import Equations, Variations
from odec.runtime.layout import Layout

Tensor = Any


@dataclass(frozen=True, eq=False)
class Signal:
    """All inputs of a model on one grid: `values` (K, I, batch or 1) at the ascending times `knots` (K,).

    I counts the elements of the inputs in the model's order. Beyond its ends a signal keeps its first or last value.
    """

    knots: np.ndarray
    values: Any

    def __post_init__(self) -> None:
        assert self.knots.ndim == 1 and self.knots.size and self.values.shape[0] == len(self.knots)


def check_inputs(description: Description, given: Any) -> None:
    """E0606 where one of the model's inputs is not among those `given` (their names, or a whole `Signal`)."""
    missing = [u.name for u in description.inputs if not isinstance(given, Signal) and u.name not in (given or ())]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        cure = f"give a table with the columns `t` and `{missing[0]}`: `--input {missing[0]}={missing[0]}.csv`"
        raise OdecError.of("E0606", f"{description.name} needs its input{'s' * (len(missing) > 1)} {names}", cure)
    if given and not description.inputs:
        raise OdecError.of("E0606", f"{description.name} has no inputs", "leave them away")


def interpolated(description: Description) -> np.ndarray:
    """(I,): 1 for an element that runs along a line between its knots, 0 for one that is held (in a map: all)."""
    flags = [
        float(u.interpolation == "linear" and not description.is_map)
        for u in description.inputs
        for _ in range(int(np.prod(u.shape)))
    ]
    return np.array(flags)


def along(signal: Signal, starts: np.ndarray, ends: np.ndarray, linear: np.ndarray) -> tuple[Any, Any]:
    """The signal at the start and at the end of each interval (M,) or (M, batch), from inside it: two arrays (M, I,
    batch or 1)."""
    k = _segment(signal.knots, (starts + ends) / 2)
    return tuple(_values(signal, k, time, linear) for time in (starts, ends))


def at_times(signal: Signal, times: np.ndarray, linear: np.ndarray, before: bool = False) -> Any:
    """The signal (T, I, batch or 1) at times (T,): at a knot the value behind it, or the one before."""
    return _values(signal, _segment(signal.knots, times, "left" if before else "right"), times, linear)


def _segment(knots: np.ndarray, times: np.ndarray, side: Any = "right") -> np.ndarray:
    """The knot that each time lies behind; a time that is a knot but for rounding counts as one."""
    slack = 1e-12 * np.abs(times)
    found = np.searchsorted(knots, times + slack if side == "right" else times - slack, side=side) - 1
    return np.clip(found, 0, len(knots) - 1)


def _values(signal: Signal, k: np.ndarray, times: np.ndarray, linear: np.ndarray) -> Any:
    knots, values = signal.knots, signal.values
    after = np.minimum(k + 1, len(knots) - 1)
    gap = knots[after] - knots[k]
    weight = np.clip(np.divide(times - knots[k], gap, out=np.zeros_like(times), where=gap > 0), 0, 1)
    if k.ndim == 1:
        weight = weight[:, None]
    # (M, I, batch or 1)
    weight = weight[:, None] * linear[None, :, None]
    low, high = _taken(values, k), _taken(values, after)
    return low + (weight if isinstance(values, np.ndarray) else ops.cast(weight, values.dtype)) * (high - low)


def _taken(values: Any, k: np.ndarray) -> Any:
    """`values[k]`; where k is (M, batch), each row's own."""
    if k.ndim == 1:
        return values[k] if isinstance(values, np.ndarray) else ops.take(values, k, axis=0)
    spread = np.broadcast_to(values, (*values.shape[:2], k.shape[1]))
    return np.take_along_axis(spread, np.broadcast_to(k[:, None], (len(k), values.shape[1], k.shape[1])), axis=0)


# Equations with inputs.


class Driven:
    """A model whose inputs are known: its functions of time take what those of a model without inputs take."""

    def __init__(self, model: Any, inputs: tuple[Any, ...]) -> None:
        self.model, self.inputs = model, inputs

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.model, name)
        if name in _FUNCTIONS_OF_TIME:
            return lambda t, x, p, c, *rest: found(t, x, p, c, self.inputs, *rest)
        if name in _DIRECTIONAL:
            return lambda t, x, p, c, *rest: found(t, x, p, c, self._widened(x), *rest)
        return found

    def _widened(self, states: Sequence[Any]) -> tuple[Any, ...]:
        """The inputs for P directions of each row: P·batch."""
        width = ops.shape(states[0])[-1]
        return tuple(
            u if u.shape[-1] == 1 else ops.tile(u, (*[1] * (len(u.shape) - 1), width // ops.shape(u)[-1]))
            for u in self.inputs
        )


_FUNCTIONS_OF_TIME = {
    *("rhs", "rhs_x", "rhs_p", "rhs_t", "rhs_x_tangent", "rhs_t_tangent"),
    *("outputs", "outputs_x", "outputs_p", "noise", "conditions", "jumps"),
    *("jumps_x", "jumps_p", "jumps_t", "roots_x", "roots_p", "roots_t"),
}
_DIRECTIONAL = {"rhs_tangent", "outputs_tangent"}


def driven(equations: Any, inputs: Tensor | None) -> Any:
    """The equations (or variations) with these packed inputs (I, batch or 1); unchanged where there are none."""
    if inputs is None:
        return equations
    if isinstance(equations, Variations):
        return replace(equations, equations=driven(equations.equations, inputs))
    assert isinstance(equations, Equations)
    layout = Layout.of(equations.model.description.inputs)
    model: Any = Driven(equations.model, layout.unpacked(inputs))
    return replace(equations, model=model)


def undriven(equations: Equations) -> Equations:
    """The equations as they are before their inputs are known."""
    model: Any = equations.model
    return replace(equations, model=model.model) if isinstance(model, Driven) else equations


def inside(series: Sequence[Tensor], along: Callable[[], Tensor]) -> Tensor | None:
    """The packed inputs at the fraction `along()` of an interval: a scalar, (batch,), or (K, batch), which gives (I,
    K·batch)."""
    if not series:
        return None
    left, right = series
    fraction = along()
    if len(fraction.shape) < 2:
        return left + fraction * (right - left)
    u = left[:, None] + fraction[None] * (right - left)[:, None]
    return ops.reshape(u, (u.shape[0], -1))
