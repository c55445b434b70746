"""The kinds of values that several commands take: `name=value`, and lists of numbers."""

from __future__ import annotations

import math
from typing import Any

import click


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


class Assignment(click.ParamType):
    """`name=value` with a number as its value. The name is whatever the model calls its things: `k[e1]`, `x'`, `ω1`."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        """(name, number), or a usage error."""
        if isinstance(value, tuple):
            return value
        name, equals, text = value.partition("=")
        if not equals or not name.strip():
            self.fail(f"{value!r} is not of the form name=value, as in r1=0.2", param, ctx)
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            self.fail(f"{name.strip()}={text}: {text.strip()!r} is not a number", param, ctx)
        return name.strip(), number


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


NUMBER = Number()
ASSIGNMENT = Assignment()
NUMBERS = Numbers()

# Whether a file exists is for the library to say, in its own words and with its own exit code.
FILE = click.Path(path_type=str)


def assignments(given: tuple[tuple[str, float], ...], option: str) -> dict[str, float]:
    """The values by name. A name given twice is a slip, and a usage error."""
    values: dict[str, float] = {}
    for name, number in given:
        if name in values:
            raise click.UsageError(f"{option} gives `{name}` twice: {values[name]!r} and {number!r}")
        values[name] = number
    return values
