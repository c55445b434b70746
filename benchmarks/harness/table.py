"""Results as Markdown: what was measured, where, and with which versions."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "results"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, its columns as wide as their longest cell.

    >>> print(table(["a", "b"], [["1", "22"]]))
    | a | b  |
    |---|----|
    | 1 | 22 |
    """
    cells = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def verdict(ratio: float, least: float) -> str:
    """How a measured ratio stands to its bar.

    >>> verdict(61.3, 50)
    '≥ 50×: pass'
    """
    return f"≥ {least:g}×: {'pass' if ratio >= least else 'MISS'}"


def times(ratio: float) -> str:
    """A ratio with three digits.

    >>> times(1234.5), times(2.345)
    ('1,230×', '2.35×')
    """
    rounded = float(f"{ratio:.3g}")
    return f"{rounded:,.0f}×" if rounded >= 100 else f"{rounded:g}×"


def surroundings(packages: Sequence[str]) -> str:
    """The date, the machine and the versions, in two lines."""
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    machine = f"{_processor()}, {os.cpu_count()} cores, {platform.system()}, load at the end {load}"
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    return f"{when} · commit {_commit()} · {machine}  \nPython {platform.python_version()}, {versions}"


def publish(text: str, name: str) -> None:
    """Print the text and write it to `benchmarks/results/NAME.md`."""
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text + "\n", encoding="utf-8")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return version(f"{package}-cpu")  # TensorFlow without its GPU parts, under the same import name


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    """The short hash of the checkout, with + where it was changed since."""
    asked = ["git", "-C", str(RESULTS.parent), "describe", "--always", "--dirty=+", "--exclude=*"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"
