"""Forms that overflow, or are 0/0, where what they mean is finite.

Written by odec 0.1.0 from unsafe_forms.ode.
Change that file and compile it again.
"""

from odec.runtime import (
    Description,
    Layer,
    Output,
    Param,
    State,
    absolute,
    cos,
    exp,
    expm1,
    log,
    maximum,
    power,
    register,
    require,
    select,
    sigmoid,
    sin,
    sqrt,
    tanh,
    x_over_expm1,
    x_over_expm1_slope,
)

require(1)


@register
class UnsafeForms(Layer):
    """Forms that overflow, or are 0/0, where what they mean is finite.

    States: v, w, z.

    Params: vh, k, a.
    """

    description = Description(
        name="UnsafeForms",
        source="unsafe_forms.ode",
        digest="25dab0799b08788b80523bdc4c0d0205e4f7e51d5b22caa8faa4a7de84148fa2",
        version="0.1.0",
        text="Forms that overflow, or are 0/0, where what they mean is finite.",
        states=(
            State("v"),
            State("w"),
            State("z"),
        ),
        params=(
            Param("vh", -30.0),
            Param("k", 0.5),
            Param("a", 20.0),
        ),
        outputs=(
            Output("am", "intermediate"),
            Output("bm", "intermediate"),
            Output("guarded", "intermediate"),
            Output("m", "intermediate"),
            Output("m2", "intermediate"),
            Output("m3", "intermediate"),
            Output("s", "intermediate"),
            Output("decay", "intermediate"),
            Output("root", "intermediate"),
            Output("power", "intermediate"),
            Output("logarithm", "intermediate"),
        ),
    )

    @staticmethod
    def constants(consts):
        """The consts and sizes by name; what `consts` holds already stays."""
        return consts

    @staticmethod
    def initial(params, consts):
        """The states at the start; None where the caller must say."""
        return -40, 2, -1

    @staticmethod
    def rhs(t, states, params, consts):
        """dx/dt of each state."""
        v, w, z = states
        vh, k, a = params
        # am = 0.1*(v + 40)/(1 - exp(-(v + 40)/10))
        am = x_over_expm1(-(v + 40) / 10)
        # bm = (v + 40)/(exp((v + 40)/k) - 1)
        bm = k * x_over_expm1((v + 40) / k)
        w1 = v - vh
        w2 = w1 / k
        # m = 1/(1 + exp(-(v - vh)/k))
        m = sigmoid(w2)
        # m2 = 3/(2 + 4*exp((v - vh)/k))
        m2 = 3 / 2 * sigmoid(-(w2 + 0.6931471805599453))
        # m3 = exp((v - vh)/k)/(1 + exp((v - vh)/k))
        m3 = sigmoid(w2)
        # s = 0.5*(1 + tanh((v - vh)/15))
        s = 0.5 * (1 + tanh(w1 / 15))
        # dv = am + bm + m + m2 + m3 + s
        dv = am + bm + m + m2 + m3 + s
        # guarded = if(abs(w - 1) < 1e-6, 1, sin(w - 1)/(w - 1))
        guarded = select(absolute(w - 1) < 1e-06, 1, sin(w - 1) / select(absolute(w - 1) < 1e-06, 1, w - 1))
        w3 = w * expm1(-a * t)
        # decay = w*(1 - exp(-a*t))/(0.5 + w*(1 - exp(-a*t)))
        decay = -w3 / (0.5 - w3)
        # dw = guarded + decay - w
        dw = guarded + decay - w
        # root = sqrt(max(z, 0))
        root = sqrt(maximum(z, 0))
        w4 = select(z > 0, z, 1)
        # power = if(z > 0, z^1.5, 0)
        power_ = select(z > 0, power(w4, 1.5), 0)
        # logarithm = if(z > 0, log(z), z)
        logarithm = select(z > 0, log(w4), z)
        # dz = root + power + logarithm
        dz = root + power_ + logarithm
        return dv, dw, dz

    @staticmethod
    def outputs(t, states, params, consts):
        """The outputs, in the order of the description."""
        v, w, z = states
        vh, k, a = params
        # am = 0.1*(v + 40)/(1 - exp(-(v + 40)/10))
        am = x_over_expm1(-(v + 40) / 10)
        # bm = (v + 40)/(exp((v + 40)/k) - 1)
        bm = k * x_over_expm1((v + 40) / k)
        # guarded = if(abs(w - 1) < 1e-6, 1, sin(w - 1)/(w - 1))
        guarded = select(absolute(w - 1) < 1e-06, 1, sin(w - 1) / select(absolute(w - 1) < 1e-06, 1, w - 1))
        w1 = v - vh
        w2 = w1 / k
        # m = 1/(1 + exp(-(v - vh)/k))
        m = sigmoid(w2)
        # m2 = 3/(2 + 4*exp((v - vh)/k))
        m2 = 3 / 2 * sigmoid(-(w2 + 0.6931471805599453))
        # m3 = exp((v - vh)/k)/(1 + exp((v - vh)/k))
        m3 = sigmoid(w2)
        # s = 0.5*(1 + tanh((v - vh)/15))
        s = 0.5 * (1 + tanh(w1 / 15))
        w3 = w * expm1(-a * t)
        # decay = w*(1 - exp(-a*t))/(0.5 + w*(1 - exp(-a*t)))
        decay = -w3 / (0.5 - w3)
        # root = sqrt(max(z, 0))
        root = sqrt(maximum(z, 0))
        w4 = select(z > 0, z, 1)
        # power = if(z > 0, z^1.5, 0)
        power_ = select(z > 0, power(w4, 1.5), 0)
        # logarithm = if(z > 0, log(z), z)
        logarithm = select(z > 0, log(w4), z)
        return am, bm, guarded, m, m2, m3, s, decay, root, power_, logarithm

    @staticmethod
    def rhs_x(t, states, params, consts):
        """∂(dx/dt)/∂x, where it is not 0."""
        v, w, z = states
        vh, k, a = params
        w1 = v - vh
        w2 = w1 / k
        w3 = sigmoid(w2) * sigmoid(-w2) / k
        w4 = w2 + 0.6931471805599453
        w5 = expm1(-a * t)
        w6 = w * w5
        w7 = 0.5 - w6
        w8 = maximum(z, 0)
        return {
            ("v", "v"): (
                -x_over_expm1_slope(-(v + 40) / 10) / 10 + k * x_over_expm1_slope((v + 40) / k) / k + w3 - 3 / 2
                * sigmoid(-w4) * sigmoid(w4) / k + w3 + 0.5 * (1 - tanh(w1 / 15)**2) / 15
            ),
            ("w", "w"): (
                select(absolute(w - 1) < 1e-06, 0, cos(w - 1) / (w - 1) - sin(w - 1) / (w - 1) / (w - 1)) + (-w6 / w7
                / w7 - 1 / w7) * w5 - 1
            ),
            ("z", "z"): (
                select(w8 > 0, 0.5 / sqrt(w8), 0) * select(z >= 0, 1, 0) + select(z > 0, 1.5 * power(z, 0.5), 0)
                + select(z > 0, 1 / z, 1)
            ),
        }

    @staticmethod
    def rhs_p(t, states, params, consts):
        """∂(dx/dt)/∂p, where it is not 0."""
        v, w, z = states
        vh, k, a = params
        w1 = (v + 40) / k
        w2 = v - vh
        w3 = w2 / k
        w4 = sigmoid(w3)
        w5 = sigmoid(-w3)
        w6 = w3 / k
        w7 = -w4 * w5 * w6
        w8 = w3 + 0.6931471805599453
        w9 = sigmoid(-w8)
        w10 = sigmoid(w8)
        w11 = -w4 * w5 / k
        w12 = w * expm1(-a * t)
        w13 = 0.5 - w12
        return {
            ("v", "k"): -k * x_over_expm1_slope(w1) * (w1 / k) + x_over_expm1(w1) + w7 + 3 / 2 * w9 * w10 * w6 + w7,
            ("v", "vh"): w11 + 3 / 2 * w9 * w10 / k + w11 - 0.5 * (1 - tanh(w2 / 15)**2) / 15,
            ("w", "a"): -(-w12 / w13 / w13 - 1 / w13) * w * exp(-a * t) * t,
        }

    @staticmethod
    def rhs_t(t, states, params, consts):
        """∂(dx/dt)/∂t, where it is not 0."""
        v, w, z = states
        vh, k, a = params
        w1 = w * expm1(-a * t)
        w2 = 0.5 - w1
        return {
            "w": -(-w1 / w2 / w2 - 1 / w2) * w * exp(-a * t) * a,
        }

    @staticmethod
    def initial_p(params, consts):
        """∂x(start)/∂p, where it is not 0."""
        return {}

    @staticmethod
    def outputs_x(t, states, params, consts):
        """∂(outputs)/∂x, where it is not 0."""
        v, w, z = states
        vh, k, a = params
        w1 = v - vh
        w2 = w1 / k
        w3 = sigmoid(w2) * sigmoid(-w2) / k
        w4 = w2 + 0.6931471805599453
        w5 = expm1(-a * t)
        w6 = w * w5
        w7 = 0.5 - w6
        w8 = maximum(z, 0)
        return {
            ("am", "v"): -x_over_expm1_slope(-(v + 40) / 10) / 10,
            ("bm", "v"): k * x_over_expm1_slope((v + 40) / k) / k,
            ("guarded", "w"): select(absolute(w - 1) < 1e-06, 0, cos(w - 1) / (w - 1) - sin(w - 1) / (w - 1) / (w - 1)),
            ("m", "v"): w3,
            ("m2", "v"): -3 / 2 * sigmoid(-w4) * sigmoid(w4) / k,
            ("m3", "v"): w3,
            ("s", "v"): 0.5 * (1 - tanh(w1 / 15)**2) / 15,
            ("decay", "w"): (-w6 / w7 / w7 - 1 / w7) * w5,
            ("root", "z"): select(w8 > 0, 0.5 / sqrt(w8), 0) * select(z >= 0, 1, 0),
            ("power", "z"): select(z > 0, 1.5 * power(z, 0.5), 0),
            ("logarithm", "z"): select(z > 0, 1 / z, 1),
        }

    @staticmethod
    def outputs_p(t, states, params, consts):
        """∂(outputs)/∂p, where it is not 0."""
        v, w, z = states
        vh, k, a = params
        w1 = (v + 40) / k
        w2 = v - vh
        w3 = w2 / k
        w4 = sigmoid(w3)
        w5 = sigmoid(-w3)
        w6 = -w4 * w5 / k
        w7 = w3 / k
        w8 = -w4 * w5 * w7
        w9 = w3 + 0.6931471805599453
        w10 = sigmoid(-w9)
        w11 = sigmoid(w9)
        w12 = w * expm1(-a * t)
        w13 = 0.5 - w12
        return {
            ("bm", "k"): -k * x_over_expm1_slope(w1) * (w1 / k) + x_over_expm1(w1),
            ("m", "vh"): w6,
            ("m", "k"): w8,
            ("m2", "vh"): 3 / 2 * w10 * w11 / k,
            ("m2", "k"): 3 / 2 * w10 * w11 * w7,
            ("m3", "vh"): w6,
            ("m3", "k"): w8,
            ("s", "vh"): -0.5 * (1 - tanh(w2 / 15)**2) / 15,
            ("decay", "a"): -(-w12 / w13 / w13 - 1 / w13) * w * exp(-a * t) * t,
        }

    @staticmethod
    def rhs_x_tangent(t, states, params, consts, state_directions, param_directions):
        """The change of `rhs_x` along directions of the states and params, where it is not 0."""
        v, w, z = states
        vh, k, a = params
        v_dot, w_dot, z_dot = state_directions
        vh_dot, k_dot, a_dot = param_directions
        w1 = (v + 40) / 10
        w2 = (-w1)**2
        w3 = (v + 40) / k
        w4 = x_over_expm1_slope(w3)
        w5 = w3**2
        w6 = v - vh
        w7 = w6 / k
        w8 = sigmoid(-w7)
        w9 = sigmoid(w7)
        w10 = v_dot - vh_dot
        w11 = w10 / k - w7 / k * k_dot
        w12 = (w8 * w9 * w8 * w11 - w9 * w8 * w9 * w11) / k - w9 * w8 / k / k * k_dot
        w13 = w7 + 0.6931471805599453
        w14 = sigmoid(w13)
        w15 = sigmoid(-w13)
        w16 = tanh(w6 / 15)
        w17 = (
            select(absolute(-w1) < 0.3, ((((-6.975130983067491e-08 * w2 + 1.878908128908129e-06) * w2
            - 4.6296296296296294e-05) * w2 + 0.000992063492063492) * w2 - 0.016666666666666666) * w2
            + 0.16666666666666666, -x_over_expm1(w1) / select(absolute(-w1) < 0.3, 1, -w1) * (x_over_expm1(-w1) + 2
            * x_over_expm1_slope(-w1))) * (v_dot / 10) / 10
        )
        w18 = (
            (w4 * k_dot + k * select(absolute(w3) < 0.3, ((((-6.975130983067491e-08 * w5 + 1.878908128908129e-06) * w5
            - 4.6296296296296294e-05) * w5 + 0.000992063492063492) * w5 - 0.016666666666666666) * w5
            + 0.16666666666666666, -x_over_expm1(-w3) / select(absolute(w3) < 0.3, 1, w3) * (x_over_expm1(w3) + 2 * w4))
            * (v_dot / k - w3 / k * k_dot)) / k - k * w4 / k / k * k_dot
        )
        w19 = (
            -((-3 / 2 * w14 * w15 * w14 * w11 + 3 / 2 * w15 * w14 * w15 * w11) / k - 3 / 2 * w15 * w14 / k / k * k_dot)
        )
        w20 = sin(w - 1)
        w21 = cos(w - 1)
        w22 = w20 / (w - 1) / (w - 1)
        w23 = expm1(-a * t)
        w24 = exp(-a * t)
        w25 = w23 * w_dot - w * w24 * t * a_dot
        w26 = w * w23
        w27 = 0.5 - w26
        w28 = w26 / w27 / w27
        w29 = 1 / w27
        w30 = maximum(z, 0)
        w31 = sqrt(w30)
        w32 = 0.5 / w31
        return {
            ("v", "v"): w17 + w18 + w12 + w19 + w12 - w16 * (1 - w16**2) * (w10 / 15) / 15,
            ("w", "w"): (
                select(absolute(w - 1) < 1e-06, 0, -w20 * w_dot / (w - 1) - w21 / (w - 1) / (w - 1) * w_dot - ((w21
                * w_dot / (w - 1) - w22 * w_dot) / (w - 1) - w22 / (w - 1) * w_dot)) + (w23 * (-((w25 / w27 + w28 * w25)
                / w27 + w28 / w27 * w25) - w29 / w27 * w25) - (-w28 - w29) * w24 * t * a_dot)
            ),
            ("z", "z"): (
                select(z >= 0, 1, 0) * select(w30 > 0, -w32 / w31 * select(w30 > 0, w32, 0) * select(z >= 0, z_dot, 0),
                0) + select(z > 0, 1.5 * select(z > 0, 0.5 * power(z, -0.5), 0) * z_dot, 0) + select(z > 0, -1 / z / z
                * z_dot, 0)
            ),
        }

    @staticmethod
    def rhs_t_tangent(t, states, params, consts, state_directions, param_directions):
        """The change of `rhs_t` along directions of the states and params, where it is not 0."""
        v, w, z = states
        vh, k, a = params
        v_dot, w_dot, z_dot = state_directions
        vh_dot, k_dot, a_dot = param_directions
        w1 = exp(-a * t)
        w2 = expm1(-a * t)
        w3 = w2 * w_dot - w * w1 * t * a_dot
        w4 = w * w2
        w5 = 0.5 - w4
        w6 = w4 / w5 / w5
        w7 = 1 / w5
        w8 = -w6 - w7
        return {
            "w": (
                -(w * w1 * a * (-((w3 / w5 + w6 * w3) / w5 + w6 / w5 * w3) - w7 / w5 * w3) + w8 * w1 * a * w_dot - w8
                * w * a * w1 * t * a_dot + w8 * w * w1 * a_dot)
            ),
        }
