"""What an `if` keeps from being chosen is computed all the same, beside what is: its argument is made harmless.

    if(x == 0, 1, sin(x)/x)   →   if(x == 0, 1, sin(x)/if(x == 0, 1, x))

The value is the same. The derivative that a framework takes of the text is not: a branch that is not chosen contributes
0 times its own derivative, and 0 times infinity is no number. The symbolic derivatives choose between derivatives and
need none of this; they are taken before.
"""

from __future__ import annotations

from dataclasses import replace

from odec.model.expression import (
    ARRAY_OPERATIONS,
    Expression,
    choose,
    is_number,
    number,
    postorder,
    rebuild,
    substitute,
    symbols,
)
from odec.model.model import Model

# For a function without a value everywhere: which argument, and one with which it is harmless. `sqrt`, `atan2` and the
# compiler's own safe forms are so for every argument.
_HARMLESS: dict[str, tuple[int, int]] = {
    "divide": (1, 1),
    "mod": (1, 1),
    "power": (0, 1),
    **dict.fromkeys(("log", "log2", "log10"), (0, 1)),
    **dict.fromkeys(("asin", "acos", "atanh", "exp", "sinh", "cosh"), (0, 0)),
    "acosh": (0, 2),
}

Names = dict[Expression, frozenset[Expression]]


def guard_branches(model: Model) -> Model:
    """The model with the arguments in its branches guarded by their conditions."""
    if not any(node.head == "if" for node in postorder(model.formulas)):
        return model
    names: Names = {}
    intermediates = []
    for definition in model.intermediates:
        intermediates.append(replace(definition, value=_guarded(definition.value, names)))
        names[definition.symbol] = _made_of(definition.value, names)
    return replace(
        model,
        intermediates=tuple(intermediates),
        equations=tuple(replace(e, value=_guarded(e.value, names)) for e in model.equations),
    )


def _made_of(formula: Expression, names: Names) -> frozenset[Expression]:
    """The symbols of a formula, those behind its intermediates instead of them."""
    return frozenset().union(*(names.get(name, frozenset((name,))) for name in symbols(formula)))


def _guarded(formula: Expression, names: Names) -> Expression:
    if not any(node.head == "if" for node in postorder([formula])):
        return formula
    done: dict[Expression, Expression] = {}
    for node in postorder([formula]):
        new = rebuild(node, tuple(done[argument] for argument in node.args))
        done[node] = _guarded_choice(new, names) if new.head == "if" else new
    return done[formula]


def _guarded_choice(node: Expression, names: Names) -> Expression:
    conditions, values = node.args[:-1:2], (*node.args[1::2], node.args[-1])
    guarded = [_guarded_value(place, conditions, value, names) for place, value in enumerate(values)]
    pairs = (part for pair in zip(conditions, guarded, strict=False) for part in pair)
    return choose(*pairs, guarded[-1])


def _guarded_value(place: int, conditions: tuple[Expression, ...], value: Expression, names: Names) -> Expression:
    """A value with arguments that are its own only where it is chosen."""
    deciding = conditions[: place + 1]
    about = _made_of_all(deciding, names)
    changed: dict[Expression, Expression] = {}
    # Where each element decides for itself, what a sum or a product looks at is not its own alone.
    places = any(condition.shape for condition in deciding)
    inside = {n for n in postorder([value]) if n.head in ARRAY_OPERATIONS} if places else set()
    looked_at = set(postorder(inside))
    for node in postorder([value]):
        if node in looked_at:
            continue
        spot, harmless = _HARMLESS.get(node.head, (0, 0))
        # A condition protects only what it speaks of: `if(t < 10, x/V, 0)` says nothing of V.
        if node.head not in _HARMLESS or _is_whole_power(node) or not _made_of(node.args[spot], names) & about:
            continue
        (argument,) = substitute([node.args[spot]], changed)
        others = [part for condition in deciding[:place] for part in (condition, number(harmless))]
        own = (deciding[place], argument, number(harmless)) if place < len(conditions) else (argument,)
        arguments = [*substitute(node.args, changed)]
        arguments[spot] = choose(*others, *own)
        changed[node] = rebuild(node, tuple(arguments))
    return substitute([value], changed)[0] if changed else value


def _made_of_all(formulas: tuple[Expression, ...], names: Names) -> frozenset[Expression]:
    return frozenset().union(*(_made_of(formula, names) for formula in formulas))


def _is_whole_power(node: Expression) -> bool:
    """A power that is a product, or the runtime's own safe root."""
    if node.head != "power" or not is_number(node.args[1]):
        return False
    exponent = node.args[1].value
    assert isinstance(exponent, int | float)
    return exponent == 0.5 or (exponent >= 0 and float(exponent).is_integer())
