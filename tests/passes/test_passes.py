"""Each pass changes how a model is written and not what it means; and each does what it is for."""

from __future__ import annotations

import random
from pathlib import Path

import mpmath
import numpy as np
import pytest
import reference
from agreement import Generated, Where, compare_at, compiled, points

from odec.compiler import after_passes, check
from odec.emit.listing import listing
from odec.model.expression import operation_count
from odec.passes import MODEL_PASSES
from odec.source import Source
from odec.syntax.parser import parse

MODELS = sorted((Path(__file__).parent.parent / "models").glob("*.ode"))
NAMES = [name for name, _ in MODEL_PASSES]

DECAY = """
state x = 1
param a = 20 in [0, 20]
param b = 0.5 in [0.1, 2]
y = x*(1 - exp(-a*t))/(b + x*(1 - exp(-a*t)))
x' = y - x*y
"""


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", NAMES)
def test_a_model_means_the_same_without_the_pass(name: str, path: Path) -> None:
    source = Source.from_file(path)
    model = reference.Reference(parse(source))
    result, layer = compiled(source, without=(name,))
    where = points(model, 2)
    # Without the guard, forms that overflow have no slope: only their values are asked for.
    compare_at(model, layer, where, slopes=name != "guard", text=result.text)


def _listed(text: str, *without: str) -> str:
    model, _ = check(Source.from_text(text))
    return listing(after_passes(model, without=without))


def test_simplify_pulls_out_a_common_factor() -> None:
    text = "state x, y\nparam r = 1\nparam a = 1\nx' = r*x*(1 - x) - a*x*y\ny' = -y"
    assert "x' = x*(r*(1 - x) - a*y)\n" in _listed(text)
    assert "x' = r*x*(1 - x) - a*x*y\n" in _listed(text, "simplify")


@pytest.mark.parametrize(
    "formula",
    [
        "x*(1 - exp(-a*t))/(b + x*(1 - exp(-a*t)))",
        "tanh(100*x)",
        "(exp(x) - exp(-x))/(exp(x) + exp(-x))",
        "exp(-x)*exp(-a)",
        "1/(1 + x^2) + exp(a*x)",
        "a + b*x + x^2",
    ],
)
def test_simplify_leaves_a_form_that_it_cannot_better(formula: str) -> None:
    text = f"state x\nparam a = 1\nparam b = 1\nx' = {formula}"
    assert _listed(text, "guard") == _listed(text, "guard", "simplify")


def test_simplify_never_adds_operations() -> None:
    for path in MODELS:
        model, _ = check(Source.from_file(path))
        after = after_passes(model, until="simplify")
        for old, new in zip(model.formulas, after.formulas, strict=True):
            assert operation_count(new) <= operation_count(old)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_simplify_makes_no_finite_value_infinite(dtype: str) -> None:
    """S01: 1000 points of the parameter box, before and after all passes."""
    chance = random.Random(1)
    where = [
        Where(
            chance.uniform(0, 100),
            {"x": chance.uniform(-2, 2)},
            {"a": chance.uniform(0, 20), "b": chance.uniform(0.1, 2)},
        )
        for _ in range(1000)
    ]
    before, after = (Generated(compiled(DECAY, without=w)[1], where, True, dtype) for w in (tuple(NAMES), ()))
    for function in ("rhs", "outputs"):
        old, new = np.array(before.ask(function)), np.array(after.ask(function))
        assert np.isfinite(new[np.isfinite(old)]).all()
        if dtype == "float64":
            np.testing.assert_allclose(new, old, rtol=1e-10)


def test_guard_makes_the_rate_of_a_channel_safe_at_its_singular_point() -> None:
    """S06: 0.1*(v + 40)/(1 - exp(-(v + 40)/10)) is 1 at v = -40."""
    text = "state v = -40\nam = 0.1*(v + 40)/(1 - exp(-(v + 40)/10))\nv' = am"
    for shift in (0.0, 1e-4, -1e-4, 1e-7, 3.0):
        for dtype, tolerance in (("float64", 1e-12), ("float32", 1e-4)):
            where = [Where(0.0, {"v": -40 + shift}, {})]
            generated = Generated(compiled(text)[1], where, True, dtype)
            u = (np.dtype(dtype).type(-40 + shift) + np.dtype(dtype).type(40)).item()
            with mpmath.workdps(30):
                wanted = float(mpmath.mpf(u) / 10 / (1 - mpmath.exp(-mpmath.mpf(u) / 10))) if u else 1.0
            assert generated.ask("rhs")[0][0] == pytest.approx(wanted, rel=tolerance)
            assert generated.ask("rhs_x")[0]["v", "v"] == pytest.approx(0.05, rel=0.2)
    bare = Generated(compiled(text, without=("guard",))[1], [Where(0.0, {"v": -40.0}, {})], True)
    assert not np.isfinite(bare.ask("rhs")[0][0])


def test_guard_knows_the_singularity_in_other_words() -> None:
    for formula in ("u/(exp(u) - 1)", "u/(1 - exp(-u))", "2*u/(exp(u) - 1)", "-u/(1 - exp(u))", "a*u/(3*exp(u) - 3)"):
        text = f"state v = 0\nparam a = 2\nu = (v - a)/4\nw = {formula.replace('u', '((v - a)/4)')}\nv' = w + u"
        generated = Generated(compiled(text)[1], [Where(0.0, {"v": 2.0}, {"a": 2.0})], True)
        assert np.isfinite(generated.ask("rhs")[0][0]), formula
        assert np.isfinite(list(generated.ask("rhs_x")[0].values())).all()


@pytest.mark.parametrize(
    ("formula", "slope"),
    [
        ("exp(x) - 1", 1),
        ("1 - exp(-a*x)", 2),
        ("(3*exp(a*x) - 3)/a", 3),
        ("log(1 + a*x)", 2),
        ("ln(x + 1)", 1),
        ("log(1 - x - x^2)", -1),
    ],
)
def test_guard_keeps_the_digits_near_zero(formula: str, slope: float) -> None:
    """The text itself leaves of x = 1e-17 nothing."""
    text = f"state x = 1e-17\nparam a = 2\nx' = {formula}"
    where = [Where(0.0, {"x": 1e-17}, {"a": 2.0})]
    assert Generated(compiled(text)[1], where, True).ask("rhs")[0][0] == pytest.approx(slope * 1e-17, rel=1e-12)
    assert Generated(compiled(text, without=("guard",))[1], where, True).ask("rhs")[0][0] == 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_guard_makes_a_steep_curve_a_sigmoid(dtype: str) -> None:
    """S14: 1/(1 + exp(-(v - vh)/k)): value 0 and slope 0, not NaN."""
    text = "state v = -80\nparam vh = 20\nparam k = 0.2\nm = 1/(1 + exp(-(v - vh)/k))\nv' = m"
    generated = Generated(compiled(text)[1], [Where(0.0, {"v": -80.0}, {"vh": 20.0, "k": 0.2})], True, dtype)
    assert generated.ask("rhs")[0][0] == pytest.approx(0.0, abs=1e-30)
    assert generated.ask("rhs_p")[0]["v", "vh"] == pytest.approx(0.0, abs=1e-30)
    bare = Generated(compiled(text, without=("guard",))[1], generated.where, True, "float32")
    assert not np.isfinite(bare.ask("rhs_p")[0]["v", "vh"])


def _slope_by_tape(layer, name: str, value: float, dtype: str = "float64") -> tuple[float, float]:
    """The rate of the first state with its slope by that state, by the backend's own differentiation."""
    import tensorflow as tf

    from odec.runtime.working import working_in

    description = layer.description
    p = tuple(tf.constant([q.value], dtype) for q in description.params)
    x = [tf.constant([0.5], dtype) for _ in description.states]
    place = [s.name for s in description.states].index(name)
    x[place] = tf.constant([value], dtype)
    with tf.GradientTape() as tape, working_in(dtype):
        tape.watch(x[place])
        rate = layer.rhs(tf.constant(0.0, dtype), tuple(x), p, ())[place]
    return float(rate[0]), float(tape.gradient(rate, x[place], unconnected_gradients="zero")[0])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("formula", "at", "value", "slope"),
    [
        ("if(abs(x + 40) < 1e-6, 1, 0.1*(x + 40)/(1 - exp(-(x + 40)/10)))", -40.0, 1.0, None),
        ("if(x > 0, sqrt(x), 0)", 0.0, 0.0, 0.0),
        ("if(x > 0, log(x), x)", -1.0, -1.0, 1.0),
        ("if(x > 0, x^1.5, 0)", -2.0, 0.0, 0.0),
        ("if(x > 0, x^p, 0)", -2.0, 0.0, 0.0),
        ("if(abs(x) < 1e-6, 1, sin(x)/x)", 0.0, 1.0, 0.0),
        ("if(x == 0, 0, x*log(x))", 0.0, 0.0, 0.0),
        ("if(x < 1, asin(x), 2*x)", 3.0, 6.0, 2.0),
        ("if(x > 700, x, exp(x))", 1e4, 1e4, 1.0),
        ("if(x == 0, 0, 1/x)", 0.0, 0.0, 0.0),
        ("sqrt(max(x, 0))", -1.0, 0.0, 0.0),
        ("sqrt(max(x, 0))", 0.0, 0.0, 0.0),
        ("max(x, 0.5)", 0.5, 0.5, 1.0),
        ("(x - 3)^2", 3.0, 0.0, 0.0),
        ("(x - 3)^3", 1.0, -8.0, 12.0),
        ("tanh(1000*x)", 5.0, 1.0, 0.0),
    ],
)
def test_value_and_slope_of_the_chosen_branch_are_finite(
    formula: str, at: float, value: float, slope: float, dtype: str
) -> None:
    """S02, S05, S07, S09: the generated derivative, and that of automatic differentiation of the generated rate."""
    _, layer = compiled(f"state x = 1\nparam p = 2\nx' = {formula} + 0*p")
    generated = Generated(layer, [Where(0.0, {"x": at}, {"p": 2.0})], True, dtype)
    ours = generated.ask("rhs_x")[0].get(("x", "x"), 0.0)
    rate, theirs = _slope_by_tape(layer, "x", at, dtype)
    assert generated.ask("rhs")[0][0] == pytest.approx(value, rel=1e-6) and rate == pytest.approx(value, rel=1e-6)
    assert np.isfinite(list(generated.ask("rhs_p")[0].values())).all()
    if slope is None:
        assert np.isfinite([ours, theirs]).all()
    else:
        assert ours == pytest.approx(slope, rel=1e-5, abs=1e-12) and theirs == pytest.approx(slope, rel=1e-5, abs=1e-12)


def test_the_numbers_of_the_cases_at_their_start() -> None:
    """Rates and slopes that `../shared/cases` give for t = 0."""
    power = "state x = 1\nparam p = 2\ny = (x - 3)^2 + (x - 3)^3\nw = 2^p\nx' = 0*x"
    _, layer = compiled(power)
    generated = Generated(layer, [Where(1.0, {"x": 1.0}, {"p": 2.0})], True)
    assert generated.ask("outputs")[0] == [-4.0, 4.0]
    assert generated.ask("outputs_p")[0]["w", "p"] == pytest.approx(2.772588722, rel=1e-9)
    ties = "state x = 0\nstate z = 0\nw = sqrt(max(x - z, 0))\nx' = w\nz' = 0"
    generated = Generated(compiled(ties)[1], [Where(0.0, {"x": 0.0, "z": 0.0}, {})], True)
    assert generated.ask("rhs")[0][0] == 0 and set(generated.ask("rhs_x")[0].values()) <= {0.0}


def test_an_intermediate_that_is_not_chosen_contributes_nothing() -> None:
    """At x = 0 the intermediate is 0/0, and so is its slope."""
    text = (
        "state x = 0\nstate y = 1\ns = cos(x)/x\nw = y*if(x == 0, 1, s)\nx' = y*w - 2*if(abs(x) < 1e-6, 1, s)/2\ny' = y"
    )
    _, layer = compiled(text)
    generated = Generated(layer, [Where(0.0, {"x": 0.0, "y": 2.0}, {})], True)
    assert generated.ask("rhs_x")[0] == {("x", "x"): 0.0, ("x", "y"): 4.0, ("y", "y"): 1.0}


def test_branches_guards_only_what_its_condition_speaks_of() -> None:
    text = "state x = 1\nparam V = 2\nx' = if(t < 10, x/V, 0) + if(x > 0, V/x, 1)"
    written = compiled(text)[0].text
    assert "select(t < 10, x / V, 0)" in written
    assert "V / select(" in written and "V / x" in compiled(text, without=("branches",))[0].text
