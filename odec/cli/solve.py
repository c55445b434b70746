"""`odec solve`: the model's states over time, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from odec.cli.arguments import (
    ASSIGNMENTS,
    FILE,
    NAMED_FILE,
    NUMBER,
    NUMBERS,
    TOLERANCE,
    Assigned,
    files_by_name,
    refuse_to_overwrite,
    values_by_name,
)
from odec.cli.layers import layer_class
from odec.cli.printing import print_csv, print_json, warn
from odec.cli.progress import run_lines
from odec.diagnostics import OdecError
from odec.methods import AUTO, AUTO_LINE, METHODS

if TYPE_CHECKING:
    from odec.runtime.description import Description
    from odec.solution import Solution


class SolveCommand(click.Command):
    """The command whose help page ends with the methods."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list."""
        with formatter.section("Methods"):
            formatter.write_dl([*METHODS.items(), (AUTO, f"{AUTO_LINE}: the default")])


@click.command("solve", cls=SolveCommand)
@click.argument("model", type=FILE)
@click.option("--to", type=NUMBER, help="The end time.")
@click.option("--from", "--start", "start", type=NUMBER, help="The start time.")
@click.option("--step", type=NUMBER, help="A fixed step h. Without one the steps are chosen by their error.")
@click.option("--rtol", type=NUMBER, help="The error of a step relative to each state. Default: 1e-6.")
@click.option("--atol", type=TOLERANCE, help="… and beside it: a number, or x=1e-9,y=1e-6. Default: by their sizes.")
@click.option("--every", type=NUMBER, help="The spacing of the rows. Default: the step, else 1/200 of the run.")
@click.option("--times", type=NUMBERS, help="Rows at these times, in this order, instead: 0,5,10.")
@click.option("--method", help="One of the list below. Default: auto, with --step dopri5.")
@click.option("--set", "sets", type=ASSIGNMENTS, multiple=True, help="Params and consts: r1=0.2,K=10. Repeatable.")
@click.option("--init", "inits", type=ASSIGNMENTS, multiple=True, help="Start values of states: x1=50. Repeatable.")
@click.option("--input", "tables", type=NAMED_FILE, multiple=True, help="The table of an input: u=u.csv. Repeatable.")
@click.option("--before", is_flag=True, default=None, help="At the time of a jump, the value before it, not behind it.")
@click.option("--params", "fitted", type=FILE, help="Take estimates, solver and step from a fit's fit.json.")
@click.option("--dtype", type=click.Choice(["float32", "float64"]), help="The precision. Default: float64.")
@click.option("-o", "--output", type=FILE, help="The table, as CSV. Default: stdout.")
@click.option("--plot", type=FILE, help="A picture: .png, .svg or .pdf.")
@click.option("--json", "as_json", is_flag=True, help="The solution as JSON on stdout.")
def command(
    model: str,
    sets: tuple[tuple[Assigned, ...], ...],
    inits: tuple[tuple[Assigned, ...], ...],
    tables: tuple[tuple[str, str], ...],
    fitted: str | None,
    output: str | None,
    plot: str | None,
    as_json: bool,
    **run: Any,
) -> None:
    """Solve MODEL from its start to --to. What is not said here comes from the model's own `solve` statement."""
    params, init = values_by_name(sets, "--set"), values_by_name(inits, "--init")
    inputs = files_by_name(tables, "--input")
    if run["times"] is not None and run["every"] is not None:
        raise click.UsageError("--times and --every both say where the rows are; leave one away")
    refuse_to_overwrite((output, plot), (model, fitted, *inputs.values()))
    layer = layer_class(model)
    from odec.solution import solve

    if fitted is not None:
        from odec.fit.report import read_estimates

        estimates = read_estimates(fitted)
        params = {**_of_one_run(estimates.params, layer.description, params), **params}
        run["method"] = run["method"] or estimates.method
        if run["rtol"] is None and run["atol"] is None and run["method"] != AUTO:
            run["step"] = run["step"] or estimates.step
    given = {name: value for name, value in {**run, "inputs": inputs or None}.items() if value is not None}
    solution = solve(layer, params=params or None, init=init or None, progress=run_lines(), **given)
    warn(solution.warnings)
    _write(solution, layer.description, output, plot, as_json)
    click.echo(solution.summary, err=True)


def _of_one_run(
    estimates: Mapping[str, float], description: Description, given: Mapping[str, float]
) -> dict[str, float]:
    """The estimates that hold in every experiment; E0603 for a param with one for each, unless its value is given."""
    apart = {name: name.partition("[")[0] for name in estimates if name not in description.param_elements}
    apart = {name: param for name, param in apart.items() if param in description.param_elements}
    for name, param in apart.items():
        if param not in given:
            values = ", ".join(f"`{other}` = {estimates[other]:g}" for other in apart if apart[other] == param)
            message = f"the fit has a value of `{param}` for each experiment: {values}"
            raise OdecError.of("E0603", message, f"choose one: `--set {param}={estimates[name]:g}`")
    return {name: value for name, value in estimates.items() if name not in apart}


def _write(solution: Solution, description: Description, output: str | None, plot: str | None, as_json: bool) -> None:
    if plot is not None:
        from odec.plot import plot_solution

        labels = {state.name: state.description for state in description.states}
        labels |= {output.name: output.description for output in description.outputs}
        plot_solution(solution.times, solution.values, solution.names, plot, title=description.name, labels=labels)
        click.echo(f"wrote {plot}", err=True)
    if output is not None and output != "-":
        solution.write_csv(output)
        click.echo(f"wrote {output}", err=True)
    if as_json:
        print_json(_as_dict(solution))
    elif output is None or output == "-":
        print_csv(solution.to_dict())


def _as_dict(solution: Solution) -> dict[str, Any]:
    return {
        "method": solution.method,
        "why": solution.why,
        "step": solution.step,
        "rtol": solution.rtol,
        "steps": solution.steps,
        "refused": solution.refused,
        "error": solution.error,
        "t": solution.times,
        "columns": {name: solution[name] for name in solution.names},
        "warnings": [str(warning) for warning in solution.warnings],
    }
