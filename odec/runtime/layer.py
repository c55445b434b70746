"""The Keras layer that every generated class extends: initial states in, trajectories out, parameters as weights."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from odec.diagnostics import nearest
from odec.runtime import guesses, loops, simulate, sizing
from odec.runtime.adaptive import Adaptive
from odec.runtime.cell import Cell, cell_of
from odec.runtime.description import Description
from odec.runtime.equations import Equations, Slots
from odec.runtime.layout import Layout
from odec.runtime.recurrence import Recurrence
from odec.runtime.rows import by_states, layer_method, layer_timing
from odec.runtime.schedule import Schedule
from odec.runtime.stops import check_fixed, timed_by

Tensor = Any
Shape = tuple[int | None, ...]

# Attempts at a step that a row of an adaptive layer may take.
MAX_STEPS = 4096


@keras.saving.register_keras_serializable(package="odec")
class Bounds(keras.constraints.Constraint):
    """Puts a weight back between its bounds after each update of the optimizer."""

    def __init__(self, lower: float, upper: float) -> None:
        self.lower, self.upper = lower, upper

    def __call__(self, w: Tensor) -> Tensor:
        """The weight, inside its bounds."""
        return ops.clip(w, self.lower, self.upper)

    def get_config(self) -> dict[str, float]:
        """The bounds."""
        return {"lower": self.lower, "upper": self.upper}


class Layer(keras.layers.Layer):
    """A system of differential equations as a layer: (batch, states) of initial values → (batch, steps, columns).

    A generated class adds `description` and the equations. Inputs (batch, 0) start each row at the model's own initial
    values. The start is not in the output.

    Args:
        steps, h: the output is taken after each of `steps` steps of length `h`.
        times: the output is taken at these times, in this order, with steps no longer than `h`.
            With neither `steps` nor `times` the model's `solve` statement decides.
        start: the start time, by default the model's.
        method: a name of `odec.runtime.methods.METHODS`, by default the model's, else `dopri5`, or `tsit5` with rtol.
        rtol, atol: makes the steps adaptive: each row of a batch takes steps of its own, so that the error of a step
            stays below atol + rtol·|x|. `atol` is one number, or one for each state by name; by default it is scaled to
            each state. A row that needs more than `max_steps` attempts, or whose step becomes too small, is NaN from
            there. Memory grows with `max_steps`: 16 bytes for each attempt of a row.
        outputs: names of states and outputs to return as columns, by default the states.
        return_sequences: False returns the last row alone, (batch, columns).
        params: first guesses other than the model's, by name.
        frozen: names of params that are not trained.
        consts: values of consts other than the model's, by name.
        sizes: values of sizes other than the model's; each may also be said as an argument of its name, `N=100`.

        input_times: the times of the rows of an input series. By default there is a row for each of the layer's steps
            (it belongs to the step's start), or one more, for both ends.

    A model with inputs takes their series as second argument, (batch, rows, inputs): `layer(x0, u)`, `layer([x0, u])`,
    or `layer(u)` from the model's own start. A map steps once for each row of its series where neither `steps` nor
    `times` say how often; without inputs it is `steps` that says it.

    A param may instead come for each row from another layer: `layer(x0, params={"b": b})` with `b` of shape (batch,) or
    (batch, 1), also in functional models; its weight is then not trained.

    Example:
        y = keras.Sequential([keras.Input((2,)), Competition(steps=1000, h=0.1, method="euler")]).predict([[100, 150]])
    """

    description: ClassVar[Description]

    def __init__(
        self,
        steps: int | None = None,
        h: float | None = None,
        times: Sequence[float] | None = None,
        *,
        start: float | None = None,
        method: str | None = None,
        rtol: float | None = None,
        atol: float | Mapping[str, float] | None = None,
        max_steps: int = MAX_STEPS,
        outputs: Sequence[str] | None = None,
        return_sequences: bool = True,
        params: Mapping[str, float] | None = None,
        frozen: Sequence[str] = (),
        consts: Mapping[str, float] | None = None,
        sizes: Mapping[str, int] | None = None,
        input_times: Sequence[float] | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        named = {size.name: kwargs.pop(size.name) for size in self.description.sizes if size.name in kwargs}
        super().__init__(dtype=_full_precision(dtype), **kwargs)
        sizes = {**(sizes or {}), **named}
        self._model = type(self).sized(**sizes) if sizes else type(self)
        description = self._model.description
        # That of the sizes of this layer, in the place of the class's own.
        self.description = description  # type: ignore[misc]
        self._asked: dict[str, Any] = {
            "steps": steps,
            "h": h,
            "times": None if times is None else [float(t) for t in np.ravel(np.asarray(times))],
            "start": start,
            "method": method,
            "rtol": rtol,
            "atol": atol if atol is None or isinstance(atol, (int, float)) else dict(atol),
            "max_steps": int(max_steps),
            "outputs": None if outputs is None else list(outputs),
            "return_sequences": bool(return_sequences),
            "params": {name: _plain(value) for name, value in (params or {}).items()},
            "frozen": list(frozen),
            "consts": {name: float(value) for name, value in (consts or {}).items()},
            "sizes": {name: int(value) for name, value in sizes.items()},
            "input_times": None if input_times is None else [float(t) for t in input_times],
        }
        by_state = by_states(description, self._asked["atol"])
        self.timing = layer_timing(description, steps, h, times, start, rtol, by_state, int(max_steps))
        self.method = layer_method(method, description.defaults.method, isinstance(self.timing, Adaptive))
        check_fixed(self._model, self._asked["frozen"])
        self._check_known("state or output", outputs or (), self._column_names())
        self.columns = description.expanded(outputs) if outputs is not None else self._state_names()
        self.return_sequences = bool(return_sequences)
        self._check_arguments()
        self._guesses = {param.name: self._guess(param) for param in description.params}
        numbers = self._model.constants(dict(self._asked["consts"]))
        fixed = [(const.name, simulate.fixed(numbers[const.name], const.shape)) for const in description.consts]
        self._numbers = (*fixed, *((size.name, size.value) for size in description.sizes))
        self._compiled = _cached(self._program)

    @classmethod
    def sized(cls, **sizes: int) -> type[Layer]:
        """The model with other sizes, as a class of its own; the same sizes give the same class.

        Raises ValueError for a name that is no size, and for a size that is not a whole number of at least 1.
        """
        found: type[Layer] = sizing.sized(cls, tuple(sorted(sizes.items())))  # type: ignore[arg-type]
        return found

    @classmethod
    def cell(cls, h: float | None = None, method: str | None = None, **arguments: Any) -> Cell:
        """One step of the model as a cell for `keras.layers.RNN`; `arguments` are those of the layer.

        Raises ValueError for a model without a step, and for one with jumps at known times.
        """
        return cell_of(cls, h, {"method": method, **arguments})

    def parameters(self) -> dict[str, Any]:
        """Each param with its present value: a float, or a NumPy array."""
        if not self.built:
            return dict(self._guesses)
        return {name: _number_or_array(weight.numpy()) for name, weight in self._weights().items()}

    def sensitivities(self, x0: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """The output (batch, steps, columns) and its derivative by each param (batch, steps, columns, P), as NumPy
        arrays.

        `x0` (batch, states), by default the model's own start (batch 1).
        """
        initial = {} if x0 is None else dict(zip(self._state_names(), np.atleast_2d(np.asarray(x0)).T, strict=True))
        present = self.parameters()
        return simulate.sensitivities(
            self._model,
            self._known_timing(),
            method=self.method,
            params=np.concatenate([np.zeros(0), *(np.ravel(present[param.name]) for param in self.description.params)]),
            consts=self._asked["consts"],
            initial=initial,
            columns=self.columns,
            dtype=self.compute_dtype,
        )

    # The Keras contract.

    def build(
        self, inputs_shape: Any, series_shape: Shape | None = None, params_shape: Mapping[str, Shape] | None = None
    ) -> None:
        """A weight for each param, under its name. A param that comes with the call is not trained."""
        self._check_shapes(*self._parted(inputs_shape, series_shape, is_shape=True))
        supplied = set(params_shape or {})
        self._check_known("param", supplied, [param.name for param in self.description.params])
        for param in self.description.params:
            bounded = math.isfinite(param.lower) or math.isfinite(param.upper)
            self.add_weight(
                name=param.name,
                shape=param.shape,
                initializer=self._initializer(param),
                constraint=Bounds(param.lower, param.upper) if bounded else None,
                trainable=param.name not in self._asked["frozen"] and param.name not in supplied,
            )

    def call(self, inputs: Any, series: Tensor | None = None, params: Mapping[str, Tensor] | None = None) -> Tensor:
        """Columns (batch, steps, columns) from initial states (batch, states) or (batch, 0), and the series (batch,
        rows, inputs) of a model with inputs."""
        params = dict(params or {})
        dtype = self.compute_dtype
        shared = tuple(param.name for param in self.description.params if param.name not in params)
        rows = tuple(param.name for param in self.description.params if param.name in params)
        inputs, series = self._parted(inputs, series)
        inputs = ops.zeros((ops.shape(series)[0], 0), dtype) if inputs is None else ops.cast(inputs, dtype)
        series = None if series is None else ops.cast(series, dtype)
        vector = self.shared_values(shared)
        sizes = {param.name: math.prod(param.shape) for param in self.description.params}
        per_row = [ops.transpose(ops.reshape(ops.cast(params[name], dtype), (-1, sizes[name]))) for name in rows]
        array = ops.concatenate(per_row) if rows else ops.zeros((0, 1), dtype)
        arguments = (inputs, series, vector, array)
        if loops.compiles():
            return self._compiled(shared, rows)(*arguments)
        return self._program(shared, rows)(*arguments)

    def shared_values(self, names: Sequence[str]) -> Tensor:
        """The weights of these params as one vector (S,): variables are read once, here; read inside a loop they would
        break its compilation."""
        weights = self._weights()
        if not names:
            return ops.zeros((0,), self.compute_dtype)
        values = [ops.convert_to_tensor(weights[name].value) for name in names]
        if all(len(value.shape) == 0 for value in values):
            # One operation instead of one for each param: half of the time of a call that is not compiled around.
            return ops.cast(ops.stack(values), self.compute_dtype)
        return ops.cast(ops.concatenate([ops.reshape(value, (-1,)) for value in values]), self.compute_dtype)

    def compute_output_shape(
        self, inputs_shape: Any, series_shape: Shape | None = None, params_shape: Mapping[str, Shape] | None = None
    ) -> Shape:
        """(batch, steps, columns), or (batch, columns) without sequences."""
        states, series = self._parted(inputs_shape, series_shape, is_shape=True)
        steps = len(self.timing.times) if self.timing is not None else series[1]
        rows = (steps,) if self.return_sequences else ()
        return ((series if states is None else states)[0], *rows, len(self.columns))

    def compute_output_spec(self, inputs: Any, series: Any = None, params: Any = None) -> Any:
        """The output as a symbolic tensor."""
        states, series = (None if part is None else part.shape for part in self._parted(inputs, series))
        self._check_shapes(states, series)
        shape = self.compute_output_shape(*((states, series) if states is not None else (series,)))
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, and the digest of the model's text."""
        return {**super().get_config(), **self._asked, "digest": self.description.digest}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """The layer of a config; warns when the model's text has changed since."""
        config = dict(config)
        digest = config.pop("digest", cls.description.digest)
        if digest != cls.description.digest:
            warnings.warn(
                f"{cls.__name__} was saved with another text of {cls.description.source} "
                f"(SHA-256 {digest[:8]}…, now {cls.description.digest[:8]}…): its results may differ",
                stacklevel=2,
            )
        return cls(**config)

    def save_own_variables(self, store: Any) -> None:
        """By name, so that freezing a param or changing the order of the text does not mix values up."""
        for name, weight in self._weights().items():
            store[name] = weight.numpy()

    def load_own_variables(self, store: Any) -> None:
        """ValueError when the saved params are not the model's."""
        weights = self._weights()
        saved = set(store.keys())
        if saved != set(weights):
            raise ValueError(
                f"the saved {type(self).__name__} has the params {', '.join(sorted(saved)) or '(none)'}, the model has "
                f"{', '.join(sorted(weights)) or '(none)'}: load it with the module it was saved with"
            )
        for name in timed_by(self._model):
            if float(np.asarray(store[name])) != float(np.asarray(weights[name].numpy())):
                raise ValueError(
                    f"the saved {type(self).__name__} jumps at other times: make it with "
                    f"params={{{name!r}: {float(np.asarray(store[name]))!r}}}, then load"
                )
        for name, weight in weights.items():
            weight.assign(store[name])

    # Inside.

    def _weights(self) -> dict[str, Any]:
        return {weight.name: weight for weight in self.weights}

    def _state_names(self) -> tuple[str, ...]:
        return self.description.state_elements

    def _column_names(self) -> list[str]:
        """All that may be asked for: elements and whole arrays."""
        description = self.description
        items: tuple[Any, ...] = (*description.states, *description.outputs)
        whole = [item.name for item in items]
        return [*description.state_elements, *description.output_elements, *whole]

    def _initializer(self, param: Any) -> Any:
        guess = self._guesses[param.name]
        return guesses.initializer(param) if isinstance(guess, str) else guesses.exactly(guess)

    def _program(self, shared: tuple[str, ...], rows: tuple[str, ...]) -> Callable[..., Tensor]:
        """The pure function (inputs, series, shared, rows) → output. It holds no layer and no variable."""
        equations = Equations(self._model, Slots(shared, rows, self._numbers))
        knots = self._asked["input_times"]
        knots = None if knots is None else np.array(knots)
        timed = [name for name in timed_by(self._model) if not np.ndim(self._guesses[name])]
        return Recurrence(
            equations,
            self.method,
            self.timing,
            self.columns,
            self.return_sequences,
            knots,
            tuple((name, float(self._guesses[name])) for name in timed),
        )

    def _known_timing(self) -> Schedule | Adaptive:
        if self.timing is None or self.description.inputs:
            raise ValueError(f"the sensitivities of {type(self).__name__} need its inputs: `odec.runtime.simulate`")
        return self.timing

    def _parted(self, inputs: Any, series: Any, is_shape: bool = False) -> tuple[Any, Any]:
        """States and series from what the layer was called with; None for what is not there."""
        if not self.description.inputs:
            return inputs, None
        is_pair = isinstance(inputs, (list, tuple)) and len(inputs) == 2
        if series is None and (is_pair and not (is_shape and isinstance(inputs[0], (int, type(None))))):
            return inputs[0], inputs[1]
        if series is None and len(inputs if is_shape else inputs.shape) == 3:
            return None, inputs
        return inputs, series

    def _guess(self, param: Any) -> Any:
        """A number, an array, or the name of an initializer."""
        value = self._asked["params"].get(param.name, param.value)
        if isinstance(value, str):
            return value
        if param.shape:
            value = np.broadcast_to(np.asarray(value, dtype=np.float64), param.shape)
        if not np.all((param.lower <= np.asarray(value)) & (np.asarray(value) <= param.upper)):
            raise ValueError(
                f"{param.name} starts outside its bounds [{param.lower}, {param.upper}]. Received: {value}"
            )
        return value

    def _check_arguments(self) -> None:
        description, asked = self.description, self._asked
        params = [param.name for param in description.params]
        self._check_known("param", [*asked["params"], *asked["frozen"]], params)
        self._check_known("const", asked["consts"], [const.name for const in description.consts])

    def _check_known(self, kind: str, names: Any, known: Sequence[str]) -> None:
        for name in names:
            if name not in known:
                cure = nearest(name, known) or f"there are: {', '.join(dict.fromkeys(known)) or 'none'}"
                raise ValueError(f"{type(self).__name__} has no {kind} named {name!r}; {cure}. Received: {name!r}")

    def _check_shapes(self, shape: Shape | None, series: Shape | None) -> None:
        names = self._state_names()
        if shape is not None and (len(shape) != 2 or shape[-1] not in (0, len(names))):
            raise ValueError(
                f"{type(self).__name__} takes initial values of shape (batch, {len(names)}), one for each state "
                f"({', '.join(names)}), or (batch, 0) for the model's own. Received: shape {tuple(shape)}"
            )
        elements = Layout.of(self.description.inputs).elements
        if elements and (series is None or len(series) != 3 or series[-1] != len(elements)):
            received = "none" if series is None else f"shape {tuple(series)}"
            raise ValueError(
                f"{type(self).__name__} takes an input series of shape (batch, rows, {len(elements)}) as its second "
                f"argument ({', '.join(elements)}). Received: {received}"
            )


def _cached(program: Callable[..., Callable[..., Tensor]]) -> Callable[..., Callable[..., Tensor]]:
    """The compiled programs of one layer; a closure, because Keras would try to save a dictionary."""
    found: dict[Any, Callable[..., Tensor]] = {}

    def compiled(shared: tuple[str, ...], rows: tuple[str, ...]) -> Callable[..., Tensor]:
        if (shared, rows) not in found:
            found[shared, rows] = loops.compiled(program(shared, rows))
        return found[shared, rows]

    return compiled


def _plain(value: Any) -> Any:
    """A number, a name, or nested lists: what a saved configuration can hold."""
    return value if isinstance(value, str) else np.asarray(value, dtype=np.float64).tolist()


def _number_or_array(value: np.ndarray) -> Any:
    return value if value.ndim else float(value)


def _full_precision(dtype: Any) -> Any:
    """The layer's own dtype: a policy of half precision around it (mixed_float16) leaves it at float32."""
    policy = keras.dtype_policies.get(dtype) if dtype is not None else keras.config.dtype_policy()
    return "float32" if policy.compute_dtype in ("float16", "bfloat16") else dtype
