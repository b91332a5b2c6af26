# SPDX-License-Identifier: GPL-2.0-or-later
from dataclasses import replace

import numpy as np
import pytest
from samgeo_core.errors import Cancelled, ParameterError
from samgeo_core.masks.masks import ABSENT, PromptRef
from samgeo_core.parallel.cancellation import stopped_by
from samgeo_core.segmenters import automatic
from samgeo_core.segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from samgeo_core.segmenters.segmenter import Hint, PromptableSegmenter
from samgeo_core.testing.painted import BACKGROUND, PaintedModel, paint, tile_image
from samgeo_core.types import CellBox, PixelBox

BOXES = {(16, 16, 64, 80): 10, (80, 100, 160, 140): 20, (180, 20, 240, 200): 30}
SCENE = paint(BOXES)


def segmenter(model=None, **options):
    options = {"points_per_side": 16, "score_threshold": 0.85} | options
    return AutomaticSegmenter(model or PaintedModel(), AutomaticOptions(**options))


def placed(mask, shape=(64, 64)):
    """The mask's inside on an array of cells."""
    canvas = np.zeros(shape, bool)
    box = mask.box
    canvas[box.row0 : box.row1, box.col0 : box.col1] = mask.logits > 0
    return canvas


def same(first, second):
    return len(first) == len(second) and all(
        a.box == b.box
        and np.array_equal(a.logits, b.logits)
        and (a.score, a.stability, a.prompt) == (b.score, b.stability, b.prompt)
        for a, b in zip(first, second, strict=True)
    )


def test_it_is_a_promptable_segmenter_with_the_models_name():
    assert isinstance(segmenter(), PromptableSegmenter)
    assert segmenter().name == "painted"


def test_every_object_is_found_once_and_exactly():
    tile = segmenter().segment(tile_image(SCENE))
    assert tile.cell == 4
    got = {tuple(np.argwhere(placed(mask)).min(0)): placed(mask) for mask in tile.masks}
    assert len(got) == len(tile.masks) == 3
    for row0, col0, row1, col1 in BOXES:
        want = np.zeros((64, 64), bool)
        want[row0 // 4 : row1 // 4, col0 // 4 : col1 // 4] = True
        np.testing.assert_array_equal(got[row0 // 4, col0 // 4], want)


def test_it_stops_between_two_batches_of_points(monkeypatch):
    batches = []

    class Counting(PaintedModel):
        def decode(self, embedding, prompts, **options):
            batches.append(len(prompts))
            return super().decode(embedding, prompts, **options)

    def question():
        if len(batches) == 2:
            raise Cancelled("Stopped.")

    monkeypatch.setattr(automatic, "LOGITS_AT_ONCE", 3 * 4 * 64 * 64 * 10)
    with stopped_by(question), pytest.raises(Cancelled):
        segmenter(Counting()).segment(tile_image(SCENE))
    assert len(batches) == 2


def test_masks_lie_on_the_rasters_lattice_wherever_the_window_begins():
    here = segmenter().segment(tile_image(SCENE)).masks
    there = segmenter().segment(tile_image(SCENE, at=(1024, 2048))).masks
    assert [m.box.shifted(256, 512) for m in here] == [m.box for m in there]


def test_the_result_does_not_depend_on_the_order_of_points(monkeypatch):
    model = PaintedModel()
    noise = np.random.default_rng(1)
    pixels = SCENE.copy()
    pixels[100:140, 160:250] = (5, 5, 90)
    straight = segmenter(model).segment(tile_image(pixels)).masks
    grid = automatic.point_grid

    def shuffled(*args):
        return noise.permutation(grid(*args))

    monkeypatch.setattr(automatic, "point_grid", shuffled)
    again = segmenter(model).segment(tile_image(pixels)).masks
    assert same(straight, again)


def test_masks_at_the_windows_edge_are_kept():
    pixels = paint({(0, 0, 40, 60): 10, (200, 100, 256, 256): 20})
    tile = segmenter().segment(tile_image(pixels))
    assert {(m.box.row0, m.box.col1) for m in tile.masks} == {(0, 17), (48, 64)}


def test_points_are_asked_only_where_there_are_data_and_masks_end_there():
    model = PaintedModel()
    valid = np.ones((256, 256), bool)
    valid[:, 60:] = False
    tile = segmenter(model).segment(tile_image(SCENE, valid=valid))
    assert len(model.points) == 16 * 4
    assert (model.points[:, 1] < 60).all()
    assert len(tile.masks) == 2
    for mask in tile.masks:
        assert not placed(mask)[:, 15:].any()
        beyond = mask.logits[:, max(0, 15 - mask.box.col0) :]
        assert (beyond == ABSENT).all()
        assert beyond.size


def test_a_tile_without_data_costs_nothing():
    model = PaintedModel()
    tile = segmenter(model).segment(tile_image(SCENE, valid=np.zeros((256, 256), bool)))
    assert tile.masks == []
    assert model.encoded == []


def test_a_clamped_window_has_the_scale_and_the_points_of_a_whole_one():
    whole, clamped = PaintedModel(), PaintedModel()
    cut = SCENE[:202, :150]
    pixels = np.empty_like(SCENE)
    pixels[:] = BACKGROUND
    pixels[:202, :150] = cut
    valid = np.zeros((256, 256), bool)
    valid[:202, :150] = True
    a = segmenter(whole).segment(tile_image(pixels, valid=valid)).masks
    b = segmenter(clamped).segment(tile_image(cut)).masks
    np.testing.assert_array_equal(whole.encoded[0], clamped.encoded[0])
    np.testing.assert_array_equal(whole.points, clamped.points)
    assert len(b) == 3
    for first, second in zip(a, b, strict=True):
        np.testing.assert_array_equal(placed(first), placed(second))
    assert all(m.box.row1 <= 51 and m.box.col1 <= 38 for m in b)


def test_scores_and_stability_must_pass_the_models_or_the_given_thresholds():
    pixels = paint(BOXES, scores=60)
    default = segmenter(score_threshold=None)
    assert default.options.score_threshold == default.model.info.score_threshold == 0.5
    assert len(default.segment(tile_image(pixels)).masks) == 3
    assert segmenter(score_threshold=0.61).segment(tile_image(pixels)).masks == []
    stable = sorted(mask.stability for mask in segmenter().segment(tile_image(SCENE)).masks)
    found = segmenter(stability_threshold=stable[1]).segment(tile_image(SCENE)).masks
    assert sorted(mask.stability for mask in found) == stable[1:]


def test_stability_is_the_iou_of_the_mask_cut_high_and_low():
    pixels = paint({(64, 64, 128, 128): 10})  # 16 x 16 cells, logit = distance - 0.5
    (mask,) = segmenter(stability_offset=1.0).segment(tile_image(pixels)).masks
    # Higher by 1: without the outermost ring of cells. Lower by 1: with one ring around, whose
    # logits are -0.5 (its corners, at the distance of a diagonal, -0.91).
    assert mask.stability == pytest.approx(14**2 / 18**2, abs=1e-6)


def test_a_ring_and_its_disc_are_two_objects_by_mask_and_one_by_box():
    pixels = paint({(40, 40, 200, 200): 10, (44, 44, 196, 196): 20})
    options = {"points_per_side": 64}
    assert len(segmenter(**options).segment(tile_image(pixels)).masks) == 2
    assert len(segmenter(duplicates="box", **options).segment(tile_image(pixels)).masks) == 1


def test_duplicates_all_stay_where_the_limit_is_one():
    tile = segmenter(max_iou=1.0).segment(tile_image(SCENE))
    assert len(tile.masks) > 3


def test_skipping_asks_less_and_finds_the_same_where_nothing_is_nested():
    places = [(row, col) for row in range(4, 256, 64) for col in range(4, 256, 64)]
    pixels = paint({(r, c, r + 56, c + 48): 10 + n for n, (r, c) in enumerate(places)})
    official, skipping = PaintedModel(), PaintedModel()
    a = segmenter(official).segment(tile_image(pixels)).masks
    b = segmenter(skipping, grid="skip").segment(tile_image(pixels)).masks
    assert len(a) == 16
    assert same(a, b)
    assert len(official.points) == 256
    assert len(skipping.points) < 256 / 2
    # No point is asked twice, and none that the official grid does not ask.
    asked = {tuple(point) for point in skipping.points}
    assert len(asked) == len(skipping.points)
    assert asked <= {tuple(point) for point in official.points}


def test_a_mask_of_most_of_the_window_does_not_hide_what_lies_on_it():
    pixels = paint({(0, 0, 256, 256): 10, (80, 100, 120, 124): 20})
    masks = segmenter(grid="skip").segment(tile_image(pixels)).masks
    assert len(masks) == 2


def test_crops_find_what_is_too_small_for_the_window():
    pixels = paint({(101, 101, 107, 107): 10})  # between the centres of 8 px cells
    assert segmenter(points_per_side=64).cell_size(256) == 4
    assert segmenter(points_per_side=64, n_layers=1).cell_size(256) == 2
    coarse = PaintedModel(mask_size=32)
    assert segmenter(coarse, points_per_side=32).segment(tile_image(pixels, cell=8)).masks == []
    fine = segmenter(coarse, points_per_side=32, n_layers=2)
    assert fine.cell_size(256) == 2
    (mask,) = fine.segment(tile_image(pixels, cell=2)).masks
    rows, cols = np.nonzero(mask.logits > 0)
    assert (mask.box.row0 + rows.mean() + 0.5) * 2 == pytest.approx(104, abs=1.5)
    assert (mask.box.col0 + cols.mean() + 0.5) * 2 == pytest.approx(104, abs=1.5)


def test_what_a_crop_cuts_off_inside_the_window_is_left_to_the_window():
    pixels = paint({(20, 60, 120, 220): 10})  # across the crops' edges
    masks = segmenter(n_layers=1).segment(tile_image(pixels, cell=2)).masks
    assert len(masks) == 1
    assert placed(masks[0], (128, 128)).sum() == pytest.approx(100 * 160 / 4, rel=0.02)


def test_small_islands_and_holes_go_and_what_touches_the_windows_edge_stays():
    pixels = paint({(40, 40, 120, 120): 10})
    pixels[72:80, 72:80] = BACKGROUND  # a hole of 4 cells
    pixels[200:204, 200:204] = (10, 245, 90)  # an island of one cell
    pixels[252:, 100:104] = (10, 245, 90)  # another, which may go on in the next tile
    (rough,) = segmenter().segment(tile_image(pixels)).masks
    assert placed(rough).sum() == 400 - 4 + 2
    (mask,) = segmenter(min_region=5 * 16).segment(tile_image(pixels)).masks
    assert placed(mask)[10:30, 10:30].all()
    assert not placed(mask)[50, 50]
    assert placed(mask)[63, 25]


def test_the_fingerprint_tells_models_and_options_apart():
    prints = {
        segmenter().fingerprint,
        segmenter(PaintedModel(mask_size=32)).fingerprint,
        segmenter(points_per_side=8).fingerprint,
        segmenter(score_threshold=0.51).fingerprint,
    }
    assert len(prints) == 4
    default, same_as_default = segmenter(score_threshold=None), segmenter(score_threshold=0.5)
    assert default.fingerprint == same_as_default.fingerprint


@pytest.mark.parametrize(
    "wrong",
    [
        {"points_per_side": 0},
        {"max_iou": 1.5},
        {"grid": "dense"},
        {"duplicates": "hash"},
        {"n_layers": 9},
    ],
)
def test_options_out_of_range_are_named(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        AutomaticOptions(**wrong)


def test_cells_that_are_not_whole_pixels_are_resampled_onto_the_lattice():
    model = PaintedModel(mask_size=128)
    pixels = paint({(60, 80, 200, 260): 10}, size=320)
    assert segmenter(model).cell_size(320) == 2
    (mask,) = segmenter(model).segment(tile_image(pixels, size=320, cell=2)).masks
    # 2.5 px cells: the border is known to half of one.
    rows, cols = np.nonzero(mask.logits > 0)
    box = mask.box
    got = [(box.row0 + rows.min()) * 2, (box.col0 + cols.min()) * 2]
    got += [(box.row0 + rows.max() + 1) * 2, (box.col0 + cols.max() + 1) * 2]
    assert np.abs(np.array(got) - (60, 80, 200, 260)).max() <= 2.5


ROOF = PromptRef("7", "box", "roof")


def hint_of(mask, window, prompt=ROOF):
    return Hint(PixelBox(*window), mask.box, mask.logits, prompt)


@pytest.mark.parametrize("accepts", ["point box mask", "point box", "point"])
def test_refining_asks_again_and_answers_in_order(accepts):
    at = (512, 1024)
    masks = segmenter().segment(tile_image(SCENE, at=at)).masks
    model = PaintedModel(accepts=accepts)
    window = (*at, at[0] + 256, at[1] + 256)
    nothing = replace(masks[0], logits=np.full_like(masks[0].logits, -50))
    hints = [hint_of(mask, window) for mask in (masks[2], nothing, masks[0])]
    hints.append(
        Hint(PixelBox(*window), CellBox(0, 0, 1, 1), np.ones((1, 1), np.int8), PromptRef())
    )
    answers = segmenter(model).refine(tile_image(SCENE, at=at), hints)
    assert answers[1] is None
    assert answers[3] is None  # outside the window
    for answer, mask in ((answers[0], masks[2]), (answers[2], masks[0])):
        assert answer.prompt == ROOF
        assert answer.score == pytest.approx(0.9)
        np.testing.assert_array_equal(
            placed(replace(answer, box=answer.box.shifted(-128, -256))),
            placed(replace(mask, box=mask.box.shifted(-128, -256))),
        )
    (asked,) = model.asked
    assert (asked.boxes is not None) == ("box" in accepts)
    assert (asked.masks is not None) == ("mask" in accepts)
    assert (asked.points is not None) == ("box" not in accepts)


def test_refining_prompts_with_the_hints_tight_box_and_its_logits_on_the_models_grid():
    model = PaintedModel(mask_size=32)  # 8 px cells, the lattice has 4
    masks = segmenter().segment(tile_image(SCENE)).masks
    segmenter(model).refine(tile_image(SCENE), [hint_of(m, (0, 0, 256, 256)) for m in masks])
    (asked,) = model.asked
    assert {tuple(box) for box in asked.boxes.astype(int)} == set(BOXES)
    for box, logits in zip(asked.boxes.astype(int), asked.masks, strict=True):
        touched = np.zeros((32, 32), bool)
        touched[box[0] // 8 : -(-box[2] // 8), box[1] // 8 : -(-box[3] // 8)] = True
        assert (logits[~touched] < 0).all()
        assert (logits[-(-box[0] // 8) : box[2] // 8, -(-box[1] // 8) : box[3] // 8] > 0).all()
        assert logits.min() == pytest.approx(-127 / 16)
