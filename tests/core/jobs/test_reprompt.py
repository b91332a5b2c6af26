# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole jobs with a promptable oracle that fails as models do at the seams."""

import re

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.features import rasterize
from samgeo_core.errors import IncompleteError
from samgeo_core.job import SegmentParameters
from samgeo_core.jobs import run as pipeline
from samgeo_core.jobs.result import JobResult
from samgeo_core.jobs.stages.reprompt import COARSER
from samgeo_core.layers.publish import output_digest
from samgeo_core.masks.masks import Mask, TileMasks, crop_mask
from samgeo_core.testing.oracle import Oracle
from samgeo_core.testing.scenes import Thing
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox

from ..scenes import MARGIN, SIZE, TILE, SceneOracle, scene, write_raster

WHOLE = CellBox(0, 0, SIZE, SIZE)
PIXEL = Affine(0.3, 0, 400_000, 0, -0.3, 3_000_000)


@pytest.fixture(scope="module")
def raster(tmp_path_factory):
    return write_raster(tmp_path_factory.mktemp("raster") / "scene.tif")


def full(thing):
    mask = np.zeros((SIZE, SIZE), bool)
    mask[thing.box.slices(WHOLE)] = thing.mask
    return mask


def as_mask(mask, window):
    """A mask of the scene on a window's cells, as a segmenter gives it."""
    part = np.where(mask[window.slices(WHOLE)], 100, -100).astype(np.int8)
    found = crop_mask(part, (window.row0, window.col0))
    return None if found is None else Mask(*found, 0.9, 0.9)


def ellipse(row, col, tall, wide):
    rows, cols = np.mgrid[:SIZE, :SIZE] + 0.5
    whole = ((rows - row) / tall) ** 2 + ((cols - col) / wide) ** 2 <= 1
    found = crop_mask(whole.astype(np.int8), (0, 0), margin=0)
    return Thing(found[0], found[1] > 0, "ellipse")


# Most of each lies in the first column of tiles, but its end is beyond what that column trusts.
ENDS = [ellipse(80, 160, 20, 60), ellipse(200, 155, 40, 65), ellipse(500, 150, 30, 58)]


class Forgetful(SceneOracle):
    """Sees nothing at all in the tiles of the second column, but answers hints."""

    def segment(self, image):
        if image.tile.index.col == 1:
            return TileMasks(image.tile.index, 1, ())
        core = image.size - 2 * MARGIN
        grid = Grid(SIZE, SIZE, core=core, margin=MARGIN, cell=1)
        return Oracle(ENDS, grid).load(image.tile.index)

    def refine(self, image, hints):
        window = CellBox(*(getattr(image.tile.window, s) for s in ("row0", "col0", "row1", "col1")))
        answers = []
        for hint in hints:
            known = np.zeros((SIZE, SIZE), bool)
            known[hint.box.slices(WHOLE)] = hint.logits > 0
            best = max(ENDS, key=lambda t: (known & full(t)).sum() / (known | full(t)).sum())
            answers.append(as_mask(full(best), window))
        return answers


def masks_of(path):
    layer = gpd.read_file(path, layer="objects")
    return [
        rasterize([shape], (SIZE, SIZE), transform=PIXEL).astype(bool) for shape in layer.geometry
    ]


def job(raster, output, **options):
    values = {"tile_size": TILE, "margin": MARGIN, "layer": "objects", "simplify": 0.0, **options}
    return SegmentParameters([str(raster)], str(output), **values)


@pytest.mark.parametrize("workers", [1, 2])
def test_cut_objects_are_asked_for_again_and_become_whole(raster, tmp_path, workers):
    cut = [full(t) for t in ENDS]
    results = {}
    for repair in (False, True):
        output = tmp_path / f"{repair}.gpkg"
        params = job(raster, output, repair=repair, overview=False, workers=workers)
        pipeline.run(params, segmenter=Forgetful())
        results[repair] = masks_of(output)
    whole = {
        repair: sum(any((m == wanted).all() for m in masks) for wanted in cut)
        for repair, masks in results.items()
    }
    assert whole[False] == 0
    assert whole[True] == len(cut)


class Nearsighted(SceneOracle):
    """Returns nothing that fills more than half of a window; looks at the overview as well."""

    def segment(self, image):
        if image.tile.window.row1 == SIZE // COARSER:  # the overview is one small window
            masks = [self._small(thing) for thing in scene().things]
            return TileMasks(image.tile.index, 1, [m for m in masks if m is not None])
        seen = super().segment(image)
        return TileMasks(
            seen.index, 1, [m for m in seen.masks if max(m.box.shape) <= image.size // 2]
        )

    def _small(self, thing):
        blocks = full(thing).reshape(SIZE // COARSER, COARSER, SIZE // COARSER, COARSER)
        share = blocks.mean(axis=(1, 3))
        found = crop_mask(np.rint((share - 0.5) * 200).astype(np.int8), (0, 0))
        return None if found is None else Mask(*found, 0.9, 0.9)

    def refine(self, image, hints):
        return [None] * len(hints)


def test_large_objects_are_found_from_further_away(raster, tmp_path):
    large = [full(t) for t in scene().things if max(t.box.shape) > 0.75 * TILE]
    assert large
    best = {}
    for overview in (False, True):
        output = tmp_path / f"{overview}.gpkg"
        pipeline.run(job(raster, output, overview=overview), segmenter=Nearsighted())
        masks = masks_of(output)
        best[overview] = [
            max((m & wanted).sum() / (m | wanted).sum() for m in masks) for wanted in large
        ]
    assert np.mean(best[False]) < 0.5
    assert np.mean(best[True]) > 0.8


def test_an_interrupted_second_look_starts_from_what_the_model_said(raster, tmp_path):
    folder = tmp_path / "job"
    output = tmp_path / "a.gpkg"
    params = job(raster, output, job_folder=str(folder), overwrite=True, overview=False)
    pipeline.run(params, segmenter=Forgetful())
    first = output_digest(output, "objects")
    assert list((folder / "patched").glob("*.npz"))
    pipeline.run(params, segmenter=Forgetful())
    assert output_digest(output, "objects") == first


class Speechless(Forgetful):
    """Answers no hint."""

    def refine(self, image, hints):
        return [None] * len(hints)


def test_answers_of_an_earlier_second_look_are_forgotten(raster, tmp_path):
    def run(name, oracle, **options):
        params = job(raster, tmp_path / name, overview=False, overwrite=True, **options)
        pipeline.run(params, segmenter=oracle)
        return output_digest(tmp_path / name, "objects")

    folder = str(tmp_path / "job")
    (tmp_path / "b").mkdir()
    run("a.gpkg", Forgetful(), job_folder=folder)
    assert run("a.gpkg", Speechless(), job_folder=folder) == run("b/a.gpkg", Speechless())


@pytest.mark.parametrize(("cells", "looks"), [(TILE // 4, False), (SIZE, True)])
def test_one_tile_is_not_looked_at_from_further_away(raster, tmp_path, cells, looks):
    west, north = PIXEL @ (4, 4)
    east, south = PIXEL @ (cells - 4, cells - 4)
    params = job(raster, tmp_path / "a.gpkg", extent=[west, south, east, north], repair=False)
    stages = []
    pipeline.run(params, segmenter=Nearsighted(), progress=lambda p: stages.append(p.stage))
    assert ("overview" in stages) == looks


class Shortsighted(Nearsighted):
    """Cannot look at the overview."""

    def segment(self, image):
        if image.tile.window.row1 == SIZE // COARSER:
            raise ValueError("this overview is too hard")
        return super().segment(image)


def test_a_window_of_the_overview_that_fails_is_named_and_retried(raster, tmp_path):
    params = job(raster, tmp_path / "a.gpkg", repair=False)
    result = pipeline.run(params, segmenter=Shortsighted())
    assert result.failed == ["overview r00000_c00000: ValueError: this overview is too hard"]
    assert result.features > 0, "what the tiles hold is written"
    again = pipeline.run(params, segmenter=Nearsighted())
    assert again.failed == []
    pipeline.run(job(raster, tmp_path / "b.gpkg", repair=False), segmenter=Nearsighted())
    found = [output_digest(tmp_path / name, "objects") for name in ("a.gpkg", "b.gpkg")]
    assert found[0] == found[1]


class Speaking(Forgetful):
    """Fails where it is asked again."""

    def refine(self, image, hints):
        raise ValueError("this hint is too hard")


def test_an_object_that_cannot_be_asked_for_again_stays_and_is_named(raster, tmp_path):
    params = job(raster, tmp_path / "a.gpkg", overview=False)
    result = pipeline.run(params, segmenter=Speaking())
    assert result.features == len(ENDS)
    assert result.failed
    for reason in result.failed:
        assert re.fullmatch(
            r"repair in rows \d+ to \d+ and columns \d+ to \d+: ValueError: this hint is too hard",
            reason,
        )
    assert pipeline.run(params, segmenter=Forgetful()).failed == []
    assert [(m == full(t)).all() for t in ENDS for m in masks_of(tmp_path / "a.gpkg")].count(
        True
    ) == len(ENDS)


def test_a_damaged_block_costs_its_windows_and_not_the_job(tmp_path):
    path = write_raster(tmp_path / "damaged.tif", compress="deflate")
    with rasterio.open(path) as file:
        start = int(file.get_tag_item("BLOCK_OFFSET_3_1", "TIFF", bidx=1))
        size = int(file.get_tag_item("BLOCK_SIZE_3_1", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[start : start + size] = b"\xff" * size
    path.write_bytes(content)
    result = pipeline.run(job(path, tmp_path / "a.gpkg"), segmenter=Nearsighted())
    assert result.features > 0
    assert [reason for reason in result.failed if reason.startswith("overview r00000_c00000: ")]
    assert all("the file is damaged or incomplete there" in reason for reason in result.failed)


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        (["r00001_c00002: why"], "1 tile failed (r00001_c00002: why)"),
        (["r00001_c00002: why", "r00001_c00003: why"], "2 tiles failed"),
        (["overview r00000_c00000: why"], "1 window of the overview failed"),
        (["repair in rows 0 to 9 and columns 0 to 9: why"] * 2, "2 windows of the repair failed"),
        (["batch 3 of 16 prompts: why"], "1 batch of prompts failed"),
        (
            ["r00001_c00002: why", "overview r00000_c00000: why", "repair in rows 0 to 9: why"],
            "1 tile, 1 window of the overview and 1 window of the repair failed",
        ),
    ],
)
def test_an_incomplete_job_says_what_kind_of_thing_failed(failed, said):
    with pytest.raises(IncompleteError, match=re.escape(f"a.gpkg is incomplete: {said}")):
        JobResult("a.gpkg", "a", 1, 9, failed).raise_if_incomplete()


def test_a_window_of_the_overview_that_fails_is_called_no_tile(raster, tmp_path):
    params = job(raster, tmp_path / "a.gpkg", repair=False)
    result = pipeline.run(params, segmenter=Shortsighted())
    with pytest.raises(IncompleteError, match="1 window of the overview failed"):
        result.raise_if_incomplete()
