"""`odec show`: the model as the compiler sees it, after any of its passes."""

from __future__ import annotations

import click

from odec.cli.arguments import FILE


@click.command("show")
@click.argument("model", type=FILE)
@click.option(
    "--after",
    metavar="PASS",
    help="After this pass: build, simplify, guard or derivatives. Default: behind them all.",
)
@click.option("--latex", is_flag=True, help="The equations as LaTeX.")
def command(model: str, after: str | None, latex: bool) -> None:
    """Print MODEL as the compiler sees it."""
    from odec import compiler
    from odec.source import Source

    if after is not None and after not in compiler.PASSES:
        raise click.UsageError(f"there is no pass `{after}`; the passes are, in order: {', '.join(compiler.PASSES)}")
    click.echo(compiler.show(Source.from_file(model), after=after, latex=latex))
