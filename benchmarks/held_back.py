"""How good are weights on places that were held back from their training?

    python -m benchmarks.held_back CACHE [WEIGHTS ...] [--sources roofs banepa ...] [--images 14]
        [--objects 10] [--automatic] [--classes]

What is chosen (weights, thresholds, rules of the automatic mode) is chosen here, never on the
places whose figures are reported. ``CACHE`` holds the packs of ``python -m samgeo_core.training
pack``; those named ``valid_*`` were not trained on. Of each source: mean IoU for an object's exact
box, of the first-ranked and the best of three masks for a click in its deepest place; with
``--automatic`` the share of objects that proposals find (IoU of 0.5), the share of masks that are
such an object, and seconds of one thread; with ``--classes`` the area under the ROC curve of each
class that is known there, by cell.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from samgeo_core.models.base import Prompts
from samgeo_core.models.embedded.classes import CLASSES
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.models.embedded.model import EmbeddedModel
from samgeo_core.training.datasets.crops import Sample, read_pack
from samgeo_core.training.datasets.strokes import area_under_curve
from samgeo_core.training.prompts import tight_box

from .embedded_model import Scene, _clicks, automatic, class_maps, deepest, full_size, iou

OBJECTS = ("roofs", "banepa", "fields", "plots", "town", "scenes", "outlines")
"""Sources whose labels are objects with outlines; with ``--sources`` also "small_far" and
"small_near", which have every tree crown and vehicle beside their buildings."""

CLASSES_OF = ("roofs", "banepa", "town", "dubai", "naip", "outlines", "streets", "small_far")
"""Sources whose classes are known."""

SCALES = {"naip": 2.0, "outlines": 2.0, "small_far": 2.0}
"""What a job chooses for pixels of 60 cm."""

SMALLEST, SMALLEST_FAR = 100, 12
"""Pixels of the smallest objects, and in small_far, where a car has 24."""

SIDE = 1024
"""Largest side of what is looked at."""


def samples_of(cache: Path, source: str, most: int) -> Iterator[Sample]:
    """Up to so many pictures of a source that were not trained on, always the same ones; large ones
    in squares."""
    samples = [s for path in sorted(cache.glob(f"valid_{source}*.npz")) for s in read_pack(path)]
    squares = []
    for sample in samples:
        height, width = sample.image.shape[:2]
        for row, col in itertools.product(range(0, height, SIDE), range(0, width, SIDE)):
            part = (slice(row, row + SIDE), slice(col, col + SIDE))
            known = None if sample.classes is None else sample.classes[part]
            image = np.ascontiguousarray(sample.image[part])
            squares.append(Sample(image, sample.labels[(slice(None), *part)], known, sample.whole))
    for number in np.random.default_rng(4).permutation(len(squares))[:most]:
        yield squares[int(number)]


def scenes_of(cache: Path, source: str, most: int) -> Iterator[Scene]:
    """The same pictures with all their objects that are not too small."""
    smallest = SMALLEST_FAR if source == "small_far" else SMALLEST
    for sample in samples_of(cache, source, most):
        labels = sample.labels[0]
        areas = np.bincount(labels.ravel())
        areas[0] = 0
        good = np.flatnonzero((areas >= smallest) & (areas < 0.5 * labels.size))
        yield Scene(sample.image, [labels == number for number in good])


def prompted(model: EmbeddedModel, scenes: list[Scene], objects: int) -> tuple[float, ...]:
    """Mean IoU for boxes, of the first-ranked and of the best mask for a click; and how many."""
    rng = np.random.default_rng(6)
    rows = []
    for scene in scenes:
        embedding = model.encode([scene.image])[0]
        for number in rng.permutation(len(scene.objects))[:objects]:
            truth = scene.objects[int(number)]
            box = Prompts(boxes=np.array([tight_box(truth)], np.float32))
            answer = model.decode(embedding, box, multimask=False)
            by_box = iou(full_size(answer.logits[0, 0], embedding), truth)
            answer = model.decode(embedding, _clicks([(*deepest(truth, rng), 1)]))
            values = [iou(full_size(logits, embedding), truth) for logits in answer.logits[0]]
            rows.append((by_box, values[int(answer.scores[0].argmax())], max(values)))
    return (*np.mean(rows, axis=0).tolist(), len(rows))


def found(model: EmbeddedModel, scenes: list[Scene]) -> tuple[float, float, float]:
    """Share of objects that are found, of masks that are an object, and seconds."""
    hits = objects = good = masks = 0
    spent = 0.0
    for scene in scenes:
        begun = time.process_time()
        overlaps, _, _ = automatic(model, scene, proposals="embedded")
        spent += time.process_time() - begun
        hits += int((overlaps.max(0, initial=0.0) >= 0.5).sum())
        good += int((overlaps.max(1, initial=0.0) >= 0.5).sum())
        objects, masks = objects + len(scene.objects), masks + len(overlaps)
    return hits / max(1, objects), good / max(1, masks), spent


def areas_by_class(model: EmbeddedModel, samples: list[Sample]) -> dict[str, str]:
    """Area under the ROC curve of each class, over the cells that certainly are it or are not: of a
    map without examples, and in brackets of the cells alone (``class_areas``)."""
    scores: dict[str, list[np.ndarray]] = {name: [] for name in CLASSES}
    wanted: dict[str, list[np.ndarray]] = {name: [] for name in CLASSES}
    for sample in samples:
        if sample.classes is None:
            continue
        both = class_maps(model, sample.image)
        cell = 4 / model.scale
        rows, cols = (((np.arange(n) + 0.5) * cell).astype(int) for n in both[0].shape[1:])
        sets = sample.classes[rows[:, None], cols[None]]
        for number, name in enumerate(CLASSES):
            alone, possible = sets == 1 << number, (sets >> number) & 1 > 0
            known = (sets > 0) & (alone | ~possible)
            scores[name].append(np.stack([each[number][known] for each in both]))
            wanted[name].append(alone[known])
    out = {}
    for name in CLASSES:
        yes = np.concatenate(wanted[name]) if wanted[name] else np.zeros(0, bool)
        if yes.sum() >= 200 and (~yes).sum() >= 200:
            of_map, alone = np.concatenate(scores[name], axis=1)
            out[name] = f"{area_under_curve(of_map, yes):.3f} ({area_under_curve(alone, yes):.3f})"
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("weights", type=Path, nargs="*", help="none: the shipped ones")
    parser.add_argument("--sources", nargs="+", default=None)
    parser.add_argument("--images", type=int, default=14)
    parser.add_argument("--objects", type=int, default=16)
    parser.add_argument("--automatic", action="store_true")
    parser.add_argument("--classes", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for weights in options.weights or [None]:
        model = load_embedded("cpu", 1, weights)
        print(weights or "shipped", flush=True)
        means = []
        for source in options.sources or OBJECTS:
            scenes = list(scenes_of(options.cache, source, options.images))
            seen = model.scaled(SCALES.get(source, 1.0))
            box, first, best, count = prompted(seen, scenes, options.objects)
            means.append((box, first, best))
            line = f"  {source:8} box {box:.3f} first {first:.3f} best {best:.3f} ({count})"
            if options.automatic:
                recall, share, spent = found(seen, scenes)
                line += f", automatic recall {recall:.3f} share {share:.3f} in {spent:.1f} s"
            print(line, flush=True)
        box, first, best = np.mean(means, axis=0)
        print(f"  mean     box {box:.3f} first {first:.3f} best {best:.3f}")
        for source in CLASSES_OF if options.classes else ():
            seen = model.scaled(SCALES.get(source, 1.0))
            areas = areas_by_class(seen, list(samples_of(options.cache, source, options.images)))
            print(f"  {source:8}", *(f"{k} {v}" for k, v in areas.items()), flush=True)


if __name__ == "__main__":
    main()
