"""The examples: their files, equations and pictures."""

from __future__ import annotations

import re
from pathlib import Path

from latex2mathml.converter import convert
from tables import block

from odec.compiler import show
from odec.source import Source

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def file(path: str) -> str:
    """A file of the repository as a block of code."""
    return block((ROOT / path).read_text(encoding="utf-8"), {".py": "python"}.get(Path(path).suffix, "text"))


def equations(path: str) -> str:
    """The equations of a model file, as MathML."""
    return formula(show(Source.from_file(ROOT / path), latex=True))


def formula(latex: str) -> str:
    """A formula as MathML, which browsers draw without any script."""
    return convert(" ".join(latex.replace("{aligned}", "{align*}").split()), display="block")


def examples() -> str:
    """A section for each example: what its README says first, its models and its pictures."""
    parts = []
    for folder in sorted(path.parent for path in EXAMPLES.glob("*/README.md")):
        title, text = _opening(folder / "README.md")
        parts.append(f"## {title}\n\n{text}\n")
        for model in sorted(folder.glob("*.ode"))[:1]:
            parts.append(file(str(model.relative_to(ROOT))))
        parts += [f"![{title}](pictures/{folder.name}-{picture.name})\n" for picture in sorted(folder.glob("*.png"))]
    return "\n".join(parts)


def pictures() -> dict[str, bytes]:
    """The pictures of the examples by their paths in the site."""
    found = sorted(EXAMPLES.glob("*/*.png"))
    return {f"pictures/{picture.parent.name}-{picture.name}": picture.read_bytes() for picture in found}


def _opening(readme: Path) -> tuple[str, str]:
    """The title and the first paragraph, links as their words."""
    title, text = readme.read_text(encoding="utf-8").split("\n", 1)
    paragraph = text.strip().split("\n\n")[0]
    return title.removeprefix("# "), re.sub(r"\[([^\]]*)\]\([^)]*\)", r"`\1`", paragraph)
