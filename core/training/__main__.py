# SPDX-License-Identifier: GPL-2.0-or-later
"""``python -m samgeo_core.training pack | train | export | mean | confident | quality | plot``.

Such weights as the shipped ones come from::

    python -m samgeo_core.training pack --shared ../shared/data --sample-data sample_data \\
        --cache CACHE
    python -m samgeo_core.training confident core/models/embedded/embedded.safetensors \\
        --shared ../shared/data --cache CACHE --packs 1
    python -m samgeo_core.training train --cache CACHE --out RUN --minutes 80 --threads 1 \\
        --start core/models/embedded/embedded.safetensors --rate 7e-4 --settle 0
    python -m samgeo_core.training export RUN/checkpoint.pt NEW.safetensors --cache CACHE \\
        --steps 60 --score-threshold 0.5 --stability-threshold 0.25
    python -m samgeo_core.training mean core/models/embedded/embedded.safetensors \\
        NEW.safetensors OUT.safetensors --share 1 --score-threshold 0.48 --cache CACHE

The last line brings along the head that judges finished masks. It can be trained again, too::

    python -m samgeo_core.training quality OUT.safetensors WITH_HEAD.safetensors --cache CACHE \\
        --data DATA

``--precision bfloat16`` is for CPUs with units for it (AMX); others take ten times as long with it
as with float32, the default.

On a GPU, from the shipped weights, within ten minutes (packs of at most 60 MB are enough: leave out
the last scenes; 14 processes prepare crops)::

    python -m samgeo_core.training train --cache CACHE --out RUN --minutes 8 --device cuda \\
        --start core/models/embedded/embedded.safetensors --images 48 --objects 12 --size 256 \\
        --workers 14 --rate 2e-3

Both go on from ``RUN/checkpoint.pt`` when they are started again. From random weights, leave out
``--start``, the confident masks and ``--settle`` (a half is its default).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from ..models.catalogue import EMBEDDED_WEIGHTS
from ..models.embedded.load import load_embedded, read_network
from .datasets.crops import Part, read_pack
from .datasets.opencv import cv2
from .datasets.packs import (
    pack_confident,
    pack_drone_pictures,
    pack_instances,
    pack_outlined,
    pack_photographs,
    pack_real,
    pack_regions,
    pack_scenes,
    pack_small_objects,
    pack_streets,
    pack_towns,
)
from .export import export, mean_of, with_quality_head
from .log import plot
from .loop import TrainConfig, train
from .quality import judged, make_examples, report, train_quality

SHARES: dict[str, tuple[float, tuple[float, float]]] = {
    "scenes": (0.10, (0.35, 4.0)),
    "town": (0.08, (0.3, 2.5)),
    "banepa": (0.11, (0.3, 2.5)),
    "tiles": (0.07, (0.3, 2.5)),
    "roofs": (0.13, (0.5, 4.0)),
    "fields": (0.11, (0.15, 3.0)),
    "plots": (0.03, (0.5, 3.0)),
    "dubai": (0.13, (0.4, 2.5)),
    "drone": (0.03, (0.25, 1.5)),
    "naip": (0.05, (1.0, 4.0)),
    "outlines": (0.16, (1.0, 4.0)),
    "small_far": (0.07, (1.0, 4.0)),
    "small_near": (0.06, (0.3, 2.0)),
    "streets": (0.04, (0.5, 2.0)),
    "regions": (0.03, (0.6, 4.0)),
    "confident": (0.04, (0.6, 3.0)),
}
"""Share of crops and range of magnifications for packs whose name begins so."""


def read_parts(cache: Path, pattern: str = "") -> list[Part]:
    """All packs of a folder as parts of the training set."""
    parts = []
    for name, (weight, zoom) in SHARES.items():
        samples = [
            s for path in sorted(cache.glob(f"{pattern}{name}*.npz")) for s in read_pack(path)
        ]
        if samples:
            parts.append(Part(name, samples, weight, zoom))
    return parts


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m samgeo_core.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    pack = commands.add_parser("pack", help="make training packs")
    pack.add_argument("--shared", type=Path, required=True)
    pack.add_argument("--cache", type=Path, required=True)
    pack.add_argument("--sample-data", type=Path, required=True)
    pack.add_argument("--packs", type=int, default=8)
    pack.add_argument("--count", type=int, default=150)
    own = commands.add_parser("confident", help="make packs of a model's own confident masks")
    own.add_argument("weights", type=Path, help="exported ones")
    own.add_argument("--shared", type=Path, required=True)
    own.add_argument("--cache", type=Path, required=True)
    own.add_argument("--packs", type=int, default=2)
    own.add_argument("--count", type=int, default=150)
    own.add_argument("--threads", type=int, default=2)
    run = commands.add_parser("train", help="train or go on training")
    run.add_argument("--cache", type=Path, required=True)
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--start", type=Path, help="exported weights to begin with")
    for name, kind in (
        ("minutes", float),
        ("rate", float),
        ("images", int),
        ("objects", int),
        ("workers", int),
        ("seed", int),
        ("size", int),
        ("settle", float),
        ("dense", int),
    ):
        run.add_argument(f"--{name}", type=kind, default=getattr(TrainConfig(Path()), name))
    run.add_argument("--heads-only", action="store_true", help="proposals and classes, no masks")
    run.add_argument("--device", default="cpu")
    run.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    run.add_argument("--threads", type=int, default=2)
    ship = commands.add_parser("export", help="write a checkpoint's averaged weights")
    ship.add_argument("checkpoint", type=Path)
    ship.add_argument("out", type=Path)
    ship.add_argument("--cache", type=Path, help="packs to calibrate masks and predicted IoU on")
    ship.add_argument(
        "--steps", type=int, default=60, help="of the calibration; 0: the heads alone were trained"
    )
    ship.add_argument("--levels", action="store_true", help="choose levels by size as well")
    ship.add_argument("--score-threshold", type=float, default=0.4)
    ship.add_argument("--stability-threshold", type=float, default=0.3)
    between = commands.add_parser("mean", help="write weights between two exported ones")
    between.add_argument("first", type=Path, help="exported ones")
    between.add_argument("second", type=Path, help="exported ones that were trained on from those")
    between.add_argument("out", type=Path)
    between.add_argument("--share", type=float, default=0.4, help="of the second")
    between.add_argument("--score-threshold", type=float, required=True)
    between.add_argument("--cache", type=Path, required=True, help="packs: held-back ones are read")
    between.add_argument("--threads", type=int, default=2)
    judge = commands.add_parser("quality", help="train the head that judges finished masks")
    judge.add_argument("weights", type=Path, help="exported ones, whose masks are judged")
    judge.add_argument("out", type=Path, help="the same weights with the head")
    judge.add_argument("--cache", type=Path, required=True)
    judge.add_argument(
        "--data", type=Path, required=True, help="folder for what is looked at, 5 GB"
    )
    judge.add_argument("--steps", type=int, default=4500)
    judge.add_argument("--width", type=int, default=40)
    judge.add_argument("--threads", type=int, default=1)
    draw = commands.add_parser("plot", help="draw a run's log")
    draw.add_argument("log", type=Path)
    draw.add_argument("out", type=Path)
    options = parser.parse_args()
    # Before any work: a thread pool of OpenCV's does not survive the fork of the data workers.
    cv2.setNumThreads(0)
    if options.command == "pack":
        pack_real(options.shared, options.cache)
        pack_instances(options.shared, options.cache)
        pack_towns(options.sample_data / "make.py", options.cache / "town.npz", range(101, 113))
        pack_towns(options.sample_data / "make.py", options.cache / "valid_town.npz", range(8, 9))
        pack_scenes(options.shared, options.cache, seed=900, count=40, prefix="valid_")
        for seed in range(options.packs):
            pack_scenes(options.shared, options.cache, seed=seed, count=options.count)
            pack_regions(options.shared, options.cache, seed=seed, count=options.count)
            pack_streets(options.shared, options.cache, seed=seed, count=options.count)
        pack_streets(options.shared, options.cache, seed=901, count=12, prefix="valid_")
        # What sees for the strokes; the weights that are shipped will do for the next ones.
        net = read_network(EMBEDDED_WEIGHTS)[0]
        pack_outlined(options.shared, options.cache, prefix="valid_")
        pack_outlined(options.shared, options.cache)
        pack_drone_pictures(options.shared, options.cache)
        pack_small_objects(options.shared, options.cache, prefix="valid_")
        pack_small_objects(options.shared, options.cache)
        pack_photographs(options.shared, options.cache, net, seed=900, count=0, prefix="valid_")
        pack_photographs(options.shared, options.cache, net, seed=0, count=options.count)
    elif options.command == "confident":
        model = load_embedded("cpu", options.threads, options.weights)
        for seed in range(options.packs):
            print(
                pack_confident(options.shared, options.cache, model, seed=seed, count=options.count)
            )
    elif options.command == "train":
        torch.set_num_threads(options.threads)
        config = TrainConfig(
            **{
                name: getattr(options, name)
                for name in (
                    "out",
                    "minutes",
                    "rate",
                    "images",
                    "objects",
                    "workers",
                    "seed",
                    "size",
                    "settle",
                    "dense",
                    "heads_only",
                    "device",
                    "precision",
                )
            }
        )
        train(config, read_parts(options.cache), read_parts(options.cache, "valid_"), options.start)
    elif options.command == "export":
        card = export(
            options.checkpoint,
            options.out,
            score_threshold=options.score_threshold,
            stability_threshold=options.stability_threshold,
            parts=read_parts(options.cache) if options.cache and options.steps else None,
            held_back=read_parts(options.cache, "valid_") if options.cache else None,
            steps=options.steps,
            by_size=options.levels,
        )
        print(json.dumps(card, indent=2))
    elif options.command == "mean":
        torch.set_num_threads(options.threads)
        card = mean_of(
            options.first,
            options.second,
            options.out,
            share=options.share,
            score_threshold=options.score_threshold,
            held_back=read_parts(options.cache, "valid_"),
        )
        print(json.dumps(card, indent=2))
    elif options.command == "quality":
        torch.set_num_threads(options.threads)
        model = load_embedded("cpu", options.threads, options.weights)
        examples = make_examples(model, read_parts(options.cache), options.data / "train")
        widths = read_network(options.weights)[0].config
        channels = widths.decoder[0], widths.appearance, widths.decoder[1]
        head = train_quality(examples, options.width, channels, steps=options.steps)
        card = with_quality_head(options.weights, head, options.width, options.out)
        held_back = read_parts(options.cache, "valid_")
        kept = make_examples(model, held_back, options.data / "valid", turned=False)
        for line in report(kept, judged(head, kept)):
            print(line)
        print(json.dumps(card, indent=2))
    else:
        plot(options.log, options.out)


if __name__ == "__main__":
    main()
