"""Long fits: killed or interrupted at any moment, and gone on with, they end as if they had been left alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import odec.cli.fit
from odec.cli.main import main
from odec.diagnostics import OdecError
from odec.files import write_text
from odec.fit.checkpoint import FILE, Journal
from odec.fit.fitting import Fit, Interrupted, fit

MODEL = (
    "param r = 0.3 in [0.05, 5] log\nparam K = 3 in [0.5, 500] log\nstate n = 1\ndn = r*n*(1 - n/K)\nsolve step 0.1\n"
)
TIMES = np.arange(9.0)
SEEN = 10 / (1 + 9 * np.exp(-0.9 * TIMES)) + 0.2 * np.sin(5 * TIMES)
OPTIONS: dict[str, Any] = {"starts": 12, "seed": 4}
# What may differ between two runs of one fit.
OF_THE_RUN = {"seconds", "command", "interrupted"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("long")
    write_text(place / "model.ode", MODEL)
    rows = "".join(f"{t},{n}\n" for t, n in zip(TIMES.tolist(), SEEN.tolist(), strict=True))
    write_text(place / "data.csv", f"t,n\n{rows}")
    return place


def whole(files: Path, **options: Any) -> Fit:
    return fit(files / "model.ode", files / "data.csv", output=None, **options)


def interrupting(call: int) -> Callable[..., None]:
    """A progress that is Ctrl-C at its n-th call."""
    calls = 0

    def progress(done: int, total: int, best_loss: float) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            signal.raise_signal(signal.SIGINT)

    return progress


def facts(found: Fit) -> dict[str, Any]:
    return {name: value for name, value in found.as_dict().items() if name not in OF_THE_RUN}


def stored(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "fit.json").read_text(encoding="utf-8"))
    return found


def test_a_search_killed_at_20_moments_ends_as_one_left_alone(tmp_path: Path) -> None:
    script = Path(__file__).with_name("killed_search.py")
    run = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=120)
    assert not run.stderr
    met, steps, whole_steps, same = run.stdout.split()
    assert int(met) == 20, "some of the searches had ended before the kill"
    assert 0 < int(steps) < int(whole_steps), "the kills must meet the search in its middle"
    assert same == "True"


def test_odec_fit_killed_goes_on_bit_for_bit(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "fit"
    command = [sys.executable, "-m", "odec", "fit", "model.ode", "data.csv", "-o", str(folder)]
    command += ["--starts", "12", "--seed", "4"]
    killed = subprocess.Popen(command, cwd=files, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (folder / FILE).exists() and killed.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
    finally:
        killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert (folder / FILE).exists() and not (folder / "fit.json").exists()

    resumed = fit(files / "model.ode", files / "data.csv", output=folder, resume=True, **OPTIONS)
    assert facts(resumed) == facts(whole(files, **OPTIONS))
    assert not (folder / FILE).exists()


@pytest.mark.parametrize(
    "options",
    [OPTIONS, OPTIONS | {"method": "scipy"}, OPTIONS | {"method": "adam", "epochs": 400}],
    ids=["lm", "scipy", "adam"],
)
def test_ctrl_c_writes_what_there_is_and_resume_goes_on(files: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(Interrupted) as stop:
        fit(files / "model.ode", files / "data.csv", output=tmp_path, progress=interrupting(3), **options)
    found = stop.value.fit
    assert found.interrupted and not found.failed
    assert "(INTERRUPTED)" in found.text and "`--resume` goes on" in found.text
    assert stored(tmp_path)["interrupted"] is True
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    resumed = fit(files / "model.ode", files / "data.csv", output=tmp_path, resume=True, **options)
    assert facts(resumed) == facts(whole(files, **options))
    assert stored(tmp_path)["interrupted"] is False
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("stage", ["profiles 3", "bootstrap"])
def test_intervals_that_are_interrupted_go_on(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    keep, asked = Journal.keep, OPTIONS | {"starts": 1, "profiles": True, "bootstrap": 20}

    def interrupted(self: Journal, name: str, arrays: Any) -> None:
        if name == stage:
            signal.raise_signal(signal.SIGINT)
        keep(self, name, arrays)

    with monkeypatch.context() as patch, pytest.raises(Interrupted) as stop:
        patch.setattr(Journal, "keep", interrupted)
        fit(files / "model.ode", files / "data.csv", output=tmp_path, **asked)
    assert stop.value.fit.interrupted and stop.value.fit.converged and stop.value.fit.bootstrap is None
    assert "interrupted before all intervals" in stop.value.fit.text
    resumed = fit(files / "model.ode", files / "data.csv", output=tmp_path, resume=True, **asked)
    assert facts(resumed) == facts(whole(files, **asked))


def test_a_checkpoint_of_another_fit_is_refused(files: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        fit(files / "model.ode", files / "data.csv", output=tmp_path, progress=interrupting(2), **OPTIONS)
    kept = (tmp_path / FILE).read_bytes()

    def refused(data: Any = files / "data.csv", **options: Any) -> str:
        with pytest.raises(OdecError) as error:
            fit(files / "model.ode", data, output=tmp_path, resume=True, **OPTIONS | options)
        assert error.value.diagnostics[0].code == "E0611"
        return str(error.value)

    assert "belongs to another fit; not the same: `starts`, `seed`" in refused(starts=13, seed=5)
    assert "same: the data\n" in refused({"t": TIMES, "n": SEEN + 1e-9})
    assert "same: the first guesses or bounds\n" in refused(start={"r": 0.31})
    assert (tmp_path / FILE).read_bytes() == kept, "what is refused is not lost"
    (tmp_path / FILE).write_bytes(kept[:-200])
    assert "cannot be read as a checkpoint" in refused()


def test_what_runs_remember_of_their_batches_comes_back(tmp_path: Path) -> None:
    lengths = {((0, 1), "tsit5", True, ("k", "x"), ("x",)): {4, 200}, ((2,), "rk4", False, None, ("x",)): {1}}
    journal = Journal(tmp_path / FILE)
    journal.identify({"seed": "1"}, lengths={key: set(found) for key, found in lengths.items()})
    journal.keep("plain", {"z": np.arange(3.0)})
    again: dict[Any, set[int]] = {"other": {3}}
    resumed = Journal(tmp_path / FILE)
    resumed.identify({"seed": "1"}, resume=True, lengths=again)
    assert again == lengths
    kept = resumed.stage("plain")
    assert kept is not None and kept["z"].tolist() == [0, 1, 2]


def test_resume_without_a_checkpoint_begins_anew(files: Path, tmp_path: Path) -> None:
    assert facts(fit(files / "model.ode", files / "data.csv", output=tmp_path, resume=True)) == facts(whole(files))


def test_ctrl_c_of_the_command(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def bar(title: str, unit: str) -> Iterator[Any]:
        assert unit == "starts"
        yield interrupting(2)

    monkeypatch.setattr(odec.cli.fit, "bar", bar)
    arguments = ["fit", str(files / "model.ode"), str(files / "data.csv"), "--starts", "12", "-o", str(tmp_path)]
    assert main(arguments) == 130
    said = capsys.readouterr()
    assert "(INTERRUPTED)" in said.out
    assert "Ctrl-C again stops at once" in said.err
    assert stored(tmp_path)["interrupted"] is True
