# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of the documentation that explain the merge: docs/images/tiles.png and merge.png.

``.venv/bin/python -m tools.figures`` draws them with the engine's own grid and merge, on a scene of
known objects and a segmenter that errs a little in each tile (needs matplotlib).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.patches import Rectangle
from samgeo_core.masks.masks import Mask
from samgeo_core.merge import MemorySource, MergeOptions, cached, fuse_box, merge
from samgeo_core.parallel.executors import SerialExecutor
from samgeo_core.testing.oracle import Noise, Oracle
from samgeo_core.testing.scenes import make_scene
from samgeo_core.tiles.grid import Grid
from samgeo_core.types import CellBox

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
GRID = Grid(512, 512, 256, 48)
COLOURS = ("#d1495b", "#00798c", "#edae49", "#6a4c93")
AROUND = 96
"""Cells shown on each side of the point where four tiles meet."""


def ground(things: Iterable[Any], axes: Any) -> None:
    """The scene in pale colours, one per object."""
    shown = np.ones((GRID.height, GRID.width, 3))
    colours = np.random.default_rng(4).uniform(0.8, 0.97, (4096, 3))
    for number, thing in enumerate(things):
        box = thing.box
        shown[box.row0 : box.row1, box.col0 : box.col1][thing.mask] = colours[number]
    axes.imshow(shown, extent=(0, GRID.width, GRID.height, 0), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def rectangle(axes: Any, box: CellBox, **style: Any) -> None:
    """Outline of a box."""
    size = (box.col1 - box.col0, box.row1 - box.row0)
    axes.add_patch(Rectangle((box.col0, box.row0), *size, fill=False, **style))


def outline(axes: Any, box: CellBox, logits: np.ndarray, colour: str) -> None:
    """Where logits change their sign."""
    high = np.pad(logits.astype(float), 1, constant_values=-32)
    cols, rows = np.arange(box.col0 - 1, box.col1 + 1), np.arange(box.row0 - 1, box.row1 + 1)
    axes.contour(cols + 0.5, rows + 0.5, high, [0], colors=[colour], linewidths=1.6)


def tiles(things: list[Any]) -> None:
    """Core, trusted window and window of one tile, and those of its neighbour."""
    figure, axes = pyplot.subplots(figsize=(6.4, 6.4), layout="constrained")
    ground(things, axes)
    for index, colour in (((0, 0), COLOURS[0]), ((0, 1), COLOURS[1])):
        tile = GRID[index]
        for name, box, line in (
            ("window: what the model sees", tile.window, ":"),
            ("trusted window: what is believed", tile.trusted, "--"),
            ("core: what the tile owns", tile.core, "-"),
        ):
            rectangle(axes, box, edgecolor=colour, linestyle=line, linewidth=2.2)
            if index == (0, 0):
                axes.plot([], [], color=colour, linestyle=line, label=name)
    axes.plot([], [], color=COLOURS[1], label="the same of the next tile")
    axes.legend(loc="lower center", framealpha=0.95)
    figure.savefig(IMAGES / "tiles.png", dpi=110)


def merged(things: list[Any]) -> None:
    """Answers of four tiles around the point where they meet, and what the merge makes of them."""
    oracle = Oracle(things, GRID, Noise(sigma=2.0, misses=0.0, splits=0.0))
    answers = {tile.index: oracle.load(tile.index) for tile in GRID}
    source = cached(MemorySource(answers, 1), 12)
    objects = merge(source, GRID, MergeOptions(), SerialExecutor())
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 6.2), layout="constrained")
    for axes in (left, right):
        ground(things, axes)
        axes.axhline(GRID.core, color="grey", linewidth=0.8)
        axes.axvline(GRID.core, color="grey", linewidth=0.8)
        axes.set_xlim(GRID.core - AROUND, GRID.core + AROUND)
        axes.set_ylim(GRID.core + AROUND, GRID.core - AROUND)
    for tile, colour in zip(GRID, COLOURS, strict=True):
        rectangle(left, tile.trusted, edgecolor=colour, linestyle="--", linewidth=1.2)
        mask: Mask
        for mask in answers[tile.index].masks:
            outline(left, mask.box, mask.logits, colour)
    for number in objects.by_place().tolist():
        one = objects[number]
        outline(right, one.box, fuse_box(one, one.box, source, GRID), "#222222")
    left.set_title("What four tiles answer, one colour per tile; dashed: their trusted windows")
    right.set_title("After linking, fusing and removing what is double")
    figure.savefig(IMAGES / "merge.png", dpi=110)


def main() -> None:
    things = make_scene(512, 3).things
    tiles(things)
    merged(things)


if __name__ == "__main__":
    main()
