# SPDX-License-Identifier: GPL-2.0-or-later
"""Small models that understand words, with random weights: in the hub's layout, and SAM 3's own.

``python -m tests.core.tiny_words FOLDER`` makes a file of SAM 3 for ``tests/gui/qgis_words.py``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from samgeo_core.testing.random_weights import weights

from .parity.cases import HERE

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers", reason="the extra 'concepts' is not installed")

WORDS = ["building", "tree", "road", "visual", "a", "photo", "of", "pond"]


def tokenizer(folder: Path, length: int, clip: bool) -> None:
    """A tokenizer of whole words with the special tokens that the model's own has."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = ["<pad>", "<start>", "<end>", "<unk>", "."]
    vocabulary = {word: rank for rank, word in enumerate(special + WORDS)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        bos_token="<start>",
        eos_token="<end>",
        unk_token="<unk>",
        model_max_length=length,
        model_input_names=["input_ids", "attention_mask"]
        if clip
        else ["input_ids", "token_type_ids", "attention_mask"],
    ).save_pretrained(folder)


def small_text(**more):
    return {
        "vocab_size": 32,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        **more,
    }


def make_sam3(folder: Path) -> None:
    from transformers.models.sam3.configuration_sam3 import Sam3Config
    from transformers.models.sam3.modeling_sam3 import Sam3Model

    small = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "dropout": 0.0}
    config = Sam3Config(
        vision_config={
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
            "backbone_config": {
                "model_type": "sam3_vit_model",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 112,
                "pretrain_image_size": 56,
                "window_size": 4,
                "global_attn_indexes": [1],
            },
        },
        text_config=small_text(projection_dim=16, max_position_embeddings=8),
        geometry_encoder_config={**small, "num_layers": 1, "roi_size": 3},
        detr_encoder_config={**small, "num_layers": 1},
        detr_decoder_config={**small, "num_layers": 2, "num_queries": 10},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 4},
    )
    model = Sam3Model(config)
    with torch.no_grad():  # masks of a new network are flat: give them relief
        for weight in model.mask_decoder.parameters():
            weight.normal_(std=0.3)
    model.save_pretrained(folder)
    tokenizer(folder, 8, clip=True)


def make_sam3_lite(folder: Path) -> None:
    from transformers.models.sam3_lite_text.configuration_sam3_lite_text import (
        Sam3LiteTextConfig,
    )
    from transformers.models.sam3_lite_text.modeling_sam3_lite_text import Sam3LiteTextModel

    config = json.loads((folder / "config.json").read_text("utf-8"))
    parts = {key: value for key, value in config.items() if key.endswith("_config")}
    for key in ("geometry_encoder", "detr_encoder", "detr_decoder", "mask_decoder"):
        parts[f"{key}_config"].pop("model_type", None)
    text = ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads")
    parts["text_config"] = {key: parts["text_config"][key] for key in text}
    parts["text_config"] |= {
        "projection_dim": 32,
        "num_hidden_layers": 3,
        "max_position_embeddings": 8,
    }
    model = Sam3LiteTextModel(Sam3LiteTextConfig(**parts))
    with torch.no_grad():
        for weight in model.mask_decoder.parameters():
            weight.normal_(std=0.3)
    model.save_pretrained(folder)


def make_dino(folder: Path) -> None:
    backbone = transformers.SwinConfig(
        image_size=64,
        embed_dim=16,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )
    text = transformers.BertConfig(
        vocab_size=32,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        pad_token_id=0,
    )
    config = transformers.GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        d_model=32,
        encoder_layers=1,
        encoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_layers=2,
        decoder_attention_heads=2,
        decoder_ffn_dim=64,
        num_queries=12,
        num_feature_levels=4,
        max_text_len=16,
        disable_custom_kernels=True,
    )
    transformers.GroundingDinoForObjectDetection(config).save_pretrained(folder)
    tokenizer(folder, 16, clip=False)


def make_owlv2(folder: Path) -> None:
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 96,
        "patch_size": 16,
    }
    config = transformers.Owlv2Config(
        text_config=small_text(max_position_embeddings=16), vision_config=vision, projection_dim=32
    )
    transformers.Owlv2ForObjectDetection(config).save_pretrained(folder)
    tokenizer(folder, 16, clip=True)


MAKERS = {"sam3": make_sam3, "grounding_dino": make_dino, "owlv2": make_owlv2}


def make_sam3_file(folder: Path, sure: bool = False) -> Path:
    """SAM 3's own file for clicks, words and exemplars, small, with CLIP's files beside it.

    Args:
        folder: Where they go.
        sure: Its scores exceed the model's own threshold.
    """
    with np.load(HERE / "sam3_official.npz") as kept:
        shapes = json.loads(str(kept["sam3.shapes"]))
        rotations = json.loads(str(kept["sam3.complex"]))
    state = weights({key: shape for key, shape in shapes.items() if key not in rotations}, 3)
    state |= {key: torch.zeros(shapes[key], dtype=torch.complex64) for key in rotations}
    if sure:
        state["detector.transformer.decoder.presence_token_head.layers.2.bias"] += 8
        for name in ("prompt_proj", "hs_proj"):
            state[f"detector.dot_prod_scoring.{name}.bias"] += 0.6
        head = "detector.segmentation_head"  # masks smaller than nearly all of a window
        state[f"{head}.mask_predictor.mask_embed.layers.2.bias"] += 0.18
        state[f"{head}.instance_seg_head.bias"] -= 0.18
    torch.save({"model": state}, folder / "sam3.pt")
    known = [
        "<|startoftext|>",
        "<|endoftext|>",
        *"opnd",
        "po",
        *(f"{letter}</w>" for letter in "opnd"),
    ]
    vocabulary = {word: number for number, word in enumerate(known)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\np o\n")
    return folder / "sam3.pt"


if __name__ == "__main__":
    print(make_sam3_file(Path(sys.argv[1]), sure=True))
