# SPDX-License-Identifier: GPL-2.0-or-later
"""Segmenters that return the truth, exactly or with noise.

The oracle answers each window with the masks that a perfect model would give. What is wrong in a
merged result is then the merge's fault alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ..masks.masks import Mask, PromptRef, TileMasks, crop_mask, quantize
from ..segmenters.segmenter import TileImage
from ..tiles.grid import Grid
from ..types import BoolArray, CellBox, TileIndex
from .scenes import Thing


@dataclass(frozen=True)
class Noise:
    """How a noisy oracle errs.

    Args:
        sigma: Standard deviation of the boundary's displacement, cells.
        smooth: Correlation length of the displacement, cells.
        misses: Share of masks that are not returned.
        splits: Share of masks that are returned in two parts, cut by a straight line.
        seed: Of everything random; each tile draws from its own stream.
    """

    sigma: float = 1.5
    smooth: float = 4.0
    misses: float = 0.03
    splits: float = 0.05
    seed: int = 1


@dataclass(frozen=True, eq=False)
class Oracle:
    """Serves a scene tile by tile: a ``MaskSource`` and a ``Segmenter`` at once.

    Args:
        things: The objects, masks on the lattice of cells.
        grid: The grid.
        noise: None for a perfect one.
        shuffle: Seed of the order of masks within each tile; None leaves the things' order.
    """

    things: Sequence[Thing]
    grid: Grid
    noise: Noise | None = None
    shuffle: int | None = None
    boxes: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        boxes = [(t.box.row0, t.box.col0, t.box.row1, t.box.col1) for t in self.things]
        object.__setattr__(self, "boxes", np.array(boxes, np.int64).reshape(-1, 4))

    @property
    def name(self) -> str:
        return "oracle"

    @property
    def fingerprint(self) -> str:
        digest = hashlib.blake2b(self.boxes.tobytes(), digest_size=8)
        for thing in self.things:
            digest.update(np.packbits(thing.mask).tobytes())
        digest.update(repr((self.noise, self.shuffle, self.grid.cell)).encode())
        return digest.hexdigest()

    def cell_size(self, window_size: int) -> int:
        return self.grid.cell

    def segment(self, image: TileImage) -> TileMasks:
        return self.load(image.tile.index)

    def load(self, index: TileIndex) -> TileMasks:
        """All masks of a tile's window, those that the window's edge cuts too."""
        window = self.grid[index].window.cells(self.grid.cell)
        box = self.boxes
        hits = np.flatnonzero(
            (box[:, 0] < window.row1)
            & (box[:, 2] > window.row0)
            & (box[:, 1] < window.col1)
            & (box[:, 3] > window.col0)
        )
        draw = _Errors(self.noise, index, window) if self.noise else None
        masks: list[Mask] = []
        for number in hits.tolist():
            thing = self.things[number]
            part = thing.box.intersection(window)
            mask = thing.mask[part.slices(thing.box)]
            if mask.any():
                masks += _exact(part, mask, window) if draw is None else draw(thing, window)
        if self.shuffle is not None:
            order = np.random.default_rng((self.shuffle, *index)).permutation(len(masks))
            masks = [masks[k] for k in order]
        return TileMasks(index, self.grid.cell, masks)


def _exact(part: CellBox, mask: BoolArray, window: CellBox) -> list[Mask]:
    box = part.grown(1).intersection(window)
    logits = np.full(box.shape, -32, np.int8)
    logits[part.slices(box)][mask] = 32
    return [Mask(box, logits, 0.9, 0.95, PromptRef())]


class _Errors:
    """One tile's errors: a displacement of boundaries, misses, splits."""

    def __init__(self, noise: Noise, index: TileIndex, window: CellBox) -> None:
        self.noise, self.window = noise, window
        self.rng = np.random.default_rng((noise.seed, *index))
        field_ = ndimage.gaussian_filter(
            self.rng.standard_normal((2 * window.height, 2 * window.width)).astype(np.float32),
            noise.smooth,
            mode="wrap",
        )
        self.field = field_ * (noise.sigma / field_.std())

    def __call__(self, thing: Thing, window: CellBox) -> list[Mask]:
        """The masks that are returned for a thing: none, one or two."""
        if self.rng.random() < self.noise.misses:
            return []
        reach = int(6 * self.noise.sigma) + 3
        seen = thing.box.grown(reach).intersection(window)
        # One more ring of the thing itself, so that the window's edge is not taken for a border.
        wide = seen.grown(reach)
        known = np.zeros(wide.shape, bool)
        inner = wide.intersection(thing.box)
        known[inner.slices(wide)] = thing.mask[inner.slices(thing.box)]
        distance = ndimage.distance_transform_edt(known) - ndimage.distance_transform_edt(~known)
        signed = (distance - 0.5 * np.sign(distance))[seen.slices(wide)]
        row, col = (int(self.rng.integers(0, n)) for n in window.shape)
        moved = signed + self.field[row : row + seen.height, col : col + seen.width]
        parts = [moved]
        if self.rng.random() < self.noise.splits:
            rows, cols = np.nonzero(known[seen.slices(wide)])
            pick = int(self.rng.integers(0, len(rows)))
            angle = self.rng.uniform(0, np.pi)
            grid_rows, grid_cols = np.ogrid[: seen.height, : seen.width]
            line = (grid_rows - rows[pick]) * np.cos(angle) + (grid_cols - cols[pick]) * np.sin(
                angle
            )
            parts = [np.minimum(moved, line), np.minimum(moved, -line)]
        masks = []
        for part in parts:
            cut = crop_mask(quantize(part), (seen.row0, seen.col0))
            if cut is not None:
                score = float(self.rng.uniform(0.85, 0.98))
                masks.append(Mask(*cut, score, 0.95, PromptRef()))
        return masks
