# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory encoder and memory attention of SAM 2 (Ravi et al. 2024).

    mask + image features --> MemoryEncoder --> memory of a frame (tokens of 64 features)
    image features <-- MemoryAttention <-- memories of some frames, object pointers

Attribute names are those of the official checkpoints.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import LayerNorm2d, parts
from .positions import rotary_of_grid, rotate, sine_of_grid

POSITION_SHARE = 0.1
"""Weight of the positions that are added to the image features before the first layer."""


class RotaryAttention(nn.Module):
    """Attention with one head whose queries and keys are turned by their positions.

    Args:
        dim: Features of the queries and of the output.
        memory_dim: Features of keys and values.
    """

    def __init__(self, dim: int, memory_dim: int) -> None:
        super().__init__()
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(memory_dim, dim)
        self.v_proj = nn.Linear(memory_dim, dim)
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, q_turns: Tensor, k_turns: Tensor) -> Tensor:
        """Attend.

        Args:
            q: (B, n, dim).
            k, v: (B, m, memory_dim).
            q_turns, k_turns: (n, dim / 2, 2) and (m, dim / 2, 2) of :mod:`.positions`.

        Returns:
            (B, n, dim).
        """
        turned_q, turned_k = rotate(self.q_proj(q), q_turns), rotate(self.k_proj(k), k_turns)
        out = F.scaled_dot_product_attention(
            turned_q[:, None], turned_k[:, None], self.v_proj(v)[:, None]
        )
        merged: Tensor = self.out_proj(out[:, 0])
        return merged


class MemoryLayer(nn.Module):
    """The image attends to itself, then to the memory, then thinks."""

    def __init__(self, dim: int, memory_dim: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = RotaryAttention(dim, dim)
        self.cross_attn_image = RotaryAttention(dim, memory_dim)
        self.linear1 = nn.Linear(dim, hidden)
        self.linear2 = nn.Linear(hidden, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.norm3 = nn.LayerNorm(dim)

    def look_around(self, image: Tensor, turns: Tensor) -> Tensor:
        """Self-attention of (B, N, dim)."""
        normal = self.norm1(image)
        out: Tensor = image + self.self_attn(normal, normal, normal, turns, turns)
        return out

    def remember(
        self, image: Tensor, turns: Tensor, keys: Tensor, values: Tensor, key_turns: Tensor
    ) -> Tensor:
        """Cross-attention to the memory (B, M, memory_dim), and the MLP."""
        normal = self.norm2(image)
        image = image + self.cross_attn_image(normal, keys, values, turns, key_turns)
        out: Tensor = image + self.linear2(F.relu(self.linear1(self.norm3(image))))
        return out


class MemoryAttention(nn.Module):
    """Image features in the light of what was seen in other frames.

    Args:
        layers: Number of layers.
        dim: Features of the image.
        memory_dim: Features of a memory token.
        hidden: Width of the MLPs.
    """

    def __init__(
        self, layers: int, dim: int = 256, memory_dim: int = 64, hidden: int = 2048
    ) -> None:
        super().__init__()
        self.dim = dim
        self.layers = nn.ModuleList(MemoryLayer(dim, memory_dim, hidden) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def turns(self, height: int, width: int, device: torch.device) -> Tensor:
        """Of a grid's cells: (height * width, dim / 2, 2)."""
        return rotary_of_grid(self.dim, height, width, device)

    def begin(self, image: Tensor) -> Tensor:
        """What all objects of a frame share: (dim, h, w) to (1, N, dim)."""
        _, height, width = image.shape
        positions = sine_of_grid(self.dim, height, width, image.device)
        placed = (image.flatten(1).T + POSITION_SHARE * positions)[None]
        first = parts(self.layers, MemoryLayer)[0]
        return first.look_around(placed, self.turns(height, width, image.device))

    def forward(
        self,
        begun: Tensor,
        shape: tuple[int, int],
        memory: Tensor,
        positions: Tensor,
        memory_turns: Tensor,
    ) -> Tensor:
        """Look up the memory.

        Args:
            begun: (1, N, dim) of :meth:`begin`.
            shape: (h, w), N = h w.
            memory: (B, M, memory_dim), one row per object.
            positions: (M, memory_dim), added to the memory where it serves as keys.
            memory_turns: (M, dim / 2, 2).

        Returns:
            (B, dim, h, w).
        """
        turns = self.turns(*shape, begun.device)
        keys = memory + positions
        x = begun.expand(memory.shape[0], -1, -1)
        for index, layer in enumerate(parts(self.layers, MemoryLayer)):
            if index:
                x = layer.look_around(x, turns)
            x = layer.remember(x, turns, keys, memory, memory_turns)
        out: Tensor = self.norm(x)
        return out.transpose(1, 2).reshape(len(out), self.dim, *shape)


class MaskDownsampler(nn.Module):
    """Masks (B, 1, 16h, 16w) to features (B, dim, h, w)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = (1, 4, 16, 64, 256)
        for into, out in pairwise(channels):
            layers += [nn.Conv2d(into, out, 3, 2, 1), LayerNorm2d(out), nn.GELU()]
        self.encoder = nn.Sequential(*layers, nn.Conv2d(channels[-1], dim, 1))

    def forward(self, masks: Tensor) -> Tensor:
        out: Tensor = self.encoder(masks)
        return out


class FuserBlock(nn.Module):
    """A block of ConvNeXt (Liu et al. 2022)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = LayerNorm2d(dim)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        last = self.norm.last(self.dwconv(x).permute(0, 2, 3, 1))
        out: Tensor = self.gamma * self.pwconv2(F.gelu(self.pwconv1(last)))
        return x + out.permute(0, 3, 1, 2)


class Fuser(nn.Module):
    """Blocks one after the other, under the names that the checkpoints have."""

    def __init__(self, dim: int, blocks: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FuserBlock(dim) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        for block in parts(self.layers, FuserBlock):
            x = block(x)
        return x


class MemoryEncoder(nn.Module):
    """A frame's features and an object's mask as what is kept of the object in this frame.

    Args:
        blocks: Blocks of the fuser.
        dim: Features of the image.
        memory_dim: Features of the memory.
    """

    def __init__(self, blocks: int = 2, dim: int = 256, memory_dim: int = 64) -> None:
        super().__init__()
        self.mask_downsampler = MaskDownsampler(dim)
        self.pix_feat_proj = nn.Conv2d(dim, dim, 1)
        self.fuser = Fuser(dim, blocks)
        self.out_proj = nn.Conv2d(dim, memory_dim, 1)

    def forward(self, image: Tensor, masks: Tensor) -> Tensor:
        """Encode.

        Args:
            image: (dim, h, w), the encoder's features of the frame.
            masks: (B, 1, 16h, 16w) float32, scaled probabilities.

        Returns:
            (B, memory_dim, h, w).
        """
        seen = self.pix_feat_proj(image[None])
        out: Tensor = self.out_proj(self.fuser(seen + self.mask_downsampler(masks)))
        return out
