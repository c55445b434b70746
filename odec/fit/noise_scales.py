"""Scales of noise that are estimated: given all other numbers, the best one is known in closed form.

For the normal and the lognormal distribution it is the root of the mean square of the residuals, for Laplace's the mean
of their sizes. A search that starts every step from it need not find the scales by itself (G. H. Golub and V. Pereyra,
SIAM J. Numer. Anal. 10, 413, 1973, for parameters that enter linearly).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from odec.fit.likelihoods import standardised
from odec.fit.reach import OneNoise

if TYPE_CHECKING:
    from odec.fit.objective import Likelihood
    from odec.fit.runs import Prediction

# The mean size of a standardised residual that makes the scale right: how it is averaged, and its power.
POWERS = {"normal": 2, "lognormal": 2, "laplace": 1}
# A scale is an argument's factor where the argument is this near to its slope times the scale.
PROPORTIONAL = 1e-9


@dataclass(frozen=True, eq=False)
class NoiseScale:
    """A coordinate (its `place` among Q) that is a factor of the scale of the cells `own` (M,) and of nothing else; it
    stays between `lower` and `upper`."""

    place: int
    own: np.ndarray
    power: int
    lower: float
    upper: float

    def best(self, value: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        """The best values (S,) where the standardised residuals at `value` (S,) are (S, M); as they were where there
        is none."""
        with np.errstate(over="ignore", invalid="ignore"):
            size = np.mean(np.abs(residuals[:, self.own]) ** self.power, axis=1) ** (1 / self.power)
            found = value * size
        return np.where(np.isfinite(found), np.clip(found, self.lower, self.upper), value)


def with_best_scales(likelihood: Likelihood, scales: Sequence[NoiseScale], prediction: Prediction) -> Prediction:
    """The prediction at the best values of the scales."""
    if not scales:
        return prediction
    residuals = np.zeros(prediction.values.shape)
    for noise, numbers in zip(likelihood.noises, likelihood.numbers(prediction), strict=True):
        cells = noise.at.cells
        if noise.at.kind in POWERS:
            residuals[:, cells] = standardised(noise.at.kind, likelihood.cells.measured[..., cells], numbers)
    theta = prediction.theta.copy()
    for scale in scales:
        theta[:, scale.place] = scale.best(theta[:, scale.place], residuals)
    return replace(prediction, theta=theta)


def estimated_noises(likelihood: Likelihood, scales: Sequence[NoiseScale], rows: int) -> list[OneNoise]:
    """The scales of normal and lognormal noise, with their part of the `rows` of the loss's Jacobian."""
    cells = np.concatenate([np.repeat(noise.at.cells, len(noise.kept)) for noise in likelihood.noises])
    found = []
    for scale in scales:
        if scale.power == 2:
            own = np.zeros(rows, dtype=bool)
            own[: len(cells)] = np.isin(cells, scale.own)  # those of the priors come behind
            found.append(OneNoise(scale.own, own, scale.place))
    return found


def noise_scales(
    likelihood: Likelihood,
    rows: np.ndarray,
    theta: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    free: Sequence[int],
) -> tuple[NoiseScale, ...]:
    """The noise scales among the coordinates `free`, which move neither the model nor a prior.

    Found by trying, as `noise.dependence`: at some points `theta` (S, Q), whose params and consts are `rows` (S, M, R).
    """
    cells, places = likelihood.cells, list(free)
    states = np.ones((*rows.shape[:2], len(likelihood.program.program.model.description.state_elements)))
    onto = likelihood.design.params.matrix(theta.shape[1])[:, :, places]
    depends = np.zeros((len(cells), len(places)), dtype=bool)
    is_scale = np.ones(len(places), dtype=bool)
    powers = np.zeros(len(cells), dtype=int)
    for noise, arguments in zip(likelihood.noises, likelihood.program(rows, states, once=True), strict=True):
        own, kind = noise.at.cells, noise.at.kind
        powers[own] = POWERS.get(kind, 0)
        for number, by_param in enumerate(arguments.by_param):
            slopes = np.einsum("psn,npq->snq", by_param, onto[cells.experiments[own]])
            used = (slopes != 0).any(axis=0)
            value = arguments.values[number][:, :, None]
            off = np.abs(value - slopes * theta[:, None, places]) > PROPORTIONAL * np.abs(value)
            is_scale &= ~((off & used).any(axis=(0, 1)) | (used.any(axis=0) & (number > 0 or kind not in POWERS)))
            depends[own] |= used
    taken, found = np.zeros(len(cells), dtype=bool), []
    for k in np.flatnonzero(is_scale & depends.any(axis=0)):
        own = np.flatnonzero(depends[:, k])
        # Of two factors of one scale only the first is free, and residuals of two kinds have no common mean.
        if taken[own].any() or len(set(powers[own])) > 1:
            continue
        taken[own] = True
        place = places[k]
        found.append(NoiseScale(place, own, int(powers[own[0]]), float(lower[place]), float(upper[place])))
    return tuple(found)
