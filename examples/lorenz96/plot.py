"""Lorenz 96 as a map of place and time (after Hovmöller), for the model's own 40 places.

    python plot.py

writes lorenz96.png beside this file.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

import odec
from odec.plot import STYLE

FOLDER = Path(__file__).resolve().parent


def main() -> None:
    """Solve and draw."""
    solution = odec.solve(FOLDER / "model.ode")
    times, values = solution.times, solution.values
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(9.0, 4.2), layout="constrained", dpi=150)
        axis = figure.subplots()
        # Each place is a stripe about its number.
        extent = (times[0], times[-1], -0.5, values.shape[1] - 0.5)
        size = np.max(np.abs(values))
        image = axis.imshow(
            values.T, origin="lower", aspect="auto", extent=extent, cmap="RdBu_r", vmin=-size, vmax=size
        )
        axis.set_xlabel("t")
        axis.set_ylabel("place")
        figure.colorbar(image, label="x")
        figure.suptitle(f"Lorenz 96, {values.shape[1]} places", x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.savefig(FOLDER / "lorenz96.png")


if __name__ == "__main__":
    main()
