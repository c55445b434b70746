"""Pictures: written whole, in the format of the extension, with every name and dot on them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from odec.diagnostics import OdecError
from odec.plot import plot_fit, plot_solution

T = np.linspace(0, 10, 50)
VALUES = np.stack([100 * np.exp(-T / 3), 50 + 10 * np.sin(T)], axis=1)
START = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize("extension", START)
def test_extension_decides_the_format(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"picture{extension}"
    plot_solution(T, VALUES, ["x1", "x2"], path)
    assert path.read_bytes().startswith(START[extension])
    assert list(tmp_path.iterdir()) == [path]


def test_names_descriptions_title_and_time_stand_in_the_picture(tmp_path: Path) -> None:
    path = tmp_path / "p.svg"
    labels = {"x1": "first species", "x2": "dollar $a_1$ < & µ"}
    plot_solution(T, VALUES, ["x1", "x2"], path, title="Two species", labels=labels, time_label="year")
    text = path.read_text(encoding="utf-8")
    for part in ("x1 · first species", "x2 · dollar $a_1$ &lt; &amp; µ", "Two species", "year"):
        assert part in text


def test_fit_has_a_panel_and_dots_for_each_column(tmp_path: Path) -> None:
    path = tmp_path / "p.svg"
    data = VALUES[::10].copy()
    data[1, 0] = np.nan
    plot_fit(T, VALUES, ["x1", "x2"], T[::10], data, path, title="loss 0.1", labels={"x1": "first"})
    text = path.read_text(encoding="utf-8")
    assert text.count(">data</text>") == 2
    assert text.count(">model</text>") == 2
    assert "x1 · first" in text


def test_experiments_differ_in_one_panel(tmp_path: Path) -> None:
    path = tmp_path / "p.svg"
    curves, data = np.stack([VALUES, 2 * VALUES]), np.concatenate([VALUES[::10], 2 * VALUES[::10]])
    times, which = np.tile(T[::10], 2), np.repeat([0, 1], 5)
    plot_fit(T, curves, ["x1", "x2"], times, data, path, experiments=("a", "b"), data_experiment=which)
    text = path.read_text(encoding="utf-8")
    assert "model · a" in text
    assert "data · b" in text


def test_same_picture_is_the_same_bytes(tmp_path: Path) -> None:
    for extension in START:
        one, two = tmp_path / f"one{extension}", tmp_path / f"two{extension}"
        plot_solution(T, VALUES, ["x1", "x2"], one)
        plot_solution(T, VALUES, ["x1", "x2"], two)
        assert one.read_bytes() == two.read_bytes()


def test_many_curves_of_very_different_sizes(tmp_path: Path) -> None:
    values = np.stack([10.0 ** (i % 9 - 4) * np.cos(T + i) for i in range(30)], axis=1)
    plot_solution(T, values, [f"x{i}" for i in range(30)], tmp_path / "p.png")
    assert (tmp_path / "p.png").exists()


def test_values_that_are_not_finite_leave_gaps(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[20:, 0] = np.inf
    values[:, 1] = np.nan
    plot_solution(T, values, ["x1", "x2"], tmp_path / "p.png")
    assert (tmp_path / "p.png").exists()


def test_single_point(tmp_path: Path) -> None:
    plot_fit(np.zeros(1), np.ones((1, 1)), ["x"], np.zeros(2), np.ones((2, 1)), tmp_path / "p.png")
    assert (tmp_path / "p.png").exists()


@pytest.mark.parametrize("name", ["p.gif", "p", "nowhere/p.png"])
def test_place_or_format_that_does_not_work_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(OdecError) as error:
        plot_solution(T, VALUES, ["x1", "x2"], tmp_path / name)
    assert error.value.diagnostics[0].code == "E0701"
    assert list(tmp_path.iterdir()) == []


def test_importing_loads_no_matplotlib_and_drawing_no_pyplot() -> None:
    code = (
        "import sys, odec.plot; assert 'matplotlib' not in sys.modules; import numpy as np, tempfile, os;"
        "odec.plot.plot_solution(np.arange(3), np.ones((3, 1)), ['x'], os.path.join(tempfile.mkdtemp(), 'p.png'));"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
