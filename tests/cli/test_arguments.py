"""Arguments: what is a usage error, what reaches the library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from odec.cli.arguments import ASSIGNMENTS, NUMBERS, values_by_name
from odec.diagnostics import Diagnostic
from odec.solution import Solution


@pytest.mark.parametrize(
    ("text", "value"),
    [("r1=0.2", ("r1", 0.2)), ("x'=-1", ("x'", -1.0)), ("k[e1] = 1e-3", ("k[e1]", 1e-3)), ("ω1=2", ("ω1", 2.0))],
)
def test_an_assignment_is_a_name_and_a_number(text: str, value: tuple[str, float]) -> None:
    assert ASSIGNMENTS.convert(text, None, None) == (value,)


def test_several_assignments_share_an_option_and_indices_keep_their_commas() -> None:
    assert ASSIGNMENTS.convert("a=1, W[0,1]=2,b=3", None, None) == (("a", 1.0), ("W[0,1]", 2.0), ("b", 3.0))


@pytest.mark.parametrize("text", ["r1", "=2", "r1=", "r1=abc", "r1=nan", "r1=1,5", "a=1,", ""])
def test_what_is_no_assignment_is_a_usage_error(text: str) -> None:
    with pytest.raises(click.UsageError, match=r"not a number|not of the form"):
        ASSIGNMENTS.convert(text, None, None)


def test_times_keep_their_order_and_their_repeats() -> None:
    assert NUMBERS.convert("5, 1,1 0.5", None, None) == (5.0, 1.0, 1.0, 0.5)


def test_a_name_given_twice_is_a_usage_error() -> None:
    with pytest.raises(click.UsageError, match="`k` twice"):
        values_by_name(((("k", 1.0),), (("k", 2.0),)), "--set")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("solve", "m.ode", "--set", "r1=abc"), "'abc' is not a number"),
        (("solve", "m.ode", "--set", "r1=1", "--set", "r1=2"), "`r1` twice"),
        (("solve", "m.ode", "--to", "ten"), "'ten' is not a number"),
        (("solve", "m.ode", "--times", "1;2"), "'1;2' is not a number"),
        (("solve", "m.ode", "--dtype", "float16"), "float16"),
        (("solve",), "Missing argument 'MODEL'"),
        (("fit", "m.ode"), "Missing argument 'DATA'"),
        (("fit", "m.ode", "d.csv", "--starts", "0"), "--starts"),
        (("fit", "m.ode", "d.csv", "--seed", "x"), "--seed"),
        (("solve", "m.ode", "-o", "m.ode"), "`m.ode`, which is read"),
        (("solve", "m.ode", "-o", "./x/../m.ode"), "`m.ode`, which is read"),
        (("solve", "m.ode", "--input", "u=u.csv", "-o", "u.csv"), "`u.csv`, which is read"),
        (("solve", "m.ode", "--params", "fit.json", "--plot", "fit.json"), "`fit.json`, which is read"),
        (("solve", "m.ode", "-o", "a.png", "--plot", "a.png"), "`a.png`, which is written too"),
        (("solve", "m.ode", "--times", "1,2", "--every", "1"), "leave one away"),
        (("fit", "fit/fitted.ode", "d.csv"), "`fit/fitted.ode`, which is read"),
        (("fit", "m.ode", "a/trajectory.csv", "-o", "a"), "`a/trajectory.csv`, which is read"),
        (("fit", "m.ode", "d.csv", "--epochs", "10"), "--epochs belongs to --method adam"),
        (("fit", "m.ode", "d.csv", "--method", "lm", "--learning-rate", "1"), "--learning-rate belongs"),
        (("fmt", "--write", "--check", "m.ode"), "do not go together"),
        (("slove", "m.ode"), "slove"),
        (("compile", "m.ode", "--nmae", "X"), "--nmae"),
    ],
)
def test_a_wrong_command_exits_with_2_and_says_why(odec: Any, arguments: tuple[str, ...], message: str) -> None:
    result = odec(*arguments)
    assert result.code == 2
    assert message in result.err
    assert result.out == ""


WARNING = Diagnostic("W0601", "the step is too large", severity="warning")


def test_what_is_said_reaches_the_solver_and_what_is_not_said_does_not(
    odec: Any, monkeypatch: Any, examples: Path
) -> None:
    calls: list[Any] = []

    def solve(model: str, **options: Any) -> Any:
        assert callable(options.pop("progress"))
        calls.append(options)
        times, values = np.array([0.0]), np.array([[np.nan]])
        return Solution(times, ("x",), values, method="rk4", step=0.1, steps=1, notes=(WARNING,))

    monkeypatch.setattr("odec.solution.solve", solve)
    result = odec(
        "solve",
        examples / "exponential/model.ode",
        "--from",
        "1",
        "--to",
        "2",
        "--set",
        "a=3",
        "--set",
        "b=4",
        "--init",
        "x=5",
        "--json",
    )
    assert result.code == 0
    assert calls == [{"start": 1.0, "to": 2.0, "params": {"a": 3.0, "b": 4.0}, "init": {"x": 5.0}}]
    assert '"x": [\n      null' in result.out
    assert result.err.startswith("warning[W0601]")
