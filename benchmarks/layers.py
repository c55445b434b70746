"""odec's generated layer beside one written by hand and the article's, in Keras: predict, train, compile, memory.

    python benchmarks/layers.py [--rounds N] [--quick]      about twenty minutes

1,000 steps of the competition model in float32, on TensorFlow and JAX. "By hand" is a layer with the same step in a
loop of `keras.ops` and its rates in one weight; "named" has a weight for each rate, as odec's layer does; "article" is
the same step as a cell of `keras.layers.RNN` (Euler alone); "no steps" has the same weights and no loop: what Keras,
the loss and the array of all states cost with any layer, so that "at most" says how much faster than RNN a layer could
be. (With `jit_compile=True` on TensorFlow XLA leaves that array out, and this bound is a loose one.) Layers take turns
in one process; before the clock starts they must compute the same numbers. A forward call is `predict_on_batch`, a
training step one of many in an epoch of `model.fit` with Adam, the epoch's own cost shared among them; the first call
of each counts as compilation. Peak memory is that of a process of its own that trains three steps, Keras and its back
end included. `jit_compile` is Keras's own choice ("auto"); on TensorFlow, which then does not compile on a CPU, it is
also set to True.

Writes benchmarks/results/keras.md, after each process anew. (It is not called `keras.py`: that would hide Keras.)
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from typing import Any

from harness.clock import Seconds, duration
from harness.process import environment, run
from harness.table import RESULTS, surroundings, table, times

SETTINGS = {
    "TensorFlow": ("tensorflow", "auto"),
    "TensorFlow, jit_compile=True": ("tensorflow", "xla"),
    "JAX": ("jax", "auto"),
}
BATCHES = (1, 64, 1_024, 16_384)
LAYERS = ("odec", "by hand", "by hand, named", "article", "no steps")
# A ratio of two medians on a machine with other work on it.
NOISE = 1.05
TRAINING = 5


def main() -> None:
    """Measure, and write the tables as they grow."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="samples of each figure")
    parser.add_argument("--quick", action="store_true", help="one row and 1,024 alone, no memory")
    arguments = parser.parse_args()
    batches = (1, 1_024) if arguments.quick else BATCHES
    rows: list[list[str]] = []
    memory: list[list[str]] = []
    for setting in SETTINGS:
        for batch in batches:
            for method in ("euler", "rk4") if batch in (1, 1_024) else ("euler",):
                rows += timed(setting, method, batch, arguments.rounds)
                write(rows, memory)
    for setting in SETTINGS:
        for batch in () if arguments.quick else (1_024, 16_384):
            memory.append([setting, f"{batch:,}", *(peak(setting, batch, name) for name in LAYERS[:-1])])
            write(rows, memory)
    print(write(rows, memory))


def command(setting: str, **asked: Any) -> list[str]:
    """Of a process for that; the back end is in the environment."""
    return [sys.executable, "-m", "peers.layer_run", json.dumps({"jit": SETTINGS[setting][1], **asked})]


def timed(setting: str, method: str, batch: int, rounds: int) -> list[list[str]]:
    """A row for each layer."""
    layers = LAYERS if method == "euler" else LAYERS[:3]
    asked = command(setting, method=method, batch=batch, layers=layers, rounds=rounds)
    here = {**environment(), "KERAS_BACKEND": SETTINGS[setting][0], "TF_ENABLE_ONEDNN_OPTS": "0"}
    ran = subprocess.run(asked, capture_output=True, text=True, check=False, env=here, cwd=RESULTS.parent)
    if ran.returncode:
        raise SystemExit(f"{' '.join(asked)}\nended with {ran.returncode} and said:\n{ran.stderr[-4000:]}")
    found = json.loads(ran.stdout.splitlines()[-1])
    ours = {what: Seconds(tuple(found["odec"][what])).median for what in ("forward", "training")}
    least = Seconds(tuple(found["no steps"]["training"])).median if "no steps" in layers else 0.0
    rows = []
    for name in layers:
        start = [setting, method, f"{batch:,}", name]
        if "failed" in found[name]:
            rows.append([*start, found[name]["failed"], "", "", "", "", ""])
            continue
        forward, training = (Seconds(tuple(found[name][what])) for what in ("forward", "training"))
        ratios = forward.median / ours["forward"], training.median / ours["training"]
        first = [
            duration(max(0.0, a - b))
            for a, b in zip(found[name]["first"], (forward.median, training.median), strict=True)
        ]
        cells = [str(forward), *map(times, ratios[:1]), str(training), times(ratios[1]), " + ".join(first)]
        rows.append([*start, *cells, bar(name, *ratios, training.median / least if least else 0.0)])
    return rows


def bar(name: str, forward: float, training: float, most: float) -> str:
    """Never slower than by hand; training at least five times faster than through `keras.layers.RNN`, where a layer
    without steps is: `most` times."""
    if name.startswith("by hand"):
        return "not slower: " + ("pass" if min(forward, training) * NOISE >= 1 else "MISS")
    if name != "article":
        return ""
    missed = f"MISS (at most {times(most)})" if most < TRAINING else "MISS"
    return f"≥ {TRAINING}× in training: {'pass' if training >= TRAINING else missed}"


def peak(setting: str, batch: int, name: str) -> str:
    """Megabytes of a process that trains three steps."""
    os.environ["KERAS_BACKEND"] = SETTINGS[setting][0]
    try:
        asked = command(setting, method="euler", batch=batch, layers=[name], rounds=0)
        with contextlib.chdir(RESULTS.parent):
            return f"{run(asked)[2] / 1e6:,.0f} MB"
    except SystemExit:
        return "fails"


def write(rows: list[list[str]], memory: list[list[str]]) -> str:
    """The text so far, also in its file."""
    header = ["back end", "method", "batch", "layer", "forward", "of odec's", "training step", "of odec's"]
    text = "\n\n".join(
        [
            "# The generated layer and hand-written ones",
            surroundings(["odec", "keras", "tensorflow", "jax", "numpy"]),
            "1,000 steps of the competition model, float32. What each column is says the head of benchmarks/layers.py.",
            table([*header, "compilation: forward + training", "bar"], rows),
            "## Peak memory of a training process",
            table(["back end", "batch", *LAYERS[:-1]], memory) if memory else "(not measured yet)",
        ]
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "keras.md").write_text(text + "\n", encoding="utf-8")
    return text


if __name__ == "__main__":
    main()
