"""What a fit found, and how it is made from the end of a search."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import odec
from odec.diagnostics import Diagnostic
from odec.fit.cautions import cautions
from odec.fit.least_squares import CONVERGED, UNFINISHED_WITH_RESULT, Search
from odec.fit.noise_scales import estimated_noises
from odec.fit.objective import Likelihood
from odec.fit.problem import Problem
from odec.fit.scale import Scale
from odec.fit.steps import StepCheck, checked_step
from odec.fit.uncertainty import Uncertainty, uncertainty

if TYPE_CHECKING:
    from odec.fit.bands import Band
    from odec.fit.bootstrap import Bootstrap
    from odec.fit.profiles import Profile
    from odec.solution import Solution


@dataclass(frozen=True)
class Estimate:
    """One parameter, all of it on the linear scale. `standard_error` and `interval`, the 95 % interval that follows
    from it (symmetric in the logarithm where `log`; `odec/fit/reach.py`), are None where there is none to give."""

    name: str
    start: float
    estimate: float
    standard_error: float | None
    interval: tuple[float, float] | None
    bound: str
    lower: float
    upper: float
    log: bool
    gradient: float
    description: str = ""

    @property
    def at_bound(self) -> bool:
        """Whether the estimate lies on one of its bounds (`bound` is then "lower" or "upper", else "")."""
        return bool(self.bound)


@dataclass(frozen=True)
class Criteria:
    """Akaike's criterion, the same corrected for few data, and Schwarz's; NaN where there are too few data.

    Smaller is better, among models of the same data. Of a sum of squares: with the noise's sd as one more estimate.
    """

    aic: float
    aicc: float
    bic: float

    @classmethod
    def of(cls, nll: float, estimated: int, observations: int) -> Criteria:
        """From a negative log-likelihood (Burnham and Anderson, Model Selection, 2002, chapter 2).

        >>> Criteria.of(nll=10.0, estimated=2, observations=20).aic
        24.0
        """
        aic, spare = 2 * nll + 2 * estimated, observations - estimated - 1
        correction = 2 * estimated * (estimated + 1) / spare if spare > 0 else math.nan
        return cls(aic, aic + correction, 2 * nll + estimated * math.log(observations))


@dataclass(frozen=True)
class Fit:
    """What a fit found. `loss` is what was minimised: the (weighted) sum of squares over the `observations` measured
    cells, or, with noise, the negative log-likelihood `nll` (None for a sum of squares) plus `prior`, the negative
    logarithm of the priors' density.

    `parameters` are what was searched, `fixed` what was not. `counts` and `losses` are those of each column; `seconds`
    is the whole fit, compilation included. `starts` were tried, `failed` says how many ended without a result and why.
    `step` is the longest fixed step, None where the steps are chosen by a tolerance (`problem.timing`). `problem` is
    what was solved, for more questions. `interrupted`: the user stopped it before all starts had ended.
    `approach` says how the search went about it where it did not begin with all data. `profiles` by
    parameter, and the `bootstrap`, are there where they were asked for.
    """

    loss: float
    nll: float | None
    prior: float
    criteria: Criteria
    observations: int
    parameters: Mapping[str, Estimate]
    fixed: Mapping[str, float]
    counts: Mapping[str, int]
    losses: Mapping[str, float]
    method: str
    reason: str
    converged: bool
    iterations: int
    evaluations: int
    solver: str
    step: float | None
    step_check: StepCheck
    starts: int
    failed: Mapping[str, int]
    start_losses: tuple[float, ...]
    seed: int
    uncertainty: Uncertainty
    warnings: tuple[Diagnostic, ...]
    version: str
    seconds: float
    problem: Problem
    accurate: bool
    output: Path | None = None
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    bootstrap: Bootstrap | None = None
    interrupted: bool = False
    approach: str = ""

    @property
    def values(self) -> np.ndarray:
        """The estimates (Q,) in the order of `parameters`."""
        return np.array([parameter.estimate for parameter in self.parameters.values()])

    @property
    def estimates(self) -> dict[str, float]:
        """Parameter name → estimate."""
        return {name: parameter.estimate for name, parameter in self.parameters.items()}

    @property
    def noise_degrees(self) -> dict[str, float]:
        """The degrees of freedom of each normal or lognormal noise that is a parameter: its data, less what the other
        parameters take of them."""
        names = tuple(self.parameters)
        return {names[place]: noise.degrees for place, noise in self.uncertainty.reach.by_place.items()}

    @property
    def intervals_said(self) -> str:
        """How the intervals are made from the standard errors."""
        if self.uncertainty.degrees is not None:
            return f"Student's t with {self.uncertainty.degrees} degrees of freedom"
        if not self.noise_degrees:
            return "1.96 standard errors"
        left = ", ".join(f"{name} {degrees:.4g}" for name, degrees in self.noise_degrees.items())
        return f"Student's t, and chi-squared for noise, corrected for its degrees of freedom: {left}"

    @property
    def loss_name(self) -> str:
        """What the loss is, in words."""
        if self.nll is None:
            return "loss (sum of squares)" if self.problem.weights == "none" else "loss (weighted sum of squares)"
        has_prior = any(param.prior is not None for param in self.problem.design.coordinates)
        return "negative log-posterior" if has_prior else "negative log-likelihood"

    @property
    def experiments(self) -> tuple[str, ...]:
        """The experiments of the data, ("",) where they have no name."""
        return self.problem.design.experiments

    @cached_property
    def solutions(self) -> dict[str, Solution]:
        """Experiment → all states and outputs at the estimates, from the start of the run to the last datum."""
        from odec.fit.curve import curve

        return {name: curve(self.problem, self.values, e, self.accurate) for e, name in enumerate(self.experiments)}

    @cached_property
    def bands(self) -> dict[str, Band]:
        """Experiment → the 95 % bands around its solution."""
        from odec.fit.bands import band_of

        return {
            name: band_of(self.problem, self.values, self.uncertainty, e, self.solutions[name], self.bootstrap)
            for e, name in enumerate(self.experiments)
        }

    @property
    def solution(self) -> Solution:
        """That of the first experiment."""
        return self.solutions[self.experiments[0]]

    @property
    def text(self) -> str:
        """The report for a reader."""
        from odec.fit.text import report_text

        return report_text(self)

    def as_dict(self) -> dict[str, Any]:
        """The report for a program: what `fit.json` holds."""
        from odec.fit.report import report_dict

        return report_dict(self)

    def __str__(self) -> str:
        return self.text


def result(
    problem: Problem, search: Search, method: str, accurate: bool, starts: int, seed: int, seconds: float
) -> Fit:
    """What the best start of a search says."""
    scale, best = problem.scale, search.best
    theta = scale.to_values(search.z[best])
    residuals = search.residuals[best]
    gradient = 2 * (search.jacobian[best] / scale.slope(theta)).T @ residuals
    bounds = _bounds(scale, theta, gradient)
    doubt = _uncertainty(problem, search, np.array([bool(bound) for bound in bounds], dtype=bool))
    intervals = doubt.intervals(theta, scale.log)
    check = checked_step(problem, theta)
    reason = str(search.reason[best])
    parameters = {
        param.name: Estimate(
            name=param.name,
            start=float(scale.start[i]),
            estimate=float(theta[i]),
            standard_error=float(doubt.standard_errors[i]) if np.isfinite(doubt.standard_errors[i]) else None,
            interval=(float(intervals[i, 0]), float(intervals[i, 1])) if np.isfinite(intervals[i]).all() else None,
            bound=bounds[i],
            lower=float(scale.lower[i]),
            upper=float(scale.upper[i]),
            log=bool(scale.log[i]),
            gradient=float(gradient[i]),
            description=param.description,
        )
        for i, param in enumerate(problem.design.coordinates)
    }
    loss, prior, count = float(search.loss[best]), float(problem.prior(theta[None])[0]), len(problem.runs.cells)
    return Fit(
        loss=loss,
        nll=loss - prior if problem.is_likelihood else None,
        prior=prior,
        criteria=_criteria(problem, loss - prior, count),
        observations=count,
        parameters=parameters,
        fixed=dict(problem.design.fixed),
        counts=problem.data.counts,
        losses=problem.by_column(theta),
        method=method,
        reason=reason,
        converged=reason in CONVERGED,
        iterations=int(search.iterations[best]),
        evaluations=int(search.evaluations[best]),
        solver=problem.solver,
        step=check.step,
        step_check=check,
        starts=starts,
        failed=_failed(search),
        start_losses=tuple(float(loss) for loss in search.loss),
        seed=seed,
        uncertainty=doubt,
        warnings=tuple(cautions(problem, search, doubt, check, reason)),
        version=odec.__version__,
        seconds=seconds,
        problem=problem,
        accurate=accurate,
    )


def _uncertainty(problem: Problem, search: Search, fixed: np.ndarray) -> Uncertainty:
    """Of a sum of squares from the search's Jacobian, of a likelihood from Fisher's information."""
    best = search.best
    residuals, jacobian = search.residuals[best], search.jacobian[best]
    if problem.is_likelihood:
        jacobian = problem.evaluate(search.z[[best]], expected=True).jacobian[0]
    return uncertainty_at(problem, search.z[best], residuals, jacobian, fixed)


def uncertainty_at(
    problem: Problem, z: np.ndarray, residuals: np.ndarray, jacobian: np.ndarray, fixed: np.ndarray
) -> Uncertainty:
    """At the end `z` (Q,) of a search, from the residuals (K,) and their Jacobian (K, Q) there, of a likelihood the one
    whose squares are Fisher's information; `fixed` (Q,) are at a bound."""
    scale, theta = problem.scale, problem.scale.to_values(z)
    objective, variance, noises = problem.objective, None, []
    if isinstance(objective, Likelihood):
        variance = 0.5  # the Jacobian's squares are half of the information
        noises = estimated_noises(objective, problem.noise_scales, len(jacobian))
    slopes, units = jacobian / scale.slope(theta), scale.units(theta)
    return uncertainty(residuals, slopes, theta, scale.names, fixed, units, problem.size, variance, scale.log, noises)


def _criteria(problem: Problem, loss: float, count: int) -> Criteria:
    estimated = len(problem.scale.names)
    if problem.is_likelihood:
        return Criteria.of(loss, estimated, count)
    # A sum of squares is the likelihood of normal noise whose sd is estimated with the rest.
    nll = 0.5 * count * (math.log(2 * math.pi * loss / count) + 1) if loss > 0 else -math.inf
    return Criteria.of(nll, estimated + 1, count)


def _bounds(scale: Scale, values: np.ndarray, gradient: np.ndarray) -> list[str]:
    """For each parameter "lower", "upper" or "": on a bound to a billionth of its size, the loss falling beyond it."""
    room = 1e-9 * np.where(
        np.isfinite(scale.upper - scale.lower), scale.upper - scale.lower, np.maximum(np.abs(values), 1.0)
    )
    # On a log scale the small end of a wide range is not near its lower bound in any unit but its own.
    room = np.where(scale.log, np.minimum(room, 1e-9 * np.abs(values)), room)
    names = []
    for i in range(len(values)):
        low = values[i] - scale.lower[i] <= room[i] and (gradient[i] >= 0 or values[i] == scale.lower[i])
        high = scale.upper[i] - values[i] <= room[i] and (gradient[i] <= 0 or values[i] == scale.upper[i])
        names.append("lower" if low else "upper" if high else "")
    return names


def _failed(search: Search) -> dict[str, int]:
    """reason → how many starts ended without a result. A start that ran out of iterations or epochs has one."""
    reasons = [str(reason) for reason in search.reason if reason not in CONVERGED | UNFINISHED_WITH_RESULT]
    return {reason: reasons.count(reason) for reason in sorted(set(reasons))}
