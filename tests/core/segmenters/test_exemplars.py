# SPDX-License-Identifier: GPL-2.0-or-later
"""Exemplar boxes: every window is shown them in a strip beside it, and jobs find what they show."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import samgeo_core
from rasterio.transform import from_origin
from samgeo_core.errors import ModelError, OutputError, ParameterError, PromptError
from samgeo_core.job import SegmentParameters
from samgeo_core.jobs.run import run
from samgeo_core.models import words
from samgeo_core.models.base import Concept, ConceptModel, ExemplarModel, ModelInfo
from samgeo_core.raster.raster import open_raster
from samgeo_core.segmenters.exemplars import (
    LARGEST,
    MOST_LIKE,
    MOST_UNLIKE,
    ExemplarBox,
    ExemplarSegmenter,
    cut_exemplars,
)
from samgeo_core.segmenters.segmenter import Segmenter, TileImage
from samgeo_core.segmenters.words import ConceptOptions
from samgeo_core.tiles.grid import Tile
from samgeo_core.types import PixelBox, TileIndex
from shapely.geometry import box

SIDE, PIXEL = 700, 0.5
COLOURS = {"roof": (200, 40, 40), "pond": (40, 40, 200), "car": (40, 200, 40)}
THINGS = [
    (name, row, col)
    for k, name in enumerate(COLOURS)
    for row in range(20 + 40 * k, 640, 120)
    for col in range(20, 640, 120)
]
"""Squares of 24 px."""


class ByColour:
    """Finds squares of the colour in the middle of the exemplars, but for colours of others."""

    def __init__(self, cells: int = 64):
        self.info = ModelInfo(
            "by-colour", "sam3", "f", 320, cells, frozenset({"text"}), score_threshold=0.5
        )
        self.asked = []

    def find(self, image, word, *, min_score):
        raise AssertionError("nobody asks for words")

    def find_like(self, image, boxes, *, min_score, unlike=None):
        self.asked.append((image, boxes, unlike))
        cells = self.info.mask_size

        def colour(at):
            row, col = ((at[:2] + at[2:]) / 2).astype(int)
            return tuple(image[row, col].tolist())

        wanted = {colour(at) for at in boxes} - {colour(at) for at in unlike}
        step = image.shape[0] / cells
        places = ((np.arange(cells) + 0.5) * step).astype(int)
        small = image[places][:, places].astype(int)
        from scipy import ndimage

        logits, found = [], []
        for each in sorted(wanted):
            mask = (np.abs(small - np.array(each)) < 30).all(-1)
            labels, _ = ndimage.label(mask)
            for k, (rows, cols) in enumerate(ndimage.find_objects(labels), 1):
                logits.append(np.where(labels == k, 8, -8))
                found.append((rows.start, cols.start, rows.stop, cols.stop))
        return Concept(
            np.array(logits, np.float32).reshape(-1, cells, cells),
            np.array(found, np.float32).reshape(-1, 4) * step,
            np.full(len(found), 0.9, np.float32),
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A raster of coloured squares, and layers of exemplars in another CRS."""
    folder = tmp_path_factory.mktemp("squares")
    pixels = np.full((SIDE, SIDE, 3), 90, np.uint8)
    pixels += np.random.default_rng(0).integers(0, 8, pixels.shape, np.uint8)
    for name, row, col in THINGS:
        pixels[row : row + 24, col : col + 24] = COLOURS[name]
    profile = {
        "driver": "GTiff", "width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32645", "transform": from_origin(500_000, 4_000_000, PIXEL, PIXEL),
    }  # fmt: skip
    with rasterio.open(folder / "town.tif", "w", **profile) as out:
        out.write(np.moveaxis(pixels, -1, 0))
    rows = [("roof", 20, 20), ("pond", 60, 140), ("", 100, 20)]
    frame = gpd.GeoDataFrame(
        {"kind": [name for name, *_ in rows]},
        geometry=[ground(row, col) for _, row, col in rows],
        crs="EPSG:32645",
    )
    frame.to_crs("EPSG:4326").to_file(folder / "marks.gpkg")
    frame[:1].to_file(folder / "roof.gpkg")
    frame.set_geometry(frame.representative_point()).to_file(folder / "points.gpkg")
    return folder


def ground(row, col, side=24):
    left, top = 500_000 + col * PIXEL, 4_000_000 - row * PIXEL
    return box(left, top - side * PIXEL, left + side * PIXEL, top)


def of(name, row, col, side=24):
    return ExemplarBox((row, col, row + side, col + side), name)


def window(raster, row, col, size=256):
    inside = PixelBox(row, col, row + size, col + size).intersection(raster.bounds)
    read = raster.read(inside)
    tile = Tile(TileIndex(0, 0), inside, inside, inside)
    return TileImage(tile, read.pixels, read.valid, size, 4)


@pytest.fixture
def raster(place):
    with open_raster(place / "town.tif") as opened:
        yield opened


def test_a_window_without_exemplars_is_shown_them_beside_it(raster):
    finder = ByColour(80)
    assert isinstance(finder, ExemplarModel)
    exemplars = cut_exemplars(raster, [of("roof", 20, 20), of("", 100, 20)])
    segmenter = ExemplarSegmenter(finder, exemplars)
    assert isinstance(segmenter, Segmenter)
    assert segmenter.cell_size(256) == 4
    image = window(raster, 352, 352)
    found = segmenter.segment(image)
    canvas, like, unlike = finder.asked[0]
    assert canvas.shape == (320, 320, 3)
    np.testing.assert_array_equal(canvas[:256, :256], image.pixels)
    for boxes, colour in ((like, COLOURS["roof"]), (unlike, COLOURS["car"])):
        ((row0, col0, row1, col1),) = boxes.round().astype(int)
        assert (canvas[row0:row1, col0:col1] == colour).all(), "at the scale of the raster"
        assert (row1 - row0, col1 - col0) == (24, 24)
        assert max(row1, col1) > 256
    wanted = [
        (row, col)
        for name, row, col in THINGS
        if name == "roof" and 352 <= row < 600 and 352 <= col < 600
    ]
    assert len(found.masks) == len(wanted) > 2
    assert {mask.prompt.type for mask in found.masks} == {"exemplar"}
    assert {mask.prompt.label for mask in found.masks} == {"roof"}
    corners = sorted((mask.box.row0, mask.box.col0) for mask in found.masks)
    for (row, col), (found_row, found_col) in zip(sorted(wanted), corners, strict=True):
        assert abs(found_row * 4 - row) <= 8
        assert abs(found_col * 4 - col) <= 8


def test_exemplars_in_the_window_are_prompts_there_too(raster):
    finder = ByColour(80)
    exemplars = cut_exemplars(raster, [of("roof", 20, 20), of("", 100, 20), of("roof", 500, 500)])
    ExemplarSegmenter(finder, exemplars).segment(window(raster, 0, 0))
    _, like, unlike = finder.asked[0]
    assert like[0].tolist() == [20, 20, 44, 44]
    assert len(like) == 3
    assert unlike[0].tolist() == [100, 20, 124, 124 - 80]
    assert len(unlike) == 2


def test_each_class_is_looked_for_by_itself_and_what_is_not_wanted_for_all(raster):
    finder = ByColour(80)
    exemplars = cut_exemplars(raster, [of("b", 20, 20), of("a", 60, 140), of("", 100, 20)])
    found = ExemplarSegmenter(finder, exemplars).segment(window(raster, 352, 352))
    assert {mask.prompt.label for mask in found.masks} == {"a", "b"}
    assert len(finder.asked) == 2
    assert all(len(unlike) == 1 for *_, unlike in finder.asked)


def test_of_many_exemplars_some_are_shown_from_the_smallest_to_the_largest(raster):
    many = [of("roof", 20 + k, 20, 10 + k) for k in range(30)]
    others = [of("", 100 + k, 20, 10 + k) for k in range(10)]
    chosen = cut_exemplars(raster, [*many, *others])
    sizes = [each.box.longest for each in chosen if each.box.name]
    assert len(sizes) == MOST_LIKE
    assert (sizes[0], sizes[-1]) == (10, 39)
    assert sum(not each.box.name for each in chosen) == MOST_UNLIKE
    backwards = cut_exemplars(raster, [*others[::-1], *many[::-1]])
    segmenters = [ExemplarSegmenter(ByColour(), some) for some in (chosen, backwards)]
    assert segmenters[0].fingerprint == segmenters[1].fingerprint
    assert len(cut_exemplars(raster, many)) == MOST_LIKE + MOST_UNLIKE


def test_what_changes_the_result_changes_the_fingerprint(raster):
    def made(boxes, **options):
        exemplars = cut_exemplars(raster, boxes)
        return ExemplarSegmenter(ByColour(), exemplars, ConceptOptions(**options)).fingerprint

    one = made([of("roof", 20, 20)])
    others = [
        made([of("house", 20, 20)]),
        made([of("roof", 20, 140)]),
        made([of("roof", 20, 20), of("", 100, 20)]),
        made([of("roof", 20, 20)], min_score=0.3),
    ]
    assert len({one, *others}) == 5
    assert made([of("roof", 20, 20)]) == one


@pytest.mark.parametrize("size", [200, 600])
def test_a_large_exemplar_is_shrunk_into_its_cell(raster, size):
    finder = ByColour(80)
    exemplars = cut_exemplars(raster, [of("block", 0, 0, size)])
    segmenter = ExemplarSegmenter(finder, exemplars)
    segmenter.segment(window(raster, 352, 352))
    canvas, like, _ = finder.asked[0]
    ((row0, col0, row1, col1),) = like
    assert 256 < col0 < col1 <= 320
    assert 0 <= row0 < row1 <= 64
    assert col1 - col0 == pytest.approx(row1 - row0, abs=2)
    assert col1 - col0 > 30
    assert canvas[int(row0) : int(row1), int(col0) : int(col1)].std() > 5, "the raster, not padding"


def test_unusable_exemplars_are_one_sentence(raster):
    for boxes, why in (
        ([of("roof", 5000, 0)], "lies on the raster"),
        ([of("", 20, 20)], "lies on the raster"),
        ([ExemplarBox((0, 0, 5, LARGEST + 1), "a")], "no window shows whole"),
    ):
        with pytest.raises(PromptError, match=why):
            cut_exemplars(raster, boxes)
    with pytest.warns(UserWarning, match="1 exemplars are longer"):
        cut_exemplars(raster, [ExemplarBox((0, 0, 5, LARGEST + 1), "a"), of("a", 20, 20)])
    exemplars = cut_exemplars(raster, [of("roof", 20, 20)])

    class OnlyWords:
        info = ByColour().info

        def find(self, image, word, *, min_score): ...

    assert isinstance(OnlyWords(), ConceptModel)
    with pytest.raises(ModelError, match="not by exemplars: choose sam3"):
        ExemplarSegmenter(OnlyWords(), exemplars)


# Jobs ---------------------------------------------------------------------------------------------


@pytest.fixture
def by_colour(monkeypatch):
    made = ByColour(160)
    monkeypatch.setattr(words, "load_concepts", lambda *_: made)
    return made


GIVEN = {"threads": 1, "tile_size": 256, "margin": 32}


def job(place, out, **more):
    return SegmentParameters([str(place / "town.tif")], str(out), model="sam3", **{**GIVEN, **more})


def test_a_job_finds_what_exemplars_show_on_the_whole_raster(place, tmp_path, by_colour):
    marks = str(place / "marks.gpkg")
    result = run(job(place, tmp_path / "found.gpkg", exemplars=marks, class_field="kind"))
    assert result.tiles > 4
    found = gpd.read_file(tmp_path / "found.gpkg")
    assert set(found["label"]) == {"roof", "pond"}
    assert set(found["prompt_type"]) == {"exemplar"}
    for name in ("roof", "pond"):
        squares = [ground(row, col) for kind, row, col in THINGS if kind == name]
        some = found[found["label"] == name]
        assert len(some) == len(squares)
        overlap = [max(square.intersection(s).area for s in some.geometry) for square in squares]
        assert min(overlap) > 0.8 * 144
    run(
        job(place, tmp_path / "again.gpkg", exemplars=marks, class_field="kind", workers=1,
            job_folder=str(tmp_path / "kept.job"))
    )  # fmt: skip
    again = gpd.read_file(tmp_path / "again.gpkg")
    assert again["id"].tolist() == found["id"].tolist()
    assert again.geometry.geom_equals(found.geometry).all()


def test_without_a_class_field_the_label_is_the_files_name(place, by_colour):
    found = samgeo_core.segment(
        str(place / "town.tif"), exemplars=place / "roof.gpkg", model="sam3", **GIVEN
    )
    assert set(found["label"]) == {"roof"}
    assert len(found) == sum(name == "roof" for name, *_ in THINGS)
    frame = gpd.GeoDataFrame(geometry=[ground(60, 140)], crs="EPSG:32645")
    found = samgeo_core.segment(str(place / "town.tif"), exemplars=frame, model="sam3", **GIVEN)
    assert len(found) == sum(name == "pond" for name, *_ in THINGS)


def test_what_exemplars_find_is_classed_by_examples_and_rules_apply(
    place, tmp_path, by_colour, monkeypatch
):
    monkeypatch.setenv("SAMGEO_CACHE_DIR", str(tmp_path / "cache"))
    kinds = {"roof": 8, "pond": 8}
    for name, count in kinds.items():
        some = [ground(row, col) for kind, row, col in THINGS if kind == name][:count]
        gpd.GeoDataFrame(geometry=some, crs="EPSG:32645").to_file(tmp_path / f"{name}s.gpkg")
    asked = job(
        place, tmp_path / "roofs.gpkg", exemplars=str(place / "marks.gpkg"), class_field="kind",
        detector="sam3", like=[str(tmp_path / "roofs.gpkg")], unlike=[str(tmp_path / "ponds.gpkg")],
        rules=["roofs: largest-part"],
    )  # fmt: skip
    (tmp_path / "out").mkdir()
    run(SegmentParameters(**{**vars(asked), "model": "embedded",
                             "output": str(tmp_path / "out" / "found.gpkg")}))  # fmt: skip
    found = gpd.read_file(tmp_path / "out" / "found.gpkg")
    roofs = gpd.GeoSeries([ground(r, c) for kind, r, c in THINGS if kind == "roof"])
    right = [roofs.intersects(spot).any() for spot in found.representative_point()]
    assert set(found["class"]) == {"roofs"}
    assert len(found) == pytest.approx(len(roofs), abs=4)
    assert np.mean(right) > 0.9


def test_bad_exemplars_end_a_job_with_one_sentence(place, tmp_path, by_colour):
    marks = str(place / "marks.gpkg")
    for error, why, given in (
        (PromptError, "not points or lines", {"exemplars": str(place / "points.gpkg")}),
        (ParameterError, "no field 'nothing'", {"exemplars": marks, "class_field": "nothing"}),
        (PromptError, "cannot be used", {"exemplars": str(tmp_path / "none.gpkg")}),
        (ParameterError, "not both", {"exemplars": marks, "words": ["roof"]}),
        (ParameterError, "not both", {"exemplars": marks, "prompts": marks}),
        (ParameterError, "automatic mode", {"exemplars": marks, "points_per_side": 8}),
        (ParameterError, "says nothing without", {"class_field": "kind"}),
        (ParameterError, "about one raster", {"exemplars": marks, "scenes": "each"}),
    ):
        with pytest.raises(error, match=why):
            run(job(place, tmp_path / "{scene}.gpkg" if "scenes" in given else tmp_path / "a.gpkg",
                    **given))  # fmt: skip
    copy = tmp_path / "copy.gpkg"
    copy.write_bytes((place / "roof.gpkg").read_bytes())
    with pytest.raises(OutputError, match="exemplars"):
        run(job(place, copy, exemplars=str(copy), layer="roof", overwrite=True))
    assert not list(tmp_path.glob("a.gpkg*"))
