# SPDX-License-Identifier: GPL-2.0-or-later
"""Maps of classes and roads of a part of a raster."""

import geopandas as gpd
import pytest
import rasterio
import shapely
from pyproj import Transformer
from samgeo_core.errors import ParameterError, SamGeoWarning
from samgeo_core.jobs.classes import map_classes as job
from samgeo_core.jobs.classes.class_polygons import class_polygons
from samgeo_core.jobs.classes.map_classes import map_classes
from samgeo_core.layers.provenance import read_provenance

from ..classes.world import CRS, TRANSFORM, mobile_sam
from .test_map_classes import HEIGHT, ROAD, WIDTH, parameters, streets  # noqa: F401


@pytest.fixture(autouse=True)
def _no_shared_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMGEO_CACHE_DIR", str(tmp_path / "cache"))


def extent_of(row0, col0, row1, col1):
    """An extent around pixels, in the raster's CRS."""
    (x0, y1), (x1, y0) = TRANSFORM @ (col0, row0), TRANSFORM @ (col1, row1)
    return [x0, y0, x1, y1]


PART = extent_of(100, 80, 260, 300)


def made(streets, output, **options):  # noqa: F811
    """The result of a job and its layer."""
    asked = parameters(streets, output, **options)
    result = map_classes(asked, factory=mobile_sam)
    return result, gpd.read_file(output, layer=output.stem)


def test_surfaces_fill_the_extent_and_no_more(streets, tmp_path):  # noqa: F811
    result, found = made(streets, tmp_path / "out.gpkg", extent=PART)
    part = shapely.box(*PART)
    assert found.geometry.union_all().equals(part)
    assert found.geometry.area.sum() == pytest.approx(part.area, rel=1e-9)
    assert set(found["class"]) == {"road", "grass", "water"}
    assert shapely.coverage_is_valid(shapely.get_parts(found.geometry.values))
    assert result.tiles == 9  # of 12
    assert read_provenance(tmp_path / "out.gpkg")["options"]["extent"] == PART


def test_extents_side_by_side_share_their_border(streets, tmp_path):  # noqa: F811
    """One that runs through the middles of cells, too."""
    middle = 203
    parts = [
        made(streets, tmp_path / name, extent=extent)[1].union_all()
        for name, extent in (
            ("west.gpkg", extent_of(0, 0, HEIGHT, middle)),
            ("east.gpkg", extent_of(0, middle, HEIGHT, WIDTH)),
        )
    ]
    assert parts[0].intersection(parts[1]).area == 0
    assert shapely.union_all(parts).area == pytest.approx(HEIGHT * WIDTH * 0.25)


def test_roads_end_at_the_extent_as_at_the_border_of_the_raster(streets, tmp_path):  # noqa: F811
    short = []
    for name, extent in (("whole", extent_of(0, 0, HEIGHT, WIDTH)), ("part", PART)):
        path, roads = tmp_path / f"{name}.gpkg", {"shapes": "network", "road_class": "road"}
        _, found = made(streets, path, **roads, extent=extent if name == "part" else None)
        lines = shapely.get_parts(found.geometry.values)
        assert len(lines) == 4
        frame = shapely.box(*extent)
        assert all(frame.covers(line) for line in lines)
        ends = [shapely.Point(xy) for line in lines for xy in line.coords[:: len(line.coords) - 1]]
        gaps = sorted(frame.exterior.distance(end) for end in ends)
        short.append(gaps[3])  # the other ends meet in the middle
        assert gaps[4] > ROAD
    whole, part = short
    assert part <= max(whole, 0.5 * ROAD * 0.5) + 0.5 * 0.5 * ROAD / 2


@pytest.mark.parametrize("options", [{}, {"shapes": "network", "road_class": "road"}])
def test_the_extent_in_another_crs_is_the_same_ground(streets, tmp_path, options):  # noqa: F811
    to_degrees = Transformer.from_crs(CRS, 4326, always_xy=True)
    degrees = list(to_degrees.transform_bounds(*PART))
    _, found = made(
        streets, tmp_path / "out.gpkg", extent=degrees, extent_crs="EPSG:4326", **options
    )
    frame = gpd.GeoSeries([shapely.box(*degrees).segmentize(1e-5)], crs=4326).to_crs(CRS)[0]
    half_a_cell = 2 * 0.5
    assert frame.buffer(half_a_cell).covers(found.union_all())
    if not options:
        assert found.union_all().covers(frame.buffer(-2 * half_a_cell))


def test_an_extent_around_the_raster_changes_nothing(streets, tmp_path):  # noqa: F811
    _, whole = made(streets, tmp_path / "whole.gpkg")
    _, around = made(streets, tmp_path / "around.gpkg", extent=extent_of(-9, -9, 400, 500))
    _, same = made(streets, tmp_path / "same.gpkg", extent=extent_of(0, 0, HEIGHT, WIDTH))
    assert whole.geometry.equals(around.geometry)
    assert whole.geometry.equals(same.geometry)


@pytest.mark.parametrize("slanted", [False, True])
def test_cells_in_the_extent_are_those_of_the_whole_raster_in_any_tiles(
    streets, tmp_path, monkeypatch, slanted  # noqa: F811
):  # fmt: skip
    """With a saved classifier, whose features do not depend on the extent."""
    kept = str(tmp_path / "kept.samgeo-classes")
    map_classes(parameters(streets, tmp_path / "a.gpkg", save_classifier=kept), factory=mobile_sam)
    seen = []

    def spied(asked, raster, source, *rest):
        seen.append(source)
        return class_polygons(asked, raster, source, *rest)

    monkeypatch.setattr(job, "class_polygons", spied)
    extent, crs = PART, None
    if slanted:
        crs = "+proj=ortho +lat_0=45 +lon_0=60"  # turned by 30 degrees
        extent = list(Transformer.from_crs(CRS, crs, always_xy=True).transform_bounds(*PART))
    for name, place in (("whole", {}), ("part", {"extent": extent, "extent_crs": crs})):
        asked = parameters(
            streets, tmp_path / f"{name}.gpkg", examples=None, class_field=None, classifier=kept,
            job_folder=str(tmp_path / name), **place,
        )  # fmt: skip
        map_classes(asked, factory=mobile_sam)
    whole, part = seen
    box = part.bounds
    logits, known = part.logits(box)
    all_logits, all_known = whole.logits(box)
    assert known.any()
    assert not slanted or not known.all()
    assert (logits[:, known] == all_logits[:, known]).all()
    assert all_known[known].all()
    assert (logits[:, ~known] == 0).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"extent": [0.0, 0.0, 9.0, 9.0]}, r"^The extent .* misses the raster .*streets\.tif"),
        ({"extent": [9.0, 0.0, 0.0, 9.0]}, "^The extent .* is empty: give xmin, ymin"),
        ({"extent_crs": "EPSG:4326"}, "^extent_crs EPSG:4326 says nothing without extent: give bo"),
        (
            {"extent": extent_of(10, 10, 10.4, 11)},
            r"^extent is smaller than a cell of the map \(1 x",
        ),
    ],
)
def test_a_bad_extent_is_refused_in_a_sentence(streets, tmp_path, options, sentence):  # noqa: F811
    with pytest.raises(ParameterError, match=sentence):
        made(streets, tmp_path / "out.gpkg", **options)
    assert not (tmp_path / "out.gpkg").exists()


def test_an_extent_without_data_is_said_to_have_none(streets, tmp_path):  # noqa: F811
    with rasterio.open(streets[0]) as file:
        profile, image = file.profile, file.read()
    image[:, :120, :120] = 0
    raster = tmp_path / "hole.tif"
    with rasterio.open(raster, "w", **{**profile, "nodata": 0}) as file:
        file.write(image)
    with pytest.warns(
        SamGeoWarning, match=r"^No polygons: the raster has no data in the extent\.$"
    ):
        made((raster, streets[1]), tmp_path / "out.gpkg", extent=extent_of(8, 8, 80, 80))


def test_strokes_beside_the_extent_say_what_classes_are(streets, tmp_path):  # noqa: F811
    _, found = made(streets, tmp_path / "out.gpkg", extent=extent_of(200, 260, 300, 400))
    pond = found[found["class"] == "water"].geometry.area.sum()
    assert pond == pytest.approx(70 * 100 * 0.25, rel=0.05)


def test_a_job_with_another_extent_uses_the_tiles_that_are_done(
    streets, tmp_path, monkeypatch  # noqa: F811
):  # fmt: skip
    kept = str(tmp_path / "kept.samgeo-classes")
    map_classes(parameters(streets, tmp_path / "a.gpkg", save_classifier=kept), factory=mobile_sam)
    folder = tmp_path / "job"
    options = {"examples": None, "class_field": None, "classifier": kept, "job_folder": str(folder)}
    made(streets, tmp_path / "part.gpkg", extent=PART, **options)
    before = {path: path.stat().st_mtime_ns for path in folder.glob("features/map-*/maps/*.npz")}
    assert len(before) == 9  # of 12
    _, found = made(streets, tmp_path / "whole.gpkg", **options)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert found.geometry.area.sum() == pytest.approx(HEIGHT * WIDTH * 0.25, rel=1e-6)
