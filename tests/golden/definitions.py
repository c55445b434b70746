"""Any order, functions of functions, second order, evident states, initial values of params and int …

Written by odec 0.1.0 from definitions.ode.
Change that file and compile it again.
"""

from odec.runtime import Const, Description, Layer, Output, Param, State, cos, power, register, require, select, sin

require(1)


@register
class Definitions(Layer):
    """Any order, functions of functions, second order, evident states, initial values of params and int …

    States: q, q', z, w, o.

    Params: q0, stiffness, drag.

    Consts: unit, base.
    """

    description = Description(
        name="Definitions",
        source="definitions.ode",
        digest="c11cdacdc6370383f606bfa4093ae3bedce3210de80009f84f50d605253847df",
        version="0.1.0",
        text="Any order, functions of functions, second order, evident states, initial values of params and intermediates.",
        states=(
            State("q"),
            State("q'"),
            State("z", has_start=False),
            State("w", has_start=False),
            State("o", has_start=False),
        ),
        params=(
            Param("q0", 1.2),
            Param("stiffness", 2.0, lower=0.1, upper=10.0, log=True),
            Param("drag", 0.1),
        ),
        consts=(
            Const("unit"),
            Const("base"),
        ),
        outputs=(
            Output("energy", "observe"),
            Output("friction", "intermediate"),
            Output("half", "intermediate"),
            Output("start", "intermediate"),
            Output("forcing", "intermediate"),
            Output("damping", "intermediate"),
        ),
    )

    @staticmethod
    def constants(consts):
        """The consts and sizes by name; what `consts` holds already stays."""
        consts.setdefault("unit", 3.0)
        consts.setdefault("base", 2 * consts["unit"])
        return consts

    @staticmethod
    def initial(params, consts):
        """The states at the start; None where the caller must say."""
        q0, stiffness, drag = params
        # half = q0/2
        half = q0 / 2
        # start = twice(half)
        start = 2 * half
        return start, -start / 2, None, None, None

    @staticmethod
    def rhs(t, states, params, consts):
        """dx/dt of each state."""
        q, q_slope, z, w, o = states
        q0, stiffness, drag = params
        unit, base = consts
        dq = q_slope
        # friction = drag*q'
        friction = drag * q_slope
        # q'' = -slope(q) - friction
        dq_slope = -(stiffness * q + 0.1 * q**3) - friction
        # forcing = sin(t)*q
        forcing = sin(t) * q
        # dz = -z/base + forcing
        dz = -z / base + forcing
        # damping = if(w > o, drag, 2*drag)
        damping = select(w > o, drag, 2 * drag)
        # dw/dt = w*q - damping*w
        dw = w * (q - damping)
        # d/dt(o) = damping*o + t
        do = damping * o + t
        return dq, dq_slope, dz, dw, do

    @staticmethod
    def outputs(t, states, params, consts):
        """The outputs, in the order of the description."""
        q, q_slope, z, w, o = states
        q0, stiffness, drag = params
        # observe energy = 0.5*q'^2 + v(q)
        energy = 0.5 * q_slope**2 + (stiffness * q**2 / 2 + 0.1 * power(q, 4) / 4)
        # friction = drag*q'
        friction = drag * q_slope
        # half = q0/2
        half = q0 / 2
        # start = twice(half)
        start = 2 * half
        # forcing = sin(t)*q
        forcing = sin(t) * q
        # damping = if(w > o, drag, 2*drag)
        damping = select(w > o, drag, 2 * drag)
        return energy, friction, half, start, forcing, damping

    @staticmethod
    def rhs_x(t, states, params, consts):
        """∂(dx/dt)/∂x, where it is not 0."""
        q, q_slope, z, w, o = states
        q0, stiffness, drag = params
        unit, base = consts
        damping = select(w > o, drag, 2 * drag)
        return {
            ("q", "q'"): 1,
            ("q'", "q"): -stiffness - 0.30000000000000004 * q**2,
            ("q'", "q'"): -drag,
            ("z", "z"): -1 / base,
            ("z", "q"): sin(t),
            ("w", "w"): q - damping,
            ("w", "q"): w,
            ("o", "o"): damping,
        }

    @staticmethod
    def rhs_p(t, states, params, consts):
        """∂(dx/dt)/∂p, where it is not 0."""
        q, q_slope, z, w, o = states
        w1 = select(w > o, 1, 2)
        return {
            ("q'", "stiffness"): -q,
            ("q'", "drag"): -q_slope,
            ("w", "drag"): -w * w1,
            ("o", "drag"): o * w1,
        }

    @staticmethod
    def rhs_t(t, states, params, consts):
        """∂(dx/dt)/∂t, where it is not 0."""
        q, q_slope, z, w, o = states
        return {
            "z": q * cos(t),
            "o": 1,
        }

    @staticmethod
    def initial_p(params, consts):
        """∂x(start)/∂p, where it is not 0."""
        return {
            ("q", "q0"): 2 / 2,
            ("q'", "q0"): -1 / 2 * (2 / 2),
        }

    @staticmethod
    def outputs_x(t, states, params, consts):
        """∂(outputs)/∂x, where it is not 0."""
        q, q_slope, z, w, o = states
        q0, stiffness, drag = params
        return {
            ("energy", "q'"): q_slope,
            ("energy", "q"): stiffness / 2 * 2 * q + 0.1 * q**3,
            ("o", "o"): 1,
            ("friction", "q'"): drag,
            ("forcing", "q"): sin(t),
        }

    @staticmethod
    def outputs_p(t, states, params, consts):
        """∂(outputs)/∂p, where it is not 0."""
        q, q_slope, z, w, o = states
        return {
            ("energy", "stiffness"): q**2 / 2,
            ("friction", "drag"): q_slope,
            ("half", "q0"): 1 / 2,
            ("start", "q0"): 2 / 2,
            ("damping", "drag"): select(w > o, 1, 2),
        }

    @staticmethod
    def rhs_x_tangent(t, states, params, consts, state_directions, param_directions):
        """The change of `rhs_x` along directions of the states and params, where it is not 0."""
        q, q_slope, z, w, o = states
        q_dot, q_slope_dot, z_dot, w_dot, o_dot = state_directions
        q0_dot, stiffness_dot, drag_dot = param_directions
        damping_dot = select(w > o, drag_dot, 2 * drag_dot)
        return {
            ("q'", "q"): -stiffness_dot - 0.6000000000000001 * q * q_dot,
            ("q'", "q'"): -drag_dot,
            ("w", "w"): q_dot - damping_dot,
            ("w", "q"): w_dot,
            ("o", "o"): damping_dot,
        }

    @staticmethod
    def rhs_t_tangent(t, states, params, consts, state_directions, param_directions):
        """The change of `rhs_t` along directions of the states and params, where it is not 0."""
        q_dot, q_slope_dot, z_dot, w_dot, o_dot = state_directions
        return {
            "z": cos(t) * q_dot,
        }
