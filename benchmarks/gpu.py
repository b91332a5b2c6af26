# SPDX-License-Identifier: GPL-2.0-or-later
"""What a GPU gives: one run of under five minutes that prints a table with the card's name.

    python -m benchmarks.gpu                          # random weights of SAM ViT-B, 1024 x 1024
    python -m benchmarks.gpu --model sam2.1-small     # weights that are on this computer
    python -m benchmarks.gpu --device cpu --tiny      # only tries the script's own code path

Lines: encoding (one image and batches, each number type), the latency of a click on an encoded
image, the automatic search of 32 x 32 points (the official generator where ``segment-anything`` can
be imported, ours in each number type, ours with a compiled encoder), the most memory of the GPU,
and what happens when memory runs out: the limit is lowered until a batch does not fit, and the
answer must be the same. Medians of --rounds after a warm-up; every line waits for the GPU to end.
A part that fails is told in its line, and the others go on. Masks of float32 and of half precision
are compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from samgeo_core.models.base import Prompts
from samgeo_core.models.families import recognise as families
from samgeo_core.models.load import load_model
from samgeo_core.segmenters.automatic import AutomaticOptions, AutomaticSegmenter
from samgeo_core.segmenters.segmenter import TileImage
from samgeo_core.tiles.grid import Tile
from samgeo_core.types import PixelBox, TileIndex

from benchmarks.automatic import picture, random_state, torchvision

Rows = list[tuple[str, str, str]]


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seconds(work: Callable[[], Any], device: torch.device, rounds: int) -> float:
    """Median of ``rounds`` after one that is not counted."""
    taken = []
    for _ in range(rounds + 1):
        synchronise(device)
        start = time.perf_counter()
        work()
        synchronise(device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def peak(device: torch.device, work: Callable[[], Any]) -> str:
    """Most memory of the GPU during a piece of work, MB."""
    if device.type != "cuda":
        work()
        return ""
    torch.cuda.reset_peak_memory_stats(device)
    work()
    return f"{torch.cuda.max_memory_allocated(device) / 1e6:.0f} MB"


def tiny_state() -> dict[str, torch.Tensor]:
    """A small SAM, for trying the script."""
    from samgeo_core.models.families.sam import Sam
    from samgeo_core.models.image import Preprocessing
    from samgeo_core.models.nn.vit import ViT

    torch.manual_seed(0)
    network = Sam(ViT(32, 2, 2, [1], 8), Preprocessing(size=128))
    return {key: 0.1 * torch.randn_like(value) for key, value in network.state_dict().items()}


class Bench:
    """One model in each number type on one device."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.device = torch.device(given.device)
        self.image = picture()
        if given.tiny:
            self.image = np.ascontiguousarray(self.image[:128, :128])
        self.state: dict[str, torch.Tensor] | None = None
        if given.model is None:
            self.state = tiny_state() if given.tiny else random_state("sam")
        self.rows: Rows = []

    def model(self, precision: str) -> Any:
        if self.state is None:
            return load_model(self.given.model, self.given.device, precision=precision)
        return families.build(self.state, device=self.given.device, precision=precision)

    def line(
        self, what: str, work: Callable[[], str], note: Callable[[], str] = lambda: ""
    ) -> None:
        """One row; a part that fails says why."""
        try:
            self.rows.append((what, work(), note()))
        except Exception as error:  # a card that lacks something must not end the run
            first = (str(error).strip() or type(error).__name__).splitlines()[0][:100]
            self.rows.append((what, "failed", first))
        print(f"  {self.rows[-1][0]:44}{self.rows[-1][1]:>14}  {self.rows[-1][2]}", flush=True)

    def run(self) -> None:
        kinds = ["float32", "bfloat16"] + ["float16"] * (self.device.type == "cuda")
        embeddings: dict[str, Any] = {}
        for kind in kinds:
            self.encoding(kind)
            self.click(kind, embeddings)
        self.agreement(embeddings)
        if not self.given.skip_official:
            self.line("automatic, official generator", self.official)
        for kind in kinds:
            self.line(f"automatic, ours, {kind}", lambda kind=kind: self.automatic(kind))
        if not self.given.skip_compiled:
            self.line("automatic, ours, best type, compiled encoder", self.compiled)
        self.line("out of memory", self.out_of_memory)

    def encoding(self, kind: str) -> None:
        model = self.model(kind)
        for batch in (1, 4):
            images = [self.image] * batch

            def work(images: list[np.ndarray] = images) -> str:
                taken = seconds(lambda: model.encode(images), self.device, self.given.rounds)
                return f"{1000 * taken / len(images):.1f} ms"

            def memory(images: list[np.ndarray] = images) -> str:
                return peak(self.device, lambda: model.encode(images))

            self.line(f"encode, {kind}, batch of {batch}, per image", work, memory)

    def click(self, kind: str, embeddings: dict[str, Any]) -> None:
        model = self.model(kind)
        (embedding,) = model.encode([self.image])
        middle = np.full((1, 1, 2), self.image.shape[0] / 2, np.float32)
        prompt = Prompts(middle, np.ones((1, 1), np.int8))

        def work() -> str:
            taken = seconds(lambda: model.decode(embedding, prompt), self.device, self.given.rounds)
            embeddings[kind] = model.decode(embedding, prompt).logits
            return f"{1000 * taken:.1f} ms"

        self.line(f"click on an encoded image, {kind}", work)

    def agreement(self, logits: dict[str, np.ndarray]) -> None:
        base = logits.get("float32")
        for kind, other in logits.items():
            if base is None or kind == "float32":
                continue

            def work(other: np.ndarray = other) -> str:
                return f"{((other > 0) == (base > 0)).mean():.2%}"

            self.line(f"cells as in float32, {kind}", work)

    def tile(self, model: Any) -> Callable[[], Any]:
        side = self.image.shape[0]
        whole = PixelBox(0, 0, side, side)
        options = AutomaticOptions(
            points_per_side=self.given.points, score_threshold=-1.0, stability_threshold=0.0,
            max_iou=1.0,
        )  # fmt: skip
        segmenter = AutomaticSegmenter(model, options)
        tile = Tile(TileIndex(0, 0), whole, whole, whole)
        valid = np.ones((side, side), bool)
        image = TileImage(tile, self.image, valid, side, segmenter.cell_size(side))
        return lambda: segmenter.segment(image)

    def automatic(self, kind: str) -> str:
        work = self.tile(self.model(kind))
        return f"{seconds(work, self.device, 1):.2f} s"

    def compiled(self) -> str:
        kind = "bfloat16" if self.device.type == "cuda" else "float32"
        model = self.model(kind)
        model.network.image_encoder = torch.compile(model.network.image_encoder)
        start = time.perf_counter()
        model.encode([self.image])
        warming = time.perf_counter() - start
        taken = seconds(self.tile(model), self.device, 1)
        return f"{taken:.2f} s (+{warming:.0f})"

    def official(self) -> str:
        torchvision()
        if os.environ.get("SAMGEO_SEGMENT_ANYTHING"):
            sys.path.insert(0, os.environ["SAMGEO_SEGMENT_ANYTHING"])
        from segment_anything import SamAutomaticMaskGenerator, build_sam_vit_b

        if self.state is None or self.given.tiny:
            raise ValueError("compared with random weights of ViT-B only")
        theirs = build_sam_vit_b()
        theirs.load_state_dict(self.state, strict=False)
        generator = SamAutomaticMaskGenerator(
            theirs.eval().to(self.device),
            points_per_side=self.given.points,
            pred_iou_thresh=0.0,
            stability_score_thresh=0.0,
            box_nms_thresh=1.0,
        )
        return f"{seconds(lambda: generator.generate(self.image), self.device, 1):.2f} s"

    def out_of_memory(self) -> str:
        """A batch that does not fit is halved, and its answer is that of single prompts."""
        if self.device.type != "cuda":
            return "not here"
        model = self.model("float32")
        (embedding,) = model.encode([self.image])
        rng = np.random.default_rng(0)
        places = rng.uniform(1, self.image.shape[0] - 1, (256, 1, 2)).astype(np.float32)
        prompts = Prompts(places, np.ones((256, 1), np.int8))
        alone = model.decode(embedding, prompts[:8])
        model._batch = 256
        total = torch.cuda.get_device_properties(self.device).total_memory
        used = torch.cuda.memory_allocated(self.device)
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(min(1.0, (used + 2e9) / total), self.device)
        try:
            together = model.decode(embedding, prompts)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0, self.device)
        far = float(np.abs(together.logits[:8] - alone.logits).max())
        if len(together.index) != 256 or far > 1e-2:
            raise AssertionError(f"{len(together.index)} answers, {far:.1e} from single prompts")
        return "halved, same"


def named(device: torch.device) -> str:
    """The card, or that there is none."""
    if device.type == "cuda":
        card = torch.cuda.get_device_properties(device)
        return f"{card.name}, {card.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}"
    return "Apple's GPU" if device.type == "mps" else "NO GPU: this run shows nothing but itself"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--model", help="name or path, instead of random weights of SAM ViT-B")
    parser.add_argument("--points", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tiny", action="store_true", help="a model of no size, for the script")
    parser.add_argument("--skip-official", action="store_true")
    parser.add_argument("--skip-compiled", action="store_true")
    given = parser.parse_args()
    start = time.perf_counter()
    bench = Bench(given)
    print(f"{named(bench.device)}; torch {torch.__version__}", flush=True)
    with torch.inference_mode():
        bench.run()
    print(f"\n{named(bench.device)}; torch {torch.__version__}; {given.points} points per side\n")
    print("| what | result | note |\n|---|---|---|")
    for row in bench.rows:
        print(f"| {' | '.join(row)} |")
    print(f"\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
