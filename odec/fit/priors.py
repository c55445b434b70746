"""Priors of params: what was believed before the data, as part of what is minimised."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from odec.diagnostics import OdecError
from odec.fit.likelihoods import COUNTS, density
from odec.runtime.description import Param, Prior


def check_priors(params: Sequence[Param], likely: bool) -> None:
    """E0702 for a prior that cannot be used: of whole numbers, or (not `likely`) beside a sum of squares."""
    for param in params:
        if param.prior is None:
            continue
        if param.prior.kind in COUNTS:
            message = f"`{param.name}` has the prior {param.prior.kind}, a distribution of whole numbers"
            raise OdecError.of("E0702", message, help="choose a distribution of real numbers")
        if not likely:
            raise OdecError.of(
                "E0702",
                f"`{param.name}` has a prior, which a fit by least squares cannot use",
                help="give the outputs their noise, `observe y ~ normal(y, s)`, or leave the prior away",
            )


def prior_terms(params: Sequence[Param], theta: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The priors of parameters `theta` (S, Q), each a density of the value itself: -log density (S,), and its quadratic
    model as residuals (S, K) with a Jacobian (S, K, Q) by `theta`, as `likelihoods.factored` gives it."""
    value = np.zeros(len(theta))
    residuals, slopes = [], []
    half = math.sqrt(0.5)
    for place, param in enumerate(params):
        if param.prior is None:
            continue
        own, residual, slope = _term(param.prior, theta[:, place])
        value = value + own
        residuals.append(half * residual)
        slopes.append(half * slope[:, None] * np.eye(theta.shape[1])[place])
    if not residuals:
        return value, np.zeros((len(theta), 0)), np.zeros((len(theta), 0, theta.shape[1]))
    return value, np.stack(residuals, axis=1), np.stack(slopes, axis=1)


def _term(prior: Prior, k: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-log density (S,), and r, b (S,) with r·b its slope and b² its curvature."""
    if prior.kind == "uniform":
        lower, upper = prior.arguments
        inside = (k >= lower) & (k <= upper)
        return np.where(inside, math.log(upper - lower), np.inf), np.zeros_like(k), np.zeros_like(k)
    found = density(prior.kind, k, [np.full_like(k, number) for number in prior.arguments])
    with np.errstate(all="ignore"):
        if prior.kind == "lognormal":
            # In ln k: ½((l - m)/s)² + l, which is a square around m - s².
            median, s = prior.arguments
            return found.value, (np.log(k) - math.log(median)) / s + s, 1 / (s * k)
        # A density of k - location: the slopes by the two are opposite.
        b = np.sqrt(found.curvature[0, 0])
        return found.value, -found.score[0] / b, b
