"""The text of the generated module: a class that holds names, numbers and equations, for a reader as much as for Python."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from odec import __version__
from odec.diagnostics import Span
from odec.emit.python import WIDTH, Identifiers, Printer, one_line, quoted, wrapped
from odec.model.expression import TIME, Expression, is_number, symbols
from odec.model.model import Model, Param
from odec.passes.derivatives import Derivatives
from odec.passes.share import Program, Step, program

RUNTIME_VERSION = 1


def module_text(model: Model, derivatives: Derivatives, name: str) -> str:
    """The module for a model, its class called `name`. The same model gives the same text, always."""
    return _Module(model, derivatives, name).text()


@dataclass
class _Module:
    model: Model
    derivatives: Derivatives
    name: str
    used: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        model = self.model
        named = (*model.states, *model.params, *model.consts, *model.intermediates)
        self.identifiers = Identifiers(item.name for item in named)
        self.symbols = {item.symbol: self.identifiers[item.name] for item in named} | {TIME: "t"}
        self.definitions = {definition.symbol: definition for definition in model.intermediates}
        self.outputs = _outputs(model)

    def text(self) -> str:
        body = "\n\n".join("\n".join(part) for part in self._functions())
        description = "\n".join(self._description())
        imports = sorted({"Layer", "Description", "State", "register", "require", *self.used, *self._kinds()}, key=_import_order)
        model = self.model
        head = [
            f'"""{_docstring(one_line(model.description.splitlines()[0]) if model.description else self.name)}',
            "",
            f"Written by odec {__version__} from {_docstring(one_line(_file_name(model)))}. Change that file and compile it again.",
            '"""',
            "",
            *_import("odec.runtime", imports),
            "",
            f"require({RUNTIME_VERSION})",
            "",
            "",
            "@register",
            f"class {self.name}(Layer):",
            *self._docstring(),
            "",
        ]
        return "\n".join(head) + "\n" + description + "\n\n" + body + "\n"

    def _kinds(self) -> set[str]:
        model = self.model
        present = {"Param": model.params, "Const": model.consts, "Output": self.outputs, "Defaults": self._defaults()}
        return {kind for kind, found in present.items() if found}

    # The head

    def _docstring(self) -> list[str]:
        lines = [f'    """{_docstring(one_line(self.model.description.splitlines()[0] if self.model.description else "A system."))}']
        lines += [f"    {_docstring(one_line(line))}".rstrip() for line in self.model.description.splitlines()[1:]]
        for title, items in (("States", self.model.states), ("Params", self.model.params), ("Consts", self.model.consts)):
            if items:
                described = (f"{i.name} ({one_line(i.description)})" if i.description else i.name for i in items)
                lines += ["", *_filled(f"{title}: {', '.join(described)}.", 4)]
        return [*lines, '    """']

    def _description(self) -> list[str]:
        model = self.model
        lines = [
            "    description = Description(",
            f"        name={quoted(self.name)},",
            f"        source={quoted(_file_name(model))},",
            f"        digest={quoted(model.source.digest)},",
            f"        version={quoted(__version__)},",
        ]
        if model.description:
            lines.append(f"        text={quoted(model.description)},")
        lines += _tuple("states", [_call("State", quoted(s.name), s.description) for s in model.states])
        lines += _tuple("params", [_param(p) for p in model.params])
        lines += _tuple("consts", [_call("Const", quoted(c.name), c.description) for c in model.consts])
        lines += _tuple("outputs", [_call("Output", f"{quoted(n)}, {quoted(k)}", d) for n, k, d in self.outputs])
        defaults = self._defaults()
        if defaults:
            lines.append(f"        defaults=Defaults({defaults}),")
        return [*lines, "    )"]

    def _defaults(self) -> str:
        solve = self.model.solve
        parts = [] if solve.start == 0 else [f"start={solve.start!r}"]
        parts += [f"{k}={v!r}" for k, v in (("stop", solve.stop), ("step", solve.step), ("every", solve.every)) if v is not None]
        parts += [f"method={quoted(solve.method)}"] if solve.method else []
        return ", ".join(parts)

    # The functions

    def _functions(self) -> list[list[str]]:
        model, found = self.model, self.derivatives
        initials = {s.name: s.initial for s in model.states if s.initial is not None}
        outputs = [self._symbol_of(name) for name, _, _ in self.outputs]
        functions = [self._constants(), self._initial(initials), self._rhs()]
        functions.append(self._tuple_function("outputs", "The outputs, in the order of the description.", outputs))
        if found.complete:
            functions += [
                self._sparse("rhs_x", "∂(dx/dt)/∂x, where it is not 0.", found.rhs_x),
                self._sparse("rhs_p", "∂(dx/dt)/∂p, where it is not 0.", found.rhs_p),
                self._sparse("rhs_t", "∂(dx/dt)/∂t, where it is not 0.", found.rhs_t),
                self._sparse("initial_p", "∂x(start)/∂p, where it is not 0.", found.initial_p, "params, consts"),
                self._sparse("outputs_x", "∂(outputs)/∂x, where it is not 0.", found.outputs_x),
                self._sparse("outputs_p", "∂(outputs)/∂p, where it is not 0.", found.outputs_p),
            ]
        return functions

    def _symbol_of(self, name: str) -> Expression:
        return next(symbol for symbol in self.definitions if symbol.value == name)

    def _constants(self) -> list[str]:
        lines = _header("constants", "consts", "The consts by name; what `consts` holds already stays.")
        printer = Printer({c.symbol: f"consts[{quoted(c.name)}]" for c in self.model.consts}, self.used)
        for const in self.model.consts:
            value = _as_float(const.value, printer)
            lines += wrapped(f"consts.setdefault({quoted(const.name)}, ", value, ")")
        return [*lines, "        return consts"]

    def _initial(self, initials: Mapping[str, Expression]) -> list[str]:
        lines = _header("initial", "params, consts", "The states at the start; None where the caller must say.")
        steps = program(initials.values(), self.definitions)
        names, printer = self._scope()
        lines += self._unpack(steps, ("params", "consts"))
        lines += self._steps(steps.steps, names, printer)
        written = dict(zip(initials, (printer.text(r) for r in steps.results), strict=True))
        parts = [written.get(state.name, "None") for state in self.model.states]
        return [*lines, *_returned(parts)]

    def _rhs(self) -> list[str]:
        lines = _header("rhs", "t, states, params, consts", "dx/dt of each state.")
        equations = self.model.equations
        steps = program((e.value for e in equations), self.definitions)
        names, printer = self._scope()
        lines += self._unpack(steps, ("states", "params", "consts"))
        slopes, done = [], 0
        for equation, result, before in zip(equations, steps.results, steps.before, strict=True):
            lines += self._steps(steps.steps[done:before], names, printer)
            done = before
            lines += self._source_line(equation.span)
            slopes.append(names.fresh("d" + self.identifiers[equation.state.name]))
            lines += wrapped(f"{slopes[-1]} = ", printer.text(result))
        return [*lines, *_returned(slopes)]

    def _tuple_function(self, name: str, text: str, results: list[Expression]) -> list[str]:
        lines = _header(name, "t, states, params, consts", text)
        steps = program(results, self.definitions)
        names, printer = self._scope()
        lines += self._unpack(steps, ("states", "params", "consts"))
        lines += self._steps(steps.steps, names, printer)
        return [*lines, *_returned([printer.text(result) for result in steps.results])]

    def _sparse(
        self, name: str, text: str, entries: Mapping[object, Expression], arguments: str = "t, states, params, consts"
    ) -> list[str]:
        lines = _header(name, arguments, text)
        if not entries:
            return [*lines, "        return {}"]
        steps = program(entries.values(), self.definitions)
        names, printer = self._scope()
        lines += self._unpack(steps, tuple(arguments.removeprefix("t, ").split(", ")))
        lines += self._steps(steps.steps, names, printer, comments=False)
        lines.append("        return {")
        for key, result in zip(entries, steps.results, strict=True):
            written = quoted(key) if isinstance(key, str) else f"({', '.join(map(quoted, key))})"  # type: ignore[arg-type]
            lines += wrapped(f"{written}: ", printer.text(result), ",", indent=12)
        return [*lines, "        }"]

    def _scope(self) -> tuple[Identifiers, Printer]:
        return self.identifiers.copy(), Printer(self.symbols, self.used)

    def _unpack(self, steps: Program, arguments: tuple[str, ...]) -> list[str]:
        """`x1, x2 = states`, for the arguments that something is read from."""
        roots = [step.value for step in steps.steps] + list(steps.results)
        roles = {node.role for node in symbols(*roots)}
        lines = []
        for argument in arguments:
            items = {"states": self.model.states, "params": self.model.params, "consts": self.model.consts}[argument]
            if argument.removesuffix("s") in roles:
                lines += _unpacked([self.identifiers[item.name] for item in items], argument)
        return lines

    def _steps(
        self, steps: tuple[Step, ...], names: Identifiers, printer: Printer, comments: bool = True
    ) -> list[str]:
        lines = []
        for step in steps:
            if step.definition is None:
                printer.names[step.name] = names.fresh(f"w{int(str(step.name.value)) + 1}")
            elif comments:
                lines += self._source_line(step.definition.span)
            lines += wrapped(f"{printer.names[step.name]} = ", printer.text(step.value))
        return lines

    def _source_line(self, span: Span | None) -> list[str]:
        return [] if span is None else [f"        # {one_line(self.model.source.excerpt(span))}"]


def _outputs(model: Model) -> list[tuple[str, str, str]]:
    """(name, kind, description): what is observed first, in the order of the text; a state is no output of its own."""
    observed = dict.fromkeys(observe.name for observe in model.observes)
    known = {definition.name: definition for definition in model.intermediates}
    descriptions = {observe.name: observe.description for observe in model.observes}
    rows = [(n, "observe", descriptions[n] or known[n].description) for n in observed if n in known]
    return rows + [(d.name, "intermediate", d.description) for d in model.intermediates if d.name not in observed]


def _param(param: Param) -> str:
    parts = [quoted(param.name), repr(param.value)]
    parts += [f"{key}={value!r}" for key, value in (("lower", param.lower), ("upper", param.upper)) if math.isfinite(value)]
    parts += [f"{flag}=True" for flag in ("log", "per_experiment") if getattr(param, flag)]
    return _call("Param", ", ".join(parts), param.description)


def _call(kind: str, arguments: str, description: str) -> str:
    return f"{kind}({arguments}, description={quoted(description)})" if description else f"{kind}({arguments})"


def _tuple(name: str, items: list[str]) -> list[str]:
    return [f"        {name}=(", *(f"            {item}," for item in items), "        ),"] if items else []


def _as_float(value: Expression, printer: Printer) -> str:
    return repr(float(value.value)) if is_number(value) else printer.text(value)  # type: ignore[arg-type]


def _header(name: str, arguments: str, text: str) -> list[str]:
    return ["    @staticmethod", f"    def {name}({arguments}):", f'        """{text}"""']


def _unpacked(names: list[str], argument: str) -> list[str]:
    if len(names) == 1:
        return [f"        ({names[0]},) = {argument}"]
    lines = wrapped("", ", ".join(names), f" = {argument}")
    return lines


def _returned(parts: list[str]) -> list[str]:
    if len(parts) == 1:
        return wrapped("return ", f"({parts[0]},)")
    if not parts:
        return ["        return ()"]
    return wrapped("return ", ", ".join(parts))


def _import(module: str, names: list[str]) -> list[str]:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        return [line]
    return [f"from {module} import (", *(f"    {name}," for name in names), ")"]


def _import_order(name: str) -> tuple[bool, str]:
    return name[0].islower(), name


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


def _file_name(model: Model) -> str:
    return model.source.name.replace("\\", "/").rsplit("/", 1)[-1]
