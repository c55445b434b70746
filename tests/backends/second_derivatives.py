"""On JAX: the Hessian of a layer of explicit fixed steps is that of differences of its gradient; through steps that
were chosen, solved for or ended by an event there is an error, not a number. Run by `test_backends.py`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from odec.loading import load_source
from odec.source import Source

PREY = "param a = 1\nparam b = 0.5\nstate x = 1\nstate y = 2\ndx = a*x - x*y\ndy = x*y - b*y\n"
BALL = "param a = 9\nparam b = 0.8\nstate x = 2\nstate y = 0\ndx = y\ndy = -a\nwhen x < 0: x = 0, y = -b*y\n"
RIGHT: dict[str, Any] = {"times": [0.5, 2.0], "h": 0.05, "method": "rk4"}
REFUSED = {
    "adaptive": (PREY, {"times": [0.5, 2.0], "rtol": 1e-6}),
    "stiff": (PREY, {**RIGHT, "method": "rodas4"}),
    "event": (BALL, RIGHT),
}


def loss(text: str, arguments: dict[str, Any]) -> tuple[Any, Any]:
    """A function of a layer's params, and where it is asked for."""
    layer = load_source(Source(text, "m.ode"))(dtype="float64", **arguments)
    start = np.array([[2.0, 1.0]])
    layer(start)

    def of(params: Any) -> Any:
        return jnp.sum(layer.stateless_call([params[0], params[1]], [], start)[0] ** 2)

    return of, jnp.array([float(np.asarray(weight.value)) for weight in layer.trainable_variables])


def main() -> None:
    """Raise where something is other than it should be."""
    of, at = loss(PREY, RIGHT)
    gradient = jax.grad(of)
    found = jax.hessian(of)(at)
    for i in range(2):
        moved = np.eye(2)[i] * 1e-5
        np.testing.assert_allclose(found[i], (gradient(at + moved) - gradient(at - moved)) / 2e-5, rtol=1e-6)
    for name, case in REFUSED.items():
        of, at = loss(*case)
        assert np.all(np.isfinite(jax.grad(of)(at)))
        for second in (jax.hessian(of), jax.jacrev(jax.grad(of))):
            try:
                second(at)
            except (NotImplementedError, TypeError, ValueError):
                continue
            raise AssertionError(f"{name}: a second derivative that is not right")


main()
