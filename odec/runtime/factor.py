"""Linear solves of a stiff step: W = shift·I − J factorised once, then W⁻¹ r for each stage. The batch is last.

A sparse J is eliminated as straight-line code: which numbers stand where is known when the program is built, so the
order of the pivots and the fill are worked out there, and zeros cost nothing.

No pivot is chosen by its size. W tends to a multiple of the unit matrix as the step shrinks, so a pivot that is too
small makes a row's error estimate huge (or NaN), its step is rejected, and a shorter one has better pivots.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from keras import ops

from odec.runtime import loops

Tensor = Any
Place = tuple[int, int]
Solve = Callable[[Tensor], Tensor]


def factorised(shift: Tensor, jacobian: Mapping[Place, Any] | Tensor, size: int) -> Solve:
    """`solve(r)` = W⁻¹ r, W = shift·I − J, for r of shape (size, batch) or (size, Q, batch).

    `shift` is 0-d or (batch,). `jacobian` holds the entries of J that are not zero, each a Python number, 0-d or
    (batch,).

    The gradient by r, shift and J's entries is that of the solution, W⁻ᵀ upstream from the same factors.
    """
    entries = _matrix(shift, jacobian, size)
    plan = elimination(frozenset(entries), size)
    places = tuple(place for place, value in entries.items() if not isinstance(value, int | float))
    numbers = {place: value for place, value in entries.items() if isinstance(value, int | float)}
    packed = _packed([entries[place] for place in places])
    fixed = ops.stop_gradient(packed)
    factors = _eliminated(plan, numbers | {place: fixed[e] for e, place in enumerate(places)})
    rows, columns = [i for i, _ in places], [j for _, j in places]

    def forward(_: Tensor, r: Tensor) -> Tensor:
        return factors.solved(r)

    def backward(upstream: Tensor, u: Tensor, packed: Tensor, _: Tensor) -> list[Tensor]:
        adjoint = factors.solved_transposed(upstream)
        # W u = r, so that the share of W_ij is −adjoint_i u_j.
        shares = -ops.take(adjoint, rows, axis=0) * ops.take(u, columns, axis=0)
        return [_summed(shares, packed), adjoint]

    solve = loops.with_gradient(forward, backward)
    return lambda r: solve(packed, r)


def _matrix(shift: Tensor, jacobian: Mapping[Place, Any], size: int) -> dict[Place, Any]:
    """The entries of shift·I − J; all of the diagonal."""
    entries = {place: -value for place, value in jacobian.items()}
    return entries | {(i, i): shift + entries.get((i, i), 0.0) for i in range(size)}


def _packed(values: Sequence[Tensor]) -> Tensor:
    """The values in one array, (number,) or (number, batch)."""
    wide = next((value for value in values if len(value.shape) == 1), None)
    return ops.stack(values if wide is None else [value + ops.zeros_like(wide) for value in values])


def _summed(shares: Tensor, like: Tensor) -> Tensor:
    """The shares (number, …, batch) summed to the shape of `like`, (number,) or (number, batch)."""
    axes = list(range(1, len(shares.shape) - (len(like.shape) - 1)))
    return ops.sum(shares, axis=axes) if axes else shares


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
    """W = L U inside each block, the pivots as reciprocals; `entries` are those of L, U and outside the blocks."""

    plan: Elimination
    entries: Mapping[Place, Any]
    reciprocals: Mapping[int, Any]

    def solved(self, r: Tensor) -> Tensor:
        """W⁻¹ r."""
        x, plan, a = ops.unstack(r), self.plan, self.entries
        for block in plan.blocks:
            for i in block:
                for j in plan.outside[i]:
                    x[i] = x[i] - a[i, j] * x[j]
            for k in block:
                for i in plan.below[k]:
                    x[i] = x[i] - a[i, k] * x[k]
            for k in reversed(block):
                for j in plan.right[k]:
                    x[k] = x[k] - a[k, j] * x[j]
                x[k] = x[k] * self.reciprocals[k]
        return ops.stack(x)

    def solved_transposed(self, r: Tensor) -> Tensor:
        """W⁻ᵀ r: the same steps in reverse, each transposed."""
        x, plan, a = ops.unstack(r), self.plan, self.entries
        for block in reversed(plan.blocks):
            for k in block:
                x[k] = x[k] * self.reciprocals[k]
                for j in plan.right[k]:
                    x[j] = x[j] - a[k, j] * x[k]
            for k in reversed(block):
                for i in plan.below[k]:
                    x[k] = x[k] - a[i, k] * x[i]
            for i in block:
                for j in plan.outside[i]:
                    x[j] = x[j] - a[i, j] * x[i]
        return ops.stack(x)


def _eliminated(plan: Elimination, entries: Mapping[Place, Any]) -> _Factors:
    """Gauss's elimination inside each block, the pivots in the plan's order."""
    a, reciprocals = dict(entries), {}
    for block in plan.blocks:
        for k in block:
            reciprocals[k] = 1.0 / a[k, k]
            for i in plan.below[k]:
                a[i, k] = factor = a[i, k] * reciprocals[k]
                for j in plan.right[k]:
                    product = factor * a[k, j]
                    a[i, j] = a[i, j] - product if (i, j) in a else -product
    return _Factors(plan, a, reciprocals)
