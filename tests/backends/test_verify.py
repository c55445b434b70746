"""`odec verify`, and SciPy's side of it against what is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from odec.backends import BACKENDS, check_backend, installed
from odec.cli.main import main
from odec.compiler import check
from odec.diagnostics import OdecError
from odec.source import Source
from odec.verify import Difference, largest
from odec.verify.asked import Asked
from odec.verify.independent import Independent, refusal

# A dose every second hour: x is known between and behind them.
DOSED = "param k = 0.5\nparam x0 = 2\nstate x = x0\ndx = -k*x\nevery 2 from 2 to 5: x += 1\nat 1: x = 3\n"
TIMES = (0.0, 0.5, 1.0, 3.0, 4.0, 6.0)


def independent(text: str, **replaced: float) -> Independent:
    model = check(Source(text, "model.ode"))[0]
    assert not refusal(model)
    return Independent(model, Asked("", TIMES, replaced, {}, 1e-9))


def dosed(k: float) -> list[float]:
    """At TIMES, behind jumps."""
    x2 = 3 * np.exp(-k) + 1
    x4 = x2 * np.exp(-2 * k) + 1
    return [2, 2 * np.exp(-k / 2), 3, x2 * np.exp(-k), x4, x4 * np.exp(-2 * k)]


def test_scipy_runs_the_formulas_through_jumps() -> None:
    np.testing.assert_allclose(independent(DOSED).values("tsit5")[:, 0], dosed(0.5), rtol=1e-10)
    np.testing.assert_allclose(independent(DOSED, k=0.8).values("rodas5p")[:, 0], dosed(0.8), rtol=1e-8)


def test_scipy_takes_differences() -> None:
    """Central ones over 1e-4: exact to 1e-8."""
    exact = (np.array(dosed(0.5 + 1e-6)) - dosed(0.5 - 1e-6)) / 2e-6
    found = independent(DOSED).sensitivities("tsit5")
    np.testing.assert_allclose(found[:, 0, 0], exact, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found[:, 0, 1], [1, np.exp(-0.25), 0, 0, 0, 0], atol=1e-8)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("state x = 1\ndx = -x\nwhen x < 0.5: x = 1\n", "conditions"),
        ("state x[3] = 1\ndx = -x\n", "arrays"),
        ("input u\nstate x = 1\ndx = u\n", "inputs"),
        ("state x = 1\nnext x = x/2\n", "map"),
    ],
)
def test_what_scipy_is_not_asked(text: str, why: str) -> None:
    assert why in refusal(check(Source(text, "model.ode"))[0])


def test_differences_are_relative_to_a_column() -> None:
    mine, theirs = np.array([[1.0, 100.0], [2.0, 200.0]]), np.array([[1.0, 100.0], [2.0, 201.0]])
    assert largest(mine, theirs) == pytest.approx(1 / 201)
    assert largest(np.zeros(3), np.zeros(3)) == 0
    assert not Difference("", "values", float("nan"), 1.0).passes


def test_the_command_compares_all_that_is_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dosed.ode"
    path.write_text(DOSED, encoding="utf-8")
    assert main(["verify", str(path), "--to", "6", "--set", "k=0.8"]) == 0
    said = capsys.readouterr().out
    assert "SciPy" in said and "DIFFERENT" not in said
    for key, (name, cure) in BACKENDS.items():
        assert f"{name}: not installed ({cure})" in said if not installed(key) else name in said


def test_a_model_that_cannot_run_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "endless.ode"
    path.write_text("state x = 1\ndx = -x\n", encoding="utf-8")
    assert main(["verify", str(path)]) == 1
    assert "E0602" in capsys.readouterr().err


def test_an_unknown_back_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jaxx")
    with pytest.raises(OdecError, match="did you mean `jax`"):
        check_backend()
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    with pytest.raises(OdecError, match="there are tensorflow, jax, torch"):
        check_backend()
    monkeypatch.setattr("odec.backends.find_spec", lambda name: None)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    with pytest.raises(OdecError, match="JAX is not installed"):
        check_backend()


def test_the_names_are_those_of_the_seam() -> None:
    from odec.runtime import loops

    assert set(BACKENDS) == set(loops.BACKENDS)
