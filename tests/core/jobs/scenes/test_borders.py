# SPDX-License-Identifier: GPL-2.0-or-later
"""What ends at a scene's border is told on the ground, whatever a unit of the layer is there."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import CRS, Transformer
from samgeo_core.jobs.scenes.borders import Borders
from samgeo_core.jobs.scenes.duplicates import Part
from samgeo_core.jobs.scenes.ground import Ground
from shapely.geometry import box

PIXEL = 0.5
"""Metres of a pixel on the ground."""

SIDE = 100.0
"""Metres of a scene."""


def at_sixty_degrees(code):
    """x, y, and units of a CRS in a metre to the east and to the north, at 60 degrees north."""
    crs = CRS.from_epsg(code)
    to_crs = Transformer.from_crs(4326, crs, always_xy=True)
    (x0, x1), (y0, y1) = to_crs.transform([10.0, 10.001], [60.0, 60.001])
    (_, _, east), (_, _, north) = (
        CRS.from_epsg(4326).get_geod().inv(10.0, 60.0, *end) for end in ((10.001, 60), (10, 60.001))
    )
    return crs, (x0, y0), np.array([(x1 - x0) / east, (y1 - y0) / north])


@pytest.mark.parametrize("code", [4326, 3857, 32632])
@pytest.mark.parametrize("side", ["east", "north"])
@pytest.mark.parametrize(("pixels", "expected"), [(1.2, 1), (1.9, 0)])
def test_an_object_ends_at_a_border_by_its_distance_on_the_ground(code, side, pixels, expected):
    crs, (x, y), unit = at_sixty_degrees(code)

    def ground(x0, y0, x1, y1):
        return shapely.transform(box(x0, y0, x1, y1), lambda xy: xy * unit + (x, y))

    beside = (SIDE, 0) if side == "east" else (0, SIDE)
    scenes = [ground(0, 0, SIDE, SIDE), ground(*beside, beside[0] + SIDE, beside[1] + SIDE)]
    parts = [
        Part(str(number), Path(), "", (), shapely.get_coordinates(scene),
             datetime.now(timezone.utc), PIXEL)
        for number, scene in enumerate(scenes)
    ]  # fmt: skip
    borders = Borders.of(parts, Ground.of([part.footprint for part in parts], crs), crs)
    end = SIDE - pixels * PIXEL
    east, north = (end, 55.0) if side == "east" else (55.0, end)
    objects = np.array([ground(50, 50, east, north), ground(20, 20, 30, 30)])
    assert borders.cut(0, objects) == expected
