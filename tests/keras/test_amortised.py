"""The example of amortised inference: its fits are SciPy's, and its network learns."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "amortised" / "train.py"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


def solution(params: np.ndarray, times: np.ndarray) -> np.ndarray:
    r1, r2, a1, a2 = params

    def slopes(_: float, x: np.ndarray) -> list[float]:
        return [r1 * x[0] * (1 - (x[0] + a1 * x[1]) / 500), r2 * x[1] * (1 - (x[1] + a2 * x[0]) / 500)]

    return solve_ivp(slopes, (0, times[-1]), [20, 40], t_eval=times, rtol=1e-9, atol=1e-9).y.T


def test_the_fits_are_those_of_scipy(script: dict[str, Any]) -> None:
    truth, counts = script["simulated"](3, seed=5)
    found = np.stack(list(script["fitted"](counts).values()), axis=-1)
    for row in range(3):
        own = np.array([values[row] for values in truth.values()])
        ended = least_squares(
            lambda z, row=row: np.ravel(solution(np.exp(z), script["TIMES"]) - counts[row]), np.log(own), xtol=1e-12
        )
        # The search ends where its last step is 1e-6 of the parameters.
        np.testing.assert_allclose(found[row], np.exp(ended.x), rtol=1e-3)


def test_the_network_learns_from_counts_alone(script: dict[str, Any]) -> None:
    _, counts = script["simulated"](200, seed=1)
    encoder, _, losses = script["trained"](counts, epochs=10)
    assert losses[-1] < 0.4 * losses[0]
    read = encoder.predict(counts[:5], verbose=0)
    assert set(read) == {"r1", "r2", "a1", "a2"} and all(value.shape == (5,) for value in read.values())
