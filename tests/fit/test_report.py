"""The folder of a fit: complete, valid, reproducible, and never half written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import odec
from odec.diagnostics import OdecError
from odec.fit.data import read_data
from odec.fit.fitting import Fit, fit
from odec.fit.report import read_estimates

MODEL = """\
## Logistic growth.
param r = 0.2 in [0, 1]     # growth rate
param K = 30 in [1, 100] log  # capacity
const n0 = 2; state n = n0  # a culture
dn = r*n*(1 - n/K)
observe half = n/2          # what the instrument shows
"""
DATA = "t,n,half\n0,2,\n2,3.8959,1.948\n4,,\n8,21.712,\n12,41.816,20.9\n16,54.189,\n24,59.611,\n"
FILES = {"report.txt", "fit.json", "fitted.ode", "trajectory.csv", "fit.png", "model.keras", "report.html"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("fit")
    (place / "model.ode").write_text(MODEL)
    (place / "data.csv").write_text(DATA)
    fit(place / "model.ode", place / "data.csv", output=place / "fit")
    return place


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def report(folder: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = (folder / "fit" / "fit.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found


def loss_of(path: Path, data: Path, rtol: float | None = None) -> float:
    table = read_data(data, ["n", "half"])
    solution = odec.solve(path, times=table.times, rtol=rtol)
    model = np.stack([solution[name] for name in table.names], axis=1)
    return float(np.nansum((model - table.values) ** 2))


def test_all_files_are_there_and_no_other(folder: Path) -> None:
    assert names(folder / "fit") == FILES


def test_json_has_what_a_report_needs(folder: Path) -> None:
    found = report(folder)
    capacity = found["parameters"]["K"]
    assert capacity["estimate"] == pytest.approx(60, rel=0.01)  # on the linear scale, though it is searched as log10
    assert (capacity["start"], capacity["lower"], capacity["upper"]) == (30, 1, 100)
    assert capacity["at_bound"] is False
    assert capacity["standard_error"] > 0
    assert abs(capacity["gradient"]) < 1e-3
    assert found["observations"] == 8
    assert found["columns"]["n"]["observations"] == 6
    assert found["seed"] == 0
    assert found["version"] == odec.__version__
    assert found["failed_starts"] == 0
    assert found["solver"] == "tsit5"
    assert found["step"] is None
    assert found["rtol"] == 1e-8
    assert {"loss", "seconds", "command", "data_digest", "model_digest", "rank", "correlations"} <= set(found)


def test_numbers_that_are_not_finite_are_null(tmp_path: Path) -> None:
    model = tmp_path / "model.ode"
    model.write_text("param k = 0.1\nstate x = 1\ndx = -k*x")
    fit(model, {"t": [1], "x": [0.5]}, output=tmp_path / "fit")
    found = report(tmp_path)
    assert found["parameters"]["k"]["lower"] is None
    assert found["parameters"]["k"]["standard_error"] is None
    assert found["residual_variance"] is None


def test_text_states_loss_estimates_and_errors(folder: Path) -> None:
    text = (folder / "fit" / "report.txt").read_text(encoding="utf-8")
    for part in (
        "loss (sum of squares)",
        "over 8 values",
        "std. error",
        "growth rate",
        "[1, 100] log",
        "tsit5",
        "seed 0",
    ):
        assert part in text


def test_text_states_bounds_and_what_is_not_identifiable(tmp_path: Path) -> None:
    model = tmp_path / "model.ode"
    model.write_text(
        "param a = 0.1\nparam b = 0.1\nparam c = 0.5 in [0, 1]\nstate x = 1\ndx = -(a + b)*x\nobserve y = x + c"
    )
    t = np.linspace(0, 4, 9)
    found = fit(model, {"t": t, "y": np.exp(-t) - 0.1}, output=None)
    assert "c = 0 (its lower bound)" in found.text
    assert "a and b: only a + b is determined" in found.text


def test_fitted_model_keeps_text_and_comments_and_reproduces_the_loss(folder: Path) -> None:
    path = folder / "fit" / "fitted.ode"
    text = path.read_text(encoding="utf-8")
    found = report(folder)
    for kept in (
        "## Logistic growth.",
        "# growth rate",
        "in [1, 100] log  # capacity",
        "observe half = n/2",
        "const n0 = 2;",
    ):
        assert kept in text
    assert found["data_digest"] in text
    assert f"param K = {found['parameters']['K']['estimate']!r} in [1, 100] log" in text
    assert loss_of(path, folder / "data.csv", found["rtol"]) == pytest.approx(found["loss"], rel=1e-6)
    # `odec solve` takes 1e-6 where the fit took 1e-8; the residuals are a thousandth of the data.
    assert loss_of(path, folder / "data.csv") == pytest.approx(found["loss"], rel=1e-4)


def test_fitting_a_fitted_model_does_not_pile_up_headers(folder: Path, tmp_path: Path) -> None:
    fit(folder / "fit" / "fitted.ode", folder / "data.csv", output=tmp_path / "again")
    text = (tmp_path / "again" / "fitted.ode").read_text(encoding="utf-8")
    assert text.count("Fitted by odec") == 1
    assert text.count("solve from") == 1


def test_euler_fit_with_a_large_step_is_reproduced_too(folder: Path, tmp_path: Path) -> None:
    found = fit(folder / "model.ode", folder / "data.csv", solver="euler", step=1.0, output=tmp_path / "fit")
    assert loss_of(tmp_path / "fit" / "fitted.ode", folder / "data.csv") == pytest.approx(found.loss, rel=1e-6)
    solution = found.solution
    assert solution.times.tolist() == [float(t) for t in range(25)]
    (row,) = np.flatnonzero(solution.times == 8.0)
    expected = odec.solve(tmp_path / "fit" / "fitted.ode", times=[8.0])["n"][0]
    assert solution["n"][row] == pytest.approx(expected, rel=1e-12)


def test_replaced_consts_and_initial_values_are_in_the_fitted_model(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.ode"
    model.write_text("param k = 0.1\nconst c = 1\nstate x = 5\ndx = -c*k*x")
    found = fit(model, {"t": [0, 1, 2], "x": [3, 1.7, 1.2]}, consts={"c": 2}, initial={"x": 3}, output=tmp_path / "fit")
    solution = odec.solve(tmp_path / "fit" / "fitted.ode", times=[0, 1, 2])
    assert np.sum((solution["x"] - [3, 1.7, 1.2]) ** 2) == pytest.approx(found.loss, rel=1e-6)


def test_trajectory_has_the_time_column_and_all_outputs(folder: Path) -> None:
    lines = (folder / "fit" / "trajectory.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "t,n,half"
    assert lines[1] == "0.0,2.0,1.0"
    assert lines[-1].startswith("24.0,")
    assert len(lines) > 200


def test_keras_model_gives_the_fitted_curve_in_a_fresh_process(folder: Path) -> None:
    code = f"""
import numpy, keras
from odec.loading import load_model
load_model({str(folder / "model.ode")!r})
model = keras.models.load_model({str(folder / "fit" / "model.keras")!r})
print(repr(model.predict(numpy.array([[2.0]]), verbose=0).ravel().tolist()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    times = read_data(folder / "data.csv", ["n", "half"]).times
    solution = odec.solve(folder / "fit" / "fitted.ode", times=times, rtol=report(folder)["rtol"])
    expected = np.stack([solution["n"], solution["half"]], axis=1).ravel()
    np.testing.assert_allclose(json.loads(done.stdout), expected, rtol=1e-12)


def test_estimates_are_read_back(folder: Path) -> None:
    for path in (folder / "fit" / "fit.json", folder / "fit"):
        found = read_estimates(path)
        assert found.params["r"] == pytest.approx(0.35, rel=0.01)
        assert (found.method, found.step) == ("tsit5", None)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"parameters": 3}', "not json"])
def test_what_is_no_report_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "fit.json"
    path.write_text(content)
    with pytest.raises(OdecError) as error:
        read_estimates(path)
    assert error.value.diagnostics[0].code == "E0506"


def test_folder_that_cannot_be_written_is_said_before_the_search(folder: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "fit"
    blocked.write_text("a file")
    seen: list[int] = []
    with pytest.raises(OdecError) as error:
        fit(
            folder / "model.ode",
            folder / "data.csv",
            output=blocked,
            progress=lambda done, total, loss: seen.append(done),
        )
    assert error.value.diagnostics[0].code == "E0701"
    assert seen == []
    assert blocked.read_text() == "a file"


def test_wrong_data_leave_no_folder(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OdecError):
        fit(folder / "model.ode", {"t": [0], "m": [1]}, output=tmp_path / "fit")
    assert not (tmp_path / "fit").exists()


def test_same_fit_writes_the_same_numbers(folder: Path, tmp_path: Path) -> None:
    fit(folder / "model.ode", folder / "data.csv", output=tmp_path / "fit")
    for name in ("fitted.ode", "trajectory.csv", "fit.png"):
        assert (tmp_path / "fit" / name).read_bytes() == (folder / "fit" / name).read_bytes()


def test_layer_class_is_fitted_like_its_file(folder: Path, load: Any, tmp_path: Path) -> None:
    found: Fit = fit(load(folder / "model.ode"), folder / "data.csv", output=tmp_path / "fit")
    assert found.loss == report(folder)["loss"]
    assert names(tmp_path / "fit") == FILES - {"fitted.ode"}
