# SPDX-License-Identifier: GPL-2.0-or-later
"""Catalogue of published models: data only, so that listing it imports nothing."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..errors import ModelError

Kind = Literal["promptable", "concept"]

EMBEDDED = "embedded"
"""The model that comes with the package."""

EMBEDDED_WEIGHTS = Path(__file__).parent / "embedded" / "embedded.safetensors"
EMBEDDED_CARD = EMBEDDED_WEIGHTS.with_suffix(".json")
"""Its files, which lie in the package."""


@dataclass(frozen=True)
class Source:
    """A file on the network.

    Args:
        url: Where it is.
        filename: Its name on the disk.
        sha256: Its checksum, hexadecimal; "" where the publisher gives none.
        size: About how many bytes, for a person to decide by; 0 where unknown.
        optional: The publisher may not have it.
    """

    url: str
    filename: str
    sha256: str = ""
    size: int = 0
    optional: bool = False


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
    "sam-hq2-large": 2200,
    "efficient-sam-ti": 700,
    "efficient-sam-s": 900,
    "efficientvit-sam-l0": 700,
    "efficientvit-sam-l1": 700,
    "efficientvit-sam-l2": 900,
    "efficientvit-sam-xl0": 1300,
    "efficientvit-sam-xl1": 1900,
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


def _efficientvit_sam(size: str, mb: int) -> ModelEntry:
    file = f"efficientvit_sam_{size}.pt"
    repository = "mit-han-lab/efficientvit-sam"
    source = Source(f"{_HUB}/{repository}/resolve/main/{file}", file, "", mb * 10**6)
    name, title = f"efficientvit-sam-{size}", f"EfficientViT-SAM, {size.upper()}"
    page = "https://github.com/mit-han-lab/efficientvit/tree/master/applications/efficientvit_sam"
    return ModelEntry(name, "efficientvit_sam", title, "Apache-2.0", page, (source,))


def _efficientsam3(name: str, trunk: str, mb: int) -> ModelEntry:
    file = f"efficientsam3_{name}.pt"
    repository = "Simon7108528/EfficientSAM3"
    url = f"{_HUB}/{repository}/resolve/main/efficientsam3_ft/{file}"
    return ModelEntry(
        f"efficientsam3-{name}",
        "sam3",
        f"EfficientSAM3, {trunk} (words with CLIP's tokenizer beside the file)",
        # As its authors write; what they took over from SAM 3 stays under Meta's.
        "Apache-2.0, in parts SAM License",
        "https://github.com/SimonZeng7108/efficientsam3",
        (Source(url, file, "", mb * 10**6),),
    )


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
        "sam-hq2-large",
        "sam_hq2",
        "Segment Anything 2.1 in High Quality, Hiera large",
        "Apache-2.0",
        "https://github.com/SysCV/sam-hq/tree/main/sam-hq2",
        (
            Source(
                f"{_HUB}/lkeab/hq-sam/resolve/main/sam2.1_hq_hiera_large.pt",
                "sam2.1_hq_hiera_large.pt",
                "",
                900 * 10**6,
            ),
        ),
    ),
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
    _efficientvit_sam("l0", 139),
    _efficientvit_sam("l1", 191),
    _efficientvit_sam("l2", 246),
    _efficientvit_sam("xl0", 468),
    _efficientvit_sam("xl1", 814),
    _concept(
        "sam3",
        "sam3",
        "Segment Anything 3",
        "facebook/sam3",
        "SAM License",
        3440,
        "vocab.json merges.txt",
    ),
    ModelEntry(
        "sam3.1",
        "sam3",
        "Segment Anything 3.1 (words with CLIP's tokenizer beside the file)",
        "SAM License",
        f"{_HUB}/facebook/sam3.1",
        (
            Source(
                f"{_HUB}/facebook/sam3.1/resolve/main/sam3.1_multiplex.pt",
                "sam3.1_multiplex.pt",
                "",
                3500 * 10**6,
            ),
        ),
        gated=True,
    ),
    _efficientsam3("efficientvit", "EfficientViT-B1", 360),
    _efficientsam3("repvit", "RepViT-M1.1", 370),
    _efficientsam3("tinyvit", "TinyViT-11M", 380),
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


CATALOGUE: dict[str, ModelEntry] = {
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
        return CATALOGUE[name]
    except KeyError:
        near = difflib.get_close_matches(name.lower(), CATALOGUE, n=3, cutoff=0.5) or ["embedded"]
        raise ModelError(
            f"There is no model named '{name:.80}': choose one from the list of models ('samgeo "
            f"models list', in QGIS the panel's), for example {' or '.join(near)}, or give the "
            "path of a checkpoint."
        ) from None
