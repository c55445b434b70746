"""The user's model file with the estimates in place of the first guesses; all else, comments too, stays as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odec.source import Source
from odec.syntax import tree
from odec.syntax.parser import parse

if TYPE_CHECKING:
    from odec.fit.fitting import Fit

HEADER = "# Fitted by odec"
# (start, stop, new text) in the old text
Edit = tuple[int, int, str]


def fitted_text(fit: Fit, text: str) -> str:
    """`text`, a valid model file, with the estimates, the solver that was used, and a header on their source."""
    source = Source.from_text(_without_header(text))
    file = parse(source)
    params = [statement for statement in file.statements if isinstance(statement, tree.Param)]
    edits = [_edit(param, fit.estimates[param.name.name]) for param in params]
    edits += _replaced(file, fit)
    edits += _solve_edit(file, source, fit)
    changed = source.text
    for start, stop, new in sorted(edits, reverse=True):
        changed = changed[:start] + new + changed[stop:]
    return "\n".join([*_header(fit), "", changed])


def _replaced(file: tree.File, fit: Fit) -> list[Edit]:
    """The consts and initial values that this fit was given in place of the model's."""
    consts, initial = fit.problem.consts or {}, fit.problem.initial or {}
    edits = []
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
    defaults, schedule = fit.problem.model.description.defaults, fit.problem.schedule
    stop = (
        defaults.stop
        if defaults.stop is not None
        else float(max(schedule.times, key=lambda t: abs(t - schedule.start)))
    )
    if stop == schedule.start:
        stop = schedule.start + fit.step
    every = f", every {defaults.every!r}" if defaults.every is not None else ""
    new = f"solve from {schedule.start!r} to {stop!r}, step {fit.step!r}{every}, method {fit.solver}"
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
        f"# loss (sum of squares) {fit.loss!r} over {fit.observations} values",
    ]
    for p in fit.parameters.values():
        error = f" ± {p.standard_error:.3g}" if p.standard_error is not None else ""
        bound = f" (at its {p.bound} bound)" if p.at_bound else ""
        lines.append(f"# {p.name} = {p.estimate:.6g}{error}{bound}, from {p.start:g}")
    lines += [f"# {sentence}" for sentence in fit.uncertainty.undetermined]
    return lines
