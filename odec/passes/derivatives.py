"""Sparse derivatives: ∂f/∂x, ∂f/∂p, ∂f/∂t, ∂(initial)/∂p, ∂(output)/∂(x, p).

    x' = -k*x   →   ∂x'/∂x = -k,  ∂x'/∂k = -x

Each formula is differentiated once, backwards, for all its symbols (the reverse mode: the cost does not depend on how
many there are); intermediates stay symbols and are chained through afterwards, in their order, so that nothing is
written out twice. A branch of `if` is differentiated by itself and chosen by the same condition: a branch that is not
taken contributes exactly 0, whatever its own derivative is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache

from odec.functions import FUNCTIONS, INTERNAL_FUNCTIONS
from odec.model.expression import (
    ONE,
    TIME,
    ZERO,
    Expression,
    add,
    call,
    choose,
    compare,
    divide,
    is_number,
    logical,
    multiply,
    negate,
    number,
    power,
    subtract,
)
from odec.model.jumps import root_function
from odec.model.lower import Lowering
from odec.model.model import Model
from odec.model.names import Names, names_of
from odec.passes.switches import Switch, switches
from odec.source import Source
from odec.syntax import tree
from odec.syntax.parser import parse

Gradient = dict[Expression, Expression]

# Nonzero entries for each formula of the model, on average, beyond which they are not written out: a system in which
# everything depends on everything has n² of them, and a module of that length helps nobody.
MOST_ENTRIES_PER_FORMULA = 60
FEWEST_TO_COUNT = 5_000


@dataclass(frozen=True)
class Derivatives:
    """The nonzero ones, by name; `complete` is False where there were too many and none is given. `switches` are the
    times that `switches_p` is of, there in any case."""

    rhs_x: dict[tuple[str, str], Expression] = field(default_factory=dict)
    rhs_p: dict[tuple[str, str], Expression] = field(default_factory=dict)
    rhs_t: dict[str, Expression] = field(default_factory=dict)
    initial_p: dict[tuple[str, str], Expression] = field(default_factory=dict)
    outputs_x: dict[tuple[str, str], Expression] = field(default_factory=dict)
    outputs_p: dict[tuple[str, str], Expression] = field(default_factory=dict)
    jump_x: tuple[dict[tuple[str, str], Expression], ...] = ()
    jump_p: tuple[dict[tuple[str, str], Expression], ...] = ()
    jump_t: tuple[dict[str, Expression], ...] = ()
    times_p: tuple[tuple[dict[str, Expression], ...], ...] = ()
    root_x: tuple[dict[str, Expression], ...] = ()
    root_p: tuple[dict[str, Expression], ...] = ()
    root_t: tuple[Expression, ...] = ()
    switches: tuple[Switch, ...] = ()
    switches_p: tuple[tuple[dict[str, Expression], ...], ...] = ()
    complete: bool = True


def derivatives(model: Model) -> Derivatives:
    """The derivatives of a model."""
    totals = None if model.has_arrays or model.given_nets else _totals(model)
    found_switches = switches(model)
    if totals is None:
        return Derivatives(switches=found_switches, complete=False)
    rhs = {e.state.name: _total(e.value, totals) for e in model.equations}
    initial = {s.name: _total(s.initial, totals) for s in model.states if s.initial is not None}
    outputs = {o.name: _total(o.value, totals) for o in model.observes}
    outputs |= {d.name: _total(d.value, totals) for d in model.intermediates}
    return Derivatives(
        rhs_x=_entries(rhs, "state"),
        rhs_p=_entries(rhs, "param"),
        rhs_t={name: found[TIME] for name, found in rhs.items() if TIME in found},
        initial_p=_entries(initial, "param"),
        outputs_x=_entries(outputs, "state"),
        outputs_p=_entries(outputs, "param"),
        switches=found_switches,
        switches_p=tuple(
            tuple({} if part is None else _row(_total(part, totals), "param") for part in (switch.time, switch.period))
            for switch in found_switches
        ),
        **_of_jumps(model, totals),  # type: ignore[arg-type]
    )


def _of_jumps(model: Model, totals: Mapping[Expression, Gradient]) -> dict[str, object]:
    """The new values of the changed states, the times, and the root functions of the conditions."""
    changes = [{state.name: _total(value, totals) for state, value in jump.changes} for jump in model.jumps]
    times = [[_total(t, totals) if t is not None else {} for t in jump.times] for jump in model.jumps]
    roots = [_total(root_function(j.condition), totals) for j in model.jumps if j.condition is not None]
    return {
        "jump_x": tuple(_entries(found, "state") for found in changes),
        "jump_p": tuple(_entries(found, "param") for found in changes),
        "jump_t": tuple({name: g[TIME] for name, g in found.items() if TIME in g} for found in changes),
        "times_p": tuple(tuple(_row(g, "param") for g in row) for row in times),
        "root_x": tuple(_row(found, "state") for found in roots),
        "root_p": tuple(_row(found, "param") for found in roots),
        "root_t": tuple(found.get(TIME, ZERO) for found in roots),
    }


def _row(found: Gradient, role: str) -> dict[str, Expression]:
    return {str(symbol.value): value for symbol, value in found.items() if symbol.role == role}


def _entries(gradients: Mapping[str, Gradient], role: str) -> dict[tuple[str, str], Expression]:
    return {
        (row, str(symbol.value)): value
        for row, found in gradients.items()
        for symbol, value in found.items()
        if symbol.role == role
    }


def _totals(model: Model) -> dict[Expression, Gradient] | None:
    """For each intermediate its derivatives by states, params and time, through the intermediates before it."""
    totals: dict[Expression, Gradient] = {}
    most = max(FEWEST_TO_COUNT, MOST_ENTRIES_PER_FORMULA * len(model.formulas))
    count = 0
    for definition in model.intermediates:
        totals[definition.symbol] = _total(definition.value, totals)
        count += len(totals[definition.symbol])
        if count > most:
            return None
    for equation in model.equations:
        count += sum(len(totals.get(symbol, (1,))) for symbol in gradient(equation.value))
        if count > most:
            return None
    return totals


def _total(formula: Expression, totals: Mapping[Expression, Gradient]) -> Gradient:
    terms: dict[Expression, list[Expression]] = {}
    for symbol, partial in gradient(formula).items():
        if symbol.role == "intermediate":
            for base, inner in totals[symbol].items():
                terms.setdefault(base, []).append(_chained(partial, inner))
        else:
            terms.setdefault(symbol, []).append(partial)
    found = {symbol: add(*parts) for symbol, parts in terms.items()}
    return {symbol: value for symbol, value in found.items() if not is_number(value, 0)}


def _chained(partial: Expression, inner: Expression) -> Expression:
    """partial*inner, with the product inside of what `if` chooses: where the choice is 0, so is the product, also
    where the intermediate that was not chosen has no derivative (0 times infinity is no number)."""
    match partial.head:
        case "if":
            values = [ZERO if is_number(v, 0) else _chained(v, inner) for v in (*partial.args[1::2], partial.args[-1])]
            pairs = zip(partial.args[:-1:2], values, strict=False)
            return choose(*(part for pair in pairs for part in pair), values[-1])
        case "negate" if _chooses(partial.args[0]):
            return negate(_chained(partial.args[0], inner))
        case "divide" if _chooses(partial.args[0]):
            return divide(_chained(partial.args[0], inner), partial.args[1])
        case "add" if any(_chooses(term) for term in partial.args):
            return add(*(_chained(term, inner) for term in partial.args))
        case "multiply":
            place = next((i for i, factor in enumerate(partial.args) if _chooses(factor)), None)
            if place is not None:
                rest = (*partial.args[:place], *partial.args[place + 1 :])
                return _chained(partial.args[place], multiply(*rest, inner))
    return multiply(partial, inner)


def _chooses(formula: Expression) -> bool:
    """Whether a product, sum or quotient of choices stands there."""
    if formula.head == "divide":
        return _chooses(formula.args[0])
    return formula.head == "if" or (formula.head in ("negate", "add", "multiply") and any(map(_chooses, formula.args)))


def gradient(formula: Expression) -> Gradient:
    """The partial derivatives of a formula by each of its symbols; zeros are left out."""
    return _Reverse({}).of(formula)


_VARYING = ("state", "param", "time", "intermediate")


class _Reverse:
    """The reverse mode over one formula. `branches` remembers the gradients of what a choice is made from."""

    def __init__(self, branches: dict[Expression, Gradient]) -> None:
        self.branches = branches

    def of(self, formula: Expression) -> Gradient:
        adjoints: dict[Expression, list[Expression]] = {formula: [ONE]}
        found: dict[Expression, list[Expression]] = {}
        for node in reversed(self._order(formula)):
            # Contributions arrive from the end of the text.
            adjoint = add(*reversed(adjoints.pop(node, [ZERO])))
            if is_number(adjoint, 0):
                continue
            if node.head == "symbol":
                if node.role in _VARYING:
                    found.setdefault(node, []).append(adjoint)
            elif node.head in ("if", "max", "min"):
                for symbol, partial in self._chosen(node).items():
                    found.setdefault(symbol, []).append(multiply(adjoint, partial))
            else:
                for argument, partial in partials(node):
                    if argument.head != "number":
                        adjoints.setdefault(argument, []).append(multiply(adjoint, partial))
        # Symbols in the order in which they first stand.
        order = [node for node in self._order(formula) if node in found] + list(found)
        return {
            symbol: total for symbol in dict.fromkeys(order) if not is_number(total := add(*reversed(found[symbol])), 0)
        }

    @staticmethod
    def _order(formula: Expression) -> list[Expression]:
        """Arguments before what uses them, not looking into choices."""
        done: dict[Expression, None] = {}
        stack = [(formula, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                done[node] = None
            elif node not in done:
                stack.append((node, True))
                if node.head not in ("if", "max", "min"):
                    stack.extend((argument, False) for argument in reversed(node.args))
        return list(done)

    def _chosen(self, node: Expression) -> Gradient:
        conditions, values = choices(node)
        gradients = [self._branch(value) for value in values]
        symbols = dict.fromkeys(symbol for found in gradients for symbol in found)
        result = {}
        for symbol in symbols:
            parts = [found.get(symbol, ZERO) for found in gradients]
            arguments = [part for pair in zip(conditions, parts, strict=False) for part in pair]
            result[symbol] = choose(*arguments, parts[-1])
        return result

    def _branch(self, value: Expression) -> Gradient:
        if value not in self.branches:
            self.branches[value] = self.of(value)
        return self.branches[value]


def choices(node: Expression) -> tuple[list[Expression], list[Expression]]:
    """Conditions and values; one value more than conditions."""
    if node.head == "if":
        return list(node.args[:-1:2]), [*node.args[1:-1:2], node.args[-1]]
    operator = ">=" if node.head == "max" else "<="
    conditions = [
        logical("and", *(compare(operator, value, other) for other in node.args if other is not value))
        for value in node.args[:-1]
        if len(set(node.args)) > 1
    ]
    return conditions, list(node.args) if conditions else [node.args[0]]


def partials(node: Expression) -> Iterable[tuple[Expression, Expression]]:
    """Each argument with the derivative of the node by it. A comparison has none."""
    args = node.args
    match node.head:
        case "add":
            return [(argument, ONE) for argument in args]
        case "negate":
            return [(args[0], number(-1))]
        case "multiply":
            return [(a, multiply(*args[:place], *args[place + 1 :])) for place, a in enumerate(args)]
        case "divide":
            top, bottom = args
            return [(top, divide(ONE, bottom)), (bottom, negate(divide(node, bottom)))]
        case "power":
            return _power_partials(node)
    row = FUNCTIONS.get(node.head) or INTERNAL_FUNCTIONS.get(node.head)
    if row is None:
        return ()
    return [(argument, _table_derivative(row.name, place, args)) for place, argument in enumerate(args)]


def _power_partials(node: Expression) -> Iterable[tuple[Expression, Expression]]:
    base, exponent = node.args
    slope = multiply(exponent, power(base, subtract(exponent, ONE)))
    if is_number(exponent):
        # A root's slope at 0 counts 0, as that of `sqrt` does.
        is_root = 0 < exponent.value < 1  # type: ignore[operator]
        return [(base, choose(compare(">", base, ZERO), slope, ZERO) if is_root else slope)]
    # 0^p is 0 for every positive p, and log(0) has no value: the derivative by the exponent is 0 there.
    by_exponent = multiply(node, call("log", base))
    if not is_number(base):
        by_exponent = choose(compare(">", base, ZERO), by_exponent, ZERO)
    elif base.value <= 0:  # type: ignore[operator]
        by_exponent = ZERO
    return [(base, slope), (exponent, by_exponent)]


def _table_derivative(name: str, place: int, arguments: tuple[Expression, ...]) -> Expression:
    row = FUNCTIONS.get(name) or INTERNAL_FUNCTIONS[name]
    if name == "x_over_expm1":
        return call("x_over_expm1_slope", *arguments)
    if name == "x_over_expm1_slope":
        return _curvature_of_x_over_expm1(*arguments)
    names, body = _written(row.derivatives[place])
    return Lowering(names).number(body, dict(zip(row.parameters, arguments, strict=True)))


# The second derivative of x/(exp(x) - 1) = Σ B_k x^k/k! is Σ B_k x^(k - 2)/(k - 2)!: numbers for x^0, x^2, …, x^10.
_CURVATURE = (1 / 6, -1 / 60, 1 / 1008, -1 / 21600, 1 / 532224, -691 / 9906624000)


def _curvature_of_x_over_expm1(x: Expression) -> Expression:
    """f'' = -f(-x)/x*(f(x) + 2*f'(x)), from (exp(x) - 1)*f = x differentiated twice; the series where that is 0/0.

    For |x| < 0.3 what follows the series is below 2e-15.
    """
    near = compare("<", call("abs", x), number(0.3))
    square = power(x, number(2))
    series = number(_CURVATURE[-1])
    for coefficient in reversed(_CURVATURE[:-1]):
        series = add(multiply(series, square), number(coefficient))
    ratio = divide(call("x_over_expm1", negate(x)), choose(near, ONE, x))
    slopes = add(call("x_over_expm1", x), multiply(number(2), call("x_over_expm1_slope", x)))
    return choose(near, series, negate(multiply(ratio, slopes)))


@cache
def _written(text: str) -> tuple[Names, tree.Expression]:
    source = Source.from_text(f"derivative = {text}", "functions.py")
    file = parse(source)
    statement = file.statements[0]
    assert isinstance(statement, tree.Assignment)
    return names_of(source, file), statement.value
