"""A command line that is called in this process, and one in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from odec.cli.main import main


@dataclass(frozen=True)
class Result:
    """What a command left: its exit code and its two streams."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _own_log_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in processes of their own find no log level: JAX, which TensorFlow imports where it is installed, sets
    one in this process."""
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)


@pytest.fixture
def odec(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """`odec("solve", path)` runs the command here; its exit code is what the process would end with."""

    def run(*arguments: object) -> Result:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return run


@pytest.fixture
def odec_process(root: Path) -> Callable[..., Result]:
    """The same in a fresh process."""

    def run(*arguments: object, cwd: Path | None = None) -> Result:
        command = [sys.executable, "-m", "odec", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
        return Result(done.returncode, done.stdout, done.stderr)

    return run
