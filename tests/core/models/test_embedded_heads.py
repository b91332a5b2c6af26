# SPDX-License-Identifier: GPL-2.0-or-later
"""Proposals, classes, levels and corrections of the embedded model."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from samgeo_core.errors import ModelError, ParameterError
from samgeo_core.models.base import Decoded, Prompts
from samgeo_core.models.embedded.classes import CLASSES
from samgeo_core.models.embedded.corrections import corrected
from samgeo_core.models.embedded.decoding import Levels
from samgeo_core.models.embedded.heads import HALF_SIZE_WEIGHT, DenseHead, peaks
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.models.embedded.network import EmbeddedNet
from samgeo_core.models.embedded.prompt_maps import STRIDE
from samgeo_core.models.embedded.proposals import propose
from samgeo_core.models.embedded.scale import choose_scale
from samgeo_core.segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from samgeo_core.segmenters.point_grids import uncovered
from samgeo_core.segmenters.segmenter import TileImage
from samgeo_core.tiles.grid import Tile
from samgeo_core.types import PixelBox, TileIndex

from .test_embedded import TINY, tiny_network, write


def proposing(path, scale=1.0, **notes):
    """A random network with a head that finds something everywhere."""
    torch.manual_seed(1)
    net = EmbeddedNet(dataclasses.replace(TINY, dense=8, padding="grey"))
    net.load_state_dict(net.state_dict() | tiny_network().state_dict())
    net.dense.out.weight.data[0] *= 20
    facts = {"score_threshold": "0", "stability_threshold": "0"}
    return load_embedded("cpu", path=write(path, net.eval(), **facts, **notes), scale=scale)


def as_it_is(answer):
    return answer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return proposing(tmp_path_factory.mktemp("weights") / "heads.safetensors")


def noise(height, width, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, 0).repeat(8, 1))


def test_maxima_are_found_once_each_deepest_first():
    depth = torch.zeros(20, 20)
    depth[4:7, 4:7], depth[5, 5] = 0.6, 0.7
    depth[14:17, 11:14], depth[15, 12] = 0.8, 0.9
    least, reach = torch.full_like(depth, 0.5), torch.full_like(depth, 2.0)
    at, value = peaks(depth, least, 10, reach)
    assert at.tolist() == [[15, 12], [5, 5]]
    assert value.tolist() == pytest.approx([0.9, 0.7])
    assert len(peaks(depth, least, 1, reach)[0]) == 1
    assert len(peaks(depth, least + 0.45, 10, reach)[0]) == 0


def two_small_objects_side_by_side():
    """Depths of columns 5 to 7 and 8 to 10, deepest in 6 and 9."""
    depth = torch.full((24, 24), 0.02)
    depth[9:12, 5:11] = torch.tensor([0.6, 0.9, 0.3, 0.3, 0.85, 0.6])
    return depth


def test_two_maxima_near_each_other_stay_where_objects_are_small():
    depth = two_small_objects_side_by_side()
    least = torch.full_like(depth, 0.5)
    reach = torch.full_like(depth, 3.0)
    assert peaks(depth, least, 10, reach)[0].tolist() == [[10, 6]]
    reach[:, 8:] = 2.0
    assert peaks(depth, least, 10, reach)[0].tolist() == [[10, 6], [10, 9]]


def test_small_objects_are_proposed_side_by_side_and_from_a_lower_depth():
    depth = two_small_objects_side_by_side()
    depth[9:12, 15:18] = torch.tensor([0.2, 0.4, 0.2])

    def proposed(side):
        sides = np.full((4, 24, 24), side / 2, np.float32)
        points, boxes, _ = propose(torch.logit(depth).numpy(), sides, shrink=1, least=0.5)
        assert (boxes[:, 2:] - boxes[:, :2] == side).all()
        return (points[:, 1] // STRIDE).tolist()

    assert proposed(60.0) == [6]
    assert proposed(12.0) == [6, 9, 16]


def test_sides_that_are_no_numbers_are_those_of_usual_objects():
    depth = two_small_objects_side_by_side()
    sides = np.full((4, 24, 24), np.nan, np.float32)
    sides[:, :, 12:] = np.inf
    points, _, _ = propose(torch.logit(depth).numpy(), sides, shrink=1, least=0.5)
    assert (points[:, 1] // STRIDE).tolist() == [6]


def test_distances_to_the_sides_of_boxes_are_within_their_limits():
    head = DenseHead((8, 16, 16), 8)
    head.out.weight.data *= 1000
    dense = head(torch.randn(1, 16, 4, 4), torch.randn(1, 16, 8, 8), torch.randn(1, 8, 16, 16))
    assert dense.depth.shape == (1, 16, 16)
    assert dense.classes.shape == (1, len(CLASSES), 16, 16)
    assert float(dense.sides.min()) > 0
    assert torch.isfinite(dense.sides).all()


def test_proposals_lie_inside_the_image_in_its_own_pixels(model):
    for scale in (1, 2):
        here = model.scaled(scale)
        found = here.propose(here.encode([noise(100, 140)])[0])
        assert len(found) > 0
        assert (found.points < (100, 140)).all()
        assert (found.boxes >= 0).all()
        assert (found.boxes <= (100, 140, 100, 140)).all()
        assert (np.diff(found.depth) <= 0).all()


def test_probabilities_of_classes_have_a_sum_of_one_and_a_temperature_flattens_them(
    model, tmp_path
):
    embedding = model.encode([noise(64, 128)])[0]
    probabilities, cell = model.class_probabilities(embedding)
    assert probabilities.shape == (len(CLASSES), 16, 32)
    assert cell == (4, 4)
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
    flat = proposing(tmp_path / "flat.safetensors", temperature="5")
    flatter, _ = flat.class_probabilities(flat.encode([noise(64, 128)])[0])
    assert flatter.max() < probabilities.max()


def test_classes_are_seen_in_the_image_and_in_it_at_half_its_size(model):
    embedding = model.encode([noise(64, 128)])[0]
    near, far = (embedding.arrays[name].astype(np.float32) for name in ("classes", "classes_by2"))
    larger = np.asarray(
        torch.nn.functional.interpolate(
            torch.from_numpy(far)[None], scale_factor=2, mode="bilinear", align_corners=False
        )[0]
    )
    logits = (1 - HALF_SIZE_WEIGHT) * near + HALF_SIZE_WEIGHT * larger
    powers = np.exp(logits - logits.max(axis=0))
    probabilities, _ = model.class_probabilities(embedding)
    np.testing.assert_allclose(probabilities, powers / powers.sum(axis=0), atol=1e-5)


def test_weights_without_the_head_say_so(tmp_path):
    old = load_embedded("cpu", path=write(tmp_path / "old.safetensors", tiny_network()))
    assert not old.proposes
    with pytest.raises(ModelError, match="neither proposals nor classes"):
        old.propose(old.encode([noise(64, 64)])[0])


def test_answers_in_their_squares_are_those_of_the_whole_image(model):
    embedding = model.encode([noise(320, 384)])[0]
    points = np.array([[[50, 60]], [[200, 300]], [[310, 20]]], np.float32)
    prompts = Prompts(points, np.ones((3, 1), np.int8))
    whole = model.decode(embedding, prompts)
    for row, answer in model.decode_cropped(embedding, prompts, as_it_is).items():
        h, w = answer.logits.shape[1:]
        rows, cols = slice(answer.row0, answer.row0 + h), slice(answer.col0, answer.col0 + w)
        np.testing.assert_array_equal(whole.logits[row][:, rows, cols], answer.logits)
        np.testing.assert_array_equal(whole.scores[row], answer.scores)


def test_levels_are_added_by_the_size_of_a_mask():
    levels = Levels((2.0, 8.0), (1.0, 0.0), (3.0, 0.0))
    assert Levels.from_json(levels.to_json()) == levels
    logits = torch.full((3, 16, 16), -5.0)
    logits[0, :2, :2] = 1
    logits[1, :4, :4] = 1
    logits[2, :8, :8] = 1
    clear = torch.ones(3, dtype=torch.bool)
    added = levels.apply(logits, clear) - logits
    assert added.amax((1, 2)).tolist() == pytest.approx([1, 0.5, 0])
    assert float((levels.apply(logits, ~clear) - logits)[0, 0, 0]) == pytest.approx(3)


def square(low, high, size=40):
    logits = np.full((size, size), -4, np.float32)
    logits[low:high, low:high] = 4
    return logits


def test_a_correction_changes_only_what_it_contradicts():
    earlier = square(10, 20)
    new = square(8, 22)
    new[30:36, 2:6] = 4  # an island that nobody asked for
    clicks, labels = np.array([[20.5, 15.5]]), np.array([1], np.int8)
    out = corrected(earlier, new[None], clicks, labels)[0]
    assert out[20, 15] > 0
    assert (out[30:36, 2:6] < 0).all()
    assert (out[10:20, 10:20] > 0).all()


def test_a_click_on_the_background_takes_away_and_adds_nothing():
    earlier = square(10, 20)
    new = square(12, 30)
    out = corrected(earlier, new[None], np.array([[10.5, 15.5]]), np.array([0], np.int8))[0]
    assert out[10, 15] <= 0
    assert (out[20:] <= 0).all()
    assert (out[14:20, 14:20] > 0).all()


def test_clicks_that_agree_with_the_earlier_mask_leave_the_new_one():
    new = square(8, 22)[None]
    clicks, labels = np.array([[15.0, 15.0], [0.0, 0.0]]), np.array([1, -1], np.int8)
    assert corrected(square(10, 20), new, clicks, labels) is new


def test_a_click_on_the_border_that_agrees_leaves_the_earlier_mask():
    earlier = square(10, 20)
    out = corrected(earlier, square(2, 30)[None], np.array([[10.5, 15.5]]), np.array([1], np.int8))
    np.testing.assert_array_equal(out[0], earlier)


def test_scales_follow_the_ground_resolution():
    assert choose_scale(0.1) == choose_scale(None) == 1
    assert choose_scale(0.6) == choose_scale(10.0) == 2


def test_uncovered_regions_get_one_place_each_inside_them():
    covered = np.ones((40, 40), bool)
    covered[2:12, 2:12] = covered[25:27, 30:32] = False
    assert list(uncovered(covered, 3, 40)) == [(6, 6)]
    assert len(list(uncovered(np.zeros((40, 40), bool), 1, 20))) == 4


def test_overlapping_windows_ask_uncovered_places_of_their_common_part_alike():
    rng = np.random.default_rng(0)
    covered = rng.random((96, 96)) < 0.02
    covered[::24] = True  # so that no depth depends on what a window does not see
    covered[:, ::24] = True
    whole = set(uncovered(covered, 2, 16))
    part = {(r + 24, c + 48) for r, c in uncovered(covered[24:, 48:], 2, 16, (24 % 16, 48 % 16))}
    assert part
    assert {at for at in part if at[0] >= 32} == {at for at in whole if at[0] >= 32 and at[1] >= 48}


def window(pixels, cell):
    height, width = pixels.shape[:2]
    box = PixelBox(0, 0, height, width)
    valid = np.ones((height, width), bool)
    return TileImage(Tile(TileIndex(0, 0), box, box, box), pixels, valid, max(height, width), cell)


def test_automatic_mode_with_proposals_says_the_class_of_every_mask(model):
    segmenter = AutomaticSegmenter(model, AutomaticOptions(proposals="embedded"), model)
    cell = segmenter.cell_size(256)
    assert cell == 2
    image = window(noise(256, 256), cell)
    found = segmenter.segment(image).masks
    assert found
    assert {mask.prompt.class_name for mask in found} <= set(CLASSES)
    assert all(1 / len(CLASSES) <= mask.prompt.class_prob <= 1 for mask in found)
    again = AutomaticSegmenter(model, segmenter.options, model).segment(image).masks
    assert [m.logits.tobytes() for m in again] == [m.logits.tobytes() for m in found]
    name = found[0].prompt.class_name
    options = AutomaticOptions(proposals="embedded", classes=(name,))
    kept = AutomaticSegmenter(model, options, model).segment(image).masks
    assert len(kept) == sum(mask.prompt.class_name == name for mask in found)


def town(side):
    """Roofs of several colours and sizes on grass."""
    rng = np.random.default_rng(4)
    pixels = np.full((side, side, 3), (78, 96, 60), np.uint8)
    for row in range(16, side - 60, 64):
        for col in range(16, side - 60, 64):
            height, width = rng.integers(18, 44, 2)
            colour = rng.integers(90, 230, 3)
            pixels[row : row + height, col : col + width] = colour
    return np.clip(pixels + rng.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)


def part_of_a_raster(pixels, core, around, cell):
    """A tile somewhere in a raster, read with some pixels around its core."""
    seen = core.grown(around)
    tile = Tile(TileIndex(0, 0), core, seen, core.grown(32))
    part = np.ascontiguousarray(pixels[seen.row0 : seen.row1, seen.col0 : seen.col1])
    return TileImage(tile, part, np.ones(part.shape[:2], bool), part.shape[0], cell)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_tile_with_a_context_finds_what_the_whole_raster_gives(scale):
    shipped = load_embedded("cpu", 1, scale=float(scale))
    segmenter = AutomaticSegmenter(shipped, AutomaticOptions(proposals="embedded"), shipped)
    context = segmenter.context
    assert context.pixels == context.step == 128 // scale
    squares = town(768).reshape(768 // scale, scale, 768 // scale, scale, 3)
    pixels = squares.mean((1, 3)).astype(np.uint8)
    core = PixelBox(256 // scale, 256 // scale, 512 // scale, 512 // scale)
    cell = segmenter.cell_size(len(pixels))
    assert cell == max(1, 2 // scale)
    whole = segmenter.segment(window(pixels, cell)).masks
    found = segmenter.segment(part_of_a_raster(pixels, core, 192 // scale, cell)).masks
    cells = core.cells(cell)
    expected = {mask.box for mask in whole if cells.contains(mask.box)}
    assert len(expected) >= 9
    assert {mask.box for mask in found if cells.contains(mask.box)} == expected


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_of_several_pictures_hardly_a_mask_depends_on_the_tile(scale):
    """What a tile sees at half the size ends nearer than the network looks: a proposal that hardly
    reaches the least depth in one window may not reach it in another."""
    shipped = load_embedded("cpu", 1, scale=float(scale))
    segmenter = AutomaticSegmenter(shipped, AutomaticOptions(proposals="embedded"), shipped)
    core = PixelBox(256 // scale, 256 // scale, 512 // scale, 512 // scale)
    boxes, different = 0, 0
    for moved in range(1, 5):
        picture = np.roll(town(768), (37 * moved, 53 * moved), (0, 1))
        squares = picture.reshape(768 // scale, scale, 768 // scale, scale, 3)
        pixels = squares.mean((1, 3)).astype(np.uint8)
        cell = segmenter.cell_size(len(pixels))
        whole = segmenter.segment(window(pixels, cell)).masks
        found = segmenter.segment(part_of_a_raster(pixels, core, 192 // scale, cell)).masks
        cells = core.cells(cell)
        expected = {mask.box for mask in whole if cells.contains(mask.box)}
        different += len(expected ^ {mask.box for mask in found if cells.contains(mask.box)})
        boxes += len(expected)
    assert boxes >= 40
    assert different <= boxes / 50


def test_a_tile_with_a_context_asks_only_for_what_reaches_into_its_core(model, monkeypatch):
    segmenter = AutomaticSegmenter(model, AutomaticOptions(proposals="embedded"), model)
    asked, decode = [], model.decode_cropped

    def spied(embedding, prompts, *rest, **options):
        asked.append(prompts.points[:, 0])
        return decode(embedding, prompts, *rest, **options)

    monkeypatch.setattr(model, "decode_cropped", spied)
    pixels, core = noise(512, 512), PixelBox(192, 192, 320, 320)
    image = part_of_a_raster(pixels, core, 128, 2)
    segmenter.segment(image)
    proposals = model.propose(model.encode([image.pixels])[0])
    near = np.concatenate(asked)
    assert 0 < len(near) < len(proposals)
    inside = ((proposals.points >= 128) & (proposals.points < 256)).all(axis=1)
    assert {tuple(at) for at in proposals.points[inside]} <= {tuple(at) for at in near}


def test_a_grid_of_points_and_other_models_need_no_context(model):
    from samgeo_core.testing.painted import PaintedModel

    assert AutomaticSegmenter(model).context.pixels == 0
    other = AutomaticSegmenter(PaintedModel(), AutomaticOptions(proposals="embedded"), model)
    assert other.context.pixels == 0
    assert model.scaled(2.0).info.context == 64


def test_proposals_prompt_another_model(model):
    from samgeo_core.testing.painted import PaintedModel, paint

    other = PaintedModel()
    options = AutomaticOptions(proposals="embedded", score_threshold=0, stability_threshold=0)
    segmenter = AutomaticSegmenter(other, options, model)
    assert segmenter.fingerprint != AutomaticSegmenter(other).fingerprint
    pixels = paint({(90, 90, 180, 180): 7})
    found = segmenter.segment(window(pixels, segmenter.cell_size(256))).masks
    assert found
    assert all(mask.prompt.class_name in CLASSES for mask in found)


def one_pair(monkeypatch, *box):
    """Whatever is found, two of its masks may be parts of one building."""
    from samgeo_core.segmenters import proposal_search

    monkeypatch.setattr(proposal_search, "boxes_of_pairs", lambda *_: np.array([box], np.float32))


def test_a_pair_of_parts_is_asked_for_with_one_box(model, monkeypatch):
    from samgeo_core.testing.painted import PaintedModel, paint

    class Whole(PaintedModel):
        """Answers a box with all that lies in it."""

        def decode(self, embedding, prompts, *, multimask=True, min_score=None):
            answer = super().decode(embedding, prompts, multimask=multimask, min_score=min_score)
            if prompts.boxes is None:
                return answer
            assert not multimask
            row0, col0, row1, col1 = (prompts.boxes[0] / embedding.cell_size[0]).astype(int)
            logits = np.full((1, 1, *embedding.mask_shape), -9, np.float32)
            logits[0, 0, row0:row1, col0:col1] = 9
            return Decoded(np.zeros(1, np.int64), logits, np.full((1, 1), 0.95, np.float32))

    one_pair(monkeypatch, 20, 20, 40, 44)  # in cells of 4 pixels
    image = window(paint({(80, 80, 160, 128): 70, (80, 128, 160, 176): 80}), 4)
    found = {}
    for pairs in (True, False):
        options = AutomaticOptions(proposals="embedded", pairs=pairs, stability_threshold=0)
        masks = AutomaticSegmenter(Whole(), options, model).segment(image).masks
        found[pairs] = {int((mask.logits > 0).sum()) for mask in masks}
    assert found[True] - found[False] == {20 * 24}
    fingerprints = {
        AutomaticSegmenter(
            Whole(), AutomaticOptions(proposals="embedded", pairs=pairs), model
        ).fingerprint
        for pairs in (True, False)
    }
    assert len(fingerprints) == 2


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_the_embedded_model_is_asked_for_a_pair_in_pixels_of_the_image(model, monkeypatch, scale):
    seen = model.scaled(scale)
    boxes, decode = [], seen.decode_cropped

    def spied(embedding, prompts, *rest, **options):
        if prompts.boxes is not None:
            assert not options["multimask"]
            boxes.extend(prompts.boxes.tolist())
        return decode(embedding, prompts, *rest, **options)

    monkeypatch.setattr(seen, "decode_cropped", spied)
    one_pair(monkeypatch, 10, 12, 30, 40)
    segmenter = AutomaticSegmenter(seen, AutomaticOptions(proposals="embedded"), seen)
    cell = segmenter.cell_size(128)
    segmenter.segment(window(noise(128, 128), cell))
    assert boxes == [[10 * cell, 12 * cell, 30 * cell, 40 * cell]]


def test_classes_and_proposals_that_cannot_be_are_refused(model):
    with pytest.raises(ParameterError, match="castle"):
        AutomaticOptions(classes=("castle",))
    with pytest.raises(ParameterError, match="embedded"):
        AutomaticSegmenter(model, AutomaticOptions(proposals="embedded"))
    with pytest.raises(ParameterError, match="grid"):
        AutomaticSegmenter(model, AutomaticOptions(classes=("road",)))


def test_masks_keep_their_class_in_a_jobs_folder(tmp_path, model):
    from samgeo_core.masks.mask_files import load_masks, save_masks

    options = AutomaticOptions(proposals="embedded")
    segmenter = AutomaticSegmenter(model, options, model)
    tile = segmenter.segment(window(noise(128, 128), 2))
    save_masks(tmp_path / "tile.npz", tile)
    again = load_masks(tmp_path / "tile.npz")
    assert [m.prompt for m in again.masks] == [m.prompt for m in tile.masks]


def test_the_levels_of_a_file_are_used(tmp_path):
    image = noise(128, 128)
    plain = proposing(tmp_path / "plain.safetensors")
    levels = Levels((1.0,), (0.5,), (0.5,)).to_json()
    raised = proposing(tmp_path / "raised.safetensors", levels=levels)
    assert json.loads(levels)[1] == [0.5]
    prompts = Prompts(np.array([[[60, 60]]], np.float32), np.ones((1, 1), np.int8))
    # With a least score, as a search has it, pieces far from the click stay.
    low = plain.decode_cropped(plain.encode([image])[0], prompts, as_it_is, min_score=0)[0]
    high = raised.decode_cropped(raised.encode([image])[0], prompts, as_it_is, min_score=0)[0]
    np.testing.assert_allclose(high.logits - low.logits, 0.5, atol=1e-4)


def test_small_masks_are_duplicates_from_a_smaller_iou_in_a_search_by_proposals(model, monkeypatch):
    from samgeo_core.segmenters.answers import Answers

    asked, distinct = [], Answers.distinct

    def spied(answers, candidates, small=None):
        asked.append(small)
        return distinct(answers, candidates, small)

    monkeypatch.setattr(Answers, "distinct", spied)
    options = AutomaticOptions(proposals="embedded", stability_threshold=0)
    AutomaticSegmenter(model, options, model).segment(window(noise(128, 128), 2))
    assert (256, 0.5) in asked  # 32 px each way are 16 cells
    asked.clear()
    AutomaticSegmenter(model, AutomaticOptions(points_per_side=4)).segment(
        window(noise(128, 128), 2)
    )
    assert set(asked) == {None}
