# ruff: noqa: RUF059
"""The model of the K cases by hand: prey and predator, two params, two consts."""

from odec.runtime import Const, Defaults, Description, Layer, Output, Param, State, register, require

require(1)


@register
class LotkaVolterra(Layer):
    """Prey x, predator y."""

    description = Description(
        name="LotkaVolterra",
        source="model.ode",
        digest="1111",
        version="0.1.0",
        states=(State("x"), State("y")),
        params=(Param("a", 0.5, 0.0, 2.0), Param("b", 0.02, 0.0, 1.0)),
        consts=(Const("c"), Const("e")),
        outputs=(Output("eaten", "intermediate"), Output("total", "observe")),
        defaults=Defaults(),
    )

    @staticmethod
    def constants(c):
        c.setdefault("c", 0.4)
        c.setdefault("e", c["c"] / 40)
        return c

    @staticmethod
    def initial(p, c):
        return 40.0, 9.0

    @staticmethod
    def rhs(t, x, p, c):
        x, y = x
        a, b = p
        c, e = c
        return a * x - b * x * y, e * x * y - c * y

    @staticmethod
    def outputs(t, x, p, c):
        x, y = x
        a, b = p
        eaten = b * x * y
        return eaten, x + y

    @staticmethod
    def rhs_x(t, x, p, c):
        x, y = x
        a, b = p
        c, e = c
        return {("x", "x"): a - b * y, ("x", "y"): -b * x, ("y", "x"): e * y, ("y", "y"): e * x - c}

    @staticmethod
    def rhs_p(t, x, p, c):
        x, y = x
        return {("x", "a"): x, ("x", "b"): -x * y}

    @staticmethod
    def rhs_t(t, x, p, c):
        return {}

    @staticmethod
    def initial_p(p, c):
        return {}

    @staticmethod
    def outputs_x(t, x, p, c):
        x, y = x
        a, b = p
        return {("eaten", "x"): b * y, ("eaten", "y"): b * x, ("total", "x"): 1.0, ("total", "y"): 1.0}

    @staticmethod
    def outputs_p(t, x, p, c):
        x, y = x
        return {("eaten", "b"): x * y}
