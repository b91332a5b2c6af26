# SPDX-License-Identifier: GPL-2.0-or-later
"""Layers that are not files as temporary GeoTIFFs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import (
    QgsContrastEnhancement,
    QgsCoordinateReferenceSystem,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)

from samgeo_plugin import rendering
from samgeo_plugin.rasters import LayerError

UTM = QgsCoordinateReferenceSystem("EPSG:32645")


def renderings() -> set:
    """The folders of temporary renderings."""
    return set(Path(tempfile.gettempdir()).glob(rendering._PREFIX + "*"))


def test_a_plan_has_whole_pixels_and_a_limit():
    plan = rendering.plan_rendering(QgsRectangle(0, 0, 10.2, 5), UTM, 0.5, limit=20)
    assert (plan.width, plan.height) == (21, 10)
    assert plan.extent.width() == pytest.approx(10.5)
    assert not plan.fits
    with pytest.raises(LayerError, match="limit of 20"):
        rendering.RenderedTiff(plan)
    with pytest.raises(LayerError, match="empty"):
        rendering.plan_rendering(QgsRectangle(), UTM, 0.5)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(LayerError, match="positive"):
            rendering.plan_rendering(QgsRectangle(0, 0, 1, 1), UTM, wrong)


def check_rendered(path: str, town_file) -> None:
    made, truth = gdal.Open(path), gdal.Open(str(town_file))
    assert made.GetGeoTransform() == truth.GetGeoTransform()
    assert made.GetSpatialRef().GetAuthorityCode(None) == "32645"
    got = made.ReadAsArray()
    assert got.shape == (4, 40, 60)
    assert np.abs(got[:3].astype(int) - truth.ReadAsArray().astype(int)).max() <= 1
    assert (got[3] == 255).all()
    rendering.remove_rendering(path)


def test_a_rendering_has_the_layers_pixels_in_their_places(town_file, wait, monkeypatch):
    monkeypatch.setattr(rendering, "BLOCK", 32)  # several blocks, none of them whole
    layer = QgsRasterLayer(str(town_file), "town")
    QgsProject.instance().addMapLayer(layer)
    try:
        layer.setContrastEnhancement(
            QgsContrastEnhancement.ContrastEnhancementAlgorithm.NoEnhancement
        )
        plan = rendering.plan_rendering(layer.extent(), UTM, 0.5)
        renderer = rendering.LayerRenderer(layer, plan)
        done, failed, steps = [], [], []
        renderer.finished.connect(done.append)
        renderer.failed.connect(failed.append)
        renderer.progress.connect(lambda *args: steps.append(args))
        renderer.start()
        wait(lambda: done or failed)
        assert not failed
        assert steps[-1] == (4, 4)
        check_rendered(done[0], town_file)
        path = rendering.render_now(layer.clone(), plan, lambda done, total: True)
        check_rendered(path, town_file)
        before = renderings()
        with pytest.raises(LayerError, match="cancelled"):
            rendering.render_now(layer.clone(), plan, lambda done, total: False)
        assert renderings() == before, "what was given up is deleted"
    finally:
        QgsProject.instance().removeMapLayer(layer)


def test_a_full_disk_is_said_while_a_layer_is_rendered(
    town_file, wait, monkeypatch, gdal_exceptions
):
    monkeypatch.setattr(rendering, "BLOCK", 32)
    layer = QgsRasterLayer(str(town_file), "town")
    plan = rendering.plan_rendering(layer.extent(), UTM, 0.5)
    before = renderings()
    with pytest.raises(LayerError, match="cannot be written"):
        rendering.RenderedTiff(plan, str(town_file.parent / "no such folder" / "rendered.tif"))

    def to_full_disk(plan, path=None):
        file = as_made(plan, path)
        file.finish()
        file._file = gdal.Open(file.path)  # which no pixel can be written to
        return file

    as_made = rendering.RenderedTiff
    monkeypatch.setattr(rendering, "RenderedTiff", to_full_disk)
    with pytest.raises(LayerError, match="written in full"):
        rendering.render_now(layer.clone(), plan, lambda done, total: True)
    renderer, failed = rendering.LayerRenderer(layer, plan), []
    renderer.failed.connect(failed.append)
    renderer.start()
    wait(lambda: failed)
    assert "written in full" in failed[0]
    assert renderings() == before


def test_a_layer_that_is_removed_while_it_is_rendered_ends_that(town_file, wait):
    layer = QgsRasterLayer(str(town_file), "town")
    QgsProject.instance().addMapLayer(layer)
    renderer = rendering.LayerRenderer(layer, rendering.plan_rendering(layer.extent(), UTM, 0.01))
    failed = []
    renderer.failed.connect(failed.append)
    before = renderings()
    renderer.start()
    wait(lambda: renderer._next >= 1)
    assert renderings() != before
    QgsProject.instance().removeMapLayer(layer.id())
    wait(lambda: failed)
    assert "cancelled" in failed[0]
    assert renderings() == before


def test_a_rendering_leaves_nothing_when_qgis_ends(town_file, wait):
    layer = QgsRasterLayer(str(town_file), "town")
    renderer = rendering.LayerRenderer(layer, rendering.plan_rendering(layer.extent(), UTM, 0.01))
    before = renderings()
    renderer.start()
    wait(lambda: renderer._next >= 1)
    renderer.cancel(at_once=True)
    assert renderings() == before
