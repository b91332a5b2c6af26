# SPDX-License-Identifier: GPL-2.0-or-later
"""The training loop: time-boxed, resumable, on a CPU or a GPU.

The schedule follows the clock, not the number of steps: a run is given minutes, and its learning
rate falls along a cosine to the end of them, however fast the machine. Interrupted, it goes on
from its last checkpoint with the minutes that were left.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from ..errors import ParameterError
from ..models.embedded.load import read_network, without_quality
from ..models.embedded.network import (
    MASK_STRIDE,
    EmbeddedNet,
    Features,
    Fine,
    NetConfig,
    enlarge,
    normalised,
)
from ..models.embedded.prompt_maps import STRIDE, PromptTensors
from .datasets.crops import Crops, LargeObjects, Part
from .datasets.opencv import cv2
from .dense import SameObject
from .dense_heads import DenseTargets, dense_loss, dense_targets
from .log import Log
from .losses import MaskLoss, round_loss, sharp_loss
from .prompts import correcting_point, first_prompts

Batch = dict[str, Tensor]

DENSE = "dense_"
"""Before the names of a batch's dense targets."""

LARGER = 1.6
"""Side of the larger crops beside that of the usual ones: they show large objects."""

LARGEST = 8 / 3
"""The same of the largest: what a job sees of a hall or a lake. Without them a network that goes on
learning small objects leaves holes in large plain ones."""

LONGEST_STEP = 30.0
"""Seconds of a step that the clock counts: a process that was stopped meanwhile loses nothing."""

SHARPENED = 2
"""One in so many prompts is followed down to stride 2, where most of the cells are."""

FORGOTTEN = 0.4
"""Share of corrective clicks that come without the mask they correct."""


@dataclass(frozen=True)
class TrainConfig:
    """A run's settings.

    Args:
        out: Folder for the checkpoint, the log and the plot.
        minutes: Length of the schedule.
        images: Crops per step.
        objects: Prompts per crop.
        size: Side of a crop, pixels.
        large: Share of steps on fewer, larger crops.
        largest: Share of steps on one crop that is larger still, mostly of large objects.
        rate: Highest learning rate.
        decay: AdamW's weight decay.
        ema: Decay of the averaged weights per step.
        workers: Processes that prepare crops.
        seed: Of the data.
        save_minutes: Between checkpoints.
        device: "cpu" or "cuda".
        precision: "float32", "bfloat16" (convolutions only; several times faster on a GPU, and
            on CPUs that have AMX) or "auto": bfloat16 on a GPU.
        later_rounds: Shares of steps with one, two, three and four rounds of prompts.
        settle: Share of the minutes after which batch normalisation stands still, so that the
            network learns as it will be used: the statistics of a batch of clicks with earlier
            masks are not those of first clicks, nor those of a larger image.
        dense: Channels of the head for proposals and classes.
        dense_rate: Its learning rate, as a multiple of ``rate``.
        heads_only: Train nothing else: the masks stay as they are, and a step takes a fifth.
    """

    out: Path
    minutes: float = 90.0
    images: int = 6
    objects: int = 8
    size: int = 192
    large: float = 0.25
    largest: float = 0.2
    rate: float = 1.5e-3
    decay: float = 0.03
    ema: float = 0.998
    workers: int = 1
    seed: int = 0
    save_minutes: float = 6.0
    device: str = "cpu"
    precision: str = "auto"
    later_rounds: tuple[float, ...] = (0.45, 0.25, 0.18, 0.12)
    settle: float = 0.5
    dense: int = 48
    dense_rate: float = 3.0
    heads_only: bool = False


class Batches(IterableDataset[Batch]):
    """Endless batches of crops, objects and first prompts; each worker its own random stream."""

    def __init__(self, parts: list[Part], config: TrainConfig, seed: int) -> None:
        self.parts, self.config, self.seed = parts, config, seed

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(0)
        info = torch.utils.data.get_worker_info()
        rng = np.random.default_rng([self.seed, 0 if info is None else info.id])
        config = self.config
        small = Crops(self.parts, rng, config.size)
        sides = [32 * round(config.size * times / 32) for times in (LARGER, LARGEST)]
        large, largest = Crops(self.parts, rng, sides[0]), LargeObjects(self.parts, rng, sides[1])
        fewer = [round(config.images * (config.size / side) ** 2) for side in sides]
        while True:
            which = rng.random()
            if which < config.largest:
                yield make_batch(largest, max(1, fewer[1]), config.objects)
            elif which < config.largest + config.large:
                yield make_batch(large, max(2, fewer[0]), config.objects)
            else:
                yield make_batch(small, config.images, config.objects)


def make_batch(crops: Crops, images: int, objects: int) -> Batch:
    """Images (b, 3, s, s) uint8, labels at stride 4 and, of b * objects prompts, targets at stride
    2 and first prompts."""
    pixels, regions, targets, prompts, dense = [], [], [], [], []
    for _ in range(images):
        drawn, masks = crops.draw(objects)
        middle = STRIDE // 2
        regions.append(drawn.labels[:, middle::STRIDE, middle::STRIDE].astype(np.int32))
        pixels.append(drawn.image.transpose(2, 0, 1))
        dense.append(dense_targets(drawn))
        side = crops.size // 2
        shares = masks.reshape(objects, side, 2, side, 2).mean((2, 4), dtype=np.float32)
        targets.append(shares)
        prompts.append(first_prompts(masks, crops.rng))
    return {
        "images": torch.from_numpy(np.stack(pixels)),
        "regions": torch.from_numpy(np.stack(regions)),
        "targets": torch.from_numpy(np.concatenate(targets)),
        **{
            name: torch.from_numpy(np.concatenate([getattr(p, name) for p in prompts]))
            for name in ("points", "labels", "boxes", "masks", "kinds")
        },
        **{
            DENSE + name: torch.from_numpy(np.stack([getattr(d, name) for d in dense]))
            for name in DenseTargets._fields
        },
    }


def dense_part(batch: Batch) -> Batch:
    """The dense targets of a batch."""
    return {name.removeprefix(DENSE): b for name, b in batch.items() if name.startswith(DENSE)}


def corrected(
    prompts: PromptTensors, fine: Tensor, iou: Tensor, targets: Tensor, rng: np.random.Generator
) -> PromptTensors:
    """The next prompts: one more click where the chosen mask is wrong, mostly with that mask."""
    n = len(fine)
    alone = ((prompts.labels >= 0).sum(1) == 1) & ~torch.isfinite(prompts.boxes[:, 0])
    chosen = torch.where(alone, iou[:, 1:].argmax(1) + 1, 0)
    logits = fine[torch.arange(n, device=fine.device), chosen].detach().float()
    # Users see, and click at, errors that are thinner than a cell of stride 4.
    given = (enlarge(logits[:, None])[:, 0] > 0).cpu().numpy()
    wanted = (targets > 0.5).cpu().numpy()
    points = torch.zeros((n, 1, 2))
    labels = torch.full((n, 1), -1, dtype=prompts.labels.dtype)
    for i in range(n):
        place = correcting_point(wanted[i], given[i], MASK_STRIDE, rng)
        if place is not None:
            points[i, 0] = torch.tensor(place[:2])
            labels[i, 0] = place[2]
    device = fine.device
    remembered = torch.from_numpy(rng.random(n) >= FORGOTTEN).to(device)
    return PromptTensors(
        torch.cat([prompts.points, points.to(device)], 1),
        torch.cat([prompts.labels, labels.to(device)], 1),
        prompts.boxes,
        logits.clamp(-10, 10) * remembered[:, None, None],
    )


def rounds(
    net: EmbeddedNet, features: Features, batch: Batch, count: int, rng: np.random.Generator
) -> list[tuple[MaskLoss, Tensor]]:
    """Losses of ``count`` rounds; from the second on, of a random half of the prompts."""
    images, n = len(batch["images"]), len(batch["targets"])
    targets, kinds = batch["targets"], batch["kinds"]
    prompts = PromptTensors(batch["points"], batch["labels"], batch["boxes"], batch["masks"])
    results = []
    for number in range(count):
        coarse = net.decoder.begin(features, prompts)
        found = net.decoder.refine(features, coarse)
        fine = found.masks
        points = (prompts.labels >= 0).sum(1)
        ambiguous = (points == 1) & ~torch.isfinite(prompts.boxes[:, 0])
        loss = round_loss(coarse.masks, fine, coarse.iou, targets, ambiguous)
        # Objects were drawn in random order: the first of each image's will do.
        some = _first(len(targets), images, SHARPENED, targets.device)
        sharp = net.decoder.sharpen(features.a2, Fine(found.y4[some], fine[some]))
        loss = loss._replace(total=loss.total + sharp_loss(sharp, targets[some], ambiguous[some]))
        results.append((loss, kinds if number == 0 else torch.full_like(kinds, -1)))
        if number + 1 < count:
            if number == 0:
                keep = _first(n, images, 2, targets.device)
                assert prompts.masks is not None  # batches always have them
                prompts = PromptTensors(
                    prompts.points[keep],
                    prompts.labels[keep],
                    prompts.boxes[keep],
                    prompts.masks[keep],
                )
                targets, kinds, fine = targets[keep], kinds[keep], fine[keep]
                coarse = coarse._replace(iou=coarse.iou[keep])
            prompts = corrected(prompts, fine, coarse.iou, targets, rng)
    return results


def _first(n: int, images: int, divisor: int, device: torch.device) -> Tensor:
    """Of each image's share of ``n`` prompts the first, one in ``divisor`` but at least one."""
    rows = torch.arange(n, device=device).view(images, -1)
    return rows[:, : max(1, rows.shape[1] // divisor)].flatten()


@dataclass
class Trainer:
    """Network, averaged network, optimiser and clock."""

    config: TrainConfig
    shape: NetConfig = field(default_factory=NetConfig)
    step: int = 0
    elapsed: float = 0.0
    facts: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.device = torch.device(self.config.device)
        automatic = self.config.precision == "auto" and self.device.type == "cuda"
        self.half = automatic or self.config.precision == "bfloat16"
        padding = self.shape.padding if self.config.heads_only else "grey"
        shape = replace(self.shape, dense=self.config.dense, padding=padding)
        net = EmbeddedNet(shape).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.net: EmbeddedNet = net
        self.average = copy.deepcopy(self.net).eval()
        self.dense = SameObject(self.net.config.neck[0]).to(self.device)
        head = [] if self.net.dense is None else list(self.net.dense.parameters())
        new = {id(p) for p in head}
        old = [p for p in self.net.parameters() if id(p) not in new]
        groups = []
        for parameters, times in (
            ([*old, *self.dense.parameters()], 1.0),
            (head, self.config.dense_rate),
        ):
            for chosen, decay in (
                ([p for p in parameters if p.ndim > 1], self.config.decay),
                ([p for p in parameters if p.ndim <= 1], 0.0),
            ):
                groups.append({"params": chosen, "weight_decay": decay, "times": times})
        self.optimiser = torch.optim.AdamW(groups, lr=self.config.rate, fused=True)
        self.rng = np.random.default_rng([self.config.seed, 77])

    @property
    def checkpoint(self) -> Path:
        return self.config.out / "checkpoint.pt"

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        part = self.checkpoint.with_suffix(".part")
        torch.save(
            {
                "net": self.net.state_dict(),
                "dense": self.dense.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "elapsed": self.elapsed,
                "config": self.net.config.to_json(),
            },
            part,
        )
        part.replace(self.checkpoint)

    def resume(self) -> None:
        """Go on from the run's own checkpoint: weights, optimiser, step and clock."""
        state: dict[str, Any] = torch.load(
            self.checkpoint, map_location=self.device, weights_only=True
        )
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.dense.load_state_dict(state["dense"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.elapsed = state["step"], state["elapsed"]

    def start_from(self, net: EmbeddedNet) -> None:
        """Begin with another network's weights; optimiser and clock start anew."""
        for mine in (self.net, self.average):
            # What the other network lacks starts from random weights.
            mine.load_state_dict(mine.state_dict() | net.state_dict())

    def rate(self) -> float:
        """Learning rate now: a short warm-up, then a cosine over the run's minutes."""
        done = min(1.0, self.elapsed / (60 * self.config.minutes))
        cosine = 0.5 * (1 + math.cos(math.pi * done))
        return self.config.rate * min(1.0, (self.step + 1) / 60) * (0.005 + 0.995 * cosine)

    def update(self, batch: Batch) -> list[tuple[MaskLoss, Tensor]]:
        """One step."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate() * group["times"]
        batch = {name: part.to(self.device, non_blocking=True) for name, part in batch.items()}
        if self.config.heads_only:
            self._update_heads(batch)
            return []
        count = 1 + int(self.rng.choice(len(self.config.later_rounds), p=self.config.later_rounds))
        self.net.train()
        if self.elapsed >= 60 * self.config.minutes * self.config.settle:
            settle(self.net)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            pyramid = self.net.encoder.pyramid(normalised(batch["images"]))
            features = self.net.encoder.features(*pyramid)
            results = rounds(self.net, features, batch, count, self.rng)
            together = self.dense(pyramid[2], features.e4, batch["regions"])
            dense = None if self.net.dense is None else self.net.dense(*pyramid[:3])
        total = results[0][0].total + together
        self.facts = {}
        if dense is not None:
            loss, self.facts = dense_loss(dense, dense_part(batch))
            total = total + loss
        for later, _ in results[1:]:
            total = total + 0.5 * later.total
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self._average()
        return results

    def _update_heads(self, batch: Batch) -> None:
        """A step of the head alone."""
        if self.net.dense is None:
            raise ParameterError("The network has no head to train: give it --dense channels.")
        self.net.eval()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            with torch.no_grad():
                pyramid = self.net.encoder.pyramid(normalised(batch["images"]))
            loss, self.facts = dense_loss(self.net.dense(*pyramid[:3]), dense_part(batch))
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.dense.parameters(), 2.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        self._average()

    @torch.no_grad()
    def _average(self) -> None:
        if self.step % 2:
            return
        keep = min(self.config.ema**2, (1 + self.step) / (10 + self.step))
        ours, theirs = self.average.state_dict(), self.net.state_dict()
        floats = [name for name, value in ours.items() if value.dtype.is_floating_point]
        torch._foreach_lerp_([ours[k] for k in floats], [theirs[k] for k in floats], 1 - keep)


def settle(net: torch.nn.Module) -> None:
    """Let batch normalisation use its running statistics, as in inference, and keep them."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()


@torch.no_grad()
def validate(
    net: EmbeddedNet, batches: dict[str, list[Batch]], *, masks: bool = True
) -> dict[str, float]:
    """Mean IoU for boxes and points (``masks``) and the dense head's losses on each source's fixed
    batches, with the averaged weights."""
    device = next(net.parameters()).device
    facts = {}
    for source, fixed in batches.items():
        log = Log(Path())
        for batch in fixed:
            moved = {name: part.to(device) for name, part in batch.items()}
            pyramid = net.encoder.pyramid(normalised(moved["images"]))
            features = net.encoder.features(*pyramid)
            if masks:
                log.add(rounds(net, features, moved, 3, np.random.default_rng(0)))
            if net.dense is not None:
                log.note(dense_loss(net.dense(*pyramid[:3]), dense_part(moved))[1])
        for name, values in log.sums.items():
            if values:
                facts[f"valid_{source}_{name}"] = round(float(np.mean(values)), 4)
    return facts


def train(config: TrainConfig, parts: list[Part], valid: list[Part], start: Path | None) -> Trainer:
    """Run until the minutes are over.

    Args:
        config: Settings; a checkpoint in ``config.out`` is gone on from.
        parts: What to train on.
        valid: What to measure on now and then; may be empty.
        start: Exported weights (.safetensors) to begin with where ``out`` has no checkpoint: the
            shipped ones for fine-tuning.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    facts = {k: str(v) if isinstance(v, Path) else v for k, v in asdict(config).items()}
    (config.out / "config.json").write_text(json.dumps(facts, indent=1))
    trainer = Trainer(config)
    if trainer.checkpoint.exists():
        trainer.resume()
    elif start is not None:
        net, notes, _ = read_network(start)
        trainer.start_from(without_quality(net, notes)[0])
    fixed = {
        part.name: [
            make_batch(Crops([part], np.random.default_rng(seed), config.size), 6, 8)
            for seed in range(2)
        ]
        for part in valid
    }
    loader = DataLoader(
        Batches(parts, config, config.seed + 1000 * trainer.step),
        batch_size=None,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        pin_memory=config.device != "cpu",
    )
    log = Log(config.out / "log.jsonl")
    last, saved = time.monotonic(), time.monotonic()
    for batch in loader:
        log.add(trainer.update(batch))
        log.note(trainer.facts)
        now = time.monotonic()
        trainer.elapsed += min(now - last, LONGEST_STEP)
        last = now
        over = trainer.elapsed >= 60 * config.minutes
        if trainer.step % 20 == 0:
            log.write(
                step=trainer.step, minutes=round(trainer.elapsed / 60, 2), rate=trainer.rate()
            )
        if over or now - saved > 60 * config.save_minutes:
            trainer.save()
            saved = now
            if fixed:
                log.write(
                    step=trainer.step,
                    minutes=round(trainer.elapsed / 60, 2),
                    **validate(trainer.average, fixed, masks=not config.heads_only),
                )
        if over:
            break
    return trainer
