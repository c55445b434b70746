"""Real data with known best fits, `shared/reference/fits`: loss to 1e-6, estimates to 1e-4, standard errors to 1 %.

The references are SciPy's least_squares on solutions at 1e-11 and, where the solution has a closed form, R's nls.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from odec.fit.fitting import Fit, fit
from odec.loading import load_model


@pytest.fixture
def fits(shared: Path) -> Path:
    return shared / "reference/fits"


def known(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "best_fit.json").read_text(encoding="utf-8"))
    return found["fits"]


def check(found: Fit, wanted: dict[str, Any]) -> None:
    """The same optimum. (The references write a capital K for the param `k` of a logistic curve.)"""
    assert found.loss == pytest.approx(wanted["rss"], rel=1e-6)
    for name, value in wanted["params"].items():
        parameter = found.parameters[name if name in found.parameters else name.lower()]
        assert parameter.estimate == pytest.approx(value, rel=1e-4), name
        assert parameter.standard_error == pytest.approx(wanted["se"][name], rel=0.01), name


def columns(table: pd.DataFrame, time: str, **names: str) -> dict[str, list[float]]:
    return {"t": table[time].tolist()} | {name: table[column].tolist() for name, column in names.items()}


def test_biochemical_oxygen_demand(fits: Path) -> None:
    folder = fits / "bod"
    data = columns(pd.read_csv(folder / "data.csv"), "Time", d="demand")
    check(fit(folder / "model.ode", data, output=None), known(folder)["all"])


def test_weight_of_a_chick(fits: Path) -> None:
    folder = fits / "chick_weight"
    table = pd.read_csv(folder / "data.csv")
    data = columns(table[table["Chick"] == 1], "Time", y="weight")
    check(fit(folder / "model.ode", data, output=None), known(folder)["chick_1"])


def test_orange_trees(fits: Path) -> None:
    folder = fits / "orange_trees"
    table, model = pd.read_csv(folder / "data.csv"), load_model(folder / "model.ode")
    for tree, own in table.groupby("Tree"):
        found = fit(model, columns(own, "age", y="circumference"), output=None)
        check(found, known(folder)[f"tree_{tree}"])


def test_theophylline_of_each_subject_and_of_all(fits: Path) -> None:
    folder = fits / "theophylline"
    table, model, wanted = pd.read_csv(folder / "data.csv"), load_model(folder / "model.ode"), known(folder)
    for subject, own in table.groupby("Subject"):
        dose = {"dose": float(own["Dose"].iloc[0])}
        found = fit(model, columns(own, "Time", c="conc"), consts=dose, output=None)
        check(found, wanted[f"subject_{subject}"])
    doses = table.groupby("Subject")["Dose"].first()
    conditions = {"experiment": [str(s) for s in doses.index], "dose": doses.tolist()}
    data = columns(table, "Time", c="conc") | {"experiment": table["Subject"].astype(str).tolist()}
    check(fit(model, data, conditions=conditions, output=None), wanted["pooled"])


def test_influenza_at_a_boarding_school(fits: Path) -> None:
    """Three readings of when it began, and with how many."""
    folder = fits / "boarding_school_flu"
    table, model, wanted = pd.read_csv(folder / "data.csv"), load_model(folder / "model.ode"), known(folder)
    data = columns(table, "day", i="in_bed")
    check(fit(model, data, fix={"i0": 1.0}, output=None), wanted["t0_day0_i0_1"])
    check(fit(model, data, output=None), wanted["t0_day0_i0_free"])
    since = {"t": [day - 1 for day in data["t"]], "i": data["i"]}
    check(fit(model, since, fix={"i0": 3.0}, output=None), wanted["t0_first_obs_i0_3"])


def test_hare_and_lynx(fits: Path, tmp_path: Path) -> None:
    """The numbers, and their logarithms."""
    folder = fits / "hare_lynx"
    table, wanted = pd.read_csv(folder / "data.csv"), known(folder)
    table["year"] -= 1900
    check(fit(folder / "model.ode", columns(table, "year", hare="hare", lynx="lynx"), output=None), wanted["plain"])
    path = tmp_path / "log.ode"
    text = (folder / "model.ode").read_text(encoding="utf-8")
    path.write_text(
        f"{text}\nobserve h ~ lognormal(hare, s)\nobserve l ~ lognormal(lynx, s)\nparam s = 0.2 in [0.01, 5] log\n"
    )
    found = fit(path, columns(table, "year", h="hare", l="lynx"), output=None)
    # By likelihood the variance is the mean square; the standard errors are smaller by the root of (42 - 6)/42.
    assert found.estimates["s"] ** 2 * 42 == pytest.approx(wanted["log"]["rss"], rel=1e-6)
    for name, value in wanted["log"]["params"].items():
        parameter = found.parameters[name]
        assert parameter.estimate == pytest.approx(value, rel=1e-4)
        assert parameter.standard_error == pytest.approx(wanted["log"]["se"][name] * (36 / 42) ** 0.5, rel=0.01)
