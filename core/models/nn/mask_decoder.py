# SPDX-License-Identifier: GPL-2.0-or-later
"""The mask decoder that all families share, with the order of operations that costs least.

    tokens --> layer 0 --> layer 1 --> final read --> scores --> (failing prompts stop here)
                 |           |                                        |
    image  ------+-----------+----> features of each prompt ----> upscaling --> logits

The results are the official ones (to rounding). What differs is where the work is done: see
``attention.py`` for the re-association, :class:`ImageSide` for what is computed once an image.
Transposed convolutions are matrix products, see ``subpixels.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attended import Attended, Folded, Piece, mixture
from .attention import Attention, Reading, Writing
from .blocks import Activation, Embed, Head, LayerNorm2d, Mlp, parts
from .subpixels import as_product, from_subpixels, to_subpixels

CPU_POSITIONS = 512
"""Image positions of a batch's prompts that are in work at a time on a CPU
(benchmarks/decoder.py)."""


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
        upscaled: (N, dim), the part of the first upscaling that is the same for all prompts.
        fine: Finer features in the order of the upscaling, stride 8 then 4; empty but in SAM 2.
        extra: Whatever else a family's masks need.
    """

    image: Tensor
    plain: Tensor
    keys: Tensor
    queries: Tensor
    values: Tensor
    shape: tuple[int, int]
    upscaled: Tensor
    fine: tuple[Tensor, ...] = ()
    extra: dict[str, Tensor] = field(default_factory=dict)


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
    up_once: Tensor
    up_twice: Tensor
    up_rest: Tensor

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
        derived["up1"], derived["up1_bias"] = as_product(first_up)
        folded = Folded.of(derived["up1"], derived["up1_bias"], first.norm4, second.norm4)
        derived |= {f"up_{name}": tensor for name, tensor in vars(folded).items()}
        derived["up2"], derived["up2_bias"] = as_product(second_up)
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
            upscaled=plain @ self.up_twice.T,
            fine=self.fine_side(fine, (height, width)),
        )

    @staticmethod
    def fine_side(fine: tuple[Tensor, ...], shape: tuple[int, int]) -> tuple[Tensor, ...]:
        """Finer features (C, h 2^k, w 2^k) in the order of the upscaling of an image (h, w)."""
        return tuple(to_subpixels(level, shape) for level in fine)

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
            image = side.plain
            tokens = first.think(tokens, read.read_shared(tokens + start, side.keys, side.values))
            writing = write.write_shared(side.queries, tokens + start, tokens)
        else:
            image = side.image + dense
            tokens = first.think(tokens, read.read_folded(tokens + start, image, self.read0))
            writing = write.write_folded(self.write0, tokens + start, tokens)
        tokens = second.self_attend(tokens, start)
        reading = Reading(second.cross_attn_token_to_image, tokens + start, self.read1)
        in_pieces = _in_pieces(image)
        # A mixture needs an image that is shared, numbers that are not rounded on the way, and an
        # upscaling that does not need all positions at once.
        mix = in_pieces and dense is None and not torch.is_autocast_enabled("cpu")
        mix = mix and not self.style.group_norm
        pieces = torch.split(image, CPU_POSITIONS if in_pieces else image.shape[-2], dim=-2)
        went = self._through(pieces, writing, first.norm4, reading, mix)

        tokens = second.think(tokens, reading.result())
        write = second.cross_attn_image_to_token
        values = [writing.values]
        writing = write.write_folded(self.write1, tokens + start, tokens)
        values.append(writing.values)
        final = self.transformer.final_attn_token_to_image
        reading = Reading(final, tokens + start, self.read2)
        own = [after.image for after in went]
        last = self._through(own, writing, second.norm4, reading, mix)
        tokens = tokens + reading.result()
        return Attended(
            self.transformer.norm_final_attn(tokens),
            tuple(_piece(before, after) for before, after in zip(went, last, strict=True)),
            torch.cat(values, dim=1) if mix else None,
        )

    @staticmethod
    def _through(
        pieces: Sequence[Tensor], writing: Writing, norm: nn.LayerNorm, reading: Reading, keep: bool
    ) -> list[_AfterBlock]:
        """A block's last part and the next one's first, piece by piece: the image reads the tokens
        and is normalised, then tokens read it. ``keep``: remember how each piece was made."""
        went, start = [], 0
        for piece in pieces:
            part = slice(start, start + piece.shape[-2])
            start = part.stop
            shares = writing.shares(piece, part)
            read = writing.add(piece, shares)
            if keep:
                image, mean, deviation = torch.native_layer_norm(
                    read, norm.normalized_shape, norm.weight, norm.bias, norm.eps
                )
                went.append(_AfterBlock(image, (shares, mean, deviation)))
            else:
                image = norm(read)
                went.append(_AfterBlock(image))
            reading.take(image, part)
        return went

    def _first_mask(self) -> int:
        return 2 if self.style.object_score else 1

    def scores(self, attended: Attended) -> Tensor:
        """Predicted IoU of the single mask and of the candidates: (B, 1 + candidates)."""
        out: Tensor = self.iou_prediction_head(attended.tokens[:, self._first_mask() - 1]).float()
        return out.sigmoid() if self.style.sigmoid_scores else out

    def upscale(self, side: ImageSide, attended: Attended) -> Iterator[Tensor]:
        """Features at a quarter of the stride, piece by piece.

        Yields:
            (B, 16 n, dim / 8) in sub-pixel order, for n positions after the other.
        """
        (norm,) = parts(self.output_upscaling, LayerNorm2d)
        start = 0
        for x in self._upscaled_once(side, attended):
            end = start + x.shape[1]
            if self.style.group_norm:
                x = F.gelu(x)
            else:
                if side.fine:
                    x = x + side.fine[0][start:end]
                x = F.gelu(norm.last(x))
            x = self._up(x, self.up2, self.up2_bias)
            if side.fine:
                x = x + side.fine[1][4 * start : 4 * end]
            yield F.gelu(x)
            start = end

    def _upscaled_once(self, side: ImageSide, attended: Attended) -> Iterator[Tensor]:
        """The first step, piece by piece: (B, 4 n, dim / 4)."""
        pieces = attended.pieces
        if self.style.group_norm:
            # Normalised over all positions and channels together; scale and shift by channel.
            (norm,) = parts(self.output_upscaling, LayerNorm2d)
            x = self._up(attended.features, self.up1, self.up1_bias)
            x = F.layer_norm(x, x.shape[1:], None, None, norm.eps) * norm.weight + norm.bias
            yield from torch.split(x, [4 * piece.features.shape[1] for piece in pieces], dim=1)
            return
        rows = None
        if attended.values is not None:
            folded = Folded(self.up_once, self.up_twice, self.up_rest)
            rows = folded.rows(attended.values)
        start = 0
        for piece in pieces:
            batch, count, _ = piece.features.shape
            end = start + count
            mixture = piece.mixture
            if rows is None or mixture is None:
                yield self._up(piece.features, self.up1, self.up1_bias)
            else:
                x = torch.bmm(mixture.parts.transpose(1, 2), rows)
                x.addcmul_(side.upscaled[start:end], mixture.scale)
                yield x.view(batch, 4 * count, -1)
            start = end

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
            for fine in self.upscale(side, attended)
        ]
        return from_subpixels(torch.cat(logits, dim=2).float(), side.shape)


class _AfterBlock(NamedTuple):
    """A piece after a block, and of what it was made: shares, means, reciprocal deviations."""

    image: Tensor
    made: tuple[Tensor, Tensor, Tensor] | None = None


def _piece(before: _AfterBlock, after: _AfterBlock) -> Piece:
    """A piece after both blocks."""
    if before.made is None or after.made is None:
        return Piece(after.image)
    shares, means, deviations = zip(before.made, after.made, strict=True)
    return Piece(after.image, mixture(shares, means, deviations))


def _in_pieces(image: Tensor) -> bool:
    """Whether this is inference on a CPU, where pieces that fit into its cache are quicker."""
    plain = not (torch.is_grad_enabled() or torch.compiler.is_compiling())
    return plain and image.device.type == "cpu"
