"""Least squares and likelihoods with bounds, many starts at once: a trust-region Levenberg-Marquardt search.

What is minimised is a loss with a quadratic model in the form of a sum of squares: gradient 2Jᵀr, second derivative
2JᵀJ. For least squares r are the residuals and the loss is their sum of squares; for a likelihood they are made from
its score and its Fisher information (Fisher scoring), and the loss is another number.

Each start has its own trust region and its own end; the starts share nothing but the calls that evaluate them, so a
start's path does not depend on the others. Sources: Levenberg, Quart. Appl. Math. 2 (1944); Marquardt, J. SIAM 11
(1963); More, "The Levenberg-Marquardt algorithm", LNM 630 (1978) for the radius, the secular equation and the stopping
tests; the steps come from the singular values of the Jacobian, never from its normal equations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Points:
    """n points: `loss` (n,), infinite where it lies outside its domain and NaN where it has no value; `residuals`
    (n, M) and `jacobian` (n, M, P) of its quadratic model. `z` (n, P) is where they are, if not where they were asked
    for: some coordinates may have a best value in closed form. `attempts` (n,) says how much work they were, if that is
    known."""

    loss: np.ndarray
    residuals: np.ndarray
    jacobian: np.ndarray
    z: np.ndarray | None = None
    attempts: np.ndarray | None = None


def squares(residuals: np.ndarray, jacobian: np.ndarray) -> Points:
    """Points (n) of a sum of squares; one that overflows has no value."""
    loss = _squared(residuals)
    return Points(np.where(np.isinf(loss), np.nan, loss), residuals, jacobian)


# (points (n, P), which starts (n,)) -> the loss there.
Evaluate = Callable[[np.ndarray, np.ndarray], Points]

RUNNING = ""
GRADIENT = "the gradient vanishes"
REDUCTION = "the loss no longer falls"
STEP = "the steps became tiny"
SLOW = "the loss hardly falls any more"
EXACT = "the data are met exactly"
LIMIT = "the limit of iterations was reached"
UNFINISHED = "all epochs were run before an optimum was reached"
INTERRUPTED = "interrupted"
NOT_FINITE = "the model gives no finite number at the start"
OUTSIDE = "a model value or sd lies outside the domain of its distribution at the start"
NO_VALUE = frozenset({NOT_FINITE, OUTSIDE})
# A loss beyond this has overflowed, or is about to: the point counts as one that cannot be computed.
LARGEST = 1e100
CONVERGED = frozenset({GRADIENT, REDUCTION, STEP, SLOW, EXACT})
UNFINISHED_WITH_RESULT = frozenset({LIMIT, UNFINISHED, INTERRUPTED})


@dataclass(frozen=True)
class Settings:
    """When to stop. Every test is free of scale: data of 1e-9 end like data of 1.

    `gradient`: cosine between the residuals and any column of the Jacobian. `reduction`: fall of the loss against the
    sum of the squared residuals, both measured and predicted. `step`: step against position, in search units. `floor`:
    a loss that is only rounding. `slow`: fall of the loss against the sum of the squared residuals in `patience` steps,
    which ends a walk along a valley whose ground is flat.
    """

    gradient: float = 1e-9
    reduction: float = 1e-13
    step: float = 1e-11
    slow: float = 0.0
    patience: int = 25
    floor: float = 0.0
    iterations: int = 1000
    radius: float = 1.0


@dataclass(frozen=True)
class Box:
    """Bounds (P,) of the search coordinates, and a typical size (P,) of each: the unit of the trust region.

    A coordinate that `grows` (P,) is measured by its own size where that is larger (a linear parameter); the others
    keep their unit (a decade of a parameter on a log scale). A typical size of 0 is unknown: the Jacobian decides it.
    """

    lower: np.ndarray
    upper: np.ndarray
    typical: np.ndarray
    grows: np.ndarray

    def unit(self, z: np.ndarray, jacobian: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        """The unit (n, P) of each coordinate at the points `z` (n, P)."""
        unit = np.where(self.grows, np.maximum(np.abs(z), self.typical), self.typical)
        columns = np.linalg.norm(jacobian, axis=1)
        rest = np.linalg.norm(residuals, axis=1)[:, None]
        # The change that would take away the residuals alone: the only size there is for a parameter that starts at 0.
        alone = np.divide(rest, columns, out=np.ones_like(columns), where=(columns > 0) & (rest > 0))
        return np.where(unit > 0, unit, alone)


@dataclass
class Search:
    """Where every start stands: all that a search needs to go on, as plain arrays (so it can be stored and resumed).

    `z` (S, P) position, `loss` (S,), `residuals` (S, M), `jacobian` (S, M, P), `radius` (S,),
    `iterations` and `evaluations` (S,), `reason` (S,) "" while a start is running. `milestone` (S,) is the loss some
    steps ago, `attempts` (S,) the work of the last point that was evaluated.
    """

    z: np.ndarray
    residuals: np.ndarray
    jacobian: np.ndarray
    loss: np.ndarray
    radius: np.ndarray
    iterations: np.ndarray
    evaluations: np.ndarray
    reason: np.ndarray
    history: list[float] = field(default_factory=list)
    milestone: np.ndarray = field(default_factory=lambda: np.zeros(0))
    attempts: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def running(self) -> np.ndarray:
        """The starts (n,) that have not ended."""
        return np.flatnonzero(self.reason == RUNNING)

    @property
    def best(self) -> int:
        """The start with the least loss; the first of equals."""
        return int(np.argmin(np.where(np.isfinite(self.loss), self.loss, np.inf)))


def begin(evaluate: Evaluate, start: np.ndarray, box: Box, settings: Settings) -> Search:
    """The search at its starts (S, P), each put inside the bounds and evaluated once."""
    z = np.clip(np.array(start, dtype=float), box.lower, box.upper)
    count = len(z)
    points = evaluate(z, np.arange(count))
    z = z if points.z is None else np.clip(points.z, box.lower, box.upper)
    good = _usable(points)
    reason = np.full(count, RUNNING, dtype=object)
    reason[~good] = np.where(np.isposinf(points.loss[~good]), OUTSIDE, NOT_FINITE)
    loss = np.where(good, points.loss, np.inf)
    reason[good & (loss <= settings.floor)] = EXACT
    return Search(
        z=z,
        # In one order in memory: sums must come out to the last bit as in a search that was stored and goes on.
        residuals=np.array(points.residuals, order="C"),
        jacobian=np.array(points.jacobian, order="C"),
        loss=loss,
        radius=np.full(count, float(settings.radius)),
        iterations=np.zeros(count, dtype=int),
        evaluations=np.ones(count, dtype=int),
        reason=reason,
        milestone=loss.copy(),
        attempts=np.zeros(count) if points.attempts is None else np.array(points.attempts, dtype=float),
    )


def advance(search: Search, evaluate: Evaluate, box: Box, settings: Settings) -> None:
    """One trial step of every running start; changes `search`."""
    rows = search.running
    rows = rows[~_end_at_stationary(search, rows, box, settings)]
    if not len(rows):
        return
    # Points are run in blocks, each as long as its longest: those that take as long stand side by side.
    rows = rows[np.argsort(search.attempts[rows], kind="stable")]
    z, residuals, jacobian = search.z[rows], search.residuals[rows], search.jacobian[rows]
    unit = box.unit(z, jacobian, residuals)
    model = _Model(residuals, jacobian * unit[:, None, :]).compressed()
    step = _step_in_box(model, search.radius[rows], (box.lower - z) / unit, (box.upper - z) / unit)
    predicted = model.reduction(step)
    trial = np.clip(z + step * unit, box.lower, box.upper)
    new = evaluate(trial, rows)
    finite = _usable(new)
    if new.attempts is not None:
        search.attempts[rows] = new.attempts
    old_loss = search.loss[rows]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        gained = np.where(finite, old_loss - new.loss, -np.inf)
        ratio = np.where(predicted > 0, gained / predicted, -np.inf)
    accepted = finite & (ratio > 1e-4) & (gained > 0)
    length = np.linalg.norm(step, axis=1)
    search.radius[rows] = _next_radius(search.radius[rows], length, ratio, finite)
    search.iterations[rows] += 1
    search.evaluations[rows] += 1
    size = np.linalg.norm(z / unit, axis=1)
    _end(search, rows, accepted, gained, predicted, new.loss, length, size, settings)
    taken = rows[accepted]
    there = trial if new.z is None else np.clip(new.z, box.lower, box.upper)
    search.z[taken] = there[accepted]
    search.residuals[taken] = new.residuals[accepted]
    search.jacobian[taken] = new.jacobian[accepted]
    search.loss[taken] = new.loss[accepted]
    _end_slow(search, rows, settings)


def minimise(
    evaluate: Evaluate,
    start: np.ndarray,
    box: Box,
    settings: Settings | None = None,
    progress: Callable[[Search], None] | None = None,
    begun: Search | None = None,
) -> Search:
    """All starts (S, P) followed to their ends; a search that was `begun` goes on from where it stands.

    >>> line = lambda z, rows: squares(z - 3.0, np.ones((len(z), 1, 1)))
    >>> box = Box(np.array([-10.0]), np.array([10.0]), np.array([1.0]), np.array([True]))
    >>> minimise(line, np.array([[0.0]]), box).z
    array([[3.]])
    """
    settings = settings or Settings()
    search = begin(evaluate, start, box, settings) if begun is None else begun
    while len(search.running):
        advance(search, evaluate, box, settings)
        if np.isfinite(search.loss).any():
            search.history.append(float(search.loss[search.best]))
        if progress is not None:
            progress(search)
    return search


def steepest(z: np.ndarray, residuals: np.ndarray, jacobian: np.ndarray, box: Box) -> np.ndarray:
    """The largest cosine (n,) between the residuals and a column of the Jacobian that is not held by a bound."""
    gradient = _Model(residuals, jacobian).gradient()
    size = np.linalg.norm(jacobian, axis=1) * np.sqrt(_squared(residuals))[:, None]
    cosine = np.divide(np.abs(gradient), size, out=np.zeros_like(gradient), where=size > 0)
    return np.where(_held(z, gradient, box), 0.0, cosine).max(axis=1, initial=0.0)


@dataclass(frozen=True)
class _Model:
    """‖r + J p‖² near a point, in units of the trust region."""

    residuals: np.ndarray
    jacobian: np.ndarray

    def gradient(self) -> np.ndarray:
        return np.einsum("nmp,nm->np", self.jacobian, self.residuals)

    def reduction(self, step: np.ndarray) -> np.ndarray:
        """How far the loss should fall; summed so that small steps lose no digits."""
        change = np.einsum("nmp,np->nm", self.jacobian, step)
        return -np.einsum("nm,nm->n", change, 2 * self.residuals + change)

    def compressed(self) -> _Model:
        """The same up to a constant, with no more residuals than parameters: J = QR by Householder's reflections."""
        if self.jacobian.shape[1] <= self.jacobian.shape[2]:
            return self
        q, r = np.linalg.qr(self.jacobian)
        return _Model(np.einsum("nmk,nm->nk", q, self.residuals), r)

    def rows(self, chosen: np.ndarray) -> _Model:
        return replace(self, residuals=self.residuals[chosen], jacobian=self.jacobian[chosen])


def _squared(residuals: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.einsum("nm,nm->n", residuals, residuals)


def _usable(points: Points) -> np.ndarray:
    """Which points (n,) have numbers that can be squared without overflow."""
    with np.errstate(invalid="ignore"):
        fine = (np.abs(points.loss) < LARGEST) & (_squared(points.residuals) < LARGEST)
        return fine & (np.abs(points.jacobian) < LARGEST**0.5).all(axis=(1, 2))


def _held(z: np.ndarray, gradient: np.ndarray, box: Box) -> np.ndarray:
    """Which coordinates (n, P) lie on a bound while the loss falls only beyond it."""
    return ((z <= box.lower) & (gradient > 0)) | ((z >= box.upper) & (gradient < 0)) | (box.lower == box.upper)


def _end_at_stationary(search: Search, rows: np.ndarray, box: Box, settings: Settings) -> np.ndarray:
    """Ends the starts whose gradient vanishes in every free coordinate; says which (n,) of `rows` ended."""
    cosine = steepest(search.z[rows], search.residuals[rows], search.jacobian[rows], box)
    flat = cosine <= settings.gradient
    search.reason[rows[flat]] = GRADIENT
    spent = ~flat & (search.iterations[rows] >= settings.iterations)
    search.reason[rows[spent]] = LIMIT
    return flat | spent


def _end_slow(search: Search, rows: np.ndarray, settings: Settings) -> None:
    """Ends the starts whose loss has hardly fallen since the last milestone; sets the next one."""
    rows = rows[(search.iterations[rows] % settings.patience == 0) & (search.reason[rows] == RUNNING)]
    fallen = search.milestone[rows] - search.loss[rows]
    search.reason[rows[fallen <= settings.slow * _squared(search.residuals[rows])]] = SLOW
    search.milestone[rows] = search.loss[rows]


def _step_in_box(model: _Model, radius: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The step (n, P) that lowers the model most within the radius (n,) and low ≤ step ≤ high (n, P).

    A coordinate that would cross its bound is set on it and the others are found again, with what is left of the
    radius; so a wall bends a step, it does not shorten it.
    """
    gradient = model.gradient()
    fixed = ((low >= 0) & (gradient > 0)) | ((high <= 0) & (gradient < 0)) | (low >= high)
    step = np.zeros_like(low)
    todo = np.arange(len(step))
    for _ in range(step.shape[1] + 1):
        part = model.rows(todo)
        at_wall = np.where(fixed[todo], step[todo], 0.0)
        rest = part.residuals + np.einsum("nmp,np->nm", part.jacobian, at_wall)
        left = np.sqrt(
            np.maximum(radius[todo] ** 2 - np.einsum("np,np->n", at_wall, at_wall), (0.1 * radius[todo]) ** 2)
        )
        free = _step_in_ball(rest, np.where(fixed[todo][:, None, :], 0.0, part.jacobian), left)
        step[todo] = np.where(fixed[todo], at_wall, free)
        beyond = ~fixed[todo] & ((step[todo] < low[todo]) | (step[todo] > high[todo]))
        step[todo] = np.clip(step[todo], low[todo], high[todo])
        fixed[todo] |= beyond
        todo = todo[beyond.any(axis=1)]
        if not len(todo):
            break
    return step


def _step_in_ball(residuals: np.ndarray, jacobian: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """argmin ‖r + J p‖ with ‖p‖ ≤ radius, for each of n: p = -V diag(s/(s²+λ)) Uᵀr, λ ≥ 0 by More's iteration."""
    left, s, right = np.linalg.svd(jacobian, full_matrices=False)
    projected = np.einsum("nmk,nm->nk", left, residuals)
    largest = s[:, :1]
    alive = s > np.finfo(float).eps * max(jacobian.shape[1:]) * largest
    s = np.where(alive, s, 0.0)
    c = np.where(alive, s * projected, 0.0)
    s2 = s * s
    damping = _damping(s2, c, radius)
    weights = np.divide(c, s2 + damping[:, None], out=np.zeros_like(c), where=alive)
    return -np.einsum("nkp,nk->np", right, weights)


def _damping(s2: np.ndarray, c: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """λ (n,) with Σ (c/(s²+λ))² = radius², or 0 where the whole Gauss-Newton step fits.

    More's safeguarded Newton iteration on 1/‖p‖: monotone from the left of the root, to a tenth of a per cent.
    """
    alive = s2 > 0
    tiny = np.finfo(float).tiny
    ratio = np.divide(c, s2, out=np.zeros_like(c), where=alive)
    lower = np.zeros(len(s2))
    # The root lies below ‖c‖/radius; the quotient is bounded so that no product with it overflows.
    upper = np.clip(np.linalg.norm(c, axis=1) / np.maximum(radius, 1e-100), tiny, LARGEST)
    outside = np.linalg.norm(ratio, axis=1) > radius * 1.001
    damping = np.where(outside, np.maximum(1e-3 * upper, tiny), 0.0)
    for _ in range(60):
        shifted = np.where(alive, s2 + damping[:, None], 1.0)
        p = np.where(alive, c / shifted, 0.0)
        length = np.linalg.norm(p, axis=1)
        busy = outside & (np.abs(length - radius) > 1e-3 * radius)
        if not busy.any():
            break
        lower = np.where(busy & (length > radius), np.maximum(lower, damping), lower)
        upper = np.where(busy & (length < radius), np.minimum(upper, damping), upper)
        slope = np.einsum("nk,nk->n", p * p, 1.0 / shifted * alive)
        newton = damping + (length - radius) / radius * length * length / np.maximum(slope, tiny)
        middle = np.maximum(np.sqrt(lower) * np.sqrt(upper), 1e-3 * upper)
        better = np.where((newton > lower) & (newton < upper), newton, middle)
        damping = np.where(busy, better, damping)
    return damping


def _next_radius(radius: np.ndarray, length: np.ndarray, ratio: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Wider after a step that kept its promise and reached the edge, narrower after one that did not."""
    shrunk = np.where(finite, 0.25, 0.1) * np.minimum(length, radius)
    wider = np.maximum(radius, 2.0 * length)
    return np.where(ratio < 0.25, shrunk, np.where(ratio > 0.75, wider, radius))


def _end(
    search: Search,
    rows: np.ndarray,
    accepted: np.ndarray,
    gained: np.ndarray,
    predicted: np.ndarray,
    new_loss: np.ndarray,
    length: np.ndarray,
    size: np.ndarray,
    settings: Settings,
) -> None:
    """Writes the reason of each start that has come to its end with this step."""
    loss = _squared(search.residuals[rows])
    still = (np.abs(gained) <= settings.reduction * loss) & (predicted <= settings.reduction * loss)
    stuck = length <= settings.step * (settings.step + size)
    search.reason[rows[stuck]] = STEP
    search.reason[rows[still]] = REDUCTION
    search.reason[rows[accepted & (new_loss <= settings.floor)]] = EXACT
