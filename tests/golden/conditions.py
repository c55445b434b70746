"""Conditions: chains, logic, as numbers, in branches.

Written by odec 0.1.0 from conditions.ode.
Change that file and compile it again.
"""

from odec.runtime import (
    Const,
    Description,
    Layer,
    Output,
    Param,
    State,
    logical_and,
    logical_not,
    logical_or,
    maximum,
    minimum,
    power,
    register,
    require,
    select,
)

require(1)


@register
class Conditions(Layer):
    """Conditions: chains, logic, as numbers, in branches.

    States: x, y.

    Params: a, b.

    Consts: on.
    """

    description = Description(
        name="Conditions",
        source="conditions.ode",
        digest="29000b6f8b3901425b91e84b985ea3d6a2edab68826a02dc6fced4ebef6da7c2",
        version="0.1.0",
        text="Conditions: chains, logic, as numbers, in branches.",
        states=(
            State("x"),
            State("y"),
        ),
        params=(
            Param("a", 1.5),
            Param("b", 0.5),
        ),
        consts=(
            Const("on"),
        ),
        outputs=(
            Output("c1", "intermediate"),
            Output("c2", "intermediate"),
            Output("c3", "intermediate"),
            Output("c4", "intermediate"),
            Output("c5", "intermediate"),
            Output("c6", "intermediate"),
            Output("c7", "intermediate"),
            Output("c8", "intermediate"),
            Output("c9", "intermediate"),
            Output("d1", "intermediate"),
            Output("d2", "intermediate"),
            Output("c10", "intermediate"),
            Output("c11", "intermediate"),
            Output("c12", "intermediate"),
            Output("c13", "intermediate"),
            Output("c14", "intermediate"),
            Output("c15", "intermediate"),
            Output("c16", "intermediate"),
        ),
    )

    @staticmethod
    def constants(consts):
        """The consts and sizes by name; what `consts` holds already stays."""
        consts.setdefault("on", 1.0)
        return consts

    @staticmethod
    def initial(params, consts):
        """The states at the start; None where the caller must say."""
        return 1, 2

    @staticmethod
    def rhs(t, states, params, consts):
        """dx/dt of each state."""
        x, y = states
        a, b = params
        (on,) = consts
        # c1 = if(0 < x < 2, x, y)
        c1 = select(logical_and(0 < x, x < 2), x, y)
        w1 = select(x > 1, 1, 0)
        # c2 = (x > 1)*a
        c2 = w1 * a
        w2 = select(y > 2, 1, 0)
        # c3 = (x > 1) + (y > 2) + (a >= 1.5) - (t != 1)
        c3 = w1 + w2 + select(a >= 1.5, 1, 0) - select(t != 1, 1, 0)
        # c4 = if(not x > 1, a, b)
        c4 = select(logical_not(x > 1), a, b)
        # c5 = if(x > 1 and y > 2 or t > 1, x, y)
        c5 = select(logical_or(logical_and(x > 1, y > 2), t > 1), x, y)
        # c6 = if(not (x > 1 or y < 2), 1, 0)*a
        c6 = select(logical_not(logical_or(x > 1, y < 2)), 1, 0) * a
        # c7 = if(t < 1, 1, t < 2, 2, 3)/4
        c7 = select(t < 1, 1, t < 2, 2, 3) / 4
        # c8 = if(x > 1, if(y > 2, x*y, x), if(t > 1.5, y, 0))
        c8 = select(x > 1, select(y > 2, x * y, x), t > 1.5, y, 0)
        # c9 = if(on > 0, x, 1/0.5)
        c9 = select(on > 0, x, 2.0)
        # d1 = if(x == 1, 5, 6)
        d1 = select(x == 1, 5, 6)
        # d2 = if((x > 1) + (y > 2) >= 1, a, b)
        d2 = select(w1 + w2 >= 1, a, b)
        # dx = c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + d1 + d2
        dx = c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + d1 + d2
        w3 = select(a > 1, a**2, a > 0.5, a, 0.5)
        # c10 = f(x) + f(y/2) + f(f(a))
        c10 = (
            select(x > 1, x**2, x > 0.5, x, 0.5) + select(y / 2 > 1, (y / 2)**2, y / 2 > 0.5, y / 2, 0.5)
            + select(w3 > 1, w3**2, w3 > 0.5, w3, 0.5)
        )
        # c11 = if(x < 1 <= y < 3 > b, a*x, b*y)
        c11 = select(logical_and(x < 1, 1 <= y, y < 3, 3 > b), a * x, b * y)
        # c12 = (x > 1 and y > 1)/2
        c12 = select(logical_and(x > 1, y > 1), 1, 0) / 2
        # c13 = not (x > 1)
        c13 = select(logical_not(x > 1), 1, 0)
        # c14 = max(if(x > 1, 2, 3), if(t > 1, 4, 1)) + min(x > 1, y > 2)
        c14 = maximum(select(x > 1, 2, 3), select(t > 1, 4, 1)) + minimum(w1, w2)
        # c15 = if(a > b, 1, 2)*x
        c15 = select(a > b, 1, 2) * x
        # c16 = 2^(x > 1)
        c16 = power(2, w1)
        # dy = c10 + c11 + c12 + c13 + c14 + c15 + c16
        dy = c10 + c11 + c12 + c13 + c14 + c15 + c16
        return dx, dy

    @staticmethod
    def outputs(t, states, params, consts):
        """The outputs, in the order of the description."""
        x, y = states
        a, b = params
        (on,) = consts
        # c1 = if(0 < x < 2, x, y)
        c1 = select(logical_and(0 < x, x < 2), x, y)
        w1 = select(x > 1, 1, 0)
        # c2 = (x > 1)*a
        c2 = w1 * a
        w2 = select(y > 2, 1, 0)
        # c3 = (x > 1) + (y > 2) + (a >= 1.5) - (t != 1)
        c3 = w1 + w2 + select(a >= 1.5, 1, 0) - select(t != 1, 1, 0)
        # c4 = if(not x > 1, a, b)
        c4 = select(logical_not(x > 1), a, b)
        # c5 = if(x > 1 and y > 2 or t > 1, x, y)
        c5 = select(logical_or(logical_and(x > 1, y > 2), t > 1), x, y)
        # c6 = if(not (x > 1 or y < 2), 1, 0)*a
        c6 = select(logical_not(logical_or(x > 1, y < 2)), 1, 0) * a
        # c7 = if(t < 1, 1, t < 2, 2, 3)/4
        c7 = select(t < 1, 1, t < 2, 2, 3) / 4
        # c8 = if(x > 1, if(y > 2, x*y, x), if(t > 1.5, y, 0))
        c8 = select(x > 1, select(y > 2, x * y, x), t > 1.5, y, 0)
        # c9 = if(on > 0, x, 1/0.5)
        c9 = select(on > 0, x, 2.0)
        # d1 = if(x == 1, 5, 6)
        d1 = select(x == 1, 5, 6)
        # d2 = if((x > 1) + (y > 2) >= 1, a, b)
        d2 = select(w1 + w2 >= 1, a, b)
        w3 = select(a > 1, a**2, a > 0.5, a, 0.5)
        # c10 = f(x) + f(y/2) + f(f(a))
        c10 = (
            select(x > 1, x**2, x > 0.5, x, 0.5) + select(y / 2 > 1, (y / 2)**2, y / 2 > 0.5, y / 2, 0.5)
            + select(w3 > 1, w3**2, w3 > 0.5, w3, 0.5)
        )
        # c11 = if(x < 1 <= y < 3 > b, a*x, b*y)
        c11 = select(logical_and(x < 1, 1 <= y, y < 3, 3 > b), a * x, b * y)
        # c12 = (x > 1 and y > 1)/2
        c12 = select(logical_and(x > 1, y > 1), 1, 0) / 2
        # c13 = not (x > 1)
        c13 = select(logical_not(x > 1), 1, 0)
        # c14 = max(if(x > 1, 2, 3), if(t > 1, 4, 1)) + min(x > 1, y > 2)
        c14 = maximum(select(x > 1, 2, 3), select(t > 1, 4, 1)) + minimum(w1, w2)
        # c15 = if(a > b, 1, 2)*x
        c15 = select(a > b, 1, 2) * x
        # c16 = 2^(x > 1)
        c16 = power(2, w1)
        return c1, c2, c3, c4, c5, c6, c7, c8, c9, d1, d2, c10, c11, c12, c13, c14, c15, c16

    @staticmethod
    def switch_times(params, consts):
        """Where the equations switch with t: a time, and a period where it comes again."""
        return (
            (1, None),
            (2, None),
            (1.5, None),
        )

    @staticmethod
    def rhs_x(t, states, params, consts):
        """∂(dx/dt)/∂x, where it is not 0."""
        x, y = states
        a, b = params
        (on,) = consts
        return {
            ("x", "x"): (
                select(logical_and(0 < x, x < 2), 1, 0) + select(logical_or(logical_and(x > 1, y > 2), t > 1), 1, 0)
                + select(x > 1, select(y > 2, y, 1), t > 1.5, 0, 0) + select(on > 0, 1, 0)
            ),
            ("x", "y"): (
                select(logical_and(0 < x, x < 2), 0, 1) + select(logical_or(logical_and(x > 1, y > 2), t > 1), 0, 1)
                + select(x > 1, select(y > 2, x, 0), t > 1.5, 1, 0)
            ),
            ("y", "y"): (
                select(y / 2 > 1, 2 * (y / 2) / 2, y / 2 > 0.5, 1 / 2, 0) + select(logical_and(x < 1, 1 <= y, y < 3,
                3 > b), 0, b)
            ),
            ("y", "x"): (
                select(x > 1, 2 * x, x > 0.5, 1, 0) + select(logical_and(x < 1, 1 <= y, y < 3, 3 > b), a, 0)
                + select(a > b, 1, 2)
            ),
        }

    @staticmethod
    def rhs_p(t, states, params, consts):
        """∂(dx/dt)/∂p, where it is not 0."""
        x, y = states
        a, b = params
        w1 = select(x > 1, 1, 0)
        w2 = select(a > 1, a**2, a > 0.5, a, 0.5)
        w3 = select(a > 1, 2 * a, a > 0.5, 1, 0)
        return {
            ("x", "a"): (
                w1 + select(logical_not(x > 1), 1, 0) + select(logical_not(logical_or(x > 1, y < 2)), 1, 0) + select(w1
                + select(y > 2, 1, 0) >= 1, 1, 0)
            ),
            ("x", "b"): select(logical_not(x > 1), 0, 1) + select(w1 + select(y > 2, 1, 0) >= 1, 0, 1),
            ("y", "a"): (
                select(w2 > 1, 2 * w2 * w3, w2 > 0.5, w3, 0) + select(logical_and(x < 1, 1 <= y, y < 3, 3 > b), x, 0)
            ),
            ("y", "b"): select(logical_and(x < 1, 1 <= y, y < 3, 3 > b), 0, y),
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
        x, y = states
        a, b = params
        (on,) = consts
        return {
            ("c1", "x"): select(logical_and(0 < x, x < 2), 1, 0),
            ("c1", "y"): select(logical_and(0 < x, x < 2), 0, 1),
            ("c5", "x"): select(logical_or(logical_and(x > 1, y > 2), t > 1), 1, 0),
            ("c5", "y"): select(logical_or(logical_and(x > 1, y > 2), t > 1), 0, 1),
            ("c8", "x"): select(x > 1, select(y > 2, y, 1), t > 1.5, 0, 0),
            ("c8", "y"): select(x > 1, select(y > 2, x, 0), t > 1.5, 1, 0),
            ("c9", "x"): select(on > 0, 1, 0),
            ("c10", "y"): select(y / 2 > 1, 2 * (y / 2) / 2, y / 2 > 0.5, 1 / 2, 0),
            ("c10", "x"): select(x > 1, 2 * x, x > 0.5, 1, 0),
            ("c11", "x"): select(logical_and(x < 1, 1 <= y, y < 3, 3 > b), a, 0),
            ("c11", "y"): select(logical_and(x < 1, 1 <= y, y < 3, 3 > b), 0, b),
            ("c15", "x"): select(a > b, 1, 2),
        }

    @staticmethod
    def outputs_p(t, states, params, consts):
        """∂(outputs)/∂p, where it is not 0."""
        x, y = states
        a, b = params
        w1 = select(x > 1, 1, 0)
        w2 = select(a > 1, a**2, a > 0.5, a, 0.5)
        w3 = select(a > 1, 2 * a, a > 0.5, 1, 0)
        return {
            ("c2", "a"): w1,
            ("c4", "a"): select(logical_not(x > 1), 1, 0),
            ("c4", "b"): select(logical_not(x > 1), 0, 1),
            ("c6", "a"): select(logical_not(logical_or(x > 1, y < 2)), 1, 0),
            ("d2", "a"): select(w1 + select(y > 2, 1, 0) >= 1, 1, 0),
            ("d2", "b"): select(w1 + select(y > 2, 1, 0) >= 1, 0, 1),
            ("c10", "a"): select(w2 > 1, 2 * w2 * w3, w2 > 0.5, w3, 0),
            ("c11", "a"): select(logical_and(x < 1, 1 <= y, y < 3, 3 > b), x, 0),
            ("c11", "b"): select(logical_and(x < 1, 1 <= y, y < 3, 3 > b), 0, y),
        }

    @staticmethod
    def switch_times_p(params, consts):
        """For each number of `switch_times`, its derivative by the params."""
        return (
            ({}, {}),
            ({}, {}),
            ({}, {}),
        )

    @staticmethod
    def rhs_x_tangent(t, states, params, consts, state_directions, param_directions):
        """The change of `rhs_x` along directions of the states and params, where it is not 0."""
        x, y = states
        a, b = params
        x_dot, y_dot = state_directions
        a_dot, b_dot = param_directions
        return {
            ("x", "x"): select(x > 1, select(y > 2, y_dot, 0), t > 1.5, 0, 0),
            ("x", "y"): select(x > 1, select(y > 2, x_dot, 0), t > 1.5, 0, 0),
            ("y", "y"): (
                select(y / 2 > 1, 2 * (y_dot / 2) / 2, y / 2 > 0.5, 0, 0) + select(logical_and(x < 1, 1 <= y, y < 3,
                3 > b), 0, b_dot)
            ),
            ("y", "x"): (
                select(x > 1, 2 * x_dot, x > 0.5, 0, 0) + select(logical_and(x < 1, 1 <= y, y < 3, 3 > b), a_dot, 0)
            ),
        }

    @staticmethod
    def rhs_t_tangent(t, states, params, consts, state_directions, param_directions):
        """The change of `rhs_t` along directions of the states and params, where it is not 0."""
        return {}
