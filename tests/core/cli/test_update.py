# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``samgeo update`` tells of a shift of the whole layer."""

import pytest
from samgeo_core.cli.console import Console
from samgeo_core.cli.update import _tell
from samgeo_core.jobs.update.run_update import UpdateResult


@pytest.mark.parametrize(
    ("east", "said", "never"),
    [
        (-1.4, "count as moved", "count as confirmed"),
        (-0.33, "count as confirmed, and their outlines stay", "count as moved"),
        (0.0, "", "shifted"),
    ],
)
def test_polygons_are_said_to_move_with_the_layer_only_where_they_do(capsys, east, said, never):
    """From half a metre on: what is less is told, and no polygon is moved by it."""
    result = UpdateResult("changes.gpkg", "changes", 39, 1, counts={"confirmed": 39})
    _tell(Console(), UpdateResult(**{**vars(result), "shift_east_m": east}))
    told = " ".join("".join(capsys.readouterr()).split())
    assert said in told
    assert never not in told
