"""The tutorial notebook, run as Jupyter runs it; cells with mistakes; equations as formulas."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import odec

nbformat = pytest.importorskip("nbformat")

ROOT = Path(__file__).resolve().parent.parent
TUTORIAL = ROOT / "docs" / "tutorial.ipynb"

# Behind the tutorial's own cells.
MISTAKES = ("%%ode Wrong\nx' = -k*x", "%%ode\nx' = -x", "odec.solve(Competition, params={'rr1': 1})")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The cells of the tutorial and those with mistakes, with what each gave."""
    notebook = nbformat.read(TUTORIAL, as_version=4)
    for cell in notebook.cells:
        cell.pop("outputs", None)
        if cell.cell_type == "code":
            cell.outputs = []
    for text in MISTAKES:
        notebook.cells.append(nbformat.v4.new_code_cell(text, metadata={"tags": ["raises-exception"]}))
    folder = tmp_path_factory.mktemp("notebook")
    nbformat.write(notebook, folder / "run.ipynb")
    command = [str(Path(sys.executable).parent / "jupyter"), "execute", "--inplace", str(folder / "run.ipynb")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    found: list[Any] = nbformat.read(folder / "run.ipynb", as_version=4).cells
    return found


def shown(cell: Any, kind: str) -> str:
    """What a cell shows in one form, "" where it shows none."""
    return "".join(output["data"].get(kind, "") for output in cell.get("outputs", ()) if "data" in output)


def printed(cell: Any) -> str:
    """What a cell prints."""
    return "".join(output["text"] for output in cell.get("outputs", ()) if output["output_type"] == "stream")


def the(cells: list[Any], text: str) -> Any:
    """The cell with this text in it."""
    (cell,) = [cell for cell in cells if text in cell.source]
    return cell


def test_the_tutorial_gives_what_its_page_shows(cells: list[Any]) -> None:
    written = nbformat.read(TUTORIAL, as_version=4).cells
    for old, new in zip(written, cells, strict=False):
        assert old.source == new.source
        assert [o["output_type"] for o in old.get("outputs", ())] == [o["output_type"] for o in new.get("outputs", ())]
        # The last digits of a training differ between processors.
        assert re.sub(r"[\d.]+", "#", printed(old)) == re.sub(r"[\d.]+", "#", printed(new))


def test_a_model_cell_defines_the_layer_and_shows_its_equations(cells: list[Any]) -> None:
    cell = the(cells, "%%ode Competition")
    assert r"\frac{\mathrm{d} x_{1}}{\mathrm{d} t} &= r_{1}" in shown(cell, "text/latex")
    assert "x1' = r1*x1*(1 - iN1*x1) - a1*x1*x2" in shown(cell, "text/plain")
    assert not printed(cell), "nothing of TensorFlow's start is seen"


def test_a_solution_is_a_picture_and_a_fit_its_report(cells: list[Any]) -> None:
    assert shown(the(cells, "odec.solve(Ball, to=8)"), "image/png")
    # The optimum of the two-species data with Euler steps of 0.1.
    assert "0.541625 over 14 values" in shown(the(cells, "fit = odec.fit"), "text/html")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (-3, "error[E0203]: `k` is not defined"),
        (-2, "does not say what the model is called"),
        (-1, "did you mean `r1`?"),
    ],
)
def test_a_mistake_is_said_without_a_traceback(cells: list[Any], place: int, message: str) -> None:
    (output,) = cells[place].outputs
    text = "\n".join(output["traceback"])
    assert message in text
    assert "Traceback" not in text and ".py" not in text


def test_equations_are_a_formula_and_a_text(examples: Path) -> None:
    equations = odec.equations(examples / "exponential" / "model.ode")
    assert equations._repr_latex_().startswith("$$\n\\begin{aligned}\n")
    assert r"\frac{\mathrm{d} x}{\mathrm{d} t} &= - k \, x" in equations._repr_latex_()
    assert "x' = -k*x" in repr(equations)
