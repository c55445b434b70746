"""From what the user gives to the problem that is searched: data, conditions, noise, weights, inputs, steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from odec.diagnostics import Diagnostic, OdecError, nearest
from odec.fit.conditions import conditions_beside, read_conditions
from odec.fit.data import Data, read_data
from odec.fit.experiments import by_coordinate, design_of
from odec.fit.likelihoods import COUNTS, POSITIVE
from odec.fit.noise import NoiseAt, NoiseProgram, dependence
from odec.fit.noise_scales import NoiseScale, noise_scales
from odec.fit.objective import Likelihood, NoiseOf, Objective, Squares, noise_rows
from odec.fit.priors import check_priors
from odec.fit.problem import Problem
from odec.fit.runs import Runs
from odec.fit.scale import Scale
from odec.fit.steps import found_step
from odec.fit.timing import Timing
from odec.inputs import inputs_beside, read_inputs
from odec.methods import AUTO
from odec.runtime import request, simulate
from odec.runtime.description import Description, element_names
from odec.runtime.methods import ADAPTIVE_METHOD, DEFAULT_METHOD, STIFF_METHOD, tableau
from odec.runtime.rows import check_steps
from odec.runtime.signals import at_times, interpolated

WEIGHTS = ("none", "scale", "sd")
# Columns whose magnitudes differ by more than this share a sum of squares unfairly.
UNEQUAL = 30.0
# The tolerance of a fit that is told neither step nor tolerance.
RTOL = 1e-8
# So many of the starts are asked whether the equations are stiff there. Of Fiedler's problem (R. Fiedler et al., 2016)
# the first guess is not, and of 400 starts between its bounds 257 are.
TRIED = 8
# So many draws of the params show which arguments of a noise depend on them.
DRAWS = 4


@dataclass(frozen=True)
class Asked:
    """What the user asks of a problem beside the model and the data; see `odec.fit`."""

    time: str = "t"
    solver: str | None = None
    step: float | None = None
    rtol: float | None = None
    start: Mapping[str, float] | None = None
    fix: Mapping[str, float] | None = None
    consts: Mapping[str, float] | None = None
    initial: Mapping[str, float] | None = None
    inputs: Mapping[str, Any] | None = None
    conditions: Any = None
    weights: str = "none"
    # Steps of equal length also where nothing is said of them.
    fixed: bool = False
    # So many starts will be drawn.
    starts: int = 1


def problem_of(layer: Any, data: Any, asked: Asked) -> tuple[Problem, bool]:
    """The problem, and whether its step was chosen here (so that it does not matter). Raises OdecError."""
    description: Description = layer.description
    given = inputs_beside(description, data, asked.inputs, asked.time)
    table = _table(description, data, asked.time)
    conditions = asked.conditions if asked.conditions is not None else conditions_beside(data)
    overrides = read_conditions(description, table, conditions)
    design = design_of(layer, table.experiments, overrides, asked.fix, asked.consts, asked.initial)
    starts = by_coordinate(description, table.experiments, asked.start or {})
    # The name of a `per experiment` param means those of its values that are searched.
    starts = {name: x for name, x in starts.items() if name in design.names or name in (asked.start or {})}
    scale = Scale.of(design.coordinates, starts)
    if not scale.names and asked.fix:
        raise OdecError.of("E0606", "every param of the model is fixed", help="leave one to be searched")
    if not scale.names:
        raise OdecError.of("E0606", "the model has no parameter to fit", help="declare one: `param k = 0.1`")
    defaults = description.defaults
    length = asked.step if asked.step is not None else defaults.step
    if asked.rtol is not None and asked.step is not None:
        raise OdecError.of("E0606", "a step and a tolerance were asked for", help="give one of them")
    if description.is_map:
        request.choice(description, asked.solver, asked.step, asked.rtol, None)
        check_steps(description, defaults.start, table.distinct_times)
        length = 1.0
    wanted, rtol = asked.solver or defaults.method, asked.rtol
    has_error = wanted in (None, AUTO) or bool(tableau(wanted).error)
    if rtol is None and length is None and has_error and not asked.fixed:
        rtol = RTOL
    runs = Runs(
        layer,
        table,
        design,
        # An explicit method without a step keeps the model's step; without any step one is found that does not matter.
        tableau(wanted if wanted not in (None, AUTO) else DEFAULT_METHOD).name,
        Timing(
            defaults.start,
            1.0 if length is None else length if asked.step is not None else abs(length),
            counted=description.is_map,
        ),
        read_inputs(description, given, table.experiments),
    )
    runs.timing.fixed(table.distinct_times)  # a wrong step is said before anything is compiled
    if rtol is not None:
        runs = adaptive(runs, rtol, wanted, scale.to_values(scale.draw(min(asked.starts, TRIED), 0)))
    objective = _objective(runs, scale, asked.weights)
    check_priors(design.coordinates, isinstance(objective, Likelihood))
    problem = Problem(runs, scale, objective, asked.weights, _noise_scales(runs, scale, objective))
    if rtol is not None or length is not None:
        return problem, False
    return problem.with_timing(problem.timing.with_step(found_step(problem, scale.start))), True


def adaptive(runs: Runs, rtol: float, method: str | None, theta: np.ndarray) -> Runs:
    """The runs with steps chosen by their error; with `method`, or (None, `auto`) an explicit one, and a Rosenbrock
    method where runs at the coordinates' values `theta` (S, Q) are stiff: the first one, or half of them. E0606 for a
    tolerance that is none."""
    timing = replace(runs.timing, rtol=rtol)
    timing.at(runs.data.distinct_times)
    if method not in (None, AUTO):
        return replace(runs, timing=timing)
    explicit = replace(runs, timing=timing, solver=ADAPTIVE_METHOD)
    stiff = explicit.are_stiff(theta)
    return replace(explicit, solver=STIFF_METHOD) if stiff[0] or np.mean(stiff) >= 0.5 else explicit


def _table(description: Description, data: Any, time: str) -> Data:
    measured = [*description.state_elements, *description.output_elements]
    others = {param.name: "a parameter" for param in description.params}
    others |= {const.name: "a const" for const in description.consts}
    columns = [name for u in description.inputs for name in element_names(u.name, u.shape)]
    for net in description.nets:
        cure = "train the layer with Keras's own `fit`, as examples/universal does"
        raise OdecError.of("E0702", f"a fit does not train the weights of the net `{net.name}`", cure)
    for param in description.params:
        if param.shape:
            cure = "train the layer with Keras's own `fit`, as examples/simple_rnn does"
            raise OdecError.of("E0702", f"a fit does not search the numbers of the array `{param.name}`", cure)
    return read_data(data, measured, time=time, others=others, extras=description.data, besides=columns)


def _objective(runs: Runs, scale: Scale, weights: str) -> Objective:
    """The likelihood where the measured columns have a noise, else the sum of squares."""
    if weights not in WEIGHTS:
        known = " or ".join(f"`{name}`" for name in WEIGHTS)
        raise OdecError.of("E0606", f"there are no weights `{weights}`", nearest(weights, WEIGHTS) or f"choose {known}")
    description = runs.model.description
    noisy = [noise.output for noise in description.noises]
    for output in noisy:
        measured = [name for name in description.expanded([output]) if name != output and name in runs.data.names]
        if measured:
            what = f"`{measured[0]}` is measured, and the noise of all elements of an array is not fitted"
            cure = f"give the element a name and its noise: `observe seen ~ normal({measured[0]}, s)`"
            raise OdecError.of("E0702", what, help=cure)
    plain = [name for name in runs.data.names if name not in noisy]
    if len(plain) == len(runs.data.names):
        return Squares(runs.cells, column_weights(runs.data, weights)[runs.cells.columns])
    if plain:
        raise OdecError.of(
            "E0702",
            f"`{plain[0]}` is measured and has no noise, but other columns have: no loss holds both",
            help=f"say it: `observe {plain[0]} ~ normal({plain[0]}, s)`, or leave the column out",
        )
    if weights != "none":
        cure = "leave `--weights` away"
        raise OdecError.of("E0606", "the noise of the outputs weighs the data already", help=cure)
    return _likelihood(runs, scale)


def column_weights(data: Data, weights: str) -> np.ndarray:
    """The weight of each column's residuals: 1, or one over its largest measured size (`scale`), or over the standard
    deviation of its measurements (`sd`)."""
    found = np.ones(len(data.names))
    for i, column in enumerate(data.values.T):
        measured = column[np.isfinite(column)]
        size = np.abs(measured).max() if weights == "scale" else measured.std() if weights == "sd" else 1.0
        found[i] = 1 / size if size > 0 else 1.0
    return found


def unequal_columns(problem: Problem) -> list[Diagnostic]:
    """W0506: a sum of squares in which one column counts a thousand times as much as another."""
    if problem.is_likelihood or problem.weights != "none":
        return []
    sizes = {name: 1 / w for name, w in zip(problem.data.names, column_weights(problem.data, "scale"), strict=True)}
    small, large = (pick(sizes, key=lambda name: sizes[name]) for pick in (min, max))
    if sizes[large] <= UNEQUAL * sizes[small]:
        return []
    message = (
        f"`{large}` is measured up to {sizes[large]:.3g}, `{small}` up to {sizes[small]:.3g}: the fit hardly sees it"
    )
    cure = "weigh the columns: `--weights scale`, or give each its noise: `observe y ~ normal(y, s)`"
    return [Diagnostic("W0506", message, help=cure, severity="warning")]


def _likelihood(runs: Runs, scale: Scale) -> Likelihood:
    description, cells = runs.model.description, runs.cells
    noises = []
    for number, noise in enumerate(description.noises):
        if noise.output not in runs.data.names:
            continue
        own = np.flatnonzero(cells.columns == runs.data.names.index(noise.output))
        _check_measured(runs.data, noise.output, noise.kind, cells.rows[own])
        rows = cells.rows[own]
        noises.append(
            NoiseAt(number, noise.kind, own, runs.data.times[rows], runs.data.beside[rows].T, _inputs_at(runs, own))
        )
    program = NoiseProgram(
        simulate.program(runs.model, method=runs.solver, replaced=tuple(runs.design.consts)), tuple(noises)
    )
    drawn = scale.to_values(scale.draw(DRAWS, seed=0))
    varying, first, by_state = dependence(program, noise_rows(runs.design, cells, drawn))
    found = [NoiseOf(*parts) for parts in zip(noises, varying, first, strict=True)]
    for noise in found:
        _check_known(runs, noise)
    return Likelihood(cells, runs.design, program, tuple(found), by_state)


def _noise_scales(runs: Runs, scale: Scale, objective: Objective) -> tuple[NoiseScale, ...]:
    """The coordinates that are a scale of noise and nothing else."""
    if not isinstance(objective, Likelihood):
        return ()
    coordinates = runs.design.coordinates
    free = [q for q, param in enumerate(coordinates) if q not in runs.moving and param.prior is None]
    drawn = scale.to_values(scale.draw(DRAWS, seed=0))
    return noise_scales(objective, objective.rows(drawn), drawn, scale.lower, scale.upper, free) if free else ()


def _inputs_at(runs: Runs, cells: np.ndarray) -> np.ndarray | None:
    """The inputs (I, n) at some cells."""
    if runs.inputs is None:
        return None
    times = runs.data.times[runs.cells.rows[cells]]
    values = at_times(runs.inputs, times, interpolated(runs.model.description))
    experiment = runs.cells.experiments[cells] if values.shape[2] > 1 else 0
    picked: np.ndarray = values[np.arange(len(times)), :, experiment].T
    return picked


def _check_measured(data: Data, output: str, kind: str, rows: np.ndarray) -> None:
    """E0503 for a measurement that its distribution excludes."""
    column = data.names.index(output)
    for row in rows:
        value = data.values[row, column]
        if kind in COUNTS and (value < 0 or value != round(value)):
            wanted = "a count, 0, 1, 2, …"
        elif kind in POSITIVE and value <= 0:
            wanted = "a number above 0"
        else:
            continue
        where = f"line {data.lines[row]} of `{data.name}`, column `{output}`"
        raise OdecError.of(
            "E0503", f"{where}: {value:g} is not {wanted}, as {kind} needs it", help="choose another distribution"
        )


def _check_known(runs: Runs, noise: NoiseOf) -> None:
    """E0503 where a noise lacks its cell of the data, or is known and not above 0."""
    data, output = runs.data, runs.model.description.noises[noise.at.number].output
    for varies, values in zip(noise.varying, noise.known, strict=True):
        for cell, value in zip(noise.at.cells, values, strict=True):
            row = runs.cells.rows[cell]
            missing = [name for name, x in zip(data.extras, data.beside[row], strict=True) if np.isnan(x)]
            if (varies and not (np.isnan(value) and missing)) or (value > 0 and np.isfinite(value)):
                continue
            where = f"line {data.lines[row]} of `{data.name}`: the noise of `{output}`"
            if np.isnan(value) and missing:
                listed = " or ".join(f"`{name}`" for name in missing)
                raise OdecError.of("E0503", f"{where} needs {listed}", help="fill the cell, or leave the datum away")
            raise OdecError.of("E0503", f"{where} is {value:g}", help="a scale of noise is a number above 0")
