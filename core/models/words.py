# SPDX-License-Identifier: GPL-2.0-or-later
"""Text-prompted models from ``transformers``: SAM 3, Grounding DINO, OWLv2.

``transformers`` is an optional extra (``pip install samgeo-seamless[concepts]``), pinned, because
two of its faults are worked around here; neither it nor this module needs torchvision. Images are
prepared by this module, words by the model's own tokenizer.
"""

from __future__ import annotations

import hashlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ModelError, PromptError
from ..parallel.cancellation import check
from ..types import ByteArray, FloatArray
from .base import Concept, ModelInfo
from .catalogue import CATALOGUE
from .image import IMAGENET_MEAN, IMAGENET_STD, Floats3, check_image
from .nn.roi_align import roi_align
from .runtime import is_out_of_memory, pick_device, set_threads
from .weights.checkpoints import Located, locate, manifest_of
from .weights.download import sha256_of
from .weights.files import weights_file
from .weights.pretrained import (
    VERSION,
    load_pretrained,
    model_type,
    not_loaded,
    require_transformers,
)
from .weights.sam3_names import STUDENT_TEXT, is_sam3
from .weights.tensors import read_state

NO_BOX = -10
"""SAM 3's label of a box that is only padding."""

_HALF: Floats3 = (127.5, 127.5, 127.5)
_CLIP_MEAN: Floats3 = (0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255)
_CLIP_STD: Floats3 = (0.26862954 * 255, 0.26130258 * 255, 0.27577711 * 255)


class TransformersConcepts(ABC):
    """A :class:`~.base.ConceptModel` around a model of ``transformers``.

    Args:
        model: In eval mode, on its device.
        tokenizer: Called with a text; gives "input_ids" and "attention_mask" tensors.
        name: For messages and attributes.
        fingerprint: Of the weights.
    """

    family: str
    score_threshold: float

    def __init__(self, model: Any, tokenizer: Any, *, name: str, fingerprint: str) -> None:
        self.model = model.eval().requires_grad_(False)
        for part in model.modules():  # seconds of work on a CPU, with nothing between the layers
            if type(part).__name__.endswith("Layer"):
                part.register_forward_pre_hook(_may_go_on)
        self.tokenizer = tokenizer
        self.device: torch.device = next(model.parameters()).device
        self._info = ModelInfo(
            name=name,
            family=self.family,
            fingerprint=fingerprint,
            input_size=self.input_size,
            mask_size=self.mask_size,
            accepts=frozenset({"text"}),
            device=str(self.device),
            score_threshold=self.score_threshold,
        )

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Side of the encoder's image, pixels."""

    @property
    def mask_size(self) -> int:
        """Cells along a side of the masks; 0 where the model gives boxes only."""
        return 0

    def find(self, image: ByteArray, word: str, *, min_score: float) -> Concept:
        """See :meth:`~.base.ConceptModel.find`."""
        check_image(image)
        word = " ".join(word.split())
        if not word:
            raise PromptError("The word to look for is empty: name what to find, e.g. 'building'.")
        return self._safely(lambda: self._find(image, word, min_score))

    def _safely(self, ask: Callable[[], Concept]) -> Concept:
        """The model's answer.

        Raises:
            ModelError: Out of memory.
        """
        try:
            with torch.inference_mode():
                return ask()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise ModelError(
                f"{self.info.name} ran out of memory: choose a smaller tile size or device 'cpu'."
            ) from error

    @abstractmethod
    def _find(self, image: ByteArray, word: str, min_score: float) -> Concept: ...

    def _tokens(self, text: str, **options: Any) -> dict[str, Tensor]:
        tokens = self.tokenizer(text, return_tensors="pt", truncation=True, **options)
        names = ("input_ids", "attention_mask", "token_type_ids")
        return {name: tokens[name].to(self.device) for name in names if name in tokens}


class Sam3(TransformersConcepts):
    """SAM 3: masks of all instances of a word, or of what looks like exemplar boxes.

    Two faults of ``transformers`` 5.23.0 are worked around: without boxes it leaves out the CLS
    geometry token that the official code always appends, so one padding box is always given; and
    its box encoder calls torchvision's ``roi_align``, which is replaced by our own.
    """

    family = "sam3"
    score_threshold = 0.5

    def __init__(self, model: Any, tokenizer: Any, *, name: str, fingerprint: str) -> None:
        # The module that the model's class comes from: SAM 3's, or SAM3-LiteText's copy of it.
        vars(sys.modules[type(model).__module__])["torchvision"] = SimpleNamespace(
            ops=SimpleNamespace(roi_align=roi_align)
        )
        super().__init__(model, tokenizer, name=name, fingerprint=fingerprint)
        self._seen: tuple[ByteArray, Any] | None = None

    @property
    def input_size(self) -> int:
        return int(self.model.config.vision_config.backbone_config.image_size)

    @property
    def mask_size(self) -> int:
        vision = self.model.config.vision_config
        patches = self.input_size // vision.backbone_config.patch_size
        return int(patches * max(vision.scale_factors))

    def _find(self, image: ByteArray, word: str, min_score: float) -> Concept:
        return self._ask(image, word, np.zeros((0, 4), np.float32), [], min_score)

    def find_like(
        self,
        image: ByteArray,
        boxes: FloatArray,
        *,
        min_score: float,
        unlike: FloatArray | None = None,
        word: str = "visual",
    ) -> Concept:
        """All instances of what exemplar boxes show.

        Args:
            image: (H, W, 3) uint8.
            boxes: (n, 4) float32 (row0, col0, row1, col1) in image pixels.
            min_score: As in :meth:`find`.
            unlike: (m, 4), likewise, of what is not looked for.
            word: What they show, where it has a name.

        Raises:
            PromptError: There is no box.
        """
        check_image(image)
        if len(boxes) == 0:
            raise PromptError("An exemplar is missing: draw a box around one instance.")
        others = np.zeros((0, 4), np.float32) if unlike is None else unlike
        labels = [1] * len(boxes) + [0] * len(others)
        return self._safely(
            lambda: self._ask(image, word, np.concatenate([boxes, others]), labels, min_score)
        )

    def _ask(
        self, image: ByteArray, word: str, boxes: FloatArray, labels: list[int], min_score: float
    ) -> Concept:
        height, width = image.shape[:2]
        seen = self._seen
        if seen is None or seen[0] is not image:
            size = (self.input_size, self.input_size)
            pixels = _prepared(image, size, _HALF, _HALF).to(self.device)
            seen = self._seen = (image, _four_levels(self.model.get_vision_features(pixels)))
        tokens = self._tokens(word, padding="max_length", max_length=self._words())
        text = self._text(tokens)
        scaled = boxes / np.array([height, width, height, width], np.float32)
        row0, col0, row1, col1 = scaled.T
        centred = np.stack([(col0 + col1) / 2, (row0 + row1) / 2, col1 - col0, row1 - row0], 1)
        padded = np.concatenate([centred, np.zeros((1, 4), np.float32)])
        out = self.model(
            vision_embeds=seen[1],
            text_embeds=text,
            attention_mask=tokens.get("attention_mask"),
            input_boxes=torch.from_numpy(padded.astype(np.float32))[None].to(self.device),
            input_boxes_labels=torch.tensor([[*labels, NO_BOX]], device=self.device),
        )
        scores = out.pred_logits[0].sigmoid()
        if out.presence_logits is not None:
            scores = scores * out.presence_logits[0].sigmoid()
        keep = scores > min_score
        corners = out.pred_boxes[0][keep].float().cpu().numpy()
        return Concept(
            logits=out.pred_masks[0][keep].float().cpu().numpy(),
            boxes=_pixels(corners, height, width),
            scores=scores[keep].float().cpu().numpy(),
        )

    def _text(self, tokens: Mapping[str, Tensor]) -> Any:
        # The output object, not its tensor: a bare tensor crashes.
        return self.model.get_text_features(**tokens, return_dict=True)

    def _words(self) -> int:
        return int(self.model.config.text_config.max_position_embeddings)


class LightTextSam3(Sam3):
    """The same with MobileCLIP's text encoder, from an official file.

    As in the official code the encoder reads the padding, which is token 0; only the detector is
    told which tokens are words.
    """

    def _text(self, tokens: Mapping[str, Tensor]) -> Any:
        ids = tokens["input_ids"].masked_fill(tokens["attention_mask"] == 0, 0)
        return self.model.get_text_features(input_ids=ids, return_dict=True)


def _four_levels(features: Any) -> Any:
    """The encoder's features with a fourth level: SAM 3.1 has three.

    ``transformers`` 5.23.0 leaves out the last of whatever there are, which is right for SAM 3.
    """
    if len(features.fpn_hidden_states) == 3:
        for name in ("fpn_hidden_states", "fpn_position_encoding"):
            levels = getattr(features, name)
            setattr(features, name, (*levels, levels[-1]))
    return features


class GroundingDino(TransformersConcepts):
    """Grounding DINO: boxes of all instances of a word."""

    family = "grounding_dino"
    score_threshold = 0.25
    shortest, longest = 800, 1333

    @property
    def input_size(self) -> int:
        return self.shortest

    def _find(self, image: ByteArray, word: str, min_score: float) -> Concept:
        height, width = image.shape[:2]
        scale = min(self.shortest / min(height, width), self.longest / max(height, width))
        size = max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
        pixels = _prepared(image, size, IMAGENET_MEAN, IMAGENET_STD).to(self.device)
        # Trained on lower-case phrases that end with a full stop.
        out = self.model(pixel_values=pixels, **self._tokens(f"{word.lower().rstrip('.')}."))
        scores = out.logits[0].sigmoid().amax(dim=-1)
        return _boxes_above(scores, out.pred_boxes[0], min_score, height, width)


class Owlv2(TransformersConcepts):
    """OWLv2: boxes of all instances of a word."""

    family = "owlv2"
    score_threshold = 0.2

    @property
    def input_size(self) -> int:
        return int(self.model.config.vision_config.image_size)

    def _find(self, image: ByteArray, word: str, min_score: float) -> Concept:
        side = max(image.shape[:2])
        square = np.zeros((side, side, 3), np.uint8)
        square[: image.shape[0], : image.shape[1]] = image
        size = (self.input_size, self.input_size)
        pixels = _prepared(square, size, _CLIP_MEAN, _CLIP_STD).to(self.device)
        words = int(self.model.config.text_config.max_position_embeddings)
        tokens = self._tokens(f"a photo of a {word}", padding="max_length", max_length=words)
        out = self.model(pixel_values=pixels, **tokens)
        scores = out.logits[0, :, 0].sigmoid()
        return _boxes_above(scores, out.pred_boxes[0], min_score, side, side)


KINDS: Mapping[str, tuple[type[TransformersConcepts], str]] = {
    "sam3": (Sam3, "Sam3Model"),
    "sam3_video": (Sam3, "Sam3Model"),
    "sam3_lite_text": (Sam3, "Sam3LiteTextModel"),
    "grounding-dino": (GroundingDino, "GroundingDinoForObjectDetection"),
    "owlv2": (Owlv2, "Owlv2ForObjectDetection"),
}
"""``model_type`` of a config.json to our class and the class of transformers."""


_WORDLESS = (
    "does not understand words: choose sam3, or name grounding-dino-tiny or owlv2-base as the "
    "detector beside it."
)


def load_concepts(
    name_or_path: str | Path, device: str = "auto", threads: int | None = None
) -> TransformersConcepts:
    """Load a model that understands words. Nothing is downloaded.

    Args:
        name_or_path: A name of the registry, or a folder in the hub's layout (config.json,
            model.safetensors, the tokenizer's files).
        device: As in :func:`~.registry.load_model`.
        threads: Likewise.

    Raises:
        ModelError: ``transformers`` is missing, or the model understands no words.
        CheckpointError: Files are missing or damaged.
    """
    entry = CATALOGUE.get(str(name_or_path))
    if entry is not None and entry.kind != "concept" and entry.family != "sam3":
        raise ModelError(f"The model {entry.name} {_WORDLESS}")
    located = locate(name_or_path)
    if is_official_sam3(located):
        return _official(located, device, threads)
    kind = model_type(located.path)
    if kind not in KINDS:
        raise ModelError(f"{located.name} ({kind}) {_WORDLESS}")
    transformers = require_transformers("Finding things by words")
    ours, theirs = KINDS[kind]
    # SAM 3 is hidden from the package's top where torchvision is missing.
    module = "sam3_lite_text" if kind == "sam3_lite_text" else "sam3"
    hidden = f"transformers.models.{module}.modeling_{module}"
    made = getattr(import_module(hidden) if ours is Sam3 else transformers, theirs)
    chosen = pick_device(device)
    set_threads(threads)
    model = load_pretrained(made, located)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(located.path), local_files_only=True
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise not_loaded(located, error) from error
    checksum = located.sha256 or sha256_of(weights_file(located.path))
    fingerprint = hashlib.sha256(f"{checksum} {kind} {VERSION}".encode()).hexdigest()[:32]
    return ours(model.to(chosen), tokenizer, name=located.name, fingerprint=fingerprint)


TOKENIZER_FILES = ("tokenizer.json", "vocab.json")
"""One of them is in every folder with CLIP's tokenizer."""


def is_official_sam3(located: Located) -> bool:
    """Whether a file is SAM 3's or SAM 3.1's own checkpoint; read where its name does not tell."""
    if located.entry is not None:
        return located.entry.family == "sam3" and located.path.is_file()
    if located.path.suffix not in (".pt", ".pth", ".safetensors") or not located.path.is_file():
        return False
    return is_sam3(read_state(located.path))


def tokenizer_folder(located: Located) -> Path | None:
    """Where CLIP's tokenizer lies for an official file: beside it, or with the hub's SAM 3."""
    sam3 = manifest_of(CATALOGUE["sam3"])
    places = [located.path.parent, *([locate("sam3").path] if sam3 is not None else [])]
    for place in places:
        if any((place / name).exists() for name in TOKENIZER_FILES):
            return place
    return None


def _official(located: Located, device: str, threads: int | None) -> Sam3:
    """SAM 3 or SAM 3.1 for words, from its own file.

    Raises:
        ModelError: ``transformers`` or the tokenizer is missing.
        CheckpointError: Tensors are missing, too many or of another shape.
    """
    transformers = require_transformers("Finding things by words")
    from .families.sam3.official import load_official_words

    folder = tokenizer_folder(located)
    if folder is None:
        raise ModelError(
            f"{located.name} needs CLIP's tokenizer for words: put vocab.json and merges.txt of "
            f"facebook/sam3 or openai/clip-vit-base-patch32 beside {located.path.name}. Points and "
            "boxes work without."
        )
    chosen = pick_device(device)
    set_threads(threads)
    state = read_state(located.path)
    model = load_official_words(state, located.name)
    kind = LightTextSam3 if STUDENT_TEXT in state else Sam3
    try:
        tokenizer = transformers.CLIPTokenizerFast.from_pretrained(
            str(folder), local_files_only=True
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise not_loaded(located, error) from error
    checksum = located.sha256 or sha256_of(located.path)
    fingerprint = hashlib.sha256(f"{checksum} sam3 {VERSION}".encode()).hexdigest()[:32]
    return kind(model.to(chosen), tokenizer, name=located.name, fingerprint=fingerprint)


def _may_go_on(*_: Any) -> None:
    """Before each layer: a cancel need not wait for the whole image."""
    check()


def _prepared(image: ByteArray, size: tuple[int, int], mean: Floats3, std: Floats3) -> Tensor:
    """An image resized (antialiased, to grey levels) and normalised: (1, 3, *size)."""
    pixels = torch.from_numpy(np.require(image, requirements=["C", "W"])).permute(2, 0, 1)[None]
    if tuple(pixels.shape[-2:]) != size:
        pixels = F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
    return (pixels.float() - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def _boxes_above(
    scores: Tensor, boxes: Tensor, min_score: float, height: int, width: int
) -> Concept:
    """Boxes (n, 4) as (cx, cy, w, h) in fractions, those above a score, in pixels."""
    keep = scores > min_score
    cx, cy, w, h = boxes[keep].float().cpu().numpy().reshape(-1, 4).T
    corners = np.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], axis=1)
    return Concept(None, _pixels(corners, height, width), scores[keep].float().cpu().numpy())


def _pixels(corners: FloatArray, height: int, width: int) -> FloatArray:
    """(n, 4) of (x0, y0, x1, y1) in fractions as (row0, col0, row1, col1) in pixels."""
    x0, y0, x1, y1 = np.clip(corners.reshape(-1, 4), 0, 1).T
    return np.stack([y0 * height, x0 * width, y1 * height, x1 * width], axis=1).astype(np.float32)
