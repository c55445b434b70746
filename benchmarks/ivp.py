"""Published initial value problems through the generated layer, against reference values: one table by one command.

    python benchmarks/ivp.py [FOLDER] [--method tsit5] [--only rober hires] [--tolerances 1e-4 1e-6 1e-9]

FOLDER (default ../shared/reference/ivp) holds for each problem NAME/model.ode, NAME/reference.csv (t, the states, and
columns `agreed_digits`, `agreed_relative`, `mesh_relative`) and NAME/meta.json (`t0`, `t_end`).

The error is the largest over all rows and states of |value - reference| / max(|reference|, 1e-4 max_t |reference|,
1e-30).
The bar is 100 × rtol. Where it is missed, a row is out of reach if the tools that agreed on the reference, at their
finest and in double precision, agreed to fewer digits than the bar asks; or if the problem's conditioning forbids it:
a start whose states are changed by rtol moves the solution there by more than the bar, and SciPy's DOP853 or Radau at
the same tolerances misses the bar there, too. Writes benchmarks/results/ivp.md and ivp.csv (for another folder or
method its name is added).
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")

from harness.clock import duration
from harness.process import ROOT
from harness.table import RESULTS, publish, surroundings, table

sys.path.insert(0, str(ROOT))

import numpy as np
from scipy.integrate import solve_ivp

import odec
from odec.diagnostics import OdecError

FOLDER = ROOT.parent / "shared" / "reference" / "ivp"
DIGITS = ("agreed_digits", "agreed_relative", "mesh_relative")
TOLERANCES = (1e-4, 1e-6, 1e-9)
BAR = 100.0
# A state counts as this part of its largest value where it is smaller.
SMALL = 1e-4
# A value below this has died out, whatever its state was before (the reference counts no smaller ones either).
DEAD = 1e-30
# SciPy's absolute tolerance, relative to rtol and each state's largest value.
FLOOR = 1e-3
# SciPy misses by the same factor: its error is no less than this part of odec's.
SAME = 1 / 3
# The tolerance at which the conditioning is found, relative to rtol, and the least.
EXACT, FINEST = 1e-3, 1e-12
REPEATS = 3
PROBLEMS_A_PROCESS = 6


@dataclass(frozen=True)
class Problem:
    """A folder of the set."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def meta(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "meta.json").read_text(encoding="utf-8"))
        return found

    @cached_property
    def model(self) -> Any:
        return odec.load_model(self.folder / "model.ode")

    @cached_property
    def states(self) -> list[str]:
        with (self.folder / "reference.csv").open(encoding="utf-8") as file:
            return [name for name in next(csv.reader(file))[1:] if name not in DIGITS]

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        with (self.folder / "reference.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    @cached_property
    def times(self) -> np.ndarray:
        return np.array([float(row["t"]) for row in self.rows])

    @cached_property
    def reference(self) -> np.ndarray:
        """(times, states)."""
        return np.array([[float(row[name]) for name in self.states] for row in self.rows])

    @cached_property
    def digits(self) -> np.ndarray:
        """(times,): to how many the tools agreed; inf where nothing is said."""
        return np.array([float(row.get("agreed_digits") or "inf") for row in self.rows])

    def errors(self, values: np.ndarray) -> np.ndarray:
        """(times,): the largest over the states; inf where a value is not finite."""
        size = np.abs(self.reference)
        size = np.maximum(np.maximum(size, SMALL * size.max(axis=0)), DEAD)
        off = np.abs(values - self.reference)
        errors = np.divide(off, size, out=np.where(off > 0, np.inf, 0.0), where=size > 0).max(axis=1)
        return np.where(np.isnan(errors), np.inf, errors)


@dataclass(frozen=True)
class Result:
    """A problem at one tolerance. `within` is the error over the rows in reach, `scipy` that of SciPy there, `moved`
    how far a start changed by rtol moves the solution."""

    problem: str
    rtol: float
    error: float = np.inf
    within: float = np.inf
    in_reach: int = 0
    moved: float = np.nan
    rows: int = 0
    method: str = ""
    steps: int = 0
    rejected: int = 0
    seconds: float = np.nan
    estimate: float = np.nan
    scipy: float = np.nan
    scipy_method: str = ""
    failure: str = ""

    @property
    def verdict(self) -> str:
        """met, met in reach, conditioning, or MISS."""
        if self.error <= BAR * self.rtol:
            return "met"
        if self.within <= BAR * self.rtol:
            return "met in reach"
        if self.scipy > BAR * self.rtol and self.scipy >= SAME * self.within:
            return "as SciPy"
        return "MISS"


def main() -> None:
    """Solve, print the tables, write them."""
    arguments = parsed()
    folders = sorted(path.parent for path in arguments.folder.resolve().glob("*/model.ode"))
    problems = [Problem(folder) for folder in folders if not arguments.only or folder.name in arguments.only]
    if not problems:
        raise SystemExit(f"no problems in {arguments.folder}")
    results = []
    # TensorFlow keeps what it compiled until its process ends.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=PROBLEMS_A_PROCESS) as process:
        work = partial(at_all, rtols=arguments.tolerances, method=arguments.method)
        for found in process.imap(work, problems):
            results.extend(found)
            print("\n".join(map(shown, found)), file=sys.stderr, flush=True)
    name = "ivp"
    if arguments.folder.resolve() != FOLDER.resolve():
        name += f"_{arguments.folder.resolve().name}"
    if arguments.method != "auto":
        name += f"_{arguments.method}"
    write_csv(results, name)
    text = [
        "# Initial value problems",
        surroundings(["odec", "keras", "tensorflow", "numpy", "scipy"]),
        "The error" + __doc__.partition("The error")[2].partition(" Writes")[0],
        "## Summary",
        summary(results),
        "## Where the bar is not met on all rows",
        missed(results),
        "## Every problem",
        every(results),
    ]
    publish("\n\n".join(text), name)


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="problems in the same layout")
    parser.add_argument("--method", default="auto")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these problems alone")
    parser.add_argument("--tolerances", nargs="+", type=float, default=list(TOLERANCES), metavar="RTOL")
    return parser.parse_args()


def at_all(problem: Problem, rtols: Sequence[float], method: str) -> list[Result]:
    """A problem at each tolerance."""
    return [solved(problem, rtol, method) for rtol in rtols]


def solved(problem: Problem, rtol: float, method: str) -> Result:
    """One run, and SciPy's where the bar is missed."""
    rows = len(problem.times)
    nothing = Result(problem.name, rtol, in_reach=rows, rows=rows)
    spent = []
    try:
        for _ in range(1 + REPEATS):
            began = time.perf_counter()
            solution = odec.solve(
                problem.model, start=problem.meta["t0"], times=problem.times.tolist(), rtol=rtol, method=method
            )
            spent.append(time.perf_counter() - began)
    except Exception as error:  # a crash is a result too, and the others go on
        said = str(error).strip().splitlines()[-1 if not isinstance(error, OdecError) else 0]
        return Result(**{**vars(nothing), "failure": f"{type(error).__name__}: {said}"})
    values = np.column_stack([solution[name] for name in problem.states])
    errors = problem.errors(values)
    found: dict[str, Any] = {
        "error": float(errors.max()),
        "within": float(errors.max()),
        "method": solution.method,
        "steps": solution.steps,
        "rejected": solution.refused,
        "seconds": min(spent[1:]),
        "estimate": solution.error,
    }
    if found["error"] > BAR * rtol:
        found |= judged(problem, rtol, errors)
    return Result(**{**vars(nothing), **found})


def judged(problem: Problem, rtol: float, errors: np.ndarray) -> dict[str, Any]:
    """Which rows are in reach, and there the error and SciPy's."""
    bar = BAR * rtol
    method = "Radau" if problem.meta["stiff"] else "DOP853"
    change, scipy = moved(problem, rtol, method), problem.errors(by_scipy(problem, rtol, method))
    reachable = (problem.digits >= -np.log10(bar)) & ((change <= bar) | (scipy <= bar))
    return {
        "within": float(errors[reachable].max(initial=0.0)),
        "in_reach": int(reachable.sum()),
        "moved": float(change.max()),
        "scipy_method": method,
        "scipy": float(scipy[reachable].max(initial=0.0)),
    }


def moved(problem: Problem, rtol: float, method: str) -> np.ndarray:
    """(times,): how far the solution moves, in the norm of the errors, where each state starts at 1 ± rtol of itself
    (two choices of the signs), as SciPy solves it."""
    exact = max(FINEST, EXACT * rtol)
    states = len(problem.states)
    signs = np.ones(states), (-1.0) ** np.arange(states)
    centre = by_scipy(problem, exact, method)
    changed = [by_scipy(problem, exact, method, 1.0 + rtol * sign) for sign in signs]
    return np.max([problem.errors(values - centre + problem.reference) for values in changed], axis=0)


def by_scipy(problem: Problem, rtol: float, method: str, factor: np.ndarray | float = 1.0) -> np.ndarray:
    """(times, states): the generated right-hand side under SciPy's solver from `factor` times the start, NaN where it
    gave up."""
    model = problem.model
    description = model.description
    found = model.constants({})
    consts = tuple(found[const.name] for const in description.consts)
    params = tuple(param.value for param in description.params)
    names = [state.name for state in description.states]
    size = dict(zip(problem.states, np.abs(problem.reference).max(axis=0), strict=True))

    def rhs(t: float, x: np.ndarray) -> list[float]:
        return [float(value) for value in model.rhs(float(t), tuple(x.tolist()), params, consts)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        solution = solve_ivp(
            rhs,
            (problem.times[0], problem.times[-1]),
            factor * np.array(model.initial(params, consts), dtype=float),
            method,
            problem.times,
            rtol=rtol,
            atol=[max(FLOOR * rtol * size[name], np.finfo(float).tiny) for name in names],
        )
    values = np.full((len(problem.times), len(names)), np.nan)
    values[: solution.y.shape[1]] = solution.y.T
    return values[:, [names.index(name) for name in problem.states]]


def summary(results: Sequence[Result]) -> str:
    """How many problems meet the bar at each tolerance."""
    rows = []
    for rtol in dict.fromkeys(result.rtol for result in results):
        here = [result for result in results if result.rtol == rtol]
        ratios = [result.within / rtol for result in here if np.isfinite(result.within) and result.within > 0]
        verdicts = [result.verdict for result in here]
        counts = [str(verdicts.count(kind)) for kind in ("met", "met in reach", "as SciPy", "MISS")]
        seconds = duration(float(np.nansum([result.seconds for result in here])))
        rows.append([f"{rtol:g}", str(len(here)), *counts, f"{np.median(ratios):.2g}" if ratios else "", seconds])
    header = [
        "rtol",
        "problems",
        "met",
        "met on the rows in reach",
        "missed, as SciPy misses",
        "MISS",
        "median error / rtol",
        "warm, all",
    ]
    return table(header, rows)


def missed(results: Sequence[Result]) -> str:
    """Each problem that does not meet the bar everywhere, and why."""
    rows = []
    for result in results:
        if result.verdict == "met":
            continue
        if result.failure:
            why = result.failure
        elif result.verdict == "met in reach":
            why = ""
        else:
            why = f"SciPy's {result.scipy_method} has {ratio(result.scipy, result.rtol)} × rtol there"
        rows.append(
            [
                result.problem,
                f"{result.rtol:g}",
                ratio(result.error, result.rtol),
                ratio(result.moved, result.rtol),
                f"{result.in_reach} of {result.rows}",
                ratio(result.within, result.rtol),
                result.verdict,
                why,
            ]
        )
    if not rows:
        return "None."
    header = [
        "problem",
        "rtol",
        "error / rtol",
        "moved by a start's rtol / rtol",
        "rows in reach",
        "error / rtol there",
        "verdict",
        "why",
    ]
    return table(header, rows)


def every(results: Sequence[Result]) -> str:
    """A row for each problem and tolerance."""
    rows = [
        [
            result.problem,
            f"{result.rtol:g}",
            f"{result.error:.1e}",
            ratio(result.error, result.rtol),
            result.verdict,
            result.method,
            f"{result.steps:,}",
            f"{result.rejected:,}",
            duration(result.seconds) if np.isfinite(result.seconds) else "",
        ]
        for result in results
    ]
    header = ["problem", "rtol", "error", "error / rtol", "bar", "method", "steps", "rejected", "seconds, warm"]
    return table(header, rows)


def ratio(error: float, rtol: float) -> str:
    """error / rtol with two digits."""
    return f"{error / rtol:.2g}"


def shown(result: Result) -> str:
    """A line for whoever waits."""
    name = f"{result.problem:24} {result.rtol:6g}"
    if result.failure:
        return f"{name} {result.failure}"
    return (
        f"{name} error {result.error:.1e} ({ratio(result.error, result.rtol)} rtol) {result.verdict} {result.method} "
        f"{result.steps} + {result.rejected} {duration(result.seconds)}"
    )


def write_csv(results: Sequence[Result], name: str) -> None:
    """Every result with all its numbers."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = list(vars(results[0]))
        writer.writerow([*names, "verdict"])
        for result in results:
            values = [vars(result)[field] for field in names]
            writer.writerow([*(f"{v:.6g}" if isinstance(v, float) else v for v in values), result.verdict])


if __name__ == "__main__":
    main()
