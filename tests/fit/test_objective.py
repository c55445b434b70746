"""What is minimised and its derivatives: every noise, priors, experiments, conditions, params of each experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from odec.diagnostics import OdecError
from odec.fit.priors import prior_terms
from odec.fit.problem import Problem
from odec.fit.setup import Asked, problem_of
from odec.loading import load_source
from odec.runtime.description import Param, Prior
from odec.source import Source

MODEL = "state x = 2; param k = 0.3 in [0.01, 10] log; param s = 0.2 in [0.01, 5] log; param b = 0.1\ndx = -k*x\n"
DATA = {"t": [0.0, 0.5, 1.0, 2.0, 4.0], "x": [2.1, 1.6, 1.7, 1.0, 0.7]}
STEP = {"step": 0.05, "solver": "rk4"}


def problem(text: str, data: Any = None, **asked: Any) -> Problem:
    layer = load_source(Source.from_text(text))
    return problem_of(layer, data or DATA, Asked(**(STEP | asked)))[0]


def check_gradient(found: Problem) -> None:
    """2Jᵀr is the slope of the loss, by central differences; all points in one run."""
    z, h = found.scale.to_search(found.scale.start) + 0.013, 1e-5
    points = found.evaluate(z[None])
    moves = h * np.eye(len(z))
    loss = found.loss(found.scale.to_values(np.concatenate([z[None], z + moves, z - moves])))
    assert points.loss[0] == pytest.approx(loss[0], rel=1e-12)
    gradient = 2 * points.jacobian[0].T @ points.residuals[0]
    ahead, behind = loss[1 : 1 + len(z)], loss[1 + len(z) :]
    np.testing.assert_allclose(gradient, (ahead - behind) / (2 * h), rtol=1e-6, atol=1e-7 * np.abs(gradient).max())


NOISES = {
    "n1": "normal(x, s)",
    "n2": "normal(x, s + b*x)",
    "n3": "normal(x, sqrt(s^2 + (b*x)^2)*(1 + 0.1*t))",
    "n4": "normal(x, 0.1)",
    "l1": "lognormal(x, s)",
    "l2": "laplace(x, s)",
    "t1": "student_t(x, s, 4)",
    "t2": "student_t(x, s, 3 + b)",
    "c1": "poisson(100*x)",
    "c2": "negbinomial(100*x, 10*s)",
    "c3": "negbinomial(100*x, 5)",
}
COUNTS = [190, 180, 160, 100, 71]


@pytest.fixture(scope="module")
def every_noise() -> Problem:
    text = MODEL + "\n".join(f"observe {name} ~ {noise}" for name, noise in NOISES.items())
    return problem(text, {"t": DATA["t"]} | {name: COUNTS if "c" in name else DATA["x"] for name in NOISES})


def test_gradient_of_every_noise(every_noise: Problem) -> None:
    check_gradient(every_noise)


def test_likelihood_of_every_noise_is_scipys(every_noise: Problem) -> None:
    parts = every_noise.by_column(every_noise.scale.start)
    t, m, c = np.array(DATA["t"]), np.array(DATA["x"]), np.array(COUNTS)
    x, s, b = 2 * np.exp(-0.3 * t), 0.2, 0.1
    expected = {
        "n1": stats.norm(x, s).logpdf(m),
        "n2": stats.norm(x, s + b * x).logpdf(m),
        "n3": stats.norm(x, np.hypot(s, b * x) * (1 + 0.1 * t)).logpdf(m),
        "n4": stats.norm(x, 0.1).logpdf(m),
        "l1": stats.lognorm(s, scale=x).logpdf(m),
        "l2": stats.laplace(x, s).logpdf(m),
        "t1": stats.t(4, x, s).logpdf(m),
        "t2": stats.t(3 + b, x, s).logpdf(m),
        "c1": stats.poisson(100 * x).logpmf(c),
        "c2": stats.nbinom(2, 2 / (2 + 100 * x)).logpmf(c),
        "c3": stats.nbinom(5, 5 / (5 + 100 * x)).logpmf(c),
    }
    for name, logs in expected.items():
        # RK4 with steps of 0.05 on exp(-0.3 t): an error of 1e-10.
        assert parts[name] == pytest.approx(-logs.sum(), rel=1e-7), name


def test_gradient_of_a_sum_of_squares() -> None:
    check_gradient(problem(MODEL))


def test_a_data_column_is_the_sd_of_its_row() -> None:
    data = DATA | {"y": DATA["x"], "sd_x": [0.1, 0.2, 0.3, 0.1, 0.2]}
    text = "data sd_x\nobserve x ~ normal(x, sd_x)\nobserve y ~ normal(x, sqrt(sd_x^2 + s^2))"
    found = problem(MODEL + text, data)
    x, sd = 2 * np.exp(-0.3 * np.array(DATA["t"])), np.array(data["sd_x"])
    parts = found.by_column(found.scale.start)
    assert parts["x"] == pytest.approx(-stats.norm(x, sd).logpdf(DATA["x"]).sum(), rel=1e-8)
    assert parts["y"] == pytest.approx(-stats.norm(x, np.hypot(sd, 0.2)).logpdf(DATA["x"]).sum(), rel=1e-8)
    check_gradient(found)


def test_noise_sees_inputs() -> None:
    text = MODEL + "input u\nobserve x ~ normal(x, s*(1 + u))"
    found = problem(text, inputs={"u": {"t": [0, 4], "u": [0, 1]}})
    scale = 0.2 * (1 + np.array(DATA["t"]) / 4)
    expected = -stats.norm(2 * np.exp(-0.3 * np.array(DATA["t"])), scale).logpdf(DATA["x"]).sum()
    assert found.loss(found.scale.start[None])[0] == pytest.approx(expected, rel=1e-8)
    check_gradient(found)


@pytest.mark.parametrize(
    ("prior", "distribution"),
    [
        (Prior("normal", (0.5, 0.1)), stats.norm(0.5, 0.1)),
        (Prior("lognormal", (0.5, 0.4)), stats.lognorm(0.4, scale=0.5)),
        (Prior("laplace", (0.5, 0.1)), stats.laplace(0.5, 0.1)),
        (Prior("student_t", (0.5, 0.1, 3.0)), stats.t(3, 0.5, 0.1)),
        (Prior("uniform", (0.1, 2.0)), stats.uniform(0.1, 1.9)),
    ],
    ids=lambda part: getattr(part, "kind", ""),
)
def test_priors_are_densities_of_the_value(prior: Prior, distribution: Any) -> None:
    params, theta = [Param("a", 1.0), Param("k", 0.3, prior=prior)], np.array([[7.0, 0.3]])
    h = np.array([[0.0, 1e-6]])
    value, residuals, jacobian = prior_terms(params, theta)
    assert value[0] == pytest.approx(-distribution.logpdf(0.3), rel=1e-12)
    ahead, behind = (prior_terms(params, theta + move)[0][0] for move in (h, -h))
    gradient = 2 * jacobian[0].T @ residuals[0]
    assert gradient.tolist() == pytest.approx([0.0, (ahead - behind) / 2e-6], rel=1e-6, abs=1e-9)


def test_a_prior_is_a_part_of_the_loss() -> None:
    found = problem(
        "state x = 2; param k = 0.3 in [0.01, 10] log ~ normal(1, 0.2)\ndx = -k*x\nobserve x ~ normal(x, 1)"
    )
    at = found.scale.start[None]
    assert found.loss(at)[0] == pytest.approx(found.losses(at).sum() - stats.norm(1, 0.2).logpdf(0.3), rel=1e-12)
    check_gradient(found)


def test_a_prior_of_counts_is_refused() -> None:
    with pytest.raises(OdecError, match="whole numbers"):
        problem("state x = 2; param k = 1 ~ poisson(3)\ndx = -k*x\nobserve x ~ normal(x, 0.1)")


# Experiments.

TWO = {
    "experiment": ["a", "a", "a", "b", "b"],
    "t": [0.0, 1.0, 3.0, 0.7, 2.0],
    "x": [2.0, 1.5, 0.8, 0.9, 0.6],
}
CHAIN = """
state x = x0; state y = 1
param x0 = 2; param k = 0.3; param q = 0.5; param s = 0.2 in [0.01, 5] log per experiment
const f = 1; const g = 2*f
dx = -k*x*g + 0.01*y
dy = q*x - y
observe x ~ normal(x, s)
"""


def test_param_of_each_experiment_is_a_coordinate_of_each() -> None:
    found = problem(CHAIN, TWO)
    assert found.scale.names == ("x0", "k", "q", "s[a]", "s[b]")
    check_gradient(found)
    jacobian = found.evaluate(found.scale.to_search(found.scale.start)[None]).jacobian[0]
    # What an experiment's own sd does to the other's data is nothing.
    assert (jacobian[:, 3] != 0).sum() == 3
    assert (jacobian[:, 4] != 0).sum() == 2


def test_starts_and_fixed_values_by_experiment() -> None:
    found = problem(CHAIN, TWO, start={"s": 0.4, "s[b]": 0.3}, fix={"q": 0.7, "s[a]": 0.25})
    assert found.scale.names == ("x0", "k", "s[b]")
    assert found.scale.start.tolist() == [2.0, 0.3, 0.3]
    assert found.design.settings(found.scale.start, 0).params == {"x0": 2.0, "k": 0.3, "q": 0.7, "s": 0.25}
    check_gradient(found)


def test_fixing_every_param_leaves_nothing_to_fit() -> None:
    with pytest.raises(OdecError, match="every param of the model is fixed"):
        problem("param k = 1\nstate x = 1\nx' = -k*x", {"t": [1.0], "x": [0.5]}, fix={"k": 2.0})


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (None, "`x` has no initial value in experiment `a`"),
        ({"x": [1.0, None]}, "`x` has no initial value in experiment `b`"),
    ],
    ids=["nowhere", "in-one"],
)
def test_a_state_without_a_start_is_said(conditions: dict[str, Any] | None, message: str) -> None:
    data = {"experiment": ["a", "b"], "t": [1.0, 1.0], "x": [0.5, 0.4]}
    if conditions is not None:
        conditions = {"experiment": ["a", "b"], **conditions}
    with pytest.raises(OdecError, match=message) as error:
        problem("param k = 1\nx' = -k*x", data, conditions=conditions)
    assert error.value.diagnostics[0].code == "E0606"
    assert "`param x0 = 1` and `state x = x0`" in str(error.value)


@pytest.mark.parametrize("name", ["K", "s[c]"])
def test_fixing_what_is_no_param_is_said(name: str) -> None:
    with pytest.raises(OdecError, match="E0603"):
        problem(CHAIN, TWO, fix={name: 1.0})


@pytest.mark.parametrize(
    "conditions",
    [
        {"x": ["k", 3.0]},
        {"x": [None, "q"], "y": ["x0", 2.0]},
        {"f": [1.5, None], "g": [None, 3.0]},
        {"k": ["f", 0.4], "f": [1.2, None], "x0": [1.0, "k"]},
    ],
    ids=str,
)
def test_gradient_and_values_with_conditions(conditions: dict[str, Any]) -> None:
    """Experiments fitted together are the sum of each alone, its numbers written into the model."""
    together = problem(CHAIN, TWO, conditions={"experiment": ["a", "b"]} | conditions)
    check_gradient(together)
    own = {"x0": 2.0, "k": 0.3, "q": 0.5, "f": 1.0}
    total = 0.0
    for e, label in enumerate(["a", "b"]):
        row = {name: cells[e] for name, cells in conditions.items() if cells[e] is not None}
        known = own | {name: value for name, value in row.items() if not isinstance(value, str)}
        for _ in row:
            known |= {name: known[value] for name, value in row.items() if isinstance(value, str)}
        known = {name: value for name, value in known.items() if name in own or name in row}
        rows = [i for i, name in enumerate(TWO["experiment"]) if name == label]
        data = {name: [TWO[name][i] for i in rows] for name in ("t", "x")}
        one = problem(
            CHAIN,
            data,
            start={name: known[name] for name in ("x0", "k", "q")},
            consts={name: known[name] for name in ("f", "g") if name in row},
            initial={name: known[name] for name in ("x", "y") if name in row},
        )
        total += one.loss(one.scale.start[None])[0]
    # The two runs cut their steps at other times: RK4's error of some 1e-9.
    assert together.loss(together.scale.start[None])[0] == pytest.approx(total, rel=1e-7)


def test_conditions_lie_beside_the_data(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("experiment,t,x\na,1,0.5\nb,1,0.4\n")
    (tmp_path / "conditions.csv").write_text("experiment;x\na;1,5\nb;2\n")
    found = problem(MODEL, tmp_path / "data.csv")
    assert [found.design.settings(found.scale.start, e).initial["x"] for e in (0, 1)] == [1.5, 2.0]


@pytest.mark.parametrize(
    ("conditions", "code", "part"),
    [
        ({"experiment": ["a"], "x": [1.0]}, "E0507", "no row for the experiment `b`"),
        ({"experiment": ["a", "b", "b"], "x": [1.0, 1, 1]}, "E0507", "more than one row"),
        ({"experiment": ["a", "b"], "X": [1.0, 1]}, "E0501", "did you mean `x`"),
        ({"experiment": ["a", "b"], "x": [1.0, "K"]}, "E0503", "did you mean `k`"),
        ({"x": [1.0, 2.0]}, "E0507", "no column `experiment`"),
        ({"experiment": ["a", "b"], "k": ["q", None], "q": ["k", None]}, "E0503", "circle"),
        ({"experiment": ["a", "b"], "f": ["q", None]}, "E0702", "by the param `q`"),
    ],
    ids=str,
)
def test_wrong_conditions_are_said(conditions: dict[str, Any], code: str, part: str) -> None:
    with pytest.raises(OdecError) as error:
        problem(CHAIN, TWO, conditions=conditions)
    assert error.value.diagnostics[0].code == code
    assert part in str(error.value)


def test_inputs_of_each_experiment() -> None:
    text = "state x = 0; param k = 0.3; input u hold\ndx = u - k*x\nsolve step 0.05, method rk4"
    series = {"experiment": ["a", "a", "b"], "t": [0.0, 1.0, 0.0], "u": [1.0, 2.0, 3.0]}
    data = {"experiment": ["a", "a", "b"], "t": [1.0, 2.0, 2.0], "x": [0.8, 2.0, 4.0]}
    found = problem(text, data, inputs={"u": series})
    k = 0.3
    first = (1 - np.exp(-k)) / k
    expected = [first, first * np.exp(-k) + 2 * first, 3 * (1 - np.exp(-2 * k)) / k]
    np.testing.assert_allclose(found.runs.at_cells(np.array([[k]])).values[0], expected, rtol=1e-7)
    check_gradient(found)
    beside = problem(text, data | {"u": [1.0, 2.0, 3.0]})
    assert beside.runs.inputs is not None
    assert beside.runs.inputs.values.shape[-1] == 2
    with pytest.raises(OdecError, match="no rows for the experiment `b`"):
        problem(text, data, inputs={"u": {"experiment": ["a"], "t": [0.0], "u": [1.0]}})


# Data that a noise cannot take.


@pytest.mark.parametrize(
    ("noise", "cells", "part"),
    [
        ("poisson(x)", [1.0, 2.5], "2.5 is not a count"),
        ("lognormal(x, 0.1)", [1.0, 0.0], "0 is not a number above 0"),
        ("normal(x, sd)", [1.0, 2.0], "needs `sd`"),
        ("normal(x, s*sd)", [1.0, 2.0], "needs `sd`"),
        ("normal(x, -1)", [1.0, 2.0], "is -1"),
    ],
)
def test_data_that_a_noise_excludes_are_named(noise: str, cells: list[float], part: str) -> None:
    data = {"t": [0.0, 1.0], "y": cells, "sd": [0.1, None]}
    with pytest.raises(OdecError) as error:
        problem(MODEL + f"data sd\nobserve y ~ {noise}", data)
    assert error.value.diagnostics[0].code == "E0503"
    assert part in str(error.value)


def test_weights_divide_each_column_and_unequal_ones_are_said() -> None:
    text = "state x = 1; state y = 1000; param k = 0.3\ndx = -k*x\ndy = -k*y"
    data = {"t": [1.0, 2.0], "x": [0.7, 0.4], "y": [700.0, 500.0]}
    plain, scaled, spread = (problem(text, data, weights=weights) for weights in ("none", "scale", "sd"))
    at = plain.scale.start[None]
    parts = plain.by_column(at[0])
    assert scaled.loss(at)[0] == pytest.approx(parts["x"] / 0.7**2 + parts["y"] / 700**2)
    assert spread.loss(at)[0] == pytest.approx(parts["x"] / 0.15**2 + parts["y"] / 100**2)
    check_gradient(scaled)
    with pytest.raises(OdecError, match="E0606"):
        problem(MODEL + "observe x ~ normal(x, s)", weights="scale")
