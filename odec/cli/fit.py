"""`odec fit`: the parameters of a model from data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from odec.cli.arguments import (
    ASSIGNMENTS,
    FILE,
    NAMED_FILE,
    NUMBER,
    Assigned,
    files_by_name,
    refuse_to_overwrite,
    values_by_name,
)
from odec.cli.layers import layer_class
from odec.cli.printing import print_json, warn
from odec.cli.progress import bar

# What may stand in the folder and be named as an input of the next fit.
TEXTS = ("fitted.ode", "trajectory.csv")


@click.command("fit")
@click.argument("model", type=FILE)
@click.argument("data", type=FILE)
@click.option("--time", default="t", show_default=True, help="The column that holds the time.")
@click.option("--conditions", type=FILE, help="What differs between experiments; else `conditions.csv` beside DATA.")
@click.option("--method", help="lm (Levenberg-Marquardt, the default), lbfgs, scipy or adam.")
@click.option("--solver", help="The numerical method of the equations, as in `odec solve --help`.")
@click.option("--step", type=NUMBER, help="A fixed step h. Without one the steps are chosen by their error.")
@click.option("--rtol", type=NUMBER, help="The relative error of a step that is chosen so. Default: 1e-8.")
@click.option("--set", "sets", type=ASSIGNMENTS, multiple=True, help="First guesses: r1=0.2,r2=0.3. Repeatable.")
@click.option(
    "--fix", "fixes", type=ASSIGNMENTS, multiple=True, help="Params that are not searched: k=0.1. Repeatable."
)
@click.option("--weights", help="Of a sum of squares: none (default), scale (largest size) or sd of each column.")
@click.option("--input", "tables", type=NAMED_FILE, multiple=True, help="The table of an input: u=u.csv. Repeatable.")
@click.option(
    "--starts", type=click.IntRange(min=1), help="How many first guesses to try, the model's among them. Default: 1."
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the further first guesses. Default: 0.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs of adam.")
@click.option("--learning-rate", type=NUMBER, help="Learning rate of adam.")
@click.option("--profiles", is_flag=True, help="95 % intervals by profile likelihood: how far each param can go.")
@click.option("--bootstrap", type=click.IntRange(min=1), help="So many simulated data sets are fitted too, as 200.")
@click.option("--horizon", is_flag=True, help="Fit the early data first, then ever longer parts: for oscillations.")
@click.option("--shooting", type=click.IntRange(min=2), help="Cut the run into so many segments that are made to meet.")
@click.option("--kicks", type=click.IntRange(min=1), help="So many rounds: the best ends are moved and searched again.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in the folder, where there is one.")
@click.option("-o", "--output", type=FILE, default="fit", show_default=True, help="The folder for the results.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on stdout instead of as text.")
def command(
    model: str,
    data: str,
    conditions: str | None,
    sets: tuple[tuple[Assigned, ...], ...],
    fixes: tuple[tuple[Assigned, ...], ...],
    tables: tuple[tuple[str, str], ...],
    output: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Fit the params of MODEL to DATA, and say how well they are known.

    DATA is a table (CSV, Parquet) with a time column and columns named like states or outputs. A column `experiment`
    tells experiments apart. Where the outputs have a noise in MODEL, the likelihood is fitted.
    """
    start, fix, inputs = values_by_name(sets, "--set"), values_by_name(fixes, "--fix"), files_by_name(tables, "--input")
    read = (model, data, conditions, *inputs.values())
    refuse_to_overwrite([str(Path(output, name)) for name in TEXTS], read)
    if options["method"] != "adam":
        for name in ("epochs", "learning_rate"):
            if options[name] is not None:
                raise click.UsageError(f"--{name.replace('_', '-')} belongs to --method adam")
    layer_class(model)  # `fit` finds it loaded, and writes the estimates into the text of the file
    from odec.fit.fitting import Interrupted, fit

    given = {name: value for name, value in options.items() if value is not None}
    given |= {"start": start or None, "fix": fix or None, "inputs": inputs or None, "conditions": conditions}
    interruption = None
    try:
        with bar("fitting", _unit(options)) as progress:
            result = fit(model, data, output=output, progress=progress, **given)
    except Interrupted as interrupted:
        interruption, result = interrupted, interrupted.fit
    if as_json:
        warn(result.warnings)
        print_json(result.as_dict())
    else:  # the text holds the warnings
        click.echo(result.text)
    click.echo(f"wrote {output}", err=True)
    if interruption is not None:
        raise interruption


def _unit(options: Mapping[str, Any]) -> str:
    """What the progress counts."""
    if options["method"] == "adam":
        return "epochs"
    return "starts" if (options["starts"] or 1) > 1 else "iterations"
