# SPDX-License-Identifier: GPL-2.0-or-later
"""The models that are known by name, and how a name or a path becomes a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import ModelError
from .base import PromptableModel
from .download import Source

if TYPE_CHECKING:
    from .checkpoints import Located
    from .video import TorchVideoModel

Kind = Literal["promptable", "concept"]

EMBEDDED = "embedded"
"""The model that comes with the package."""

VIDEO_FAMILIES = frozenset({"sam2", "edgetam"})
"""Families whose models have a memory."""


@dataclass(frozen=True)
class ModelEntry:
    """A published model.

    Args:
        name: What a user calls it.
        family: As in :class:`~.base.ModelInfo`.
        title: For a person.
        licence: SPDX identifier, or the name of a licence of its own.
        page: Where its publisher describes it.
        files: What to download; none where it comes with the package.
        kind: "promptable" (points, boxes, masks) or "concept" (words).
        gated: The publisher wants a login and an accepted licence.
        member: The checkpoint inside the file where that is a zip archive around it.
        memory: About how many bytes a process needs in all that runs it on a CPU, for an image of
            1024 x 1024; 0 where it was not measured (``benchmarks/families.py``).
    """

    name: str
    family: str
    title: str
    licence: str
    page: str
    files: tuple[Source, ...] = ()
    kind: Kind = "promptable"
    gated: bool = False
    member: str = ""
    memory: int = 0

    @property
    def size(self) -> int:
        """About how many bytes it takes, in all."""
        return sum(file.size for file in self.files)


_META = "https://dl.fbaipublicfiles.com"
_HUB = "https://huggingface.co"
_SAM_PAGE = "https://github.com/facebookresearch/segment-anything"
_SAM2_PAGE = "https://github.com/facebookresearch/sam2"


_MEMORY = {
    EMBEDDED: 600,
    "sam-vit-b": 1100,
    "sam-vit-l": 2700,
    "sam-vit-h": 5400,
    "mobile-sam": 700,
    "sam2.1-tiny": 1100,
    "sam2.1-small": 1100,
    "sam2.1-base-plus": 1300,
    "sam2.1-large": 2100,
    "edgetam": 700,
    "sam-hq-tiny": 900,
    "sam-hq-vit-b": 1300,
    "sam-hq-vit-l": 2900,
    "sam-hq-vit-h": 5600,
    "efficient-sam-ti": 700,
    "efficient-sam-s": 900,
}
"""MB. Models that only differ in their weights need as much: SAM 2's are SAM 2.1's. SAM-HQ's L and
H were not measured: SAM's, and what B needs more."""


def _sam(size: str, file: str, mb: int, sha256: str) -> ModelEntry:
    source = Source(f"{_META}/segment_anything/{file}", file, sha256, mb * 10**6)
    title = f"Segment Anything, ViT-{size.upper()}"
    return ModelEntry(f"sam-vit-{size}", "sam", title, "Apache-2.0", _SAM_PAGE, (source,))


def _sam2(version: str, size: str, mb: int, sha256: str = "") -> ModelEntry:
    folder = "092824" if version == "2.1" else "072824"
    file = f"sam{version}_hiera_{size.replace('-', '_')}.pt" if version == "2.1" else ""
    file = file or f"sam2_hiera_{size.replace('-', '_')}.pt"
    source = Source(f"{_META}/segment_anything_2/{folder}/{file}", file, sha256, mb * 10**6)
    title = f"Segment Anything {version}, Hiera {size}"
    return ModelEntry(f"sam{version}-{size}", "sam2", title, "Apache-2.0", _SAM2_PAGE, (source,))


def _sam_hq(size: str, mb: int) -> ModelEntry:
    file = f"sam_hq_vit_{size}.pth"
    source = Source(f"{_HUB}/lkeab/hq-sam/resolve/main/{file}", file, "", mb * 10**6)
    name = "sam-hq-tiny" if size == "tiny" else f"sam-hq-vit-{size}"
    title = f"Segment Anything in High Quality, ViT-{size.upper() if len(size) == 1 else size}"
    page = "https://github.com/SysCV/sam-hq"
    return ModelEntry(name, "sam_hq", title, "Apache-2.0", page, (source,))


def _concept(
    name: str, family: str, title: str, repository: str, licence: str, mb: int, extra: str
) -> ModelEntry:
    base = f"{_HUB}/{repository}/resolve/main"
    tokens = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", *extra.split())
    files = (
        Source(f"{base}/config.json", "config.json"),
        Source(f"{base}/model.safetensors", "model.safetensors", "", mb * 10**6),
        *(Source(f"{base}/{file}", file, optional=True) for file in tokens),
    )
    gated = licence == "SAM License"
    page = f"{_HUB}/{repository}"
    return ModelEntry(name, family, title, licence, page, files, "concept", gated)


_ENTRIES = (
    ModelEntry(
        EMBEDDED,
        "embedded",
        "Small model that comes with SamGeo Seamless",
        "GPL-2.0-or-later",
        "",
    ),
    _sam(
        "b",
        "sam_vit_b_01ec64.pth",
        375,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    _sam(
        "l",
        "sam_vit_l_0b3195.pth",
        1250,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    _sam(
        "h",
        "sam_vit_h_4b8939.pth",
        2565,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
    ModelEntry(
        "mobile-sam",
        "mobile_sam",
        "MobileSAM, TinyViT-5M",
        "Apache-2.0",
        "https://github.com/ChaoningZhang/MobileSAM",
        (
            Source(
                "https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",
                "mobile_sam.pt",
                "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
                41 * 10**6,
            ),
        ),
    ),
    _sam2("2.1", "tiny", 156, "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69"),
    _sam2("2.1", "small", 184, "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38"),
    _sam2(
        "2.1", "base-plus", 324, "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5"
    ),
    _sam2("2.1", "large", 898, "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318"),
    _sam2("2", "tiny", 156),
    _sam2("2", "small", 184),
    _sam2("2", "base-plus", 324),
    _sam2("2", "large", 898),
    ModelEntry(
        "edgetam",
        "edgetam",
        "EdgeTAM, RepViT-M1 (SAM 2 with a light encoder)",
        "Apache-2.0",
        "https://github.com/facebookresearch/EdgeTAM",
        (
            Source(
                "https://github.com/facebookresearch/EdgeTAM/raw/main/checkpoints/edgetam.pt",
                "edgetam.pt",
                "",
                56 * 10**6,
            ),
        ),
    ),
    _sam_hq("tiny", 43),
    _sam_hq("b", 379),
    _sam_hq("l", 1250),
    _sam_hq("h", 2570),
    ModelEntry(
        "efficient-sam-ti",
        "efficient_sam",
        "EfficientSAM, ViT-Ti",
        "Apache-2.0",
        "https://github.com/yformer/EfficientSAM",
        (
            Source(
                "https://github.com/yformer/EfficientSAM/raw/main/weights/efficient_sam_vitt.pt",
                "efficient_sam_vitt.pt",
                "",
                41 * 10**6,
            ),
        ),
    ),
    ModelEntry(
        "efficient-sam-s",
        "efficient_sam",
        "EfficientSAM, ViT-S",
        "Apache-2.0",
        "https://github.com/yformer/EfficientSAM",
        (
            Source(
                "https://github.com/yformer/EfficientSAM/raw/main/weights/efficient_sam_vits.pt.zip",
                "efficient_sam_vits.pt.zip",
                "",
                98 * 10**6,
            ),
        ),
        member="efficient_sam_vits.pt",
    ),
    _concept(
        "sam3",
        "sam3",
        "Segment Anything 3",
        "facebook/sam3",
        "SAM License",
        3440,
        "vocab.json merges.txt",
    ),
    _concept(
        "grounding-dino-tiny",
        "grounding_dino",
        "Grounding DINO, Swin-T",
        "IDEA-Research/grounding-dino-tiny",
        "Apache-2.0",
        690,
        "vocab.txt",
    ),
    _concept(
        "owlv2-base",
        "owlv2",
        "OWLv2, ViT-B/16, ensemble",
        "google/owlv2-base-patch16-ensemble",
        "Apache-2.0",
        620,
        "vocab.json merges.txt",
    ),
)


def _megabytes(name: str) -> int:
    return _MEMORY.get(name, _MEMORY.get(name.replace("sam2-", "sam2.1-"), 0))


REGISTRY: dict[str, ModelEntry] = {
    entry.name: replace(entry, memory=_megabytes(entry.name) * 10**6) for entry in _ENTRIES
}
"""All known models by name. Sums are the published ones; where a publisher gives none, the hub's
own (``X-Linked-Etag``) or the one of the first download is kept and compared with later."""


def find(name: str) -> ModelEntry:
    """The entry of a name.

    Raises:
        ModelError: There is none.
    """
    try:
        return REGISTRY[name]
    except KeyError:
        raise ModelError(
            f"There is no model named '{name}': choose {', '.join(REGISTRY)}, or give the path of "
            "a checkpoint."
        ) from None


def load_model(
    name_or_path: str | Path,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
) -> PromptableModel:
    """Load a promptable model. Nothing is downloaded.

    Args:
        name_or_path: A name of :data:`REGISTRY`, or the path of a checkpoint (.pth, .pt,
            .safetensors) or of a folder in the hub's layout; its family is told by its keys.
        device: "auto", "cpu", "cuda", "cuda:1", "mps".
        threads: CPU threads, or None to leave torch's choice.
        precision: Number type of the heavy products; see :func:`~.runtime.pick_dtype`.

    Raises:
        ModelError: There is no such model, device or precision, or it understands words only.
        CheckpointError: The file is missing, damaged, or of no known family.
    """
    from . import checkpoints, weights

    if name_or_path == EMBEDDED:
        return _embedded(device, threads, precision, None)
    found = checkpoints.locate(name_or_path)
    if found.path.is_dir() and (found.path / "config.json").exists():
        from .pretrained import model_type
        from .sam3 import MODEL_TYPES, load_sam3

        if model_type(found.path) in MODEL_TYPES:
            return load_sam3(found, device, threads, precision)
    if found.entry is not None and found.entry.kind == "concept":
        raise ModelError(
            f"{found.entry.name} finds things by words: use it with text prompts, or choose "
            "another model for points, boxes and automatic masks."
        )
    if found.path.suffix == ".safetensors" and weights.family_note(found.path) == EMBEDDED:
        return _embedded(device, threads, precision, found.path)  # fine-tuned by the user
    return _built(found, device, threads, precision, video=False)


def load_video_model(
    name_or_path: str | Path,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
) -> TorchVideoModel:
    """Load a model with its memory: SAM 2, 2.1 or EdgeTAM. Nothing is downloaded.

    Args:
        name_or_path, device, threads, precision: As in :func:`load_model`; official checkpoints
            only.

    Raises:
        ModelError: There is no such model, device or precision, or it has no memory.
        CheckpointError: The file is missing or damaged, or lacks the memory's tensors.
    """
    from . import checkpoints
    from .video import TorchVideoModel

    found = checkpoints.locate(name_or_path)
    kind = "" if found.entry is None else found.entry.family
    if found.path.is_dir() or (kind and kind not in VIDEO_FAMILIES):
        raise ModelError(
            f"{found.name} has no memory to follow objects with: choose SAM 2, SAM 2.1 or EdgeTAM "
            "(an official checkpoint), or track without memory."
        )
    model = _built(found, device, threads, precision, video=True)
    if not isinstance(model, TorchVideoModel):
        raise ModelError(f"{found.name} has no memory: choose SAM 2, SAM 2.1 or EdgeTAM.")
    return model


def _built(
    found: Located, device: str, threads: int | None, precision: str, *, video: bool
) -> PromptableModel:
    from . import families, weights

    return families.build(
        weights.read_state(found.path),
        name=found.name,
        device=device,
        precision=precision,
        threads=threads,
        fingerprint=found.sha256,
        video=video,
    )


def _embedded(
    device: str, threads: int | None, precision: str, path: Path | None
) -> PromptableModel:
    from .embedded import load_embedded

    if precision not in ("auto", "float32"):
        raise ModelError(
            f"The embedded model runs in float32: leave the precision {precision} out, or choose "
            "another model."
        )
    return load_embedded(device, threads, path)
