"""A process that measures one peer: a request as a line of JSON in, an answer as a line of JSON out.

    cd benchmarks && .venv/bin/python -m peers.solvers.worker diffrax

Each peer has a process of its own, and answers when it is asked, so that peers take turns at each cell of the table and
share neither threads nor memory.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import warnings
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TextIO

import numpy as np

from peers.solvers.problems import PROBLEMS

# So many rows of a batch come back to be compared.
SAMPLE = 16


def main() -> None:
    """Answer until the input ends."""
    answers = own_output()
    warnings.simplefilter("ignore")
    try:
        peer = importlib.import_module(f"peers.solvers.with_{sys.argv[1]}")
    except Exception as error:  # whatever a library raises where it is missing or does not suit
        print(json.dumps({"failure": f"{type(error).__name__}: {error}"}), file=answers, flush=True)
        return
    methods = {str(stiff): peer.methods(stiff) for stiff in (False, True)}
    largest = {method: peer.largest_batch(method) for names in methods.values() for method in names}
    hello = {"methods": methods, "largest": largest, "versions": {name: version_of(name) for name in peer.PACKAGES}}
    print(json.dumps(hello), file=answers, flush=True)

    # Batches of one problem and method at a time: what was compiled for others is let go.
    @lru_cache(maxsize=2)
    def prepared(name: str, method: str, batch: int) -> Any:
        began = time.perf_counter()
        solve = peer.prepare(PROBLEMS[name], method, *PROBLEMS[name].rows(batch))
        return solve, time.perf_counter() - began

    for line in sys.stdin:
        try:
            request = json.loads(line)
            answer = costs(peer, **request) if "budget" not in request else measured(prepared, **request)
        except Exception as error:
            answer = {"failure": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(answer), file=answers, flush=True)


def measured(
    prepared: Any, problem: str, method: str, batch: int, rtol: float, atol: list[float], budget: float
) -> dict[str, Any]:
    """The first call's seconds, the shortest of the warm ones within the budget, a sample's values."""
    solve, preparing = prepared(problem, method, batch)
    tolerances = rtol, np.array(atol)
    began = time.perf_counter()
    run = solve(*tolerances)
    first = time.perf_counter() - began
    samples: list[float] = []
    while sum(samples) < budget:
        began = time.perf_counter()
        run = solve(*tolerances)
        samples.append(time.perf_counter() - began)
    warm = min(samples, default=first)
    return {
        "build": preparing + max(0.0, first - warm),
        "seconds": warm,
        "samples": len(samples),
        "steps": run.steps,
        "finite": float(np.isfinite(run.values).all(axis=(1, 2)).mean()),
        # JSON has no word for what is not a number.
        "values": np.where(np.isfinite(run.values), run.values, 1e300)[:SAMPLE].tolist(),
    }


def costs(peer: Any, problem: str, batch: int, rtol: float, atol: list[float]) -> dict[str, Any]:
    """What one stiff step costs."""
    return {"cost": peer.cost(PROBLEMS[problem], batch, rtol, np.array(atol))}


def own_output() -> TextIO:
    """The process's output; what libraries print goes to the errors instead."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def version_of(package: str) -> str:
    """That of an installed package, also of TensorFlow without its GPU parts; empty where there is none."""
    for name in (package, f"{package}-cpu"):
        with suppress(PackageNotFoundError):
            return version(name)
    return ""


if __name__ == "__main__":
    main()
