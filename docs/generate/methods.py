"""The numerical methods with their sources, from `odec.runtime.methods`."""

from __future__ import annotations

from tables import code, table

from odec.methods import AUTO, AUTO_LINE
from odec.methods import METHODS as LINES
from odec.runtime.methods import METHODS


def methods() -> str:
    """A row for each method."""
    rows = []
    for name, method in METHODS.items():
        adaptive = f"order {method.error_order}" if len(method.error) else "–"
        dense = f"order {method.dense_order}" if len(method.dense) else "–"
        rows.append((code(name), str(method.order), adaptive, dense, LINES[name], method.source))
    rows.append((code(AUTO), "", "", "", AUTO_LINE, ""))
    return table(("name", "order", "error estimate", "inside a step", "what", "source"), rows)
