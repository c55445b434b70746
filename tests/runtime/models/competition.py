# ruff: noqa: RUF059
"""Two species compete for one resource.

Written by odec 0.1.0 from model.ode (SHA-256 0000…). Change the model and compile it again, not this file.
"""

from odec.runtime import Defaults, Description, Layer, Output, Param, State, register, require

require(1)


@register
class Competition(Layer):
    """Two species compete for one resource.

    States: x1 (first species), x2 (second species).
    ...
    """

    description = Description(
        name="Competition",
        source="model.ode",
        digest="0000",
        version="0.1.0",
        text="Two species compete for one resource.",
        states=(State("x1", "first species"), State("x2", "second species")),
        params=(
            Param("r1", 0.1, 0.0, 1.0, description="growth rate"),
            Param("r2", 0.3, 0.0, 1.0),
            Param("a1", 0.0001, 1e-06, 0.01, log=True),
            Param("a2", 0.0002, 1e-06, 0.01, log=True),
            Param("iN1", 0.002),
            Param("iN2", 0.003),
        ),
        outputs=(Output("total", "observe"),),
        defaults=Defaults(start=0.0, stop=100.0, step=0.1, method="euler"),
    )

    @staticmethod
    def constants(c):
        return c

    @staticmethod
    def initial(p, c):
        return 100.0, 150.0

    @staticmethod
    def rhs(t, x, p, c):
        x1, x2 = x
        r1, r2, a1, a2, iN1, iN2 = p
        # dx1 = r1*x1*(1 - iN1*x1) - a1*x1*x2
        dx1 = r1 * x1 * (1 - iN1 * x1) - a1 * x1 * x2
        # dx2 = r2*x2*(1 - iN2*x2) - a2*x1*x2
        dx2 = r2 * x2 * (1 - iN2 * x2) - a2 * x1 * x2
        return dx1, dx2

    @staticmethod
    def outputs(t, x, p, c):
        x1, x2 = x
        # observe total = x1 + x2
        total = x1 + x2
        return (total,)

    @staticmethod
    def rhs_x(t, x, p, c):
        x1, x2 = x
        r1, r2, a1, a2, iN1, iN2 = p
        return {
            ("x1", "x1"): r1 * (1 - 2 * iN1 * x1) - a1 * x2,
            ("x1", "x2"): -a1 * x1,
            ("x2", "x1"): -a2 * x2,
            ("x2", "x2"): r2 * (1 - 2 * iN2 * x2) - a2 * x1,
        }

    @staticmethod
    def rhs_p(t, x, p, c):
        x1, x2 = x
        r1, r2, a1, a2, iN1, iN2 = p
        return {
            ("x1", "r1"): x1 * (1 - iN1 * x1),
            ("x1", "a1"): -x1 * x2,
            ("x1", "iN1"): -r1 * x1 * x1,
            ("x2", "r2"): x2 * (1 - iN2 * x2),
            ("x2", "a2"): -x1 * x2,
            ("x2", "iN2"): -r2 * x2 * x2,
        }

    @staticmethod
    def rhs_t(t, x, p, c):
        return {}

    @staticmethod
    def initial_p(p, c):
        return {}

    @staticmethod
    def outputs_x(t, x, p, c):
        return {("total", "x1"): 1.0, ("total", "x2"): 1.0}

    @staticmethod
    def outputs_p(t, x, p, c):
        return {}
