"""The generated module means what the text means: beside the reference interpreter, on every model at hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from agreement import compare

from odec.compiler import class_name, compile_file, compile_source, show
from odec.diagnostics import OdecError
from odec.functions import FUNCTIONS
from odec.source import Source

HERE = Path(__file__).parent
MODELS = sorted((HERE / "models").rglob("*.ode"))
EXAMPLES = sorted((HERE.parent / "examples").glob("*/*.ode"))
SHARED = HERE.parent.parent / "shared"
OTHERS = sorted(path for pattern in ("cases/*/*.ode", "reference/*/*/*.ode") for path in SHARED.glob(pattern))


def _name(path: Path) -> str:
    return "/".join(path.parts[-2:])


def _is_rejected(source: Source) -> bool:
    try:
        compile_source(source)
    except OdecError:
        return True
    return False


@pytest.mark.parametrize("path", MODELS, ids=_name)
@pytest.mark.parametrize("tensors", [True, False], ids=["tensors", "numbers"])
def test_a_model_of_ours_means_what_it_says(path: Path, tensors: bool) -> None:
    assert compare(Source.from_file(path), count=6, tensors=tensors)


@pytest.mark.parametrize("path", EXAMPLES + OTHERS, ids=_name)
def test_an_example_or_case_means_what_it_says(path: Path) -> None:
    source = Source.from_file(path)
    if _is_rejected(source):
        pytest.skip("rejected, as it should be")
    # The 200 equations in a chain have 40,000 derivatives, all but 600 of them zero.
    large = source.text.count("\n") > 100
    assert compare(source, count=1 if large else 3, slopes=not large)


def test_every_function_of_the_language_has_a_model() -> None:
    assert {path.stem for path in MODELS if path.parent.name == "functions"} == set(FUNCTIONS)


def test_the_same_text_for_every_hash_seed() -> None:
    command = "import sys; from odec.compiler import compile_source; from odec.source import Source\n"
    command += "for path in sys.argv[1:]: sys.stdout.buffer.write(compile_source(Source.from_file(path)).text.encode())"
    paths = [str(path) for path in (*MODELS, *EXAMPLES)]
    texts = [
        subprocess.run(
            [sys.executable, "-c", command, *paths],
            env={**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": "C", "PYTHONPATH": str(HERE.parent)},
            capture_output=True,
            check=True,
        ).stdout.decode()
        for seed in ("0", "1", "12345")
    ]
    assert texts[0] == texts[1] == texts[2]
    assert texts[0] == "".join(compile_source(Source.from_file(path)).text for path in paths)


def test_a_file_is_written_beside_its_model(tmp_path: Path) -> None:
    model = tmp_path / "two_species.ode"
    model.write_text("x' = -x\n")
    assert compile_file(model) == tmp_path / "two_species.py"
    assert "class TwoSpecies(Layer):" in (tmp_path / "two_species.py").read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["two_species.ode", "two_species.py"]


def test_nothing_is_written_where_the_model_is_wrong(tmp_path: Path) -> None:
    model = tmp_path / "wrong.ode"
    model.write_text("x' = -k*x\n")
    with pytest.raises(OdecError):
        compile_file(model)
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.ode"]


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    model = tmp_path / "m.ode"
    model.write_text("x' = -x\n")
    with pytest.raises(OdecError) as error:
        compile_file(model, tmp_path / "nowhere" / "m.py")
    assert error.value.diagnostics[0].code == "E0701"


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("two_species.ode", "TwoSpecies"),
        ("a/b/Lorenz96-v2.ode", "Lorenz96V2"),
        ("3d.ode", "Model3d"),
        ("examples/sir/model.ode", "Sir"),
        ("ünïcode.ode", "Ünïcode"),
        ("...", "Model"),
    ],
)
def test_the_class_is_called_after_the_file(file: str, name: str) -> None:
    assert class_name(file) == name


@pytest.mark.parametrize(
    "name", ["None", "True", "layer", "Layer", "State", "param", "description", "class", "float", "register"]
)
def test_a_file_called_like_something_of_the_module_gives_a_module_that_runs(name: str) -> None:
    from odec.loading import load_source

    layer = load_source(Source.from_text("state x = 1\nparam k = 1\nx' = -k*x", f"{name}.ode"))
    assert layer.rhs(0.0, (2.0,), (3.0,), ()) == (-6.0,)


def test_show_prints_the_model_after_each_pass() -> None:
    source = Source.from_text("x' = a*x - b*x*y\ny' = -y\nparam a = 1\nparam b = 2\n")
    assert "\nx' = a*x - b*x*y\n" in show(source, after="build")
    assert "\nx' = x*(a - b*y)\n" in show(source, after="simplify")
    assert "∂x'/∂x" in show(source) and r"\frac{\mathrm{d} x}{\mathrm{d} t}" in show(source, latex=True)
    with pytest.raises(KeyError):
        show(source, after="nothing")
