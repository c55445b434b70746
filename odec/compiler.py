"""The whole compiler on one screen: text → tree → checks → model → passes → derivatives → text of a Keras layer."""

from __future__ import annotations

import keyword
import re
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from odec.diagnostics import Diagnostic
from odec.emit.latex import latex_text
from odec.emit.listing import listing
from odec.emit.module import module_text
from odec.emit.standalone import standalone_text
from odec.files import write_text
from odec.model.build import build
from odec.model.model import Model
from odec.passes import MODEL_PASSES
from odec.passes.branches import guard_branches
from odec.passes.derivatives import derivatives
from odec.passes.guard import unguarded
from odec.passes.nets import written_out
from odec.source import Source
from odec.syntax.parser import parse

# What `odec show --after` knows.
PASSES = ("build", *(name for name, _ in MODEL_PASSES), "derivatives")


@dataclass(frozen=True)
class Compiled:
    """A generated module's text, the name of its class, the model it came from, and warnings."""

    text: str
    name: str
    model: Model
    warnings: tuple[Diagnostic, ...]


# Brackets may be nested 500 deep; a walk over the tree takes a few frames for each level.
_RECURSION = 20_000


def check(source: Source) -> tuple[Model, tuple[Diagnostic, ...]]:
    """The model as it was written, and warnings. Raises OdecError with every error of the first stage
    that finds one."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _RECURSION))
    try:
        return build(source, parse(source))
    finally:
        sys.setrecursionlimit(limit)


def compile_source(source: Source, name: str | None = None, without: tuple[str, ...] = ()) -> Compiled:
    """The module for a source. `without` names passes to leave out. Raises OdecError."""
    model, warnings = check(source)
    model = after_passes(model, without=without)
    name = class_name(name or source.name)
    written = written_out(model)
    found = derivatives(written)
    written = written if "branches" in without else guard_branches(written)
    return Compiled(module_text(written, found, name), name, model, (*warnings, *unguarded(model)))


def compile_file(
    path: str | Path, output: str | Path | None = None, name: str | None = None, standalone: bool = False
) -> Path:
    """Compile a model file into `output` (beside the model, with the ending .py, where not said), whole or not at all.

    A `standalone` module holds what it needs of the runtime: it runs where odec is not installed. Returns the path of
    the module. Raises OdecError.
    """
    path = Path(path)
    output = Path(output) if output is not None else path.with_suffix(".py")
    text = compile_source(Source.from_file(path), name).text
    write_text(output, standalone_text(text) if standalone else text)
    return output


def show(source: Source, after: str | None = None, latex: bool = False) -> str:
    """The equations after a pass (after the last where None), as text or LaTeX.

    Raises OdecError; KeyError for a pass that there is not.
    """
    if after is not None and after not in PASSES:
        raise KeyError(after)
    model, _ = check(source)
    if latex:
        return latex_text(model)
    model = after_passes(model, until=after)
    return listing(model, derivatives(written_out(model)) if after in (None, "derivatives") else None)


def after_passes(model: Model, until: str | None = None, without: tuple[str, ...] = ()) -> Model:
    """The model after the passes up to and with `until`."""
    for name, change in MODEL_PASSES:
        if until == "build":
            break
        if name not in without:
            model = change(model)
        if name == until:
            break
    return model


def class_name(text: str) -> str:
    """A class name from a file's name: `two_species.ode` → `TwoSpecies`; `model.ode` is called after its folder.

    >>> class_name("examples/competition/model.ode")
    'Competition'
    """
    path = Path(text)
    stem = path.stem
    if stem == "model" and path.name != text:
        stem = path.resolve().parent.name
    elif stem == "model" and path.exists():
        stem = Path.cwd().name
    # Python reads names in this form.
    stem = unicodedata.normalize("NFKC", stem)
    name = "".join(part[:1].upper() + part[1:] for part in re.split(r"[\W_]+", stem) if part)
    if not name.isidentifier() or keyword.iskeyword(name):
        name = f"Model{name}" if f"Model{name}".isidentifier() else "Model"
    return name
