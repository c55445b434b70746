"""What the benchmarks wrote, as it stands in benchmarks/results."""

from __future__ import annotations

import re
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
RESULTS = BENCHMARKS / "results"


def measured() -> str:
    """All results, each a section, in the order of their names."""
    return "\n\n".join(_section(path) for path in sorted(RESULTS.glob("*.md")))


def _section(path: Path) -> str:
    """The result with its headings one level deeper, and where it came from."""
    text = re.sub(r"^#", "##", path.read_text(encoding="utf-8").strip(), flags=re.MULTILINE)
    heading, rest = text.split("\n", 1)
    return f"{heading}\n\n`python benchmarks/{_script(path)}` wrote this.\n{rest}"


def _script(result: Path) -> str:
    """The benchmark that says of itself that it writes the result."""
    scripts = sorted(BENCHMARKS.glob("*.py"))
    return next(path.name for path in scripts if f"results/{result.name}" in path.read_text(encoding="utf-8"))
