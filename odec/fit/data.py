"""Measurements: which quantity of the model was seen, when, and with what value."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from odec.diagnostics import Diagnostic, OdecError, nearest
from odec.tables import Table, table_of

EXPERIMENT = "experiment"
# 3,000.5 or 3.000,5 or 1'000 or 1 000.
GROUPED = re.compile(r"[+-]?\d{1,3}([.,' \u00a0\u202f]\d{3})+([.,]\d*)?")
MOST_CELL_ERRORS = 10
# The search takes a sum of squares beyond 1e100 for an overflow.
LARGEST_VALUE = 1e49


@dataclass(frozen=True)
class Data:
    """Rows of measurements in one fixed order (experiment, time, values), whatever order the file had.

    `times` (rows,), `values` (rows, columns) with NaN where nothing was measured, `experiment` (rows,) counts into
    `experiments`; `beside` (rows, extras) holds what the model's `data` names say of a row (a standard deviation), NaN
    where its cell is empty. `lines` (rows,) are those of the file. `digest` is the SHA-256 of the file.
    """

    name: str
    names: tuple[str, ...]
    times: np.ndarray
    values: np.ndarray
    experiment: np.ndarray
    beside: np.ndarray
    lines: np.ndarray
    experiments: tuple[str, ...] = ("",)
    extras: tuple[str, ...] = ()
    digest: str = ""
    notes: tuple[Diagnostic, ...] = ()

    def __post_init__(self) -> None:
        assert self.values.shape == (len(self.times), len(self.names)), (self.values.shape, self.names)
        assert self.beside.shape == (len(self.times), len(self.extras)), (self.beside.shape, self.extras)
        assert self.experiment.shape == self.times.shape
        assert np.isfinite(self.times).all()

    @property
    def counts(self) -> dict[str, int]:
        """How many cells of each column hold a measurement."""
        return {name: int(n) for name, n in zip(self.names, np.isfinite(self.values).sum(axis=0), strict=True)}

    @property
    def distinct_times(self) -> np.ndarray:
        """When something was measured, in any experiment, ascending."""
        return np.unique(self.times)


def read_data(
    data: Any,
    names: Sequence[str],
    *,
    time: str = "t",
    others: Mapping[str, str] | None = None,
    extras: Sequence[str] = (),
    besides: Sequence[str] = (),
) -> Data:
    """The measurements in `data`: a path, a pandas DataFrame, or a dict of columns.

    `names` are the quantities of the model that may be measured, in its order; `extras` are the model's `data` names;
    `others` says of further names what they are ("a parameter"), for the message;
    `besides` are columns that are read elsewhere. Raises OdecError with all that
    is wrong (E0501 a column that names nothing, E0502 no time column, E0503 a cell that is not a number, E0504 nothing
    measured).

    >>> read_data({"t": [0, 1], "x": [3, None]}, ["x"]).counts
    {'x': 1}
    """
    table = table_of(data)
    _check_header(table, (*names, *extras, *besides), time, others or {})
    columns = [name for name in names if name in table.header]
    if not columns:
        raise OdecError.of(
            "E0504", f"`{table.name}` has no column beside `{time}`", help=f"measured may be: {_listed(names)}"
        )
    known = [name for name in extras if name in table.header]
    numbers = _numbers(table, time, [*columns, *known])
    times, values, beside = (
        numbers[:, 0],
        numbers[:, 1 : 1 + len(columns)],
        np.full((len(numbers), len(extras)), np.nan),
    )
    beside[:, [extras.index(name) for name in known]] = numbers[:, 1 + len(columns) :]
    used = np.isfinite(values).any(axis=1)
    if not used.any():
        raise OdecError.of(
            "E0504", f"no data left: `{table.name}` has no cell with a measurement", help="fill a column"
        )
    labels, experiments = _experiments(table, used)
    place = {label: i for i, label in enumerate(experiments)}
    whole = Data(
        name=table.name,
        names=tuple(columns),
        times=times,
        values=values,
        experiment=np.array([place.get(label, 0) for label in labels], dtype=int),
        beside=beside,
        lines=np.array(table.lines, dtype=int),
        experiments=experiments,
        extras=tuple(extras),
        digest=table.digest,
        notes=table.notes,
    )
    return _ordered(whole, used)


def _experiments(table: Table, used: np.ndarray) -> tuple[list[str], tuple[str, ...]]:
    """The experiment of each row, and those with a measurement, sorted. E0503 for a row that names none."""
    if EXPERIMENT not in table.header:
        return [""] * len(table.rows), ("",)
    labels = list(table.column(EXPERIMENT))
    if "" in {label for label, use in zip(labels, used, strict=True) if use} and len(set(labels)) > 1:
        line = next(line for line, label, use in zip(table.lines, labels, used, strict=True) if use and not label)
        message = f"line {line} of `{table.name}`, column `{EXPERIMENT}`: the row does not say its experiment"
        raise OdecError.of("E0503", message, help="name one in each row")
    return labels, tuple(sorted({label for label, use in zip(labels, used, strict=True) if use}))


def _ordered(data: Data, used: np.ndarray) -> Data:
    """The used rows sorted by experiment, time and values: sums come out the same to the last bit in any file order."""
    numbers = np.hstack([data.values, data.beside])
    keys = [*np.where(np.isnan(numbers), np.inf, numbers).T[::-1], data.times, data.experiment]
    order = np.array([i for i in np.lexsort(keys) if used[i]], dtype=int)
    rows = ("times", "values", "experiment", "beside", "lines")
    return replace(data, **{name: getattr(data, name)[order] for name in rows})


def _check_header(table: Table, names: Sequence[str], time: str, others: Mapping[str, str]) -> None:
    errors = []
    if time not in table.header:
        free = [name for name in table.header if name not in names and name != EXPERIMENT]
        close = next((name for name in free if name.casefold() == time.casefold() or _is_time(name)), "")
        cure = f"did you mean `{close}`? Name it with" if close else f"{nearest(time, free)} Name it with".strip()
        message = f"`{table.name}` has no time column `{time}`; its columns are {_listed(table.header)}"
        errors.append(Diagnostic("E0502", message, help=f"{cure} `--time {shlex.quote(close) if close else 'NAME'}`"))
    for name in table.header:
        if name in names or name in {time, EXPERIMENT} or (errors and errors[0].code == "E0502" and _is_time(name)):
            continue
        if name in others:
            message = f"column `{name}` of `{table.name}` names {others[name]}, which cannot be measured"
            cure = f"to compare it with data write `observe {name}_seen = {name}`, or take the column out"
        else:
            message = f"column `{name}` of `{table.name}` names nothing in the model"
            cure = nearest(name, names) or f"measured may be: {_listed(names)}"
        errors.append(Diagnostic("E0501", message, help=cure))
    if errors:
        raise OdecError(errors)


def _is_time(name: str) -> bool:
    """Whether a column's name is a word for the time, a unit behind it or not: `Time (h)`, `time_s`, `Day`."""
    return re.split(r"[^a-z]", name.strip().lower(), maxsplit=1)[0] in TIME_WORDS


TIME_WORDS = frozenset(
    {"t", "time", "times", "year", "years", "day", "days", "hour", "hours", "date", "zeit", "tempo", "temps"}
)


def _numbers(table: Table, time: str, columns: list[str]) -> np.ndarray:
    """(rows, 1 + columns): the time and the measurements; all NaN in a row that says nothing."""
    wanted = [time, *columns]
    places = [table.header.index(name) for name in wanted]
    numbers = np.full((len(table.rows), len(wanted)), math.nan)
    errors = []
    for i, row in enumerate(table.rows):
        if not any(row[place] for place in places):
            continue
        for j, place in enumerate(places):
            value = table.number(row[place])
            if value is None or (j == 0 and math.isnan(value)) or abs(value) > LARGEST_VALUE:
                errors.append(_cell_error(table, i, wanted[j], row[place], is_time=j == 0))
            else:
                numbers[i, j] = value
    if errors:
        more = len(errors) - MOST_CELL_ERRORS
        if more > 0:
            errors[MOST_CELL_ERRORS:] = [Diagnostic("E0503", f"and {more} more cells that are not numbers")]
        raise OdecError(errors)
    return numbers


def _cell_error(table: Table, row: int, column: str, cell: str, is_time: bool) -> Diagnostic:
    where = f"line {table.lines[row]} of `{table.name}`, column `{column}`"
    if not cell.strip() or cell.casefold() in {"nan", "na"}:
        return Diagnostic("E0503", f"{where}: the time is missing", help="every row needs its time")
    if table.number(cell) is not None:
        return Diagnostic("E0503", f"{where}: `{cell}` is too large to be squared", help="choose a larger unit")
    wanted = "a time" if is_time else "a number"
    return Diagnostic("E0503", f"{where}: `{cell}` is not {wanted}", help=_cell_cure(cell, is_time))


def _cell_cure(cell: str, is_time: bool) -> str:
    if GROUPED.fullmatch(cell):
        return "write it without thousands separators"
    if is_time:
        return "a time is a finite number, in the unit of the model's rates"
    return "a missing value is an empty cell, `NaN` or `NA`"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
