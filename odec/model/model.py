"""A model with its meaning: what the passes change and the emitter writes. Frozen; the order is always that of the text."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from odec.diagnostics import Span
from odec.model.expression import Expression, symbol
from odec.source import Source


@dataclass(frozen=True)
class State:
    """`name` is as the user writes it, `x'` for a slope; `initial` is None where the caller must give the value."""

    name: str
    initial: Expression | None
    span: Span
    description: str = ""

    @property
    def symbol(self) -> Expression:
        """The state in formulas."""
        return symbol(self.name, "state")


@dataclass(frozen=True)
class Param:
    """A trainable parameter. The numbers are on the linear scale also where `log`."""

    name: str
    value: float
    span: Span
    lower: float = -math.inf
    upper: float = math.inf
    log: bool = False
    per_experiment: bool = False
    description: str = ""

    @property
    def symbol(self) -> Expression:
        """The param in formulas."""
        return symbol(self.name, "param")


@dataclass(frozen=True)
class Const:
    """A number that is never trained; `value` depends on consts that stand before it in `Model.consts`."""

    name: str
    value: Expression
    span: Span
    description: str = ""

    @property
    def symbol(self) -> Expression:
        """The const in formulas."""
        return symbol(self.name, "const")


@dataclass(frozen=True)
class Definition:
    """An intermediate: `value` depends on intermediates that stand before it in `Model.intermediates`."""

    name: str
    value: Expression
    span: Span
    description: str = ""

    @property
    def symbol(self) -> Expression:
        """The intermediate in formulas."""
        return symbol(self.name, "intermediate")


@dataclass(frozen=True)
class Equation:
    """The derivative of a state; `span` is None where no line of the text says it (the slope of a second-order state)."""

    state: State
    value: Expression
    span: Span | None


@dataclass(frozen=True)
class Observe:
    """An output that data may name."""

    name: str
    value: Expression
    span: Span
    description: str = ""


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
