"""The generated module's functions: the equations, their derivatives and jumps, each as a readable static method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

from odec.diagnostics import Span
from odec.emit.python import Identifiers, Printer, one_line, quoted, wrapped
from odec.model.expression import TIME, Expression, is_number, postorder, symbol, symbols
from odec.model.jumps import root_function
from odec.model.model import Definition, Model, Named, Shaped
from odec.passes.derivatives import Derivatives
from odec.passes.share import Program, Step, program
from odec.passes.tangent import direction, model_tangents

# What a role's values are called in the functions' arguments.
_ARGUMENTS = {
    "state": "states",
    "param": "params",
    "net": "params",
    "const": "consts",
    "size": "consts",
    "input": "inputs",
    "data": "data",
}
_DIRECTIONS = {"state direction": "state_directions", "param direction": "param_directions"}
_BOTH = ", ".join(_DIRECTIONS.values())
_AT_START = "params, consts"

# Parts of the Jacobian beyond which its directional derivative is not written: it costs as much again as all that is
# written without it (0.05 s for 100 equations of three terms), which nobody feels in a small model.
MOST_PARTS = 4_000


class Functions:
    """Writes the functions of one model. `used` collects the runtime's functions that they call."""

    def __init__(self, model: Model, derivatives: Derivatives, outputs: Sequence[str]) -> None:
        self.model = model
        self.derivatives = derivatives
        self.outputs = outputs
        self.used: set[str] = set()
        self.during = "t, states, params, consts" + (", inputs" if model.inputs else "")
        named: tuple[Named, ...] = (
            *model.states,
            *model.params,
            *model.consts,
            *model.sizes,
            *model.inputs,
            *model.intermediates,
            *model.given_nets,
        )
        self.identifiers = Identifiers([item.name for item in named] + list(model.data))
        self.symbols = {item.symbol: self.identifiers[item.name] for item in named} | {TIME: "t"}
        self.symbols |= {symbol(name, "data"): self.identifiers[name] for name in model.data}
        self.definitions = {definition.symbol: definition for definition in model.intermediates}

    def all(self) -> list[list[str]]:
        """The functions, in the order of reading."""
        functions = [self._constants(), *self._shapes(), self._initial(), self._rhs(), self._outputs(), *self._noise()]
        functions += [*self._switches(), *self._jumps()]
        if self.model.given_nets:
            # Nothing is known here of the derivatives of a net that is handed over.
            return functions
        return functions + (self._sparse_derivatives() if self.derivatives.complete else self._tangents())

    # Values

    def _constants(self) -> list[str]:
        lines = _header("constants", "consts", "The consts and sizes by name; what `consts` holds already stays.")
        named: tuple[Named, ...] = (*self.model.sizes, *self.model.consts)
        printer = Printer({item.symbol: f"consts[{quoted(item.name)}]" for item in named}, self.used)
        for size in self.model.sizes:
            lines.append(f"        consts.setdefault({quoted(size.name)}, {size.value})")
        for const in self.model.consts:
            value = repr(float(const.value.value)) if is_number(const.value) else printer.text(const.value)  # type: ignore[arg-type]
            if const.shape != const.value.shape:
                # A number stands for every element.
                self.used.add("filled")
                value = f"filled({value}, {', '.join(map(printer.whole, const.written_shape))})"
            lines += wrapped(f"consts.setdefault({quoted(const.name)}, ", value, ")")
        return [*lines, "        return consts"]

    def _shapes(self) -> list[list[str]]:
        """The shapes in terms of the sizes, so that a size can be chosen when the layer is made."""
        if not self.model.sizes:
            return []
        lines = _header("shapes", "consts", "The shape of each array.")
        printer = Printer({size.symbol: f"consts[{quoted(size.name)}]" for size in self.model.sizes}, self.used)
        lines.append("        return {")
        items: tuple[Shaped, ...]
        items = (*self.model.states, *self.model.params, *self.model.consts, *self.model.inputs)
        for item in items:
            if item.written_shape:
                lengths = ", ".join(map(printer.whole, item.written_shape))
                lines.append(f"            {quoted(item.name)}: ({lengths},),")
        return [[*lines, "        }"]]

    def _initial(self) -> list[str]:
        given = {s.name: s.initial for s in self.model.states if s.initial is not None}
        lines = _header("initial", _AT_START, "The states at the start; None where the caller must say.")
        text, results = self._computed(given.values())
        written = dict(zip(given, results, strict=True))
        return [*lines, *text, *_returned([written.get(state.name, "None") for state in self.model.states])]

    def _rhs(self) -> list[str]:
        what = "The next value of each state." if self.model.is_map else "dx/dt of each state."
        lines = _header("rhs", self.during, what)
        equations = self.model.equations
        steps = program((e.value for e in equations), self.definitions)
        names, printer = self._scope()
        lines += self._unpack(steps)
        left, done = [], 0
        for equation, result, before in zip(equations, steps.results, steps.before, strict=True):
            lines += self._steps(steps.steps[done:before], names, printer)
            done = before
            lines += self._source_line(equation.span)
            left.append(names.fresh(("next_" if self.model.is_map else "d") + self.identifiers[equation.state.name]))
            lines += wrapped(f"{left[-1]} = ", printer.text(result))
        return [*lines, *_returned(left)]

    def _outputs(self) -> list[str]:
        by_name = {str(name.value): name for name in self.definitions}
        lines = _header("outputs", self.during, "The outputs, in the order of the description.")
        text, results = self._computed([by_name[name] for name in self.outputs])
        return [*lines, *text, *_returned(results)]

    def _noise(self) -> list[list[str]]:
        noisy = [o.noise for o in self.model.observes if o.noise is not None]
        if not noisy:
            return []
        lines = _header("noise", f"{self.during}, data", "What each noise's distribution takes behind its location.")
        text, results = self._computed([argument for noise in noisy for argument in noise.arguments])
        rest = iter(results)
        return [[*lines, *text, *_returned([_tuple([next(rest) for _ in noise.arguments]) for noise in noisy])]]

    # Switches and jumps

    def _switches(self) -> list[list[str]]:
        found = self.derivatives.switches
        if not found:
            return []
        lines = _header(
            "switch_times", _AT_START, "Where the equations switch with t: a time, and a period where it comes again."
        )
        text, results = self._computed([part for s in found for part in (s.time, s.period) if part is not None])
        rest = iter(results)
        rows = [_tuple([next(rest), "None" if switch.period is None else next(rest)]) for switch in found]
        return [[*lines, *text, *_listed(rows)]]

    def _jumps(self) -> list[list[str]]:
        jumps = self.model.jumps
        if not jumps:
            return []
        times = _header(
            "jump_times", _AT_START, "Times of an `at`; period, start and stop of an `every`; () of a `when`."
        )
        text, results = self._computed([t for jump in jumps for t in jump.times if t is not None])
        rest = iter(results)
        rows = [_tuple(["None" if t is None else next(rest) for t in jump.times]) for jump in jumps]
        functions = [[*times, *text, *_returned(rows)]]
        conditions = [jump.condition for jump in jumps if jump.condition is not None]
        if conditions:
            lines = _header(
                "conditions",
                self.during,
                "For each `when`: its condition, and a number that is positive where it holds.",
            )
            text, results = self._computed([part for c in conditions for part in (c, root_function(c))])
            pairs = zip(results[::2], results[1::2], strict=True)
            functions.append([*lines, *text, *_returned([_tuple(pair) for pair in pairs])])
        lines = _header("jumps", self.during, "The states behind each jump.")
        changed = [{state.name: value for state, value in jump.changes} for jump in jumps]
        wanted = [changes.get(state.name, state.symbol) for changes in changed for state in self.model.states]
        text, results = self._computed(wanted)
        width = len(self.model.states)
        rows = [_tuple(results[i * width : (i + 1) * width]) for i in range(len(jumps))]
        return [*functions, [*lines, *text, *_returned(rows)]]

    # Derivatives

    def _sparse_derivatives(self) -> list[list[str]]:
        found, during = self.derivatives, self.during
        what = "∂next" if self.model.is_map else "∂(dx/dt)"
        functions = [
            self._sparse("rhs_x", f"{what}/∂x, where it is not 0.", [found.rhs_x], during),
            self._sparse("rhs_p", f"{what}/∂p, where it is not 0.", [found.rhs_p], during),
            self._sparse("rhs_t", f"{what}/∂t, where it is not 0.", [found.rhs_t], during),
            self._sparse("initial_p", "∂x(start)/∂p, where it is not 0.", [found.initial_p], _AT_START),
            self._sparse("outputs_x", "∂(outputs)/∂x, where it is not 0.", [found.outputs_x], during),
            self._sparse("outputs_p", "∂(outputs)/∂p, where it is not 0.", [found.outputs_p], during),
        ]
        if self.model.jumps:
            functions += [
                self._sparse("jumps_x", "For each jump, ∂(changed states)/∂x.", found.jump_x, during, many=True),
                self._sparse("jumps_p", "For each jump, ∂(changed states)/∂p.", found.jump_p, during, many=True),
                self._sparse("jumps_t", "For each jump, ∂(changed states)/∂t.", found.jump_t, during, many=True),
                self._times_p("jump_times", found.times_p),
            ]
        if found.switches:
            functions.append(self._times_p("switch_times", found.switches_p))
        if found.root_x:
            functions += [
                self._sparse("roots_x", "For each `when`, ∂(its number)/∂x.", found.root_x, during, many=True),
                self._sparse("roots_p", "For each `when`, ∂(its number)/∂p.", found.root_p, during, many=True),
                self._roots_t(),
            ]
        return [*functions, *self._second_derivatives()]

    def _second_derivatives(self) -> list[list[str]]:
        """How the derivatives of a differential equation change along directions: the sensitivities of a step that
        solves with the Jacobian are made of it. A map has no such steps; of a large system they are left out."""
        below = [*self.derivatives.rhs_x.values(), *(definition.value for definition in self.model.intermediates)]
        if self.model.is_map or _has_more_parts(below, MOST_PARTS):
            return []
        tables: list[tuple[str, str, Mapping[Any, Expression]]] = [
            ("rhs_x_tangent", "`rhs_x`", self.derivatives.rhs_x),
            ("rhs_t_tangent", "`rhs_t`", self.derivatives.rhs_t),
        ]
        functions = []
        for name, of, table in tables:
            moved, definitions = model_tangents(self.model, table.values())
            changes = {key: value for key, value in zip(table, moved, strict=True) if not is_number(value, 0)}
            text = f"The change of {of} along directions of the states and params, where it is not 0."
            known = self._with_directions(definitions)
            functions.append(self._sparse(name, text, [changes], f"{self.during}, {_BOTH}", definitions=known))
        return functions

    def _sparse(
        self,
        name: str,
        text: str,
        tables: Sequence[Mapping[Any, Expression]],
        arguments: str,
        many: bool = False,
        definitions: Mapping[Expression, Definition] | None = None,
    ) -> list[str]:
        lines = _header(name, arguments, text)
        values = [value for table in tables for value in table.values()]
        body, results = self._computed(values, comments=False, definitions=definitions)
        rest = iter(results)
        lines += body
        if not many and not tables[0]:
            return [*lines, "        return {}"]
        indent = 12 if many else 8
        lines += ["        return ("] if many else []
        for table in tables:
            if not table:
                lines.append(" " * indent + "{},")
                continue
            lines.append(" " * indent + ("{" if many else "return {"))
            for key in table:
                lines += wrapped(f"{_key(key)}: ", next(rest), ",", indent=indent + 4)
            lines.append(" " * indent + ("}," if many else "}"))
        return [*lines, *(["        )"] if many else [])]

    def _times_p(self, of: str, tables: Sequence[Sequence[Mapping[str, Expression]]]) -> list[str]:
        lines = _header(f"{of}_p", _AT_START, f"For each number of `{of}`, its derivative by the params.")
        body, results = self._computed([v for row in tables for table in row for v in table.values()], comments=False)
        rest = iter(results)
        rows = [
            _tuple(["{" + ", ".join(f"{_key(k)}: {next(rest)}" for k in table) + "}" for table in row])
            for row in tables
        ]
        return [*lines, *body, *_listed(rows)]

    def _roots_t(self) -> list[str]:
        lines = _header("roots_t", self.during, "For each `when`, ∂(its number)/∂t.")
        body, results = self._computed(self.derivatives.root_t, comments=False)
        return [*lines, *body, *_returned(results)]

    def _tangents(self) -> list[list[str]]:
        """Models with arrays, or with too many entries: directional derivatives instead."""
        model = self.model
        initial = [s.initial for s in model.states if s.initial is not None]
        by_name = {str(name.value): name for name in self.definitions}
        return [
            self._tangent("rhs_tangent", f"{self.during}, {_BOTH}", [e.value for e in model.equations]),
            self._tangent("initial_tangent", f"{_AT_START}, param_directions", initial, model.states),
            self._tangent("outputs_tangent", f"{self.during}, {_BOTH}", [by_name[name] for name in self.outputs]),
            *self._switches_tangent(),
        ]

    def _switches_tangent(self) -> list[list[str]]:
        found = self.derivatives.switches
        if not found:
            return []
        what = "The change of the numbers of `switch_times` along directions of the params."
        lines = _header("switch_times_tangent", f"{_AT_START}, param_directions", what)
        numbers = [[part for part in (switch.time, switch.period) if part is not None] for switch in found]
        results, definitions = model_tangents(self.model, [part for row in numbers for part in row])
        text, written = self._computed(results, comments=False, definitions=self._with_directions(definitions))
        rest = iter(written)
        return [[*lines, *text, *_listed([_tuple([next(rest) for _ in row]) for row in numbers])]]

    def _tangent(
        self, name: str, arguments: str, formulas: list[Expression], holes: Sequence[object] = ()
    ) -> list[str]:
        lines = _header(
            name,
            arguments,
            f"The change of `{name.removesuffix('_tangent')}` along directions of the states and params.",
        )
        results, definitions = model_tangents(self.model, formulas)
        text, written = self._computed(results, comments=False, definitions=self._with_directions(definitions))
        if holes:
            rest = iter(written)
            written = ["None" if state.initial is None else next(rest) for state in self.model.states]
        return [*lines, *text, *_returned(written)]

    def _with_directions(self, directions: Mapping[Expression, Expression]) -> dict[Expression, Definition]:
        """The intermediates, each followed by its direction."""
        known = {}
        for own, definition in self.definitions.items():
            moved = direction(own)
            known[own] = definition
            known[moved] = Definition(str(moved.value), directions[moved], Span(0, 0))
        return known

    # Bodies

    def _computed(
        self,
        results: Iterable[Expression],
        comments: bool = True,
        definitions: Mapping[Expression, Definition] | None = None,
    ) -> tuple[list[str], list[str]]:
        """The lines that compute the results, and the results' texts."""
        steps = program(results, self.definitions if definitions is None else definitions)
        names, printer = self._scope()
        lines = self._unpack(steps, names, printer) + self._steps(steps.steps, names, printer, comments)
        return lines, [printer.text(result) for result in steps.results]

    def _scope(self) -> tuple[Identifiers, Printer]:
        return self.identifiers.copy(), Printer(self.symbols, self.used)

    def _unpack(self, steps: Program, names: Identifiers | None = None, printer: Printer | None = None) -> list[str]:
        """`x1, x2 = states`, for the arguments that something is read from."""
        model = self.model
        roles = {node.role for node in symbols(*(step.value for step in steps.steps), *steps.results)}
        read = {_ARGUMENTS[role] for role in roles if role in _ARGUMENTS}
        groups: dict[str, tuple[Named, ...]] = {
            "states": model.states,
            "params": (*model.params, *model.given_nets),
            "consts": (*model.consts, *model.sizes),
            "inputs": model.inputs,
        }
        names_of = {argument: [item.name for item in items] for argument, items in groups.items()}
        lines = []
        for argument, items in (names_of | {"data": list(model.data)}).items():
            if argument in read:
                lines += _unpacked([self.identifiers[name] for name in items], argument)
        for role, argument in _DIRECTIONS.items():
            if role in roles and names is not None and printer is not None:
                moving = groups["states" if role.startswith("state") else "params"]
                written = [names.fresh(f"{self.identifiers[item.name]}_dot") for item in moving]
                printer.names.update({direction(item.symbol): name for item, name in zip(moving, written, strict=True)})
                lines += _unpacked(written, argument)
        return lines

    def _steps(self, steps: tuple[Step, ...], names: Identifiers, printer: Printer, comments: bool = True) -> list[str]:
        lines = []
        for step in steps:
            if step.definition is None:
                printer.names[step.name] = names.fresh(f"w{step.name.value}")
            elif step.name.role.endswith("direction"):
                printer.names[step.name] = names.fresh(f"{self.identifiers[step.definition.name]}_dot")
            elif comments:
                lines += self._source_line(step.definition.span)
            lines += wrapped(f"{printer.names[step.name]} = ", printer.text(step.value))
        return lines

    def _source_line(self, span: Span | None) -> list[str]:
        return [] if span is None else [f"        # {one_line(self.model.source.excerpt(span))}"]


def _has_more_parts(formulas: Iterable[Expression], most: int) -> bool:
    """Whether the derivatives of the formulas have more operands than this: of a product there are n products of n."""
    sizes = (len(node.args) ** (2 if node.head == "multiply" else 1) for node in postorder(formulas))
    return any(total > most for total in accumulate(sizes))


def _key(key: object) -> str:
    return quoted(key) if isinstance(key, str) else f"({', '.join(map(quoted, key))})"  # type: ignore[call-overload]


def _header(name: str, arguments: str, text: str) -> list[str]:
    return ["    @staticmethod", f"    def {name}({arguments}):", f'        """{text}"""']


def _unpacked(names: list[str], argument: str) -> list[str]:
    if len(names) == 1:
        return [f"        ({names[0]},) = {argument}"]
    return wrapped("", ", ".join(names), f" = {argument}")


def _tuple(parts: Iterable[str]) -> str:
    parts = list(parts)
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def _listed(rows: list[str]) -> list[str]:
    """A tuple of tuples, one on each line."""
    return ["        return (", *(line for row in rows for line in wrapped("", row, ",", indent=12)), "        )"]


def _returned(parts: list[str]) -> list[str]:
    if len(parts) == 1:
        return wrapped("return ", f"({parts[0]},)")
    if not parts:
        return ["        return ()"]
    return wrapped("return ", ", ".join(parts))
