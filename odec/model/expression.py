"""Formulas as a graph: immutable, each different formula one object, in the form and order in which they were built.

Why not sympy's own expressions here: sympy distributes `0.1*(v + 40)`, reorders sums, and evaluates on construction, so
that the user's form is gone; and equal subformulas are found again only by search. Here two equal formulas are the
same object, so sharing costs nothing, and no walk is recursive in the number of equations. sympy is asked for algebra
(`odec.passes.simplify`, `odec.emit.latex`).

>>> x, k = symbol("x", "state"), symbol("k", "param")
>>> multiply(k, x) is multiply(k, x)
True
>>> add(x, number(0)) is x
True
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator
from weakref import WeakValueDictionary

from odec.functions import FUNCTIONS, INTERNAL_FUNCTIONS

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
CONDITIONS = frozenset((*COMPARISONS, "and", "or", "not"))
_VALUES = {row.name: row.value for row in (*FUNCTIONS.values(), *INTERNAL_FUNCTIONS.values())}
# Beyond this, floats no longer hold every whole number.
_LARGEST_WHOLE = 2**53
# A product in a product is one product, up to so many factors: the derivative along a chain of 2,000 intermediates is a
# product of 2,000 factors for the last of them, and is shared with that of the one before only where it stays whole.
LONGEST_JOINED = 8


Shape = tuple[int, ...]


class ShapeError(ValueError):
    """Shapes that do not fit; `str()` says so in words."""


class Expression:
    """A node. `head` is "number", "symbol", "add", "multiply", "divide", "negate", "power", "if", a comparison, "and",
    "or", "not", a function's name, or an operation on arrays: "matmul", "sum", "mean", "largest", "smallest", "roll",
    "index", "slice", "missing", "array", "range"; "net", which a pass writes out or makes "given". `value` is the
    number, or the name of the symbol or net; `role` says what a symbol is; `shape` is () for a number, and for an array
    that of the model as it is written (sizes may be changed later).
    """

    __slots__ = ("__weakref__", "args", "head", "role", "shape", "value")
    head: str
    args: tuple[Expression, ...]
    value: float | int | str | None
    role: str
    shape: Shape

    def __repr__(self) -> str:
        if self.head in ("number", "symbol"):
            return str(self.value)
        return f"{self.head}({', '.join(map(repr, self.args))})"

    @property
    def is_condition(self) -> bool:
        """Whether this is true or false rather than a number."""
        return self.head in CONDITIONS


_NODES: WeakValueDictionary[tuple[object, ...], Expression] = WeakValueDictionary()


def _node(
    head: str,
    args: tuple[Expression, ...] = (),
    value: float | int | str | None = None,
    role: str = "",
    shape: Shape | None = None,
) -> Expression:
    """The one node of its kind; an elementwise operation has the shape that its arguments broadcast to."""
    # 1 and 1.0 are equal keys but print differently, and so do 0.0 and -0.0.
    key = (head, args, repr(value), role, shape)
    found = _NODES.get(key)
    if found is None:
        found = Expression.__new__(Expression)
        found.head, found.args, found.value, found.role = head, args, value, role
        found.shape = broadcast(*(argument.shape for argument in args)) if shape is None else shape
        _NODES[key] = found
    return found


def broadcast(*shapes: Shape) -> Shape:
    """The shape of an elementwise operation, by NumPy's rule. Raises ShapeError."""
    if not any(shapes):
        return ()
    result: list[int] = []
    for shape in shapes:
        padded = [1] * (len(result) - len(shape)) + list(shape)
        result = [1] * (len(padded) - len(result)) + result
        for place, (have, new) in enumerate(zip(result, padded, strict=True)):
            if have != new and 1 not in (have, new):
                raise ShapeError(f"{shape_text(tuple(result))} and {shape_text(shape)} do not fit")
            result[place] = max(have, new)
    return tuple(result)


def shape_text(shape: Shape) -> str:
    """ "a number", "a vector of 3", "a matrix of 3 × 4"."""
    if not shape:
        return "a number"
    kind = {1: "vector", 2: "matrix"}.get(len(shape), "array")
    return f"a {kind} of {' × '.join(map(str, shape))}".replace("a array", "an array")


def number(value: float | int) -> Expression:
    """A literal. A whole number too large for a float's digits becomes a float."""
    if isinstance(value, int) and abs(value) > _LARGEST_WHOLE:
        value = float(value)
    return _node("number", value=value)


ZERO, ONE = number(0), number(1)


def symbol(name: str, role: str, shape: Shape = ()) -> Expression:
    """A name: `role` is "state", "param", "const", "intermediate", "time", "input", "size", "data" or "net"."""
    return _node("symbol", value=name, role=role, shape=shape)


TIME = symbol("t", "time")


def is_number(node: Expression, value: float | None = None) -> bool:
    """Whether the node is a literal (of this value)."""
    return node.head == "number" and (value is None or node.value == value)


def _literal(node: Expression) -> float | int:
    assert isinstance(node.value, int | float)
    return node.value


def add(*terms: Expression) -> Expression:
    """The sum, in this order; zeros fall away and a sum in front is continued."""
    if terms and terms[0].head == "add":
        terms = (*terms[0].args, *terms[1:])
    kept = tuple(term for term in terms if not is_number(term, 0))
    if not kept:
        return ZERO
    if len(kept) == 1:
        return kept[0]
    if all(is_number(term) for term in kept) and math.isfinite(value := sum(map(_literal, kept))):
        return number(value)
    return _node("add", kept)


def negate(operand: Expression) -> Expression:
    """The negative."""
    if operand.head == "negate":
        return operand.args[0]
    if operand.head == "number":
        return number(-_literal(operand))
    return _node("negate", (operand,))


def subtract(left: Expression, right: Expression) -> Expression:
    """The difference."""
    return add(left, negate(right))


def multiply(*factors: Expression) -> Expression:
    """The product, in this order; ones fall away, signs come to the front, several literals become one in front."""
    inverses = [factor.args[1] for factor in factors if factor.head == "divide" and factor.args[0] is ONE]
    if inverses and len(factors) > 1:
        above = (factor for factor in factors if not (factor.head == "divide" and factor.args[0] is ONE))
        return divide(multiply(*above), multiply(*inverses))
    sign, kept, coefficient, place = 1, [], ONE, 0
    for factor in factors:
        if factor.head == "negate":
            sign, factor = -sign, factor.args[0]
        for part in factor.args if factor.head == "multiply" and len(factor.args) <= LONGEST_JOINED else (factor,):
            if not is_number(part):
                kept.append(part)
            elif coefficient is ONE:
                coefficient, place = part, len(kept)
            elif math.isfinite(value := _literal(coefficient) * _literal(part)):
                coefficient, place = number(value), 0
            else:
                kept.append(part)
    if is_number(coefficient, 0) and not any(part.shape for part in kept):
        return ZERO
    if coefficient.head == "number" and _literal(coefficient) < 0:
        sign, coefficient = -sign, negate(coefficient)
    if not is_number(coefficient, 1):
        kept.insert(place, coefficient)
    product = ONE if not kept else kept[0] if len(kept) == 1 else _node("multiply", tuple(kept))
    return product if sign > 0 else negate(product)


def divide(top: Expression, bottom: Expression) -> Expression:
    """The quotient; a literal zero below stays there (see `undefined`)."""
    if is_number(bottom, 0):
        return _node("divide", (top, bottom))
    if top is bottom and top.head != "number" and not top.shape:
        return ONE
    if is_number(top, 0) and not bottom.shape:
        return ZERO
    if is_number(bottom, 1):
        return top
    if top.head == "negate":
        return negate(divide(top.args[0], bottom))
    if bottom.head == "negate":
        return negate(divide(top, bottom.args[0]))
    if is_number(top) and _literal(top) < 0:
        return negate(divide(negate(top), bottom))
    if is_number(bottom) and _literal(bottom) < 0:
        return negate(divide(top, negate(bottom)))
    if is_number(top) and is_number(bottom) and not _is_plain_fraction(top, bottom):
        value = _literal(top) / _literal(bottom)
        if math.isfinite(value):
            return number(value)
    return _node("divide", (top, bottom))


def _is_plain_fraction(top: Expression, bottom: Expression) -> bool:
    """`8/3` stays as it was written."""
    return isinstance(top.value, int) and isinstance(bottom.value, int)


def power(base: Expression, exponent: Expression) -> Expression:
    """The power; literals without a finite real power stay as they are (see `undefined`)."""
    if not base.shape and not exponent.shape and (is_number(exponent, 0) or is_number(base, 1)):
        return ONE
    if is_number(exponent, 1):
        return base
    if _is_constant(base) and _is_constant(exponent):
        # Floats, so that 9^9^9 is a message and not an hour.
        value = _value_of(math.pow, base, exponent)
        if value is not None:
            whole = value.is_integer() and abs(value) <= _LARGEST_WHOLE and isinstance(base.value, int)
            return number(int(value) if whole else value)
    return _node("power", (base, exponent))


def call(name: str, *arguments: Expression) -> Expression:
    """A function of the language; a call of literals that has no finite value stays as it is (see `undefined`)."""
    if arguments and all(map(_is_constant, arguments)):
        value = _value_of(_VALUES[name], *arguments)
        if value is not None:
            return number(value)
    return _node(name, arguments)


def undefined(node: Expression) -> str:
    """What is wrong with an operation on literals that was built and has no finite value; "" where nothing is.

    Only the text of a model is asked: in a derivative such an operation stands where nobody goes (`log(0)*0^x`).
    """
    node = node.args[0] if node.head == "negate" else node
    if node.head == "divide" and is_number(node.args[1], 0):
        return "divides by zero"
    operation = node.head in ("add", "multiply", "power") or node.head in _VALUES
    fraction = node.head == "divide" and not _is_plain_fraction(*node.args)
    return "has no finite value" if (operation or fraction) and all(map(_is_constant, node.args)) else ""


def _value_of(function: Callable[..., float], *arguments: Expression) -> float | None:
    """The finite value of a function of literals, None where there is none."""
    try:
        value = float(function(*map(_constant_value, arguments)))
    except (ValueError, OverflowError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) else None


def compare(operator: str, left: Expression, right: Expression) -> Expression:
    """A comparison."""
    assert operator in COMPARISONS
    return _node(operator, (left, right))


def logical(operator: str, *operands: Expression) -> Expression:
    """`and`, `or` of any number, `not` of one."""
    return operands[0] if operator != "not" and len(operands) == 1 else _node(operator, operands)


def choose(*arguments: Expression) -> Expression:
    """`if(c1, a1, c2, a2, …, otherwise)`. A chain in the last place is continued, so that a look-up table is flat;
    where every branch is the same, that is the value."""
    if arguments[-1].head == "if":
        arguments = (*arguments[:-1], *arguments[-1].args)
    branches = {*arguments[1:-1:2], arguments[-1]}
    shape = broadcast(*(argument.shape for argument in arguments))
    return arguments[-1] if len(branches) == 1 and arguments[-1].shape == shape else _node("if", arguments)


# Arrays. Each of these is linear in its first argument (`matmul` in both), which is all that derivatives need to know.


def matmul(left: Expression, right: Expression) -> Expression:
    """The matrix product `left @ right`. Raises ShapeError."""
    a, b = left.shape, right.shape
    if not a or not b or len(a) > 2 or len(b) > 2 or a[-1] != b[0]:
        raise ShapeError(f"{shape_text(a)} @ {shape_text(b)} do not fit")
    return _node("matmul", (left, right), shape=(*a[:-1], *b[1:]))


def total(operand: Expression) -> Expression:
    """The sum of all elements."""
    return _node("sum", (operand,), shape=()) if operand.shape else operand


def mean(operand: Expression) -> Expression:
    """The mean of all elements."""
    return _node("mean", (operand,), shape=()) if operand.shape else operand


def largest(operand: Expression) -> Expression:
    """The largest of all elements."""
    return _node("largest", (operand,), shape=())


def smallest(operand: Expression) -> Expression:
    """The smallest of all elements."""
    return _node("smallest", (operand,), shape=())


def roll(operand: Expression, shift: Expression) -> Expression:
    """The vector shifted around by a whole number: element i comes from i - shift."""
    return _node("roll", (operand, shift), shape=operand.shape)


MISSING = _node("missing", shape=())


def index(base: Expression, items: tuple[Expression, ...], shape: Shape) -> Expression:
    """`base[items]`; an item is a whole number or a `cut`."""
    return _node("index", (base, *items), shape=shape)


def cut(start: Expression, stop: Expression) -> Expression:
    """`start:stop` in an index; MISSING where nothing is written."""
    return _node("slice", (start, stop), shape=())


def stacked(items: tuple[Expression, ...]) -> Expression:
    """`[a, b, c]`. Raises ShapeError."""
    inner = broadcast(*(item.shape for item in items))
    return _node("array", items, shape=(len(items), *inner))


def counted(length: Expression, shape: Shape) -> Expression:
    """`range(length)`: 0, 1, …"""
    return _node("range", (length,), shape=shape)


def spread(operand: Expression, like: Expression) -> Expression:
    """The operand in the shape of another formula: what a sum or an index sees of a direction that is one number."""
    return operand if operand.shape == like.shape else _node("spread", (operand, like), shape=like.shape)


def net(name: str, inputs: tuple[Expression, ...], shape: Shape) -> Expression:
    """What the network of this name makes of its inputs."""
    return _node("net", inputs, name, shape=shape)


def given(name: Expression, inputs: tuple[Expression, ...], shape: Shape) -> Expression:
    """What the network that is handed over under a name makes of its inputs."""
    return _node("given", (name, *inputs), shape=shape)


def _called(value: Callable[..., float]) -> Callable[[Expression, list[float]], float]:
    return lambda node, args: value(*args)


# fmt: off
ARRAY_OPERATIONS = frozenset(
    ("matmul", "sum", "mean", "largest", "smallest", "roll", "index", "slice", "missing", "array", "range", "spread",
     "net", "given")
)
# fmt: on


def rebuild(node: Expression, args: tuple[Expression, ...]) -> Expression:
    """The same operation on other arguments (of the same shapes)."""
    if args == node.args:
        return node
    if node.head in ARRAY_OPERATIONS:
        return _node(node.head, args, node.value, shape=node.shape)
    if node.head in _BUILDERS:
        return _BUILDERS[node.head](*args)
    if node.head in COMPARISONS:
        return compare(node.head, *args)
    if node.head in ("and", "or", "not"):
        return logical(node.head, *args)
    return call(node.head, *args)


_BUILDERS: dict[str, Callable[..., Expression]] = {
    "add": add,
    "multiply": multiply,
    "divide": divide,
    "negate": negate,
    "power": power,
    "if": choose,
}


def _is_constant(node: Expression) -> bool:
    return node.head == "number" or (
        node.head in ("divide", "negate") and all(argument.head == "number" for argument in node.args)
    )


def _constant_value(node: Expression) -> float:
    if node.head == "divide":
        return _literal(node.args[0]) / _literal(node.args[1])
    if node.head == "negate":
        return -_literal(node.args[0])
    return _literal(node)


# Walks


def postorder(roots: Iterable[Expression], known: Container[Expression] = ()) -> Iterator[Expression]:
    """Every node below the roots once, arguments before what uses them, in the order of the text.

    Nodes that are `known` are passed over with all that only they lead to.
    """
    seen: set[Expression] = set()
    for root in roots:
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                yield node
            elif node not in seen and node not in known:
                seen.add(node)
                stack.append((node, True))
                stack.extend((argument, False) for argument in reversed(node.args))


def symbols(*roots: Expression) -> tuple[Expression, ...]:
    """The symbols below, in the order in which they first stand."""
    return tuple(node for node in postorder(roots) if node.head == "symbol")


def substitute(roots: Iterable[Expression], values: dict[Expression, Expression]) -> tuple[Expression, ...]:
    """The roots with nodes replaced."""
    roots = tuple(roots)
    done = dict(values)
    for node in postorder(roots):
        if node not in done:
            done[node] = rebuild(node, tuple(done[argument] for argument in node.args))
    return tuple(done[root] for root in roots)


def operation_count(*roots: Expression) -> int:
    """The number of operations, shared ones counted once; n terms are n - 1 additions."""
    return sum(
        max(1, len(node.args) - 1) for node in postorder(roots) if node.head not in ("number", "symbol", "negate")
    )


def evaluate(roots: Iterable[Expression], values: dict[Expression, float]) -> list[float]:
    """The numbers of the roots where the symbols have these values; NaN where there is none."""
    roots = tuple(roots)
    known: dict[Expression, float] = dict(values)
    for node in postorder(roots):
        if node not in known:
            known[node] = applied(node, [known[argument] for argument in node.args])
    return [known[root] for root in roots]


def applied(node: Expression, args: list[float]) -> float:
    """The number that the node's operation makes of these numbers; NaN where there is none."""
    if node.head not in _OPERATIONS:
        # An operation on arrays, or a net.
        return math.nan
    try:
        return float(_OPERATIONS[node.head](node, args))
    except (ValueError, OverflowError, ZeroDivisionError):
        return math.nan


def _choose_value(node: Expression, args: list[float]) -> float:
    for condition, value in zip(args[:-1:2], args[1:-1:2], strict=True):
        if condition:
            return value
    return args[-1]


_OPERATIONS = {
    "number": lambda node, args: node.value,
    "add": lambda node, args: sum(args),
    "multiply": lambda node, args: math.prod(args),
    "divide": lambda node, args: args[0] / args[1],
    "negate": lambda node, args: -args[0],
    "power": lambda node, args: math.pow(args[0], args[1]),
    "if": _choose_value,
    "<": lambda node, args: args[0] < args[1],
    "<=": lambda node, args: args[0] <= args[1],
    ">": lambda node, args: args[0] > args[1],
    ">=": lambda node, args: args[0] >= args[1],
    "==": lambda node, args: args[0] == args[1],
    "!=": lambda node, args: args[0] != args[1],
    "and": lambda node, args: all(args),
    "or": lambda node, args: any(args),
    "not": lambda node, args: not args[0],
    **{name: _called(value) for name, value in _VALUES.items()},
}
