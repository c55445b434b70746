"""Names and functions that other languages know, and what they are called here: the cures for a word never defined."""

from __future__ import annotations

_IF = "write `if(condition, a, b)`"
_STEP = "write `heaviside(t - 5)` for a step at 5, or `if(t > 5, a, b)`"
_TABLE = "a table of values is an `input`, and its file is given when the model is run"
_RANDOM = "nothing in the equations is random; noise of data is `observe y ~ normal(x, s)`"

NAMES = {
    "e": "write `exp(x)` for `e^x`, and `exp(1)` for the number",
    "time": "the time is `t`",
    "π": "write `pi`",
}

FUNCTIONS = {
    **dict.fromkeys(("pow", "power"), "write `x^2`"),
    **dict.fromkeys(("sqr", "square"), "write `x^2`, or `sqrt(x)` for the square root"),
    **dict.fromkeys(("piecewise", "ifelse", "iif", "select", "where", "cond"), _IF),
    **dict.fromkeys(("H", "theta", "step", "unit_step", "pulse"), _STEP),
    **dict.fromkeys(("interp", "interp1", "interpolate", "lookup", "approx", "approxfun"), _TABLE),
    **dict.fromkeys(("random", "rand", "randn", "rnorm", "runif", "noise"), _RANDOM),
    **dict.fromkeys(("delay", "lagvalue", "delay1"), "the language has no delays"),
    **dict.fromkeys(("diff", "deriv", "der", "derivative"), "a derivative stands on the left side alone: `x' = …`"),
    "round": "write `floor(x + 0.5)`",
    "cot": "write `1/tan(x)`",
    "sec": "write `1/cos(x)`",
    "csc": "write `1/sin(x)`",
    "expm1": "write `exp(x) - 1`, which keeps its digits",
    "log1p": "write `log(1 + x)`, which keeps its digits",
}

__all__ = ["FUNCTIONS", "NAMES"]
