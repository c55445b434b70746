"""What a generated module says of its model: names, numbers and shapes, never equations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any, Literal


def element_names(name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """The names of an array's elements, the last index fastest: x[0], x[1]; W[0,0], W[0,1]; a number is itself."""
    if not shape:
        return (name,)
    return tuple(f"{name}[{','.join(map(str, place))}]" for place in product(*map(range, shape)))


@dataclass(frozen=True)
class State:
    """A state in the order of the model file; `shape` is () for a number, else an array's shape. `has_start` is False
    where the model gives no initial value."""

    name: str
    description: str = ""
    shape: tuple[int, ...] = ()
    has_start: bool = True


@dataclass(frozen=True)
class Prior:
    """What is believed of a param before the data: a distribution of the language and its numbers."""

    kind: str
    arguments: tuple[float, ...]


@dataclass(frozen=True)
class Param:
    """A trainable parameter: first guess, bounds, whether it is searched on a log scale, and whether nothing but the
    noise of data depends on it.

    An array's `value` is one number for all elements, nested tuples, or the name of a Keras initializer.
    """

    name: str
    value: float | str | tuple[Any, ...]
    lower: float = -math.inf
    upper: float = math.inf
    log: bool = False
    description: str = ""
    shape: tuple[int, ...] = ()
    per_experiment: bool = False
    prior: Prior | None = None
    of_noise: bool = False

    def __post_init__(self) -> None:
        assert not isinstance(self.value, float) or self.lower <= self.value <= self.upper, self


@dataclass(frozen=True)
class Const:
    """A number that is never trained but may be replaced for a run."""

    name: str
    description: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Size:
    """A whole number used in shapes; `value` is the model's own, the layer's constructor may give another."""

    name: str
    value: int
    description: str = ""


@dataclass(frozen=True)
class Input:
    """A signal from outside, given as a series."""

    name: str
    interpolation: Literal["linear", "hold"]
    description: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Noise:
    """How data scatter about an output (or state): the distribution whose location the output is."""

    output: str
    kind: str


@dataclass(frozen=True)
class Jump:
    """A change of states at a moment; `text` is the user's line."""

    kind: Literal["at", "every", "when"]
    text: str


@dataclass(frozen=True)
class Net:
    """A trainable function of so many numbers; `shape` is that of what it gives. Without `layers` it is a Keras model,
    handed over when the layer is made, else the weights of its layers are among the params."""

    name: str
    inputs: int
    shape: tuple[int, ...] = ()
    layers: int = 0
    description: str = ""

    @property
    def weights(self) -> tuple[str, ...]:
        """The names of its params."""
        return tuple(f"{self.name}_{place}_{part}" for place in range(self.layers) for part in ("kernel", "bias"))


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
    is_map: bool = False
    sizes: tuple[Size, ...] = ()
    inputs: tuple[Input, ...] = ()
    data: tuple[str, ...] = ()
    noises: tuple[Noise, ...] = ()
    jumps: tuple[Jump, ...] = ()
    nets: tuple[Net, ...] = ()

    @cached_property
    def state_elements(self) -> tuple[str, ...]:
        """The name of each number that changes: `x`, or `x[0]`, `x[1]` of a vector."""
        return _elements(self.states)

    @cached_property
    def param_elements(self) -> tuple[str, ...]:
        """The name of each number that is trained."""
        return _elements(self.params)

    @cached_property
    def output_elements(self) -> tuple[str, ...]:
        """The name of each number that can be asked for beside the states."""
        return _elements(self.outputs)

    def expanded(self, names: Iterable[str]) -> tuple[str, ...]:
        """The elements that names of states, params and outputs stand for: an array's own name means all of it."""
        items: tuple[Any, ...] = (*self.outputs, *self.params, *self.states)
        shapes = {item.name: item.shape for item in items}
        return tuple(element for name in names for element in element_names(name, shapes.get(name, ())))

    def resized(self, shapes: Mapping[str, tuple[int, ...]], sizes: Mapping[str, int]) -> Description:
        """The description with other sizes, and the arrays' shapes that follow from them."""

        def shaped(items: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(replace(item, shape=shapes.get(item.name, item.shape)) for item in items)

        return replace(
            self,
            states=shaped(self.states),
            params=shaped(self.params),
            consts=shaped(self.consts),
            inputs=shaped(self.inputs),
            outputs=shaped(self.outputs),
            sizes=tuple(replace(size, value=sizes.get(size.name, size.value)) for size in self.sizes),
        )


def _elements(items: Iterable[Any]) -> tuple[str, ...]:
    return tuple(element for item in items for element in element_names(item.name, item.shape))
