"""A predator and its prey, whose meeting nobody has described: a net stands in its place.

Written by odec 0.1.0 from model.ode.
Change that file and compile it again.
"""

from odec.runtime import (
    Const,
    Defaults,
    Description,
    Layer,
    Net,
    Output,
    Param,
    State,
    matmul,
    register,
    require,
    stacked,
    tanh,
)

require(1)


@register
class Universal(Layer):
    """A predator and its prey, whose meeting nobody has described: a net stands in its place.

    States: prey, predator.

    Params: r (growth of the prey), e (predators for each prey that is eaten), d (death of the predators).

    Consts: K (how much prey the place carries).

    Nets: g (what is eaten, of so many prey and predators).
    """

    description = Description(
        name="Universal",
        source="model.ode",
        digest="d4d525586c336ddf452216c7ec4e026d6bb4e5f4c1ed89b1f1bc8783bfddb7de",
        version="0.1.0",
        text="A predator and its prey, whose meeting nobody has described: a net stands in its place.",
        states=(
            State("prey"),
            State("predator"),
        ),
        params=(
            Param("r", 0.5, lower=0.0, upper=3.0, description="growth of the prey"),
            Param("e", 1.0, lower=0.0, upper=3.0, description="predators for each prey that is eaten"),
            Param("d", 1.0, lower=0.0, upper=3.0, description="death of the predators"),
            Param("g_0_kernel", "glorot_normal", shape=(2, 16), description="weights of the net g"),
            Param("g_0_bias", 0.0, shape=(16,), description="weights of the net g"),
            Param("g_1_kernel", "small_normal", shape=(16, 1), description="weights of the net g"),
            Param("g_1_bias", 0.0, shape=(1,), description="weights of the net g"),
        ),
        consts=(
            Const("K", description="how much prey the place carries"),
        ),
        outputs=(
            Output("eaten", "observe"),
        ),
        nets=(
            Net("g", 2, layers=2, description="what is eaten, of so many prey and predators"),
        ),
        defaults=Defaults(stop=10.0, step=0.05, method="rk4"),
    )

    @staticmethod
    def constants(consts):
        """The consts and sizes by name; what `consts` holds already stays."""
        consts.setdefault("K", 4.0)
        return consts

    @staticmethod
    def initial(params, consts):
        """The states at the start; None where the caller must say."""
        return 1, 1

    @staticmethod
    def rhs(t, states, params, consts):
        """dx/dt of each state."""
        prey, predator = states
        r, e, d, g_0_kernel, g_0_bias, g_1_kernel, g_1_bias = params
        (K,) = consts
        # eaten = g(prey, predator)
        eaten = (matmul(tanh(matmul(stacked(prey, predator), g_0_kernel) + g_0_bias), g_1_kernel) + g_1_bias)[0]
        # dprey = r*prey*(1 - prey/K) - eaten
        dprey = r * prey * (1 - prey / K) - eaten
        # dpredator = e*eaten - d*predator
        dpredator = e * eaten - d * predator
        return dprey, dpredator

    @staticmethod
    def outputs(t, states, params, consts):
        """The outputs, in the order of the description."""
        prey, predator = states
        r, e, d, g_0_kernel, g_0_bias, g_1_kernel, g_1_bias = params
        # eaten = g(prey, predator)
        eaten = (matmul(tanh(matmul(stacked(prey, predator), g_0_kernel) + g_0_bias), g_1_kernel) + g_1_bias)[0]
        return (eaten,)

    @staticmethod
    def rhs_tangent(t, states, params, consts, state_directions, param_directions):
        """The change of `rhs` along directions of the states and params."""
        prey, predator = states
        r, e, d, g_0_kernel, g_0_bias, g_1_kernel, g_1_bias = params
        (K,) = consts
        prey_dot, predator_dot = state_directions
        r_dot, e_dot, d_dot, g_0_kernel_dot, g_0_bias_dot, g_1_kernel_dot, g_1_bias_dot = param_directions
        w1 = stacked(prey, predator)
        w2 = tanh(matmul(w1, g_0_kernel) + g_0_bias)
        eaten_dot = (
            (matmul((1 - w2**2) * (matmul(stacked(prey_dot, predator_dot), g_0_kernel) + matmul(w1, g_0_kernel_dot)
            + g_0_bias_dot), g_1_kernel) + matmul(w2, g_1_kernel_dot) + g_1_bias_dot)[0]
        )
        w3 = 1 - prey / K
        eaten = (matmul(w2, g_1_kernel) + g_1_bias)[0]
        return (
            prey * w3 * r_dot + r * w3 * prey_dot - r * prey * (prey_dot / K) - eaten_dot, eaten * e_dot + e * eaten_dot
            - (predator * d_dot + d * predator_dot)
        )

    @staticmethod
    def initial_tangent(params, consts, param_directions):
        """The change of `initial` along directions of the states and params."""
        return 0, 0

    @staticmethod
    def outputs_tangent(t, states, params, consts, state_directions, param_directions):
        """The change of `outputs` along directions of the states and params."""
        prey, predator = states
        r, e, d, g_0_kernel, g_0_bias, g_1_kernel, g_1_bias = params
        prey_dot, predator_dot = state_directions
        r_dot, e_dot, d_dot, g_0_kernel_dot, g_0_bias_dot, g_1_kernel_dot, g_1_bias_dot = param_directions
        w1 = stacked(prey, predator)
        w2 = tanh(matmul(w1, g_0_kernel) + g_0_bias)
        eaten_dot = (
            (matmul((1 - w2**2) * (matmul(stacked(prey_dot, predator_dot), g_0_kernel) + matmul(w1, g_0_kernel_dot)
            + g_0_bias_dot), g_1_kernel) + matmul(w2, g_1_kernel_dot) + g_1_bias_dot)[0]
        )
        return (eaten_dot,)
