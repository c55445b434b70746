"""Published problems: the negative log-likelihood at the authors' values."""

from __future__ import annotations

from pathlib import Path

import pytest
from published import SOLVERS, nominal, problem, reference


@pytest.mark.parametrize("name", SOLVERS)
def test_likelihood_at_the_authors_values(shared: Path, name: str) -> None:
    """To 1e-6 of libRoadRunner's, SciPy's and AMICI's value (they agree to 1e-7)."""
    folder = shared / "reference/estimation" / name
    found, known = problem(folder, solver=SOLVERS[name]), reference(folder)
    assert found.loss(nominal(found, known)[None])[0] == pytest.approx(known["nll_at_nominal"], rel=1e-6)


def test_scales_of_noise_are_found_where_they_are_nothing_else(shared: Path) -> None:
    """Boehm's three; of Zhao one for each experiment; Elowitz's with a factor; Fiedler's with another param as factor.
    (In Crauste and Rahman the data or the model say them.)"""
    for name, expected in (
        ("Boehm_JProteomeRes2014", ["sd_pSTAT5A_rel", "sd_pSTAT5B_rel", "sd_rSTAT5A_rel"]),
        ("Elowitz_Nature2000", ["sigma"]),
        ("Fiedler_BMCSystBiol2016", ["sigma_pErk", "sigma_pMek"]),
        ("Crauste_CellSystems2017", []),
        ("Rahman_MBS2016", []),
    ):
        found = problem(shared / "reference/estimation" / name, solver=SOLVERS[name])
        assert [found.scale.names[scale.place] for scale in found.noise_scales] == expected
    found = problem(shared / "reference/estimation/Zhao_QuantBiol2020", solver="tsit5")
    assert len(found.noise_scales) == len(found.design.experiments) == 7
