# SPDX-License-Identifier: GPL-2.0-or-later
"""The embedded model's network: SAM's three parts, all convolutions, made for a CPU.

::

    image -> encoder (strides 2 to 32) -> neck -> a16, a8, a4, a2, e4      once an image
    prompt -> maps at stride 4 + likeness to what was pointed at           once per prompt
    maps, a16 -> trunk at strides 16 and 32 -> a8 -> coarse masks, IoU -> a4 -> masks at stride 4
        -> a2 -> masks at stride 2

Where SAM ("Segment Anything", Kirillov et al. 2023) lets prompt tokens and image attend to each
other, this network draws the prompts as maps beside the image features (as in RITM, Sofiiuk et al.
2021), and compares every place's appearance with that under the prompt, which is what lets a small
network answer for things it was never trained on. As in SAM 2 (Ravi et al. 2024) features of
strides 4 and 8 reach the decoder. Dense 3 x 3 convolutions in channels-last order run at the speed
of a matrix product in oneDNN; depthwise ones do not, so there are none.

Everything an image contributes to the decoder's first sums is computed with the image
(:class:`Features`), so that a prompt costs about 2.7 GFLOP on a 1024 x 1024 image.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .heads import DenseHead
from .prompt_maps import MAPS, PromptTensors, prompt_maps
from .quality import QualityHead

MASK_STRIDE = 2
"""Image pixels along a side of a cell of the masks."""

MULTIPLE = 32
"""Image sides are padded to a multiple of the coarsest stride."""

CANDIDATES = 3
"""Masks offered for an ambiguous prompt; one more is made for an unambiguous one."""

AGREEMENTS = 5
"""Numbers that say how well a mask fits its prompt: see :func:`agreement`."""

GROUPS = 4
"""Groups of appearance channels, each compared by itself."""


@dataclass(frozen=True)
class NetConfig:
    """Widths and depths.

    ``widths`` and ``depths`` go with strides 4, 8, 16 and 32, ``neck`` and ``decoder`` begin with
    stride 4, ``border`` holds the image's and the decoder's widths at stride 2. ``dense`` is the
    width of the head for proposals and classes, 0 for a network without one, ``quality`` of that
    which judges finished masks; ``padding`` says what lies beyond the images that the network
    learned from: "mirror", or "grey" where that occurred.
    """

    stem: int = 32
    widths: tuple[int, int, int, int] = (48, 96, 192, 192)
    depths: tuple[int, int, int, int] = (2, 2, 3, 2)
    neck: tuple[int, int, int] = (32, 64, 128)
    decoder: tuple[int, int, int, int] = (16, 32, 64, 96)
    border: tuple[int, int] = (8, 16)
    appearance: int = 16
    dense: int = 0
    padding: str = "mirror"
    quality: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> NetConfig:
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**given)


class Features(NamedTuple):
    """What the decoder needs of an image: (b, channels, h, w) at strides 16, 8, 4, 2 and 4."""

    a16: Tensor
    a8: Tensor
    a4: Tensor
    a2: Tensor
    e4: Tensor


def conv(cin: int, cout: int, kernel: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution and its batch normalisation, which :func:`folded` merges."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, stride, padding, dilation, bias=False), nn.BatchNorm2d(cout)
    )


class Block(nn.Module):
    """Residual block of two 3 x 3 convolutions (He et al. 2016)."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = conv(width, width, dilation=dilation)
        self.second = conv(width, width, dilation=dilation)
        # Zero at first, so that a block begins as the identity (Goyal et al. 2017).
        nn.init.zeros_(self.second[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first(x), inplace=True)
        return F.relu(self.second(y).add_(x), inplace=True)


def enlarge(x: Tensor) -> Tensor:
    """Twice as many rows and columns, bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Encoder(nn.Module):
    """Residual network with a feature pyramid on top (Lin et al. 2017)."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        widths = (config.stem, *config.widths)
        self.stem = conv(3, config.stem, stride=2)
        self.down = nn.ModuleList(
            conv(cin, cout, stride=2) for cin, cout in itertools.pairwise(widths)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(depth)))
            for width, depth in zip(config.widths, config.depths, strict=True)
        )
        n4, n8, n16 = config.neck
        w4, w8, w16, w32 = config.widths
        self.from32 = conv(w32, n16, 1)
        self.side16, self.mix16 = conv(w16, n16, 1), conv(n16, n16)
        self.up8, self.side8, self.mix8 = conv(n16, n8, 1), conv(w8, n8, 1), conv(n8, n8)
        self.up4, self.side4, self.mix4 = conv(n8, n4, 1), conv(w4, n4, 1), conv(n4, n4)
        d4, d8, d16, _ = config.decoder
        self.a16, self.a8, self.a4 = conv(n16, d16), conv(n8, d8), conv(n4, d4)
        self.a2 = conv(config.stem, config.border[0])
        self.e4 = nn.Conv2d(n4, config.appearance, 1)

    def forward(self, image: Tensor) -> Features:
        """Features of (b, 3, h, w) :func:`normalised` images."""
        return self.features(*self.pyramid(image))

    def pyramid(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features of strides 16, 8, 4 and 2; the image's sides are multiples of
        :data:`MULTIPLE`."""
        c2 = x = F.relu(self.stem(image), inplace=True)
        levels = []
        for down, stage in zip(self.down, self.stages, strict=True):
            x = stage(F.relu(down(x), inplace=True))
            levels.append(x)
        c4, c8, c16, c32 = levels
        p16 = F.relu(self.side16(c16) + enlarge(self.from32(c32)), inplace=True)
        p16 = F.relu(self.mix16(p16), inplace=True)
        p8 = F.relu(self.side8(c8) + enlarge(self.up8(p16)), inplace=True)
        p8 = F.relu(self.mix8(p8), inplace=True)
        p4 = F.relu(self.side4(c4) + enlarge(self.up4(p8)), inplace=True)
        return p16, p8, F.relu(self.mix4(p4), inplace=True), c2

    def features(self, p16: Tensor, p8: Tensor, p4: Tensor, c2: Tensor) -> Features:
        """What the decoder needs of a pyramid."""
        appearance = self.e4(p4).float()
        b, c, h, w = appearance.shape
        grouped = appearance.view(b, GROUPS, c // GROUPS, h, w)
        unit = grouped * torch.rsqrt(grouped.square().sum(2, keepdim=True) + 1e-4)
        return Features(
            self.a16(p16), self.a8(p8), self.a4(p4), self.a2(c2), unit.reshape(b, c, h, w)
        )


class Coarse(NamedTuple):
    """A prompt half-way through the decoder: before the masks of stride 4."""

    maps: Tensor
    y8: Tensor
    masks: Tensor
    iou: Tensor


class Fine(NamedTuple):
    """A prompt's (n, c, h, w) features and (n, 4, h, w) mask logits, both of stride 4."""

    y4: Tensor
    masks: Tensor


class Decoder(nn.Module):
    """Prompt maps and an image's features to four masks and their predicted IoU."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        d4, d8, d16, d32 = config.decoder
        maps = MAPS + 2 * GROUPS
        self.m16, self.m8, self.m4 = conv(maps, d16), conv(maps, d8), conv(maps, d4)
        self.down = conv(d16, d32, stride=2)
        self.wide = nn.Sequential(Block(d32), Block(d32, dilation=2))
        self.up16 = conv(d32, d16, 1)
        self.leave = Block(d16)
        self.up8, self.fine8 = conv(d16, d8, 1), Block(d8)
        self.up4, self.fine4 = conv(d8, d4, 1), Block(d4)
        b2, d2 = config.border
        self.up2, self.mix2 = conv(d4, b2, 1), conv(b2, d2)
        self.sharp = nn.Conv2d(d2, CANDIDATES + 1, 3, padding=1)
        # At first the masks of stride 4, only larger.
        nn.init.zeros_(self.sharp.weight)
        nn.init.zeros_(self.sharp.bias)  # type: ignore[arg-type]
        self.coarse = nn.Conv2d(d8, CANDIDATES + 1, 1)
        self.masks = nn.Conv2d(d4, CANDIDATES + 1, 3, padding=1)
        for head in (self.coarse, self.masks):
            assert head.bias is not None
            # Most of a crop is not the object.
            nn.init.constant_(head.bias, -2.0 if head is self.coarse else 0.0)
            nn.init.normal_(head.weight, std=0.02)
        self.judge = nn.Sequential(
            nn.Linear(2 * d8 + d16 + 3 + CANDIDATES + 1 + AGREEMENTS, 64),
            nn.ReLU(),
            nn.Linear(64, 1),
        )

    def likeness(self, e4: Tensor, weights: Tensor) -> Tensor:
        """Cosine, group by group, of each place's appearance with that under the prompt.

        Args:
            e4: (b, c, h, w), unit length within each group.
            weights: (b * p, 2, h, w), see :func:`prompt_maps`.

        Returns:
            (b * p, 2 * groups, h, w); 0 where nothing was pointed at.
        """
        n, _, h, w = weights.shape
        b, c = e4.shape[:2]
        share = weights / (weights.sum((2, 3), keepdim=True) + 1e-3)
        flat = e4.reshape(b, c, h * w)
        token = share.reshape(b, -1, h * w) @ flat.transpose(1, 2)
        token = token.view(b, -1, 1, GROUPS, c // GROUPS)
        eye = torch.eye(GROUPS, device=e4.device, dtype=token.dtype)[:, :, None]
        return ((token * eye).reshape(b, -1, c) @ flat).view(n, 2 * GROUPS, h, w)

    def begin(self, features: Features, prompts: PromptTensors) -> Coarse:
        """Everything up to stride 8: coarse masks and predicted IoU.

        Prompts go with the images in turn, the same number with each.
        """
        height, width = features.e4.shape[-2:]
        maps, weights = prompt_maps(prompts, height, width)
        maps = torch.cat([maps, self.likeness(features.e4, weights)], dim=1)
        dtype = features.a16.dtype
        maps = maps.to(dtype=dtype, memory_format=torch.channels_last)
        maps8 = F.avg_pool2d(maps, 2)
        maps16 = F.avg_pool2d(maps8, 2)
        x = F.relu(shared(features.a16, self.m16(maps16)), inplace=True)
        z = self.wide(F.relu(self.down(x), inplace=True))
        x = self.leave(F.relu(x + enlarge(self.up16(z)), inplace=True))
        y8 = shared(features.a8, self.m8(maps8)).add_(enlarge(self.up8(x)))
        y8 = self.fine8(F.relu(y8, inplace=True))
        masks = self.coarse(y8).float()
        return Coarse(maps, y8, masks, self._judge(masks, maps8, y8, x))

    def refine(self, features: Features, coarse: Coarse) -> Fine:
        """Masks of stride 4; the first of four is for unambiguous prompts."""
        y4 = shared(features.a4, self.m4(coarse.maps)).add_(enlarge(self.up4(coarse.y8)))
        y4 = self.fine4(F.relu(y4, inplace=True))
        return Fine(y4, self.masks(y4).float() + enlarge(coarse.masks))

    def sharpen(self, a2: Tensor, fine: Fine) -> Tensor:
        """The (n, 4, 2h, 2w) mask logits of stride 2."""
        y2 = shared(a2, enlarge(self.up2(fine.y4)))
        y2 = F.relu(self.mix2(F.relu(y2, inplace=True)), inplace=True)
        sharp: Tensor = self.sharp(y2).float()
        return sharp + enlarge(fine.masks)

    def finish(self, features: Features, coarse: Coarse) -> Tensor:
        """The (n, 4, 2h, 2w) mask logits of stride 2 that follow from coarse ones."""
        return self.sharpen(features.a2, self.refine(features, coarse))

    def _judge(self, masks: Tensor, maps: Tensor, y8: Tensor, y16: Tensor) -> Tensor:
        """Predicted IoU as logits (n, 4), from the features inside and along each mask."""
        n, k = masks.shape[:2]
        # Sums over a large image must not be sums over its far background: no object below 0.1.
        p = ((torch.sigmoid(masks.float()) - 0.1) / 0.9).clamp(min=0)
        mass = p.sum((2, 3))
        inside = _mean_under(p, y8)
        along = _mean_under(p * (1 - p), y8)
        deep = _mean_under(F.avg_pool2d(p, 2), y16)
        sure = p.square().sum((2, 3)) / (mass + 1e-3)
        edge = (p * (1 - p)).sum((2, 3)) / (torch.sqrt(mass) + 1)
        facts = torch.stack([torch.log2(mass + 1) / 8, sure, edge], dim=-1)
        which = torch.eye(k, device=masks.device).expand(n, k, k)
        fit = agreement(masks.float(), p, maps.float())
        out: Tensor = self.judge(torch.cat([inside, along, deep, facts, which, fit], dim=-1))
        return out[..., 0]


def agreement(masks: Tensor, p: Tensor, maps: Tensor) -> Tensor:
    """How well masks fit their prompt.

    Args:
        masks: (n, k, h, w) logits.
        p: Their probabilities.
        maps: (n, >= 5, h, w) prompt maps of the same stride.

    Returns:
        (n, k, 5): probability at the clicks on the object and at those on the background, share of
        the mask outside the box, share of the box inside the mask, and stability: the area cut at
        a logit of 1 over that at -1, with soft edges.
    """
    on, off, inside = maps[:, None, 0], maps[:, None, 2], maps[:, None, 4]

    def total(x: Tensor) -> Tensor:
        return x.sum((2, 3))

    boxed = total(inside)
    within = total(p * inside)
    mass = total(p)
    high, low = torch.sigmoid(4 * (masks - 1)), torch.sigmoid(4 * (masks + 1))
    return torch.stack(
        [
            total(p * on) / (total(on) + 1e-3),
            total(p * off) / (total(off) + 1e-3),
            (1 - within / (mass + 1e-3)) * (boxed > 0),
            within / (boxed + 1e-3),
            total(high) / (total(low) + 1),
        ],
        dim=-1,
    )


def shared(image: Tensor, prompts: Tensor) -> Tensor:
    """(b * p, c, h, w) of prompts, to which (b, c, h, w) of their images were added in place."""
    b, n = len(image), len(prompts)
    prompts.view(b, n // b, *prompts.shape[1:]).add_(image[:, None])
    return prompts


def _mean_under(weights: Tensor, features: Tensor) -> Tensor:
    """Means of (n, c, h, w) features under (n, k, h, w) weights: (n, k, c)."""
    share = weights / (weights.sum((2, 3), keepdim=True) + 1e-3)
    return torch.einsum("nkhw,nchw->nkc", share, features.float())


class EmbeddedNet(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, config: NetConfig | None = None) -> None:
        super().__init__()
        self.config = config or NetConfig()
        self.encoder = Encoder(self.config)
        self.decoder = Decoder(self.config)
        self.dense: DenseHead | None = None
        if self.config.dense:
            self.dense = DenseHead(self.config.neck, self.config.dense)
        self.quality: QualityHead | None = None
        if self.config.quality:
            d4, d8, _, _ = self.config.decoder
            self.quality = QualityHead(d4, self.config.appearance, d8, self.config.quality)


def normalised(pixels: Tensor) -> Tensor:
    """(b, 3, h, w) uint8 as float32 in -2 to 2, channels last."""
    x = pixels.float().sub_(127.5).div_(63.75)
    return x.contiguous(memory_format=torch.channels_last)


def folded(net: EmbeddedNet) -> EmbeddedNet:
    """A copy for inference: batch normalisation merged into the convolutions before it."""
    fast = copy.deepcopy(net).eval()
    for module in fast.modules():
        for name, child in list(module.named_children()):
            if (
                isinstance(child, nn.Sequential)
                and len(child) == 2
                and isinstance(child[0], nn.Conv2d)
                and isinstance(child[1], nn.BatchNorm2d)
            ):
                setattr(module, name, fuse_conv_bn_eval(child[0], child[1]))
    for parameter in fast.parameters():
        parameter.requires_grad_(False)
    last: EmbeddedNet = fast.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return last


def with_dtype(net: EmbeddedNet, dtype: torch.dtype) -> EmbeddedNet:
    """A copy of a :func:`folded` network whose convolutions have another number type.

    What judges masks stays float32, as do their logits, what is compared with a prompt and boxes.
    """
    low = copy.deepcopy(net).to(dtype)
    low.decoder.judge.float()
    if low.quality is not None:
        low.quality.float()
    return low
