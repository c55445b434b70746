"""The `odec` command: its sub-commands, loaded when they are asked for, and what becomes of an error."""

from __future__ import annotations

import errno
import os
import shlex
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from odec import __version__
from odec.diagnostics import OdecError

INTERRUPTED = 130

# Files answer for themselves (odec/files.py): what is left is the table or the text on stdout.
STDOUT_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}

# In the order of use, which `odec --help` keeps. `odec NAME` is the object `command` of `odec.cli.NAME`.
COMMANDS = ("compile", "check", "show", "explain", "solve", "fit", "export", "verify", "fmt")


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"odec.cli.{cmd_name}").command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="odec %(version)s")
def odec() -> None:
    """Compile a text file of differential equations into a Keras layer, solve it, fit it to data."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of `odec ARGUMENTS`. Every error becomes a message on stderr here, and nowhere else."""
    try:
        code = odec.main(args=arguments, prog_name="odec", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except OdecError as error:
        click.echo(str(error), err=True)
        return error.exit_code
    except click.exceptions.Abort:
        return _interrupted()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        return _reader_left()
    except OSError as error:
        if error.errno in STDOUT_FULL:
            return _stdout_failed(error)
        return _fault(sys.argv[1:] if arguments is None else arguments)
    except Exception:
        return _fault(sys.argv[1:] if arguments is None else arguments)


def _interrupted() -> int:
    click.echo("interrupted", err=True)
    return INTERRUPTED


def _reader_left() -> int:
    """Whoever read our output wants no more (`odec solve … | head`): no message, also not when Python ends."""
    _close_stdout()
    return 0


def _stdout_failed(error: OSError) -> int:
    failure = OdecError.of("E0701", f"the output cannot be written: {error.strerror}", "name another place")
    click.echo(str(failure), err=True)
    _close_stdout()
    return failure.exit_code


def _close_stdout() -> None:
    """What is still in its buffer goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fault(arguments: Sequence[str]) -> int:
    """A traceback is for us, not for the user: say whose fault it is and what helps to mend it."""
    import traceback

    traceback.print_exc()
    click.echo(
        f"\nThis is a fault in odec {__version__}, not in your model. Please report it with the lines above and the "
        f"command:\n  odec {shlex.join(arguments)}",
        err=True,
    )
    return 1
