"""Losses for measured data with gaps: a target that is NaN was not measured and counts for nothing.

    times, targets = odec.losses.on_common_times([(t1, y1), (t2, y2)])    # each series has times of its own
    model = keras.Sequential([keras.Input((0,)), Decay(times=times)])
    model.compile("adam", loss=odec.losses.NanMSE())
    model.fit(np.zeros((2, 0)), targets)

Series of different lengths at the same times: `keras.utils.pad_sequences(series, padding="post", value=np.nan,
dtype="float64")`. A zero is a value. A batch in which nothing was measured has the loss 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

__all__ = ["NanGaussianNLL", "NanMAE", "NanMSE", "on_common_times"]

Tensor = Any


class NanLoss(keras.losses.Loss):
    """The mean over all measured cells of what a subclass's `cells` says of each.

    Targets (batch, …, columns) have the shape of the predictions; NaN stands where nothing was measured. Such a cell
    neither adds to the loss nor to the number it is divided by, its gradient is 0, and its prediction may be anything,
    NaN too. Sample weights (batch,), (batch, steps) or (batch, steps, columns) multiply the cells; as everywhere in
    Keras they do not change what the sum is divided by, unless `reduction="mean_with_sample_weight"`.

    It is computed in the dtype of the predictions, and at least in float32. Note that Keras's `fit` rounds NumPy
    targets to `keras.config.floatx()`.

    Args:
        reduction: as in Keras: "sum_over_batch_size" (the mean), "sum", "mean_with_sample_weight", or None for the
            weighted cells as they are, 0 where nothing was measured.

    Raises ValueError where the shapes of targets and predictions differ: they are never broadcast.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        super().__init__(name=name, reduction=reduction)

    def cells(self, errors: Tensor, measured: Tensor, scales: Tensor | None) -> Tensor:
        """What each cell adds, from its error (0 where it was not measured)."""
        raise NotImplementedError

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """What each cell adds, 0 where it was not measured."""
        return self._measured_cells(*self._compared(y_true, y_pred))

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The loss, a scalar."""
        mask = getattr(y_pred, "_keras_mask", None)
        y_true, y_pred, scales = self._compared(y_true, y_pred)
        if mask is not None:
            # What Keras's own masking leaves out (batch, steps) was not measured either.
            y_true = ops.where(_widened(mask, y_true), y_true, np.nan)
        losses = self._measured_cells(y_true, y_pred, scales)
        weights = ops.cast(ops.logical_not(ops.isnan(y_true)), losses.dtype)
        count = ops.sum(weights)
        if sample_weight is not None:
            weights = weights * _widened(ops.cast(sample_weight, losses.dtype), losses)
            losses = losses * weights
        if self.reduction in (None, "none"):
            return losses
        if self.reduction == "sum":
            return ops.sum(losses)
        divisor = ops.sum(weights) if self.reduction == "mean_with_sample_weight" else count
        return ops.divide_no_nan(ops.sum(losses), divisor)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"name": self.name, "reduction": self.reduction}

    def _compared(self, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        """Targets, predictions of the same shape and dtype, and the scales that came with the predictions."""
        y_pred = ops.convert_to_tensor(y_pred)
        dtype = keras.backend.result_type(keras.backend.standardize_dtype(y_pred.dtype), "float32")
        y_pred, y_true = ops.cast(y_pred, dtype), ops.cast(y_true, dtype)
        y_pred, scales = self._parted(y_pred)
        if len(y_true.shape) == len(y_pred.shape) - 1 and y_pred.shape[-1] == 1:
            y_true = ops.expand_dims(y_true, -1)
        pairs = zip(y_true.shape, y_pred.shape, strict=False)
        if len(y_true.shape) != len(y_pred.shape) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
            raise ValueError(
                f"{type(self).__name__} compares targets with predictions cell by cell. Received: targets of shape "
                f"{tuple(y_true.shape)}, predictions of shape {tuple(y_pred.shape)}"
            )
        return y_true, y_pred, scales

    def _parted(self, y_pred: Tensor) -> tuple[Tensor, Tensor | None]:
        """The predicted values, and their scales where the loss takes any."""
        return y_pred, None

    def _measured_cells(self, y_true: Tensor, y_pred: Tensor, scales: Tensor | None) -> Tensor:
        measured = ops.logical_not(ops.isnan(y_true))
        # Chosen before it is squared: a NaN that is left out behind would still come back in the gradient, as 0·NaN.
        errors = ops.where(measured, y_true, 0) - ops.where(measured, y_pred, 0)
        return self.cells(errors, measured, scales)


@keras.saving.register_keras_serializable(package="odec")
class NanMSE(NanLoss):
    """Mean squared error of the measured cells: the loss that `odec fit` reports."""

    def cells(self, errors: Tensor, measured: Tensor, scales: Tensor | None) -> Tensor:
        """The square."""
        return ops.square(errors)


@keras.saving.register_keras_serializable(package="odec")
class NanMAE(NanLoss):
    """Mean absolute error of the measured cells: outliers pull less than in `NanMSE`."""

    def cells(self, errors: Tensor, measured: Tensor, scales: Tensor | None) -> Tensor:
        """The absolute value."""
        return ops.abs(errors)


@keras.saving.register_keras_serializable(package="odec")
class NanGaussianNLL(NanLoss):
    """Mean negative logarithm of the normal density of each measured cell, ½((y − μ)/σ)² + ln σ + ½ ln 2π.

    With a known σ this is the squared error weighed by 1/(2σ²), so that columns of different units count alike.

    Args:
        scale: the standard deviation σ, above 0: one number, or one for each column. None takes it from the
            predictions, whose last axis then holds the means of all columns and behind them their σ (an `observe` of
            the model, or a network's output through `softplus`).
    """

    def __init__(
        self,
        scale: float | Sequence[float] | None = None,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
    ) -> None:
        super().__init__(reduction=reduction, name=name)
        if scale is not None and not np.all(np.asarray(scale, dtype=float) > 0):
            raise ValueError(f"scale is a standard deviation, above 0. Received: scale={scale}")
        self.scale = None if scale is None else np.asarray(scale, dtype=float).tolist()

    def cells(self, errors: Tensor, measured: Tensor, scales: Tensor | None) -> Tensor:
        """The negative logarithm of the density, 0 where nothing was measured."""
        if scales is None:
            scales = ops.broadcast_to(ops.convert_to_tensor(self.scale, dtype=errors.dtype), ops.shape(errors))
        scales = ops.where(measured, scales, 1)
        losses = 0.5 * ops.square(errors / scales) + ops.log(scales) + 0.5 * math.log(2 * math.pi)
        return ops.where(measured, losses, 0)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "scale": self.scale}

    def _parted(self, y_pred: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.scale is not None:
            return y_pred, None
        width = y_pred.shape[-1]
        if width is None or width % 2:
            raise ValueError(
                "NanGaussianNLL without `scale` takes as many standard deviations as means, behind them. Received: "
                f"predictions of shape {tuple(y_pred.shape)}"
            )
        return y_pred[..., : width // 2], y_pred[..., width // 2 :]


def on_common_times(series: Iterable[tuple[Any, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """All times of all series, sorted, and each series there: what was not measured is NaN.

    `series` are pairs of times (n,) and values (n,) or (n, columns), n another one in each. Returns times (T,) for the
    layer's `times`, and targets (series, T, columns). ValueError where a series measures one time twice, or where the
    lengths or columns do not agree.
    """
    pairs = [(np.asarray(t, dtype=float).ravel(), np.asarray(y, dtype=float)) for t, y in series]
    pairs = [(t, y[:, None] if y.ndim == 1 else y) for t, y in pairs]
    if not pairs:
        raise ValueError("on_common_times takes at least one series. Received: none")
    width = pairs[0][1].shape[-1]
    for number, (t, y) in enumerate(pairs):
        if y.shape != (len(t), width):
            raise ValueError(f"series {number} has {len(t)} times and {width} columns. Received: values {y.shape}")
        if len(np.unique(t)) != len(t):
            raise ValueError(f"series {number} has a time twice: give replicates as series of their own")
    times = np.unique(np.concatenate([t for t, _ in pairs]))
    targets = np.full((len(pairs), len(times), width), np.nan)
    for number, (t, y) in enumerate(pairs):
        targets[number, np.searchsorted(times, t)] = y
    return times, targets


def _widened(values: Tensor, like: Tensor) -> Tensor:
    """(batch, …) with further axes behind, so that it broadcasts over the cells."""
    while len(values.shape) < len(like.shape):
        values = ops.expand_dims(values, -1)
    return values
