"""`odec compile`: a model file becomes a Python module with a Keras layer."""

from __future__ import annotations

import click

from odec.cli.arguments import FILE
from odec.cli.printing import warn


@click.command("compile")
@click.argument("model", type=FILE)
@click.option("-o", "--output", type=FILE, help="Where the module goes; - is stdout. Default: beside the model.")
@click.option("--name", help="The layer's class name. Default: made from the file's name.")
def command(model: str, output: str | None, name: str | None) -> None:
    """Compile MODEL, a text file of equations, into a Python module with a Keras layer."""
    from odec import compiler
    from odec.source import Source

    if output == "-":
        compiled = compiler.compile_source(Source.from_file(model), name=name)
        warn(compiled.warnings)
        click.echo(compiled.text, nl=False)
        return
    path = compiler.compile_file(model, output=output, name=name)
    click.echo(f"wrote {path}", err=True)
