"""Linear solves of a stiff step: W = shift·I − J factorised once, then W⁻¹ r for each stage. The batch is last.

A sparse J is eliminated as straight-line code: which numbers stand where is known when the program is built, so the
order of the pivots and the fill are worked out there, and zeros cost nothing. Where that would be too much code, states
with few neighbours each are eliminated in blocks (`bands.py`); else a loop inverts W, and a solve is one multiplication
and sum.

No pivot is chosen by its size. W tends to a multiple of the unit matrix as the step shrinks, so a pivot that is too
small makes a row's error estimate huge (or NaN), its step is rejected, and a shorter one has better pivots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from keras import ops

from odec.runtime import loops
from odec.runtime.bands import banded, bands_of
from odec.runtime.inverse import Inverse

Tensor = Any
Place = tuple[int, int]
Solve = Callable[[Tensor], Tensor]

# Solves of one step, for weighing straight-line code against an inverse.
SOLVES = 8
# A step of fewer multiplications is always straight-line code; one of more never is, as it takes too long to compile.
FEW_OPERATIONS, MOST_OPERATIONS = 300, 2000
# Between the two, one multiplication of straight-line code takes as long as this many of the loop that inverts.
WEIGHT = 3
# XLA computes a value again in each kernel that reads it, unless it is a quotient: those are computed once. So a value
# is divided by 1 where computing it again would take more operations than this.
MOST_REPEATED = 64


def factorised(shift: Tensor, jacobian: Mapping[Place, Any] | Tensor, size: int) -> Solve:
    """`solve(r)` = W⁻¹ r, W = shift·I − J, for r of shape (size, batch) or (size, Q, batch).

    `shift` is 0-d or (batch,). `jacobian` holds the entries of J that are not zero by their places (row, column), each
    a Python number, 0-d or (batch,); or it is all of J, (size, size, batch).

    The gradient by r, shift and J is that of the solution: W⁻ᵀ upstream, from the same factors.
    """
    if isinstance(jacobian, Mapping):
        return _sparse(shift, jacobian, size)
    return _dense(ops.eye(size, dtype=jacobian.dtype)[:, :, None] * shift - jacobian)


def _dense(matrix: Tensor) -> Solve:
    """Solves with all of W, (n, n, batch)."""
    factors = Inverse.of(ops.stop_gradient(matrix))

    def backward(upstream: Tensor, u: Tensor, _: Tensor, __: Tensor) -> list[Tensor]:
        adjoint = factors.solved_transposed(upstream)
        # W u = r, so that the share of W_ij is −adjoint_i u_j.
        shares = -adjoint[:, None] * u[None]
        return [ops.sum(shares, axis=2) if len(u.shape) == 3 else shares, adjoint]

    solve = loops.with_gradient(lambda _, r: factors.solved(r), backward)
    return lambda r: solve(matrix, r)


def _sparse(shift: Tensor, jacobian: Mapping[Place, Any], size: int) -> Solve:
    """Solves with W from the entries of J."""
    pattern = frozenset(jacobian) | {(i, i) for i in range(size)}
    plan = elimination(pattern, size)
    bands = None if is_straight(plan) else bands_of(pattern, size)
    if bands is not None:
        found = _packed([value + ops.zeros_like(shift) for value in jacobian.values()])
        return banded(shift, found if len(found.shape) == 2 else found[:, None], bands, list(jacobian))
    entries = {place: -value for place, value in jacobian.items()}
    entries |= {(i, i): shift + entries.get((i, i), 0.0) for i in range(size)}
    numbers = {place: value for place, value in entries.items() if isinstance(value, int | float)}
    places = tuple(place for place in entries if place not in numbers)
    packed = _packed([entries[place] for place in places])
    fixed = numbers | dict(zip(places, ops.unstack(ops.stop_gradient(packed)), strict=True))
    factors: _Factors | Inverse
    if is_straight(plan):
        factors = _Factors.of(plan, fixed, ops.stop_gradient(shift / shift))
    else:
        factors = Inverse.of(_filled(fixed, size))
    rows, columns = [i for i, _ in places], [j for _, j in places]

    def backward(upstream: Tensor, u: Tensor, _: Tensor, __: Tensor) -> list[Tensor]:
        adjoint = factors.solved_transposed(upstream)
        shares = -ops.take(adjoint, rows, axis=0) * ops.take(u, columns, axis=0)
        # Summed over Q, and over the batch where all its rows share W.
        summed = range(1, len(shares.shape) - len(packed.shape) + 1)
        return [ops.sum(shares, axis=tuple(summed)) if summed else shares, adjoint]

    solve = loops.with_gradient(lambda _, r: factors.solved(r), backward)
    return lambda r: solve(packed, r)


def is_straight(plan: Elimination) -> bool:
    """Whether a step with this plan is better written out than done with an inverse."""
    size = len(plan.order)
    operations = plan.factor_operations + SOLVES * plan.solve_operations
    inverse = size**3 + SOLVES * size**2
    return operations <= FEW_OPERATIONS or (operations <= MOST_OPERATIONS and WEIGHT * operations <= inverse)


def _packed(values: Sequence[Tensor]) -> Tensor:
    """The values in one array, (number,) or (number, batch)."""
    wide = next((value for value in values if len(value.shape) == 1), None)
    return ops.stack(values if wide is None else [value + ops.zeros_like(wide) for value in values])


def _filled(entries: Mapping[Place, Any], size: int) -> Tensor:
    """The matrix (size, size, batch) of which these entries are not zero; of batch 1 where they are 0-d."""
    zero = ops.zeros_like(entries[0, 0])
    rows = ops.stack([zero, *(value + zero for value in entries.values())])
    row_of = {place: row for row, place in enumerate(entries, start=1)}
    table = [row_of.get((i, j), 0) for i in range(size) for j in range(size)]
    return ops.reshape(ops.take(rows, table, axis=0), (size, size, -1))


@dataclass(frozen=True)
class Elimination:
    """What factorising one pattern does, in order: known without any number.

    `blocks` are sets of places that determine one another, each behind those that it needs, and within a block in the
    order of the pivots. `outside[i]` are the columns of row i in blocks before its own, `below[k]` and `right[k]` the
    rows and columns of k's block that are not zero when k is the pivot.
    """

    blocks: tuple[tuple[int, ...], ...]
    outside: tuple[tuple[int, ...], ...]
    below: tuple[tuple[int, ...], ...]
    right: tuple[tuple[int, ...], ...]

    @property
    def order(self) -> tuple[int, ...]:
        """All places, in the order of the pivots."""
        return tuple(k for block in self.blocks for k in block)

    @cached_property
    def readers(self) -> Counter[int]:
        """How many other unknowns each is needed for, once it is known."""
        return Counter(j for row in (*self.right, *self.outside) for j in row)

    @cached_property
    def readers_transposed(self) -> Counter[int]:
        """`readers` of a solve with the transposed matrix."""
        return Counter(i for column in self.below for i in column) + Counter(dict(enumerate(map(len, self.outside))))

    @property
    def factor_operations(self) -> int:
        """Multiplications and divisions of one factorisation."""
        return sum(1 + len(b) * (1 + len(r)) for b, r in zip(self.below, self.right, strict=True))

    @property
    def solve_operations(self) -> int:
        """Multiplications of one solve."""
        return sum(1 + len(o) + len(b) + len(r) for o, b, r in zip(self.outside, self.below, self.right, strict=True))


@lru_cache(maxsize=256)
def elimination(pattern: frozenset[Place], size: int) -> Elimination:
    """The elimination of a matrix that is not zero at the places of `pattern` and on its diagonal.

    Blocks are the strongly connected components (R. Tarjan, 1972), so that between blocks nothing fills in. Inside one
    the next pivot is the place on the diagonal with the least (rows below) × (columns to the right) (H. Markowitz,
    1957), the first of equals.
    """
    columns: list[set[int]] = [set() for _ in range(size)]
    for i, j in pattern:
        if i != j:
            columns[i].add(j)
    outside: list[tuple[int, ...]] = [()] * size
    below: list[tuple[int, ...]] = [()] * size
    right: list[tuple[int, ...]] = [()] * size
    blocks = []
    for block in _components(columns):
        for i in block:
            outside[i] = tuple(sorted(columns[i] - block))
        across = {i: columns[i] & block for i in block}
        down: dict[int, set[int]] = {i: {k for k in block if i in across[k]} for i in block}
        order = []
        while across:
            pivot = min(across, key=lambda k: (len(down[k]) * len(across[k]), k))
            order.append(pivot)
            right[pivot], below[pivot] = tuple(sorted(across.pop(pivot))), tuple(sorted(down.pop(pivot)))
            for i in below[pivot]:
                across[i] |= set(right[pivot]) - {i}
                across[i].discard(pivot)
            for j in right[pivot]:
                down[j] |= set(below[pivot]) - {j}
                down[j].discard(pivot)
        blocks.append(tuple(order))
    return Elimination(tuple(blocks), tuple(outside), tuple(below), tuple(right))


def _components(edges: Sequence[set[int]]) -> list[set[int]]:
    """The strongly connected components of a graph, each behind those that its edges lead to. Without recursion."""
    found: list[set[int]] = []
    number: dict[int, int] = {}
    lowest: dict[int, int] = {}
    waiting: list[int] = []
    done: set[int] = set()
    for root in range(len(edges)):
        path = [] if root in number else [(root, iter(sorted(edges[root])))]
        if path:
            number[root] = lowest[root] = len(number)
            waiting.append(root)
        while path:
            node, rest = path[-1]
            for other in rest:
                if other not in number:
                    number[other] = lowest[other] = len(number)
                    waiting.append(other)
                    path.append((other, iter(sorted(edges[other]))))
                    break
                if other not in done:
                    lowest[node] = min(lowest[node], number[other])
            else:
                path.pop()
                if path:
                    above = path[-1][0]
                    lowest[above] = min(lowest[above], lowest[node])
                if lowest[node] == number[node]:
                    start = waiting.index(node)
                    found.append(set(waiting[start:]))
                    done.update(waiting[start:])
                    del waiting[start:]
    return found


@dataclass(frozen=True)
class _Factors:
    """W = L U inside each block of a plan: the entries of L, U and outside the blocks, the pivots as reciprocals.

    `one` is a 1 that XLA cannot see to be one.
    """

    plan: Elimination
    entries: Mapping[Place, Any]
    reciprocals: Mapping[int, Any]
    one: Tensor

    @classmethod
    def of(cls, plan: Elimination, entries: Mapping[Place, Any], one: Tensor) -> _Factors:
        """Gauss's elimination, the pivots in the plan's order."""
        a, reciprocals = _Values(entries.items(), one), {}
        for k in plan.order:
            reciprocals[k] = 1.0 / a[k, k]
            for j in plan.right[k]:
                a.share((k, j), SOLVES + len(plan.below[k]))
            for i in plan.below[k]:
                a.scale((i, k), reciprocals[k])
                a.share((i, k), SOLVES + len(plan.right[k]))
                for j in plan.right[k]:
                    a.subtract((i, j), a[i, k], (k, j))
        return cls(plan, a, reciprocals, one)

    def solved(self, r: Tensor) -> Tensor:
        """W⁻¹ r."""
        plan, a = self.plan, self.entries
        x = _Values(enumerate(ops.unstack(r)), self.one)
        for block in plan.blocks:
            for i in block:
                for j in plan.outside[i]:
                    x.subtract(i, a[i, j], j)
            for k in block:
                x.share(k, len(plan.below[k]) + 1)
                for i in plan.below[k]:
                    x.subtract(i, a[i, k], k)
            for k in reversed(block):
                for j in plan.right[k]:
                    x.subtract(k, a[k, j], j)
                x.scale(k, self.reciprocals[k])
                x.share(k, plan.readers[k] + 1)
        return ops.stack([x[i] for i in range(len(x))])

    def solved_transposed(self, r: Tensor) -> Tensor:
        """W⁻ᵀ r: the same steps in reverse, each transposed."""
        plan, a = self.plan, self.entries
        x = _Values(enumerate(ops.unstack(r)), self.one)
        for block in reversed(plan.blocks):
            for k in block:
                x.scale(k, self.reciprocals[k])
                x.share(k, len(plan.right[k]) + 1)
                for j in plan.right[k]:
                    x.subtract(j, a[k, j], k)
            for k in reversed(block):
                for i in plan.below[k]:
                    x.subtract(k, a[i, k], i)
                x.share(k, plan.readers_transposed[k] + 1)
            for i in block:
                for j in plan.outside[i]:
                    x.subtract(j, a[i, j], i)
        return ops.stack([x[i] for i in range(len(x))])


class _Values(dict[Any, Any]):
    """Numbers and (…, batch) arrays on which code is written out, each with the operations that it takes to compute."""

    def __init__(self, values: Iterable[tuple[Hashable, Any]], one: Tensor) -> None:
        super().__init__(values)
        self._one = one
        self._work = dict.fromkeys(self, 0)

    def subtract(self, key: Hashable, factor: Any, other: Hashable) -> None:
        """self[key] −= factor · self[other]; a missing one is zero."""
        product = factor * self[other]
        self[key] = self[key] - product if key in self else -product
        self._work[key] = self._work.get(key, 0) + 2 + self._work[other]

    def scale(self, key: Hashable, factor: Any) -> None:
        """self[key] ·= factor."""
        self[key] = self[key] * factor
        self._work[key] += 1

    def share(self, key: Hashable, readers: int) -> None:
        """Compute self[key] once for its readers if that saves more than it costs."""
        if self._work[key] * (readers - 1) > MOST_REPEATED:
            self[key] = self[key] / self._one
            self._work[key] = 0
