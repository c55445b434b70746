"""The generated module's `Description(…)`: names, numbers and shapes."""

from __future__ import annotations

import math

from odec import __version__
from odec.emit.python import one_line, quoted
from odec.model.model import Jump, Model, Net, Param, State


def description_lines(model: Model, name: str, outputs: list[tuple[str, str, str]]) -> list[str]:
    """The class attribute `description`."""
    lines = [
        "    description = Description(",
        f"        name={quoted(name)},",
        f"        source={quoted(file_name(model))},",
        f"        digest={quoted(model.source.digest)},",
        f"        version={quoted(__version__)},",
    ]
    if model.description:
        lines.append(f"        text={quoted(model.description)},")
    if model.is_map:
        lines.append("        is_map=True,")
    shapes = {d.name: d.shape for d in model.intermediates}
    lines += _rows("states", [_state(s) for s in model.states])
    of_noise = model.noise_params
    lines += _rows("params", [_param(p, p.name in of_noise) for p in model.params])
    lines += _rows("consts", [_item("Const", quoted(c.name), c.description, c.shape) for c in model.consts])
    lines += _rows("sizes", [_item("Size", f"{quoted(s.name)}, {s.value}", s.description) for s in model.sizes])
    inputs = (
        _item("Input", f"{quoted(u.name)}, {quoted(u.interpolation)}", u.description, u.shape) for u in model.inputs
    )
    lines += _rows("inputs", list(inputs))
    lines += _rows("outputs", [_item("Output", f"{quoted(n)}, {quoted(k)}", d, shapes[n]) for n, k, d in outputs])
    lines += _rows("nets", list(map(_net, model.nets)))
    lines += _rows("data", [quoted(name) for name in model.data])
    noisy = [o for o in model.observes if o.noise is not None]
    lines += _rows("noises", [f"Noise({quoted(o.name)}, {quoted(o.noise.kind)})" for o in noisy if o.noise is not None])
    lines += _rows("jumps", [_jump(model, jump) for jump in model.jumps])
    defaults = defaults_text(model)
    if defaults:
        lines.append(f"        defaults=Defaults({defaults}),")
    return [*lines, "    )"]


def description_names(model: Model, outputs: list[tuple[str, str, str]]) -> set[str]:
    """The classes of `odec.runtime` that the description is made of."""
    present = {
        "State": model.states,
        "Param": model.params,
        "Const": model.consts,
        "Size": model.sizes,
        "Input": model.inputs,
        "Output": outputs,
        "Noise": [o for o in model.observes if o.noise is not None],
        "Prior": [p for p in model.params if p.prior is not None],
        "Jump": model.jumps,
        "Net": model.nets,
        "Defaults": defaults_text(model),
    }
    return {"Description", *(kind for kind, found in present.items() if found)}


def file_name(model: Model) -> str:
    """The model file's name without its folder, so that a module does not depend on where it was compiled."""
    return model.source.name.replace("\\", "/").rsplit("/", 1)[-1]


def defaults_text(model: Model) -> str:
    """The arguments of `Defaults(…)`, "" where the model says nothing."""
    solve = model.solve
    parts = [] if solve.start == 0 else [f"start={solve.start!r}"]
    parts += [
        f"{k}={v!r}" for k, v in (("stop", solve.stop), ("step", solve.step), ("every", solve.every)) if v is not None
    ]
    parts += [f"method={quoted(solve.method)}"] if solve.method else []
    return ", ".join(parts)


def _state(state: State) -> str:
    arguments = quoted(state.name) + (", has_start=False" if state.initial is None else "")
    return _item("State", arguments, state.description, state.shape)


def _param(param: Param, of_noise: bool) -> str:
    value = quoted(param.value) if isinstance(param.value, str) else repr(param.value)
    parts = [quoted(param.name), value]
    parts += [
        f"{key}={bound!r}" for key, bound in (("lower", param.lower), ("upper", param.upper)) if math.isfinite(bound)
    ]
    parts += [f"{flag}=True" for flag in ("log", "per_experiment") if getattr(param, flag)]
    parts += ["of_noise=True"] if of_noise else []
    if param.prior is not None:
        parts.append(f"prior=Prior({quoted(param.prior.kind)}, {param.prior.arguments!r})")
    return _item("Param", ", ".join(parts), param.description, param.shape)


def _net(net: Net) -> str:
    inputs = sum(math.prod(item.shape) for item in net.inputs)
    arguments = f"{quoted(net.name)}, {inputs}" + (f", layers={len(net.layers)}" if net.layers else "")
    return _item("Net", arguments, net.description, net.outputs)


def _jump(model: Model, jump: Jump) -> str:
    return f"Jump({quoted(jump.kind)}, {quoted(one_line(model.source.excerpt(jump.span)))})"


def _item(kind: str, arguments: str, description: str, shape: tuple[int, ...] = ()) -> str:
    arguments += f", shape={shape!r}" if shape else ""
    return f"{kind}({arguments}, description={quoted(description)})" if description else f"{kind}({arguments})"


def _rows(name: str, items: list[str]) -> list[str]:
    return [f"        {name}=(", *(f"            {item}," for item in items), "        ),"] if items else []
