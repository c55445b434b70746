"""The back ends of Keras that odec runs on, by the names that KERAS_BACKEND takes."""

from __future__ import annotations

import os
from importlib.util import find_spec

from odec.diagnostics import OdecError, nearest

# name → what it is called, and how it is installed
BACKENDS = {
    "tensorflow": ("TensorFlow", "pip install tensorflow"),
    "jax": ("JAX", "pip install 'odec[jax]'"),
    "torch": ("torch", "pip install 'odec[torch]'"),
}
VARIABLE = "KERAS_BACKEND"


def installed(name: str) -> bool:
    """Whether the back end can be imported. It is not."""
    return find_spec(name) is not None


def check_backend() -> None:
    """E0620 where KERAS_BACKEND asks for a back end that odec does not run on, or that is not installed."""
    name = os.environ.get(VARIABLE, "").strip()
    if not name:
        return
    if name not in BACKENDS:
        cure = nearest(name, BACKENDS) or "there are " + ", ".join(BACKENDS)
        raise OdecError.of("E0620", f"{VARIABLE} is `{name}`, and odec does not run on that", cure)
    if not installed(name):
        called, cure = BACKENDS[name]
        raise OdecError.of("E0620", f"{VARIABLE} is `{name}`, and {called} is not installed", cure)
