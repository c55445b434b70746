"""Networks from outside: a Keras model in the place of a net that the text only names, `net g(x, y) -> 1`.

All its weights are one more param of the model, a vector, so that they go into compiled loops, and their gradients come
out of them, as those of the other params do: a variable that is read inside a loop would break its compilation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, wraps
from typing import Any

import keras
import numpy as np
from keras import ops

from odec.diagnostics import Diagnostic, OdecError, nearest
from odec.runtime.arrays import stacked
from odec.runtime.description import Description, Net, Param
from odec.runtime.working import as_tensor

Tensor = Any

# Where the params stand among the arguments of a generated function.
_PARAMS_OF = {
    **dict.fromkeys(("initial", "jump_times", "switch_times"), 0),
    **dict.fromkeys(("rhs", "outputs", "noise", "conditions", "jumps"), 2),
}


def given_nets(description: Description) -> tuple[Net, ...]:
    """The nets that are handed over, in the order of the text."""
    return tuple(net for net in description.nets if not net.layers)


def check_nets(model: Any) -> None:
    """E0610 where a net of the model has not been handed over."""
    missing = [net.name for net in given_nets(model.description) if net.name not in getattr(model, "nets", {})]
    if missing:
        name, net = model.description.name, missing[0]
        raise OdecError.of(
            "E0610",
            f"{name} has a net `{net}` that the text does not describe",
            f"hand a Keras model over: `{name}({net}=model)`, `{name}.with_nets({net}=model)`, or write its layers",
        )


def with_weights(description: Description, names: Sequence[str]) -> list[str]:
    """The names with those of nets replaced by the names of their weights."""
    weights = {net.name: net.weights for net in description.nets if net.layers}
    return [weight for name in names for weight in weights.get(name, (name,))]


def drawn(description: Description, values: Collection[str]) -> tuple[Diagnostic, ...]:
    """W0610 where a run takes the weights of a net that the text describes as they are drawn; `values` are the names
    of the params that were given."""
    found = [net.name for net in description.nets if net.layers and not any(w in values for w in net.weights)]
    if not found:
        return ()
    names = ", ".join(f"`{name}`" for name in found)
    message = f"the weights of {names} are drawn by chance, and not trained"
    cure = "train the layer with Keras, and hand its values over: `params=layer.parameters()`"
    return (Diagnostic("W0610", message, help=cure, severity="warning"),)


def check_shared(nets: Mapping[str, Any], rows: Collection[str]) -> None:
    """ValueError where the weights of a net are to come for each row."""
    for name in nets:
        if name in rows:
            raise ValueError(f"the weights of the net {name} are the same for all rows: they cannot be supplied")


def no_derivatives(model: Any, what: str) -> OdecError:
    """The error where something is asked that needs the derivatives of a net that was handed over."""
    names = ", ".join(f"`{net.name}`" for net in given_nets(model.description))
    return OdecError.of(
        "E0610",
        f"{what} needs the derivatives of {names}, and a Keras model that is handed over has none here",
        "write the layers in the text (`net g(x) = dense(16, tanh), dense(1)`), or use an explicit method (tsit5) "
        "and Keras's own training",
    )


def joined(model: Any, nets: Mapping[str, Any]) -> Any:
    """A class like `model` with these Keras models in the place of its nets.

    ValueError for a name that is no such net, and for a model that does not take or give what the net does.
    """
    described = {net.name: net for net in model.description.nets}
    found = {name: _built(model, described, name, net) for name, net in nets.items()}
    order = [net.name for net in given_nets(model.description) if net.name in found]
    weights = tuple(_param(described[name], found[name]) for name in order)
    functions = {name: partial(_called, described[name], found[name]) for name in order}
    places = range(len(model.description.params), len(model.description.params) + len(order))

    def with_functions(function: Callable[..., Any], at: int) -> Any:
        @wraps(function)
        def run(*arguments: Any) -> Any:
            params = list(arguments[at])
            for place, name in zip(places, order, strict=True):
                params[place] = partial(functions[name], params[place])
            return function(*arguments[:at], tuple(params), *arguments[at + 1 :])

        return staticmethod(run)

    own = {name: with_functions(getattr(model, name), at) for name, at in _PARAMS_OF.items() if hasattr(model, name)}
    description = replace(model.description, params=(*model.description.params, *weights))
    return type(model.__name__, (model,), {**own, "description": description, "nets": found})


def _built(model: Any, described: Mapping[str, Net], name: str, net: Any) -> Any:
    if name not in described:
        cure = nearest(name, described) or f"there are: {', '.join(described) or 'none'}"
        raise ValueError(f"{model.__name__} has no net named {name!r}; {cure}. Received: {name!r}")
    wanted = described[name]
    if wanted.layers:
        message = f"the text of {model.__name__} says the layers of the net {name}"
        raise ValueError(f"{message}: to hand a model over, write `net {name}(…) -> {math.prod(wanted.shape)}`")
    net = keras.saving.deserialize_keras_object(net) if isinstance(net, dict) else net
    if not isinstance(net, keras.layers.Layer):
        raise ValueError(f"the net {name} is a Keras model or layer. Received: {net!r}")
    try:
        given = tuple(net(np.zeros((2, wanted.inputs))).shape)
    except Exception as error:
        raise ValueError(f"the net {name} takes (batch, {wanted.inputs}), and its model does not: {error}") from error
    if given != (2, math.prod(wanted.shape)):
        message = f"the net {name} gives {math.prod(wanted.shape)} numbers for each row"
        raise ValueError(f"{message}, (batch, {math.prod(wanted.shape)}). Received: a model with the output {given}")
    for variable in net.variables:
        # Known by the name of its net, wherever it stands (`odec.optimizers`).
        variable.net = name
    return net


@dataclass(frozen=True)
class NetWeights:
    """The weights of a Keras model as one vector, with what odec asks of a weight."""

    net: Any

    @property
    def variables(self) -> list[Any]:
        """Its weights; the states of random generators are none."""
        found = [*self.net.trainable_variables, *self.net.non_trainable_variables]
        return [variable for variable in found if keras.backend.is_float_dtype(variable.dtype)]

    @property
    def value(self) -> Tensor:
        """The vector, in the widest dtype among the weights."""
        parts = [ops.reshape(variable.value, (-1,)) for variable in self.variables]
        return ops.concatenate(parts) if parts else ops.zeros((0,))

    def numpy(self) -> np.ndarray:
        """The vector."""
        return np.concatenate([np.zeros(0), *(np.ravel(ops.convert_to_numpy(v)) for v in self.variables)])


def _param(net: Net, model: Any) -> Param:
    values = NetWeights(model).numpy()
    return Param(net.name, tuple(values.tolist()), shape=values.shape, description=net.description)


def _called(net: Net, model: Any, weights: Tensor, *inputs: Any) -> Tensor:
    """What a model makes of its inputs, the batch last in all of them; its weights (n, batch) are those of the first
    row: they are the same for all."""
    rows = as_tensor(_rows(inputs))
    values, place = {}, 0
    for variable in NetWeights(model).variables:
        size = math.prod(variable.shape)
        values[id(variable)] = ops.reshape(weights[place : place + size, 0], variable.shape)
        place += size
    trained, others = (
        [values.get(id(variable), np.zeros(variable.shape, variable.dtype)) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    # A net is a function: nothing is dropped, and nothing is normalised by the batch.
    options = {"training": False} if isinstance(model, keras.Model) else {}
    found, _ = model.stateless_call(trained, others, ops.transpose(rows), **options)
    result = ops.cast(ops.transpose(found), rows.dtype)
    return result if net.shape else result[0]


def _rows(inputs: tuple[Any, ...]) -> Any:
    """All inputs, numbers and vectors, as rows (k, batch)."""
    if len(inputs) == 1 and _is_vector(inputs[0]):
        return inputs[0]
    parts = ([value[i] for i in range(value.shape[0])] if _is_vector(value) else [value] for value in inputs)
    return stacked(*(number for part in parts for number in part))


def _is_vector(value: Any) -> bool:
    return len(getattr(value, "shape", ())) == 2
