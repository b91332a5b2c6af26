# SPDX-License-Identifier: GPL-2.0-or-later
"""A second look at objects that are known in a window: each is prompted with its box and logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..masks.masks import ABSENT, LOGIT_STEPS, Mask, crop_mask, quantize
from ..models.base import Decoded, Embedding, PromptableModel, Prompts
from ..tiles.mask_grid import pad_image, resample, valid_cells
from ..types import CellBox, LogitArray, PixelBox
from .mask_nms import CROP_MARGIN, make_candidate, stability_of
from .segmenter import Hint, TileImage
from .views import innermost

STEPS = np.float32(LOGIT_STEPS)


def ask_again(
    model: PromptableModel,
    stability_offset: float,
    image: TileImage,
    hints: Sequence[Hint],
    rescore: Callable[..., list[float]] | None = None,
) -> list[Mask | None]:
    """One mask a hint, from its box and its logits.

    Args:
        model: Asked with all that it understands of them.
        stability_offset: Logit by which a mask is cut higher and lower for its stability.
        image: A window.
        hints: Known in it; see :class:`~.segmenter.Hint`.
        rescore: Given candidates and, by name, the window's embedding: their scores, instead of the
            model's (:func:`~.proposers.judged_scores`).

    Returns:
        None where nothing of a hint lies in the window.
    """
    if not hints or not image.valid.any():
        return [None] * len(hints)
    cell = image.cell
    embedding = model.encode([pad_image(image.pixels, image.size)])[0]
    valid = valid_cells(image.valid, cell)
    origin = image.tile.window.row0 // cell, image.tile.window.col0 // cell
    # Of the padded window, so that what lies beyond the raster is prompted as absent.
    frame = CellBox(0, 0, -(-image.size // cell), -(-image.size // cell))
    prompts, known = [], []
    for row, hint in enumerate(hints):
        whole = np.full(frame.shape, ABSENT, np.int8)
        box = hint.box.shifted(-origin[0], -origin[1]).intersection(frame)
        if not box.empty:
            whole[box.slices(frame)] = hint.logits[box.shifted(*origin).slices(hint.box)]
        tight = crop_mask(whole, (0, 0), margin=0)
        if tight is not None:
            known.append(row)
            prompts.append((tight[0].pixels(cell), whole))
    answers: list[Mask | None] = [None] * len(hints)
    if not prompts:
        return answers
    decoded = _asked(model, embedding, prompts, cell)
    for index, logits, scores in zip(decoded.index, decoded.logits, decoded.scores, strict=True):
        best = int(np.argmax(scores))
        fine = resample(logits[best], embedding.cell_size, (cell, cell), shape=valid.shape)
        stored = np.where(valid, quantize(fine), ABSENT)
        crop_box = crop_mask(stored, origin, margin=CROP_MARGIN)
        if crop_box is not None:
            row = known[int(index)]
            score = float(scores[best])
            stability = float(stability_of(stored[None], stability_offset * LOGIT_STEPS)[0])
            if rescore is not None:
                cells = CellBox(0, 0, *fine.shape)
                shown = np.where(valid, fine, ABSENT / STEPS)
                seen = make_candidate(shown, cells, score=score, stability=stability)
                if seen is not None:
                    (score,) = rescore([seen], embedding=embedding)
            answers[row] = Mask(*crop_box, score, stability, hints[row].prompt)
    return answers


def _asked(
    model: PromptableModel,
    embedding: Embedding,
    prompts: Sequence[tuple[PixelBox, LogitArray]],
    cell: int,
) -> Decoded:
    """Prompt with all that the model understands of a box and a mask, one answer each."""
    accepts = model.info.accepts
    boxes = np.array([(b.row0, b.col0, b.row1, b.col1) for b, _ in prompts], np.float32)
    masks = points = None
    if "mask" in accepts:
        stored = np.stack([whole for _, whole in prompts]) / STEPS
        masks = resample(stored, (cell, cell), embedding.cell_size, shape=embedding.mask_shape)
    if "box" not in accepts:
        inner = [innermost(whole) for _, whole in prompts]
        points = (np.array(inner, np.float32)[:, None] + 0.5) * cell
    asked = Prompts(
        points=points,
        labels=None if points is None else np.ones(points.shape[:2], np.int8),
        boxes=boxes if points is None else None,
        masks=masks,
    )
    return model.decode(embedding, asked, multimask=points is not None and masks is None)
