"""Which name means what: the table of a file's names, with every fault of naming.

The hard part is `d<name> = …`: a derivative where `<name>` is a state, else an ordinary name. A name is a state where
it is declared or has an equation that can be nothing else (`x' = …`); a bare `dx = -x` makes `x` one when `x` is used,
nothing else defines it, and `dx` is used nowhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from odec.diagnostics import Diagnostic, Span
from odec.functions import RESERVED_NAMES
from odec.model.walk import expressions_of, names_in
from odec.source import Source
from odec.syntax import tree

# Words that a scientist writes for something other than a derivative, whatever states there are: where the rest of
# the word is a state too, nobody but the writer knows which was meant.
ORDINARY_WORDS = frozenset(
    [
        "damp",
        "data",
        "date",
        "day",
        "dead",
        "death",
        "decay",
        "degradation",
        "delay",
        "delta",
        "demand",
        "density",
        "depth",
        "detection",
        "diet",
        "diffusion",
        "dilution",
        "dimer",
        "dim",
        "distance",
        "division",
        "dock",
        "donor",
        "dosage",
        "dose",
        "drag",
        "drain",
        "drift",
        "drive",
        "drop",
        "drought",
        "drug",
        "dry",
        "dust",
        "duration",
    ]
)

_KINDS: dict[type, str] = {
    tree.State: "state",
    tree.Param: "param",
    tree.Const: "const",
    tree.Size: "size",
    tree.Input: "input",
    tree.Data: "data",
    tree.Function: "function",
    tree.Net: "net",
    tree.Assignment: "intermediate",
    tree.Observe: "observe",
}


_DECLARATIONS = (
    *(tree.State, tree.Param, tree.Const, tree.Size, tree.Input, tree.Data),
    *(tree.Function, tree.Net, tree.Observe),
)


@dataclass(frozen=True)
class Named:
    """What a name is, and where it is defined."""

    kind: str
    span: Span
    statement: tree.AnyStatement | None = None


@dataclass
class Names:
    """The names of one file. `derivatives` holds, for each state, the statements that give its highest derivative."""

    source: Source
    file: tree.File
    table: dict[str, Named] = field(default_factory=dict)
    derivatives: dict[str, list[tuple[int, tree.Equation | tree.Assignment]]] = field(default_factory=dict)
    slopes: dict[tuple[str, int], tree.State] = field(default_factory=dict)
    # Names with two readings: said once, and not said again to be undefined.
    unclear: set[str] = field(default_factory=set)
    errors: list[Diagnostic] = field(default_factory=list)

    def kind(self, name: str) -> str:
        """What the name is, "" where it is nothing."""
        return self.table[name].kind if name in self.table else ""

    def order(self, state: str) -> int:
        """The order of a state's equation: 1 for `x' = …`."""
        return max((order for order, _ in self.derivatives.get(state, ())), default=1)

    @property
    def states(self) -> tuple[str, ...]:
        """The states, in the order in which they first stand."""
        return tuple(name for name, named in self.table.items() if named.kind == "state")


def names_of(source: Source, file: tree.File) -> Names:
    """The table of the file's names. Faults are collected in `errors`, not raised: later checks want to run too."""
    names = Names(source, file)
    derivative_names = _derivative_names(names)
    _define_all(names, derivative_names)
    _check_derivatives(names)
    return names


def _derivative_names(names: Names) -> set[str]:
    """The assigned names that are derivatives, such as `dx`."""
    file = names.file
    declared = {str(s.name.name) for s in file.statements if isinstance(s, tree.State)}
    declared |= {s.target.name for s in file.statements if isinstance(s, tree.Equation | tree.Next)}
    defined = {s.name.name for s in file.statements if isinstance(s, _DECLARATIONS)}
    not_states = {s.name.name for s in file.statements if isinstance(s, tree.Assignment)} | set(RESERVED_NAMES)
    used = _used_names(file)
    found = set()
    for statement in file.statements:
        if not isinstance(statement, tree.Assignment):
            continue
        name = statement.name.name
        rest = name[1:]
        if name[0] != "d" or not rest:
            continue
        if rest in declared and name not in defined:
            found.add(name)
            _refuse_two_readings(names, statement, used.get(name))
        elif rest in used and name not in used and not {rest, name} & defined and rest not in not_states:
            found.add(name)
    return found


def _used_names(file: tree.File) -> dict[str, tree.Name]:
    """Each name that stands in an expression or is changed by a jump, where it does so last."""
    used = {}
    for statement in file.statements:
        own = {name.name for name in statement.parameters} if isinstance(statement, tree.Function) else set()
        found = [name for expression in expressions_of(statement) for name in names_in(expression)]
        if isinstance(statement, tree.At | tree.Every | tree.When):
            found.extend(change.target for change in statement.changes)
        if isinstance(statement, tree.Observe):
            found.append(statement.name)
        used.update({name.name: name for name in found if name.name not in own})
    return used


def _refuse_two_readings(names: Names, statement: tree.Assignment, use: tree.Name | None) -> None:
    name = statement.name.name
    if name not in ORDINARY_WORDS and use is None:
        return
    names.unclear.add(name)
    why = f"`{name}` is used as a value too" if use is not None else f"`{name}` is also an ordinary word"
    names.errors.append(
        names.source.error(
            "E0207",
            f"`{name} = …` reads both ways: as the derivative of the state `{name[1:]}`, "
            f"and as a name `{name}` ({why})",
            use.span if use is not None else statement.name.span,
            help=f"write the derivative as `{name[1:]}' = …`, or give the other thing another name",
        )
    )


def _define_all(names: Names, derivative_names: set[str]) -> None:
    for statement in names.file.statements:
        if isinstance(statement, tree.State) and statement.name.order:
            _define_slope(names, statement)
        elif isinstance(statement, tree.Equation):
            _define_derivative(names, statement.target.name, statement.target.order, statement)
        elif isinstance(statement, tree.Assignment) and statement.name.name in derivative_names:
            _define_derivative(names, statement.name.name[1:], 1, statement)
        elif isinstance(statement, tree.Observe) and _observes_itself(statement):
            continue
        elif type(statement) in _KINDS:
            _define(names, statement.name, Named(_KINDS[type(statement)], statement.name.span, statement))  # type: ignore[union-attr]
        elif isinstance(statement, tree.Next) and names.kind(statement.target.name) == "":
            names.table[statement.target.name] = Named("state", statement.target.span)


def _observes_itself(statement: tree.Observe) -> bool:
    """`observe x` and `observe x ~ normal(x, s)` speak of something that is defined elsewhere."""
    if statement.noise is not None and statement.noise.arguments:
        mean = statement.noise.arguments[0]
        return isinstance(mean, tree.Name) and str(mean) == str(statement.name)
    return statement.value is None and statement.noise is None


def _no_equation_cure(names: Names, state: str) -> str:
    if f"d{state}" in names.table:  # `d<name>` is a thing of its own here
        return f"write `{state}' = …`; `{state}' = 0` where only jumps change it"
    return f"write `d{state} = …` or `{state}' = …`; `d{state} = 0` where only jumps change it"


def _define(names: Names, name: tree.Name, named: Named) -> None:
    known = names.table.get(name.name)
    if known is None or (known.statement is None and named.kind == known.kind):
        # A state that was evident from its equation may be declared further down; it keeps the first place.
        names.table[name.name] = named
        return
    first, second = (names.source.position(span.start)[0] for span in (known.span, name.span))
    kinds = f"as a {known.kind} and as a {named.kind}" if known.kind != named.kind else f"as a {known.kind}"
    names.errors.append(
        names.source.error(
            "E0202",
            f"`{name.name}` is defined twice, {kinds} (lines {first} and {second})".replace("a i", "an i").replace(
                "a o", "an o"
            ),
            name.span,
            help=_twice_cure(name.name, known, named),
        )
    )


def _twice_cure(name: str, known: Named, named: Named) -> str:
    other = "remove one, or give one of them another name"
    kinds = {item.kind for item in (known, named)}
    # `x = 1` beside `x' = …`, where no `state` says so.
    undeclared = any(item.kind == "state" and item.statement is None for item in (known, named))
    if undeclared and kinds & {"intermediate", "const", "param"}:
        return f"a start value is written `state {name} = …`; else give one of them another name"
    return other


def _define_slope(names: Names, statement: tree.State) -> None:
    key = (statement.name.name, statement.name.order)
    if key in names.slopes:
        lines = [names.source.position(s.span.start)[0] for s in (names.slopes[key], statement)]
        names.errors.append(
            names.source.error(
                "E0202",
                f"`{statement.name}` is defined twice (lines {lines[0]} and {lines[1]})",
                statement.name.span,
                help="remove one",
            )
        )
    names.slopes.setdefault(key, statement)


def _define_derivative(names: Names, state: str, order: int, statement: tree.Equation | tree.Assignment) -> None:
    named = statement.target if isinstance(statement, tree.Equation) else statement.name
    if names.kind(state) == "":
        names.table[state] = Named("state", named.span)
    elif names.kind(state) != "state" and not _is_declared(names, state):
        _define(names, tree.Name(named.span, state), Named("state", named.span))
    names.derivatives.setdefault(state, []).append((order, statement))


def _is_declared(names: Names, state: str) -> bool:
    """Whether a `state` statement names it: that one is then said to clash, and its equation is no second fault."""
    return any(isinstance(s, tree.State) and s.name.name == state for s in names.file.statements)


def _parameters_twice(names: Names) -> Iterator[Diagnostic]:
    """`f(a, a) = …`"""
    for statement in names.file.statements:
        if isinstance(statement, tree.Function):
            known: set[str] = set()
            for parameter in statement.parameters:
                if parameter.name in known:
                    yield names.source.error(
                        "E0202",
                        f"two arguments of `{statement.name}` are called `{parameter.name}`",
                        parameter.span,
                        help="give one of them another name",
                    )
                known.add(parameter.name)


def _check_derivatives(names: Names) -> None:
    names.errors.extend(_parameters_twice(names))
    names.errors.extend(_faults_of_equations(names))
    names.errors.extend(_mixture(names))


def _faults_of_equations(names: Names) -> Iterator[Diagnostic]:
    mapped = {s.target.name for s in names.file.statements if isinstance(s, tree.Next)}
    twice = defaultdict(list)
    for statement in names.file.statements:
        if isinstance(statement, tree.Next):
            twice[statement.target.name].append(statement)
    for state, statements in twice.items():
        if len(statements) > 1:
            yield _two_equations(names, f"next {state}", [s.span for s in statements])
    for state in names.states:
        given = names.derivatives.get(state, [])
        if len(given) > 1 and f"d{state}" in names.unclear:
            continue
        if len(given) > 1:
            written = names.source.excerpt(_left_side(given[0][1])).strip()
            yield _two_equations(names, written, [_left_side(s) for _, s in given])
        elif not given and state not in mapped:
            yield names.source.error(
                "E0205",
                f"the state `{state}` has no equation",
                names.table[state].span,
                help=_no_equation_cure(names, state),
            )
    for (state, order), statement in names.slopes.items():
        if names.kind(state) == "state" and order >= names.order(state):
            yield names.source.error(
                "E0209",
                f"`{statement.name}` needs no start value: the equation of `{state}` is of order {names.order(state)}",
                statement.name.span,
                help=f"remove the line, or write the equation as `{state}{chr(39) * (order + 1)} = …`",
            )
        elif names.kind(state) != "state":
            yield names.source.error(
                "E0209",
                f"`{statement.name}` is the slope of `{state}`, which is not a state",
                statement.name.span,
                help=f"declare `state {state} = …`",
            )
    for state in names.states:
        for order in range(1, names.order(state)):
            # Of two equations nobody knows which order is meant.
            if (state, order) not in names.slopes and len(names.derivatives[state]) == 1:
                primes = "'" * order
                yield names.source.error(
                    "E0209",
                    f"`{state}{primes}` has no start value, "
                    f"and the equation of `{state}` is of order {names.order(state)}",
                    _left_side(names.derivatives[state][0][1]),
                    help=f"add `state {state}{primes} = 0`",
                )


def _left_side(statement: tree.Equation | tree.Assignment) -> Span:
    start = statement.span.start
    return Span(start, max(start + 1, _end_of_left_side(statement)))


def _end_of_left_side(statement: tree.Equation | tree.Assignment) -> int:
    return (statement.target if isinstance(statement, tree.Equation) else statement.name).span.stop


def _two_equations(names: Names, written: str, spans: list[Span]) -> Diagnostic:
    lines = [str(names.source.position(span.start)[0]) for span in spans]
    count = {2: "twice"}.get(len(spans), f"{len(spans)} times")
    return names.source.error(
        "E0204",
        f"`{written}` is defined {count} (lines {', '.join(lines[:-1])} and {lines[-1]})",
        spans[1],
        help="a state has one equation: remove one, or add them up in one line",
    )


def _mixture(names: Names) -> Iterator[Diagnostic]:
    following = [s for s in names.file.statements if isinstance(s, tree.Next)]
    if following and names.derivatives:
        yield names.source.error(
            "E0208",
            "a file holds derivatives or `next` statements, not both",
            following[0].span,
            help="write every state one way: as `dx = …`, or as `next x = …`",
        )
