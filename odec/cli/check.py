"""`odec check`: what is wrong in model files, and whether a fit to data can work."""

from __future__ import annotations

from typing import Any

import click

from odec.cli.arguments import ASSIGNMENTS, FILE, NAMED_FILE, NUMBER, files_by_name, values_by_name
from odec.cli.layers import layer_class
from odec.cli.printing import print_json
from odec.diagnostics import Diagnostic, OdecError


@click.command("check")
@click.argument("models", nargs=-1, required=True, type=FILE)
@click.option("--data", type=FILE, help="A table to be fitted: what can be said before the fit.")
@click.option("--time", help="The column of DATA that holds the time. Default: t.")
@click.option("--conditions", type=FILE, help="What differs between experiments; else `conditions.csv` beside DATA.")
@click.option("--solver", help="The numerical method, as in `odec fit`.")
@click.option("--step", type=NUMBER, help="A fixed step h, as in `odec fit`.")
@click.option("--rtol", type=NUMBER, help="The relative error of a step, as in `odec fit`.")
@click.option("--weights", help="Of a sum of squares: none, scale or sd.")
@click.option("--set", "sets", type=ASSIGNMENTS, multiple=True, help="First guesses: r1=0.2,r2=0.3. Repeatable.")
@click.option("--fix", "fixes", type=ASSIGNMENTS, multiple=True, help="Params that are not searched. Repeatable.")
@click.option("--input", "tables", type=NAMED_FILE, multiple=True, help="The table of an input: u=u.csv. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="What was found as JSON on stdout, for editors.")
@click.pass_context
def command(
    ctx: click.Context,
    /,
    models: tuple[str, ...],
    data: str | None,
    sets: tuple[Any, ...],
    fixes: tuple[Any, ...],
    tables: tuple[tuple[str, str], ...],
    as_json: bool,
    **options: Any,
) -> None:
    """Check each of MODELS, and what a fit of it to data can tell.

    Exit 1 where one has an error. Warnings are shown and do not count.

    With --data a fit of one model is looked at, without a search: parameters against observations, what the data can
    determine, scales, stiffness, steps, and the gradient. Exit 1 where the fit cannot work.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if data is None:
        if given or sets or fixes or tables:
            raise click.UsageError("options of a fit need --data")
        ctx.exit(_models(models, as_json))
    if len(models) > 1:
        raise click.UsageError("--data checks the fit of one model")
    given |= {"start": values_by_name(sets, "--set") or None, "fix": values_by_name(fixes, "--fix") or None}
    given |= {"inputs": files_by_name(tables, "--input") or None}
    ctx.exit(_fit(models[0], data, as_json, given))


def _models(models: tuple[str, ...], as_json: bool) -> int:
    """The exit code of a check of model files."""
    found = {model: _diagnostics(model) for model in models}
    if as_json:
        print_json([diagnostic.as_dict() for diagnostics in found.values() for diagnostic in diagnostics])
    else:
        for diagnostics in found.values():
            for diagnostic in diagnostics:
                click.echo(f"{diagnostic}\n", err=True)
    wrong = [model for model, diagnostics in found.items() if any(d.severity == "error" for d in diagnostics)]
    if not as_json:
        for model in found:
            click.echo(f"{model}: {'has errors' if model in wrong else 'ok'}", err=True)
    return 1 if wrong else 0


def _fit(model: str, data: str, as_json: bool, given: dict[str, Any]) -> int:
    """The exit code of a check of a fit."""
    try:
        layer = layer_class(model)
        from odec.fit.preflight import preflight

        found = preflight(layer, data, **given)
    except OdecError as error:
        if not as_json:
            raise
        diagnostics = [diagnostic.as_dict() for diagnostic in error.diagnostics]
        print_json({"can_work": False, "diagnostics": diagnostics})
        return 1
    if as_json:
        print_json(found.as_dict())
    else:
        click.echo(found.text)
    return 0 if found.can_work else 1


def _diagnostics(model: str) -> tuple[Diagnostic, ...]:
    from odec import compiler
    from odec.source import Source

    try:
        _, warnings = compiler.check(Source.from_file(model))
    except OdecError as error:
        return error.diagnostics
    return tuple(warnings)
