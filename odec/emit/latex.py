"""A model as LaTeX: the equations in the user's form and order, in an `align*` environment of the package amsmath."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from odec.functions import FUNCTIONS, INTERNAL_FUNCTIONS
from odec.model.expression import CONDITIONS, Expression, add, is_number, number, postorder
from odec.model.model import Jump, Model, Net, Shaped

_OR, _AND, _COMPARED, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(-3, 5)

_SMALL = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"]
_SMALL += ["nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"]
_CAPITAL = ["Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"]
_GREEK = frozenset((*_SMALL, *_CAPITAL))
_COMPARISON = {"<": "<", "<=": r"\le", ">": ">", ">=": r"\ge", "==": "=", "!=": r"\ne"}
_LOGIC = {"and": (r" \wedge ", _AND), "or": (r" \vee ", _OR)}


def latex_text(model: Model) -> str:
    """Arrays, definitions, equations, initial values, inputs, noise and jumps, a row each."""
    body = " \\\\\n".join(f"  {row}" for row in _rows(model))
    return f"\\begin{{align*}}\n{body}\n\\end{{align*}}\n"


def _rows(model: Model) -> Iterator[str]:
    arrays: tuple[Shaped, ...] = (*model.consts, *model.own_params, *model.inputs, *model.states)
    for item in arrays:
        if item.written_shape:
            dimensions = r" \times ".join(_latex(part)[0] for part in item.written_shape)
            yield rf"{_symbol(item.name)} &\in \mathbb{{R}}^{{{dimensions}}}"
    for signal in model.inputs:
        kind = "held" if signal.interpolation == "hold" else "linear"
        yield rf"{_symbol(signal.name)} &= {_symbol(signal.name)}(t) \quad \text{{(input, {kind})}}"
    yield from map(_net, model.nets)
    for definition in model.intermediates:
        yield f"{_symbol(definition.name)} &= {_latex(definition.value)[0]}"
    for equation in model.equations:
        if equation.span is not None:
            name = equation.state.name
            left = rf"{_symbol(name)}^{{+}}" if model.is_map else _derivative(name)
            yield f"{left} &= {_latex(equation.value)[0]}"
    for state in model.states:
        if state.initial is not None:
            yield f"{_symbol(state.name)}(t_0) &= {_latex(state.initial)[0]}"
    for observe in model.observes:
        if observe.noise is not None:
            arguments = ", ".join(_latex(part)[0] for part in (observe.value, *observe.noise.arguments))
            kind = observe.noise.kind.replace("_", " ")
            yield rf"{_symbol(observe.name)} &\sim \text{{{kind}}}\left({arguments}\right)"
    for jump in model.jumps:
        moment = _moment(jump)
        for state, value in jump.changes:
            yield rf"{_symbol(state.name)} &\leftarrow {_latex(value)[0]} \quad {moment}"


def _net(net: Net) -> str:
    """`g` as a map between spaces, with the activation above each arrow."""
    lengths = [item.written_shape[0] if item.written_shape else number(1) for item in net.inputs]
    text = rf"{_symbol(net.name)} &: {_space(add(*lengths))}"
    for layer in net.layers:
        arrow = r"\to" if layer.activation == "linear" else rf"\overset{{\text{{{layer.activation}}}}}{{\to}}"
        text += f" {arrow} {_space(layer.units)}"
    return text if net.layers else rf"{text} \to {_space(net.units)}"


def _space(width: Expression) -> str:
    return r"\mathbb{R}" if is_number(width, 1) else rf"\mathbb{{R}}^{{{_latex(width)[0]}}}"


def _moment(jump: Jump) -> str:
    if jump.kind == "when":
        assert jump.condition is not None
        return rf"\text{{when }} {_latex(jump.condition)[0]}"
    if jump.kind == "at":
        times = ",\\ ".join(_latex(time)[0] for time in jump.times if time is not None)
        return rf"\text{{at }} t = {times}"
    words = zip(("every", "from", "to"), jump.times, strict=True)
    return r"\ ".join(rf"\text{{{word} }} {_latex(time)[0]}" for word, time in words if time is not None)


def _derivative(name: str) -> str:
    base = name.rstrip("'")
    order = len(name) - len(base) + 1
    power = "" if order == 1 else f"^{{{order}}}"
    return rf"\frac{{\mathrm{{d}}{power} {_symbol(base)}}}{{\mathrm{{d}} t{power}}}"


def _symbol(name: str) -> str:
    """`x1` → x_1, `beta` and `β` → β, `k_on` → k with a word below, `x'` → x'."""
    base = name.rstrip("'")
    primes = name[len(base) :]
    head, _, below = base.partition("_")
    digits = len(head) - len(head.rstrip("0123456789"))
    if digits and len(head) > digits and not below:
        head, below = head[:-digits], head[-digits:]
    head = _greek(head) or (head if len(head) == 1 else rf"\mathrm{{{head}}}" if head else r"\_")
    if below:
        below = below if below.isdigit() else rf"\mathrm{{{below.replace('_', chr(92) + '_')}}}"
        head = f"{head}_{{{below}}}"
    return head + primes


def _greek(word: str) -> str:
    """The command of a Greek letter, written out or as itself; "" where it is none."""
    if len(word) == 1 and not word.isascii():
        *kind, letter = unicodedata.name(word, "none").split()
        if kind == ["GREEK", "SMALL", "LETTER"]:
            word = letter.lower().replace("lamda", "lambda")
        elif kind == ["GREEK", "CAPITAL", "LETTER"]:
            word = letter.capitalize().replace("Lamda", "Lambda")
    return f"\\{word}" if word in _GREEK else ""


def _latex(root: Expression) -> tuple[str, int]:
    """The text, and how tightly its outermost operation binds."""
    done: dict[Expression, tuple[str, int]] = {}
    for node in postorder([root]):
        done[node] = _node(node, [done[argument] for argument in node.args])
    return done[root]


def _node(node: Expression, args: list[tuple[str, int]]) -> tuple[str, int]:
    match node.head:
        case "number":
            return _number(node.value), _ATOM if not str(node.value).startswith("-") else _SIGN  # type: ignore[arg-type]
        case "symbol":
            return ("t" if node.role == "time" else _symbol(str(node.value))), _ATOM
        case "add":
            return _sum(node, args), _SUM
        case "multiply":
            return _product(node, args), _PRODUCT
        case "divide":
            return rf"\frac{{{args[0][0]}}}{{{args[1][0]}}}", _POWER
        case "negate":
            return f"- {_bracketed(*args[0], _PRODUCT)}", _SUM
        case "power":
            return f"{_bracketed(*args[0], _ATOM)}^{{{args[1][0]}}}", _POWER
        case "if":
            return _choice(args), _PRODUCT
        case "not":
            return rf"\neg {_bracketed(*args[0], _ATOM)}", _SIGN
    if node.head in _LOGIC:
        word, binding = _LOGIC[node.head]
        return word.join(_bracketed(*argument, binding + 1) for argument in args), binding
    if node.head in CONDITIONS:
        return f"{args[0][0]} {_COMPARISON[node.head]} {args[1][0]}", _COMPARED
    if node.head in _ARRAYS:
        return _ARRAYS[node.head](node, args)
    return _call(node.head, args)


def _sum(node: Expression, args: list[tuple[str, int]]) -> str:
    text = args[0][0]
    for term, (written, binding) in zip(node.args[1:], args[1:], strict=True):
        if term.head == "number" and written.startswith("-"):
            text += f" - {written[1:]}"
        else:
            text += f" {written}" if term.head == "negate" else f" + {_bracketed(written, binding, _PRODUCT)}"
    return text


def _product(node: Expression, args: list[tuple[str, int]]) -> str:
    """Of arrays element by element, which is not the product of matrices."""
    text, is_array = "", False
    for factor, (written, binding) in zip(node.args, args, strict=True):
        part = _bracketed(written, binding, _PRODUCT)
        if text:
            elementwise = is_array and bool(factor.shape)
            text += r" \odot " if elementwise else r" \cdot " if part[:1].isdigit() else r" \, "
        text, is_array = text + part, is_array or bool(factor.shape)
    return text


def _call(name: str, args: list[tuple[str, int]]) -> tuple[str, int]:
    row = FUNCTIONS.get(name) or INTERNAL_FUNCTIONS[name]
    if row.latex.count("%s") == 1:
        # A power of e is a power: squared, it wants brackets.
        return row.latex.replace("%s", ", ".join(text for text, _ in args)), _POWER if "^{%s}" in row.latex else _ATOM
    return row.latex % tuple(_bracketed(*argument, _ATOM) for argument in args), _PRODUCT


def _choice(args: list[tuple[str, int]]) -> str:
    rows = [
        rf"{value[0]} & \text{{if }} {condition[0]}" for condition, value in zip(args[:-1:2], args[1:-1:2], strict=True)
    ]
    rows.append(rf"{args[-1][0]} & \text{{otherwise}}")
    return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"


# Arrays


def _matmul(node: Expression, args: list[tuple[str, int]]) -> tuple[str, int]:
    return r" \, ".join(_bracketed(*argument, _POWER) for argument in args), _PRODUCT


def _named(node: Expression, args: list[tuple[str, int]]) -> tuple[str, int]:
    return rf"\operatorname{{{node.head}}}\left({', '.join(text for text, _ in args)}\right)", _ATOM


def _called(node: Expression, args: list[tuple[str, int]]) -> tuple[str, int]:
    return rf"{_symbol(str(node.value))}\left({', '.join(text for text, _ in args)}\right)", _ATOM


def _index(node: Expression, args: list[tuple[str, int]]) -> tuple[str, int]:
    items = ", ".join(text for text, _ in args[1:])
    return rf"{_bracketed(*args[0], _ATOM)}\left[{items}\right]", _ATOM


def _slice(node: Expression, args: list[tuple[str, int]]) -> tuple[str, int]:
    return f"{args[0][0]} : {args[1][0]}", _ATOM


def _array(node: Expression, args: list[tuple[str, int]]) -> tuple[str, int]:
    return rf"\left({', '.join(text for text, _ in args)}\right)", _ATOM


def _range(node: Expression, args: list[tuple[str, int]]) -> tuple[str, int]:
    return rf"\left(0, \ldots, {args[0][0]} - 1\right)", _ATOM


_ARRAYS = {
    "matmul": _matmul,
    "net": _called,
    "sum": _named,
    "mean": _named,
    "largest": lambda node, args: (rf"\max\left({args[0][0]}\right)", _ATOM),
    "smallest": lambda node, args: (rf"\min\left({args[0][0]}\right)", _ATOM),
    "roll": _named,
    "index": _index,
    "slice": _slice,
    "missing": lambda node, args: ("", _ATOM),
    "array": _array,
    "range": _range,
}


def _number(value: float | int) -> str:
    text = repr(value)
    if "e" in text:
        digits, _, exponent = text.partition("e")
        ten = f"10^{{{int(exponent)}}}"
        return ten if digits == "1" else rf"{digits} \cdot {ten}"
    return text


def _bracketed(text: str, binding: int, least: int) -> str:
    return text if binding >= least else rf"\left({text}\right)"
