"""From what was written to formulas: a tree's expression with its names looked up and its functions expanded."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from odec.diagnostics import Diagnostic
from odec.model.expression import (
    MISSING,
    ONE,
    TIME,
    ZERO,
    Expression,
    Shape,
    ShapeError,
    add,
    broadcast,
    call,
    choose,
    compare,
    counted,
    cut,
    divide,
    evaluate,
    index,
    largest,
    logical,
    matmul,
    mean,
    multiply,
    negate,
    number,
    power,
    roll,
    shape_text,
    smallest,
    stacked,
    symbol,
    symbols,
    total,
    undefined,
)
from odec.model.names import Names
from odec.model.walk import children
from odec.syntax import tree

# Expanding functions in functions can double a formula at each level; beyond this it is refused.
MOST_EXPANSIONS = 200_000
DEEPEST_CALLS = 150

_ROLES = {"state": "state", "param": "param", "const": "const", "size": "size", "input": "input", "data": "data"}


class Lowering:
    """Lowers the expressions of one file. Faults are collected in `errors`; a faulty formula is then 0.

    `shapes` holds the shape of each array, `sizes` the value of each size symbol, `nets` what a call of each net is;
    they are filled by the builder.
    """

    def __init__(self, names: Names) -> None:
        self.names = names
        self.errors: list[Diagnostic] = []
        self.shapes: dict[str, Shape] = {}
        self.sizes: dict[Expression, float] = {}
        self.nets: dict[str, Callable[[tree.Call, list[Expression]], Expression | Diagnostic]] = {}
        self._expansions = 0
        self._calls: list[tree.Node] = []

    def number(self, node: tree.Node, values: Mapping[str, Expression] | None = None) -> Expression:
        """The formula of an expression; a condition counts 1 or 0."""
        formula = self._lower(node, values or {})
        return choose(formula, ONE, ZERO) if formula.is_condition else formula

    def single(self, node: tree.Node, what: str, cure: str) -> Expression:
        """The formula of an expression that must be one number; E0301 for an array."""
        formula = self.number(node)
        if formula.shape:
            message = f"{what} is one number, and `{self._excerpt(node)}` is {shape_text(formula.shape)}"
            self._report("E0301", message, node, cure)
            return ZERO
        return formula

    def condition(self, node: tree.Node, values: Mapping[str, Expression] | None = None) -> Expression:
        """The formula of a condition."""
        return self._lower(node, values or {})

    def _lower(self, node: tree.Node, values: Mapping[str, Expression]) -> Expression:
        try:
            return self._defined(self._plain(node, values), node)
        except ShapeError as error:
            self._report("E0301", self._misfit(node, values) or str(error), node, _cure(node))
            return ZERO

    def _defined(self, formula: Expression, node: tree.Node) -> Expression:
        """The formula, or 0 where it is one like `1/0`, which is then reported."""
        why = undefined(formula)
        if why:
            self._report("E0405", f"`{self._excerpt(node)}` {why}", node, "change the numbers")
        return ZERO if why else formula

    def _misfit(self, node: tree.Node, values: Mapping[str, Expression]) -> str:
        """The two neighbouring parts of a formula that do not fit, in the user's words; "" where there are none."""
        known = len(self.errors)
        parts = [part for part in children(node) if not isinstance(part, tree.Slice)]
        shapes = [self.number(part, values).shape for part in parts]
        del self.errors[known:]
        matrix = isinstance(node, tree.Product) and "@" in node.operators
        for left, right, a, b in zip(parts, parts[1:], shapes, shapes[1:], strict=False):
            if (matrix and (not a or not b or a[-1] != b[0])) or (not matrix and not _fit(a, b)):
                one, other = (
                    f"`{self._excerpt(part)}` is {shape_text(shape)}" for part, shape in ((left, a), (right, b))
                )
                return f"shapes do not fit: {one}, and {other}"
        return ""

    def _plain(self, node: tree.Node, values: Mapping[str, Expression]) -> Expression:
        match node:
            case tree.Number():
                return number(self._finite(node))
            case tree.Name():
                return self._name(node, values)
            case tree.Negative():
                return negate(self.number(node.operand, values))
            case tree.Sum():
                terms = [self.number(term, values) for term in node.terms]
                return add(*(t if sign > 0 else negate(t) for sign, t in zip(node.signs, terms, strict=True)))
            case tree.Product():
                return self._product(node, values)
            case tree.Power():
                return power(self.number(node.base, values), self.number(node.exponent, values))
            case tree.Comparison():
                return self._comparison(node, values)
            case tree.Logical():
                return logical(node.operator, *(self._lower(operand, values) for operand in node.operands))
            case tree.Not():
                return logical("not", self._lower(node.operand, values))
            case tree.Call():
                return self._call(node, values)
            case tree.Array():
                return stacked(tuple(self.number(item, values) for item in node.items))
            case tree.Index():
                return self._index(node, values)
        raise AssertionError(node)

    def _finite(self, node: tree.Number) -> int | float:
        if isinstance(node.value, float) and not math.isfinite(node.value):
            self._report("E0405", f"`{node.text}` is too large for a number", node, "the largest is about 1.8e308")
            return 0
        if isinstance(node.value, int) and node.value.bit_length() > 1023:
            self._report("E0405", "the number is too large", node, "the largest is about 1.8e308")
            return 0
        return node.value

    def _name(self, node: tree.Name, values: Mapping[str, Expression]) -> Expression:
        name = str(node)
        if name in values:
            return values[name]
        if name == "t":
            return TIME
        if name == "pi":
            return number(math.pi)
        if name == "inf":
            self._report("E0405", "`inf` may stand in bounds only", node, "write a large number, such as 1e300")
            return ZERO
        return symbol(name, _ROLES.get(self.names.kind(node.name), "intermediate"), self.shapes.get(name, ()))

    def _product(self, node: tree.Product, values: Mapping[str, Expression]) -> Expression:
        result = self.number(node.factors[0], values)
        run = [result]
        for operator, factor in zip(node.operators, node.factors[1:], strict=True):
            following = self.number(factor, values)
            if operator == "*":
                run.append(following)
            elif operator == "/":
                run = [self._defined(divide(multiply(*run), following), node)]
            else:
                run = [matmul(multiply(*run), following)]
        return multiply(*run)

    def _comparison(self, node: tree.Comparison, values: Mapping[str, Expression]) -> Expression:
        operands = [self.number(operand, values) for operand in node.operands]
        pairs = zip(node.operators, operands, operands[1:], strict=False)
        return logical("and", *(compare(operator, left, right) for operator, left, right in pairs))

    def _call(self, node: tree.Call, values: Mapping[str, Expression]) -> Expression:
        name = node.function.name
        if name == "if":
            return self._choice(node, values)
        arguments = [self.number(argument, values) for argument in node.arguments]
        named = self.names.table.get(name)
        if named is None:
            return self._built_in(node, name, arguments)
        if isinstance(named.statement, tree.Net):
            return self._net(node, name, arguments)
        assert isinstance(named.statement, tree.Function)
        self._expansions += 1
        if self._expansions > MOST_EXPANSIONS or len(self._calls) > DEEPEST_CALLS:
            if not any(error.code == "E0106" for error in self.errors):
                self._report(
                    "E0106", f"the functions that `{name}` calls expand to too much", node, "use intermediates"
                )
            return ZERO
        bound = dict(zip((p.name for p in named.statement.parameters), arguments, strict=True))
        self._calls.append(node)
        result = self.number(named.statement.value, bound)
        self._calls.pop()
        return result

    def _net(self, node: tree.Call, name: str, arguments: list[Expression]) -> Expression:
        found = self.nets[name](node, arguments)
        if isinstance(found, Diagnostic):
            self.errors.append(found)
            return ZERO
        return found

    def _built_in(self, node: tree.Call, name: str, arguments: list[Expression]) -> Expression:
        match name:
            case "sum":
                return total(arguments[0])
            case "mean":
                return mean(arguments[0])
            case "max" | "min" if len(arguments) == 1 and arguments[0].shape:
                return (largest if name == "max" else smallest)(arguments[0])
            case "dot":
                left, right = arguments
                if len(left.shape) != 1 or left.shape != right.shape:
                    raise ShapeError(
                        f"`dot` needs vectors of one length, not {shape_text(left.shape)} and {shape_text(right.shape)}"
                    )
                return total(multiply(left, right))
            case "roll":
                if len(arguments[0].shape) != 1:
                    raise ShapeError(f"`roll` needs a vector, not {shape_text(arguments[0].shape)}")
                self.whole(node.arguments[1], arguments[1])
                return roll(arguments[0], arguments[1])
            case "range":
                length = self.whole(node.arguments[0], arguments[0], least=1)
                return counted(arguments[0], (length,))
        return call("log" if name == "ln" else name, *arguments)

    def whole(self, node: tree.Node, formula: Expression, least: int | None = None) -> int:
        """The value of a whole number made of literals and sizes; reports E0303 or, with `least`, E0304."""
        code = "E0303" if least is None else "E0304"
        known = self.sizes.keys() >= set(symbols(formula)) and not formula.shape
        value = evaluate([formula], self.sizes)[0] if known else math.nan
        if not known or not math.isfinite(value) or value != int(value):
            what = "an index" if least is None else "a size"
            self._report(
                code,
                f"`{self._excerpt(node)}` is not a whole number made of literals and sizes",
                node,
                f"{what} is one",
            )
            return least or 0
        if least is not None and value < least:
            self._report(
                code, f"`{self._excerpt(node)}` is {int(value)}: a size is at least {least}", node, "make it larger"
            )
            return least
        return int(value)

    def _index(self, node: tree.Index, values: Mapping[str, Expression]) -> Expression:
        base = self.number(node.base, values)
        if len(node.items) > len(base.shape):
            raise ShapeError(
                f"{shape_text(base.shape)} has no {len(node.items)} indices" if base.shape else "a number has no index"
            )
        items, shape = [], []
        for item, length in zip(node.items, base.shape, strict=False):
            if isinstance(item, tree.Slice):
                start, first = self._end(item.start, values)
                stop, last = self._end(item.stop, values)
                items.append(cut(start, stop))
                shape.append(len(range(*slice(first, last).indices(length))))
                if not shape[-1]:
                    self._report(
                        "E0303",
                        f"`{self._excerpt(item)}` is empty: there are {length} elements",
                        item,
                        "check the ends",
                    )
                continue
            formula = self.number(item, values)
            place = self.whole(item, formula)
            if not -length <= place < length:
                self._report(
                    "E0303",
                    f"the index {place} is out of range: there are {length} elements, 0 to {length - 1}",
                    item,
                    "indices count from 0",
                )
            items.append(formula)
        return index(base, tuple(items), (*shape, *base.shape[len(node.items) :]))

    def _end(self, node: tree.Expression | None, values: Mapping[str, Expression]) -> tuple[Expression, int | None]:
        """An end of a slice, and its value."""
        if node is None:
            return MISSING, None
        formula = self.number(node, values)
        return formula, self.whole(node, formula)

    def _choice(self, node: tree.Call, values: Mapping[str, Expression]) -> Expression:
        parts = [
            self.number(part, values)
            if position % 2 or position == len(node.arguments) - 1
            else self._lower(part, values)
            for position, part in enumerate(node.arguments)
        ]
        return choose(*parts)

    def _report(self, code: str, message: str, node: tree.Node, help: str = "") -> None:
        # Inside a function's body the place is the function's; that is where the fault is written.
        self.errors.append(self.names.source.error(code, message, node.span, help))

    def _excerpt(self, node: tree.Node) -> str:
        text = self.names.source.excerpt(node.span)
        return text if len(text) <= 40 else text[:37] + "…"


def _fit(left: Shape, right: Shape) -> bool:
    try:
        broadcast(left, right)
    except ShapeError:
        return False
    return True


def _cure(node: tree.Node) -> str:
    if isinstance(node, tree.Product) and "@" in node.operators:
        return "`A @ x` needs as many columns on the left as there are elements on the right"
    if isinstance(node, tree.Index):
        return "only arrays have an index; a product is written with `*`, a concentration without brackets"
    if isinstance(node, tree.Call | tree.Array):
        return "give it an array of the right shape"
    return "elementwise arithmetic needs one shape, or numbers"
