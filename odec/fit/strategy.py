"""What is asked of the search, and the ends of all starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from odec.diagnostics import OdecError, nearest
from odec.fit.checkpoint import Journal
from odec.fit.least_squares import INTERRUPTED, NO_VALUE, Search
from odec.fit.staged import Progress, staged
from odec.fit.steps import not_finite

if TYPE_CHECKING:
    from odec.fit.problem import Problem

LM = "lm"
METHODS = (LM, "lbfgs", "scipy", "adam")


@dataclass(frozen=True)
class Strategy:
    """What the user asks of the search; see `odec.fit`."""

    method: str = "lm"
    starts: int = 1
    seed: int = 0
    epochs: int = 10_000
    learning_rate: float | None = None
    horizon: bool = False
    shooting: int | None = None
    kicks: int = 0

    def __post_init__(self) -> None:
        """E0606 for what is out of range."""
        if self.method not in METHODS:
            known = " or ".join(f"`{name}`" for name in METHODS)
            cure = nearest(self.method, METHODS) or f"choose {known}"
            raise OdecError.of("E0606", f"there is no fit method `{self.method}`", help=cure)
        if self.starts < 1:
            raise OdecError.of("E0606", f"{self.starts} starts were asked for", help="at least one start is needed")
        if self.kicks < 0:
            raise OdecError.of("E0606", f"{self.kicks} rounds of kicks were asked for", help="0 is none")
        horizon, shooting = ("a growing horizon", self.horizon), ("multiple shooting", self.shooting is not None)
        for name, asked in (horizon, shooting, ("a round of kicks", self.kicks > 0)):
            if asked and self.method != LM:
                cure = f"leave `method` away, or say `{LM}`"
                raise OdecError.of("E0606", f"{name} belongs to the method {LM}, not to {self.method}", help=cure)
        if self.horizon and self.shooting is not None:
            raise OdecError.of("E0606", "a growing horizon and multiple shooting were asked for", help="give one")


def searched(problem: Problem, strategy: Strategy, journal: Journal, progress: Progress | None) -> tuple[Search, str]:
    """The end of every start, and what was done beside the plain search, in words; the starts that the user stopped
    are `INTERRUPTED`. E0605 where none has a value."""
    z, approach = problem.scale.draw(strategy.starts, strategy.seed), ""
    if strategy.method == LM:
        asked = strategy.horizon, strategy.shooting
        search, approach = staged(problem, z, *asked, journal, progress, strategy.kicks, strategy.seed)
    elif strategy.method != "adam":
        from odec.fit.peers import scipy_search

        search = scipy_search(problem, z, strategy.method, journal, progress)
    else:
        from odec.fit.adam import adam

        search = adam(
            problem,
            z,
            epochs=strategy.epochs,
            learning_rate=strategy.learning_rate,
            journal=journal,
            progress=progress,
        )
    search.reason[search.running] = INTERRUPTED
    if search.reason[search.best] in NO_VALUE:
        message = not_finite(problem, problem.scale.to_values(z[0]))
        raise OdecError.of(
            "E0605", message, help="start from other values, try several (`--starts 20`), or narrow the bounds"
        )
    return search, approach
