"""The text of the generated module: a class of names, numbers and equations, for a reader as much as for Python."""

from __future__ import annotations

from odec import __version__
from odec.emit.description import description_lines, description_names, file_name
from odec.emit.functions import Functions
from odec.emit.python import WIDTH, one_line
from odec.model.model import Model, Net, Shaped
from odec.passes.derivatives import Derivatives

# What the generated module asks of `odec.runtime`; raised where an older runtime could not run it.
RUNTIME_VERSION = 1


def module_text(model: Model, derivatives: Derivatives, name: str) -> str:
    """The module for a model, its class called `name`. The same model gives the same text, always."""
    outputs = _outputs(model)
    functions = Functions(model, derivatives, [output for output, _, _ in outputs])
    bodies = functions.all()
    imports = {"Layer", "register", "require", *description_names(model, outputs), *functions.used}
    head = [
        f'"""{_title(model) or name}',
        "",
        f"Written by odec {__version__} from {_docstring(one_line(file_name(model)))}.",
        "Change that file and compile it again.",
        '"""',
        "",
        *_import("odec.runtime", sorted(imports, key=lambda item: (item[0].islower(), item))),
        "",
        f"require({RUNTIME_VERSION})",
        "",
        "",
        "@register",
        f"class {name}(Layer):",
        *_class_docstring(model),
        "",
        *description_lines(model, name, outputs),
    ]
    return "\n\n".join("\n".join(part) for part in [head, *bodies]) + "\n"


def _outputs(model: Model) -> list[tuple[str, str, str]]:
    """(name, kind, description): what is observed first, in the order of the text; a state is no output of its own."""
    observed = dict.fromkeys(observe.name for observe in model.observes)
    known = {definition.name: definition for definition in model.intermediates}
    descriptions = {observe.name: observe.description for observe in model.observes}
    rows = [(n, "observe", descriptions[n] or known[n].description) for n in observed if n in known]
    return rows + [(d.name, "intermediate", d.description) for d in model.intermediates if d.name not in observed]


def _title(model: Model) -> str:
    return _docstring(one_line(model.description.splitlines()[0])) if model.description else ""


def _class_docstring(model: Model) -> list[str]:
    lines = [f'    """{_title(model) or "A system of equations."}']
    lines += [f"    {_docstring(one_line(line))}".rstrip() for line in model.description.splitlines()[1:]]
    groups: dict[str, tuple[Shaped | Net, ...]]
    groups = {"States": model.states, "Params": model.own_params, "Consts": model.consts, "Inputs": model.inputs}
    groups |= {"Nets": model.nets}
    for title, items in groups.items():
        if items:
            described = (f"{i.name} ({one_line(i.description)})" if i.description else i.name for i in items)
            lines += ["", *_filled(f"{title}: {', '.join(described)}.", 4)]
    return [*lines, '    """']


def _import(module: str, names: list[str]) -> list[str]:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return [line]
    return [f"from {module} import (", *(f"    {name}," for name in names), ")"]


def _filled(text: str, indent: int) -> list[str]:
    lines, line = [], ""
    for word in _docstring(text).split(" "):
        if line and indent + len(line) + 1 + len(word) > WIDTH:
            lines.append(" " * indent + line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, " " * indent + line]


def _docstring(text: str) -> str:
    """Text that cannot end a docstring nor be an escape in it."""
    return text.replace("\\", "\\\\").replace('"', "'" if text.endswith('"') or '"""' in text else '"')
