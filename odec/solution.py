"""`odec.solve`: one run of a model, with its step chosen or checked, as names, times and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from odec.diagnostics import Diagnostic, OdecError, nearest
from odec.files import write_text

if TYPE_CHECKING:
    import pandas

    from odec.runtime.description import Description
    from odec.runtime.schedule import Schedule

# Where no step is said, it is halved until two solutions agree to this, relative to the size of each state …
AGREEMENT = 1e-7
# … or the run takes this many steps.
MOST_STEPS = 2**22
# An estimated relative error above this is warned about. Euler at a sensible step stays below.
INACCURATE = 1e-2
# Halvings tried in search of a step to advise.
MOST_HALVINGS = 12

Values = np.ndarray
# Runs the model with every step cut into so many: (times, columns).
Run = Callable[[int], Values]


@dataclass(frozen=True)
class Solution:
    """The values of a run: `values[i, j]` is the column `names[j]` at `times[i]`.

    `step` is the longest step taken (model's time unit), `steps` their number. `error` and `warnings` cost a second
    run with half the step, made when they are first asked for.

    >>> solution = odec.solve(Competition, to=100)                                              # doctest: +SKIP
    >>> solution["x1"][-1]                                                                      # doctest: +SKIP
    373.56820343
    """

    times: np.ndarray
    names: tuple[str, ...]
    values: np.ndarray
    method: str
    step: float
    steps: int
    model: str = ""
    _order: int = field(default=1, repr=False)
    _run: Run | None = field(default=None, repr=False, compare=False)
    _error: float | None = field(default=None, repr=False, compare=False)

    def __getitem__(self, name: str) -> np.ndarray:
        """A column by name, (times,)."""
        if name not in self.names:
            raise KeyError(f"{name!r}; {nearest(name, self.names) or 'there are: ' + ', '.join(self.names)}")
        return self.values[:, self.names.index(name)]

    @cached_property
    def error(self) -> float:
        """The estimated error relative to each column's largest value (Richardson: compared with half the step)."""
        if self._error is not None:
            return self._error
        if self._run is None or self.steps == 0:
            return 0.0
        return _difference(self.values, self._run(2)) * 2**self._order / (2**self._order - 1)

    @cached_property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """W0601 where the step is unstable or inaccurate, with a step that was tried and is not."""
        if self.error <= INACCURATE:
            return ()
        size = (
            f"about {self.error:.0%} of the largest value" if self.error < 10 else "larger than the values themselves"
        )
        message = f"method {self.method} with step {self.step:g} is inaccurate here: its error is {size}"
        return (Diagnostic("W0601", message, help=self._advice(), severity="warning"),)

    def _advice(self) -> str:
        if self._run is None:
            return "try a shorter step"
        coarse = self._run(2)
        for halvings in range(1, MOST_HALVINGS):
            if self.steps * 2 ** (halvings + 1) > MOST_STEPS:
                break
            fine = self._run(2 ** (halvings + 1))
            if _difference(coarse, fine) * 2**self._order / (2**self._order - 1) <= INACCURATE:
                return f"try step {self.step / 2**halvings:.3g}"
            coarse = fine
        return "no step within reach is accurate: the system may be stiff or chaotic"

    def to_frame(self) -> pandas.DataFrame:
        """A pandas table with the column `t` in front."""
        import pandas

        return pandas.DataFrame(self.to_dict())

    def to_dict(self) -> dict[str, list[float]]:
        """`t` and each column as lists."""
        columns = {name: self.values[:, j].tolist() for j, name in enumerate(self.names)}
        return {"t": self.times.tolist(), **columns}

    def write_csv(self, path: str | Path) -> None:
        """`t` and the columns at full precision. The file is written whole or not at all; E0701 where it cannot be."""
        table = np.column_stack([self.times, self.values]).tolist()
        lines = [",".join(_quoted(name) for name in ("t", *self.names))]
        lines.extend(",".join(map(repr, row)) for row in table)
        write_text(path, "\n".join(lines) + "\n")


def solve(
    model: Any,
    *,
    to: float | None = None,
    start: float | None = None,
    step: float | None = None,
    every: float | None = None,
    times: Sequence[float] | None = None,
    method: str | None = None,
    params: Mapping[str, float] | None = None,
    init: Mapping[str, float] | None = None,
    dtype: str = "float64",
) -> Solution:
    """Run a model from `start` to `to` and return its states and observed outputs.

    `model` is a generated layer class, or the path of a model file. The call comes before the model's `solve`
    statement, which comes before the defaults: start 0, rows at each `every` (else at each step, else at 1/200 of the
    span), the start first and the end last, method dopri5. `times` asks for other rows, in any order. `params`
    (params and consts) and `init` (states) replace values by name. Without a step anywhere, the step is halved until
    two solutions agree to 1e-7.

    Raises OdecError: E0408 no such method, E0601 a value that is not finite, E0602 no end time, E0603 a name that is
    none, E0604 a wrong time, E0606 a wrong step or a value that is not a number.
    """
    from odec.runtime import request, simulate

    model = _layer_class(model)
    sizes = [size.name for size in model.description.sizes if size.name in (params or {})]
    if sizes:
        model = model.sized(**{name: params[name] for name in sizes})
        params = {name: value for name, value in params.items() if name not in sizes}
    description: Description = model.description
    method = _method(description, method)
    schedule, given = request.schedule(description, to, start, step, every, times)
    values, consts = request.settings(description, params)
    init = {name: request.number(f"initial value `{name}`", value, "E0606") for name, value in (init or {}).items()}
    columns = simulate.default_columns(model)
    request.check_initial(model, init)

    def run(factor: int) -> Values:
        return simulate.solve(
            model,
            schedule.refined(factor) if factor > 1 else schedule,
            method=method,
            params=values,
            consts=consts,
            initial=init,
            columns=columns,
            dtype=dtype,
        )[0]

    if given is not None:
        return _solution(description, schedule, columns, run, 1, method, run(1))
    return _with_chosen_step(description, schedule, columns, run, method, dtype)


def _with_chosen_step(
    description: Description, schedule: Schedule, columns: tuple[str, ...], run: Run, method: str, dtype: str
) -> Solution:
    """Halve the step until two solutions agree to AGREEMENT (or what the dtype holds), or the run takes MOST_STEPS."""
    from odec.runtime.methods import METHODS

    enough = max(AGREEMENT, 100 * float(np.finfo(dtype).eps))
    factor, coarse, difference = 1, run(1), np.inf
    while schedule.total * factor * 2 <= max(MOST_STEPS, 2 * schedule.total) and difference > enough:
        factor *= 2
        fine = run(factor)
        difference, coarse = _difference(coarse, fine), fine
    error = difference / (2 ** METHODS[method].order - 1)
    return _solution(description, schedule, columns, run, factor, method, coarse, error)


def _solution(
    description: Description,
    schedule: Schedule,
    columns: tuple[str, ...],
    run: Run,
    factor: int,
    method: str,
    values: Values,
    error: float | None = None,
) -> Solution:
    from odec.runtime.methods import METHODS

    step = schedule.longest_step / factor
    if not np.isfinite(values).all():
        raise _not_finite(description, schedule, columns, run, factor, step, method, values)
    return Solution(
        schedule.times,
        columns,
        values,
        method,
        step,
        schedule.total * factor,
        description.name,
        METHODS[method].order,
        lambda more: run(factor * more),
        error,
    )


def _difference(coarse: Values, fine: Values) -> float:
    """The largest difference, each column relative to its largest value; inf where a value is not finite."""
    if not (np.isfinite(coarse).all() and np.isfinite(fine).all()):
        return float("inf")
    size = np.maximum(np.abs(coarse), np.abs(fine)).max(axis=0, initial=0.0)
    off = np.abs(fine - coarse).max(axis=0, initial=0.0)
    return float(np.divide(off, size, out=np.zeros_like(off), where=size > 0).max(initial=0.0))


def _not_finite(
    description: Description,
    schedule: Schedule,
    columns: tuple[str, ...],
    run: Run,
    factor: int,
    step: float,
    method: str,
    values: Values,
) -> OdecError:
    """The column that fails first in the direction of the run, and the last time at which all was well."""
    rows = np.argsort(np.abs(schedule.times - schedule.start), kind="stable")
    bad = ~np.isfinite(values[rows])
    first = int(np.argmax(bad.any(axis=1)))
    name = columns[int(np.argmax(bad[first]))]
    time = schedule.times[rows[first]]
    where = f"at t = {time:g}" if first == 0 else f"between t = {schedule.times[rows[first - 1]]:g} and t = {time:g}"
    message = f"`{name}` is no longer a finite number {where} (method {method}, step {step:.6g})"
    cures = []
    for halvings in range(1, MOST_HALVINGS):
        if schedule.total * factor * 2**halvings > MOST_STEPS:
            break
        if np.isfinite(run(factor * 2**halvings)).all():
            cures.append(f"try step {step / 2**halvings:.3g}")
            break
    cures.append(
        f"or stop before t = {time:g}"
        if cures
        else f"no shorter step helps: `{name}` may grow without bound, or its equation may have no value there"
    )
    return OdecError.of("E0601", message, ", ".join(cures))


def _layer_class(model: Any) -> Any:
    if isinstance(model, type):
        return model
    if hasattr(type(model), "description"):
        return type(model)
    from odec.loading import load_model

    return load_model(model)


def _method(description: Description, method: str | None) -> str:
    from odec.runtime import methods

    return methods.tableau(method or description.defaults.method or methods.DEFAULT_METHOD).name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"' if any(character in name for character in ',"\n') else name
