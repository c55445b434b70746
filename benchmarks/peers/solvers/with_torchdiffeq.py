"""torchdiffeq: all rows are one system with one step, so that the batch is a matrix (rows, states)."""

from __future__ import annotations

import numpy as np
import torch
from torchdiffeq import odeint

from peers.solvers.peer import Run, Solve
from peers.solvers.problems import Problem

PACKAGES = ("torchdiffeq", "torch")
# Evaluations of the right-hand side in one step.
STAGES = 6


def methods(stiff: bool) -> tuple[str, ...]:
    return () if stiff else ("dopri5",)


def largest_batch(method: str) -> int:
    return 16_384


def prepare(problem: Problem, method: str, initial: np.ndarray, params: np.ndarray) -> Solve:
    y0, p = torch.as_tensor(initial.copy()), torch.as_tensor(params.copy()).unbind(-1)
    times = torch.tensor((0.0, *problem.times), dtype=torch.float64)

    @torch.no_grad()
    def call(rtol: float, atol: np.ndarray) -> Run:
        evaluations = 0

        def rhs(t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            nonlocal evaluations
            evaluations += 1
            return torch.stack(problem.rhs(t, y.unbind(-1), p), -1)

        values = odeint(rhs, y0, times, rtol=rtol, atol=torch.as_tensor(atol), method=method)
        return Run(values[1:].transpose(0, 1).numpy(), evaluations / STAGES)

    return call
