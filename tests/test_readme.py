"""Every file, command and Python block of the README, in its order, in one folder: a reader who types it all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file it belongs into where its fence names one, its text."""

    language: str
    file: str
    text: str


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown text."""
    found = re.findall(r"^```(\w*) ?(\S*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [Block(*parts) for parts in found]


def run(command: list[str], folder: Path) -> str:
    """The output of a command typed in `folder` with this environment's programs."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def make(target: str, folder: Path, *options: str) -> str:
    """`make TARGET` with the environment of this process in place of `.venv`, in a folder with what the demo needs."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "examples", folder / "examples", dirs_exist_ok=True)
    stamp = folder / "stamp"
    stamp.touch()
    return run(["make", *options, target, f"VENV={BIN.parent}", f"STAMP={stamp}"], folder)


def test_what_the_readme_says_to_type_works(tmp_path: Path) -> None:
    found = blocks((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {block.language for block in found} == {"bash", "ode", "csv", "python"}
    said: dict[str, str] = {}
    for block in found:
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            said["python"] = said.get("python", "") + run([sys.executable, "-c", block.text], tmp_path)
        else:
            assert block.language == "bash"
            for line in block.text.splitlines():
                if not line.startswith("make "):
                    said[line] = run(["bash", "-c", line], tmp_path)
    assert said["odec solve decay.ode --to 10 --every 1"].startswith("t,x\n0.0,3.0\n1.0,")
    assert "{'k': 0.35" in said["python"]
    for name in ("decay.csv", "decay.png", "fit/fit.json", "fitted.csv", "decay.py", "decay.keras"):
        assert (tmp_path / name).exists(), name


def test_make_demo_solves_and_fits(tmp_path: Path) -> None:
    said = make("demo", tmp_path)
    assert "0.696" in said
    assert "demo/competition.png" in said
    assert (tmp_path / "demo" / "competition.png").exists()
    assert (tmp_path / "demo" / "fit" / "fit.png").exists()


@pytest.mark.parametrize("target", ["test", "check", "benchmarks", "install"])
def test_each_target_can_be_made(target: str, tmp_path: Path) -> None:
    make(target, tmp_path, "--dry-run")


def test_the_links_of_the_readme_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert link.startswith("https://") or (ROOT / link).exists(), link
