"""odec: the generated layer of `benchmarks/models/NAME.ode`, through the call that `odec.fit` makes for its rows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")

import numpy as np
from keras import ops

import odec
from odec.runtime import factor, jacobian, loops, simulate
from odec.runtime.adaptive import Adaptive
from peers.solvers.peer import Run, Solve
from peers.solvers.problems import Problem

PACKAGES = ("odec", "keras", "tensorflow")
STIFF = "rodas5p"
# Seconds of a compiled loop around a part of a step, and how often it is timed.
LOOP, COST_REPEATS = 0.02, 10
# Of rodas5p.
STAGES = 8
# What a part computed changes the next turn's state by: the compiler cannot leave it out.
TRACE = 1e-30
MODELS = Path(__file__).resolve().parents[2] / "models"


def methods(stiff: bool) -> tuple[str, ...]:
    return (STIFF,) if stiff else ("tsit5", "dop853")


def largest_batch(method: str) -> int:
    return 16_384


@cache
def loaded(name: str) -> Any:
    """The model of a problem, once: its programs are kept with it."""
    return odec.load_model(MODELS / f"{name}.ode")


def prepare(problem: Problem, method: str, initial: np.ndarray, params: np.ndarray) -> Solve:
    """With odec's own absolute tolerance, as a user gets it."""
    model = loaded(problem.name)
    start = dict(zip(problem.initial, initial.T, strict=True))
    columns = tuple(problem.initial)

    @cache
    def timing(rtol: float) -> Adaptive:
        return Adaptive(0.0, np.array(problem.times), rtol=rtol)

    def call(rtol: float, atol: np.ndarray) -> Run:
        run = simulate.run(model, timing(rtol), method=method, params=params, initial=start, columns=columns)
        return Run(run.values, float(run.steps.mean()), float((run.steps + run.refused).max()))

    return call


def cost(problem: Problem, batch: int, rtol: float, atol: np.ndarray) -> dict[str, float]:
    """Seconds of one step and of its parts for all rows of a batch: the step as a part of a run, each part in a loop of
    its own, the factorisation and a solve by differences."""
    initial, params = problem.rows(batch)
    solve = prepare(problem, STIFF, initial, params)
    solve(rtol, atol)
    run, spent = solve(rtol, atol), fastest(lambda: solve(rtol, atol))
    assert run.attempts is not None
    model = loaded(problem.name)
    equations = simulate.program(model, method=STIFF).equations
    size = initial.shape[1]
    theta = ops.zeros((0,), "float64"), ops.convert_to_tensor(params.T)
    t, shift = ops.zeros((), "float64"), ops.convert_to_tensor(np.full(batch, 1e3))

    def slope(x: Any) -> Any:
        return equations.rhs(t, x, theta)

    def entries(x: Any) -> Any:
        rows = [ops.zeros_like(x[0])] * size
        for (i, _), value in jacobian.of_states(equations, t, x, theta).items():
            rows[i] = rows[i] + value
        return ops.stack(rows)

    def solved(times: int) -> Callable[[Any], Any]:
        def part(x: Any) -> Any:
            solve = factor.factorised(shift, jacobian.of_states(equations, t, x, theta), size)
            for _ in range(times):
                x = solve(x)
            return x

        return part

    given = list(problem.initial)
    x0 = ops.convert_to_tensor(initial.T[[given.index(name) for name in equations.states]])
    one, all_stages = (per_turn(solved(times), x0) for times in (1, STAGES))
    of_slope, of_jacobian = per_turn(slope, x0), per_turn(entries, x0)
    of_solve = (all_stages - one) / (STAGES - 1)
    return {
        "steps": run.attempts,
        "step": spent / run.attempts,
        "slopes a step": STAGES,
        "Jacobians a step": 1,
        "slope": of_slope,
        "Jacobian": of_jacobian,
        "factorisation": one - of_jacobian - of_solve,
        "solve": of_solve,
        "the rest, a step": spent / run.attempts - all_stages - STAGES * of_slope,
    }


def per_turn(part: Callable[[Any], Any], x0: Any) -> float:
    """Seconds of a part, repeated inside one program."""
    program = loops.compiled(lambda x, turns: loops.repeat(turns, lambda _, x: x + TRACE * part(x), x))

    def call(turns: int) -> Any:
        return np.asarray(program(x0, ops.convert_to_tensor(turns, dtype="int32")))

    few = 100
    call(few)
    turns = max(few, int(few * LOOP / fastest(lambda: call(few))))
    return fastest(lambda: call(turns)) / turns


def fastest(call: Callable[[], object]) -> float:
    """The least seconds of a few calls."""
    spent = []
    for _ in range(COST_REPEATS):
        began = time.perf_counter()
        call()
        spent.append(time.perf_counter() - began)
    return min(spent)
