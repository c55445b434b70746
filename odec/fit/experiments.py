"""Which numbers each experiment runs with: from what is searched to the rows of a batch, and back for derivatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from odec.diagnostics import OdecError, nearest
from odec.fit.conditions import Overrides
from odec.runtime.description import Description, Param
from odec.runtime.guesses import scalar_params


@dataclass(frozen=True, eq=False)
class Slots:
    """What E experiments take for N names: the coordinate `index` (E, N), or, where that is -1, `numbers` (E, N)."""

    names: tuple[str, ...]
    index: np.ndarray
    numbers: np.ndarray

    @classmethod
    def of(cls, names: Sequence[str], rows: Sequence[Sequence[int | float]]) -> Slots:
        """From a table in which a Python int is a coordinate and a float a number."""
        shape = (len(rows), len(names))
        index = np.array([[x if isinstance(x, int) else -1 for x in row] for row in rows], dtype=int).reshape(shape)
        numbers = np.array([[0.0 if isinstance(x, int) else x for x in row] for row in rows]).reshape(shape)
        return cls(tuple(names), index, numbers)

    def values(self, theta: np.ndarray) -> np.ndarray:
        """The numbers (S, E, N) at the coordinates' values `theta` (S, Q)."""
        shape = (len(theta), *self.index.shape)
        if not theta.shape[1]:
            return np.broadcast_to(self.numbers, shape)
        return np.where(self.index < 0, self.numbers, theta[:, np.maximum(self.index, 0)])

    def matrix(self, count: int) -> np.ndarray:
        """d values / d theta (E, N, Q), ones and zeros, for Q = `count` coordinates."""
        return (self.index[:, :, None] == np.arange(count)).astype(float)

    def rows(self, chosen: Sequence[int]) -> Slots:
        """Those of some experiments."""
        return replace(self, index=self.index[list(chosen)], numbers=self.numbers[list(chosen)])

    def columns(self, names: Sequence[str]) -> Slots:
        """Those of some names."""
        places = [self.names.index(name) for name in names]
        return Slots(tuple(names), self.index[:, places], self.numbers[:, places])


@dataclass(frozen=True, eq=False)
class Group:
    """Experiments that one compiled call can run: the same states are given a start in each. `initial` has their
    rows."""

    experiments: tuple[int, ...]
    initial: Slots


@dataclass(frozen=True)
class Settings:
    """What one experiment runs with: every param, and the consts and start values that are not the model's own."""

    params: Mapping[str, float]
    consts: Mapping[str, float]
    initial: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Design:
    """All experiments of a fit. `coordinates` are what is searched (Q of them), named `k`, or `k[e1]` where a param has
    a value for each experiment; `params` has a column for each param of the model; `consts` holds a number for each
    experiment (E,) for every const that is no array, `replaced` names those that are not the model's own; every
    experiment is in one of the `groups`. `fixed` are params that are not searched.
    """

    experiments: tuple[str, ...]
    coordinates: tuple[Param, ...]
    params: Slots
    consts: Mapping[str, np.ndarray]
    replaced: tuple[str, ...]
    groups: tuple[Group, ...]
    fixed: Mapping[str, float]

    @property
    def names(self) -> tuple[str, ...]:
        """The coordinates' names (Q,)."""
        return tuple(param.name for param in self.coordinates)

    def settings(self, theta: np.ndarray, experiment: int) -> Settings:
        """What one experiment runs with at the coordinates' values `theta` (Q,)."""
        params = self.params.values(theta[None])[0, experiment]
        group = next(group for group in self.groups if experiment in group.experiments)
        starts = group.initial.values(theta[None])[0, group.experiments.index(experiment)]
        return Settings(
            dict(zip(self.params.names, params.tolist(), strict=True)),
            {name: float(self.consts[name][experiment]) for name in self.replaced},
            dict(zip(group.initial.names, starts.tolist(), strict=True)),
        )


def design_of(
    model: Any,
    experiments: Sequence[str],
    overrides: Sequence[Overrides],
    fix: Mapping[str, float] | None = None,
    consts: Mapping[str, float] | None = None,
    initial: Mapping[str, float] | None = None,
) -> Design:
    """The design of a model's experiments, each with its `overrides`.

    `fix` holds values of params that are not searched; `consts` and `initial` replace the model's own in every
    experiment that does not say otherwise. Raises OdecError: E0603 for a name that is none, E0702 for a const that a
    condition replaces by a param.
    """
    description: Description = model.description
    own = {param.name: names_of(param, experiments) for param in scalar_params(description)}
    fixed = by_coordinate(description, experiments, fix or {})
    _check_fixed(own, fixed)
    searched = _searched(description, experiments, overrides, own, fixed)
    place = {param.name: i for i, param in enumerate(searched)}
    constants = [_constants(model, row, consts or {}) for row in overrides]

    def found(name: str, e: int, value: Any = None) -> int | float:
        """The coordinate (int) or number (float) that a param stands for, or that a condition says."""
        if isinstance(value, float):
            return value
        if value in constants[e]:
            return float(constants[e][value])
        coordinate = own[value or name][e]
        return place[coordinate] if coordinate in place else float(fixed[coordinate])

    count = range(len(experiments))
    params = [[found(name, e, overrides[e].get(name)) for name in own] for e in count]
    given = [_starts(description, overrides[e], initial or {}) for e in count]
    _check_starts(description, experiments, given)
    groups = []
    for states in dict.fromkeys(tuple(start) for start in given):
        chosen = tuple(e for e in count if tuple(given[e]) == states)
        groups.append(Group(chosen, Slots.of(states, [[found("", e, given[e][s]) for s in states] for e in chosen])))
    names = [const.name for const in description.consts if not const.shape]
    return Design(
        tuple(experiments),
        searched,
        Slots.of(tuple(own), params),
        {name: np.array([float(constants[e][name]) for e in count]) for name in names},
        tuple(name for name in names if name in (consts or {}) or any(name in row for row in overrides)),
        tuple(groups),
        fixed,
    )


def names_of(param: Param, experiments: Sequence[str]) -> tuple[str, ...]:
    """The coordinate that each experiment takes for a param: its own, `k[e1]`, or the one of all."""
    if not param.per_experiment or tuple(experiments) == ("",):
        return (param.name,) * len(experiments)
    return tuple(f"{param.name}[{experiment}]" for experiment in experiments)


def by_coordinate(description: Description, experiments: Sequence[str], given: Mapping[str, float]) -> dict[str, float]:
    """Values by coordinate: the name of a `per experiment` param means each of its values; `k[e1]` wins over `k`. A
    name that is no param stays."""
    own = {param.name: names_of(param, experiments) for param in scalar_params(description)}
    found = {coordinate: value for name, value in given.items() for coordinate in own.get(name, ())}
    return found | {name: value for name, value in given.items() if name not in own or own[name][0] == name}


def _check_starts(
    description: Description, experiments: Sequence[str], given: Sequence[Mapping[str, float | str]]
) -> None:
    """E0606 where a state has no start value in an experiment: neither its own nor one given."""
    without = description.expanded(state.name for state in description.states if not state.has_start)
    for experiment, starts in zip(experiments, given, strict=True):
        missing = [element for element in without if element not in starts]
        if missing:
            names = ", ".join(f"`{name}`" for name in missing)
            where = f" in experiment `{experiment}`" if experiment else ""
            x = missing[0]
            raise OdecError.of(
                "E0606",
                f"{names} {'has' if len(missing) == 1 else 'have'} no initial value{where}",
                f"write `state {x} = 1` into the model, or `param {x}0 = 1` and `state {x} = {x}0` where it is to be "
                f"fitted; what differs between experiments is a column `{x}` of the conditions",
            )


def _check_fixed(own: Mapping[str, tuple[str, ...]], fixed: Mapping[str, float]) -> None:
    known = sorted({name for names in own.values() for name in names})
    for name, value in fixed.items():
        if name not in known:
            cure = nearest(name, known) or f"its params are {', '.join(f'`{k}`' for k in known) or 'none'}"
            raise OdecError.of("E0603", f"`{name}` is to be fixed, but is no param of the model", help=cure)
        if not np.isfinite(value):
            raise OdecError.of("E0606", f"`{name}` is fixed at {value}", help="give a finite number")


def _searched(
    description: Description,
    experiments: Sequence[str],
    overrides: Sequence[Overrides],
    own: Mapping[str, tuple[str, ...]],
    fixed: Mapping[str, float],
) -> tuple[Param, ...]:
    """A param for each coordinate; none for one that is fixed, or that no experiment takes."""
    found: dict[str, Param] = {}
    for param in scalar_params(description):
        for e, coordinate in enumerate(own[param.name]):
            taken = param.name not in overrides[e] or param.name in overrides[e].values()
            if taken and coordinate not in fixed:
                found[coordinate] = replace(param, name=coordinate)
    return tuple(found.values())


def _constants(model: Any, row: Overrides, consts: Mapping[str, float]) -> dict[str, Any]:
    """Every const of one experiment by name."""
    given = dict(consts)
    names = [const.name for const in model.description.consts]
    plain = model.constants(dict(given))
    for name in names:
        if name not in row:
            continue
        value = row[name]
        if isinstance(value, str) and value not in names:
            message = f"a condition replaces the const `{name}` by the param `{value}`"
            raise OdecError.of("E0702", message, help=f"declare it `param {name}` in the model")
        given[name] = float(plain[value]) if isinstance(value, str) else value
    with np.errstate(all="ignore"):
        found: dict[str, Any] = model.constants(given)
    return {name: found[name] for name in names}


def _starts(description: Description, row: Overrides, initial: Mapping[str, float]) -> dict[str, float | str]:
    """The start values that are given in one experiment, in the model's order."""
    given: dict[str, float | str] = {
        element: float(value) for name, value in initial.items() for element in description.expanded([name])
    }
    given |= {name: value for name, value in row.items() if name in description.state_elements}
    return {name: given[name] for name in description.state_elements if name in given}


def moving_params(model: Any) -> tuple[str, ...]:
    """The elements of params on which more than the noise of data depends."""
    description: Description = model.description
    of_noise = description.expanded([param.name for param in description.params if param.of_noise])
    return tuple(name for name in description.param_elements if name not in of_noise)
