"""What a generated module says of its model: names, numbers and shapes, never equations."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class State:
    """A state in the order of the model file; `shape` is () for a number, else an array's shape."""

    name: str
    description: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Param:
    """A trainable parameter: first guess, bounds, whether it is searched on a log scale."""

    name: str
    value: float
    lower: float = -math.inf
    upper: float = math.inf
    log: bool = False
    description: str = ""
    shape: tuple[int, ...] = ()
    per_experiment: bool = False

    def __post_init__(self) -> None:
        assert self.lower <= self.value <= self.upper, self


@dataclass(frozen=True)
class Const:
    """A number that is never trained but may be replaced for a run."""

    name: str
    description: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Output:
    """An `observe` or an intermediate: a number that can be asked for beside the states."""

    name: str
    kind: Literal["observe", "intermediate"]
    description: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Defaults:
    """The model's `solve` statement; None where it says nothing."""

    start: float = 0.0
    stop: float | None = None
    step: float | None = None
    every: float | None = None
    method: str | None = None


@dataclass(frozen=True)
class Description:
    """All of it. `digest` is the SHA-256 of the model file's text, `version` is of the odec which wrote the module."""

    name: str
    source: str
    digest: str
    version: str
    text: str = ""
    states: tuple[State, ...] = ()
    params: tuple[Param, ...] = ()
    consts: tuple[Const, ...] = ()
    outputs: tuple[Output, ...] = ()
    defaults: Defaults = field(default_factory=Defaults)
