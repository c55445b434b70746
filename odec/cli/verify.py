"""`odec verify`: the same model on all back ends of Keras, and by SciPy."""

from __future__ import annotations

from typing import Any

import click

from odec.cli.arguments import ASSIGNMENTS, FILE, NAMED_FILE, NUMBER, files_by_name, values_by_name


@click.command("verify")
@click.argument("model", type=FILE)
@click.option("--to", type=NUMBER, help="The end time. Default: the model's.")
@click.option("--set", "sets", type=ASSIGNMENTS, multiple=True, help="Params and consts: r1=0.2,K=10. Repeatable.")
@click.option("--init", "inits", type=ASSIGNMENTS, multiple=True, help="Start values of states: x1=50. Repeatable.")
@click.option("--input", "tables", type=NAMED_FILE, multiple=True, help="The table of an input: u=u.csv. Repeatable.")
@click.pass_context
def command(ctx: click.Context, model: str, to: float | None, sets: Any, inits: Any, tables: Any) -> None:
    """Compare runs of MODEL on each back end of Keras and by SciPy.

    Asked are those of TensorFlow, JAX and torch that are installed; exit 1 where the numbers differ.

    Compared are values, their derivatives by the parameters (sensitivities, computed forwards), and the gradient of a
    layer (computed backwards). SciPy evaluates the formulas as they stand in the file, without the compiler's passes
    and with nothing of the runtime, and takes differences for derivatives. What cannot be compared is said below the
    table. A chaotic model magnifies rounding: choose a near --to.
    """
    from odec.verify import verify

    found = verify(
        model,
        to=to,
        params=values_by_name(sets, "--set"),
        init=values_by_name(inits, "--init"),
        inputs=files_by_name(tables, "--input"),
    )
    said = "The largest relative differences:\n" if found.differences else "There is nothing to compare it with."
    click.echo(f"{found.model} by {found.method} on {', '.join(found.ran)}. {said}")
    rows = [("", "what", "differs by", "may by", "")]
    rows += [
        (one.between, one.what, f"{one.largest:.1e}", f"{one.limit:.0e}", "" if one.passes else "DIFFERENT")
        for one in found.differences
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows if found.differences else ():
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for line in found.omitted:
        click.echo(line)
    ctx.exit(0 if found.passes else 1)
