"""From a model file to its layer class, with what the user should hear and without what TensorFlow says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from odec.cli.printing import warn
from odec.start_up import command_started_up


def layer_class(model: str) -> Any:
    """The class for a model file or a generated module; the model's warnings go to stderr. Raises OdecError."""
    from odec import compiler
    from odec.loading import load_model, load_source
    from odec.source import Source

    if Path(model).suffix == ".py":
        with command_started_up():
            return load_model(model)
    source = Source.from_file(model)  # once: a pipe gives its text once
    warn(compiler.check(source)[1])
    with command_started_up():
        return load_source(source)
