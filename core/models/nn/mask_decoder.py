# SPDX-License-Identifier: GPL-2.0-or-later
"""The mask decoder that all families share, with the order of operations that costs least.

    tokens --> layer 0 --> layer 1 --> final read --> scores --> (failing prompts stop here)
                 |           |                                        |
    image  ------+-----------+----> features of each prompt ----> upscaling --> logits

The results are the official ones (to rounding). What differs is where the work is done: see
``attention.py`` for the re-association, :class:`ImageSide` for what is computed once an image.
Transposed convolutions of stride 2 and size 2 are matrix products on channels-last data; the
sub-pixels are put into their places once, in the finished masks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import Attention
from .blocks import Activation, Embed, Head, LayerNorm2d, Mlp, parts

CPU_POSITIONS = 1024
"""Image positions that are upscaled at a time on a CPU (benchmarks/decoder.py)."""


@dataclass(frozen=True)
class DecoderStyle:
    """How the members of the family differ.

    Args:
        activation: In the token MLPs and heads.
        plain_first: The first self-attention replaces the tokens (SAM) or is added (EfficientSAM).
        positions_in_values: Positions are added to the tokens before self-attention for good
            (EfficientSAM) or only to its queries and keys (SAM).
        group_norm: Normalise the upscaled features over the whole map instead of by position.
        high_features: Add finer feature maps of the encoder while upscaling (SAM 2).
        object_score: There is a token for "is there an object at all" (SAM 2).
        sigmoid_scores: Predicted IoU goes through a sigmoid (SAM 2).
        quality_token: There is one more token after the masks' (SAM-HQ).
    """

    activation: Activation = F.relu
    plain_first: bool = True
    positions_in_values: bool = False
    group_norm: bool = False
    high_features: bool = False
    object_score: bool = False
    sigmoid_scores: bool = False
    quality_token: bool = False


@dataclass(frozen=True, eq=False)
class ImageSide:
    """What all prompts of an image share; made by :meth:`MaskDecoder.image_side`.

    Args:
        image: (N, dim), the encoder's features.
        plain: (N, dim), the same plus the "no mask" row: the first layer's input.
        keys, queries: (heads, d, N), the first layer's projections of ``plain``.
        values: (heads, N, d), likewise.
        shape: (h, w), N = h w.
        fine: Finer features in the order of the upscaling, stride 8 then 4; empty but in SAM 2.
        extra: Whatever else a family's masks need.
    """

    image: Tensor
    plain: Tensor
    keys: Tensor
    queries: Tensor
    values: Tensor
    shape: tuple[int, int]
    fine: tuple[Tensor, ...] = ()
    extra: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Attended:
    """Prompts after the transformer: tokens (B, n, dim) and features (B, N, dim)."""

    tokens: Tensor
    features: Tensor

    def __getitem__(self, rows: Tensor) -> Attended:
        return Attended(self.tokens[rows], self.features[rows])


class Block(nn.Module):
    """Self-attention of the tokens, tokens read the image, MLP, the image reads the tokens."""

    def __init__(self, dim: int, heads: int, hidden: int, style: DecoderStyle, first: bool) -> None:
        super().__init__()
        self.style = style
        self.first = first
        self.self_attn = Attention(dim, heads, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.cross_attn_token_to_image = Attention(dim, heads, dim // 2)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, hidden, style.activation)
        self.norm3 = nn.LayerNorm(dim)
        self.norm4 = nn.LayerNorm(dim)
        self.cross_attn_image_to_token = Attention(dim, heads, dim // 2)

    def self_attend(self, tokens: Tensor, positions: Tensor) -> Tensor:
        if self.first:
            out: Tensor = self.self_attn(tokens, tokens, tokens)
            out = out if self.style.plain_first else tokens + out
        else:
            placed = tokens + positions
            if self.style.positions_in_values:
                tokens = placed
            out = tokens + self.self_attn(placed, placed, tokens)
        normal: Tensor = self.norm1(out)
        return normal

    def think(self, tokens: Tensor, read: Tensor) -> Tensor:
        """Add what was read from the image, then the MLP."""
        tokens = self.norm2(tokens + read)
        out: Tensor = self.norm3(tokens + self.mlp(tokens))
        return out


class Transformer(nn.Module):
    """Two blocks and a last look at the image."""

    def __init__(self, dim: int, style: DecoderStyle, hidden: int = 2048, heads: int = 8) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Block(dim, heads, hidden, style, first=index == 0) for index in range(2)
        )
        self.final_attn_token_to_image = Attention(dim, heads, dim // 2)
        self.norm_final_attn = nn.LayerNorm(dim)

    @property
    def blocks(self) -> list[Block]:
        return parts(self.layers, Block)


class MaskDecoder(nn.Module):
    """Tokens and image features to masks and scores.

    Call :meth:`prepare` after the weights are loaded, :meth:`image_side` once an image, then
    :meth:`attend`, :meth:`scores` and :meth:`masks` for each batch of prompts.
    """

    positions: Tensor
    read0: Tensor
    read1: Tensor
    read2: Tensor
    write0: Tensor
    write1: Tensor
    up1: Tensor
    up1_bias: Tensor
    up2: Tensor
    up2_bias: Tensor

    def __init__(
        self, dim: int = 256, *, candidates: int = 3, style: DecoderStyle | None = None
    ) -> None:
        super().__init__()
        style = style or DecoderStyle()
        self.style = style
        self.dim = dim
        self.candidates = candidates
        rows = candidates + 1
        self.iou_token = Embed(1, dim)
        self.mask_tokens = Embed(rows, dim)
        self.transformer = Transformer(dim, style)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(dim, dim // 4, 2, stride=2),
            LayerNorm2d(dim // 4, 1e-5 if style.group_norm else 1e-6),
            nn.GELU(),
            nn.ConvTranspose2d(dim // 4, dim // 8, 2, stride=2),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            Head(dim, dim, dim // 8, style.activation) for _ in range(rows)
        )
        self.iou_prediction_head = Head(dim, 256, rows, style.activation)
        if style.object_score:
            self.obj_score_token = Embed(1, dim)
        if style.quality_token:
            self.hf_token = Embed(1, dim)
        if style.high_features:
            self.conv_s0 = nn.Conv2d(dim, dim // 8, 1)
            self.conv_s1 = nn.Conv2d(dim, dim // 4, 1)

    def prepare(self, positions: Tensor) -> None:
        """Derive what depends only on the weights.

        Args:
            positions: (N, dim), positional encoding of the image's grid.
        """
        for name, tensor in self._derived(positions).items():
            self.register_buffer(name, tensor.detach().contiguous(), persistent=False)

    def prepare_to_learn(self, positions: Tensor) -> None:
        """As :meth:`prepare`, anew for each step of a training: gradients reach the weights."""
        for name, tensor in self._derived(positions).items():
            self.register_buffer(name, tensor, persistent=False)

    def _derived(self, positions: Tensor) -> dict[str, Tensor]:
        first, second = self.transformer.blocks
        final = self.transformer.final_attn_token_to_image
        derived = {"positions": positions}
        for index, block in enumerate((first, second)):
            read, write = block.cross_attn_token_to_image, block.cross_attn_image_to_token
            derived[f"read{index}"] = read.image_keys(positions)
            derived[f"write{index}"] = write.image_queries(positions)
        derived["read2"] = final.image_keys(positions)
        first_up, second_up = parts(self.output_upscaling, nn.ConvTranspose2d)
        derived["up1"], derived["up1_bias"] = _as_product(first_up)
        derived["up2"], derived["up2_bias"] = _as_product(second_up)
        return derived

    # Once an image ------------------------------------------------------------------------------

    def image_side(
        self, image: Tensor, no_mask: Tensor | None, fine: tuple[Tensor, ...] = ()
    ) -> ImageSide:
        """Everything that all prompts of an image share.

        Args:
            image: (dim, h, w), the encoder's features.
            no_mask: (1, dim), added where prompts bring no mask; None where the family has none.
            fine: SAM 2: (dim / 4, 2h, 2w) and (dim / 8, 4h, 4w).
        """
        _, height, width = image.shape
        flat = image.flatten(1).T.contiguous()
        plain = flat if no_mask is None else flat + no_mask
        placed = plain + self.positions
        block = self.transformer.blocks[0]
        read, write = block.cross_attn_token_to_image, block.cross_attn_image_to_token
        return ImageSide(
            image=flat,
            plain=plain,
            keys=read.image_keys(placed),
            queries=write.image_queries(placed),
            values=read.image_values(plain),
            shape=(height, width),
            fine=self.fine_side(fine, (height, width)),
        )

    @staticmethod
    def fine_side(fine: tuple[Tensor, ...], shape: tuple[int, int]) -> tuple[Tensor, ...]:
        """Finer features (C, h 2^k, w 2^k) in the order of the upscaling of an image (h, w)."""
        return tuple(_to_subpixels(level, shape) for level in fine)

    # A batch of prompts -------------------------------------------------------------------------

    def output_tokens(self) -> Tensor:
        """The learned tokens before the prompt's own: (rows, dim)."""
        tokens: list[Tensor] = [self.iou_token.weight, self.mask_tokens.weight]
        if self.style.object_score:
            tokens.insert(0, self.obj_score_token.weight)
        if self.style.quality_token:
            tokens.append(self.hf_token.weight)
        return torch.cat(tokens)

    def attend(self, side: ImageSide, prompts: Tensor, dense: Tensor | None = None) -> Attended:
        """Run the transformer.

        Args:
            side: Of the image.
            prompts: (B, k, dim) tokens of the prompts.
            dense: (B, N, dim) from mask prompts, or None.
        """
        first, second = self.transformer.blocks
        batch = prompts.shape[0]
        start = torch.cat([self.output_tokens().expand(batch, -1, -1), prompts], dim=1)
        tokens = first.self_attend(start, start)
        read, write = first.cross_attn_token_to_image, first.cross_attn_image_to_token
        if dense is None:
            tokens = first.think(tokens, read.read_shared(tokens + start, side.keys, side.values))
            image = write.write_shared(side.plain, side.queries, tokens + start, tokens)
        else:
            own = side.image + dense
            tokens = first.think(tokens, read.read_folded(tokens + start, own, self.read0))
            image = write.write_folded(own, self.write0, tokens + start, tokens)
        image = first.norm4(image)

        tokens = second.self_attend(tokens, start)
        read, write = second.cross_attn_token_to_image, second.cross_attn_image_to_token
        tokens = second.think(tokens, read.read_folded(tokens + start, image, self.read1))
        image = second.norm4(write.write_folded(image, self.write1, tokens + start, tokens))

        final = self.transformer.final_attn_token_to_image
        tokens = tokens + final.read_folded(tokens + start, image, self.read2)
        return Attended(self.transformer.norm_final_attn(tokens), image)

    def _first_mask(self) -> int:
        return 2 if self.style.object_score else 1

    def scores(self, attended: Attended) -> Tensor:
        """Predicted IoU of the single mask and of the candidates: (B, 1 + candidates)."""
        out: Tensor = self.iou_prediction_head(attended.tokens[:, self._first_mask() - 1]).float()
        return out.sigmoid() if self.style.sigmoid_scores else out

    def upscale(self, side: ImageSide, features: Tensor) -> Iterator[Tensor]:
        """Features at a quarter of the stride, some positions at a time.

        Args:
            side: Of the image.
            features: (B, N, dim).

        Yields:
            (B, 16 n, dim / 8) in sub-pixel order, for n positions after the other. On a CPU n is
            small, so that what comes between stays in its cache.
        """
        count = features.shape[1]
        step = CPU_POSITIONS if features.device.type == "cpu" else count
        if self.style.group_norm:
            # Normalised over all positions and channels together; scale and shift by channel.
            (norm,) = parts(self.output_upscaling, LayerNorm2d)
            x = self._up(features, self.up1, self.up1_bias)
            x = F.layer_norm(x, x.shape[1:], None, None, norm.eps) * norm.weight + norm.bias
            for start in range(0, count, step):
                fine = x[:, 4 * start : 4 * (start + step)]
                yield F.gelu(self._up(F.gelu(fine), self.up2, self.up2_bias))
            return
        for start in range(0, count, step):
            yield self._upscaled(side, features[:, start : start + step], start)

    def _upscaled(self, side: ImageSide, features: Tensor, start: int) -> Tensor:
        """Both steps for the positions from ``start`` on."""
        (norm,) = parts(self.output_upscaling, LayerNorm2d)
        end = start + features.shape[1]
        x = self._up(features, self.up1, self.up1_bias)
        if side.fine:
            x = x + side.fine[0][4 * start : 4 * end]
        x = self._up(F.gelu(norm.last(x)), self.up2, self.up2_bias)
        if side.fine:
            x = x + side.fine[1][16 * start : 16 * end]
        return F.gelu(x)

    @staticmethod
    def _up(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """(B, n, in) to (B, 4 n, out)."""
        batch, count, _ = x.shape
        return F.linear(x, weight, bias).view(batch, count * 4, -1)

    def weigh(self, attended: Attended, rows: slice) -> Tensor:
        """Output of the hypernetworks for some of the masks: (B, rows, dim / 8)."""
        first = self._first_mask()
        which = range(*rows.indices(self.candidates + 1))
        return torch.stack(
            [self.output_hypernetworks_mlps[i](attended.tokens[:, first + i]) for i in which], dim=1
        )

    def masks(self, side: ImageSide, attended: Attended, rows: slice) -> Tensor:
        """Low-resolution logits of some of the masks: (B, rows, 4h, 4w) float32."""
        hyper = self.weigh(attended, rows)
        logits = [
            torch.bmm(hyper.to(fine.dtype), fine.transpose(1, 2))
            for fine in self.upscale(side, attended.features)
        ]
        return from_subpixels(torch.cat(logits, dim=2).float(), side.shape)


def channels_last_map(x: Tensor, shape: tuple[int, int]) -> Tensor:
    """(B, 16 h w, C) in the order of the upscaling as a map (B, 4h, 4w, C)."""
    batch, _, channels = x.shape
    height, width = shape
    x = x.view(batch, height, width, 2, 2, 2, 2, channels).permute(0, 1, 3, 5, 2, 4, 6, 7)
    return x.reshape(batch, height * 4, width * 4, channels)


def _as_product(layer: nn.ConvTranspose2d) -> tuple[Tensor, Tensor]:
    """A 2 x 2 transposed convolution for ``F.linear``: weight (4 * out, in), bias (4 * out)."""
    out = layer.out_channels
    bias = layer.weight.new_zeros(out) if layer.bias is None else layer.bias
    return layer.weight.permute(2, 3, 1, 0).flatten(0, 2), bias.repeat(4)


def _to_subpixels(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """A finer map (C, h 2^k, w 2^k) in the order of the upscaling: (h w 4^k, C)."""
    channels, height, width = image.shape
    x = image.permute(1, 2, 0)
    levels = (height // shape[0]).bit_length() - 1
    x = x.view(shape[0], *[2] * levels, shape[1], *[2] * levels, channels)
    order = [0, 1 + levels]
    for level in range(levels):
        order += [1 + level, 2 + levels + level]
    return x.permute(*order, -1).reshape(height * width, channels)


def from_subpixels(x: Tensor, shape: tuple[int, int]) -> Tensor:
    """(B, m, 16 h w) float32 in the order of the upscaling as maps (B, m, 4h, 4w)."""
    batch, rows, _ = x.shape
    height, width = shape
    if torch.compiler.is_compiling() or x.requires_grad:
        # Graphs for other engines, and gradients, know no numbers of 8 bytes in the place of two.
        x = x.view(batch, rows, height, width, 2, 2, 2, 2).permute(0, 1, 2, 4, 6, 3, 5, 7)
        return x.reshape(batch, rows, height * 4, width * 4)
    # Two neighbours at a time, as one number of 8 bytes: a dozen times faster than one by one.
    pairs = x.contiguous().view(torch.int64).view(batch, rows, height, width, 2, 2, 2)
    pairs = pairs.permute(0, 1, 2, 4, 6, 3, 5).reshape(batch, rows, height * 4, width * 2)
    return pairs.view(torch.float32)
