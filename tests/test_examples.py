"""Each example runs as its README says, and a number of its outcome agrees with a source that is not odec."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from odec.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
NAMES = sorted(folder.name for folder in EXAMPLES.iterdir() if folder.is_dir())


def commands(name: str) -> list[list[str]]:
    """The commands of an example's README."""
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for block in blocks for line in block.splitlines()]


def type_in(command: list[str]) -> None:
    """Runs `odec …` or `python script.py` in this process, where the model's layer is compiled already."""
    if command[0] == "odec":
        assert main(command[1:]) == 0, command
    else:
        python, script = command
        assert python == "python"
        runpy.run_path(script, run_name="__main__")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`ran(name)` is a copy of the example's folder in which its README's commands were typed."""
    done: dict[str, Path] = {}

    def run(name: str) -> Path:
        if name not in done:
            folder = tmp_path_factory.mktemp("example") / name
            shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
            before = Path.cwd()
            os.chdir(folder)
            try:
                for command in commands(name):
                    type_in(command)
            finally:
                os.chdir(before)
            done[name] = folder
        return done[name]

    return run


def table(path: Path) -> dict[str, np.ndarray]:
    """The columns of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_of_the_readme_run_and_its_pictures_are_there(ran: Callable[[str], Path], name: str) -> None:
    folder = ran(name)
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (EXAMPLES / name / link).exists(), link
    pictures = re.findall(r"!\[.*?\]\(([^)]+)\)", text)
    assert pictures
    for picture in pictures:
        # A fit draws its picture into its own folder.
        made = folder / picture if (folder / picture).exists() else folder / "fit" / picture
        assert made.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_written_in_the_house_layout(name: str) -> None:
    for model in (EXAMPLES / name).glob("*.ode"):
        assert main(["fmt", "--check", str(model)]) == 0


def test_competition_equals_a_plain_loop_of_euler_steps(ran: Callable[[str], Path]) -> None:
    found = table(ran("competition") / "solution.csv")
    r1, r2, a1, a2, n1, n2 = 0.1, 0.3, 0.0001, 0.0002, 0.002, 0.003
    x, y = 100.0, 150.0
    for i in range(1, 1001):
        dx, dy = r1 * x * (1 - n1 * x) - a1 * x * y, r2 * y * (1 - n2 * y) - a2 * x * y
        x, y = x + 0.1 * dx, y + 0.1 * dy
        assert found["x1"][i] == pytest.approx(x, rel=1e-10)
        assert found["x2"][i] == pytest.approx(y, rel=1e-10)
    assert len(found["t"]) == 1001


def test_competition_is_fitted_to_the_optimum_that_scipy_finds(ran: Callable[[str], Path]) -> None:
    report = json.loads((ran("competition") / "fit" / "fit.json").read_text(encoding="utf-8"))
    # scipy.optimize.least_squares from two starts (../shared/reference/article/README.md), Euler steps of 1.
    assert report["loss"] == pytest.approx(0.6966435, abs=1e-6)
    optimum = {
        "r1": 0.0995784,
        "r2": 0.279647,
        "a1": 9.69394e-05,
        "a2": 1.872847e-04,
        "iN1": 0.002035366,
        "iN2": 0.003000828,
    }
    for name, value in optimum.items():
        assert report["parameters"][name]["estimate"] == pytest.approx(value, rel=2e-5)


def test_competition_is_fitted_at_a_fine_step(tmp_path: Path) -> None:
    model, data = EXAMPLES / "competition" / "model.ode", EXAMPLES / "competition" / "data.csv"
    assert main(["fit", str(model), str(data), "--step", "0.1", "-o", str(tmp_path / "fit")]) == 0
    report = json.loads((tmp_path / "fit" / "fit.json").read_text(encoding="utf-8"))
    assert report["loss"] == pytest.approx(0.5416254, abs=1e-6)


def test_exponential_is_the_exponential_function(ran: Callable[[str], Path]) -> None:
    found = table(ran("exponential") / "solution.csv")
    # RK4 at k h = 0.02 errs by (0.02)^5/120 a step, over 100 steps.
    np.testing.assert_allclose(found["x"], 3 * np.exp(-0.2 * found["t"]), rtol=1e-8)


def test_exponential_is_fitted_where_the_closed_form_has_its_least_squares(ran: Callable[[str], Path]) -> None:
    folder = ran("exponential")
    data = table(folder / "data.csv")

    def slope(k: float) -> float:
        curve = 3 * np.exp(-k * data["t"])
        return float(np.sum((curve - data["x"]) * data["t"] * curve))

    report = json.loads((folder / "fit" / "fit.json").read_text(encoding="utf-8"))
    assert report["parameters"]["k"]["estimate"] == pytest.approx(brentq(slope, 0.1, 1.0, xtol=1e-14), rel=1e-6)


def test_lotka_volterra_keeps_its_energy_and_agrees_with_scipy(ran: Callable[[str], Path]) -> None:
    found = table(ran("lotka_volterra") / "solution.csv")
    x, y = found["x"], found["y"]
    energy = 0.03 * x - 0.9 * np.log(x) + 0.02 * y - 0.5 * np.log(y)
    np.testing.assert_allclose(found["energy"], energy, rtol=1e-12)
    assert np.ptp(energy) < 1e-5
    # RK4's own error at this step: 6e-5 of 78, and a sixteenth of it at half the step.
    check(found, ["x", "y"], lambda t, s: [0.5 * s[0] - 0.02 * s[0] * s[1], 0.03 * s[0] * s[1] - 0.9 * s[1]], 1e-4)


def test_sir_ends_at_the_final_size(ran: Callable[[str], Path]) -> None:
    found = table(ran("sir") / "solution.csv")
    np.testing.assert_allclose(found["S"] + found["I"] + found["R"], 1000, rtol=1e-12)
    # S and R are tied along the way: S = S(0) exp(-β R / (γ N)), hence the size of an epidemic that has ended.
    np.testing.assert_allclose(found["S"], 998 * np.exp(-2.5 * found["R"] / 1000), rtol=1e-6)
    final = brentq(lambda s: s - 998 * math.exp(-2.5 * (1000 - s) / 1000), 1.0, 500.0)
    assert found["S"][-1] == pytest.approx(final, abs=0.2)


def test_lorenz_agrees_with_scipy_until_chaos_parts_them(ran: Callable[[str], Path]) -> None:
    found = table(ran("lorenz") / "solution.csv")
    early = {name: column[found["t"] <= 10] for name, column in found.items()}

    def rhs(t: float, s: Any) -> list[float]:
        x, y, z = s
        return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]

    # Errors grow like exp(0.9 t), here by four powers of ten.
    check(early, ["x", "y", "z"], rhs, 1e-4)


def test_universal_finds_the_mechanism_and_the_term_behind_the_counts(ran: Callable[[str], Path]) -> None:
    folder = ran("universal")
    train = runpy.run_path(str(folder / "train.py"))
    model = keras.saving.load_model(folder / "universal.keras")
    found = model.layers[-1].parameters()
    for name, value in train["TRUTH"].items():
        assert found[name] == pytest.approx(value, rel=0.1)
    # Inside of where the six series went: Holling's type II, which the trained model has never seen.
    prey, predator = np.meshgrid(np.linspace(0.5, 2.5, 9), np.linspace(0.5, 1.5, 9))
    error = train["learned"](model, prey, predator) - 1.2 * prey * predator / (1 + 0.6 * prey)
    assert np.sqrt(np.mean(error**2)) < 0.1


def test_the_spiral_is_followed_from_each_of_its_points(ran: Callable[[str], Path]) -> None:
    folder = ran("spiral")
    train = runpy.run_path(str(folder / "train.py"))
    curve = train["spiral"]()
    model = keras.saving.load_model(folder / "spiral.keras")
    found = model.predict(curve[:-30], verbose=0)[:, -1]
    # 30 points on, where the curve itself has moved by 0.6 on average.
    assert np.mean(np.abs(found - curve[30:])) < 0.03
    assert np.mean(np.abs(curve[30:] - curve[:-30])) > 0.4


def check(found: dict[str, np.ndarray], names: list[str], rhs: Callable[[float, Any], Any], atol: float) -> None:
    """The columns are SciPy's, integrated with a tolerance near what float64 holds."""
    start = [found[name][0] for name in names]
    span = (found["t"][0], found["t"][-1])
    truth = solve_ivp(rhs, span, start, method="DOP853", t_eval=found["t"], rtol=1e-12, atol=1e-12)
    for name, values in zip(names, truth.y, strict=True):
        np.testing.assert_allclose(found[name], values, rtol=0, atol=atol, err_msg=name)


def test_python_dash_m_is_the_same_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "odec", "--version"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("odec ")
