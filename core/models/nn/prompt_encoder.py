# SPDX-License-Identifier: GPL-2.0-or-later
"""Prompts as tokens: positions by random frequencies (Tancik et al. 2020) and learned labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .blocks import Embed, LayerNorm2d, parts


class Positions(nn.Module):
    """Sine and cosine of random frequencies of a position."""

    positional_encoding_gaussian_matrix: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("positional_encoding_gaussian_matrix", torch.zeros(2, dim // 2))

    def forward(self, points: Tensor) -> Tensor:
        """Encode.

        Args:
            points: (..., 2) float32, (x, y) as a fraction of the encoder's image, 0 to 1.

        Returns:
            (..., dim) float32. Never in half precision: the frequencies would drown.
        """
        with torch.autocast(points.device.type, enabled=False):
            matrix = self.positional_encoding_gaussian_matrix.float()
            angle = 2 * math.pi * ((2 * points.float() - 1) @ matrix)
            return torch.cat([angle.sin(), angle.cos()], dim=-1)

    def grid(self, height: int, width: int) -> Tensor:
        """Encode the centres of a grid's cells: (height * width, dim), row by row."""
        device = self.positional_encoding_gaussian_matrix.device
        y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height
        x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width
        rows, cols = torch.meshgrid(y, x, indexing="ij")
        encoded: Tensor = self(torch.stack([cols, rows], dim=-1))
        return encoded.flatten(0, 1)


class PointEncoder(nn.Module):
    """What turns prompts into tokens.

    Args:
        dim: Width of a token.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.pe_layer = Positions(dim)

    def tokens(self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None) -> Tensor:
        """Tokens of ``n`` prompts that have the same number of points.

        Args:
            points: (n, k, 2) float32, (x, y) as fractions of the encoder's image, or None.
            labels: (n, k), 1 or 0.
            boxes: (n, 2, 2) float32, both corners likewise, or None.

        Returns:
            (n, tokens, dim) float32; (0, 0, dim) for prompts that are only masks.
        """
        raise NotImplementedError

    def no_points(self, count: int) -> Tensor:
        """Tokens (count, k, dim) of prompts without any points, where the family has some."""
        raise NotImplementedError

    def dense(self, masks: Tensor) -> Tensor:
        """Masks (n, 1, 4h, 4w) of logits as something to add to the image: (n, h * w, dim)."""
        raise NotImplementedError

    @property
    def no_mask(self) -> Tensor | None:
        """What is added to the image where there is no mask, (1, dim), if anything."""
        return None


class PromptEncoder(PointEncoder):
    """Points, boxes and masks as SAM, SAM-HQ, MobileSAM and SAM 2 understand them.

    Args:
        dim: Width of a token.
        box_first: SAM 2 puts a box's corners before the points and always adds a padding point;
            SAM puts them behind, and adds one only where there is no box.
    """

    def __init__(self, dim: int = 256, *, box_first: bool = False) -> None:
        super().__init__(dim)
        self.box_first = box_first
        self.point_embeddings = nn.ModuleList(Embed(1, dim) for _ in range(4))
        self.not_a_point_embed = Embed(1, dim)
        self.no_mask_embed = Embed(1, dim)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, 4, 2, stride=2),
            LayerNorm2d(4),
            nn.GELU(),
            nn.Conv2d(4, 16, 2, stride=2),
            LayerNorm2d(16),
            nn.GELU(),
            nn.Conv2d(16, dim, 1),
        )

    def tokens(self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None) -> Tensor:
        found: list[Tensor] = []
        kinds = torch.cat([embed.weight for embed in parts(self.point_embeddings, Embed)])
        if points is not None and labels is not None:
            found.append(self.pe_layer(points) + kinds[:2][labels.long()])
        if boxes is not None:
            corners = self.pe_layer(boxes) + kinds[2:]
            found.insert(0 if self.box_first else len(found), corners)
        if not found:
            return kinds.new_zeros(0, 0, self.dim)
        if self.box_first or boxes is None:
            count = found[0].shape[0]
            found.append(self.not_a_point_embed.weight.expand(count, 1, self.dim))
        return torch.cat(found, dim=1)

    def no_points(self, count: int) -> Tensor:
        # The official code pads twice where there is nothing.
        return self.not_a_point_embed.weight.expand(count, 2, self.dim)

    def dense(self, masks: Tensor) -> Tensor:
        out: Tensor = self.mask_downscaling(masks)
        return out.flatten(2).transpose(1, 2)

    @property
    def no_mask(self) -> Tensor:
        return self.no_mask_embed.weight
