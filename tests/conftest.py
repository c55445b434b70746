"""What the tests share: the reference numbers beside the checkout, and compiled layers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
# So that every test can import `reference` and `agreement`.
sys.path.insert(0, str(Path(__file__).parent))


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
