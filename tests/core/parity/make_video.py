# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask the official video predictor for the reference values; see README.md for how to run it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .cases import HERE, sample
from .official import MEAN, STD, forget, made, module, replace_imports, sam2_config, with_timm, xy
from .video import PASSES, VIDEO_CASES, VideoCase, frames, shown, video_weights


def predictor(root: Path, case: VideoCase) -> tuple[Any, dict[str, list[int]]]:
    name = case.name
    forget("sam2")  # both repositories have a package of this name
    if name == "edgetam":
        with_timm(root)
    quality = "_hq_" in name
    folder = "EdgeTAM" if name == "edgetam" else "sam-hq/sam-hq2" if quality else "sam2"
    sys.path.insert(0, str(root / folder))
    module("tqdm", tqdm=lambda items, **_: items)
    config = sam2_config(root, name, case.size)
    config["_target_"] = "sam2.sam2_video_predictor.SAM2VideoPredictor"
    if quality:
        config["_target_"] = "sam2.sam2_hq_video_predictor.SAM2HQVideoPredictor"
    # What build_sam2_video_predictor adds; holes are only filled where its CUDA part was compiled.
    config["binarize_mask_from_pts_for_mem_enc"] = True
    if name == "edgetam":  # the sizes that its file gives for 1024 pixels
        cross = config["memory_attention"]["layer"]["cross_attention"]
        cross["q_sizes"] = [case.size // 16, case.size // 16]
    model = made(config)
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict(video_weights(shapes, case))
    return model.eval(), shapes


def answers(model: Any, case: VideoCase) -> Iterator[tuple[str, np.ndarray]]:
    images = [
        (torch.from_numpy(frame).permute(2, 0, 1).float() / 255 - MEAN) / STD
        for frame in frames(case)
    ]
    loaded = torch.stack(images), case.size, case.size
    sys.modules[type(model).__module__].load_video_frames = lambda **_: loaded
    # One object a series: they do not know of each other, and EdgeTAM's code takes no more.
    for number in range(case.objects):
        state = model.init_state("")
        for frame, shown_object, prompt in shown(case):
            if shown_object != number:
                continue
            if "outline" in prompt:
                model.add_new_mask(state, frame, number, prompt["outline"])
                continue
            given: dict[str, Any] = {}
            if "points" in prompt:
                given["points"] = xy(prompt["points"]).float().numpy()
                given["labels"] = prompt["labels"]
            if "boxes" in prompt:
                given["box"] = xy(prompt["boxes"].reshape(2, 2)).reshape(-1).float().numpy()
            model.add_new_points_or_box(state, frame, number, **given)
        for start, reverse in PASSES:
            for frame, _, _ in model.propagate_in_video(state, start, reverse=reverse):
                outputs = state["output_dict_per_obj"][0]
                out = outputs["cond_frame_outputs"].get(frame)
                out = out or outputs["non_cond_frame_outputs"][frame]
                key = f"{'back' if reverse else 'on'}.{frame}.{number}"
                yield f"{key}.logits", out["pred_masks"][0, 0].numpy()
                yield f"{key}.presence", out["object_score_logits"][0].numpy()
                yield f"{key}.pointer", out["obj_ptr"][0].numpy()
                yield f"{key}.memory", out["maskmem_features"][0].float().numpy()


def main(root: Path, only: list[str]) -> None:
    replace_imports()
    torch.set_num_threads(1)
    for case in VIDEO_CASES:
        if only and case.name not in only:
            continue
        before = list(sys.path)
        model, _ = predictor(root, case)
        kept = {}
        with torch.no_grad():
            for key, value in answers(model, case):
                kept[key] = sample(value, 300 if key.endswith("logits") else 60)
                if key.endswith(("logits", "presence")):
                    print(case.name, key, float(value.mean()), float(value.std()))
        np.savez_compressed(HERE / f"{case.name}.video.npz", **kept)
        sys.path[:] = before


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
