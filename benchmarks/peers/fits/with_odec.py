"""odec on one problem, from many starts at once: prints what `fits.py` puts into its tables, as JSON.

    python with_odec.py FOLDER STARTS [SEED] [WORSE]

FOLDER holds model.ode and data.csv. The starts are uniform in the search coordinates between the bounds. A start has
converged where its loss ends within WORSE of the best known one or, for a sum of squares, where it is not larger than
the best found by that share.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

BEGAN = time.perf_counter()

import numpy as np  # noqa: E402

from odec.start_up import command_started_up  # noqa: E402

with command_started_up():  # as the command `odec fit` does
    from odec.fit.checkpoint import Journal
    from odec.fit.setup import Asked, problem_of
    from odec.fit.staged import staged
    from odec.loading import load_model


def main(folder: Path, count: int, seed: int = 1, worse: float = 1.0) -> None:
    """One search, and its numbers."""
    problem, _ = problem_of(load_model(folder / "model.ode"), folder / "data.csv", Asked(starts=count))
    box = problem.scale.box
    z = np.random.default_rng(seed).uniform(box.lower, box.upper, (count, len(box.lower)))
    problem.searching(count)(z[:1], np.arange(1))
    build = time.perf_counter() - BEGAN
    one = min(seconds(lambda: problem.evaluate(z[:1])) for _ in range(5))
    batch = min(seconds(lambda: problem.evaluate(z, count)) for _ in range(3))
    began = time.perf_counter()
    search, _ = staged(problem, z, False, None, Journal(None, lambda: False), None)
    searched = time.perf_counter() - began
    best = float(search.loss[search.best])
    known = folder / "reference.json"
    best_known = _best_known(json.loads(known.read_text())) if known.is_file() else best
    least = min(best, best_known)
    limit = least + worse if problem.is_likelihood else least * (1 + worse)
    print(
        json.dumps(
            {
                "build": build,
                "objective": one,
                "objective_in_batch": batch / count,
                "search": searched,
                "starts": count,
                "converged": int(np.sum(search.loss <= limit)),
                "best": best,
            }
        )
    )


def seconds(call: object) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - began


def _best_known(known: dict[str, dict[str, float]]) -> float:
    return float((known.get("best_found") or known["best_known"])["nll"])


if __name__ == "__main__":
    folder, count, *more = sys.argv[1:]
    kinds = (int, float)
    main(Path(folder), int(count), *(kind(word) for kind, word in zip(kinds, more, strict=False)))
