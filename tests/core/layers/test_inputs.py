# SPDX-License-Identifier: GPL-2.0-or-later
"""An output is never one of its inputs, by whatever name."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from samgeo_core.errors import OutputError
from samgeo_core.layers.inputs import check_not_input, layer_input, raster_input
from samgeo_core.layers.writer import LayerWriter

from .test_writer import features

pytestmark = pytest.mark.filterwarnings("ignore:.*at most 10 characters")


def layer(path: Path, name: str | None = None) -> Path:
    with LayerWriter(path, 32645, layer_name=name) as writer:
        writer.write(features(2))
    return path


def refused(output: Path, name: str | None, *inputs: object) -> bool:
    try:
        check_not_input(output, name, inputs)  # type: ignore[arg-type]
    except OutputError as error:
        return "choose another name" in str(error)
    return False


@pytest.mark.parametrize("suffix", [".geojson", ".fgb", ".parquet", ".shp"])
@pytest.mark.parametrize("how", ["same", "symbolic", "hard", "dots", "relative"])
def test_a_file_is_known_under_all_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, how: str
) -> None:
    given = layer(tmp_path / f"prompts{suffix}")
    output = tmp_path / f"out{suffix}"
    if how == "symbolic":
        output.symlink_to(given)
    elif how == "hard":
        os.link(given, output)
    elif how == "dots":
        (tmp_path / "sub").mkdir()
        output = tmp_path / "sub" / ".." / given.name
    elif how == "relative":
        monkeypatch.chdir(tmp_path)
        output = Path(given.name)
    else:
        output = given
    (prompts,) = layer_input("the prompts", str(given))
    assert refused(output, None, prompts)
    assert not refused(tmp_path / f"other{suffix}", None, prompts)


def test_a_part_of_a_shapefile_is_an_input_too(tmp_path: Path) -> None:
    layer(tmp_path / "prompts.shp")
    (table,) = layer_input("the prompts", str(tmp_path / "prompts.dbf"))
    assert refused(tmp_path / "prompts.shp", None, table)
    assert refused(tmp_path / "prompts.shp", None, raster_input([str(tmp_path / "prompts.prj")]))


def test_other_layers_of_an_inputs_geopackage_are_free(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.gpkg", "prompts")
    layer(path, "area")
    (prompts,) = layer_input("the prompts", str(path))  # the first, where none is named
    (area,) = layer_input("the area", str(path), "area")
    assert refused(path, "Prompts", prompts)
    assert refused(path, "AREA", area)
    assert not refused(path, "roofs", prompts, area, raster_input([str(path)]))


def test_a_layer_is_known_by_qgis_s_name_for_it_and_where_none_is_named(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.gpkg", "kept")
    layer(path, "prompts")
    given = layer_input("the prompts", f"{path}|layername=prompts")
    assert refused(path, "prompts", *given)
    assert not refused(path, "kept", *given)
    # The layer that is read is the first with features, which is not always the first.
    with closing(sqlite3.connect(path)) as db:
        db.execute("DELETE FROM kept")
        db.commit()
    assert refused(path, "prompts", *layer_input("the prompts", str(path)))


def test_what_a_virtual_layer_is_made_of_is_an_input(tmp_path: Path) -> None:
    path = layer(tmp_path / "a.gpkg", "p")
    inner, outer = tmp_path / "inner.vrt", tmp_path / "outer.vrt"
    for vrt, source in ((inner, path), (outer, inner)):
        vrt.write_text(
            f'<OGRVRTDataSource><OGRVRTLayer name="p"><SrcDataSource>{source}</SrcDataSource>'
            "</OGRVRTLayer></OGRVRTDataSource>"
        )
        assert refused(path, "p", *layer_input("the prompts", str(vrt)))
    assert not refused(tmp_path / "b.gpkg", "p", *layer_input("the prompts", str(outer)))


@pytest.mark.parametrize("suffix", [".bil", ".asc", ".img"])
def test_a_shapefile_never_gives_a_raster_its_prj(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"town{suffix}").write_bytes(b"")
    raster = raster_input([str(tmp_path / f"town{suffix}")])
    assert refused(tmp_path / "town.shp", None, raster)
    assert not refused(tmp_path / "roofs.shp", None, raster)
    assert not refused(tmp_path / "town.gpkg", None, raster)


def test_addresses_are_no_files() -> None:
    address = "https://example.org/town.tif?sig=x\0"
    assert not refused(Path("town.shp"), None, raster_input([address]))
