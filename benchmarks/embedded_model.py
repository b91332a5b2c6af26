# SPDX-License-Identifier: GPL-2.0-or-later
"""How good and how fast is the embedded model?

    python benchmarks/embedded_model.py [--limit 150] [--automatic] [--pictures DIR]

Objects that it was never trained on: buildings of the eastern part of the Banepa mosaic (its west
is training data: the figures say how it does in a town whose other half it knows), fields in
Denmark, buildings of a fresh sample scene (``sample_data/make.py``; scenes of other seeds are
training data), and composed scenes of unused seeds. Prompts: the object's exact box (one mask
asked for); one click in the object's deepest place (best of three, and the one it ranks first);
one click at a random place inside; then clicks in the deepest place of the largest error, up to
five. Beside it the filled box and GrabCut (Rother et al. 2004) with the same box, and the best
region of a hierarchy of watersheds (Beucher and Meyer 1993), chosen by the truth. Times stand
beside a fixed matrix product of the same run.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from samgeo_core.jobs.classes.own_classes import settled
from samgeo_core.jobs.make_segmenter import for_classes
from samgeo_core.merge import MemorySource, MergeOptions, merge
from samgeo_core.models.base import Embedding, Prompts
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.models.embedded.model import EmbeddedModel
from samgeo_core.parallel.executors import SerialExecutor
from samgeo_core.segmenters.automatic import AutomaticOptions, AutomaticSegmenter, single_of
from samgeo_core.segmenters.segmenter import TileImage
from samgeo_core.tiles.grid import Grid, Tile
from samgeo_core.training.datasets.canvas import Textures
from samgeo_core.training.datasets.crops import BANEPA_SPLIT, photographs, read_pack
from samgeo_core.training.datasets.scenes import compose
from samgeo_core.training.prompts import correcting_point, tight_box
from samgeo_core.types import CellBox, PixelBox, TileIndex

SHARED = Path(
    os.environ.get("SAMGEO_SHARED_DATA", Path(__file__).parents[1].parent / "shared" / "data")
)
COLUMNS = (
    *("box", "box edge", "box+GC", "filled", "watershed"),
    *("pt best3", "pt first", "random3", "3 clicks", "5 clicks"),
)
SCALES = {"fields, Denmark": 2.0}
"""What a job chooses, where it is not 1."""

BUILDINGS = ("buildings, Banepa east", "sample scene, fresh")
"""Sets whose objects are the buildings."""

LEVELS = 24
"""Watersheds of the hierarchy."""


@dataclass
class Scene:
    """An image and the masks of its objects, each within its own box (r0, c0, r1, c1)."""

    image: np.ndarray
    objects: list[np.ndarray] = field(default_factory=list)


def rasterised(shapes: list, shape: tuple[int, int], transform: object) -> Iterator[np.ndarray]:
    from rasterio.features import rasterize

    for geometry in shapes:
        yield rasterize([geometry], out_shape=shape, transform=transform, dtype="uint8") > 0


def banepa_east(limit: int) -> list[Scene]:
    """Windows of 1024 x 1024 east of the dividing column; whole buildings of at least 100 px."""
    import geopandas
    import rasterio
    from rasterio.windows import Window
    from rasterio.windows import transform as window_transform

    folder = SHARED / "eval" / "buildings_banepa"
    with rasterio.open(folder / "mosaic_train_4326.tif") as source:
        frame = geopandas.read_file(folder / "footprints_4326.gpkg").to_crs(source.crs)
        inverse = ~source.transform
        windows = [Window(BANEPA_SPLIT, row, 1024, 1024) for row in range(0, 3073, 512)]
        images = [source.read([1, 2, 3], window=w).transpose(1, 2, 0) for w in windows]
        places = [window_transform(w, source.transform) for w in windows]
    chosen: list[list] = [[] for _ in windows]
    shapes = list(frame.geometry)
    np.random.default_rng(5).shuffle(shapes)  # type: ignore[arg-type]
    count = 0
    for geometry in shapes:
        x0, y0, x1, y1 = geometry.bounds
        (c0, r0), (c1, r1) = inverse * (x0, y1), inverse * (x1, y0)
        if c0 < BANEPA_SPLIT or c1 > BANEPA_SPLIT + 1024 or r0 < 0 or r1 > 4096:
            continue
        offsets = [abs((r0 + r1) / 2 - (w.row_off + 512)) for w in windows]
        best = int(np.argmin(offsets))
        if r0 < windows[best].row_off or r1 > windows[best].row_off + 1024 or count >= limit:
            continue
        count += 1
        chosen[best].append(geometry)
    scenes = []
    for image, transform, picked in zip(images, places, chosen, strict=True):
        masks = [m for m in rasterised(picked, (1024, 1024), transform) if m.sum() >= 100]
        scenes.append(Scene(np.ascontiguousarray(image), masks))
    return scenes


def banepa_windows(_: int) -> list[Scene]:
    """The windows of 1024 x 1024 east of the dividing column side by side, with all buildings, as
    far as the windows go; of at least 100 px."""
    import geopandas
    import rasterio
    from rasterio.windows import Window
    from rasterio.windows import transform as window_transform

    folder = SHARED / "eval" / "buildings_banepa"
    scenes = []
    with rasterio.open(folder / "mosaic_train_4326.tif") as source:
        frame = geopandas.read_file(folder / "footprints_4326.gpkg").to_crs(source.crs)
        for row in range(0, 4096, 1024):
            window = Window(BANEPA_SPLIT, row, 1024, 1024)
            image = source.read([1, 2, 3], window=window).transpose(1, 2, 0)
            place = window_transform(window, source.transform)
            masks = [m for m in rasterised(list(frame.geometry), (1024, 1024), place)
                     if m.sum() >= 100]  # fmt: skip
            scenes.append(Scene(np.ascontiguousarray(image), masks))
    return scenes


def denmark(limit: int) -> list[Scene]:
    """All parcels of at least 12 px; the stretch is that of the engine (2 to 98 %)."""
    import geopandas
    import rasterio

    folder = SHARED / "eval" / "fields_denmark_west"
    with rasterio.open(folder / "s2_rgb_uint16.tif") as source:
        bands = source.read([1, 2, 3]).astype(np.float32)
        frame = geopandas.read_file(folder / "parcels.gpkg").to_crs(source.crs)
        transform = source.transform
    low, high = np.percentile(bands, [2, 98], axis=(1, 2))
    scaled = (bands - low[:, None, None]) / (high - low)[:, None, None]
    image = (np.clip(scaled, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    masks = rasterised(list(frame.geometry), image.shape[:2], transform)
    return [Scene(np.ascontiguousarray(image), [m for m in masks if m.sum() >= 12][:limit])]


def composed(limit: int) -> list[Scene]:
    """Scenes of seeds that no pack uses."""
    rng = np.random.default_rng(987654)
    textures = Textures(photographs(SHARED / "train", 100, rng), rng)
    scenes: list[Scene] = []
    while sum(len(s.objects) for s in scenes) < limit:
        scene = compose(textures, 512)
        image, labels = scene.image, scene.labels
        areas = np.bincount(labels[0].ravel())
        areas[0] = 0
        ids = rng.permutation(np.flatnonzero(areas >= 100))[: max(4, limit // 8)]
        scenes.append(Scene(image, [labels[0] == i for i in ids]))
    return scenes


@functools.cache
def town(seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """A sample scene, (1536, 1536, 3), and its buildings."""
    import geopandas
    import rasterio

    with tempfile.TemporaryDirectory() as folder:
        maker = Path(__file__).parents[1] / "sample_data" / "make.py"
        command = [sys.executable, str(maker), "--seed", str(seed), "--out", folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with rasterio.open(Path(folder) / "town.tif") as source:
            image = np.ascontiguousarray(source.read([1, 2, 3]).transpose(1, 2, 0))
            transform = source.transform
        frame = geopandas.read_file(Path(folder) / "town_truth.gpkg", layer="buildings")
        return image, list(rasterised(list(frame.geometry), image.shape[:2], transform))


def sample_scene(limit: int, seed: int = 909) -> list[Scene]:
    """Two windows of 1024 x 1024 of a fresh sample scene; whole buildings."""
    image, masks = town(seed)
    scenes = []
    for corner in (0, 512):
        part = (slice(corner, corner + 1024), slice(corner, corner + 1024))
        inside = [m[part] for m in masks if m[part].sum() == m.sum() >= 100]
        scenes.append(Scene(np.ascontiguousarray(image[part]), inside[: max(1, limit // 2)]))
    return scenes


SETS: dict[str, Callable[[int], list[Scene]]] = {
    "buildings, Banepa east": banepa_east,
    "fields, Denmark": denmark,
    "sample scene, fresh": sample_scene,
    "composed scenes": composed,
}

WHOLE: dict[str, Callable[[int], list[Scene]]] = {"buildings, Banepa east": banepa_windows}
"""Sets of which the automatic mode is shown other windows: with all objects, so that a mask of an
object that is none of the set's does not count as wrong."""


def iou(a: np.ndarray, b: np.ndarray) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def full_size(logits: np.ndarray, embedding: Embedding) -> np.ndarray:
    """(h, w) logits as a mask of the image's pixels."""
    height, width = embedding.shape
    cell_r, cell_c = embedding.cell_size
    matrix = np.array([[1 / cell_c, 0, 0.5 / cell_c - 0.5], [0, 1 / cell_r, 0.5 / cell_r - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return (
        cv2.warpAffine(
            logits, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        > 0
    )


def grabcut(image: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """GrabCut with a box, on the box's surroundings."""
    r0, c0, r1, c1 = box
    pad = max(8, (r1 - r0) // 2, (c1 - c0) // 2)
    top, left = max(r0 - pad, 0), max(c0 - pad, 0)
    part = np.ascontiguousarray(image[top : r1 + pad, left : c1 + pad])
    mask = np.zeros(part.shape[:2], np.uint8)
    rectangle = (c0 - left, r0 - top, c1 - c0, r1 - r0)
    out = np.zeros(image.shape[:2], bool)
    try:
        cv2.grabCut(part, mask, rectangle, np.zeros((1, 65)), np.zeros((1, 65)), 5, 0)
    except cv2.error:
        out[r0:r1, c0:c1] = True
        return out
    out[top : top + part.shape[0], left : left + part.shape[1]] = (mask == 1) | (mask == 3)
    return out


def watersheds(image: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """A hierarchy of partitions, (h, w) labels and the areas by label: at each level, basins of the
    gradient that are joined below it are one."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0).astype(np.float32)
    along = [cv2.Sobel(smooth, cv2.CV_32F, dx, 1 - dx) for dx in (0, 1)]
    gradient = np.hypot(*along).max(axis=2)
    top = max(float(np.quantile(gradient, 0.99)), 1e-6)
    relief = np.repeat((np.clip(gradient / top, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)
    partitions = []
    for level in np.quantile(gradient, np.linspace(0.04, 0.96, LEVELS)):
        _, labels = cv2.connectedComponents((gradient <= level).astype(np.uint8), connectivity=4)
        labels = np.maximum(cv2.watershed(relief, labels), 0)  # lines between basins: 0
        partitions.append((labels, np.bincount(labels.ravel())))
    return partitions


def best_node(partitions: list[tuple[np.ndarray, np.ndarray]], truth: np.ndarray) -> float:
    """Largest IoU of any region of a hierarchy with an object."""
    best, size = 0.0, int(truth.sum())
    for labels, areas in partitions:
        common = np.bincount(labels[truth], minlength=len(areas))
        common[0] = 0
        best = max(best, float((common / (areas + size - common)).max()))
    return best


def deepest(mask: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    place = correcting_point(mask, np.zeros_like(mask), 1, rng)
    assert place is not None
    return place[0], place[1]


def measure(
    model: EmbeddedModel, embedding: Embedding, scene: Scene, rng: np.random.Generator
) -> Iterator[tuple[dict[str, float], list[tuple[float, float]], dict[str, np.ndarray]]]:
    """For each object: IoU by column, (predicted, real) pairs, masks for the picture."""
    partitions = watersheds(scene.image) if scene.objects else []
    for truth in scene.objects:
        row: dict[str, float] = {"area": float(truth.sum())}
        pairs = []
        box = tight_box(truth)
        filled = np.zeros_like(truth)
        filled[box[0] : box[2], box[1] : box[3]] = True
        row["filled"] = iou(filled, truth)
        row["watershed"] = best_node(partitions, truth)
        row["box+GC"] = iou(grabcut(scene.image, box), truth)
        answer = model.decode(
            embedding, Prompts(boxes=np.array([box], np.float32)), multimask=False
        )
        by_box = full_size(answer.logits[0, 0], embedding)
        row["box"] = iou(by_box, truth)
        row["box edge"] = boundary_iou(by_box, truth)
        pairs.append((float(answer.scores[0, 0]), row["box"]))

        clicks = [(*deepest(truth, rng), 1)]
        random = np.argwhere(truth)[int(rng.integers(int(truth.sum())))] + 0.5
        for name, place in (("random3", tuple(random)), ("pt best3", clicks[0][:2])):
            answer = model.decode(embedding, _clicks([(*place, 1)]))
            masks = [full_size(logits, embedding) for logits in answer.logits[0]]
            values = [iou(mask, truth) for mask in masks]
            row[name] = max(values)
            pairs += list(zip(answer.scores[0].tolist(), values, strict=True))
        first = int(answer.scores[0].argmax())
        row["pt first"] = values[first]
        current, logits = masks[first], answer.logits[0, first]
        for number in range(2, 6):
            place3 = correcting_point(truth, current, 1, rng)
            if place3 is not None:
                clicks.append(place3)
                prompts = _clicks(clicks, logits)
                answer = model.decode(embedding, prompts, multimask=False)
                logits = answer.logits[0, 0]
                current = full_size(logits, embedding)
                pairs.append((float(answer.scores[0, 0]), iou(current, truth)))
            if number in (3, 5):
                row[f"{number} clicks"] = iou(current, truth)
        yield row, pairs, {"truth": truth, "box": by_box, "point": masks[int(np.argmax(values))]}


def _clicks(clicks: list, logits: np.ndarray | None = None) -> Prompts:
    return Prompts(
        points=np.array([[c[:2] for c in clicks]], np.float32),
        labels=np.array([[c[2] for c in clicks]], np.int8),
        masks=None if logits is None else logits[None],
    )


def draw(image: np.ndarray, shown: list[dict[str, np.ndarray]], path: Path) -> None:
    """Truth in white, by box in yellow; beside it by point in red."""
    scale = 3 if max(image.shape[:2]) < 600 else 1
    big = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    panels = [big.copy(), big.copy(), big.copy()]
    colours = {"truth": (255, 255, 255), "box": (255, 230, 0), "point": (255, 40, 40)}
    for masks in shown:
        for panel, name in zip(panels, colours, strict=True):
            mask = masks[name].astype(np.uint8)
            mask = cv2.resize(mask, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
            lines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(panel, lines, -1, colours[name], 2 if scale == 1 else 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.concatenate(panels, 1)[..., ::-1])


def sizes(rows: list[dict[str, float]]) -> Iterator[tuple[str, list[dict[str, float]]]]:
    yield "all", rows
    for low, high in ((0, 400), (400, 2500), (2500, 10000), (10000, 10**9)):
        part = [row for row in rows if low <= row["area"] < high]
        if part:
            yield f"{low} to {high} px" if high < 10**9 else f"from {low} px", part


def boundary_iou(a: np.ndarray, b: np.ndarray, reach: int = 2) -> float:
    """Boundary IoU (Cheng et al. 2021): IoU of the pixels near both borders."""
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)

    def rim(mask: np.ndarray) -> np.ndarray:
        padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
        return mask & ~(cv2.erode(padded, kernel)[1:-1, 1:-1] > 0)

    return iou(rim(a), rim(b))


def class_maps(model: EmbeddedModel, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a map without examples says of an image, and what its cells say alone.

    Returns:
        Twice (classes, h, w) probabilities of the cells of 4 network pixels within the image.
    """
    height, width = image.shape[:2]
    likely, (side, _) = model.class_probabilities(model.encode([image])[0])
    alone = likely[:, : int(height / side), : int(width / side)]
    box = PixelBox(0, 0, height, width)
    options = AutomaticOptions(proposals="embedded", pairs=False)
    segmenter = AutomaticSegmenter(model, options, model)
    size = max(height, width)
    cell = segmenter.cell_size(size)
    window = TileImage(
        Tile(TileIndex(0, 0), box, box, box), image, np.ones((height, width), bool), size, cell
    )
    masks = segmenter.segment(window).masks
    cells = CellBox(0, 0, *alone.shape[1:])
    logits = settled(np.log(np.maximum(alone, 1e-6)), cells, round(side), masks, cell)
    shares = np.exp(logits - logits.max(axis=0))
    return shares / shares.sum(axis=0), alone


def automatic(
    model: EmbeddedModel,
    scene: Scene,
    points: int = 32,
    proposals: str = "grid",
    classes: tuple[str, ...] = (),
) -> tuple[np.ndarray, ...]:
    """Everything that the automatic mode finds in an image of at most 1024 x 1024.

    Returns:
        (n, objects) IoU of each mask with each object, (n,) scores, (n,) stabilities.
    """
    height, width = scene.image.shape[:2]
    side = max(height, width)
    box = PixelBox(0, 0, height, width)
    options = AutomaticOptions(points_per_side=points, proposals=proposals, classes=classes)
    if classes:
        options = for_classes(options, model, None)
    segmenter = AutomaticSegmenter(model, options, model if proposals == "embedded" else None)
    cell = segmenter.cell_size(side)
    tile = Tile(TileIndex(0, 0), box, box, box)
    valid = np.ones((height, width), bool)
    tile_masks = segmenter.segment(TileImage(tile, scene.image, valid, side, cell))
    found = tile_masks.masks
    if classes:  # as a job writes them: those that share no ground once
        grid = Grid(height, width, -(-side // cell) * cell, 16 * cell, cell)
        source = MemorySource({tile_masks.index: tile_masks}, cell)
        options = MergeOptions(single=single_of(segmenter))
        merged = merge(source, grid, options, SerialExecutor())
        found = [found[obj.members[0].position] for obj in merged]
    truths = [(tight_box(truth), truth) for truth in scene.objects]
    overlaps = np.zeros((len(found), len(truths)))
    for i, mask in enumerate(found):
        area = mask.box.pixels(cell)
        shape = (mask.box.width * cell, mask.box.height * cell)
        fine = cv2.resize(mask.logits.astype(np.float32), shape, interpolation=cv2.INTER_LINEAR) > 0
        fine = fine[: height - area.row0, : width - area.col0]
        part = (
            slice(area.row0, area.row0 + len(fine)),
            slice(area.col0, area.col0 + fine.shape[1]),
        )
        for j, (around, truth) in enumerate(truths):
            if area.intersects(PixelBox(*around)):
                common = np.count_nonzero(truth[part] & fine)
                union = np.count_nonzero(truth) + np.count_nonzero(fine) - common
                overlaps[i, j] = common / union
    scores = np.array([m.score for m in found])
    return overlaps, scores, np.array([m.stability for m in found])


def recall(
    model: EmbeddedModel, scenes: list[Scene], proposals: str, classes: tuple[str, ...] = ()
) -> None:
    """Share of objects that automatic mode finds, and panoptic quality of the masks it matches.

    Only one kind of object has a truth here, so masks of other things say nothing against it: PQ
    counts a mask as wrong only where it overlaps an object by an IoU of more than 0.1.
    """
    best: list[float] = []
    masks = wrong = good = 0
    begun, spent = time.perf_counter(), time.process_time()
    for scene in scenes:
        if scene.objects:
            overlaps, _, _ = automatic(model, scene, proposals=proposals, classes=classes)
            masks += len(overlaps)
            near = overlaps.max(1, initial=0.0)
            good += int((near >= 0.5).sum())
            wrong += int(((near > 0.1) & (near <= 0.5)).sum())
            best += overlaps.max(0, initial=0.0).tolist()
    values = np.array(best)
    hits = values > 0.5
    missed = np.count_nonzero(~hits)
    quality = values[hits].sum() / max(1, hits.sum() + 0.5 * wrong + 0.5 * missed)
    print(
        f"  automatic, {proposals} {','.join(classes)}: {masks} masks, "
        f"{good / max(1, masks):.3f} of them on an object; {time.perf_counter() - begun:.1f} s, "
        f"{time.process_time() - spent:.1f} s of CPU; recall {np.mean(values >= 0.5):.3f} at IoU "
        f"0.5, {np.mean(values >= 0.75):.3f} at 0.75; PQ {quality:.3f}"
    )


def thresholds(model: EmbeddedModel, banepa: Path) -> None:
    """What the default thresholds would give on held-back training data: F1 at IoU 0.5.

    The southern end of Banepa's western half and a sample scene of seed 8: neither was trained on,
    neither is tested. Of Banepa only buildings are known: masks of nothing known are not counted.

    Args:
        model: Any thresholds.
        banepa: ``valid_banepa.npz`` of the training packs.
    """
    held = read_pack(banepa)[0]
    objects = [held.labels[0] == v for v in np.unique(held.labels[0])[1:]]
    scenes = []
    for left in (0, 1024):
        part = (slice(0, 512), slice(left, left + 512))
        inside = [o[part] for o in objects if o[part].sum() == o.sum() >= 100]
        scenes.append(Scene(np.ascontiguousarray(held.image[part]), inside))
    scenes += sample_scene(1000, seed=8)[:1]
    open_model = load_embedded("cpu", torch.get_num_threads())
    open_model._net, open_model._info = (
        model._net,
        dataclasses.replace(model.info, score_threshold=0.3, stability_threshold=0.4),
    )
    results = [automatic(open_model, scene, points=24) for scene in scenes]
    print("score  stability  recall  precision  F1 (means of the scenes)")
    for least in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        for steady in (0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8):
            rows = []
            for overlaps, scores, stabilities in results:
                kept = overlaps[(scores >= least) & (stabilities >= steady)]
                hit = float((kept.max(0, initial=0.0) >= 0.5).mean())
                near = kept.max(1, initial=0.0)
                right = float((near >= 0.5).sum() / max(1, (near > 0.1).sum()))
                rows.append((hit, right, 2 * hit * right / max(1e-6, hit + right)))
            print(f"{least:5.2f} {steady:10.2f}" + "".join(f"{v:9.3f}" for v in np.mean(rows, 0)))


def timings(model: EmbeddedModel) -> None:
    """Encode and decode beside a matrix product of 2048 (17.2 GFLOP)."""
    image = np.random.default_rng(0).integers(0, 255, (1024, 1024, 3), dtype=np.uint8)
    a = torch.randn(2048, 2048)
    embedding = model.encode([image])[0]
    point = Prompts(points=np.array([[[500, 500]]], np.float32), labels=np.ones((1, 1), np.int8))
    box = Prompts(boxes=np.array([[460, 450, 540, 560]], np.float32))
    works: dict[str, Callable[[], object]] = {
        "matrix product of 2048": lambda: a @ a,
        "encode 1024 x 1024": lambda: model.encode([image]),
        "decode a point, 3 masks": lambda: model.decode(embedding, point),
        "decode a box, 1 mask": lambda: model.decode(embedding, box, multimask=False),
    }
    print(f"\nTime, {torch.get_num_threads()} threads, least of 7")
    reference = 0.0
    for name, work in works.items():
        work()
        times = []
        for _ in range(7):
            begun = time.perf_counter()
            work()
            times.append(time.perf_counter() - begun)
        seconds = min(times)
        reference = reference or seconds
        print(f"  {name:26s} {seconds * 1e3:8.1f} ms {seconds / reference:7.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int, default=10**6, help="objects per set")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--automatic", action="store_true", help="automatic mode too (minutes)")
    parser.add_argument("--scenes", type=int, default=2, help="images of automatic mode")
    parser.add_argument("--only", help="the set whose name begins so")
    parser.add_argument("--no-prompts", action="store_true", help="automatic mode alone")
    parser.add_argument("--skip-times", action="store_true")
    parser.add_argument("--thresholds", type=Path, help="valid_banepa.npz: choose thresholds")
    options = parser.parse_args()
    base = model = load_embedded(
        "cpu", options.threads, options.weights, precision=options.precision
    )
    print(f"{model.info.name} {model.info.fingerprint[:24]}")
    if options.thresholds:
        thresholds(model, options.thresholds)
        return
    rng = np.random.default_rng(0)
    for title, make in SETS.items():
        rows, pairs = [], []
        if options.only and not title.startswith(options.only):
            continue
        model = base.scaled(SCALES.get(title, 1.0))
        scenes = [] if options.no_prompts else make(min(options.limit, 400))
        for number, scene in enumerate(scenes):
            embedding = model.encode([scene.image])[0]
            shown = []
            for row, pair, masks in measure(model, embedding, scene, rng):
                rows.append(row)
                pairs += pair
                shown.append(masks)
            if options.pictures and shown and number < 3:
                name = title.replace(" ", "_").replace(",", "")
                draw(scene.image, shown, options.pictures / f"{name}_{number}.png")
        if not rows:
            print(title)
        else:
            print(
                f"\n{title}: mean IoU\n  {'':18s}{'n':>5s}" + "".join(f"{c:>10s}" for c in COLUMNS)
            )
        for name, part in sizes(rows) if rows else ():
            means = "".join(f"{np.mean([r[c] for r in part]):10.3f}" for c in COLUMNS)
            print(f"  {name:18s}{len(part):5d}{means}")
        if options.automatic:
            some = WHOLE.get(title, make)(400)[: options.scenes]
            recall(model, some, "grid")
            if model.proposes:
                recall(model, some, "embedded")
                if title in BUILDINGS:
                    recall(model, some, "embedded", ("building",))
        if not pairs:
            continue
        predicted, real = np.array(pairs).T
        print(
            f"  predicted IoU: correlation {np.corrcoef(predicted, real)[0, 1]:.2f}, mean error "
            f"{np.abs(predicted - real).mean():.3f}, bias {np.mean(predicted - real):+.3f}"
        )
    if not options.skip_times:
        timings(model)


if __name__ == "__main__":
    main()
