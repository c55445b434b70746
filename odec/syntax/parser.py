"""Text to tree: every statement is parsed by itself, and every syntax error of the file is reported at once."""

from __future__ import annotations

import functools
import threading

from odec.diagnostics import Diagnostic, OdecError, Span
from odec.source import Source
from odec.syntax import tree
from odec.syntax.builder import Builder
from odec.syntax.grammar import StatementParser
from odec.syntax.mistakes import explain_mistake
from odec.syntax.scanner import DEEPEST, scan, too_deep


def parse(source: Source) -> tree.File:
    """The tree of a file. Raises OdecError with every syntax error in it.

    >>> parse(Source.from_text("x' = -x")).statements[0].target.name
    'x'
    """
    with _ONE_AT_A_TIME:
        return _parse(source, *_statement_parser())


# Making the tables takes longer than parsing a model: they are made once in a process, and hold one file at a time.
_ONE_AT_A_TIME = threading.Lock()


@functools.cache
def _statement_parser() -> tuple[Builder, StatementParser]:
    builder = Builder()
    return builder, StatementParser(builder)


def _parse(source: Source, builder: Builder, parser: StatementParser) -> tree.File:
    scanned = scan(source)
    builder.open(source)
    statements: list[tree.AnyStatement] = []
    for piece in scanned.pieces:
        if piece.fault is not None:
            builder.diagnostics.append(piece.fault)
            continue
        builder.begin(piece.span, piece.comment)
        before = len(builder.diagnostics)
        result, place = parser.parse(scanned.plain, piece.span.start, piece.span.stop)
        if place is not None:
            del builder.diagnostics[before:]
            builder.diagnostics.append(explain_mistake(source, scanned.plain, piece.span, place))
            continue
        made = result if isinstance(result, tuple) else (result,)
        if piece.span.stop - piece.span.start > DEEPEST and any(_depth(statement) > DEEPEST for statement in made):
            builder.diagnostics.append(too_deep(source, piece.span))
        statements.extend(made)
    if builder.diagnostics:
        raise OdecError(_without_consequences(builder))
    return tree.File(scanned.description, tuple(statements))


def _without_consequences(builder: Builder) -> list[Diagnostic]:
    """The errors without those that only use a name whose definition is an error already."""
    source = builder.source

    def follows(diagnostic: Diagnostic) -> bool:
        span = diagnostic.span or Span(0, 0)
        return diagnostic.code == "E0210" and source.excerpt(span) in builder.reserved_definitions

    return [diagnostic for diagnostic in builder.diagnostics if not follows(diagnostic)]


def _depth(statement: tree.Node) -> int:
    """How deep nodes are nested in nodes, counted without recursion."""
    deepest = 0
    waiting: list[tuple[object, int]] = [(statement, 0)]
    while waiting:
        item, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(item, tuple):
            waiting.extend((part, depth) for part in item)
        elif isinstance(item, tree.Node):
            waiting.extend((getattr(item, name), depth + 1) for name in item.__match_args__)
    return deepest
