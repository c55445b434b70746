"""Fits beside their peers: Boehm's published problem, and a thousand starts of two species.

    python -m venv benchmarks/.venv && benchmarks/.venv/bin/pip install -r benchmarks/requirements.txt      once
    python benchmarks/fits.py [--parts boehm two_species] [--python benchmarks/.venv/bin/python]

Needs the problems in ../shared/reference. Every tool has a process of its own; they take turns. All take the same
starts, uniform on the search scale within the bounds; Boehm's first 20 are those of ../shared/reference/peers/starts.
odec moves all starts at once, on all cores; the peers go start by start, in one process. A peer that is not installed
has a line that says so. Writes benchmarks/results/fits.md after each part. The other published problems are those of
`hard_fits.py`.

- build: seconds from the start of the process to the first objective with its derivatives, imports and compilation
  included
- objective + gradient: seconds for one, at the first start
- search: seconds for all starts
- processor: seconds of all cores that the whole process took: tools that use one core beside those that use more
- starts, converged, fraction: how many; how many end within 1 of the best negative log-likelihood known, or within
  0.1 % of odec's least sum of squares; their share
- best loss: the least that a start ended with
- for each converged: seconds of build and search, over the starts that converged
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.clock import duration
from harness.process import environment
from harness.table import RESULTS, surroundings, table, times, verdict

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers/fits"
REFERENCE = HERE.parents[1] / "shared/reference"
HEADER = [
    "tool",
    "build",
    "objective + gradient",
    "search",
    "processor",
    "starts",
    "converged",
    "fraction",
    "best loss",
    "for each converged",
]
# Of Boehm's negative log-likelihood, inside the bounds.
BEST_KNOWN = 138.22198
BOEHM = 200
# Starts of odec and of the peers, which go one after the other.
TWO_SPECIES, TWO_SPECIES_PEER = 1000, 100
# A sum of squares this share above the best one is the same optimum.
SAME = 1e-3
LIMIT = 900
MISSING = "not installed: `pip install -r benchmarks/requirements.txt`"


def main() -> None:
    """The parts asked for, each written when it is done."""
    parts: dict[str, Callable[[str], str]] = {"boehm": boehm, "two_species": two_species}
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    arguments.add_argument("--python", default=str(HERE / ".venv/bin/python"), help="the Python of the peers")
    asked = arguments.parse_args()
    done: list[str] = []
    for part in asked.parts:
        done.append(parts[part](asked.python))
        print(done[-1], flush=True)
        packages = ("odec", "tensorflow", "keras", "numpy", "scipy")
        text = "# Fits beside their peers\n\n" + "\n\n".join(done) + f"\n\n{surroundings(packages)}\n"
        (RESULTS / "fits.md").write_text(text, encoding="utf-8")


def boehm(python: str) -> str:
    """Seconds for each start that ends within 1 of the optimum, building included."""
    folder = REFERENCE / "estimation/Boehm_JProteomeRes2014"
    petab = REFERENCE / "petab/Boehm_JProteomeRes2014"
    sbml, yaml = petab / "model_Boehm_JProteomeRes2014.xml", petab / "Boehm_JProteomeRes2014.yaml"
    ours = run([sys.executable, PEERS / "with_odec.py", folder, BOEHM])
    limit = BEST_KNOWN + 1
    peers = {
        "libRoadRunner + SciPy least_squares": peer(
            limit, python, "with_roadrunner.py", sbml, folder / "data.csv", BOEHM
        ),
        "AMICI + fides": peer(limit, python, "with_amici.py", yaml, BOEHM),
        "diffrax + optimistix": peer(limit, python, "with_optimistix.py", "boehm", folder / "data.csv", BOEHM),
    }
    rows = [row("odec", ours), *(row(tool, found) for tool, found in peers.items())]
    text = f"## Boehm: random starts that end within 1 of 138.22\n\n{table(HEADER, rows)}"
    converged = {tool: found for tool, found in peers.items() if found and found["converged"]}
    if not converged:
        return f"{text}\n\nNo start of a peer converged."
    best = min(converged, key=lambda tool: price(converged[tool]))
    ratio = price(converged[best]) / price(ours)
    return (
        f"{text}\n\nFor each converged start, building included, beside the best peer, {best}: "
        f"{times(ratio)} ({verdict(ratio, 10)})"
    )


def two_species(python: str) -> str:
    """A thousand starts in bounds of a factor 100 around the truth, and some of the same start by start."""
    folder = PEERS / "competition"
    ours = run([sys.executable, PEERS / "with_odec.py", folder, TWO_SPECIES, 1, SAME])
    rows, words = [row("odec", ours)], []
    for tool, command in {
        "SciPy least_squares": ["with_scipy.py", "scipy"],
        "lmfit": ["with_scipy.py", "lmfit"],
        "diffrax + optimistix": ["with_optimistix.py", "two_species"],
    }.items():
        found = peer(ours["best"] * (1 + SAME), python, *command, folder / "data.csv", TWO_SPECIES_PEER)
        rows.append(row(tool, found))
        if found:
            ratio = found["search"] / found["starts"] / (ours["search"] / ours["starts"])
            words.append(f"{tool} {times(ratio)}" + (f" ({verdict(ratio, 100)})" if "SciPy" in tool else ""))
    return (
        f"## Two species: 1,000 starts\n\n{table(HEADER, rows)}\n\nSeconds for each start, building apart: "
        f"{', '.join(words) or 'no peer'}. odec's search: {duration(ours['search'])} (wanted: below 2 s)"
    )


def row(tool: str, found: dict[str, Any] | None) -> list[str]:
    """A line of a table."""
    if found is None:
        return [tool, MISSING, *[""] * (len(HEADER) - 2)]
    objective = duration(found["objective"])
    if "objective_in_batch" in found:
        objective += f", {duration(found['objective_in_batch'])} in a batch"
    return [
        tool,
        duration(found["build"]),
        objective,
        duration(found["search"]),
        duration(found["processor"]),
        f"{found['starts']:,}",
        str(found["converged"]),
        f"{found['converged'] / found['starts']:.1%}",
        f"{found['best']:.5f}",
        duration(price(found)) if found["converged"] else "none",
    ]


def price(found: dict[str, Any]) -> float:
    """Seconds for each start that converged, building included."""
    return float((found["build"] + found["search"]) / max(found["converged"], 1))


def peer(limit: float, python: str, script: str, *arguments: Any) -> dict[str, Any] | None:
    """What a peer's script prints, with how many losses are at most `limit`; None where the peer is not installed."""
    try:
        found = run([python, PEERS / script, *arguments])
    except (FileNotFoundError, ImportError):
        return None
    return {**found, "converged": sum(loss <= limit for loss in found["losses"])}


def run(command: Sequence[Any]) -> dict[str, Any]:
    """What a tool prints, as numbers, and the processor's seconds.

    FileNotFoundError where there is no such Python, ImportError where it lacks a package (or the package a library),
    SystemExit with the tool's words where it fails otherwise.
    """
    before = _processor()
    done = subprocess.run(
        [str(part) for part in command], env=environment(), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    last_word = done.stderr.rstrip().rpartition("\n")[2]
    if done.returncode and last_word.startswith(("ImportError", "ModuleNotFoundError")):
        raise ImportError(last_word)
    if done.returncode:
        raise SystemExit(f"{command}\nended with {done.returncode} and said:\n{done.stderr[-3000:]}")
    return {**json.loads(done.stdout.splitlines()[-1]), "processor": _processor() - before}


def _processor() -> float:
    """Seconds of all cores that the processes which have ended took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
