"""odec beside the article's hand-made layer, in one run on one machine: solving, an epoch of Adam, a whole fit.

    python benchmarks/article.py [--epochs N] [--rounds N]

Both run on the same Keras and TensorFlow and take turns; every figure is a median (min–max). First calls, in which
TensorFlow traces and compiles, are left out of the warm figures for both, and counted in the fit for odec alone. The
article's 10,000 epochs are extrapolated from N measured ones: every epoch does the same work. Before the clock starts,
both must compute the same trajectory.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Before TensorFlow is imported: no chatter. oneDNN, which it announces, does matrix products and convolutions; here are
# none.
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")

from harness.clock import Seconds, interleaved
from harness.process import ROOT, environment, run
from harness.table import publish, surroundings, table, times, verdict

sys.path.insert(0, str(ROOT))

import numpy as np
import tensorflow as tf
from peers.article_layer import CLIP, GUESS, LEARNING_RATE, RATES, START, ArticleLayer, model_of, training

import odec
from odec.runtime import simulate
from odec.runtime.schedule import Schedule

EXAMPLE = ROOT / "examples" / "competition"
MODEL, DATA = EXAMPLE / "model.ode", EXAMPLE / "data.csv"
STEPS, H = 1_000, 0.1
FIT_STEPS, FIT_H = 50, 1.0
BATCH = 1_024
ARTICLE_EPOCHS = 10_000
GUESSES = dict(zip(RATES, GUESS, strict=True))
# The bars of the issue: how many times faster than the article.
SOLVE, EPOCH, FIT = 50, 30, 100

COLD_FIT = f"""
import keras, time
import odec
began = time.perf_counter()
fit = odec.fit({str(MODEL)!r}, {str(DATA)!r}, step={FIT_H}, start={GUESSES!r}, output=None)
print(time.perf_counter() - began, fit.loss)
"""


def main() -> None:
    """Measure, print the tables, write benchmarks/results/article.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=500, help="measured epochs of the article's fit")
    parser.add_argument("--rounds", type=int, default=9, help="repetitions of each forward figure")
    arguments = parser.parse_args()
    text = [
        "# odec and the article's layer",
        surroundings(["odec", "keras", "tensorflow-cpu" if _has("tensorflow-cpu") else "tensorflow", "numpy"]),
        forward(arguments.rounds),
        training_and_fit(arguments.epochs),
    ]
    publish("\n\n".join(text), "article")


def forward(rounds: int) -> str:
    """1,000 Euler steps of 0.1, for one row and for 1,024."""
    competition = odec.load_model(MODEL)
    article, ours = ArticleLayer(STEPS, H), competition(steps=STEPS, h=H, method="euler")
    models = {"article": model_of(article), "odec": model_of(ours)}
    one = np.array([START], dtype=np.float32)
    many = one * np.linspace(0.5, 1.5, BATCH, dtype=np.float32)[:, None]
    agree(
        models["article"].predict(many, batch_size=BATCH, verbose=0),
        models["odec"].predict(many, batch_size=BATCH, verbose=0),
    )

    def compiled(model: Callable[[tf.Tensor], tf.Tensor], rows: np.ndarray) -> Callable[[], np.ndarray]:
        call = tf.function(model, jit_compile=True)
        tensor = tf.constant(rows)
        return lambda: call(tensor).numpy()

    rows = []
    for x0 in (one, many):
        count = len(x0)
        calls: dict[str, Callable[[], object]] = {
            f"{who}, {how}": call
            for who, model in models.items()
            for how, call in (
                ("predict", lambda model=model, x0=x0: model.predict(x0, batch_size=len(x0), verbose=0)),
                ("compiled call", compiled(model, x0)),
            )
        }
        if count == 1:
            calls["odec.solve, float64"] = lambda: odec.solve(competition, to=STEPS * H, step=H, method="euler")
        else:
            calls["odec, rows as the fit runs them, float64"] = as_the_fit(competition, x0)
        found = interleaved(calls, rounds)
        predict, compiled_call = found["article, predict"].median, found["article, compiled call"].median
        for name, seconds in found.items():
            ratio = predict / seconds.median
            bar = verdict(ratio, SOLVE) if name.startswith("odec.solve") else ""
            rows.append([f"{count:,}", name, str(seconds), times(ratio), times(compiled_call / seconds.median), bar])
    header = ["rows", "what", "seconds", "faster than article's predict", "than its compiled call", "bar"]
    return f"## {STEPS:,} Euler steps, warm\n\nfloat32 where not said.\n\n" + table(header, rows)


def as_the_fit(competition: type, x0: np.ndarray) -> Callable[[], np.ndarray]:
    """The rows through the compiled run that `odec.fit` uses."""
    schedule = Schedule.grid(0.0, H, STEPS)
    params = [param.value for param in competition.description.params]
    initial = {"x1": x0[:, 0], "x2": x0[:, 1]}
    return lambda: simulate.solve(competition, schedule, method="euler", params=params, initial=initial)


def training_and_fit(epochs: int) -> str:
    """Adam at 1e-4 from the article's guesses, 50 steps of 1; then the whole fit."""
    competition = odec.load_model(MODEL)
    x0, seen = np.array([START], dtype=np.float32), measurements()
    layers = {
        "article, model.fit": ArticleLayer(FIT_STEPS, FIT_H, GUESS, CLIP),
        "odec's layer, model.fit": competition(steps=FIT_STEPS, h=FIT_H, method="euler", params=GUESSES),
    }
    models = {name: training(layer) for name, layer in layers.items()}
    first = [float(model.evaluate(x0, seen, verbose=0)) for model in models.values()]
    agree(np.array(first[:1]), np.array(first[1:]))
    part = max(1, epochs // 5)
    fits = {
        name: lambda model=model: model.fit(x0, seen, batch_size=1, epochs=part, shuffle=False, verbose=0)
        for name, model in models.items()
    }
    epoch = {name: taken.scaled(1 / part) for name, taken in interleaved(fits, 5).items()}
    article_loss = float(models["article, model.fit"].evaluate(x0, seen, verbose=0))
    ran = part * 7  # with the two uncounted calls before the five

    compiled = [adam_fit() for _ in range(3)]
    cold = [cold_fit() for _ in range(3)]
    commands = [command_fit() for _ in range(3)]
    whole = epoch["article, model.fit"].scaled(ARTICLE_EPOCHS)
    adam, adam_loss = Seconds(tuple(s for s, _ in compiled)), compiled[0][1]
    fit, fit_loss = Seconds(tuple(s for s, _ in cold)), cold[0][1]
    epoch[f"odec fit --method adam ({ARTICLE_EPOCHS:,} epochs, compilation included)"] = adam.scaled(1 / ARTICLE_EPOCHS)
    base = epoch["article, model.fit"].median
    rows = [
        [
            name,
            str(taken),
            times(base / taken.median),
            verdict(base / taken.median, EPOCH) if "--method" in name else "",
        ]
        for name, taken in epoch.items()
    ]
    faster = whole.median / fit.median
    better = f"{verdict(faster, FIT)}; lower loss: {'pass' if fit_loss < adam_loss else 'MISS'}"
    whole_rows = [
        [
            f"article, {ARTICLE_EPOCHS:,} epochs, extrapolated from {part * 5:,}",
            str(whole),
            f"{article_loss:.6g} after {ran:,}",
            "",
            "",
        ],
        [
            "odec fit --method adam, the same rate and epochs",
            str(adam),
            f"{adam_loss:.6g}",
            times(whole.median / adam.median),
            "",
        ],
        ["odec fit, cold: everything but the imports", str(fit), f"{fit_loss:.6g}", times(faster), better],
        [
            "odec fit, the whole command with imports and report",
            str(Seconds(tuple(commands))),
            "the same",
            times(whole.median / float(np.median(commands))),
            "",
        ],
    ]
    setting = (
        f"Adam at {LEARNING_RATE:g}, {FIT_STEPS} Euler steps of {FIT_H:g}, one series, the article's guesses and loss."
    )
    return "\n\n".join(
        [
            f"## An epoch of Adam\n\n{setting}",
            table(["what", "seconds an epoch", "faster than the article", "bar"], rows),
            "## The whole fit",
            table(["what", "seconds", "loss", "faster than the article", "bar"], whole_rows),
            f"The article's layer and odec's descend alike; the loss of the article's {ARTICLE_EPOCHS:,} epochs is that of the "
            "same descent in odec (second row). The optimum is 0.69664.",
        ]
    )


def measurements() -> np.ndarray:
    """The data on the grid of 50 steps as the article fed them, (1, 50, 2), zero where nothing was measured."""
    seen = np.zeros((1, FIT_STEPS, 2), dtype=np.float32)
    with DATA.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if float(row["t"]) > 0:
                seen[0, round(float(row["t"]) / FIT_H) - 1] = float(row["x1"]), float(row["x2"])
    return seen


def adam_fit() -> tuple[float, float]:
    """Seconds and loss of odec's Adam at the article's rate and number of epochs."""
    began = time.perf_counter()
    found = odec.fit(
        MODEL,
        DATA,
        method="adam",
        step=FIT_H,
        start=GUESSES,
        learning_rate=LEARNING_RATE,
        epochs=ARTICLE_EPOCHS,
        output=None,
    )
    return time.perf_counter() - began, found.loss


def cold_fit() -> tuple[float, float]:
    """Seconds and loss of the default fit in a fresh process: model compiled, programs compiled, searched, reported."""
    said = subprocess.run(
        [sys.executable, "-c", COLD_FIT], capture_output=True, text=True, check=True, env=environment()
    )
    seconds, loss = map(float, said.stdout.split())
    return seconds, loss


def command_fit() -> float:
    """Seconds of the whole command, its pictures and files included."""
    guesses = ",".join(f"{name}={value}" for name, value in GUESSES.items())
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "odec",
            "fit",
            str(MODEL),
            str(DATA),
            "--step",
            "1",
            "--set",
            guesses,
            "-o",
            folder,
        ]
        return run(command)[0]


def agree(article: np.ndarray, ours: np.ndarray) -> None:
    """SystemExit when the two do not compute the same numbers: then no time of theirs may be compared."""
    off = float(np.max(np.abs(article - ours) / np.abs(article)))
    if not off < 1e-4:
        raise SystemExit(f"the article's layer and odec's differ by {off:.2g}, relative")


def _has(package: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


if __name__ == "__main__":
    main()
