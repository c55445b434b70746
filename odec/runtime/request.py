"""What a caller asks of a run, checked and completed from the model's own `solve` statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from odec import methods as names
from odec.diagnostics import OdecError, nearest
from odec.runtime import methods
from odec.runtime.contract import Model
from odec.runtime.description import Description
from odec.runtime.guesses import scalar_params
from odec.runtime.rows import DEFAULT_ROWS, check_steps, rows_between

MOST_ROWS = 2**26


@dataclass(frozen=True)
class Choice:
    """How a run is stepped: with a fixed `step`, or to tolerances. `method` is None where it is left to the run, `rtol`
    and `atol` (one for each state element, or for all) where they are not said."""

    method: str | None
    step: float | None = None
    rtol: float | None = None
    atol: Any = None

    @property
    def has_estimate(self) -> bool:
        """Whether the method, or the one that the run will choose, estimates the error of a step."""
        return self.method is None or bool(methods.tableau(self.method).error)


def choice(
    description: Description,
    method: str | None,
    step: float | None,
    rtol: float | None,
    atol: float | Mapping[str, float] | None,
) -> Choice:
    """What the call says, completed by the model's `solve` statement: E0408 for an unknown method, E0606 for a step or
    a tolerance that is none, or both of them."""
    defaults = description.defaults
    for name in (method, defaults.method):
        if name is not None and name not in names.NAMES:
            raise OdecError([names.unknown_method(str(name))])
    if description.is_map:
        if step not in (None, 1):
            raise OdecError.of("E0606", f"{description.name} is a map: it has no step length", "leave the step away")
        if rtol is not None or atol is not None:
            raise OdecError.of("E0606", f"{description.name} is a map: it has no error", "leave the tolerance away")
        return Choice(methods.DEFAULT_METHOD, 1.0)
    tolerant = rtol is not None or atol is not None
    if step is not None:
        if tolerant or method == names.AUTO:
            said = f"method {names.AUTO}" if method == names.AUTO else "a tolerance"
            message = f"{said} chooses the steps, and a step of {step} was said too"
            raise OdecError.of("E0606", message, "leave one of them away")
        return Choice(method or _fixed(defaults.method), _positive("step", step))
    if tolerant or method == names.AUTO:
        # The model's step is set aside, and its method where that has no error estimate.
        own = defaults.method
        if method is None and own not in (None, names.AUTO) and (defaults.step is None or methods.tableau(own).error):
            method = own
        found = Choice(None if method == names.AUTO else method)
        return replace(found, rtol=_relative(rtol), atol=_absolute(description, atol))
    if defaults.step is not None:
        return Choice(method or _fixed(defaults.method), _positive("step", defaults.step))
    return Choice(_fixed(method or defaults.method))


def refuse_atol(found: Choice) -> None:
    """E0606 where an absolute tolerance is asked of a run whose step is halved."""
    if found.atol is not None:
        message = "a run whose step is halved until two solutions agree has no absolute tolerance"
        raise OdecError.of(
            "E0606", message, f"say rtol alone, or choose a method that adapts: {methods.ADAPTIVE_METHOD}"
        )


def _fixed(method: str | None) -> str | None:
    return None if method == names.AUTO else method


def _positive(name: str, length: Any) -> float:
    found = number(f"the {name}", length, "E0606")
    if not found > 0:
        raise OdecError.of("E0606", f"the {name} must be positive, not {found:g}")
    return found


def _relative(rtol: Any) -> float | None:
    if rtol is None:
        return None
    found = number("rtol", rtol, "E0606")
    if not 0 < found < 1:
        raise OdecError.of("E0606", f"rtol is {found:g}", "choose rtol between 1e-13 and 0.1")
    return found


def _absolute(description: Description, atol: Any) -> Any:
    """A number for all states, or (D,) from a mapping by name."""
    if atol is None:
        return None
    given = by_element(description, atol) if isinstance(atol, Mapping) else dict.fromkeys(("",), atol)
    found = {name: number(f"atol of `{name}`" if name else "atol", value, "E0606") for name, value in given.items()}
    if any(value < 0 for value in found.values()):
        raise OdecError.of("E0606", f"atol is {min(found.values()):g}", "an absolute tolerance is not negative")
    if not isinstance(atol, Mapping):
        return found[""]
    known = description.state_elements
    for name in found:
        if name not in known:
            cure = nearest(name, known) or f"it has {', '.join(known)}"
            raise OdecError.of("E0603", f"{description.name} has no state `{name}`", cure)
    left = [f"`{name}`" for name in known if name not in found]
    if left:
        message = f"atol is said for some states and not for {', '.join(left)}"
        raise OdecError.of("E0606", message, "name each state, or give one number for all")
    return np.array([found[name] for name in known])


def rows(
    description: Description,
    to: float | None,
    start: float | None,
    step: float | None,
    every: float | None,
    times: Sequence[float] | None,
) -> tuple[float, np.ndarray]:
    """The start, and the times of the rows."""
    defaults = description.defaults
    begin = number("the start time", defaults.start if start is None else start, "E0604")
    stop = defaults.stop if to is None else to
    if times is not None:
        asked = np.asarray([number("a time", t, "E0604") for t in np.ravel(np.asarray(times, dtype=object))])
        if asked.size == 0:
            raise OdecError.of("E0604", "no time was asked for", "give at least one time")
    else:
        spacings = [every, defaults.every] + ([1.0] if description.is_map else [step, defaults.step])
        spacing = next((length for length in spacings if length is not None), None)
        asked = _between(
            description, begin, stop, None if spacing is None else _positive("spacing of the rows", spacing)
        )
    check_steps(description, begin, asked)
    return begin, asked


def _between(description: Description, start: float, stop: float | None, spacing: float | None) -> np.ndarray:
    """The start, the end and the rows between."""
    if stop is None:
        cure = "give an end: `--to 100`, or `solve to 100` in the model"
        raise OdecError.of("E0602", f"{description.name} does not say how long to run", cure)
    stop = number("the end time", stop, "E0604")
    spacing = spacing or abs(stop - start) / DEFAULT_ROWS or 1.0
    if abs(stop - start) / spacing > MOST_ROWS:
        message = f"rows every {spacing:g} make more than {MOST_ROWS} rows"
        raise OdecError.of("E0606", message, "ask for fewer with `--every`")
    return rows_between(start, stop, spacing)


def settings(description: Description, settings: Mapping[str, float] | None) -> tuple[np.ndarray, dict[str, float]]:
    """The params in their order, and the consts that are replaced."""
    values = {param.name: param.value for param in scalar_params(description)}
    known = [const.name for const in description.consts]
    consts: dict[str, float] = {}
    for name, value in by_element(description, settings or {}).items():
        if name not in values and name not in known:
            cure = (
                of_another_kind(description, name)
                or nearest(name, [*values, *known])
                or f"it has {', '.join([*values, *known]) or 'none'}"
            )
            raise OdecError.of("E0603", f"{description.name} has no param or const `{name}`", cure)
        (values if name in values else consts)[name] = number(f"`{name}`", value, "E0606")
    return np.array(list(values.values()), dtype=np.float64), consts


def of_another_kind(description: Description, name: str) -> str:
    """How a name is given that the model has, but as something else than was asked for; else ""."""
    computed = "`{0}` is computed by the equations; a number to be chosen is a `param` or a `const`"
    kinds: tuple[tuple[Sequence[str], str], ...] = (
        (description.state_elements, "`{0}` is a state: `--init {0}=1` gives its start"),
        (description.param_elements, "`{0}` is a param: `--set {0}=1` gives its value"),
        ([const.name for const in description.consts], "`{0}` is a const: `--set {0}=1` gives its value"),
        ([u.name for u in description.inputs], "`{0}` is an input: `--input {0}=table.csv` gives its table"),
        ([output.name for output in description.outputs], computed),
    )
    return next((cure.format(name) for known, cure in kinds if name in known), "")


def by_element(description: Description, given: Mapping[str, Any]) -> dict[str, Any]:
    """A value for each element: an array's own name takes a number for all of it, or nested numbers of its shape."""
    shapes = {param.name: param.shape for param in description.params}
    shapes |= {state.name: state.shape for state in description.states}
    found: dict[str, Any] = {}
    for name, value in given.items():
        elements, shape = description.expanded([name]), shapes.get(name, ())
        if not shape or isinstance(value, str) or np.ndim(value) == 0:
            found |= dict.fromkeys(elements, value)
            continue
        if np.shape(value) != shape:
            message = f"`{name}` has the shape {shape}, and the value given for it {np.shape(value)}"
            raise OdecError.of("E0606", message, f"give one number, or numbers of the shape {shape}")
        found |= dict(zip(elements, np.asarray(value, dtype=object).ravel(), strict=True))
    return found


def number(what: str, value: Any, code: str) -> float:
    """The value as a finite number; an error of that code where it is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise OdecError.of(code, f"{what} is {value!r}, which is not a number") from None
    if not np.isfinite(found):
        raise OdecError.of(code, f"{what} is {found}", "give a finite number")
    return found


def check_initial(model: type[Model], init: Mapping[str, float]) -> None:
    """E0603 for a start of what is no state; E0606 when a state has no start value: neither its own nor one given."""
    known = model.description.state_elements
    for name in init:
        if name not in known:
            cure = of_another_kind(model.description, name) or nearest(name, known) or f"it has {', '.join(known)}"
            raise OdecError.of("E0603", f"{model.description.name} has no state `{name}`", cure)
    given = set(model.description.expanded(init))
    without = model.description.expanded(state.name for state in model.description.states if not state.has_start)
    missing = [element for element in without if element not in given]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        raise OdecError.of(
            "E0606",
            f"{names} {'has' if len(missing) == 1 else 'have'} no initial value",
            f"give one: `--init {missing[0]}=1`, or `state {missing[0]} = 1` in the model",
        )
