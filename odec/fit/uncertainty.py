"""How well the data determine the estimates: standard errors, correlations, and directions that nothing determines.

From the Jacobian at the optimum, by the linear theory of least squares: covariance s²(JᵀJ)⁻¹ with s² = SSE/(n - rank)
(Seber and Wild, Nonlinear Regression, 1989, chapter 5); for a likelihood the inverse of Fisher's information. All of it
is on the linear scale of the parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Columns of the Jacobian scaled to length 1: a singular value below this share of the largest is a zero.
RANK_TOLERANCE = 1e-9
# A parameter whose unit moves the residuals by less than this share of them and of the data has no effect.
NO_EFFECT = 1e-12
# Entries of a null direction below this share of its largest are rounding.
ROUNDING = 1e-5


@dataclass(frozen=True)
class Uncertainty:
    """`standard_errors` (P,) with NaN where there is none (at a bound, not determined, no degree of freedom).

    `correlations` (P, P) with NaN likewise. `rank` counts the directions that the data determine among the `free`
    parameters, those not at a bound. `undetermined` holds a sentence for each direction that they do not, and
    `without` the names that such a sentence is about.
    """

    standard_errors: np.ndarray
    correlations: np.ndarray
    variance: float
    rank: int
    free: int
    undetermined: tuple[str, ...]
    without: tuple[str, ...]


def uncertainty(
    residuals: np.ndarray,
    jacobian: np.ndarray,
    estimates: np.ndarray,
    names: tuple[str, ...],
    fixed: np.ndarray,
    units: np.ndarray | None = None,
    size: float = 0.0,
    variance: float | None = None,
) -> Uncertainty:
    """From residuals (M,) and ∂residuals/∂parameters (M, P) at the estimates (P,); `fixed` (P,) are at a bound.

    `variance` is s² where it is known. A parameter has no effect when a change by its unit, `units` (P,), moves the
    data, of norm `size`, by only rounding.

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
    _, s, right = np.linalg.svd(unit, full_matrices=True)
    rank = int((s > RANK_TOLERANCE * s[0]).sum()) if len(s) else 0
    degrees = len(residuals) - rank
    if variance is None:
        variance = float(residuals @ residuals) / degrees if degrees > 0 else np.nan
    covariance, loose = _covariance(s[:rank], right, rank, columns[live], variance)
    errors = np.full(count, np.nan)
    correlations = np.full((count, count), np.nan)
    firm = live[~loose]
    spread = np.sqrt(np.diag(covariance))
    errors[live] = np.where(loose, np.nan, spread)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations[np.ix_(firm, firm)] = (covariance / np.outer(spread, spread))[np.ix_(~loose, ~loose)]
    directions = _sparse(right[rank:] / columns[live]) if rank < len(live) else np.zeros((0, len(live)))
    sentences = [f"{names[i]}: no effect on the data" for i in np.flatnonzero(dead)]
    sentences += [_sentence(direction, estimates[live], [names[i] for i in live]) for direction in directions]
    without = tuple(names[i] for i in sorted({*np.flatnonzero(dead).tolist(), *live[loose].tolist()}))
    return Uncertainty(errors, correlations, variance, rank, int((~fixed).sum()), tuple(sentences), without)


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


def _sentence(direction: np.ndarray, estimates: np.ndarray, names: list[str]) -> str:
    """A null direction in words: a sum or difference where slopes are ±1, a product or ratio where logs' are."""
    involved = np.flatnonzero(direction)
    chosen = [names[i] for i in involved]
    if len(involved) == 1:
        return f"{chosen[0]}: not determined by the data"
    listed = ", ".join(chosen[:-1]) + " and " + chosen[-1]
    if len(involved) == 2:
        a, b = chosen
        change = direction[involved]
        ratio = change[1] / change[0]
        if abs(abs(ratio) - 1) < 1e-3:
            return f"{listed}: only {a} {'+' if ratio < 0 else '-'} {b} is determined"
        relative = ratio * estimates[involved[0]] / estimates[involved[1]] if estimates[involved[1]] else np.inf
        if abs(abs(relative) - 1) < 1e-3:
            return f"{listed}: only {a}{'*' if relative < 0 else '/'}{b} is determined"
    largest = direction / np.abs(direction).max()
    along = ", ".join(f"{names[i]} by {largest[i]:+.3g}" for i in involved)
    return f"{listed}: not determined separately; changing {along} leaves the fit as it is"
