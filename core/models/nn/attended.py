# SPDX-License-Identifier: GPL-2.0-or-later
"""Prompts after the transformer of the mask decoder, their images in pieces.

A piece of an image's positions goes through a block as a whole, because on a CPU it then stays in
the cache. Each piece also remembers how it was made, which makes the first step of the upscaling
cheaper. With g and b the scale and shift of a block's last normalisation, m and r the mean and
reciprocal deviation of a position, S the shares of a block's tokens in a position and V what they
add, a position's features y and their product with the upscaling's weights W are

    x = g1 r1 (image + S1 V1 - m1) + b1,   y = g2 r2 (x + S2 V2 - m2) + b2
    W y = r1 r2 (W g1 g2 image) + [r1 r2 S1, r2 S2, r1 r2 m1, r2, r2 m2, 1] M

where M has a row for each token of each head and four more. ``W g1 g2 image`` is computed once per
image, and the product with M has 116 rows in place of 256.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Mixture:
    """How some positions are made of what their image and their tokens have, see above.

    Args:
        scale: (B, n, 1), r1 r2.
        parts: (B, rows, n), the factors of M's rows.
    """

    scale: Tensor
    parts: Tensor

    def __getitem__(self, rows: Tensor) -> Mixture:
        return Mixture(self.scale[rows], self.parts[rows])


@dataclass(frozen=True, eq=False)
class Piece:
    """Some positions of each prompt's image.

    Args:
        features: (B, n, dim).
        mixture: How they were made; None where only the features are known.
    """

    features: Tensor
    mixture: Mixture | None = None

    def __getitem__(self, rows: Tensor) -> Piece:
        mixture = None if self.mixture is None else self.mixture[rows]
        return Piece(self.features[rows], mixture)


@dataclass(frozen=True, eq=False)
class Attended:
    """Prompts after the transformer.

    Args:
        tokens: (B, n, dim).
        pieces: All N positions, one piece after the other.
        values: (B, rows, dim), V1 and V2 one below the other, where the pieces are mixtures.
    """

    tokens: Tensor
    pieces: tuple[Piece, ...]
    values: Tensor | None = None

    @property
    def features(self) -> Tensor:
        """(B, N, dim)."""
        return torch.cat([piece.features for piece in self.pieces], dim=1)

    def __getitem__(self, rows: Tensor) -> Attended:
        values = None if self.values is None else self.values[rows]
        return Attended(self.tokens[rows], tuple(p[rows] for p in self.pieces), values)


@dataclass(frozen=True, eq=False)
class Folded:
    """W with the normalisations before it, derived from the weights alone.

    Args:
        once: (out, dim), W g2.
        twice: (out, dim), W g1 g2.
        rest: (4, out), M's last four rows.
    """

    once: Tensor
    twice: Tensor
    rest: Tensor

    @classmethod
    def of(
        cls, weight: Tensor, bias: Tensor, first: torch.nn.LayerNorm, second: torch.nn.LayerNorm
    ) -> Folded:
        """Of the upscaling's (out, dim) ``weight`` and ``bias`` after two normalisations."""
        once = weight * second.weight
        twice = once * first.weight
        rest = [-twice.sum(1), once @ first.bias, -once.sum(1), weight @ second.bias + bias]
        return cls(once, twice, torch.stack(rest))

    def rows(self, values: Tensor) -> Tensor:
        """M, (B, rows + 4, out), from the values (B, rows, dim) of both blocks."""
        first, second = values.chunk(2, dim=1)
        rest = self.rest.expand(len(values), -1, -1)
        return torch.cat([first @ self.twice.T, second @ self.once.T, rest], dim=1)


def mixture(
    shares: tuple[Tensor, Tensor], means: tuple[Tensor, Tensor], deviations: tuple[Tensor, Tensor]
) -> Mixture:
    """Of both blocks: shares (B, rows, n), means and reciprocal deviations (B, n, 1)."""
    m1, m2 = (mean.transpose(1, 2) for mean in means)
    r1, r2 = (deviation.transpose(1, 2) for deviation in deviations)
    r = r1 * r2
    parts = [shares[0] * r, shares[1] * r2, r * m1, r2, r2 * m2, torch.ones_like(r)]
    return Mixture(r.transpose(1, 2), torch.cat(parts, dim=1))
