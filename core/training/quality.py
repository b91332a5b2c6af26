# SPDX-License-Identifier: GPL-2.0-or-later
"""Training of the head that judges finished masks (``models/embedded/quality.py``).

All else stands still. The masks are those of the automatic mode with low thresholds, on the
training pictures; each is compared with the labelled objects once, and the squares that the head
looks at are kept on disk in half precision (40 KB each).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..models.embedded.classes import CLASSES
from ..models.embedded.model import SHRINKS, EmbeddedModel
from ..models.embedded.quality import (
    NEAR,
    OWN,
    QualityHead,
    own_maps,
    sampled,
    squares_around,
)
from ..segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from ..segmenters.mask_nms import Candidate
from ..segmenters.proposers import class_shares, to_judge
from ..segmenters.segmenter import TileImage
from ..segmenters.views import views_of
from ..tiles.grid import Tile
from ..types import AnyArray, FloatArray, PixelBox, TileIndex
from .datasets.crops import Part, Sample
from .datasets.strokes import area_under_curve

BUILDING = 1 << CLASSES.index("building")

SOURCES: dict[str, tuple[float, tuple[float, ...], int]] = {
    "outlines": (0.22, (2.0,), 280),
    "banepa": (0.22, (1.0, 0.5), 40),
    "tiles": (0.07, (1.0,), 16),
    "roofs": (0.16, (1.0, 2.0), 60),
    "fields": (0.12, (1.0, 2.0), 40),
    "plots": (0.04, (1.0,), 40),
    "town": (0.09, (1.0,), 10),
    "dubai": (0.04, (1.0,), 10),
    "scenes": (0.04, (1.0,), 30),
}
"""Share of the steps, network pixels per pixel, and pictures at each of these scales."""

SIDE = 1024
"""Of the squares of large pictures."""

LEAST_SIDE = 200
"""Of what is left of a picture at its end."""

MOST = 500
"""Masks of a picture at most, drawn at random."""

LOW = AutomaticOptions(
    proposals="embedded", score_threshold=0.42, stability_threshold=0.2, max_iou=0.75
)

LABELLED, KNOWN = 0.3, 0.6
"""A mask counts where so much of it lies in labelled objects (elsewhere there may be objects that
nobody drew); as a building or none, also where the classes of so much of it are known."""


class Facts(NamedTuple):
    """What is true of n masks: best IoU with an object, and with a building; whether each is known;
    the decoder's score, and the probability of the class building."""

    best: FloatArray
    building: FloatArray
    knows_best: NDArray[np.bool_]
    knows_building: NDArray[np.bool_]
    score: FloatArray
    likely: FloatArray


@dataclass(frozen=True)
class Examples:
    """Masks with the squares in which they are judged, on disk.

    Args:
        folder: Where they are.
        facts: Of all.
        source: (n,) of which pack each is.
    """

    folder: Path
    facts: Facts
    source: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.source)

    @property
    def squares(self) -> NDArray[np.float16]:
        """(n, channels, cells, cells): maps of stride 4, of stride 8, of the masks."""
        opened: NDArray[np.float16] = np.load(self.folder / "squares.npy", mmap_mode="r")
        return opened


def make_examples(
    model: EmbeddedModel, parts: list[Part], folder: Path, *, turned: bool = True, seed: int = 0
) -> Examples:
    """Masks of pictures and what is true of them, or those that are in the folder already.

    Args:
        model: That finds the masks.
        parts: Pictures.
        folder: Where the examples are kept.
        turned: Turn pictures by a random multiple of 90 degrees.
        seed: Of all choices.
    """
    done = folder / "facts.npz"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        squares: list[NDArray[np.float16]] = []
        facts: list[Facts] = []
        source: list[str] = []
        for name, scale, sample in _pictures(parts, np.random.default_rng(seed), turned):
            rng = np.random.default_rng((seed, len(source)))
            for made, true in _of_picture(model.scaled(scale), sample, rng):
                squares.append(made)
                facts.append(true)
                source += [f"{name}@{scale:g}"] * len(made)
        if not squares:
            raise ValueError(f"No mask was found in the pictures of {len(parts)} packs.")
        np.save(folder / "squares.npy", np.concatenate(squares))
        every = Facts(*(np.concatenate(rows) for rows in zip(*facts, strict=True)))
        part = folder / "part.npz"  # killed before the end, all is made anew
        np.savez(part, source=np.array(source), **every._asdict())
        part.replace(done)
    read = np.load(done)
    return Examples(folder, Facts(*(read[name] for name in Facts._fields)), read["source"])


def _pictures(
    parts: list[Part], rng: np.random.Generator, turned: bool
) -> Iterator[tuple[str, float, Sample]]:
    for part in parts:
        if part.name not in SOURCES:
            continue
        _, scales, count = SOURCES[part.name]
        squares = [s for sample in part.samples for s in _squares(sample)]
        for scale in scales:
            for number in rng.permutation(len(squares))[:count].tolist():
                sample = squares[number]
                quarter = int(rng.integers(4)) if turned else 0
                yield part.name, scale, _turned(sample, quarter)


def _squares(sample: Sample) -> Iterator[Sample]:
    height, width = sample.image.shape[:2]
    for row, col in itertools.product(range(0, height, SIDE), range(0, width, SIDE)):
        place = slice(row, row + SIDE), slice(col, col + SIDE)
        if min(height - row, width - col) < LEAST_SIDE:
            continue
        classes = None if sample.classes is None else sample.classes[place]
        labels = sample.labels[:, place[0], place[1]]
        yield replace(sample, image=sample.image[place], labels=labels, classes=classes)


def _turned(sample: Sample, quarter: int) -> Sample:
    def turn(array: AnyArray, axes: tuple[int, int] = (0, 1)) -> AnyArray:
        return np.ascontiguousarray(np.rot90(array, quarter, axes))

    classes = None if sample.classes is None else turn(sample.classes)
    return replace(
        sample, image=turn(sample.image), labels=turn(sample.labels, (1, 2)), classes=classes
    )


def _of_picture(
    model: EmbeddedModel, sample: Sample, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.float16], Facts]]:
    height, width = sample.image.shape[:2]
    box = PixelBox(0, 0, height, width)
    segmenter = AutomaticSegmenter(model, LOW, model)
    cell = segmenter.cell_size(max(height, width))
    tile = Tile(TileIndex(0, 0), box, box, box)
    image = TileImage(tile, sample.image, np.ones((height, width), bool), max(height, width), cell)
    assert segmenter.search is not None  # there is a proposer
    found, embedding = segmenter.search.found(image, views_of(image, 0)[0])
    if len(found) > MOST:
        found = [found[k] for k in np.sort(rng.permutation(len(found))[:MOST]).tolist()]
    if not found:
        return
    facts = _facts(found, cell, sample)
    masks = [to_judge(c, cell * model.scale) for c in found]
    squares = squares_around(masks)
    far = squares.side > NEAR
    made: Tensor | None = None
    for shrink, mine in zip(SHRINKS, (~far, far), strict=True):
        rows = torch.nonzero(mine)[:, 0]
        if len(rows):
            some = squares.part(rows)
            seen = sampled(model.seen(embedding, shrink), some, shrink)
            own = own_maps([masks[k] for k in rows.tolist()], some, seen.sides)
            all_maps = torch.cat([seen.m4, seen.m8, own], 1).half()
            if made is None:
                made = torch.zeros(len(masks), *all_maps.shape[1:], dtype=torch.float16)
            made[rows] = all_maps
    assert made is not None
    probabilities, size = model.class_probabilities(embedding)
    times = cell / size[0], cell / size[1]
    yield made.numpy(), facts._replace(likely=_likely(found, probabilities, times))


def _likely(
    found: list[Candidate], probabilities: FloatArray, times: tuple[float, float]
) -> FloatArray:
    number = CLASSES.index("building")
    return np.array([class_shares(c, probabilities, times)[number] for c in found], np.float32)


def _facts(found: list[Candidate], cell: int, sample: Sample) -> Facts:
    """What is true of masks; ``likely`` is left 0."""
    from .datasets.opencv import cv2

    rows = []
    layers = []
    for labels in sample.labels:
        count = int(labels.max()) + 1
        areas = np.bincount(labels.ravel(), minlength=count)
        shares: NDArray[np.float64] = np.zeros(count)
        if sample.classes is not None:
            alone = (sample.classes == BUILDING).ravel().astype(np.float64)
            shares += np.bincount(labels.ravel(), weights=alone, minlength=count)
        building = shares > 0.5 * np.maximum(areas, 1)
        building[0] = False
        layers.append((labels, areas, building))
    height, width = sample.image.shape[:2]
    for candidate in found:
        place = candidate.box.pixels(cell)
        size = candidate.box.width * cell, candidate.box.height * cell
        drawn = cv2.resize(candidate.logits.astype(np.float32), size) > 0
        drawn = drawn[: height - place.row0, : width - place.col0]
        part = (slice(place.row0, place.row0 + len(drawn)),
                slice(place.col0, place.col0 + drawn.shape[1]))  # fmt: skip
        total = max(1, int(drawn.sum()))
        best = of_building = labelled = on_building = 0.0
        for labels, areas, building in layers:
            counts = np.bincount(labels[part][drawn], minlength=len(areas))
            ious = counts / (areas + total - counts)
            ious[0] = 0
            best = max(best, float(ious.max()))
            of_building = max(of_building, float((ious * building).max()))
            labelled = max(labelled, 1 - counts[0] / total)
            on_building = max(on_building, float(counts[building].sum()) / total)
        known = 0.0 if sample.classes is None else float((sample.classes[part][drawn] > 0).mean())
        rows.append(
            (
                best,
                of_building,
                sample.whole or labelled >= LABELLED,
                sample.classes is not None and (known >= KNOWN or on_building >= LABELLED),
                candidate.score,
                0.0,
            )
        )
    columns = np.array(rows, np.float32).T
    return Facts(columns[0], columns[1], columns[2] > 0, columns[3] > 0, columns[4], columns[5])


def train_quality(
    examples: Examples, width: int, channels: tuple[int, int, int], *, steps: int, seed: int = 0
) -> QualityHead:
    """A head trained on examples.

    Args:
        examples: Masks of training pictures.
        width: Of the head.
        channels: Of the features a4, e4, a8.
        steps: Of 64 masks.
        seed: Of all choices.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    squares, facts = examples.squares, examples.facts
    useful = np.flatnonzero(facts.knows_best | facts.knows_building)
    few = np.sort(rng.permutation(useful)[:2000])
    sample = torch.from_numpy(np.array(squares[few])).float()
    mean, spread = sample.mean((0, 2, 3)), sample.std((0, 2, 3)) + 1e-3
    mean[-OWN + 1], spread[-OWN + 1] = 0.0, 1.0  # the mask weighs means, and stays as it is
    head = QualityHead(*channels, width)
    plain = [part.split("@")[0] for part in examples.source.tolist()]
    weights = _weights(np.array(plain), useful)
    optimiser = torch.optim.AdamW(head.parameters(), 1.5e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 1.5e-3, steps, pct_start=0.04, cycle_momentum=False
    )
    for _ in range(steps):
        which = np.sort(rng.choice(useful, 64, p=weights))
        x = (torch.from_numpy(np.array(squares[which])).float() - mean[:, None, None]) / spread[
            :, None, None
        ]
        for axis in (2, 3):
            if rng.random() < 0.5:
                x = x.flip(axis)
        if rng.random() < 0.5:
            x = x.transpose(2, 3)
        noise = 0.05 * rng.random() * torch.randn_like(x)
        noise[:, -OWN:] = 0
        x = x + noise
        loss = _loss(_ask(head, x), facts, which)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(head.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    return _with_statistics(head.eval(), mean, spread)


def _weights(source: NDArray[np.str_], useful: NDArray[np.intp]) -> NDArray[np.float64]:
    out = np.zeros(len(useful))
    for name, (share, _, _) in SOURCES.items():
        mine = source[useful] == name
        if mine.any():
            out[mine] = share / mine.sum()
    return np.asarray(out / out.sum(), np.float64)


def _ask(head: QualityHead, x: Tensor) -> Tensor:
    """The head's logits for whole squares."""
    n4, n8 = head.from4.in_channels, head.from8.in_channels
    seen = head.from4(x[:, :n4]) + head.from8(x[:, n4 : n4 + n8])
    out: Tensor = head(seen, x[:, n4 + n8 :])
    return out


def _loss(logits: Tensor, facts: Facts, which: NDArray[np.intp]) -> Tensor:
    total = torch.zeros(())
    pairs = (facts.best, facts.knows_best), (facts.building, facts.knows_building)
    for column, (true, known) in enumerate(pairs):
        weight = torch.from_numpy(known[which]).float()
        cost = F.binary_cross_entropy_with_logits(
            logits[:, column], torch.from_numpy(true[which]), reduction="none"
        )
        total = total + (cost * weight).sum() / (weight.sum() + 1)
    return total


def _with_statistics(head: QualityHead, mean: Tensor, spread: Tensor) -> QualityHead:
    """The head for maps as they are, instead of ones brought to a mean of 0 and a spread of 1."""
    n4, n8 = head.from4.in_channels, head.from8.in_channels
    with torch.no_grad():
        shift = torch.zeros(head.from4.out_channels)
        for layer, part in (
            (head.from4, slice(0, n4)),
            (head.from8, slice(n4, n4 + n8)),
            (head.own, slice(n4 + n8, None)),
        ):
            layer.weight /= spread[None, part, None, None]
            shift += layer.weight[:, :, 0, 0] @ mean[part]
        assert head.from4.bias is not None
        head.from4.bias.sub_(shift)
        first = head.out[0]
        assert isinstance(first, torch.nn.Linear)
        numbers = slice(len(mean) - OWN + 2, None)
        columns = slice(first.in_features - OWN + 2, None)
        first.weight[:, columns] /= spread[numbers]
        assert first.bias is not None
        first.bias.sub_(torch.mv(first.weight[:, columns], mean[numbers]))
    return head


@torch.no_grad()
def judged(head: QualityHead, examples: Examples) -> FloatArray:
    """(n, 2) what a head says of examples."""
    squares = examples.squares
    out = [
        torch.sigmoid(_ask(head, torch.from_numpy(np.array(squares[k : k + 256])).float()))
        for k in range(0, len(examples), 256)
    ]
    return torch.cat(out).numpy()


def report(examples: Examples, said: FloatArray) -> Iterator[str]:
    """Per source, how well "an IoU of 0.5" is told from less, as areas under the ROC curve: of any
    object, by the decoder's score and by the head; of a building, among masks that may be one."""
    facts = examples.facts
    alone = facts.score * facts.likely
    for name in np.unique(examples.source).tolist():
        mine = examples.source == name
        text = f"{name}:"
        for what, known, true, before, after in (
            ("any object", mine & facts.knows_best, facts.best, facts.score, said[:, 0]),
            (
                "a building",
                mine & facts.knows_building & (facts.likely >= LIKELY),
                facts.building,
                alone,
                said[:, 1],
            ),
        ):
            good = true[known] >= 0.5
            if good.any() and not good.all():
                areas = (area_under_curve(each[known], good) for each in (before, after))
                text += f" {what} {' to '.join(f'{area:.3f}' for area in areas)} of {len(good)};"
        yield text


LIKELY = 0.4
"""Probability of the class building from which a mask may be one."""
