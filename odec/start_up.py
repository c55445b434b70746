"""TensorFlow's start, without what it writes of itself."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from odec.diagnostics import OdecError

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


@contextmanager
def command_started_up() -> Iterator[None]:
    """`start_up_hushed` for what a command loads, without the collector of garbage.

    Hundreds of thousands of objects are made that stay. The collector would go through them again and again, in two of
    the five seconds that `odec solve` takes: it rests meanwhile, and leaves them out ever after. Only a process of our
    own may do that, and once: other people's objects, and later ones, may become garbage.
    """
    if gc.get_freeze_count():
        with start_up_hushed():
            yield
        return
    gc.disable()
    try:
        with start_up_hushed():
            yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def start_up_hushed() -> Iterator[None]:
    """Keeps back what is said on stderr while TensorFlow is loaded, and shows it only where loading fails.

    Its log level alone does not do: some lines are written before it is read. Who sets a level of 0 or 1 hears
    everything.
    """
    level = os.environ.get(LOG_LEVEL)
    if level in ("0", "1"):
        yield
        return
    os.environ.setdefault(LOG_LEVEL, "3")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as said, _descriptor(2) as stderr:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except OdecError:
            raise
        except BaseException:
            os.dup2(stderr, 2)
            said.seek(0)
            with os.fdopen(os.dup(2), "wb") as out:
                shutil.copyfileobj(said, out)
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            if level is None:
                os.environ.pop(LOG_LEVEL, None)  # it is read once; processes that we start have their own


@contextmanager
def _descriptor(number: int) -> Iterator[int]:
    copy = os.dup(number)
    try:
        yield copy
    finally:
        os.close(copy)
