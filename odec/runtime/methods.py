"""One-step methods as data: coefficients that check themselves, with their source, and one explicit step for all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from odec import methods as names
from odec.diagnostics import OdecError

# What a method may miss a condition by, relative to its largest weight.
ROUNDING = 1e-14

Row = tuple[float, ...]
Rows = tuple[Row, ...]


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method x ← x + h Σ b_i k_i, k_i = f(t + c_i h, x + h Σ_j<i a_ij k_j).

    `a` holds the rows below the first (row i has i entries). With `last_is_first` the last stage is the slope at the
    end of the step (its row is `b`): the first stage of the next step.

    An adaptive method has `error`: with one such vector the estimate is h Σ error_i k_i, this solution minus that of
    `error_order`; with two of the orders p and q, which give E and F, it is |h| E²/sqrt(E² + F²/100) on norms, of order
    2p - q (E. Hairer's dop853). The step is proportional to estimate^(-1/(error_order + 1)).

    `dense` gives the solution inside a step, x(t + θ h) = x + h Σ_i k_i Σ_m dense[i][m] θ^(m+1) of order `dense_order`,
    i over the stages and behind them those of `extra`, which only the dense output needs (rows as in `a`; their times
    are `extra_c`).

    The constructor checks all of this: each row sums to its `c`, and every condition of order (J. C. Butcher, 1963) of
    the weights, the estimators and the dense output.

    >>> METHODS["heun"].order
    2
    """

    name: str
    order: int
    a: Rows
    b: Row
    c: Row
    source: str
    error: Rows = ()
    error_order: int = 0
    last_is_first: bool = False
    dense: Rows = ()
    dense_order: int = 0
    extra: Rows = ()
    extra_c: Row = ()

    def __post_init__(self) -> None:
        assert len(self.b) == len(self.c) == len(self.a) + 1, self.name
        assert len(self.extra) == len(self.extra_c), self.name
        rows = ((), *self.a, *self.extra)
        a = _square(rows)
        assert np.allclose(a.sum(axis=1), (*self.c, *self.extra_c), rtol=0, atol=ROUNDING), (
            f"{self.name}: a row sum is not its c"
        )
        assert not self.last_is_first or self.b == (*self.a[-1], 0), f"{self.name}: the last stage is not at the end"
        weights = [np.pad(w, (0, len(a) - len(w))) for w in (self.b, *self.error)]
        _check(self, a, a, weights[0], weights[1:], np.array(self.dense))
        assert all(row[0] == (i == 0) for i, row in enumerate(self.dense)), (
            f"{self.name}: the dense output does not start with the slope"
        )

    @property
    def matrix(self) -> np.ndarray:
        """`a` as a square array, zero on and above the diagonal."""
        return _square(((), *self.a))


@dataclass(frozen=True)
class Rosenbrock:
    """A Rosenbrock method for stiff equations, in the form that needs no product with the Jacobian J.

    With W = I/(h γ) - J, its stages solve
    W u_i = f(t + alpha_i h, x + Σ_j<i a_ij u_j) + Σ_j<i c_ij u_j / h + gammas_i h ∂f/∂t, then x ← x + Σ m_i u_i
    (E. Hairer and G. Wanner, Solving Ordinary Differential Equations II, 1996, IV.7). `a` and `c` hold the rows below
    the first. The error estimate is Σ error_i u_i, of order `error_order`; inside the step, to order `dense_order`,
    x(t + θ h) = x + Σ_i u_i Σ_m dense[i][m] θ^(m+1).

    The constructor checks the conditions of order, and that the method is stiffly accurate: the last stage is at the
    end of the step and its increment added, x ← x + Σ_j a_sj u_j + u_s, so that infinitely stiff parts vanish.

    >>> METHODS["rodas4"].order
    4
    """

    name: str
    order: int
    gamma: float
    a: Rows
    c: Rows
    alpha: Row
    gammas: Row
    m: Row
    error: Row
    error_order: int
    dense: Rows
    dense_order: int
    source: str

    def __post_init__(self) -> None:
        stages = len(self.m)
        assert len(self.a) == len(self.c) == stages - 1, self.name
        a, gamma = self.untransformed
        for row, sums in ((a.sum(axis=1), self.alpha), (gamma.sum(axis=1), self.gammas)):
            assert np.allclose(row, sums, rtol=0, atol=10 * ROUNDING), f"{self.name}: a row sum is not its time"
        assert self.m == (*self.a[-1], 1) and self.alpha[-1] == 1, f"{self.name}: not stiffly accurate"
        weights = [np.array(w) @ gamma for w in (self.m, self.error)]
        _check(self, a, a + gamma, weights[0], weights[1:], gamma.T @ np.array(self.dense))
        assert abs(self.stability(np.inf)) < 10 * ROUNDING, f"{self.name}: not L-stable"

    @property
    def untransformed(self) -> tuple[np.ndarray, np.ndarray]:
        """The matrices α and Γ (stages, stages) of the form with J in every stage, whose increments k give u = Γ k."""
        gamma = np.linalg.inv(np.eye(len(self.m)) / self.gamma - _square(((), *self.c)))
        return _square(((), *self.a)) @ gamma, gamma

    def stability(self, z: complex) -> complex:
        """What a step multiplies x by where dx/dt = λ x, z = h λ."""
        a, gamma = self.untransformed
        one = np.ones(len(self.m))
        b = np.array(self.m) @ gamma
        if np.isinf(z):
            return complex(1 - b @ np.linalg.solve(a + gamma, one))
        return complex(1 + z * b @ np.linalg.solve(np.eye(len(one)) - z * (a + gamma), one))


Method = Tableau | Rosenbrock
# A rooted tree: the trees that hang from its root, sorted.
Tree = tuple["Tree", ...]


@cache
def _trees(order: int) -> tuple[Tree, ...]:
    """The rooted trees with that many nodes."""
    if order == 1:
        return ((),)
    return tuple(sorted({grown for tree in _trees(order - 1) for grown in _grown(tree)}))


def _grown(tree: Tree) -> Iterator[Tree]:
    """The tree with one leaf more, anywhere."""
    yield tuple(sorted((*tree, ())))
    for i, branch in enumerate(tree):
        for grown in _grown(branch):
            yield tuple(sorted((*tree[:i], grown, *tree[i + 1 :])))


def _nodes(tree: Tree) -> int:
    return 1 + sum(_nodes(branch) for branch in tree)


def _density(tree: Tree) -> int:
    return _nodes(tree) * math.prod(_density(branch) for branch in tree)


def _elementary(tree: Tree, a: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """The elementary weight of the tree at each stage; `beta` is α + Γ of a Rosenbrock method, else `a`."""
    if len(tree) == 1:
        return np.asarray(beta @ _elementary(tree[0], a, beta))
    weight = np.ones(len(a))
    for branch in tree:
        weight = weight * (a @ _elementary(branch, a, beta))
    return weight


def _order(weights: np.ndarray, wanted: Callable[[int], Any], a: np.ndarray, beta: np.ndarray, most: int) -> int:
    """The highest order, up to `most`, to which `weights` (stages, …) meet every Σ w_i Φ_i = wanted / density."""
    allowed = ROUNDING * (1 + np.abs(weights).max())
    for order in range(1, most + 1):
        for tree in _trees(order):
            missed = weights.T @ _elementary(tree, a, beta) - wanted(order) / _density(tree)
            if np.abs(missed).max() > allowed:
                return order - 1
    return most


def _check(
    method: Method, a: np.ndarray, beta: np.ndarray, b: np.ndarray, errors: list[np.ndarray], dense: np.ndarray
) -> None:
    """Every condition on the order of a method: of its weights `b`, its error estimates and its dense output."""
    found = _order(b, lambda order: 1, a, beta, method.order)
    assert found == method.order, f"{method.name}: not of order {method.order}"
    if errors:
        orders = [_order(error, lambda order: 0, a, beta, method.order) for error in errors]
        found = orders[0] if len(orders) == 1 else 2 * orders[0] - orders[1]
        assert found == method.error_order, f"{method.name}: not an estimate of order {method.error_order}"
    if dense.size:
        # A tree of m nodes must give θ^m and no other power.
        powers = np.arange(1, dense.shape[1] + 1)
        found = _order(dense, lambda order: powers == order, a, beta, method.dense_order)
        assert found == method.dense_order, f"{method.name}: no dense output of order {method.dense_order}"
        assert np.allclose(dense.sum(axis=1), b, rtol=0, atol=ROUNDING * np.abs(dense).max()), (
            f"{method.name}: the dense output does not end where the step does"
        )


def _square(rows: Rows) -> np.ndarray:
    """Rows of growing length as a square array, zero on and above the diagonal."""
    full = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        assert len(row) == i
        full[i, :i] = row
    return full


def _nested(b: Row, higher: Rows) -> Rows:
    """The monomials of a dense output in the form of E. Hairer's codes.

    x + θ (F_0 + (1-θ) (F_1 + θ (F_2 + (1-θ) (F_3 + …)))), where F_0, F_1 and F_2 make the cubic through both ends with
    their slopes, k_1 and the last of `b`, and `higher` holds the weights of F_3 …
    """
    stages = len(higher[0])
    step = np.pad(b, (0, stages - len(b)))
    first, last = np.eye(stages)[[0, len(b) - 1]]
    total = np.zeros((stages, 1))
    for i, weights in reversed(list(enumerate((step, first - step, 2 * step - first - last, *higher)))):
        total[:, 0] += weights
        raised = np.pad(total, ((0, 0), (1, 0)))
        total = raised if i % 2 == 0 else np.pad(total, ((0, 0), (0, 1))) - raised
    return _rows(total[:, 1:])


def _nested_stiff(m: Row, higher: Rows) -> Rows:
    """The monomials of the dense output of E. Hairer's rodas.f.

    x + θ (Σ m_i u_i + (1-θ) (H_0 + θ (H_1 + θ (H_2 + …)))), H_i = Σ_j higher[i][j] u_j.
    """
    h = np.array(higher).T
    flat = np.pad(h, ((0, 0), (0, 1))) - np.pad(h, ((0, 0), (1, 0)))
    flat[:, 0] += m
    return _rows(flat)


def _rows(values: np.ndarray) -> Rows:
    return tuple(tuple(row) for row in values.tolist())


# The numbers of the larger methods, to the digits that a double holds.
# fmt: off
# Ch. Tsitouras, Computers and Mathematics with Applications 62, 770-775, 2011.
_TSIT5_A: Rows = (
    (0.161,),
    (-0.008480655492356989, 0.335480655492357),
    (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
    (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
    (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
    (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774),
)
_TSIT5_ERROR: Row = (
    0.0017800110522257714, 0.0008164344596567469, -0.007880878010261995, 0.1447110071732629, -0.5823571654525552,
    0.45808210592918697, -0.015151515151515152,
)
_TSIT5_DENSE: Rows = (
    (1, -2.763706197274826, 2.9132554618219126, -1.0530884977290216),
    (0, 0.1317, -0.2234, 0.1017),
    (0, 3.9302962368947516, -5.941033872131505, 2.490627285651253),
    (0, -12.411077166933676, 30.33818863028232, -16.548102889244902),
    (0, 37.50931341651104, -88.1789048947664, 47.37952196281928),
    (0, -27.896526289197286, 65.09189467479366, -34.87065786149661),
    (0, 1.5, -4, 2.5),
)
_DOPRI5_B: Row = (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0)
_DOPRI5_D: Row = (
    -12715105075 / 11282082432, 0, 87487479700 / 32700410799, -10690763975 / 1880347072,
    701980252875 / 199316789632, -1453857185 / 822651844, 69997945 / 29380423,
)
# E. Hairer, S. P. Norsett and G. Wanner, Solving Ordinary Differential Equations I, 1993, and its code dop853.f.
_DOP853_A: Rows = (
    (0.05260015195876773,),
    (0.0197250569845379, 0.0591751709536137),
    (0.02958758547680685, 0, 0.08876275643042054),
    (0.2413651341592667, 0, -0.8845494793282861, 0.924834003261792),
    (0.037037037037037035, 0, 0, 0.17082860872947386, 0.12546768756682242),
    (0.037109375, 0, 0, 0.17025221101954405, 0.06021653898045596, -0.017578125),
    (0.03709200011850479, 0, 0, 0.17038392571223998, 0.10726203044637328, -0.015319437748624402,
     0.008273789163814023),
    (0.6241109587160757, 0, 0, -3.3608926294469414, -0.868219346841726, 27.59209969944671, 20.154067550477894,
     -43.48988418106996),
    (0.47766253643826434, 0, 0, -2.4881146199716677, -0.590290826836843, 21.230051448181193, 15.279233632882423,
     -33.28821096898486, -0.020331201708508627),
    (-0.9371424300859873, 0, 0, 5.186372428844064, 1.0914373489967295, -8.149787010746927, -18.52006565999696,
     22.739487099350505, 2.4936055526796523, -3.0467644718982196),
    (2.273310147516538, 0, 0, -10.53449546673725, -2.0008720582248625, -17.9589318631188, 27.94888452941996,
     -2.8589982771350235, -8.87285693353063, 12.360567175794303, 0.6433927460157636),
)
_DOP853_B: Row = (
    0.054293734116568765, 0, 0, 0, 0, 4.450312892752409, 1.8915178993145003, -5.801203960010585, 0.3111643669578199,
    -0.1521609496625161, 0.20136540080403034, 0.04471061572777259,
)
_DOP853_C: Row = (
    0, 0.05260015195876773, 0.0789002279381516, 0.1183503419072274, 0.2816496580927726, 0.3333333333333333, 0.25,
    0.3076923076923077, 0.6512820512820513, 0.6, 0.8571428571428571, 1, 1,
)
# The estimator of order 5, and the weights (the others are 0) whose difference from b is that of order 3.
_DOP853_B3 = {0: 0.2440944881889764, 8: 0.7338466882816119, 11: 0.022058823529411766}
_DOP853_E5: Row = (
    0.01312004499419488, 0, 0, 0, 0, -1.2251564463762044, -0.4957589496572502, 1.6643771824549864,
    -0.35032884874997366, 0.3341791187130175, 0.08192320648511571, -0.022355307863886294, 0,
)
# The stages that the dense output needs beside the twelve and the slope at the end, and its weights.
_DOP853_EXTRA: Rows = (
    (0.056167502283047954, 0, 0, 0, 0, 0, 0.25350021021662483, -0.2462390374708025, -0.12419142326381637,
     0.15329179827876568, 0.00820105229563469, 0.007567897660545699, -0.008298),
    (0.03183464816350214, 0, 0, 0, 0, 0.028300909672366776, 0.053541988307438566, -0.05492374857139099, 0, 0,
     -0.00010834732869724932, 0.0003825710908356584, -0.00034046500868740456, 0.1413124436746325),
    (-0.42889630158379194, 0, 0, 0, 0, -4.697621415361164, 7.683421196062599, 4.06898981839711,
     0.3567271874552811, 0, 0, 0, -0.0013990241651590145, 2.9475147891527724, -9.15095847217987),
)
_DOP853_EXTRA_C: Row = (0.1, 0.2, 0.7777777777777778)
_DOP853_D: Rows = (
    (-8.428938276109013, 0, 0, 0, 0, 0.5667149535193777, -3.0689499459498917, 2.38466765651207, 2.117034582445028,
     -0.871391583777973, 2.2404374302607883, 0.6315787787694688, -0.08899033645133331, 18.148505520854727,
     -9.194632392478356, -4.436036387594894),
    (10.427508642579134, 0, 0, 0, 0, 242.28349177525817, 165.20045171727028, -374.5467547226902,
     -22.113666853125306, 7.733432668472264, -30.674084731089398, -9.332130526430229, 15.697238121770845,
     -31.139403219565178, -9.35292435884448, 35.81684148639408),
    (19.985053242002433, 0, 0, 0, 0, -387.0373087493518, -189.17813819516758, 527.8081592054236,
     -11.57390253995963, 6.8812326946963, -1.0006050966910838, 0.7777137798053443, -2.778205752353508,
     -60.19669523126412, 84.32040550667716, 11.99229113618279),
    (-25.69393346270375, 0, 0, 0, 0, -154.18974869023643, -231.5293791760455, 357.6391179106141,
     93.40532418362432, -37.45832313645163, 104.0996495089623, 29.8402934266605, -43.53345659001114,
     96.32455395918828, -39.17726167561544, -149.72683625798564),
)
_DOP853_E3: Row = (*(b - _DOP853_B3.get(i, 0) for i, b in enumerate(_DOP853_B)), 0)
# G. Steinebach, BIT Numerical Mathematics 63, 27, 2023.
_RODAS5P_A: Rows = (
    (3,),
    (2.849394379747939, 0.45842242204463923),
    (-6.954028509809101, 2.489845061869568, -10.358996098473584),
    (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
    (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946),
)
_RODAS5P_C: Rows = (
    (-14.155112264123755,),
    (-17.97296035885952, -2.859693295451294),
    (147.12150275711716, -1.41221402718213, 71.68940251302358),
    (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
    (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471),
    (30.91273214028599, -3.1208243349937974, 77.79954646070892, 34.28646028294783, -19.097331116725623,
     -28.087943162872662),
    (37.80277123390563, -3.2571969029072276, 112.26918849496327, 66.9347231244047, -40.06618937091002,
     -54.66780262877968, -9.48861652309627),
)
_RODAS5P_ALPHA: Row = (0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664, 1, 1, 1)
_RODAS5P_GAMMAS: Row = (
    0.21193756319429014, -0.42387512638858027, -0.3384627126235924, 1.8046452872882734, 2.325825639765069, 0, 0, 0,
)
_RODAS5P_H: Rows = (
    (25.948786856663858, -2.5579724845846235, 10.433815404888879, -2.3679251022685204, 0.524948541321073,
     1.1241088310450404, 0.4272876194431874, -0.17202221070155493),
    (-9.91568850695171, -0.9689944594115154, 3.0438037242978453, -24.495224566215796, 20.176138334709044,
     15.98066361424651, -6.789040303419874, -6.710236069923372),
    (11.419903575922262, 2.8879645146136994, 72.92137995996029, 80.12511834622643, -52.072871366152654,
     -59.78993625266729, -0.15582684282751913, 4.883087185713722),
)
# E. Hairer and G. Wanner, Solving Ordinary Differential Equations II, 1996, and its code rodas.f.
_RODAS4_A: Rows = (
    (1.544,),
    (0.9466785280815826, 0.2557011698983284),
    (3.314825187068521, 2.896124015972201, 0.9986419139977817),
    (1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895),
)
_RODAS4_C: Rows = (
    (-5.6688,),
    (-2.430093356833875, -0.2063599157091915),
    (-0.1073529058151375, -9.594562251023355, -20.47028614809616),
    (7.496443313967647, -10.24680431464352, -33.99990352819905, 11.7089089320616),
    (8.083246795921522, -7.981132988064893, -31.52159432874371, 16.31930543123136, -6.058818238834054),
)
_RODAS4_ALPHA: Row = (0, 0.386, 0.21, 0.63, 1, 1)
_RODAS4_GAMMAS: Row = (0.25, -0.1043, 0.1035, -0.0362, 0, 0)
_RODAS4_H: Rows = (
    (10.12623508344586, -7.487995877610167, -34.80091861555747, -7.992771707568823, 1.025137723295662, 0),
    (-0.6762803392801253, 6.087714651680015, 16.43084320892478, 24.76722511418386, -6.594389125716872, 0),
)
# fmt: on

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Tableau(
            name="euler",
            order=1,
            a=(),
            b=(1,),
            c=(0,),
            source="L. Euler, Institutiones calculi integralis, 1768",
        ),
        Tableau(
            name="midpoint",
            order=2,
            a=((1 / 2,),),
            b=(0, 1),
            c=(0, 1 / 2),
            source="C. Runge, 1895: the slope at the middle of the step",
        ),
        Tableau(
            name="heun",
            order=2,
            a=((1,),),
            b=(1 / 2, 1 / 2),
            c=(0, 1),
            source="K. Heun, 1900: the mean of the slopes at both ends (explicit trapezoidal rule)",
        ),
        Tableau(
            name="ralston",
            order=2,
            a=((2 / 3,),),
            b=(1 / 4, 3 / 4),
            c=(0, 2 / 3),
            source="A. Ralston, 1962: the two-stage method with the smallest bound on the error",
        ),
        Tableau(
            name="rk4",
            order=4,
            a=((1 / 2,), (0, 1 / 2), (0, 0, 1)),
            b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
            c=(0, 1 / 2, 1 / 2, 1),
            source="W. Kutta, 1901: the classical method",
        ),
        Tableau(
            name="tsit5",
            order=5,
            a=_TSIT5_A,
            b=(*_TSIT5_A[-1], 0),
            c=(0, 0.161, 0.327, 0.9, 0.9800255409045097, 1, 1),
            error=(_TSIT5_ERROR,),
            error_order=4,
            last_is_first=True,
            dense=_TSIT5_DENSE,
            dense_order=4,
            source="Ch. Tsitouras, 2011: the pair of orders 5 and 4 with its free interpolant",
        ),
        Tableau(
            name="dopri5",
            order=5,
            a=(
                (1 / 5,),
                (3 / 40, 9 / 40),
                (44 / 45, -56 / 15, 32 / 9),
                (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
                (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
                _DOPRI5_B[:-1],
            ),
            b=_DOPRI5_B,
            c=(0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1),
            error=((71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40),),
            error_order=4,
            last_is_first=True,
            dense=_nested(_DOPRI5_B, (_DOPRI5_D,)),
            dense_order=4,
            source="J. R. Dormand and P. J. Prince, 1980: RK5(4)7M; L. F. Shampine, 1986: its dense output",
        ),
        Tableau(
            name="dop853",
            order=8,
            a=(*_DOP853_A, _DOP853_B),
            b=(*_DOP853_B, 0),
            c=_DOP853_C,
            error=(_DOP853_E5, _DOP853_E3),
            error_order=7,
            last_is_first=True,
            dense=_nested((*_DOP853_B, 0), _DOP853_D),
            dense_order=7,
            extra=_DOP853_EXTRA,
            extra_c=_DOP853_EXTRA_C,
            source="J. R. Dormand and P. J. Prince, 1989; E. Hairer, S. P. Norsett and G. Wanner, 1993: dop853.f",
        ),
        Rosenbrock(
            name="rodas4",
            order=4,
            gamma=0.25,
            a=(*_RODAS4_A, (*_RODAS4_A[-1], 1)),
            c=_RODAS4_C,
            alpha=_RODAS4_ALPHA,
            gammas=_RODAS4_GAMMAS,
            m=(*_RODAS4_A[-1], 1, 1),
            error=(0, 0, 0, 0, 0, 1),
            error_order=3,
            dense=_nested_stiff((*_RODAS4_A[-1], 1, 1), _RODAS4_H),
            dense_order=3,
            source="E. Hairer and G. Wanner, 1996: rodas.f",
        ),
        Rosenbrock(
            name="rodas5p",
            order=5,
            gamma=0.21193756319429014,
            a=(*_RODAS5P_A, (*_RODAS5P_A[-1], 1), (*_RODAS5P_A[-1], 1, 1)),
            c=_RODAS5P_C,
            alpha=_RODAS5P_ALPHA,
            gammas=_RODAS5P_GAMMAS,
            m=(*_RODAS5P_A[-1], 1, 1, 1),
            error=(0, 0, 0, 0, 0, 0, 0, 1),
            error_order=4,
            dense=_nested_stiff((*_RODAS5P_A[-1], 1, 1, 1), _RODAS5P_H),
            dense_order=4,
            source="G. Steinebach, 2023: Rodas5P",
        ),
    )
}

assert tuple(METHODS) == tuple(names.METHODS)

# For a fixed step; to a tolerance; and where that turns out to be stiff.
DEFAULT_METHOD = "dopri5"
ADAPTIVE_METHOD = "tsit5"
STIFF_METHOD = "rodas5p"


def tableau(name: str) -> Method:
    """The method of that name; E0408 with the nearest name where there is none."""
    if name in METHODS:
        return METHODS[name]
    raise OdecError([names.unknown_method(str(name))])


def step(method: Method, rhs: Callable[[Any, Any], Any], time: Callable[[float], Any], h: Any, x: Any) -> Any:
    """One step of an explicit method from `x`, an array of any shape.

    `time(c)` is the time at fraction `c` of the step and `h` its (signed) length, both scalars; `rhs(t, x)` has the
    shape of `x`. The slope at the end, which only an adaptive step needs, is not evaluated.
    """
    assert isinstance(method, Tableau), f"{method.name} needs the derivatives of rhs"
    stages = len(method.b) - method.last_is_first
    slopes = [rhs(time(method.c[0]), x)]
    for row, c in zip(method.a[: stages - 1], method.c[1:stages], strict=True):
        slopes.append(rhs(time(c), x + h * _combination(row, slopes)))
    return x + h * _combination(method.b[:stages], slopes)


def _combination(weights: tuple[float, ...], slopes: list[Any]) -> Any:
    """Σ w_i k_i without the terms whose weight is zero."""
    terms = [k if w == 1 else float(w) * k for w, k in zip(weights, slopes, strict=True) if w != 0]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
