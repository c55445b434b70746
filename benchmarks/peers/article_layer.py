"""The article's layer on today's Keras: a step function in the Keras RNN loop, fed with a sequence of zeros.

What it is: one Euler step of two competing species is the recurrence of an RNN cell; the initial state is the layer's
input, the whole trajectory its output. The loop, the training and the loss are Keras's and the article's; nothing is
slowed down or left out. The derivative is clipped only where the article clips it, in training.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

RATES = ("r1", "r2", "a1", "a2", "iN1", "iN2")
TRUE = (0.1, 0.3, 0.0001, 0.0002, 0.002, 0.003)
GUESS = (0.1, 0.1, 0.001, 0.001, 0.001, 0.001)
START = (100.0, 150.0)
CLIP = 1e5
LEARNING_RATE = 1e-4
# A time counts where the sum of |y| over the species exceeds this.
SEEN = 1e-3


class CompetitionCell(keras.layers.Layer):
    """x ← x + h·f(x); the six rates are one trainable vector."""

    state_size = output_size = 2

    def __init__(self, h: float, rates: tuple[float, ...], clip: float | None = None) -> None:
        super().__init__()
        self.h, self.first, self.clip = h, rates, clip

    def build(self, shape: Any) -> None:
        self.rates = self.add_weight(
            name="rates", shape=(len(RATES),), initializer=lambda _, dtype: ops.array(self.first, dtype)
        )

    def call(self, zero: Any, states: Any) -> tuple[Any, list[Any]]:
        x = states[0]
        x1, x2 = x[:, 0], x[:, 1]
        r1, r2, a1, a2, iN1, iN2 = (self.rates[i] for i in range(len(RATES)))
        dx1 = r1 * x1 * (1 - iN1 * x1) - a1 * x1 * x2
        dx2 = r2 * x2 * (1 - iN2 * x2) - a2 * x1 * x2
        dx = ops.stack([dx1, dx2], axis=1)
        if self.clip is not None:
            dx = ops.clip(dx, -self.clip, self.clip)
        after = x + self.h * dx
        return after, [after]


class ArticleLayer(keras.layers.Layer):
    """(batch, 2) initial states → (batch, steps, 2), without the start."""

    def __init__(self, steps: int, h: float, rates: tuple[float, ...] = TRUE, clip: float | None = None) -> None:
        super().__init__()
        self.steps = steps
        self.loop = keras.layers.RNN(CompetitionCell(h, rates, clip), return_sequences=True)

    def build(self, shape: Any) -> None:
        self.loop.build((shape[0], self.steps, 1))

    def call(self, x0: Any) -> Any:
        zeros = ops.zeros((ops.shape(x0)[0], self.steps, 1))
        return self.loop(zeros, initial_state=x0)


def sum_of_squares(seen: Any, computed: Any) -> Any:
    """The article's loss: the squares summed over the times that have data."""
    mask = ops.cast(ops.sum(ops.abs(seen), axis=-1, keepdims=True) > SEEN, computed.dtype)
    return ops.sum(ops.square((seen - computed) * mask))


def model_of(layer: keras.layers.Layer) -> keras.Sequential:
    """The layer as a model of initial states."""
    return keras.Sequential([keras.Input((2,)), layer])


def training(layer: keras.layers.Layer) -> keras.Sequential:
    """The model with the article's loss and optimiser."""
    model = model_of(layer)
    model.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss=sum_of_squares)
    return model
