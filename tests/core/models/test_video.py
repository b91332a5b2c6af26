# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory of SAM 2 and EdgeTAM gives what the official predictor gave, frame by frame."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from samgeo_core.errors import CheckpointError, ModelError, PromptError
from samgeo_core.models.base import Prompts
from samgeo_core.models.families.memory.object_memory import FrameMemory, ObjectMemory
from samgeo_core.models.families.memory.video import TorchVideoModel
from samgeo_core.models.families.recognise import FAMILIES, _load, build

from ..parity.cases import HERE, sample
from ..parity.video import FRAMES, PASSES, VIDEO_CASES, VideoCase, frames, shown, video_weights

TOLERANCE = 1e-4


def state_of(case: VideoCase) -> dict[str, torch.Tensor]:
    with np.load(HERE / f"{case.name}.npz") as file:
        return video_weights(json.loads(str(file["shapes"])), case)


@lru_cache(maxsize=1)
def loaded(case: VideoCase) -> TorchVideoModel:
    model = build(state_of(case), device="cpu", threads=1, image_size=case.size, video=True)
    assert isinstance(model, TorchVideoModel)
    return model


def prompts(given: dict[str, np.ndarray]) -> dict[str, Any]:
    if "outline" in given:
        return {"outlines": given["outline"][None]}
    points, labels, boxes = (given.get(key) for key in ("points", "labels", "boxes"))
    return {
        "prompts": Prompts(
            points=None if points is None else points[None].astype(np.float32),
            labels=None if labels is None else labels[None].astype(np.int8),
            boxes=None if boxes is None else boxes[None].astype(np.float32),
        )
    }


@pytest.mark.parametrize("case", VIDEO_CASES, ids=lambda case: case.name)
def test_masks_presence_pointers_and_memories_are_the_official_ones(case: VideoCase) -> None:
    model = loaded(case)
    with np.load(HERE / f"{case.name}.video.npz") as file:
        expected = dict(file)
    embeddings = model.encode(frames(case))
    memories = [model.new_memory(FRAMES) for _ in range(case.objects)]
    answers = {}
    for frame, number, given in shown(case):
        said = model.show(embeddings[frame], frame, [memories[number]], **prompts(given))
        answers[frame, number] = said.logits[0], said.presence[0]
    worst = {"logits": 0.0, "presence": 0.0, "pointer": 0.0, "memory": 0.0}
    seen = set()
    for start, reverse in PASSES:
        for frame in range(start, -1, -1) if reverse else range(start, FRAMES):
            asked = [n for n in range(case.objects) if frame not in memories[n].given]
            said = model.follow(
                embeddings[frame], frame, [memories[n] for n in asked], reverse=reverse
            )
            for place, n in enumerate(asked):
                answers[frame, n] = said.logits[place], said.presence[place]
            for n, memory in enumerate(memories):
                kept = memory.given.get(frame) or memory.seen[frame]
                key = f"{'back' if reverse else 'on'}.{frame}.{n}"
                logits, presence = answers[frame, n]
                official = float(expected[f"{key}.presence"][0])
                seen.add(official > 0)
                assert (presence > 0.5) == (official > 0)
                tokens = kept.tokens.float().numpy()
                if tokens.shape[0] == (case.size // 16) ** 2 and case.name != "edgetam":
                    tokens = tokens.T  # the official order: features before places
                for name, ours, most in (
                    ("logits", logits, 300),
                    ("presence", presence[None], 60),
                    ("pointer", kept.pointer.numpy(), 60),
                    ("memory", tokens, 60),
                ):
                    wanted = expected[f"{key}.{name}"]
                    if name == "presence":
                        wanted = 1 / (1 + np.exp(-wanted))
                    difference = np.abs(sample(ours, most) - wanted).max()
                    worst[name] = max(worst[name], float(difference))
    print(case.name, worst)
    assert seen == {True, False}, "the reference must know both presence and absence"
    assert worst["logits"] < case.tolerance
    assert worst["presence"] < TOLERANCE
    assert worst["pointer"] < TOLERANCE
    # Kept in bfloat16: the last digit may fall on either side.
    assert worst["memory"] < 0.02


@pytest.fixture
def small() -> tuple[dict[str, torch.Tensor], VideoCase]:
    case = VIDEO_CASES[0]
    return state_of(case), case


def test_an_image_model_reads_no_memory_and_a_video_model_lacks_none(small) -> None:
    state, case = small
    lacking = {key: value for key, value in state.items() if not key.startswith("memory_encoder.")}
    build(lacking, device="cpu", image_size=case.size)
    with pytest.raises(CheckpointError, match="memory_encoder"):
        build(lacking, device="cpu", image_size=case.size, video=True)
    without_times = {key: value for key, value in state.items() if key != "maskmem_tpos_enc"}
    with pytest.raises(CheckpointError, match="maskmem_tpos_enc"):
        build(without_times, device="cpu", image_size=case.size, video=True)
    with pytest.raises(CheckpointError, match="lacks"):
        build(
            {key: value for key, value in state.items() if "self_attn.q_proj" not in key},
            device="cpu",
            image_size=case.size,
        )


def test_a_family_without_memory_says_so() -> None:
    with np.load(HERE / "mobile_sam.npz") as file:
        shapes = json.loads(str(file["shapes"]))
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    with pytest.raises(ModelError, match="has no memory"):
        build(state, device="cpu", video=True)


def test_a_video_model_answers_single_images_as_the_image_model_does(small) -> None:
    state, case = small
    image = frames(case)[0]
    prompt = Prompts(
        points=np.array([[[90.0, 120.0]]], np.float32), labels=np.array([[1]], np.int8)
    )
    answers = []
    for video in (False, True):
        model = build(state, device="cpu", threads=1, image_size=case.size, video=video)
        answers.append(model.decode(model.encode([image])[0], prompt))
    assert np.abs(answers[0].logits - answers[1].logits).max() < TOLERANCE
    assert np.abs(answers[0].scores - answers[1].scores).max() < TOLERANCE
    # Their embeddings differ, so neither may take the other's from a cache.
    assert (
        build(state, device="cpu", image_size=case.size).info.fingerprint != model.info.fingerprint
    )


def test_memory_stays_bounded_over_many_frames_and_keeps_what_is_looked_up() -> None:
    memory = ObjectMemory(50, given={20: FrameMemory(torch.ones(1), torch.ones(1))})
    most = 0
    for frame in (*range(21, 50), *range(19, -1, -1)):
        memory.seen[frame] = FrameMemory(torch.ones(1), torch.ones(1))
        memory.forget(frame, 6, 15)
        most = max(most, sum(kept.tokens is not None for kept in memory.seen.values()))
        if frame == 49:  # what the way back from frame 20 looks up
            assert all(memory.seen[number].tokens is not None for number in range(21, 27))
            assert set(memory.seen) == {*range(21, 36), *range(34, 50)}
    assert most <= 3 * 6 + 1
    assert len(memory.seen) <= 3 * 15 + 1


def test_objects_do_not_change_each_other(small) -> None:
    model = loaded(VIDEO_CASES[0])
    embeddings = model.encode(frames(VIDEO_CASES[0])[:2])
    outlines = np.zeros((2, 256, 256), bool)
    outlines[0, 60:120, 70:150] = True
    outlines[1, 150:200, 20:90] = True
    together = [model.new_memory(2) for _ in range(2)]
    model.show(embeddings[0], 0, together, outlines=outlines)
    both = model.follow(embeddings[1], 1, together)
    for number in range(2):
        alone = [model.new_memory(2)]
        model.show(embeddings[0], 0, alone, outlines=outlines[number : number + 1])
        one = model.follow(embeddings[1], 1, alone)
        assert np.abs(one.logits[0] - both.logits[number]).max() < TOLERANCE


def test_what_cannot_be_followed_is_refused(small) -> None:
    model = loaded(VIDEO_CASES[0])
    (embedding,) = model.encode(frames(VIDEO_CASES[0])[:1])
    with pytest.raises(PromptError, match="shown"):
        model.follow(embedding, 1, [model.new_memory(2)])
    with pytest.raises(PromptError, match="as many"):
        model.show(embedding, 0, [model.new_memory(2)])
    with pytest.raises(PromptError, match="pixels"):
        model.show(embedding, 0, [model.new_memory(2)], outlines=np.ones((1, 5, 5), bool))


@pytest.mark.parametrize("name", ["sam2.1_hiera_base_plus", "sam2_hiera_small", "edgetam"])
def test_every_tensor_of_the_official_file_is_read_for_video(name) -> None:
    # On the meta device: names and shapes only. A missing, unknown or misshapen one raises.
    with np.load(HERE / f"{name}.npz") as file:
        shapes = json.loads(str(file["shapes"]))
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    family = next(f for f in FAMILIES if f.name == ("edgetam" if name == "edgetam" else "sam2"))
    assert family.make_video is not None
    with torch.device("meta"):
        network = family.make_video(shapes, None)
    _load(network, state, replace(family, ignored=()))
    assert len(shapes) == len(network.state_dict())
