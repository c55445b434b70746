"""The commands with their options, from the help that each prints."""

from __future__ import annotations

import click
from tables import block

from odec.cli.main import COMMANDS, odec


def commands() -> str:
    """A section for each command."""
    context = click.Context(odec, info_name="odec", max_content_width=100)
    parts = []
    for name in COMMANDS:
        command = odec.get_command(context, name)
        assert command is not None
        with click.Context(command, info_name=name, parent=context, max_content_width=100, terminal_width=100) as own:
            parts.append(f"## odec {name}\n\n{block(command.get_help(own), 'text')}")
    return "\n".join(parts)
