"""Which names in a Python text mean something of its module, and which something that a function around them binds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
OWN_SCOPE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


@dataclass(frozen=True)
class Use:
    """A name of the module, where it is read: `attribute` is what follows behind its dot, "" where nothing does;
    `inside` are the names that the functions around it bind; `is_hint` where it only says a type."""

    node: ast.Name
    attribute: str
    inside: frozenset[str]
    is_hint: bool

    @property
    def name(self) -> str:
        """The name."""
        return self.node.id


def uses(statement: ast.stmt, imported: frozenset[str]) -> Iterator[Use]:
    """The names of the module in one of its statements. `imported` are names of the module wherever an import binds
    them, in a function too."""
    yield from _Walk(imported).visit(statement, frozenset(), frozenset(), False)


def bound(statements: list[ast.stmt], imported: frozenset[str] = frozenset()) -> frozenset[str]:
    """The names that these statements bind in their own scope; those that only an import of `imported` binds are not
    among them."""
    names: set[str] = set()
    for statement in statements:
        for node in _own(statement):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                names.add(node.id)
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                names.add(node.name)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                found = {alias.asname or alias.name.split(".")[0] for alias in node.names}
                names |= found - imported
            elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
                names.add(node.name)
    return frozenset(names)


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement that lie in its own scope, nested functions and classes as names alone."""
    yield node
    if isinstance(node, OWN_SCOPE):
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(node, Comprehension) and isinstance(child, ast.comprehension):
            # Its targets are its own; what `:=` binds in it is not.
            yield from (inner for inner in _own(child) if not _is_target(inner, child))
        else:
            yield from _own(child)


def _is_target(node: ast.AST, comprehension: ast.comprehension) -> bool:
    return any(node is target for target in ast.walk(comprehension.target))


class _Walk:
    """`visit(node, functions, block, is_hint)`: `functions` are the names that functions around the node bind, `block`
    those of a class body directly around it, which the methods inside do not see."""

    def __init__(self, imported: frozenset[str]) -> None:
        self.imported = imported

    def visit(
        self, node: ast.AST, functions: frozenset[str], block: frozenset[str], is_hint: bool, attribute: str = ""
    ) -> Iterator[Use]:
        if isinstance(node, ast.Name):
            if node.id not in functions and node.id not in block:
                yield Use(node, attribute, functions | block, is_hint)
        elif isinstance(node, ast.Attribute):
            yield from self.visit(node.value, functions, block, is_hint, node.attr)
        elif isinstance(node, Function):
            yield from self._function(node, functions, block)
        elif isinstance(node, ast.ClassDef):
            for part in (*node.decorator_list, *node.bases, *node.keywords):
                yield from self.visit(part, functions, block, is_hint)
            names = bound(node.body, self.imported)
            for part in node.body:
                yield from self.visit(part, functions, names, is_hint)
        elif isinstance(node, Comprehension):
            every = (inner for part in node.generators for inner in ast.walk(part.target))
            targets = {inner.id for inner in every if isinstance(inner, ast.Name)}
            for child in ast.iter_child_nodes(node):
                yield from self.visit(child, functions | targets, block, is_hint)
        else:
            for field, value in ast.iter_fields(node):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        hint = is_hint or field in ("annotation", "returns")
                        yield from self.visit(child, functions, block, hint)

    def _function(self, node: Function, functions: frozenset[str], block: frozenset[str]) -> Iterator[Use]:
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        named = [argument for argument in every if argument is not None]
        # Decorators, defaults and types are read outside.
        outside: list[ast.expr] = [default for default in (*arguments.defaults, *arguments.kw_defaults) if default]
        hints = [argument.annotation for argument in named]
        names = frozenset(argument.arg for argument in named)
        if isinstance(node, ast.Lambda):
            body: list[ast.AST] = [node.body]
        else:
            body, names = [*node.body], names | bound(node.body, self.imported)
            outside += node.decorator_list
            hints.append(node.returns)
        for part in outside:
            yield from self.visit(part, functions, block, False)
        for hint in filter(None, hints):
            yield from self.visit(hint, functions, block, True)
        for inner in body:
            yield from self.visit(inner, functions | names, frozenset(), False)
