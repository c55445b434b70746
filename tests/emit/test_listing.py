"""A model printed: in the language, as a file that means the same, and as LaTeX."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from odec.compiler import after_passes, check, show
from odec.emit.listing import listing
from odec.functions import INTERNAL_FUNCTIONS
from odec.source import Source

ROOT = Path(__file__).resolve().parent.parent.parent
MODELS = sorted((*ROOT.glob("tests/models/**/*.ode"), *ROOT.glob("examples/*/*.ode")))

EVERYTHING = """## A model of everything.
size N = 3; size M = 2
const w[N] = range(N)/N  # weights
const g = [1, 2, 3]
param W[N, N] = glorot_normal()
param b[N] = [0.1, 0.2, 0.3] in [0.01, 1] log
param k = 0.1 in [1e-3, inf] ~ lognormal(0.1, 0.5) per experiment
param s = 1; param β_max = 8/3
data sd_y
input u[M] hold
input v
state x[N] = 1, z = 2, z' = 0
state X[N, M] = w[0]
a = x[floor(N/2):N]*2 + x[0] - 1
q = X @ u
f(p) = p/(1 + p)
dx = W @ x + b*w*g + roll(x, -1) - if(x > 1 and (x < 2 or x > 3), x^2, 0) + mean(x) - sum(X[:, 0]) + q
z'' = -z - z' + v + a[0] + exp(z)^2 - 2^-z + (-z)^2 + β_max*(z > 1) + f(k) - (1 - (z - 2)) + 1/(2*z)/z
dX = -X*(x @ W @ x) + (X @ [1, 2]) @ x + if(not (z > 1), 1, 2)
observe y = z + v
observe z ~ normal(z, s*sd_y)
observe yy ~ student_t(z, s, 4)
observe x
at t = 10, k: z += 5
every 24 from 0 to 96: z' = 0, z = 1
every k: z /= 2
when z > 3 and x[0] < 1: x *= 2
solve from 0 to 20, step 0.1, every 1, method rk4
"""
MAP = "input u[2]\nstate y[2] = 0\nparam W[2, 2] = 0.5\nnext y = tanh(y @ W + u)\n"


def texts() -> list[pytest.ParameterSet]:
    written = [pytest.param(path.read_text(encoding="utf-8"), id=f"{path.parent.name}-{path.stem}") for path in MODELS]
    return [*written, pytest.param(EVERYTHING, id="everything"), pytest.param(MAP, id="map")]


@pytest.mark.parametrize("text", texts())
@pytest.mark.parametrize("after", ["build", "guard"])
def test_what_is_shown_is_a_file_that_means_the_same(text: str, after: str) -> None:
    model, _ = check(Source.from_text(text))
    model = after_passes(model, until=after)
    shown = listing(model)
    if any(f"{name}(" in shown for name in INTERNAL_FUNCTIONS):
        return
    again, _ = check(Source.from_text(shown))
    # Equal formulas are one object. Intermediates stand in an order in which they can be computed: there are several.
    assert {d.name: d.value for d in again.intermediates} == {d.name: d.value for d in model.intermediates}
    for kind in ("consts", "observes"):
        assert [item.value for item in getattr(again, kind)] == [item.value for item in getattr(model, kind)]
    assert [s.initial for s in again.states] == [s.initial for s in model.states]
    assert [e.value for e in again.equations] == [e.value for e in model.equations]
    assert [(p.name, p.value, p.lower, p.upper, p.log, p.prior, p.shape) for p in again.params] == [
        (p.name, p.value, p.lower, p.upper, p.log, p.prior, p.shape) for p in model.params
    ]
    assert [(j.kind, j.times, j.condition, [value for _, value in j.changes]) for j in again.jumps] == [
        (j.kind, j.times, j.condition, [value for _, value in j.changes]) for j in model.jumps
    ]
    assert [o.noise for o in again.observes] == [o.noise for o in model.observes]
    assert (again.solve, again.inputs, again.data, again.is_map) == (
        model.solve,
        model.inputs,
        model.data,
        model.is_map,
    )
    assert listing(again) == shown


# What LaTeX with amsmath and amssymb knows.
COMMANDS = frozenset(
    re.findall(
        r"\w+",
        "begin end frac sqrt left right mathrm mathbb operatorname text quad cdot times odot ldots bmod in sim "
        "leftarrow le ge ne neg wedge vee lfloor rfloor lceil rceil max min ln log sin cos tan sinh cosh tanh "
        "arcsin arccos arctan to overset "
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau upsilon phi chi psi "
        "omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega",
    )
)


def without_cases(row: str) -> str:
    """Innermost first."""
    while r"\begin" in row:
        start = row.rindex(r"\begin")
        row = row[:start] + row[row.index(r"\end{cases}", start) + len(r"\end{cases}") :]
    return row


@pytest.mark.parametrize("text", texts())
def test_every_model_is_typeset(text: str) -> None:
    written = show(Source.from_text(text), latex=True)
    head, *rows, tail = written.strip().split("\n")
    assert (head, tail) == (r"\begin{align*}", r"\end{align*}")
    assert rows
    for row in rows:
        assert without_cases(row).count("&") == 1, row
        assert set(re.findall(r"\\([A-Za-z]+)", row)) <= COMMANDS, row
        bare = row.replace(r"\{", "").replace(r"\}", "")
        depth = 0
        for sign in bare:
            depth += (sign == "{") - (sign == "}")
            assert depth >= 0, row
        assert depth == 0, row
        assert row.count(r"\left") - row.count(r"\leftarrow") == row.count(r"\right"), row
        # TeX has one superscript a base: a power of a power stands in brackets.
        assert not re.search(r"\^\{[^{}]*\}\^", row), row


@pytest.mark.parametrize("text", texts())
def test_matplotlib_draws_the_formulas(text: str) -> None:
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("path")
    written = show(Source.from_text(text), latex=True)
    for row in written.strip().split("\n")[1:-1]:
        # Matplotlib knows no environments.
        if r"\begin" not in row:
            formula = row.strip().removesuffix(r"\\").replace("&", "").replace(r"\bmod", r"\operatorname{mod}")
            parser.parse(f"${formula}$")


def test_latex_tells_products_apart_and_keeps_a_conditions_brackets() -> None:
    written = show(Source.from_text(EVERYTHING), latex=True)
    for part in (
        r"W \, x + b \odot w \odot g",
        r"x > 1 \wedge \left(x < 2 \vee x > 3\right)",
        r"\left(e^{z}\right)^{2}",
        r"x\left[0\right] - 1",
        r"\beta_{\mathrm{max}}",
        r"z' &\leftarrow 0 \quad \text{every } 24\ \text{from } 0\ \text{to } 96",
        r"z &\sim \text{normal}\left(z, s \, \mathrm{sd}_{\mathrm{y}}\right)",
    ):
        assert part in written, part
    assert r"y^{+} &= \tanh" in show(Source.from_text(MAP), latex=True)
