"""A model with its meaning: what the passes change and the emitter writes. Frozen; the order is that of the text."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from odec.diagnostics import Span
from odec.model.expression import Expression, Shape, postorder, symbol, symbols
from odec.source import Source


@dataclass(frozen=True)
class State:
    """`name` is as the user writes it, `x'` for a slope; `initial` is None where the caller must give the value."""

    name: str
    initial: Expression | None
    span: Span
    description: str = ""
    shape: Shape = ()
    written_shape: tuple[Expression, ...] = ()

    @property
    def symbol(self) -> Expression:
        """The state in formulas."""
        return symbol(self.name, "state", self.shape)


@dataclass(frozen=True)
class Prior:
    """What is believed of a parameter before the data: a distribution of the language and its numbers."""

    kind: str
    arguments: tuple[float, ...]


@dataclass(frozen=True)
class Param:
    """A trainable parameter. The numbers are on the linear scale also where `log`. An array's `value` is nested as it
    is written, one number for all elements, or the name of a Keras initializer."""

    name: str
    value: float | str | tuple[object, ...]
    span: Span
    lower: float = -math.inf
    upper: float = math.inf
    log: bool = False
    per_experiment: bool = False
    prior: Prior | None = None
    description: str = ""
    shape: Shape = ()
    written_shape: tuple[Expression, ...] = ()

    @property
    def symbol(self) -> Expression:
        """The param in formulas."""
        return symbol(self.name, "param", self.shape)


@dataclass(frozen=True)
class Const:
    """A number that is never trained; `value` depends on consts that stand before it in `Model.consts`."""

    name: str
    value: Expression
    span: Span
    description: str = ""
    shape: Shape = ()
    written_shape: tuple[Expression, ...] = ()

    @property
    def symbol(self) -> Expression:
        """The const in formulas."""
        return symbol(self.name, "const", self.shape)


@dataclass(frozen=True)
class Definition:
    """An intermediate: `value` depends on intermediates that stand before it in `Model.intermediates`."""

    name: str
    value: Expression
    span: Span
    description: str = ""

    @property
    def shape(self) -> Shape:
        """That of the value."""
        return self.value.shape

    @property
    def symbol(self) -> Expression:
        """The intermediate in formulas."""
        return symbol(self.name, "intermediate", self.shape)


@dataclass(frozen=True)
class Size:
    """A whole number used in shapes; `value` is the one that is written."""

    name: str
    value: int
    description: str = ""

    @property
    def symbol(self) -> Expression:
        """The size in formulas."""
        return symbol(self.name, "size")


@dataclass(frozen=True)
class Input:
    """A signal from outside, given as a series."""

    name: str
    interpolation: Literal["linear", "hold"]
    description: str = ""
    shape: Shape = ()
    written_shape: tuple[Expression, ...] = ()

    @property
    def symbol(self) -> Expression:
        """The input in formulas."""
        return symbol(self.name, "input", self.shape)


@dataclass(frozen=True)
class NetInput:
    """What a net takes: a number or a vector."""

    name: str
    shape: Shape = ()
    written_shape: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class Dense:
    """A layer of a net: activated(inputs @ kernel + bias), of `units` numbers. `formula` is the activation in terms of
    the symbol `argument`, `activation` its name; `is_own` says that it is a function of the text."""

    kernel: Param
    bias: Param
    units: Expression
    activation: str
    argument: Expression
    formula: Expression
    is_own: bool = False


@dataclass(frozen=True)
class Net:
    """A trainable function. Without layers it is a Keras model that is handed over when the layer is made; it takes
    the last places among the params, in the order of the text. `outputs` is () for a number; `units` is how many there
    are, as it is written."""

    name: str
    inputs: tuple[NetInput, ...]
    layers: tuple[Dense, ...]
    outputs: Shape
    units: Expression
    span: Span
    description: str = ""

    @property
    def symbol(self) -> Expression:
        """The net that is handed over, in formulas."""
        return symbol(self.name, "net")

    @property
    def is_given(self) -> bool:
        """Whether it is handed over."""
        return not self.layers

    @property
    def weights(self) -> tuple[Param, ...]:
        """What is trained of its layers."""
        return tuple(weight for layer in self.layers for weight in (layer.kernel, layer.bias))


# What has a name, and a symbol in formulas.
Named = State | Param | Const | Size | Input | Definition | Net
# What may be an array of a declared shape.
Shaped = State | Param | Const | Input


@dataclass(frozen=True)
class Jump:
    """A change of states at a moment: `times` of an `at`; period, start and stop (the last two may be None) of an
    `every`; `condition` of a `when`. `changes` are (state, new value), all in terms of the values before the jump."""

    kind: Literal["at", "every", "when"]
    changes: tuple[tuple[State, Expression], ...]
    span: Span
    times: tuple[Expression | None, ...] = ()
    condition: Expression | None = None

    @property
    def formulas(self) -> tuple[Expression, ...]:
        """What it changes states to, and when."""
        moments = (*self.times, self.condition)
        return (*(value for _, value in self.changes), *(moment for moment in moments if moment is not None))


@dataclass(frozen=True)
class Equation:
    """The derivative of a state (its next value in a map); `span` is None where no line of the text says it (the slope
    of a second-order state)."""

    state: State
    value: Expression
    span: Span | None


@dataclass(frozen=True)
class Noise:
    """How data scatter about an output: a distribution of the language, and its arguments behind the first."""

    kind: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True)
class Observe:
    """An output that data may name, `value` its name in formulas."""

    name: str
    value: Expression
    span: Span
    description: str = ""
    noise: Noise | None = None


@dataclass(frozen=True)
class Solve:
    """The numbers of the `solve` statement; None where it says nothing."""

    start: float = 0.0
    stop: float | None = None
    step: float | None = None
    every: float | None = None
    method: str | None = None


@dataclass(frozen=True)
class Model:
    """A system of first-order equations. Equations stand in the order of the states."""

    source: Source
    description: str
    states: tuple[State, ...]
    params: tuple[Param, ...]
    consts: tuple[Const, ...]
    intermediates: tuple[Definition, ...]
    equations: tuple[Equation, ...]
    observes: tuple[Observe, ...]
    solve: Solve = field(default_factory=Solve)
    sizes: tuple[Size, ...] = ()
    inputs: tuple[Input, ...] = ()
    jumps: tuple[Jump, ...] = ()
    data: tuple[str, ...] = ()
    is_map: bool = False
    nets: tuple[Net, ...] = ()

    def __post_init__(self) -> None:
        assert tuple(equation.state for equation in self.equations) == self.states

    @property
    def formulas(self) -> tuple[Expression, ...]:
        """Every formula of the model."""
        return (
            *(const.value for const in self.consts),
            *(state.initial for state in self.states if state.initial is not None),
            *(definition.value for definition in self.intermediates),
            *(equation.value for equation in self.equations),
            *(observe.value for observe in self.observes),
        )

    @property
    def noise_params(self) -> frozenset[str]:
        """The params on which nothing but the noise of data depends."""
        noise = (argument for observe in self.observes if observe.noise for argument in observe.noise.arguments)
        of_jumps = (formula for jump in self.jumps for formula in jump.formulas)
        moving = {node.value for node in symbols(*self.formulas, *of_jumps) if node.role == "param"}
        return frozenset(str(node.value) for node in symbols(*noise) if node.role == "param") - moving

    @property
    def given_nets(self) -> tuple[Net, ...]:
        """The nets that are handed over."""
        return tuple(net for net in self.nets if net.is_given)

    @property
    def own_params(self) -> tuple[Param, ...]:
        """The params that the text declares: those that are no weights of a net."""
        weights = {weight.name for net in self.nets for weight in net.weights}
        return tuple(param for param in self.params if param.name not in weights)

    @property
    def has_arrays(self) -> bool:
        """Whether any formula is of arrays: derivatives are then written as directional ones."""
        return any(node.shape for node in postorder(self.formulas))
