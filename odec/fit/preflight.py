"""What can be said of a fit before any search: whether it can work, and what it could tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from odec.arithmetic import arithmetic_said
from odec.diagnostics import Diagnostic
from odec.fit.cautions import before_search
from odec.fit.problem import Problem
from odec.fit.setup import Asked, problem_of
from odec.fit.steps import StepCheck, checked_step, not_finite
from odec.fit.text import aligned, bounds_said
from odec.fit.uncertainty import Uncertainty, uncertainty
from odec.runtime.methods import ADAPTIVE_METHOD, STIFF_METHOD

# So many starts are drawn between the bounds, to see at how many the model has a value.
DRAWN = 32
# A run is called stiff at this tolerance, which every stiff method keeps.
STIFF_AT = 1e-6
# A finite difference takes this share of a coordinate's unit; twice as much tells how far it can be trusted.
SHARE = 1e-3
# A gradient that differs by more, against its largest entry, is wrong.
AGREES = 1e-3
# The noise that expected errors are said for, against the data.
NOISE = 0.1


@dataclass(frozen=True, eq=False)
class Preflight:
    """What was found at the first guess.

    `observations` by column; `searched` first guesses by name; `losses` (n,) at starts drawn between the bounds, the
    first guess first, not finite where the model has no value. `doubt` is the uncertainty that the data's design gives
    at the first guess, `expected` (Q,) the parameters' relative errors by it. It is None where the model has no value
    there, as are `steps` and `gradient_error`, the largest difference from finite differences against the largest
    entry. `stiff` is None for a map too.
    """

    problem: Problem
    observations: Mapping[str, int]
    searched: Mapping[str, float]
    losses: np.ndarray
    doubt: Uncertainty | None
    expected: np.ndarray
    stiff: bool | None
    steps: StepCheck | None
    gradient_error: float | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def can_work(self) -> bool:
        """Whether a fit can be begun."""
        return not any(diagnostic.severity == "error" for diagnostic in self.diagnostics)

    @property
    def advice(self) -> str:
        """The method and steps to fit with."""
        runs = self.problem.runs
        if self.stiff and runs.solver != STIFF_METHOD:
            return f"{STIFF_METHOD} with a tolerance: `--solver {STIFF_METHOD} --rtol 1e-8`"
        said = f"{runs.solver}, {runs.timing.said(runs.data.distinct_times)}"
        return f"{said}, and smaller" if self.steps is not None and self.steps.too_large else said

    @property
    def text(self) -> str:
        """All of it for a reader."""
        return "\n".join(_lines(self))

    def as_dict(self) -> dict[str, Any]:
        """All of it for a program."""
        doubt, check = self.doubt, self.steps
        return {
            "can_work": self.can_work,
            "parameters": dict(self.searched),
            "observations": dict(self.observations),
            "experiments": list(self.problem.design.experiments),
            "loss": float(self.losses[0]),
            "starts_drawn": len(self.losses),
            "starts_with_a_value": int(np.isfinite(self.losses).sum()),
            "rank": None if doubt is None else doubt.rank,
            "not_identifiable": [] if doubt is None else list(doubt.undetermined),
            "expected_relative_errors": dict(zip(self.searched, self.expected.tolist(), strict=True)),
            "stiff": self.stiff,
            "solver": self.problem.solver,
            "step": self.problem.timing.longest(self.problem.data.distinct_times),
            "rtol": self.problem.timing.rtol,
            "loss_solved_finer": None if check is None else check.finer_loss,
            "advice": self.advice,
            "gradient_error": self.gradient_error,
            "diagnostics": [diagnostic.as_dict() for diagnostic in self.diagnostics],
        }


@arithmetic_said
def preflight(model: Any, data: Any, **asked: Any) -> Preflight:
    """Looks at a fit of `model` to `data` without searching; `asked` are those options of `odec.fit` that say what is
    fitted and how it is solved (`time`, `conditions`, `start`, `fix`, `weights`, `solver`, `step`, `rtol`, `inputs`,
    `consts`, `initial`). Raises OdecError where model or data are wrong."""
    from odec.loading import load_model

    layer = model if isinstance(model, type) else load_model(model)
    problem, _ = problem_of(layer, data, Asked(**asked))
    scale = problem.scale
    z = scale.draw(DRAWN, seed=0)
    losses = problem.loss(scale.to_values(z))
    found = [*problem.data.notes, *before_search(problem)]
    doubt, check, error = None, None, None
    expected = np.full(len(scale.names), math.nan)
    points = problem.evaluate(z[:1]) if np.isfinite(losses[0]) else None
    computed = points is not None and bool(np.isfinite(points.residuals).all())
    sound = computed and points is not None and bool(np.isfinite(points.jacobian).all())
    if sound:
        doubt, expected = _at_guess(problem)
        check, error = checked_step(problem, scale.start), gradient_error(problem, z[0])
        found += _said(problem, doubt, check, error)
    elif computed:
        cure = "the search begins beside it; start from other values: `--set name=value`"
        found.append(_warning("W0609", not_finite(problem, scale.start), cure))
    else:
        cure = "start from other values: `--set name=value`"
        found.append(Diagnostic("E0605", not_finite(problem, scale.start), help=cure))
    return Preflight(
        problem,
        problem.data.counts,
        dict(zip(scale.names, scale.start.tolist(), strict=True)),
        losses,
        doubt,
        expected,
        _is_stiff(problem) if sound else None,
        check,
        error,
        tuple(found),
    )


def gradient_error(problem: Problem, z: np.ndarray) -> float:
    """How far the loss's gradient at search coordinates `z` (Q,) is from central differences, against its largest
    entry; what two widths of the differences disagree by is not counted."""
    points = problem.evaluate(z[None])
    box, count = problem.scale.box, len(z)
    width = SHARE * box.unit(z[None], points.jacobian, points.residuals)[0]
    # Inside the bounds, so that both sides have a value.
    center = np.clip(z, box.lower + 2 * width, box.upper - 2 * width)
    moved = center + np.concatenate([k * np.diag(width) for k in (-2, -1, 1, 2)])
    at_center = problem.evaluate(center[None])
    gradient = 2 * at_center.jacobian[0].T @ at_center.residuals[0]
    low2, low1, high1, high2 = problem.loss(problem.scale.to_values(moved)).reshape(4, count)
    narrow, wide = (high1 - low1) / (2 * width), (high2 - low2) / (4 * width)
    # Of errors in the square of the width a third of the difference is left.
    best = narrow + (narrow - wide) / 3
    size = max(float(np.abs(gradient).max()), np.finfo(float).tiny)
    beyond = np.maximum(np.abs(gradient - best) - np.abs(narrow - wide), 0.0)
    return float(np.max(beyond) / size) if np.isfinite(beyond).all() else math.inf


def _at_guess(problem: Problem) -> tuple[Uncertainty, np.ndarray]:
    """What the data could determine if the first guess were true, and the error of each parameter relative to it. A sum
    of squares tells nothing of its noise here: it is taken for a tenth of the data's size."""
    scale, theta = problem.scale, problem.scale.start
    points = problem.evaluate(scale.to_search(theta)[None], expected=True)
    slopes = points.jacobian[0] / scale.slope(theta)
    cells = len(problem.runs.cells)
    variance = 0.5 if problem.is_likelihood else (NOISE * problem.size) ** 2 / cells
    none = np.zeros(len(theta), dtype=bool)
    units = scale.units(theta)
    doubt = uncertainty(points.residuals[0], slopes, theta, scale.names, none, units, problem.size, variance, scale.log)
    return doubt, doubt.standard_errors / units


def _is_stiff(problem: Problem) -> bool | None:
    """Whether an explicit method is held back by stability at the first guess."""
    if problem.model.description.is_map:
        return None
    timing = replace(problem.timing, rtol=STIFF_AT)
    runs = replace(problem.runs, timing=timing, solver=ADAPTIVE_METHOD)
    return bool(runs.are_stiff(problem.scale.start[None])[0])


def _said(problem: Problem, doubt: Uncertainty, check: StepCheck, error: float) -> list[Diagnostic]:
    found = [_warning("W0603", f"not identifiable at the first guess: {text}", "") for text in doubt.undetermined]
    count, cells = len(problem.scale.names), len(problem.runs.cells)
    if cells < count:
        message = f"{count} parameters are to be found from {cells} values"
        found.append(_warning("W0603", message, "fix some of them: `--fix name=value`"))
    if check.too_large:
        found.append(check.warning())
    if error > AGREES:
        message = f"the gradient at the first guess differs from finite differences by {error:.2g} of its size"
        cure = "the loss is not smooth there (a condition, a jump, an abs), or the step is too large"
        found.append(_warning("W0609", message, cure))
    return found


def _lines(found: Preflight) -> list[str]:
    problem, doubt, check = found.problem, found.doubt, found.steps
    columns = ", ".join(f"{name} {count}" for name, count in found.observations.items())
    finite = int(np.isfinite(found.losses).sum())
    name = "negative log-likelihood" if problem.is_likelihood else "sum of squares"
    facts = [
        ("parameters", f"{len(found.searched)} are searched, {sum(found.observations.values())} values are measured"),
        ("columns", f"{columns}; experiments: {len(problem.design.experiments)}"),
        ("first guess", f"{name} {found.losses[0]:.6g}"),
        ("starts", f"{finite} of {len(found.losses)} drawn between the bounds give a number"),
    ]
    if doubt is not None and check is not None:
        stiff = {None: "a map has no steps", True: "stiff", False: "not stiff"}[found.stiff]
        finer = "half the step" if check.step is not None else "a finer tolerance"
        steps = [("advised", found.advice), ("solved finer", f"{finer}: {check.finer_loss:.6g}")]
        facts += [
            ("identifiable", f"{doubt.rank} of {len(found.searched)} directions are determined"),
            ("equations", stiff),
            *([] if problem.timing.counted else steps),
            ("gradient", _gradient_said(found.gradient_error)),
        ]
    lines = [f"{problem.model.description.name} with {problem.data.name}", "", *aligned(facts)]
    if doubt is not None:
        lines += ["", *aligned(_parameters(found))]
    for diagnostic in found.diagnostics:
        lines += ["", str(diagnostic)]
    return [*lines, "", "a fit can be begun" if found.can_work else "a fit cannot work"]


def _gradient_said(error: float | None) -> str:
    if error is None or not math.isfinite(error):
        return "cannot be compared with finite differences"
    return "agrees with finite differences" if error <= AGREES else f"differs from finite differences by {error:.2g}"


def _parameters(found: Preflight) -> list[tuple[str, ...]]:
    assumed = "noise as stated" if found.problem.is_likelihood else f"noise of {NOISE:.0%} assumed"
    rows: list[tuple[str, ...]] = [("parameter", "first guess", "bounds", f"error to expect ({assumed})")]
    scale = found.problem.scale
    for i, (name, value) in enumerate(found.searched.items()):
        said = f"{found.expected[i]:.0%}" if found.expected[i] < 10 else f"{float(f'{found.expected[i]:.1g}'):g}-fold"
        bounds = bounds_said(scale.lower[i], scale.upper[i], bool(scale.log[i]))
        rows.append((name, f"{value:g}", bounds, said if np.isfinite(found.expected[i]) else "not determined"))
    return rows


def _warning(code: str, message: str, help: str) -> Diagnostic:
    return Diagnostic(code, message, help=help, severity="warning")
