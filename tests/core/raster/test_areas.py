# SPDX-License-Identifier: GPL-2.0-or-later
"""An area of interest touches the windows it lies in, keeps what is inside, and must hit."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import example, given
from hypothesis import strategies as st
from pyproj import Transformer
from samgeo_core.errors import ParameterError
from samgeo_core.notes import collected
from samgeo_core.raster.areas import AreaOfInterest
from samgeo_core.raster.raster import Raster, RasterOptions, open_raster
from samgeo_core.types import GroundBox, PixelBox
from shapely.geometry import LineString, Point, Polygon, box

Make = Callable[..., Path]
PLACE = Affine.translation(500_000, 5_000_000) @ Affine.rotation(25) @ Affine.scale(2, -2)


@pytest.fixture
def raster(make_raster: Make) -> Iterator[Raster]:
    path = make_raster(np.ones((200, 300), np.uint8), transform=PLACE, crs="EPSG:32633")
    with open_raster(path) as opened:
        yield opened


class Placed:
    """Just the place of a raster."""

    name = "placed"
    bounds = PixelBox(0, 0, 40, 50)
    transform = PLACE
    crs = None


@given(
    st.integers(0, 39),
    st.integers(0, 49),
    st.integers(1, 20),
    st.integers(1, 20),
    st.integers(-5, 45),
    st.integers(-5, 55),
    st.integers(1, 9),
)
def test_windows_are_touched_where_they_share_pixels(
    row: int, col: int, h: int, w: int, at_row: int, at_col: int, size: int
) -> None:
    # An area made of whole pixels: then touching means a common pixel.
    pixels = PixelBox(row, col, row + h, col + w)
    t = PLACE
    corners = [(col, row), (col + w, row), (col + w, row + h), (col, row + h)]
    area = AreaOfInterest(Polygon([t @ c for c in corners]), Placed())
    window = PixelBox(at_row, at_col, at_row + size, at_col + size)
    grown, shrunk = pixels.grown(0), window
    if grown.intersects(shrunk):
        assert area.touches(window)
    elif not pixels.grown(1).intersects(window):
        assert not area.touches(window)


def test_an_extent_in_another_crs_is_bent_as_the_ground_is(make_raster: Make) -> None:
    # A wide extent in degrees: its northern side is an arc in UTM, 1.7 km off its chord.
    path = make_raster(
        np.ones((400, 400), np.uint8), transform=Affine(1000, 0, 300_000, 0, -1000, 6_900_000)
    )
    with open_raster(path) as raster:
        area = AreaOfInterest.from_extent(GroundBox(12.0, 60.0, 18.0, 62.0), "EPSG:4326", raster)
    to_utm = Transformer.from_crs(4326, 32633, always_xy=True)
    for lon in np.linspace(12.2, 17.8, 9):
        for lat, inside in ((61.99, True), (62.01, False), (60.01, True), (59.99, False)):
            assert area.ground.contains(Point(to_utm.transform(lon, lat))) == inside


def test_an_extent_across_the_date_line(make_raster: Make) -> None:
    path = make_raster(
        np.ones((100, 100), np.uint8),
        crs="EPSG:32701",
        transform=Affine(1000, 0, 120_000, 0, -1000, 8_200_000),
    )
    with open_raster(path) as raster:
        area = AreaOfInterest.from_extent(GroundBox(179.0, -17, -179.0, -16), "EPSG:4326", raster)
        inside = Transformer.from_crs(4326, 32701, always_xy=True).transform(-179.9, -16.5)
        assert area.ground.contains(Point(inside))
        assert area.ground.area < 3e10


def test_degrees_are_shifted_by_whole_turns_to_meet_the_raster(make_raster: Make) -> None:
    path = make_raster(
        np.ones((20, 20), np.uint8), crs="EPSG:4326", transform=Affine(1, 0, 175, 0, -1, 10)
    )
    with open_raster(path) as raster:  # 175 to 195 degrees east
        area = AreaOfInterest.from_extent(GroundBox(-179, 0, -178, 5), "EPSG:4326", raster)
        assert area.touches(PixelBox(5, 6, 10, 7))
        assert not area.touches(PixelBox(5, 0, 10, 5))


def test_an_area_at_the_date_line_and_one_around_the_pole(make_raster: Make) -> None:
    path = make_raster(
        np.ones((200, 200), np.uint8), crs="EPSG:3413", transform=Affine(2e4, 0, -2e6, 0, -2e4, 2e6)
    )
    with open_raster(path) as raster:
        cap = AreaOfInterest.from_extent(GroundBox(-180, 85, 180, 90), "EPSG:4326", raster)
        assert cap.keeps(Point(0, 0).buffer(1000))
        assert not cap.touches(PixelBox(0, 0, 20, 20))
        lune = AreaOfInterest.from_extent(GroundBox(170, 70, -170, 90), "EPSG:4326", raster)
        x, y = Transformer.from_crs(4326, 3413, always_xy=True).transform([180, 0], [80, 80])
        assert lune.ground.contains(Point(x[0], y[0]))
        assert not lune.ground.contains(Point(x[1], y[1]))


def test_a_raster_of_0_to_360_takes_western_extents(make_raster: Make) -> None:
    path = make_raster(
        np.ones((180, 360), np.uint8), crs="EPSG:4326", transform=Affine(1, 0, 0, 0, -1, 90)
    )
    with open_raster(path) as raster:
        area = AreaOfInterest.from_extent(GroundBox(-76, 10, -75, 11), None, raster)
        assert area.pixels.bounds == pytest.approx((284, 79, 285, 80))
        across = AreaOfInterest.from_extent(GroundBox(179, 0, -179, 1), None, raster)
        assert across.pixels.bounds == pytest.approx((179, 89, 181, 90))


def test_half_of_a_shape_must_lie_inside(raster: Raster) -> None:
    t = raster.transform
    frame = [t @ c for c in ((50, 50), (150, 50), (150, 150), (50, 150))]
    area = AreaOfInterest(Polygon(frame), raster)

    def on_ground(shape: object) -> object:
        return shapely.transform(shape, lambda xy: np.column_stack(t @ (xy[:, 0], xy[:, 1])))

    assert area.keeps(on_ground(box(60, 60, 70, 70)))
    assert area.keeps(on_ground(box(45.1, 60, 55, 70)))
    assert not area.keeps(on_ground(box(44, 60, 55, 70)))
    assert not area.keeps(on_ground(box(0, 0, 10, 10)))
    assert area.keeps(on_ground(LineString([(40, 60), (61, 60)])))
    assert not area.keeps(on_ground(LineString([(38, 60), (61, 60)])))
    # More of a shape than the area itself can never lie inside.
    assert not area.keeps(on_ground(box(0, 0, 190, 290)))
    # A bow tie is mended before it is measured.
    assert area.keeps(on_ground(Polygon([(60, 60), (80, 80), (80, 60), (60, 80)])))


def test_a_layer_in_another_crs_with_several_polygons_and_a_hole(
    raster: Raster, tmp_path: Path
) -> None:
    t = raster.transform

    def corner(*cs: tuple[float, float]) -> list:
        return [t @ c for c in cs]

    ring = Polygon(
        corner((10, 10), (90, 10), (90, 90), (10, 90)),
        [corner((30, 30), (70, 30), (70, 70), (30, 70))],
    )
    second = Polygon(corner((150, 150), (160, 150), (160, 160), (150, 160)))
    layer = gpd.GeoDataFrame(
        {"name": ["a", "b", "c"]}, geometry=[ring, second, Point(t @ (200, 100))], crs=32633
    ).to_crs(3035)
    layer.to_file(tmp_path / "area.gpkg")
    area = AreaOfInterest.from_layer(tmp_path / "area.gpkg", raster)
    assert area.touches(PixelBox(12, 12, 14, 14))
    assert not area.touches(PixelBox(40, 40, 60, 60))
    assert area.touches(PixelBox(140, 140, 155, 155))
    assert not area.touches(PixelBox(90, 195, 110, 205))


def test_the_working_resolution_does_not_move_the_area(make_raster: Make) -> None:
    path = make_raster(np.ones((200, 300), np.uint8), transform=Affine(1, 0, 0, 0, -1, 200))
    with open_raster(path, RasterOptions(resolution=4.0)) as raster:
        area = AreaOfInterest.from_extent(GroundBox(40, 120, 80, 160), None, raster)
        assert area.pixels.bounds == pytest.approx((10, 10, 20, 20))


def test_an_area_that_misses_the_raster_is_refused_with_both_places(raster: Raster) -> None:
    with pytest.raises(ParameterError, match="misses the raster"):
        AreaOfInterest.from_extent(GroundBox(10, 50, 11, 51), "EPSG:4326", raster)


def test_places_are_said_with_the_digits_that_tell_them_apart(make_raster: Make) -> None:
    transform = Affine(0.5, 0, 351_325, 0, -0.5, 3_057_370)
    path = make_raster(np.ones((200, 300), np.uint8), transform=transform, crs="EPSG:32645")
    says = r"y 3057400 to 3057450\.5 .*misses.* \(x 351325 to 351475, y 3057270 to 3057370\)"
    with open_raster(path) as raster, pytest.raises(ParameterError, match=says):
        AreaOfInterest.from_extent(
            GroundBox(351_325, 3_057_400, 351_475, 3_057_450.5), None, raster
        )


@pytest.mark.parametrize(
    ("extent", "crs", "reason"),
    [
        (GroundBox(5, 0, 5, 1), "EPSG:32633", "empty"),
        (GroundBox(5, 0, 4, 1), "EPSG:32633", "empty"),
        (GroundBox(float("nan"), 0, 4, 1), "EPSG:32633", "empty"),
        # The wrong way round, not around the Earth.
        (GroundBox(15, 45, 14, 46), "EPSG:4326", "xmin, ymin, xmax, ymax in this order"),
        (GroundBox(14, 46, 15, 45), "EPSG:4326", "xmin, ymin, xmax, ymax in this order"),
        (GroundBox(0, 0, 1, 1), "EPSG:999999", "not a coordinate system"),
    ],
)
def test_bad_extents_are_refused(raster: Raster, extent: GroundBox, crs: str, reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        AreaOfInterest.from_extent(extent, crs, raster)


def test_the_whole_world_is_an_area_that_keeps_everything(raster: Raster) -> None:
    area = AreaOfInterest.from_extent(GroundBox(-180, -90, 180, 90), "EPSG:4326", raster)
    corners = [raster.transform @ c for c in ((0, 0), (300, 0), (300, 200), (0, 200))]
    assert area.keeps(Polygon(corners))
    assert area.touches(PixelBox(0, 0, 1, 1))
    assert area.touches(PixelBox(199, 299, 200, 300))


def test_bad_layers_are_refused(raster: Raster, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot be read"):
        AreaOfInterest.from_layer(tmp_path / "missing.gpkg", raster)
    (tmp_path / "text.gpkg").write_text("nothing")
    with pytest.raises(ParameterError, match="cannot be read"):
        AreaOfInterest.from_layer(tmp_path / "text.gpkg", raster)
    points = gpd.GeoDataFrame(geometry=[Point(0, 0)], crs=4326)
    points.to_file(tmp_path / "points.gpkg")
    with pytest.raises(ParameterError, match="no polygons"):
        AreaOfInterest.from_layer(tmp_path / "points.gpkg", raster)
    gpd.GeoDataFrame(geometry=[box(0, 0, 1, 1)]).to_file(tmp_path / "plain.shp")
    with pytest.raises(ParameterError, match="no coordinate system"):
        AreaOfInterest.from_layer(tmp_path / "plain.shp", raster)


@given(st.floats(0.1, 49.9), st.sampled_from([1, 3, 4, 8]))
@example(26.0, 4)  # through the middles of cells
def test_each_cell_is_of_one_of_two_areas_side_by_side(split: float, cell: int) -> None:
    lattice = Placed.bounds.cells(cell)
    held = np.zeros(lattice.shape, int)
    for col0, col1 in ((0.0, split), (split, 50.0)):
        corners = [PLACE @ corner for corner in ((col0, 0), (col1, 0), (col1, 40), (col0, 40))]
        area = AreaOfInterest(Polygon(corners), Placed())
        own = area.holds(lattice, cell)
        tight = area.cells(cell)
        assert own.sum() == own[tight.slices(lattice)].sum() == tight.area
        assert (area.holds(tight.grown(2), cell)[2:-2, 2:-2]).all()
        held += own
    assert (held == 1).all()


def test_a_raster_without_crs_takes_areas_in_its_own_units(make_raster: Make) -> None:
    path = make_raster(np.ones((20, 20), np.uint8), crs=None)
    with pytest.warns(UserWarning, match="no coordinate system"):
        raster = open_raster(path)
    with raster:
        x, y = raster.transform @ (5, 5)
        area = AreaOfInterest.from_extent(GroundBox(x, y - 1, x + 1, y), None, raster)
        assert area.touches(PixelBox(5, 5, 6, 6))
        with pytest.raises(ParameterError, match="no coordinate system"):
            AreaOfInterest.from_extent(GroundBox(0, 0, 1, 1), "EPSG:4326", raster)


@pytest.mark.parametrize("undefined", [-1, 0])
def test_a_geopackage_that_says_undefined_has_no_crs(
    raster: Raster, make_raster: Make, tmp_path: Path, undefined: int
) -> None:
    path = tmp_path / "plain.gpkg"
    gpd.GeoDataFrame(geometry=[box(5, -10, 10, -5)]).to_file(path, layer="plain")
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE gpkg_geometry_columns SET srs_id = ?", (undefined,))
        file.execute("UPDATE gpkg_contents SET srs_id = ?", (undefined,))
    with pytest.raises(ParameterError, match="no coordinate system"):
        AreaOfInterest.from_layer(path, raster)
    pixels = make_raster(np.ones((20, 20), np.uint8), crs=None, transform=Affine.scale(1, -1))
    with pytest.warns(UserWarning, match="no coordinate system"):
        plain = open_raster(pixels)
    with plain:
        area = AreaOfInterest.from_layer(path, plain)
        assert area.touches(PixelBox(5, 5, 6, 6))
        assert not area.touches(PixelBox(11, 11, 12, 12))


def test_a_polygon_that_crosses_itself_is_all_that_it_surrounds(
    raster: Raster, tmp_path: Path
) -> None:
    bow = Polygon([(500_000, 5e6), (500_020, 5e6 - 20), (500_020, 5e6), (500_000, 5e6 - 20)])
    other = box(500_030, 5e6 - 20, 500_040, 5e6)
    assert bow.area == 0
    gpd.GeoSeries([bow, other], crs=32633).to_file(tmp_path / "a.gpkg")
    area = AreaOfInterest.from_layer(tmp_path / "a.gpkg", raster)
    assert area.ground.area == pytest.approx(200 + 200)


def test_lines_and_points_beside_the_polygons_of_an_area_are_counted(raster, tmp_path):
    x, y = raster.transform @ (20, 20)
    square = shapely.box(x, y, x + 10, y + 10)
    flat = shapely.Polygon([(x, y), (x + 9, y), (x, y)])
    mixed = shapely.GeometryCollection([square, shapely.Point(x, y)])
    others = [shapely.LineString([(x, y), (x + 5, y)]), shapely.Point(x, y), flat, None]
    for shapes, count in (([square, mixed], 0), ([square, *others], 3), ([square, flat], 1)):
        path = tmp_path / f"area{len(shapes)}{count}.gpkg"
        gpd.GeoDataFrame(geometry=shapes, crs=raster.crs).to_file(path)
        with collected() as said:
            area = AreaOfInterest.from_layer(path, raster)
        assert area.ground.equals(square)
        texts = [str(warning) for warning in said if "area of interest" in str(warning)]
        if count == 0:
            assert texts == []
        else:
            assert len(texts) == 1
            assert texts[0].startswith(f"{count} feature")
            assert path.name in texts[0]
