# SPDX-License-Identifier: GPL-2.0-or-later
import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from samgeo_core.classes.assign import assign, unlike_all
from samgeo_core.classes.cell_examples import MOST_IN_ALL, cell_examples
from samgeo_core.classes.examples import (
    NONE,
    Example,
    ExampleLayer,
    check_classes,
    class_name,
    read_examples,
)
from samgeo_core.errors import ParameterError, PromptError, SamGeoWarning
from samgeo_core.types import CellBox

from .world import CRS, HEIGHT, TRANSFORM, WIDTH

SHAPE = HEIGHT, WIDTH


def ground(geometry):
    return shapely.transform(geometry, lambda xy: np.column_stack(TRANSFORM @ xy.T))


def written(path, rows, crs=CRS, to=None):
    frame = gpd.GeoDataFrame(
        {"kind": [kind for kind, _ in rows]}, geometry=[ground(g) for _, g in rows], crs=crs
    )
    (frame if to is None else frame.to_crs(to)).to_file(path)
    return str(path)


def read(path, **options):
    layer = ExampleLayer(path, **{"class_field": "kind", **options})
    return read_examples([layer], TRANSFORM, CRS, SHAPE)


@pytest.mark.parametrize("to", [None, "EPSG:4326", "EPSG:3857"])
def test_points_strokes_boxes_and_polygons_come_from_any_crs(tmp_path, to):
    rows = [
        ("a", shapely.Point(20, 30)),
        ("a", shapely.LineString([(10, 10), (60, 40)])),
        ("b", shapely.box(40, 50, 80, 90)),
        ("b", shapely.Polygon([(100, 100), (140, 110), (120, 150)])),
        (None, shapely.MultiPoint([(5, 5), (9, 9)])),
    ]
    found = read(written(tmp_path / "e.geojson", rows, to=to))
    kinds = sorted((e.class_name, e.kind) for e in found)
    # A box along the axes of one CRS is none along those of another.
    box = "box" if to in (None,) else "polygon"
    wanted = [("a", "point"), ("a", "stroke"), ("b", box), ("b", "polygon")]
    assert kinds == sorted([("", "point"), ("", "point"), *wanted])
    point = next(e.geometry for e in found if e.class_name == "a" and e.kind == "point")
    assert (point.x, point.y) == pytest.approx((20, 30), abs=0.02)


def test_a_box_is_one_in_a_layer_of_multipolygons_too(tmp_path):
    box = shapely.box(10, 10, 40, 30)
    rows = [
        ("a", shapely.MultiPolygon([box])),
        ("b", shapely.MultiPolygon([box, shapely.box(50, 10, 60, 30)])),
    ]
    found = read(written(tmp_path / "boxes.gpkg", rows), class_field="kind")
    assert [(e.class_name, e.kind) for e in found] == [("a", "box"), ("b", "polygon")]


def test_a_polygon_of_a_pixel_is_a_point_and_one_outside_is_left_out(tmp_path):
    rows = [("a", shapely.box(20, 20, 21, 21)), ("b", shapely.box(900, 900, 950, 950))]
    with pytest.warns(SamGeoWarning, match="1 of the examples lie outside"):
        found = read(written(tmp_path / "e.gpkg", rows))
    assert [e.kind for e in found] == ["point"]


def test_a_layer_without_a_usable_example_is_refused_in_a_sentence(tmp_path):
    path = written(tmp_path / "e.gpkg", [("b", shapely.box(900, 900, 950, 950))])
    with pytest.raises(PromptError, match="None of the 1 examples lies on the raster"):
        read(path)
    with pytest.raises(ParameterError, match="no field 'sort': kind"):
        read(path, class_field="sort")
    with pytest.raises(PromptError, match="there is no such file"):
        read(str(tmp_path / "missing.gpkg"))
    frame = gpd.GeoDataFrame({"kind": ["a", "b"]}, geometry=[None, shapely.Point()], crs=CRS)
    frame.to_file(tmp_path / "empty.gpkg")
    with pytest.raises(PromptError, match="None of the 2 examples has a geometry"):
        read(str(tmp_path / "empty.gpkg"))


def test_examples_beyond_the_date_line_come_to_a_raster_that_crosses_it(tmp_path):
    path = tmp_path / "e.geojson"
    frame = gpd.GeoDataFrame(
        {"kind": ["a"]}, geometry=[shapely.box(-179.9, 1, -179.8, 1.2)], crs=4326
    )
    frame.to_file(path)
    place = Affine(0.01, 0, 179.5, 0, -0.01, 2)
    (found,) = read_examples([ExampleLayer(str(path), "kind")], place, "EPSG:4326", (100, 100))
    assert found.geometry.bounds == pytest.approx((60, 80, 70, 100))


def test_the_order_of_a_layers_features_says_nothing(tmp_path):
    rows = [("ab"[k % 2], shapely.Point(7 * k, 5 * k)) for k in range(9)]
    one = read(written(tmp_path / "a.gpkg", rows))
    two = read(written(tmp_path / "b.gpkg", rows[::-1]))
    assert [(e.class_name, e.geometry.wkb) for e in one] == [
        (e.class_name, e.geometry.wkb) for e in two
    ]


@pytest.mark.parametrize(
    "layer", ["", "|layername=v1.2", "|layername=a/b", '|layername=tiled|subset="h" > 2.5']
)
def test_a_class_is_named_as_its_file_whatever_the_layer_in_it_is_called(tmp_path, layer):
    named = ExampleLayer.named_as_file(f"{tmp_path / 'roofs.gpkg'}{layer}")
    assert named.class_name == "roofs"


@pytest.mark.parametrize(
    ("value", "name"),
    [(None, ""), (float("nan"), ""), ("None", ""), (" roof ", "roof"), (3.0, "3"), (3, "3")],
)
def test_values_become_names(value, name):
    assert class_name(value) == name


def test_one_class_alone_is_refused():
    assert check_classes(["b", "a", NONE]) == ("a", "b", NONE)
    with pytest.raises(PromptError, match=r"of one class \(a\)"):
        check_classes(["a", "a"])


OBJECTS = np.array(
    [shapely.box(0, 0, 40, 40), shapely.box(10, 10, 20, 20), shapely.box(60, 0, 90, 30)], object
)
SCORE = np.array([0.9, 0.7, 0.8])


def example(geometry, kind, name="a"):
    return Example(geometry, kind, name, "test")


def test_each_kind_of_example_means_an_object():
    for geometry, kind, row in (
        (shapely.Point(30, 30), "point", 0),
        (shapely.Point(15, 15), "point", 1),  # the inner one of two that are about as good
        (shapely.LineString([(50, 15), (85, 15)]), "stroke", 2),
        (shapely.box(9, 9, 21, 21), "box", 1),
        (shapely.box(62, 1, 92, 30), "polygon", 2),
    ):
        assert assign([example(geometry, kind)], OBJECTS, SCORE).rows.tolist() == [row]


def test_a_point_means_what_is_inner_unless_its_score_is_much_lower():
    car, yard = shapely.box(14, 14, 18, 16), shapely.box(0, 0, 60, 40)
    roof, part = shapely.box(70, 0, 100, 30), shapely.box(80, 5, 100, 30)
    shapes = np.array([yard, car, roof, part], object)
    score = np.array([0.9, 0.6, 0.9, 0.7])
    for at, row in ((shapely.Point(15, 15), 1), (shapely.Point(30, 30), 0)):
        assert assign([example(at, "point")], shapes, score).rows.tolist() == [row]
    assert assign([example(shapely.Point(90, 10), "point")], shapes, score).rows.tolist() == [2]


def test_contradictions_and_examples_on_nothing_are_said():
    point = shapely.Point(30, 30)
    with pytest.raises(PromptError, match="1 object is marked as a and as b"):
        assign([example(point, "point"), example(point, "point", "b")], OBJECTS, SCORE)
    far = example(shapely.Point(50, 80), "point")
    with pytest.raises(PromptError, match="None of the 1 examples lies on an object"):
        assign([far], OBJECTS, SCORE)
    with pytest.raises(PromptError, match="No example of 'b' lies on an object"):
        assign(
            [example(shapely.Point(50, 80), "point", "b"), example(point, "point")], OBJECTS, SCORE
        )
    with pytest.warns(SamGeoWarning, match="1 of the 2 examples lies on no object: it was"):
        found = assign([far, example(point, "point")], OBJECTS, SCORE)
    assert (found.lost, found.beside) == (1, (far,))


def test_where_a_lower_score_may_find_more_objects_that_is_said():
    far, near = example(shapely.Point(50, 80), "point"), example(shapely.Point(30, 30), "point")
    with pytest.raises(PromptError, match=r"an object: lower min_score, mark other objects, or"):
        assign([far], OBJECTS, SCORE, lower="min_score")
    with pytest.warns(SamGeoWarning, match=r"left out\. Lower .*min_score.*, or draw polygons"):
        assign([far, near], OBJECTS, SCORE, lower="min_score")


def test_examples_outside_the_area_that_is_searched_are_said_to_be_there():
    searched = shapely.box(0, 0, 95, 50)
    far, near = example(shapely.Point(50, 80), "point"), example(shapely.Point(30, 30), "point")
    with pytest.warns(SamGeoWarning, match="1 of the 2 examples lies outside the area") as said:
        found = assign([far, near], OBJECTS, SCORE, searched=searched)
    assert (found.lost, found.beside) == (1, ())
    assert len(said) == 1
    with pytest.raises(PromptError, match=r"lies on an object \(1 of the 1 examples lies outside"):
        assign([far], OBJECTS, SCORE, searched=searched)


def test_examples_on_objects_without_data_are_lost_and_said():
    seen = np.array([True, True, False])
    near, far = shapely.Point(30, 30), shapely.Point(75, 15)
    marks = [example(near, "point"), example(far, "point")]
    with pytest.warns(SamGeoWarning, match="1 of the 2 examples lies on objects where the"):
        found = assign(marks, OBJECTS, SCORE, seen)
    assert (found.rows.tolist(), found.lost) == ([0], 1)
    with pytest.raises(PromptError, match="No example of 'b' lies on the raster's data"):
        assign([example(near, "point"), example(far, "point", "b")], OBJECTS, SCORE, seen)


def test_drawn_polygons_that_no_object_is_like_are_objects_of_their_own():
    new = shapely.box(100, 100, 120, 120)
    drawn = [example(new, "polygon"), example(shapely.box(0, 0, 41, 40), "polygon")]
    assert [p.bounds for p in unlike_all(drawn, OBJECTS)] == [new.bounds]


def test_ten_thousand_examples_are_read_quickly():
    rng = np.random.default_rng(0)
    at = rng.uniform(0, 3000, (4000, 2))
    objects = np.array([shapely.box(x, y, x + 20, y + 20) for x, y in at], object)
    examples = [example(shapely.Point(at[k % 4000] + 10), "point") for k in range(10_000)]
    found = assign(examples, objects, np.full(4000, 0.5))
    assert len(found.rows) > 3000


def test_a_boundary_counts_as_much_however_far_it_reaches_beyond_the_raster():
    small = Example(shapely.box(100, 100, 200, 200), "polygon", "a", "")
    counts = []
    for reach in (500, 5_000, 50_000, 5_000_000):
        large = Example(shapely.box(500, 0, 500 + reach, reach + 1), "polygon", "b", "")
        cells = cell_examples([small, large], 4, CellBox(0, 0, 250, 250))
        counts.append(cells.names.count("b"))
    assert min(counts) > 150


def test_ten_thousand_strokes_give_a_bounded_number_of_cells_of_all_classes():
    rng = np.random.default_rng(0)
    found = []
    for k in range(10_000):
        x, y = 98 * (k % 100) + rng.uniform(0, 8), 98 * (k // 100) + rng.uniform(0, 8)
        line = shapely.LineString([(x, y), (x + 80, y + 40)])
        found.append(Example(line, "stroke", ("road", "grass", "")[k % 3], "strokes.gpkg"))
    cells = cell_examples(found, 4, CellBox(0, 0, 2_500, 2_500))
    assert 20_000 < len(cells.rows) <= MOST_IN_ALL
    assert set(cells.names) == {"road", "grass", ""}
    assert len(np.unique(cells.group)) > 9_900
