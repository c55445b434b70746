"""Pictures from arrays: a solution over time, a fit through its data. PNG, SVG or PDF by the file's extension."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from odec.diagnostics import OdecError
from odec.files import write_whole
from odec.plot.style import COLOURS, DOTS, STYLES, colour_of, label_of, plain_ticks, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
# Curves of more than this ratio of sizes do not share an axis: the smaller one would be a line on the floor.
WIDEST_RATIO = 100.0
MOST_LEGEND_ROWS = 24


def plot_solution(
    times: np.ndarray,
    values: np.ndarray,
    names: Sequence[str],
    path: str | Path,
    *,
    title: str = "",
    labels: Mapping[str, str] | None = None,
    time_label: str = "t",
) -> None:
    """Curves `values` (times, columns) over `times`, written to `path`.

    `labels` says more of a name ("first species"). Curves of very different sizes get panels of their own. Raises
    OdecError (E0701) where the file cannot be written or its extension is unknown.
    """
    _check_format(path)
    groups = _groups(np.asarray(values, dtype=float))
    with styled():
        figure, axes = _panels(len(groups), columns=1)
        for axis, group in zip(axes, groups, strict=True):
            for place, column in enumerate(group):
                line = STYLES[(place // len(COLOURS)) % len(STYLES)]
                label = label_of(names[column], labels)
                axis.plot(times, values[:, column], color=colour_of(place), linestyle=line, linewidth=1.8, label=label)
            _legend(axis, [names[i] for i in group], labels)
        _finish(figure, axes, title, time_label, path)


def plot_fit(
    times: np.ndarray,
    curves: np.ndarray,
    names: Sequence[str],
    data_times: np.ndarray,
    data_values: np.ndarray,
    path: str | Path,
    *,
    title: str = "",
    labels: Mapping[str, str] | None = None,
    time_label: str = "t",
    experiments: Sequence[str] = ("",),
    data_experiment: np.ndarray | None = None,
) -> None:
    """A panel for each measured column: dots `data_values` (rows, columns) and the model's curve.

    `curves` is (times, columns), or (experiments, times, columns) with `data_experiment` (rows,) saying to which
    experiment each row belongs; the experiments of a panel differ in colour.
    """
    curves = np.asarray(curves, dtype=float)
    curves = curves if curves.ndim == 3 else curves[None]
    belongs = np.zeros(len(data_times), dtype=int) if data_experiment is None else data_experiment
    _check_format(path)
    with styled():
        figure, axes = _panels(len(names), columns=min(3, math.ceil(math.sqrt(len(names)))))
        for column, (axis, name) in enumerate(zip(axes, names, strict=True)):
            for i, experiment in enumerate(experiments):
                colour = colour_of(column if len(experiments) == 1 else i)
                said = f" · {experiment}" if experiment else ""
                curve = curves[min(i, len(curves) - 1), :, column]
                axis.plot(times, curve, color=colour, linewidth=1.8, label=f"model{said}")
                mine = belongs == i
                axis.plot(data_times[mine], data_values[mine, column], "o", color=colour, label=f"data{said}", **DOTS)
            axis.set_title(label_of(name, labels))
            axis.legend(loc="best", fontsize=9)
        _finish(figure, axes, title, time_label, path)


def _check_format(path: str | Path) -> None:
    if Path(path).suffix.lower() not in FORMATS:
        known = ", ".join(f"`{extension}`" for extension in FORMATS)
        raise OdecError.of(
            "E0701", f"`{path}` is not a picture odec can write", help=f"give the file one of the extensions {known}"
        )


def _panels(count: int, columns: int) -> tuple[Figure, list[Axes]]:
    # The object interface: no display, no global state, nothing to close.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = math.ceil(count / columns)
    width = 7.6 if columns == 1 else 4.2 * columns
    height = 4.2 if rows == columns == 1 else 3.2 * rows if columns > 1 else 2.6 * rows
    figure = Figure(figsize=(width, height), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    grid = figure.subplots(rows, columns, squeeze=False)
    axes = list(grid.flat)
    for axis in axes[count:]:
        axis.set_visible(False)
    return figure, axes[:count]


def _groups(values: np.ndarray) -> list[list[int]]:
    """The columns that share a panel, in their order: those whose sizes lie within WIDEST_RATIO of one another."""
    with np.errstate(invalid="ignore"):
        finite = np.where(np.isfinite(values), np.abs(values), 0.0)
    sizes = finite.max(axis=0, initial=0.0)
    groups: list[list[int]] = []
    for column in np.argsort(-sizes, kind="stable"):
        last = groups[-1] if groups else None
        if last is not None and (sizes[column] == 0 or sizes[last[0]] <= WIDEST_RATIO * sizes[column]):
            last.append(int(column))
        else:
            groups.append([int(column)])
    return sorted(sorted(group) for group in groups)


def _legend(axis: Axes, names: Sequence[str], labels: Mapping[str, str] | None) -> None:
    if len(names) == 1:
        axis.set_ylabel(label_of(names[0], labels))
    elif len(names) <= MOST_LEGEND_ROWS:
        axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9)


def _finish(figure: Figure, axes: Sequence[Axes], title: str, time_label: str, path: str | Path) -> None:
    for axis in axes:
        axis.margins(x=0.02)
        plain_ticks(axis)
    for axis in _lowest(axes):
        axis.set_xlabel(time_label)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    _save(figure, Path(path))


def _lowest(axes: Sequence[Axes]) -> list[Axes]:
    """The panels with none below them."""
    last: dict[int, Any] = {}
    for axis in axes:
        place = axis.get_subplotspec()
        last[place.colspan.start if place is not None else 0] = axis
    return list(last.values())


def _save(figure: Figure, path: Path) -> None:
    # Without a date the same picture is the same bytes.
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
    kind = path.suffix.lower()[1:]
    write_whole(path, lambda beside: figure.savefig(beside, format=kind, metadata=metadata))
