"""What is saved comes back, in a fresh process that imports the generated module alone."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from competition import Competition
from lotka_volterra import LotkaVolterra

from odec import compile_file
from odec.loading import load_source
from odec.source import Source

MODELS = Path(__file__).parent / "models"
ROOT = Path(__file__).parents[2]
NONE = np.zeros((1, 0))


def _model(**options):
    layer = LotkaVolterra(times=[20, 1], h=0.01, method="rk4", start=0, dtype="float64", frozen=["a"], **options)
    inputs = keras.Input((0,))
    return keras.Model(inputs, layer(inputs)), layer


def _fresh(code):
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(MODELS)!r}]\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout, result.stderr


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model, layer = _model()
    for weight, value in zip(sorted(layer.weights, key=lambda w: w.name), (0.7, 0.03), strict=True):
        weight.assign(value)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    return path, model.predict(NONE, verbose=0)


def test_config_round_trip():
    layer = LotkaVolterra(
        times=[3, 1], h=0.5, outputs=["total"], params={"a": 0.6}, frozen=["b"], consts={"c": 0.3}, name="prey"
    )
    again = LotkaVolterra.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again(NONE), layer(NONE))


def test_saved_model_loads_here_and_trains_on(saved):
    path, before = saved
    model = keras.models.load_model(path)
    np.testing.assert_allclose(model.predict(NONE, verbose=0), before, rtol=1e-12)
    assert before[0, 0, 0] == pytest.approx(12.037544, rel=1e-6)  # case K01
    layer = model.layers[-1]
    assert layer.parameters() == {"a": 0.7, "b": 0.03}
    assert [weight.name for weight in layer.trainable_weights] == ["b"]
    assert {w.name: (w.constraint.lower, w.constraint.upper) for w in layer.weights} == {"a": (0, 2), "b": (0, 1)}
    assert layer.compute_dtype == "float64" and layer.method == "rk4"
    model.compile("sgd", "mse")
    model.fit(NONE, before, verbose=0)


def test_fresh_process_needs_only_the_generated_module(saved):
    path, before = saved
    out, err = _fresh(
        f"import lotka_volterra, keras, numpy as np\n"
        f"print(repr(float(keras.models.load_model({str(path)!r}).predict(np.zeros((1, 0)), verbose=0)[0, 0, 0])))"
    )
    assert out, err
    assert float(out) == pytest.approx(before[0, 0, 0], rel=1e-12)


def test_without_the_module_the_error_names_it(saved):
    _, err = _fresh(f"import keras; keras.models.load_model({str(saved[0])!r})")
    assert "lotka_volterra" in err and "LotkaVolterra" in err and "imported" in err


def test_weights_alone(saved, tmp_path):
    model, layer = _model(params={"a": 0.9})
    model.save_weights(tmp_path / "one.weights.h5")
    other, other_layer = _model()
    other.load_weights(tmp_path / "one.weights.h5")
    assert other_layer.parameters() == layer.parameters() == {"a": 0.9, "b": 0.02}


def test_freezing_does_not_mix_values_up(tmp_path):
    model, layer = _model(params={"a": 0.9})
    model.save_weights(tmp_path / "one.weights.h5")
    free = LotkaVolterra(times=[20, 1], h=0.01, dtype="float64", frozen=["b"])
    inputs = keras.Input((0,))
    keras.Model(inputs, free(inputs)).load_weights(tmp_path / "one.weights.h5")
    assert free.parameters() == layer.parameters()


def test_other_params_are_refused():
    layer = Competition(steps=2, h=0.1)
    layer.build((None, 2))
    with pytest.raises(ValueError, match=r"has the params a, b, the model has a1, a2"):
        layer.load_own_variables({"a": 1.0, "b": 2.0})


def test_changed_text_is_said():
    config = {**LotkaVolterra(steps=2, h=0.1).get_config(), "digest": "9" * 64}
    with pytest.warns(UserWarning, match=r"another text of model\.ode"):
        LotkaVolterra.from_config(config)


def test_models_of_one_name_do_not_overwrite_one_another(tmp_path):
    text = (MODELS / "competition.py").read_text()
    for name in ("first", "second"):
        (tmp_path / f"{name}.py").write_text(text.replace('"0000"', f'"{name}"'))
    out, err = _fresh(
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import first, second, keras\n"
        "for module in (first, second):\n"
        "    config = keras.saving.serialize_keras_object(module.Competition(steps=2, h=0.1))\n"
        "    print(type(keras.saving.deserialize_keras_object(config)).__module__)\n"
    )
    assert out.split() == ["first", "second"], err


def test_a_model_that_was_changed_and_run_again_is_found_by_its_text(tmp_path):
    """As in a notebook: a second Grow takes another key than the first; a process that has that text alone knows it."""
    old, new = "param k = 1\nstate x = 1\ndx = -k*x\n", "param k = 2\nstate x = 1\ndx = k*x\n"
    for text in (old, new):
        model = load_source(Source(text, "grow.ode"), "Grow")
    network = keras.Sequential([keras.Input((0,)), model(steps=2, h=0.1)])
    network.save(tmp_path / "grow.keras")
    (tmp_path / "grow.ode").write_text(new)
    compile_file(tmp_path / "grow.ode", tmp_path / "grow.py")
    out, err = _fresh(
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "import grow, keras, numpy\n"
        f"print(keras.models.load_model({str(tmp_path / 'grow.keras')!r})(numpy.zeros((1, 0)))[0, -1, 0].numpy())\n"
    )
    assert float(out) == pytest.approx(float(network(NONE)[0, -1, 0]), rel=1e-6), err


def test_wrong_runtime_version_says_what_to_do():
    from odec.runtime import require

    with pytest.raises(ImportError, match="update odec"):
        require(2)
    with pytest.raises(ImportError, match="compile the model again"):
        require(0)
