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

# What others call the same method, or use for the same problems.
_ELSEWHERE = {
    **dict.fromkeys(("rk45", "ode45", "dp5", "dopri", "rkdp"), "dopri5"),
    **dict.fromkeys(("dop8", "dopri8", "ode78", "ode89", "vern7", "vern8", "vern9", "rk8"), "dop853"),
    **dict.fromkeys(("rk", "runge_kutta", "runge-kutta", "rungekutta"), "rk4"),
    **dict.fromkeys(("rk23", "ode23", "bosh3", "adams", "ode113"), "tsit5"),
    **dict.fromkeys(("lsoda", "odeint", "default", "adaptive"), AUTO),
    **dict.fromkeys(("bdf", "radau", "ode15s", "ode23s", "cvode", "kvaerno5", "stiff", "implicit", "vode"), "rodas5p"),
}


def unknown_method(name: str, span: Span | None = None, source: Source | None = None) -> Diagnostic:
    """The error for a name that is no method's."""
    other = _ELSEWHERE.get(name.lower())
    cure = f"`{other}` does that here" if other else nearest(name, NAMES) or f"choose one of {', '.join(NAMES)}"
    return Diagnostic("E0408", f"there is no method `{name}`", span, source, cure)
