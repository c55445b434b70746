"""`odec check`: what is wrong in model files."""

from __future__ import annotations

import click

from odec.cli.arguments import FILE
from odec.cli.printing import print_json
from odec.diagnostics import Diagnostic, OdecError


@click.command("check")
@click.argument("models", nargs=-1, required=True, type=FILE)
@click.option("--json", "as_json", is_flag=True, help="The diagnostics as a JSON list on stdout, for editors.")
@click.pass_context
def command(ctx: click.Context, models: tuple[str, ...], as_json: bool) -> None:
    """Check each of MODELS without compiling it; exit 1 where one has an error. Warnings are shown and do not count."""
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
    ctx.exit(1 if wrong else 0)


def _diagnostics(model: str) -> tuple[Diagnostic, ...]:
    from odec import compiler
    from odec.source import Source

    try:
        _, warnings = compiler.check(Source.from_file(model))
    except OdecError as error:
        return error.diagnostics
    return tuple(warnings)
