"""Large and deep models: bounded time, no recursion at its limit, text that Python's own parser takes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from agreement import Generated, Where, compiled

# Two orders above what each takes on a slow machine would hide a square; this is one.
SECONDS = 12
SHARED = Path(__file__).parent.parent.parent.parent / "shared"


def _rates(
    text: str, states: dict[str, float], params: dict[str, float] | None = None, t: float = 0.0
) -> dict[str, float]:
    start = time.perf_counter()
    result, layer = compiled(text)
    assert time.perf_counter() - start < SECONDS
    assert max(map(len, result.text.splitlines())) <= 120
    generated = Generated(layer, [Where(t, states, params or {})], tensors=False)
    return dict(zip(generated.states, generated.ask("rhs")[0], strict=True))


def test_a_chain_that_doubles_fourteen_times_stays_a_chain() -> None:
    """S12: written out it would be 2^14 copies."""
    lines = ["state x = 0.2", "param r = 3.7", "y0 = x"]
    lines += [f"y{i + 1} = r*y{i}*(1 - y{i})" for i in range(14)]
    text = "\n".join([*lines, "dx = y14 - x"])
    y = 0.2
    for _ in range(14):
        y = 3.7 * y * (1 - y)
    # The map multiplies a rounding by up to 3.7 each time.
    assert _rates(text, {"x": 0.2}, {"r": 3.7})["x"] == pytest.approx(y - 0.2, rel=1e-8)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no reference numbers beside the checkout")
def test_the_chain_of_the_case_has_its_number() -> None:
    text = (SHARED / "cases/S12-large-expression/model.ode").read_text()
    _, layer = compiled(text)
    p = tuple(q.value for q in layer.description.params)
    c = tuple(layer.constants({})[q.name] for q in layer.description.consts)
    rate = layer.rhs(0.0, tuple(float(v) for v in layer.initial(p, c)), p, c)[0]
    assert rate == pytest.approx(0.103660910946, abs=1e-9)


@pytest.mark.parametrize("count", [70, 400])
def test_nested_choices_are_one_table(count: int) -> None:
    text = "".join(f"if(t < {0.5 * i}, {i}, " for i in range(1, count + 1)) + "0" + ")" * count
    for t in (0.0, 3.2, count * 0.5 - 0.1, count):
        wanted = int(t / 0.5) + 1 if t < 0.5 * count else 0
        assert _rates(f"state x = 0\nx' = {text}", {"x": 0.0}, t=t)["x"] == wanted


@pytest.mark.parametrize(
    "body",
    [
        "(" * 250 + "x" + ")" * 250,
        "(" * 250 + "x" + " + 1)" * 250,
        "sin(" * 250 + "x" + ")" * 250,
        "-(" * 250 + "x" + ")" * 250,
        "2^(" * 100 + "x" + ")" * 100,
        "if(x > 0, " * 70 + "x" + ", 1)" * 70,
        "1/(1 + " * 200 + "x" + ")" * 200,
        "max(1, " * 200 + "x" + ")" * 200,
        "(x > " * 100 + "0" + ")" * 100,
    ],
    ids=["brackets", "sums", "calls", "signs", "powers", "choices", "fraction", "max", "comparisons"],
)
def test_deep_nesting_compiles(body: str) -> None:
    assert set(_rates(f"state x = 0.5\nx' = {body}", {"x": 0.5})) == {"x"}


def test_calls_of_functions_in_functions() -> None:
    lines = ["f0(a) = a + 1", *(f"f{i}(a) = f{i - 1}(a) + 1" for i in range(1, 100))]
    assert _rates("\n".join(["state x = 0", *lines, "x' = f99(x)"]), {"x": 0.0})["x"] == 100
    nested = "f(" * 250 + "x" + ")" * 250
    assert _rates(f"state x = 0\nf(a) = a + 1\nx' = {nested}", {"x": 0.0})["x"] == 250


@pytest.mark.parametrize("sign", ["+", "-"])
def test_ten_thousand_terms(sign: str) -> None:
    values = [(i % 7 + 1) / 4 for i in range(10_000)]
    body = f" {sign} ".join(f"{value}*x" for value in values)
    wanted = values[0] + (1 if sign == "+" else -1) * sum(values[1:])
    assert _rates(f"state x = 1\nx' = {body}", {"x": 1.0})["x"] == pytest.approx(wanted, rel=1e-12)


def test_a_thousand_factors() -> None:
    body = "*".join(["x", "k"] * 500)
    assert _rates(f"state x = 1\nparam k = 1\nx' = {body}", {"x": 1.0}, {"k": 1.0})["x"] == 1.0


def test_two_thousand_equations_in_a_chain() -> None:
    lines = ["state x0 = 1", "param k = 2", "x0' = -k*x0"]
    for i in range(1, 2_000):
        lines += [f"state x{i} = 0", f"x{i}' = k*(x{i - 1} - x{i})"]
    rates = _rates("\n".join(lines), {f"x{i}": 1.0 / (i + 1) for i in range(2_000)}, {"k": 2.0})
    assert rates["x1999"] == pytest.approx(2 * (1 / 1999 - 1 / 2000), rel=1e-9)


def test_two_thousand_intermediates_in_a_chain() -> None:
    lines = ["state x = 1", "y0 = x", *(f"y{i} = y{i - 1} + sin(y{i - 1})*1e-3" for i in range(1, 2_000)), "x' = y1999"]
    lines.reverse()
    y = 1.0
    import math

    for _ in range(1_999):
        y += math.sin(y) * 1e-3
    assert _rates("\n".join(lines), {"x": 1.0})["x"] == pytest.approx(y, rel=1e-9)


def test_everything_depends_on_everything() -> None:
    """300 states have 90,000 derivatives: compiled all the same, in bounded time."""
    total = " + ".join(f"x{i}" for i in range(300))
    lines = [f"total = {total}"] + [f"state x{i} = 1\nx{i}' = -x{i}*total" for i in range(300)]
    assert _rates("\n".join(lines), {f"x{i}": 1.0 for i in range(300)})["x7"] == -300
