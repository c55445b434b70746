"""The names of `import odec`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import odec

ROOT = Path(__file__).resolve().parent.parent


def test_every_public_name_is_there() -> None:
    assert set(odec.__all__) <= set(dir(odec))
    for name in odec.__all__:
        assert getattr(odec, name) is not None


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="nothing_like_it"):
        odec.nothing_like_it  # noqa: B018


@pytest.mark.parametrize("first", ["odec.fit", "odec.Fit", "import_module('odec.fit.fitting')"])
def test_fit_is_called_whatever_of_its_folder_was_imported_before(first: str) -> None:
    model, data = "examples/exponential/model.ode", {"t": [1, 2], "x": [2.1, 1.5]}
    code = f"import odec; from importlib import import_module; {first}; from odec import Fit, fit; " + (
        f"assert isinstance(fit({model!r}, {data!r}, output=None), Fit); assert odec.fit.fitting.Fit is Fit"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
