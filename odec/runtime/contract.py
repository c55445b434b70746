"""What the runtime asks of a generated class, as a type: the table of CONTRIBUTING.md."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from odec.runtime.description import Description

Derivatives = dict[tuple[str, str], Any]
Values = tuple[Any, ...]


class Model(Protocol):
    """A generated class. `x`, `p`, `c` are tuples in the order of the description, the batch last in each array."""

    __name__: str
    description: ClassVar[Description]

    @staticmethod
    def constants(c: dict[str, Any]) -> dict[str, Any]:
        """Every const, those in `c` as they are there."""

    @staticmethod
    def initial(p: Values, c: Values) -> Values:
        """The start of each state, None where the caller must give one."""

    @staticmethod
    def rhs(t: Any, x: Values, p: Values, c: Values) -> Values:
        """The derivative of each state."""

    @staticmethod
    def outputs(t: Any, x: Values, p: Values, c: Values) -> Values:
        """Each output."""

    @staticmethod
    def rhs_x(t: Any, x: Values, p: Values, c: Values) -> Derivatives:
        """The nonzero derivatives of `rhs` by states."""

    @staticmethod
    def rhs_p(t: Any, x: Values, p: Values, c: Values) -> Derivatives:
        """The nonzero derivatives of `rhs` by params."""

    @staticmethod
    def initial_p(p: Values, c: Values) -> Derivatives:
        """The nonzero derivatives of `initial` by params."""

    @staticmethod
    def outputs_x(t: Any, x: Values, p: Values, c: Values) -> Derivatives:
        """The nonzero derivatives of `outputs` by states."""

    @staticmethod
    def outputs_p(t: Any, x: Values, p: Values, c: Values) -> Derivatives:
        """The nonzero derivatives of `outputs` by params."""
