"""The sdist, the wheel made from it, and the installed package: its grammar is found and an example compiles there."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import odec


def run(*command: object, cwd: Path | None = None) -> str:
    """The output of a command that must succeed; nothing of the checkout is on its path."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(sdist, wheel), the wheel built from the unpacked sdist, not from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, root)
    [sdist] = folder.glob("odec-*.tar.gz")
    [wheel] = folder.glob("odec-*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment that holds the wheel, and the libraries of this one, but not this one's odec.

    A file `.pth` adds the folder of the libraries; editable installs are hooks in files of their own, which Python
    reads in its own site-packages only.
    """
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    [site] = folder.glob("lib/python*/site-packages")
    libraries = sysconfig.get_paths()["purelib"]
    (site / "libraries.pth").write_text(f"{libraries}\n", encoding="utf-8")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", built[1])
    return python


def test_the_version_has_one_source(root: Path, built: tuple[Path, Path]) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert built[1].name == f"odec-{odec.__version__}-py3-none-any.whl"


def test_the_sdist_holds_what_a_developer_needs(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "grammars/odec.lark",
        "tests/conftest.py",
        "examples/competition/model.ode",
        "examples/competition/data.csv",
        "Makefile",
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
    } <= names
    assert not [name for name in names if "__pycache__" in name or ".venv" in name]


def test_the_wheel_holds_the_grammar_inside_the_package_and_no_tests(built: tuple[Path, Path]) -> None:
    names = zipfile.ZipFile(built[1]).namelist()
    assert "odec/grammars/odec.lark" in names
    assert {name.split("/")[0] for name in names} == {"odec", f"odec-{odec.__version__}.dist-info"}


def test_the_installed_package_compiles_an_example(root: Path, installed: Path, tmp_path: Path) -> None:
    found = Path(run(installed, "-c", "import odec; print(odec.__file__)", cwd=tmp_path).strip())
    assert found.is_relative_to(installed.parent.parent), "another odec is in the way"
    model = tmp_path / "model.ode"
    model.write_bytes((root / "examples/competition/model.ode").read_bytes())
    run(installed.parent / "odec", "compile", model, "--name", "Competition", cwd=tmp_path)
    text = (tmp_path / "model.py").read_text(encoding="utf-8")
    assert "class Competition(Layer)" in text
    run(installed, "-c", "import model; assert model.Competition.description.states", cwd=tmp_path)


def test_the_dependencies_are_those_with_a_reason(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    reasons = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for requirement in project["dependencies"]:
        name = requirement.partition(">=")[0]
        assert f"`{name}`" in reasons, f"CONTRIBUTING.md does not say what {name} does for us"
