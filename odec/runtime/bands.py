"""Linear solves of a stiff step where each state depends on few others: W = shift·I − J in blocks about its diagonal.

The states are numbered so that those that depend on one another lie near (E. Cuthill and J. McKee, 1969), and the
numbers cut into blocks as long as the farthest of them are apart. W then has blocks on and beside its diagonal alone,
and they are eliminated one after the other: n·s² operations for n states in blocks of s, not n³. A line of N cells of a
partial differential equation has n/N states to a block or a few more, a square of N × N about N.

As everywhere (`factor.py`), no pivot is chosen by its size. The batch is last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from keras import ops

from odec.runtime import loops
from odec.runtime.inverse import Inverse

Tensor = Any
Place = tuple[int, int]

# Blocks of fewer places make the loop over blocks longer than they save in each.
SMALLEST = 8
# With fewer blocks, or fewer states, an inverse of all of W is nearly as fast, and takes up to 2 s less to compile
# where stages are written out: for 64 states a step takes 15 µs, and 110 with an inverse; for 200 it is 35 and 2,200.
FEWEST = 4
LEAST = 64


@dataclass(frozen=True, eq=False)
class Bands:
    """`order` (n,) are the states in their new order, in `count` blocks of `size`; what is behind the last state of the
    last block stands for nothing."""

    order: np.ndarray
    size: int
    count: int

    def index(self, places: Sequence[Place]) -> np.ndarray:
        """For each block of rows and the columns of the one before it, itself and the one behind it, (count, 3, size,
        size): from 1 the number of the place that stands there, 0 for none."""
        new = np.argsort(self.order)
        i, j = (new[np.array(part, dtype=int)] for part in zip(*places, strict=True))
        block = i // self.size
        table = np.zeros((self.count, 3, self.size, self.size), dtype=np.int32)
        table[block, j // self.size - block + 1, i % self.size, j % self.size] = 1 + np.arange(len(places))
        return table

    @property
    def behind(self) -> int:
        """How many places of the last block stand for nothing."""
        return self.count * self.size - len(self.order)

    def blocks(self, r: Tensor) -> Tensor:
        """Rows (n, …) as (count, size, …)."""
        rows = ops.take(r, self.order, axis=0)
        if self.behind:
            rows = ops.concatenate([rows, ops.zeros((self.behind, *ops.shape(r)[1:]), dtype=r.dtype)])
        return ops.reshape(rows, (self.count, self.size, *ops.shape(r)[1:]))

    def rows(self, blocks: Tensor) -> Tensor:
        """The same backwards."""
        return ops.take(ops.reshape(blocks, (-1, *ops.shape(blocks)[2:])), np.argsort(self.order), axis=0)


@lru_cache(maxsize=64)
def bands_of(pattern: frozenset[Place], size: int) -> Bands | None:
    """The blocks for a matrix that is not zero at the places of `pattern`; None where they would gain nothing."""
    if size < LEAST:
        return None
    order = np.array(_near(_neighbours(pattern, size)))
    new = np.argsort(order)
    length = max(SMALLEST, *(int(abs(new[i] - new[j])) for i, j in pattern))
    count = -(-size // length)
    return Bands(order, length, count) if count >= FEWEST else None


@lru_cache(maxsize=64)
def coloured(pattern: frozenset[Place], size: int) -> list[int]:
    """A colour for each column, such that no two of one colour have a place in the same row: the derivatives by them
    are found in one go (A. Curtis, M. Powell and J. Reid, 1974)."""
    rows: list[list[int]] = [[] for _ in range(size)]
    columns: list[list[int]] = [[] for _ in range(size)]
    for i, j in sorted(pattern):
        rows[j].append(i)
        columns[i].append(j)
    colours = [-1] * size
    for j in range(size):
        taken = {colours[other] for i in rows[j] for other in columns[i]}
        colours[j] = next(colour for colour in range(size) if colour not in taken)
    return colours


def _neighbours(pattern: Iterable[Place], size: int) -> list[set[int]]:
    """Which places each is joined with, one way or the other."""
    joined: list[set[int]] = [set() for _ in range(size)]
    for i, j in pattern:
        if i != j:
            joined[i].add(j)
            joined[j].add(i)
    return joined


def _near(joined: Sequence[set[int]]) -> list[int]:
    """All places, those that are joined near to one another: each layer of distance from an outermost place in turn, in
    it first what is joined with the earliest of the layer before."""
    order: list[int] = []
    placed: set[int] = set()
    for first in range(len(joined)):
        if first in placed:
            continue
        walk = _outwards(joined, first)
        while True:
            far = max(walk.values())
            # Of the farthest places the one with the fewest neighbours.
            outermost = min((place for place in walk if walk[place] == far), key=lambda k: len(joined[k]))
            walk = _outwards(joined, outermost)
            is_longer = max(walk.values()) > far
            if not is_longer:
                break
        order += walk
        placed |= set(walk)
    return order


def _outwards(joined: Sequence[set[int]], first: int) -> dict[int, int]:
    """The places that can be reached, in the order of a walk outwards, with their distances."""
    distance = {first: 0}
    waiting = [first]
    for place in waiting:
        for other in sorted(joined[place], key=lambda k: (len(joined[k]), k)):
            if other not in distance:
                distance[other] = distance[place] + 1
                waiting.append(other)
    return distance


def banded(shift: Tensor, entries: Tensor, bands: Bands, places: Sequence[Place]) -> Callable[[Tensor], Tensor]:
    """`solve(r)` = W⁻¹ r for the entries (E, batch or 1) of J at `places`; `shift`, r and the gradient as in
    `factor.factorised`."""
    factors = _Blocks.of(_matrix(ops.stop_gradient(shift), ops.stop_gradient(entries), bands, places))
    rows, columns = (np.array(part) for part in zip(*places, strict=True))

    def forward(_: Tensor, __: Tensor, r: Tensor) -> Tensor:
        return bands.rows(factors.solved(bands.blocks(r)))

    def backward(upstream: Tensor, u: Tensor, shift: Tensor, entries: Tensor, _: Tensor) -> list[Tensor]:
        adjoint = bands.rows(factors.solved_transposed(bands.blocks(upstream)))

        def summed(shares: Tensor, like: Tensor) -> Tensor:
            """Over r's further columns, and over the batch where all its rows share W."""
            shares = ops.sum(shares, axis=1) if len(u.shape) == 3 else shares
            return ops.sum(shares, axis=-1, keepdims=True) if like.shape[-1:] in ((), (1,)) else shares

        # W u = r, so that the share of W_ij is −adjoint_i u_j.
        by_shift = -ops.sum(summed(adjoint * u, shift), axis=0)
        by_entries = summed(ops.take(adjoint, rows, axis=0) * ops.take(u, columns, axis=0), entries)
        return [ops.reshape(by_shift, ops.shape(shift)), by_entries, adjoint]

    solve = loops.with_gradient(forward, backward)
    return lambda r: solve(shift, entries, r)


def _matrix(shift: Tensor, entries: Tensor, bands: Bands, places: Sequence[Place]) -> Tensor:
    """W in blocks (count, 3, size, size, batch), 1 on the diagonal behind the last state."""
    rows = ops.concatenate([ops.zeros_like(entries[:1]), -entries])
    diagonal = np.zeros((2, bands.count, 3, bands.size, bands.size, 1))
    is_state = np.arange(bands.count * bands.size).reshape(bands.count, bands.size, 1) < len(bands.order)
    diagonal[:, :, 1, :, :, 0] = np.eye(bands.size) * np.stack([is_state, ~is_state])
    of_states, behind = (ops.convert_to_tensor(part, dtype=entries.dtype) for part in diagonal)
    return ops.take(rows, bands.index(places), axis=0) + of_states * shift + behind


@dataclass(frozen=True)
class _Blocks:
    """W = M N: M has the blocks L below its diagonal and P on it, N has 1 on it and G above; `below` are the L and
    `inverses` the P⁻¹ (count, size, size, batch), `above` the G."""

    below: Tensor
    inverses: Tensor
    above: Tensor

    @classmethod
    def of(cls, matrix: Tensor) -> _Blocks:
        """Elimination of blocks (count, 3, size, size, batch)."""
        count, blank = matrix.shape[0], ops.zeros_like(matrix[0, 1])

        def block(k: Tensor, before: Tensor) -> tuple[list[Tensor], list[Tensor]]:
            below, own, beyond = ops.unstack(ops.take(matrix, k, axis=0))
            inverse = Inverse.of(own - _product(below, before)).inverse
            above = _product(inverse, beyond)
            return [above], [inverse, above]

        _, (inverses, above), _ = loops.recorded(lambda k, _: k < count, block, [blank], [blank, blank], count)
        return cls(matrix[:, 0], inverses, above)

    def solved(self, r: Tensor) -> Tensor:
        """W⁻¹ r for r (count, size, …, batch)."""
        y = _swept(lambda k, before: _times(_at(self.inverses, k), _at(r, k) - _times(_at(self.below, k), before)), r)
        return _swept(lambda k, behind: _at(y, k) - _times(_at(self.above, k), behind), r, backwards=True)

    def solved_transposed(self, r: Tensor) -> Tensor:
        """W⁻ᵀ r."""
        none = ops.zeros_like(self.above[:1])
        above, below = ops.concatenate([none, self.above[:-1]]), ops.concatenate([self.below[1:], none])
        z = _swept(lambda k, before: _at(r, k) - _times(_turned(_at(above, k)), before), r)
        return _swept(
            lambda k, behind: _times(
                _turned(_at(self.inverses, k)), _at(z, k) - _times(_turned(_at(below, k)), behind)
            ),
            r,
            backwards=True,
        )


def _swept(step: Callable[[Tensor, Tensor], Tensor], r: Tensor, backwards: bool = False) -> Tensor:
    """v_k = step(k, v of the block before) for all blocks, in the shape of r; `backwards` from the last on."""
    count, blank = r.shape[0], ops.zeros_like(r[0])

    def block(k: Tensor, before: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        new = step(count - 1 - k if backwards else k, before)
        return [new], [new]

    found = loops.recorded(lambda k, _: k < count, block, [blank], [blank], count)[1][0]
    return ops.flip(found, axis=0) if backwards else found


def _at(blocks: Tensor, k: Tensor) -> Tensor:
    return ops.take(blocks, k, axis=0)


def _turned(block: Tensor) -> Tensor:
    return ops.swapaxes(block, 0, 1)


# Products and sums: a matrix product inside a compiled loop is slow, and has the batch first.


def _product(a: Tensor, b: Tensor) -> Tensor:
    return ops.sum(a[:, :, None] * b[None], axis=1)


def _times(a: Tensor, v: Tensor) -> Tensor:
    return ops.sum((a if len(v.shape) == 2 else a[:, :, None]) * v[None], axis=1)
