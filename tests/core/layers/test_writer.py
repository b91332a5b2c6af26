# SPDX-License-Identifier: GPL-2.0-or-later
"""A layer comes out whole, in every format, with its schema; or the old one stays as it was."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import warnings
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio.crs
import shapely
from pyproj import CRS
from samgeo_core.cli.commands import segment
from samgeo_core.errors import OutputError, SamGeoWarning
from samgeo_core.jobs.update.changed_layer import UPDATE_FIELDS
from samgeo_core.layers.formats import FORMATS
from samgeo_core.layers.publish import recover
from samgeo_core.layers.write_format import decimals_of_degrees
from samgeo_core.layers.writer import LayerWriter, check_output, write_layer
from samgeo_core.notes import collected
from samgeo_core.vectors.geodesic import measure
from samgeo_core.vectors.schema import CLASS, CLASS_PROBABILITY, FIELDS, Field, carried_fields
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box

ROOT = Path(__file__).resolve().parents[3]
SUFFIXES = list(FORMATS)
NAMES = [field.name for field in FIELDS]

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*at most 10 characters", "ignore:More than one layer", "ignore:'crs' was not provided"
)


def features(
    count: int = 5, crs: object = 32645, first: int = 0, **extra: object
) -> gpd.GeoDataFrame:
    at = np.arange(first, first + count)
    return gpd.GeoDataFrame(
        {
            "id": [f"{i:08x}" for i in at],
            "score": at / 1000,
            "area_m2": np.full(count, 100.0),
            "prompt_type": ["auto"] * count,
            "label": ["Häuser"] * count,
            "tiles": at % 4 + 1,
            **extra,
        },
        geometry=[box(350_000 + 20 * i, 3e6, 350_010 + 20 * i, 3e6 + 10) for i in at],
        crs=crs,
    )


def read(path: Path, **options: object) -> gpd.GeoDataFrame:
    if path.suffix == ".parquet":
        return gpd.read_parquet(path)
    if path.suffix == ".gpkg":
        options.setdefault("layer", path.stem)
    return gpd.read_file(path, **options)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_format_is_named_where_users_read_of_formats() -> None:
    help_text = " ".join(segment.help.split())
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "first_map.md").read_text(encoding="utf-8")
    for suffix, form in FORMATS.items():
        assert form.name in help_text
        assert form.name in readme
        assert f"`{suffix}`" in page


def test_every_field_is_named_where_users_read_of_fields() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    line = next(text for text in readme.splitlines() if "Every polygon explains itself" in text)
    named = set(re.findall(r"\w+", line))
    assert {field.name for field in (*FIELDS, CLASS, CLASS_PROBABILITY)} <= named
    page = (ROOT / "docs" / "update.md").read_text(encoding="utf-8")
    rows = "".join(text for text in page.splitlines() if text.startswith("| `"))
    assert {field.name for field in UPDATE_FIELDS} <= set(re.findall(r"`(\w+)`", rows))


# -- formats ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_batches_come_back_in_every_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"houses{suffix}"
    with LayerWriter(path, 32645) as writer:
        for first in (0, 5, 10):
            writer.write(features(first=first))
    assert writer.count == 15
    layer = read(path).sort_values("id", ignore_index=True)
    wanted = pd.concat([features(first=first) for first in (0, 5, 10)], ignore_index=True)
    assert layer["id"].tolist() == wanted["id"].tolist()
    assert layer["score"].tolist() == pytest.approx(wanted["score"].tolist())
    assert layer["tiles"].tolist() == wanted["tiles"].tolist()
    assert set(layer["label"]) == {"Häuser"}
    assert layer.crs.to_epsg() == (4326 if FORMATS[suffix].wgs84 else 32645)
    shapes = layer.geometry.to_crs(32645)
    apart = shapely.hausdorff_distance(shapes.array, np.asarray(wanted.geometry.array))
    assert apart.max() < 2e-3
    assert [name for name in left_in(tmp_path) if name.startswith(".")] == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_features_make_an_empty_layer_with_the_schema(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"none{suffix}"
    with LayerWriter(path, 32645):
        pass
    layer = read(path)
    assert len(layer) == 0
    if suffix == ".geojson":  # knows no schema
        assert json.loads(path.read_text())["type"] == "FeatureCollection"
        return
    names = {name[:10] if suffix == ".shp" else name for name in NAMES}
    found = {"perimeter_" if name == "perim_m" else name for name in layer.columns}
    assert found - {"geometry"} == names
    assert layer.crs.to_epsg() == 32645


def test_types_of_the_schema_are_kept_in_an_empty_geopackage(tmp_path: Path) -> None:
    fields = [Field("when", "datetime"), Field("checked", "boolean")]
    with LayerWriter(tmp_path / "a.gpkg", 32645, fields=fields):
        pass
    info = pyogrio.read_info(tmp_path / "a.gpkg", layer="a")
    types = dict(zip(info["fields"], info["dtypes"], strict=True))
    assert types["score"] == types["area_m2"] == "float64"
    assert types["tiles"] == "int64"
    assert types["id"] == types["parent_id"] == "object"
    assert types["checked"] == "bool"
    assert types["when"].startswith("datetime64")
    assert info["geometry_type"] == "MultiPolygon"
    assert info["fid_column"] == "fid"


def test_missing_values_stay_missing(tmp_path: Path) -> None:
    frame = features(3, stability=[0.5, np.nan, 1.0], parent_id=["a", None, "b"])
    frame["tiles"] = pd.array([1, None, 3], dtype="Int64")
    with LayerWriter(tmp_path / "a.gpkg", 32645) as writer:
        writer.write(frame)
    with sqlite3.connect(tmp_path / "a.gpkg") as db:
        rows = db.execute("SELECT stability, parent_id, tiles, perimeter_m FROM a").fetchall()
    assert rows == [(0.5, "a", 1, None), (None, None, None, None), (1.0, "b", 3, None)]


def test_lines_are_written_as_lines(tmp_path: Path) -> None:
    roads = gpd.GeoDataFrame(
        {"id": ["a"]}, geometry=[LineString([(350_000, 3e6), (350_100, 3e6)])], crs=32645
    )
    with LayerWriter(tmp_path / "roads.gpkg", 32645, geometry="line") as writer:
        writer.write(roads)
    assert pyogrio.read_info(tmp_path / "roads.gpkg", layer="roads")["geometry_type"] == (
        "MultiLineString"
    )


def test_geojson_is_what_rfc_7946_says(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    hole = Polygon(
        box(350_000, 3e6, 350_100, 3e6 + 100).exterior.coords,
        [box(350_040, 3e6 + 40, 350_060, 3e6 + 60).exterior.coords],
    )
    frame = gpd.GeoDataFrame({"id": ["x"]}, geometry=[hole], crs=32645)
    with LayerWriter(path, 32645) as writer:
        writer.write(frame)
    data = json.loads(path.read_text())
    assert "crs" not in data
    rings = data["features"][0]["geometry"]["coordinates"]
    assert data["features"][0]["geometry"]["type"] == "Polygon"
    assert shapely.LinearRing(rings[0]).is_ccw
    assert not shapely.LinearRing(rings[1]).is_ccw
    assert rings[0][0][0] == pytest.approx(85.49, abs=0.02)


def test_geoparquet_says_what_it_is(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    with LayerWriter(tmp_path / "a.parquet", 32645) as writer:
        writer.write(features())
    meta = json.loads(pq.read_schema(tmp_path / "a.parquet").metadata[b"geo"])
    column = meta["columns"][meta["primary_column"]]
    assert column["encoding"] == "WKB"
    assert column["geometry_types"] == ["MultiPolygon"]
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 32645}
    assert column["bbox"] == pytest.approx([350_000, 3e6, 350_090, 3e6 + 10])


def test_shapefile_names_are_shortened_and_that_is_said(tmp_path: Path) -> None:
    fields = [
        Field("land_use_class_a", "text"),
        Field("land_use_class_b", "text"),
        Field("when", "datetime"),
    ]
    frame = features(
        2, land_use_class_a="x", land_use_class_b="y", when=pd.Timestamp("2024-05-06 07:08:09")
    )
    with (
        pytest.warns(SamGeoWarning, match=r"land_use_class_a -> land_use_c"),
        LayerWriter(tmp_path / "a.shp", 32645, fields=fields) as writer,
    ):
        writer.write(frame)
    layer = read(tmp_path / "a.shp")
    assert layer["land_use_c"].tolist() == ["x", "x"]
    assert layer["land_use_2"].tolist() == ["y", "y"]
    assert {len(name) <= 10 for name in layer.columns} == {True}
    assert layer["when"][0].startswith("2024-05-06 07:08:09")


def test_shapefile_names_keep_letters_beyond_ascii_and_are_cut_by_bytes(tmp_path: Path) -> None:
    names = {"Höhe": "Höhe", "数字": "数字", "数字数字": "数字数", "数字数字数": "数字_2",
             "Gebäudehöhe": "Gebäudeh"}  # fmt: skip
    frame = features(1, **{name: name for name in names})
    with (
        pytest.warns(SamGeoWarning) as said,
        LayerWriter(tmp_path / "a.shp", 32645, fields=[Field(n, "text") for n in names]) as writer,
    ):
        writer.write(frame)
    (note,) = (str(n.message) for n in said if "column names" in str(n.message))
    assert "several bytes of UTF-8: " in note
    assert "数字数字 -> 数字数, 数字数字数 -> 数字_2, Gebäudehöhe -> Gebäudeh." in note
    assert "Höhe -> Höhe" not in note
    assert (tmp_path / "a.cpg").read_text() == "UTF-8"
    layer = read(tmp_path / "a.shp")
    assert {short: layer[short].tolist() for short in names.values()} == {
        short: [name] for name, short in names.items()
    }


@pytest.mark.parametrize("suffix", [".shp", ".parquet"])
def test_a_name_that_the_format_cannot_keep_is_said(tmp_path: Path, suffix: str) -> None:
    with pytest.warns(SamGeoWarning, match=r"no name but the file's: a, not houses"):
        writer = LayerWriter(tmp_path / f"a{suffix}", 32645, layer_name="houses")
    with writer:
        writer.write(features(2))
    assert writer.layer_name == "a"
    assert len(read(tmp_path / f"a{suffix}")) == 2


# -- coordinate systems ----------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="looks at the way in which a file is open")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_flushed_to_the_disk_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """Windows refuses to flush a file that was opened for reading."""
    import fcntl

    modes = []
    flush = os.fsync

    def watched(descriptor: int) -> None:
        modes.append(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE)
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    with LayerWriter(tmp_path / f"a{suffix}", 32645) as writer:
        writer.write(features())
    assert modes
    assert set(modes) == {os.O_RDWR}


def test_a_layer_in_another_crs(tmp_path: Path) -> None:
    with LayerWriter(tmp_path / "a.gpkg", 4326, source_crs=32645) as writer:
        writer.write(features())
    layer = read(tmp_path / "a.gpkg")
    assert layer.crs.to_epsg() == 4326
    assert layer.to_crs(32645).total_bounds == pytest.approx(features().total_bounds, abs=1e-3)


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".fgb", ".parquet"])
def test_no_crs_is_written_as_none(tmp_path: Path, suffix: str) -> None:
    with LayerWriter(tmp_path / f"a{suffix}", None) as writer:
        writer.write(features(crs=None))
    assert read(tmp_path / f"a{suffix}").crs is None


def test_geojson_needs_a_crs(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="WGS 84"):
        LayerWriter(tmp_path / "a.geojson", None)


UTM_IN_FEET = "+proj=utm +zone=33 +datum=WGS84 +units=us-ft +type=crs"


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".parquet"])
@pytest.mark.parametrize("maker", ["proj", "rasterio"])
def test_utm_in_feet_stays_in_feet(tmp_path: Path, suffix: str, maker: str) -> None:
    crs = UTM_IN_FEET if maker == "proj" else rasterio.crs.CRS.from_string(UTM_IN_FEET)
    with LayerWriter(tmp_path / f"a{suffix}", crs) as writer:
        writer.write(features(crs=UTM_IN_FEET))
    layer = read(tmp_path / f"a{suffix}")
    assert layer.crs.equals(CRS.from_user_input(UTM_IN_FEET))
    assert layer.total_bounds == pytest.approx(features().total_bounds)


def test_a_crs_that_a_format_cannot_hold_is_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(
        OutputError, match=r"FlatGeobuf cannot hold .* in US survey foot.* with crs"
    ):
        LayerWriter(tmp_path / "a.fgb", UTM_IN_FEET)
    with pytest.raises(OutputError, match=r"Shapefile cannot hold .*read as none"):
        LayerWriter(
            tmp_path / "a.shp",
            "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39 +lon_0=18 +R=6367470 "
            "+to_meter=0.0174532925199433 +type=crs",
        )
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".fgb", ".parquet"])
@pytest.mark.parametrize("crs", [2263, 3857, 25832, 4807, "EPSG:25832+5783", "ESRI:102718"])
def test_a_crs_with_a_code_is_kept(tmp_path: Path, suffix: str, crs: object) -> None:
    with LayerWriter(tmp_path / f"a{suffix}", crs) as writer:
        writer.write(features(crs=None))
    assert read(tmp_path / f"a{suffix}").crs.equals(writer.crs)


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".fgb", ".parquet"])
@pytest.mark.parametrize(
    "crs",
    [
        "+proj=tmerc +lon_0=9 +x_0=3500000 +ellps=bessel +towgs84=598,74,418 +type=crs",
        'LOCAL_CS["site",UNIT["foot",0.3048]]',
        'LOCAL_CS["site",UNIT["metre",1]]',
        'ENGCRS["site",EDATUM["d"],CS[Cartesian,2],AXIS["e",east],AXIS["n",north],'
        'LENGTHUNIT["metre",1]]',
    ],
)
def test_a_crs_without_a_code_is_written(tmp_path: Path, suffix: str, crs: str) -> None:
    with LayerWriter(tmp_path / f"a{suffix}", crs) as writer:
        writer.write(features(crs=None))
    assert read(tmp_path / f"a{suffix}").crs is not None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_shift_of_the_datum_that_a_format_loses_is_said(tmp_path: Path, suffix: str) -> None:
    crs = "+proj=utm +zone=45 +ellps=intl +towgs84=-87,-98,-121 +type=crs"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for place in (crs, 32645):
            with LayerWriter(tmp_path / f"a{suffix}", place, overwrite=True) as writer:
                writer.write(features(crs=place))
    notes = [str(one.message) for one in said if "m away" in str(one.message)]
    assert len(notes) == (suffix == ".shp")
    assert all(re.search(r"about 1\d\d m away", note) for note in notes)


def test_a_crs_cannot_be_made_up(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written in WGS 84"):
        LayerWriter(tmp_path / "a.geojson", "+proj=eqc +a=3396190 +b=3396190 +type=crs")


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg"])
def test_shapes_on_the_date_line_are_cut_there(tmp_path: Path, suffix: str) -> None:
    # UTM zone 1 begins at 180 degrees: x of about 166,000 m on the equator.
    strip = box(160_000, 8_100_000, 190_000, 8_110_000)
    frame = gpd.GeoDataFrame({"id": ["x"]}, geometry=[strip], crs=32701)
    path = tmp_path / f"a{suffix}"
    with LayerWriter(path, 4326, source_crs=32701) as writer:
        writer.write(frame)
    shape = read(path).geometry[0]
    assert isinstance(shape, MultiPolygon)
    assert len(shape.geoms) == 2
    assert all(part.bounds[2] - part.bounds[0] < 1 for part in shape.geoms)
    back = gpd.GeoSeries([*shape.geoms], crs=4326).to_crs(32701)
    assert back.area.sum() == pytest.approx(strip.area, rel=1e-3)


def test_degrees_beyond_180_come_back_on_the_other_side(tmp_path: Path) -> None:
    frame = gpd.GeoDataFrame({"id": ["x"]}, geometry=[box(179, 0, 182, 1)], crs=4326)
    with LayerWriter(tmp_path / "a.geojson", 4326) as writer:
        writer.write(frame)
    bounds = sorted(part.bounds for part in read(tmp_path / "a.geojson").geometry[0].geoms)
    assert bounds == [(-180.0, 0.0, -178.0, 1.0), (179.0, 0.0, 180.0, 1.0)]


@pytest.mark.parametrize(
    ("pixel", "decimals"),
    [(30, 7), (1, 8), (0.5, 9), (0.01, 10), (0.0002, 12), (1e-12, 15), (1e6, 7)],
)
def test_decimals_of_degrees_follow_the_pixel(pixel: float, decimals: int) -> None:
    assert decimals_of_degrees(pixel) == decimals


@pytest.mark.parametrize("pixel", [0.0002, 0.005])
def test_polygons_of_millimetres_keep_their_shape_in_geojson(tmp_path: Path, pixel: float) -> None:
    discs = [
        Point(500_000 + 40 * k * pixel, 5_000_000).buffer((3 + k) * pixel, 16) for k in range(5)
    ]
    frame = gpd.GeoDataFrame({"id": [str(k) for k in range(5)]}, geometry=discs, crs=32633)
    with LayerWriter(tmp_path / "a.geojson", 32633, pixel=pixel) as writer:
        writer.write(frame)
    found = read(tmp_path / "a.geojson").to_crs(32633).geometry
    assert found.is_valid.all()
    for shape, disc in zip(found, discs, strict=True):
        assert shape.intersection(disc).area > 0.99 * shape.union(disc).area


def test_a_polygon_around_the_pole_in_geojson(tmp_path: Path) -> None:
    cap = Point(0, 0).buffer(1e6, 32).difference(Point(0, 0).buffer(3e5, 32))
    frame = gpd.GeoDataFrame({"id": ["x"]}, geometry=[cap], crs=3413)
    with LayerWriter(tmp_path / "a.geojson", 3413, pixel=1000.0) as writer:
        writer.write(frame)
    shape = read(tmp_path / "a.geojson").geometry[0]
    assert shape.is_valid
    truth, found = measure([cap], "EPSG:3413").area[0], measure([shape], "EPSG:4326").area[0]
    assert found == pytest.approx(truth, rel=1e-3)


# -- all or nothing --------------------------------------------------------------------------------


@pytest.fixture(params=SUFFIXES)
def existing(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, dict]:
    path = tmp_path / f"old{request.param}"
    with LayerWriter(path, 32645) as writer:
        writer.write(features(3))
    return path, {p.name: p.read_bytes() for p in tmp_path.iterdir()}


def unchanged(folder: Path, before: dict[str, bytes]) -> bool:
    return {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_an_existing_output_needs_leave(existing: tuple[Path, dict]) -> None:
    path, before = existing
    with pytest.raises(OutputError, match="exists already"):
        LayerWriter(path, 32645)
    assert unchanged(path.parent, before)


def test_an_existing_output_is_replaced_as_a_whole(existing: tuple[Path, dict]) -> None:
    path, before = existing
    with LayerWriter(path, 32633, overwrite=True) as writer:
        writer.write(features(7, crs=32633))
        assert all(path.with_name(name).read_bytes() == raw for name, raw in before.items())
    assert len(read(path)) == 7
    assert left_in(path.parent) == sorted(before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_failure_leaves_the_old_one_and_nothing_else(
    existing: tuple[Path, dict], error: type[BaseException]
) -> None:
    path, before = existing
    with pytest.raises(error), LayerWriter(path, 32645, overwrite=True) as writer:  # noqa: PT012
        writer.write(features(7))
        raise error
    assert unchanged(path.parent, before)


def test_a_full_disk_is_called_by_its_name(
    existing: tuple[Path, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, before = existing

    def broken(*_: object, **__: object) -> None:
        raise pyogrio.errors.DataSourceError("no such table: gpkg_contents")

    monkeypatch.setattr("pyogrio.write_arrow", broken)
    monkeypatch.setattr("samgeo_core.layers.write_format._write_parquet", broken)
    monkeypatch.setattr(
        "samgeo_core.layers.write_format.shutil.disk_usage", lambda _: SimpleNamespace(free=4096)
    )
    with (
        pytest.raises(
            OutputError, match=r"old\.\w+ cannot be written as .*: the disk is full, make"
        ),
        LayerWriter(path, 32645, overwrite=True) as writer,
    ):
        writer.write(features(7))
    assert unchanged(path.parent, before)


def test_a_failure_of_the_format_leaves_the_old_one(
    existing: tuple[Path, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, before = existing

    def broken(*_: object, **__: object) -> None:
        raise pyogrio.errors.DataSourceError("no such luck")

    monkeypatch.setattr("pyogrio.write_arrow", broken)
    monkeypatch.setattr("samgeo_core.layers.write_format._write_parquet", broken)
    with (
        pytest.raises(OutputError, match=r"old\.\w+ cannot be written as .*no such luck"),
        LayerWriter(path, 32645, overwrite=True) as writer,
    ):
        writer.write(features(7))
    assert unchanged(path.parent, before)


def test_a_shapefile_that_cannot_be_moved_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.shp"
    with LayerWriter(path, 32645) as writer:
        writer.write(features(3))
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    replace = Path.replace

    def stubborn(self: Path, target: Path) -> Path:
        if self.parent.name.endswith(".part") and self.suffix == ".dbf":
            raise PermissionError(13, "in use")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stubborn)
    with (
        pytest.raises(OutputError, match="in use"),
        LayerWriter(path, 32645, overwrite=True) as writer,
    ):
        writer.write(features(7))
    assert unchanged(tmp_path, before)


DISK_FULL = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.core.layers.test_writer import SUFFIXES, features
from samgeo_core.errors import OutputError
from samgeo_core.layers.formats import FORMATS
from samgeo_core.layers.write_format import decimals_of_degrees
from samgeo_core.layers.writer import LayerWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for suffix in SUFFIXES:
    try:
        with LayerWriter(Path(sys.argv[1]) / f"big{suffix}", 32645) as writer:
            for first in range(0, 4000, 1000):
                writer.write(features(1000, first=first))
            # From here on no file may grow beyond this: what a full disk looks like.
            resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, -1))
    except OutputError as error:
        print("OutputError", suffix, error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a limit of file sizes needs POSIX")
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", DISK_FULL, str(tmp_path), str(Path(__file__).parents[3])],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("Output")]
    assert said == SUFFIXES, result.stderr
    assert left_in(tmp_path) == []


def test_a_full_disk_while_features_arrive(tmp_path: Path) -> None:
    writer = LayerWriter(tmp_path / "a.gpkg", 32645)

    class Full:
        def write_batch(self, _: object) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"), writer:  # noqa: PT012
        writer._spool.close()  # type: ignore[union-attr]
        writer._spool = Full()  # type: ignore[assignment]
        writer.write(features())
    assert left_in(tmp_path) == []


# -- GeoPackages with several layers ---------------------------------------------------------------


def test_other_layers_of_a_geopackage_stay(tmp_path: Path) -> None:
    path = tmp_path / "town.gpkg"
    with LayerWriter(path, 32645, layer_name="houses") as writer:
        writer.write(features(3))
    with LayerWriter(path, 4326, source_crs=32645, layer_name="trees") as writer:
        writer.write(features(4))
    with pytest.raises(OutputError, match=r"layer houses .* exists"):
        LayerWriter(path, 32645, layer_name="houses")
    with LayerWriter(path, 32645, layer_name="houses", overwrite=True) as writer:
        writer.write(features(5))
    assert len(read(path, layer="houses")) == 5
    assert len(read(path, layer="trees")) == 4
    assert read(path, layer="trees").crs.to_epsg() == 4326
    with sqlite3.connect(path) as db:
        styled = [row[0] for row in db.execute("SELECT f_table_name FROM layer_styles")]
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert sorted(styled) == ["houses", "trees"]


def test_a_layer_can_be_put_ahead_of_another_and_stays_there(tmp_path: Path) -> None:
    path = tmp_path / "many.gpkg"
    write_layer([features()], LayerWriter(path, 32645, layer_name="mine"))
    for count in (5, 4):
        for name, ahead_of in (("new_before", None), ("new", "NEW_before")):
            writer = LayerWriter(path, 32645, layer_name=name, overwrite=True, ahead_of=ahead_of)
            write_layer([features(count)], writer)
        drawn = [name for name, kind in pyogrio.list_layers(path) if kind is not None]
        assert drawn == ["mine", "new", "new_before"]
    assert len(gpd.read_file(path, layer="new_before")) == 4


def test_changes_that_another_program_has_not_folded_in_are_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "town.gpkg"
    with LayerWriter(path, 32645, layer_name="houses") as writer:
        writer.write(features(3))
    other = sqlite3.connect(path)
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("CREATE TABLE notes (text TEXT)")
    other.execute("INSERT INTO notes VALUES ('kept')")
    other.commit()
    assert path.with_name("town.gpkg-wal").stat().st_size > 0
    with LayerWriter(path, 32645, layer_name="trees") as writer:
        writer.write(features(4))
    other.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT text FROM notes").fetchall() == [("kept",)]
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(read(path, layer="trees")) == 4


def test_tables_that_are_no_layers_stay_when_the_only_layer_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "town.gpkg"
    with LayerWriter(path, 32645) as writer:
        writer.write(features(3))
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text TEXT)")
        db.execute("INSERT INTO notes VALUES ('kept')")
    db.close()
    with LayerWriter(path, 32645, overwrite=True) as writer:
        writer.write(features(4))
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT text FROM notes").fetchall() == [("kept",)]
    assert len(read(path)) == 4


def test_layer_names_know_no_case(tmp_path: Path) -> None:
    path = tmp_path / "town.gpkg"
    with LayerWriter(path, 32645, layer_name="Houses") as writer:
        writer.write(features(3))
    with pytest.raises(OutputError, match="exists"):
        check_output(path, layer_name="houses")
    with LayerWriter(path, 32645, layer_name="houses", overwrite=True) as writer:
        writer.write(features(4))
    assert len(read(path, layer="houses")) == 4


def test_the_same_features_are_the_same_bytes(tmp_path: Path) -> None:
    at = datetime(2024, 5, 6, tzinfo=timezone.utc)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for suffix in SUFFIXES:
            with LayerWriter(tmp_path / name / f"x{suffix}", 32645, modified=at) as writer:
                writer.write(features(50))
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.suffix


def test_what_is_no_geopackage_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    path.write_text("my thesis")
    with pytest.raises(OutputError, match="not a GeoPackage"):
        LayerWriter(path, 32645, overwrite=True)
    assert path.read_text() == "my thesis"


def test_a_geopackage_carries_its_style_and_a_spatial_index(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    with LayerWriter(path, 32645) as writer:
        writer.write(features())
    with sqlite3.connect(path) as db:
        qml, default, column = db.execute(
            "SELECT styleQML, useAsDefault, f_geometry_column FROM layer_styles"
        ).fetchone()
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
        real = db.execute("SELECT column_name FROM gpkg_geometry_columns").fetchone()[0]
    assert default == 1
    assert column == real
    assert f"rtree_a_{real}" in tables
    import xml.etree.ElementTree as ElementTree

    assert ElementTree.fromstring(qml.split("\n", 1)[1]).tag == "qgis"


# -- refusals before the work ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.kml", "a", "a.gpkg.zip", "a.tif"])
def test_an_unknown_extension_is_refused_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"\.gpkg.*\.shp.*\.geojson.*\.fgb.*\.parquet"):
        check_output(tmp_path / name)


def test_extensions_in_capitals_and_other_spellings(tmp_path: Path) -> None:
    for name in ("a.GPKG", "b.json", "c.geoparquet", "d.SHP", "d.SHP"):
        with LayerWriter(tmp_path / name, 32645, overwrite=True) as writer:
            writer.write(features())
        assert (tmp_path / name).stat().st_size > 0
    found = pyogrio.read_dataframe(tmp_path / "d.SHP")
    assert (len(found), found.crs.to_epsg()) == (5, 32645)
    with pytest.raises(OutputError, match=r"\.shp or \.SHP: write e\.shp"):
        check_output(tmp_path / "e.Shp")  # which GDAL does not read


def test_a_missing_folder_and_a_folder_for_a_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        check_output(tmp_path / "nowhere" / "a.gpkg")
    (tmp_path / "a.gpkg").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_output(tmp_path / "a.gpkg", overwrite=True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written to"):
            check_output(tmp_path / "a.gpkg")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_refuses_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("samgeo_core.layers.writer.new_folder", read_only)
    with pytest.raises(OutputError, match="Read-only file system"):
        check_output(tmp_path / "a.gpkg")


def test_columns_that_collide_are_refused(tmp_path: Path) -> None:
    for name in ("Score", "fid", "geometry"):
        with pytest.raises(OutputError, match="two columns"):
            LayerWriter(tmp_path / "a.gpkg", 32645, fields=[Field(name, "text")])


@pytest.mark.parametrize(
    "frame",
    [
        features(1, colour=["red"]),
        gpd.GeoDataFrame({"id": ["a"]}, geometry=[Point(0, 0)], crs=32645),
        gpd.GeoDataFrame({"id": ["a"]}, geometry=[None], crs=32645),
        gpd.GeoDataFrame({"id": ["a"]}, geometry=[Polygon()], crs=32645),
    ],
)
def test_features_that_do_not_belong_are_an_error_of_the_caller(
    tmp_path: Path, frame: gpd.GeoDataFrame
) -> None:
    with (
        pytest.raises(ValueError, match=r"columns|hold"),
        LayerWriter(tmp_path / "a.gpkg", 32645) as writer,
    ):
        writer.write(frame)
    assert left_in(tmp_path) == []


# -- attributes of prompts -------------------------------------------------------------------------


def test_attributes_of_a_prompt_layer_are_carried_with_their_types(tmp_path: Path) -> None:
    prompts = gpd.GeoDataFrame(
        {
            "id": [1],
            "Label": ["roof"],
            "fid": [7],
            "height": [3.5],
            "flag": [True],
            "seen": [pd.Timestamp("2024-01-02")],
            "taken": [pd.Timestamp("2024-01-02T03:04:05+02:00")],
            "tags": [["a", "b"]],
        },
        geometry=[Point(0, 0)],
        crs=32645,
    )
    fields, names = carried_fields(prompts)
    assert names == {
        "id": "prompt_prompt_id",
        "Label": "prompt_Label",
        "fid": "prompt_fid",
        "height": "height",
        "flag": "flag",
        "seen": "seen",
        "taken": "taken",
        "tags": "tags",
    }
    assert {f.name: f.kind for f in fields} == {
        "prompt_prompt_id": "integer",
        "prompt_Label": "text",
        "prompt_fid": "integer",
        "height": "real",
        "flag": "boolean",
        "seen": "local_datetime",
        "taken": "datetime",
        "tags": "text",
    }
    row = prompts.drop(columns="geometry").rename(columns=names)
    frame = features(1).join(row)
    with LayerWriter(tmp_path / "a.gpkg", 32645, fields=fields) as writer:
        writer.write(frame)
    layer = read(tmp_path / "a.gpkg")
    assert layer["height"][0] == 3.5
    assert bool(layer["flag"][0]) is True
    assert layer["tags"][0] == '["a", "b"]'
    assert layer["seen"][0] == pd.Timestamp("2024-01-02"), "no zone is invented"
    assert layer["taken"][0] == pd.Timestamp("2024-01-02T01:04:05", tz="UTC")


def test_write_layer_streams_from_a_generator(tmp_path: Path) -> None:
    batches = (features(100, first=first) for first in range(0, 1000, 100))
    with warnings.catch_warnings():
        warnings.simplefilter("error", SamGeoWarning)
        assert write_layer(batches, LayerWriter(tmp_path / "a.fgb", 32645)) == 1000
    assert len(read(tmp_path / "a.fgb")) == 1000


def test_what_a_killed_writer_left_is_deleted_and_nothing_else(tmp_path):
    mine, others, file = (
        tmp_path / name for name in (".town.ab12_xyz.part", ".town.b.ab12_xyz.part", ".town.part")
    )
    mine.mkdir()
    (mine / "features.arrow").write_bytes(b"half")
    others.mkdir()
    file.write_bytes(b"")
    recover(tmp_path / "town.gpkg")
    assert sorted(tmp_path.iterdir()) == sorted([others, file])


@pytest.mark.parametrize("suffix", [".shp", ".gpkg"])
def test_numbers_that_a_shapefile_cannot_hold_are_said(tmp_path: Path, suffix: str) -> None:
    given = {
        "nodata": [-3.4028234663852886e38, 1e23, 9e22, None],
        "chance": [1.2345678e-12, 1e-300, 1e-9, 0.0],
        "huge": [1e300, np.inf, -np.inf, 1e22],
        "usual": [0.1, -12345678.123456789, 1 / 3, np.nan],
    }
    frame = gpd.GeoDataFrame(given, geometry=[box(0, 0, 1, 1)] * 4, crs="EPSG:32632")
    path = tmp_path / f"a{suffix}"
    with (
        warnings.catch_warnings(record=True) as said,
        LayerWriter(path, frame.crs, schema=[Field(name, "real") for name in given]) as writer,
    ):
        warnings.simplefilter("always")
        writer.write(frame)
    layer = read(path)
    assert layer["usual"].tolist() == pytest.approx(given["usual"], nan_ok=True)
    if suffix == ".gpkg":
        assert said == []
        assert layer["nodata"].tolist()[:3] == given["nodata"][:3]
        return
    (note,) = (str(one.message) for one in said)
    assert "(2 in chance, 3 in huge, 2 in nodata)" in note
    assert layer["huge"].tolist() == pytest.approx([np.nan, np.nan, np.nan, 1e22], nan_ok=True)
    assert layer["nodata"].tolist() == pytest.approx([np.nan, np.nan, 9e22, np.nan], nan_ok=True)


@pytest.mark.parametrize("suffix", [".shp", ".gpkg"])
def test_whole_numbers_that_are_read_from_a_shapefile_with_fewer_digits_are_said(
    tmp_path: Path, suffix: str
) -> None:
    given = {
        "cell": [2**62 + 1, -(2**63), 2**63 - 1, None],  # as S2 and H3 number their cells
        "street": [10**17 + 1, 2**53 + 1, -1, 7],
    }
    columns = {name: pd.array(values, "Int64") for name, values in given.items()}
    frame = gpd.GeoDataFrame(columns, geometry=[box(0, 0, 1, 1)] * 4, crs="EPSG:32632")
    path = tmp_path / f"a{suffix}"
    with (
        warnings.catch_warnings(record=True) as said,
        LayerWriter(path, frame.crs, schema=[Field(name, "integer") for name in given]) as writer,
    ):
        warnings.simplefilter("always")
        writer.write(frame)
    assert read(path)["street"].tolist() == given["street"]
    if suffix == ".gpkg":
        assert said == []
        return
    (note,) = (str(one.message) for one in said)
    assert "whole numbers of more than 18 digits" in note
    assert "(2 in cell)" in note


def test_infinite_numbers_that_geojson_cannot_hold_are_said(tmp_path: Path) -> None:
    for path in (tmp_path / "a.geojson", tmp_path / "b.geojson"):  # GDAL says it once, if at all
        with (
            warnings.catch_warnings(record=True) as said,
            LayerWriter(path, 32645, fields=[Field("ratio", "real")]) as writer,
        ):
            warnings.simplefilter("always")
            writer.write(features(3, ratio=[np.inf, 0.5, -np.inf]))
        (note,) = (str(one.message) for one in said)
        assert "(2 in ratio)" in note
        rows = [one["properties"]["ratio"] for one in json.loads(path.read_text())["features"]]
        assert rows == [None, 0.5, None]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lists_and_objects_are_written_as_json(tmp_path: Path, suffix: str) -> None:
    values = [
        np.array(["a b", "ü"]),
        np.arange(1500),
        {"a": None, "b": [1, {"c": True}]},
        [[1, 2], ["x"]],
        np.array([], dtype=float),
        None,
        "plain",
    ]
    frame = features(len(values), tags=pd.Series(values, dtype=object), crs=32645)
    path = tmp_path / f"a{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamGeoWarning)  # the long one, in a Shapefile
        with LayerWriter(path, 32645, fields=[Field("tags", "text")]) as writer:
            writer.write(frame)
    if suffix == ".geojson":  # of which they are a part
        rows = [one["properties"]["tags"] for one in json.loads(path.read_text())["features"]]
    else:
        texts = read(path).sort_values("id")["tags"].tolist()
        if suffix == ".shp":
            texts[1] = "null"
        rows = [json.loads(text) if str(text)[0] in "[{" else text for text in texts]
        rows[5] = None if pd.isna(rows[5]) else rows[5]
    wanted = [value.tolist() if isinstance(value, np.ndarray) else value for value in values]
    if suffix == ".shp":
        wanted[1] = "null"
    assert rows == wanted


@pytest.mark.parametrize("suffix", [".shp", ".gpkg"])
def test_texts_that_a_shapefile_cuts_are_said(tmp_path, suffix):
    frame = gpd.GeoDataFrame(
        {"kind": ["a" * 300, "ä" * 128, "ä" * 127]},
        geometry=[box(0, 0, 1, 1)] * 3,
        crs="EPSG:32632",
    )
    path = tmp_path / f"a{suffix}"
    with (
        warnings.catch_warnings(record=True) as said,
        LayerWriter(path, frame.crs, schema=[Field("kind", "text")]) as writer,
    ):
        warnings.simplefilter("always")
        writer.write(frame)
    notes = [str(note.message) for note in said]
    assert notes == ([] if suffix == ".gpkg" else [notes[0]])
    if notes:
        assert "2 in kind" in notes[0]
        assert [len(text) for text in gpd.read_file(path)["kind"]] == [254, 127, 127]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_texts_with_a_nul_character_are_not_cut_silently(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    texts = ["roof\0 of tiles", None, "\0"]
    with (
        collected() as said,
        LayerWriter(path, 32645, fields=[Field("note", "text"), Field("plain", "text")]) as writer,
    ):
        writer.write(features(3, note=texts, plain=["a", None, "b"]))
    notes = [str(one) for one in said if "NUL" in str(one)]
    frame = gpd.read_parquet(path) if "parquet" in suffix else gpd.read_file(path, layer="a")
    found = frame.sort_values("id")["note"].tolist()  # FlatGeobuf has an order of its own
    if "parquet" in suffix:
        assert notes == []
        assert (found[0], found[2]) == (texts[0], texts[2])
        return
    (note,) = notes
    assert note.startswith(path.name)
    assert "(2 in note)" in note
    assert (found[0], found[2]) == ("roof\N{REPLACEMENT CHARACTER} of tiles", "\ufffd")
    assert pd.isna(found[1])
