"""One process of `benchmarks/layers.py`: layers side by side on one back end with one batch, or one layer's memory.

    python -m peers.layer_run '{"jit": "auto", "method": "euler", "batch": 64, "layers": ["odec"], "rounds": 5}'

With `rounds` 0 it takes three training steps, for the peak of its memory. Seconds go to stdout as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from harness.clock import interleaved
from harness.process import ROOT
from keras import ops

import odec
from peers.article_layer import START, ArticleLayer
from peers.hand_layer import HandLayer, NamedHandLayer, NoSteps

STEPS, H = 1_000, 0.1
# One sample of the training is an epoch that takes at least so many seconds, or has so many steps; one that takes the
# last number of seconds is not made longer.
SAMPLE, MOST, LONG = 0.5, 1_024, 2.0
AIM = 100.0


def layer_of(name: str, method: str) -> keras.layers.Layer:
    """A layer by one of these hands."""
    if name == "odec":
        return odec.load_model(ROOT / "examples" / "competition" / "model.ode")(steps=STEPS, h=H, method=method)
    hands = {"by hand": HandLayer, "by hand, named": NamedHandLayer, "no steps": NoSteps}
    return hands[name](STEPS, H, method) if name in hands else ArticleLayer(STEPS, H)


def far(_: Any, states: Any) -> Any:
    """A loss of the whole trajectory that needs no data as large as it, averaged over the states first as Keras's own
    squared error is."""
    return ops.mean(ops.square(states - AIM), axis=-1)


def untuned(data: Any, batch: int) -> Any:
    """The arrays as a dataset that TensorFlow does not tune. Of arrays, `fit` makes one that it does, and at the end of
    an epoch waits for the tuner's next round, which is up to as long away as the epoch was."""
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensor_slices(data).batch(batch).with_options(options)


def seconds(call: Callable[[], object]) -> float:
    """Of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


class Taken:
    """A layer in a model: its forward call and its training."""

    def __init__(self, name: str, asked: dict[str, Any]) -> None:
        self.batch = asked["batch"]
        self.model = keras.Sequential([keras.Input((2,)), layer_of(name, asked["method"])])
        # A rate that moves nothing: all epochs do the same work.
        optimizer = keras.optimizers.Adam(1e-12)
        self.model.compile(optimizer=optimizer, loss=far, jit_compile={"auto": "auto", "xla": True}[asked["jit"]])
        spread = np.linspace(0.5, 1.5, self.batch, dtype=np.float32)[:, None]
        self.rows = np.array([START], dtype=np.float32) * spread
        self.count = 1

    def forward(self) -> np.ndarray:
        """The states, as an array."""
        return np.asarray(self.model.predict_on_batch(self.rows))

    def epoch(self) -> None:
        """`count` training steps."""
        rows = np.tile(self.rows, (self.count, 1))
        data = rows, rows[:, :1]
        if keras.backend.backend() == "tensorflow":
            self.model.fit(untuned(data, self.batch), verbose=0)
        else:
            self.model.fit(*data, batch_size=self.batch, shuffle=False, verbose=0)

    def lengthen(self) -> None:
        """Epochs of as many steps as take long enough: the epoch's own cost is then little."""
        self.count, taken = 4, seconds(self.epoch)
        while self.count < MOST and taken < LONG:
            before, self.count = taken, 4 * self.count
            taken = seconds(self.epoch)
            if taken >= max(SAMPLE, 2 * before):
                break


def main() -> None:
    """Measure what was asked for."""
    asked = json.loads(sys.argv[1])
    if not asked["rounds"]:
        taken = Taken(asked["layers"][0], asked)
        for _ in range(3):
            taken.epoch()
        return
    found: dict[str, Any] = {}
    all_taken: dict[str, Taken] = {}
    values = {}
    for name in asked["layers"]:
        taken = Taken(name, asked)
        try:
            first = seconds(taken.forward), seconds(taken.epoch)
        except Exception as error:  # what a back end raises where it cannot compile a layer is its own affair
            found[name] = {"failed": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}"}
            continue
        values[name] = taken.forward()
        taken.lengthen()
        found[name] = {"first": first}
        all_taken[name] = taken
    values.pop("no steps", None)
    for name, value in values.items():
        off = float(np.max(np.abs(value / values["odec"] - 1)))
        assert off < 1e-3, f"{name} and odec's layer differ by {off:.2g}"
    forward = interleaved({name: taken.forward for name, taken in all_taken.items()}, asked["rounds"])
    for name in all_taken:
        found[name] |= {"forward": forward[name].samples, "training": []}
    for _ in range(asked["rounds"]):
        for name, taken in all_taken.items():
            found[name]["training"].append(seconds(taken.epoch) / taken.count)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
