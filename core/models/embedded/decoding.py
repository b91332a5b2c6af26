# SPDX-License-Identifier: GPL-2.0-or-later
"""From prompts to masks: the decoder's stages in the squares in which prompts are answered.

The coarse stage runs in the whole square, the fine stages only where it leaves any doubt. A mask
that reaches its square's border is asked for again in a larger one (:mod:`.regions`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...types import FloatArray
from ..base import PADDING
from .corrections import without_islands
from .network import CANDIDATES, MASK_STRIDE, Coarse, EmbeddedNet, Features, enlarge
from .prompt_maps import PromptTensors
from .regions import (
    COARSE_PARTS,
    FINE_PARTS,
    Look,
    Regions,
    cut_features,
    cut_prompts,
    fine_features,
    one_row,
)

WHOLE_LOOK = 256
"""Side in pixels of the squares whose fine stages are computed as a whole."""

FAR = -2.0
"""Coarse logit below which nothing of an object is expected: the fine stage looks no further."""

OUTSIDE = -10.0
"""Logit of what lies outside of the square in which a prompt was answered."""

FINE_STEP = 4
"""Cells of stride 8 of which the sides of what the fine stages see are a multiple: oneDNN prepares
its convolutions anew for every shape, and keeps about a thousand."""

MARGIN = 3
"""Cells of stride 8 that the fine stages see around what they are for."""

REACH = 12
"""Cells of stride 2 at the border of that, which lack some of their neighbours."""


class Answer(NamedTuple):
    """(m, h, w) logits of a place's cells, where those begin, and (m,) scores."""

    row0: int
    col0: int
    logits: FloatArray
    scores: FloatArray


@dataclass(frozen=True)
class Levels:
    """What is added to a mask's logits, by the side of a square of its area.

    Focal and dice losses are not for area: masks of objects of a few cells come out too small. The
    numbers are found on training data that was held back (``training/after.py``) and stand in the
    notes of the weights.

    Args:
        sides: Rising, in cells of the mask; between them the addition is interpolated over the
            logarithm of the side.
        clear: Added to masks for unambiguous prompts, one for each side.
        candidates: Likewise to the candidates for ambiguous prompts.
    """

    sides: tuple[float, ...] = (1.0,)
    clear: tuple[float, ...] = (0.0,)
    candidates: tuple[float, ...] = (0.0,)

    def to_json(self) -> str:
        return json.dumps([self.sides, self.clear, self.candidates])

    @classmethod
    def from_json(cls, text: str) -> Levels:
        return cls(*(tuple(float(v) for v in row) for row in json.loads(text)))

    def apply(self, logits: Tensor, clear: Tensor) -> Tensor:
        """(m, h, w) logits of masks, changed by their sizes; ``clear`` (m,) says which table."""
        if not any(self.clear) and not any(self.candidates):
            return logits
        areas = (logits > 0).sum((1, 2)).clamp(min=1).cpu().double().numpy()
        at, known = np.log2(areas) / 2, np.log2(self.sides)
        added = np.where(
            clear.numpy(),
            np.interp(at, known, self.clear),
            np.interp(at, known, self.candidates),
        )
        return logits + torch.from_numpy(added.astype(np.float32)).to(logits.device)[:, None, None]


@dataclass(frozen=True)
class Asked:
    """Prompts of one image.

    Args:
        prompts: In pixels of the network.
        regions: Where each is answered.
        multimask: Three candidates a prompt instead of one.
        min_score: Prompts none of whose candidates reaches this predicted IoU are left out.
    """

    prompts: PromptTensors
    regions: Regions
    multimask: bool
    min_score: float | None


def decode_rows(
    net: EmbeddedNet,
    levels: Levels,
    features: Features,
    asked: Asked,
    rows: Sequence[int],
    look: Look,
) -> dict[int, Answer | None]:
    """Some prompts' answers in their squares of a look.

    Args:
        net: The network.
        levels: What is added to its masks.
        features: Of the image, shrunk as the look has it.
        asked: All prompts.
        rows: Numbers of those to answer.
        look: How large their squares are.

    Returns:
        None for those whose masks reach their square's border; those that do not pass are left out.
    """
    prompts, regions, min_score = asked.prompts, asked.regions, asked.min_score
    chosen = list(rows)
    places = [regions.place(row, look) for row in chosen]
    whole = regions.is_whole(look)
    part = cut_prompts(prompts, chosen, places)
    seen = features if whole else cut_features(features, places, COARSE_PARTS)
    coarse = net.decoder.begin(seen, part)
    scores = torch.sigmoid(coarse.iou)
    alone = (part.labels != PADDING).sum(1) == 1
    alone &= ~torch.isfinite(part.boxes[:, 0])
    if part.masks is not None:
        alone[:] = False
    first = 1 if asked.multimask else 0
    if min_score is None:
        # A user gets the first-ranked mask; automatic mode looks at each by itself.
        ranked = scores.clone()
        ranked[:, first:] = by_worth(
            scores[:, first:], expected_iou(scores[:, first:], coarse.masks[:, first:])
        )
        scores = torch.where(alone[:, None], ranked, scores)
    if asked.multimask:
        which = torch.arange(1, CANDIDATES + 1, device=scores.device)
        which = which.expand(len(scores), CANDIDATES)
    else:
        which = torch.where(alone, scores.argmax(1), 0)[:, None]
    scores = scores.gather(1, which)
    passing = scores.amax(1) >= (-1 if min_score is None else min_score)
    chosen_masks = coarse.masks.gather(
        1, which[..., None, None].expand(*which.shape, *coarse.masks.shape[2:])
    )
    if min_score is not None:
        # A mask that nobody will look at is no reason to look from further away.
        rejected = (scores < min_score)[..., None, None]
        chosen_masks = chosen_masks.masked_fill(rejected, OUTSIDE)
    short = torch.zeros_like(passing) if whole else regions.cut_short(chosen_masks, places)
    out: dict[int, Answer | None] = {
        chosen[i]: None for i in torch.nonzero(passing & short)[:, 0].tolist()
    }
    keep = torch.nonzero(passing & ~short)[:, 0].tolist()
    found: list[Tensor] = []
    if keep and look.side <= WHOLE_LOOK:
        # So small that finding out where the fine stages are needed costs more than they do.
        mine = features
        if not whole:
            mine = cut_features(features, [places[i] for i in keep], FINE_PARTS)
        fine = net.decoder.finish(mine, Coarse(*(part_[keep] for part_ in coarse)))
        picked = which[keep][..., None, None].expand(-1, -1, *fine.shape[2:])
        found = list(fine.gather(1, picked))
    else:
        for i in keep:
            mine = features if whole else fine_features(features, places[i])
            # An answer without any score that passes does not come this far.
            wanted = None if min_score is None else scores[i] >= min_score
            found.append(fine_masks(net, mine, one_row(coarse, i), which[i], wanted)[0])
    for i, logits in zip(keep, found, strict=True):
        clear = torch.full((len(logits),), not asked.multimask)
        levelled = levels.apply(logits, clear)
        for _ in range(look.shrink.bit_length() - 1):
            levelled = enlarge(levelled[None])[0]
        rows_, cols_ = places[i]._replace(shrink=1).cells(MASK_STRIDE)
        answer = levelled.cpu().numpy()
        if prompts.masks is None and min_score is None:
            # Somebody waits for these; of masks that a search may reject, few are worth it.
            clicks = prompts.points[chosen[i]][prompts.labels[chosen[i]] == 1].cpu().numpy()
            seeds = np.floor(clicks / MASK_STRIDE).astype(np.intp)
            answer = without_islands(answer, seeds - (rows_.start, cols_.start))
        out[chosen[i]] = Answer(rows_.start, cols_.start, answer, scores[i].cpu().numpy())
    return out


def expected_iou(scores: Tensor, masks: Tensor) -> Tensor:
    """What each candidate is worth to somebody who takes it: its mean IoU with what may be right.

    A click on a roof may mean its half, the roof, or the roof and its yard. Where two candidates
    are about as likely, one that is close to both is the safer answer: minimum Bayes risk, as in
    the choice among translations (Kumar and Byrne 2004). A candidate is taken to be right with a
    probability that goes with the odds of its predicted IoU.

    Args:
        scores: (n, m) predicted IoU.
        masks: (n, m, h, w) logits.

    Returns:
        (n, m), between 0 and 1.
    """
    inside = torch.sigmoid(masks.float()).flatten(2)
    one, other = inside[:, :, None], inside[:, None]
    either = torch.maximum(one, other).sum(-1).clamp(min=1e-6)  # of two empty masks: 0
    shared = torch.minimum(one, other).sum(-1) / either
    right = scores / (1 - scores).clamp(min=1e-4)
    return (shared * right[:, None]).sum(2) / right.sum(1, keepdim=True).clamp(min=1e-4)


def by_worth(scores: Tensor, worth: Tensor) -> Tensor:
    """The same scores in each row, the highest for the candidate that is worth most, and so on."""
    order = worth.argsort(dim=1, descending=True, stable=True)
    return torch.zeros_like(scores).scatter(1, order, scores.sort(dim=1, descending=True).values)


def fine_masks(
    net: EmbeddedNet,
    features: Features,
    coarse: Coarse,
    which: Tensor,
    wanted: Tensor | None = None,
) -> Tensor:
    """A prompt's chosen masks at stride 2, (1, m, h, w).

    The fine stages run where the coarse masks leave any doubt, with a margin of their own
    reach; elsewhere the coarse logits, which are far below zero there, stand as they are.

    Args:
        net: The network.
        features: Of the prompt's square.
        coarse: The prompt's.
        which: (m,) numbers of the masks.
        wanted: (m,) bool, which of these somebody will look at; None: all.
    """
    masks = enlarge(enlarge(coarse.masks[:, which]))
    near = (coarse.masks[0, which if wanted is None else which[wanted]] > FAR).any(0)
    rows, cols = torch.nonzero(near.any(1))[:, 0], torch.nonzero(near.any(0))[:, 0]
    if len(rows) == 0:
        return masks
    height, width = near.shape
    top, bottom = _span(int(rows[0]) - MARGIN, int(rows[-1]) + 1 + MARGIN, height)
    left, right = _span(int(cols[0]) - MARGIN, int(cols[-1]) + 1 + MARGIN, width)
    at8, at4, at2 = (
        (..., slice(n * top, n * bottom), slice(n * left, n * right)) for n in (1, 2, 4)
    )
    part = Coarse(coarse.maps[at4], coarse.y8[at8], coarse.masks[at8], coarse.iou)
    near_features = features._replace(a4=features.a4[at4], a2=features.a2[at2])
    fine = net.decoder.finish(near_features, part)[:, which]
    inner = (
        ...,
        slice(REACH if top else 0, fine.shape[2] - (REACH if bottom < height else 0)),
        slice(REACH if left else 0, fine.shape[3] - (REACH if right < width else 0)),
    )
    masks[at2][inner] = fine[inner]
    return masks


def _span(first: int, end: int, limit: int) -> tuple[int, int]:
    """Cells from ``first`` to ``end``, as many more as make a multiple of :data:`FINE_STEP` where
    there are so many, within ``limit``."""
    first, end = max(first, 0), min(end, limit)
    length = min(-(-(end - first) // FINE_STEP) * FINE_STEP, limit)
    first = min(first, limit - length)
    return first, first + length
