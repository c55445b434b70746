"""The recurrent layer of model.ode beside keras.layers.SimpleRNN, from the same weights, on the adding problem.

    python train.py

A sequence has ten rows of two columns: a random number, and a mark that is 1 in two rows. The sum of the two marked
numbers is to be said at the end. The losses of both are printed, and drawn into losses.png beside this file.
"""

from __future__ import annotations

from pathlib import Path

import keras
import matplotlib
import numpy as np
from matplotlib.figure import Figure

import odec
from odec.plot import COLOURS, STYLE

FOLDER = Path(__file__).resolve().parent
UNITS, ROWS, SEQUENCES, EPOCHS = 16, 10, 512, 100


def adding(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences (count, ROWS, 2), and the sums of their marked numbers (count, 1)."""
    random = np.random.default_rng(seed)
    numbers = random.uniform(size=(count, ROWS))
    marks = np.zeros((count, ROWS))
    for mark in marks:
        mark[random.choice(ROWS, 2, replace=False)] = 1
    sequences = np.stack([numbers, marks], axis=-1).astype("float32")
    return sequences, np.sum(numbers * marks, axis=1, keepdims=True).astype("float32")


def models() -> tuple[keras.Model, keras.Model]:
    """A network around our layer and one around Keras's, with equal weights."""
    keras.utils.set_random_seed(1)
    recurrent = odec.load_model(FOLDER / "model.ode")
    ours = keras.Sequential(
        [keras.Input((ROWS, 2)), recurrent(U=UNITS, D=2, return_sequences=False), keras.layers.Dense(1)]
    )
    theirs = keras.Sequential([keras.Input((ROWS, 2)), keras.layers.SimpleRNN(UNITS), keras.layers.Dense(1)])
    start = ours.layers[0].parameters()
    theirs.layers[0].set_weights([start["W2"], start["W1"], start["b"]])
    theirs.layers[1].set_weights(ours.layers[1].get_weights())
    return ours, theirs


def losses(epochs: int = EPOCHS) -> tuple[list[float], list[float]]:
    """The mean square of what each network is off by, epoch by epoch."""
    sequences, sums = adding(SEQUENCES, seed=0)
    found = []
    for model in models():
        model.compile(optimizer=keras.optimizers.Adam(0.005), loss="mse")
        history = model.fit(sequences, sums, batch_size=64, epochs=epochs, shuffle=False, verbose=0)
        found.append(history.history["loss"])
    return found[0], found[1]


def main() -> None:
    """Train both, print the losses, draw them."""
    ours, theirs = losses()
    print("epoch  odec        SimpleRNN")
    for epoch in (1, 10, 30, 60, EPOCHS):
        print(f"{epoch:5}  {ours[epoch - 1]:.8f}  {theirs[epoch - 1]:.8f}")
    print(f"largest difference: {np.max(np.abs(np.subtract(ours, theirs))):.1e}")
    with matplotlib.rc_context({**STYLE, "text.parse_math": True}):  # the axis counts in powers of ten
        figure = Figure(figsize=(7.6, 4.0), layout="constrained", dpi=150)
        axis = figure.subplots()
        epochs = np.arange(1, EPOCHS + 1)
        axis.plot(epochs, theirs, color=COLOURS[5], linewidth=6, alpha=0.5, label="keras.layers.SimpleRNN")
        axis.plot(epochs, ours, color=COLOURS[0], linewidth=1.8, label="model.ode")
        axis.set_yscale("log")
        axis.set_xlabel("epoch")
        axis.set_ylabel("mean square error")
        axis.legend(loc="best")
        figure.suptitle("The adding problem", x=0.01, ha="left", fontsize=12, fontweight="bold")
        figure.savefig(FOLDER / "losses.png")


if __name__ == "__main__":
    main()
