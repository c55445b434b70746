"""odec compiles a text file of differential equations into a Keras layer.

    import odec

    odec.compile_file("model.ode")                    # writes model.py, a module with a Keras layer
    Competition = odec.load_model("model.ode")        # or straight to the layer's class
    solution = odec.solve("model.ode", to=100.0)      # predict: no training
    fit = odec.fit("model.ode", "data.csv")           # training: the parameters from the data

Each name is loaded when it is first used, so that `import odec` costs nothing and compiling never loads TensorFlow.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from odec import losses, optimizers
    from odec.compiler import Compiled, check, compile_file, compile_source
    from odec.diagnostics import Diagnostic, OdecError
    from odec.fit.fitting import Fit, fit
    from odec.fit.preflight import preflight
    from odec.loading import load_model
    from odec.notebook import equations
    from odec.solution import Solution, solve
    from odec.source import Source

__version__ = "0.1.0"

# name → the module that holds it
_HOMES = {
    "Compiled": "odec.compiler",
    "Diagnostic": "odec.diagnostics",
    "Fit": "odec.fit.fitting",
    "OdecError": "odec.diagnostics",
    "Solution": "odec.solution",
    "Source": "odec.source",
    "check": "odec.compiler",
    "compile_file": "odec.compiler",
    "compile_source": "odec.compiler",
    "equations": "odec.notebook",
    "load_model": "odec.loading",
    "preflight": "odec.fit.preflight",
    "solve": "odec.solution",
}

__all__ = [
    "Compiled",
    "Diagnostic",
    "Fit",
    "OdecError",
    "Solution",
    "Source",
    "__version__",
    "check",
    "compile_file",
    "compile_source",
    "equations",
    "fit",
    "load_model",
    "losses",
    "optimizers",
    "preflight",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name in ("fit", "losses", "optimizers"):
        return import_module(f"odec.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'odec' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def load_ipython_extension(shell: Any) -> None:
    """`%load_ext odec` in a notebook: models as cells (`%%ode Decay`), equations as formulas."""
    import_module("odec.notebook").load(shell)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, "fit", "losses", "optimizers"})


class _FitFolder(ModuleType):
    """`odec.fit` is a folder of modules and, called, the function in it: `odec.fit(model, data)`."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return import_module("odec.fit.fitting").fit(*arguments, **options)


class _Package(ModuleType):
    """Python binds a sub-package to its name here whenever one of its modules is imported; `fit` must stay callable."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "fit":
            value.__class__ = _FitFolder
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
