"""What a modeller would write by hand for the competition model: a Keras layer with its own loop of `keras.ops`."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from peers.article_layer import RATES, TRUE


class HandLayer(keras.layers.Layer):
    """(batch, 2) initial states → (batch, steps, 2), without the start, by `euler` or `rk4`."""

    def __init__(self, steps: int, h: float, method: str = "euler", rates: tuple[float, ...] = TRUE) -> None:
        super().__init__()
        self.steps, self.h, self.first = steps, h, rates
        self.step = {"euler": self.euler, "rk4": self.rk4}[method]

    def build(self, shape: Any) -> None:
        self.rates = self.add_weight(
            name="rates", shape=(len(RATES),), initializer=lambda _, dtype: ops.array(self.first, dtype)
        )

    def call(self, x0: Any) -> Any:
        r1, r2, a1, a2, iN1, iN2 = (self.rates[i] for i in range(len(RATES)))

        def rhs(x: Any) -> Any:
            x1, x2 = x[:, 0], x[:, 1]
            dx1 = r1 * x1 * (1 - iN1 * x1) - a1 * x1 * x2
            dx2 = r2 * x2 * (1 - iN2 * x2) - a2 * x1 * x2
            return ops.stack([dx1, dx2], axis=1)

        def step(x: Any, _: None) -> tuple[Any, Any]:
            after = self.step(rhs, x)
            return after, after

        return ops.transpose(ops.scan(step, x0, length=self.steps)[1], (1, 0, 2))

    def euler(self, rhs: Any, x: Any) -> Any:
        """One step."""
        return x + self.h * rhs(x)

    def rk4(self, rhs: Any, x: Any) -> Any:
        """One step of the classical method of order 4."""
        k1 = rhs(x)
        k2 = rhs(x + self.h / 2 * k1)
        k3 = rhs(x + self.h / 2 * k2)
        k4 = rhs(x + self.h * k3)
        return x + self.h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


class NamedHandLayer(HandLayer):
    """The same with a weight for each rate, as the generated layer has: each weight more costs a call of Keras's some 3
    µs on JAX."""

    def build(self, shape: Any) -> None:
        self.named = [
            self.add_weight(name=name, shape=(), initializer=keras.initializers.Constant(value))
            for name, value in zip(RATES, self.first, strict=True)
        ]

    @property
    def rates(self) -> Any:
        """All of them as one vector."""
        return ops.stack([weight.value for weight in self.named])


class NoSteps(NamedHandLayer):
    """The same weights and no loop: the start at every time. What Keras, a loss and the array of all states cost with
    any layer. JAX would leave out an array that is one row repeated unless told not to, and loops make it in this
    order of its axes."""

    def call(self, x0: Any) -> Any:
        kept = x0 + 0 * ops.sum(self.rates)
        if keras.backend.backend() != "jax":
            return ops.broadcast_to(kept[:, None], (ops.shape(x0)[0], self.steps, 2))
        import jax

        states = ops.broadcast_to(ops.transpose(kept)[None], (self.steps, 2, ops.shape(x0)[0]))
        return ops.moveaxis(jax.lax.optimization_barrier(states), -1, 0)
