"""Parameters and the coordinates in which they are searched: log10 where the model says `log`, themselves otherwise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from odec.diagnostics import Diagnostic, OdecError, nearest
from odec.fit.least_squares import Box
from odec.runtime.description import Param

LOG_SPAN = 1e3
# Where a parameter has no bounds, random starts lie within this factor of the first guess.
UNBOUNDED_FACTOR = 10.0


@dataclass(frozen=True)
class Scale:
    """The parameters in the model's order: names, first guesses, bounds (all linear), and which are sought as log10."""

    names: tuple[str, ...]
    start: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    log: np.ndarray

    @classmethod
    def of(cls, params: Sequence[Param], start: Mapping[str, float] | None = None) -> Scale:
        """The scale of a model's parameters, first guesses replaced by `start`.

        Raises OdecError (E0505) where a start is no parameter, no number, or outside the bounds.
        """
        names = tuple(param.name for param in params)
        wanted = {param.name: _guess(param) for param in params} | dict(start or {})
        errors = [_unknown(name, names) for name in wanted if name not in names]
        errors += [error for param in params if (error := _outside(param, wanted[param.name])) is not None]
        if errors:
            raise OdecError(errors)
        return cls(
            names=names,
            start=np.array([float(wanted[name]) for name in names]),
            lower=np.array([float(param.lower) for param in params]),
            upper=np.array([float(param.upper) for param in params]),
            log=np.array([param.log for param in params], dtype=bool),
        )

    def to_search(self, values: np.ndarray) -> np.ndarray:
        """Search coordinates (…, P) of parameter values (…, P)."""
        return np.where(self.log, np.log10(np.where(self.log, values, 1.0)), values)

    def to_values(self, z: np.ndarray) -> np.ndarray:
        """Parameter values (…, P) of search coordinates (…, P), inside the bounds to the last bit."""
        with np.errstate(over="ignore", under="ignore"):
            values = np.where(self.log, 10.0 ** np.where(self.log, z, 0.0), z)
        return np.clip(values, self.lower, self.upper)

    def clipped(self, values: np.ndarray) -> np.ndarray:
        """Parameter values (…, P) put inside the bounds, and above 0 on a log scale."""
        above = np.where(self.log, np.maximum(values, np.finfo(float).tiny), values)
        return np.clip(above, self.lower, self.upper)

    def slope(self, values: np.ndarray) -> np.ndarray:
        """d value / d coordinate (…, P): ln(10)·value on a log scale, else 1."""
        return np.where(self.log, values * math.log(10.0), 1.0)

    @property
    def box(self) -> Box:
        """Bounds and units of the search: a decade on a log scale, else the size of the first guess (0: unknown)."""
        lower = np.where(self.log, np.log10(np.where(self.log & (self.lower > 0), self.lower, 1.0)), self.lower)
        upper = np.where(self.log, np.log10(np.where(self.log & np.isfinite(self.upper), self.upper, 1.0)), self.upper)
        lower = np.where(self.log & (self.lower <= 0), -np.inf, lower)
        upper = np.where(self.log & ~np.isfinite(self.upper), np.inf, upper)
        return Box(lower, upper, np.where(self.log, 1.0, np.abs(self.start)), ~self.log)

    def units(self, values: np.ndarray) -> np.ndarray:
        """A change (P,) of each parameter that would count as large: its own size, or its first guess's, or 1."""
        size = np.maximum(np.abs(values), np.abs(self.start))
        return np.where(size > 0, size, 1.0)

    def draw(self, count: int, seed: int) -> np.ndarray:
        """Starts (count, P): the first guess, then a Latin hypercube between the bounds (McKay, Beckman, Conover 1979).

        Uniform in the search coordinate, hence log-uniform for `log`. Without bounds: within a factor of ten around the
        first guess, or ±1 around a first guess of 0.
        """
        generator = np.random.default_rng(seed)
        others = count - 1
        strata = (
            np.stack([generator.permutation(others) for _ in self.names], axis=1)
            if self.names
            else np.zeros((others, 0))
        )
        share = (strata + generator.random(strata.shape)) / max(others, 1)
        box = self.box
        low, high = self._drawing_range()
        z = np.vstack([self.to_search(self.start)[None], low + share * (high - low)])
        return np.clip(z, box.lower, box.upper)

    def _drawing_range(self) -> tuple[np.ndarray, np.ndarray]:
        box, center = self.box, self.to_search(self.start)
        reach = np.where(self.log, 1.0, np.where(center != 0, np.abs(center) * UNBOUNDED_FACTOR, 1.0))
        # A linear parameter of one sign keeps it, unless its bounds say otherwise.
        low = np.where(~self.log & (center > 0), center / UNBOUNDED_FACTOR, center - reach)
        high = np.where(~self.log & (center < 0), center / UNBOUNDED_FACTOR, center + reach)
        low = np.where(np.isfinite(box.lower), box.lower, low)
        return low, np.where(np.isfinite(box.upper), box.upper, np.maximum(high, low))

    def hints(self) -> list[Diagnostic]:
        """Advice (W0504): bounds over many decades without the word `log`."""
        found = []
        for name, lower, upper, log in zip(self.names, self.lower, self.upper, self.log, strict=True):
            if not log and lower > 0 and math.isfinite(upper) and upper / lower > LOG_SPAN:
                message = f"the bounds of `{name}` span more than three decades, but it is searched on a linear scale"
                cure = f"write `log` behind its bounds: `param {name} = … in [{lower:g}, {upper:g}] log`"
                found.append(Diagnostic("W0504", message, help=cure, severity="warning"))
        return found


def _guess(param: Param) -> float:
    # Arrays are refused before they come here.
    assert isinstance(param.value, int | float), param
    return float(param.value)


def _unknown(name: str, names: Sequence[str]) -> Diagnostic:
    cure = nearest(name, names) or "the parameters are " + ", ".join(f"`{known}`" for known in names)
    return Diagnostic("E0505", f"a start is given for `{name}`, which is no parameter of the model", help=cure)


def _outside(param: Param, value: float) -> Diagnostic | None:
    lower, upper = param.lower, param.upper
    if param.log and not value > 0:
        return Diagnostic(
            "E0505", f"`{param.name}` is searched on a log scale and cannot start at {value:g}", help="start above 0"
        )
    if not (math.isfinite(value) and lower <= value <= upper):
        cure = "start inside, or widen the bounds in the model"
        return Diagnostic(
            "E0505", f"`{param.name}` starts at {value:g}, outside its bounds [{lower:g}, {upper:g}]", help=cure
        )
    return None
