"""A model as text in the language itself, as it is after the passes: what `odec show` prints.

The text is a model file again, unless a pass put a safe form into it that the language has no name for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from odec.emit.python import Printer
from odec.functions import FUNCTIONS, INTERNAL_FUNCTIONS
from odec.model.expression import Expression
from odec.model.model import Jump, Model, Net, Observe, Param
from odec.passes.derivatives import Derivatives

_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(5)
_ARRAY_FUNCTIONS = {"largest": "max", "smallest": "min"} | {name: name for name in ("sum", "mean", "roll", "range")}


class LanguagePrinter(Printer):
    """Formulas in the language itself. What only the compiler writes keeps its internal name."""

    def __init__(self) -> None:
        super().__init__({}, set())

    def _text(self, node: Expression) -> tuple[str, int]:
        match node.head:
            case "symbol":
                return str(node.value), _ATOM
            case "if":
                return self._plain_call("if", node.args), _ATOM
            case "and" | "or":
                return f" {node.head} ".join(self._at_least(argument, _SUM - 1) for argument in node.args), _SUM - 2
            case "not":
                return f"not {self._at_least(node.args[0], _ATOM)}", _SUM - 2
            case "multiply" | "divide":
                text, binding = super()._text(node)
                return text.replace(" * ", "*").replace(" / ", "/"), binding
            case "matmul":
                return f"{self._at_least(node.args[0], _PRODUCT)} @ {self._at_least(node.args[1], _SIGN)}", _PRODUCT
            case "net":
                return self._plain_call(str(node.value), node.args), _ATOM
            case "array":
                return f"[{', '.join(self.text(item) for item in node.args)}]", _ATOM
        if node.head in FUNCTIONS or node.head in INTERNAL_FUNCTIONS or node.head in _ARRAY_FUNCTIONS:
            return self._plain_call(_ARRAY_FUNCTIONS.get(node.head, node.head), node.args), _ATOM
        return super()._text(node)

    def whole(self, node: Expression) -> str:
        """An index, as it is."""
        return self.text(node)

    def _power(self, node: Expression) -> tuple[str, int]:
        base, exponent = node.args
        return f"{self._at_least(base, _ATOM)}^{self._at_least(exponent, _ATOM)}", _POWER

    def _plain_call(self, name: str, arguments: Iterable[Expression]) -> str:
        return f"{name}({', '.join(self.text(argument) for argument in arguments)})"


def listing(model: Model, derivatives: Derivatives | None = None) -> str:
    """The statements of a model, a kind after the other, and behind them its derivatives where they are given."""
    kinds = (_declarations, _definitions, _equations, _observes, _jumps, _solve)
    blocks = [block for kind in kinds if (block := "\n".join(kind(model)))]
    if model.description:
        blocks.insert(0, "\n".join(f"## {line}".rstrip() for line in model.description.splitlines()))
    if derivatives is not None:
        blocks.append("\n".join(_derivatives(derivatives)))
    return "\n\n".join(blocks) + "\n"


def _text(formula: Expression) -> str:
    return LanguagePrinter().text(formula)


def _declarations(model: Model) -> Iterator[str]:
    for size in model.sizes:
        yield _commented(f"size {size.name} = {size.value}", size.description)
    for const in model.consts:
        yield _commented(f"const {const.name}{_shape(const.written_shape)} = {_text(const.value)}", const.description)
    for param in model.own_params:
        yield _commented(f"param {_param(param)}", param.description)
    layers = [layer for net in model.nets for layer in net.layers if layer.is_own]
    yield from dict.fromkeys(f"{layer.activation}({layer.argument}) = {_text(layer.formula)}" for layer in layers)
    for net in model.nets:
        yield _commented(f"net {_net(net)}", net.description)
    for name in model.data:
        yield f"data {name}"
    for signal in model.inputs:
        written = f"input {signal.name}{_shape(signal.written_shape)} {signal.interpolation}"
        yield _commented(written, signal.description)
    for state in model.states:
        value = "" if state.initial is None else f" = {_text(state.initial)}"
        yield _commented(f"state {state.name}{_shape(state.written_shape)}{value}", state.description)


def _definitions(model: Model) -> Iterator[str]:
    observed = {observe.name for observe in model.observes if _is_defined_here(model, observe)}
    for definition in model.intermediates:
        if definition.name not in observed:
            yield _commented(f"{definition.name} = {_text(definition.value)}", definition.description)


def _equations(model: Model) -> Iterator[str]:
    for equation in model.equations:
        if equation.span is not None:
            name = f"next {equation.state.name}" if model.is_map else f"{equation.state.name}'"
            yield f"{name} = {_text(equation.value)}"


def _observes(model: Model) -> Iterator[str]:
    defined = {definition.name: definition.value for definition in model.intermediates}
    for observe in model.observes:
        own = _is_defined_here(model, observe)
        value = defined[observe.name] if own else observe.value
        if observe.noise is not None:
            arguments = ", ".join(map(_text, (value, *observe.noise.arguments)))
            written = f" ~ {observe.noise.kind}({arguments})"
        else:
            written = f" = {_text(value)}" if own else ""
        yield _commented(f"observe {observe.name}{written}", observe.description)


def _is_defined_here(model: Model, observe: Observe) -> bool:
    """Whether the output's formula is that of its own statement, rather than of a state or an intermediate."""
    return any(d.name == observe.name and d.span == observe.span for d in model.intermediates)


def _jumps(model: Model) -> Iterator[str]:
    for jump in model.jumps:
        changes = ", ".join(f"{state.name} = {_text(value)}" for state, value in jump.changes)
        yield f"{_moment(jump)}: {changes}"


def _moment(jump: Jump) -> str:
    if jump.kind == "when":
        assert jump.condition is not None
        return f"when {_text(jump.condition)}"
    if jump.kind == "at":
        return f"at {', '.join(_text(time) for time in jump.times if time is not None)}"
    words = zip(("every", "from", "to"), jump.times, strict=True)
    return " ".join(f"{word} {_text(time)}" for word, time in words if time is not None)


def _solve(model: Model) -> Iterator[str]:
    solve = model.solve
    options = [f"{word} {_number(value)}" for word, value in (("step", solve.step), ("every", solve.every)) if value]
    options += [f"method {solve.method}"] if solve.method else []
    stop = "" if solve.stop is None else f" to {_number(solve.stop)}"
    if stop or options or solve.start:
        yield ", ".join([f"solve from {_number(solve.start)}{stop}", *options])


def _param(param: Param) -> str:
    text = f"{param.name}{_shape(param.written_shape)} = {_guess(param.value)}"
    if math.isfinite(param.lower) or math.isfinite(param.upper):
        text += f" in [{_number(param.lower)}, {_number(param.upper)}]"
    text += " log" if param.log else ""
    if param.prior is not None:
        text += f" ~ {param.prior.kind}({', '.join(map(_number, param.prior.arguments))})"
    return text + (" per experiment" if param.per_experiment else "")


def _net(net: Net) -> str:
    inputs = ", ".join(item.name + _shape(item.written_shape) for item in net.inputs)
    if net.is_given:
        return f"{net.name}({inputs}) -> {_text(net.units)}"
    layers = (
        _text(layer.units) + ("" if layer.activation == "linear" else f", {layer.activation}") for layer in net.layers
    )
    return f"{net.name}({inputs}) = {', '.join(f'dense({layer})' for layer in layers)}"


def _guess(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_guess, value))}]"
    return f"{value}()" if isinstance(value, str) else _number(value)  # type: ignore[arg-type]


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _shape(written: tuple[Expression, ...]) -> str:
    return f"[{', '.join(map(_text, written))}]" if written else ""


def _commented(statement: str, description: str) -> str:
    return f"{statement}  # {' '.join(description.split())}" if description else statement


def _derivatives(derivatives: Derivatives) -> Iterator[str]:
    if not derivatives.complete:
        yield "# the derivatives are too many to be written out"
        return
    for entries, mark in (
        (derivatives.rhs_x, "'"),
        (derivatives.rhs_p, "'"),
        (derivatives.outputs_x, ""),
        (derivatives.outputs_p, ""),
    ):
        for (row, column), value in entries.items():
            yield f"# ∂{row}{mark}/∂{column} = {_text(value)}"
    for name, value in derivatives.rhs_t.items():
        yield f"# ∂{name}'/∂t = {_text(value)}"
