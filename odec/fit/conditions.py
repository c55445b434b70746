"""What differs between experiments: `conditions.csv`, a row for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from odec.diagnostics import Diagnostic, OdecError, nearest
from odec.fit.data import EXPERIMENT, Data
from odec.runtime.description import Description
from odec.tables import Table, table_of

FILE = "conditions.csv"
# What a name stands for in one experiment: a number, or the name of a param or const.
Overrides = Mapping[str, float | str]


def conditions_beside(data: Any) -> Path | None:
    """The `conditions.csv` in the folder of a data file, where there is one."""
    if not isinstance(data, str | Path):
        return None
    path = Path(data).parent / FILE
    return path if path.is_file() and path != Path(data) else None


def read_conditions(description: Description, data: Data, given: Any) -> tuple[Overrides, ...]:
    """For each experiment of the data what its row of the table `given` (None: no table) replaces.

    An empty cell replaces nothing. A name in a cell is followed to what it stands for in the same experiment.
    Raises OdecError: E0501 a column that names nothing, E0503 a cell that is neither number nor name, E0507 a table
    without `experiment`, an experiment without a row or with two.
    """
    if given is None:
        return ({},) * len(data.experiments)
    table = table_of(given)
    _check_header(description, table)
    places = _places(table, data)
    errors: list[Diagnostic] = []
    found = [_row(description, table, place, errors) for place in places]
    if errors:
        raise OdecError(errors)
    return tuple(
        {name: _followed(name, row, table, place) for name in row} for place, row in zip(places, found, strict=True)
    )


def _replaceable(description: Description) -> list[str]:
    consts = [const.name for const in description.consts if not const.shape]
    return [*consts, *description.param_elements, *description.state_elements]


def _check_header(description: Description, table: Table) -> None:
    if EXPERIMENT not in table.header:
        raise OdecError.of("E0507", f"`{table.name}` has no column `{EXPERIMENT}`", help="name each row's experiment")
    known = _replaceable(description)
    errors = [
        Diagnostic(
            "E0501",
            f"column `{name}` of `{table.name}` names no const, param or state of the model",
            help=nearest(name, known) or f"it may name {_listed(known)}",
        )
        for name in table.header
        if name not in known and name != EXPERIMENT
    ]
    if errors:
        raise OdecError(errors)


def _places(table: Table, data: Data) -> list[int]:
    """The row of each experiment of the data."""
    labels = table.column(EXPERIMENT)
    if data.experiments == ("",):
        if len(table.rows) == 1:
            return [0]
        message = f"`{table.name}` has {len(table.rows)} experiments, but `{data.name}` has no column `{EXPERIMENT}`"
        raise OdecError.of("E0507", message, help="add the column to the data")
    errors = []
    for label in data.experiments:
        if labels.count(label) != 1:
            count = "no row" if label not in labels else "more than one row"
            cure = nearest(label, labels) or f"it has {_listed(labels)}"
            errors.append(Diagnostic("E0507", f"`{table.name}` has {count} for the experiment `{label}`", help=cure))
    if errors:
        raise OdecError(errors)
    return [labels.index(label) for label in data.experiments]


def _row(description: Description, table: Table, place: int, errors: list[Diagnostic]) -> dict[str, float | str]:
    known = [*description.param_elements, *(const.name for const in description.consts)]
    found: dict[str, float | str] = {}
    for name, cell in zip(table.header, table.rows[place], strict=True):
        if name == EXPERIMENT or cell == name:
            continue
        value = table.number(cell)
        if value is None and cell in known:
            found[name] = cell
        elif value is None:
            where = f"line {table.lines[place]} of `{table.name}`, column `{name}`"
            cure = nearest(cell, known) or "an empty cell keeps the model's value"
            errors.append(Diagnostic("E0503", f"{where}: `{cell}` is no number and names no param or const", help=cure))
        elif value == value:
            found[name] = value
    return found


def _followed(name: str, row: Overrides, table: Table, place: int) -> float | str:
    """What a name stands for at the end of a chain of names."""
    seen = [name]
    value = row[name]
    while isinstance(value, str) and value in row:
        if value in seen:
            circle = " → ".join([*seen, value])
            message = f"line {table.lines[place]} of `{table.name}` goes in a circle: {circle}"
            raise OdecError.of("E0503", message, help="let one of them be a number")
        seen.append(value)
        value = row[value]
    return value


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
