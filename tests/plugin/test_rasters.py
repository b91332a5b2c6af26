# SPDX-License-Identifier: GPL-2.0-or-later
"""Raster layers as paths."""

from __future__ import annotations

from pathlib import Path

import pytest
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsRasterLayer,
    QgsVectorLayer,
)

from samgeo_plugin import rasters

UTM = QgsCoordinateReferenceSystem("EPSG:32645")


def test_a_file_is_its_path(town_file):
    layer = QgsRasterLayer(str(town_file), "town")
    assert rasters.file_of(layer) == str(town_file)
    assert rasters.usual_bands(layer) == [1, 2, 3]
    layer.renderer().setRedBand(3)
    layer.renderer().setBlueBand(1)
    assert rasters.usual_bands(layer) == [3, 2, 1]


def test_a_layer_with_another_crs_than_its_file_is_a_virtual_raster(town_file, tmp_path):
    layer = QgsRasterLayer(str(town_file), "town")
    assert rasters.file_as_shown(layer, tmp_path) == str(town_file)
    town_file.with_suffix(".json").write_text('{"datetime": "2019-05-03"}')
    town_file.with_name("größe 1.tif.json").write_text("{}")
    for crs in ("EPSG:32644", ""):
        layer.setCrs(QgsCoordinateReferenceSystem(crs))
        path = rasters.file_as_shown(layer, tmp_path)
        virtual = QgsRasterLayer(path, "virtual")
        assert virtual.crs().authid() == crs
        assert virtual.extent() == layer.extent()
        file = gdal.Open(str(town_file))
        file.GetRasterBand(1).ComputeStatistics(False)
        file = None
        assert rasters.file_as_shown(layer, tmp_path) == path, "it was only looked at"
        # A file beside the raster that tells its date goes along.
        assert "2019-05-03" in Path(path).with_suffix(".json").read_text()
        assert Path(path + ".json").exists()
        town_file.write_bytes(town_file.read_bytes() + b" ")
        assert rasters.file_as_shown(layer, tmp_path) != path, "it was replaced"


def test_a_file_that_was_moved_is_said(town_file):
    layer = QgsRasterLayer(str(town_file), "town")
    town_file.rename(town_file.with_name("elsewhere.tif"))
    with pytest.raises(rasters.LayerError, match="moved"):
        rasters.file_of(layer)


def test_a_vector_layer_is_refused(qgis_app):
    with pytest.raises(rasters.LayerError, match="no raster"):
        rasters.file_of(QgsVectorLayer("Point", "points", "memory"))


def test_an_online_layer_is_no_file(qgis_app, town_file):
    layer = QgsRasterLayer(
        f"type=xyz&url=file://{town_file}/{{z}}/{{x}}/{{y}}.png&zmax=1", "tiles", "wms"
    )
    assert layer.isValid()
    assert rasters.file_of(layer) is None
