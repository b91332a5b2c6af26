# SPDX-License-Identifier: GPL-2.0-or-later
"""Does a merged result show where the tiles were?

``python benchmarks/seams.py`` makes a scene, has a perfect and a noisy oracle answer tile by tile,
merges the answers by this engine's rules and by the simplest rules of others, and prints one table.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from samgeo_core.masks.masks import TileMasks  # noqa: E402
from samgeo_core.merge import (  # noqa: E402
    MaskSource,
    MemorySource,
    MergeOptions,
    cached,
    fuse_box,
    merge,
)
from samgeo_core.merge.nodes import tight  # noqa: E402
from samgeo_core.parallel.executors import SerialExecutor  # noqa: E402
from samgeo_core.testing.metrics import CUTS, SEAMS, Score, evaluate, seam_excess  # noqa: E402
from samgeo_core.testing.oracle import Noise, Oracle  # noqa: E402
from samgeo_core.testing.scenes import Scene, Thing, make_scene  # noqa: E402
from samgeo_core.tiles.grid import Grid  # noqa: E402
from samgeo_core.types import MergeMode, TileIndex  # noqa: E402

from benchmarks import naive  # noqa: E402


def merged_things(source: MaskSource, grid: Grid, mode: MergeMode = "hierarchy") -> list[Thing]:
    """This engine's objects as masks."""
    source = cached(source, 12)
    objects = merge(source, grid, MergeOptions(mode=mode), SerialExecutor())
    found = []
    for number in objects.by_place().tolist():
        obj = objects[number]
        cut = tight(fuse_box(obj, obj.box, source, grid) > 0, obj.box)
        if cut is not None:
            found.append(Thing(*cut, ""))
    return found


RULES: dict[str, Callable[[MaskSource, Grid], list[Thing]]] = {
    "this engine": merged_things,
    "tile NMS": naive.tile_nms,
    "first come": naive.first_come,
    "trim + IoU link": naive.trim_and_link,
}


def serve(things: Sequence[Thing], grid: Grid, noise: Noise | None) -> MemorySource:
    """All of an oracle's answers."""
    oracle = Oracle(things, grid, noise)
    tiles: dict[TileIndex, TileMasks] = {t.index: oracle.load(t.index) for t in grid}
    return MemorySource(tiles, grid.cell)


LAYOUT = "{:8}{:>5}{:>5}{:>5}  {:16}{:>8}{:>7}{:>8}{:>8}{:>8}{:>7}{:>7}{:>7}{:>7}{:>7}"


def row(kind: str, grid: Grid, name: str, found: Sequence[Thing], scene: Scene, s: float) -> str:
    """One line of the table."""
    score: Score = evaluate(found, scene.things)
    return LAYOUT.format(
        *(kind, grid.core, grid.margin, grid.cell, name, score.objects, score.exact),
        *(f"{score.pq:.4f}", score.merges, score.splits, score.duplicates),
        f"{seam_excess(found, scene.shape, grid, SEAMS):.2f}",
        f"{seam_excess(found, scene.shape, grid, CUTS):.2f}",
        *(f"{s:.1f}", f"{score.objects / len(scene.things):.2f}"),
    )


def table(scene: Scene, grids: Sequence[Grid], noises: Sequence[Noise | None]) -> None:
    """Print every rule on every grid, for a perfect and a noisy oracle."""
    print(
        LAYOUT.format(
            *("oracle", "S", "m", "cell", "rule", "objects", "exact", "PQ", "merges", "splits"),
            *("twice", "seams", "cuts", "s", "/truth"),
        )
    )
    height, width = (side * grids[0].cell for side in scene.shape)
    whole = Grid(height, width, max(height, width), 64, grids[0].cell)
    for noise in noises:
        kind = "noisy" if noise else "perfect"
        untiled = merged_things(serve(scene.things, whole, noise), whole)
        for grid in grids:
            # What the same segmenter gives without tiles, on this grid's lines: the reference.
            print(row(kind, grid, "(untiled)", untiled, scene, 0.0))
            source = serve(scene.things, grid, noise)
            for name, rule in RULES.items():
                start = time.perf_counter()
                found = rule(source, grid)
                seconds = time.perf_counter() - start
                print(row(kind, grid, name, found, scene, seconds), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096, help="side of the scene, cells")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sigma", type=float, default=1.5, help="boundary noise, cells")
    parser.add_argument("--quick", action="store_true", help="one grid of each cell size")
    options = parser.parse_args(arguments)
    scene = make_scene(options.size, options.seed)
    kinds = ", ".join(f"{count} {kind}" for kind, count in scene.kinds().items())
    print(f"Scene of {options.size} x {options.size} cells, {len(scene.things)} objects: {kinds}.")
    print(
        "seams: edge length on the lines of cores and windows over that on the same lines moved at "
        "random (20 times);\ncuts: likewise on the lines of trusted windows. 1 is no trace."
    )
    shapes = [(384, 64, 1), (512, 64, 1), (768, 128, 1), (256, 128, 1), (2048, 256, 4)]
    if options.quick:
        shapes = [shapes[0], shapes[-1]]
    grids = [
        Grid(options.size * cell, options.size * cell, core, margin, cell)
        for core, margin, cell in shapes
    ]
    noise = Noise(sigma=options.sigma, seed=options.seed)
    table(scene, grids, [None, noise])
    rng = np.random.default_rng(options.seed)
    source = serve(scene.things, grids[0], noise)
    counts = [len(naive.first_come(source, grids[0], int(rng.integers(1 << 30)))) for _ in "123"]
    print(f"'first come' in three other orders of the tiles: {counts} objects.")


if __name__ == "__main__":
    main()
