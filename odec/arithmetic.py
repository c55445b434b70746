"""Formulas of consts alone: Python numbers in a generated module, where a division by zero raises."""

from __future__ import annotations

import functools
import linecache
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from odec.diagnostics import OdecError

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def arithmetic_said(run: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Lets `run` say which generated formula has no value: `1/K` where the model has `const K = 0` raises E0601.

    The same error anywhere else is a fault of ours, and stays what it is.
    """

    @functools.wraps(run)
    def saying(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return run(*args, **kwargs)
        except (ZeroDivisionError, OverflowError) as error:
            *_, (frame, line) = traceback.walk_tb(error.__traceback__)
            if "Written by odec " not in (frame.f_globals.get("__doc__") or ""):
                raise
            formula = linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()
            raise OdecError.of(
                "E0601", f"`{formula.removeprefix('return ')}` has no value: {error}", help="change the consts in it"
            ) from None

    return saying
