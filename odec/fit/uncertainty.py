"""How well the data determine the estimates: standard errors, correlations, and directions that nothing determines.

From the Jacobian at the optimum, by the linear theory of least squares: covariance s²(JᵀJ)⁻¹ with s² = SSE/(n - rank)
(Seber and Wild, Nonlinear Regression, 1989, chapter 5); for a likelihood the inverse of Fisher's information. All of it
is on the linear scale of the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from odec.fit.reach import OneNoise, Reach

# Columns of the Jacobian scaled to length 1: a singular value below this share of the largest is a zero.
RANK_TOLERANCE = 1e-9
# A parameter whose unit moves the residuals by less than this share of them and of the data has no effect.
NO_EFFECT = 1e-12
# Entries of a null direction below this share of its largest are rounding.
ROUNDING = 1e-5
# Two changes in the ratio 1 : 1, or of small whole numbers, to this accuracy have a name: a + b, a*b, a*b^2.
SAME_RATIO, LARGEST_POWER = 1e-3, 4


@dataclass(frozen=True)
class Uncertainty:
    """`standard_errors` (P,) with NaN where there is none (at a bound, not determined, no degree of freedom).

    `correlations` (P, P) with NaN likewise. `covariance` (P, P) is that of what is determined: nothing for parameters
    at a bound, and nothing along the `directions` (K, P) of parameters that leave the data as they are. `rank` counts
    the directions that the data determine among the `free` parameters, those not at a bound. `undetermined` holds a
    sentence for each direction that they do not, and `without` the names that such a sentence is about. `degrees` of
    freedom are left for the variance, None where that is known. `reach` says how far intervals reach.
    """

    standard_errors: np.ndarray
    correlations: np.ndarray
    covariance: np.ndarray
    directions: np.ndarray
    variance: float
    degrees: int | None
    rank: int
    free: int
    undetermined: tuple[str, ...]
    without: tuple[str, ...]
    reach: Reach = field(repr=False)

    def intervals(self, estimates: np.ndarray, log: np.ndarray) -> np.ndarray:
        """95 % intervals (P, 2) around estimates (P,), symmetric in the logarithm where `log` (P,), but for noises; NaN
        where there is no standard error."""
        reach = self.reach.half_widths(np.eye(len(estimates)))
        with np.errstate(all="ignore"):
            factor = np.exp(np.where(log, reach / np.where(log, estimates, 1.0), 0.0))
            low = np.where(log, estimates / factor, estimates - reach)
            high = np.where(log, estimates * factor, estimates + reach)
        ends = np.stack([low, high], axis=1)
        for place, noise in self.reach.by_place.items():
            ends[place] = estimates[place] * noise.ratios
        ends[np.isnan(self.standard_errors)] = np.nan
        return ends


def uncertainty(
    residuals: np.ndarray,
    jacobian: np.ndarray,
    estimates: np.ndarray,
    names: tuple[str, ...],
    fixed: np.ndarray,
    units: np.ndarray | None = None,
    size: float = 0.0,
    variance: float | None = None,
    log: np.ndarray | None = None,
    noises: Sequence[OneNoise] = (),
) -> Uncertainty:
    """From residuals (M,) and ∂residuals/∂parameters (M, P) at the estimates (P,); `fixed` (P,) are at a bound.

    `variance` is s² where it is known, with the `noises` that are among the estimates; `log` (P,) are searched on a log
    scale, so that products of them are natural. A parameter has no effect when a change by its unit, `units` (P,),
    moves the data, of norm `size`, by only rounding.

    >>> J = np.array([[1.0, 1.0], [2.0, 2.0]])
    >>> u = uncertainty(np.array([1.0, -1.0]), J, np.ones(2), ("a", "b"), np.zeros(2, bool))
    >>> u.rank, u.undetermined
    (1, ('a and b: only a + b is determined',))
    """
    count = len(names)
    columns = np.linalg.norm(jacobian, axis=0)
    moved = columns * (np.ones(count) if units is None else units)
    dead = ~fixed & ((columns == 0) | (moved <= NO_EFFECT * max(size, float(np.linalg.norm(residuals)))))
    live = np.flatnonzero(~fixed & ~dead)
    unit = jacobian[:, live] / columns[live]
    _, s, right = np.linalg.svd(unit, full_matrices=len(unit) < len(live))  # all null directions, and no more
    rank = int((s > RANK_TOLERANCE * s[0]).sum()) if len(s) else 0
    degrees = len(residuals) - rank if variance is None else None
    if degrees is not None:
        variance = float(residuals @ residuals) / degrees if degrees > 0 else np.nan
        noises = [OneNoise(np.arange(len(residuals)), np.ones(len(residuals), dtype=bool))]
    assert variance is not None
    covariance, loose = _covariance(s[:rank], right, rank, columns[live], variance)
    errors = np.full(count, np.nan)
    correlations = np.full((count, count), np.nan)
    firm = live[~loose]
    spread = np.sqrt(np.diag(covariance))
    errors[live] = np.where(loose, np.nan, spread)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations[np.ix_(firm, firm)] = (covariance / np.outer(spread, spread))[np.ix_(~loose, ~loose)]
    directions = _sparse(right[rank:] / columns[live]) if rank < len(live) else np.zeros((0, len(live)))
    own, logs = [names[i] for i in live], np.zeros(count, dtype=bool) if log is None else log
    sentences = [f"{names[i]}: no effect on the data" for i in np.flatnonzero(dead)]
    sentences += [_sentence(direction, estimates[live], own, logs[live]) for direction in directions]
    without = tuple(names[i] for i in sorted({*np.flatnonzero(dead).tolist(), *live[loose].tolist()}))
    whole, null = np.zeros((count, count)), np.zeros((len(directions), count))
    whole[np.ix_(live, live)], null[:, live] = covariance, directions
    null = np.concatenate([np.eye(count)[dead], null])
    free = int((~fixed).sum())
    moving, units = np.zeros_like(jacobian), np.zeros(count)
    moving[:, live], units[live] = unit, 1 / columns[live]
    reach = Reach.of(moving, units, rank, variance, [noise for noise in noises if noise.place in (None, *live)])
    return Uncertainty(
        errors, correlations, whole, null, variance, degrees, rank, free, tuple(sentences), without, reach
    )


def _covariance(
    s: np.ndarray, right: np.ndarray, rank: int, columns: np.ndarray, variance: float
) -> tuple[np.ndarray, np.ndarray]:
    """The covariance of what is determined, and which parameters (n,) take part in a direction that is not."""
    inverse = right[:rank].T / s
    covariance = variance * (inverse @ inverse.T) / np.outer(columns, columns)
    loose = (np.abs(right[rank:]) > ROUNDING).any(axis=0)
    return covariance, loose


def _sparse(directions: np.ndarray) -> np.ndarray:
    """A basis of the same null space with few parameters in each direction: Gauss-Jordan with the largest pivots."""
    basis = directions.copy()
    basis /= np.abs(basis).max(axis=1, keepdims=True)
    for row in range(len(basis)):
        rest = np.abs(basis[row:])
        i, column = divmod(int(np.argmax(rest)), rest.shape[1])
        basis[[row, row + i]] = basis[[row + i, row]]
        basis[row] /= basis[row, column]
        for other in range(len(basis)):
            if other != row:
                basis[other] -= basis[other, column] * basis[row]
    basis[np.abs(basis) < ROUNDING * np.abs(basis).max(axis=1, keepdims=True)] = 0.0
    return basis


def _sentence(direction: np.ndarray, estimates: np.ndarray, names: list[str], log: np.ndarray) -> str:
    """A null direction in words: a sum or difference where slopes are ±1, a product or ratio where logs' are. Where
    both are true (at equal values) the scale of the search decides."""
    involved = np.flatnonzero(direction)
    chosen = [names[i] for i in involved]
    if len(involved) == 1:
        return f"{chosen[0]}: not determined by the data"
    listed = ", ".join(chosen[:-1]) + " and " + chosen[-1]
    change = direction[involved] * np.sign(direction[involved[0]])
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = change / estimates[involved]
    forms = [_as_sum(change, chosen), _as_product(relative, chosen)]
    found = [form for form in (reversed(forms) if log[involved].all() else forms) if form]
    if found:
        return f"{listed}: {found[0]}"
    along = ", ".join(f"{name} by {x:+.3g}" for name, x in zip(chosen, change / np.abs(change).max(), strict=True))
    return f"{listed}: not determined separately; changing {along} leaves the fit as it is"


def _as_sum(change: np.ndarray, names: list[str]) -> str:
    """What is determined where two change by the same amount, else ""."""
    ratio = change[1] / change[0]
    if len(change) > 2 or abs(abs(ratio) - 1) > SAME_RATIO:
        return ""
    return f"only {names[0]} {'+' if ratio < 0 else '-'} {names[1]} is determined"


def _as_product(relative: np.ndarray, names: list[str]) -> str:
    """What is determined where the logarithms change in the ratio of small whole numbers, else ""."""
    if not np.isfinite(relative).all():
        return ""
    powers = relative / np.abs(relative).min() * np.sign(relative[0])
    whole = np.round(powers)
    if np.abs(powers - whole).max() > SAME_RATIO or np.abs(whole).max() > LARGEST_POWER:
        return ""
    if len(names) == 2 and np.abs(whole).max() == 1:
        return f"only {names[0]}{'*' if whole[1] < 0 else '/'}{names[1]} is determined"
    parts = []
    for name, power in zip(names, whole.astype(int).tolist(), strict=True):
        parts.append(f"{name}{'*' if power > 0 else '/'}s" + (f"^{abs(power)}" if abs(power) > 1 else ""))
    return f"not determined separately; {', '.join(parts)} fit as well for every s"
