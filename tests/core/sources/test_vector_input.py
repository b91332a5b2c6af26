# SPDX-License-Identifier: GPL-2.0-or-later
"""Vector files of every kind are read, or refused in one sentence."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import sqlite3
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from samgeo_core.classes.examples import ExampleLayer, read_examples
from samgeo_core.errors import ParameterError, PromptError, SamGeoError, SamGeoWarning
from samgeo_core.jobs.classes.class_layer import place_layer
from samgeo_core.layers.inputs import layer_input
from samgeo_core.layers.reader import read_vector
from samgeo_core.picture import show
from samgeo_core.prompts.prompt_layer import LayerOptions, read_prompts
from samgeo_core.prompts.transform import PromptTransform
from samgeo_core.raster.areas import AreaOfInterest
from samgeo_core.raster.raster import open_raster
from samgeo_core.sources.vector_input.opening import open_vector
from samgeo_core.sources.vector_input.reading import VectorInput, as_text
from samgeo_core.tracking import run as tracking
from shapely.geometry import Point, box

from ..layers.typed_fields import DATE, LARGE, save_typed, typed

SPOT = Point(500_060, 4_999_940)


@pytest.fixture
def frame() -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"name": ["Dächer"]}, geometry=[SPOT], crs=32633)


def opened(path: Path | str, layer: str | None = None) -> VectorInput:
    return open_vector(path, layer, parameter="prompts_layer")


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".fgb", ".parquet"])
def test_every_format_is_read_with_its_crs(
    frame: gpd.GeoDataFrame, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path)
    layer = opened(path)
    found = layer.read()
    assert layer.features == len(found) == 1
    assert found.to_crs(32633).geometry.iloc[0].distance(SPOT) < 0.01
    assert found["name"].tolist() == ["Dächer"]


def test_of_several_layers_one_must_be_named_or_it_is_said(
    frame: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "a.gpkg"
    frame.to_file(path, layer="old")
    frame.iloc[:0].to_file(path, layer="empty")
    assert opened(path).layer == "old"  # no other has features
    frame.to_file(path, layer="new")
    with pytest.warns(SamGeoWarning, match=r"several layers \(old, new\).*prompts_layer"):
        assert opened(path).layer == "old"
    assert opened(path, "new").layer == "new"
    assert opened(f"{path}|layername=new").layer == "new"
    assert opened(f"{path}|layerid=2|geometrytype=Point").layer == "new"
    with pytest.raises(ParameterError, match="no layer 'other'; it has old, empty, new"):
        opened(path, "other")


def test_where_no_option_names_the_layer_the_sentence_says_how_its_path_does(
    frame: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "a.gpkg"
    frame.to_file(path, layer="old")
    frame.to_file(path, layer="new")
    with pytest.warns(SamGeoWarning) as said:
        read_vector(path)
    (sentence,) = {str(warning.message) for warning in said}
    assert sentence.endswith(f"name another as {path}|layername=NAME.")


def test_a_filter_of_qgis_is_kept_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    frame = gpd.GeoDataFrame({"n": [1, 2]}, geometry=[SPOT, SPOT], crs=32633)
    frame.to_file(path)
    assert opened(f'{path}|subset="n" = 2').read()["n"].tolist() == [2]
    frame.to_parquet(path.with_suffix(".parquet"))
    with pytest.raises(ParameterError, match="a filter of GeoParquet is not applied"):
        opened(f'{path.with_suffix(".parquet")}|subset="n" = 2')


@pytest.mark.parametrize(
    ("index", "fields"),
    [
        (pd.Index(["K1", "K2"], name="cadastre"), {"cadastre": ["K1", "K2"]}),
        (pd.RangeIndex(7, 9, name="nr"), {"nr": [7, 8]}),
        (
            pd.MultiIndex.from_tuples([("a", 2), ("b", 3)], names=["town", None]),
            {"town": ["a", "b"], "__index_level_1__": [2, 3]},
        ),
        (pd.Index([0, 0]), {"__index_level_0__": [0, 0]}),
        (pd.Index(["x", "y"], name="n"), {"__index_level_0__": ["x", "y"]}),
        (pd.RangeIndex(4, 6), {}),
    ],
)
def test_an_index_of_pandas_in_geoparquet_is_a_field_and_features_are_numbered(
    tmp_path: Path, index: pd.Index, fields: dict[str, list[object]]
) -> None:
    frame = gpd.GeoDataFrame({"n": [1, 2]}, geometry=[SPOT, SPOT], crs=32633).set_index(index)
    frame.to_parquet(tmp_path / "a.parquet")
    layer = opened(tmp_path / "a.parquet")
    found = layer.read()
    assert found.index.tolist() == [0, 1]
    wanted = fields | {"n": [1, 2]}
    assert found.drop(columns="geometry").to_dict("list") == wanted
    assert layer.read(1, 1).index.tolist() == [1]
    assert layer.layer == "a"  # as GDAL names it


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".fgb", ".parquet"])
def test_a_field_that_is_called_geometry_goes_on_under_another_name(
    tmp_path: Path, suffix: str
) -> None:
    values = [7 if suffix == ".shp" else LARGE, None, 3]  # in that format they become floats
    fields = pd.DataFrame({"geometry": pd.array(values, "Int64"), "n": [1, 2, 3]})
    path = tmp_path / f"a{suffix}"
    frame = gpd.GeoDataFrame(fields.assign(spot=[SPOT] * 3), geometry="spot", crs=32633)
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        table = pa.table(frame.to_arrow(index=False, geometry_encoding="WKB"))
        pyogrio.write_arrow(
            table, path, geometry_name="spot", geometry_type="Point", crs=frame.crs.to_wkt()
        )
    with pytest.warns(SamGeoWarning, match="The field geometry of .* is called geometry_ here"):
        layer = opened(path)
    for start, count in ((0, None), (1, 2)):
        found = layer.read(start, count)
        assert found.geometry.name == "geometry"
        assert {*found.geometry.geom_type} == {"Point"}
        assert [None if pd.isna(v) else v for v in found["geometry_"]] == values[start:]
        assert found["n"].to_list() == [1, 2, 3][start:]


def test_of_several_geometries_in_geoparquet_the_first_is_used_and_the_others_are_said(
    tmp_path: Path,
) -> None:
    frame = gpd.GeoDataFrame({"n": [1]}, geometry=[box(0, 0, 2, 2)], crs=32633)
    frame = frame.rename_geometry("footprint").assign(geometry=frame.centroid)
    frame.to_parquet(tmp_path / "a.parquet")
    with pytest.warns(SamGeoWarning, match=r"\(footprint, geometry\): only footprint is used"):
        found = opened(tmp_path / "a.parquet").read()
    assert {*found.columns} == {"n", "geometry"}
    assert found.geometry.to_list() == [box(0, 0, 2, 2)]


def test_tables_with_longitudes_are_points_in_wgs_84(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,lon,lat\nroof,15.5,45.25\n")
    with pytest.warns(SamGeoWarning, match="WGS 84"):
        layer = opened(path)
    assert layer.crs is not None
    assert layer.read().geometry.iloc[0] == Point(15.5, 45.25)
    (tmp_path / "b.csv").write_text("name\nroof\n")
    with pytest.raises(ParameterError, match="no geometries"):
        opened(tmp_path / "b.csv").read()


def test_a_shapefile_in_another_encoding_or_without_its_index_is_read(
    frame: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "a.shp"
    frame.to_file(path, encoding="ISO-8859-1")
    (tmp_path / "a.cpg").write_text("UTF-8")
    (tmp_path / "a.shx").unlink()
    before = sorted(tmp_path.iterdir())
    layer = opened(path)
    assert layer.read()["name"].tolist() == ["Dächer"]
    assert layer.crs is not None
    assert sorted(tmp_path.iterdir()) == before  # nothing is written beside it
    for suffix in (".prj", ".dbf"):
        path.with_suffix(suffix).unlink()
    assert opened(path).crs is None
    assert opened(path).read().geometry.iloc[0] == SPOT


@pytest.mark.parametrize(
    "spellings",
    [
        {".shp": ".SHP", ".shx": ".SHX", ".dbf": ".DBF", ".prj": ".PRJ", ".cpg": ".CPG"},
        {".shx": ".SHX", ".dbf": ".DBF", ".prj": ".PRJ"},
        {".shp": ".Shp", ".dbf": ".Dbf"},
        {".shx": "", ".dbf": ".DBF", ".prj": ".PRJ"},
    ],
    ids=["capitals", "some in capitals", "mixed", "without its index"],
)
def test_a_shapefile_is_read_whatever_the_case_of_its_extensions(
    frame: gpd.GeoDataFrame, tmp_path: Path, spellings: dict[str, str]
) -> None:
    path = tmp_path / "Roads.shp"
    frame.to_file(path)
    for suffix, other in spellings.items():
        part = path.with_suffix(suffix)
        part.rename(part.with_suffix(other)) if other else part.unlink()
    layer = opened(path.with_suffix(spellings.get(".shp", ".shp")))
    assert layer.read()["name"].tolist() == ["Dächer"]
    assert layer.read().crs.to_epsg() == 32633


def test_a_shapefile_in_an_archive_is_read(frame: gpd.GeoDataFrame, tmp_path: Path) -> None:
    frame.to_file(tmp_path / "a.shp")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for part in set(tmp_path.glob("a.*")) - {tmp_path / "a.zip"}:
            archive.write(part, part.name)
    assert opened(f"/vsizip/{tmp_path}/a.zip/a.shp").read()["name"].tolist() == ["Dächer"]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb", ".parquet"])
@pytest.mark.parametrize(("start", "count"), [(0, None), (0, 2), (3, 1)])
def test_fields_have_the_types_of_the_file_whatever_is_read_and_large_numbers_are_exact(
    tmp_path: Path, suffix: str, start: int, count: int | None
) -> None:
    frame = typed([box(0, 0, 1, 1)] * 4, 4326, gap=1)
    path = Path(save_typed(frame, tmp_path / f"a{suffix}")).rename(tmp_path / f"odd!name{suffix}")
    found = opened(path).read(start, count)
    wanted = frame.iloc[start : None if count is None else start + count]
    assert str(found["cadastre"].dtype) == "Int64"
    assert str(found["flag"].dtype) == "boolean"
    for name in ("cadastre", "flag"):
        assert found[name].to_list() == wanted[name].to_list(), name
    if suffix != ".fgb":  # has no dates, only times
        assert found["built"].isna().to_list() == wanted["built"].isna().to_list()
        assert set(found["built"].dropna()) == {DATE}


def test_a_folder_of_geoparquet_parts_is_one_layer(tmp_path: Path) -> None:
    frame = typed([box(k, 0, k + 1, 1) for k in range(4)], 32633, gap=3)
    folder = tmp_path / "odd!name.parquet"
    folder.mkdir()
    for number in range(2):
        save_typed(frame[2 * number : 2 * number + 2], folder / f"part-000{number}.parquet")
    layer = opened(folder)
    assert (layer.features, layer.crs) == (4, frame.crs)
    found = layer.read()
    assert found.geometry.to_list() == frame.geometry.to_list()
    for name in ("cadastre", "flag"):
        assert found[name].to_list() == frame[name].to_list(), name
    (last,) = layer.read(2, 1)["cadastre"]
    assert last == frame["cadastre"][2]


def test_batches_of_a_geoparquet_file_are_read_from_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = typed([box(k, 0, k + 1, 1) for k in range(6)], 32633, gap=3)
    layer = opened(save_typed(frame, tmp_path / "a.parquet"))
    reads = []
    whole = gpd.read_parquet
    monkeypatch.setattr(gpd, "read_parquet", lambda path: reads.append(path) or whole(path))
    batches = [layer.read(start, 2) for start in (0, 2, 4)]
    assert len(reads) == 1
    batches[0]["cadastre"] = 0  # its own copy
    assert layer.read(0, 2)["cadastre"].to_list() == frame["cadastre"][:2].to_list()
    assert batches[1]["cadastre"].to_list() == frame["cadastre"][2:4].to_list()
    assert batches[2].geometry.to_list() == frame.geometry[4:].to_list()


def test_one_geometry_that_nobody_knows_does_not_stop_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1), box(0, 0, 2, 2)], crs=32633).to_file(path)
    tin = bytearray(shapely.to_wkb(box(0, 0, 1, 1)))
    tin[1] = 16  # of a kind (TIN) that GEOS has not
    with closing(sqlite3.connect(path)) as database:
        (blob,) = database.execute("SELECT geom FROM a WHERE fid = 1").fetchone()
        database.execute("DROP TRIGGER IF EXISTS rtree_a_geom_update1")
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            database.execute(f'DROP TRIGGER "{name}"')
        head = blob[: len(blob) - len(shapely.to_wkb(box(0, 0, 1, 1)))]
        database.execute("UPDATE a SET geom = ? WHERE fid = 1", (head + bytes(tin),))
        database.commit()
    found = opened(path).read().geometry
    assert found.isna().tolist() == [True, False]


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson", ".fgb", ".parquet", ".csv"])
def test_damaged_files_are_one_sentence(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    for number, size in enumerate((0, 10, 5000)):
        path = tmp_path / f"a{number}{suffix}"
        path.write_bytes(rng.bytes(size))
        with pytest.raises(ParameterError):
            opened(path).read()
    with pytest.raises(ParameterError, match="no such file"):
        opened(tmp_path / f"missing{suffix}")


def test_lists_of_truth_values_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    values = [{"a": 1, "seen": [True, False], "geometry": [True]}, {"a": 2, "geometry": [False]}]
    point = {"type": "Point", "coordinates": [15.0, 45.0]}
    features = [{"type": "Feature", "properties": each, "geometry": point} for each in values]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with pytest.warns(SamGeoWarning, match="geometry_"):
        found = opened(path)
    layer = found.read()
    assert layer["seen"].tolist() == [[True, False], None]
    assert layer["geometry_"].tolist() == [[True], [False]]
    assert layer["a"].tolist() == [1, 2]
    assert found.read(1, 1)["geometry_"].tolist() == [[False]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.array([1.5, np.nan]), "[1.5, null]"),
        ([pd.NA, pd.NaT, np.inf, np.int64(3), np.True_], "[null, null, null, 3, true]"),
        ({np.int64(1): {("a", "b"): "ü"}}, """{"1": {"('a', 'b')": "ü"}}"""),
        (np.array(["2024-01-02"], "datetime64[ns]"), '["2024-01-02T00:00:00.000000000"]'),
        (np.array(5), "5"),
    ],
)
def test_lists_and_objects_are_json_that_programs_read(value: object, text: str) -> None:
    assert as_text(value) == text
    json.loads(text)


def test_collections_and_gaps_come_through(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    point = {"type": "Point", "coordinates": [15.0, 45.0, 5.0]}
    shapes = [None, {"type": "GeometryCollection", "geometries": [point]}, point]
    features = [{"type": "Feature", "properties": {}, "geometry": shape} for shape in shapes]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = opened(path).read().geometry
    assert found.isna().tolist() == [True, False, False]


@pytest.mark.parametrize("kind", ["MULTILINESTRING", "MULTIPOLYGON", "GEOMETRYCOLLECTION"])
def test_parts_that_are_empty_go(tmp_path: Path, kind: str) -> None:
    part = {"MULTIPOLYGON": "((0 0, 9 0, 9 9, 0 0))"}.get(kind, "(0 0, 9 9)")
    part = f"LINESTRING {part}" if kind.startswith("G") else part
    empty = "LINESTRING EMPTY" if kind.startswith("G") else "EMPTY"
    shape = shapely.from_wkt(f"{kind} ({empty}, {part})")
    gpd.GeoDataFrame({"n": [1]}, geometry=[shape], crs=32633).to_parquet(tmp_path / "a.parquet")
    (read,) = opened(tmp_path / "a.parquet").read().geometry
    assert len(read.geoms) == 1
    place = PromptTransform(Affine(1, 0, 0, 0, -1, 100), "EPSG:32633", "EPSG:4326")
    assert not place.geometry(shape).is_empty  # GEOS would crash


def test_coordinates_of_no_place_are_refused() -> None:
    place = PromptTransform(Affine(1, 0, 0, 0, -1, 100), "EPSG:32633", "EPSG:4326")
    for far in (np.inf, np.nan, 1e300):
        with pytest.raises(PromptError, match="no place on a map"):
            place.geometry(shapely.from_wkt(f"LINESTRING (0 0, {far} 1)"))


@pytest.fixture
def visitors() -> Iterator[tuple[int, list[object]]]:
    """A port of this machine, and who has come to it."""
    seen: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        ended = threading.Event()

        def wait() -> None:
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, who = listener.accept()
                    connection.close()
                    seen.append(who)

        thread = threading.Thread(target=wait)
        thread.start()
        yield listener.getsockname()[1], seen
        ended.set()
        thread.join()


def test_no_vector_file_leads_to_a_server_whatever_it_is_given_for(
    tmp_path: Path, visitors: tuple[int, list[object]]
) -> None:
    port, seen = visitors
    address = f"http://127.0.0.1:{port}/a.geojson"
    path = tmp_path / "a.vrt"
    path.write_text(
        f'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{address}</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>"
    )
    raster = tmp_path / "r.tif"
    with rasterio.open(
        raster, "w", driver="GTiff", count=1, dtype="uint8", width=9, height=9, crs="EPSG:32633",
        transform=Affine(1, 0, 0, 0, -1, 9),
    ) as file:  # fmt: skip
        file.write(np.ones((1, 9, 9), np.uint8))
    with open_raster(raster) as opened_raster:
        place = opened_raster.transform, opened_raster.crs, opened_raster.shape
        for use in (
            lambda p: opened(p),
            lambda p: read_prompts(LayerOptions(str(p)), *place),
            lambda p: AreaOfInterest.from_layer(p, opened_raster),
            lambda p: read_examples([ExampleLayer(str(p), class_name="a")], *place),
            lambda p: place_layer(str(p), None, opened_raster),
            lambda p: read_vector(p),
            lambda p: tracking._read(p, None),
            lambda p: show(raster, p),
        ):
            for name in (path, path.rename(path.with_suffix(".gpkg"))):
                with pytest.raises(SamGeoError):
                    use(name)
                layer_input("the layer", str(name))
            path = name.rename(name.with_suffix(".vrt"))
    assert seen == []


def test_what_crosses_itself_beside_a_pole_is_read_the_short_way_round(tmp_path: Path) -> None:
    square = shapely.segmentize(box(-4120, 3320, -3120, 4120), 100.0)
    left = gpd.GeoDataFrame({"n": [1]}, geometry=[square], crs="EPSG:3413").to_crs("EPSG:4326")
    assert not left.is_valid.any()
    left.to_file(tmp_path / "polar.gpkg")
    (shape,) = opened(tmp_path / "polar.gpkg").read().to_crs("EPSG:3413").geometry
    assert shape.area == pytest.approx(square.area, rel=1e-3)


POLYGON_Z = "POLYGON Z ((0 0 1,8 0 1,8 8 1,0 0 1))"


@pytest.mark.parametrize("kind", ["GEOMETRY", "POLYHEDRALSURFACE", "TIN"])
@pytest.mark.parametrize("heights", [0, 1])
@pytest.mark.parametrize("measures", [0, 1])
def test_a_layer_of_any_type_of_geometry_is_read(
    tmp_path: Path, kind: str, heights: int, measures: int
) -> None:
    path = tmp_path / "a.gpkg"
    gpd.GeoDataFrame({"n": [7]}, geometry=shapely.from_wkt([POLYGON_Z]), crs=32633).to_file(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "UPDATE gpkg_geometry_columns SET geometry_type_name = ?, z = ?, m = ?",
            (kind, heights, measures),
        )
    found = read_vector(path)
    assert found.texts("n") == ["7"]
    assert shapely.area(found.shapes).tolist() == [32.0]


def test_a_gml_with_heights_is_read(tmp_path: Path) -> None:
    shapes = shapely.from_wkt([POLYGON_Z, "MULTIPOLYGON Z (((0 0 1,8 0 1,8 8 1,0 0 1)))"])
    gpd.GeoDataFrame({"n": [1, 2]}, geometry=shapes, crs=32633).to_file(
        tmp_path / "a.gml", driver="GML", geometry_type="Unknown"
    )
    assert len(read_vector(tmp_path / "a.gml")) == 2


def test_a_file_without_layers_is_one_sentence(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as db, db:
        db.execute("CREATE TABLE t (a TEXT)")
        db.execute("DROP TABLE t")
    with pytest.raises(ParameterError, match=r"a\.sqlite has no layers: choose another file"):
        open_vector(tmp_path / "a.sqlite", parameter=None)


def packed(path: Path, *folders: Path) -> Path:
    """A ZIP of all that lies in some folders, with their names."""
    with zipfile.ZipFile(path, "w") as archive:
        for folder in folders:
            for file in sorted(folder.rglob("*")):
                archive.write(file, file.relative_to(folder.parent))
    return path


@pytest.mark.parametrize("ending", ["shp", "gdb", "geojson"])
def test_a_layer_in_a_folder_of_an_archive_is_read(
    frame: gpd.GeoDataFrame, tmp_path: Path, ending: str
) -> None:
    folder = tmp_path / "download"
    folder.mkdir()
    (folder / "readme.json").write_text("{}")
    frame.to_file(folder / f"a.{ending}", **({"driver": "OpenFileGDB"} if ending == "gdb" else {}))
    assert opened(packed(tmp_path / "a.zip", folder)).read()["name"].tolist() == ["Dächer"]
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        archive.add(folder, "download")
    assert opened(tmp_path / "a.tgz").read()["name"].tolist() == ["Dächer"]


def test_a_packed_file_is_read(frame: gpd.GeoDataFrame, tmp_path: Path) -> None:
    frame.to_file(tmp_path / "a.geojson")
    (tmp_path / "b.geojson.gz").write_bytes(gzip.compress((tmp_path / "a.geojson").read_bytes()))
    assert len(opened(tmp_path / "b.geojson.gz").read()) == 1


def test_of_several_files_in_an_archive_one_must_be_named_or_it_is_said(
    frame: gpd.GeoDataFrame, tmp_path: Path
) -> None:
    folder = tmp_path / "both"
    folder.mkdir()
    frame.to_file(folder / "roads.shp")
    frame.assign(name="house").to_file(folder / "houses.gpkg")
    path = packed(tmp_path / "a.zip", folder)
    said = r"holds several vector files \(both/houses.gpkg, both/roads.shp\): the first one is"
    with pytest.warns(SamGeoWarning, match=said):
        assert opened(path).read()["name"].tolist() == ["house"]
    assert opened(path, "roads").read()["name"].tolist() == ["Dächer"]
    assert opened(f"/vsizip/{path}/both/roads.shp").read()["name"].tolist() == ["Dächer"]
    frame.to_file(folder / "houses.shp")
    (folder / "houses.gpkg").unlink()
    (tmp_path / "a.zip").unlink()
    path = packed(tmp_path / "a.zip", folder)
    with pytest.warns(SamGeoWarning, match=r"several layers \(houses, roads\)"):
        assert opened(path).layer == "houses"
    assert opened(path, "roads").layer == "roads"


def test_archives_without_a_layer_and_damaged_ones_are_one_sentence(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.md", "nothing")
    with pytest.raises(ParameterError, match="cannot be read as a vector layer") as caught:
        opened(tmp_path / "a.zip")
    assert "specify the correct driver" not in str(caught.value)
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ParameterError, match=r"The archive .*b\.zip cannot be read"):
        opened(tmp_path / "b.zip")


def test_a_table_without_columns_that_place_it_says_which_it_needs(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,x,y\n1,500060,4999940\n")
    with pytest.raises(ParameterError, match=r"columns of longitudes and latitudes.*\(lon, lat\)"):
        opened(tmp_path / "a.csv").read()
    for name in ("wkt_geom", "the_geom"):  # QGIS's clipboard, GeoServer
        (tmp_path / "b.csv").write_text(f'{name},name\n"POINT (500060 4999940)",1\n')
        assert opened(tmp_path / "b.csv").read().geometry.tolist() == [SPOT]
