"""The kinds of values that several commands take: `name=value`, and lists of numbers."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import click

Assigned = tuple[str, float]

# A comma between two assignments, not one between two indices.
COMMA = re.compile(r",(?![^\[]*\])")


class Number(click.ParamType):
    """A number as Python writes it; NaN is none."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or a usage error."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


class Assignments(click.ParamType):
    """`name=value`, or several with commas between them, each value a number: `r1=0.2,r2=0.3`.

    A name is whatever the model calls its things: `k[e1]`, `x'`, `ω1`.
    """

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Assigned, ...]:
        """A pair (name, number) for each, or a usage error."""
        if isinstance(value, tuple):
            return value
        return tuple(self._pair(text, param, ctx) for text in COMMA.split(value))

    def _pair(self, text: str, param: click.Parameter | None, ctx: click.Context | None) -> Assigned:
        name, equals, word = (part.strip() for part in text.partition("="))
        if not equals or not name:
            self.fail(f"{text!r} is not of the form name=value, as in r1=0.2", param, ctx)
        try:
            number = float(word)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            self.fail(f"{name}={word}: {word!r} is not a number", param, ctx)
        return name, number


class Tolerance(click.ParamType):
    """One number for all states, or one for each by name: `1e-9`, or `x=1e-9,y=1e-6`."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | dict[str, float]:
        """The number or the numbers by name, or a usage error."""
        if not isinstance(value, str):
            return value
        if "=" not in value:
            return NUMBER.convert(value, param, ctx)
        return values_by_name([ASSIGNMENTS.convert(value, param, ctx)], "--atol")


class Numbers(click.ParamType):
    """Numbers with commas or blanks between them: `0,5,10`."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """The numbers in the order given, or a usage error."""
        if isinstance(value, tuple):
            return value
        words = value.replace(",", " ").split()
        if not words:
            self.fail("holds no number", param, ctx)
        return tuple(NUMBER.convert(word, param, ctx) for word in words)


class NamedFile(click.ParamType):
    """`name=file`: an input of the model and its table."""

    name = "name=file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The pair, or a usage error."""
        if isinstance(value, tuple):
            return value
        name, equals, file = (part.strip() for part in value.partition("="))
        if not (name and equals and file):
            self.fail(f"{value!r} is not of the form name=file, as in u=u.csv", param, ctx)
        return name, file


NUMBER = Number()
ASSIGNMENTS = Assignments()
TOLERANCE = Tolerance()
NUMBERS = Numbers()
NAMED_FILE = NamedFile()

# Whether a file exists is for the library to say, in its own words and with its own exit code.
FILE = click.Path(path_type=str)


def values_by_name(given: Iterable[tuple[Assigned, ...]], option: str) -> dict[str, float]:
    """The values of all uses of an option. A name given twice is a slip, and a usage error."""
    values: dict[str, float] = {}
    for name, number in chain.from_iterable(given):
        if name in values:
            raise click.UsageError(f"{option} gives `{name}` twice: {values[name]!r} and {number!r}")
        values[name] = number
    return values


def files_by_name(given: Iterable[tuple[str, str]], option: str) -> dict[str, str]:
    """The file of each name. A name given twice is a slip, and a usage error."""
    files: dict[str, str] = {}
    for name, file in given:
        if name in files:
            raise click.UsageError(f"{option} gives `{name}` twice: {files[name]} and {file}")
        files[name] = file
    return files


def refuse_to_overwrite(outputs: Iterable[str | None], read: Iterable[str | None]) -> None:
    """A usage error where a file to be written is one that is read, or is written twice."""
    taken = {os.path.realpath(path): f"`{path}`, which is read" for path in read if path is not None}
    for path in outputs:
        if path is None or path == "-":
            continue
        place = os.path.realpath(path)
        if Path(place).exists() and not Path(place).is_file():
            continue  # a terminal, /dev/null: nothing is lost there
        if place in taken:
            raise click.UsageError(f"the output would overwrite {taken[place]}; name another place")
        taken[place] = f"`{path}`, which is written too"
