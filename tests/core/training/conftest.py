# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of training on a layer share: a scene, and a models folder of their own."""

from __future__ import annotations

import pytest
from samgeo_core.training.finetuning import card

from .made import write_scene


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def models(tmp_path, monkeypatch):
    """An empty models folder; and no sample scene, which would take time."""
    folder = tmp_path / "models"
    monkeypatch.setenv("SAMGEO_MODELS_DIR", str(folder))
    monkeypatch.setattr(card, "SCENE", tmp_path / "nowhere")
    return folder
