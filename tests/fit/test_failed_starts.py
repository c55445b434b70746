"""A start counts as failed where it has no result, not where its epochs or iterations ran out."""

from __future__ import annotations

from odec.fit.fitting import fit
from odec.loading import load_source
from odec.source import Source

DATA = {"t": [0.0, 1.0, 2.0], "x": [3.0, 2.1, 1.5]}


def test_a_start_that_runs_out_of_epochs_has_not_failed() -> None:
    model = load_source(Source.from_text("state x = 3\nparam k = 2 in [0, 5]\ndx = -k*x\nsolve step 0.1, method rk4\n"))
    found = fit(model, DATA, method="adam", epochs=3, output=None)
    assert not found.converged
    assert dict(found.failed) == {}
    assert found.as_dict()["failed_starts"] == 0
