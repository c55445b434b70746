"""The distributions of the language, for noise and priors, and Keras's initializers, for arrays of params."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Distribution:
    """`parameters` in the order in which they are written; the first is the location that data scatter about."""

    name: str
    parameters: tuple[str, ...]
    documentation: str


_ROWS = (
    Distribution("normal", ("mean", "sd"), "½ln(2πs²) + ½((m − y)/s)²"),
    Distribution("lognormal", ("median", "sd"), "s on the natural-log scale: ½ln(2πs²) + ½((ln m − ln y)/s)² + ln m"),
    Distribution("laplace", ("mean", "scale"), "ln(2b) + |m − y|/b"),
    Distribution("student_t", ("mean", "sd", "nu"), "Student's t, scaled by sd, with nu degrees of freedom"),
    Distribution("poisson", ("mean",), "counts: y − m ln y + ln m!"),
    Distribution("negbinomial", ("mean", "size"), "counts with variance y + y²/size"),
    Distribution("uniform", ("lower", "upper"), "the same density everywhere between two numbers; a prior only"),
)

DISTRIBUTIONS: dict[str, Distribution] = {row.name: row for row in _ROWS}
NOISE = tuple(name for name in DISTRIBUTIONS if name != "uniform")

# Keras's initializers that need no arguments: what an array of params may start from.
INITIALIZERS = (
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "identity",
    "lecun_normal",
    "lecun_uniform",
    "ones",
    "orthogonal",
    "random_normal",
    "random_uniform",
    "truncated_normal",
    "variance_scaling",
    "zeros",
)
