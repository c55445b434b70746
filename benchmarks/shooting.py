"""Fits of oscillations and of chaos from guesses 5 times off: plain starts, a growing horizon, multiple shooting.

    python benchmarks/shooting.py [--starts N] [--seed N]      about five minutes

Every start is followed by all three, from the same guesses. "Within 5 times" draws them by Latin hypercube, uniform in
the logarithm within a factor 5 of the truth; "5 times off" makes every parameter 5 times too large or too small, by
chance. A start counts where its objective is the best one found by anybody, to 1e-4. Seconds are the processor's, so
that other work on the machine does not count; those of the first guesses hold the compilation of what is new in them.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")

from harness.clock import duration
from harness.process import ROOT
from harness.table import publish, surroundings, table

sys.path.insert(0, str(ROOT))

import numpy as np
from scipy.integrate import solve_ivp

from odec.fit.checkpoint import Journal
from odec.fit.horizon import grown
from odec.fit.least_squares import Search, Settings, minimise
from odec.fit.problem import Problem
from odec.fit.setup import Asked, problem_of
from odec.fit.shooting import shot
from odec.loading import load_source
from odec.source import Source

OFF = 5.0
RTOL = 1e-8
# The bar of the issue, of 100 starts.
BAR = 95
ABOUT = (
    "An evaluation of shooting is one of all segments, which together are one run. The bar asks for shooting or the "
    "growing horizon. Seconds are the processor's."
)
LYNX = ROOT.parent / "shared/reference/fits/hare_lynx/data.csv"


@dataclass(frozen=True)
class Case:
    """A model with its data, its parameters' true values (or, of real data, their optimum), and how many segments are
    shot over. `others` are further parameters as the model's text has them, which start within their bounds."""

    name: str
    truth: dict[str, float]
    others: str
    equations: str
    data: dict[str, Any]
    segments: int
    has_bar: bool = True

    def problem(self) -> Problem:
        """What is fitted."""
        params = [f"param {name} = {k!r} in [{k / OFF!r}, {k * OFF!r}] log" for name, k in self.truth.items()]
        layer = load_source(Source.from_text("\n".join([*params, self.others, self.equations])))
        return problem_of(layer, self.data, Asked(rtol=RTOL))[0]


def cases() -> list[Case]:
    """The problems of the issue, and a chaotic one."""
    return [lynx(), fitzhugh_nagumo(), lorenz()]


def lynx() -> Case:
    """Pelts of hares and lynxes 1900-1920; the optimum is that of shared/reference."""
    with LYNX.open(encoding="utf-8") as file:
        rows = [{name: float(cell) for name, cell in row.items()} for row in csv.DictReader(file)]
    data = {"t": [row["year"] - 1900 for row in rows]} | {name: [r[name] for r in rows] for name in ("hare", "lynx")}
    truth = {"alpha": 0.4812, "beta": 0.02483, "gamma": 0.9260, "delta": 0.02753, "h0": 34.91, "l0": 3.862}
    equations = "state hare = h0\nstate lynx = l0\ndhare = alpha*hare - beta*hare*lynx\n"
    equations += "dlynx = -gamma*lynx + delta*hare*lynx"
    return Case("hare and lynx, 42 real data", truth, "", equations, data, 10)


def fitzhugh_nagumo() -> Case:
    """The problem of Ramsay et al. (J. R. Stat. Soc. B 69, 2007): a = b = 0.2, c = 3 from (-1, 1); noise 0.2."""

    def slope(t: float, x: np.ndarray) -> list[float]:
        return [3 * (x[0] - x[0] ** 3 / 3 + x[1]), -(x[0] - 0.2 + 0.2 * x[1]) / 3]

    equations = "state V = v0\nstate R = r0\ndV = c*(V - V^3/3 + R)\ndR = -(V - a + b*R)/c"
    others = "param v0 = -1 in [-5, 5]\nparam r0 = 1 in [-5, 5]"
    data = simulated(slope, [-1, 1], ["V", "R"], np.linspace(0, 20, 41), 0.2)
    return Case("FitzHugh-Nagumo, 82 data, noise 0.2", {"a": 0.2, "b": 0.2, "c": 3.0}, others, equations, data, 8)


def lorenz() -> Case:
    """Lorenz's attractor over 5 units of time, noise 0.5 on all three states."""

    def slope(t: float, x: np.ndarray) -> list[float]:
        return [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8 / 3 * x[2]]

    equations = "state x = x0\nstate y = y0\nstate z = z0\ndx = sigma*(y - x)\ndy = x*(rho - z) - y\ndz = x*y - beta*z"
    others = "param x0 = -8 in [-20, 20]\nparam y0 = 8 in [-20, 20]\nparam z0 = 27 in [0, 50]"
    data = simulated(slope, [-8, 8, 27], ["x", "y", "z"], np.linspace(0, 5, 51), 0.5)
    truth = {"sigma": 10.0, "rho": 28.0, "beta": 8 / 3}
    return Case("Lorenz, 153 data, noise 0.5", truth, others, equations, data, 17, has_bar=False)


def simulated(slope: Callable[..., Any], start: list[float], names: list[str], t: np.ndarray, sd: float) -> Any:
    """Columns of a solution with normal noise, by SciPy."""
    run = solve_ivp(slope, (0, t[-1]), start, t_eval=t, rtol=1e-11, atol=1e-12)
    noisy = run.y + np.random.default_rng(1).normal(0, sd, run.y.shape)
    return {"t": t, **dict(zip(names, noisy, strict=True))}


def guesses(problem: Problem, count: int, seed: int) -> dict[str, np.ndarray]:
    """How they are drawn → guesses (count, Q) in search coordinates."""
    box, log = problem.scale.box, problem.scale.log
    within = problem.scale.draw(count + 1, seed)[1:]
    ends = np.where(np.random.default_rng(seed).random(within.shape) < 0.5, box.lower, box.upper)
    return {"within 5 times": within, "5 times off": np.where(log, ends, within)}


def ended(problem: Problem, z: np.ndarray) -> Search:
    """The plain search from `z` (S, Q)."""
    return minimise(problem.batched(len(z)), z, problem.scale.box, Settings(floor=problem.floor))


def measured(case: Case, count: int, seed: int) -> str:
    """The table of one case."""
    problem, rows = case.problem(), []
    ways: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
        "plain": lambda z: (z, np.zeros(len(z), dtype=int)),
        "growing horizon": lambda z: grown(problem, z, Journal()),
        f"shooting, {case.segments} segments": lambda z: shot(problem, case.segments, z, Journal()),
    }
    optimum = float(ended(problem, problem.scale.to_search(problem.scale.start)[None].repeat(count, 0)).loss.min())
    drawings = guesses(problem, count, seed)
    first = next(iter(drawings.values()))
    for drawn, z in drawings.items():
        found: dict[str, tuple[Search, np.ndarray, float]] = {}
        for name, way in ways.items():
            began = time.process_time()
            ends, spent = way(z)
            search = ended(problem, ends)
            found[name] = search, spent, time.process_time() - began
        best = min(optimum, *(float(search.loss.min()) for search, _, _ in found.values()))
        for name, (search, spent, seconds) in found.items():
            hits = int(np.sum(search.loss <= problem.same(best)))
            asked = name != "plain" and case.has_bar
            bar = f"≥ {BAR} %: {'pass' if 100 * hits >= BAR * count else 'MISS'}" if asked else ""
            each = duration(seconds / hits) if hits else "-"
            said = duration(seconds) + (" with compilation" if z is first else "")
            effort = f"{np.mean(search.evaluations + spent):.0f}"
            told = f"{hits} of {count}", f"{search.loss.min():.7g}", effort
            rows.append([drawn, name, *told, said, each, bar])
    header = ["guesses", "search", "at the best objective", "best objective", "evaluations a start", "seconds"]
    header += ["for each that is there", "bar"]
    return f"## {case.name}\n\n{table(header, rows)}"


def main() -> None:
    """Measure, print the tables, write benchmarks/results/shooting.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    text = ["# Oscillations and chaos from guesses 5 times off", "", ABOUT]
    for case in cases():
        text.append(measured(case, arguments.starts, arguments.seed))
        text[1] = surroundings(["odec", "tensorflow", "numpy"])
        publish("\n\n".join(text), "shooting")


if __name__ == "__main__":
    main()
