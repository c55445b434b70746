"""Pictures from arrays: a solution over time, a fit through its data, and the panels of a report."""

from odec.plot.curves import plot_fit, plot_solution
from odec.plot.style import COLOURS, DOTS, STYLE

__all__ = ["COLOURS", "DOTS", "STYLE", "plot_fit", "plot_solution"]
