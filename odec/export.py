"""Keras models with equations in them as files for other machines: SavedModel, ONNX, LiteRT, OpenVINO.

    from odec.export import export_model

    model = keras.Sequential([keras.Input((2,)), Competition(steps=100, h=0.1)])
    export_model(model, "competition.onnx", "onnx")

What is written is run at once, and compared with the model: a file that gives other numbers is never left behind.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from odec.diagnostics import OdecError, nearest
from odec.files import ready_folder

# What numbers may differ by where another machine adds in another order, relative to the largest value.
SINGLE = 1e-4
DOUBLE = 1e-9


@dataclass(frozen=True)
class Target:
    """A kind of file.

    `keras` is Keras's name of it, `suffix` that of the file ("" for a folder), `packages` what writes and runs it.
    `adaptive` says whether its loops may end when the error is small, `precision` what the machine computes in where it
    has no other, `fixed` whether dtype and number of rows are a part of the file.
    """

    name: str
    keras: str
    suffix: str
    packages: tuple[str, ...]
    adaptive: bool
    precision: str = ""
    fixed: bool = False


_TARGETS = (
    Target("saved_model", "tf_saved_model", "", (), adaptive=True),
    Target("onnx", "onnx", ".onnx", ("onnx", "tf2onnx", "onnxruntime"), adaptive=False),
    Target("litert", "litert", ".tflite", ("ai_edge_litert",), False, precision="float32", fixed=True),
    Target("openvino", "openvino", ".xml", ("openvino",), True, precision="float32"),
)
TARGETS = {target.name: target for target in _TARGETS}


@dataclass(frozen=True)
class Exported:
    """Where the file is, and the largest difference of its numbers to the model's, relative to the largest of them."""

    path: Path
    difference: float


def export_model(
    model: Any, path: str | Path, target: str = "saved_model", sample: Sequence[np.ndarray] | None = None
) -> Exported:
    """Writes a Keras model as `target`, runs what was written on `sample` (an array for each input, by default ones of
    one row), and compares.

    The rows of a LiteRT file are those of the sample. Raises OdecError: E0606 no such target, E0704 a package is
    missing, E0705 the target cannot do it, E0706 its numbers differ, E0701 it cannot be written.
    """
    kind = _target(target)
    _check(kind, model)
    if sample is None:
        sample = [np.ones((1, *(size or 1 for size in part.shape[1:]))) for part in model.inputs]
    arrays = [np.asarray(values, dtype=str(part.dtype)) for values, part in zip(sample, model.inputs, strict=True)]
    path = Path(path)
    folder = ready_folder(path.parent)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".odec-") as scratch:
        made = Path(scratch) / path.name
        expected = np.asarray(_called(model, arrays))
        with _blamed(f"{kind.name} cannot hold this model"):
            _write(kind, model, made, arrays)
        with _blamed(f"what was exported to {kind.name} does not run"):
            found = RUN[kind.name](made, arrays)
        largest = float(np.max(np.abs(expected), initial=0.0)) or 1.0
        difference = float(np.max(np.abs(found - expected), initial=0.0)) / largest
        single = kind.precision == "float32" or expected.dtype == np.float32
        if not difference <= (SINGLE if single else DOUBLE):
            raise OdecError.of(
                "E0706",
                f"what was exported to {kind.name} differs from the model: by {difference:.2g} of the largest value",
                "export to saved_model",
            )
        for part in Path(scratch).iterdir():
            _replace(part, folder / part.name)
    return Exported(path, difference)


def sample_of(model: Any, batch: int = 1) -> list[np.ndarray]:
    """Inputs of a model that `odec.runtime.artefact.keras_model` made: the layer's own start, and inputs that are 1."""
    from odec.runtime.artefact import start_of

    start = np.tile(start_of(model.layers[-1]), (batch, 1))
    return [start, *(np.ones((batch, *part.shape[1:])) for part in model.inputs[1:])]


def fitted(folder: str | Path) -> tuple[Any, dict[str, Any], Path]:
    """The layer class of a fit's folder, the arguments of its fitted layer, and the file with its weights.

    Raises OdecError (E0001) where the folder is no fit's.
    """
    from odec.loading import load_source
    from odec.source import Source

    text, saved = Path(folder) / "fitted.ode", Path(folder) / "model.keras"
    if text.is_file() and not saved.is_file():
        raise OdecError.of(
            "E0001",
            f"`{folder}` has no `model.keras`: a fit of several experiments is no single model",
            f"export `{text}`, which has the mean of what differs between them, or set it: `--set`",
        )
    if not text.is_file():
        raise OdecError.of(
            "E0001",
            f"`{folder}` holds no fit: `fitted.ode` is missing",
            "name a folder that `odec fit` wrote, or a model file",
        )
    with zipfile.ZipFile(saved) as archive:
        config = json.loads(archive.read("config.json"))
    (found,) = _layers_of(config)
    layer = load_source(Source.from_file(text), name=found["class_name"])
    arguments = {key: value for key, value in found["config"].items() if key in _ARGUMENTS}
    return layer, arguments, saved


# What of a layer's configuration says how it runs; the rest is Keras's.
_ARGUMENTS = (
    *("steps", "h", "times", "start", "method", "rtol", "atol", "max_steps", "outputs", "return_sequences"),
    *("params", "frozen", "consts", "sizes", "input_times"),
)


def _layers_of(config: Any) -> Iterator[dict[str, Any]]:
    """The configurations of odec's layers in one of Keras's."""
    if isinstance(config, dict):
        if str(config.get("registered_name")).startswith("odec:"):
            yield config
            return
        config = list(config.values())
    for part in config if isinstance(config, list) else ():
        yield from _layers_of(part)


def _target(name: str) -> Target:
    if name not in TARGETS:
        raise OdecError.of(
            "E0606",
            f"there is no export to `{name}`",
            nearest(name, TARGETS) or f"choose one of {', '.join(TARGETS)}",
        )
    target = TARGETS[name]
    missing = [package for package in target.packages if find_spec(package) is None]
    if missing:
        raise OdecError.of(
            "E0704",
            f"an export to {name} is written and checked with packages that are not installed: {', '.join(missing)}",
            "`pip install 'odec[export]'`",
        )
    return target


def _check(target: Target, model: Any) -> None:
    """What can be known before: whether the machine can do what the layers ask."""
    import keras

    from odec.runtime import Layer
    from odec.runtime.adaptive import Adaptive

    if keras.backend.backend() != "tensorflow":
        raise OdecError.of(
            "E0705",
            f"exports are made with TensorFlow, not with {keras.backend.backend()}",
            "set KERAS_BACKEND=tensorflow",
        )
    for layer in (part for part in model._flatten_layers() if isinstance(part, Layer)):
        if isinstance(layer.timing, Adaptive) and not target.adaptive:
            raise OdecError.of(
                "E0705",
                f"{target.name} cannot run adaptive loops, and {layer.description.name} is adaptive",
                "give it a fixed step (`--step 0.1`, `h=0.1`), or export to saved_model",
            )
        if target.fixed and layer.compute_dtype != target.precision:
            raise OdecError.of(
                "E0705",
                f"{target.name} computes in {target.precision}: {layer.description.name} is {layer.compute_dtype}",
                f'make the layer with dtype="{target.precision}"',
            )


@contextmanager
def _blamed(what: str) -> Iterator[None]:
    """Converters and machines raise whatever they like; the user is told in a line whose fault it is."""
    try:
        yield
    except Exception as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise OdecError.of("E0705", f"{what}: {reason[:300]}", "export to saved_model") from error


def _write(target: Target, model: Any, path: Path, sample: Sequence[np.ndarray]) -> None:
    """Keras's export, with the layers' loops as ordinary operations."""
    import keras

    from odec.runtime import loops

    options: dict[str, Any] = {}
    if target.fixed:
        shapes = [keras.InputSpec(shape=values.shape, dtype=str(values.dtype)) for values in sample]
        options["input_signature"] = shapes if len(shapes) == 1 else [shapes]
    # Converters warn of their own age, and of what becomes of it in later releases of NumPy and Keras.
    with loops.plain_graph(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.export(str(path), format=target.keras, verbose=False, **options)


def _called(model: Any, arrays: Sequence[np.ndarray]) -> Any:
    return model(arrays[0] if len(arrays) == 1 else list(arrays))


def _run_saved_model(path: Path, arrays: Sequence[np.ndarray]) -> np.ndarray:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))  # it holds the weights, and its function does not hold it
    return np.asarray(_called(loaded.serve, arrays))


def _run_onnx(path: Path, arrays: Sequence[np.ndarray]) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    named = {part.name: values for part, values in zip(session.get_inputs(), arrays, strict=True)}
    return np.asarray(session.run(None, named)[0])


def _run_litert(path: Path, arrays: Sequence[np.ndarray]) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    for part, values in zip(_by_name(interpreter.get_input_details()), arrays, strict=True):
        interpreter.set_tensor(part["index"], values)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def _by_name(details: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The inputs in the model's order, which their names end with: `serving_default_args_0:0`, `…_1:0`."""
    return sorted(details, key=lambda part: str(part["name"]))


def _run_openvino(path: Path, arrays: Sequence[np.ndarray]) -> np.ndarray:
    import openvino

    core = openvino.Core()
    # Without the hint a machine that has half precision computes in it.
    compiled = core.compile_model(core.read_model(str(path)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.asarray(compiled(list(arrays))[0])


RUN: dict[str, Callable[[Path, Sequence[np.ndarray]], np.ndarray]] = {
    "saved_model": _run_saved_model,
    "onnx": _run_onnx,
    "litert": _run_litert,
    "openvino": _run_openvino,
}


def _replace(source: Path, target: Path) -> None:
    """Puts a file or a folder into its place; a folder that is there is replaced where it is a SavedModel."""
    if target.is_dir():
        if not (target / "saved_model.pb").is_file():
            raise OdecError.of("E0701", f"`{target}` is a folder of something else", "name another place with `-o`")
        shutil.rmtree(target)
    source.replace(target)
