# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that macOS's Finder and Windows's Explorer leave in a folder are no content of it."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from samgeo_core.errors import JobError
from samgeo_core.layers.publish import output_digest
from samgeo_core.layers.writer import LayerWriter, check_output
from samgeo_core.masks.job_folder import JobFolder
from samgeo_core.parallel.atomic_write import remove_empty

NAMES = (".DS_Store", "Thumbs.db", "Desktop.ini", "._tiles")


@pytest.mark.parametrize("name", NAMES)
def test_a_job_goes_on_although_somebody_looked_into_its_folder(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        job = JobFolder(tmp_path / "town.gpkg.job")
        job.begin({"model": "a"})
        job.release()
        (job.folder / name).touch()
    (job.folder / "thesis.txt").touch()
    with pytest.raises(JobError, match="other files"):
        job.begin({"model": "a"})


def test_a_layer_in_parts_stays_what_it_is_where_the_finder_looked(tmp_path: Path) -> None:
    frame = gpd.GeoDataFrame({"score": [0.5]}, geometry=[shapely.box(0, 0, 1, 1)], crs=32633)
    path = tmp_path / "town.parquet"
    with LayerWriter(path, frame.crs, part_size=10) as writer:
        writer.write(frame)
    before = output_digest(path, "town")
    (path / ".DS_Store").touch()
    assert output_digest(path, "town") == before
    check_output(path, overwrite=True, in_parts=True)


def test_an_empty_folder_is_removed_with_what_the_finder_left(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / ".DS_Store").touch()
    (folder / "thesis.txt").touch()
    with pytest.raises(OSError, match="not empty"):
        remove_empty(folder)
    assert (folder / ".DS_Store").exists()
    (folder / "thesis.txt").unlink()
    remove_empty(folder)
    assert not folder.exists()
