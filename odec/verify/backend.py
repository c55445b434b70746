"""What `odec verify` computes in a process of one Keras back end:
`python -m odec.verify.backend REQUEST OUT`, two files.

Values of a run, its sensitivities forwards, and the gradient of one number of a layer backwards; with them the inputs
as they were read. An OdecError is written where the numbers would be.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from odec.diagnostics import OdecError
from odec.loading import load_model
from odec.verify.asked import KNOTS, SERIES, Asked

Numbers = dict[str, np.ndarray]
# The code of what is not differentiated yet.
NOT_COMPILED = "E0702"


def computed(asked: Asked) -> Numbers:
    """The numbers by what they are, the method that found them, and which derivatives there are none of and why."""
    from odec.inputs import read_inputs
    from odec.runtime import request, simulate
    from odec.runtime.adaptive import Adaptive
    from odec.runtime.schedule import Schedule
    from odec.solution import solve

    model = load_model(asked.model)
    sizes = {size.name: asked.params[size.name] for size in model.description.sizes if size.name in asked.params}
    params = {name: value for name, value in asked.params.items() if name not in sizes}
    times = np.array(asked.times)
    tolerance: dict[str, Any] = {} if model.description.is_map else {"rtol": asked.rtol}
    solution = solve(
        model,
        start=float(times[0]),
        times=asked.times,
        params=asked.params,
        init=asked.init,
        inputs=asked.inputs,
        **tolerance,
    )
    model = model.sized(**{name: int(value) for name, value in sizes.items()}) if sizes else model
    description = model.description
    found = {
        "values": solution.values,
        "steps": np.array([solution.steps, solution.refused]),
        "method": np.array(solution.method),
    }
    signal = read_inputs(description, asked.inputs)
    if signal is not None:
        found |= {KNOTS: signal.knots, SERIES: np.asarray(signal.values)[..., 0]}
    not_derived: list[tuple[str, str]] = []
    if not description.param_elements:
        return found | {"not_derived": np.array(json.dumps(not_derived))}
    values, consts = request.settings(description, params)
    timing: Any = Schedule.fixed(float(times[0]), times, 1.0)
    if not description.is_map:
        timing = Adaptive(float(times[0]), times, rtol=asked.rtol)
    states = len(description.state_elements)
    # Where a start was given all of it is, so that the layer, which takes all or none, has the same.
    initial = dict(zip(description.state_elements, solution.values[0, :states], strict=True)) if asked.init else {}
    settings: dict[str, Any] = {"method": solution.method, "params": values, "consts": consts, "initial": initial}
    columns = description.state_elements
    try:
        found["sensitivities"] = simulate.sensitivities(
            model, timing, columns=columns, inputs=signal, **settings
        ).derivatives[0]
    except OdecError as error:
        if error.diagnostics[0].code != NOT_COMPILED:
            raise
        not_derived.append(("sensitivities", error.diagnostics[0].message))
    why = without_gradient(model)
    if why:
        not_derived.append(("gradient of a layer", why))
    else:
        found |= backwards(model, asked, solution.method, values, consts, list(initial.values()), signal)
    return found | {"not_derived": np.array(json.dumps(not_derived))}


def without_gradient(model: Any) -> str:
    """Why a layer cannot be asked for its gradient by all params, "" where it can."""
    from odec.runtime.stops import timed_by

    if model.description.nets:
        return "the weights of its networks are its own, and are not handed in"
    return "the times of its jumps depend on params" if timed_by(model) else ""


def backwards(
    model: Any, asked: Asked, method: str, values: np.ndarray, consts: Any, initial: list[float], signal: Any
) -> Numbers:
    """The gradient of Σ weights·states, as a layer has it."""
    from keras import ops

    from odec.runtime import loops

    description, times = model.description, np.array(asked.times)
    options: dict[str, Any] = {} if description.is_map else {"rtol": asked.rtol, "method": method}
    if signal is not None:
        options["input_times"] = signal.knots
    layer = model(times=times[1:], start=float(times[0]), dtype="float64", consts=consts, **options)
    params, rows, place = description.params, {}, 0
    for param in params:
        size = int(np.prod(param.shape))
        rows[param.name] = ops.convert_to_tensor(values[place : place + size][None], dtype="float64")
        place += size
    x0 = ops.convert_to_tensor(np.array(initial)[None], dtype="float64")
    series = () if signal is None else (ops.convert_to_tensor(np.moveaxis(signal.values, -1, 0), dtype="float64"),)
    weights = ops.convert_to_tensor(asked.weights(len(description.state_elements))[1:], dtype="float64")

    def number(*given: Any) -> Any:
        return ops.sum(layer(x0, *series, params=dict(zip(rows, given, strict=True)))[0] * weights)

    layer(x0, *series, params=rows)
    gradient = loops.compiled(lambda *given: loops.value_and_gradient(number, *given)[1])(*rows.values())
    return {"gradient": np.concatenate([np.ravel(ops.convert_to_numpy(part)) for part in gradient])}


def main() -> None:
    """Compute what the request asks for."""
    asked, out = Asked(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), Path(sys.argv[2])
    try:
        found: dict[str, Any] = computed(asked)
    except OdecError as error:
        said = [(one.code, one.message, one.help) for one in error.diagnostics]
        out.with_suffix(".json").write_text(json.dumps(said), encoding="utf-8")
        return
    np.savez(out, **found)


if __name__ == "__main__":
    main()
