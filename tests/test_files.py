"""Files that appear whole or not at all, and what is no file of its own."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from odec.diagnostics import OdecError
from odec.files import write_text


def test_a_text_appears_whole_and_alone(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", "t,x\n")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "t,x\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_link_stays_and_its_file_is_written(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "there" / "a.csv")
    for text in ("new\n", "newer\n"):
        write_text(tmp_path / "link.csv", text)
        assert (tmp_path / "link.csv").is_symlink()
        assert (tmp_path / "there" / "a.csv").read_text(encoding="utf-8") == text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_written_into_and_not_replaced(tmp_path: Path) -> None:
    # As root, taking the place of `/dev/null` would remove the device.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text(encoding="utf-8")), daemon=True)
    reader.start()
    write_text(pipe, "t,x\n")
    reader.join(timeout=10)
    assert read == ["t,x\n"]
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_a_device_that_refuses_is_said() -> None:
    with pytest.raises(OdecError, match=r"E0701.*`/dev/full` cannot be written: No space left"):
        write_text("/dev/full", "t,x\n")
    assert Path("/dev/full").is_char_device()
