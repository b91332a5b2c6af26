# SPDX-License-Identifier: GPL-2.0-or-later
"""From a checkpoint's tensors to a model: recognise the family, build it, load every tensor.

Sizes are read from the tensors' shapes, so that any checkpoint of a family loads, published or
fine-tuned. Hub layouts (``transformers``) are renamed to the official ones first (``hub.py``).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError, ModelError
from . import hiera, hub, rep_vit
from .base import ModelInfo
from .edge_tam import EdgeTam, EdgeTamVideo
from .efficient_sam import EfficientSam, PlainViT
from .hiera import HieraSize
from .image import Preprocessing
from .mobile_sam import MobileSam
from .nn.perceiver import SpatialPerceiver
from .promptable import TorchModel
from .runtime import pick_device, pick_dtype, set_threads
from .sam import Network, Sam
from .sam2 import Sam2
from .sam2_video import Sam2Video
from .sam_hq import SamHq
from .tiny_vit import TinyViT
from .video import TorchVideoModel
from .vit import WINDOW, ViT

TINY_UNUSED = ("image_encoder.norm_head.", "image_encoder.head.")
"""The classifier that MobileSAM's checkpoint still carries."""

State = Mapping[str, Tensor]
Shapes = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Recognised:
    """What a checkpoint is.

    Args:
        family: As in :class:`~.base.ModelInfo`.
        variant: Size within the family, e.g. "vit_b", "hiera_tiny"; "custom" where none fits.
        layout: Whose names the tensors have.
    """

    family: str
    variant: str
    layout: str


@dataclass(frozen=True)
class _Family:
    """How to tell a family by its official keys, and how to make it from its shapes."""

    name: str
    marks: tuple[str, ...]
    variant: Callable[[Shapes], str]
    make: Callable[[Shapes, int | None], Network]
    ignored: tuple[str, ...] = ()
    """Beginnings of keys that the image side does not need."""
    rename: Callable[[str], str] = str
    """Official key to our attribute."""
    make_video: Callable[[Shapes, int | None], Network] | None = None
    """The same with memory; then no key is ignored."""


def _vit_variant(shapes: Shapes) -> str:
    known = {(768, 12): "vit_b", (1024, 24): "vit_l", (1280, 32): "vit_h"}
    return known.get((_vit_dim(shapes), count(shapes, "image_encoder.blocks.")), "custom")


def _vit_dim(shapes: Shapes) -> int:
    return shapes["image_encoder.pos_embed"][-1]


def count(shapes: Shapes, prefix: str) -> int:
    """Number of entries of a module list whose keys begin with ``prefix`` and an index."""
    return len({key[len(prefix) :].split(".", 1)[0] for key in shapes if key.startswith(prefix)})


def make_vit(shapes: Shapes) -> tuple[ViT, Preprocessing]:
    """The ViT of SAM and SAM-HQ for a checkpoint's shapes."""
    blocks = "image_encoder.blocks."
    depth = count(shapes, blocks)
    dim = _vit_dim(shapes)
    grid = shapes["image_encoder.pos_embed"][1]
    whole = [
        index
        for index in range(depth)
        if shapes[f"{blocks}{index}.attn.rel_pos_h"][0] != 2 * WINDOW - 1
    ]
    heads = dim // shapes[f"{blocks}0.attn.rel_pos_h"][1]
    return ViT(dim, depth, heads, whole, grid), Preprocessing(size=grid * 16)


def _make_sam(shapes: Shapes, _size: int | None) -> Network:
    return Sam(*make_vit(shapes))


def make_tiny_vit(shapes: Shapes, size: int | None) -> tuple[TinyViT, Preprocessing]:
    """The TinyViT of MobileSAM and light SAM-HQ for a checkpoint's shapes."""
    prefix = "image_encoder.layers."
    dims, depths, heads, windows = [], [], [], []
    for stage in range(4):
        blocks = f"{prefix}{stage}.blocks."
        depths.append(count(shapes, blocks))
        if stage == 0:
            dims.append(shapes[f"{blocks}0.conv1.c.weight"][1])
            heads.append(0)
            windows.append(0)
        else:
            dims.append(shapes[f"{blocks}0.attn.proj.weight"][0])
            table = shapes[f"{blocks}0.attn.attention_biases"]
            heads.append(table[0])
            windows.append(math.isqrt(table[1]))
    return TinyViT(dims, depths, heads, windows), Preprocessing(size=size or 1024)


TRUNK = "image_encoder.trunk."


def _hiera_size(shapes: Shapes) -> HieraSize:
    dim = shapes[f"{TRUNK}pos_embed"][1]
    depth = count(shapes, f"{TRUNK}blocks.")
    for size in hiera.SIZES:
        if size.dim == dim and sum(size.stages) == depth:
            return size
    raise ValueError(f"no SAM 2 has {depth} blocks and a width of {dim}")


def _sam2_variant(shapes: Shapes) -> str:
    try:
        return _hiera_size(shapes).name
    except ValueError:
        return "custom"


def _hiera_encoder(shapes: Shapes) -> hiera.Encoder:
    return hiera.Encoder(_hiera_size(shapes), shapes[f"{TRUNK}pos_embed"][2:])


def _make_sam2(shapes: Shapes, size: int | None) -> Network:
    return Sam2(_hiera_encoder(shapes), size or 1024)


def sam2_name(key: str) -> str:
    """Our name of a tensor of SAM 2."""
    key = key.removeprefix("sam_") if key.startswith("sam_") else key
    return re.sub(r"\.mlp\.layers\.([01])\.", lambda m: f".mlp.lin{int(m[1]) + 1}.", key)


def _rep_vit_encoder(shapes: Shapes) -> rep_vit.Encoder:
    stages = [f"{TRUNK}body.stages_{number}.blocks." for number in range(len(rep_vit.DIMS))]
    dims = [shapes[f"{stage}0.token_mixer.conv.c.weight"][0] for stage in stages]
    return rep_vit.Encoder(dims, [count(shapes, stage) for stage in stages])


def _make_edgetam(shapes: Shapes, size: int | None) -> Network:
    return EdgeTam(_rep_vit_encoder(shapes), size or 1024)


def _video_parts(shapes: Shapes) -> dict[str, Any]:
    """How the memory of a checkpoint is made; see :class:`~.sam2_video.Sam2Video`."""
    perceiver = None
    if "spatial_perceiver.latents" in shapes:
        whole, dim = shapes["spatial_perceiver.latents"]
        perceiver = SpatialPerceiver(
            whole,
            shapes["spatial_perceiver.latents_2d"][0],
            count(shapes, "spatial_perceiver.layers."),
            dim,
            shapes["spatial_perceiver.layers.0.ff.1.weight"][0],
        )
    return {
        "spatial": shapes["maskmem_tpos_enc"][0],
        "layers": count(shapes, "memory_attention.layers."),
        "absent_memory": "no_obj_embed_spatial" in shapes,
        "pointer_times": "obj_ptr_tpos_proj.weight" in shapes,
        "perceiver": perceiver,
    }


def _make_sam2_video(shapes: Shapes, size: int | None) -> Network:
    return Sam2Video(_hiera_encoder(shapes), size or 1024, **_video_parts(shapes))


def _make_edgetam_video(shapes: Shapes, size: int | None) -> Network:
    return EdgeTamVideo(_rep_vit_encoder(shapes), size or 1024, **_video_parts(shapes))


SAM2_VIDEO = (
    "memory_attention.",
    "memory_encoder.",
    "maskmem_tpos_enc",
    "no_mem_pos_enc",
    "no_obj_ptr",
    "no_obj_embed_spatial",
    "mask_downsample.",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
    "sam_mask_decoder.pred_obj_score_head.",
)
"""Tensors of SAM 2 that only tracking through video uses."""

EDGETAM_VIDEO = (*SAM2_VIDEO, "spatial_perceiver.")
"""The same for EdgeTAM."""


def _make_mobile_sam(shapes: Shapes, size: int | None) -> Network:
    return MobileSam(*make_tiny_vit(shapes, size))


def _hq_variant(shapes: Shapes) -> str:
    return "vit_t" if "image_encoder.pos_embed" not in shapes else _vit_variant(shapes)


def _make_sam_hq(shapes: Shapes, size: int | None) -> Network:
    early = shapes["mask_decoder.compress_vit_feat.0.weight"][0]
    if _hq_variant(shapes) == "vit_t":
        return SamHq(*make_tiny_vit(shapes, size), early)
    return SamHq(*make_vit(shapes), early)


def _efficient_variant(shapes: Shapes) -> str:
    known = {192: "vit_ti", 384: "vit_s"}
    return known.get(_vit_dim(shapes), "custom")


def _make_efficient_sam(shapes: Shapes, size: int | None) -> Network:
    depth = count(shapes, "image_encoder.blocks.")
    positions = shapes["image_encoder.pos_embed"][1]
    return EfficientSam(PlainViT(_vit_dim(shapes), depth, positions), size or 1024)


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


# The first whose marks are all there is taken: families with more than SAM's come before it.
FAMILIES: tuple[_Family, ...] = (
    _Family(
        "sam_hq",
        ("image_encoder.", "mask_decoder.hf_token.weight", "mask_decoder.compress_vit_feat."),
        _hq_variant,
        _make_sam_hq,
        ignored=TINY_UNUSED,
    ),
    _Family(
        "efficient_sam",
        ("image_encoder.pos_embed", "mask_decoder.final_output_upscaling_layers."),
        _efficient_variant,
        _make_efficient_sam,
        rename=_efficient_name,
    ),
    _Family(
        "mobile_sam",
        ("image_encoder.layers.0.blocks.0.conv1.c.weight", "mask_decoder."),
        lambda _: "vit_t",
        _make_mobile_sam,
        ignored=TINY_UNUSED,
    ),
    _Family(
        "sam2",
        (f"{TRUNK}pos_embed_window", "sam_mask_decoder."),
        _sam2_variant,
        _make_sam2,
        ignored=SAM2_VIDEO,
        rename=sam2_name,
        make_video=_make_sam2_video,
    ),
    _Family(
        "edgetam",
        (f"{TRUNK}body.stages_0.blocks.0.token_mixer.", "sam_mask_decoder."),
        lambda _: "repvit_m1",
        _make_edgetam,
        ignored=EDGETAM_VIDEO,
        rename=sam2_name,
        make_video=_make_edgetam_video,
    ),
    _Family(
        "sam",
        ("image_encoder.pos_embed", "image_encoder.blocks.0.attn.rel_pos_h", "mask_decoder."),
        _vit_variant,
        _make_sam,
    ),
)


def unwrap(loaded: object) -> dict[str, Tensor]:
    """The tensors of what ``torch.load(..., weights_only=True)`` gave.

    Raises:
        CheckpointError: There are none.
    """
    for name in ("model", "state_dict", "model_state_dict"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if isinstance(loaded, Mapping):
        tensors = {str(k): v for k, v in loaded.items() if isinstance(v, Tensor)}
        if tensors:
            return tensors
    raise CheckpointError("The file holds no model weights: choose a checkpoint of a SAM model.")


def recognise(shapes: Shapes) -> Recognised:
    """Say what a checkpoint is by its keys.

    Args:
        shapes: Key to shape of every tensor (``{k: v.shape for k, v in state.items()}``).

    Raises:
        CheckpointError: It is of no family that this package runs.
    """
    layout = "official"
    if hub.is_hub(shapes):
        layout, shapes = "hub", hub.official_shapes(shapes)
    for family in FAMILIES:
        if all(any(key.startswith(mark) for key in shapes) for mark in family.marks):
            return Recognised(family.name, family.variant(shapes), layout)
    some = ", ".join(sorted(shapes)[:3])
    raise CheckpointError(
        f"The weights are of no model that this version runs (their first tensors are {some}): "
        f"choose a checkpoint of {', '.join(f.name for f in FAMILIES)}."
    )


def build(
    state: State,
    *,
    name: str = "model",
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    fingerprint: str | None = None,
    image_size: int | None = None,
    batch: int | None = None,
    video: bool = False,
) -> TorchModel:
    """A model from a checkpoint's tensors.

    Args:
        state: Tensors by name, official or hub layout; see :func:`unwrap`.
        name: For messages and attributes.
        device: See :func:`~.runtime.pick_device`.
        precision: See :func:`~.runtime.pick_dtype`.
        threads: CPU threads for torch in this process, or None to leave them.
        fingerprint: The file's checksum where it is known; otherwise one is computed of the
            tensors (a second a GB).
        image_size: Side of the encoder's square, for families whose weights do not fix it; None
            for the family's own.
        batch: Prompts a batch in the decoder, or None for what suits the device.
        video: With its memory, as a :class:`~.video.TorchVideoModel`; otherwise the tensors that
            only the memory needs are not read.

    Raises:
        CheckpointError: The weights are of no known family, or tensors are missing, too many or
            of another shape.
        ModelError: There is no such device, or the family has no memory.
    """
    found = recognise({key: tensor.shape for key, tensor in state.items()})
    if found.layout == "hub":
        state = hub.official(state)
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    family = next(f for f in FAMILIES if f.name == found.family)
    if video:
        family = _with_memory(family, found.layout)
    chosen = pick_device(device)
    dtype = pick_dtype(precision, chosen)
    set_threads(threads)
    try:
        with torch.device("meta"):
            network = family.make(shapes, image_size)
    except (KeyError, ValueError, ZeroDivisionError, RuntimeError) as error:
        raise CheckpointError(
            f"The weights look like {family.name}, but their tensors do not fit it ({error}): the "
            "file is incomplete or of a newer version."
        ) from error
    _load(network, state, family)
    return finished(
        network,
        name=name,
        device=chosen,
        dtype=dtype,
        checksum=fingerprint or weights_checksum(state),
        batch=batch,
    )


def _with_memory(family: _Family, layout: str) -> _Family:
    """The family as it is made for video."""
    if family.make_video is None:
        able = [one.name for one in FAMILIES if one.make_video is not None]
        raise ModelError(
            f"A model of the family {family.name} has no memory to follow objects with: choose one "
            f"of {', '.join(able)}, or track without memory."
        )
    if layout != "official":
        raise CheckpointError(
            "The memory of a model is read from official checkpoints only, and this one has the "
            "hub's layout: get the official file with 'samgeo models download'."
        )
    return replace(family, make=family.make_video, ignored=())


def finished(
    network: Network,
    *,
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    checksum: str,
    batch: int | None = None,
) -> TorchModel:
    """A model around a network that has its weights; ``checksum`` is theirs."""
    network.eval().requires_grad_(False)
    network.to(device)
    network.prepare()
    settings = {**network.settings(), "dtype": str(dtype)}
    info = ModelInfo(
        name=name,
        family=network.family,
        fingerprint=_fingerprint(checksum, settings),
        input_size=network.preprocessing.size,
        mask_size=network.mask_size,
        accepts=network.accepts,
        device=str(device),
        score_threshold=network.score_threshold,
        stability_threshold=network.stability_threshold,
    )
    kind = TorchVideoModel if isinstance(network, Sam2Video) else TorchModel
    return kind(network, info, device, dtype, batch)


def _load(network: Network, state: State, family: _Family) -> None:
    """Give every tensor its place; nothing may be left over on either side."""
    wanted = {
        family.rename(key): tensor.float() if tensor.is_floating_point() else tensor
        for key, tensor in state.items()
        if not key.startswith(family.ignored)
    }
    try:
        missing, extra = network.load_state_dict(wanted, strict=False, assign=True)
    except RuntimeError as error:
        line = str(error).strip().splitlines()[-1].strip()
        raise CheckpointError(
            f"The weights look like {family.name}, but a tensor has another shape ({line})."
        ) from error
    for problem, keys in (("lacks", missing), ("has unknown", extra)):
        if keys:
            raise CheckpointError(
                f"The weights look like {family.name}, but the file {problem} {len(keys)} tensors "
                f"(the first is {sorted(keys)[0]}): it is damaged or of another version."
            )


def weights_checksum(state: State) -> str:
    """Checksum over all tensors and their names, the same for any order of them."""
    digest = hashlib.blake2b(digest_size=16)
    for key in sorted(state):
        tensor = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _fingerprint(weights: str, settings: Mapping[str, Any]) -> str:
    text = json.dumps({"weights": weights, **settings}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
