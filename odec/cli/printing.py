"""What several commands print: warnings, JSON, the bar of a long run."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click


def warn(warnings: Iterable[object]) -> None:
    """Each warning on stderr, as its own text has it."""
    for warning in warnings:
        text = str(warning)
        click.echo(text if text.startswith(("warning", "note")) else f"warning: {text}", err=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout. JSON knows no infinity and no NaN: they are null."""
    click.echo(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def print_csv(columns: Mapping[str, Sequence[float]]) -> None:
    """A table on stdout, each number in as many digits as it needs to be read back the same."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
