"""`odec export`: a fit, or a model, as a file that runs where neither odec nor Keras is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from odec.cli.arguments import ASSIGNMENTS, FILE, NUMBER, NUMBERS, Assigned, values_by_name
from odec.cli.layers import layer_class

FORMATS = ("saved_model", "onnx", "litert", "openvino")


@click.command("export")
@click.argument("source", type=FILE)
@click.option(
    "--format",
    "target",
    type=click.Choice(FORMATS),
    default="saved_model",
    show_default=True,
    help="What the file is for.",
)
@click.option("--steps", type=click.IntRange(min=1), help="How many rows, one after each step.")
@click.option("--step", type=NUMBER, help="The fixed step h.")
@click.option("--times", type=NUMBERS, help="Rows at these times instead: 0,5,10.")
@click.option("--rtol", type=NUMBER, help="Adaptive steps: the relative error of one.")
@click.option("--method", help="The numerical method, as in `odec solve --help`.")
@click.option("--set", "sets", type=ASSIGNMENTS, multiple=True, help="Params: r1=0.2. Repeatable.")
@click.option("--dtype", type=click.Choice(["float32", "float64"]), help="Default: float64; litert has float32 alone.")
@click.option("--batch", type=click.IntRange(min=1), default=1, help="How many rows a litert file takes. Default: 1.")
@click.option("-o", "--output", type=FILE, help="The file, or the folder of a saved_model. Default: beside SOURCE.")
def command(
    source: str,
    target: str,
    steps: int | None,
    step: float | None,
    times: tuple[float, ...] | None,
    rtol: float | None,
    method: str | None,
    sets: tuple[tuple[Assigned, ...], ...],
    dtype: str | None,
    batch: int,
    output: str | None,
) -> None:
    """Export SOURCE, a fit or a model file, to run without Keras.

    What is written is a function from initial states to rows. Of a fit, given as its folder, the rows are at the times
    of its data, by its solver, where no option says otherwise; of a model, what its `solve` statement says. The file is
    run, and compared with the model, before it is kept.
    """
    from odec.start_up import command_started_up

    asked = {"steps": steps, "h": step, "times": times and list(times), "rtol": rtol, "method": method}
    given = {name: value for name, value in asked.items() if value is not None}
    is_fit = Path(source).is_dir()
    layer = None if is_fit else layer_class(source)
    with command_started_up():
        from odec import export
        from odec.runtime.artefact import keras_model

        arguments: dict[str, Any] = {}
        saved = None
        if is_fit:
            layer, arguments, saved = export.fitted(source)
        arguments = _with(arguments, given, values_by_name(sets, "--set"))
        kind = export.TARGETS[target]
        model = keras_model(layer, arguments, dtype or ("float32" if kind.fixed else "float64"))
        if saved is not None and not sets:
            model.load_weights(saved)
        path = Path(output) if output is not None else _beside(Path(source), is_fit, target, kind.suffix)
        made = export.export_model(model, path, target, export.sample_of(model, batch))
    click.echo(f"wrote {made.path}, which gives the model's numbers to {made.difference:.1g}", err=True)


def _with(arguments: dict[str, Any], given: dict[str, Any], params: dict[str, float]) -> dict[str, Any]:
    """The arguments with what the options say: a step makes a run fixed, a tolerance adaptive, rows replace rows."""
    excluded = {"h": ("rtol", "atol"), "rtol": ("h", "steps"), "steps": ("times",), "times": ("steps",)}
    gone = {other for name in given for other in excluded.get(name, ()) if other not in given}
    found = {name: value for name, value in arguments.items() if name not in gone} | given
    return {**found, "params": {**(found.get("params") or {}), **params}}


def _beside(source: Path, is_fit: bool, target: str, suffix: str) -> Path:
    """Where the file goes: `fit/model.onnx`, `fit/saved_model`; `decay.onnx`, `decay_saved_model`."""
    if is_fit:
        return source / (f"model{suffix}" if suffix else target)
    return source.with_name(f"{source.stem}{suffix or '_' + target}")
