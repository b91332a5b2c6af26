# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to load the official code and to ask it, shared by the families of ``make.py``.

Of its dependencies only torch is needed: what it imports for data loading, training or the command
line is replaced by empty modules, nothing that computes.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from samgeo_core.testing.random_weights import weights

Answer = Callable[[dict[str, np.ndarray], bool], tuple[torch.Tensor, torch.Tensor]]


def module(name: str, **members: Any) -> None:
    made = types.ModuleType(name)
    made.__dict__.update(members)
    sys.modules[name] = made


def replace_imports() -> None:
    class Nothing(torch.nn.Module):
        def __init__(self, *_: Any, **__: Any) -> None:
            super().__init__()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    module("torchvision")
    module(
        "torchvision.transforms",
        Compose=Nothing,
        Normalize=Nothing,
        Resize=Nothing,
        ToTensor=Nothing,
    )
    module("torchvision.transforms.functional", resize=None, to_pil_image=None)
    module("torchvision.ops")
    module("torchvision.ops.boxes", batched_nms=None, box_area=None)
    module("timm")
    module("timm.models")
    module(
        "timm.models.layers",
        DropPath=Nothing,  # rate 0 in all these models
        to_2tuple=lambda x: (x, x),
        trunc_normal_=torch.nn.init.trunc_normal_,
    )
    module("timm.models.registry", register_model=lambda function: function)
    module("tqdm", tqdm=None)
    module("triton", jit=lambda function: function)
    module("triton.language", constexpr=None)
    module("omegaconf", MISSING=None, OmegaConf=None)
    module("iopath")
    module("iopath.common")
    module("iopath.common.file_io", g_pathmgr=None)
    module("hydra", initialize_config_module=lambda *_, **__: None)
    module(
        "hydra.core.global_hydra",
        GlobalHydra=types.SimpleNamespace(
            instance=lambda: types.SimpleNamespace(is_initialized=lambda: True)
        ),
    )


def with_timm(root: Path) -> None:
    """The real timm, which EdgeTAM's trunk comes from, without weights and without torchvision."""

    class Named(type):
        def __getattr__(cls, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return Named(name, (), {})

    class Anything(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return Named(name, (), {})

    class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
        def find_spec(self, name: str, *_: Any) -> Any:
            if name.split(".")[0] == "torchvision":
                return importlib.machinery.ModuleSpec(name, self, is_package=True)
            return None

        def create_module(self, spec: Any) -> types.ModuleType:
            return Anything(spec.name)

        def exec_module(self, module: types.ModuleType) -> None:
            pass

    for key in [key for key in sys.modules if key.split(".")[0] in ("timm", "torchvision")]:
        del sys.modules[key]
    sys.meta_path.insert(0, Finder())
    sys.path.insert(0, str(root / "timm"))
    models = importlib.import_module("timm.models")
    made = models.create_model
    models.create_model = lambda *given, **named: made(*given, **{**named, "pretrained": False})


def xy(array: np.ndarray) -> torch.Tensor:
    """(row, column) with corners of pixels at whole numbers to the official indices (x, y)."""
    return torch.from_numpy(np.ascontiguousarray(array[..., ::-1])) - 0.5


def load(model: torch.nn.Module) -> tuple[torch.nn.Module, dict[str, list[int]]]:
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict(weights(shapes))
    return model.eval(), shapes


def sam_like(model: Any, picture: torch.Tensor) -> tuple[np.ndarray, Answer]:
    """SAM, MobileSAM, SAM-HQ: they share the names of their parts."""
    return answers_like_sam(model, model.image_encoder(model.preprocess(picture.float())[None]))


def evit_sam_like(model: Any, picture: torch.Tensor) -> tuple[np.ndarray, Answer]:
    """EfficientViT-SAM: prompts are in a frame of 1024 pixels even where the square has 512."""
    side = model.image_size[1]
    mean, std = (torch.tensor(SAM_COLOURS[k]).view(3, 1, 1) for k in ("mean", "std"))
    normal = (picture.float() - mean) / std
    height, width = picture.shape[1:]
    square = torch.nn.functional.pad(normal, (0, side - width, 0, side - height))
    frame = model.prompt_encoder.input_image_size[0]
    return answers_like_sam(model, model.image_encoder(square[None]), frame / side)


SAM_COLOURS = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}


def answers_like_sam(model: Any, features: Any, scale: float = 1.0) -> tuple[np.ndarray, Answer]:
    """What SAM's prompt encoder and decoder say; prompts are scaled to the encoder's frame."""
    extra: tuple[Any, ...] = ()
    if isinstance(features, tuple):
        features, early = features
        extra = (False, early)

    def answer(given: dict[str, np.ndarray], multimask: bool) -> tuple[torch.Tensor, torch.Tensor]:
        points = None
        if "points" in given:
            points = xy(given["points"] * scale), torch.from_numpy(given["labels"]).int()
        boxes = masks = None
        if "boxes" in given:
            boxes = xy(scale * given["boxes"].reshape(-1, 2, 2)).reshape(-1, 4)
        if "masks" in given:
            masks = torch.from_numpy(given["masks"])[:, None]
        sparse, dense = model.prompt_encoder(points, boxes, masks)
        out: tuple[torch.Tensor, torch.Tensor] = model.mask_decoder(
            features, model.prompt_encoder.get_dense_pe(), sparse, dense, multimask, *extra
        )
        return out

    return features[0].numpy(), answer


def corners_first(given: dict[str, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Boxes as two points with labels 2 and 3, before the points."""
    coords, labels = [], []
    if "boxes" in given:
        coords.append(xy(given["boxes"].reshape(-1, 2, 2)))
        labels.append(torch.tensor([[2, 3]]).repeat(len(given["boxes"]), 1).int())
    if "points" in given:
        coords.append(xy(given["points"]))
        labels.append(torch.from_numpy(given["labels"]).int())
    return (torch.cat(coords, 1), torch.cat(labels, 1)) if coords else None


MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def sam2_like(model: Any, picture: torch.Tensor) -> tuple[np.ndarray, Answer]:
    """What SAM2ImagePredictor does between its transforms."""
    out = model.forward_image(((picture.float() / 255 - MEAN) / STD)[None])
    _, maps, _, sizes = model._prepare_backbone_features(out)
    maps[-1] = maps[-1] + model.no_mem_embed
    fine4, fine8, features = (
        flat.permute(1, 2, 0).view(1, -1, *size) for flat, size in zip(maps, sizes, strict=True)
    )

    def answer(given: dict[str, np.ndarray], multimask: bool) -> tuple[torch.Tensor, torch.Tensor]:
        masks = torch.from_numpy(given["masks"])[:, None] if "masks" in given else None
        sparse, dense = model.sam_prompt_encoder(corners_first(given), None, masks)
        logits, scores, _, _ = model.sam_mask_decoder(
            features,
            model.sam_prompt_encoder.get_dense_pe(),
            sparse,
            dense,
            multimask,
            True,
            [fine4, fine8],
        )
        return logits.clamp(-32, 32), scores

    return features[0].numpy(), answer


def efficient_like(model: Any, picture: torch.Tensor) -> tuple[np.ndarray, Answer]:
    features = model.get_image_embeddings(picture.float()[None] / 255)
    size = picture.shape[-1]

    def answer(given: dict[str, np.ndarray], multimask: bool) -> tuple[torch.Tensor, torch.Tensor]:
        points = corners_first(given)
        assert points is not None
        logits, scores = model.predict_masks(
            features, points[0][None], points[1][None], multimask, size, size
        )
        return logits[0], scores[0]

    return features[0].numpy(), answer


def made(node: Any) -> Any:
    """What a node of an official configuration stands for."""
    if isinstance(node, list):
        return [made(value) for value in node]
    if not isinstance(node, dict):
        return node
    arguments = {key: made(value) for key, value in node.items() if key != "_target_"}
    if "_target_" not in node:
        return arguments
    place, _, kind = node["_target_"].rpartition(".")
    return getattr(importlib.import_module(place), kind)(**arguments)


def sam2_config(root: Path, name: str, size: int) -> dict[str, Any]:
    import yaml

    def read(path: Path) -> dict[str, Any]:
        return dict(yaml.safe_load(path.read_text().replace("1e-6", "1.0e-6"))["model"])

    if name == "edgetam":
        config = read(root / "EdgeTAM" / "sam2" / "configs" / "edgetam.yaml")
    else:
        quality = "_hq_" in name
        version, _, hiera = name.replace("_hq", "").partition("_hiera_")
        letter = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}[hiera]
        folder = root / ("sam-hq/sam-hq2" if quality else "sam2") / "sam2" / "configs" / version
        config = read(folder / f"{version}_hiera_{letter}.yaml")
        if quality:  # only the large one is published: its configuration around a smaller encoder
            large = read(folder / f"{version}_hq_hiera_l.yaml")
            config = {**large, "image_encoder": config["image_encoder"]}
    # What build_sam2 adds by default.
    config["sam_mask_decoder_extra_args"] = {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    }
    config["image_size"] = size
    return config


def sam2_model(root: Path, name: str, size: int) -> Any:
    """The model of the official package ``sam2``: of SAM 2's repository or of EdgeTAM's."""
    forget("sam2")  # both repositories have a package of this name
    return made(sam2_config(root, name, size))


def forget(package: str) -> None:
    """Forget an imported package, so that the next import reads it from ``sys.path`` again."""
    for key in [key for key in sys.modules if key.split(".")[0] == package]:
        del sys.modules[key]


def segment_anything(root: Path, folder: str) -> types.ModuleType:
    """The package ``segment_anything`` of a repository: SAM's, or SAM-HQ's of the same name."""
    sys.path.insert(0, str(root / folder))
    forget("segment_anything")
    importlib.import_module("segment_anything")
    return sys.modules["segment_anything.build_sam"]


def two_blocks(name: str, size: int) -> Any:
    """SAM or SAM-HQ with two blocks of ViT-B, L or H, made as ``_build_sam`` does."""
    parts = importlib.import_module("segment_anything.modeling")
    dim, heads = {"b": (768, 12), "l": (1024, 16), "h": (1280, 16)}[name.split("_vit_")[1][0]]
    grid = size // 16
    quality = "hq" in name
    return parts.Sam(
        image_encoder=parts.ImageEncoderViT(
            depth=2,
            embed_dim=dim,
            img_size=size,
            norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=heads,
            use_rel_pos=True,
            global_attn_indexes=[1],
            window_size=14,
        ),
        prompt_encoder=parts.PromptEncoder(256, (grid, grid), (size, size), 16),
        mask_decoder=(parts.MaskDecoderHQ if quality else parts.MaskDecoder)(
            transformer_dim=256,
            transformer=parts.TwoWayTransformer(2, 256, 8, 2048),
            **({"vit_dim": dim} if quality else {}),
        ),
    )
