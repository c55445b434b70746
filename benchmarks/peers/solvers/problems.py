"""The problems of `benchmarks/solvers.py`: equations in plain arithmetic, that every peer can call with its own arrays.

odec reads the same problems from `benchmarks/models/NAME.ode`. A right-hand side takes `t`, the states and the params,
each a sequence of whatever can be added and multiplied (floats, tracers, tensors, symbols), and gives a list.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Rhs = Callable[[Any, Sequence[Any], Sequence[Any]], list[Any]]
SEED = 5
# Of the Brusselator.
CELLS = 33


@dataclass(frozen=True)
class Problem:
    """An initial value problem from time 0 to the last of `times`; `spread` is how far the rows of a batch vary."""

    name: str
    rhs: Rhs
    initial: dict[str, float]
    times: tuple[float, ...]
    stiff: bool = False
    params: dict[str, float] = field(default_factory=dict)
    spread: float = 0.03

    def rows(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Initial values (count, states) and params (count, params). Row 0 is the problem itself; the others scale each
        number by up to 1 ± spread. A smaller batch is the beginning of a larger one."""
        centre = np.array([*self.initial.values(), *self.params.values()])
        shifts = np.random.default_rng(SEED).uniform(-self.spread, self.spread, (count, centre.size))
        shifts[0] = 0.0
        rows = centre * (1.0 + shifts)
        return rows[:, : len(self.initial)], rows[:, len(self.initial) :]


def evenly(end: float, count: int) -> tuple[float, ...]:
    """So many times, the last at the end."""
    return tuple(end * (i + 1) / count for i in range(count))


def lotka_volterra(t: Any, y: Sequence[Any], p: Sequence[Any]) -> list[Any]:
    prey, predator = y
    a, b, c, d = p
    return [a * prey - b * prey * predator, d * prey * predator - c * predator]


def lorenz(t: Any, y: Sequence[Any], p: Sequence[Any]) -> list[Any]:
    x, y_, z = y
    sigma, r, b = p
    return [sigma * (y_ - x), r * x - y_ - x * z, x * y_ - b * z]


def arenstorf(t: Any, y: Sequence[Any], p: Sequence[Any]) -> list[Any]:
    m = 0.012277471
    n = 1 - m
    x, y_, u, v = y
    d1 = ((x + m) * (x + m) + y_ * y_) ** 1.5
    d2 = ((x - n) * (x - n) + y_ * y_) ** 1.5
    return [u, v, x + 2 * v - n * (x + m) / d1 - m * (x - n) / d2, y_ - 2 * u - n * y_ / d1 - m * y_ / d2]


def pleiades(t: Any, y: Sequence[Any], p: Sequence[Any]) -> list[Any]:
    bodies = range(7)
    x, y_ = y[:7], y[7:14]
    u: list[Any] = [0.0] * 7
    v: list[Any] = [0.0] * 7
    for i, j in itertools.combinations(bodies, 2):
        dx, dy = x[j] - x[i], y_[j] - y_[i]
        pull = (dx * dx + dy * dy) ** -1.5
        fx, fy = dx * pull, dy * pull
        # The mass of body i is i + 1.
        u[i] = u[i] + (j + 1) * fx
        v[i] = v[i] + (j + 1) * fy
        u[j] = u[j] - (i + 1) * fx
        v[j] = v[j] - (i + 1) * fy
    return [*y[14:], *u, *v]


def vdpol(t: Any, y: Sequence[Any], p: Sequence[Any]) -> list[Any]:
    y1, y2 = y
    (mu,) = p
    return [y2, mu * ((1 - y1 * y1) * y2 - y1)]


def rober(t: Any, y: Sequence[Any], p: Sequence[Any]) -> list[Any]:
    y1, y2, y3 = y
    k1, k2, k3 = p
    back, slow, fast = k3 * y2 * y3, k1 * y1, k2 * y2 * y2
    return [back - slow, slow - back - fast, fast]


def hires(t: Any, y: Sequence[Any], p: Sequence[Any]) -> list[Any]:
    y1, y2, y3, y4, y5, y6, y7, y8 = y
    bound = 280 * y6 * y8
    return [
        -1.71 * y1 + 0.43 * y2 + 8.32 * y3 + 0.0007,
        1.71 * y1 - 8.75 * y2,
        -10.03 * y3 + 0.43 * y4 + 0.035 * y5,
        8.32 * y2 + 1.71 * y3 - 1.12 * y4,
        -1.745 * y5 + 0.43 * y6 + 0.43 * y7,
        -bound + 0.69 * y4 + 1.71 * y5 - 0.43 * y6 + 0.69 * y7,
        bound - 1.81 * y7,
        -bound + 1.81 * y7,
    ]


def pollu(t: Any, y: Sequence[Any], p: Sequence[Any]) -> list[Any]:
    y1, y2, y3, y4, y5, y6, y7, _, y9, y10, y11, _, y13, y14, _, y16, y17, _, y19, y20 = y
    r1, r2, r3, r4, r5 = 0.35 * y1, 26.6 * y2 * y4, 12300.0 * y5 * y2, 0.86e-3 * y7, 0.82e-3 * y7
    r6, r7, r8, r9, r10 = 15000.0 * y7 * y6, 0.13e-3 * y9, 24000.0 * y9 * y6, 16500.0 * y11 * y2, 9000.0 * y11 * y1
    r11, r12, r13, r14, r15 = 0.022 * y13, 12000.0 * y10 * y2, 1.88 * y14, 16300.0 * y1 * y6, 4800000.0 * y3
    r16, r17, r18, r19, r20 = 0.35e-3 * y4, 0.0175 * y4, 0.1e9 * y16, 0.444e12 * y16, 1240.0 * y17 * y6
    r21, r22, r23, r24, r25 = 2.1 * y19, 5.78 * y19, 0.0474 * y1 * y4, 1780.0 * y19 * y1, 3.12 * y20
    return [
        -r1 - r10 - r14 - r23 - r24 + r2 + r3 + r9 + r11 + r12 + r22 + r25,
        -r2 - r3 - r9 - r12 + r1 + r21,
        -r15 + r1 + r17 + r19 + r22,
        -r2 - r16 - r17 - r23 + r15,
        -r3 + 2 * r4 + r6 + r7 + r13 + r20,
        -r6 - r8 - r14 - r20 + r3 + 2 * r18,
        -r4 - r5 - r6 + r13,
        r4 + r5 + r6 + r7,
        -r7 - r8,
        -r12 + r7 + r9,
        -r9 - r10 + r8 + r11,
        r9,
        -r11 + r10,
        -r13 + r12,
        r14,
        -r18 - r19 + r16,
        -r20,
        r20,
        -r21 - r22 - r24 + r23 + r25,
        -r25 + r24,
    ]


def brusselator(cells: int) -> Rhs:
    """Lefever and Nicolis's reaction in a row of cells, with diffusion between them and fixed values at both ends."""

    def rhs(t: Any, y: Sequence[Any], p: Sequence[Any]) -> list[Any]:
        u, v = [1.0, *y[:cells], 1.0], [3.0, *y[cells:], 3.0]
        spread = 0.02 * (cells + 1) ** 2
        du, dv = [], []
        for i in range(1, cells + 1):
            made = u[i] * u[i] * v[i]
            du.append(1 + made - 4 * u[i] + spread * (u[i - 1] - 2 * u[i] + u[i + 1]))
            dv.append(3 * u[i] - made + spread * (v[i - 1] - 2 * v[i] + v[i + 1]))
        return [*du, *dv]

    return rhs


def brusselator_start(cells: int) -> dict[str, float]:
    """u a wave, v 3 everywhere."""
    waves = {f"u{i}": 1.0 + float(np.sin(2 * np.pi * i / (cells + 1))) for i in range(1, cells + 1)}
    return waves | {f"v{i}": 3.0 for i in range(1, cells + 1)}


def _pleiades_start() -> dict[str, float]:
    x, y = (3, 3, -1, -3, 2, -2, 2), (3, -3, 2, 0, 0, -4, 4)
    u, v = (0, 0, 0, 0, 0, 1.75, -1.5), (0, 0, 0, -1.25, 1, 0, 0)
    names = [f"{axis}{i}{slope}" for slope in ("", "'") for axis in "xy" for i in range(1, 8)]
    return dict(zip(names, (*x, *y, *u, *v), strict=True))


_POLLU_START = {2: 0.2, 4: 0.04, 7: 0.1, 8: 0.3, 9: 0.01, 17: 0.007}

PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem(
            "lotka_volterra",
            lotka_volterra,
            {"x": 10.0, "y": 5.0},
            evenly(15.0, 10),
            params={"a": 1.5, "b": 1.0, "c": 3.0, "d": 1.0},
        ),
        Problem(
            "lorenz",
            lorenz,
            {"x": -8.0, "y": 8.0, "z": 27.0},
            evenly(8.0, 10),
            params={"sigma": 10.0, "r": 28.0, "b": 8 / 3},
        ),
        # Started a hundredth elsewhere the satellite would meet the moon, and some of the seven stars each other.
        Problem(
            "arenstorf",
            arenstorf,
            {"x": 0.994, "y": 0.0, "u": 0.0, "v": -2.0015851063790825},
            evenly(17.0, 10),
            spread=0.0003,
        ),
        Problem("pleiades", pleiades, _pleiades_start(), evenly(3.0, 10), spread=0.003),
        Problem(
            "rober",
            rober,
            {"y1": 1.0, "y2": 0.0, "y3": 0.0},
            (*(0.4 * 10.0**k for k in range(11)), 1e11),
            stiff=True,
            params={"k1": 0.04, "k2": 3e7, "k3": 1e4},
        ),
        Problem(
            "hires",
            hires,
            {**{f"y{i}": 0.0 for i in range(1, 9)}, "y1": 1.0, "y8": 0.0057},
            (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 180.0, 240.0, 300.0, 321.8122),
            stiff=True,
        ),
        Problem(
            "pollu",
            pollu,
            {f"y{i}": _POLLU_START.get(i, 0.0) for i in range(1, 21)},
            evenly(60.0, 10),
            stiff=True,
        ),
        Problem("vdpol", vdpol, {"y1": 2.0, "y2": 0.0}, evenly(2.0, 10), stiff=True, params={"mu": 1e6}),
        Problem("brusselator", brusselator(CELLS), brusselator_start(CELLS), evenly(10.0, 10), stiff=True),
    )
}
