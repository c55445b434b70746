"""`odec fmt`: a model file in the house layout."""

from __future__ import annotations

from pathlib import Path

import click

from odec.cli.arguments import FILE


@click.command("fmt")
@click.argument("models", nargs=-1, required=True, type=FILE)
@click.option("--write", is_flag=True, help="Change the files instead of printing.")
@click.option("--check", is_flag=True, help="Change and print nothing; exit 1 and name the files that would change.")
@click.pass_context
def command(ctx: click.Context, models: tuple[str, ...], write: bool, check: bool) -> None:
    """Print each of MODELS in the house layout. No meaning changes and comments survive."""
    if write and check:
        raise click.UsageError("--write and --check do not go together")
    from odec.files import write_text
    from odec.source import Source
    from odec.syntax.format import format_text

    changed = False
    for model in models:
        source = Source.from_file(model)
        text = format_text(source)
        if not (write or check):
            click.echo(text, nl=False)
        elif text != source.text:
            changed = True
            if write:
                write_text(Path(model), text)
            click.echo(f"{'wrote' if write else 'would change'} {model}", err=True)
    ctx.exit(1 if check and changed else 0)
