"""`odec explain`: the page of a diagnostic's code."""

from __future__ import annotations

import click


@click.command("explain")
@click.argument("code")
def command(code: str) -> None:
    """Explain CODE, such as E0203, with a wrong file and the right one."""
    from odec import codes
    from odec.diagnostics import nearest

    try:
        click.echo(codes.explain(code.upper()))
    except KeyError:
        cure = nearest(code.upper(), codes.CODES)
        raise click.UsageError(f"there is no code `{code}`" + (f"; {cure}" if cure else "")) from None
