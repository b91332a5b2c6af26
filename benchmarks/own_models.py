# SPDX-License-Identifier: GPL-2.0-or-later
"""Adapters of SAM ViT-B and SAM 2.1 tiny at their real sizes, with random weights, on one scene.

    python -m benchmarks.own_models [sam-vit-b sam2.1-tiny] [--steps 12]

Checked: the loss falls, only the chosen parameters change, the file is small, and a network built
anew with the file in it gives the trained answers to 1e-5. Ends with 1 where one of these fails.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from samgeo_core.labels.places import Cut
from samgeo_core.models.base import Prompts
from samgeo_core.models.embedding_cache import EmbeddingCache
from samgeo_core.models.load import with_changes
from samgeo_core.models.weights.own import OwnNotes, changed, save_own
from samgeo_core.raster.raster import open_raster
from samgeo_core.training.finetuning.examples import ExampleOptions, Windows, read_examples
from samgeo_core.training.finetuning.finetune import LoopOptions, Run
from samgeo_core.training.finetuning.learners import SamLearner, halved
from samgeo_core.training.finetuning.measure import CachedEncoder

from benchmarks.families import make

SCENE = Path(__file__).parents[1] / "sample_data"


def check(name: str, steps: int, folder: Path) -> list[str]:
    """What fails for a model; prints its figures."""
    torch.manual_seed(0)
    base, parameters = make(name)
    with open_raster(str(SCENE / "town.tif")) as raster:
        examples = read_examples(
            raster,
            SCENE / "town_truth.gpkg",
            ExampleOptions(layer="buildings", complete_everywhere=True),
        )
        some = replace(examples, objects=examples.objects[:30])
        windows = Windows(raster, 1024).around(some, Cut(0, float(raster.width)), "train")[:1]
    encoder = CachedEncoder(base, EmbeddingCache(folder / "cache"), base.info.fingerprint)
    before = {key: value.clone() for key, value in base.network.state_dict().items()}
    fresh = copy.deepcopy(base)
    learner = SamLearner(base, encoder, windows, "adapter")
    run = Run(learner, LoopOptions(steps=steps, rate=2e-3, warm_up=2, look=steps), (), None, "")
    run.advance()  # encodes the window
    begun = time.process_time()
    run.go(lambda *_: None)
    each = (time.process_time() - begun) / (steps - 1)
    kept = {key: value.float() for key, value in halved(run.best).items()}
    notes = OwnNotes(base.network.family, "adapter", name, "0", "0.7", "0.8")
    path = save_own(folder, "mine", learner.file(kept), notes, {})
    trained = learner.model(kept)
    embedding = encoder.encode([windows[0].pixels])[0]
    corners = [o.box.shifted(-windows[0].box.row0, -windows[0].box.col0)
               for o in windows[0].objects[:4]]  # fmt: skip
    boxes = np.array([(b.row0, b.col0, b.row1, b.col1) for b in corners], np.float32)
    wanted = trained.decode(embedding, Prompts(boxes=boxes))
    plain = base.decode(embedding, Prompts(boxes=boxes))
    loaded = with_changes(fresh, load_file(path), 0.7, 0.8)
    same = replace(embedding, fingerprint=loaded.info.fingerprint)
    got = loaded.decode(same, Prompts(boxes=boxes))
    apart = float(np.abs(got.logits - wanted.logits).max())
    moved = float(np.abs(plain.logits - wanted.logits).max())
    first, last = (float(np.mean(run.losses[s])) for s in (slice(0, 4), slice(-4, None)))
    names = changed(before, kept)
    failed = []
    if not last < first:
        failed.append("the loss does not fall")
    if any(not torch.equal(v, before[k]) for k, v in base.network.state_dict().items()):
        failed.append("the base model has changed")
    if not names or any(not key.startswith("mask_decoder.") for key in names):
        failed.append("other parameters than the decoder's have changed")
    if path.stat().st_size > parameters / 20:
        failed.append("the file is not small")
    if apart > 1e-5 or moved < 1e-3:
        failed.append("the loaded file does not give the trained answers")
    print(
        f"{name}: {parameters:,} parameters, adapter {sum(v.numel() for v in kept.values()):,} in "
        f"{path.stat().st_size / 1e6:.2f} MB; loss {first:.3f} to {last:.3f} in {steps} steps of "
        f"{each:.1f} s of CPU; loaded answers {apart:.1e} from the trained ones, which are "
        f"{moved:.2f} from the base model's{': ' if failed else ''}{'; '.join(failed)}",
        flush=True,
    )
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["sam-vit-b", "sam2.1-tiny"])
    parser.add_argument("--steps", type=int, default=12)
    options = parser.parse_args()
    failed = []
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            failed += check(name, options.steps, Path(folder))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
