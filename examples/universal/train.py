"""What predators eat, learned from noisy counts of both species, beside the truth that made them.

    python train.py

The counts come from a model with a saturating interaction (Holling's type II), which the trained model never sees. The
parameters of the mechanism and the network's weights are trained together, each at its own rate. Writes universal.png
and universal.keras beside this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp

import odec
from odec.plot import COLOURS, STYLE

FOLDER = Path(__file__).resolve().parent
TIMES = np.linspace(0.0, 10.0, 41)[1:]
NOISE, STEPS = 0.03, 6000
TRUTH = {"r": 1.0, "e": 0.6, "d": 0.5}
STARTS = np.array([[0.5, 0.5], [1.0, 2.0], [2.0, 1.0], [3.0, 0.4], [3.5, 2.0], [0.4, 1.2]])


def eaten(prey: Any, predator: Any) -> Any:
    """The truth: a predator that is handling its prey hunts no other."""
    return 1.2 * prey * predator / (1 + 0.6 * prey)


def measured(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The true series (starts, times, 2), and counts of them with errors in proportion."""

    def slopes(_: float, z: np.ndarray) -> list[float]:
        prey, predator = z
        meal = eaten(prey, predator)
        return [TRUTH["r"] * prey * (1 - prey / 4) - meal, TRUTH["e"] * meal - TRUTH["d"] * predator]

    span = (0.0, TIMES[-1])
    runs = [solve_ivp(slopes, span, start, t_eval=TIMES, rtol=1e-9, atol=1e-9).y.T for start in STARTS]
    true = np.array(runs)
    return true, true * (1 + NOISE * np.random.default_rng(seed).standard_normal(true.shape))


def trained(counts: np.ndarray, steps: int = STEPS) -> tuple[keras.Model, float]:
    """The model, trained on the counts, and its loss."""
    keras.utils.set_random_seed(1)
    layer = odec.load_model(FOLDER / "model.ode")(times=TIMES, h=0.05, dtype="float64")
    model = keras.Sequential([keras.Input((2,), dtype="float64"), layer])
    rate = keras.optimizers.schedules.CosineDecay(3e-2, steps)
    optimizer = odec.optimizers.by_name(keras.optimizers.Adam(rate), dict.fromkeys(TRUTH, 5e-3))
    model.compile(optimizer, loss="mse", jit_compile=True, steps_per_execution=100)
    # Each step sees all series; a hundred steps are one call.
    model.fit(np.tile(STARTS, (steps, 1)), np.tile(counts, (steps, 1, 1)), len(STARTS), shuffle=False, verbose=0)
    return model, model.evaluate(STARTS, counts, verbose=0)


def learned(model: keras.Model, prey: np.ndarray, predator: np.ndarray) -> np.ndarray:
    """What the network says is eaten."""
    layer = model.layers[-1]
    at = np.stack([prey.ravel(), predator.ravel()], axis=1)
    # The model's own output `eaten`, behind a step too short to go anywhere.
    reading = type(layer)(steps=1, h=1e-9, outputs=["eaten"], dtype="float64")
    reading.build((None, 2))
    reading.set_weights(layer.get_weights())
    return np.asarray(reading(at))[:, 0, 0].reshape(prey.shape)


def main() -> None:
    """Measure, train, compare, draw."""
    true, counts = measured()
    model, loss = trained(counts)
    found = model.layers[-1].parameters()
    print(f"loss {loss:.5f}, of the truth {np.mean((true - counts) ** 2):.5f}")
    for name, value in TRUTH.items():
        print(f"{name}: {found[name]:.3f} (true: {value:g})")
    visited = true.reshape(-1, 2)
    error = learned(model, *visited.T) - eaten(*visited.T)
    print(f"eaten, where the species went: off by {np.sqrt(np.mean(error**2)):.3f} (mean square)")
    model.save(FOLDER / "universal.keras")
    draw(model, true, counts)


def draw(model: keras.Model, true: np.ndarray, counts: np.ndarray) -> None:
    """Counts and curves of two series; the interaction as it is, and as it was learned."""
    curves = model.predict(STARTS, verbose=0)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 3.6), layout="constrained", dpi=150)
        left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 1, 1])
        for series, line in ((1, "-"), (3, "--")):
            for column, name in enumerate(("prey", "predator")):
                label = f"{name}, series {series + 1}"
                left.plot(TIMES, curves[series, :, column], line, color=COLOURS[column], label=label)
                left.plot(TIMES, counts[series, :, column], "o", color=COLOURS[column], markersize=2.5, alpha=0.6)
        left.set_xlabel("t")
        left.set_title("two of the six series")
        left.legend(fontsize=8)
        x, y = np.meshgrid(np.linspace(0.05, 4, 80), np.linspace(0.05, 3, 80))
        levels = np.linspace(0, 4, 17)
        for axis, title, values in (
            (middle, "eaten: the truth", eaten(x, y)),
            (right, "eaten: the network", learned(model, x, y)),
        ):
            image = axis.contourf(x, y, values, levels, cmap="viridis", extend="both")
            axis.contour(x, y, values, levels[2::2], colors="white", linewidths=0.6)
            axis.plot(*true.reshape(-1, 2).T, ".", color="black", markersize=2)
            axis.set_xlabel("prey")
            axis.set_title(title)
        middle.set_ylabel("predators")
        figure.colorbar(image, ax=[middle, right])
        figure.savefig(FOLDER / "universal.png")


if __name__ == "__main__":
    main()
