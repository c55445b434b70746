"""Who may import whom. The table is DESIGN's arrows; the code is read with `ast`, and one real run is looked at."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "odec"

# What every part may use: text, places, errors, the table of the language's functions.
BASE = {"backends", "diagnostics", "source", "functions", "distributions", "files", "methods", "start_up"}

# part → (parts of odec it may import beside BASE, foreign libraries it may import)
ALLOWED: dict[str, tuple[set[str], set[str]]] = {
    "__init__": ({"compiler", "fit", "loading", "notebook", "solution"}, set()),
    "__main__": ({"cli"}, set()),
    "backends": (set(), set()),
    "diagnostics": (set(), set()),
    "source": (set(), set()),
    "functions": (set(), set()),
    "distributions": (set(), set()),
    "files": (set(), set()),
    "methods": (set(), set()),
    "start_up": (set(), set()),
    "arithmetic": (set(), set()),
    "codes": (set(), set()),
    "syntax": (set(), {"lark"}),
    "model": ({"syntax"}, {"sympy"}),
    # The table of functions writes their derivatives in the language itself.
    "passes": ({"model", "syntax"}, {"sympy"}),
    "emit": ({"model", "passes"}, {"sympy"}),
    "compiler": ({"syntax", "model", "passes", "emit"}, set()),
    # So that Keras knows a saved model's loss and optimizer where the generated module alone is imported.
    "runtime": ({"losses", "optimizers"}, {"keras", "numpy", "tensorflow", "jax", "torch"}),
    "loading": ({"compiler", "runtime"}, set()),
    "losses": (set(), {"keras", "numpy"}),
    "optimizers": (set(), {"keras"}),
    "tables": (set(), {"numpy", "pandas"}),
    "inputs": ({"runtime", "tables"}, {"numpy"}),
    "solution": ({"arithmetic", "inputs", "loading", "runtime"}, {"numpy", "pandas", "keras"}),
    # Reads the formulas as they were written, beside the compiler and the runtime.
    "verify": ({"compiler", "inputs", "loading", "model", "runtime", "solution"}, {"numpy", "keras", "scipy"}),
    "plot": (set(), {"numpy", "matplotlib"}),
    # The syntax tree says where in the user's file an estimate replaces a first guess.
    "fit": (
        {"arithmetic", "runtime", "loading", "solution", "plot", "syntax", "tables", "inputs"},
        {"numpy", "pandas", "keras", "scipy"},
    ),
    "notebook": ({"compiler", "emit", "loading", "model", "plot", "solution"}, set()),
    "export": (
        {"loading", "runtime"},
        {"numpy", "keras", "tensorflow", "onnxruntime", "ai_edge_litert", "openvino"},
    ),
    "convert": ({"syntax"}, set()),
    "cli": (
        {
            "codes",
            "compiler",
            "convert",
            "emit",
            "export",
            "fit",
            "loading",
            "plot",
            "runtime",
            "solution",
            "syntax",
            "verify",
        },
        {"click", "rich"},
    ),
}
FORBIDDEN_WHEN_COMPILING = (
    *("tensorflow", "keras", "jax", "torch", "pandas", "matplotlib", "rich"),
    "sympy.printing.tensorflow",
)
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports when it runs, inside functions too; not what only the type checker sees."""
    yield from _imports(ast.parse(path.read_text(encoding="utf-8")))


def _imports(node: ast.AST) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from _imports(other)
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            assert child.module is not None
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        else:
            yield from _imports(child)


def part(path: Path) -> str:
    """The row of the table that a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_what_its_part_may(path: Path) -> None:
    assert part(path) in ALLOWED, "a new part of odec needs a row in this table, and a reason in CONTRIBUTING.md"
    parts, libraries = ALLOWED[part(path)]
    for module in imports(path):
        names = module.split(".")
        if names[0] == "odec":
            names.append("__init__")
            inside = names[1] if (PACKAGE / names[1]).is_dir() or (PACKAGE / f"{names[1]}.py").exists() else "__init__"
            assert inside in parts | BASE | {part(path), "__init__"}, f"{part(path)} may not import odec.{inside}"
        elif names[0] not in sys.stdlib_module_names:
            assert names[0] in libraries, f"{part(path)} may not import {names[0]}"
            assert not module.startswith("sympy.printing.tensorflow")


def test_only_the_seam_knows_the_back_ends() -> None:
    # What is exported is TensorFlow's own.
    for path in (path for path in FILES if path.name != "export.py"):
        names = {name.split(".")[0] for name in imports(path)} & {"tensorflow", "jax", "torch"}
        if path.parent.name != "backends":
            assert not names, f"{path} imports {names}: odec/runtime/loops.py is the seam"
        if path.name not in ("loops.py", "xla.py"):
            assert "backend.backend()" not in path.read_text(encoding="utf-8"), f"{path} asks which back end runs"


def test_lark_is_imported_by_one_file() -> None:
    users = [path.name for path in FILES if any(name.split(".")[0] == "lark" for name in imports(path))]
    assert users == ["grammar.py"]


# The text of a module that the compiler has just written is run here, as importing its file would run it.
RUNS_OUR_OWN_TEXT = {("exec", "loading.py")}


@pytest.mark.parametrize("word", ["eval", "exec", "sympify", "parse_expr", "lambdify"])
def test_nothing_is_ever_evaluated(word: str) -> None:
    for path in FILES:
        if (word, str(path.relative_to(PACKAGE))) in RUNS_OUR_OWN_TEXT:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                function = node.func
                name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
                assert name != word, f"{path}:{node.lineno} calls {word}"


def modules_after(code: str) -> set[str]:
    """`sys.modules` at the end of a Python program."""
    code += "\nimport sys; print('\\n'.join(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    return set(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split())


def test_importing_odec_imports_nothing_heavy() -> None:
    loaded = modules_after("import odec; dir(odec)")
    heavy = {"sympy", "lark", "numpy", "click", *FORBIDDEN_WHEN_COMPILING}
    assert not loaded & heavy


def test_compiling_imports_no_keras_no_pandas_no_matplotlib(tmp_path: Path) -> None:
    out = tmp_path / "model.py"
    arguments = ["compile", str(ROOT / "examples/competition/model.ode"), "-o", str(out)]
    loaded = modules_after(f"from odec.cli.main import main; assert main({arguments!r}) == 0")
    assert out.exists()
    assert not loaded & set(FORBIDDEN_WHEN_COMPILING)
    assert "sympy" in loaded


def test_help_imports_neither_sympy_nor_numpy() -> None:
    loaded = modules_after("from odec.cli.main import main; assert main(['--help']) == 0")
    assert not loaded & {"sympy", "lark", "numpy", *FORBIDDEN_WHEN_COMPILING}
