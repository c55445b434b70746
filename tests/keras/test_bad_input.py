"""What a layer says where something is wrong with it."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest

from odec.loading import load_source
from odec.source import Source

NONE = np.zeros((1, 0))
DECAY = "param k = 0.5 in [0, 1]\nparam w[N] = 1 in [0, 2]\nsize N = 2\nstate x = 1, y = 2\ndx = -k*x\ndy = -sum(w)*y\n"
TIMED = "state x = 0\ndx = cos(t)\n"


@pytest.fixture(scope="module")
def decay():
    return load_source(Source(DECAY, "fading.ode"))


@pytest.fixture
def built(decay):
    layer = decay(steps=2, h=0.1)
    layer.build((None, 0))
    return layer


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int32"])
def test_a_dtype_that_holds_no_step(decay, dtype):
    with pytest.raises(ValueError, match=rf"computes in float32 or float64.*Received: dtype='{dtype}'"):
        decay(steps=2, h=0.1, dtype=dtype)


def test_a_policy_of_half_precision_leaves_the_layer_at_float32(decay):
    for dtype in ("mixed_float16", "mixed_bfloat16", keras.DTypePolicy("mixed_float16")):
        assert decay(steps=2, h=0.1, dtype=dtype).compute_dtype == "float32"


def test_a_time_that_the_dtype_does_not_hold():
    timed = load_source(Source(TIMED, "timed.ode"))
    words = r"float32 tells times near 33696010 apart by 4, and Timed looks at them in steps of 1:"
    with pytest.warns(UserWarning, match=words):
        timed(steps=10, h=1.0, start=33696000.0)
    with pytest.warns(UserWarning, match=words):
        timed(times=33696000.0 + np.arange(1, 11), rtol=1e-6, start=33696000.0)
    # Case V14: a step that is longer than the spacing, the time in float64, and equations that never look at it.
    timed(steps=10, h=150.0, start=33696000.0)
    timed(steps=10, h=1.0, start=33696000.0, dtype="float64")
    load_source(Source("state x = 1\ndx = -x\n", "still.ode"))(steps=10, h=1.0, start=33696000.0)


def test_params_outside_their_bounds(built):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert built.parameters()["k"] == 0.5
    built.weights[0].assign(3.0)
    with pytest.warns(UserWarning, match=r"k of Fading lies outside its bounds \[0, 1\]\. Received: 3"):
        assert built.parameters()["k"] == 3
    built.weights[0].assign(np.nan)
    with pytest.warns(UserWarning, match=r"k of Fading is no number \(NaN\)"):
        built.parameters()
    built.weights[0].assign(1.0)
    built.weights[1].assign([0.0, -0.5])
    with pytest.warns(UserWarning, match=r"w of Fading lies outside its bounds \[0, 2\]\. Received: -0.5 to 0"):
        built.parameters()


def test_a_bound_that_float32_rounds_is_no_fault():
    model = load_source(Source("param k = 0.1 in [0.1, 0.3]\nstate x = 1\ndx = -k*x\n", "rounded.ode"))
    layer = model(steps=2, h=0.1)
    layer.build((None, 0))
    for bound in (0.1, 0.3):
        layer.weights[0].assign(bound)
        layer.parameters()


def test_saved_params_outside_the_bounds(built):
    with pytest.warns(UserWarning, match=r"k of Fading lies outside its bounds"):
        built.load_own_variables({"k": np.array(7.0), "w": np.ones(2)})


def test_saved_params_of_another_size(built):
    with pytest.raises(ValueError, match=r"w of the saved Fading has the shape \(3,\), that of the model \(2,\)"):
        built.load_own_variables({"k": np.array(0.5), "w": np.ones(3)})


# Keras's own, before the error that it tells of.
@pytest.mark.filterwarnings("ignore:Skipping nested container")
def test_a_saved_file_whose_text_has_changed(decay, tmp_path, monkeypatch):
    """The same file name with another text: the model that is loaded says so, and with other states what it has."""
    inputs = keras.Input((2,))
    keras.Model(inputs, decay(steps=2, h=0.1)(inputs)).save(tmp_path / "old.keras")
    for text, words in (
        (DECAY.replace("-k*x", "-2*k*x"), None),
        ("param k = 1\nparam w[N] = 1\nsize N = 2\nstate x = 1\ndx = -k*x*sum(w)\n", r"shape \(batch, 1\)"),
        ("param a = 1\nstate x = 1, y = 2\ndx = -a*x\ndy = x\n", "has the params k, w, the model has a"),
    ):
        changed = load_source(Source(text, "fading.ode"))
        monkeypatch.setitem(keras.saving.get_custom_objects(), "odec:Fading>Fading", changed)
        with pytest.warns(UserWarning, match="another text of fading.ode"):
            if words is None:
                keras.models.load_model(tmp_path / "old.keras")
            else:
                with pytest.raises(ValueError, match=words):
                    keras.models.load_model(tmp_path / "old.keras")


def test_the_wrong_number_of_states(decay):
    layer = decay(steps=2, h=0.1)
    with pytest.raises(ValueError, match=r"initial values of shape \(batch, 2\), one for each state \(x, y\)"):
        keras.Sequential([keras.Input((3,)), layer])
