"""Names that Python, Keras, SymPy and the generated module use for themselves.

Written by odec 0.1.0 from names.ode.
Change that file and compile it again.
"""

from odec.runtime import (
    Const,
    Description,
    Layer,
    Param,
    State,
    cos,
    exp,
    logical_and,
    maximum,
    power,
    register,
    require,
    select,
    sin,
)

require(1)


@register
class Names(Layer):
    """Names that Python, Keras, SymPy and the generated module use for themselves.

    States: self, lambda, class, x, states, params, consts, t0, select, power, w1, w2, dx1, Layer, State, S, E, I, beta,
    def, None, len, maximum, ops, keras, np, register, require, super, Δx, ω1, __init__, _x, total, matmul, description,
    inputs, data, rhs, outputs, print, eval, x1.

    Params: step, from, state, k_slope, import, return, gamma.

    Consts: method, self_, lambda_, h, dt, Q, zeta, __class__.
    """

    description = Description(
        name="Names",
        source="names.ode",
        digest="1271cec93fec70c17656dce7c0425434a1b0eedf3dfef5671b74aec1c0053876",
        version="0.1.0",
        text="Names that Python, Keras, SymPy and the generated module use for themselves.",
        states=(
            State("self"),
            State("lambda"),
            State("class"),
            State("x"),
            State("states"),
            State("params"),
            State("consts"),
            State("t0"),
            State("select"),
            State("power"),
            State("w1"),
            State("w2"),
            State("dx1"),
            State("Layer"),
            State("State"),
            State("S"),
            State("E"),
            State("I"),
            State("beta"),
            State("def"),
            State("None"),
            State("len"),
            State("maximum"),
            State("ops"),
            State("keras"),
            State("np"),
            State("register"),
            State("require"),
            State("super"),
            State("Δx"),
            State("ω1"),
            State("__init__"),
            State("_x"),
            State("total"),
            State("matmul"),
            State("description"),
            State("inputs"),
            State("data"),
            State("rhs"),
            State("outputs"),
            State("print"),
            State("eval"),
            State("x1"),
        ),
        params=(
            Param("step", 0.1),
            Param("from", 0.2),
            Param("state", 0.3),
            Param("k_slope", 0.4),
            Param("import", 0.5),
            Param("return", 0.6),
            Param("gamma", 0.7),
        ),
        consts=(
            Const("method"),
            Const("self_"),
            Const("lambda_"),
            Const("h"),
            Const("dt"),
            Const("Q"),
            Const("zeta"),
            Const("__class__"),
        ),
    )

    @staticmethod
    def constants(consts):
        """The consts and sizes by name; what `consts` holds already stays."""
        consts.setdefault("method", 2.0)
        consts.setdefault("self_", 3.0)
        consts.setdefault("lambda_", 4.0)
        consts.setdefault("h", 5.0)
        consts.setdefault("dt", 6.0)
        consts.setdefault("Q", 7.0)
        consts.setdefault("zeta", 8.0)
        consts.setdefault("__class__", 9.0)
        return consts

    @staticmethod
    def initial(params, consts):
        """The states at the start; None where the caller must say."""
        return (
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
            0.5, 0.25, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
        )

    @staticmethod
    def rhs(t, states, params, consts):
        """dx/dt of each state."""
        (
            self, lambda__, class_, x, states_, params_, consts_, t0, select_, power_, w1, w2, dx1, Layer, State, S, E,
            I, beta, def_, None_, len, maximum_, ops, keras, np, register_, require_, super, Δx, ω1, __init__, _x,
            total_, matmul_, description, inputs_, data_, rhs, outputs, print, eval, x1
        ) = states
        step, from_, state, k_slope, import_, return_, gamma = params
        method, self_, lambda_, h, dt, Q, zeta, __class__ = consts
        # self' = -step*self
        dself = -step * self
        # lambda' = -from*lambda
        dlambda__ = -from_ * lambda__
        # class' = -state*class
        dclass_ = -state * class_
        # x' = -k_slope*x
        dx = -k_slope * x
        # states' = states*step
        dstates_ = states_ * step
        # params' = params*params*step
        dparams_ = params_ * params_ * step
        # consts' = consts*lambda_
        dconsts_ = consts_ * lambda_
        # t0' = t0*h
        dt0 = t0 * h
        # select' = if(select > 1, select, 2)
        dselect_ = select(select_ > 1, select_, 2)
        # power' = power^1.5
        dpower_ = power(power_, 1.5)
        # w1' = (w1*w2*dx1)*step + (w1*w2*dx1)^2
        dw1 = w1 * w2 * dx1 * step + (w1 * w2 * dx1)**2
        w1_ = exp(w1 / 10)
        # w2' = exp(w1/10) + exp(w1/10)*w2
        dw2 = w1_ + w1_ * w2
        w2_ = sin(dx1)
        # dx1' = sin(dx1)*sin(dx1)
        ddx1 = w2_ * w2_
        # Layer' = Layer*dt
        dLayer = Layer * dt
        # State' = -State*Q
        dState = -State * Q
        # S' = S*E
        dS = S * E
        # E' = E*I
        dE = E * I
        # I' = I*beta
        dI = I * beta
        # beta' = -beta*zeta
        dbeta = -beta * zeta
        # def' = def
        ddef_ = def_
        # None' = None*__class__
        dNone_ = None_ * __class__
        # len' = len*import
        dlen = len * import_
        # maximum' = max(maximum, 1, len)
        dmaximum_ = maximum(maximum_, 1, len)
        # ops' = keras*ops
        dops = keras * ops
        # keras' = np
        dkeras = np
        # np' = register
        dnp = register_
        # register' = require
        dregister_ = require_
        # require' = super
        drequire_ = super
        # super' = return*super
        dsuper = return_ * super
        # Δx' = -Δx*gamma
        dΔx = -Δx * gamma
        # ω₁' = -ω₁*method
        dω1 = -ω1 * method
        # __init__' = __init__*_x
        d__init__ = __init__ * _x
        # _x' = _x*self_
        d_x = _x * self_
        # total' = matmul*total
        dtotal_ = matmul_ * total_
        # matmul' = description
        dmatmul_ = description
        # description' = inputs*data
        ddescription = inputs_ * data_
        # inputs' = rhs
        dinputs_ = rhs
        # data' = outputs
        ddata_ = outputs
        # rhs' = eval*rhs
        drhs = eval * rhs
        # outputs' = print
        doutputs = print
        # print' = -print
        dprint = -print
        # eval' = exp(-eval)
        deval = exp(-eval)
        # x1' = x1*x
        dx1_ = x1 * x
        return (
            dself, dlambda__, dclass_, dx, dstates_, dparams_, dconsts_, dt0, dselect_, dpower_, dw1, dw2, ddx1, dLayer,
            dState, dS, dE, dI, dbeta, ddef_, dNone_, dlen, dmaximum_, dops, dkeras, dnp, dregister_, drequire_, dsuper,
            dΔx, dω1, d__init__, d_x, dtotal_, dmatmul_, ddescription, dinputs_, ddata_, drhs, doutputs, dprint, deval,
            dx1_
        )

    @staticmethod
    def outputs(t, states, params, consts):
        """The outputs, in the order of the description."""
        return ()

    @staticmethod
    def rhs_x(t, states, params, consts):
        """∂(dx/dt)/∂x, where it is not 0."""
        (
            self, lambda__, class_, x, states_, params_, consts_, t0, select_, power_, w1, w2, dx1, Layer, State, S, E,
            I, beta, def_, None_, len, maximum_, ops, keras, np, register_, require_, super, Δx, ω1, __init__, _x,
            total_, matmul_, description, inputs_, data_, rhs, outputs, print, eval, x1
        ) = states
        step, from_, state, k_slope, import_, return_, gamma = params
        method, self_, lambda_, h, dt, Q, zeta, __class__ = consts
        w1_ = exp(w1 / 10)
        w2_ = sin(dx1)
        return {
            ("self", "self"): -step,
            ("lambda", "lambda"): -from_,
            ("class", "class"): -state,
            ("x", "x"): -k_slope,
            ("states", "states"): step,
            ("params", "params"): params_ * step + params_ * step,
            ("consts", "consts"): lambda_,
            ("t0", "t0"): h,
            ("select", "select"): select(select_ > 1, 1, 0),
            ("power", "power"): 1.5 * power(power_, 0.5),
            ("w1", "w1"): w2 * dx1 * step + 2 * w1 * w2 * dx1 * w2 * dx1,
            ("w1", "w2"): w1 * dx1 * step + 2 * w1 * w2 * dx1 * w1 * dx1,
            ("w1", "dx1"): w1 * w2 * step + 2 * w1 * w2 * dx1 * w1 * w2,
            ("w2", "w1"): (w2 + 1) * w1_ / 10,
            ("w2", "w2"): w1_,
            ("dx1", "dx1"): (w2_ + w2_) * cos(dx1),
            ("Layer", "Layer"): dt,
            ("State", "State"): -Q,
            ("S", "S"): E,
            ("S", "E"): S,
            ("E", "E"): I,
            ("E", "I"): E,
            ("I", "I"): beta,
            ("I", "beta"): I,
            ("beta", "beta"): -zeta,
            ("def", "def"): 1,
            ("None", "None"): __class__,
            ("len", "len"): import_,
            ("maximum", "maximum"): (
                select(logical_and(maximum_ >= 1, maximum_ >= len), 1, logical_and(1 >= maximum_, 1 >= len), 0, 0)
            ),
            ("maximum", "len"): (
                select(logical_and(maximum_ >= 1, maximum_ >= len), 0, logical_and(1 >= maximum_, 1 >= len), 0, 1)
            ),
            ("ops", "keras"): ops,
            ("ops", "ops"): keras,
            ("keras", "np"): 1,
            ("np", "register"): 1,
            ("register", "require"): 1,
            ("require", "super"): 1,
            ("super", "super"): return_,
            ("Δx", "Δx"): -gamma,
            ("ω1", "ω1"): -method,
            ("__init__", "__init__"): _x,
            ("__init__", "_x"): __init__,
            ("_x", "_x"): self_,
            ("total", "matmul"): total_,
            ("total", "total"): matmul_,
            ("matmul", "description"): 1,
            ("description", "inputs"): data_,
            ("description", "data"): inputs_,
            ("inputs", "rhs"): 1,
            ("data", "outputs"): 1,
            ("rhs", "eval"): rhs,
            ("rhs", "rhs"): eval,
            ("outputs", "print"): 1,
            ("print", "print"): -1,
            ("eval", "eval"): -exp(-eval),
            ("x1", "x1"): x,
            ("x1", "x"): x1,
        }

    @staticmethod
    def rhs_p(t, states, params, consts):
        """∂(dx/dt)/∂p, where it is not 0."""
        (
            self, lambda__, class_, x, states_, params_, consts_, t0, select_, power_, w1, w2, dx1, Layer, State, S, E,
            I, beta, def_, None_, len, maximum_, ops, keras, np, register_, require_, super, Δx, ω1, __init__, _x,
            total_, matmul_, description, inputs_, data_, rhs, outputs, print, eval, x1
        ) = states
        return {
            ("self", "step"): -self,
            ("lambda", "from"): -lambda__,
            ("class", "state"): -class_,
            ("x", "k_slope"): -x,
            ("states", "step"): states_,
            ("params", "step"): params_ * params_,
            ("w1", "step"): w1 * w2 * dx1,
            ("len", "import"): len,
            ("super", "return"): super,
            ("Δx", "gamma"): -Δx,
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
        (
            self, lambda__, class_, x, states_, params_, consts_, t0, select_, power_, w1, w2, dx1, Layer, State, S, E,
            I, beta, def_, None_, len, maximum_, ops, keras, np, register_, require_, super, Δx, ω1, __init__, _x,
            total_, matmul_, description, inputs_, data_, rhs, outputs, print, eval, x1
        ) = states
        step, from_, state, k_slope, import_, return_, gamma = params
        (
            self_dot, lambda___dot, class__dot, x_dot, states__dot, params__dot, consts__dot, t0_dot, select__dot,
            power__dot, w1_dot, w2_dot, dx1_dot, Layer_dot, State_dot, S_dot, E_dot, I_dot, beta_dot, def__dot,
            None__dot, len_dot, maximum__dot, ops_dot, keras_dot, np_dot, register__dot, require__dot, super_dot,
            Δx_dot, ω1_dot, __init___dot, _x_dot, total__dot, matmul__dot, description_dot, inputs__dot, data__dot,
            rhs_dot, outputs_dot, print_dot, eval_dot, x1_dot
        ) = state_directions
        step_dot, from__dot, state_dot, k_slope_dot, import__dot, return__dot, gamma_dot = param_directions
        w1_ = exp(w1 / 10)
        w2_ = cos(dx1)
        w3 = w2_ * dx1_dot
        w4 = sin(dx1)
        return {
            ("self", "self"): -step_dot,
            ("lambda", "lambda"): -from__dot,
            ("class", "class"): -state_dot,
            ("x", "x"): -k_slope_dot,
            ("states", "states"): step_dot,
            ("params", "params"): step * params__dot + params_ * step_dot + (step * params__dot + params_ * step_dot),
            ("power", "power"): 1.5 * select(power_ > 0, 0.5 * power(power_, -0.5), 0) * power__dot,
            ("w1", "w1"): (
                dx1 * step * w2_dot + w2 * step * dx1_dot + w2 * dx1 * step_dot + (2 * w2 * dx1 * w2 * dx1 * w1_dot + 2
                * w1 * dx1 * w2 * dx1 * w2_dot + 2 * w1 * w2 * w2 * dx1 * dx1_dot + 2 * w1 * w2 * dx1 * dx1 * w2_dot + 2
                * w1 * w2 * dx1 * w2 * dx1_dot)
            ),
            ("w1", "w2"): (
                dx1 * step * w1_dot + w1 * step * dx1_dot + w1 * dx1 * step_dot + (2 * w2 * dx1 * w1 * dx1 * w1_dot + 2
                * w1 * dx1 * w1 * dx1 * w2_dot + 2 * w1 * w2 * w1 * dx1 * dx1_dot + 2 * w1 * w2 * dx1 * dx1 * w1_dot + 2
                * w1 * w2 * dx1 * w1 * dx1_dot)
            ),
            ("w1", "dx1"): (
                w2 * step * w1_dot + w1 * step * w2_dot + w1 * w2 * step_dot + (2 * w2 * dx1 * w1 * w2 * w1_dot + 2 * w1
                * dx1 * w1 * w2 * w2_dot + 2 * w1 * w2 * w1 * w2 * dx1_dot + 2 * w1 * w2 * dx1 * w2 * w1_dot + 2 * w1
                * w2 * dx1 * w1 * w2_dot)
            ),
            ("w2", "w1"): (w1_ * w2_dot + (w2 + 1) * w1_ * (w1_dot / 10)) / 10,
            ("w2", "w2"): w1_ * (w1_dot / 10),
            ("dx1", "dx1"): w2_ * (w3 + w3) - (w4 + w4) * w4 * dx1_dot,
            ("S", "S"): E_dot,
            ("S", "E"): S_dot,
            ("E", "E"): I_dot,
            ("E", "I"): E_dot,
            ("I", "I"): beta_dot,
            ("I", "beta"): I_dot,
            ("len", "len"): import__dot,
            ("ops", "keras"): ops_dot,
            ("ops", "ops"): keras_dot,
            ("super", "super"): return__dot,
            ("Δx", "Δx"): -gamma_dot,
            ("__init__", "__init__"): _x_dot,
            ("__init__", "_x"): __init___dot,
            ("total", "matmul"): total__dot,
            ("total", "total"): matmul__dot,
            ("description", "inputs"): data__dot,
            ("description", "data"): inputs__dot,
            ("rhs", "eval"): rhs_dot,
            ("rhs", "rhs"): eval_dot,
            ("eval", "eval"): exp(-eval) * eval_dot,
            ("x1", "x1"): x_dot,
            ("x1", "x"): x1_dot,
        }

    @staticmethod
    def rhs_t_tangent(t, states, params, consts, state_directions, param_directions):
        """The change of `rhs_t` along directions of the states and params, where it is not 0."""
        return {}
