"""What is minimised: a weighted sum of squares, or a negative log-likelihood."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from odec.fit.experiments import Design
from odec.fit.least_squares import Points, squares
from odec.fit.likelihoods import COUNTS, POSITIVE, Density, density, factored, lifted
from odec.fit.noise import NoiseAt, NoiseProgram
from odec.fit.runs import Cells, Prediction


class Objective(Protocol):
    """A loss of a prediction, with its quadratic model by the coordinates."""

    @property
    def needs_states(self) -> bool:
        """Whether the prediction must hold the states."""

    def losses(self, prediction: Prediction) -> np.ndarray:
        """The part (S, M) of each measured cell."""

    def points(self, prediction: Prediction, expected: bool = False) -> Points:
        """The loss with residuals (S, K) and a Jacobian (S, K, Q) by the coordinates; with `expected` the second
        derivative is Fisher's information."""

    def with_measured(self, measured: np.ndarray) -> Objective:
        """The same loss of other data (M,), or (S, M) where each of S points has its own."""


@dataclass(frozen=True, eq=False)
class Squares:
    """The sum of (weight·(model - datum))² over the cells, `weights` (M,)."""

    cells: Cells
    weights: np.ndarray
    needs_states: bool = False

    def losses(self, prediction: Prediction) -> np.ndarray:
        """See `Objective`."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._residuals(prediction) ** 2

    def points(self, prediction: Prediction, expected: bool = False) -> Points:
        """See `Objective`."""
        with np.errstate(over="ignore", invalid="ignore"):
            return squares(self._residuals(prediction), self.weights[:, None] * prediction.slopes)

    def with_measured(self, measured: np.ndarray) -> Squares:
        """See `Objective`."""
        return replace(self, cells=replace(self.cells, measured=measured))

    def _residuals(self, prediction: Prediction) -> np.ndarray:
        residuals: np.ndarray = self.weights * (prediction.values - self.cells.measured)
        return residuals


@dataclass(frozen=True, eq=False)
class NoiseOf:
    """One noise with what is known of it before: `known` (A, n) its arguments, for those that do not vary with what is
    searched (`varying` (A,))."""

    at: NoiseAt
    varying: tuple[bool, ...]
    known: np.ndarray

    @property
    def kept(self) -> list[int]:
        """The numbers of the distribution that depend on what is searched: the location, and what varies."""
        return [0, *(1 + place for place, varies in enumerate(self.varying) if varies)]


@dataclass(frozen=True, eq=False)
class Likelihood:
    """The negative log-likelihood of all cells, each with the noise of its output."""

    cells: Cells
    design: Design
    program: NoiseProgram
    noises: tuple[NoiseOf, ...]
    needs_states: bool

    def losses(self, prediction: Prediction) -> np.ndarray:
        """See `Objective`."""
        found = np.zeros(prediction.values.shape)
        for noise, (dense, _) in zip(self.noises, self._densities(prediction, False), strict=True):
            found[:, noise.at.cells] = dense.value
        return found

    def points(self, prediction: Prediction, expected: bool = False) -> Points:
        """See `Objective`."""
        loss, residuals, jacobians = np.zeros(len(prediction.theta)), [], []
        with np.errstate(all="ignore"):
            for noise, (dense, slopes) in zip(self.noises, self._densities(prediction, True), strict=True):
                residual, jacobian = factored(dense, slopes, noise.kept, expected)
                loss = loss + dense.value.sum(axis=1)
                residuals.append(residual)
                jacobians.append(jacobian)
        return Points(loss, np.concatenate(residuals, axis=1), np.concatenate(jacobians, axis=1))

    def with_measured(self, measured: np.ndarray) -> Likelihood:
        """See `Objective`."""
        return replace(self, cells=replace(self.cells, measured=measured))

    def numbers(self, prediction: Prediction) -> list[list[np.ndarray]]:
        """For each noise what its distribution takes, each (S, n), at its cells."""
        return [numbers for numbers, _ in self._numbers(prediction, False)]

    def _densities(self, prediction: Prediction, with_slopes: bool) -> list[tuple[Density, np.ndarray]]:
        """For each noise its density at its cells, and the slopes (d', S, n, Q) of the numbers that are kept."""
        return [
            (density(noise.at.kind, self.cells.measured[..., noise.at.cells], numbers), slopes)
            for noise, (numbers, slopes) in zip(self.noises, self._numbers(prediction, with_slopes), strict=True)
        ]

    def _numbers(self, prediction: Prediction, with_slopes: bool) -> list[tuple[list[np.ndarray], np.ndarray]]:
        """For each noise its distribution's numbers at its cells, and the slopes of those that are kept."""
        count = len(prediction.theta)
        vary = any(any(noise.varying) for noise in self.noises)
        rows = self.rows(prediction.theta) if vary else None
        states = prediction.states
        if not self.needs_states:
            states = np.ones((*prediction.values.shape, len(self.program.program.model.description.state_elements)))
        found = self.program(rows, states) if rows is not None else (None,) * len(self.noises)
        onto = self.design.params.matrix(prediction.theta.shape[1])
        result = []
        for noise, arguments in zip(self.noises, found, strict=True):
            cells = noise.at.cells
            numbers = [prediction.values[:, cells]]
            if noise.at.kind in COUNTS | POSITIVE:
                numbers = [lifted(numbers[0], self.cells.experiments[cells])]
            slopes = [prediction.slopes[:, cells]]
            for place, varies in enumerate(noise.varying):
                if not varies or arguments is None:
                    numbers.append(np.broadcast_to(noise.known[place], (count, len(cells))))
                    continue
                numbers.append(arguments.values[place])
                if not with_slopes:
                    continue
                own = onto[self.cells.experiments[cells]]
                with np.errstate(all="ignore"):
                    slope = np.einsum("psn,npq->snq", arguments.by_param[place], own)
                    if self.needs_states:
                        by_state = arguments.by_state[place]
                        slope = slope + np.einsum("dsn,sndq->snq", by_state, prediction.state_slopes[:, cells])
                slopes.append(slope)
            result.append((numbers, np.stack(slopes) if with_slopes else np.zeros(0)))
        return result

    def rows(self, theta: np.ndarray) -> np.ndarray:
        """Params and consts (S, M, R) at each cell, as the noise program takes them."""
        return noise_rows(self.design, self.cells, theta)


def noise_rows(design: Design, cells: Cells, theta: np.ndarray) -> np.ndarray:
    """Params and consts (S, M, R) at each cell at the coordinates' values `theta` (S, Q)."""
    params = design.params.values(theta)[:, cells.experiments]
    if not design.consts:
        return params
    consts = np.stack(list(design.consts.values()), axis=1)
    shared = np.broadcast_to(consts[cells.experiments], (*params.shape[:2], len(design.consts)))
    return np.concatenate([params, shared], axis=2)
