"""A model as text to read: in the language (`odec show`), or typeset (`odec show --latex`)."""

from __future__ import annotations

from collections.abc import Iterable

from odec.emit.python import Printer
from odec.functions import FUNCTIONS, INTERNAL_FUNCTIONS
from odec.model.expression import CONDITIONS, Expression, postorder
from odec.model.model import Model
from odec.passes.derivatives import Derivatives

_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(5)


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
        if node.head in FUNCTIONS or node.head in INTERNAL_FUNCTIONS:
            return self._plain_call(node.head, node.args), _ATOM
        return super()._text(node)

    def _power(self, node: Expression) -> tuple[str, int]:
        base, exponent = node.args
        return f"{self._at_least(base, _ATOM)}^{self._at_least(exponent, _ATOM)}", _POWER

    def _plain_call(self, name: str, arguments: Iterable[Expression]) -> str:
        return f"{name}({', '.join(self.text(argument) for argument in arguments)})"


def listing(model: Model, derivatives: Derivatives | None = None) -> str:
    """The definitions and equations of a model, in order, and its derivatives where they are given."""
    text = LanguagePrinter().text
    lines = [f"{definition.name} = {text(definition.value)}" for definition in model.intermediates]
    lines += [f"{equation.state.name}' = {text(equation.value)}" for equation in model.equations]
    if derivatives is not None:
        lines += _derivative_lines(derivatives)
    return "\n".join(lines) + "\n"


def _derivative_lines(derivatives: Derivatives) -> list[str]:
    if not derivatives.complete:
        return ["", "# the derivatives are too many to be written out"]
    text = LanguagePrinter().text
    lines = [""]
    for entries, mark in (
        (derivatives.rhs_x, "'"),
        (derivatives.rhs_p, "'"),
        (derivatives.outputs_x, ""),
        (derivatives.outputs_p, ""),
    ):
        lines += [f"# ∂{row}{mark}/∂{column} = {text(value)}" for (row, column), value in entries.items()]
    lines += [f"# ∂{row}'/∂t = {text(value)}" for row, value in derivatives.rhs_t.items()]
    return lines


# LaTeX

_GREEK = frozenset(
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu", "nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega"]
)
_COMPARISON = {"<": "<", "<=": r"\le", ">": ">", ">=": r"\ge", "==": "=", "!=": r"\ne"}
_LOGIC = {"and": r" \wedge ", "or": r" \vee "}


def latex_text(model: Model) -> str:
    """The equations as an `align*` environment, in the user's form and order."""
    rows = [(_symbol(d.name), _latex(d.value)[0]) for d in model.intermediates]
    for equation in model.equations:
        if equation.span is not None:
            rows.append((_derivative(equation.state.name), _latex(equation.value)[0]))
    rows += [(rf"{_symbol(s.name)}(t_0)", _latex(s.initial)[0]) for s in model.states if s.initial is not None]
    body = " \\\\\n".join(f"  {left} &= {right}" for left, right in rows)
    return f"\\begin{{align*}}\n{body}\n\\end{{align*}}\n"


def _derivative(name: str) -> str:
    base = name.rstrip("'")
    order = len(name) - len(base) + 1
    power = "" if order == 1 else f"^{order}"
    return rf"\frac{{\mathrm{{d}}{power} {_symbol(base)}}}{{\mathrm{{d}} t{power}}}"


def _symbol(name: str) -> str:
    """`x1` → x_1, `beta` → β, `k_on` → k with a word below, `x'` → x'."""
    base = name.rstrip("'")
    primes = name[len(base) :]
    head, _, below = base.partition("_")
    digits = len(head) - len(head.rstrip("0123456789"))
    if digits and len(head) > digits and not below:
        head, below = head[:-digits], head[-digits:]
    if head in _GREEK:
        head = f"\\{head}"
    elif len(head) > 1 or not head:
        head = rf"\mathrm{{{head.replace('_', chr(92) + '_')}}}" if head else r"\_"
    if below:
        below = below if below.isdigit() else rf"\mathrm{{{below.replace('_', chr(92) + '_')}}}"
        head = f"{head}_{{{below}}}"
    return head + primes


def _latex(root: Expression) -> tuple[str, int]:
    done: dict[Expression, tuple[str, int]] = {}
    for node in postorder([root]):
        done[node] = _latex_node(node, [done[argument] for argument in node.args])
    return done[root]


def _latex_node(node: Expression, args: list[tuple[str, int]]) -> tuple[str, int]:
    match node.head:
        case "number":
            return _latex_number(node.value), _ATOM if not str(node.value).startswith("-") else _SIGN  # type: ignore[arg-type]
        case "symbol":
            return ("t" if node.role == "time" else _symbol(str(node.value))), _ATOM
        case "add":
            text = args[0][0]
            for term, (written, binding) in zip(node.args[1:], args[1:], strict=True):
                text += f" {written}" if term.head == "negate" else f" + {_bracketed(written, binding, _PRODUCT)}"
            return text, _SUM
        case "multiply":
            parts = [_bracketed(text, binding, _PRODUCT) for text, binding in args]
            dot = [r" \cdot " if b[:1].isdigit() else r" \, " for b in parts[1:]]
            return parts[0] + "".join(d + p for d, p in zip(dot, parts[1:], strict=True)), _PRODUCT
        case "divide":
            return rf"\frac{{{args[0][0]}}}{{{args[1][0]}}}", _POWER
        case "negate":
            return f"- {_bracketed(*args[0], _PRODUCT)}", _SUM
        case "power":
            return f"{_bracketed(*args[0], _ATOM)}^{{{args[1][0]}}}", _POWER
        case "if":
            return _latex_choice(args), _PRODUCT
        case "not":
            return rf"\neg {_bracketed(*args[0], _ATOM)}", _SIGN
    if node.head in _LOGIC:
        return _LOGIC[node.head].join(text for text, _ in args), _SUM - 2
    if node.head in CONDITIONS:
        return f"{args[0][0]} {_COMPARISON[node.head]} {args[1][0]}", _SUM - 1
    row = FUNCTIONS.get(node.head) or INTERNAL_FUNCTIONS[node.head]
    if row.latex.count("%s") == 1:
        return row.latex.replace("%s", ", ".join(text for text, _ in args)), _ATOM
    return row.latex % tuple(_bracketed(*argument, _ATOM) for argument in args), _PRODUCT


def _latex_choice(args: list[tuple[str, int]]) -> str:
    rows = [
        rf"{value[0]} & \text{{if }} {condition[0]}" for condition, value in zip(args[:-1:2], args[1:-1:2], strict=True)
    ]
    rows.append(rf"{args[-1][0]} & \text{{otherwise}}")
    return r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}"


def _latex_number(value: float | int) -> str:
    text = repr(value)
    if "e" in text:
        digits, _, exponent = text.partition("e")
        ten = f"10^{{{int(exponent)}}}"
        return ten if digits == "1" else rf"{digits} \cdot {ten}"
    return text


def _bracketed(text: str, binding: int, least: int) -> str:
    return text if binding >= least else rf"\left({text}\right)"
