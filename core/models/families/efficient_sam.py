# SPDX-License-Identifier: GPL-2.0-or-later
"""EfficientSAM (Xiong et al. 2023), Ti and S: a plain ViT and a decoder slightly unlike SAM's."""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..image import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from ..network import Network
from ..nn.blocks import Embed, neck
from ..nn.mask_decoder import DecoderStyle, MaskDecoder
from ..nn.prompt_encoder import PointEncoder
from .family import Family, Shapes, count
from .sam import vit_dim

MOST_POINTS = 6
"""Every prompt is padded to this many points."""


class PlainAttention(nn.Module):
    """Self-attention of (B, N, dim)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, count, dim = x.shape
        qkv = self.qkv(x).view(batch, count, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v)
        merged: Tensor = self.proj(out.transpose(1, 2).reshape(batch, count, dim))
        return merged


class PlainMlp(nn.Module):
    """Two linear layers."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, dim * 4)
        self.fc2 = nn.Linear(dim * 4, dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """A transformer block."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = PlainAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = PlainMlp(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class PatchEmbed(nn.Module):
    """(B, 3, S, S) to (B, dim, S / 16, S / 16)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 16, stride=16)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x)
        return out


class PlainViT(nn.Module):
    """Images (B, 3, S, S) to features (B, 256, S / 16, S / 16).

    Args:
        dim, depth: Of the transformer; heads have 64 channels.
        positions: Learned positions, one more than a square number (the first is unused).
    """

    def __init__(self, dim: int, depth: int, positions: int = 197) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, positions, dim))
        self.blocks = nn.ModuleList(Block(dim, dim // 64) for _ in range(depth))
        self.neck = neck(dim)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed(images)
        shape = x.shape[-2:]
        table = self.pos_embed[:, 1:].float()
        side = math.isqrt(table.shape[1])
        table = table.view(1, side, side, -1).permute(0, 3, 1, 2)
        if table.shape[-2:] != shape:
            table = F.interpolate(table, shape, mode="bicubic", align_corners=False)
        x = (x + table).flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.neck(x.transpose(1, 2).unflatten(2, shape))
        return out


class PaddedPoints(PointEncoder):
    """Points and corners of boxes, padded to :data:`MOST_POINTS`.

    Args:
        dim: Width of a token.
        size: Side of the encoder's image, which places the padding points.
    """

    def __init__(self, dim: int, size: int) -> None:
        super().__init__(dim)
        self.size = size
        self.invalid_points = Embed(1, dim)
        self.point_embeddings = Embed(1, dim)
        self.bbox_top_left_embeddings = Embed(1, dim)
        self.bbox_bottom_right_embeddings = Embed(1, dim)

    def tokens(self, points: Tensor | None, labels: Tensor | None, boxes: Tensor | None) -> Tensor:
        parts: list[Tensor] = []
        if points is not None:
            parts.append(self.pe_layer(points) + self.point_embeddings.weight)
        if boxes is not None:
            corners = (self.bbox_top_left_embeddings, self.bbox_bottom_right_embeddings)
            parts.append(self.pe_layer(boxes) + torch.cat([part.weight for part in corners]))
        tokens = torch.cat(parts, dim=1)
        missing = MOST_POINTS - tokens.shape[1]
        # The official padding point: pixel (-1, -1), whose centre is half a pixel outside.
        nowhere = tokens.new_full((1, 1, 2), -0.5 / self.size, dtype=torch.float32)
        padding = self.pe_layer(nowhere) + self.invalid_points.weight
        return torch.cat([tokens, padding.expand(len(tokens), missing, -1)], dim=1)


class EfficientSam(Network):
    """EfficientSAM: foreground points and boxes, at most six points per prompt."""

    family = "efficient_sam"
    accepts = frozenset({"point", "box"})
    max_points = MOST_POINTS
    background_points = False
    score_threshold, stability_threshold = 0.7, 0.9

    def __init__(self, image_encoder: PlainViT, size: int = 1024) -> None:
        style = DecoderStyle(
            activation=F.gelu, plain_first=False, positions_in_values=True, group_norm=True
        )
        preprocessing = Preprocessing(size, IMAGENET_MEAN, IMAGENET_STD, True, "plain")
        super().__init__(
            image_encoder, PaddedPoints(256, size), MaskDecoder(style=style), preprocessing
        )

    def encode(self, images: Tensor) -> dict[str, Tensor]:
        return {"image": self.image_encoder(images)}


def _efficient_variant(shapes: Shapes) -> str:
    known = {192: "vit_ti", 384: "vit_s"}
    return known.get(vit_dim(shapes), "custom")


def _make_efficient_sam(shapes: Shapes, size: int | None) -> Network:
    depth = count(shapes, "image_encoder.blocks.")
    positions = shapes["image_encoder.pos_embed"][1]
    return EfficientSam(PlainViT(vit_dim(shapes), depth, positions), size or 1024)


def _efficient_name(key: str) -> str:
    for pattern, ours in (
        (r"\.final_output_upscaling_layers\.0\.([01])\.", r".output_upscaling.\1."),
        (r"\.final_output_upscaling_layers\.1\.0\.", ".output_upscaling.3."),
        (r"(transformer\.layers\.\d+\.mlp)\.layers\.0\.0\.", r"\1.lin1."),
        (r"(transformer\.layers\.\d+\.mlp)\.fc\.", r"\1.lin2."),
        (r"\.layers\.([01])\.0\.", r".layers.\1."),
        (r"\.fc\.", ".layers.2."),
    ):
        key = re.sub(pattern, ours, key)
    return key


FAMILY = Family(
    "efficient_sam",
    ("image_encoder.pos_embed", "mask_decoder.final_output_upscaling_layers."),
    _efficient_variant,
    _make_efficient_sam,
    rename=_efficient_name,
)
