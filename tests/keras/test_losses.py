"""Losses that leave out what was not measured."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import odec
from odec.losses import NanGaussianNLL, NanMAE, NanMSE, on_common_times

NAN = math.nan
TRUE = np.array([[[1.0, NAN], [0.0, 5.0]], [[2.0, 1.0], [NAN, NAN]]])
PRED = np.array([[[1.5, 9.0], [2.0, 5.0]], [[0.0, 1.0], [NAN, math.inf]]])
# The measured cells, one by one.
ERRORS = np.array([-0.5, -2.0, 0.0, 2.0, 0.0])
SCALES = np.array([0.5, 0.5, 2.0, 0.5, 2.0])

EACH = [
    (NanMSE(), np.mean(ERRORS**2)),
    (NanMAE(), np.mean(np.abs(ERRORS))),
    (NanGaussianNLL([0.5, 2.0]), -np.mean(stats.norm.logpdf(ERRORS, scale=SCALES))),
]


@pytest.mark.parametrize(("loss", "expected"), EACH, ids=lambda item: getattr(item, "name", ""))
def test_the_mean_is_over_what_was_measured(loss, expected):
    prediction = tf.constant(PRED)
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        value = loss(TRUE, prediction)
    assert value.dtype == "float64" and float(value) == pytest.approx(expected, rel=1e-14)
    gradient = tape.gradient(value, prediction).numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[np.isnan(TRUE)].any()
    step = np.zeros_like(PRED)
    step[0, 1, 0] = 1e-6
    slope = (float(loss(TRUE, PRED + step)) - float(loss(TRUE, PRED - step))) / 2e-6
    assert gradient[0, 1, 0] == pytest.approx(slope, rel=1e-8) and abs(slope) > 0.1


@pytest.mark.parametrize(("loss", "expected"), EACH, ids=lambda item: getattr(item, "name", ""))
def test_a_loss_is_made_again_from_its_config(loss, expected):
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss) and float(again(TRUE, PRED)) == pytest.approx(expected, rel=1e-14)


def test_without_gaps_it_is_what_keras_computes():
    random = np.random.default_rng(0)
    y, predicted, weights = random.normal(size=(4, 3, 2)), random.normal(size=(4, 3, 2)), random.uniform(size=(4, 3))
    for ours, theirs in ((NanMSE, keras.losses.MeanSquaredError), (NanMAE, keras.losses.MeanAbsoluteError)):
        for reduction in ("sum_over_batch_size", "mean_with_sample_weight"):
            mine, keras_s = ours(reduction=reduction), theirs(reduction=reduction, dtype="float64")
            for weight in (None, weights):
                expected = float(keras_s(y, predicted, sample_weight=weight))
                # Keras divides by the weights of (batch, steps), we by those of the cells: the same mean.
                assert float(mine(y, predicted, sample_weight=weight)) == pytest.approx(expected, rel=1e-13)


def test_weights_of_rows_steps_and_cells():
    rows, loss = np.array([2.0, 0.0]), NanMSE()
    expected = 2 * (0.25 + 4 + 0) / 5
    for weights in (
        rows,
        rows[:, None],
        np.repeat(rows[:, None], 2, 1),
        np.broadcast_to(rows[:, None, None], (2, 2, 2)),
    ):
        assert float(loss(TRUE, PRED, sample_weight=weights)) == pytest.approx(expected, rel=1e-14)
    weighted = NanMSE(reduction="mean_with_sample_weight")(TRUE, PRED, sample_weight=rows)
    assert float(weighted) == pytest.approx(4.25 / 3, rel=1e-14)
    np.testing.assert_allclose(NanMSE(reduction=None)(TRUE, PRED)[0], [[0.25, 0], [4, 0]])
    assert float(NanMSE(reduction="sum")(TRUE, PRED)) == pytest.approx(8.25, rel=1e-14)


def test_what_keras_masks_was_not_measured():
    """A network whose first layer masks rows hands the mask on to the loss."""
    masked = keras.layers.Masking(mask_value=-9.0, dtype="float64")(np.array([[[1.5], [2.0], [-9.0]]]))
    assert float(NanMSE()(np.array([[[1.0], [NAN], [5.0]]]), masked)) == pytest.approx(0.25, rel=1e-14)


def test_nothing_measured_costs_nothing():
    prediction = tf.ones((2, 3, 1))
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        value = NanMSE()(np.full((2, 3, 1), NAN), prediction)
    assert float(value) == 0
    assert not tape.gradient(value, prediction).numpy().any()


def test_a_predicted_scale():
    predicted = np.concatenate([PRED, np.broadcast_to([0.5, 2.0], PRED.shape)], axis=-1)
    expected = -np.mean(stats.norm.logpdf(ERRORS, scale=SCALES))
    assert float(NanGaussianNLL()(TRUE, predicted)) == pytest.approx(expected, rel=1e-14)
    with pytest.raises(ValueError, match=r"as many standard deviations as means.*\(2, 2, 3\)"):
        NanGaussianNLL()(TRUE, predicted[..., :3])
    with pytest.raises(ValueError, match=r"above 0\. Received: scale=\[1, 0\]"):
        NanGaussianNLL([1, 0])


def test_shapes_are_never_broadcast():
    with pytest.raises(ValueError, match=r"cell by cell. Received: targets of shape \(2, 1, 2\)"):
        NanMSE()(TRUE[:, :1], PRED)
    with pytest.raises(ValueError, match="cell by cell"):
        NanMSE()(TRUE[0], PRED)
    assert float(NanMSE()(TRUE[..., 0], PRED[..., :1])) == pytest.approx(8.25 / 3, rel=1e-14)


def test_series_of_their_own_times(load, examples):
    """Three decays measured at other times each: the rate is found."""
    random, rate = np.random.default_rng(1), 0.37
    times = [np.sort(random.choice(np.arange(1, 41), size, replace=False)) / 4 for size in (3, 8, 5)]
    starts = np.array([[3.0], [2.0], [5.0]])
    series = [(t, x0 * np.exp(-rate * t)) for t, x0 in zip(times, starts[:, 0], strict=True)]
    common, targets = on_common_times(series)
    assert np.isfinite(targets).sum() == 16 and targets.shape == (3, len(common), 1)
    np.testing.assert_array_equal(targets[1, np.isin(common, times[1]), 0], series[1][1])
    layer = load(examples / "exponential" / "model.ode")(times=common, h=0.1, dtype="float64")
    model = keras.Sequential([keras.Input((1,), dtype="float64"), layer])
    model.compile(keras.optimizers.Adam(0.02), loss=odec.losses.NanMSE())
    model.fit(starts, targets, epochs=150, verbose=0)
    # Adam's last steps are of 1e-5 and fit's targets are float32.
    assert layer.parameters()["k"] == pytest.approx(rate, rel=1e-3)


def test_series_that_make_no_table():
    with pytest.raises(ValueError, match="series 0 has a time twice"):
        on_common_times([([1, 1], [2, 3])])
    with pytest.raises(ValueError, match=r"series 1 has 2 times and 1 columns. Received: values \(3, 1\)"):
        on_common_times([([1], [2]), ([1, 2], [2, 3, 4])])
