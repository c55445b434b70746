"""The bar of a long run, on stderr, and only where a person looks at it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from odec.fit.fitting import Progress


@contextmanager
def bar(title: str) -> Iterator[Progress | None]:
    """A function `progress(done, total, best_loss)` that moves the bar; None where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=None, text="")

        def move(done: int, total: int, best_loss: float) -> None:
            progress.update(task, completed=done, total=total, text=f"loss {best_loss:.6g}")

        yield move
