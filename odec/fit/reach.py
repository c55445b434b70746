"""How far a 95 % interval reaches: the quantile of a standard error, and the rise of a profile.

Where the noise is known, 1.96 standard errors, and half of chi-squared's 95 % point. Noise that is estimated from n of
the data is known with ν = n - p degrees of freedom, p being what the parameters take of these data: the trace of their
part of the hat matrix (Horn, Horn and Duncan, J. Am. Stat. Assoc. 70 (1975) 380), and their number where all data have
one noise. A likelihood takes such noise for √(ν/n) of what it is. Its intervals are those of a linear model with normal
noise, exact there if all data have one noise:

- each datum counts for ν/n of one, and Student's t takes the place of the normal quantile, with the degrees of freedom
  of Satterthwaite (Biometrics Bulletin 2 (1946) 110) where several noises meet; that the weights of such data among one
  another are estimated too makes the covariance larger (Kenward and Roger, Biometrics 53 (1997) 983);
- the noise itself: ν·σ̃²/σ² is chi-squared with ν degrees of freedom, where ν·σ̃² = n·σ̂²;
- a profile ends where it does for the linear model: for one noise where the negative log-likelihood has risen by
  ½·n·ln(1 + t²/ν), a sum of squares by s²·t² (Bates and Watts, Nonlinear Regression Analysis, 1988, chapter 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import chdtri, ndtri, stdtrit

# The share of repetitions in which an interval is meant to hold the truth.
LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
# Fewer degrees of freedom than this are none: all that depends on them has no end.
NONE_LEFT = 1e-6


@dataclass(frozen=True, eq=False)
class OneNoise:
    """Noise of one size at the `cells` (n,): these are the `rows` (K,) of the Jacobian. Its size is the coordinate
    `place`; that of a sum of squares, which is no coordinate, has None."""

    cells: np.ndarray
    rows: np.ndarray
    place: int | None = None


@dataclass(frozen=True, eq=False)
class Estimated:
    """A noise with its `degrees` of freedom, and what of the covariance it answers for: `share` (P, P)."""

    noise: OneNoise
    degrees: float
    share: np.ndarray

    @property
    def inflation(self) -> float:
        """By how much the noise is larger than its estimate: that of a sum of squares allows for it already."""
        return 1.0 if self.noise.place is None else float(np.sqrt(len(self.noise.cells) / self.degrees))

    @property
    def quantile(self) -> float:
        """How many of its estimate a new measurement may lie away."""
        return float(stdtrit(self.degrees, 1 - TAIL)) * self.inflation

    @property
    def ratios(self) -> np.ndarray:
        """The ends (2,) of the interval of the noise itself, over its estimate, which they enclose."""
        with np.errstate(divide="ignore"):
            ends: np.ndarray = np.sqrt(len(self.noise.cells) / chdtri(self.degrees, [TAIL, 1 - TAIL]))
        return np.array([min(ends[0], 1.0), ends[1]])


@dataclass(frozen=True, eq=False)
class Reach:
    """Of P parameters: `covariance` (P, P) with what the `noises` make of it, `plain` without what their weights add.
    `variance` is that of the residuals."""

    covariance: np.ndarray
    plain: np.ndarray
    noises: tuple[Estimated, ...]
    variance: float

    @classmethod
    def of(
        cls, jacobian: np.ndarray, units: np.ndarray, rank: int, variance: float, noises: Sequence[OneNoise]
    ) -> Reach:
        """From a Jacobian (K, P) by parameters in `units` (P,), 0 for those left out, of so high a `rank`."""
        taken = np.sum(np.linalg.svd(jacobian, full_matrices=False)[0][:, :rank] ** 2, axis=1)
        degrees, weights = [], np.ones(len(jacobian))
        for noise in noises:
            free = len(noise.cells) - float(taken[noise.rows].sum())
            if noise.place is not None:
                free = max(free + 1, NONE_LEFT)  # its own size is not what the other parameters take
                weights[noise.rows] = free / len(noise.cells)
            degrees.append(free)
        left, s, right = np.linalg.svd(jacobian * np.sqrt(weights)[:, None], full_matrices=False)
        back = units[:, None] * right[:rank].T / s[:rank]
        parts = [left[noise.rows, :rank].T @ left[noise.rows, :rank] for noise in noises]
        whole = np.eye(rank)
        for noise, free, part in zip(noises, degrees, parts, strict=True):
            if noise.place is not None:
                whole += 4 / free * (part - part @ part)
        plain, covariance, *shares = (variance * back @ middle @ back.T for middle in (np.eye(rank), whole, *parts))
        found = tuple(Estimated(*each) for each in zip(noises, degrees, shares, strict=True))
        return cls(covariance, plain, found, variance)

    @cached_property
    def by_place(self) -> dict[int, Estimated]:
        """The noises that are coordinates."""
        return {found.noise.place: found for found in self.noises if found.noise.place is not None}

    def half_widths(self, slopes: np.ndarray) -> np.ndarray:
        """Of values (…) with `slopes` (…, P) by the parameters."""
        with np.errstate(invalid="ignore", over="ignore"):
            total, *parts = (
                np.einsum("...p,pq,...q->...", slopes, matrix, slopes)
                for matrix in (self.plain, *(found.share for found in self.noises))
            )
            variance = np.einsum("...p,pq,...q->...", slopes, self.covariance, slopes)
            return self._quantiles(_over(parts, total)) * np.sqrt(np.maximum(variance, 0.0))

    def quantiles_of_data(self, count: int) -> np.ndarray:
        """How many standard deviations of its noise each of so many measurements may lie from the true curve."""
        found = np.full(count, -float(ndtri(TAIL)))
        for estimated in self.noises:
            found[estimated.noise.cells] = estimated.quantile
        return found

    def corrected(self, estimates: np.ndarray) -> np.ndarray:
        """The estimates (P,) with each noise as large as it is for its degrees of freedom."""
        found = estimates.copy()
        for place, estimated in self.by_place.items():
            found[place] *= estimated.inflation
        return found

    def rises(self) -> np.ndarray:
        """The rise (P, 2) of the loss at the lower and the upper end of each parameter's interval."""
        own = np.diag(self.plain)
        # What is no part of the linear theory has each noise in the share that the data have it.
        linear = _over([np.diag(found.share) for found in self.noises], own)
        shares = [
            np.where(own > 0, share, np.mean(found.noise.rows))
            for found, share in zip(self.noises, linear, strict=True)
        ]
        with np.errstate(all="ignore"):
            squared = self._quantiles(shares) ** 2
            told, known = np.zeros(len(own)), np.ones(len(own))
            for found, share in zip(self.noises, shares, strict=True):
                if found.noise.place is not None:
                    told += len(found.noise.cells) * np.log1p(share * squared / found.degrees)
                    known -= share
            rises = np.stack([told + known * squared] * 2, axis=1)
            for place, found in self.by_place.items():
                rises[place] = len(found.noise.cells) * (found.ratios**-2.0 - 1 + 2 * np.log(found.ratios))
        rises *= self.variance
        return rises

    def _quantiles(self, shares: Sequence[np.ndarray]) -> np.ndarray:
        """Student's t, of what each noise has the `shares` (…) in; the normal quantile where none has."""
        terms = (share**2 / np.float64(found.degrees) for share, found in zip(shares, self.noises, strict=True))
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = sum(terms, np.zeros(()))
            return np.asarray(stdtrit(1 / inverse, 1 - TAIL))


def _over(parts: Sequence[np.ndarray], total: np.ndarray) -> list[np.ndarray]:
    """The parts of a total, none of nothing."""
    return [np.where(total > 0, part / np.where(total > 0, total, 1.0), 0.0) for part in parts]
