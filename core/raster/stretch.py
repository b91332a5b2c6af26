# SPDX-License-Identifier: GPL-2.0-or-later
"""The contrast stretch of a raster: which values become 0 and 255.

A stretch chosen a tile at a time would give the model another picture of the same roof in every
tile, and the seams could never agree. So the limits are estimated once, from a sample of the whole
raster (``raster.py``), written into the job, and used for every window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ParameterError
from ..types import AnyArray, BoolArray, ByteArray

PERCENTILES = (2.0, 98.0)
"""Share of the values, in per cent, below which is black and above which is white."""

NARROW = 64
"""Grey levels: uint8 values that are no photograph (one band, classes, bits) and whose percentiles
lie closer together than this are stretched too; they would be all but black otherwise."""

FILL_SHARE = 0.05
"""Share of the values from which on the lowest one, if it is always the same, counts as a fill
value. It is left out of the estimate only; the pixels stay valid."""

FILL_LEVELS = 16
"""Different values that must remain above it; fewer are classes, not a picture."""


@dataclass(frozen=True)
class Stretch:
    """Linear limits, a pair a band, in the raster's own units (scale and offset applied).

    Args:
        low: Value that becomes 0, for each of the one or three bands that are read.
        high: Value that becomes 255.

    Raises:
        ParameterError: Lengths differ or are not 1 or 3, or a limit is not finite, or low >= high.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.low) != len(self.high) or len(self.low) not in (1, 3):
            raise ParameterError(
                f"A stretch needs one or three pairs of limits, not {len(self.low)} low and "
                f"{len(self.high)} high ones."
            )
        for low, high in zip(self.low, self.high, strict=True):
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ParameterError(
                    f"A stretch from {low} to {high} is not possible: the low limit must be a "
                    "number below the high one."
                )

    @classmethod
    def identity(cls, bands: int) -> Stretch:
        """The stretch that leaves uint8 values as they are."""
        return cls((0.0,) * bands, (255.0,) * bands)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Stretch:
        """Inverse of :meth:`to_json`.

        Raises:
            ParameterError: The data are not a stretch.
        """
        try:
            return cls(tuple(map(float, data["low"])), tuple(map(float, data["high"])))
        except (KeyError, TypeError, ValueError) as error:
            raise ParameterError(
                f"This is not a stretch (it needs the lists 'low' and 'high'): {data!r}"
            ) from error

    def to_json(self) -> dict[str, list[float]]:
        return {"low": list(self.low), "high": list(self.high)}

    @property
    def is_identity(self) -> bool:
        return all(v == 0.0 for v in self.low) and all(v == 255.0 for v in self.high)

    def apply(self, values: AnyArray, valid: BoolArray) -> ByteArray:
        """Values as grey levels.

        Args:
            values: (b, H, W), b = 1 or 3, any real dtype.
            valid: (b, H, W) bool; values that are not valid become 0.

        Returns:
            (H, W, 3) uint8; a single band is repeated.

        Raises:
            ParameterError: The stretch has three pairs of limits and the raster one band, or the
                other way round.
        """
        bands, height, width = values.shape
        if bands != len(self.low):
            raise ParameterError(
                f"The stretch has limits for {len(self.low)} band(s), but {bands} are read: give "
                "one pair of limits a band."
            )
        if values.dtype == np.uint8 and self.is_identity:
            grey = values if valid.all() else np.where(valid, values, np.uint8(0))
        else:
            grey = np.empty((bands, height, width), np.uint8)
            for band, (low, high) in enumerate(zip(self.low, self.high, strict=True)):
                gain = 255.0 / (high - low)
                wide = values.dtype == np.float64 or gain > float(np.finfo(np.float32).max)
                kind = np.float64 if wide else np.float32
                # float64 limits next to float32 data: the difference is taken first, so that a
                # large offset (heights, epochs) does not eat the contrast.
                with np.errstate(over="ignore", invalid="ignore"):  # where there are no data
                    scaled = (values[band].astype(kind) - kind(low)) * kind(gain)
                scaled[~valid[band]] = 0
                grey[band] = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
        if bands == 1:
            return np.repeat(grey[0][:, :, None], 3, axis=2)
        return np.ascontiguousarray(np.moveaxis(grey, 0, -1))


def check_percentiles(percentiles: Sequence[float]) -> tuple[float, float]:
    """Percentiles as a pair of floats.

    Raises:
        ParameterError: They are not two ascending numbers within 0 to 100.
    """
    if len(percentiles) == 2:
        low, high = (float(value) for value in percentiles)
        if 0.0 <= low < high <= 100.0:
            return low, high
    raise ParameterError(
        f"Percentiles must be two ascending numbers from 0 to 100, not {tuple(percentiles)}."
    )


def estimate_stretch(
    sample: Sequence[AnyArray], percentiles: tuple[float, float] | None, *, photo: bool
) -> Stretch:
    """Limits from a sample of a raster's valid values.

    Args:
        sample: For each band a 1-D array of values, possibly empty.
        percentiles: Limits asked for, in per cent; None chooses: uint8 stays as it is, all else
            goes by :data:`PERCENTILES`.
        photo: The bands are red, green and blue of a picture; uint8 then always stays as it is.

    Returns:
        A stretch that is not constant where the sample is not: where the percentiles coincide
        (masks, mostly empty rasters), the extremes of the sample count, and a constant band is
        black from its value on.
    """
    bands = len(sample)
    is_bytes = all(values.dtype == np.uint8 for values in sample)
    chosen = percentiles or PERCENTILES
    limits = [_limits(values, chosen) for values in sample]
    if percentiles is None and is_bytes:
        narrow = all(high - low < NARROW for low, high in limits) and any(
            len(values) for values in sample
        )
        if photo or not narrow:
            return Stretch.identity(bands)
    return Stretch(tuple(low for low, _ in limits), tuple(high for _, high in limits))


def _limits(values: AnyArray, percentiles: tuple[float, float]) -> tuple[float, float]:
    if len(values) == 0:
        return 0.0, 255.0
    kept = values if values.dtype == np.uint8 else _without_fill(values)
    low, high = (float(v) for v in np.percentile(kept.astype(np.float64), percentiles))
    # What float32 arithmetic cannot tell apart is one value, unless it is done in float64.
    share = 1e-13 if values.dtype == np.float64 else 1e-6
    if not _distinct(low, high, share):
        low, high = float(values.min()), float(values.max())
    if not _distinct(low, high, share):
        high = low + max(1.0, abs(low) * 1e-6)
    return low, high


def _without_fill(values: AnyArray) -> AnyArray:
    """Values without a heap of one value at their lower end, if what remains is a picture.

    Collars of 0, 1 or -9999 not declared as nodata would take the percentiles' place.
    """
    above = values[values > values.min()]
    if len(values) - len(above) < FILL_SHARE * len(values):
        return values
    return above if len(np.unique(above[:100_000])) >= FILL_LEVELS else values


def _distinct(low: float, high: float, share: float) -> bool:
    return high - low > share * max(abs(low), abs(high), 1e-290)
