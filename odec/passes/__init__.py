"""The passes of the compiler, in order; each is pure, and can be left out without changing what the model means."""

from __future__ import annotations

from collections.abc import Callable

from odec.model.model import Model
from odec.passes.guard import guard
from odec.passes.simplify import simplify

# Functions are expanded and orders reduced when the model is built: a model is always a first-order system.
MODEL_PASSES: tuple[tuple[str, Callable[[Model], Model]], ...] = (("simplify", simplify), ("guard", guard))
