"""The user's model file with the estimates in place of the first guesses; all else, comments too, stays as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odec.fit.text import interval_said, profile_said
from odec.source import Source
from odec.syntax import tree
from odec.syntax.parser import parse

if TYPE_CHECKING:
    from odec.fit.result import Fit

HEADER = "# Fitted by odec"
# (start, stop, new text) in the old text
Edit = tuple[int, int, str]


def fitted_text(fit: Fit, text: str) -> str:
    """`text`, a valid model file, with the estimates, the solver that was used, and a header on their source."""
    source = Source.from_text(_without_header(text))
    file = parse(source)
    params = [statement for statement in file.statements if isinstance(statement, tree.Param)]
    estimates = _estimates(fit)
    edits = [_edit(param, estimates[param.name.name]) for param in params]
    edits += _replaced(file, fit)
    edits += _solve_edit(file, source, fit)
    changed = source.text
    for start, stop, new in sorted(edits, reverse=True):
        changed = changed[:start] + new + changed[stop:]
    return "\n".join([*_header(fit), "", changed])


def _estimates(fit: Fit) -> dict[str, float]:
    """A value for each param: its estimate, or the mean of its experiments' values."""
    params = fit.problem.design.params
    means = params.values(fit.values[None])[0].mean(axis=0)
    return dict(zip(params.names, means.tolist(), strict=True))


def _replaced(file: tree.File, fit: Fit) -> list[Edit]:
    """The consts and initial values that this fit was given in place of the model's, where they are the same in every
    experiment."""
    design, theta = fit.problem.design, fit.values
    every = [design.settings(theta, e) for e in range(len(design.experiments))]
    consts, initial = (
        {} if any(c != found[0] for c in found) else found[0]
        for found in ([settings.consts for settings in every], [settings.initial for settings in every])
    )
    edits: list[Edit] = []
    for statement in file.statements:
        if isinstance(statement, tree.Const) and statement.name.name in consts:
            edits.append(_edit(statement, float(consts[statement.name.name])))
        elif isinstance(statement, tree.State) and str(statement.name) in initial:
            edits.append(_edit(statement, float(initial[str(statement.name)])))
    return edits


def _edit(statement: tree.Param | tree.Const | tree.State, value: float) -> Edit:
    if statement.value is not None:
        return statement.value.span.start, statement.value.span.stop, repr(value)
    place = max([statement.name.span.stop, *(item.span.stop for item in statement.shape)])
    return place, place, f" = {value!r}"


def _solve_edit(file: tree.File, source: Source, fit: Fit) -> list[Edit]:
    """Puts the run that was fitted in place of the model's `solve` statement, or behind its last line."""
    old = [statement for statement in file.statements if isinstance(statement, tree.Solve)]
    defaults, start = fit.problem.model.description.defaults, fit.problem.timing.start
    stop = defaults.stop
    if stop is None:
        stop = float(max(fit.problem.data.times, key=lambda t: abs(t - start)))
    if stop == start:
        stop = start + (fit.step or 1.0)
    every = f", every {defaults.every!r}" if defaults.every is not None else ""
    step = f", step {fit.step!r}" if fit.step is not None else ""
    how = "" if fit.problem.timing.counted else f"{step}{every}, method {fit.solver}"
    new = f"solve from {start!r} to {stop!r}{how}"
    if old:
        return [(statement.span.start, statement.span.stop, new if i == 0 else "") for i, statement in enumerate(old)]
    end = len(source.text)
    return [(end, end, ("" if source.text.endswith("\n") else "\n") + new + "\n")]


def _without_header(text: str) -> str:
    """The text without the header of an earlier fit."""
    if not text.startswith(HEADER):
        return text
    return text.partition("\n\n")[2]


def _header(fit: Fit) -> list[str]:
    data = fit.problem.data
    lines = [
        f"{HEADER} {fit.version} to {data.name} (SHA-256 {data.digest})",
        f"# {fit.loss_name} {fit.loss!r} over {fit.observations} values",
    ]
    for p in fit.parameters.values():
        error = f" ± {p.standard_error:.3g}" if p.standard_error is not None else ""
        error += f", 95 % {interval_said(p.interval)}" if p.interval is not None else ""
        error += f", by profile {profile_said(fit.profiles[p.name])}" if p.name in fit.profiles else ""
        bound = f" (at its {p.bound} bound)" if p.at_bound else ""
        lines.append(f"# {p.name} = {p.estimate:.6g}{error}{bound}, from {p.start:g}")
    lines += [f"# {sentence}" for sentence in fit.uncertainty.undetermined]
    return lines
