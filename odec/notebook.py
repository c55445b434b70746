"""odec in a notebook: `%load_ext odec`, models as cells, equations as formulas, solutions as pictures.

    %load_ext odec

    %%ode Decay
    state x = 3
    param k = 0.2
    x' = -k*x

defines the layer class `Decay` and shows its equations. A mistake is shown at its place, without a traceback.
"""

from __future__ import annotations

import keyword
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odec.diagnostics import OdecError

if TYPE_CHECKING:
    from odec.model.model import Model
    from odec.solution import Solution


class Equations:
    """A model's equations: a formula in a notebook, `odec show`'s text elsewhere."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def _repr_latex_(self) -> str:
        """In the form that both MathJax and KaTeX draw."""
        from odec.emit.latex import latex_text

        rows = latex_text(self.model).strip()
        return f"$$\n{rows.replace('{align*}', '{aligned}')}\n$$"

    def __repr__(self) -> str:
        from odec.emit.listing import listing

        return listing(self.model).rstrip()


def equations(path: str | Path) -> Equations:
    """The equations of a model file. Raises OdecError.

    >>> odec.equations("decay.ode")                                                             # doctest: +SKIP
    state x = 3
    …
    """
    from odec import compiler
    from odec.source import Source

    return Equations(compiler.check(Source.from_file(path))[0])


def load(shell: Any) -> None:
    """What `%load_ext odec` does to IPython's shell."""
    shell.register_magic_function(lambda line, cell: _ode(shell, line, cell), "cell", "ode")
    formatters = shell.display_formatter.formatters
    formatters["image/png"].for_type_by_name("odec.solution.solution", "Solution", _picture)
    formatters["text/html"].for_type_by_name("odec.fit.result", "Fit", _report)
    shell.set_custom_exc((OdecError,), _show_error)


def _ode(shell: Any, line: str, cell: str) -> Equations:
    """The cell magic `%%ode NAME`: the layer class of the cell's model, under that name, and its equations."""
    from odec import compiler
    from odec.loading import load_source
    from odec.source import Source
    from odec.start_up import start_up_hushed

    name = line.strip()
    if not name.isidentifier() or keyword.iskeyword(name):
        raise OdecError.of("E0603", f"`%%ode {name}` does not say what the model is called", "write `%%ode Decay`")
    source = Source.from_text(cell, name)
    model, warnings = compiler.check(source)
    for warning in warnings:
        print(warning)  # noqa: T201 (what a cell says is its output)
    with start_up_hushed():
        shell.user_ns[name] = load_source(source, name)
    return Equations(model)


def _show_error(shell: Any, kind: type, error: OdecError, traceback: Any, tb_offset: int | None = None) -> list[str]:
    """The message that the command line shows; the traceback says nothing of the user's model."""
    lines = str(error).splitlines()
    shell._showtraceback(kind, error, lines)
    return lines


def _picture(solution: Solution) -> bytes:
    """The curves over time, as a PNG."""
    from odec.plot import plot_solution

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "solution.png"
        plot_solution(solution.times, solution.values, solution.names, path, title=solution.model)
        return path.read_bytes()


def _report(fit: Any) -> str:
    """The report's text."""
    from html import escape

    return f"<pre>{escape(fit.text)}</pre>"
