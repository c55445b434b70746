"""odec on the Keras back end JAX, in the peers' environment."""

from __future__ import annotations

import os

os.environ.update(KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")

from peers.solvers.with_odec import largest_batch, methods, prepare

__all__ = ["PACKAGES", "largest_batch", "methods", "prepare"]

PACKAGES = ("jax", "keras")
