"""What compiling costs: seconds and peak memory of whole `odec` processes, and how they grow with the model.

    python benchmarks/compile_time.py [--rounds N] [--largest N]

Compared with what cannot be avoided (`import sympy`, the bare interpreter), in turns, each in a fresh process with a
warm file cache. The growing models are chains: a chain of states, whose equation n reads state n-1 (a Jacobian of two
entries a row), and a chain of intermediates, where each line builds on the one before and the last is the only equation
(the deepest formula that a text of that length can make). Lorenz 96 is one equation of a vector of any length.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path

from harness.clock import duration
from harness.process import ROOT, Runs, TooLongError, alternated
from harness.table import publish, surroundings, table, times

SIZES = (10, 100, 1_000, 10_000)
ODEC = [sys.executable, "-m", "odec"]
# The bars: compile against `import sympy`, seconds of `--help` above the bare interpreter, seconds for 1,000 equations.
COMPILE_RATIO, HELP_SECONDS, THOUSAND_SECONDS = 2.5, 0.3, 10.0
# A vector equation of any length, against the two-species model.
ARRAY_RATIO, LENGTHS = 1.5, (40, 10_000)
# Growth no worse than linear, with room for the noise of a machine.
LINEAR = 1.1
GROWTH_BAR = "linear"
# A compilation is ended after so many seconds.
LIMIT = 120.0


def main() -> None:
    """Measure, print the tables, write benchmarks/results/compile_time.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="counted runs of each short command")
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="leave longer chains out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small = starts(Path(folder), arguments.rounds)
        grown = growth(Path(folder), tuple(size for size in SIZES if size <= arguments.largest))
    text = ["# Compile time", surroundings(["odec", "sympy", "lark"]), small, grown]
    publish("\n\n".join(text), "compile_time")


def starts(folder: Path, rounds: int) -> str:
    """The table of short commands against the interpreter and sympy."""
    example = str(ROOT / "examples" / "competition" / "model.ode")
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "python -c 'import sympy'": [sys.executable, "-c", "import sympy"],
        "odec --help": [*ODEC, "--help"],
        "odec check (competition)": [*ODEC, "check", example],
        "odec compile (competition)": [*ODEC, "compile", example, "-o", str(folder / "competition.py")],
        **{name: [*ODEC, "compile", str(path)] for name, path in lorenz96(folder).items()},
    }
    runs = alternated(commands, rounds)
    bare, sympy, asked, compiled = (
        runs[name].seconds.median
        for name in ("python -c pass", "python -c 'import sympy'", "odec --help", "odec compile (competition)")
    )
    bars = {
        "odec --help": _bar(
            f"{duration(asked - bare)} of its own", asked - bare < HELP_SECONDS, f"< {HELP_SECONDS:g} s"
        ),
        "odec compile (competition)": _bar(
            f"{times(compiled / sympy)} import sympy", compiled < COMPILE_RATIO * sympy, f"< {COMPILE_RATIO:g}×"
        ),
    }
    for name, path in lorenz96(folder).items():
        ratio = runs[name].seconds.median / compiled
        length = len(path.with_suffix(".py").read_text(encoding="utf-8").splitlines())
        measured = f"{length} lines, {times(ratio)} competition"
        bars[name] = _bar(measured, ratio < ARRAY_RATIO, f"< {ARRAY_RATIO:g}×")
    rows = [[name, str(one.seconds), one.megabytes, bars.get(name, "")] for name, one in runs.items()]
    return f"Whole processes, median (min–max) of {rounds}:\n\n" + table(
        ["command", "seconds", "peak memory", "bar"], rows
    )


def lorenz96(folder: Path) -> dict[str, Path]:
    """The example's file with each length of its vector."""
    text = (ROOT / "examples" / "lorenz96" / "model.ode").read_text(encoding="utf-8")
    found = {}
    for length in LENGTHS:
        path = folder / f"lorenz96_{length}.ode"
        path.write_text(text.replace("size N = 40", f"size N = {length}"), encoding="utf-8")
        found[f"odec compile (Lorenz 96, N = {length:,})"] = path
    return found


def growth(folder: Path, sizes: tuple[int, ...]) -> str:
    """The table of chains, and the exponent of each step from one size to the next."""
    rows = []
    for kind, model in (("states", chain_of_states), ("intermediates", chain_of_intermediates)):
        found: dict[int, Runs] = {}
        for size in sizes:
            path, module = folder / f"{kind}_{size}.ode", folder / f"{kind}_{size}.py"
            path.write_text(model(size), encoding="utf-8")
            command = [*ODEC, "compile", str(path), "-o", str(module)]
            try:
                runs = alternated({"compile": command}, 3 if size <= 1_000 else 1, LIMIT, warm=size <= 1_000)["compile"]
            except TooLongError:
                rows.append([kind, f"{size:,}", f"more than {LIMIT:g} s", "", "", "", _bar("", False, GROWTH_BAR)])
                break
            found[size] = runs
            lines = len(module.read_text(encoding="utf-8").splitlines())
            exponent = _exponent(found)
            grown = "" if exponent is None else f"{exponent:.2f}"
            rows.append([kind, f"{size:,}", str(runs.seconds), runs.megabytes, grown, f"{lines:,}", _bars(size, found)])
    header = ["chain of", "equations", "seconds", "peak memory", "exponent", "lines written", "bar"]
    note = (
        "The exponent e says that the processor's seconds above those of the smallest chain grew from the row above "
        f"like equations^e: 1 is linear, and up to {LINEAR:g} passes for the noise of a machine."
    )
    return f"Chains, whole `odec compile` processes, median of 3 (1 for 10,000):\n\n{table(header, rows)}\n\n{note}"


def _exponent(found: dict[int, Runs]) -> float | None:
    """Of the last step, with the fixed cost of a start taken off; None where too little is left of a short run."""
    sizes = list(found)
    if len(sizes) < 3 or sizes[-2] < 1_000:
        return None
    first, small, large = sizes[0], *sizes[-2:]
    base, before, after = (found[size].processor.median for size in (first, small, large))
    return math.log((after - base) / (before - base)) / math.log((large - first) / (small - first))


def _bars(size: int, found: dict[int, Runs]) -> str:
    exponent = _exponent(found)
    bars = [] if exponent is None else [_bar("", exponent <= LINEAR, GROWTH_BAR)]
    if size == 1_000:
        bars.append(_bar("", found[size].seconds.median < THOUSAND_SECONDS, f"< {THOUSAND_SECONDS:g} s"))
    return ", ".join(bars)


def chain_of_states(size: int) -> str:
    """A transport chain with saturating decay: each state is fed by the one before."""
    states = [f"state x{i} = {1 if i == 0 else 0}" for i in range(size)]
    decay = "a*x{0}^2/(1 + x{0})"
    equations = ["dx0 = -k*x0 - " + decay.format(0)]
    equations += [f"dx{i} = k*(x{i - 1} - x{i}) - " + decay.format(i) for i in range(1, size)]
    return "\n".join(["param k = 1", "param a = 0.1", *states, *equations]) + "\n"


def chain_of_intermediates(size: int) -> str:
    """One state whose rate is reached through a chain of named values."""
    lines = [f"y{i} = y{i - 1} + a*sin(y{i - 1})" for i in range(1, size)]
    return "\n".join(["param a = 0.1", "state x = 1", "y0 = a*x", *lines, f"dx = -y{size - 1}"]) + "\n"


def _bar(measured: str, reached: bool, bar: str) -> str:
    return f"{measured}{', ' if measured else ''}{bar}: {'pass' if reached else 'MISS'}"


if __name__ == "__main__":
    main()
