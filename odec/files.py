"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from odec.diagnostics import OdecError


def ready_folder(path: str | Path) -> Path:
    """The folder, made where it is missing and tried with a file. Raises OdecError (E0701) where it refuses."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".odec-"):
            pass
    except FileExistsError:
        raise OdecError.of(
            "E0701", f"`{folder}` is a file, not a folder", help="name another folder with `-o`"
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise OdecError.of(
            "E0701", f"nothing can be written to `{folder}`: {reason}", help="name another folder with `-o`"
        ) from None
    return folder


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a file beside `path`, with the same suffix, and puts it in place when it is complete.

    Raises OdecError (E0701) where that fails; `path` is then as it was.
    """
    path = Path(path)
    beside = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        write(beside)
        beside.replace(path)
    except OSError as error:
        raise OdecError.of(
            "E0701", f"`{path}` cannot be written: {error.strerror or error}", help="choose another place"
        ) from None
    finally:
        # Where the folder itself is wrong there is nothing to remove.
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Writes a text as UTF-8 with `\\n` line ends, whole or not at all."""
    write_whole(path, lambda beside: beside.write_text(text, encoding="utf-8", newline="\n"))
