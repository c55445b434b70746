"""A standalone file needs no odec: it runs where `import odec` fails, and gives the numbers of the module with odec."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from odec.compiler import compile_source
from odec.diagnostics import OdecError
from odec.emit.standalone import standalone_text
from odec.source import Source

DECAY = "state x = 3\nparam k = 0.2\nx' = -k*x\n"

# Runs in a folder with the files: competition.py, bouncing_ball.py and motor.py, and one with a class called Sequence.
SCRIPT = """
import sys
sys.modules["odec"] = None  # `import odec` raises ImportError
import json
import keras
import numpy as np
from bouncing_ball import BouncingBall
from competition import Competition
from motor import Motor
from sequence import Sequence

def values(layer, *arguments):
    return np.asarray(layer(*arguments)).tolist()

none = np.zeros((1, 0))
layer = Competition(steps=100, h=0.1, method="rk4", dtype="float64")
model = keras.Sequential([keras.Input((2,), dtype="float64"), layer])
model.compile("sgd", loss="mse")
start, target = np.array([[100.0, 150.0]]), np.zeros((1, 100, 2))
first = model.predict(start, verbose=0)
model.save("competition.keras")
again = keras.models.load_model("competition.keras").predict(start, verbose=0)
model.train_on_batch(start, target)
cell = keras.layers.RNN(Competition.cell(h=0.1, method="rk4", dtype="float64"), return_sequences=True, dtype="float64")
voltage = np.linspace(0, 5, 11).reshape(1, 11, 1)
print(json.dumps({
    "competition": first.tolist(),
    "loaded": again.tolist(),
    "trained": [float(layer.parameters()["r1"])],
    "cell": np.asarray(cell(np.zeros((1, 100, 1)))).tolist(),
    "adaptive": values(Competition(times=[1.0, 2.0, 10.0], rtol=1e-6, dtype="float64"), none),
    "ball": values(BouncingBall(times=[0.5, 1.0, 2.0], rtol=1e-6, dtype="float64"), none),
    "motor": values(Motor(steps=10, h=0.01, method="rk4", dtype="float64"), none, voltage),
    "sequence": values(Sequence(times=[1.0], h=0.1, method="rk4", dtype="float64"), none),
}))
"""


def alone(model: Path | str, name: str | None = None) -> str:
    """The standalone text of a model file, or of a model's text."""
    source = Source.from_file(model) if isinstance(model, Path) else Source.from_text(model, "model.ode")
    return standalone_text(compile_source(source, name).text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Path:
    """Standalone files: of models with jumps, inputs, arrays, and with classes called like what the runtime has."""
    made = tmp_path_factory.mktemp("standalone")
    for name in ("competition", "bouncing_ball", "motor", "lorenz96"):
        (made / f"{name}.py").write_text(alone(examples / name / "model.ode"), encoding="utf-8")
    for name in ("Sequence", "Step", "Any"):
        (made / f"{name.lower()}.py").write_text(alone(DECAY, name), encoding="utf-8")
    return made


def test_no_name_is_missing_twice_there_or_unused(folder: Path) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_nothing_of_odec_is_imported(folder: Path) -> None:
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not any(module.split(".")[0] == "odec" for module in modules), path


def test_the_same_numbers_without_odec(
    folder: Path, examples: Path, load: Callable[[Path], Any], monkeypatch: Any
) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = {key: np.array(value) for key, value in json.loads(done.stdout.splitlines()[-1]).items()}

    import keras

    Competition = load(examples / "competition" / "model.ode")
    # What the file without odec saved is read with odec. Other tests register models of the same name.
    monkeypatch.setitem(keras.saving.get_custom_objects(), "odec:Competition>Competition", Competition)
    model = keras.models.load_model(folder / "competition.keras")
    assert type(model.layers[-1]) is Competition
    expected = np.asarray(model(np.array([[100.0, 150.0]])))
    assert np.array_equal(found["competition"], expected)
    assert np.array_equal(found["loaded"], expected)
    assert found["trained"] != 0.1
    # The cell is compiled in another graph: rounding differs.
    assert np.allclose(found["cell"], expected, rtol=1e-13)
    none = np.zeros((1, 0))
    adaptive = Competition(times=[1.0, 2.0, 10.0], rtol=1e-6, dtype="float64")
    assert np.array_equal(found["adaptive"], np.asarray(adaptive(none)))
    ball = load(examples / "bouncing_ball" / "model.ode")(times=[0.5, 1.0, 2.0], rtol=1e-6, dtype="float64")
    assert np.array_equal(found["ball"], np.asarray(ball(none)))
    motor = load(examples / "motor" / "model.ode")(steps=10, h=0.01, method="rk4", dtype="float64")
    voltage = np.linspace(0, 5, 11).reshape(1, 11, 1)
    assert np.array_equal(found["motor"], np.asarray(motor(none, voltage)))
    # x = 3 exp(-0.2 t); ten steps of order 4 of 0.1.
    assert np.allclose(found["sequence"], 3 * np.exp(-0.2), rtol=1e-8)


def test_a_class_called_like_the_runtimes_is_refused() -> None:
    with pytest.raises(OdecError, match="a class called `Layer` would hide the runtime's"):
        alone(DECAY, "Layer")


def test_the_same_model_gives_the_same_file() -> None:
    assert alone(DECAY) == alone(DECAY)
