"""Two species compete for one resource.

Written by odec 0.1.0 from model.ode.
Change that file and compile it again.
"""

from odec.runtime import Defaults, Description, Layer, Param, State, register, require

require(1)


@register
class Competition(Layer):
    """Two species compete for one resource.

    States: x1 (first species), x2 (second species).

    Params: r1 (growth rate of the first species), r2 (growth rate of the second species), a1 (harm done to the first
    species by the second), a2 (harm done to the second species by the first), iN1 (one over the carrying capacity of
    the first species), iN2 (one over the carrying capacity of the second species).
    """

    description = Description(
        name="Competition",
        source="model.ode",
        digest="f986148a33544c891259f9466881111eb45527228875f925cfa4179e77e898ee",
        version="0.1.0",
        text="Two species compete for one resource.",
        states=(
            State("x1", description="first species"),
            State("x2", description="second species"),
        ),
        params=(
            Param("r1", 0.1, description="growth rate of the first species"),
            Param("r2", 0.3, description="growth rate of the second species"),
            Param("a1", 0.0001, description="harm done to the first species by the second"),
            Param("a2", 0.0002, description="harm done to the second species by the first"),
            Param("iN1", 0.002, description="one over the carrying capacity of the first species"),
            Param("iN2", 0.003, description="one over the carrying capacity of the second species"),
        ),
        defaults=Defaults(stop=100.0, step=0.1, method="euler"),
    )

    @staticmethod
    def constants(consts):
        """The consts and sizes by name; what `consts` holds already stays."""
        return consts

    @staticmethod
    def initial(params, consts):
        """The states at the start; None where the caller must say."""
        return 100, 150

    @staticmethod
    def rhs(t, states, params, consts):
        """dx/dt of each state."""
        x1, x2 = states
        r1, r2, a1, a2, iN1, iN2 = params
        # dx1 = r1*x1*(1 - iN1*x1) - a1*x1*x2
        dx1 = x1 * (r1 * (1 - iN1 * x1) - a1 * x2)
        # dx2 = r2*x2*(1 - iN2*x2) - a2*x1*x2
        dx2 = x2 * (r2 * (1 - iN2 * x2) - a2 * x1)
        return dx1, dx2

    @staticmethod
    def outputs(t, states, params, consts):
        """The outputs, in the order of the description."""
        return ()

    @staticmethod
    def rhs_x(t, states, params, consts):
        """∂(dx/dt)/∂x, where it is not 0."""
        x1, x2 = states
        r1, r2, a1, a2, iN1, iN2 = params
        return {
            ("x1", "x1"): -x1 * r1 * iN1 + (r1 * (1 - iN1 * x1) - a1 * x2),
            ("x1", "x2"): -x1 * a1,
            ("x2", "x2"): -x2 * r2 * iN2 + (r2 * (1 - iN2 * x2) - a2 * x1),
            ("x2", "x1"): -x2 * a2,
        }

    @staticmethod
    def rhs_p(t, states, params, consts):
        """∂(dx/dt)/∂p, where it is not 0."""
        x1, x2 = states
        r1, r2, a1, a2, iN1, iN2 = params
        return {
            ("x1", "r1"): x1 * (1 - iN1 * x1),
            ("x1", "iN1"): -x1 * r1 * x1,
            ("x1", "a1"): -x1 * x2,
            ("x2", "r2"): x2 * (1 - iN2 * x2),
            ("x2", "iN2"): -x2 * r2 * x2,
            ("x2", "a2"): -x2 * x1,
        }

    @staticmethod
    def rhs_t(t, states, params, consts):
        """∂(dx/dt)/∂t, where it is not 0."""
        return {}

    @staticmethod
    def initial_p(params, consts):
        """∂x(start)/∂p, where it is not 0."""
        return {}

    @staticmethod
    def outputs_x(t, states, params, consts):
        """∂(outputs)/∂x, where it is not 0."""
        return {}

    @staticmethod
    def outputs_p(t, states, params, consts):
        """∂(outputs)/∂p, where it is not 0."""
        return {}

    @staticmethod
    def rhs_x_tangent(t, states, params, consts, state_directions, param_directions):
        """The change of `rhs_x` along directions of the states and params, where it is not 0."""
        x1, x2 = states
        r1, r2, a1, a2, iN1, iN2 = params
        x1_dot, x2_dot = state_directions
        r1_dot, r2_dot, a1_dot, a2_dot, iN1_dot, iN2_dot = param_directions
        return {
            ("x1", "x1"): (
                -(r1 * iN1 * x1_dot + x1 * iN1 * r1_dot + x1 * r1 * iN1_dot) + ((1 - iN1 * x1) * r1_dot - r1 * (x1
                * iN1_dot + iN1 * x1_dot) - (x2 * a1_dot + a1 * x2_dot))
            ),
            ("x1", "x2"): -(a1 * x1_dot + x1 * a1_dot),
            ("x2", "x2"): (
                -(r2 * iN2 * x2_dot + x2 * iN2 * r2_dot + x2 * r2 * iN2_dot) + ((1 - iN2 * x2) * r2_dot - r2 * (x2
                * iN2_dot + iN2 * x2_dot) - (x1 * a2_dot + a2 * x1_dot))
            ),
            ("x2", "x1"): -(a2 * x2_dot + x2 * a2_dot),
        }

    @staticmethod
    def rhs_t_tangent(t, states, params, consts, state_directions, param_directions):
        """The change of `rhs_t` along directions of the states and params, where it is not 0."""
        return {}
