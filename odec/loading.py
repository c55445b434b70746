"""From a model file, a generated module, or a model's text to the layer class, in this process."""

from __future__ import annotations

import hashlib
import importlib.util
import linecache
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from odec.backends import check_backend
from odec.compiler import Compiled, compile_source
from odec.diagnostics import OdecError
from odec.source import Source

if TYPE_CHECKING:
    from odec.runtime import Layer

# A class for each text: the same file gives the same class, and with it what was compiled for it.
_LOADED: dict[str, type[Layer]] = {}


def load_model(path: str | Path, name: str | None = None) -> type[Layer]:
    """The layer class of a model file (`.ode`) or of a generated module (`.py`). Imports Keras. Raises OdecError.

    The same content gives the same class, so that nothing is compiled twice.
    """
    path = Path(path)
    if path.suffix == ".py":
        return _class_of(_module_from_file(path), path)
    return load_source(Source.from_file(path), name)


def load_source(source: Source, name: str | None = None) -> type[Layer]:
    """The layer class of a model's text. Raises OdecError."""
    key = f"{source.digest} {name} {source.name}"
    if key not in _LOADED:
        compiled = compile_source(source, name)
        _LOADED[key] = getattr(_module(compiled), compiled.name)
    return _LOADED[key]


def _module(compiled: Compiled) -> ModuleType:
    """The module of a generated text. The text is the emitter's: of the model file it holds checked names, numbers,
    comments and string literals."""
    check_backend()
    digest = hashlib.sha256(compiled.text.encode()).hexdigest()[:12]
    module = ModuleType(f"odec_model_{compiled.name}_{digest}")
    file = f"<odec {compiled.name} {digest}>"
    # So that a traceback and `inspect.getsource` show the generated lines.
    linecache.cache[file] = (len(compiled.text), None, compiled.text.splitlines(keepends=True), file)
    module.__file__ = file
    sys.modules[module.__name__] = module
    exec(compile(compiled.text, file, "exec"), module.__dict__)  # noqa: S102 (our own text, see above)
    return module


def _module_from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise OdecError.of("E0001", f"there is no file `{path}`", help="check the name and the folder")
    check_backend()
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _class_of(module: ModuleType, path: Path) -> type[Layer]:
    from odec.runtime import Layer

    found = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Layer) and item is not Layer
    ]
    if len(found) != 1:
        raise OdecError.of("E0001", f"`{path}` is not a module that odec generated", help="name the `.ode` file")
    return found[0]
