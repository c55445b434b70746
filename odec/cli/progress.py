"""How far a long run is, on stderr: a bar where a person looks at it, else a line now and then."""

from __future__ import annotations

import sys
import time as clock
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from odec.fit.fitting import Progress
    from odec.runtime.driving import Progress as RunProgress

# Seconds between two lines where stderr is no terminal; a run that is done before says nothing.
BETWEEN_LINES = 60.0
# In characters: what is said beside it must fit into a line of 80.
BAR_WIDTH = 16
# A run says how far it is after so many seconds, and then after twice as many each time.
FIRST_WORD = 2.0


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


def run_lines() -> Callable[[RunProgress], None]:
    """A function that says on stderr, ever more rarely, how far a run is and how much is left."""
    due = FIRST_WORD

    def say(run: RunProgress) -> None:
        nonlocal due
        if run.seconds < due:
            return
        due = 2 * run.seconds
        left = (
            f"{run.attempts_left:.2g} steps, {run.seconds_left:.2g} s"
            if run.share > 0
            else "an unknown number of steps"
        )
        click.echo(f"solving: {run.share:.2%} after {run.seconds:.0f} s, {left} to go; Ctrl-C ends it", err=True)

    return say


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
