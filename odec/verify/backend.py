"""What `odec verify` computes in a process of one Keras back end: `python -m odec.verify.backend REQUEST OUT`.

Values of a run, its sensitivities forwards, and the gradient of one number of a layer backwards. An OdecError is
written where the numbers would be.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from odec.diagnostics import OdecError
from odec.loading import load_model
from odec.verify.asked import Asked

Numbers = dict[str, np.ndarray]


def computed(asked: Asked) -> tuple[Numbers, str]:
    """The numbers by what they are, and the method that found them."""
    from odec.runtime import request, simulate
    from odec.runtime.adaptive import Adaptive
    from odec.runtime.schedule import Schedule
    from odec.solution import solve

    model = load_model(asked.model)
    description = model.description
    times = np.array(asked.times)
    tolerance: dict[str, Any] = {} if description.is_map else {"rtol": asked.rtol}
    solution = solve(model, start=float(times[0]), times=asked.times, params=asked.params, init=asked.init, **tolerance)
    found = {"values": solution.values}
    names = description.param_elements
    if not names or description.inputs:
        return found, solution.method
    values, consts = request.settings(description, asked.params)
    timing: Any = Schedule.fixed(float(times[0]), times, 1.0)
    if not description.is_map:
        timing = Adaptive(float(times[0]), times, rtol=asked.rtol)
    states = len(description.state_elements)
    # Where a start was given all of it is, so that the layer, which takes all or none, has the same.
    initial = dict(zip(description.state_elements, solution.values[0, :states], strict=True)) if asked.init else {}
    settings: dict[str, Any] = {"method": solution.method, "params": values, "consts": consts, "initial": initial}
    columns = description.state_elements
    found["sensitivities"] = simulate.sensitivities(model, timing, columns=columns, **settings)[1][0]
    found |= backwards(model, asked, solution.method, values, consts, list(initial.values()))
    return found, solution.method


def backwards(model: Any, asked: Asked, method: str, values: np.ndarray, consts: Any, initial: list[float]) -> Numbers:
    """The gradient of Σ weights·states, as a layer has it; nothing where the layer has none."""
    from keras import ops

    from odec.runtime import loops
    from odec.runtime.stops import timed_by

    description, times = model.description, np.array(asked.times)
    if timed_by(model) or description.nets:
        return {}
    steps: dict[str, Any] = (
        {"steps": len(times) - 1} if description.is_map else {"times": times[1:], "rtol": asked.rtol}
    )
    start = float(times[0])
    layer = model(start=start, method=None if description.is_map else method, dtype="float64", consts=consts, **steps)
    params, rows, place = description.params, {}, 0
    for param in params:
        size = int(np.prod(param.shape))
        rows[param.name] = ops.convert_to_tensor(values[place : place + size][None], dtype="float64")
        place += size
    x0 = ops.convert_to_tensor(np.array(initial)[None], dtype="float64")
    weights = ops.convert_to_tensor(asked.weights(len(description.state_elements))[1:], dtype="float64")

    def number(*given: Any) -> Any:
        return ops.sum(layer(x0, params=dict(zip(rows, given, strict=True)))[0] * weights)

    layer(x0, params=rows)
    gradient = loops.compiled(lambda *given: loops.value_and_gradient(number, *given)[1])(*rows.values())
    return {"gradient": np.concatenate([np.ravel(ops.convert_to_numpy(part)) for part in gradient])}


def main() -> None:
    """Compute what the request asks for."""
    asked, out = Asked(**json.loads(sys.argv[1])), Path(sys.argv[2])
    try:
        found, method = computed(asked)
    except OdecError as error:
        said = [(one.code, one.message, one.help) for one in error.diagnostics]
        out.with_suffix(".json").write_text(json.dumps(said), encoding="utf-8")
        return
    arrays: dict[str, Any] = {"method": np.array(method), **found}
    np.savez(out, **arrays)


if __name__ == "__main__":
    main()
