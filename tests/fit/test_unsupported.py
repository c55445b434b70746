"""What the fit cannot do yet is refused, never left out in silence."""

from __future__ import annotations

import pytest

from odec.diagnostics import OdecError
from odec.fit.fitting import fit
from odec.loading import load_source
from odec.source import Source

DATA = {"t": [0.0, 1.0], "x": [1.0, 0.5]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("observe x ~ normal(x, 0.1)", "`x ~ normal(…)` asks for a fit by likelihood"),
        ("param q = 1 ~ normal(1, 0.1)", "`q` has a prior"),
        ("param w[2] = 1", "`w` is an array"),
    ],
)
def test_what_is_not_least_squares_is_refused(line: str, said: str) -> None:
    model = load_source(Source.from_text(f"state x = 1\nparam k = 0.5\ndx = -k*x\n{line}\n"))
    with pytest.raises(OdecError, match="E0702") as raised:
        fit(model, DATA, output=None)
    assert said in str(raised.value)
