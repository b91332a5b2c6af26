# SPDX-License-Identifier: GPL-2.0-or-later
"""A job decides its number type once."""

from dataclasses import replace

import pytest
from samgeo_core.job import SegmentParameters
from samgeo_core.jobs.precision import decided
from samgeo_core.models import runtime

PARAMS = SegmentParameters(["a.tif"], "b.gpkg", precision="fastest", model="sam-vit-b")


def test_fastest_becomes_the_measured_type_in_the_jobs_own_process(monkeypatch):
    monkeypatch.setattr(runtime, "_fastest", lambda device: "bfloat16")
    assert decided(PARAMS).precision == "bfloat16"
    assert decided(replace(PARAMS, precision="float16")).precision == "float16"


@pytest.mark.parametrize("model", [{"model": "/x/FastSAM-s.onnx"}, {"words": ["roof"]}])
def test_models_of_one_type_stay_with_it(monkeypatch, model):
    monkeypatch.setattr(runtime, "_fastest", lambda device: "bfloat16")
    assert decided(replace(PARAMS, **model)).precision == "auto"
