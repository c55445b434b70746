"""What the tests share: the reference numbers beside the checkout, compiled layers, and silence from TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

# Before anything imports TensorFlow, here and in every process that a test starts.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import pytest

ROOT = Path(__file__).resolve().parent.parent


@cache
def _load(path: Path) -> Any:
    from odec.loading import load_model

    return load_model(path)


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def examples() -> Path:
    """The folder of examples."""
    return ROOT / "examples"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The cases and reference numbers beside the checkout; where there are none, the test is skipped and says so."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no reference numbers: {folder} is missing")
    return folder


@pytest.fixture(scope="session")
def load() -> Callable[[str | Path], Any]:
    """`load(path)` is the layer class of a model file, compiled once for all tests of this process."""
    return lambda path: _load(Path(path).resolve())
