# SPDX-License-Identifier: GPL-2.0-or-later
"""How much faster and leaner is our automatic generator than the official one, with equal masks?

    python -m benchmarks.automatic                 # everything, about 20 minutes on two quiet cores
    python -m benchmarks.automatic --points 16 --encoders mobile_sam

Both run in this very run, each in a process of its own, with the same random weights (saved in
the official format; their masks are given the strength of a trained model's) on the same 1024 x
1024 image. The reference is the package ``segment-anything``: installed, or a checkout named by
SAMGEO_SEGMENT_ANYTHING; its two needs of torchvision are met by a stand-in, see ``torchvision``.
Processor time stands beside wall time, because only it means something on a busy machine.

Cases: *all* keeps every mask (no thresholds); *some* has a score threshold that about 40 % of the
prompts pass. Nothing is suppressed in either, because the masks of random weights fill the same
box; *distinct* adds our suppression by mask IoU, *skip* the coarse-to-fine grid, *proposals* asks
once per object that the embedded model expects (its encoding included). *matched* is the
share of the official masks for which ours have one with IoU >= 0.98 at full resolution and the same
score (to 0.001, which rounding in bfloat16, ``--half``, exceeds: to 0.02 there); *stored*
the same after they were rounded and clipped to the 8 bits of a tile mask. Rounding moves a border
within the band of logits +-1/32 only: that matters to masks whose logits hardly rise above zero,
as many of random weights do and none that a stability threshold lets pass. So *stable* is *stored*
among the official masks of a stability of at least 0.3, the lowest default of any of our models.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from samgeo_core.masks.masks import ABSENT, LOGIT_STEPS, quantize
from samgeo_core.models.base import Prompts
from samgeo_core.models.families import recognise as families
from samgeo_core.models.load import load_model
from samgeo_core.segmenters import mask_nms as candidates
from samgeo_core.segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from samgeo_core.segmenters.segmenter import TileImage
from samgeo_core.tiles.grid import Tile
from samgeo_core.tiles.mask_grid import resample
from samgeo_core.types import PixelBox, TileIndex

SIZE = 1024
IOU = 0.98
STABLE = 0.3
SHARED = Path(
    os.environ.get("SAMGEO_SHARED_DATA", Path(__file__).parents[1].parent / "shared" / "data")
)


# What both see ------------------------------------------------------------------------------------


def picture() -> np.ndarray:
    """A real 1024 x 1024 aerial image where the data are here, else a drawn one."""
    mosaic = SHARED / "eval" / "buildings_banepa" / "mosaic_train_4326.tif"
    if mosaic.exists():
        import rasterio

        with rasterio.open(mosaic) as raster:
            window = rasterio.windows.Window(512, 512, SIZE, SIZE)
            return np.ascontiguousarray(np.moveaxis(raster.read([1, 2, 3], window=window), 0, 2))
    noise = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    return np.kron(noise, np.ones((32, 32, 1), np.uint8))


def random_state(encoder: str, *, strong: bool = True) -> dict[str, torch.Tensor]:
    """Random weights in the official layout: with logits as strong as a trained model's (4), and
    masks with an inside; or only as they are initialised."""
    from samgeo_core.models.families.mobile_sam import MobileSam
    from samgeo_core.models.families.sam import Sam
    from samgeo_core.models.image import Preprocessing
    from samgeo_core.models.nn.tiny_vit import TinyViT
    from samgeo_core.models.nn.vit import ViT

    torch.manual_seed(0)
    if encoder == "mobile_sam":
        network = MobileSam(TinyViT(), Preprocessing())
    else:
        network = Sam(ViT(768, 12, 12, [2, 5, 8, 11], 64), Preprocessing())
    state = {}
    for key, value in network.state_dict().items():
        zero = value.is_floating_point() and not value.abs().sum()
        if strong and zero and "bias" not in key:
            value = 0.02 * torch.randn_like(value)  # positions start as zeros
        if "gaussian" in key:
            value = torch.randn_like(value)
        if strong and "output_upscaling" in key and value.ndim == 4:
            # The four sub-pixels of a random transposed convolution have nothing in common: its
            # masks are speckle. In a trained model they nearly agree, and masks have an inside.
            value = value.mean((2, 3), keepdim=True) + 0.05 * (value - value.mean((2, 3), True))
        state[key] = value.clone()
    if not strong:
        return state
    model = families.build(state, device="cpu")
    (embedding,) = model.encode([picture()])
    points = np.random.default_rng(0).uniform(0, SIZE, (8, 1, 2)).astype(np.float32)
    logits = model.decode(embedding, Prompts(points, np.ones((8, 1), np.int8))).logits
    for key in state:
        if "output_hypernetworks_mlps" in key and ".layers.2." in key:
            state[key] *= 4 / logits.std()
    return state


# One side, in a process of its own ------------------------------------------------------------


class Found(NamedTuple):
    """Masks as packed bits, their scores and stabilities, wall and processor seconds."""

    masks: list[np.ndarray]
    scores: list[float]
    stabilities: list[float]
    wall: float
    cpu: float


def torchvision() -> None:
    """Put what the official generator needs of torchvision in its place."""
    if "torchvision" in sys.modules:
        return

    def batched_nms(boxes: Any, scores: Any, groups: Any, iou_threshold: float) -> Any:
        order = scores.argsort(descending=True, stable=True)
        x0, y0, x1, y1 = boxes.unbind(1)
        area = (x1 - x0) * (y1 - y0)
        kept = []
        while len(order):
            first, order = order[0], order[1:]
            kept.append(first)
            w = (torch.minimum(x1[first], x1[order]) - torch.maximum(x0[first], x0[order])).clamp(0)
            h = (torch.minimum(y1[first], y1[order]) - torch.maximum(y0[first], y0[order])).clamp(0)
            order = order[w * h <= iou_threshold * (area[first] + area[order] - w * h)]
        return torch.stack(kept) if kept else order

    def box_area(boxes: Any) -> Any:
        return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])

    def resize(image: Any, size: Any) -> Any:
        from PIL import Image

        return image.resize((size[1], size[0]), Image.Resampling.BILINEAR)

    def to_pil_image(image: Any) -> Any:
        from PIL import Image

        return Image.fromarray(image)

    parts = {
        "torchvision": {},
        "torchvision.ops": {},
        "torchvision.ops.boxes": {"batched_nms": batched_nms, "box_area": box_area},
        "torchvision.transforms": {},
        "torchvision.transforms.functional": {"resize": resize, "to_pil_image": to_pil_image},
    }
    for name, members in parts.items():
        module = types.ModuleType(name)
        vars(module).update(members)
        sys.modules[name] = module


def official(task: dict[str, Any]) -> Found:
    torchvision()
    if os.environ.get("SAMGEO_SEGMENT_ANYTHING"):
        sys.path.insert(0, os.environ["SAMGEO_SEGMENT_ANYTHING"])
    from segment_anything import SamAutomaticMaskGenerator, build_sam_vit_b
    from segment_anything.utils.amg import rle_to_mask

    state = torch.load(task["weights"], weights_only=True)
    model = build_sam_vit_b()
    if task["encoder"] == "mobile_sam":

        class Light(torch.nn.Module):
            """Our TinyViT where the official code has its ViT: MobileSAM changes nothing else."""

            img_size = SIZE

            def __init__(self) -> None:
                super().__init__()
                self.inner = families.build(state, device="cpu").network.image_encoder

            def forward(self, images: torch.Tensor) -> torch.Tensor:
                return self.inner(images)[0]

        model.image_encoder = Light()
        state = {key: value for key, value in state.items() if "image_encoder" not in key}
    missing, extra = model.load_state_dict(state, strict=False)
    assert not extra
    assert all("image_encoder.inner" in key or key.startswith("pixel") for key in missing)
    generator = SamAutomaticMaskGenerator(
        model.eval(),
        points_per_side=task["points"],
        pred_iou_thresh=task["score"] or 0.0,
        stability_score_thresh=0.0,
        box_nms_thresh=task["max_iou"],
        output_mode="uncompressed_rle",
    )
    image = picture()
    wall, cpu = time.perf_counter(), time.process_time()
    found = generator.generate(image)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    task["peak"] = peak()
    found = [one for one in found if one["area"]]  # empty masks are kept by the official code
    masks = (np.packbits(rle_to_mask(one["segmentation"])) for one in found)
    scores = [one["predicted_iou"] for one in found]
    return Found(list(masks), scores, [one["stability_score"] for one in found], wall, cpu)


def ours(task: dict[str, Any]) -> Found:
    model = families.build(
        torch.load(task["weights"], weights_only=True),
        device="cpu",
        precision=task.get("precision", "float32"),
    )
    options = AutomaticOptions(
        points_per_side=task["points"],
        score_threshold=-1.0 if task["score"] is None else task["score"],
        stability_threshold=0.0,
        max_iou=task["max_iou"],
        duplicates=task.get("duplicates", "box"),
        grid=task.get("grid", "official"),
        proposals=task.get("proposals", "grid"),
    )
    proposer = load_model("embedded", "cpu", task["threads"]) if "proposals" in task else None
    segmenter = AutomaticSegmenter(model, options, proposer)
    cell = segmenter.cell_size(SIZE)
    whole = PixelBox(0, 0, SIZE, SIZE)
    valid = np.ones((SIZE, SIZE), bool)
    image = TileImage(Tile(TileIndex(0, 0), whole, whole, whole), picture(), valid, SIZE, cell)
    wall, cpu = time.perf_counter(), time.process_time()
    found = segmenter.segment(image).masks
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    task["peak"] = peak()
    if proposer is not None:  # other prompts, other masks: nothing to compare
        return Found([], [0.0] * len(found), [], wall, cpu)
    stored = [full_size(mask.box, mask.logits / np.float32(LOGIT_STEPS), cell) for mask in found]
    np.savez(task["out"] + ".stored.npz", masks=np.array(stored))
    masks = [full_size(mask.box, exact, cell) for mask, exact in unrounded(segmenter, image)]
    scores = [mask.score for mask in found]
    return Found(masks, scores, [mask.stability for mask in found], wall, cpu)


def unrounded(segmenter: AutomaticSegmenter, image: TileImage) -> list[tuple[Any, np.ndarray]]:
    """The same masks once more with the decoder's own logits, before they are stored."""
    before: dict[int, np.ndarray] = {}
    kept = []

    def remember(logits: np.ndarray) -> np.ndarray:
        stored = quantize(logits)
        kept.append(stored)  # alive, so that its id stays its own
        before[id(stored)] = logits.copy()
        return stored

    candidates.quantize = remember
    found = segmenter.segment(image).masks
    candidates.quantize = quantize
    return [(mask, before[id(mask.logits)]) for mask in found]


def full_size(box: Any, logits: np.ndarray, cell: int) -> np.ndarray:
    """A mask's logits at the window's full size, as packed bits."""
    whole = np.full((SIZE // cell, SIZE // cell), ABSENT / LOGIT_STEPS, np.float32)
    whole[box.row0 : box.row1, box.col0 : box.col1] = logits
    fine = resample(whole, (cell, cell), (1, 1), shape=(SIZE, SIZE))
    return np.packbits(fine > 0)


def peak() -> float:
    """Peak memory of this process so far, MB (Linux; what ``getrusage`` says includes the peak of
    the process that started this one)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (found,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(found) / 1024


def one_side(path: Path) -> None:
    task = json.loads(path.read_text())
    torch.set_num_threads(task["threads"])
    side = official if task["side"] == "official" else ours
    masks, scores, stabilities, wall, cpu = side(task)
    np.savez(
        task["out"],
        masks=np.array(masks),
        scores=np.array(scores),
        stabilities=np.array(stabilities),
    )
    path.write_text(json.dumps({**task, "wall": wall, "cpu": cpu, "count": len(scores)}))


# Both, side by side -----------------------------------------------------------------------------


def measure(folder: Path, **task: Any) -> dict[str, Any]:
    name = "_".join(str(task[key]) for key in ("encoder", "case", "side"))
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**task, "out": str(folder / f"{name}.npz")}))
    environment = {**os.environ, "OMP_NUM_THREADS": str(task["threads"])}
    subprocess.run(
        [sys.executable, "-m", "benchmarks.automatic", "--one", str(path)],
        check=True,
        env=environment,
    )
    return dict(json.loads(path.read_text()))


def matched(
    reference: dict[str, Any],
    result: dict[str, Any],
    more: str = "",
    stable: float = 0.0,
    score_off: float = 1e-3,
) -> float:
    """Share of the reference's masks for which the result has one of the same score and shape."""
    with np.load(reference["out"]) as a, np.load(result["out"]) as b:
        wanted = a["stabilities"] >= stable
        masks, scores, others, other_scores = a["masks"], a["scores"], b["masks"], b["scores"]
        masks, scores = masks[wanted], scores[wanted]
    if more:
        with np.load(result["out"] + more) as b:
            others = b["masks"]
    order = np.argsort(other_scores)
    hits = 0
    for mask, score in zip(masks, scores, strict=True):
        low, high = np.searchsorted(other_scores[order], [score - score_off, score + score_off])
        for place in order[low:high]:
            both = int(np.bitwise_count(mask & others[place]).sum())
            either = int(np.bitwise_count(mask | others[place]).sum())
            if both >= IOU * either:
                hits += 1
                break
    return hits / len(masks) if len(masks) else float("nan")


def passing_score(weights: Path, points: int, share: float) -> float:
    """Score that this share of the grid's prompts reaches with one of its candidates."""
    model = families.build(torch.load(weights, weights_only=True), device="cpu")
    (embedding,) = model.encode([picture()])
    places = (np.arange(points) + 0.5) * SIZE / points
    grid = np.stack(np.meshgrid(places, places, indexing="ij"), -1).reshape(-1, 1, 2)[::7]
    prompts = Prompts(grid.astype(np.float32), np.ones((len(grid), 1), np.int8))
    return float(np.quantile(model.decode(embedding, prompts).scores.max(axis=1), 1 - share))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--points", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--encoders", nargs="+", default=["vit_b", "mobile_sam"])
    parser.add_argument("--cases", nargs="+", default=["all", "some"])
    parser.add_argument("--half", action="store_true", help="ours in bfloat16 as well")
    arguments = parser.parse_args()
    if arguments.one:
        one_side(arguments.one)
        return
    print(
        "encoder     case  side            masks  wall s   cpu s  peak MB  wall x  cpu x "
        "matched  stored  stable"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for encoder in arguments.encoders:
            weights = folder / f"{encoder}.pth"
            torch.save(random_state(encoder), weights)
            for case in arguments.cases:
                score = passing_score(weights, arguments.points, 0.4) if case == "some" else None
                compare(
                    folder,
                    encoder=encoder,
                    case=case,
                    weights=str(weights),
                    score=score,
                    points=arguments.points,
                    threads=arguments.threads,
                    max_iou=1.0,
                    half=arguments.half,
                )


def compare(folder: Path, **task: Any) -> None:
    half = task.pop("half")
    reference = measure(folder, side="official", **task)
    sides = {"ours": {}}
    if half:
        sides["ours, bfloat16"] = {"precision": "bfloat16"}
    if task["case"] == "some":
        distinct = {"duplicates": "mask", "max_iou": 0.7}
        sides |= {"ours, distinct": distinct, "ours, skip": {**distinct, "grid": "skip"}}
    else:
        sides["ours, proposals"] = {"proposals": "embedded"}
    report(task, "official", reference, reference, (1.0, 1.0, 1.0))
    for name, more in sides.items():
        result = measure(folder, side=name, **{**task, **more})
        if "proposals" in more:
            report(task, name, reference, result, (math.nan, math.nan, math.nan))
            continue
        off = 2e-2 if "precision" in more else 1e-3
        shares = (
            matched(reference, result, score_off=off),
            matched(reference, result, ".stored.npz", score_off=off),
            matched(reference, result, ".stored.npz", STABLE, off),
        )
        report(task, name, reference, result, shares)


def report(
    task: dict[str, Any],
    name: str,
    base: dict[str, Any],
    row: dict[str, Any],
    shares: tuple[float, float, float],
) -> None:
    print(
        f"{task['encoder']:11} {task['case']:5} {name:15} {row['count']:5} {row['wall']:7.1f} "
        f"{row['cpu']:7.1f} {row['peak']:8.0f} {base['wall'] / row['wall']:7.2f} "
        f"{base['cpu'] / row['cpu']:6.2f} " + " ".join(f"{share:7.1%}" for share in shares),
        flush=True,
    )


if __name__ == "__main__":
    main()
