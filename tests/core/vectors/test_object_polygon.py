# SPDX-License-Identifier: GPL-2.0-or-later
"""Polygons of single objects at the raster's edges."""

from __future__ import annotations

import numpy as np
from affine import Affine
from samgeo_core.masks.sparse_logits import Field
from samgeo_core.types import CellBox
from samgeo_core.vectors.object_polygon import object_polygon


def test_a_tip_along_one_edge_may_reach_a_corner():
    """The tip's last cell lies on another edge, too, along which nothing of the object does."""
    whole = CellBox(0, 0, 8, 8)
    logits = np.full((8, 8), -4.0, np.float32)
    logits[0, :6] = -0.1
    logits[0, 6], logits[1, 6] = 4.0, 1.0
    known = Field(whole, 64).add(whole, logits, np.ones((8, 8), np.float32))
    shape = object_polygon(known, 4, Affine.identity(), (32, 32), 0.0)
    assert shape.is_valid
    assert shape.bounds[0] < 4
    assert shape.bounds[1] == 0


def test_one_undecided_cell_is_no_hole():
    whole = CellBox(0, 0, 8, 8)
    logits = np.full((8, 8), 4.0, np.float32)
    logits[3, 3] = -0.001
    known = Field(whole, 64).add(whole, logits, np.ones((8, 8), np.float32))
    shape = object_polygon(known, 1, Affine.identity(), (8, 8), 0.0)
    assert shape.geom_type == "Polygon"
    assert not shape.interiors
