"""The published estimation problems: from their authors' values, and where hardly any random start finds the optimum.

    python benchmarks/hard_fits.py [--seed N] [--only NAME]      about 15 minutes

The first table begins at the authors' values of all nine problems in `shared/reference/estimation`. The second one
knows nothing of them: a Latin hypercube between the bounds, all starts searched at once, then rounds of kicks from the
best ends. It is what `odec fit model.ode data.csv --starts 401 --kicks 30` does, whose first start is the middle of the
bounds. Every loss is told as it is at rtol 1e-10, so that no error of the steps is taken for a better
fit. The best known values are those that least squares and L-BFGS-B from the authors' values came to (the reference).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass, replace

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")

from harness.clock import duration
from harness.process import ROOT
from harness.table import publish, surroundings, table

sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np
from published import SOLVERS, nominal, problem, reference

from odec.fit.checkpoint import Journal
from odec.fit.coarse import coarse_first, pays
from odec.fit.kicks import kicked
from odec.fit.least_squares import Search, Settings, minimise
from odec.fit.problem import Problem

FOLDERS = ROOT.parent / "shared/reference/estimation"
FINE = 1e-10
# Where the loss has so many cliffs that the search from the authors' values ends on the edge of one.
KICKED = {"Borghans_BiophysChem1997": 10}
STARTS = 400
ROUNDS = {"Elowitz_Nature2000": 30, "Fiedler_BMCSystBiol2016": 0}
# From all that the bounds allow, most starts are stiff.
STIFF = "rodas5p"
# A loss above the best known by this share is the same: the reference has so many digits.
SAME = 1e-6


@dataclass(frozen=True)
class Ended:
    """Where a search came to: the loss at `FINE`, what it took, and the starts within 1 of the best known loss."""

    loss: float
    evaluations: int
    seconds: float
    near: int


class Case:
    """A published problem, ready to be searched."""

    def __init__(self, name: str, solver: str) -> None:
        began = time.perf_counter()
        self.name, self.known = name, reference(FOLDERS / name)
        self.problem: Problem = problem(FOLDERS / name, solver=solver)
        self.best_known = float((self.known.get("best_found") or self.known["best_known"])["nll"])
        self.problem.evaluate(self.problem.scale.draw(1, 0))
        self.build = time.perf_counter() - began

    def searched(self, z: np.ndarray) -> tuple[Search, Ended]:
        """The plain search from `z` (S, Q), many starts coarsely first."""
        began, settings = time.perf_counter(), Settings(floor=self.problem.floor)
        if pays(self.problem, len(z)):
            search = coarse_first(self.problem, z, "plain", Journal(), settings, lambda search: None)
        else:
            search = minimise(self.problem.searching(len(z)), z, self.problem.scale.box, settings)
        return search, self.ended(search, began)

    def kicked(self, search: Search, rounds: int, seed: int) -> Ended:
        """Where rounds of kicks end behind it, with what these took alone."""
        began, before = time.perf_counter(), int(search.evaluations.sum())
        kicked(self.problem, search, rounds, seed, Journal())
        ended = self.ended(search, began)
        return replace(ended, evaluations=ended.evaluations - before)

    def ended(self, search: Search, began: float) -> Ended:
        """What a search that `began` then came to."""
        seconds, z = time.perf_counter() - began, search.z[[search.best]]
        fine = self.problem.with_timing(replace(self.problem.timing, rtol=FINE))
        loss = float(fine.loss(self.problem.scale.to_values(z))[0])
        return Ended(loss, int(search.evaluations.sum()), seconds, int(np.sum(search.loss <= self.best_known + 1)))

    def verdict(self, loss: float) -> str:
        """How a loss stands to the best known one."""
        share = (loss - self.best_known) / abs(self.best_known)
        return f"{share:+.1e}: {'pass' if share <= SAME else 'MISS'}"


def from_the_authors(name: str, seed: int) -> list[list[str]]:
    """The rows of one problem in the first table."""
    case = Case(name, SOLVERS[name])
    box, scale = case.problem.scale.box, case.problem.scale
    values = nominal(case.problem, case.known)
    search, plain = case.searched(np.clip(scale.to_search(values)[None], box.lower, box.upper))
    begun = f"{case.known['nll_at_nominal']:.6f}"
    row = [name, "plain", begun, f"{plain.loss:.6f}", f"{case.best_known:.6f}", case.verdict(plain.loss)]
    rows = [[*row, str(plain.evaluations), duration(plain.seconds), str(search.reason[0])]]
    if name in KICKED:
        rounds = KICKED[name]
        more, now = case.kicked(search, rounds, seed), f"{rounds} rounds of kicks"
        row = [name, now, f"{plain.loss:.6f}", f"{more.loss:.6f}", f"{case.best_known:.6f}", case.verdict(more.loss)]
        rows.append([*row, str(more.evaluations), duration(more.seconds), str(search.reason[0])])
    return rows


def from_random_starts(name: str, seed: int) -> list[list[str]]:
    """The rows of one problem in the second table."""
    case = Case(name, STIFF)
    search, plain = case.searched(case.problem.scale.draw(STARTS + 1, seed)[1:])
    known = f"{case.best_known:.6f}"
    told = [f"{plain.loss:.6f}", known, case.verdict(plain.loss), str(plain.near)]
    rows = [[name, f"{STARTS} starts", *told, str(plain.evaluations), duration(plain.seconds), duration(case.build)]]
    if ROUNDS[name]:
        more = case.kicked(search, ROUNDS[name], seed)
        told = [f"{more.loss:.6f}", known, case.verdict(more.loss), str(more.near)]
        now = f"then {ROUNDS[name]} rounds of kicks"
        rows.append([name, now, *told, str(more.evaluations), duration(more.seconds), ""])
    return rows


def main() -> None:
    """Measure, print the tables, write benchmarks/results/hard_fits.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="One problem, by its name or the beginning of it; nothing is written.")
    arguments = parser.parse_args()
    wanted = [name for name in SOLVERS if name.startswith(arguments.only or "")]
    # The largest last: what there is is written after each.
    wanted.sort(key=lambda name: reference(FOLDERS / name)["states"])
    near: list[list[str]] = []
    far: list[list[str]] = []

    def tell() -> None:
        told = report(near, far)
        print(told) if arguments.only else publish(told, "hard_fits")

    for name in wanted:
        if name in ROUNDS:
            far += from_random_starts(name, arguments.seed)
            tell()
    for name in wanted:
        near += from_the_authors(name, arguments.seed)
        tell()


def report(near: list[list[str]], far: list[list[str]]) -> str:
    """Both tables."""
    ends, effort = ["loss", "best known", "relative difference"], ["evaluations", "search"]
    header = ["problem", "search", "begins at", *ends, *effort, "ended since"]
    header_far = ["problem", "search", *ends, "starts within 1", *effort, "building"]
    about = (
        f"Losses at the end are those at rtol {FINE:g}. A negative difference is a better fit than the best known one."
    )
    parts = ["# Published problems that are hard to fit", surroundings(["odec", "tensorflow", "numpy"]), about]
    parts.append(f"## From the authors' values\n\n{table(header, near)}")
    parts.append(f"## From random starts between the bounds, {STIFF}\n\n{table(header_far, far)}")
    return "\n\n".join(parts)


if __name__ == "__main__":
    main()
