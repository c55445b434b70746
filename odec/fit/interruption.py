"""Ctrl-C during a fit: the first one lets the step under way end, so that what there is can be written."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from odec.fit.result import Fit

SAID = "interrupted: this step ends, then what there is is written; Ctrl-C again stops at once"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C has ended a search. `fit` is what it had found until then."""

    def __init__(self, fit: Fit) -> None:
        super().__init__("the fit was interrupted")
        self.fit = fit


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """A function that tells whether Ctrl-C was pressed. The second one raises KeyboardInterrupt, as the first does
    where signals cannot be handled: outside the main thread, or where somebody else ignores or handles them."""
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or previous is not signal.default_int_handler:
        yield lambda: False
        return
    asked = False

    def remember(number: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        sys.stderr.write(f"{SAID}\n")

    signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, previous)
