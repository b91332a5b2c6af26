# SPDX-License-Identifier: GPL-2.0-or-later
import dataclasses
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from samgeo_core.models.embedded.network import EmbeddedNet, NetConfig
from samgeo_core.models.embedded.prompt_maps import PromptTensors

pytest.importorskip("cv2", reason="training needs the extra 'training' (OpenCV)")

from samgeo_core.training import calibrate, log, loop, losses, prompts
from samgeo_core.training.datasets import canvas, packs, regions, scenes
from samgeo_core.training.datasets import crops as data
from samgeo_core.training.export import export

TINY = NetConfig(
    stem=8, widths=(8, 16, 16, 16), depths=(1, 1, 1, 1), neck=(8, 16, 16), decoder=(8, 8, 16, 16)
)
SHARED = Path(
    os.environ.get("SAMGEO_SHARED_DATA", Path(__file__).parents[3].parent / "shared" / "data")
)
seeds = st.integers(0, 2**31)


def textures(seed: int) -> canvas.Textures:
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 255, (140, 160, 3), dtype=np.uint8) for _ in range(3)]
    return canvas.Textures(images, rng)


def ellipse(seed: int, size: int = 64) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[0:size, 0:size]
    centre, radius = rng.uniform(15, size - 15, 2), rng.uniform(4, 18, 2)
    return ((rows - centre[0]) / radius[0]) ** 2 + ((cols - centre[1]) / radius[1]) ** 2 < 1


# --- scenes --------------------------------------------------------------------------------------


def test_a_seed_decides_a_scene():
    first, second = scenes.compose(textures(4), 128), scenes.compose(textures(4), 128)
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.classes, second.classes)
    assert first.image.shape == (128, 128, 3)
    assert first.image.dtype == np.uint8
    assert (first.image != scenes.compose(textures(5), 128).image).any()


def test_labels_are_in_one_piece_and_parts_have_numbers_of_their_own():
    from skimage.measure import label

    for seed in range(3):
        labels = scenes.compose(textures(seed), 128).labels
        for layer in labels:
            for value in np.unique(layer)[1:]:
                assert label(layer == value, connectivity=1).max() == 1
        assert not set(np.unique(labels[0])[1:]) & set(np.unique(labels[1])[1:])


def test_parcels_share_borders():
    shared = 0
    for seed in range(6):
        sheet = canvas.Canvas(96, textures(seed))
        scenes.parcels(sheet, 30.0)
        layer = sheet.labels[0].astype(int)
        assert len(np.unique(layer)) > 3
        left, right = layer[:, :-1], layer[:, 1:]
        shared += int(((left != right) & (left > 0) & (right > 0)).sum())
    assert shared > 100


# --- data ----------------------------------------------------------------------------------------


def test_a_pack_keeps_labels_exactly_and_images_nearly(tmp_path):
    sample = scenes.compose(textures(1), 96)
    data.write_pack(tmp_path / "a.npz", [dataclasses.replace(sample, classes=None), sample])
    again = data.read_pack(tmp_path / "a.npz")
    assert len(again) == 2
    np.testing.assert_array_equal(again[1].labels, sample.labels)
    np.testing.assert_array_equal(again[1].classes, sample.classes)
    assert again[0].classes is None
    assert again[0].whole
    assert np.abs(again[0].image.astype(int) - sample.image).mean() < 6
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


@settings(max_examples=15, deadline=None)
@given(seed=seeds, zoom=st.floats(0.4, 3))
def test_a_crop_moves_image_and_labels_alike(seed, zoom):
    mask = ellipse(seed, 200)
    image = np.repeat(np.where(mask, 250, 5).astype(np.uint8)[..., None], 3, -1)
    sample = data.Sample(image, mask[None].astype(np.uint16))
    cut = data.crop(sample, 128, zoom, np.random.default_rng(seed))
    pixels, labels = cut.image, cut.labels
    assert pixels.shape == (128, 128, 3)
    assert labels.shape == (1, 128, 128)
    # Mirrored surroundings have no labels, so only labelled places can be compared both ways.
    bright = pixels[..., 0] > 127
    inside = labels[0] > 0
    if inside.sum() > 200:
        assert bright[inside].mean() > 0.9


def test_crops_give_masks_of_labelled_objects_only():
    part = data.Part("spots", [scenes.compose(textures(2), 160)], 1.0, (0.8, 1.2))
    crops = data.Crops([part], np.random.default_rng(0), size=128)
    for _ in range(5):
        drawn, masks = crops.draw(6)
        assert drawn.labels.shape == (2, 128, 128)
        assert drawn.classes.shape == (128, 128)
        assert drawn.image.shape == (128, 128, 3)
        assert masks.shape == (6, 128, 128)
        assert (masks.sum((1, 2)) >= crops.smallest).all()


def test_crops_of_large_objects_are_magnified_and_ask_for_the_largest():
    labels = np.zeros((1, 96, 96), np.uint16)
    labels[0, 10:70, 10:70] = 1
    for number in range(9):
        row, col = 76 + 7 * (number // 5), 4 + 16 * (number % 5)
        labels[0, row : row + 5, col : col + 9] = 2 + number
    image = np.repeat((labels[0] > 0).astype(np.uint8)[..., None] * 200, 3, -1)
    part = data.Part("hall", [data.Sample(image, labels)], 1.0, (0.5, 2.0))
    sides = {}
    for kind in (data.Crops, data.LargeObjects):
        crops = kind([part], np.random.default_rng(0), 192)
        drawn = [crops.draw(1)[1] for _ in range(40)]
        sides[kind] = np.median([np.sqrt(masks.sum()) for masks in drawn])
    assert sides[data.LargeObjects] > 60 > sides[data.Crops]


def test_batches_show_crops_of_three_sizes_and_one_picture_of_the_largest(tmp_path):
    settings = dataclasses.replace(config(tmp_path), large=0.3, largest=0.3)
    batches = loop.Batches([small_part()], settings, 0)
    shapes = {tuple(batch["images"].shape) for batch in itertools.islice(batches, 25)}
    assert shapes == {(2, 3, 64, 64), (2, 3, 96, 96), (1, 3, 160, 160)}


def test_regions_with_a_sharp_border_are_found():
    image = np.full((120, 140, 3), (80, 120, 70), np.uint8)
    image[40:70, 50:100] = (190, 100, 90)
    sample = regions.region_sample(image)
    assert sample is not None
    wanted = np.zeros((120, 140), bool)
    wanted[40:70, 50:100] = True
    best = max(
        (sample.labels[0] == v)[wanted].mean() - (sample.labels[0] == v)[~wanted].mean()
        for v in range(1, int(sample.labels.max()) + 1)
    )
    assert best > 0.85
    flat = np.full((120, 140, 3), 90, np.uint8)
    assert regions.region_sample(flat) is None


@pytest.mark.skipif(not SHARED.exists(), reason="../shared/data is not here")
def test_nothing_east_of_the_dividing_column_is_trained_on(tmp_path):
    packs.pack_real(SHARED, tmp_path)
    trained = data.read_pack(tmp_path / "banepa.npz")[0]
    kept = data.read_pack(tmp_path / "valid_banepa.npz")[0]
    assert trained.image.shape == (data.BANEPA_HELD_OUT, data.BANEPA_SPLIT, 3)
    assert kept.image.shape == (4096 - data.BANEPA_HELD_OUT, data.BANEPA_SPLIT, 3)
    assert 600 < len(np.unique(trained.labels)) < 1000
    dubai = data.read_pack(tmp_path / "dubai.npz")
    assert len(dubai) == 45
    assert all(len(np.unique(sample.labels)) > 1 for sample in dubai)


# --- prompts -------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_first_prompts_fit_their_object(seed):
    masks = np.stack([ellipse(seed + i) for i in range(4)])
    first = prompts.first_prompts(masks, np.random.default_rng(seed))
    for i, mask in enumerate(masks):
        for (row, col), label in zip(first.points[i], first.labels[i], strict=True):
            if label >= 0:
                assert mask[int(row), int(col)] == bool(label)
        kind = prompts.KINDS[first.kinds[i]]
        assert np.isfinite(first.boxes[i]).all() == ("box" in kind)
        if "box" in kind:
            r0, c0, r1, c1 = prompts.tight_box(mask)
            sides = np.array([r1 - r0, c1 - c0] * 2)
            error = np.abs(first.boxes[i] - (r0, c0, r1, c1))
            assert (error <= 0.2 * sides + 1 + 1e-3).all()
        if kind == "point":
            assert first.labels[i].tolist() == [1, -1, -1, -1]
        if kind != "mask":
            assert not first.masks[i].any()


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_a_correction_lies_in_an_error_and_says_its_sign(seed):
    wanted, given_mask = ellipse(seed), ellipse(seed + 1)
    place = prompts.correcting_point(wanted, given_mask, 4, np.random.default_rng(seed))
    assert place is not None
    row, col, label = int(place[0] / 4), int(place[1] / 4), place[2]
    assert wanted[row, col] != given_mask[row, col]
    assert wanted[row, col] == bool(label)
    assert prompts.correcting_point(wanted, wanted, 4, np.random.default_rng(0)) is None


# --- losses --------------------------------------------------------------------------------------


def test_the_true_mask_costs_nothing_and_any_other_more():
    target = torch.from_numpy(ellipse(1)).float()[None]
    right = (target * 40 - 20)[:, None]
    wrong = torch.roll(right, 6, dims=-1)
    cost = losses.each_mask(torch.cat([right, wrong], 1), target)[0]
    assert float(cost[0]) < 0.01
    assert float(cost[1]) > 0.2


def blurred(logits: torch.Tensor) -> torch.Tensor:
    """The same at half the resolution."""
    small = torch.nn.functional.avg_pool2d(logits, 2)
    return torch.nn.functional.interpolate(small, scale_factor=2, mode="bilinear")


def test_the_border_costs_least_where_it_is():
    target = torch.nn.functional.avg_pool2d(torch.from_numpy(ellipse(1, 128)).float()[None], 2)
    exact = torch.logit(target.clamp(0.01, 0.99))[:, None]
    here, beside, coarser = (
        float(losses.along_border(logits, target))
        for logits in (exact, torch.roll(exact, 1, dims=-1), blurred(exact))
    )
    assert beside > 2 * here
    assert coarser > 1.5 * here  # of which soft targets cost most however well they are met
    # What is far from the border is the other terms' affair.
    far = exact.clone()
    far[:, :, -3:, -3:] = 9.0
    assert float(losses.along_border(far, target)) == pytest.approx(here)


def test_only_the_best_candidate_is_asked_for_more():
    target2 = torch.from_numpy(ellipse(2)).float()[None]
    target4 = torch.nn.functional.avg_pool2d(target2[:, None], 2)
    right = target4 * 20 - 10
    fine = torch.cat([right, -right, right, -right], 1).requires_grad_()
    coarse = torch.nn.functional.avg_pool2d(fine.detach(), 2)
    result = losses.round_loss(coarse, fine, torch.zeros((1, 4)), target2, torch.tensor([True]))
    assert float(result.best[0]) > 0.9
    assert float(result.single[0]) > 0.9
    result.total.backward()
    pull = fine.grad.abs().sum((0, 2, 3))
    # The others are only kept alive.
    assert pull[1] > 0
    assert pull[2] < 0.2 * pull[1]


# --- loop ----------------------------------------------------------------------------------------


def small_part() -> data.Part:
    samples = [scenes.compose(textures(seed), 96) for seed in range(2)]
    return data.Part("spots", samples, 1.0, (0.8, 1.2))


def config(out: Path) -> loop.TrainConfig:
    return loop.TrainConfig(out, minutes=1.0, images=2, objects=4, size=64, workers=0)


def test_training_learns_stops_and_goes_on(tmp_path):
    torch.manual_seed(0)
    crops = data.Crops([small_part()], np.random.default_rng(0), 64)
    batch = loop.make_batch(crops, 2, 4)
    trainer = loop.Trainer(config(tmp_path), TINY)
    before = float(trainer.update(batch)[0][0].total.detach())
    for _ in range(40):
        after = float(trainer.update(batch)[0][0].total.detach())
    assert after < 0.7 * before
    trainer.elapsed = 30.0
    trainer.save()

    again = loop.Trainer(config(tmp_path), TINY)
    again.resume()
    assert again.step == 41
    assert again.elapsed == 30.0
    assert again.rate() == pytest.approx(trainer.rate())
    for name, value in trainer.net.state_dict().items():
        assert torch.equal(value, again.net.state_dict()[name])
    assert list(tmp_path.glob("*.part")) == []


def test_half_precision_trains_the_same_weights(tmp_path):
    crops = data.Crops([small_part()], np.random.default_rng(0), 64)
    batch = loop.make_batch(crops, 2, 4)
    losses = {}
    for precision in ("auto", "float32", "bfloat16"):
        torch.manual_seed(0)
        settings = dataclasses.replace(config(tmp_path), precision=precision, later_rounds=(1.0,))
        trainer = loop.Trainer(settings, TINY)
        for _ in range(3):
            losses[precision] = float(trainer.update(batch)[0][0].total.detach())
        assert all(p.dtype == torch.float32 for p in trainer.net.parameters())
    assert losses["auto"] == losses["float32"]
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)


def test_the_rate_falls_to_nearly_nothing_at_the_end(tmp_path):
    trainer = loop.Trainer(config(tmp_path), TINY)
    trainer.step, trainer.elapsed = 1000, 0.0
    assert trainer.rate() == pytest.approx(trainer.config.rate)
    trainer.elapsed = 59.9
    assert trainer.rate() < 0.01 * trainer.config.rate


@pytest.mark.parametrize("forgotten", [0.0, 1.0])
def test_later_rounds_add_a_click_in_the_error_and_mostly_the_mask(monkeypatch, forgotten):
    monkeypatch.setattr(loop, "FORGOTTEN", forgotten)
    n = 3
    fine = torch.full((n, 4, 16, 16), -5.0)
    target2 = torch.zeros((n, 32, 32))
    target2[:, 8:24, 8:24] = 1
    first = PromptTensors(
        torch.zeros((n, 1, 2)), torch.zeros((n, 1), dtype=torch.int8), torch.zeros((n, 4)), None
    )
    later = loop.corrected(first, fine, torch.zeros((n, 4)), target2, np.random.default_rng(0))
    assert later.points.shape == (n, 2, 2)
    assert later.labels[:, 1].tolist() == [1, 1, 1]
    assert ((later.points[:, 1] > 16) & (later.points[:, 1] < 48)).all()
    assert later.masks is not None
    assert (later.masks == (0 if forgotten else -5)).all()


def test_masks_of_stride_2_are_learned_too(tmp_path):
    crops = data.Crops([small_part()], np.random.default_rng(0), 64)
    batch = loop.make_batch(crops, 2, 4)
    trainer = loop.Trainer(config(tmp_path), TINY)
    before = trainer.net.decoder.sharp.weight.detach().clone()
    assert not before.any()  # at first they are those of stride 4, only larger
    trainer.update(batch)
    assert trainer.net.decoder.sharp.weight.any()


def test_batch_normalisation_stands_still_when_the_run_has_settled(tmp_path):
    crops = data.Crops([small_part()], np.random.default_rng(0), 64)
    batch = loop.make_batch(crops, 2, 4)
    trainer = loop.Trainer(config(tmp_path), TINY)
    statistics = trainer.net.encoder.stem[1].running_mean
    start = statistics.clone()
    trainer.update(batch)
    assert not torch.equal(statistics, start)
    start = statistics.clone()
    weights = trainer.net.encoder.stem[1].weight.detach().clone()
    trainer.elapsed = 60 * trainer.config.minutes * trainer.config.settle
    trainer.update(batch)
    assert torch.equal(statistics, start)
    assert not torch.equal(weights, trainer.net.encoder.stem[1].weight)


def test_the_clock_does_not_count_the_time_in_which_a_run_was_stopped(tmp_path, monkeypatch):
    settings = dataclasses.replace(config(tmp_path), minutes=2.0)
    now, stopped = 0.0, 5000.0

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return now

    def update(trainer, batch):
        nonlocal now
        trainer.step += 1
        now += stopped if trainer.step == 2 else 20.0
        return []

    monkeypatch.setattr(loop, "time", Clock)
    monkeypatch.setattr(loop.Trainer, "update", update)
    trainer = loop.train(settings, [small_part()], [], None)
    assert trainer.elapsed == 130.0  # five steps of 20 s, and one that counts as LONGEST_STEP
    assert trainer.step == 6


def test_an_export_is_loaded_as_a_model_of_its_own(tmp_path):
    from samgeo_core.models.embedded.load import load_embedded, read_network

    trainer = loop.Trainer(config(tmp_path), TINY)
    trainer.save()
    out = tmp_path / "mine.safetensors"
    card = export(trainer.checkpoint, out, score_threshold=0.6, stability_threshold=0.7)
    model = load_embedded("cpu", path=out)
    assert model.info.name == "mine"
    assert model.info.score_threshold == 0.6
    assert card["sha256"] in model.info.fingerprint
    assert json.loads(out.with_suffix(".json").read_text()) == card

    tuned = loop.Trainer(config(tmp_path), TINY)
    tuned.start_from(read_network(out)[0])
    assert tuned.step == 0
    for name, value in trainer.average.state_dict().items():
        assert torch.allclose(value, tuned.net.state_dict()[name], atol=1e-3)


def test_masks_of_a_level_too_low_are_raised_to_what_fits_best(tmp_path):
    net = EmbeddedNet(TINY).eval()
    with torch.no_grad():
        for parameter in net.decoder.parameters():
            parameter.zero_()

    def finish(features, coarse):
        """The box itself, drawn 0.3 too low."""
        return coarse + net.decoder.sharp.bias[0] - 0.3

    def begin(features, prompts):
        rows, cols = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
        box = torch.nan_to_num(prompts.boxes)[:, :, None, None] / 2
        away = torch.stack([rows - box[:, 0], cols - box[:, 1], box[:, 2] - rows, box[:, 3] - cols])
        return (away.amin(0) / 4).clamp(-1, 1)[:, None]

    net.decoder.begin, net.decoder.finish = begin, finish
    image = np.zeros((256, 256, 3), np.uint8)
    labels = np.zeros((1, 256, 256), np.int32)
    labels[0, 40:80, 30:90], labels[0, 120:200, 120:180] = 1, 2
    part = data.Part("boxes", [data.Sample(image, labels)], 1.0, (1.0, 1.0))
    added = calibrate.level(net, [part], batches=4, side=128)
    assert 0.2 <= added <= 0.4
    assert net.decoder.sharp.bias[0].item() == pytest.approx(added)


def test_the_log_draws(tmp_path):
    pytest.importorskip("matplotlib")
    lines = [
        {"step": i, "minutes": i, "loss": 1.0, "iou_error": 0.1, "box": 0.5, "point": 0.4}
        for i in range(3)
    ]
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, lines)))
    log.plot(tmp_path / "log.jsonl", tmp_path / "log.png")
    assert (tmp_path / "log.png").stat().st_size > 1000
