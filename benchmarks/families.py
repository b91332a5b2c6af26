# SPDX-License-Identifier: GPL-2.0-or-later
"""How long does each model of the family take to encode an image, and to decode a prompt?

    python -m benchmarks.families [--models mobile-sam sam-vit-b ...] [--threads 2] [--rounds 3]
    python -m benchmarks.families --precision bfloat16      # or --compile: encoders only

Real sizes, random weights (the embedded model has its own, and stays as it is), one image of 1024
x 1024 on the CPU, medians. *first click* is the first answer on a new embedding: what all prompts
of an image share is computed there. *a prompt* is the time of one of many that are asked together,
three masks each. *started* is the first image and click of all, with whatever is compiled or set up
then. *peak* is all the memory of a process that does only this. CPU time counts all threads and is
the fair figure where other programs run.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from samgeo_core.models.base import Embedding, PromptableModel, Prompts
from samgeo_core.models.catalogue import CATALOGUE, EMBEDDED
from samgeo_core.models.embedded.load import load_embedded
from samgeo_core.models.families.edge_tam import EdgeTam
from samgeo_core.models.families.efficient_sam import EfficientSam, PlainViT
from samgeo_core.models.families.efficientvit_sam import EfficientVitSam
from samgeo_core.models.families.mobile_sam import MobileSam
from samgeo_core.models.families.sam import Sam
from samgeo_core.models.families.sam2_network import Sam2
from samgeo_core.models.families.sam_hq import SamHq
from samgeo_core.models.families.sam_hq2 import SamHq2
from samgeo_core.models.image import Preprocessing
from samgeo_core.models.network import Network
from samgeo_core.models.nn import efficient_vit, rep_vit
from samgeo_core.models.nn.hiera import SIZES, Encoder
from samgeo_core.models.nn.tiny_vit import TinyViT
from samgeo_core.models.nn.vit import ViT
from samgeo_core.models.runtime import pick_dtype

from benchmarks.automatic import peak
from benchmarks.decoder import question, with_weights

LARGE = ("sam-vit-l", "sam-vit-h")
"""Only measured when named: they take minutes and gigabytes."""


def _vit(size: str) -> ViT:
    dim, depth, heads = {"b": (768, 12, 12), "l": (1024, 24, 16), "h": (1280, 32, 16)}[size]
    return ViT(dim, depth, heads, range(depth // 4 - 1, depth, depth // 4), 64)


def _hiera(number: int) -> Network:
    return Sam2(Encoder(SIZES[number], (7, 7)))


NETWORKS: dict[str, Callable[[], Network]] = {
    "mobile-sam": lambda: MobileSam(TinyViT(), Preprocessing()),
    "efficient-sam-ti": lambda: EfficientSam(PlainViT(192, 12)),
    "efficient-sam-s": lambda: EfficientSam(PlainViT(384, 12)),
    "sam2.1-tiny": lambda: _hiera(0),
    "sam2.1-small": lambda: _hiera(1),
    "sam2.1-base-plus": lambda: _hiera(2),
    "sam2.1-large": lambda: _hiera(3),
    "edgetam": lambda: EdgeTam(rep_vit.Encoder()),
    **{
        f"efficientvit-sam-{size.name}": functools.partial(EfficientVitSam, size)
        for size in efficient_vit.SIZES
    },
    "sam-hq-tiny": lambda: SamHq(TinyViT(), Preprocessing(), 160),
    "sam-hq2-large": lambda: SamHq2(Encoder(SIZES[3], (7, 7))),
    "sam-vit-b": lambda: Sam(_vit("b"), Preprocessing()),
    "sam-hq-vit-b": lambda: SamHq(_vit("b"), Preprocessing(), 768),
    "sam-vit-l": lambda: Sam(_vit("l"), Preprocessing()),
    "sam-vit-h": lambda: Sam(_vit("h"), Preprocessing()),
}


def make(name: str, precision: str = "auto", compiled: bool = False) -> tuple[PromptableModel, int]:
    """A model and how many parameters it has."""
    if name == EMBEDDED:
        model = load_embedded("cpu")
        return model, sum(p.numel() for p in model._net.parameters())
    network = NETWORKS[name]()
    parameters = sum(p.numel() for p in network.parameters())
    model = with_weights(network, name)
    model.dtype = pick_dtype(precision, model.device)
    if compiled:
        network.encode = torch.compile(network.encode)  # type: ignore[method-assign]
    return model, parameters


def timed(work: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Median wall and processor seconds of a piece of work."""
    wall, used = [], []
    for _ in range(rounds):
        start, cpu = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - start)
        used.append(time.process_time() - cpu)
    return statistics.median(wall), statistics.median(used)


def measure(name: str, given: argparse.Namespace) -> str:
    torch.set_num_threads(given.threads)
    prompts, rounds = given.prompts, given.rounds
    model, parameters = make(name, given.precision, given.compile)
    image, clicks = question(prompts)
    one = Prompts(points=clicks.points[:1], labels=clicks.labels[:1])  # type: ignore[index]
    started = time.perf_counter()
    model.decode(model.encode([image])[0], one)  # warm
    started = time.perf_counter() - started
    fresh: list[Embedding] = []
    encode, encode_cpu = timed(lambda: fresh.extend(model.encode([image])), rounds)
    embedding, left = fresh[0], iter(fresh)
    first, _ = timed(lambda: model.decode(next(left), one), rounds)
    model.decode(embedding, one)
    decode, decode_cpu = timed(lambda: model.decode(embedding, clicks), rounds)
    return (
        f"{name:18}{parameters / 1e6:8.1f}{encode:9.2f}{encode_cpu:9.2f}{first * 1e3:9.0f}"
        f"{decode / prompts * 1e3:10.1f}{decode_cpu / prompts * 1e3:9.1f}{started:9.1f}"
        f"{peak():9.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore
    known = [EMBEDDED, *NETWORKS]
    assert set(known) <= set(CATALOGUE)
    default = [name for name in known if name not in LARGE]
    parser.add_argument("--models", nargs="+", choices=known, default=default)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--compile", action="store_true", help="encoders through torch.compile")
    given = parser.parse_args()
    print(f"1024 x 1024, {given.threads} thread(s), median of {given.rounds}")
    print(f"{'':26}{'encode':>9}{'':9}{'first':>9}{'a prompt':>10}{'':9}{'started':>9}")
    print(
        f"{'model':18}{'million':>8}{'s':>9}{'CPU s':>9}{'click ms':>9}{'ms':>10}{'CPU ms':>9}"
        f"{'s':>9}{'peak MB':>9}"
    )
    for name in given.models:
        # Each in a process of its own, whose peak of memory is the model's.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            print(pool.submit(measure, name, given).result(), flush=True)


if __name__ == "__main__":
    main()
