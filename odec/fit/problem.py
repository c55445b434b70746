"""A model, its data and a solver as one function: search coordinates → a loss and its quadratic model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from odec.fit.data import Data
from odec.fit.experiments import Design
from odec.fit.least_squares import Evaluate, Points
from odec.fit.noise_scales import NoiseScale, with_best_scales
from odec.fit.objective import Likelihood, Objective, Squares
from odec.fit.priors import prior_terms
from odec.fit.runs import Prediction, Runs
from odec.fit.scale import Scale
from odec.fit.timing import Timing

# Batches shrink by this factor when so few starts are left; each size is compiled once, so there are few sizes.
SHRINK = 8
SMALLEST_BATCH = 16
# A log-likelihood that differs by less is the same to any statistical question.
SAME_NLL = 1e-3
# A finer step may change the loss by this share of a sum of squares, or by so much of a log-likelihood.
LOSS_CHANGE, NLL_CHANGE = 0.01, 0.05
LOSS_NOISE = 1e-10
SAME_LOSS = 1e-4


@dataclass(frozen=True, eq=False)
class Problem:
    """What is fitted: the loss of the `objective`, and of the priors, in the coordinates of `scale`. `noise_scales` are
    the coordinates whose best values are known in closed form."""

    runs: Runs
    scale: Scale
    objective: Objective
    weights: str = "none"
    noise_scales: tuple[NoiseScale, ...] = ()

    @property
    def model(self) -> Any:
        """The layer class."""
        return self.runs.model

    @property
    def data(self) -> Data:
        """The measurements."""
        return self.runs.data

    @property
    def design(self) -> Design:
        """The experiments."""
        return self.runs.design

    @property
    def solver(self) -> str:
        """The name of the numerical method."""
        return self.runs.solver

    @property
    def timing(self) -> Timing:
        """How it steps."""
        return self.runs.timing

    @property
    def is_likelihood(self) -> bool:
        """Whether the loss is a negative log-likelihood (with the priors: posterior), not a sum of squares."""
        return isinstance(self.objective, Likelihood)

    @property
    def size(self) -> float:
        """What a residual is small against: the norm of the measured values; of a likelihood, in units of its sd."""
        if isinstance(self.objective, Squares):
            return float(np.linalg.norm(self.objective.weights * self.runs.cells.measured))
        return float(np.sqrt(len(self.runs.cells)))

    @property
    def floor(self) -> float:
        """A loss that is nothing but the rounding of the model's values."""
        return -np.inf if self.is_likelihood else (1e-15 * self.size) ** 2

    def same(self, loss: float) -> float:
        """The largest loss that is as good as `loss`."""
        return loss + (SAME_NLL if self.is_likelihood else SAME_LOSS * loss + 1e-12 * self.size**2)

    def noticeable(self, loss: float) -> float:
        """The change of the loss by a finer step that matters."""
        return NLL_CHANGE if self.is_likelihood else max(LOSS_CHANGE * loss, LOSS_NOISE * self.size**2)

    def evaluate(self, z: np.ndarray, batch: int = 0, expected: bool = False) -> Points:
        """The loss at search coordinates `z` (n, Q) with its quadratic model, in one compiled call of at least `batch`
        rows for each experiment."""
        prediction = self.runs.with_slopes(self.scale.to_values(z), self.objective.needs_states, batch)
        return self._points(prediction, expected)

    def _points(self, prediction: Prediction, expected: bool = False) -> Points:
        """The loss of a prediction, and of the priors, by search coordinates."""
        theta, points = prediction.theta, self.objective.points(prediction, expected)
        own, residuals, jacobian = prior_terms(self.design.coordinates, theta)
        with np.errstate(invalid="ignore", over="ignore"):
            slopes = np.concatenate([points.jacobian, jacobian], axis=1) * self.scale.slope(theta)[:, None, :]
            residuals = np.concatenate([points.residuals, residuals], axis=1)
            return Points(points.loss + own, residuals, slopes, attempts=prediction.attempts)

    def batched(self, starts: int, measured: np.ndarray | None = None) -> Evaluate:
        """`evaluate` for a search of `starts` starts: few batch sizes, so few compilations. Each start may have data
        `measured` (S, M) of its own."""

        def evaluate(z: np.ndarray, rows: np.ndarray) -> Points:
            problem = self if measured is None else self.with_measured(measured[rows])
            return problem.evaluate(z, self._batch(starts, len(z)))

        return evaluate

    def _batch(self, starts: int, points: int) -> int:
        """The size of a batch for some points of a search. Adaptive runs go in blocks of equal length anyway."""
        if self.timing.is_adaptive:
            return starts
        return min(size for size in batch_sizes(starts) if size >= points)

    def searching(self, starts: int) -> Evaluate:
        """`batched` for a search in which the scales of noise always have their best values."""
        plain = self.batched(starts)
        if not self.noise_scales:
            return plain
        likelihood = self.objective
        assert isinstance(likelihood, Likelihood)

        def evaluate(z: np.ndarray, rows: np.ndarray) -> Points:
            found = self.runs.with_slopes(self.scale.to_values(z), likelihood.needs_states, self._batch(starts, len(z)))
            best = with_best_scales(likelihood, self.noise_scales, found)
            return replace(self._points(best), z=self.scale.to_search(best.theta))

        return evaluate

    def losses(self, theta: np.ndarray) -> np.ndarray:
        """The part (S, M) of each measured cell in the loss at the coordinates' values `theta` (S, Q)."""
        return self.objective.losses(self.runs.at_cells(theta, self.objective.needs_states))

    def prior(self, theta: np.ndarray) -> np.ndarray:
        """The negative logarithm (S,) of the priors' density at `theta` (S, Q)."""
        return prior_terms(self.design.coordinates, theta)[0]

    def loss(self, theta: np.ndarray) -> np.ndarray:
        """What is minimised (S,) at the coordinates' values `theta` (S, Q)."""
        with np.errstate(over="ignore", invalid="ignore"):
            total: np.ndarray = np.sum(self.losses(theta), axis=1) + self.prior(theta)
        return total

    def by_column(self, theta: np.ndarray) -> Mapping[str, float]:
        """What each measured column has of the loss at the coordinates' values `theta` (Q,)."""
        losses, columns = self.losses(theta[None])[0], self.runs.cells.columns
        return {name: float(np.sum(losses[columns == i])) for i, name in enumerate(self.data.names)}

    def with_measured(self, measured: np.ndarray) -> Problem:
        """The same problem with other data (M,), or (S, M) for the S points that it is asked for, at the same cells."""
        return replace(self, objective=self.objective.with_measured(measured))

    def with_timing(self, timing: Timing) -> Problem:
        """The same problem stepped otherwise."""
        return replace(self, runs=replace(self.runs, timing=timing))


def batch_sizes(starts: int) -> list[int]:
    """The sizes of batches in a search of so many starts, the largest first."""
    sizes = [starts]
    while sizes[-1] // SHRINK >= SMALLEST_BATCH:
        sizes.append(-(-sizes[-1] // SHRINK))
    return sizes
