"""The inverse of a matrix inside a compiled loop, the batch last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from odec.runtime import loops

Tensor = Any


@dataclass(frozen=True)
class Inverse:
    """W⁻¹ itself, (n, n, batch)."""

    inverse: Tensor

    @classmethod
    def of(cls, matrix: Tensor) -> Inverse:
        """Gauss's and Jordan's elimination in place, the pivots in their order."""
        size = matrix.shape[0]
        numbers = ops.arange(size, dtype="int32")

        def turn(k: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
            here = ops.equal(numbers, k)
            row, column = ops.take(a, k, axis=0), ops.take(a, k, axis=1)
            row = ops.where(here[:, None], ops.ones_like(row), row) / ops.take(row, k, axis=0)
            others = ops.where(here[None, :, None], ops.zeros_like(a), a) - column[:, None] * row[None]
            return k + 1, ops.where(here[:, None, None], row[None], others)

        return cls(loops.bounded(lambda k, _: k < size, turn, (ops.zeros((), "int32"), matrix), size)[1])

    def solved(self, r: Tensor) -> Tensor:
        """W⁻¹ r."""
        # A product and a sum, because a matrix product inside a compiled loop is slow, and has the batch first.
        return ops.sum(self._beside(r) * r[None], axis=1)

    def solved_transposed(self, r: Tensor) -> Tensor:
        """W⁻ᵀ r."""
        return ops.sum(self._beside(r) * r[:, None], axis=0)

    def _beside(self, r: Tensor) -> Tensor:
        return self.inverse if len(r.shape) == 2 else self.inverse[:, :, None]
