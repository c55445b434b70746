"""A text file of numbers, read without guessing: what stands in each cell, and the line it stands in.

The cells are split with `csv` rather than with `pandas.read_csv`, which fills short rows, takes the first cell of a
long row for an index, and forgets the line; each of these would let `3,0` pass for two columns.
"""

from __future__ import annotations

import csv
import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from odec.diagnostics import Diagnostic, OdecError

# A data table beyond this size is a mistake (an image, a core dump).
LARGEST_TABLE = 512 * 1024 * 1024
SEPARATORS = {"\t": "tab", ";": "semicolon", ",": "comma", "|": "bar"}
# The first line by which Excel is told the separator.
SEPARATOR_LINE = re.compile(r'"?sep=(?P<separator>[\t;,|])"?', re.IGNORECASE)
MISSING = frozenset({"", "nan", "na"})
DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?|[+-]?\d+,([eE][+-]?\d+)?")
# 3,000: thousands, or three decimals?
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Table:
    """Cells as they were written (blanks around them gone); `lines` are the rows' line numbers in the file, from 1."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    decimal_comma: bool
    digest: str
    notes: tuple[Diagnostic, ...] = ()

    def __post_init__(self) -> None:
        assert len(self.rows) == len(self.lines)
        assert all(len(row) == len(self.header) for row in self.rows)

    def column(self, name: str) -> tuple[str, ...]:
        """The cells of a column. Raises ValueError where there is none."""
        place = self.header.index(name)
        return tuple(row[place] for row in self.rows)

    def number(self, cell: str) -> float | None:
        """What a cell means: NaN for a missing value (empty, `NaN`, `NA`), None where it is not a finite number."""
        if cell.casefold() in MISSING:
            return float("nan")
        text = cell.replace(",", ".") if self.decimal_comma and DECIMAL_COMMA.fullmatch(cell) else cell
        if not NUMBER.fullmatch(text):
            return None
        value = float(text)
        return value if abs(value) != float("inf") else None


def read_table(path: str | Path) -> Table:
    """The table in a CSV or TSV file. Raises OdecError (E0506 unreadable, E0507 crooked) where it is none."""
    path = Path(path)
    data = _bytes_of(path)
    return parse_table(_decoded(data, path), str(path), hashlib.sha256(data).hexdigest())


def table_of(data: Any) -> Table:
    """The table in `data`: a path (CSV, TSV, Parquet), a pandas DataFrame, a dict of columns, or a table itself."""
    if isinstance(data, Table):
        return data
    if isinstance(data, str | Path):
        if Path(data).suffix.lower() in {".parquet", ".pq"}:
            return _parquet(Path(data))
        return read_table(data)
    if isinstance(data, Mapping):
        columns = {str(key): list(np.ravel(np.asarray(value, dtype=object))) for key, value in data.items()}
    elif hasattr(data, "columns"):
        columns = {str(key): list(data[key]) for key in data.columns}
    else:
        raise OdecError.of(
            "E0506",
            f"a {type(data).__name__} is not a table",
            help="give a path, a pandas DataFrame, or a dict of columns: `{'t': […], 'x': […]}`",
        )
    return _of_columns(columns, "data")


def _parquet(path: Path) -> Table:
    import pandas

    try:
        frame = pandas.read_parquet(path)
    except ImportError:
        raise OdecError.of(
            "E0506", f"reading `{path}` needs pyarrow", help="pip install pyarrow, or save as CSV"
        ) from None
    except (OSError, ValueError) as error:
        raise OdecError.of("E0506", f"`{path}` cannot be read: {error}", help="is it a Parquet table?") from None
    table = _of_columns({str(key): list(frame[key]) for key in frame.columns}, str(path))
    return replace(table, digest=hashlib.sha256(path.read_bytes()).hexdigest())


def _of_columns(columns: Mapping[str, list[Any]], name: str) -> Table:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise OdecError.of(
            "E0507", f"the columns of `{name}` differ in length: {sorted(lengths)}", help="use None or NaN to fill"
        )
    rows = [tuple(_text(cell) for cell in row) for row in zip(*columns.values(), strict=True)]
    text = "\n".join("\t".join(row) for row in [tuple(columns), *rows])
    return replace(
        parse_table("t\n", name, hashlib.sha256(text.encode()).hexdigest()),
        header=tuple(columns),
        rows=tuple(rows),
        lines=tuple(range(1, len(rows) + 1)),
    )


def _text(cell: Any) -> str:
    """A Python value as a cell that reads back as the same number."""
    if cell is None or cell != cell or type(cell).__name__ == "NAType":
        return ""
    if isinstance(cell, int | float | np.number):
        return repr(float(cell))
    return str(cell).strip()


def parse_table(text: str, name: str, digest: str = "") -> Table:
    """The table in a text: one header line; `#` lines and blank lines are skipped.

    >>> parse_table("t;x\\n0;3,0\\n", "d.csv").rows
    (('0', '3,0'),)
    """
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    numbered = [(i, line) for i, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    told = SEPARATOR_LINE.fullmatch(numbered[0][1].strip(" ")) if numbered else None
    if told:
        del numbered[0]
    if not numbered:
        raise OdecError.of(
            "E0506", f"`{name}` is empty", help="it needs a header line such as `t,x` and rows of numbers"
        )
    separator = told["separator"] if told else _separator(numbered[0][1])
    parsed = [(line, _cells(text, separator)) for line, text in numbered]
    header, notes = _header(parsed[0][1], [cells for _, cells in parsed[1:]], name)
    rows = [(line, cells) for line, cells in parsed[1:] if any(cells)]
    _check_widths(rows, len(header), name, separator)
    kept = [i for i, column in enumerate(header) if column]
    cells = tuple(tuple(row[i] for i in kept) for _, row in rows)
    decimal_comma = any(DECIMAL_COMMA.fullmatch(cell) for row in cells for cell in row)
    if decimal_comma:
        notes.append(_comma_note(name, separator, rows))
    return Table(
        name=name,
        header=tuple(header[i] for i in kept),
        rows=cells,
        lines=tuple(line for line, _ in rows),
        decimal_comma=decimal_comma,
        digest=digest or hashlib.sha256(text.encode()).hexdigest(),
        notes=tuple(notes),
    )


def _bytes_of(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise OdecError.of("E0506", f"`{path}` is a folder, not a table", help="name a file, such as `data.csv`")
        if path.stat().st_size > LARGEST_TABLE:
            raise OdecError.of(
                "E0506", f"`{path}` is larger than {LARGEST_TABLE // 2**20} MiB", help="is this a table?"
            )
        return path.read_bytes()
    except FileNotFoundError:
        raise OdecError.of("E0506", f"there is no file `{path}`", help="check the name and the folder") from None
    except OSError as error:
        raise OdecError.of(
            "E0506", f"`{path}` cannot be read: {error.strerror}", help="check the permissions"
        ) from None


def _decoded(data: bytes, path: Path) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    else:
        encoding = "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise OdecError.of(
            "E0506",
            f"`{path}` is not UTF-8 text: byte {data[error.start]:#04x} in line {line}",
            help="save the table as CSV in UTF-8",
        ) from None
    if "\0" in text:
        raise OdecError.of("E0506", f"`{path}` is not a text file: it holds a NUL byte", help="save the table as CSV")
    return text


def _separator(header: str) -> str:
    """The one of tab, semicolon, comma that splits the header, outside quotes, into most names; else blanks."""
    bare = re.sub(r'"[^"]*"', "", header)
    counts = {separator: bare.count(separator) for separator in SEPARATORS}
    best = max(counts, key=lambda separator: counts[separator])
    if counts[best]:
        return best
    return " " if len(bare.split()) > 1 or '" "' in header else ","


def _cells(line: str, separator: str) -> list[str]:
    if separator == " ":
        line = " ".join(line.split())
    else:
        # A quote is a quote only at the start of a cell: blanks in front of it or behind it would hide it.
        line = re.sub(rf'\s*{re.escape(separator)}[ ]*(?=")', separator, line.strip(" \r\n"))
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator))]


def _header(cells: list[str], rows: list[list[str]], name: str) -> tuple[list[str], list[Diagnostic]]:
    """The column names, "" for a column to leave out: an empty one at the end, or row numbers as pandas writes them."""
    header = [unicodedata.normalize("NFKC", cell) for cell in cells]
    notes: list[Diagnostic] = []
    if all(NUMBER.fullmatch(cell) for cell in header if cell):
        raise OdecError.of(
            "E0502", f"the first line of `{name}` holds numbers, not names", help="begin with a line such as `t,x`"
        )
    for place, column in enumerate(header):
        if column or all(place >= len(row) or not row[place] for row in rows):
            continue
        counting = [str(i) for i in range(len(rows))]
        if place == 0 and [row[0] for row in rows if row] == counting:
            notes.append(
                _warning("W0503", f"the first column of `{name}` has no name and only counts the rows: left out")
            )
        else:
            raise OdecError.of(
                "E0507", f"column {place + 1} of `{name}` has no name", help="give it one in the first line"
            )
    twice = sorted({column for column in header if column and header.count(column) > 1})
    if twice:
        names = ", ".join(f"`{column}`" for column in twice)
        raise OdecError.of(
            "E0507", f"`{name}` has more than one column {names}", help="replicates are rows, not columns"
        )
    return header, notes


def _check_widths(rows: list[tuple[int, list[str]]], width: int, name: str, separator: str) -> None:
    for line, cells in rows:
        while len(cells) > width and not cells[-1]:
            cells.pop()
        if len(cells) == width:
            continue
        count = f"{len(cells)} cell{'s' if len(cells) != 1 else ''}"
        cure = "an empty cell still needs its separator"
        if separator == "," and len(cells) > width:
            cure = "are its numbers written with a decimal comma? Then separate the columns with `;`"
        raise OdecError.of(
            "E0507", f"line {line} of `{name}` has {count}, but the header names {width} columns", help=cure
        )


def _comma_note(name: str, separator: str, rows: list[tuple[int, list[str]]]) -> Diagnostic:
    """The note that says what was assumed. Raises OdecError where points and commas are mixed: which is which?"""
    for line, cells in rows:
        for cell in cells:
            if "." in cell and NUMBER.fullmatch(cell):
                raise OdecError.of(
                    "E0503",
                    f"`{name}` mixes decimal commas with decimal points (`{cell}` in line {line})",
                    help="write all numbers one way",
                )
    commas = [(line, cell) for line, cells in rows for cell in cells if DECIMAL_COMMA.fullmatch(cell)]
    if separator == "," and all(GROUPED.fullmatch(cell) for _, cell in commas):
        line, cell = commas[0]
        raise OdecError.of(
            "E0503",
            f"`{cell}` in line {line} of `{name}` may mean {cell.replace(',', '.')} or {cell.replace(',', '')}",
            help="write it with a decimal point and without thousands separators",
        )
    example = commas[0][1]
    between = SEPARATORS.get(separator, "blank")
    meant = example.replace(",", ".")
    return _warning(
        "W0501", f"`{name}` is read with decimal commas (`{example}` is {meant}); columns are separated by a {between}"
    )


def _warning(code: str, message: str) -> Diagnostic:
    return Diagnostic(code, message, severity="warning")
