# SPDX-License-Identifier: GPL-2.0-or-later
"""Land-cover labels for unlabelled photographs, learned from a few strokes.

Open data with real roads, roofs, pools and parking lots of towns, class by class, are rare under
free licences. So 45 of the NAIP photographs (60 cm, California) have strokes drawn by hand in
``naip_strokes.json``. A small network on the features of the encoder learns them, and says what is
where in the other photographs: only where it is sure, as the set of classes that a pixel may have.
The head learns from both. One town is kept back with all its strokes and photographs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.embedded.classes import bits
from ...models.embedded.network import EmbeddedNet, normalised
from ...models.embedded.prompt_maps import STRIDE
from ...types import AnyArray, ByteArray, FloatArray
from .opencv import cv2

STROKES = Path(__file__).with_name("naip_strokes.json")
"""Photograph -> [kind, width in px, [[x, y], ...]], pixels from the photograph's corner."""

HELD_OUT_TOWN = "claremont"
"""The town whose photographs nothing is trained on: the classes are judged there."""

KINDS = {
    "road": bits("road"),
    "building": bits("building"),
    "water": bits("water"),
    "trees": bits("trees"),
    "field": bits("field"),
    "grass": bits("field", "other"),
    "bare": bits("bare ground"),
    "other": bits("other", "bare ground", "vehicle"),
}
"""Sets of classes of the kinds of strokes; "other" is parking lots, yards and courts."""

MAGNIFIED = 2
"""Network pixels per pixel of a photograph, as a job with 60 cm pixels has it."""

SURE, POSSIBLE = 0.85, 0.06
"""A cell gets a class where its kind is as probable as the first, and then may be any class whose
kind is as probable as the second."""

WIDTH, STEPS, CELLS = 48, 500, 2048
"""Of the small network: hidden units, steps, cells per step."""

MOST_CELLS = 3000
"""Cells of a photograph that it learns from: those of hundreds would not go into memory."""


@dataclass(frozen=True)
class Stroke:
    """A line drawn over one thing.

    Args:
        kind: One of :data:`KINDS`.
        width: Pixels.
        points: (n, 2) float32 x, y; a single one is a dot.
    """

    kind: str
    width: float
    points: FloatArray


def read_strokes(path: Path = STROKES) -> dict[str, list[Stroke]]:
    """The strokes of every photograph, by its name without the ending."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: [Stroke(kind, width, np.array(points, np.float32)) for kind, width, points in strokes]
        for name, strokes in rows.items()
    }


def stroke_plane(strokes: Sequence[Stroke], shape: tuple[int, int]) -> ByteArray:
    """The sets of classes that strokes give; later strokes lie above earlier ones.

    Args:
        strokes: Of a photograph.
        shape: Its (rows, columns).

    Returns:
        (H, W) uint8; 0 where there is no stroke.
    """
    plane = np.zeros(shape, np.uint8)
    for stroke in strokes:
        width = max(1, round(stroke.width))
        points = np.round(stroke.points).astype(np.int32)
        if len(points) == 1:
            centre = (int(points[0, 0]), int(points[0, 1]))
            cv2.circle(plane, centre, max(1, width // 2), KINDS[stroke.kind], cv2.FILLED)
        else:
            cv2.polylines(plane, [points], False, KINDS[stroke.kind], width)
    return plane


def kinds_alone(classes: ByteArray | None) -> ByteArray:
    """A plane of sets of classes where each is one of :data:`KINDS`; 0 elsewhere."""
    assert classes is not None
    return np.where(np.isin(classes, list(KINDS.values())), classes, 0).astype(np.uint8)


@torch.inference_mode()
def cell_features(net: EmbeddedNet, image: ByteArray) -> Tensor:
    """What the encoder sees in cells of 2 px of a photograph, (channels, h, w) float32.

    Features of strides 4, 8 and 16 of the magnified photograph, of stride 16 of the plain one, and
    colours.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    large = F.interpolate(pixels, scale_factor=MAGNIFIED, mode="bilinear", align_corners=False)
    p16, p8, p4, _ = net.encoder.pyramid(normalised(large))
    around = net.encoder.pyramid(normalised(pixels))[0]
    size = p4.shape[-2:]
    colours = F.interpolate(pixels.float() / 64 - 2, size=size, mode="area")
    parts = [p4, *(_to(part, size) for part in (p8, p16, around)), colours]
    return torch.cat(parts, 1)[0].clone()


def _to(part: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(part, size=size, mode="bilinear", align_corners=False)


class KindsOfCells:
    """A small network from the features of a cell to the kind of what is there.

    Args:
        net: Whose encoder sees.
        planes: Photographs and their :func:`stroke_plane`.
        seed: Of its weights and of the order of cells.
    """

    def __init__(
        self, net: EmbeddedNet, planes: Sequence[tuple[ByteArray, ByteArray]], seed: int = 0
    ) -> None:
        self._net = net.eval()
        self.sets = sorted(set(KINDS.values()))
        features, kinds, rng = [], [], np.random.default_rng(seed)
        step = STRIDE // MAGNIFIED
        for image, plane in planes:
            # A photograph and its mirror image: features are not the same for both.
            for one, sets in ((image, plane), (image[:, ::-1], plane[:, ::-1])):
                cells = cell_features(self._net, np.ascontiguousarray(one))
                known = np.ascontiguousarray(sets[step // 2 :: step, step // 2 :: step])
                at = np.stack(np.nonzero(known))
                at = at[:, rng.permutation(at.shape[1])[:MOST_CELLS]]
                features.append(cells[:, torch.from_numpy(at[0]), torch.from_numpy(at[1])].T)
                kinds.append(np.searchsorted(self.sets, known[at[0], at[1]]))
        x, y = torch.cat(features), torch.from_numpy(np.concatenate(kinds))
        self._mean, self._spread = x.mean(0), x.std(0) + 1e-3
        self._learn((x - self._mean) / self._spread, y, seed)

    def _learn(self, x: Tensor, y: Tensor, seed: int) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self._layers = nn.Sequential(
                nn.Dropout(0.2),
                nn.Linear(x.shape[1], WIDTH),
                nn.ReLU(),
                nn.Dropout(0.2),
                nn.Linear(WIDTH, len(self.sets)),
            )
            optimiser = torch.optim.AdamW(self._layers.parameters(), lr=2e-3, weight_decay=0.05)
            rng = np.random.default_rng(seed)
            counts = torch.bincount(y, minlength=len(self.sets)).double()
            # Kinds that are rarely drawn count more, but not as much as the others together.
            share = (counts.clamp(min=1) ** -0.5)[y].numpy()
            share /= share.sum()
            for _ in range(STEPS):
                chosen = torch.from_numpy(rng.choice(len(y), CELLS, p=share))
                loss = F.cross_entropy(self._layers(x[chosen]), y[chosen], label_smoothing=0.03)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                optimiser.zero_grad()
        self._layers.eval()

    @torch.inference_mode()
    def probabilities(self, image: ByteArray) -> FloatArray:
        """Of the kinds (:attr:`sets`) in a photograph, (kinds, h, w), means over its mirror."""
        total: AnyArray = np.zeros(1, np.float32)
        for mirrored in (False, True):
            seen = np.ascontiguousarray(image[:, ::-1] if mirrored else image)
            cells = cell_features(self._net, seen)
            flat = (cells.flatten(1).T - self._mean) / self._spread
            given = self._layers(flat).softmax(1).T.reshape(-1, *cells.shape[1:]).numpy()
            total = total + (given[..., ::-1] if mirrored else given) / 2
        return np.asarray(total, np.float32)

    def plane(self, image: ByteArray) -> ByteArray:
        """The sets of classes of a photograph where that is sure, (H, W) uint8; 0 elsewhere."""
        given = self.probabilities(image)
        sets = np.zeros(given.shape[1:], np.uint8)
        for kind, part in zip(self.sets, given, strict=True):
            sets |= np.where(part > POSSIBLE, kind, 0).astype(np.uint8)
        sets[given.max(0) < SURE] = 0
        # Where no kind is sure, it may still be sure that it is no road, or no building.
        unsure = given.max(0) < SURE
        for name in ("road", "building"):
            absent = given[self.sets.index(KINDS[name])] < POSSIBLE / 3
            sets[unsure & absent] = np.where(
                sets[unsure & absent] == 0, 255, sets[unsure & absent]
            ) & (255 ^ bits(name))
        height, width = image.shape[:2]
        return np.asarray(cv2.resize(sets, (width, height), interpolation=cv2.INTER_NEAREST))


def area_under_curve(scores: AnyArray, wanted: AnyArray) -> float:
    """Area under the ROC curve: how often a wanted one has the higher score."""
    order = np.argsort(np.argsort(scores, kind="stable"), kind="stable") + 1.0
    positive = int(np.count_nonzero(wanted))
    negative = wanted.size - positive
    if not positive or not negative:
        return float("nan")
    return float((order[wanted].sum() - positive * (positive + 1) / 2) / (positive * negative))


def by_town(strokes: Mapping[str, list[Stroke]], *, held_out: bool) -> dict[str, list[Stroke]]:
    """The photographs that are kept back, or those that are not."""
    return {k: v for k, v in strokes.items() if k.startswith(HELD_OUT_TOWN) == held_out}


def squares(
    image: ByteArray, inside: AnyArray, *, smallest: int = 6, largest: int = 96, most: int = 4
) -> list[ByteArray]:
    """The largest squares of an image that lie wholly in a mask.

    Args:
        image: (H, W, 3).
        inside: (H, W) bool.
        smallest: Side in pixels of squares that are worth it.
        largest: Side of what is cut at most.
        most: Number at most.
    """
    free = np.pad(inside.astype(np.uint8), 1)
    found: list[ByteArray] = []
    while len(found) < most:
        reach = cv2.distanceTransform(free, cv2.DIST_C, 3)[1:-1, 1:-1]
        row, col = np.unravel_index(int(reach.argmax()), reach.shape)
        half = min(int(reach[row, col]) - 1, largest // 2)
        if 2 * half + 1 < smallest:
            break
        part = (slice(row - half, row + half + 1), slice(col - half, col + half + 1))
        found.append(np.ascontiguousarray(image[part]))
        free[1:-1, 1:-1][part] = 0
    return found
