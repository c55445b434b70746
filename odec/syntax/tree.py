"""What was written, statement by statement, with places: no meaning yet, and nothing of Lark or of the algebra.

Chains of one precedence are flat (a sum of 10,000 terms is one `Sum`), so a tree is only as deep as brackets,
powers and signs are nested, and that depth is bounded by the parser.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from odec.diagnostics import Span


@dataclass(frozen=True, slots=True)
class Node:
    """Anything that stands somewhere in the text."""

    span: Span


# Expressions


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A literal; `value` is what it means (an int only where it was written as one)."""

    text: str
    value: int | float


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A name, normalised to NFKC; `order` counts the primes behind it (`x''` has order 2)."""

    name: str
    order: int = 0

    def __str__(self) -> str:
        return self.name + "'" * self.order


@dataclass(frozen=True, slots=True)
class Negative(Node):
    """`-operand`."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Sum(Node):
    """`a - b + c`: a sign (+1 or -1) for each term; the first is +1."""

    signs: tuple[int, ...]
    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Product(Node):
    """`a * b / c @ d`, left to right: an operator in front of each factor but the first."""

    operators: tuple[Literal["*", "/", "@"], ...]
    factors: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Power(Node):
    """`base ^ exponent`."""

    base: Expression
    exponent: Expression


@dataclass(frozen=True, slots=True)
class Comparison(Node):
    """`a < b <= c`: true where each neighbouring pair compares so."""

    operators: tuple[Literal["<", "<=", ">", ">=", "==", "!="], ...]
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Logical(Node):
    """`a and b and c`, `a or b`."""

    operator: Literal["and", "or"]
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not(Node):
    """`not operand`."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`function(arguments)`; what the function is, is decided later."""

    function: Name
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Slice(Node):
    """`start:stop` inside an index; either may be missing."""

    start: Expression | None
    stop: Expression | None


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`base[i, 1:3]`."""

    base: Expression
    items: tuple[Expression | Slice, ...]


@dataclass(frozen=True, slots=True)
class Array(Node):
    """`[1, 2, 3]`; nested for a matrix."""

    items: tuple[Expression, ...]


Expression = Number | Name | Negative | Sum | Product | Power | Comparison | Logical | Not | Call | Index | Array


# Statements


@dataclass(frozen=True, slots=True)
class Statement(Node):
    """`comment` is the text behind `#` on the statement's own line: the description of what it names."""

    comment: str = field(default="", kw_only=True)


@dataclass(frozen=True, slots=True)
class State(Statement):
    """`state x[N] = value`; with `name.order` > 0 an initial slope."""

    name: Name
    shape: tuple[Expression, ...]
    value: Expression | None


@dataclass(frozen=True, slots=True)
class Bounds(Node):
    """`in [lower, upper]`."""

    lower: Expression
    upper: Expression


@dataclass(frozen=True, slots=True)
class Distribution(Node):
    """`~ normal(mean, sd)`."""

    kind: Name
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Param(Statement):
    """`param k[N] = value in [lower, upper] log ~ prior(…) per experiment`."""

    name: Name
    shape: tuple[Expression, ...]
    value: Expression | None
    bounds: Bounds | None = None
    log: Span | None = None
    prior: Distribution | None = None
    per_experiment: Span | None = None


@dataclass(frozen=True, slots=True)
class Const(Statement):
    """`const K[N] = value`."""

    name: Name
    shape: tuple[Expression, ...]
    value: Expression


@dataclass(frozen=True, slots=True)
class Size(Statement):
    """`size N = 40`."""

    name: Name
    value: Expression


@dataclass(frozen=True, slots=True)
class Input(Statement):
    """`input u[D] linear` or `hold`."""

    name: Name
    shape: tuple[Expression, ...]
    interpolation: Literal["linear", "hold"] = "linear"


@dataclass(frozen=True, slots=True)
class Data(Statement):
    """`data sd_y`: a number in the same row as the datum."""

    name: Name


@dataclass(frozen=True, slots=True)
class Equation(Statement):
    """A derivative that can be nothing else: `x' = …`, `x'' = …`, `dx/dt = …`, `d/dt(x) = …`.

    `target` names the state, and its `order` is that of the derivative.
    """

    target: Name
    value: Expression


@dataclass(frozen=True, slots=True)
class Assignment(Statement):
    """`name = value`: an intermediate, or, where `name` is `d` and a state, that state's derivative."""

    name: Name
    value: Expression


@dataclass(frozen=True, slots=True)
class Next(Statement):
    """`next x = value`."""

    target: Name
    value: Expression


@dataclass(frozen=True, slots=True)
class Function(Statement):
    """`f(a, b) = value`."""

    name: Name
    parameters: tuple[Name, ...]
    value: Expression


@dataclass(frozen=True, slots=True)
class NetInput(Node):
    """`x` or `x[N]` among the inputs of a net."""

    name: Name
    shape: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Dense(Node):
    """`dense(16, tanh)`: `kind` is the word in front, whether or not there is such a layer."""

    kind: Name
    units: Expression
    activation: Name | None


@dataclass(frozen=True, slots=True)
class Net(Statement):
    """`net g(x, y) = dense(16, tanh), dense(1)`, or `net g(x, y) -> 1`: no layers, and the number of outputs."""

    name: Name
    inputs: tuple[NetInput, ...]
    layers: tuple[Dense, ...]
    outputs: Expression | None = None


@dataclass(frozen=True, slots=True)
class Observe(Statement):
    """`observe y = value`, `observe y`, `observe y ~ normal(mean, sd)`."""

    name: Name
    value: Expression | None
    noise: Distribution | None = None


@dataclass(frozen=True, slots=True)
class Change(Node):
    """`x += value` in a jump; `operator` is `=`, `+=`, `-=`, `*=` or `/=`."""

    target: Name
    operator: Literal["=", "+=", "-=", "*=", "/="]
    value: Expression


@dataclass(frozen=True, slots=True)
class At(Statement):
    """`at t = 10, t2: changes`."""

    times: tuple[Expression, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Every(Statement):
    """`every period from start to stop: changes`; the last two may be missing."""

    period: Expression
    start: Expression | None
    stop: Expression | None
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class When(Statement):
    """`when condition: changes`."""

    condition: Expression
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Solve(Statement):
    """`solve from 0 to 100, step 0.1, every 1, method euler`; each may be missing."""

    start: Expression | None = None
    stop: Expression | None = None
    step: Expression | None = None
    every: Expression | None = None
    method: Name | None = None


AnyStatement = (
    State
    | Param
    | Const
    | Size
    | Input
    | Data
    | Equation
    | Assignment
    | Next
    | Function
    | Net
    | Observe
    | At
    | Every
    | When
    | Solve
)


@dataclass(frozen=True, slots=True)
class File:
    """A whole file: the `##` text above the first statement, and the statements in the order of the text.

    Several names in one statement (`state x, y`) are several statements.
    """

    description: str
    statements: tuple[AnyStatement, ...]
