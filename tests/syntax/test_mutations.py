"""Whatever is done to a valid file, there is a tree or a diagnostic, soon."""

from __future__ import annotations

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syntax_support import meaning

from odec.diagnostics import OdecError
from odec.source import Source
from odec.syntax.format import format_text
from odec.syntax.parser import parse

MODEL = r"""## Everything that the language has.
size N = 3; input u[N] hold
state x[N] = 0, y  # levels
state y' = -1.5e-3
param k = 0.1 in [1e-6, 1_000] log ~ lognormal(0.1, 0.5) per experiment
const A[2, 2] = [[1, 2], [3, 4]]
f(a, b) = a/(1 + b)^2 ** -1
dx = k*(u - x) + roll(x, 1)[0:N-1] @ A
y'' = if(0 < y <= 2 and not t > 3, -y', \
  max(y, 1))  # bend
dz/dt = -ω₁*z; d/dt(w) = w
ω₁ = 2
observe total = sum(x) + f(y, 2)
observe y ~ normal(y, s)
data s
at t = 10, 20: y += 5, z = 0
every 24 from 0 to 96: z *= 2
when y > 3: y = 0
solve from 0 to 100, step 0.1, every 1, method euler
"""
PIECES = st.sampled_from(
    [
        *"()[]=,;:#\\\n +-*/^@~<!'−²₂😀٣",
        "==",
        "''",
        "##",
        "**",
        "<=",
        "&&",
        "//",
        "%",
        "0,5",
        "1e",
        "1.2.3",
        "2x",
        "and",
        "not",
        "in",
        "for",
        "if",
        "log",
        "state ",
        "param ",
        "at ",
        "every ",
        "when ",
        "solve ",
        "t",
        "pi",
        "exp",
        "́",
        "\u200b",
        "\x00",
        "\x85",
        "\u2028",
    ]
)
EDITS = st.lists(st.tuples(st.integers(0, len(MODEL)), st.integers(0, 12), PIECES | st.text(max_size=3)), max_size=6)


def mutated(edits: list[tuple[int, int, str]]) -> str:
    text = MODEL
    for place, length, piece in edits:
        text = text[:place] + piece + text[place + length :]
    return text


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EDITS)
def test_a_mutated_file_gives_a_tree_or_diagnostics(edits: list[tuple[int, int, str]]) -> None:
    source = Source.from_text(mutated(edits))
    begun = time.perf_counter()
    try:
        tree = parse(source)
    except OdecError as error:
        assert str(error)
        assert all(item.code.startswith("E0") and item.message for item in error.diagnostics)
    else:
        text = format_text(source)
        assert meaning(parse(Source.from_text(text))) == meaning(tree)
        assert format_text(Source.from_text(text)) == text
    assert time.perf_counter() - begun < 2


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_text_gives_a_tree_or_diagnostics(text: str) -> None:
    try:
        parse(Source.from_text(text))
    except OdecError as error:
        assert str(error)
