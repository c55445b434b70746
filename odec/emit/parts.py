"""A Python module's text taken apart: its statements, what each binds and uses, and what its imports stand for."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from sys import stdlib_module_names
from textwrap import indent

from odec.emit.scopes import Use, bound, uses

PACKAGE = "odec"
# The module of things that other libraries give; their names are those of the library, `typing:Any` or `numpy:`.
FOREIGN = "foreign"


@dataclass(frozen=True)
class Thing:
    """What a name stands for: `name` of `module`, or the module itself where `name` is ""."""

    module: str
    name: str = ""


@dataclass(frozen=True, eq=False)
class Choice:
    """`import_module(f"odec.….loops_{which}")`: one of several modules, by what `which` is when it runs."""

    node: ast.Call
    which: str
    modules: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement at the top of a module: the names that it binds, what it uses, the choices of modules in it, and its
    lines (from 1, both included) with the comments and blank lines in front of it."""

    node: ast.stmt
    names: frozenset[str]
    uses: tuple[Use, ...]
    choices: tuple[Choice, ...]
    first: int
    last: int


@dataclass(frozen=True)
class Module:
    """A module's text, and what is in it."""

    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text)

    @cached_property
    def lines(self) -> list[str]:
        """The lines, each with its end."""
        return self.text.splitlines(keepends=True)

    @cached_property
    def inside(self) -> dict[str, Thing]:
        """What the names that are imported from odec stand for, wherever in the module the import is."""
        found: dict[str, Thing] = {}
        for node in ast.walk(self.tree):
            if is_ours(node):
                for name, thing in _imported(node):
                    assert found.setdefault(name, thing) == thing, f"{name} is two things in {self.name}"
        return found

    @cached_property
    def foreign(self) -> dict[str, Thing]:
        """What the names stand for that the head of the module imports from elsewhere."""
        found = {}
        for node in self._head:
            if isinstance(node, (ast.Import, ast.ImportFrom)) and not is_ours(node):
                for alias in node.names:
                    parts = (node.module, alias.name) if isinstance(node, ast.ImportFrom) else (alias.name, "")
                    found[alias.asname or alias.name] = Thing(FOREIGN, ":".join(map(str, parts)))
        return found

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """The modules of odec that are imported when this one is."""
        ours = [node for node in self.tree.body if is_ours(node)]
        return tuple(dict.fromkeys(thing.module for node in ours for _, thing in _imported(node)))

    @cached_property
    def statements(self) -> list[Statement]:
        """All but the docstring, imports and what is for type checkers alone."""
        imported, last = frozenset(self.inside), 0
        found = []
        for node in self.tree.body:
            first, last = last + 1, node.end_lineno or node.lineno
            if node not in self._head and not is_ours(node) and "TYPE_CHECKING" not in _condition(node):
                names = bound([node], imported)
                choices = tuple(_choices(node))
                spared = {choice.node.func for choice in choices}
                used = tuple(use for use in uses(node, imported) if use.node not in spared)
                if names != {"__all__"}:
                    found.append(Statement(node, names, used, choices, first, last))
        return found

    @cached_property
    def places(self) -> Mapping[str, list[Statement]]:
        """The statements that bind each name."""
        found: dict[str, list[Statement]] = defaultdict(list)
        for statement in self.statements:
            for name in sorted(statement.names):
                found[name].append(statement)
        return dict(found)

    @cached_property
    def _head(self) -> list[ast.stmt]:
        """The docstring and the imports behind it."""
        found = []
        for node in self.tree.body:
            is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if not is_text and not isinstance(node, (ast.Import, ast.ImportFrom)):
                break
            found.append(node)
        return found


@cache
def library(name: str) -> Module:
    """The text of a module of odec."""
    found = files(PACKAGE).joinpath(*name.split(".")[1:])
    file = found.joinpath("__init__.py") if found.is_dir() else found.parent.joinpath(f"{found.name}.py")  # type: ignore
    return Module(name, file.read_text(encoding="utf-8"))


def is_ours(node: ast.AST) -> bool:
    """Whether it imports from odec."""
    return isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == PACKAGE


def import_lines(names: Mapping[Thing, str]) -> list[str]:
    """The lines that import foreign things under their names, Python's own first."""
    parts: dict[str, list[str]] = defaultdict(list)
    for thing, name in names.items():
        module, _, item = thing.name.partition(":")
        as_name = f" as {name}" if name != (item or module) else ""
        line = f"from {module} import " if item else f"import {module}{as_name}"
        parts[line] += [f"{item}{as_name}"] if item else []
    lines = [line + ", ".join(sorted(items)) for line, items in parts.items()]
    return sorted(
        lines, key=lambda line: (line.split()[1].split(".")[0] not in stdlib_module_names, line[0] == "f", line)
    )


def rewritten(
    module: Module,
    statement: Statement,
    names: Mapping[ast.Name, str],
    own: Mapping[str, str],
    chosen: Mapping[Choice, str],
) -> str:
    """The statement's text with other names: `names` for uses, `own` for what it binds, `chosen` for choices of a
    module; without imports from odec."""
    first = statement.first
    lines = [line.encode() for line in module.lines[first - 1 : statement.last]]
    edits: list[tuple[int, int, int, str]] = []
    for place, text in [*names.items(), *((choice.node, text) for choice, text in chosen.items())]:
        assert place.lineno == place.end_lineno and place.end_col_offset is not None
        edits.append((place.lineno, place.col_offset, place.end_col_offset, text))
    node = statement.node
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in own:
        keyword = b"def " if isinstance(node, ast.FunctionDef) else b"class "
        start = lines[node.lineno - first].index(keyword) + len(keyword)
        edits.append((node.lineno, start, start + len(node.name.encode()), own[node.name]))
    # From behind, so that the places in front stay.
    for number, start, stop, text in sorted(edits, reverse=True):
        line = lines[number - first]
        lines[number - first] = line[:start] + text.encode() + line[stop:]
    ours = [found for found in ast.walk(node) if isinstance(found, ast.ImportFrom) and is_ours(found)]
    gone = {number for found in ours for number in range(found.lineno, (found.end_lineno or found.lineno) + 1)}
    return b"".join(line for number, line in enumerate(lines, first) if number not in gone).decode()


def as_function(module: Module, name: str, imports: Iterable[str], statements: str, namespace: str) -> str:
    """A whole module as a function `name` that gives its namespace: its imports run when it is called."""
    docstring = f'"""{ast.get_docstring(module.tree)}\n"""\n\n'
    lines = "".join(f"{line}\n" for line in imports)
    body = indent(f"{docstring}{lines}\n{statements}\nreturn {namespace}(**locals())\n", "    ")
    return f"def {name}():\n{body}"


def _choices(statement: ast.stmt) -> Iterator[Choice]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "import_module":
            path, which = node.args[0].values  # type: ignore[attr-defined]
            prefix = path.value
            folder, _, start = prefix.rpartition(".")
            found = files(PACKAGE).joinpath(*folder.split(".")[1:]).iterdir()
            ends = sorted(file.name[len(start) : -3] for file in found if file.name.startswith(start))
            yield Choice(node, ast.unparse(which.value), tuple((end, prefix + end) for end in ends))


def _imported(node: ast.AST) -> Iterator[tuple[str, Thing]]:
    assert isinstance(node, ast.ImportFrom) and node.module is not None
    for alias in node.names:
        path = f"{node.module}.{alias.name}"
        yield alias.asname or alias.name, Thing(path) if _is_module(path) else Thing(node.module, alias.name)


def _is_module(path: str) -> bool:
    found = files(PACKAGE).joinpath(*path.split(".")[1:])
    return found.is_dir() or found.parent.joinpath(f"{found.name}.py").is_file()  # type: ignore[attr-defined]


def _condition(node: ast.stmt) -> str:
    return ast.unparse(node.test) if isinstance(node, ast.If) else ""
