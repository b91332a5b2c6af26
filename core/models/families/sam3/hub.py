# SPDX-License-Identifier: GPL-2.0-or-later
"""SAM 3 (Carion et al. 2025) with points, boxes and masks; text prompts are in ``models/words.py``.

The encoder is that of ``transformers`` (an optional extra, pinned); prompts and decoder are those
of SAM 2, and ours. One fault of ``transformers`` 5.23.0 is thereby avoided: its Sam3TrackerModel
takes four levels from the published encoder and adds the "no memory" row to the last of them,
which the decoder never reads; the official code leaves that level out and adds the row to the
image's features.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ....errors import CheckpointError
from ...image import Floats3, Preprocessing
from ...promptable import TorchModel
from ...runtime import pick_device, pick_dtype, set_threads
from ...weights import hub_names as hub
from ...weights.checkpoints import Located
from ...weights.download import sha256_of
from ...weights.files import weights_file
from ...weights.pretrained import VERSION, load_pretrained, require_transformers
from ..recognise import finished
from ..sam2 import SAM2_VIDEO, sam2_name
from ..sam2_network import Sam2

MODEL_TYPES = ("sam3_video", "sam3_tracker", "sam3_tracker_video")
"""``model_type`` of folders that hold the decoder for points (the published one is the first)."""

_HALF: Floats3 = (127.5, 127.5, 127.5)


class VisionEncoder(nn.Module):
    """The encoder of transformers, called like SAM 2's."""

    def __init__(self, vision: nn.Module) -> None:
        super().__init__()
        self.vision = vision

    def forward(self, images: Tensor, fine4: nn.Conv2d, fine8: nn.Conv2d) -> list[Tensor]:
        """See :meth:`.hiera.Encoder.forward`; strides are 14, 7 and 3.5."""
        levels = self.vision(pixel_values=images, return_dict=True).fpn_hidden_states
        return [levels[2], fine8(levels[1]), fine4(levels[0])]


class Sam3Points(Sam2):
    """SAM 3 on single images, for points, boxes and masks."""

    family = "sam3"

    def __init__(self, vision: nn.Module, size: int = 1008, patch: int = 14) -> None:
        # Stretched as grey levels, unlike SAM 2.
        preprocessing = Preprocessing(size, _HALF, _HALF, True, "levels")
        super().__init__(VisionEncoder(vision), preprocessing=preprocessing, stride=patch)


def load_sam3(
    located: Located,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
) -> TorchModel:
    """Load SAM 3 for points, boxes and masks. Nothing is downloaded.

    Args:
        located: A folder in the hub's layout whose type is one of :data:`MODEL_TYPES`.
        device, threads, precision: As in :func:`~.registry.load_model`.

    Raises:
        ModelError: ``transformers`` is missing, or there is no such device.
        CheckpointError: Files or tensors are missing or damaged.
    """
    require_transformers("SAM 3")
    from transformers.models.sam3_tracker.modeling_sam3_tracker import Sam3TrackerModel

    chosen = pick_device(device)
    dtype = pick_dtype(precision, chosen)
    set_threads(threads)
    theirs: Any = load_pretrained(Sam3TrackerModel, located)
    prompts = theirs.config.prompt_encoder_config
    network = Sam3Points(theirs.vision_encoder, prompts.image_size, prompts.patch_size)
    head = {
        sam2_name(key): value
        for key, value in hub.official_head(theirs.state_dict()).items()
        if not key.startswith(SAM2_VIDEO)
    }
    missing, extra = network.load_state_dict(head, strict=False)
    wrong = [key for key in missing if not key.startswith("image_encoder.")] + extra
    if wrong:
        raise CheckpointError(
            f"{located.path} is not the SAM 3 that this version runs ({wrong[0]}): download it "
            "again."
        )
    checksum = located.sha256 or sha256_of(weights_file(located.path))
    return finished(
        network,
        name=located.name,
        device=chosen,
        dtype=dtype,
        checksum=f"{checksum} {VERSION}",
    )
