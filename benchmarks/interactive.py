# SPDX-License-Identifier: GPL-2.0-or-later
"""How fast, how whole and how lean is prompting?

    python benchmarks/interactive.py [speed second whole borders many] [--threads 2]

speed    one prompt on an encoded window: the decoder of ViT-B (random weights) against the official
         predictor in the same run, then the embedded model, in the process and through the worker
second   a raster opened for the second time by a new process: windows encoded, time to the answer
whole    a perfect model, objects of 1, 3 and 10 windows and a river, one click anywhere: IoU with
         the truth, IoU between clicks, edges on window lines over the truth's there
borders  Banepa footprints as boxes and points, windows of 512 and 1024: IoU near borders of fixed
         tiles and elsewhere, by a perfect model and by the embedded one; beside it the same prompts
         answered within fixed tiles
many     10,000 prompts: peak memory after each quarter, and batches against one by one

Wall time is the median; CPU time counts all threads and is the fair figure where other programs
run beside.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from samgeo_core import job
from samgeo_core.interactive.session import Session
from samgeo_core.interactive.windows import Level
from samgeo_core.models.base import Prompts
from samgeo_core.models.embedding_cache import EmbeddingCache
from samgeo_core.raster.raster import open_raster
from samgeo_core.testing.promptable_oracle import LabelSource, OracleModel, oracle_session
from samgeo_core.testing.session_objects import (
    OBJECTS,
    iou,
    model,
    outline,
    point,
    seam_excess,
    truth,
)
from samgeo_core.types import PixelBox
from samgeo_core.worker.session_methods import levels_of

SHARED = Path(os.environ.get("SAMGEO_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
BANEPA = SHARED / "eval" / "buildings_banepa"
MOSAIC = BANEPA / "mosaic_train_4326.tif"


def row(*cells: Any, widths: tuple[int, ...] = (44, 14, 14, 14, 14, 14)) -> None:
    texts = [f"{c:.3f}" if isinstance(c, float) else str(c) for c in cells]
    print(" ".join(t.ljust(w) for t, w in zip(texts, widths, strict=False)), flush=True)


def timed(work: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Median wall and CPU milliseconds."""
    work()
    wall, cpu = [], []
    for _ in range(rounds):
        began, used = time.perf_counter(), time.process_time()
        work()
        wall.append((time.perf_counter() - began) * 1000)
        cpu.append((time.process_time() - used) * 1000)
    return statistics.median(wall), statistics.median(cpu)


class Worker:
    """The engine's process, asked as QGIS asks it."""

    def __init__(self, cache: Path, threads: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "samgeo_core.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                **os.environ,
                "SAMGEO_CACHE_DIR": str(cache),
                "OMP_NUM_THREADS": str(threads),
            },
        )
        self.number = 0
        json.loads(self.process.stdout.readline())

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()
        while True:
            message = json.loads(self.process.stdout.readline())
            if message["event"] == "failure":
                raise SystemExit(f"{method}: {message['message']}")
            if message["event"] == "result":
                return message["result"]

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") * 1000

    def close(self) -> None:
        self.ask("shutdown")
        self.process.wait()


# -- speed ---------------------------------------------------------------------------------------


def speed(args: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(args.threads)
    row("one prompt, its window encoded", "wall ms", "CPU ms", "x official")
    image = np.random.default_rng(0).integers(0, 255, (1024, 1024, 3)).astype(np.uint8)
    reference = official_predictor(image, args)
    with tempfile.TemporaryDirectory() as folder:
        if reference is not None:
            predict, state = reference
            wall, cpu = timed(predict, args.rounds)
            row("official predictor, ViT-B", wall, cpu, 1.0)
            from samgeo_core.models.load import load_model

            path = Path(folder) / "random_vit_b.pth"
            torch.save(state, path)
            model = load_model(path, device="cpu", threads=args.threads)
            ask = asker(model, image)
            ours, used = timed(ask, args.rounds)
            row("this decoder, ViT-B, the same weights", ours, used, used / cpu)
        from samgeo_core.models.load import load_model

        model = load_model("embedded", device="cpu", threads=args.threads)
        ask = asker(model, image)
        row("embedded model, decoder", *timed(ask, args.rounds))
        embedded_round_trip(model, Path(folder), args)


def official_predictor(image: np.ndarray, args: argparse.Namespace) -> Any:
    """The official predictor's call and its weights; None where it is not installed."""
    import types

    names = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
    for name in (*names, "torchvision.ops", "torchvision.ops.boxes"):
        module = types.ModuleType(name)  # imported by the official package, unused here
        module.resize = module.to_pil_image = module.batched_nms = module.box_area = None
        sys.modules.setdefault(name, module)
    try:
        from segment_anything import SamPredictor, sam_model_registry
    except ImportError:
        row("official predictor: segment_anything is not installed")
        return None
    finally:
        for name in (*names, "torchvision.ops", "torchvision.ops.boxes"):
            sys.modules.pop(name, None)
    import torch

    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]().eval()
    predictor = SamPredictor(sam)
    with torch.inference_mode():
        predictor.set_torch_image(
            torch.from_numpy(image).permute(2, 0, 1)[None].float(), (1024, 1024)
        )
    random = np.random.default_rng(1)

    def predict() -> Any:
        point = random.uniform(100, 900, (1, 2))
        return predictor.predict(point, np.ones(1, int), multimask_output=True)

    return predict, sam.state_dict()


def asker(model: Any, image: np.ndarray) -> Callable[[], Any]:
    """One click at a time on an encoded window, as a session asks."""

    class Picture:
        shape = image.shape[:2]
        transform = LabelSource(np.zeros((1, 1), np.int32)).transform
        crs = None

        def read(self, box: PixelBox) -> Any:
            from samgeo_core.raster.raster import RasterWindow

            return RasterWindow(image, np.ones(image.shape[:2], bool))

        def has_data(self, box: PixelBox) -> bool:
            return True

    level = Level(Picture(), model, EmbeddingCache(None))
    window = PixelBox(0, 0, 1024, 1024)
    level.encode(window)
    random = np.random.default_rng(1)

    def ask() -> Any:
        points = random.uniform(100, 900, (1, 1, 2)).astype(np.float32)
        prompts = Prompts(points=points, labels=np.ones((1, 1), np.int8))
        return level.ask(window, prompts, multimask=True)

    return ask


def places(count: int) -> list[tuple[float, float]]:
    """Clicks on buildings in one window of the mosaic, in its CRS."""
    import geopandas as gpd

    with open_raster(str(MOSAIC)) as raster:
        back = ~raster.transform
        found = []
        for shape in gpd.read_file(BANEPA / "footprints_4326.gpkg").geometry:
            place = shape.representative_point()
            col, row_ = back @ (place.x, place.y)
            if 900 < row_ < 1150 and 900 < col < 1150:
                found.append((place.x, place.y))
    return (found * count)[:count]


def embedded_round_trip(model: Any, folder: Path, args: argparse.Namespace) -> None:
    if not MOSAIC.exists():
        row("embedded model on Banepa: the shared data are not here")
        return
    clicks = iter(places(1000))
    with open_raster(str(MOSAIC)) as raster:
        session = Session(levels_of(raster), model, EmbeddingCache(folder / "embeddings"))

        def ask() -> None:
            session.reset()
            x, y = next(clicks)
            answer = session.prompt([job.Prompt("point", [[x, y]])])
            session.shapes(answer)

        for _ in range(12):
            ask()  # neighbours that an object needs are encoded now
        row("embedded model, click to three polygons", *timed(ask, args.rounds))
    worker = Worker(folder, args.threads)
    opened = worker.ask("open", rasters=[str(MOSAIC)], threads=args.threads)

    def trip(multimask: bool) -> None:
        x, y = next(clicks)
        prompts = [{"type": "point", "coordinates": [[x, y]]}]
        worker.ask("reset", session=opened["session"])
        worker.ask("prompt", session=opened["session"], prompts=prompts, multimask=multimask)

    for _ in range(12):
        trip(True)
    for multimask, what in ((True, "three polygons"), (False, "one polygon")):
        wall, used = [], worker.cpu()
        for _ in range(args.rounds):
            began = time.perf_counter()
            trip(multimask)
            wall.append((time.perf_counter() - began) * 1000)
        used = (worker.cpu() - used) / args.rounds
        row(f"embedded model, worker's round trip, {what}", statistics.median(wall), used)
    worker.close()


# -- second opening ------------------------------------------------------------------------------


def second(args: argparse.Namespace) -> None:
    if not MOSAIC.exists():
        row("second opening: the shared data are not here")
        return
    row("opening of a raster, embedded model", "open s", "answer s", "encoded", "CPU s answer")
    x, y = places(1)[0]
    with tempfile.TemporaryDirectory() as folder:
        for which in ("first", "second"):
            worker = Worker(Path(folder), args.threads)
            began = time.perf_counter()
            opened = worker.ask("open", rasters=[str(MOSAIC)], threads=args.threads)
            ready = time.perf_counter()
            used = worker.cpu()
            answer = worker.ask(
                "prompt",
                session=opened["session"],
                prompts=[{"type": "point", "coordinates": [[x, y]]}],
            )
            done = time.perf_counter()
            used = (worker.cpu() - used) / 1000
            row(which, ready - began, done - ready, answer["encoded"], used)
            worker.close()


# -- whole objects -------------------------------------------------------------------------------


def whole(args: argparse.Namespace) -> None:
    row("one click anywhere, perfect model", "IoU least", "IoU clicks", "seam excess", "windows")
    for name, mask in OBJECTS.items():
        rows, cols = np.nonzero(mask)
        random = np.random.default_rng(0)
        polygons, excess, windows = [], [], []
        for at in random.integers(0, len(rows), 4):
            session = oracle_session(np.where(mask, 3, 0).astype(np.int32), model=model())
            answer = session.prompt([point(cols[at] + 0.5, rows[at] + 0.5)])
            polygons.append(outline(session, answer))
            excess.append(float(seam_excess(answer.candidates[0].known, mask, 2)))
            windows.append(len(answer.candidates[0].windows))
        least = min(iou(p, truth(mask)) for p in polygons)
        alike = min(iou(polygons[0], p) for p in polygons[1:])
        row(name, least, alike, max(excess), f"{min(windows)}-{max(windows)}")


# -- borders -------------------------------------------------------------------------------------


def borders(args: argparse.Namespace) -> None:
    if not MOSAIC.exists():
        row("borders: the shared data are not here")
        return
    row("Banepa, mIoU, a polygon per prompt", "near borders", "elsewhere", "lost", "near - else",
        "by chance")  # fmt: skip
    for tile in (1024, 512):
        for prompt_as in ("box", "point"):
            for what in ("perfect", "embedded"):
                for fixed in (False, True):
                    if fixed and what == "embedded":
                        continue
                    near, far, lost, chance = _borders(tile, prompt_as, what, fixed, args)
                    name = f"{what} model, {prompt_as}, {tile}" + (", fixed tiles" if fixed else "")
                    row(name, near, far, lost, near - far, chance)


def _scene(side: int) -> tuple[Any, list[Any], np.ndarray]:
    """The mosaic, footprints in its pixels (in a square at 450, 450), and all labels."""
    import geopandas as gpd
    import shapely
    from rasterio.features import rasterize

    raster = open_raster(str(MOSAIC))
    back = ~raster.transform
    frame = gpd.read_file(BANEPA / "footprints_4326.gpkg")
    shapes = [
        shapely.transform(g, lambda xy: np.column_stack(back @ (xy[:, 0], xy[:, 1])))
        for g in frame.geometry
    ]
    inner = shapely.box(0, 0, raster.width, raster.height)
    shapes = [s for s in shapes if shapely.within(s, inner) and s.area >= 400]
    labels = rasterize([(s, k + 1) for k, s in enumerate(shapes)], out_shape=raster.shape)
    square = shapely.box(450, 450, 450 + side, 450 + side)
    inside = [k for k, s in enumerate(shapes) if shapely.intersects(square, s.centroid)]
    # The chosen ones first; the others stay in the picture as one more label.
    rank = np.full(len(shapes) + 1, len(inside) + 1, np.int32)
    rank[0] = 0
    rank[np.array(inside) + 1] = np.arange(1, len(inside) + 1)
    chosen = [shapes[k] for k in inside]
    return raster, chosen, rank[labels]


def _borders(
    tile: int, prompt_as: str, what: str, fixed: bool, args: argparse.Namespace
) -> tuple[float, float, int, float]:
    """Mean IoU of prompts within 32 px of borders of tiles, that of the others, and lost.

    Large buildings are more often near a line than small ones, and a model may find them harder:
    the last figure is the difference on 20 sets of lines that lie anywhere, where nothing is cut.
    """
    import shapely
    from samgeo_core.interactive.batch import ask_all
    from samgeo_core.prompts.prompt_layer import LayerPrompt
    from samgeo_core.prompts.prompts import PixelPrompt
    from samgeo_core.vectors.contours import valid
    from samgeo_core.vectors.object_polygon import object_polygon

    raster, shapes, labels = _scene(args.side if what == "embedded" else 2600)
    if what == "perfect":
        model: Any = OracleModel(1024, 256, candidates=1)
        source: Any = LabelSource(labels)
    else:
        from samgeo_core.models.load import load_model

        model = load_model("embedded", device="cpu", threads=args.threads)
        source = raster
    cell = tile // model.info.mask_size
    cache = EmbeddingCache(args.cache if what == "embedded" else None, in_memory=4)
    level = Level(source, model, cache, 0, cell)
    prompts = []
    for k, shape in enumerate(shapes):
        if prompt_as == "box":
            col0, row0, col1, row1 = shape.bounds
            asked = PixelPrompt("box", np.array([[row0, col0], [row1, col1]]))
        else:
            place = shape.representative_point()
            asked = PixelPrompt("point", np.array([[place.y, place.x]]))
        prompts.append(LayerPrompt(k, str(k), "", prompt_as, (asked,)))
    found = _in_fixed_tiles(level, prompts) if fixed else ask_all(level, prompts)
    ious: dict[int, float] = {}
    for prompt, outcome in found:
        if isinstance(outcome, str):
            continue
        polygon = object_polygon(
            outcome.known, cell, LabelSource(np.zeros((1, 1), np.int32)).transform, source.shape
        )
        shape = valid(shapes[prompt.row])
        both = shapely.intersection(polygon, shape).area
        ious[prompt.row] = both / shapely.union(polygon, shape).area
    bounds = np.array([shape.bounds for shape in shapes])
    values = np.array([ious.get(k, 0.0) for k in range(len(shapes))])

    def means(offset: np.ndarray) -> tuple[float, float]:
        low, high = bounds[:, :2] - 32 - offset, bounds[:, 2:] + 32 - offset
        crosses = (low // tile != high // tile).any(axis=1)
        return float(values[crosses].mean()), float(values[~crosses].mean())

    near, far = means(np.zeros(2))
    random = np.random.default_rng(0)
    moved = [means(random.uniform(0, tile, 2)) for _ in range(20)]
    chance = float(np.mean([a - b for a, b in moved]))
    raster.close()
    return near, far, len(shapes) - len(ious), chance


def _in_fixed_tiles(level: Level, prompts: list[Any]) -> Iterator[tuple[Any, Any]]:
    """What one gets by asking each prompt in the tile that holds its middle, and nowhere else."""
    from samgeo_core.interactive.first_prediction import Candidate, add_window, nothing_known
    from samgeo_core.prompts.prompts import joint_extent, window_prompts

    size = level.lattice.size
    for prompt in prompts:
        row0, col0, row1, col1 = joint_extent(prompt.prompts)
        tile_row = int((row0 + row1) / 2 // size) * size
        tile_col = int((col0 + col1) / 2 // size) * size
        window = PixelBox(tile_row, tile_col, tile_row + size, tile_col + size)
        asked = window_prompts(prompt.prompts, window, level.cell)
        said = asked and level.ask(window, asked, multimask=False)
        if not said:
            yield prompt, "nothing"
            continue
        known = add_window(nothing_known(level), level, window, said[0][0, 0])
        yield prompt, Candidate(known, 1.0, frozenset([window]))


# -- many ----------------------------------------------------------------------------------------


def many(args: argparse.Namespace) -> None:
    """10,000 prompts on a large raster by a perfect model; batches by the embedded one."""
    import geopandas as gpd
    import rasterio
    import shapely
    from samgeo_core.job import SegmentParameters
    from samgeo_core.jobs.run import run
    from samgeo_core.testing.promptable_oracle import labels_to_pixels

    side, step = 100, 128
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.tif"
        size = side * step
        boxes = []
        profile = {"driver": "GTiff", "width": size, "height": size, "count": 3, "dtype": "uint8"}
        transform = rasterio.Affine(0.5, 0, 400_000, 0, -0.5, 5_000_000)
        more = {"tiled": True, "compress": "deflate", "photometric": "RGB", "crs": "EPSG:32633"}
        with rasterio.open(path, "w", transform=transform, **profile, **more) as file:
            for r in range(side):
                strip = np.zeros((step, size), np.int32)
                for c in range(side):
                    strip[20:100, c * step + 20 : c * step + 90] = r * side + c + 1
                    x0, y0 = transform @ (c * step + 20, r * step + 100)
                    x1, y1 = transform @ (c * step + 90, r * step + 20)
                    boxes.append(shapely.box(x0, y0, x1, y1))
                window = rasterio.windows.Window(0, r * step, size, step)
                file.write(np.moveaxis(labels_to_pixels(strip), -1, 0), window=window)
        gpd.GeoDataFrame({"n": range(len(boxes))}, geometry=boxes, crs="EPSG:32633").to_file(
            Path(folder) / "boxes.gpkg"
        )
        peaks: list[tuple[int, float]] = []

        def progress(step_: job.Progress) -> None:
            if step_.stage == "prompts":
                peaks.append(
                    (step_.done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
                )

        params = SegmentParameters(
            rasters=[str(path)],
            output=str(Path(folder) / "out.gpkg"),
            prompts=str(Path(folder) / "boxes.gpkg"),
        )
        began = time.perf_counter()
        result = run(
            params, model=partial(OracleModel, 1024, 256, 1), progress=progress, cached=False
        )
        seconds = time.perf_counter() - began
        row(
            "10,000 boxes on 12,800 x 12,800, perfect model",
            "prompts/s",
            "polygons",
            "peak MB at 1/4, 1/2, end",
        )
        quarters = [next(p for d, p in peaks if d >= q) for q in (2500, 5000, 10_000)]
        row("", len(boxes) / seconds, result.features, ", ".join(f"{q:.0f}" for q in quarters))
    if MOSAIC.exists():
        _batches_against_one_by_one(args)


def _batches_against_one_by_one(args: argparse.Namespace) -> None:
    from samgeo_core.models.load import load_model

    with open_raster(str(MOSAIC)) as raster:
        model = load_model("embedded", device="cpu", threads=args.threads)
        level = Level(raster, model, EmbeddingCache(None))
        window = PixelBox(1024, 1024, 2048, 2048)
        level.encode(window)
        random = np.random.default_rng(0)
        corner = random.uniform(50, 800, (128, 2))
        boxes = np.concatenate([corner, corner + random.uniform(30, 150, (128, 2))], axis=1)
        boxes = boxes.astype(np.float32)
        row("embedded model, 128 boxes in a window", "wall ms/prompt", "CPU ms/prompt", "ratio CPU")
        times = {}
        for name, size in (("one by one", 1), ("in batches of 32", 32)):

            def ask(size: int = size) -> None:
                for start in range(0, 128, size):
                    level.ask(window, Prompts(boxes=boxes[start : start + size]), multimask=False)

            times[name] = timed(ask, 2)
            wall, cpu = (v / 128 for v in times[name])
            row(name, wall, cpu, times["one by one"][1] / times[name][1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = {f.__name__: f for f in (speed, second, whole, borders, many)}
    parser.add_argument("what", nargs="*", help=", ".join(names))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--side", type=int, default=1100, help="pixels of Banepa for borders")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        args.cache = Path(folder)  # boxes and points share their windows
        for name in args.what or names:
            names[name](args)
            print(flush=True)


if __name__ == "__main__":
    main()
