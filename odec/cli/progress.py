"""How far a long run is, on stderr: a bar where a person looks at it, else a line now and then."""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from odec.fit.fitting import Progress

# Seconds between two lines where stderr is no terminal; a run that is done before says nothing.
BETWEEN_LINES = 60.0
# In characters: what is said beside it must fit into a line of 80.
BAR_WIDTH = 16


@contextmanager
def bar(title: str, unit: str) -> Iterator[Progress]:
    """A function `progress(done, total, best_loss)` that says how many units are done, and the best loss."""
    if not sys.stderr.isatty():
        yield _lines(title, unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    text = TextColumn("{task.fields[text]}")
    columns = (TextColumn("{task.description}"), BarColumn(BAR_WIDTH), text, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None, text="")

        def move(done: int, total: int, best_loss: float) -> None:
            progress.update(task, completed=done, total=total, text=_said(done, total, unit, best_loss))

        yield move


def _lines(title: str, unit: str) -> Progress:
    due = clock.monotonic() + BETWEEN_LINES

    def move(done: int, total: int, best_loss: float) -> None:
        nonlocal due
        if clock.monotonic() >= due:
            due = clock.monotonic() + BETWEEN_LINES
            click.echo(f"{title}: {_said(done, total, unit, best_loss)}", err=True)

    return move


def _said(done: int, total: int, unit: str, best_loss: float) -> str:
    return f"{done}/{total} {unit}, best loss {best_loss:.5g}"
