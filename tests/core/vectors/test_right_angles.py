# SPDX-License-Identifier: GPL-2.0-or-later
"""Buildings get right angles where they have them, and keep their shape where they have not."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from samgeo_core.vectors.contours import contours
from samgeo_core.vectors.right_angles import main_direction, right_angles
from shapely import affinity

L_SHAPE = shapely.Polygon([(0, 0), (40, 0), (40, 18), (20, 18), (20, 30), (0, 30)])
COURTYARD = shapely.Polygon(
    shapely.box(0, 0, 60, 50).exterior, [shapely.box(20, 15, 40, 35).exterior]
)


def roughened(polygon, amount: float):
    """A wavy border, as a segmenter draws it."""
    dense = shapely.segmentize(polygon, 1.0)
    return shapely.transform(
        dense, lambda xy: xy + amount * np.sin(xy[:, ::-1] * np.array([1.7, 2.3]))
    ).buffer(0)


def iou(a, b) -> float:
    return a.intersection(b).area / a.union(b).area


def corner_angles(polygon, direction: float) -> np.ndarray:
    """Degrees by which sides deviate from the main direction."""
    steps = np.diff(shapely.get_coordinates(polygon.exterior), axis=0)
    angle = np.degrees(np.arctan2(steps[:, 1], steps[:, 0]) - direction) % 90
    return np.minimum(angle, 90 - angle)


@given(turn=st.floats(0, 180), shape=st.sampled_from([L_SHAPE, COURTYARD]))
def test_a_rough_building_becomes_right_angled_at_any_turn(turn, shape):
    true = affinity.rotate(shape, turn)
    rough = roughened(true, 0.5)
    result = right_angles(rough, 1.5)
    assert result.is_valid
    assert corner_angles(result, main_direction(result)).max() < 1e-6
    assert iou(result, true) > 0.93
    assert len(result.interiors) == len(true.interiors)
    assert shapely.get_num_coordinates(result) <= 2 * shapely.get_num_coordinates(true) + 4


@given(turn=st.floats(0, 89))
def test_the_main_direction_is_that_of_the_walls(turn):
    found = np.degrees(main_direction(affinity.rotate(shapely.box(0, 0, 50, 20), turn)))
    assert min(abs(found - turn), 90 - abs(found - turn)) < 1e-6


def test_a_rectangle_comes_back_as_it_was():
    box = affinity.rotate(shapely.box(0, 0, 30, 20), 33)
    assert iou(right_angles(box, 1.0), box) > 1 - 1e-9


@pytest.mark.parametrize(
    "shape",
    [
        shapely.Point(0, 0).buffer(20),
        shapely.Polygon([(0, 0), (30, 0), (15, 26)]),
        shapely.Polygon([(0, 0), (2, 0), (2, 0.5), (0, 0.5)]),
    ],
)
def test_what_has_no_right_angles_stays_as_it_was(shape):
    assert right_angles(shape, 3.0).equals(shape)


def test_an_oblique_wall_of_a_right_angled_building_stays_oblique():
    cut = shapely.Polygon([(0, 0), (60, 0), (60, 30), (45, 45), (0, 45)])
    assert iou(right_angles(roughened(cut, 0.3), 1.5), cut) > 0.97


@pytest.mark.parametrize(
    "courtyard",
    [
        shapely.Point(30, 25).buffer(12),
        shapely.Polygon([(20, 12), (42, 16), (28, 36)]),
        shapely.Polygon([(30, 13), (42, 25), (30, 37), (18, 25)]),
    ],
    ids=["round", "triangular", "diamond"],
)
def test_a_courtyard_without_right_angles_is_not_filled(courtyard):
    building = shapely.box(0, 0, 60, 50).difference(courtyard)
    result = right_angles(roughened(building, 0.3), 1.5)
    assert len(result.interiors) == 1
    assert iou(shapely.Polygon(result.interiors[0]), courtyard) > 0.9
    assert len(result.exterior.coords) == 5


def test_a_hole_that_is_noise_is_filled():
    speck = shapely.Point(30, 25).buffer(1.4)
    result = right_angles(shapely.box(0, 0, 60, 50).difference(speck), 1.5)
    assert len(result.interiors) == 0


def test_each_part_of_a_multipolygon_is_judged_alone():
    two = shapely.MultiPolygon([roughened(L_SHAPE, 0.5), shapely.Point(100, 0).buffer(15)])
    result = right_angles(two, 1.5)
    assert len(result.geoms) == 2
    assert any(part.equals(two.geoms[1]) for part in result.geoms)
    assert result.is_valid


def test_nothing_in_nothing_out():
    assert right_angles(shapely.Polygon(), 1.0).is_empty


def test_a_courtyard_that_a_straight_wall_now_cuts_leaves_no_notch():
    wall = [(0, 0), (100, 0), (100, 60), (70, 60), (70, 62.1), (30, 62.1), (30, 60), (0, 60)]
    court = [(42, 57.5), (45, 51.5), (47, 51.5), (49, 53.5), (51, 51.5), (53, 51.5), (55, 49.5),
             (57, 49.5), (57, 53.5), (49, 61.5), (45, 61.5), (43, 59.5)]  # fmt: skip
    building = shapely.Polygon(wall, [court])
    assert building.is_valid
    straight = right_angles(building, 1.5)
    assert len(straight.exterior.coords) == 5
    assert not straight.interiors


def test_a_round_courtyard_is_no_smaller_square():
    court = shapely.Point(20, 15).buffer(5)
    building = shapely.Polygon([(0, 0), (40, 0), (40.5, 30), (0, 30)], [court.exterior.coords])
    (hole,) = right_angles(building, 1.5).interiors
    assert iou(shapely.Polygon(hole), court) > 0.99


@pytest.mark.parametrize("turn", np.radians([0, 3, 11, 24, 38, 45, 62, 85]))
def test_a_building_drawn_from_a_mask_is_turned_as_its_walls_are(turn):
    """Corners that a contour cuts off must not turn the walls between them."""
    house = affinity.rotate(shapely.box(0, 0, 30, 19), turn, "center", use_radians=True)
    house = affinity.translate(house, 20.3, 25.7)
    rows, cols = np.mgrid[0:70, 0:70] + 0.5
    places = shapely.points(cols.ravel(), rows.ravel())
    inside = np.where(shapely.contains(house, places), 1.0, -1.0)
    distance = inside * shapely.distance(places, house.boundary)
    values = np.rint(np.clip(8 * distance.reshape(70, 70), -100, 100)).astype(np.float32)
    (drawn,) = contours(values, np.arange(70) + 0.5, np.arange(70) + 0.5)
    straight = right_angles(drawn, 1.5)
    assert len(straight.exterior.coords) == 5
    askew = (main_direction(straight) - turn + np.pi / 4) % (np.pi / 2) - np.pi / 4
    assert abs(np.degrees(askew)) < 0.25
