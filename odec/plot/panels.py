"""The pictures inside a report: each a small SVG of its own, so that a page can lay them out for any screen."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from odec.plot.style import COLOURS, DOTS, plain_ticks, styled

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Inches; a page shows a panel at about 100 points to the inch.
WIDTH, HEIGHT = 4.8, 3.2
MODEL, ALERT, QUIET = COLOURS[0], COLOURS[1], "#888888"
# More dots than this are drawn as pixels inside the SVG.
MOST_DOTS = 2000
# A logarithmic axis is for more than this ratio.
DECADE = 10.0
# A correlation map with more rows shows colours without numbers.
MOST_NUMBERS = 12
# Verdana is as wide as matplotlib's own font, for readers that have not got it.
FONTS = {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"], "font.size": 9}
Range = tuple[np.ndarray, np.ndarray]


def curve_panel(
    times: np.ndarray,
    curve: np.ndarray,
    data: Range,
    residuals: np.ndarray,
    *,
    band: Range,
    drawn: Range | None = None,
    measured: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    title: str = "",
    time_label: str = "t",
) -> str:
    """A curve (T,) with its `band` (low, high) and the `drawn` one of a bootstrap, the `data` (times, values), and
    below the `residuals` (n,) in standard deviations. `measured` (times, low, high) is where new data would lie."""
    figure = _figure(HEIGHT + 1.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1))
    if measured is not None and len(measured[0]) > 1:
        top.fill_between(*measured, color=MODEL, alpha=0.10, linewidth=0, label="95 %: a new datum")
    if np.isfinite(band[0]).any():
        top.fill_between(times, *band, color=MODEL, alpha=0.28, linewidth=0, label="95 %: the curve")
    if drawn is not None:
        for place, edge in enumerate(drawn):
            label = "95 %: bootstrap" if place == 0 else None
            top.plot(times, edge, color=COLOURS[2], linewidth=1, linestyle="--", label=label)
    top.plot(times, curve, color=MODEL, linewidth=1.8, label="model")
    many = len(data[0]) > MOST_DOTS
    dots = {**DOTS, "markersize": 5.0, "rasterized": many}
    top.plot(*data, "o", color=ALERT, label="data", **dots)
    top.set_title(title)
    figure.legend(fontsize=7.5, ncols=3, loc="outside lower center")
    bottom.axhspan(-2, 2, color="#F0F0F0", linewidth=0)
    bottom.axhline(0, color=QUIET, linewidth=0.8)
    if np.isfinite(residuals).any():
        bottom.plot(data[0], residuals, "o", color=ALERT, **{**dots, "markersize": 3.5})
        reach = max(3.0, 1.1 * float(np.nanmax(np.abs(residuals[np.isfinite(residuals)]))))
        bottom.set_ylim(-reach, reach)
    bottom.set_ylabel("residual / sd", fontsize=8)
    bottom.set_xlabel(time_label)
    top.margins(x=0.02)
    plain_ticks(top)
    return _svg(figure)


def profile_panel(
    values: np.ndarray,
    rises: np.ndarray,
    smooth: Range,
    *,
    thresholds: tuple[float, float],
    interval: tuple[float, float],
    ended: tuple[bool, bool],
    parabola: Range | None = None,
    log: bool = False,
    title: str = "",
) -> str:
    """The loss's `rises` (K,) above its optimum over a parameter's `values` (K,), through them a `smooth` curve, and
    the `parabola` that the standard error stands for. The interval ends at the `thresholds` (lower, upper); its sides
    that `ended` are marked."""
    figure = _figure(HEIGHT)
    axis = figure.subplots()
    top, best = 1.6 * max(thresholds), values[np.argmin(rises)]
    axis.hlines(thresholds, [values[0], best], [best, values[-1]], color=QUIET, linewidth=1, linestyle="--")
    axis.annotate("95 %", (0.01, thresholds[0]), xycoords=("axes fraction", "data"), va="bottom", fontsize=8)
    axis.axvspan(*interval, color=MODEL, alpha=0.08, linewidth=0)
    for end, found in zip(interval, ended, strict=True):
        if found:
            axis.axvline(end, color=MODEL, linewidth=0.9, linestyle=":")
    if parabola is not None:
        axis.plot(*parabola, color=QUIET, linewidth=1, linestyle="-.", label="as the standard error has it")
    axis.plot(*smooth, color=MODEL, linewidth=1.8, label="profile")
    axis.plot(values, rises, "o", color=MODEL, **{**DOTS, "markersize": 4.5, "clip_on": True})
    axis.set_ylim(-0.04 * top, top)
    if log and values[-1] > DECADE * values[0]:
        axis.set_xscale("log")
        _as_numbers(axis.xaxis)
    elif values[-1] > values[0]:
        width = 0.06 * (values[-1] - values[0])
        axis.set_xlim(values[0] - width, values[-1] + width)
    axis.set_ylabel("rise of the loss")
    axis.set_title(title)
    axis.legend(fontsize=7.5, loc="upper center")
    plain_ticks(axis)
    return _svg(figure)


def waterfall_panel(losses: np.ndarray, same: float, *, log: bool, label: str) -> str:
    """The finite `losses` (n,) of all starts, ascending; those up to `same` reached the best one."""
    ordered = np.sort(losses[np.isfinite(losses)])
    figure = _figure(HEIGHT)
    axis = figure.subplots()
    place = np.arange(1, len(ordered) + 1)
    best = ordered <= same
    many = len(ordered) > MOST_DOTS
    for chosen, colour, said in ((best, MODEL, "as good as the best"), (~best, QUIET, "others")):
        if chosen.any():
            style = {**DOTS, "markersize": 5.0, "rasterized": many}
            axis.plot(place[chosen], ordered[chosen], "o", color=colour, label=f"{said}: {chosen.sum()}", **style)
    if log and ordered[-1] > DECADE * ordered[0] > 0:
        axis.set_yscale("log")
        _as_numbers(axis.yaxis)
    else:
        plain_ticks(axis)
    axis.locator_params(axis="x", integer=True)
    axis.set_xlabel("starts, the best first")
    axis.set_ylabel(label)
    axis.set_title("Starts")
    axis.legend(fontsize=8)
    return _svg(figure)


def quantile_panel(residuals: np.ndarray, expected: np.ndarray) -> str:
    """The sorted `residuals` (n,), in standard deviations, against those `expected` (n,) of normal noise."""
    figure = _figure(HEIGHT)
    axis = figure.subplots()
    edge = [expected[0], expected[-1]]
    axis.plot(edge, edge, color=QUIET, linewidth=1)
    many = len(residuals) > MOST_DOTS
    axis.plot(expected, residuals, "o", color=ALERT, **{**DOTS, "markersize": 4.5, "rasterized": many})
    axis.set_xlabel("expected of normal noise")
    axis.set_ylabel("residual / sd")
    axis.set_title("All residuals, sorted")
    return _svg(figure)


def correlation_panel(names: Sequence[str], table: np.ndarray) -> str:
    """A map of the correlations (P, P), NaN where there is none."""
    size = min(max(2.4 + 0.36 * len(names), HEIGHT), 9.0)
    figure = _figure(0.85 * size, size)
    axis = figure.subplots()
    image = axis.imshow(np.ma.masked_invalid(table), cmap="RdBu_r", vmin=-1, vmax=1)
    axis.set_facecolor("#E4E4E4")
    axis.grid(visible=False)
    axis.set_xticks(range(len(names)), names, rotation=90)
    axis.set_yticks(range(len(names)), names)
    if len(names) <= MOST_NUMBERS:
        for i, j in np.argwhere(np.isfinite(table)):
            colour = "white" if abs(table[i, j]) > 0.6 else "black"
            axis.text(j, i, f"{table[i, j]:.2f}", ha="center", va="center", fontsize=7.5, color=colour)
    figure.colorbar(image, ax=axis, shrink=0.8)
    axis.set_title("Correlations of the estimates")
    return _svg(figure)


def _as_numbers(axis: Axis) -> None:
    """Labels of a logarithmic axis as numbers: matplotlib's are formulas, which odec's style does not set."""
    axis.set_major_formatter(lambda x, _: f"{x:g}")
    axis.set_minor_formatter(lambda x, _: "")


def _figure(height: float, width: float = WIDTH) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", dpi=110)


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def drawn(panel: Callable[..., str], *arguments: Any, **options: Any) -> str:
    """A panel in odec's style."""
    import matplotlib

    with styled(), matplotlib.rc_context(FONTS):
        return panel(*arguments, **options)
