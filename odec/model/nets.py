"""Networks in the text: what is wrong with one, its weights as params, and what its layers make of their inputs.

    net g(x, y) = dense(16, tanh), dense(1)     →   tanh([x, y] @ g_0_kernel + g_0_bias) @ g_1_kernel + g_1_bias
    net g(x, y) -> 1                                a Keras model that is handed over when the layer is made

In formulas a call of a net is one node until `odec.passes.nets` writes its layers out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

from odec.diagnostics import Diagnostic, nearest
from odec.functions import FUNCTIONS
from odec.model.expression import (
    Expression,
    Shape,
    add,
    call,
    divide,
    is_number,
    multiply,
    net,
    number,
    shape_text,
    symbol,
)
from odec.model.lower import Lowering
from odec.model.model import Dense, Net, NetInput, Param
from odec.model.names import Names
from odec.syntax import tree

LAYER = "dense"
# What the functions of the language lack.
_MORE_ACTIVATIONS: dict[str, Callable[[Expression], Expression]] = {
    "linear": lambda x: x,
    "swish": lambda x: multiply(x, call("sigmoid", x)),
    "silu": lambda x: multiply(x, call("sigmoid", x)),
    "gelu": lambda x: multiply(divide(x, number(2)), add(number(1), call("erf", divide(x, number(math.sqrt(2)))))),
}
_ACTIVATIONS = (*_MORE_ACTIVATIONS, *(name for name, row in FUNCTIONS.items() if row.takes(1) and row.most is not None))
_USUAL = "tanh, sigmoid, softplus, relu, swish, gelu, sin or linear"


def weight_names(statement: tree.Net) -> tuple[str, ...]:
    """The names of its weights: `g_0_kernel`, `g_0_bias`, … A net that is handed over brings its own."""
    parts = ("kernel", "bias")
    return tuple(f"{statement.name}_{place}_{part}" for place in range(len(statement.layers)) for part in parts)


def faults_of_nets(names: Names) -> Iterator[Diagnostic]:
    """What is wrong with the nets of a file, beside names and numbers in their shapes."""
    for statement in names.file.statements:
        if isinstance(statement, tree.Net):
            yield from _faults_of_names(names, statement)
            for layer in statement.layers:
                yield from _faults_of_layer(names, layer)


def _faults_of_names(names: Names, statement: tree.Net) -> Iterator[Diagnostic]:
    error = names.source.error
    if not statement.inputs:
        cure = f"write `net {statement.name}(x) = …`"
        yield error("E0211", f"the net `{statement.name}` has no inputs", statement.name.span, cure)
    known: set[str] = set()
    for item in statement.inputs:
        if item.name.name in known:
            message = f"two inputs of `{statement.name}` are called `{item.name}`"
            yield error("E0202", message, item.name.span, "give one of them another name")
        known.add(item.name.name)
        if len(item.shape) > 1:
            message = f"an input of a net is a number or a vector, and `{item.name}` has {len(item.shape)} dimensions"
            yield error("E0301", message, item.name.span, f"write `{item.name}[N]`")
    for name in weight_names(statement):
        if name in names.table:
            what = f"`{name}` is a weight of the net `{statement.name}` too"
            yield error("E0202", what, names.table[name].span, "give it another name")


def _faults_of_layer(names: Names, layer: tree.Dense) -> Iterator[Diagnostic]:
    if layer.kind.name != LAYER:
        message = f"`{layer.kind}` is no layer: a net is made of `dense(units, activation)`"
        cure = "a Keras model of other layers is handed over: `net g(x) -> 1`"
        yield names.source.error("E0214", message, layer.kind.span, nearest(layer.kind.name, [LAYER]) or cure)
    if layer.activation is None or layer.activation.name in _ACTIVATIONS:
        return
    name, own = layer.activation.name, _own_function(names, layer.activation.name)
    if own is None:
        cure = nearest(name, _ACTIVATIONS) or f"write {_USUAL}, or define it: `{name}(x) = …`"
        yield names.source.error("E0407", f"`{name}` is no activation", layer.activation.span, cure)
    elif len(own.parameters) != 1:
        message = f"an activation takes 1 argument, and `{name}` takes {len(own.parameters)}"
        yield names.source.error("E0407", message, layer.activation.span, f"write {_USUAL}")


def _own_function(names: Names, name: str) -> tree.Function | None:
    named = names.table.get(name)
    return named.statement if named is not None and isinstance(named.statement, tree.Function) else None


# The model's net


def net_of(statement: tree.Net, names: Names, lowering: Lowering) -> Net:
    """The net of a statement without faults of its own."""

    def whole(node: tree.Expression) -> tuple[int, Expression]:
        formula = lowering.number(node)
        return lowering.whole(node, formula, least=1), formula

    name, inputs = statement.name.name, []
    for item in statement.inputs:
        lengths = [whole(length) for length in item.shape]
        inputs.append(NetInput(item.name.name, tuple(n for n, _ in lengths), tuple(formula for _, formula in lengths)))
    if statement.outputs is not None:
        width, units = whole(statement.outputs)
        return Net(name, tuple(inputs), (), _outputs(width, units), units, statement.span, statement.comment)
    before = sum(math.prod(item.shape) for item in inputs)
    # What the inputs of the first layer are, in terms of the sizes.
    written = add(*(item.written_shape[0] if item.shape else number(1) for item in inputs))
    weights, layers = iter(weight_names(statement)), []
    for place, layer in enumerate(statement.layers):
        width, units = whole(layer.units)
        # Small at first, so that the model begins as it is without the net.
        guess = "small_normal" if place == len(statement.layers) - 1 else "glorot_normal"
        weight = partial(Param, span=statement.name.span, description=f"weights of the net {name}")
        kernel = weight(next(weights), guess, shape=(before, width), written_shape=(written, units))
        bias = weight(next(weights), 0.0, shape=(width,), written_shape=(units,))
        activation = "linear" if layer.activation is None else layer.activation.name
        own = _own_function(names, activation)
        argument = symbol("x" if own is None else own.parameters[0].name, "argument", (width,))
        formula = _activated(activation, argument, own, lowering)
        layers.append(Dense(kernel, bias, units, activation, argument, formula, own is not None))
        before, written = width, units
    outputs = _outputs(before, written)
    return Net(name, tuple(inputs), tuple(layers), outputs, written, statement.span, statement.comment)


def _outputs(width: int, units: Expression) -> Shape:
    """One output that is written as `1` is a number; one that a size says is a vector like any other."""
    return () if is_number(units, 1) else (width,)


def _activated(name: str, argument: Expression, own: tree.Function | None, lowering: Lowering) -> Expression:
    if own is not None:
        return lowering.number(own.value, {own.parameters[0].name: argument})
    if name in _MORE_ACTIVATIONS:
        return _MORE_ACTIVATIONS[name](argument)
    return call("log" if name == "ln" else name, argument)


def called(found: Net, node: tree.Call, arguments: list[Expression], names: Names) -> Expression | Diagnostic:
    """The call of a net, or what is wrong with the shapes of its arguments."""
    for item, written, argument in zip(found.inputs, node.arguments, arguments, strict=True):
        if item.shape != argument.shape:
            given = names.source.excerpt(written.span)
            message = f"the input `{item.name}` of `{found.name}` is {shape_text(item.shape)}, and `{given}` is "
            declared = item.name + (f"[{argument.shape[0]}]" if argument.shape else "")
            cure = f"declare `net {found.name}({declared}) …`, or give what it takes"
            return names.source.error("E0301", message + shape_text(argument.shape), written.span, cure)
    return net(found.name, tuple(arguments), found.outputs)
