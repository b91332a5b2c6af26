# SPDX-License-Identifier: GPL-2.0-or-later
"""Largest part and a limit on vertices, without any engine."""

from __future__ import annotations

import math

from qgis.core import QgsGeometry, QgsPointXY

from samgeo_plugin.interactive.candidates import Refinement
from samgeo_plugin.interactive.tidy import LEAST_IOU, iou, vertices, with_few_vertices


def ragged_square(points: int) -> QgsGeometry:
    """A square of 20 units whose edges tremble by a tenth of a unit."""
    ring = []
    for k in range(points):
        at = 4 * k / points
        side, along = int(at), 20 * (at - int(at))
        x, y = ((along, 0), (20, along), (20 - along, 20), (0, 20 - along))[side]
        ring.append(QgsPointXY(x + 0.1 * math.sin(7 * k), y + 0.1 * math.cos(5 * k)))
    return QgsGeometry.fromPolygonXY([[*ring, ring[0]]])


def test_a_square_of_many_vertices_becomes_one_of_few():
    square = ragged_square(60)
    made = with_few_vertices(square, 16)
    assert vertices(made) <= 16
    assert iou(made, square) >= 0.98


def test_the_shape_goes_before_the_limit():
    star = [
        QgsPointXY(r * math.cos(k * math.pi / 40), r * math.sin(k * math.pi / 40))
        for k, r in enumerate([10, 6] * 40)
    ]
    spiky = QgsGeometry.fromPolygonXY([[*star, star[0]]])
    made = with_few_vertices(spiky, 16)
    assert iou(made, spiky) >= LEAST_IOU
    assert vertices(made) > 16


def test_specks_are_left_out_and_the_hole_stays():
    roof = QgsGeometry.fromWkt(
        "MULTIPOLYGON(((30 30,31 30,31 31,30 30)),"
        "((0 0,20 0,20 20,0 20,0 0),(5 5,10 5,10 10,5 10,5 5)))"
    )
    made = Refinement().tidy(roof)
    assert not made.isMultipart()
    assert made.area() == 375
    assert Refinement(largest_part=False).tidy(roof).equals(roof)


def test_zero_is_no_limit():
    square = ragged_square(60)
    assert with_few_vertices(square, 0).equals(square)
