"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
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


@contextlib.contextmanager
def kept_if_filled(path: Path | None, made: bool) -> Iterator[None]:
    """Takes away a folder that was `made` for what then failed, or was interrupted, before anything was in it."""
    try:
        yield
    except BaseException:
        if path is not None and made:
            with contextlib.suppress(OSError):
                path.rmdir()
        raise


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a file beside `path`, with the same suffix, and puts it in place when it is complete.

    A link is followed, and stays. What is no file of its own (`/dev/null`, a pipe) is written into: taking its place
    would remove the device. Raises OdecError (E0701) where that fails; `path` is then as it was.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.stem}-{os.getpid()}{path.suffix}")
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            _write_into(path, write)
            return
        write(beside)
        beside.replace(target)
    except OSError as error:
        missing = not path.parent.exists()
        why = f"there is no folder `{path.parent}`" if missing else error.strerror or str(error)
        cure = "make it first, or choose another place" if missing else "choose another place"
        raise OdecError.of("E0701", f"`{path}` cannot be written: {why}", help=cure) from None
    finally:
        # Where the folder itself is wrong there is nothing to remove.
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _write_into(device: Path, write: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory(prefix="odec-") as folder:
        whole = Path(folder) / f"whole{device.suffix}"
        write(whole)
        with whole.open("rb") as source, device.open("wb") as sink:
            shutil.copyfileobj(source, sink)


def write_text(path: str | Path, text: str) -> None:
    """Writes a text as UTF-8 with `\\n` line ends, whole or not at all."""
    write_whole(path, lambda beside: beside.write_text(text, encoding="utf-8", newline="\n"))
