"""What a run gives: names, times, values, how they were found, and how far they are to be trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from odec.diagnostics import Diagnostic, OdecError, nearest
from odec.files import write_text

if TYPE_CHECKING:
    import pandas

Values = np.ndarray
# An estimated relative error above this is warned about. Euler at a sensible step stays below.
INACCURATE = 1e-2
# A column whose largest value is below this part of the largest of all is rounding, and not measured.
NEGLIGIBLE = 1e-14
# Why a run of a map is as it is: it has no method and no error.
A_MAP = "a map"
# Names of files that programs do not read as tables with commas.
FOREIGN = frozenset(
    [".xlsx", ".xls", ".ods", ".tsv", ".json", ".parquet", ".pq", ".npy", ".npz", ".mat", ".h5", ".png", ".svg", ".pdf"]
)


class Checks(Protocol):
    """How a solution is checked by further runs, made when they are first asked for."""

    def error(self, values: Values) -> float:
        """The estimated error of the values (times, columns) relative to each column's largest."""

    def inaccurate(self, error: float) -> Diagnostic:
        """The warning for an error that is too large, with its cause and cure."""


@dataclass(frozen=True)
class Solution:
    """The values of a run: `values[i, j]` is the column `names[j]` at `times[i]`.

    `method` made them, in `steps` steps, after `refused` attempts that were too inaccurate. With a fixed step `step`
    is the longest step taken (model's time unit) and `rtol` None; in an adaptive run `step` is None and `rtol` the
    relative tolerance of a step. `why` says what was chosen for the caller, and why; "" where nothing was.
    `error` and `warnings` cost a second, finer run, made when they are first asked for.

    >>> solution = odec.solve(Competition, to=100)                                              # doctest: +SKIP
    >>> solution["x1"][-1]                                                                      # doctest: +SKIP
    373.56820343
    """

    times: np.ndarray
    names: tuple[str, ...]
    values: np.ndarray
    method: str
    step: float | None
    steps: int
    model: str = ""
    notes: tuple[Diagnostic, ...] = ()
    rtol: float | None = None
    refused: int = 0
    why: str = ""
    _checks: Checks | None = field(default=None, repr=False, compare=False)

    def __getitem__(self, name: str) -> np.ndarray:
        """A column by name, (times,)."""
        if name not in self.names:
            raise KeyError(f"{name!r}; {nearest(name, self.names) or 'there are: ' + ', '.join(self.names)}")
        return self.values[:, self.names.index(name)]

    @cached_property
    def error(self) -> float:
        """The estimated error relative to each column's largest value: with a fixed step by Richardson from half the
        step, in an adaptive run the difference from one at a tenth of the tolerance."""
        return 0.0 if self._checks is None or self.steps == 0 else self._checks.error(self.values)

    @cached_property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """The `notes`, and W0601 or W0606 where the values are not accurate to 1 %, with the cause and a cure."""
        if self._checks is None or self.error <= INACCURATE:
            return self.notes
        return (*self.notes, self._checks.inaccurate(self.error))

    @property
    def summary(self) -> str:
        """Method, steps and error in one line."""
        if self.why == A_MAP:
            return f"{A_MAP}; {self.steps} steps"
        if self.step is None:
            taken = f"{self.steps} steps taken, {self.refused} rejected, rtol {self.rtol:g}"
        else:
            taken = f"{self.steps} steps of at most {self.step:g}" if self.steps else "no step"
        return f"{self.why or self.method}; {taken}, estimated error {self.error:.1g}"

    def to_frame(self) -> pandas.DataFrame:
        """A pandas table with the column `t` in front."""
        import pandas

        return pandas.DataFrame(self.to_dict())

    def to_dict(self) -> dict[str, list[float]]:
        """`t` and each column as lists."""
        columns = {name: self.values[:, j].tolist() for j, name in enumerate(self.names)}
        return {"t": self.times.tolist(), **columns}

    def write_csv(self, path: str | Path) -> None:
        """`t` and the columns at full precision. The file is written whole or not at all; E0701 where it cannot be."""
        if Path(path).suffix.lower() in FOREIGN:
            message = f"`{path}` would hold a table as CSV, which its name denies"
            raise OdecError.of("E0701", message, "give the file the extension `.csv`")
        table = np.column_stack([self.times, self.values]).tolist()
        lines = [",".join(_quoted(name) for name in ("t", *self.names))]
        lines.extend(",".join(map(repr, row)) for row in table)
        write_text(path, "\n".join(lines) + "\n")


def difference(coarse: Values, fine: Values) -> float:
    """The largest difference, each column relative to its largest value; inf where a value is not finite."""
    if not (np.isfinite(coarse).all() and np.isfinite(fine).all()):
        return float("inf")
    size = np.maximum(np.abs(coarse), np.abs(fine)).max(axis=0, initial=0.0)
    off = np.abs(fine - coarse).max(axis=0, initial=0.0)
    counts = size > NEGLIGIBLE * size.max(initial=0.0)
    return float(np.divide(off, size, out=np.zeros_like(off), where=counts).max(initial=0.0))


def said_error(error: float) -> str:
    """An error that is too large, in words."""
    return f"about {error:.0%} of the largest value" if error < 10 else "larger than the values themselves"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(character in name for character in ',"\n') else name
