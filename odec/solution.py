"""`odec.solve`: one run of a model, with its step chosen or checked, as names, times and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from odec.arithmetic import arithmetic_said
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
# … or this many, where jumps follow each other without end.
MOST_STEPS_WITH_END = 2**17
# Two such ends within this part of their times are one, and no smaller step moves it.
SAME_END = 1e-3
# Halvings tried in search of a step to advise.
MOST_HALVINGS = 12

Values = np.ndarray
# Runs the model with every step cut into so many: (times, columns).
Run = Callable[[int], Values]
# The text of a jump that never ends, and when; None where there is none.
Endless = tuple[str, float] | None


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
    notes: tuple[Diagnostic, ...] = ()
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
        """The `notes`, and W0601 where the step is unstable or inaccurate, with a step that was tried and is not."""
        if self.error <= INACCURATE:
            return self.notes
        size = (
            f"about {self.error:.0%} of the largest value" if self.error < 10 else "larger than the values themselves"
        )
        message = f"method {self.method} with step {self.step:g} is inaccurate here: its error is {size}"
        return (*self.notes, Diagnostic("W0601", message, help=self._advice(), severity="warning"))

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


@arithmetic_said
def solve(
    model: Any,
    *,
    to: float | None = None,
    start: float | None = None,
    step: float | None = None,
    every: float | None = None,
    times: Sequence[float] | None = None,
    method: str | None = None,
    params: Mapping[str, Any] | None = None,
    init: Mapping[str, Any] | None = None,
    dtype: str = "float64",
    inputs: Mapping[str, Any] | None = None,
    before: bool = False,
) -> Solution:
    """Run a model from `start` to `to` and return its states and observed outputs.

    `model` is a generated layer class, or the path of a model file. The call comes before the model's `solve`
    statement, which comes before the defaults: start 0, rows at each `every` (else at each step, else at 1/200 of the
    span), the start first and the end last, method dopri5. `times` asks for other rows, in any order. `params`
    (params and consts) and `init` (states) replace values by name. Without a step anywhere, the step is halved until
    two solutions agree to 1e-7. `inputs` maps each input to its table (a path, a DataFrame, a dict of columns, or a
    pair of times and values). In a map, times count steps: from 0 to as many as `to` (or the inputs' rows) says.

    A value at the very time of a jump is the one behind it, or with `before` the one before it.

    Raises OdecError: E0408 no such method, E0601 a value that is not finite, E0602 no end time, E0603 a name that is
    none, E0604 a wrong time, E0606 a wrong step, a value that is not a number or an input that is missing, E0607 a
    jump without end; E05… where a table of inputs is wrong.
    """
    from odec.inputs import outside, read_inputs
    from odec.runtime import request, simulate

    model, params = _sized(_layer_class(model), params or {})
    description: Description = model.description
    method = _method(description, method)
    signal = read_inputs(description, inputs)
    if description.is_map and to is None and signal is not None:
        to = description.defaults.stop or float(signal.knots[-1]) + 1
    schedule, given = request.schedule(description, to, start, step, every, times)
    values, consts = request.settings(description, params)
    init = {
        name: request.number(f"initial value `{name}`", value, "E0606")
        for name, value in request.by_element(description, init or {}).items()
    }
    columns = simulate.default_columns(model)
    request.check_initial(model, init)

    setting: dict[str, Any] = {
        "method": method,
        "params": values,
        "consts": consts,
        "initial": init,
        "dtype": dtype,
        "inputs": signal,
    }

    def run(factor: int) -> Values:
        return simulate.solve(model, schedule.refined(factor), columns=columns, before=before, **setting)[0]

    def endless(factor: int) -> Endless:
        jumps, moments = simulate.endless(model, schedule.refined(factor), **setting)
        return None if jumps[0] < 0 else (description.jumps[jumps[0]].text, float(moments[0]))

    whens = any(jump.kind == "when" for jump in description.jumps)
    far = schedule.times[np.argmax(np.abs(schedule.times - schedule.start))]
    notes = outside(description, signal, schedule.start, float(far))
    task = _Task(description, schedule, columns, method, dtype, run, endless if whens else lambda _: None, notes)
    if given is not None:
        return task.solution(1, run(1), 0.0 if description.is_map else None)
    return task.with_chosen_step()


def _sized(model: Any, params: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The model with the sizes among `params`, and the others."""
    sizes = {size.name: params[size.name] for size in model.description.sizes if size.name in params}
    others = {name: value for name, value in params.items() if name not in sizes}
    try:
        return (model.sized(**sizes) if sizes else model), others
    except ValueError as error:
        raise OdecError.of("E0606", str(error)) from None


@dataclass(frozen=True)
class _Task:
    """A run that can be repeated with every step cut into `factor`."""

    description: Description
    schedule: Schedule
    columns: tuple[str, ...]
    method: str
    dtype: str
    run: Run
    endless: Callable[[int], Endless]
    notes: tuple[Diagnostic, ...]

    def with_chosen_step(self) -> Solution:
        """Halve the step until two solutions agree to AGREEMENT (or what the dtype holds), or to MOST_STEPS."""
        from odec.runtime.methods import METHODS

        enough = max(AGREEMENT, 100 * float(np.finfo(self.dtype).eps))
        total = self.schedule.total
        most = max(MOST_STEPS if self.endless(1) is None else MOST_STEPS_WITH_END, 2 * total)
        factor, coarse, difference = 1, self.run(1), np.inf
        while total * factor * 2 <= most and difference > enough and not self._stays_endless(factor):
            factor *= 2
            fine = self.run(factor)
            difference, coarse = _difference(coarse, fine), fine
        return self.solution(factor, coarse, difference / (2 ** METHODS[self.method].order - 1))

    def _stays_endless(self, factor: int) -> bool:
        """Whether jumps follow each other without end at one time, whatever the step."""
        if factor == 1:
            return False
        now, then = self.endless(factor), self.endless(factor // 2)
        return now is not None and then is not None and abs(now[1] - then[1]) <= SAME_END * (abs(now[1]) + abs(then[1]))

    def solution(self, factor: int, values: Values, error: float | None = None) -> Solution:
        """What `values` are, if they are finite; E0601 or E0607 where they are not."""
        from odec.runtime.methods import METHODS

        step = self.schedule.longest_step / factor
        if not np.isfinite(values).all():
            found = self.endless(factor)
            if found is not None:
                raise _without_end(self, values, *found)
            raise _not_finite(self, factor, step, values)
        return Solution(
            self.schedule.times,
            self.columns,
            values,
            self.method,
            step,
            self.schedule.total * factor,
            self.description.name,
            self.notes,
            METHODS[self.method].order,
            lambda more: self.run(factor * more),
            error,
        )


def _difference(coarse: Values, fine: Values) -> float:
    """The largest difference, each column relative to its largest value; inf where a value is not finite."""
    if not (np.isfinite(coarse).all() and np.isfinite(fine).all()):
        return float("inf")
    size = np.maximum(np.abs(coarse), np.abs(fine)).max(axis=0, initial=0.0)
    off = np.abs(fine - coarse).max(axis=0, initial=0.0)
    return float(np.divide(off, size, out=np.zeros_like(off), where=size > 0).max(initial=0.0))


def _without_end(task: _Task, values: Values, text: str, time: float) -> OdecError:
    """The jump that follows itself ever faster, the time at which it comes to no end, and the states before."""
    rows = np.isfinite(values).all(axis=1) & (task.schedule.times <= time)
    where = ""
    if rows.any():
        row = np.flatnonzero(rows)[np.argmax(task.schedule.times[rows])]
        states = task.columns[: len(task.description.state_elements)][:4]
        listed = ", ".join(f"{name} = {value:.6g}" for name, value in zip(states, values[row], strict=False))
        where = f" (at t = {task.schedule.times[row]:g} {listed})"
    message = f"`{text}` happens ever faster and comes to no end near t = {time:.6g}{where}"
    return OdecError.of(
        "E0607", message, f"end the run before t = {time:.6g}, or let the jump leave its condition for good"
    )


def _not_finite(task: _Task, factor: int, step: float, values: Values) -> OdecError:
    """The column that fails first in the direction of the run, and the last time at which all was well."""
    schedule, columns, run, method = task.schedule, task.columns, task.run, task.method
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
