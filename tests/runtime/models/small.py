"""Small systems by hand, each for one case."""

from dataclasses import replace

from keras import ops

from odec.runtime import Defaults, Description, Layer, Param, State, register, require, sqrt

require(1)


class Small(Layer):
    """What most of them share: no consts, no outputs."""

    @staticmethod
    def constants(c):
        return c

    @staticmethod
    def outputs(t, x, p, c):
        return ()

    @staticmethod
    def rhs_t(t, x, p, c):
        return {}

    @staticmethod
    def initial_p(p, c):
        return {}

    @staticmethod
    def outputs_x(t, x, p, c):
        return {}

    @staticmethod
    def outputs_p(t, x, p, c):
        return {}


def describe(name, states, params=(), **defaults):
    return Description(
        name, f"{name.lower()}.ode", name, "0.1.0", states=tuple(map(State, states)), params=tuple(params),
        defaults=Defaults(**defaults),
    )  # fmt: skip


@register
class Decay(Small):
    """x' = -x from 1."""

    description = describe("Decay", ["x"])

    @staticmethod
    def initial(p, c):
        return (1.0,)

    @staticmethod
    def rhs(t, x, p, c):
        return (-x[0],)

    @staticmethod
    def rhs_x(t, x, p, c):
        return {("x", "x"): -1.0}

    @staticmethod
    def rhs_p(t, x, p, c):
        return {}


@register
class Cosine(Small):
    """V14: x' = cos(t) from 0."""

    description = describe("Cosine", ["x"])

    @staticmethod
    def initial(p, c):
        return (0.0,)

    @staticmethod
    def rhs(t, x, p, c):
        return (ops.cos(t),)

    @staticmethod
    def rhs_x(t, x, p, c):
        return {}

    @staticmethod
    def rhs_p(t, x, p, c):
        return {}


@register
class Forced(Small):
    """V21: x' = -k*x + 0.01*t, started at x = s, a param."""

    description = describe("Forced", ["x"], [Param("k", 0.3, 0.0, 2.0), Param("s", 5.0)])

    @staticmethod
    def initial(p, c):
        return (p[1],)

    @staticmethod
    def rhs(t, x, p, c):
        return (-p[0] * x[0] + 0.01 * t,)

    @staticmethod
    def rhs_x(t, x, p, c):
        return {("x", "x"): -p[0]}

    @staticmethod
    def rhs_p(t, x, p, c):
        return {("x", "k"): -x[0]}

    @staticmethod
    def initial_p(p, c):
        return {("x", "s"): 1.0}


@register
class Counter(Small):
    """K03: tiny increments on a large state."""

    description = describe("Counter", ["x", "d"], [Param("k", 1e-3, 0.0, 1.0)])

    @staticmethod
    def initial(p, c):
        return 1000000.0, 0.0

    @staticmethod
    def rhs(t, x, p, c):
        return 0.0123456789, x[0] - 1000000.0

    @staticmethod
    def rhs_x(t, x, p, c):
        return {("d", "x"): 1.0}

    @staticmethod
    def rhs_p(t, x, p, c):
        return {}


@register
class Tank(Small):
    """S04: h' = -k*sqrt(h) from 4."""

    description = describe("Tank", ["h"], [Param("k", 0.8, 0.1, 2.0)])

    @staticmethod
    def initial(p, c):
        return (4.0,)

    @staticmethod
    def rhs(t, x, p, c):
        return (-p[0] * sqrt(x[0]),)

    @staticmethod
    def rhs_x(t, x, p, c):
        (h,) = x
        flowing = h > 0
        return {("h", "h"): ops.where(flowing, -p[0] * 0.5 / sqrt(ops.where(flowing, h, 1.0)), 0.0)}

    @staticmethod
    def rhs_p(t, x, p, c):
        return {("h", "k"): -sqrt(x[0])}


@register
class Clearance(Small):
    """V16: c' = -k*c from 2, s' = sqrt(c) - s from 0."""

    description = describe("Clearance", ["c", "s"], [Param("k", 25.0, 0.0, 100.0)])

    @staticmethod
    def initial(p, c):
        return 2.0, 0.0

    @staticmethod
    def rhs(t, x, p, c):
        return -p[0] * x[0], sqrt(x[0]) - x[1]

    @staticmethod
    def rhs_x(t, x, p, c):
        return {("c", "c"): -p[0], ("s", "c"): 0.5 / sqrt(x[0]), ("s", "s"): -1}


@register
class Epidemic(Small):
    """V17: the rate is not divided by the population, so it is very stiff."""

    description = describe("Epidemic", ["S", "I", "R"], [Param("beta", 1.5, 0.0, 5.0), Param("g", 0.5)])

    @staticmethod
    def initial(p, c):
        return 497.0, 3.0, 0.0

    @staticmethod
    def rhs(t, x, p, c):
        new = p[0] * x[0] * x[1]
        return -new, new - p[1] * x[1], p[1] * x[1]

    @staticmethod
    def rhs_x(t, x, p, c):
        by_s, by_i = p[0] * x[1], p[0] * x[0]
        return {("S", "S"): -by_s, ("S", "I"): -by_i, ("I", "S"): by_s, ("I", "I"): by_i - p[1], ("R", "I"): p[1]}


@register
class Nameless(Small):
    """A state without a start, and params whose names other things bear."""

    description = replace(
        describe("Nameless", ["x"], [Param("lambda", 1.0), Param("ω", 2.0, 0.0, 3.0), Param("weights", 0.5)]),
        states=(State("x", has_start=False),),
    )

    @staticmethod
    def initial(p, c):
        return (None,)

    @staticmethod
    def rhs(t, x, p, c):
        return (-p[0] * p[1] * p[2] * x[0],)
