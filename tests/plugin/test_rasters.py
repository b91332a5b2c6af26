# SPDX-License-Identifier: GPL-2.0-or-later
"""Layers as paths, and layers that are not files as temporary GeoTIFFs."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, osr
from qgis.core import (
    QgsContrastEnhancement,
    QgsCoordinateReferenceSystem,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)

from samgeo_plugin import rasters

UTM = QgsCoordinateReferenceSystem("EPSG:32645")


@pytest.fixture
def town(tmp_path, qgis_app):
    """A raster of 60 x 40 pixels of 0.5 m whose red is the column and whose green is the row."""
    path = tmp_path / "größe 1.tif"
    file = gdal.GetDriverByName("GTiff").Create(str(path), 60, 40, 3, gdal.GDT_Byte)
    file.SetGeoTransform([300000, 0.5, 0, 3000020, 0, -0.5])
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32645)
    file.SetProjection(reference.ExportToWkt())
    rows, columns = np.mgrid[0:40, 0:60]
    for band, values in enumerate((columns * 4, rows * 6, columns * 0), start=1):
        file.GetRasterBand(band).WriteArray(values.astype(np.uint8))
    file = None
    return path


def renderings() -> set:
    """The folders of temporary renderings."""
    return set(Path(tempfile.gettempdir()).glob(rasters._PREFIX + "*"))


def test_a_file_is_its_path(town):
    layer = QgsRasterLayer(str(town), "town")
    assert rasters.file_of(layer) == str(town)
    assert rasters.usual_bands(layer) == [1, 2, 3]
    layer.renderer().setRedBand(3)
    layer.renderer().setBlueBand(1)
    assert rasters.usual_bands(layer) == [3, 2, 1]


def test_a_layer_with_another_crs_than_its_file_is_a_virtual_raster(town, tmp_path):
    layer = QgsRasterLayer(str(town), "town")
    assert rasters.file_as_shown(layer, tmp_path) == str(town)
    town.with_suffix(".json").write_text('{"datetime": "2019-05-03"}')
    town.with_name("größe 1.tif.json").write_text("{}")
    for crs in ("EPSG:32644", ""):
        layer.setCrs(QgsCoordinateReferenceSystem(crs))
        path = rasters.file_as_shown(layer, tmp_path)
        virtual = QgsRasterLayer(path, "virtual")
        assert virtual.crs().authid() == crs
        assert virtual.extent() == layer.extent()
        file = gdal.Open(str(town))
        file.GetRasterBand(1).ComputeStatistics(False)
        file = None
        assert rasters.file_as_shown(layer, tmp_path) == path, "it was only looked at"
        # A file beside the raster that tells its date goes along.
        assert "2019-05-03" in Path(path).with_suffix(".json").read_text()
        assert Path(path + ".json").exists()
        town.write_bytes(town.read_bytes() + b" ")
        assert rasters.file_as_shown(layer, tmp_path) != path, "it was replaced"


def test_a_file_that_was_moved_is_said(town):
    layer = QgsRasterLayer(str(town), "town")
    town.rename(town.with_name("elsewhere.tif"))
    with pytest.raises(rasters.LayerError, match="moved"):
        rasters.file_of(layer)


def test_a_vector_layer_is_refused(qgis_app):
    with pytest.raises(rasters.LayerError, match="no raster"):
        rasters.file_of(QgsVectorLayer("Point", "points", "memory"))


def test_an_online_layer_is_no_file(qgis_app, town):
    layer = QgsRasterLayer(
        f"type=xyz&url=file://{town}/{{z}}/{{x}}/{{y}}.png&zmax=1", "tiles", "wms"
    )
    assert layer.isValid()
    assert rasters.file_of(layer) is None


def test_a_plan_has_whole_pixels_and_a_limit():
    plan = rasters.plan_rendering(QgsRectangle(0, 0, 10.2, 5), UTM, 0.5, limit=20)
    assert (plan.width, plan.height) == (21, 10)
    assert plan.extent.width() == pytest.approx(10.5)
    assert not plan.fits
    with pytest.raises(rasters.LayerError, match="limit of 20"):
        rasters.RenderedTiff(plan)
    with pytest.raises(rasters.LayerError, match="empty"):
        rasters.plan_rendering(QgsRectangle(), UTM, 0.5)
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(rasters.LayerError, match="positive"):
            rasters.plan_rendering(QgsRectangle(0, 0, 1, 1), UTM, wrong)


def check_rendered(path: str, town) -> None:
    made, truth = gdal.Open(path), gdal.Open(str(town))
    assert made.GetGeoTransform() == truth.GetGeoTransform()
    assert made.GetSpatialRef().GetAuthorityCode(None) == "32645"
    got = made.ReadAsArray()
    assert got.shape == (4, 40, 60)
    assert np.abs(got[:3].astype(int) - truth.ReadAsArray().astype(int)).max() <= 1
    assert (got[3] == 255).all()


def test_a_rendering_has_the_layers_pixels_in_their_places(town, wait, monkeypatch):
    monkeypatch.setattr(rasters, "BLOCK", 32)  # several blocks, none of them whole
    layer = QgsRasterLayer(str(town), "town")
    QgsProject.instance().addMapLayer(layer)
    try:
        layer.setContrastEnhancement(
            QgsContrastEnhancement.ContrastEnhancementAlgorithm.NoEnhancement
        )
        plan = rasters.plan_rendering(layer.extent(), UTM, 0.5)
        renderer = rasters.LayerRenderer([layer], plan)
        done, failed, steps = [], [], []
        renderer.finished.connect(done.append)
        renderer.failed.connect(failed.append)
        renderer.progress.connect(lambda *args: steps.append(args))
        renderer.start()
        wait(lambda: done or failed)
        assert not failed
        assert steps[-1] == (4, 4)
        check_rendered(done[0], town)
        path = rasters.render_now([layer.clone()], plan, lambda done, total: True)
        check_rendered(path, town)
        before = renderings()
        with pytest.raises(rasters.LayerError, match="cancelled"):
            rasters.render_now([layer.clone()], plan, lambda done, total: False)
        assert renderings() == before, "what was given up is deleted"
    finally:
        QgsProject.instance().removeMapLayer(layer)


def test_a_full_disk_is_said_while_a_layer_is_rendered(town, wait, monkeypatch, gdal_exceptions):
    monkeypatch.setattr(rasters, "BLOCK", 32)
    layer = QgsRasterLayer(str(town), "town")
    plan = rasters.plan_rendering(layer.extent(), UTM, 0.5)
    before = renderings()
    with pytest.raises(rasters.LayerError, match="cannot be written"):
        rasters.RenderedTiff(plan, str(town.parent / "no such folder" / "rendered.tif"))

    def to_full_disk(plan, path=None):
        file = as_made(plan, path)
        file.finish()
        file._file = gdal.Open(file.path)  # which no pixel can be written to
        return file

    as_made = rasters.RenderedTiff
    monkeypatch.setattr(rasters, "RenderedTiff", to_full_disk)
    with pytest.raises(rasters.LayerError, match="written in full"):
        rasters.render_now([layer.clone()], plan, lambda done, total: True)
    renderer, failed = rasters.LayerRenderer([layer], plan), []
    renderer.failed.connect(failed.append)
    renderer.start()
    wait(lambda: failed)
    assert "written in full" in failed[0]
    assert renderings() == before


def test_a_layer_that_is_removed_while_it_is_rendered_ends_that(town, wait):
    layer = QgsRasterLayer(str(town), "town")
    QgsProject.instance().addMapLayer(layer)
    renderer = rasters.LayerRenderer([layer], rasters.plan_rendering(layer.extent(), UTM, 0.01))
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
