"""A network that reads the parameters off a series at a glance, beside a fit of each series.

    python train.py

A thousand pairs of species are simulated, each with parameters of its own, and counted with errors. An encoder network
sees a series of counts and predicts its four parameters; the layer of model.ode solves the equations with them; the
loss compares the solution with the counts. The true parameters are never shown. A thousand other series then test the
network, and are fitted one by one from the same first guess. Writes amortised.png beside this file.
"""

from __future__ import annotations

import time
from pathlib import Path

import keras
import matplotlib
import numpy as np
from matplotlib.figure import Figure

import odec
from odec.fit.bootstrap import refitted
from odec.plot import COLOURS, STYLE

FOLDER = Path(__file__).resolve().parent
MODEL = FOLDER / "model.ode"
TIMES = np.arange(3.0, 61.0, 3.0)
COUNT, NOISE, EPOCHS, BATCH, SCALE = 1000, 10.0, 120, 50, 500.0
# Where the truth lies: growth, and harm.
RANGES = {"r1": (0.1, 0.4), "r2": (0.1, 0.4), "a1": (0.2, 1.5), "a2": (0.2, 1.5)}
NAMES = tuple(RANGES)


def simulated(count: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """True parameters, each (count,), and the counts (count, times, 2) of both species."""
    random = np.random.default_rng(seed)
    truth = {name: np.exp(random.uniform(*np.log(ends), count)) for name, ends in RANGES.items()}
    solution = np.asarray(odec.load_model(MODEL)(times=TIMES, dtype="float64")(truth))
    return truth, solution + NOISE * random.normal(size=solution.shape)


def networks() -> tuple[keras.Model, keras.Model]:
    """The encoder, counts → parameters by name, and the same with the equations behind it, counts → counts."""
    keras.utils.set_random_seed(1)
    competition = odec.load_model(MODEL)
    counts = keras.Input((len(TIMES), 2))
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / SCALE)(counts))
    for _ in range(2):
        features = keras.layers.Dense(128, activation="gelu")(features)
    params = competition.head(*NAMES)(features)
    return keras.Model(counts, params), keras.Model(counts, competition(times=TIMES)(params))


def trained(counts: np.ndarray, epochs: int = EPOCHS) -> tuple[keras.Model, keras.Model, list[float]]:
    """Both networks after training, and the losses."""
    encoder, autoencoder = networks()
    steps = epochs * len(counts) // BATCH
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    loss = odec.losses.NanGaussianNLL(scale=NOISE)
    autoencoder.compile(keras.optimizers.Adam(rate, clipnorm=1.0), loss, jit_compile=True)
    history = autoencoder.fit(counts, counts, batch_size=BATCH, epochs=epochs, verbose=0)
    return encoder, autoencoder, history.history["loss"]


def fitted(counts: np.ndarray) -> dict[str, np.ndarray]:
    """The least squares of each series, all at once, each begun at the model's first guesses."""
    first = {"t": TIMES, "x1": counts[0, :, 0], "x2": counts[0, :, 1]}
    problem = odec.fit(MODEL, first, output=None).problem
    guesses = np.array([param.value for param in odec.load_model(MODEL).description.params])
    cells = problem.runs.cells
    measured = counts[:, cells.rows, cells.columns]
    found = problem.scale.to_values(refitted(problem, guesses, measured).z)
    return dict(zip(NAMES, found.T, strict=True))


def loss_of(params: dict[str, np.ndarray], counts: np.ndarray) -> float:
    """What the training's loss is for the solutions with these parameters."""
    solution = odec.load_model(MODEL)(times=TIMES, dtype="float64")(params)
    return float(odec.losses.NanGaussianNLL(scale=NOISE)(counts, solution))


def off_by(found: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> list[float]:
    """For each parameter, by how many percent half of the series are off at most."""
    return [100 * float(np.median(np.abs(found[name] / truth[name] - 1))) for name in NAMES]


def picture(truth: dict[str, np.ndarray], methods: dict[str, dict[str, np.ndarray]]) -> Figure:
    """For each parameter the estimates over the truth."""
    figure = Figure(figsize=(10, 5.4), layout="constrained", dpi=150)
    axes = figure.subplots(len(methods), len(NAMES))
    for (method, found), row, colour in zip(methods.items(), axes, COLOURS, strict=False):
        for name, axis in zip(NAMES, row, strict=True):
            low, high = RANGES[name]
            ends = (low / 1.6, high * 1.6)
            axis.plot(ends, ends, color="#888888", linewidth=0.8)
            axis.plot(truth[name], found[name], ".", color=colour, markersize=2.5, alpha=0.5)
            axis.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal", title=name)
            ticks = [low, np.sqrt(low * high).round(2), high]
            axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
            axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
            axis.minorticks_off()
        row[0].set_ylabel(method)
    for axis in axes[-1]:
        axis.set_xlabel("truth")
    figure.suptitle("A thousand series", x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure


def main() -> None:
    """Train, test, fit, compare, draw."""
    _, counts = simulated(COUNT, seed=1)
    truth, others = simulated(COUNT, seed=2)
    marks = [time.perf_counter()]
    encoder, _, _ = trained(counts)
    marks.append(time.perf_counter())
    read = {name: value.ravel() for name, value in encoder.predict(others, verbose=0).items()}
    marks.append(time.perf_counter())
    fits = fitted(others)
    marks.append(time.perf_counter())
    seconds = np.diff(marks)
    print(f"training {seconds[0]:.0f} s, reading {seconds[1]:.1f} s, fitting {seconds[2]:.0f} s")
    print(f"{'':10}{'loss':>8}   half of {COUNT} new series are off by at most")
    print(f"{'':18}" + "".join(f"{name:>8}" for name in NAMES))
    for label, found in {"network": read, "fits": fits, "truth": truth}.items():
        errors = "".join(f"{percent:7.1f}%" for percent in off_by(found, truth))
        print(f"{label:10}{loss_of(found, others):8.3f}{errors}")
    with matplotlib.rc_context(STYLE):
        picture(truth, {"read by the network": read, "fitted": fits}).savefig(FOLDER / "amortised.png")


if __name__ == "__main__":
    main()
