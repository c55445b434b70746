"""Work and precision of odec's solvers beside diffrax, SciPy, CVODE (through CasADi) and torchdiffeq, in one run.

    python -m venv benchmarks/.venv && benchmarks/.venv/bin/pip install -r benchmarks/requirements.txt      once
    python benchmarks/solvers.py [--problems rober hires] [--batches 1 64] [--peers odec cvode] [--no-cost] [--jax]

Every peer has a process of its own and they take turns at each cell of the table: a problem, a batch (the rows of one
batch vary in their initial values and params by a few per cent), a tolerance. A cell's seconds are those of the
shortest warm call from NumPy arrays to NumPy arrays at ten times; compiling (or building) is counted apart. A cell's
error is measured, not asked for: the largest over times and states, in units of the state's largest value, against a
solution at 1e-13; of a batch, the median over the first rows. Tolerances are swept (odec's are ten times as large, as
its errors are smaller than asked for), and tools are compared at equal error: the seconds for at most that error, by
interpolation of the logarithms along each tool's fastest runs.

The absolute tolerance of each state is rtol / 1000 of its largest value for the peers, and odec's own default for odec.
Cells that would take longer than `--longest` are left out. A large batch that odec cuts into blocks may find their
program compiled by a smaller one. Writes benchmarks/results/solvers.md and solvers.csv after each problem and batch.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from harness.clock import duration
from harness.process import environment
from harness.table import RESULTS, surroundings, table, times, verdict
from peers.solvers.problems import PROBLEMS, Problem

HERE = Path(__file__).resolve().parent
PEERS = ("odec", "diffrax", "scipy", "cvode", "torchdiffeq")
# odec on the Keras back end JAX, by the peers' Python.
JAX = "odec_jax"
# Without --problems: those that have a bar first.
USUAL = ("hires", "rober", "pollu", "lotka_volterra", "arenstorf", "pleiades")
BATCHES = (1, 64, 1_024, 16_384)
TOLERANCES = {False: (1e-3, 1e-6, 1e-9), True: (1e-2, 1e-4, 1e-6, 1e-8)}
LOOSER = {"odec": 10.0, JAX: 10.0}
# The absolute tolerance is this part of the relative one, of a state's largest value.
FLOOR = 1e-3
# Rows of a batch whose error is measured.
SAMPLE = 16
# Errors at which tools are compared.
LEVELS = tuple(10.0**-k for k in range(2, 10))
REFERENCE = 1e-13
# For the independent solution that the reference is held against, nonstiff and stiff (SciPy's Radau).
CHECK = {False: 1e-12, True: 1e-10}
# Seconds for a peer to import its libraries.
STARTING = 120.0
# … and to compile a program.
FIRST_CALL = 120.0
# Of the runs whose steps are priced, and the batches.
COST_RTOL, COST_BATCHES = 1e-6, (1, 16)
# So many states are priced at batch 1 alone, as their programs take a minute to compile.
LARGE = 50
COSTED = ("rober", "hires", "pollu", "brusselator")
STIFF_BARS = ("rober", "hires", "pollu")


@dataclass(frozen=True)
class Cell:
    """One measured point."""

    problem: str
    batch: int
    peer: str
    method: str
    rtol: float
    error: float = np.nan
    worst: float = np.nan
    seconds: float = np.nan
    build: float = np.nan
    steps: float | None = None
    samples: int = 0
    failure: str = ""

    @property
    def tool(self) -> str:
        """Peer and method."""
        return f"{self.peer} {self.method}"


class Worker:
    """A peer's process, started again where it was ended."""

    def __init__(self, peer: str, python: str) -> None:
        self.command = [python, "-m", "peers.solvers.worker", peer]
        self.start()

    def start(self) -> None:
        """Start it and read what it says of itself."""
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=HERE,
            env=environment(),
        )
        self.hello = self._answer(STARTING)

    def ask(self, limit: float, **request: Any) -> dict[str, Any]:
        """The answer, or what went wrong under `failure`: also that `limit` seconds were not enough."""
        assert self.process.stdin is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        answer = self._answer(limit)
        if self.process.poll() is not None:
            self.start()
        return answer

    def _answer(self, limit: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], limit)[0]:
            self.process.kill()
            self.process.wait()
            return {"failure": f"more than {duration(limit)}"}
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            return {"failure": f"its process ended with {self.process.returncode}"}
        found: dict[str, Any] = json.loads(line)
        return found

    def stop(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@dataclass(frozen=True)
class Truth:
    """A problem's solution of the first rows (rows, times, states), and each state's largest value (states,)."""

    values: np.ndarray
    digits: float
    size: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", np.abs(self.values[0]).max(axis=0))

    def errors(self, values: np.ndarray) -> np.ndarray:
        """Of each row."""
        size = np.abs(self.values).max(axis=1, keepdims=True)[: len(values)]
        return (np.abs(values - self.values[: len(values)]) / size).max(axis=(1, 2))


def main() -> None:
    """Measure, write the tables as they grow, and print them."""
    arguments = parsed()
    results = Results(arguments, started(arguments))
    for problem in (PROBLEMS[name] for name in arguments.problems):
        known = truth(problem, results.workers)
        results.digits.append([problem.name, f"{known.digits:.1f}"])
        for batch in arguments.batches:
            if time.monotonic() - results.began > 60 * arguments.minutes:
                results.skipped.append(f"{problem.name} with {batch:,} rows")
                continue
            results.cells += measured(problem, batch, known, results.workers, arguments, results.cells)
            results.write()
    for name in () if arguments.no_cost else COSTED:
        results.costs += costs(name, results.workers)
        results.write()
    for worker in results.workers.values():
        worker.stop()
    print(results.write())


@dataclass
class Results:
    """What was measured so far."""

    arguments: argparse.Namespace
    workers: dict[str, Worker]
    cells: list[Cell] = field(default_factory=list)
    digits: list[list[str]] = field(default_factory=list)
    costs: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def write(self) -> str:
        """The table of all cells, and the text, which is given back."""
        write_csv(self.cells)
        versions = {name: number for each in self.workers.values() for name, number in each.hello["versions"].items()}
        known = ", ".join(f"{name} {number}" for name, number in versions.items() if number)
        command = f"python benchmarks/solvers.py {' '.join(sys.argv[1:])}".strip()
        parts = [
            "# Work and precision",
            f"{surroundings([])}{known}",
            f"`{command}` took {duration(time.monotonic() - self.began)} so far.",
            __doc__.partition("\n\n")[2].split("\n\n", 1)[1],
            "## Bars",
            bars(self.cells),
            "## Seconds at equal error",
            equal_errors(self.cells),
            "## Compiling or building, and failures",
            builds(self.cells),
            "## The references",
            "Digits to which the reference of row 0 agrees with an independent solver (CVODE at 1e-12, SciPy's Radau "
            "at 1e-10), which is less exact than the reference:\n\n" + table(["problem", "digits"], self.digits),
            "Every cell is in `solvers.csv`.",
            *([f"Left out, as the time was over: {', '.join(self.skipped)}."] if self.skipped else []),
            *([COST_NOTE, *self.costs] if self.costs else []),
        ]
        text = "\n\n".join(parts)
        (RESULTS / "solvers.md").write_text(text + "\n", encoding="utf-8")
        return text


COST_NOTE = f"""## What one stiff step costs

Runs at rtol {COST_RTOL:g}. CVODE's parts are those of its own counters, which cost a little themselves. odec's seconds
are those of all rows together; a step is an attempt of all of them. Its parts were measured in loops that do nothing
else, the factorisation and the solves as differences: inside a step the compiler joins them, so the rest may come out
below 0. A Rosenbrock step of order 5 needs eight slopes and solves and one Jacobian and factorisation; a step of BDF
one or two slopes and solves, and a Jacobian now and then."""


def costs(name: str, workers: dict[str, Worker]) -> list[str]:
    """What one stiff step costs odec and CVODE, as a table with its heading."""
    problem = PROBLEMS[name]
    size = sizes(problem, workers)
    columns: dict[str, dict[str, float]] = {}
    batches = COST_BATCHES if len(problem.initial) < LARGE else COST_BATCHES[:1]
    for peer, batch in (("cvode", 1), *(("odec", batch) for batch in batches)):
        if peer not in workers:
            continue
        atol = (COST_RTOL * FLOOR * size).tolist()
        answer = workers[peer].ask(300.0, problem=name, batch=batch, rtol=COST_RTOL, atol=atol)
        columns[f"{peer}, {batch:,} row{'s' if batch > 1 else ''}"] = answer.get("cost", {})
        print(name, peer, batch, answer, file=sys.stderr, flush=True)
    labels = list(dict.fromkeys(label for column in columns.values() for label in column))
    rows = [[label, *(_cost(label, column) for column in columns.values())] for label in labels]
    return [f"### {name}: {len(problem.initial)} states", table(["", *columns], rows)]


def _cost(label: str, column: dict[str, float]) -> str:
    if label not in column:
        return ""
    if label == "steps" or label in ("slopes a step", "Jacobians a step"):
        return f"{column[label]:,.3g}" if column[label] < 100 else f"{column[label]:,.0f}"
    # Below 0 where a part is hidden by others.
    return duration(column[label]) if column[label] > 0 else f"-{duration(-column[label])}"


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    python = os.environ.get("ODEC_PEERS", str(HERE / ".venv" / "bin" / "python"))
    parser.add_argument("--python", default=python, help="the peers' Python (default: $ODEC_PEERS or benchmarks/.venv)")
    parser.add_argument(
        "--problems",
        nargs="+",
        default=list(USUAL),
        choices=PROBLEMS,
        metavar="NAME",
    )
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS, metavar="NAME")
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES), metavar="ROWS")
    parser.add_argument("--tolerances", nargs="+", type=float, metavar="RTOL", help="for every problem")
    parser.add_argument("--jax", action="store_true", help="odec on JAX too, by the peers' Python")
    parser.add_argument("--no-cost", action="store_true", help="not what one stiff step costs")
    parser.add_argument("--budget", type=float, default=0.2, help="seconds of warm calls a cell")
    parser.add_argument("--minutes", type=float, default=20.0, help="begin no problem and batch after so many")
    parser.add_argument("--longest", type=float, default=5.0, help="leave out cells whose call takes longer")
    arguments = parser.parse_args()
    arguments.peers += [JAX] if arguments.jax else []
    return arguments


def started(arguments: argparse.Namespace) -> dict[str, Worker]:
    """The workers that start; those of the references always."""
    workers = {}
    for peer in dict.fromkeys((*arguments.peers, "scipy", "cvode")):
        worker = Worker(peer, sys.executable if peer == "odec" else arguments.python)
        if "failure" in worker.hello:
            print(f"{peer} is left out: {worker.hello['failure']}", file=sys.stderr)
        else:
            workers[peer] = worker
    return workers


def truth(problem: Problem, workers: dict[str, Worker]) -> Truth:
    """The first rows at 1e-13, and row 0 by another tool."""
    # SciPy's is of order 8, where CVODE's error grows over so many steps.
    best, other = ("cvode", "BDF"), ("scipy", "Radau")
    if not problem.stiff:
        best, other = ("scipy", "DOP853"), ("cvode", "Adams")
    size = sizes(problem, workers)
    values = reference(problem, workers, best, SAMPLE, REFERENCE, size)
    off = Truth(values, 0.0).errors(reference(problem, workers, other, 1, CHECK[problem.stiff], size))
    return Truth(values, float(-np.log10(off[0])))


def sizes(problem: Problem, workers: dict[str, Worker]) -> np.ndarray:
    """Each state's largest value at the asked times, (states,)."""
    unknown = np.full(len(problem.initial), 1e-4)
    method = "BDF" if problem.stiff else "Adams"
    return Truth(reference(problem, workers, ("cvode", method), 1, 1e-8, unknown), 0.0).size


def reference(
    problem: Problem, workers: dict[str, Worker], tool: tuple[str, str], batch: int, rtol: float, size: np.ndarray
) -> np.ndarray:
    """(rows, times, states) of one run. SystemExit where there is none."""
    peer, method = tool
    atol = (rtol * FLOOR * size).tolist()
    answer = workers[peer].ask(
        600.0, problem=problem.name, method=method, batch=batch, rtol=rtol, atol=atol, budget=0.0
    )
    if "failure" in answer:
        raise SystemExit(f"no reference for {problem.name}: {answer['failure']}")
    return np.array(answer["values"])


def measured(
    problem: Problem,
    batch: int,
    known: Truth,
    workers: dict[str, Worker],
    arguments: argparse.Namespace,
    before: Sequence[Cell],
) -> list[Cell]:
    """The cells of one problem and batch; tools take turns at each tolerance."""
    cells: list[Cell] = []
    for asked in arguments.tolerances or TOLERANCES[problem.stiff]:
        for peer in arguments.peers:
            if peer not in workers:
                continue
            worker, rtol = workers[peer], asked * LOOSER.get(peer, 1.0)
            atol = (rtol * FLOOR * known.size).tolist()
            for method in worker.hello["methods"][str(problem.stiff)]:
                cell = Cell(problem.name, batch, peer, method, rtol)
                if batch > worker.hello["largest"][method] or (batch == 1 and method.endswith("threads")):
                    continue
                if expected([*before, *cells], cell) > arguments.longest:
                    cells.append(Cell(**{**vars(cell), "failure": "left out: too long"}))
                    continue
                answer = worker.ask(
                    FIRST_CALL + 4 * arguments.longest,
                    problem=problem.name,
                    method=method,
                    batch=batch,
                    rtol=rtol,
                    atol=atol,
                    budget=arguments.budget,
                )
                cells.append(filled(cell, answer, known))
                print(shown(cells[-1]), file=sys.stderr, flush=True)
    return cells


def expected(cells: Iterable[Cell], cell: Cell) -> float:
    """Seconds of a call, from the next smaller batch (rows cost the same) or the next looser tolerance."""
    same = [c for c in cells if (c.problem, c.tool) == (cell.problem, cell.tool)]
    if any(c.failure and c.rtol >= cell.rtol and c.batch == cell.batch for c in same):
        return np.inf
    smaller = [c for c in same if c.rtol == cell.rtol and 1 < c.batch < cell.batch]
    if smaller:
        last = max(smaller, key=lambda c: c.batch)
        return np.inf if last.failure else last.seconds * cell.batch / last.batch
    looser = [c for c in same if c.batch == cell.batch]
    return looser[-1].seconds if looser else 0.0


def filled(cell: Cell, answer: dict[str, Any], known: Truth) -> Cell:
    """The cell with what was measured."""
    if "failure" in answer:
        return Cell(**{**vars(cell), "failure": answer["failure"]})
    errors = known.errors(np.array(answer["values"]))
    failure = "" if answer["finite"] == 1.0 else f"{1 - answer['finite']:.0%} of the rows are not finite"
    found = {name: answer[name] for name in ("seconds", "build", "steps", "samples")}
    return Cell(
        **{**vars(cell), **found, "error": float(np.median(errors)), "worst": float(errors.max()), "failure": failure}
    )


def shown(cell: Cell) -> str:
    """A line for whoever waits."""
    name = f"{cell.problem:15} {cell.batch:6} {cell.tool:22} {cell.rtol:7g}"
    if np.isnan(cell.seconds):
        return f"{name} {cell.failure}"
    return f"{name} error {cell.error:.1e} {duration(cell.seconds):>8} (build {duration(cell.build)}) {cell.failure}"


def seconds_at(cells: Iterable[Cell], error: float) -> float:
    """Seconds for at most this error along the fastest runs of one tool; NaN where none is so exact."""
    points = sorted((c.error, c.seconds) for c in cells if not c.failure and np.isfinite(c.error))
    front: list[tuple[float, float]] = []
    # From the most exact one: a run with a larger error is of use only where it is faster.
    for point in points:
        if not front or point[1] < front[-1][1]:
            front.append(point)
    if not front or error < front[0][0]:
        return np.nan
    logs = np.log(np.array(front))
    return float(np.exp(np.interp(np.log(error), logs[:, 0], logs[:, 1])))


def best_at(cells: Iterable[Cell], error: float) -> tuple[float, str]:
    """The fastest tool's seconds for at most this error, and its name."""
    cells = list(cells)
    tools = dict.fromkeys(c.tool for c in cells)
    found = [(seconds_at([c for c in cells if c.tool == tool], error), tool) for tool in tools]
    return min((each for each in found if np.isfinite(each[0])), default=(np.nan, ""))


def bars(cells: Sequence[Cell]) -> str:
    """Each bar of the issue: how many times faster odec is, at the level where it is the least so, and over levels."""
    rows = []
    nonstiff = [name for name, problem in PROBLEMS.items() if not problem.stiff]
    for name, names, wanted, rows_of in (
        ("diffrax, nonstiff", nonstiff, 1.0, lambda b: b >= 64),
        ("diffrax Kvaerno5", STIFF_BARS, 10.0, lambda b: b >= 64),
        ("cvode BDF", STIFF_BARS, 1.0, lambda b: b == 1),
        ("cvode BDF", STIFF_BARS, 8.0, lambda b: b >= 64),
        ("cvode BDF, threads", STIFF_BARS, 8.0, lambda b: b >= 64),
        ("scipy", tuple(PROBLEMS), 5.0, lambda b: b == 1),
        ("diffrax, on JAX", tuple(PROBLEMS), 1.0, lambda b: True),
    ):
        tool, own = name.partition(",")[0] if "threads" not in name else name, JAX if "JAX" in name else "odec"
        for problem in names:
            for batch in sorted({c.batch for c in cells if c.problem == problem and rows_of(c.batch)}):
                ours = [c for c in cells if (c.problem, c.batch, c.peer) == (problem, batch, own)]
                theirs = of_tool(cells, problem, batch, tool)
                ratios = {level: best_at(theirs, level)[0] / best_at(ours, level)[0] for level in levels(ours, theirs)}
                if not ratios:
                    if ours and theirs:
                        why = "no common error" if any(not c.failure for c in theirs) else "its calls took too long"
                        rows.append([name, problem, f"{batch:,}", "", "", why])
                    continue
                least = min(ratios, key=lambda level: ratios[level])
                span = f"{times(min(ratios.values()))} (at {least:.0e}) – {times(max(ratios.values()))}"
                middle = times(float(np.median(list(ratios.values()))))
                rows.append([name, problem, f"{batch:,}", middle, span, verdict(ratios[least], wanted)])
    note = (
        "How many times faster odec is: the median over the errors 1e-2 … 1e-9 that both reach, and the range; the bar "
        "is held against the least. CVODE's seconds for a batch that was too long are those of its largest, row by row."
    )
    return f"{note}\n\n" + table(["against", "problem", "rows", "faster", "range", "bar"], rows)


def of_tool(cells: Sequence[Cell], problem: str, batch: int, tool: str) -> list[Cell]:
    """A peer's cells, or one method's. CVODE's of a smaller batch stand for a batch that it was spared."""
    found = [c for c in cells if c.problem == problem and (c.tool == tool or c.peer == tool)]
    here = [c for c in found if c.batch == batch]
    if not tool.startswith("cvode") or any(not c.failure for c in here):
        return here
    measured = [c for c in found if not c.failure and 1 < c.batch < batch]
    largest = max((c.batch for c in measured), default=0)
    return [Cell(**{**vars(c), "seconds": c.seconds * batch / largest}) for c in measured if c.batch == largest]


def levels(*sides: Sequence[Cell]) -> list[float]:
    """The errors that every side reaches, without those that all of them are more exact than."""
    loosest = max((c.error for side in sides for c in side if not c.failure and np.isfinite(c.error)), default=0.0)
    within = [level for level in LEVELS if level <= max(loosest, LEVELS[-1])]
    return [level for level in within if all(np.isfinite(best_at(side, level)[0]) for side in sides)]


def equal_errors(cells: Sequence[Cell]) -> str:
    """Seconds of every tool at three errors."""
    asked = (1e-3, 1e-5, 1e-7)
    parts = []
    for problem in dict.fromkeys(c.problem for c in cells):
        rows = []
        for batch in sorted({c.batch for c in cells if c.problem == problem}):
            here = [c for c in cells if (c.problem, c.batch) == (problem, batch)]
            for tool in dict.fromkeys(c.tool for c in here):
                found = [seconds_at([c for c in here if c.tool == tool], level) for level in asked]
                rows.append([f"{batch:,}", tool, *(duration(s) if np.isfinite(s) else "" for s in found)])
        parts.append(f"### {problem}\n\n" + table(["rows", "tool", *(f"error {level:.0e}" for level in asked)], rows))
    return "\n\n".join(parts)


def builds(cells: Sequence[Cell]) -> str:
    """The longest first call of each tool and batch above its warm one, over problems; and what failed."""
    rows = []
    for tool in dict.fromkeys(c.tool for c in cells):
        for batch in sorted({c.batch for c in cells}):
            here = [c for c in cells if (c.tool, c.batch) == (tool, batch)]
            spent = [c.build for c in here if np.isfinite(c.build)]
            failed = "; ".join(
                dict.fromkeys(
                    f"{c.problem} at {c.rtol:g}: {c.failure}" for c in here if c.failure and "left" not in c.failure
                )
            )
            if spent or failed:
                rows.append([tool, f"{batch:,}", duration(max(spent)) if spent else "", failed])
    return table(["tool", "rows", "compile or build", "failures"], rows)


def write_csv(cells: Sequence[Cell]) -> None:
    """Every cell."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "solvers.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        names = list(vars(Cell("", 0, "", "", 0.0)))
        writer.writerow(names)
        for cell in cells:
            values = [vars(cell)[name] for name in names]
            writer.writerow([f"{v:.6g}" if isinstance(v, float) else "" if v is None else v for v in values])


if __name__ == "__main__":
    main()
