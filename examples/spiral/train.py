"""A network as the whole right-hand side, trained on a spiral: the first example of R. T. Q. Chen and others, Neural
Ordinary Differential Equations (2018), reference [1] of the article.

    python train.py

The data are 1,000 points of dx/dt = x³ A, with x³ element by element. A training step takes short runs from each of the
points. Writes spiral.png and spiral.keras beside this file.
"""

from __future__ import annotations

from pathlib import Path

import keras
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from scipy.integrate import solve_ivp

import odec
from odec.plot import COLOURS, STYLE

FOLDER = Path(__file__).resolve().parent
A = np.array([[-0.1, 2.0], [-2.0, -0.1]])
TIMES = np.linspace(0.0, 25.0, 1001)
# A run of so many points; so many training steps.
AHEAD, STEPS = 30, 4000


def spiral() -> np.ndarray:
    """The true curve (1001, 2)."""
    solution = solve_ivp(lambda _, x: x**3 @ A, (0.0, 25.0), [2.0, 0.0], t_eval=TIMES, rtol=1e-10, atol=1e-10)
    return np.asarray(solution.y.T)


def trained(curve: np.ndarray, steps: int = STEPS) -> keras.Model:
    """The model of short runs, trained to follow the curve from each of its points."""
    keras.utils.set_random_seed(1)
    layer = odec.load_model(FOLDER / "model.ode")(steps=AHEAD, dtype="float64")
    model = keras.Sequential([keras.Input((2,), dtype="float64"), layer])
    rate = keras.optimizers.schedules.CosineDecay(3e-2, steps)
    model.compile(keras.optimizers.Adam(rate), loss="mse", jit_compile=True, steps_per_execution=50)
    starts = curve[:-AHEAD]
    runs = np.stack([curve[i + 1 : i + 1 + AHEAD] for i in range(len(starts))])
    data = np.random.default_rng(1).integers(len(starts), size=(steps, 64)).ravel()
    model.fit(starts[data], runs[data], batch_size=64, shuffle=False, verbose=0)
    return model


def whole_run(model: keras.Model) -> np.ndarray:
    """The curve (1001, 2) from the first point alone."""
    layer = model.layers[-1]
    run = type(layer)(times=TIMES, dtype="float64")
    run.build((None, 0))
    run.set_weights(layer.get_weights())
    return np.asarray(run(np.zeros((1, 0))))[0]


def main() -> None:
    """Make the curve, train, run, draw."""
    curve = spiral()
    model = trained(curve)
    model.save(FOLDER / "spiral.keras")
    found = whole_run(model)
    print(f"from the first point alone: off by {np.mean(np.abs(found - curve)):.3f} on average")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 4.0), layout="constrained", dpi=150)
        left, right = figure.subplots(1, 2, width_ratios=[1.3, 1])
        for column in range(2):
            left.plot(
                TIMES, curve[:, column], color=COLOURS[column], linewidth=5, alpha=0.35, label=f"x[{column}], true"
            )
            left.plot(TIMES, found[:, column], color=COLOURS[column], linewidth=1.5, label=f"x[{column}], learned")
        left.set_xlabel("t")
        left.legend(ncols=2, fontsize=8)
        right.plot(*curve.T, color=COLOURS[0], linewidth=5, alpha=0.35, label="true")
        right.plot(*found.T, color=COLOURS[0], linewidth=1.5, label="learned")
        right.set_xlabel("x[0]")
        right.set_ylabel("x[1]")
        right.set_aspect("equal")
        right.legend(fontsize=8, loc="center")
        figure.savefig(FOLDER / "spiral.png")


if __name__ == "__main__":
    main()
