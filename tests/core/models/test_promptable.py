# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from samgeo_core.errors import ModelError, PromptError
from samgeo_core.models import promptable
from samgeo_core.models.base import Embedding, PromptableModel, Prompts
from samgeo_core.models.families import recognise as families
from samgeo_core.models.nn.attended import Attended
from samgeo_core.models.nn.mask_decoder import ImageSide
from samgeo_core.models.promptable import TorchModel

from ..tiny_models import FAMILIES, SIDE, model, state

RANDOM = np.random.RandomState(3)
IMAGE = RANDOM.randint(0, 256, (96, SIDE, 3)).astype(np.uint8)
SQUARE = RANDOM.randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


def points(count: int, each: int = 1) -> Prompts:
    random = np.random.RandomState(4)
    where = random.uniform(0, 96, (count, each, 2)).astype(np.float32)
    return Prompts(points=where, labels=np.ones((count, each), np.int8))


@pytest.fixture(scope="module")
def embeddings() -> dict[str, Embedding]:
    return {family: model(family).encode([IMAGE])[0] for family in FAMILIES}


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_a_promptable_model_and_says_what_it_is(
    family: str, embeddings: dict[str, Embedding]
) -> None:
    loaded = model(family)
    assert isinstance(loaded, PromptableModel)
    assert (loaded.info.family, loaded.info.input_size, loaded.info.mask_size) == (family, 128, 32)
    assert loaded.info.accepts == loaded.network.accepts >= {"point", "box"}
    embedding = embeddings[family]
    assert embedding.shape == (96, SIDE)
    assert embedding.mask_shape == (32, 32)
    stretched = loaded.network.preprocessing.stretch
    assert embedding.cell_size == ((3.0, 4.0) if stretched else (4.0, 4.0))
    for multimask in (True, False):
        out = loaded.decode(embedding, points(3), multimask=multimask)
        masks = loaded.network.candidates(multimask)
        assert out.logits.shape == (3, masks, 32, 32)
        assert out.scores.shape == (3, masks)
        assert out.logits.dtype == out.scores.dtype == np.float32
        assert out.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize("family", FAMILIES)
def test_images_in_a_batch_answer_as_alone(family: str) -> None:
    loaded = model(family)
    together = loaded.encode([IMAGE, SQUARE])
    for image, embedding in zip((IMAGE, SQUARE), together, strict=True):
        (alone,) = loaded.encode([image])
        for name, array in alone.arrays.items():
            np.testing.assert_allclose(embedding.arrays[name], array, atol=1e-5)
            assert array.dtype == np.float32


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_answer_the_same_in_any_batch_and_order(
    family: str, embeddings: dict[str, Embedding]
) -> None:
    embedding = embeddings[family]
    prompts = points(5, 2)
    one = families.build(state(family), device="cpu", image_size=SIDE, batch=1)
    many = families.build(state(family), device="cpu", image_size=SIDE, batch=5)
    first = one.decode(_of(embedding, one), prompts)
    second = many.decode(_of(embedding, many), prompts)
    np.testing.assert_allclose(first.logits, second.logits, atol=1e-4)
    order = np.array([3, 1, 4, 0, 2])
    shuffled = many.decode(_of(embedding, many), prompts[order])
    np.testing.assert_allclose(shuffled.logits, second.logits[order], atol=1e-4)
    np.testing.assert_allclose(shuffled.scores, second.scores[order], atol=1e-5)


def _of(embedding: Embedding, loaded: TorchModel) -> Embedding:
    assert embedding.fingerprint == loaded.info.fingerprint
    return embedding


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_points_change_nothing(family: str, embeddings: dict[str, Embedding]) -> None:
    embedding = embeddings[family]
    plain = points(3, 2)
    assert plain.points is not None
    assert plain.labels is not None
    where = np.full((3, 5, 2), np.nan, np.float32)
    labels = np.full((3, 5), -1, np.int8)
    where[:, [1, 3]], labels[:, [1, 3]] = plain.points, plain.labels
    # The second prompt has one point only: a group of its own.
    labels[1, 3] = -1
    padded = model(family).decode(embedding, Prompts(points=where, labels=labels))
    expected = model(family).decode(embedding, plain[np.array([0, 2])])
    np.testing.assert_allclose(padded.logits[[0, 2]], expected.logits, atol=1e-4)
    single = Prompts(points=plain.points[1:2, :1], labels=plain.labels[1:2, :1])
    alone = model(family).decode(embedding, single)
    np.testing.assert_allclose(padded.logits[1], alone.logits[0], atol=1e-4)
    assert padded.index.tolist() == [0, 1, 2]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("multimask", [True, False])
def test_min_score_leaves_out_exactly_the_prompts_below_it(
    family: str, multimask: bool, embeddings: dict[str, Embedding]
) -> None:
    loaded, embedding, prompts = model(family), embeddings[family], points(8)
    every = loaded.decode(embedding, prompts, multimask=multimask)
    best = every.scores.max(axis=1)
    limit = float(np.median(best))
    some = loaded.decode(embedding, prompts, multimask=multimask, min_score=limit)
    kept = np.flatnonzero(best >= limit)
    assert 0 < len(kept) < 8
    assert some.index.tolist() == kept.tolist()
    np.testing.assert_allclose(some.scores, every.scores[kept], atol=1e-5)
    np.testing.assert_allclose(some.logits, every.logits[kept], atol=1e-4)
    none = loaded.decode(embedding, prompts, multimask=multimask, min_score=99.0)
    assert none.logits.shape == (0, *every.logits.shape[1:])
    assert none.scores.shape == (0, every.scores.shape[1])


def test_failing_prompts_never_reach_the_upscaling(
    embeddings: dict[str, Embedding], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = model("sam")
    seen: list[int] = []
    upscale = loaded.network.mask_decoder.upscale

    def counted(side: ImageSide, attended: Attended) -> Iterator[torch.Tensor]:
        seen.append(len(attended.tokens))
        return upscale(side, attended)

    monkeypatch.setattr(loaded.network.mask_decoder, "upscale", counted)
    best = loaded.decode(embeddings["sam"], points(8)).scores.max(axis=1)
    seen.clear()
    out = loaded.decode(embeddings["sam"], points(8), min_score=float(np.sort(best)[-2]))
    assert sum(seen) == len(out.index) == 2


def test_an_unstable_single_mask_of_sam2_gives_way_to_the_best_candidate(
    embeddings: dict[str, Embedding], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, embedding = model("sam2"), embeddings["sam2"]
    candidates = loaded.decode(embedding, points(4))
    best = candidates.scores.argmax(axis=1)
    monkeypatch.setattr("samgeo_core.models.families.sam2_network.STABILITY_LIMIT", 2.0)
    unstable = loaded.decode(embedding, points(4), multimask=False)
    np.testing.assert_allclose(
        unstable.logits[:, 0], candidates.logits[np.arange(4), best], atol=1e-4
    )
    np.testing.assert_allclose(unstable.scores[:, 0], candidates.scores.max(axis=1), atol=1e-5)
    monkeypatch.setattr("samgeo_core.models.families.sam2_network.STABILITY_LIMIT", -1.0)
    stable = loaded.decode(embedding, points(4), multimask=False)
    assert np.abs(stable.logits - unstable.logits).max() > 0.1


def test_coordinates_are_row_and_column_from_the_corner() -> None:
    # The same place in images of two sizes and of one: fractions of the encoder's square.
    loaded = model("sam")
    seen: list[torch.Tensor] = []
    encode = loaded.network.prompt_encoder.tokens
    loaded.network.tokens, kept = (  # type: ignore[method-assign]
        lambda count, points, labels, boxes: (
            seen.extend((points, boxes)),
            encode(points, labels, boxes),
        )[1],
        loaded.network.tokens,
    )
    try:
        tall = np.zeros((256, 64, 3), np.uint8)
        (embedding,) = loaded.encode([tall])
        loaded.decode(
            embedding,
            Prompts(
                points=np.array([[[128, 16]]], np.float32),
                labels=np.array([[1]], np.int8),
                boxes=np.array([[-10, 0, 300, 64]], np.float32),
            ),
        )
    finally:
        loaded.network.tokens = kept  # type: ignore[method-assign]
    # 256 rows fill the square, 64 columns a quarter of it; the box is clipped to the image.
    assert seen[0].tolist() == [[[0.0625, 0.5]]]
    assert seen[1].tolist() == [[[0.0, 0.0], [0.25, 1.0]]]
    assert embedding.cell_size == (8.0, 8.0)


def test_official_pixel_indices_are_half_a_pixel_before_our_coordinates() -> None:
    # SAM adds 0.5 to an index (x, y) and divides by the side; we divide the continuous position.
    positions = model("sam").network.prompt_encoder.pe_layer
    grid = positions.grid(8, 8).view(8, 8, -1)
    cell = SIDE / 8
    index = torch.tensor([2 * cell + cell / 2 - 0.5, 5 * cell + cell / 2 - 0.5])
    assert torch.allclose(positions((index + 0.5) / SIDE), grid[5, 2], atol=1e-5)


@pytest.mark.parametrize(
    ("prompts", "error", "words"),
    [
        (Prompts(points=np.array([[[97, 5]]], "f4"), labels=np.array([[1]], "i1")), PromptError,
         "outside the image of 96 x 128"),
        (Prompts(points=np.array([[[np.nan, 5]]], "f4"), labels=np.array([[1]], "i1")),
         PromptError, "outside"),
        (Prompts(points=np.array([[[5, 5]]], "f4"), labels=np.array([[-1]], "i1")), PromptError,
         "empty"),
        (Prompts(points=np.array([[[5, 5]]], "f4"), labels=np.array([[7]], "i1")), PromptError,
         "Labels"),
        (Prompts(boxes=np.array([[10, 200, 20, 300]], "f4")), PromptError, "outside the image"),
        (Prompts(boxes=np.array([[20, 10, 20, 30]], "f4")), PromptError, "empty"),
        (Prompts(boxes=np.array([[np.inf, 10, 20, 30]], "f4")), PromptError, "finite"),
        (Prompts(masks=np.zeros((1, 8, 8), "f4")), PromptError, "cells"),
        (Prompts(masks=np.full((1, 32, 32), np.nan, "f4")), PromptError, "finite"),
    ],
)  # fmt: skip
def test_bad_prompts_are_refused_in_words(
    prompts: Prompts, error: type[Exception], words: str, embeddings: dict[str, Embedding]
) -> None:
    with pytest.raises(error, match=words):
        model("sam").decode(embeddings["sam"], prompts)


def test_kinds_that_a_family_does_not_understand_are_refused(
    embeddings: dict[str, Embedding],
) -> None:
    loaded, embedding = model("efficient_sam"), embeddings["efficient_sam"]
    with pytest.raises(ModelError, match="mask prompts"):
        loaded.decode(embedding, Prompts(masks=np.zeros((1, 32, 32), np.float32)))
    where = np.full((1, 1, 2), 5, np.float32)
    with pytest.raises(ModelError, match="background"):
        loaded.decode(embedding, Prompts(points=where, labels=np.zeros((1, 1), np.int8)))
    with pytest.raises(PromptError, match="at most 6"):
        loaded.decode(embedding, points(1, 7))
    with pytest.raises(ModelError, match="another model"):
        loaded.decode(embeddings["sam"], points(1))


def test_no_prompts_no_masks(embeddings: dict[str, Embedding]) -> None:
    out = model("sam").decode(embeddings["sam"], points(0))
    assert out.logits.shape == (0, 3, 32, 32)
    assert model("sam").encode([]) == []


def test_memory_that_runs_out_halves_the_batch_then_says_what_helps(
    embeddings: dict[str, Embedding], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = families.build(state("sam"), name="sam", device="cpu", image_size=SIDE, batch=8)
    expected = loaded.decode(embeddings["sam"], points(8))
    attend = loaded.network.mask_decoder.attend
    most = 2

    def tight(side: object, prompts: torch.Tensor, dense: object = None) -> object:
        if len(prompts) > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return attend(side, prompts, dense)

    monkeypatch.setattr(loaded.network.mask_decoder, "attend", tight)
    np.testing.assert_allclose(
        loaded.decode(embeddings["sam"], points(8)).logits, expected.logits, atol=1e-4
    )
    most = 0
    with pytest.raises(ModelError, match="single one of the prompts"):
        loaded.decode(embeddings["sam"], points(8))
    monkeypatch.setattr(
        loaded.network,
        "encode",
        lambda _: (_ for _ in ()).throw(RuntimeError("DefaultCPUAllocator: can't allocate memory")),
    )
    with pytest.raises(ModelError, match="smaller model"):
        loaded.encode([IMAGE])


def test_other_errors_are_not_taken_for_lack_of_memory(
    embeddings: dict[str, Embedding], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = families.build(state("sam"), device="cpu", image_size=SIDE)

    def broken(*_: object) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(loaded.network.mask_decoder, "attend", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        loaded.decode(embeddings["sam"], points(1))


def test_the_shared_side_is_computed_once_an_image_and_let_go() -> None:
    loaded = families.build(state("sam"), device="cpu", image_size=SIDE)
    calls = []
    image_side = loaded.network.image_side
    loaded.network.image_side = (  # type: ignore[method-assign]
        lambda arrays: (calls.append(1), image_side(arrays))[1]
    )
    kept = [loaded.encode([IMAGE])[0] for _ in range(promptable.KEPT_IMAGES + 1)]
    for embedding in kept:
        loaded.decode(embedding, points(1))
        loaded.decode(embedding, points(1))
    assert len(calls) == len(kept)
    assert len(loaded._sides) == promptable.KEPT_IMAGES
    del kept, embedding
    gc.collect()
    assert len(loaded._sides) == 0


def test_half_precision_stays_near(embeddings: dict[str, Embedding]) -> None:
    half = families.build(state("sam"), device="cpu", precision="bfloat16", image_size=SIDE)
    assert half.info.fingerprint != model("sam").info.fingerprint
    (embedding,) = half.encode([IMAGE])
    expected = embeddings["sam"].arrays["image"]
    assert np.abs(embedding.arrays["image"] - expected).mean() < 0.05
    out = half.decode(embedding, points(4))
    exact = model("sam").decode(embeddings["sam"], points(4))
    assert out.logits.dtype == np.float32
    assert np.abs(out.logits - exact.logits).mean() < 0.1


@pytest.mark.filterwarnings("error")
def test_embeddings_from_a_read_only_file_in_half_precision_decode(
    embeddings: dict[str, Embedding],
) -> None:
    exact = embeddings["sam"]
    arrays = {name: array.astype(np.float16) for name, array in exact.arrays.items()}
    for array in arrays.values():
        array.setflags(write=False)
    kept = replace(exact, arrays=arrays)
    out = model("sam").decode(kept, points(3))
    expected = model("sam").decode(exact, points(3))
    assert np.abs(out.logits - expected.logits).max() < 0.05
