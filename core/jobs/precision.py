# SPDX-License-Identifier: GPL-2.0-or-later
"""The number type of a job, decided once: its workers must not each measure what is fastest."""

from __future__ import annotations

from dataclasses import replace

from ..job import SegmentParameters


def decided(params: SegmentParameters) -> SegmentParameters:
    """The parameters with a number type in the place of "fastest".

    Models that know float32 only stay with it.

    Raises:
        ModelError: There is no such device.
    """
    if params.precision != "fastest":
        return params
    concepts = bool(params.words) or params.exemplars is not None
    if params.model.lower().endswith(".onnx") or (concepts and params.detector is None):
        return replace(params, precision="auto")
    from ..models.runtime import fastest_precision, pick_device

    return replace(params, precision=fastest_precision(pick_device(params.device)))
