"""The names of the numerical methods, with a line on each. Their numbers are in `odec.runtime.methods`."""

from __future__ import annotations

from odec.diagnostics import Diagnostic, Span, nearest
from odec.source import Source

METHODS: dict[str, str] = {
    "euler": "order 1, one evaluation a step: the article's recurrence x + h f(x)",
    "midpoint": "order 2, two evaluations a step",
    "heun": "order 2, two evaluations a step",
    "ralston": "order 2, two evaluations a step, smallest error bound of its kind",
    "rk4": "order 4, four evaluations a step: the classical Runge-Kutta method",
    "tsit5": "order 5, six evaluations a step, adaptive",
    "dopri5": "order 5, six evaluations a step, adaptive: Dormand-Prince",
    "dop853": "order 8, twelve evaluations a step, adaptive: for many digits",
    "rodas4": "order 4, six linear systems a step, adaptive, for stiff problems",
    "rodas5p": "order 5, eight linear systems a step, adaptive, for stiff problems",
}

# The choice that is left to the run, and its line.
AUTO = "auto"
AUTO_LINE = "tsit5, and rodas5p where the problem turns out to be stiff"

NAMES = (*METHODS, AUTO)


def unknown_method(name: str, span: Span | None = None, source: Source | None = None) -> Diagnostic:
    """The error for a name that is no method's."""
    cure = nearest(name, NAMES) or f"choose one of {', '.join(NAMES)}"
    return Diagnostic("E0408", f"there is no method `{name}`", span, source, cure)
