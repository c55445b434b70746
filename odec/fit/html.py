"""`report.html`: one page with the whole report of a fit, pictures included; it loads nothing and runs nothing."""

from __future__ import annotations

import base64
import platform
import sys
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from odec.fit.pictures import Picture, pictures_of
from odec.fit.style import STYLE
from odec.fit.text import METHOD_NAMES, bounds_said, interval_said, profile_said

if TYPE_CHECKING:
    from odec.fit.result import Fit

# What else may have taken part in the numbers: those that are loaded.
LIBRARIES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy")


def report_html(fit: Fit, model_text: str | None, time_label: str) -> str:
    """The page. `model_text` is the model file's text, where there is one."""
    name = fit.problem.model.description.name
    pictures = pictures_of(fit, time_label)
    body = [
        _head(fit),
        _warnings(fit),
        _section("Estimates", _estimates(fit), _open_questions(fit)),
        _section("Data and curves", _legend(fit), _gallery(pictures["curves"])),
        _section("Profiles", _profiles_note(fit), _gallery(pictures["profiles"])) if fit.profiles else "",
        _section("Search and residuals", _gallery(pictures["checks"])),
        _section("Columns", _columns(fit)),
        _section("How it was made", _made(fit), _model(model_text)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(name)} fitted by odec</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _head(fit: Fit) -> str:
    name, data = fit.problem.model.description.name, fit.problem.data
    kind, verdict = ("good", "converged") if fit.converged else ("bad", "not converged")
    badge = f'<span class="badge {kind}">{verdict}</span>'
    facts = [
        (fit.loss_name, f"{fit.loss:.6g}"),
        ("measured values", str(fit.observations)),
        ("AIC · AICc · BIC", " · ".join(f"{x:.5g}" for x in (fit.criteria.aic, fit.criteria.aicc, fit.criteria.bic))),
        ("rank", f"{fit.uncertainty.rank} of {fit.uncertainty.free} free parameters determined"),
        ("search", f"{METHOD_NAMES[fit.method]}: {fit.reason}{f' ({fit.approach})' if fit.approach else ''}"),
        ("starts", f"{fit.starts}, of them {sum(fit.failed.values())} failed"),
    ]
    if not fit.problem.timing.counted:
        facts += [
            ("solver", f"{fit.solver}, {fit.problem.timing.said(data.distinct_times)}"),
            ("solved finer", _finer(fit)),
        ]
    return (
        f'<header><p class="kicker">odec fit</p><h1>{escape(name)} {badge}</h1>'
        f"<p>fitted to {escape(data.name)}</p></header>\n{_facts(facts)}"
    )


def _finer(fit: Fit) -> str:
    check = fit.step_check
    said = "half the step" if fit.step is not None else "a finer tolerance"
    verdict = "the steps are too coarse" if check.too_large else "the steps do not matter"
    return f"{said}: loss {check.finer_loss:.6g}; {verdict}"


def _warnings(fit: Fit) -> str:
    if not fit.warnings:
        return ""
    items = "".join(
        f"<li><b>{escape(w.code)}</b> {escape(w.message)}{f'<br><i>{escape(w.help)}</i>' if w.help else ''}</li>"
        for w in fit.warnings
    )
    return f'<section class="warnings"><h2>To be looked at</h2><ul>{items}</ul></section>'


def _estimates(fit: Fit) -> str:
    header = ["parameter", "estimate", "std. error", "95 % by std. error"]
    header += ["by profile"] if fit.profiles else []
    header += ["by bootstrap"] if fit.bootstrap is not None else []
    rows = []
    for i, p in enumerate(fit.parameters.values()):
        mark = f' <span class="badge bad">{p.bound} bound</span>' if p.at_bound else ""
        more = f"<br><small>{escape(p.description)}</small>" if p.description else ""
        cells = [
            f"<b>{escape(p.name)}</b>{mark}{more}",
            f"{p.estimate:.6g}",
            "–" if p.standard_error is None else f"{p.standard_error:.3g}",
            "–" if p.interval is None else interval_said(p.interval),
        ]
        if fit.profiles:
            cells.append(escape(profile_said(fit.profiles[p.name])) if p.name in fit.profiles else "–")
        if fit.bootstrap is not None:
            low, high = fit.bootstrap.intervals[i]
            cells.append(interval_said((low, high)))
        rows.append([*cells, f"{p.start:g}", bounds_said(p.lower, p.upper, p.log)])
    rows += [[f"<b>{escape(name)}</b>", f"{x:.6g}", "fixed"] for name, x in fit.fixed.items()]
    note = f"<p>95 % intervals by standard error: {escape(fit.intervals_said)}.</p>"
    return _table([*header, "start", "bounds"], rows) + note + _bootstrap_note(fit)


def _bootstrap_note(fit: Fit) -> str:
    drawn = fit.bootstrap
    if drawn is None:
        return ""
    return (
        f"<p>Bootstrap: {len(drawn.estimates)} of {drawn.asked} simulated data sets were fitted, {drawn.unfinished} of "
        f"them stopped before an optimum (seed {drawn.seed}).</p>"
    )


def _open_questions(fit: Fit) -> str:
    """What the data do not say, and what the bounds decided."""
    lines = [*fit.uncertainty.undetermined]
    lines += [f"{p.name} lies at its {p.bound} bound, {p.estimate:g}" for p in fit.parameters.values() if p.at_bound]
    lines += [
        f"{name}: the interval has no {side} end ({why})"
        for name, profile in fit.profiles.items()
        for side, why in zip(("lower", "upper"), profile.open, strict=True)
        if why
    ]
    if not lines:
        return "<p>The data determine every parameter, and none lies at a bound.</p>"
    return f"<h3>Not identifiable, or at a bound</h3><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _legend(fit: Fit) -> str:
    return (
        "<p>The dark band holds the true curve, the light one new data, each to 95 % (delta method; quantiles as of "
        "the intervals). Below: datum less model, in standard deviations of the noise.</p>"
    )


def _profiles_note(fit: Fit) -> str:
    return (
        "<p>How far the loss must rise when one parameter is held and all others make up for it. The interval lies "
        "below the dashed line; a side that stays below it has no end in the data.</p>"
    )


def _columns(fit: Fit) -> str:
    rows = [[escape(name), str(n), f"{fit.losses[name]:.6g}"] for name, n in fit.counts.items()]
    return _table(["column", "values", "part of the loss"], rows)


def _made(fit: Fit) -> str:
    description, data = fit.problem.model.description, fit.problem.data
    loaded = {name: getattr(sys.modules.get(name), "__version__", None) for name in LIBRARIES}
    versions = ", ".join(f"{name} {version}" for name, version in loaded.items() if version)
    failed = "; ".join(f"{count}: {reason}" for reason, count in fit.failed.items()) or "none"
    facts = [
        ("odec", f"{fit.version}; Python {platform.python_version()}; {versions}"),
        ("command", " ".join(sys.argv)),
        ("model", f"{description.source} (SHA-256 {description.digest})"),
        ("data", f"{data.name} (SHA-256 {data.digest})"),
        ("experiments", ", ".join(fit.experiments) if fit.experiments != ("",) else "one, without a name"),
        ("weights", fit.problem.weights if fit.nll is None else "the noise of the outputs"),
        ("seed", str(fit.seed)),
        ("failed starts", failed),
        ("evaluations", f"{fit.evaluations} in {fit.iterations} iterations; {fit.seconds:.2f} s in all"),
    ]
    return _facts(facts)


def _model(text: str | None) -> str:
    return "" if text is None else f"<details><summary>The model</summary><pre>{escape(text)}</pre></details>"


def _section(title: str, *parts: str) -> str:
    inside = "\n".join(part for part in parts if part)
    return f"<section><h2>{escape(title)}</h2>\n{inside}</section>" if inside else ""


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(said)}</dd></div>" for name, said in facts)
    return f"<dl>{items}</dl>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already; short rows are filled."""
    top = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = ["".join(f"<td>{cell}</td>" for cell in [*row, *[""] * (len(header) - len(row))]) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _gallery(pictures: Sequence[Picture]) -> str:
    # An image of its own keeps its ids and styles to itself, and cannot run anything.
    parts: list[Any] = [
        f'<figure><img alt="{escape(picture.said)}" src="data:image/svg+xml;base64,'
        f'{base64.b64encode(picture.svg.encode()).decode()}"></figure>'
        for picture in pictures
    ]
    return f'<div class="gallery">{"".join(parts)}</div>' if parts else ""
