"""How odec's pictures look."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by colour-blind readers too; the yellow is left out, it is faint on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLES = ("-", "--", "-.", ":")
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "svg.hashsalt": "odec",
    "svg.fonttype": "none",
    "text.parse_math": False,
}
DOTS: dict[str, Any] = {
    "markersize": 6.5,
    "markeredgecolor": "white",
    "markeredgewidth": 0.8,
    "zorder": 3,
    "clip_on": False,
}


def styled() -> AbstractContextManager[None]:
    """The style, inside a `with`."""
    import matplotlib

    return matplotlib.rc_context(STYLE)


def plain_ticks(axis: Axes) -> None:
    """Wide numbers get a power of ten, never an offset that the reader has to add."""
    axis.ticklabel_format(axis="y", style="sci", scilimits=(-3, 5), useOffset=False)


def colour_of(place: int) -> str:
    """The colour of the curve at a place in a list."""
    return COLOURS[place % len(COLOURS)]


def label_of(name: str, labels: Mapping[str, str] | None) -> str:
    """A name with what more is said of it."""
    more = (labels or {}).get(name, "")
    return f"{name} · {more}" if more else name
