"""Params and initial values that come for each row: from the call, from a network, from the number of a group."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from odec.loading import load_source
from odec.losses import NanMSE
from odec.source import Source

TEXT = """
state x = 3, y = 1
param k = 0.2 in [0.1, 10] log
param s = 1 in [0, 2] per experiment
param w[2] = [0.5, 0.25]
dx = -k*x
dy = s - y + 0*sum(w)
"""
TIMES = np.array([1.0, 2.0, 4.0])


@pytest.fixture(scope="module")
def pair():
    """Two states that do not know of each other: closed forms."""
    return load_source(Source(TEXT, "pair.ode"))


@pytest.fixture(scope="module")
def layer(pair):
    return pair(times=TIMES, h=0.05, method="rk4", dtype="float64", frozen=["k", "s"])


def x_of(k, x0=3.0):
    return np.asarray(x0)[..., None] * np.exp(-np.asarray(k)[..., None] * TIMES)


def y_of(s, y0=1.0):
    return np.asarray(s)[..., None] + (np.asarray(y0) - np.asarray(s))[..., None] * np.exp(-TIMES)


def agree(found, k, s, x0=3.0, y0=1.0):
    # RK4 at h = 0.05 errs by 0.05^4/120 of what changes, in each unit of time.
    np.testing.assert_allclose(found[..., 0], np.broadcast_to(x_of(k, x0), found.shape[:2]), rtol=1e-6)
    np.testing.assert_allclose(found[..., 1], np.broadcast_to(y_of(s, y0), found.shape[:2]), rtol=1e-6)


def test_a_dictionary_holds_params_and_some_initial_values(layer):
    k, y0 = np.array([0.2, 0.5, 1.0]), np.array([[0.0], [1.0], [5.0]])
    agree(np.asarray(layer({"k": k, "y": y0})), k, np.ones(3), y0=y0[:, 0])
    agree(np.asarray(layer(np.zeros((1, 0)), params={"k": k})), k, np.ones(3))
    agree(np.asarray(layer(np.array([[2.0, 1.0]] * 3), params={"k": k})), k, np.ones(3), x0=2 * np.ones(3))


def test_the_gradient_reaches_what_was_supplied(layer):
    k, y0 = tf.constant([0.2, 0.5], "float64"), tf.constant([0.0, 1.0], "float64")
    with tf.GradientTape() as tape:
        tape.watch([k, y0])
        found = layer({"k": k, "y": y0})
        total = tf.reduce_sum(found[0, :, 0]) + tf.reduce_sum(found[0, :, 1])
    by_k, by_y0 = (gradient.numpy() for gradient in tape.gradient(total, [k, y0]))
    np.testing.assert_allclose(by_k, [np.sum(-TIMES * 3 * np.exp(-0.2 * TIMES)), 0], rtol=1e-6)
    np.testing.assert_allclose(by_y0, [np.sum(np.exp(-TIMES)), 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"kk": np.ones(2)}, "Pair has no param or state named 'kk'; did you mean `k`"),
        (
            {"k": np.ones((2, 2))},
            r"k of Pair comes for each row, as \(batch,\) or \(batch, 1\). Received: shape \(2, 2\)",
        ),
        ({"k": np.float64(1.0)}, r"Received: a number"),
        ({"w": np.ones((2, 3))}, r"w of Pair comes for each row, as \(batch, 2\)\. Received: shape \(2, 3\)"),
        ({}, "without anything"),
        (None, "without anything"),
    ],
)
def test_what_cannot_be_supplied(layer, inputs, words):
    with pytest.raises(ValueError, match=words):
        layer(inputs) if inputs is not None else layer.call()


def test_batches_of_other_lengths(layer):
    with pytest.raises(ValueError, match=r"do not agree in number\. Received: 3 of k, 2 of the initial values"):
        layer(np.zeros((2, 0)), params={"k": np.ones(3)})
    with pytest.raises(ValueError, match="Received: 2 of k, 3 of y"):
        layer({"k": np.ones(2), "y": np.ones(3)})


def test_names_are_looked_at_in_each_call(layer):
    layer({"k": np.ones(2)})
    with pytest.raises(ValueError, match="no param named 'q'; there are: k, s, w"):
        layer(np.zeros((2, 0)), params={"q": np.ones(2)})


def test_an_input_series_beside_a_dictionary():
    """x' = u − k x with u held: each row has its own k and start, the same series."""
    driven = load_source(Source("param k = 1\ninput u hold\nstate x = 1\ndx = u - k*x\n", "driven.ode"))
    layer = driven(steps=2, h=0.5, method="rk4", dtype="float64")
    k, x0, u = np.array([0.1, 0.2]), np.array([0.0, 2.0]), np.array([[[1.0], [3.0]]] * 2)
    middle = 1 / k + (x0 - 1 / k) * np.exp(-k / 2)
    end = 3 / k + (middle - 3 / k) * np.exp(-k / 2)
    for found in (layer({"k": k, "x": x0}, u), layer([{"k": k, "x": x0}, u])):
        np.testing.assert_allclose(found[..., 0], np.stack([middle, end], axis=-1), rtol=1e-6)
    # One series for all rows.
    np.testing.assert_array_equal(layer(x0[:, None], u[:1]), layer(x0[:, None], u))
    assert layer.compute_output_shape((2, 1), (1, 2, 1)) == (2, 2, 1)
    rates, series = keras.Input((), dtype="float64"), keras.Input((2, 1), dtype="float64")
    model = keras.Model([rates, series], layer([{"k": rates}, series]))
    assert model.output_shape == (None, 2, 1)
    np.testing.assert_array_equal(model([k, u]), layer({"k": k}, u))


def test_a_model_without_params_has_nothing_to_predict():
    with pytest.raises(ValueError, match="Bare has no params"):
        load_source(Source("state x = 1\ndx = -x\n", "bare.ode")).head()


def test_what_was_supplied_is_not_trained(pair):
    layer = pair(times=TIMES)
    layer({"k": keras.Input(()), "x": keras.Input((1,))})
    assert [weight.name for weight in layer.trainable_weights] == ["s", "w"]
    assert [weight.name for weight in layer.non_trainable_weights] == ["k"]


def test_rows_share_the_times_of_jumps():
    dosed = load_source(Source("param lag = 2\nstate x = 0\ndx = -x\nat lag: x += 1\n", "dosed.ode"))
    layer = dosed(times=[3.0], h=0.1, frozen=["lag"])
    with pytest.raises(ValueError, match="the times of jumps in Dosed follow from lag, and the rows of a layer share"):
        layer({"lag": np.ones(2)})


def test_a_head_begins_at_the_first_guesses_and_stays_inside_the_bounds(pair):
    head = pair.head(params={"s": 0.0}, dtype="float64")
    found = {name: np.asarray(value) for name, value in head(np.zeros((4, 3))).items()}
    assert {name: value.shape for name, value in found.items()} == {"k": (4,), "s": (4,), "w": (4, 2)}
    np.testing.assert_allclose(found["k"], 0.2, rtol=1e-14)
    # A guess at its bound is moved inside by a hundredth of the bounds' distance.
    np.testing.assert_allclose(found["s"], 0.02, rtol=1e-14)
    np.testing.assert_allclose(found["w"], [[0.5, 0.25]] * 4, rtol=1e-14)
    for weight in head.weights:
        weight.assign(np.ones(weight.shape) * 2)
    far = {name: np.asarray(value) for name, value in head(np.array([[5.0] * 3, [-5.0] * 3])).items()}
    assert 9.99 < far["k"][0] <= 10 and 0.1 <= far["k"][1] < 0.1001
    assert 1.99 < far["s"][0] <= 2 and 0 <= far["s"][1] < 1e-9
    # Without bounds: the guess, and the number in units of it.
    np.testing.assert_allclose(far["w"], [[0.5 + 0.5 * 32, 0.25 + 0.25 * 32], [0.5 - 0.5 * 28, 0.25 - 0.25 * 28]])


def test_one_bound():
    half = load_source(
        Source("param a = 3 in [1, inf]\nparam b = -3 in [-inf, -1]\nstate x = 1\ndx = a*x*b\n", "half.ode")
    )
    head = half.head(dtype="float64")
    found = head(np.zeros((1, 1)))
    assert float(found["a"][0]) == 3 and float(found["b"][0]) == -3
    head.weights[0].assign([[1.0, 2.0]])
    found = head(np.ones((1, 1)))
    assert float(found["a"][0]) == pytest.approx(1 + 2 * np.e) and float(found["b"][0]) == pytest.approx(
        -1 - 2 * np.e**2
    )


@pytest.fixture(scope="module")
def sequential(pair, layer):
    """A network that reads both params of a series off its features."""
    return keras.Sequential(
        [keras.Input((2,), dtype="float64"), pair.head("k", "s", dtype="float64", name="head"), layer], name="decoder"
    )


def test_a_network_learns_the_params_of_each_series(sequential, layer, tmp_path):
    random = np.random.default_rng(0)
    features = random.uniform(-1, 1, (32, 2))
    k, s = 0.2 * np.exp(0.4 * features[:, 0]), 1 + 0.3 * features[:, 1]
    targets = np.stack([x_of(k), y_of(s)], axis=-1)
    assert [weight.path for weight in sequential.trainable_weights if "head" not in weight.path] == [f"{layer.name}/w"]
    sequential.compile(keras.optimizers.Adam(0.05), NanMSE())
    losses = sequential.fit(features, targets, epochs=60, verbose=0).history["loss"]
    assert losses[-1] < 0.02 * losses[0]
    sequential.save(tmp_path / "decoder.keras")
    again = keras.models.load_model(tmp_path / "decoder.keras")
    assert isinstance(again.loss, NanMSE)
    np.testing.assert_array_equal(again.predict(features, verbose=0), sequential.predict(features, verbose=0))


def test_groups_share_what_is_inside_them(pair, layer, tmp_path):
    """Three groups of four series, y alone differs between groups: `per experiment` names the param."""
    truth, group = np.array([0.2, 1.0, 1.9]), np.repeat(np.arange(3), 4)
    number = keras.Input((), dtype="int32")
    groups = pair.groups(3, dtype="float64")
    model = keras.Model(number, layer(groups(number)))
    assert model.output_shape == (None, 3, 2)
    assert [(weight.name, weight.shape) for weight in groups.weights] == [("s", (3,))]
    targets = np.stack([np.broadcast_to(x_of(0.2), (12, 3)), y_of(truth[group])], axis=-1)
    model.compile(keras.optimizers.Adam(0.05), "mse")
    model.fit(group, targets, epochs=150, verbose=0)
    np.testing.assert_allclose(groups.weights[0].numpy(), truth, atol=2e-3)
    agree(np.asarray(model(np.array([2]))), np.array([0.2]), groups.weights[0].numpy()[2:])
    model.save(tmp_path / "groups.keras")
    again = keras.models.load_model(tmp_path / "groups.keras")
    np.testing.assert_array_equal(again.predict(group, verbose=0), model.predict(group, verbose=0))


def test_keras_s_own_embedding_supplies_too(layer):
    number = keras.Input((1,), dtype="int32")
    start = keras.initializers.Constant(0.5)
    rate = keras.layers.Flatten()(keras.layers.Embedding(3, 1, embeddings_initializer=start, dtype="float64")(number))
    model = keras.Model(number, layer({"k": rate}))
    agree(model.predict(np.array([[0], [2]]), verbose=0), np.array([0.5, 0.5]), np.ones(2))


def test_groups_of_nothing(pair):
    groups = pair.groups(2, "k", params={"k": 0.3}, dtype="float64")
    np.testing.assert_array_equal(groups(np.array([[1], [2], [-1]]))["k"], [0.3, np.nan, np.nan])
    plain = load_source(Source("param k = 1\nstate x = 1\ndx = -k*x\n", "plain.ode"))
    with pytest.raises(ValueError, match="Plain says `per experiment` of no param: name those that differ"):
        plain.groups(3)
    with pytest.raises(ValueError, match="Plain has no param named 'x'"):
        plain.groups(3, "x")
    with pytest.raises(ValueError, match="groups is a whole number"):
        plain.groups(0, "k")
