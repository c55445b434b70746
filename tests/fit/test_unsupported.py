"""What the fit cannot do yet is refused, never left out in silence."""

from __future__ import annotations

import pytest

from odec.diagnostics import OdecError
from odec.fit.fitting import fit
from odec.loading import load_source
from odec.source import Source

DATA = {"t": [0.0, 1.0], "x": [1.0, 0.5], "y": [1.0, 0.5]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("state y = 1; dy = -y; observe y ~ normal(y, 0.1)", "`x` is measured and has no noise"),
        ("param q = 1 ~ normal(1, 0.1)", "`q` has a prior"),
        ("param w[2] = 1", "the numbers of the array `w`"),
    ],
)
def test_what_is_not_least_squares_is_refused(line: str, said: str) -> None:
    model = load_source(Source.from_text(f"state x = 1\nparam k = 0.5\ndx = -k*x\n{line}\n"))
    data = DATA if "y = 1" in line else {name: DATA[name] for name in ("t", "x")}
    with pytest.raises(OdecError, match="E0702") as raised:
        fit(model, data, output=None)
    assert said in str(raised.value)
