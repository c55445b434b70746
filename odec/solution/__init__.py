"""`odec.solve`: one run of a model, with its steps chosen or checked, as names, times and values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from odec.arithmetic import arithmetic_said
from odec.diagnostics import OdecError
from odec.solution.solution import A_MAP
from odec.solution.solution import Solution as Solution

if TYPE_CHECKING:
    from odec.runtime.description import Description
    from odec.runtime.driving import Report


@arithmetic_said
def solve(
    model: Any,
    *,
    to: float | None = None,
    start: float | None = None,
    step: float | None = None,
    every: float | None = None,
    times: Sequence[float] | None = None,
    method: str | None = None,
    rtol: float | None = None,
    atol: float | Mapping[str, float] | None = None,
    params: Mapping[str, Any] | None = None,
    init: Mapping[str, Any] | None = None,
    dtype: str = "float64",
    inputs: Mapping[str, Any] | None = None,
    before: bool = False,
    progress: Report | None = None,
) -> Solution:
    """Run a model from `start` to `to` and return its states and observed outputs.

    `model` is a generated layer class, or the path of a model file. The call comes before the model's `solve`
    statement, which comes before the defaults: start 0, rows at each `every` (else at each step, else at 1/200 of the
    span), the start first and the end last. `times` asks for other rows, in any order. `params` (params and consts) and
    `init` (states) replace values by name. `inputs` maps each input to its table (a path, a DataFrame, a dict of
    columns, or a pair of times and values). In a map, times count steps: from 0 to as many as `to` (or the inputs'
    rows) says.

    With a `step` the steps are as long, with any method (default dopri5). Without one they are chosen so that each
    one's error stays below atol + rtol·|x| for each state x (default rtol 1e-6; atol, a number or one for each state by
    name, follows the size of each state by default). The method is then `auto` where none is said: tsit5 (below
    rtol 1e-8 dop853), and rodas5p where the problem turns out to be stiff. With a method that has no error estimate
    (euler, rk4, …) the step is halved until two solutions agree to rtol (default 1e-7). A tolerance or `auto` in the
    call sets the step of the model's `solve` statement aside.

    A value at the very time of a jump is the one behind it, or with `before` the one before it. An adaptive run that
    takes seconds calls `progress` about every second with how far it is (`odec.runtime.driving.Progress`: `share`,
    `seconds_left`, `attempts_left`); between two calls Ctrl-C is heard.

    Raises OdecError: E0408 no such method, E0601 a value that is not finite, E0602 no end time, E0603 a name that is
    none, E0604 a wrong time, E0606 a wrong step or tolerance, a value that is not a number or an input that is missing,
    E0607 a jump without end, E0608 a step that became too small, E0609 too many steps; E05… where a table of inputs is
    wrong.
    """
    from odec.inputs import outside, read_inputs
    from odec.methods import AUTO
    from odec.runtime import request, simulate
    from odec.runtime.adaptive import RTOL, Adaptive
    from odec.runtime.methods import DEFAULT_METHOD
    from odec.runtime.nets import drawn
    from odec.runtime.schedule import Schedule
    from odec.solution import adaptive, fixed
    from odec.solution.task import Task

    model, params = _sized(_layer_class(model), params or {})
    description: Description = model.description
    choice = request.choice(description, method, step, rtol, atol)
    signal = read_inputs(description, inputs)
    if description.is_map and to is None and signal is not None:
        to = description.defaults.stop or float(signal.knots[-1]) + 1
    begin, rows = request.rows(description, to, start, step, every, times)
    values, consts = request.settings(description, params)
    init = {
        name: request.number(f"initial value `{name}`", value, "E0606")
        for name, value in request.by_element(description, init or {}).items()
    }
    columns = simulate.default_columns(model)
    request.check_initial(model, init)
    far = float(rows[np.argmax(np.abs(rows - begin))])
    notes = (*outside(description, signal, begin, far), *drawn(description, params))
    task = Task(model, columns, values, consts, init, dtype, signal, before, notes, progress)
    if choice.step is not None:
        steps = Schedule.fixed(begin, rows, choice.step)
        run = fixed.FixedSteps(task, steps, choice.method or DEFAULT_METHOD, known=0.0 if description.is_map else None)
        return run.solution(why=A_MAP if description.is_map else "")
    if choice.has_estimate and not adaptive.takes_fixed_steps(description):
        timing = Adaptive(begin, rows, rtol=RTOL if choice.rtol is None else choice.rtol, atol=choice.atol)
        return adaptive.solved(task, timing, choice.method or AUTO)
    request.refuse_atol(choice)
    whole = Schedule.fixed(begin, rows, abs(far - begin) or 1.0)
    return fixed.halved(task, whole, choice.method or DEFAULT_METHOD, choice.rtol or fixed.AGREEMENT)


def _sized(model: Any, params: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The model with the sizes among `params`, and the others."""
    sizes = {size.name: params[size.name] for size in model.description.sizes if size.name in params}
    others = {name: value for name, value in params.items() if name not in sizes}
    try:
        return (model.sized(**sizes) if sizes else model), others
    except ValueError as error:
        raise OdecError.of("E0606", str(error)) from None


def _layer_class(model: Any) -> Any:
    if isinstance(model, type):
        return model
    if hasattr(type(model), "description"):
        return type(model)
    from odec.loading import load_model

    return load_model(model)
