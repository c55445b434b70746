"""A generated module with what it needs of the runtime in front: one file that needs Keras, and no odec.

The runtime's text is read, not imported. What the model's text uses is followed, by name, through the files of the
runtime, and only those statements are written, each file's in a section of its own, nothing before what it uses. The
text stays as it is, except that imports between the files are gone, and that a name which two files give to different
things gets its file's name in front.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from odec import __version__
from odec.diagnostics import OdecError
from odec.emit.parts import FOREIGN, Choice, Module, Statement, Thing, as_function, import_lines, library, rewritten

MODEL = ""
RUNTIME = "odec.runtime"
ANY = Thing(FOREIGN, "typing:Any")
NAMESPACE = Thing(FOREIGN, "types:SimpleNamespace")

NOTICE = f"""\
This file holds the model, at its end, and what it needs of the runtime of odec {__version__}. It needs Keras with a
back end, and no odec. The runtime is Copyright (c) 2026 The odec developers, under the MIT licence: permission is
granted, free of charge, to any person obtaining a copy of it, to deal in it without restriction, including the rights
to use, copy, modify, merge, publish, distribute, sublicense and sell copies, subject to this notice being included in
all copies or substantial portions. It is provided "as is", without warranty of any kind.
"""


def standalone_text(module: str) -> str:
    """The generated module's text as a file that imports nothing of odec. Raises OdecError for a class that is called
    like something it needs."""
    bundle = _Bundle(module)
    model = bundle.module(MODEL)
    for name in set(model.places) & set(model.inside):
        raise OdecError.of(
            "E0701", f"a class called `{name}` would hide the runtime's in a file of its own", "choose another `--name`"
        )
    foreign = {thing: bundle.names[thing] for thing in bundle.things if thing.module == FOREIGN}
    hints = [f"{name} = {bundle.names[ANY]}  # a type that only hints mention\n" for name in sorted(bundle.hints)]
    parts = [
        "".join(model.lines[: model.tree.body[0].end_lineno]) + "\n" + _comment(NOTICE),
        "\n".join(["from __future__ import annotations", "", *import_lines(foreign)]),
        "".join(hints),
        *(_section(bundle, name) for name in bundle.order),
        f"{_title('The model')}\n\n\n{_statements(bundle, MODEL)}",
    ]
    return "\n\n".join(part.strip("\n") + "\n" for part in parts if part)


class _Bundle:
    """What a model needs: statements of each module, the things that they use, and the modules that are used as such
    (`loops.trajectory`), with what is asked of them."""

    def __init__(self, text: str) -> None:
        self.modules = {MODEL: Module(MODEL, text)}
        self.kept: dict[str, set[Statement]] = defaultdict(set)
        self.asked: dict[str, set[str]] = defaultdict(set)
        # Each thing with the name that it is first used by, and the names that functions bind around a use of it.
        self.things: dict[Thing, str] = {ANY: "Any", NAMESPACE: "SimpleNamespace"}
        self.around: dict[Thing, set[str]] = defaultdict(set)
        self.hints: set[str] = set()
        # Modules of which one is chosen when the file runs, with their imports: functions, so that only one's are run.
        self.late: dict[str, dict[Thing, str]] = {}
        waiting = [(MODEL, statement) for statement in self.modules[MODEL].statements]
        mentioned: dict[Thing, str] = {}
        while waiting:
            waiting += self._keep(*waiting.pop(), mentioned)
        for thing, name in mentioned.items():
            if thing.module == FOREIGN and not any(thing in imports for imports in self.late.values()):
                self.things.setdefault(thing, name)
            elif thing.module != FOREIGN and not any(s in self.kept[thing.module] for _, s in self._places(thing)):
                self.hints.add(name)

    def module(self, name: str) -> Module:
        """The module, read where it is new."""
        if name not in self.modules:
            self.modules[name] = library(name)
        return self.modules[name]

    def target(self, module: str, name: str) -> Thing | None:
        """What a name in a module stands for, followed through modules that only pass it on; None for a builtin."""
        text = self.module(module)
        while name not in text.places and name in text.inside:
            thing = text.inside[name]
            if not thing.name:
                return thing
            text, name = self.module(thing.module), thing.name
        return Thing(text.name, name) if name in text.places else text.foreign.get(name)

    def statements(self, module: str) -> list[Statement]:
        """What is kept of a module, in the order of its text."""
        return [statement for statement in self.module(module).statements if statement in self.kept[module]]

    def _keep(self, module: str, statement: Statement, mentioned: dict[Thing, str]) -> Iterator[tuple[str, Statement]]:
        """The statement; what it uses is to be kept too. Types outside the runtime that hints name are `mentioned`."""
        if statement in self.kept[module]:
            return
        if not self.kept[module]:
            # What a module does when it is imported belongs to it, whatever is used of it.
            yield from ((module, other) for other in self.module(module).statements if not other.names)
        self.kept[module].add(statement)
        for choice in statement.choices:
            for _, other in choice.modules:
                self.late[other] = {}
                self.things[Thing(other)] = other.rsplit(".", 1)[-1]
                yield from ((other, item) for item in self.module(other).statements)
        for use in statement.uses:
            thing = self.target(module, use.name)
            if thing is None or (module in self.late and thing.module == module):
                continue
            is_late = module in self.late and thing.module == FOREIGN
            if is_late and not use.is_hint:
                self.late[module][thing] = use.name
                continue
            if use.is_hint and (is_late or not thing.module.startswith((RUNTIME, FOREIGN, module))):
                mentioned[thing] = use.name
                continue
            self.things.setdefault(thing, thing.name if thing.name and thing.module != FOREIGN else use.name)
            self.around[thing] |= use.inside
            if thing.module != FOREIGN:
                yield from self._places(thing, use.attribute)

    def _places(self, thing: Thing, attribute: str = "") -> Iterator[tuple[str, Statement]]:
        """Where the thing is bound; of a module, the attribute that is asked of it, or all that it gives."""
        found = [thing]
        if not thing.name:
            module = self.module(thing.module)
            names = [attribute] if attribute else [name for name in module.places if not name.startswith("_")]
            self.asked[thing.module].update(names)
            found = [item for name in names if (item := self.target(thing.module, name))]
        for item in found:
            yield from ((item.module, statement) for statement in self.module(item.module).places[item.name])

    @cached_property
    def order(self) -> list[str]:
        """The modules of which something is kept, each behind those that it needs when it is imported."""
        found: dict[str, None] = {}

        def visit(name: str) -> None:
            if name not in found:
                found[name] = None
                choices = (choice for statement in self.kept[name] for choice in statement.choices)
                late = [other for choice in choices for _, other in choice.modules]
                for other in [*self.module(name).needs, *sorted(late)]:
                    visit(other)
                found[name] = found.pop(name)

        for name in list(self.modules):
            visit(name)
        return [name for name in found if self.kept[name] and name != MODEL]

    @cached_property
    def names(self) -> dict[Thing, str]:
        """How each thing is called: as it was, where nothing else is called so and no function hides it."""
        words = {word for module in self.modules.values() for word in re.findall(r"\w+", module.text)}
        taken = set(dir(builtins)) | self.hints
        names: dict[Thing, str] = {}
        for thing in self._by_rank():
            name, module = self.things.get(thing, thing.name), thing.module.rsplit(".", 1)[-1]
            if thing.module != MODEL and (name in taken or name in self.around[thing]):
                name = f"{module}_{name.lstrip('_')}"
                name += "_" * (name in words or name in taken)
            taken.add(name)
            names[thing] = name
        return names | {thing: names[first] for thing, first in self.twins.items()}

    def _by_rank(self) -> list[Thing]:
        """The things, those first that should keep their names."""
        model = self.module(MODEL)
        imported = [self.target(MODEL, name) for name in model.inside]
        foreign = [thing for thing in self.things if thing.module == FOREIGN]
        written = [
            Thing(module, name)
            for module in self.order
            if module not in self.late
            for statement in self.statements(module)
            for name in sorted(statement.names)
        ]
        every = [*(Thing(MODEL, name) for name in model.places), *filter(None, imported), *foreign, *written]
        return [thing for thing in dict.fromkeys([*every, *self.things]) if thing not in self.twins]

    @cached_property
    def twins(self) -> dict[Thing, Thing]:
        """Things that an earlier file has already in the same words, such as `Tensor = Any`."""
        first: dict[str, Thing] = {}
        twins: dict[Thing, Thing] = {}
        for module in self.order:
            for statement in self.statements(module) if module not in self.late else ():
                if isinstance(statement.node, ast.Assign) and len(statement.names) == 1:
                    (name,) = statement.names
                    meanings = [self.target(module, use.name) for use in statement.uses if use.name != name]
                    meanings = [twins.get(thing, thing) for thing in meanings if thing is not None]
                    key = f"{ast.unparse(statement.node)} {meanings}"
                    if first.setdefault(key, Thing(module, name)) != Thing(module, name):
                        twins[Thing(module, name)] = first[key]
        return twins


def _section(bundle: _Bundle, name: str) -> str:
    """What is kept of a module, under its name and its docstring, and the module as a namespace where it is used so."""
    module, namespace = bundle.module(name), bundle.names[NAMESPACE]
    if name in bundle.late:
        imports = import_lines(bundle.late[name])
        body = _statements(bundle, name)
        return f"{_title(name)}\n\n{as_function(module, bundle.names[Thing(name)], imports, body, namespace)}"
    text = _title(name) + "#\n" + _comment(ast.get_docstring(module.tree) or "") + "\n\n" + _statements(bundle, name)
    if name in bundle.asked:
        asked = ((item, bundle.target(name, item)) for item in sorted(bundle.asked[name]))
        items = (f"    {item}={bundle.names[thing]},\n" for item, thing in asked if thing)
        text += f"\n\n{bundle.names[Thing(name)]} = {namespace}(\n{''.join(items)})\n"
    return text


def _statements(bundle: _Bundle, name: str) -> str:
    module, texts = bundle.module(name), []
    for statement in bundle.statements(name):
        own = {one: Thing(name, one) for one in statement.names}
        if any(thing in bundle.twins for thing in own.values()):
            continue
        renamed = {}
        for use in statement.uses:
            thing = bundle.target(name, use.name)
            own_import = thing in bundle.late.get(name, ())
            if thing in bundle.names and bundle.names[thing] != use.name and not own_import:
                renamed[use.node] = bundle.names[thing]
        called = {one: bundle.names.get(thing, one) for one, thing in own.items()}
        chosen = {choice: _choice(bundle, choice) for choice in statement.choices}
        texts.append(rewritten(module, statement, renamed, called, chosen))
    return "".join(texts).strip("\n") + "\n"


def _choice(bundle: _Bundle, choice: Choice) -> str:
    items = (f'"{key}": {bundle.names[Thing(module)]}' for key, module in choice.modules)
    return f"{{{', '.join(items)}}}[{choice.which}]()"


def _title(text: str) -> str:
    return f"# ---- {text} ".ljust(100, "-") + "\n"


def _comment(text: str) -> str:
    return "".join(f"# {line}".rstrip() + "\n" for line in text.splitlines())
