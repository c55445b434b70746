"""Input series from tables: `u.csv`, a DataFrame, a dict of columns or (times, values), as what a run takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from odec.diagnostics import Diagnostic, OdecError, nearest
from odec.tables import Table, table_of

if TYPE_CHECKING:
    from odec.runtime.description import Description, Input
    from odec.runtime.signals import Signal

TIME = "t"
EXPERIMENT = "experiment"


def read_inputs(
    description: Description, given: Mapping[str, Any] | None, experiments: Sequence[str] = ("",)
) -> Signal | None:
    """The model's inputs on one grid of times, `values` (K, I, 1), or (K, I, E) where a table has a column `experiment`
    and gives each of the E `experiments` its own series; None for a model without inputs.

    `given` maps each input to a table (a path, a DataFrame, a dict of columns) with the columns `t` and the input's
    name, or `u[0]`, `u[1]`, … for an array; or to a pair (times, values), values (K,) or (K, elements). In a map a
    row is a step: a table may do without `t`, and its rows are then the steps 0, 1, …

    Raises OdecError with all that is wrong: E0603 a name that is no input, E0606 an input that is missing, or given
    where a model has none, E0502, E0503, E0504 a table without times, with cells that are not numbers, without rows,
    E0507 two rows at one time.
    """
    from odec.runtime.layout import Layout
    from odec.runtime.signals import Signal, check_inputs, interpolated

    given = dict(given or {})
    _check_names(description, given)
    if not description.inputs:
        return None
    check_inputs(description, given)
    given = {name: x if isinstance(x, tuple | ByExperiment) else table_of(x) for name, x in given.items()}
    every = [
        [_series(description, u, _of_experiment(u.name, given[u.name], experiment)) for u in description.inputs]
        for experiment in (experiments if any(map(_has_experiments, given.values())) else experiments[:1])
    ]
    knots = np.unique(np.concatenate([times for series in every for times, _ in series]))
    linear = interpolated(description)
    sizes = Layout.of(description.inputs).sizes
    return Signal(knots, np.stack([_together(knots, series, sizes, linear) for series in every], axis=-1))


def _together(
    knots: np.ndarray, series: list[tuple[np.ndarray, np.ndarray]], sizes: Sequence[int], linear: np.ndarray
) -> np.ndarray:
    """All inputs of one experiment (K, I) on one grid."""
    columns, place = [], 0
    for size, (times, values) in zip(sizes, series, strict=True):
        flags = linear[place : place + size]
        columns += [_on_grid(knots, times, values[:, i], bool(flags[i])) for i in range(size)]
        place += size
    return np.stack(columns, axis=1)


@dataclass(frozen=True)
class ByExperiment:
    """The series of an input in each experiment."""

    series: Mapping[str, tuple[np.ndarray, np.ndarray]]


def _has_experiments(given: Any) -> bool:
    return isinstance(given, ByExperiment) or (isinstance(given, Table) and EXPERIMENT in given.header)


def _of_experiment(name: str, given: Any, experiment: str) -> Any:
    """The part of what is given for an input that belongs to an experiment; all of it where it names none."""
    if isinstance(given, ByExperiment):
        return given.series[experiment]
    if not _has_experiments(given) or experiment == "":
        return given
    table: Table = given
    labels = table.column(EXPERIMENT)
    if experiment not in labels:
        cure = nearest(experiment, labels) or "give each experiment its rows"
        raise OdecError.of("E0504", f"`{table.name}` has no rows for the experiment `{experiment}`", cure)
    own = [i for i, label in enumerate(labels) if label == experiment]
    return replace(table, rows=tuple(table.rows[i] for i in own), lines=tuple(table.lines[i] for i in own))


def inputs_beside(description: Description, data: Any, given: Mapping[str, Any] | None, time: str) -> dict[str, Any]:
    """The inputs `given`, and those that are columns of the data instead: each value at its row's time.

    Rows of one time (replicates) say the same value. E0503 for a missing cell, E0507 for two values at one time.
    """
    from odec.runtime.description import element_names

    found = dict(given or {})
    missing = [u for u in description.inputs if u.name not in found]
    if not missing:
        return found
    table = table_of(data)
    for u in missing:
        names = element_names(u.name, u.shape)
        if time in table.header and set(names) <= set(table.header):
            labels = table.column(EXPERIMENT) if EXPERIMENT in table.header else ("",) * len(table.rows)
            times, values = _numbers(table, (time, *names))
            series = {}
            for label in dict.fromkeys(labels):
                own = [i for i, other in enumerate(labels) if other == label]
                rows = np.unique(np.column_stack([times[own], values[own]]), axis=0)
                series[label] = (rows[:, 0], rows[:, 1:])
            found[u.name] = ByExperiment(series) if EXPERIMENT in table.header else series[""]
    return found


def outside(description: Description, signal: Signal | None, start: float, stop: float) -> tuple[Diagnostic, ...]:
    """W0605 where a run goes beyond its input tables."""
    if signal is None:
        return ()
    first, last = float(signal.knots[0]), float(signal.knots[-1])
    low, high = min(start, stop), max(start, stop)
    # The last row of a map's table is that of its last step.
    high -= 1 if description.is_map else 0
    names = ", ".join(f"`{u.name}`" for u in description.inputs)
    parts = []
    if low < first:
        parts.append(f"before t = {first:g} its first value is held")
    if high > last:
        parts.append(f"after t = {last:g} its last value is held")
    if not parts:
        return ()
    message = f"the table of {names} does not cover the run: {', '.join(parts)}"
    return (Diagnostic("W0605", message, help="give a longer table, or a shorter run", severity="warning"),)


def _check_names(description: Description, given: Mapping[str, Any]) -> None:
    known = [u.name for u in description.inputs]
    for name in given:
        if name not in known:
            cure = nearest(name, known) or f"it has {', '.join(f'`{k}`' for k in known) or 'none'}"
            raise OdecError.of("E0603", f"{description.name} has no input `{name}`", cure)


def _series(description: Description, u: Input, given: Any) -> tuple[np.ndarray, np.ndarray]:
    """Ascending times (K,) and values (K, elements)."""
    from odec.runtime.description import element_names

    names = element_names(u.name, u.shape)
    if isinstance(given, tuple) and len(given) == 2:
        times, values = (np.asarray(part, dtype=np.float64) for part in given)
        values = values.reshape(len(values), -1)
        if times.shape != (len(values),) or values.shape[1] != len(names):
            message = f"input `{u.name}` was given times {times.shape} and values {values.shape}"
            raise OdecError.of("E0507", message, f"one time for each row of {len(names)} value(s)")
        if not (np.isfinite(times).all() and np.isfinite(values).all()):
            raise OdecError.of("E0503", f"input `{u.name}` holds a value that is not a finite number")
    else:
        times, values = _from_table(description, names, table_of(given))
    if not len(times):
        raise OdecError.of("E0504", f"the table of input `{u.name}` has no rows")
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    twice = times[1:][np.diff(times) == 0]
    if twice.size:
        cure = "a series has one value at a time; where it steps, use an input that is held: `input u hold`"
        raise OdecError.of("E0507", f"input `{u.name}` has two rows at t = {twice[0]:g}", cure)
    return times, values


def _from_table(description: Description, names: tuple[str, ...], table: Table) -> tuple[np.ndarray, np.ndarray]:
    timed = TIME in table.header
    if not timed and not description.is_map:
        columns = ", ".join(f"`{name}`" for name in table.header)
        cure = f"the columns are to be `{TIME}` and {', '.join(f'`{name}`' for name in names)}"
        raise OdecError.of("E0502", f"`{table.name}` has no time column `{TIME}`; its columns are {columns}", cure)
    missing = [name for name in names if name not in table.header]
    if missing:
        columns = ", ".join(f"`{name}`" for name in table.header)
        cure = nearest(missing[0], table.header) or f"its columns are {columns}"
        raise OdecError.of("E0501", f"`{table.name}` has no column `{missing[0]}`", cure)
    if timed:
        return _numbers(table, (TIME, *names))
    numbers = _numbers(table, names, whole=True)[1]
    return np.arange(len(numbers), dtype=np.float64), numbers


def _numbers(table: Table, wanted: tuple[str, ...], whole: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The first of the columns and the others; with `whole` all of them as the others. E0503 for all bad cells."""
    places = [table.header.index(name) for name in wanted]
    numbers = np.zeros((len(table.rows), len(wanted)))
    errors = []
    for i, row in enumerate(table.rows):
        for j, place in enumerate(places):
            value = table.number(row[place])
            if value is None or value != value:
                errors.append(_cell(table, i, wanted[j], row[place]))
            else:
                numbers[i, j] = value
    if errors:
        raise OdecError(errors[:10])
    return numbers[:, 0], numbers if whole else numbers[:, 1:]


def _cell(table: Table, row: int, column: str, cell: str) -> Diagnostic:
    where = f"line {table.lines[row]} of `{table.name}`, column `{column}`"
    if not cell.strip() or cell.casefold() in {"nan", "na"}:
        return Diagnostic("E0503", f"{where}: the value is missing", help="an input needs a value in every row")
    return Diagnostic("E0503", f"{where}: `{cell}` is not a number")


def _on_grid(knots: np.ndarray, times: np.ndarray, values: np.ndarray, linear: bool) -> np.ndarray:
    """A series on the finer grid of all inputs together: the same function."""
    if linear:
        return np.interp(knots, times, values)
    return values[np.clip(np.searchsorted(times, knots, side="right") - 1, 0, len(times) - 1)]
