"""Forms that are unsafe in floating point, written so that value and derivative are finite.

0.1*(v + 40)/(1 - exp(-(v + 40)/10))   →   x_over_expm1(-(v + 40)/10)       (1 at v = -40, where the text says 0/0)
1/(1 + exp(-(v - vh)/k))               →   sigmoid((v - vh)/k)              (exp overflows, and its derivative is NaN)
exp(u) - 1, log(1 + u)                 →   expm1(u), log1p(u)               (near u = 0 the text leaves rounding alone,
                                                                             and steps that follow its error never end)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice

from odec.diagnostics import Diagnostic
from odec.model.expression import (
    ONE,
    Expression,
    add,
    call,
    divide,
    is_number,
    multiply,
    negate,
    number,
    postorder,
    power,
    rebuild,
)
from odec.model.model import Definition, Equation, Jump, Model, Noise, Observe, State

_CLOSE = 1e-12
# Nodes of a sum beyond which it is not compared with others that are written differently.
LARGEST_SUM = 100


def guard(model: Model) -> Model:
    """The model with the known unsafe quotients in their safe forms."""
    return replace(
        model,
        states=tuple(map(_guarded_state, model.states)),
        intermediates=tuple(replace(d, value=guarded(d.value)) for d in model.intermediates),
        equations=tuple(replace(e, value=guarded(e.value), state=_guarded_state(e.state)) for e in model.equations),
        observes=tuple(replace(o, value=guarded(o.value), noise=_guarded_noise(o.noise)) for o in model.observes),
        jumps=tuple(map(_guarded_jump, model.jumps)),
    )


def _guarded_noise(noise: Noise | None) -> Noise | None:
    return None if noise is None else replace(noise, arguments=tuple(map(guarded, noise.arguments)))


def _guarded_jump(jump: Jump) -> Jump:
    return replace(
        jump,
        changes=tuple((_guarded_state(state), guarded(value)) for state, value in jump.changes),
        times=tuple(None if time is None else guarded(time) for time in jump.times),
        condition=None if jump.condition is None else guarded(jump.condition),
    )


def _guarded_state(state: State) -> State:
    return state if state.initial is None else replace(state, initial=guarded(state.initial))


def guarded(formula: Expression) -> Expression:
    """The formula in its safe form."""
    return _rewritten(_rewritten(formula, _safe_quotient), _precise)


def _rewritten(formula: Expression, rule: Callable[[Expression], Expression | None]) -> Expression:
    """The formula with each part as the rule gives it, from the inside out; None leaves a part as it is."""
    done: dict[Expression, Expression] = {}
    for node in postorder([formula]):
        inner = rebuild(node, tuple(done[argument] for argument in node.args))
        done[node] = rule(inner) or inner
    return done[formula]


def unguarded(model: Model) -> list[Diagnostic]:
    """Warnings for quotients that are 0/0 at one point and that no rule makes safe: `sin(x)/x`."""
    found = []
    lines: tuple[Definition | Equation | Observe, ...] = (*model.intermediates, *model.equations, *model.observes)
    for line in lines:
        choices = [node for node in postorder([line.value]) if node.head == "if"]
        guarded_parts = set(postorder(choices))
        for node in postorder([line.value]):
            if line.span is None or node in guarded_parts:
                continue
            if node.head == "divide" and _vanish_together(*node.args):
                found.append(
                    model.source.warning(
                        "W0402",
                        "a quotient of this line is 0/0 at one point, and has a limit there",
                        line.span,
                        help="guard it: `if(abs(x) < 1e-6, limit, …)`",
                    )
                )
                break
    return found


def _vanish_together(top: Expression, bottom: Expression) -> bool:
    return any(
        factor.head in ("sin", "tan", "tanh", "sinh", "asin", "atan") and factor.args[0] is bottom
        for factor in (top.args if top.head == "multiply" else (top,))
    )


def _precise(node: Expression) -> Expression | None:
    """c*(exp(u) - 1) or log(1 + u) by the function that is exact near u = 0."""
    if node.head == "add":
        form = _exponential_form(node)
        if form is not None and form[0] == -form[1]:
            return multiply(number(_whole(form[1])), call("expm1", form[2]))
    elif node.head in ("log", "ln") and node.args[0].head == "add":
        terms = node.args[0].args
        others = [term for term in terms if not (is_number(term) and term.value == 1)]
        if len(others) == len(terms) - 1:
            return call("log1p", add(*others))
    return None


def _safe_quotient(node: Expression) -> Expression | None:
    if node.head != "divide":
        return None
    top, bottom = node.args
    form = _exponential_form(bottom)
    if form is None:
        return None
    constant, coefficient, exponent = form
    if constant * coefficient > 0:
        return _logistic(top, constant, coefficient, exponent)
    if abs(constant + coefficient) <= _CLOSE * abs(coefficient):
        return _over_expm1(top, coefficient, exponent)
    return None


def _exponential_form(bottom: Expression) -> tuple[float, float, Expression] | None:
    """(b, c, u) where the formula is b + c*exp(u) with numbers b and c."""
    if bottom.head != "add" or len(bottom.args) != 2:
        return None
    constants = [term for term in bottom.args if is_number(term)]
    others = [term for term in bottom.args if not is_number(term)]
    if len(constants) != 1 or not _has_exponential(others[0]):
        return None
    coefficient, factors = _factors(others[0])
    if len(factors) != 1:
        return None
    (found,) = factors.values()
    if found.base.head != "exp" or found.exponent != 1:
        return None
    assert isinstance(constants[0].value, int | float)
    return float(constants[0].value), coefficient, found.base.args[0]


def _has_exponential(term: Expression) -> bool:
    """Whether an exponential is a factor of the term."""
    if term.head in ("negate", "multiply", "divide"):
        return any(map(_has_exponential, term.args))
    return term.head == "exp"


def _logistic(top: Expression, constant: float, coefficient: float, exponent: Expression) -> Expression:
    """top/(b + c*exp(u)) = top/b * sigmoid(-(u + ln(c/b))); where top holds exp(u), it is sigmoid(u + ln(c/b))."""
    shifted = exponent if coefficient == constant else add(exponent, number(math.log(coefficient / constant)))
    rest = _without(top, call("exp", exponent))
    if rest is not None:
        return multiply(divide(rest, number(_whole(coefficient))), call("sigmoid", shifted))
    return multiply(divide(top, number(_whole(constant))), call("sigmoid", negate(shifted)))


def _over_expm1(top: Expression, coefficient: float, exponent: Expression) -> Expression | None:
    """top/(c*(exp(u) - 1)) = ratio/c * u/(exp(u) - 1), where top = ratio*u."""
    ratio = _ratio(top, exponent)
    if ratio is None:
        return None
    return multiply(divide(ratio, number(_whole(coefficient))), call("x_over_expm1", exponent))


def _whole(value: float) -> int | float:
    return int(value) if value.is_integer() else value


# Products taken apart, so that quotients of formulas that are written differently are seen to be simple


@dataclass(frozen=True)
class _Factor:
    base: Expression
    exponent: int


def _factors(formula: Expression) -> tuple[float, dict[object, _Factor]]:
    """A coefficient and factors; a sum counts as one factor, scaled so that equal sums have equal keys."""
    coefficient = 1.0
    factors: dict[object, _Factor] = {}
    stack = [(formula, 1)]
    while stack:
        node, exponent = stack.pop()
        if node.head == "negate":
            coefficient = -coefficient
            stack.append((node.args[0], exponent))
        elif node.head == "multiply":
            stack.extend((argument, exponent) for argument in node.args)
        elif node.head == "divide":
            stack.extend([(node.args[0], exponent), (node.args[1], -exponent)])
        elif is_number(node) and node.value != 0:
            assert isinstance(node.value, int | float)
            coefficient *= float(node.value) ** exponent
        else:
            scale, key, base = _sum_key(node)
            coefficient *= scale**exponent
            before = factors[key].exponent if key in factors else 0
            factors[key] = _Factor(base, before + exponent)
    return coefficient, {key: factor for key, factor in factors.items() if factor.exponent}


def _sum_key(node: Expression) -> tuple[float, object, Expression]:
    """(scale, key, base): node = scale*base, and two sums that differ by a number only have the same key."""
    if node.head != "add" or len(list(islice(postorder([node]), LARGEST_SUM))) == LARGEST_SUM:
        return 1.0, node, node
    terms: dict[frozenset[tuple[object, int]], float] = {}
    for term in node.args:
        coefficient, factors = _factors(term)
        key = frozenset((k, f.exponent) for k, f in factors.items())
        terms[key] = terms.get(key, 0.0) + coefficient
    # Which term the sum is scaled by must not depend on how it was written, nor on the hash seed.
    leading = min((k for k in terms if k and terms[k]), key=lambda k: sorted(map(repr, k)), default=None)
    scale = 1.0 if leading is None else terms[leading]
    scaled = frozenset((k, float(f"{value / scale:.12g}")) for k, value in terms.items())
    return scale, scaled, divide(node, number(_whole(scale))) if scale != 1.0 else node


def _ratio(top: Expression, bottom: Expression) -> Expression | None:
    """top/bottom where all of what varies in bottom cancels, None where it does not."""
    above, of_top = _factors(top)
    below, of_bottom = _factors(bottom)
    rest: list[Expression] = []
    for key, factor in of_bottom.items():
        left = of_top.get(key, _Factor(factor.base, 0)).exponent - factor.exponent
        if factor.exponent > 0 and key not in of_top and factor.base.head != "symbol":
            return None
        if factor.exponent > 0 and left < 0 and factor.base.role not in ("param", "const"):
            return None
        if left:
            rest.append(
                power(factor.base, number(left)) if left > 0 else divide(ONE, power(factor.base, number(-left)))
            )
    for key, factor in of_top.items():
        if key not in of_bottom:
            exponent = factor.exponent
            inverse = divide(ONE, power(factor.base, number(-exponent))) if exponent < 0 else None
            rest.append(inverse if inverse is not None else power(factor.base, number(exponent)))
    return multiply(number(_whole(float(f"{above / below:.15g}"))), *rest)


def _without(formula: Expression, factor: Expression) -> Expression | None:
    """formula/factor where the factor stands in the product, else None."""
    parts = formula.args if formula.head == "multiply" else (formula,)
    if factor not in parts:
        return None
    place = parts.index(factor)
    return multiply(*parts[:place], *parts[place + 1 :])
