"""Seven functions of mathematics, each solved from its equation by odec, against SciPy's: curves, dots and differences.

    python plot.py

writes special_functions.png beside this file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy import special

import odec
from odec.plot import COLOURS, DOTS, STYLE

FOLDER = Path(__file__).resolve().parent
Truth = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Curve:
    """A column of a model's solution, and the function that it is."""

    model: str
    column: str
    label: str
    truth: Truth


def _airy(t: np.ndarray) -> np.ndarray:
    return special.airy(t)[0]


PANELS: dict[str, tuple[Curve, ...]] = {
    "y' = y": (Curve("exp", "y", "exp", np.exp),),
    "y'' = -y": (Curve("sincos", "y", "sin", np.sin), Curve("sincos", "y'", "cos", np.cos)),
    "t² y'' + t y' + (t² - n²) y = 0": (
        Curve("bessel_j0", "y", "J₀", special.j0),
        Curve("bessel_j1", "y", "J₁", special.j1),
    ),
    "(1 - t²) y'' - 2 t y' + 30 y = 0": (Curve("legendre_p5", "y", "P₅", lambda t: special.eval_legendre(5, t)),),
    "t (1 - t) y'' + (5/2 - 3 t) y' - 3/4 y = 0": (
        Curve("hypergeometric", "y", "₂F₁", lambda t: special.hyp2f1(0.5, 1.5, 2.5, t)),
    ),
    "y'' = t y": (Curve("airy", "y", "Ai", _airy),),
}


def main() -> None:
    """Solve each, draw the picture, print the largest differences."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.5, 6.2), layout="constrained", dpi=150)
        colours = iter(COLOURS * 2)
        for axis, (equation, curves) in zip(figure.subplots(2, 3).flat, PANELS.items(), strict=True):
            for curve in curves:
                solution = odec.solve(FOLDER / f"{curve.model}.ode")
                times, values = solution.times, solution[curve.column]
                truth = curve.truth(times)
                off = np.max(np.abs(values - truth))
                print(f"{curve.label}: {off:.1e}")
                colour = next(colours)
                axis.plot(times, values, color=colour, linewidth=1.8, label=f"{curve.label}, off by {off:.0e}")
                rows = np.linspace(0, len(times) - 1, 15).astype(int)
                axis.plot(times[rows], truth[rows], "o", color=colour, **DOTS)
            axis.set_title(equation)
            axis.set_xlabel("t")
            axis.margins(x=0.02, y=0.12)
            low, high = axis.get_ylim()
            axis.set_ylim(low, high + 0.2 * (high - low))  # room for the legend
            axis.legend(loc="best", fontsize=9)
        figure.suptitle("odec (lines) and scipy.special (dots)", x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.savefig(FOLDER / "special_functions.png")


if __name__ == "__main__":
    main()
