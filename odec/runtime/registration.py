"""A generated class makes itself known to Keras, and asks for the runtime it was written for."""

from __future__ import annotations

from typing import Any, TypeVar

import keras

# A model that was saved with one of them is loaded where the generated module alone is imported.
import odec.losses
import odec.optimizers  # noqa: F401

# Raised when a generated module of an older odec would no longer run.
RUNTIME_VERSION = 1

Class = TypeVar("Class", bound=type)


def require(version: int) -> None:
    """Raise ImportError when this odec's runtime is not the one that the generated module was written for."""
    if version == RUNTIME_VERSION:
        return
    cure = "update odec" if version > RUNTIME_VERSION else "compile the model again with `odec compile`"
    raise ImportError(
        f"this generated module needs odec runtime {version}, the installed odec has runtime {RUNTIME_VERSION}: {cure}"
    )


def register(model: Class) -> Class:
    """Register a generated class with Keras as `odec:<model>><model>`, so that a saved `.keras` file finds it.

    The key does not hold the module's path, so a file stays readable when the module moves. A second model of the same
    name from another module never takes the first one's key: it is known by its text, as `odec:<model>@<digest>`, to
    which each class answers as well: the module that is compiled from a cell of a notebook, too, where the model was
    changed and run again. (Files that were written before name the module.)
    """
    name, text = model.__name__, model.description.digest[:12]  # type: ignore[attr-defined]
    known = keras.saving.get_custom_objects()
    package = f"odec:{name}"
    other = known.get(f"{package}>{name}")
    if other is not None and _origin(other) != _origin(model):
        package = f"{package}@{text}"
    registered = keras.saving.register_keras_serializable(package=package)(model)
    for mark in (text, model.__module__):
        known[f"odec:{name}@{mark}>{name}"] = model
    return registered


def _origin(model: Any) -> tuple[str, str]:
    return model.__module__, model.__qualname__
