"""What is allowed but probably not meant."""

from __future__ import annotations

from odec.diagnostics import Diagnostic
from odec.model.expression import is_number
from odec.model.leaps import leaps
from odec.model.model import Model
from odec.model.names import Names
from odec.model.walk import expressions_of, names_in, nodes
from odec.syntax import tree


def warnings_of(model: Model, names: Names) -> tuple[Diagnostic, ...]:
    """The warnings of a model, in the order of the text."""
    found = [
        *_unused(model, names),
        *_unchanged_states(model, names),
        *_equalities(names),
        *_powers(names),
        *leaps(model),
    ]
    return tuple(sorted(found, key=lambda warning: warning.span.start if warning.span else 0))


def _unused(model: Model, names: Names) -> list[Diagnostic]:
    parts = [node for s in names.file.statements for e in expressions_of(s) for node in nodes(e)]
    used = {node.name for node in parts if isinstance(node, tree.Name)}
    called = {node.function.name for node in parts if isinstance(node, tree.Call)}
    warning, cure = names.source.warning, "remove it, or use it"
    return [
        *(
            warning("W0401", f"nothing uses the param `{param.name}`", param.span, cure)
            for param in model.own_params
            if param.name not in used
        ),
        *(
            warning("W0401", f"nothing uses the net `{net.name}`", names.table[net.name].span, cure)
            for net in model.nets
            if net.name not in called
        ),
    ]


def _unchanged_states(model: Model, names: Names) -> list[Diagnostic]:
    jumping = {
        change.target.name
        for s in names.file.statements
        if isinstance(s, tree.At | tree.Every | tree.When)
        for change in s.changes
    }
    return [
        names.source.warning(
            "W0403",
            f"nothing changes the state `{equation.state.name}`",
            equation.span,
            help=f"a number that stays is a `const` or a `param`: `const {equation.state.name} = …`",
        )
        for equation in model.equations
        if is_number(equation.value, 0) and equation.state.name not in jumping and equation.span is not None
    ]


def _equalities(names: Names) -> list[Diagnostic]:
    """`t == 3` is true at no step but by luck."""
    found = []
    for statement in names.file.statements:
        for node in (n for e in expressions_of(statement) for n in nodes(e) if isinstance(n, tree.Comparison)):
            if not {"==", "!="} & set(node.operators):
                continue
            moving = [n for n in names_in(node) if n.name == "t" or names.kind(n.name) == "state"]
            if moving:
                text = names.source.excerpt(node.span)
                cure = (
                    "for a jump at a time write `at t = 3: …`" if moving[0].name == "t" else "compare with `<` or `>`"
                )
                message = f"`{text}` compares a number that changes continuously, and is true at no step but by luck"
                found.append(names.source.warning("W0404", message, node.span, help=cure))
    return found


def _powers(names: Names) -> list[Diagnostic]:
    """`(x - 3)^p`: a base that may be negative has no real power but for a whole exponent."""
    found = []
    for statement in names.file.statements:
        for node in (n for e in expressions_of(statement) for n in nodes(e) if isinstance(n, tree.Power)):
            trained = [n for n in names_in(node.exponent) if names.kind(n.name) in ("param", "state")]
            signs = node.base.signs if isinstance(node.base, tree.Sum) else ()
            differs = isinstance(node.base, tree.Negative) or -1 in signs
            if trained and differs:
                text = names.source.excerpt(node.base.span)
                found.append(
                    names.source.warning(
                        "W0405",
                        f"the base `{text}` may be negative, and its exponent depends on `{trained[0]}`",
                        node.span,
                        help="a negative base has a real power for whole exponents only: make the exponent a `const`, "
                        f"or write `max({text}, 0)`",
                    )
                )
    return found
