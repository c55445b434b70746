"""The Keras layer that every generated class extends: initial states in, trajectories out, parameters as weights."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import keras
import numpy as np
from keras import ops

from odec.runtime import guesses, loops, simulate, sizing
from odec.runtime.adaptive import Adaptive
from odec.runtime.bounds import Bounds, caution_bounds
from odec.runtime.cell import Cell, cell_of
from odec.runtime.description import Description
from odec.runtime.equations import Equations, Slots
from odec.runtime.given import check_names, check_supplied, ordered
from odec.runtime.nets import NetWeights, check_nets, check_shared, joined, with_weights
from odec.runtime.precision import caution_time, full_precision
from odec.runtime.recurrence import Recurrence, signal_of
from odec.runtime.rows import by_states, layer_method, layer_timing
from odec.runtime.stops import check_fixed, timed_by
from odec.runtime.supply import GroupParams, ParamHead, Spec, specs_of

Tensor = Any
Shape = tuple[int | None, ...]

# Attempts at a step that a row of an adaptive layer may take.
MAX_STEPS = 4096


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
        frozen: names of params, and of nets, that are not trained.
        consts: values of consts other than the model's, by name.
        sizes: values of sizes other than the model's; each may also be said as an argument of its name, `N=100`.
        nets: a Keras model for each net that the text only names, `net g(x, y) -> 1`; each may also be said as an
            argument of its name, `g=model`. It is called with (batch, inputs) and never as in training.

        input_times: the times of the rows of an input series. By default there is a row for each of the layer's steps
            (it belongs to the step's start), or one more, for both ends.

    A model with inputs takes their series as second argument, (batch, rows, inputs): `layer(x0, u)`, `layer([x0, u])`,
    or `layer(u)` from the model's own start. A map steps once for each row of its series where neither `steps` nor
    `times` say how often; without inputs it is `steps` that says it.

    A param may instead come for each row from another layer, by name: `layer(x0, params={"b": b})` with `b` of shape
    (batch,) or (batch, 1), or `layer({"b": b})` from the model's own start; the dictionary may hold initial values of
    states too. The weight of such a param is not trained, and its bounds are not looked at. `head` and `groups` make
    layers that supply params inside them.

    Example:
        y = keras.Sequential([keras.Input((2,)), Competition(steps=1000, h=0.1, method="euler")]).predict([[100, 150]])
    """

    description: ClassVar[Description]
    # The Keras models that are nets of this class.
    nets: ClassVar[Mapping[str, Any]] = {}

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
        nets: Mapping[str, Any] | None = None,
        input_times: Sequence[float] | None = None,
        dtype: Any = None,
        **kwargs: Any,
    ) -> None:
        named = {size.name: kwargs.pop(size.name) for size in self.description.sizes if size.name in kwargs}
        handed = {net.name: kwargs.pop(net.name) for net in self.description.nets if net.name in kwargs}
        super().__init__(dtype=full_precision(dtype), **kwargs)
        sizes = {**(sizes or {}), **named}
        nets = {**(nets or {}), **handed}
        self._model = type(self).with_nets(**nets) if nets else type(self)
        self._model = self._model.sized(**sizes) if sizes else self._model
        check_nets(self._model)
        # An attribute, so that Keras saves and trains them.
        self._nets = dict(self._model.nets)
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
            "frozen": with_weights(description, frozen),
            "consts": {name: float(value) for name, value in (consts or {}).items()},
            "sizes": {name: int(value) for name, value in sizes.items()},
            "input_times": None if input_times is None else [float(t) for t in input_times],
        }
        by_state = by_states(description, self._asked["atol"])
        self.timing = layer_timing(description, steps, h, times, start, rtol, by_state, int(max_steps))
        self.method = layer_method(method, description.defaults.method, isinstance(self.timing, Adaptive))
        caution_time(self._model, self.timing, self.compute_dtype)
        check_fixed(self._model, self._asked["frozen"])
        check_names(description, outputs or (), "state or output", self._column_names())
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
    def with_nets(cls, **nets: Any) -> type[Layer]:
        """The model with Keras models in the place of nets that the text only names, as a class of its own: for `solve`
        and for several layers that share them.

        Raises ValueError for a name that is no such net, and for a model that does not take or give what the net does.
        """
        found: type[Layer] = joined(cls, nets)
        return found

    @classmethod
    def cell(
        cls,
        h: float | None = None,
        method: str | None = None,
        *,
        step: Literal["input"] | None = None,
        **arguments: Any,
    ) -> Cell:
        """One step of the model as a cell for `keras.layers.RNN`; `arguments` are those of the layer. With
        `step="input"` the sequence's first column is the length of each step. `cell.stream()` steps one at a time.

        Raises ValueError for a model without a step, and for one with jumps at known times.
        """
        return cell_of(cls, h, step, {"method": method, **arguments})

    @classmethod
    def head(cls, *names: str, params: Mapping[str, Any] | None = None, **options: Any) -> ParamHead:
        """A layer that predicts these params (by default all) for each series from a network's features, inside their
        bounds; `params` are other first guesses, `options` those of any Keras layer.

            features = encoder(series)
            decoded = Decay(times=times)(Decay.head("k")(features))

        Raises ValueError for a name that is no param.
        """
        return ParamHead(cls._specs(names or None, params), **options)

    @classmethod
    def groups(cls, groups: int, *names: str, params: Mapping[str, Any] | None = None, **options: Any) -> GroupParams:
        """A layer with a value of these params for each of so many groups: the number of a row's group picks its own.
        By default the params that the model says `per experiment`.

            group = keras.Input((), dtype="int32")
            solution = Decay(times=times)(Decay.groups(3)(group))

        Raises ValueError for a name that is no param, and where there is none to choose.
        """
        own = tuple(param.name for param in cls.description.params if param.per_experiment)
        if not (names or own):
            raise ValueError(f"{cls.__name__} says `per experiment` of no param: name those that differ")
        return GroupParams(groups, cls._specs(names or own, params), **options)

    def parameters(self) -> dict[str, Any]:
        """Each param with its present value: a float, or a NumPy array. Warns of one that lies outside its bounds."""
        if not self.built:
            return dict(self._guesses)
        weights = self._weights().items()
        found = {name: _number_or_array(weight.numpy()) for name, weight in weights}
        caution_bounds(self.description, found)
        return found

    def sensitivities(
        self, x0: Any = None, series: Any = None, *, wrt: Sequence[str] | None = None, controlled: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """The output (batch, times, columns) and its derivatives (batch, times, columns, W), as NumPy arrays.

        `wrt` are W names: params (by default all, at their present values), and states, whose initial value is meant.
        `x0` (batch, states) are the initial states, by default the model's own (batch 1); a state in `x0` does not
        depend on params. `series` (batch, rows, inputs) as in a call. The derivatives are exact for the steps that are
        taken; with a tolerance, `controlled` steps hold the derivatives to it too.

            values, slopes = Competition(times=[5, 10], rtol=1e-8).sensitivities(wrt=["r1", "x1"])

        Raises ValueError for a name that is none, for inputs without their series, and for a map that counts its steps
        by a series alone.
        """
        description = self.description
        wholes = (*(param.name for param in description.params), *(state.name for state in description.states))
        elements = (*description.param_elements, *description.state_elements)
        check_names(description, wrt or (), "param or state", wholes + elements)
        timing, signal = self.timing, None
        if timing is None:
            raise ValueError(f"the sensitivities of {type(self).__name__} need a number of `steps`, or `times`")
        if description.inputs and series is None:
            raise ValueError(f"the sensitivities of {type(self).__name__} need the series of its inputs")
        if series is not None:
            signal = signal_of(description, timing, np.asarray(series), self._asked["input_times"])
        if isinstance(timing, Adaptive):
            timing = replace(timing, exact=controlled)
        initial = {} if x0 is None else dict(zip(self._state_names(), np.atleast_2d(np.asarray(x0)).T, strict=True))
        present = self.parameters()
        found = simulate.sensitivities(
            self._model,
            timing,
            method=self.method,
            params=np.concatenate([np.zeros(0), *(np.ravel(present[param.name]) for param in self.description.params)]),
            consts=self._asked["consts"],
            initial=initial,
            columns=self.columns,
            wrt=wrt,
            dtype=self.compute_dtype,
            inputs=signal,
        )
        return found.values, found.derivatives

    # The Keras contract.

    def build(self, inputs_shape: Any = None, series_shape: Any = None, params_shape: Any = None) -> None:
        """A weight for each param, under its name. A param that comes with the call is not trained."""
        supplied = ordered(self.description, inputs_shape, series_shape, params_shape, shapes=True).rows
        for param in self.description.params:
            if param.name in self._nets:
                self._nets[param.name].trainable &= param.name not in self._asked["frozen"]
                continue
            bounded = math.isfinite(param.lower) or math.isfinite(param.upper)
            self.add_weight(
                name=param.name,
                shape=param.shape,
                initializer=self._initializer(param),
                constraint=Bounds(param.lower, param.upper) if bounded else None,
                trainable=param.name not in self._asked["frozen"] and param.name not in supplied,
            )

    def call(self, inputs: Any = None, series: Tensor | None = None, params: Any = None) -> Tensor:
        """Columns (batch, steps, columns) from initial states (batch, states) or (batch, 0), and the series (batch,
        rows, inputs) of a model with inputs; `params`, or in the place of the states a dictionary, has what comes for
        each row by name."""
        dtype, description = self.compute_dtype, self.description
        given = ordered(description, inputs, series, params)
        check_supplied(self._model, given.rows)
        check_shared(self._nets, given.rows)
        rows = given.names(description.params)
        shared = tuple(param.name for param in description.params if param.name not in rows)
        initial, elements = given.initial(description, dtype)
        series = None if given.series is None else ops.cast(given.series, dtype)
        program = self._compiled if loops.compiles() else self._program
        array = given.packed(description.params, dtype)
        return program(shared, rows, elements)(initial, series, self.shared_values(shared), array)

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
        self, inputs_shape: Any = None, series_shape: Any = None, params_shape: Any = None
    ) -> Shape:
        """(batch, steps, columns), or (batch, columns) without sequences."""
        given = ordered(self.description, inputs_shape, series_shape, params_shape, shapes=True)
        return self._output_shape(given.first, given.series)

    def compute_output_spec(self, inputs: Any = None, series: Any = None, params: Any = None) -> Any:
        """The output as a symbolic tensor."""
        given = ordered(self.description, inputs, series, params)
        check_supplied(self._model, given.rows)
        shape = self._output_shape(given.first.shape, None if given.series is None else given.series.shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, and the digest of the model's text."""
        nets = {name: keras.saving.serialize_keras_object(net) for name, net in self._nets.items()}
        return {**super().get_config(), **self._asked, "nets": nets, "digest": self.description.digest}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """The layer of a config; warns when the model's text has changed since."""
        config = dict(config)
        digest = config.pop("digest", cls.description.digest)
        if digest != cls.description.digest:
            warnings.warn(
                f"{cls.__name__} was saved with another text of {cls.description.source} "
                f"(SHA-256 {digest[:8]}…, now {cls.description.digest[:8]}…): its results may differ. Import the "
                "module that was compiled from the old text, or save the layer again",
                stacklevel=2,
            )
        return cls(**config)

    def save_own_variables(self, store: Any) -> None:
        """By name, so that freezing a param or changing the order of the text does not mix values up."""
        for name, weight in self._own_weights().items():
            store[name] = weight.numpy()

    def load_own_variables(self, store: Any) -> None:
        """ValueError when the saved params are not the model's."""
        weights = self._own_weights()
        saved = set(store.keys())
        if saved != set(weights):
            raise ValueError(
                f"the saved {type(self).__name__} has the params {', '.join(sorted(saved)) or '(none)'}, the model has "
                f"{', '.join(sorted(weights)) or '(none)'}: load it with the module it was saved with"
            )
        values = {name: np.asarray(store[name]) for name in weights}
        for name, weight in weights.items():
            if values[name].shape != tuple(weight.shape):
                raise ValueError(
                    f"{name} of the saved {type(self).__name__} has the shape {values[name].shape}, that of the model "
                    f"{tuple(weight.shape)}: make the layer with the sizes it was saved with"
                )
        for name in timed_by(self._model):
            if float(values[name]) != float(weights[name].numpy()):
                raise ValueError(
                    f"the saved {type(self).__name__} jumps at other times: make it with "
                    f"params={{{name!r}: {float(values[name])!r}}}, then load"
                )
        caution_bounds(self.description, values)
        for name, weight in weights.items():
            weight.assign(values[name])

    # Inside.

    @classmethod
    def _specs(cls, names: Sequence[str] | None, start: Mapping[str, Any] | None) -> list[Spec]:
        known = {param.name: param for param in cls.description.params}
        check_names(cls.description, [*(names or ()), *(start or {})], "param", list(known))
        if not known:
            raise ValueError(f"{cls.__name__} has no params")
        return specs_of([known[name] for name in names or known], start or {})

    def _weights(self) -> dict[str, Any]:
        return self._own_weights() | {name: NetWeights(net) for name, net in self._nets.items()}

    def _own_weights(self) -> dict[str, Any]:
        """Without those of the nets that were handed over, which Keras keeps itself."""
        theirs = {id(weight) for net in self._nets.values() for weight in net.weights}
        return {weight.name: weight for weight in self.weights if id(weight) not in theirs}

    def _state_names(self) -> tuple[str, ...]:
        return self.description.state_elements

    def _column_names(self) -> list[str]:
        """All that may be asked for: elements and whole arrays."""
        description = self.description
        items: tuple[Any, ...] = (*description.states, *description.outputs)
        whole = [item.name for item in items]
        return [*description.state_elements, *description.output_elements, *whole]

    def _output_shape(self, first: Shape, series: Shape | None) -> Shape:
        """The output's shape for a batch as long as `first`."""
        if self.timing is not None:
            steps: int | None = len(self.timing.times)
        else:
            assert series is not None
            steps = series[1]
        return (first[0], *((steps,) if self.return_sequences else ()), len(self.columns))

    def _initializer(self, param: Any) -> Any:
        guess = self._guesses[param.name]
        return guesses.initializer(param) if isinstance(guess, str) else guesses.exactly(guess)

    def _program(self, shared: tuple[str, ...], rows: tuple[str, ...], given: tuple[str, ...]) -> Callable[..., Tensor]:
        """The pure function (initial, series, shared, rows) → output. It holds no layer and no variable."""
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
            given,
        )

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
        check_names(description, [*asked["params"], *asked["frozen"]], "param", params)
        check_names(description, asked["consts"], "const", [const.name for const in description.consts])


def _cached(program: Callable[..., Callable[..., Tensor]]) -> Callable[..., Callable[..., Tensor]]:
    """The compiled programs of one layer; a closure, because Keras would try to save a dictionary."""
    found: dict[Any, Callable[..., Tensor]] = {}

    def compiled(*names: tuple[str, ...]) -> Callable[..., Tensor]:
        if names not in found:
            found[names] = loops.compiled(program(*names))
        return found[names]

    return compiled


def _plain(value: Any) -> Any:
    """A number, a name, or nested lists: what a saved configuration can hold."""
    return value if isinstance(value, str) else np.asarray(value, dtype=np.float64).tolist()


def _number_or_array(value: np.ndarray) -> Any:
    return value if value.ndim else float(value)
