"""Whether a fixed step damps what the equations damp: h·λ of an explicit method, λ the eigenvalues of ∂f/∂x."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from odec.runtime import methods
from odec.solution.probe import Probe

# More states than this are not looked at: the eigenvalues cost their number cubed.
MOST_STATES = 300
# A growth of this much is rounding.
NO_GROWTH = 1 + 1e-6
# A part of the solution that falls this much faster than it turns is damped, and must be by the method.
LEAST_DAMPING = 0.05


@dataclass(frozen=True)
class Instability:
    """A step h at which the method lets errors in `state` grow `growth` times a step: h·|λ| = `product`, above `limit`.
    The method is stable with steps below `longest`."""

    state: str
    product: float
    limit: float
    growth: float
    longest: float

    def __str__(self) -> str:
        return (
            f"h·|λ| = {self.product:.3g} is above {self.limit:.3g}, so that each step multiplies an error in "
            f"`{self.state}` by {self.growth:.3g}"
        )


def instability(probe: Probe, method: str, h: float, times: np.ndarray, states: np.ndarray) -> Instability | None:
    """Of the (signed) step h at accurate states (T, D); None where it is stable, or nothing can be told."""
    tableau = methods.tableau(method)
    if probe.size > MOST_STATES or not isinstance(tableau, methods.Tableau):
        return None
    names, size = probe.model.description.state_elements, np.abs(states).max(axis=0)
    worst: Instability | None = None
    for t, x in zip(times, states, strict=True):
        values, vectors = eigen(probe, float(t), x, size)
        z = h * values
        damped = z.real < -LEAST_DAMPING * np.abs(z)
        factors = np.where(damped, growth(tableau, z), 0.0)
        place = int(np.argmax(factors))
        if factors[place] > max(NO_GROWTH, worst.growth if worst else 0.0):
            part = _stable_part(tableau, z[place])
            product = abs(z[place])
            # Participation: how much the part is made of a state and the state of the part, whatever their units.
            name = names[int(np.argmax(np.abs(vectors[:, place] * np.linalg.pinv(vectors)[place])))]
            worst = Instability(name, product, part * product, float(factors[place]), part * abs(h))
    return worst


def eigen(probe: Probe, t: float, x: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The eigenvalues (D,) of ∂f/∂x at x (D,), and the eigenvectors (D, D) in columns; zeros where it is not finite."""
    jacobian = probe.jacobian(t, x, size)
    if not np.isfinite(jacobian).all():
        return np.zeros(len(x)), np.eye(len(x))
    found = np.linalg.eig(jacobian)
    return found.eigenvalues, found.eigenvectors


def growth(method: methods.Tableau, z: np.ndarray) -> np.ndarray:
    """|R(z)|: what one step does to x' = λx, z = hλ."""
    one = np.ones(z.shape, dtype=complex)
    return np.abs(methods.step(method, lambda _, x: z * x, lambda c: c, 1.0, one))


def _stable_part(method: methods.Tableau, z: complex) -> float:
    """The part of a step up to which it is stable. It is stable at 0 and not at 1."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        stable = growth(method, np.array([middle * z]))[0] <= NO_GROWTH
        low, high = (middle, high) if stable else (low, middle)
    return low
