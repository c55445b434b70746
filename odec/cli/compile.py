"""`odec compile`: a model file becomes a Python module with a Keras layer."""

from __future__ import annotations

import keyword
import os
import re
from pathlib import Path

import click

from odec.cli.arguments import FILE
from odec.cli.printing import warn


@click.command("compile")
@click.argument("model", type=FILE)
@click.option("-o", "--output", type=FILE, help="Where the module goes; - is stdout. Default: beside the model.")
@click.option("--name", help="The layer's class name. Default: made from the file's name.")
@click.option("--standalone", is_flag=True, help="One file with what it needs of odec in it: it runs with Keras alone.")
def command(model: str, output: str | None, name: str | None, standalone: bool) -> None:
    """Compile MODEL into a Python module with a Keras layer."""
    if name is not None and not _is_name(name):
        raise click.UsageError(f"--name {name!r} cannot be the name of a Python class")
    path = Path(output) if output is not None else Path(model).with_suffix(".py")
    if output != "-" and os.path.realpath(path) == os.path.realpath(model):
        raise click.UsageError(f"the module would overwrite the model `{model}`; name another file with -o")
    from odec.compiler import compile_source
    from odec.emit.standalone import standalone_text
    from odec.files import write_text
    from odec.source import Source

    compiled = compile_source(Source.from_file(model), name=name)
    text = standalone_text(compiled.text) if standalone else compiled.text
    if output == "-":
        click.echo(text, nl=False)
    else:
        write_text(path, text)
        click.echo(f"wrote {path}", err=True)
        if path.suffix == ".py" and not _is_name(path.stem):
            better = path.with_name("model_" + re.sub(r"\W", "_", path.stem) + ".py")
            click.echo(f"note: Python cannot import a file of that name; choose one such as `-o {better}`", err=True)
    warn(compiled.warnings)


def _is_name(text: str) -> bool:
    """Whether Python takes the text for the name of a class or a module."""
    return text.isidentifier() and not keyword.iskeyword(text)
