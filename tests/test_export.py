"""Exports are run where neither odec nor Keras can be imported, and give the numbers of `odec.solve`."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import odec
from odec import export
from odec.cli.main import main
from odec.diagnostics import OdecError

# What runs each kind of file, on the arrays of a list `x`, into an array `y`. The path is `sys.argv[1]`.
RUNS = {
    "saved_model": """
import tensorflow as tf
served = tf.saved_model.load(sys.argv[1])
y = served.serve(x[0] if len(x) == 1 else x)
""",
    "onnx": """
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
y = session.run(None, {part.name: values for part, values in zip(session.get_inputs(), x)})[0]
""",
    "litert": """
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(model_path=sys.argv[1])
interpreter.allocate_tensors()
for part, values in zip(sorted(interpreter.get_input_details(), key=lambda part: part["name"]), x):
    interpreter.set_tensor(part["index"], values.astype("float32"))
interpreter.invoke()
y = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
""",
    "openvino": """
import openvino
core = openvino.Core()
y = core.compile_model(core.read_model(sys.argv[1]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(x)[0]
""",
}
# float32 machines round each of some hundred operations.
ROUNDING = {"saved_model": 1e-12, "onnx": 1e-12, "litert": 2e-6, "openvino": 2e-6}


def run(target: str, path: Path, *inputs: Any) -> np.ndarray:
    """What the file gives, in a process of its own that has neither odec nor Keras."""
    said = json.dumps([np.asarray(values, dtype=float).tolist() for values in inputs])
    code = (
        "import json, sys\nsys.modules['odec'] = sys.modules['keras'] = None\nimport numpy as np\n"
        f"x = [np.array(values) for values in json.loads({said!r})]\n{RUNS[target]}"
        "print(json.dumps(np.asarray(y).tolist()))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout.splitlines()[-1]))


def close(found: np.ndarray, expected: np.ndarray, target: str) -> bool:
    """Whether the numbers are the same but for rounding, relative to the largest."""
    return found.shape == expected.shape and bool(
        np.max(np.abs(found - expected)) <= ROUNDING[target] * np.max(np.abs(expected))
    )


@pytest.fixture(params=RUNS)
def target(request: pytest.FixtureRequest) -> str:
    """Each target, where what writes and runs it is installed."""
    for package in export.TARGETS[request.param].packages:
        pytest.importorskip(package)
    return str(request.param)


def exported(target: str, tmp_path: Path, model: Path, *options: str) -> Path:
    """The file that the command writes."""
    path = tmp_path / f"exported{export.TARGETS[target].suffix}"
    assert main(["export", str(model), "--format", target, "-o", str(path), *options]) == 0
    return path


def test_fixed_steps(target: str, tmp_path: Path, examples: Path) -> None:
    model = examples / "competition" / "model.ode"
    rows = "2" if target == "litert" else "1"
    path = exported(target, tmp_path, model, "--steps", "20", "--step", "0.1", "--method", "rk4", "--batch", rows)
    # Another number of rows than that of the sample, where the file does not fix it.
    starts = [[100, 150], [50, 200]]
    found = run(target, path, starts)
    for start, row in zip(starts, found, strict=True):
        init = dict(zip(("x1", "x2"), start, strict=True))
        expected = odec.solve(model, to=2, step=0.1, method="rk4", init=init).values[1:]
        assert close(row, expected, target)


def test_a_series_as_second_input(target: str, tmp_path: Path, examples: Path) -> None:
    model = examples / "motor" / "model.ode"
    path = exported(target, tmp_path, model, "--steps", "10", "--step", "0.01", "--method", "rk4")
    voltage = np.linspace(0, 5, 10)
    found = run(target, path, [[0, 0]], voltage.reshape(1, 10, 1))
    times = np.arange(10) * 0.01
    expected = odec.solve(model, to=0.1, step=0.01, every=0.01, method="rk4", inputs={"V": (times, voltage)})
    assert close(found[0], expected.values[1:], target)


def test_adaptive_steps(target: str, tmp_path: Path, examples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = examples / "competition" / "model.ode"
    if export.TARGETS[target].adaptive:
        path = exported(target, tmp_path, model, "--times", "1,5,10", "--rtol", "1e-6")
        found = run(target, path, [[100, 150]])
        # SciPy's DOP853 at rtol 1e-12.
        expected = [[106.53077721, 171.61031382], [132.77646335, 243.03150916], [165.05671254, 282.46548679]]
        assert np.allclose(found[0], expected, rtol=1e-4)
    else:
        assert main(["export", str(model), "--format", target, "--rtol", "1e-6", "-o", str(tmp_path / "no")]) == 1
        assert f"error[E0705]: {target} cannot run adaptive loops" in capsys.readouterr().err


def test_a_fit_is_exported_as_it_was_fitted(target: str, tmp_path: Path, examples: Path) -> None:
    model, data = examples / "exponential" / "model.ode", examples / "exponential" / "data.csv"
    folder = tmp_path / "fit"
    fit = odec.fit(model, data, output=folder)
    assert main(["export", str(folder), "--format", target]) == 0
    path = folder / ("saved_model" if target == "saved_model" else f"model{export.TARGETS[target].suffix}")
    # The steps of the fit are so short that they do not matter: x = 3 exp(-k t).
    expected = 3 * np.exp(-fit.estimates["k"] * fit.problem.data.distinct_times)
    assert np.allclose(run(target, path, [[3.0]])[0, :, 0], expected, rtol=1e-5)


def test_what_is_missing_is_said(examples: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    assert main(["export", str(examples / "competition" / "model.ode"), "--format", "onnx"]) == 1
    said = capsys.readouterr().err
    assert "error[E0704]" in said and "onnx, tf2onnx, onnxruntime" in said and "pip install 'odec[export]'" in said


def test_an_adaptive_layer_is_refused_before_anything_is_written(
    tmp_path: Path, examples: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(export, "find_spec", util.find_spec)
    monkeypatch.setattr(export, "TARGETS", {"onnx": export.Target("onnx", "onnx", ".onnx", (), adaptive=False)})
    path = tmp_path / "model.onnx"
    arguments = ["export", str(examples / "competition" / "model.ode"), "--format", "onnx", "--rtol", "1e-6"]
    assert main([*arguments, "-o", str(path)]) == 1
    assert "error[E0705]: onnx cannot run adaptive loops, and Competition is adaptive" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_other_numbers_are_never_left_behind(tmp_path: Path, examples: Path, monkeypatch: Any) -> None:
    import keras

    Exponential = odec.load_model(examples / "exponential" / "model.ode")
    model = keras.Sequential([keras.Input((1,)), Exponential(steps=2, h=0.1, method="euler")])
    ran = export.RUN["saved_model"]
    monkeypatch.setitem(export.RUN, "saved_model", lambda path, arrays: ran(path, arrays) + 1)
    with pytest.raises(OdecError, match=r"E0706.*differs from the model"):
        export.export_model(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("nothing",), 1, "there is no file"),
        ((".",), 1, "holds no fit: `fitted.ode` is missing"),
        (("model.ode", "--format", "zip"), 2, "is not one of"),
    ],
)
def test_a_wrong_source(
    options: tuple[str, ...],
    code: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: Any,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *options]) == code
    assert message in capsys.readouterr().err


def test_a_folder_of_something_else_is_kept(tmp_path: Path, examples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    model = examples / "exponential" / "model.ode"
    assert main(["export", str(model), "--steps", "2", "--step", "0.1", "-o", str(folder)]) == 1
    assert "is a folder of something else" in capsys.readouterr().err
    assert (folder / "notes.txt").read_text() == "mine"
