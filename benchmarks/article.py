"""odec beside the article's hand-made layer, in one run on one machine: solving, an epoch of Adam, a whole fit.

    python benchmarks/article.py [--epochs N] [--rounds N]      about three minutes

Both run on the same Keras and TensorFlow and take turns; every figure is a median (min–max). First calls, in which
TensorFlow traces and compiles, are left out of the warm figures for both, and counted in `odec.fit`. The article's
10,000 epochs are extrapolated from N measured ones: every epoch does the same work. Keras spends most of an epoch of
one batch on the epoch itself, so the same updates also run in a few long epochs: that is the layer's own cost, and
gives the loss they end at. Before the clock starts, both layers must compute the same numbers.
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
from typing import Any

# Before TensorFlow is imported: no chatter. oneDNN, which it announces, does matrix products and convolutions; here are
# none.
os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", TF_ENABLE_ONEDNN_OPTS="0")

from harness.clock import Seconds, interleaved
from harness.process import ROOT, environment, run
from harness.table import publish, surroundings, table, times, verdict

sys.path.insert(0, str(ROOT))

import keras
import numpy as np
import tensorflow as tf
from peers.article_layer import CLIP, GUESS, LEARNING_RATE, RATES, START, ArticleLayer, model_of, training

import odec
from odec.runtime import simulate
from odec.runtime.schedule import Schedule

EXAMPLE = ROOT / "examples" / "competition"
MODEL, DATA = EXAMPLE / "model.ode", EXAMPLE / "data.csv"
STEPS, H = 1_000, 0.1
FIT_ROUNDS = 3
LONG_TURNS = 5
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
        surroundings(["odec", "keras", "tensorflow", "numpy"]),
        forward(arguments.rounds),
        training_and_fit(arguments.epochs, FIT_ROUNDS),
    ]
    publish("\n\n".join(text), "article")


def forward(rounds: int) -> str:
    """1,000 Euler steps of 0.1, for one row and for 1,024."""
    competition = odec.load_model(MODEL)
    layers = {"article": ArticleLayer(STEPS, H), "odec": competition(steps=STEPS, h=H, method="euler")}
    models = {name: model_of(layer) for name, layer in layers.items()}
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


def as_the_fit(competition: Any, x0: np.ndarray) -> Callable[[], np.ndarray]:
    """The rows through the compiled run that `odec.fit` uses."""
    schedule = Schedule.grid(0.0, H, STEPS)
    params = [param.value for param in competition.description.params]
    initial = {"x1": x0[:, 0], "x2": x0[:, 1]}
    return lambda: simulate.solve(competition, schedule, method="euler", params=params, initial=initial)


def training_and_fit(epochs: int, rounds: int) -> str:
    """Adam at 1e-4 from the article's guesses, 50 steps of 1; then the whole fit."""
    data = np.array([START], dtype=np.float32), measurements()
    descents = [Descent(ArticleLayer(FIT_STEPS, FIT_H, GUESS, CLIP), data), Descent(ours(), data)]
    article, layer = descents
    agree(article.loss(), layer.loss())
    part = max(1, epochs // rounds)
    samples = [
        (article.epochs(part), layer.epochs(part), *adam_fit(), *cold_fit(), command_fit()) for _ in range(rounds)
    ]
    columns = list(zip(*samples, strict=True))
    epoch, layer_epoch, adam, fit, command = (Seconds(columns[i]) for i in (0, 1, 2, 4, 6))
    adam_loss, fit_loss = columns[3][-1], columns[5][-1]
    for descent in descents:
        descent.start()
    turns = [[descent.long_epoch(ARTICLE_EPOCHS // LONG_TURNS) for descent in descents] for _ in range(LONG_TURNS)]
    update, layer_update = (Seconds(taken) for taken in zip(*turns, strict=True))
    long, layer_long = update.scaled(ARTICLE_EPOCHS), layer_update.scaled(ARTICLE_EPOCHS)
    whole = epoch.scaled(ARTICLE_EPOCHS)

    def row(name: str, taken: Seconds, against: tuple[Seconds, Seconds], *cells: str) -> list[str]:
        return [name, str(taken), *(times(other.median / taken.median) for other in against), *cells]

    each = epoch, update
    compiled = adam.scaled(1 / ARTICLE_EPOCHS)
    epoch_rows = [
        row("article, model.fit, one batch an epoch", epoch, each, ""),
        row("odec's layer, the same", layer_epoch, each, ""),
        row(f"article, an epoch of {ARTICLE_EPOCHS // LONG_TURNS:,} batches", update, each, ""),
        row("odec's layer, the same", layer_update, each, ""),
        row(
            f"odec.fit(method='adam'), {ARTICLE_EPOCHS:,} epochs, compilation included",
            compiled,
            each,
            verdict(epoch.median / compiled.median, EPOCH),
        ),
    ]
    bar = f"{verdict(whole.median / fit.median, FIT)}; lower loss: {'pass' if fit_loss < article.loss() else 'MISS'}"
    both = whole, long
    fit_rows = [
        row(
            f"article, {ARTICLE_EPOCHS:,} epochs, extrapolated from {part * rounds:,}",
            whole,
            both,
            "that of the next row",
            "",
        ),
        row(f"article, the same updates in {LONG_TURNS} long epochs", long, both, f"{article.loss():.6g}", ""),
        row("odec's layer, the same", layer_long, both, f"{layer.loss():.6g}", ""),
        row("odec.fit(method='adam'), the same rate and epochs", adam, both, f"{adam_loss:.6g}", ""),
        row("odec.fit, cold: all but the imports", fit, both, f"{fit_loss:.6g}", bar),
        row("odec fit, the whole command with imports, report and pictures", command, both, "the same", ""),
    ]
    against = ["faster than the article", "than its long epochs"]
    return "\n\n".join(
        [
            "## An epoch of Adam",
            f"Adam at {LEARNING_RATE:g}, {FIT_STEPS} Euler steps of {FIT_H:g}, the article's series, guesses and loss.",
            table(["what", "seconds an epoch", *against, "bar"], epoch_rows),
            "## The whole fit",
            table(["what", "seconds", *against, "loss", "bar"], fit_rows),
            "Steps of 1e-4 are as large as the smaller parameters, so the loss never settles: the layers' losses are "
            "those of the last epoch, `odec.fit` keeps the best. The optimum is 0.69664.",
        ]
    )


class Descent:
    """A layer under `model.fit`, from the article's guesses."""

    def __init__(self, layer: keras.layers.Layer, data: tuple[np.ndarray, np.ndarray]) -> None:
        self.model, self.data = training(layer), data
        self.first = self.model.get_weights()
        self.epochs(2)  # traces

    def epochs(self, count: int) -> float:
        """Seconds for one of so many epochs of one batch."""
        self.model.set_weights(self.first)
        began = time.perf_counter()
        self.model.fit(*self.data, epochs=count, verbose=0)
        return (time.perf_counter() - began) / count

    def start(self) -> None:
        """Back to the guesses, with Adam's memory empty."""
        self.model.set_weights(self.first)
        for variable in self.model.optimizer.variables:
            if "learning_rate" not in variable.path:
                variable.assign(np.zeros(variable.shape))

    def long_epoch(self, batches: int) -> float:
        """Seconds for one of so many further updates in one epoch."""
        rows = [np.repeat(array, batches, axis=0) for array in self.data]
        began = time.perf_counter()
        self.model.fit(*rows, batch_size=1, shuffle=False, verbose=0)
        return (time.perf_counter() - began) / batches

    def loss(self) -> float:
        """The sum of squares at the present weights."""
        return float(self.model.evaluate(*self.data, verbose=0))


def ours() -> keras.layers.Layer:
    """odec's layer for the fit."""
    return odec.load_model(MODEL)(steps=FIT_STEPS, h=FIT_H, method="euler", params=GUESSES)


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


def agree(article: np.ndarray | float, ours: np.ndarray | float) -> None:
    """SystemExit when the two do not compute the same numbers: then no time of theirs may be compared."""
    off = float(np.max(np.abs(article - ours) / np.abs(article)))
    if not off < 1e-4:
        raise SystemExit(f"the article's layer and odec's differ by {off:.2g}, relative")


if __name__ == "__main__":
    main()
