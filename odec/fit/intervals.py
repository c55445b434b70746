"""What may be asked of a fit beside its standard errors: profiles, and a bootstrap."""

from __future__ import annotations

from dataclasses import replace

from odec.diagnostics import Diagnostic
from odec.fit.bootstrap import bootstrap
from odec.fit.checkpoint import Journal
from odec.fit.profiles import Profiles, profiles
from odec.fit.result import Fit


def with_intervals(fit: Fit, profiled: bool, draws: int, journal: Journal) -> Fit:
    """The fit with its profiles where they are asked for, and with a bootstrap of so many `draws`, all of them stages
    of the journal; once that is stopped, with what there is."""
    if profiled and not journal.stopped():
        found = profiles(fit, journal)
        fit = replace(fit, profiles=found.by_name, warnings=(*fit.warnings, *_lower(fit, found)))
    if draws and not journal.stopped():
        drawn = bootstrap(fit, draws, fit.seed, journal)
        if not journal.stopped():
            fit = replace(fit, bootstrap=drawn)
    return fit


def _lower(fit: Fit, found: Profiles) -> list[Diagnostic]:
    """W0608: the intervals lie around what is no optimum."""
    if not found.found_better:
        return []
    listed = ",".join(f"{name}={value:.6g}" for name, value in zip(fit.parameters, found.best, strict=True))
    message = f"on a profile the {fit.loss_name} falls to {found.best_loss:.6g}, below that of the estimates"
    cure = f"fit again from there: `--set {listed}`"
    return [Diagnostic("W0608", message, help=cure, severity="warning")]
