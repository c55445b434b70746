"""What must hold of a file before it has a meaning: every name is known, calls fit, nothing goes in circles.

All on the tree, which has places; one fault is said once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from odec.diagnostics import Diagnostic, nearest
from odec.distributions import INITIALIZERS
from odec.functions import FUNCTIONS, RESERVED_NAMES, SPECIAL_FUNCTIONS
from odec.model import elsewhere
from odec.model.names import Named, Names
from odec.model.nets import faults_of_nets
from odec.model.walk import expressions_of, names_in, nodes
from odec.syntax import tree

_BUILT_IN = (*FUNCTIONS, *SPECIAL_FUNCTIONS)
_LITERALS = ("t", "pi", "inf")
_MOVING = ("state", "input")
_MADE = ("intermediate", "observe", "function")
# What is followed by its arguments.
_CALLED = ("function", "net")
_NOT_CONST = ("state", "input", "param", "intermediate", "observe", "data", "net")
_ARTICLES = {"input": "an input", "intermediate": "an intermediate", "observe": "an observe"}


def _called_cure(name: str, node: tree.Call) -> str:
    """What `x(t)`, `x(t - tau)`, `x(1 + y)` should have been."""
    if len(node.arguments) == 1:
        argument = node.arguments[0]
        if isinstance(argument, tree.Name) and str(argument) == "t":
            return f"write `{name}` alone: what moves in time is written without `(t)`"
        if any(str(part) == "t" for part in names_in(argument)):
            return f"for a product write `{name}*(…)`; a value at another time (a delay) is not in the language"
    return f"for a product write `{name}*(…)`"


def a_kind(kind: str) -> str:
    """ "a state", "an input"."""
    return _ARTICLES.get(kind, f"a {kind}")


def check(names: Names) -> list[Diagnostic]:
    """Every fault of the file that is not one of naming."""
    checker = _Checker(names)
    for statement in names.file.statements:
        checker.statement(statement)
    return [*checker.errors, *faults_of_nets(names), *_loops(names)]


class _Checker:
    def __init__(self, names: Names) -> None:
        self.names = names
        self.source = names.source
        self.errors: list[Diagnostic] = []
        self.unknown: set[str] = set(names.unclear)

    def report(self, code: str, message: str, node: tree.Node, help: str = "") -> None:
        self.errors.append(self.source.error(code, message, node.span, help))

    def statement(self, statement: tree.AnyStatement) -> None:
        own = frozenset(p.name for p in statement.parameters) if isinstance(statement, tree.Function) else frozenset()
        before = len(self.errors)
        for expression in expressions_of(statement):
            skipped = self._initializer(statement, expression)
            for node in nodes(expression):
                if isinstance(node, tree.Name) and node.name not in own:
                    self.name(node)
                elif isinstance(node, tree.Call) and node is not skipped:
                    self.call(node)
        if len(self.errors) == before:
            _Kinds(self).statement(statement)
            self._reach(statement)
        self._targets(statement)
        self._data(statement)

    def _data(self, statement: tree.AnyStatement) -> None:
        """A number that stands beside a datum exists only where data are compared."""
        for expression in expressions_of(statement):
            allowed: set[int] = set()
            if isinstance(statement, tree.Observe) and isinstance(expression, tree.Distribution):
                allowed = {id(name) for argument in expression.arguments[1:] for name in names_in(argument)}
            for node in names_in(expression):
                if self.names.kind(node.name) == "data" and id(node) not in allowed:
                    self.report(
                        "E0406",
                        f"`{node.name}` stands in the data, and is known only in the noise of an `observe`",
                        node,
                        help=f"use it as in `observe y ~ normal(x, {node.name})`",
                    )

    def _initializer(self, statement: tree.AnyStatement, expression: tree.Node) -> tree.Node | None:
        """`param W[U, D] = glorot_normal()` names a Keras initializer, not a function."""
        return expression if isinstance(statement, tree.Param) and statement.shape else None

    def name(self, node: tree.Name) -> None:
        name = node.name
        kind = self.names.kind(name)
        if not node.order and ((kind and kind not in _CALLED) or name in _LITERALS):
            return
        if kind in _CALLED or name in _BUILT_IN:
            what = "net" if kind == "net" else "function"
            call = f"{name}({', '.join(self._parameters(name))})"
            self.report("E0210", f"`{name}` is a {what} and needs its arguments", node, help=f"write `{call}`")
        elif kind == "" and name not in self.unknown:
            self.unknown.add(name)
            self.undefined(node)
        elif node.order and kind == "state" and node.order >= self.names.order(name):
            order = self.names.order(name)
            self.report(
                "E0209",
                f"`{node}` cannot be read: the equation of `{name}` is of order {order}",
                node,
                help="give the right-hand side a name of its own, and use that name",
            )
        elif node.order and kind not in ("", "state"):
            self.report("E0209", f"`{node}` cannot be read: `{name}` is {a_kind(kind)}, not a state", node)

    def undefined(self, node: tree.Name) -> None:
        guess = nearest(node.name, [*self.names.table, *(r for r in _LITERALS)])
        declare = f"declare it with `param {node.name} = …`"
        near = guess.removeprefix("did you mean ").removesuffix("?")
        cure = (
            declare
            if not guess
            else guess
            if guess.endswith("(case differs)?")
            else f"{declare}, or did you mean {near}?"
        )
        self.report("E0203", f"`{node.name}` is not defined", node, elsewhere.NAMES.get(node.name, cure))

    def call(self, node: tree.Call) -> None:
        name = node.function.name
        named = self.names.table.get(name)
        if name in _BUILT_IN:
            self._arity(node, name, *_built_in_arity(name))
        elif named is None and name in INITIALIZERS:
            cure = f"write `param W[N] = {name}()`, with the array's shape"
            self.report(
                "E0203", f"`{name}` draws the first guess of an array of params, and is no function", node, cure
            )
        elif named is None:
            functions = [*_BUILT_IN, *(n for n, d in self.names.table.items() if d.kind in _CALLED)]
            self.report(
                "E0203",
                f"the function `{name}` is not defined",
                node.function,
                help=elsewhere.FUNCTIONS.get(name) or nearest(name, functions) or f"define it: `{name}(a) = …`",
            )
        elif named.kind not in _CALLED:
            self.report(
                "E0212", f"`{name}` is {a_kind(named.kind)}, not a function", node.function, _called_cure(name, node)
            )
        else:
            count = len(self._parameters(name))
            self._arity(node, name, count, count)

    def _arity(self, node: tree.Call, name: str, least: int, most: int | None) -> None:
        count = len(node.arguments)
        if name == "if" and count >= 3 and count % 2 == 0:
            self.report(
                "E0211", "`if` has a condition without a value, or no last value", node, "write `if(c1, a, c2, b, d)`"
            )
        elif count < least or (most is not None and count > most):
            wanted = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            plural = "" if wanted == "1" else "s"
            call = f"{name}({', '.join(self._parameters(name))})"
            self.report("E0211", f"`{name}` takes {wanted} argument{plural}, not {count}", node, help=f"write `{call}`")

    def _parameters(self, name: str) -> tuple[str, ...]:
        named = self.names.table.get(name)
        if named is not None and isinstance(named.statement, tree.Function):
            return tuple(p.name for p in named.statement.parameters)
        if named is not None and isinstance(named.statement, tree.Net):
            return tuple(item.name.name for item in named.statement.inputs)
        if name in FUNCTIONS:
            return (*FUNCTIONS[name].parameters, *(("…",) if FUNCTIONS[name].most is None else ()))
        return {"if": ("condition", "a", "b"), "range": ("N",), "roll": ("x", "1"), "dot": ("x", "y")}.get(name, ("x",))

    def _reach(self, statement: tree.AnyStatement) -> None:
        """What a const, a param, an initial value or the time of a jump may depend on."""
        match statement:
            case tree.Const() | tree.Size() | tree.Param():
                written = type(statement).__name__.lower()
                for node in self._leaves(statement):
                    culprit = self._reached(node.name, _NOT_CONST, ("function",))
                    if culprit:
                        what = "time" if culprit == "t" else a_kind(self.names.kind(culprit))
                        why = f", which is {what}" if culprit == node.name else f", which depends on `{culprit}`"
                        self.report(
                            "E0404",
                            f"the {written} `{statement.name.name}` depends on `{node}`{why}",
                            node,
                            help="it may depend on consts and sizes; for more write an intermediate, without a keyword",
                        )
            case tree.At() | tree.Every():
                times = statement.times if isinstance(statement, tree.At) else ()
                parts = times or (statement.period, statement.start, statement.stop)  # type: ignore[union-attr]
                for node in (n for part in parts if part is not None for n in _names_and_calls(part)):
                    culprit = self._reached(node.name, (*_MOVING, "net"), _MADE)
                    if culprit:
                        net = self.names.kind(culprit) == "net"
                        why = "a net, and must not move while that is trained" if net else "known only during the run"
                        self.report(
                            "E0403",
                            f"the time of a jump depends on `{culprit}`, which is {why}",
                            node,
                            help="a time may depend on params and consts; for a jump at a condition write `when … :`",
                        )
            case tree.State():
                for node in self._leaves(statement):
                    culprit = self._reached(node.name, _MOVING, _MADE)
                    if culprit:
                        through = "" if culprit == node.name else f", which depends on `{culprit}`"
                        self.report(
                            "E0403",
                            f"the initial value of `{statement.name}` depends on `{node}`{through}",
                            node,
                            help="an initial value may depend on params, consts and what is made of them",
                        )

    def _leaves(self, statement: tree.AnyStatement) -> Iterator[tree.Name]:
        for expression in expressions_of(statement):
            if not isinstance(expression, tree.Distribution):
                yield from _names_and_calls(expression)

    def _reached(self, name: str, wanted: tuple[str, ...], through: tuple[str, ...]) -> str:
        """The first name of a wanted kind (or time) that a name depends on through others, "" where there is none."""
        seen: set[str] = set()
        stack = [name]
        while stack:
            name = stack.pop()
            named = self.names.table.get(name)
            if name == "t" or (named is not None and named.kind in wanted):
                return name
            if named is None or named.kind not in through or name in seen:
                continue
            seen.add(name)
            assert named.statement is not None
            own = {p.name for p in named.statement.parameters} if isinstance(named.statement, tree.Function) else set()
            used = (n.name for e in expressions_of(named.statement) for n in _names_and_calls(e))
            stack.extend(n for n in used if n not in own)
        return ""

    def _targets(self, statement: tree.AnyStatement) -> None:
        if isinstance(statement, tree.At | tree.Every | tree.When):
            for change in statement.changes:
                kind = self.names.kind(change.target.name)
                if kind == "" and change.target.name in RESERVED_NAMES:
                    self.report("E0213", f"a jump changes states, and `{change.target}` is reserved", change.target)
                elif kind == "":
                    self.undefined(change.target)
                elif kind != "state":
                    self.report(
                        "E0213",
                        f"a jump changes states, and `{change.target.name}` is {a_kind(kind)}",
                        change.target,
                        help=f"declare `state {change.target.name} = …` with `d{change.target.name} = 0`",
                    )
        if isinstance(statement, tree.Observe) and statement.value is None and self._is_unknown(statement.name):
            self.undefined(statement.name)

    def _is_unknown(self, name: tree.Name) -> bool:
        return not name.order and self.names.kind(name.name) == ""


class _Kinds:
    """Conditions where conditions belong. A condition used as a number counts 1 or 0; a number is never a condition."""

    def __init__(self, checker: _Checker) -> None:
        self.checker = checker

    def statement(self, statement: tree.AnyStatement) -> None:
        for expression in expressions_of(statement):
            for node in nodes(expression):
                for part in self._conditions(node):
                    self._require(part)
        if isinstance(statement, tree.When):
            self._require(statement.condition)

    @staticmethod
    def _conditions(node: tree.Node) -> tuple[tree.Node, ...]:
        match node:
            case tree.Logical():
                return node.operands
            case tree.Not():
                return (node.operand,)
            case tree.Call(function=tree.Name(name="if")):
                return node.arguments[:-1:2]
        return ()

    def _require(self, node: tree.Node) -> None:
        if not isinstance(node, tree.Comparison | tree.Logical | tree.Not):
            self.checker.report(
                "E0302",
                f"`{self.checker.source.excerpt(node.span)}` is a number where a condition is needed",
                node,
                help="compare it, such as `… > 0`",
            )


def _built_in_arity(name: str) -> tuple[int, int | None]:
    if name in FUNCTIONS:
        row = FUNCTIONS[name]
        return row.least, None if row.most is None else row.least
    return {"if": (3, None), "roll": (2, 2), "dot": (2, 2)}.get(name, (1, 1))


def dependencies(names: Names, named: Named) -> list[str]:
    """The intermediates, observes, consts, sizes and functions that a definition uses directly, as it is written."""
    statement = named.statement
    if statement is None or named.kind not in ("intermediate", "observe", "const", "size", "function"):
        return []
    own = {p.name for p in statement.parameters} if isinstance(statement, tree.Function) else set()
    found: dict[str, None] = {}
    for expression in expressions_of(statement):
        for node in nodes(expression):
            used = node.function if isinstance(node, tree.Call) else node
            if isinstance(used, tree.Name) and used.name not in own and used.name in names.table:
                found[used.name] = None
    return [name for name in found if names.table[name].kind not in ("state", "param", "input", "data")]


def sorted_names(names: Names, on_loop: Callable[[list[str]], None] | None = None) -> list[str]:
    """Every defined name behind those that it depends on, else in the order of the text. A loop is handed over once."""
    done: dict[str, None] = {}
    for first in names.table:
        if first in done:
            continue
        stack = [(first, iter(dependencies(names, names.table[first])))]
        path = {first: None}
        while stack:
            name, rest = stack[-1]
            following = next((n for n in rest if n not in done), None)
            if following is None:
                stack.pop()
                del path[name]
                done[name] = None
            elif following in path:
                if on_loop is not None:
                    members = list(path)
                    on_loop(members[members.index(following) :])
                return list(done)
            else:
                path[following] = None
                stack.append((following, iter(dependencies(names, names.table[following]))))
    return list(done)


def _loops(names: Names) -> list[Diagnostic]:
    loops: list[list[str]] = []
    sorted_names(names, loops.append)
    return [_loop(names, members) for members in loops]


def _loop(names: Names, members: list[str]) -> Diagnostic:
    first = names.table[members[0]]
    if len(members) == 1:
        what = "calls itself" if first.kind == "function" else "is defined by itself"
        return names.source.error(
            "E0206",
            f"`{members[0]}` {what}",
            first.span,
            help="a value that feeds back on itself is a state: give it a derivative",
        )
    in_order = sorted(members, key=lambda name: names.table[name].span.start)
    lines = [str(names.source.position(names.table[name].span.start)[0]) for name in in_order]
    listed = f"`{'`, `'.join(in_order[:-1])}` and `{in_order[-1]}`"
    chain = " → ".join([*members, members[0]])
    return names.source.error(
        "E0206",
        f"{listed} define each other (lines {', '.join(lines[:-1])} and {lines[-1]})",
        first.span,
        help=f"the circle is {chain}; a value that feeds back on itself is a state: give it a derivative",
    )


def _names_and_calls(root: tree.Node) -> Iterator[tree.Name]:
    """The names that are used as values, and those of the called functions."""
    for node in nodes(root):
        if isinstance(node, tree.Name):
            yield node
        elif isinstance(node, tree.Call):
            yield node.function
