"""Fits beside their peers: Boehm's published problem, and a thousand starts of two species.

    python -m venv benchmarks/.venv && benchmarks/.venv/bin/pip install lmfit numpy scipy libroadrunner      once
    python benchmarks/fits.py [--parts boehm two_species] [--python benchmarks/.venv/bin/python]

Needs the problems in ../shared/reference. Every tool has a process of its own; they take turns. Seconds to build are
those from the start of the process to the first objective with its derivatives, imports included. Writes
benchmarks/results/fits.md after each part. AMICI and diffrax are not run here: `../shared/reference/peers/peers.csv`
has their numbers. The other published problems are those of `hard_fits.py`.
"""

from __future__ import annotations

import argparse
import json
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
HEADER = ["tool", "build", "objective + gradient", "search", "starts", "converged", "best loss", "for each converged"]
# Starts of odec and of the peers, which go one after the other.
BOEHM, BOEHM_PEER = 200, 20
TWO_SPECIES, TWO_SPECIES_PEER = 1000, 20
# A sum of squares this share above the best one is the same optimum.
SAME = 1e-3
LIMIT = 900


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
    sbml = REFERENCE / "petab/Boehm_JProteomeRes2014/model_Boehm_JProteomeRes2014.xml"
    ours = run([sys.executable, PEERS / "with_odec.py", folder, BOEHM])
    peer = run([python, PEERS / "with_roadrunner.py", sbml, folder / "data.csv", BOEHM_PEER])
    ratio = price(peer) / price(ours)
    rows = [row("odec", ours), row("libRoadRunner + SciPy least_squares", peer)]
    return (
        f"## Boehm: random starts that end within 1 of 138.22\n\n{table(HEADER, rows)}\n\n"
        f"For each converged start, building included: {times(ratio)} ({verdict(ratio, 10)})"
    )


def two_species(python: str) -> str:
    """A thousand starts in bounds of a factor 100 around the truth, and some of the same start by start."""
    folder = PEERS / "competition"
    ours = run([sys.executable, PEERS / "with_odec.py", folder, TWO_SPECIES, 1, SAME])
    rows, words = [row("odec", ours)], []
    for tool in ("scipy", "lmfit"):
        peer = run([python, PEERS / "with_scipy.py", tool, folder / "data.csv", TWO_SPECIES_PEER, TWO_SPECIES])
        peer["converged"] = sum(loss <= ours["best"] * (1 + SAME) for loss in peer["losses"])
        rows.append(row({"scipy": "SciPy least_squares", "lmfit": "lmfit"}[tool], peer))
        ratio = peer["search"] / peer["starts"] / (ours["search"] / ours["starts"])
        words.append(f"{tool} {times(ratio)}" + (f" ({verdict(ratio, 100)})" if tool == "scipy" else ""))
    return (
        f"## Two species: 1,000 starts\n\n{table(HEADER, rows)}\n\nSeconds for each start, building apart: "
        f"{', '.join(words)}. odec's search: {duration(ours['search'])} (wanted: below 2 s)"
    )


def row(tool: str, found: dict[str, Any]) -> list[str]:
    """A line of a table."""
    objective = duration(found["objective"])
    if "objective_in_batch" in found:
        objective += f", {duration(found['objective_in_batch'])} in a batch"
    return [
        tool,
        duration(found["build"]),
        objective,
        duration(found["search"]),
        f"{found['starts']:,}",
        str(found["converged"]),
        f"{found['best']:.5f}",
        duration(price(found)) if found["converged"] else "none",
    ]


def price(found: dict[str, Any]) -> float:
    """Seconds for each start that converged, building included."""
    return float((found["build"] + found["search"]) / max(found["converged"], 1))


def run(command: Sequence[Any]) -> dict[str, Any]:
    """What a tool prints, as numbers. SystemExit with its words where it fails."""
    done = subprocess.run(
        [str(part) for part in command], env=environment(), capture_output=True, text=True, timeout=LIMIT, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command}\nended with {done.returncode} and said:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
