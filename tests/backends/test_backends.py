"""TensorFlow, JAX and torch run the same generated file: the same values, and the gradients of those values.

Each back end has a process of its own (Keras reads KERAS_BACKEND once), which computes everything (`program.py`): the
layer of every example, and layers of what no example has. The differences that all gradients are compared with are
TensorFlow's: the values of the others are the same to 1e-10. JAX comes with `odec[test]`, torch with
`make test-backends`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PROGRAM = Path(__file__).parent / "program.py"
EXAMPLES = {
    path.parent.name if path.stem == "model" else path.stem
    for path in (PROGRAM.parents[2] / "examples").glob("*/*.ode")
}
Numbers = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def numbers(request: pytest.FixtureRequest) -> Callable[[str], Numbers]:
    """`numbers(backend)`: what the program of that back end wrote; TensorFlow's has the differences too. They are kept
    while neither odec nor a library changes, so that `make test-backends` need not compute TensorFlow's again."""

    def of(backend: str) -> Numbers:
        if find_spec(backend) is None:
            pytest.skip(f"{backend} is not installed: `make test-backends` installs it")
        assert request.config.cache is not None
        out = request.config.cache.mkdir(f"odec-{backend}-{digest(backend)}") / "numbers.npz"
        if not out.exists():
            command = [sys.executable, str(PROGRAM), str(out), *(["differences"] if backend == "tensorflow" else [])]
            environment = {**os.environ, "KERAS_BACKEND": backend}
            # A fit writes its folder where the process is.
            ran = subprocess.run(command, env=environment, cwd=out.parent, capture_output=True, text=True)
            assert ran.returncode == 0, ran.stderr[-4000:]
        return dict(np.load(out))

    return of


def digest(backend: str) -> str:
    """Of all that the numbers depend on: odec's files, the program, and the libraries."""
    files = [PROGRAM, *sorted((PROGRAM.parents[2] / "odec").rglob("*.py"))]
    found = sha256(b"".join(file.read_bytes() for file in files))
    for library in ("keras", backend, f"{backend}-cpu"):
        with suppress(PackageNotFoundError):
            found.update(f"{library} {version(library)}".encode())
    return found.hexdigest()[:16]


def off(value: Any, other: Any) -> float:
    """The largest difference, relative to the largest number."""
    return float(np.max(np.abs(value - other)) / np.max(np.abs(other)))


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_gradients_are_those_of_the_values(backend: str, numbers: Callable[[str], Numbers]) -> None:
    """Differences of order 4 over 1e-3 of a number are exact to 1e-11; runs at rtol 1e-10 leave 1e-7 of them."""
    mine, asked = numbers(backend), numbers("tensorflow")
    gradients = [name for name in mine if "/gradient" in name]
    assert {name.split("/")[0] for name in gradients} >= EXAMPLES
    for name in gradients:
        assert off(mine[name], asked[name.replace("gradient", "difference")]) < 1e-6, name


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_back_ends_agree(backend: str, numbers: Callable[[str], Numbers]) -> None:
    mine, theirs = numbers(backend), numbers("tensorflow")
    assert set(mine) == {name for name in theirs if "/difference" not in name}
    for name, value in mine.items():
        # A search ends where a step no longer pays, within 1e-8 of the optimum.
        assert off(value, theirs[name]) < (1e-8 if name.startswith("fit") else 1e-10), name


def test_second_derivatives_are_right_or_refused() -> None:
    if find_spec("jax") is None:
        pytest.skip("jax is not installed")
    command = [sys.executable, str(PROGRAM.with_name("second_derivatives.py"))]
    ran = subprocess.run(command, env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-4000:]
