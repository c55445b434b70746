"""The model's formulas in NumPy, one operation after the other, as they stand in the text: no pass of the compiler has
changed them, and nothing of the runtime is used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from odec.model.expression import Expression, applied, evaluate, postorder
from odec.model.model import Net

# A number, or an array without a batch.
Value = Any
Known = Mapping[Expression, Value]

_ARRAYS = {
    "matmul": lambda args: args[0] @ args[1],
    "sum": lambda args: np.sum(args[0]),
    "mean": lambda args: np.mean(args[0]),
    "largest": lambda args: np.max(args[0]),
    "smallest": lambda args: np.min(args[0]),
    "roll": lambda args: np.roll(args[0], int(args[1])),
    "index": lambda args: args[0][tuple(item if isinstance(item, slice) else int(item) for item in args[1:])],
    "slice": lambda args: slice(*(None if end is None else int(end) for end in args)),
    "missing": lambda args: None,
    "array": lambda args: np.stack(np.broadcast_arrays(*args)),
    "range": lambda args: np.arange(float(args[0])),
}


def values(roots: Iterable[Expression], known: Known, nets: Mapping[str, Net]) -> list[Value]:
    """The values of the roots where symbols have those that are `known`; NaN where there is none."""
    roots, found = tuple(roots), dict(known)
    for node in postorder(roots, known):
        args = [found[argument] for argument in node.args]
        if node.head in _ARRAYS:
            found[node] = _ARRAYS[node.head](args)
        elif node.head == "net":
            found[node] = _layers(nets[str(node.value)], args, known, nets)
        elif node.shape:
            found[node] = np.vectorize(lambda *each, node=node: applied(node, list(each)), otypes=[float])(*args)
        else:
            found[node] = applied(node, args)
    return [found[root] for root in roots]


def _layers(net: Net, inputs: list[Value], known: Known, nets: Mapping[str, Net]) -> Value:
    """What a net makes of its inputs."""
    value = np.concatenate([np.ravel(x) for x in inputs])
    for layer in net.layers:
        linear = value @ known[layer.kernel.symbol] + known[layer.bias.symbol]
        (value,) = values([layer.formula], {**known, layer.argument: linear}, nets)
    return value if net.outputs else value[0]


def shape(written: tuple[Expression, ...], sizes: Mapping[Expression, float]) -> tuple[int, ...]:
    """A shape that is written in terms of sizes."""
    return tuple(map(int, evaluate(written, dict(sizes))))


def filled(name: str, value: Value, shape: tuple[int, ...], replaced: Mapping[str, float]) -> Value:
    """The value of a name: its own, then as it is `replaced`, whole or by its elements (`x[0]`, `W[0,1]`), the last
    one counting; one number fills an array."""
    if not shape:
        return float(replaced.get(name, value))
    found = np.array(np.broadcast_to(np.asarray(value, dtype=float), shape))
    places = {name: (), **dict(zip(elements(name, shape), np.ndindex(*shape), strict=True))}
    for element, number in replaced.items():
        if element in places:
            found[places[element]] = number
    return found


def elements(name: str, shape: tuple[int, ...]) -> list[str]:
    """The names of an array's elements, the last index fastest; a number is itself."""
    return [f"{name}[{','.join(map(str, place))}]" if place else name for place in np.ndindex(*shape)]


def packed(parts: Iterable[Value]) -> np.ndarray:
    """All numbers in one vector."""
    return np.concatenate([np.zeros(0), *(np.ravel(part) for part in parts)])


def unpacked(vector: np.ndarray, shapes: Iterable[tuple[int, ...]]) -> list[Value]:
    """The numbers and arrays of these shapes."""
    found, place = [], 0
    for one in shapes:
        size = math.prod(one)
        found.append(vector[place : place + size].reshape(one) if one else float(vector[place]))
        place += size
    return found
