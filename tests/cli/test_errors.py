"""What becomes of an error: the exit code, one message, no traceback but for our own faults."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from odec.cli import main as cli
from odec.compiler import PASSES
from odec.diagnostics import OdecError
from odec.start_up import start_up_hushed

MODEL = "param k = 0.5 in [0, 2]\nstate x = 3\ndx = -k*x\nsolve to 4, step 0.1, method rk4\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A good model file."""
    path = tmp_path / "model.ode"
    path.write_text(MODEL, encoding="utf-8")
    return path


def bad_file(folder: Path, kind: str) -> Path:
    """A model file that cannot be one."""
    path = folder / "bad.ode"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "only comments":
        path.write_text("# nothing\n\n", encoding="utf-8")
    elif kind == "binary":
        path.write_bytes(bytes(range(256)))
    elif kind == "nul":
        path.write_bytes(b"state x = 1\0\n")
    elif kind == "looping link":
        path.symlink_to(path)
    else:
        assert kind == "missing"
    return path


KINDS = ["missing", "folder", "empty", "only comments", "binary", "nul", "looping link"]


COMMANDS = ["compile", "check", "show", "solve", "fit", "fmt"]
# There is nothing wrong with the layout of nothing.
WELL_LAID_OUT = {("fmt", "empty"), ("fmt", "only comments")}


@pytest.mark.parametrize(
    ("command", "kind"), [pair for pair in itertools.product(COMMANDS, KINDS) if pair not in WELL_LAID_OUT]
)
def test_a_file_that_is_no_model_is_refused(odec: Any, tmp_path: Path, command: str, kind: str) -> None:
    path = bad_file(tmp_path, kind)
    data = tmp_path / "data.csv"
    data.write_text("t,x\n0,1\n", encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))
    arguments = [command, path, *([data, "-o", tmp_path / "fit"] if command == "fit" else [])]
    result = odec(*arguments)
    assert result.code == 1, result
    assert result.err.startswith("error[E0")
    assert "bad.ode" in result.err
    assert "Traceback" not in result.err
    assert result.out == ""
    assert sorted(path for path in tmp_path.rglob("*") if path.name != "fit") == before


@pytest.mark.parametrize("place", ["file/out", "missing/out"])
@pytest.mark.parametrize("command", ["compile", "solve", "plot"])
def test_an_output_that_cannot_be_written_is_said(
    odec: Any, model: Path, tmp_path: Path, command: str, place: str
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    out = tmp_path / place
    arguments = {
        "compile": ["compile", model, "-o", f"{out}.py"],
        "solve": ["solve", model, "-o", f"{out}.csv"],
        "plot": ["solve", model, "-o", tmp_path / "out.csv", "--plot", f"{out}.png"],
    }[command]
    result = odec(*arguments)
    assert result.code == 1, result
    assert "error[E07" in result.err
    assert str(out.parent) in result.err
    assert "Traceback" not in result.err
    assert {path.name for path in tmp_path.iterdir()} == {"file", "model.ode"}


@pytest.mark.parametrize(
    ("option", "cure"),
    [
        ("--set=k=1", "`k` is computed by the equations"),
        ("--set=u=1", "`--input u=table.csv`"),
        ("--set=x=1", "`--init x=1`"),
    ],
)
def test_a_value_for_what_is_something_else_says_how_it_is_given(
    odec: Any, tmp_path: Path, option: str, cure: str
) -> None:
    path, table = tmp_path / "m.ode", tmp_path / "u.csv"
    path.write_text("input u hold\nk = 0.2\nstate x = 1\nx' = u - k*x\n", encoding="utf-8")
    table.write_text("t,u\n0,1\n", encoding="utf-8")
    result = odec("solve", path, "--to", "1", f"--input=u={table}", option)
    assert "error[E0603]" in result.err
    assert cure in result.err


def test_a_file_that_is_wrong_everywhere_is_not_told_line_by_line(odec: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.ode"
    path.write_text("Dear Sir\n" * 50, encoding="utf-8")
    result = odec("solve", path, "--to", "1")
    assert result.err.count("error[") == 20
    assert result.err.endswith("and 30 more errors; `odec check` shows those of a model\n")
    assert odec("check", path).err.count("error[") == 50


def test_a_fit_folder_that_is_a_file_is_said(odec: Any, model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("t,x\n0,3\n1,2\n", encoding="utf-8")
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    result = odec("fit", model, data, "-o", tmp_path / "taken")
    assert result.code == 1
    assert "error[E0701]" in result.err
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("t,y\n0,3\n", "E0501", ["`y`", "x"]),
        ("t,X\n0,3\n", "E0501", ["`X`", "`x`", "case"]),
        ("t,x\nnoon,3\n", "E0503", ["noon"]),
        ("t,x\n0,three\n", "E0503", ["three"]),
        ("t,x\n0,\n1,\n", "E0504", ["no data left"]),
        ("t,x\n", "E0504", []),
        ("x\n3\n", "E0502", ["--time"]),
        ("", "E05", []),
    ],
)
def test_data_that_cannot_be_used_is_said_in_its_words(
    odec: Any, model: Path, tmp_path: Path, text: str, code: str, words: list[str]
) -> None:
    data = tmp_path / "data.csv"
    data.write_text(text, encoding="utf-8")
    result = odec("fit", model, data, "-o", tmp_path / "fit")
    assert result.code == 1, result
    assert f"error[{code}" in result.err
    for word in words:
        assert word in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "fit" / "fit.json").exists()


def test_a_first_guess_outside_its_bounds_is_said(odec: Any, model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("t,x\n0,3\n1,2\n", encoding="utf-8")
    result = odec("fit", model, data, "--set", "k=5", "-o", tmp_path / "fit")
    assert result.code == 1, result
    assert "`k`" in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "fit" / "fit.json").exists()


def test_an_unknown_method_names_the_methods(odec: Any, model: Path) -> None:
    result = odec("solve", model, "--method", "magic")
    assert result.code == 1
    assert "error[E0408]" in result.err
    assert "rk4" in result.err


@pytest.mark.parametrize("option", ["--set", "--init"])
def test_an_unknown_name_is_refused(odec: Any, model: Path, option: str) -> None:
    result = odec("solve", model, option, "K=1")
    assert result.code == 1
    assert "`K`" in result.err


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Every command raises this."""

    @click.command()
    def command() -> None:
        raise error

    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: command)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (OdecError.of("E0601", "it went wrong", help="try again"), 1, "error[E0601]: it went wrong\nhelp: try again\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_an_error_becomes_a_message(
    odec: Any, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, message: str
) -> None:
    failing(monkeypatch, error)
    result = odec("solve")
    assert (result.code, result.out) == (code, "")
    assert result.err.lstrip() == message


def test_a_fault_of_ours_says_so(odec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, ZeroDivisionError("oops"))
    result = odec("solve")
    assert result.code == 1
    assert "Traceback" in result.err
    assert "This is a fault in odec" in result.err


def test_a_reader_who_leaves_gets_no_message(model: Path, root: Path) -> None:
    command = f"{sys.executable} -m odec solve {model} --step 0.0001 | head -n 2"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], cwd=root, capture_output=True, text=True)
    assert done.stdout == "t,x\n0.0,3.0\n"
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
def test_a_full_disk_behind_stdout_is_no_fault_of_ours(model: Path, root: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "odec", "solve", str(model)]
        done = subprocess.run(command, cwd=root, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error[E0701]: the output cannot be written: No space left on device")
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_fit_that_fails_leaves_no_folder(odec: Any, model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.csv"
    data.write_text("t,x\n0,3\n1,2\n", encoding="utf-8")
    model.write_text("param k = 1\nstate x = 3\ndx = -k*x/0\n", encoding="utf-8")
    (tmp_path / "mine").mkdir()
    for folder, left in (("fit", False), ("mine", True)):
        result = odec("fit", model, data, "-o", tmp_path / folder)
        assert result.code == 1, result
        assert (tmp_path / folder).exists() is left


def test_a_model_may_come_through_a_pipe(model: Path, root: Path) -> None:
    command = f"{sys.executable} -m odec solve <(cat {model}) --to 1 --every 1"
    done = subprocess.run(["bash", "-c", command], cwd=root, capture_output=True, text=True)
    assert done.stdout.startswith("t,x\n0.0,3.0\n1.0,1.8")
    assert len(done.stderr.splitlines()) == 1 and "estimated error" in done.stderr


def test_help_and_version_exit_with_0(odec: Any) -> None:
    assert odec("--help").code == 0
    assert odec("--version").out.startswith("odec 0.")


def test_what_a_command_does_is_said_whole_in_the_list_of_commands(odec_process: Callable[..., Any]) -> None:
    page = odec_process("--help").out.split("Commands:")[1]
    assert all(f"\n  {command} " in page for command in cli.COMMANDS)
    assert "..." not in page


def test_the_help_page_of_show_names_the_passes(odec: Any) -> None:
    page = " ".join(odec("show", "--help").out.split())
    assert f"{', '.join(PASSES[:-1])} or {PASSES[-1]}" in page


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_each_command_has_a_help_page(odec: Any, command: str) -> None:
    result = odec(command, "--help")
    assert result.code == 0
    assert result.out.startswith(f"Usage: odec {command}")


def test_the_help_page_of_solve_lists_the_methods(odec_process: Callable[..., Any]) -> None:
    from odec.methods import METHODS

    page = odec_process("solve", "--help").out
    for name, method in METHODS.items():
        assert f"  {name} " in page
        assert method.split()[0] in page


def test_what_is_said_while_loading_is_kept_back_and_shown_where_loading_fails(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    with start_up_hushed():
        os.write(2, b"chatter\n")
    assert capfd.readouterr().err == ""
    assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    with pytest.raises(ImportError), start_up_hushed():
        os.write(2, b"the reason\n")
        raise ImportError
    assert capfd.readouterr().err == "the reason\n"


def test_a_command_does_not_collect_garbage_while_it_loads_and_once_leaves_out_what_it_loaded() -> None:
    program = (
        "import gc\nfrom odec.start_up import command_started_up\n"
        "for _ in range(2):\n"
        "    with command_started_up():\n        print(gc.isenabled(), end=' ')\n"
        "    print(gc.isenabled(), gc.get_freeze_count() > 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False True True\nTrue True True\n"


@pytest.mark.parametrize(("level", "heard"), [("0", "chatter\n"), ("1", "chatter\n"), ("2", ""), ("3", "")])
def test_who_sets_a_low_log_level_hears_everything(
    level: str, heard: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with start_up_hushed():
        os.write(2, b"chatter\n")
    assert capfd.readouterr().err == heard
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == level
