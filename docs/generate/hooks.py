"""What MkDocs calls: puts generated text in the place of lines like `{{ functions }}`, and pictures into the site."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

# TensorFlow, which the table of methods imports, would write of itself.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import commands
import language
import measured
import methods
import notebook
import samples
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]

# The word in `{{ word argument }}` → what writes its text.
TEXTS: dict[str, Callable[..., str]] = {
    "changes": lambda: re.sub(r"\A# .*\n", "", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")),
    "codes": language.codes,
    "commands": commands.commands,
    "distributions": language.distributions,
    "equations": samples.equations,
    "examples": samples.examples,
    "file": samples.file,
    "functions": language.functions,
    "grammar": language.grammar,
    "initializers": language.initializers,
    "measured": measured.measured,
    "methods": methods.methods,
    "mistakes": language.mistakes,
    "notebook": notebook.pages,
    "reserved": language.reserved,
}


def on_files(files: Files, config: object) -> Files:
    """The pictures of the examples and of the notebook."""
    pictures = {**samples.pictures(), **notebook.pictures()}
    for path, content in pictures.items():
        files.append(File.generated(config, path, content=content))  # type: ignore[arg-type]
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """The page with what is generated in it."""
    return re.sub(r"^\{\{ (\w+)(?: (\S+))? \}\}$", _text, markdown, flags=re.MULTILINE)


def _text(match: re.Match[str]) -> str:
    word, argument = match.groups()
    return TEXTS[word](argument) if argument else TEXTS[word]()
