# SPDX-License-Identifier: GPL-2.0-or-later
"""Kill a job before its file operations, run it again, compare with a run that was left alone.

Run by ``test_kills.py``, and by hand for every operation of a job::

    python -m tests.core.jobs.kills prompts .shp overwrite
    python -m tests.core.jobs.kills roads '*' '*' --part 2/3
    python -m tests.core.jobs.kills all

A child process sends itself SIGKILL where Python is about to open a file for writing, move, link
or delete one, or connect to a database: nothing in it can tidy up. (What GDAL and Arrow write is
in the writer's own folder; Python moves it from there.) This module never runs a model in the
parent: it forks.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from samgeo_core import CellBox, Mask, TileMasks
from samgeo_core.errors import SamGeoError
from samgeo_core.evaluation.run import evaluate
from samgeo_core.job import (
    ClassifyParameters,
    MapParameters,
    RegularizeParameters,
    SegmentParameters,
    UpdateParameters,
)
from samgeo_core.jobs.classes.classify import classify_layer
from samgeo_core.jobs.classes.map_classes import map_classes
from samgeo_core.jobs.regularize import regularize_layer
from samgeo_core.jobs.run import run
from samgeo_core.jobs.update import gather_evidence, run_update
from samgeo_core.labels.chips import ChipOptions
from samgeo_core.labels.exporting import export_labels
from samgeo_core.labels.importing import import_labels
from samgeo_core.layers.provenance import read_provenance
from samgeo_core.segmenters.segmenter import TileImage
from samgeo_core.testing.bright import Bright
from samgeo_core.testing.promptable_oracle import OracleModel
from samgeo_core.tracking.run import track
from scipy import ndimage

from ..classes.world import CRS, TRANSFORM, mobile_sam, squares, write_points, write_world
from ..scenes import MARGIN, TILE, SceneOracle, scene, write_raster
from ..tracking.scenery import ColourOracle, layer_of, painted, save, things
from .scenes.made import write_scene

EVENTS = frozenset(
    (
        *("open", "os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"),
        *("os.symlink", "sqlite3.connect"),
    )
)
SIZE = 320
FORMATS = (".gpkg", ".shp", ".geojson", ".fgb", ".parquet")
MODES = ("new", "append", "overwrite")


# -- jobs ------------------------------------------------------------------------------------------


@cache
def inputs() -> Path:
    """What all jobs read, made once before the first fork."""
    folder = Path(tempfile.mkdtemp(prefix="kills-inputs-"))
    mobile_sam()
    scene(SIZE)
    write_raster(folder / "scene.tif", SIZE)
    write_world(folder)
    marks = [s for s in squares() if s[0] == "roof"][:2]
    marks += [s for s in squares() if s[0] == "field"][:2]
    write_points(folder / "marks.gpkg", marks)
    boxes = [
        shapely.box(x, y, x + 15, y + 15) for x, y in ((500_005, 4_999_980), (500_040, 4_999_950))
    ]
    gpd.GeoDataFrame({"n": [1, 2]}, geometry=boxes, crs=CRS).to_file(folder / "boxes.gpkg")
    strips = [("road", 0, 0, 60), ("grass", 200, 100, 60), ("road", 60, 0, 40)]
    frame = gpd.GeoDataFrame(
        {"kind": [name for name, *_ in strips]},
        geometry=[
            shapely.Polygon(
                [TRANSFORM @ p for p in ((c, r), (c + s, r), (c + s, r + s), (c, r + s))]
            )
            for _, c, r, s in strips
        ],
        crs=CRS,
    )
    frame.to_file(folder / "strokes.gpkg")
    shown = things(3)
    for k in range(2):
        save(folder / f"land_{2010 + k}-07-01.tif", painted(shown, k))
    ponds = layer_of(shown, 0)
    ponds[ponds["name"].isin(["still", "growing"])].to_file(folder / "ponds.gpkg")
    whole = gpd.read_file(folder / "objects.gpkg").iloc[:16:2]  # neither parts nor doubles
    moved = whole[["id", "truth", "geometry"]].iloc[1:].set_geometry(whole.translate(2, 1).iloc[1:])
    moved.to_file(folder / "old.gpkg", layer="old")
    export_labels(folder / "world.tif", folder / "objects.gpkg", folder / "labels", options=CHIPS)
    for number in range(2):
        write_scene(folder / f"s{number}_2024-01-0{number + 1}.tif", 20.0 * number)
    return folder


CHIPS = ChipOptions(128, class_field="truth")


def _segmented(output: Path, given: dict[str, Any], **more: Any) -> None:
    values = {"rasters": [str(inputs() / "scene.tif")], "output": str(output), "simplify": 0.0}
    params = SegmentParameters.from_dict(
        {**values, "tile_size": TILE, "margin": MARGIN, **given, **more}
    )
    run(params, segmenter=SceneOracle(SIZE))


def _in_parts(output: Path, given: dict[str, Any]) -> None:
    _segmented(output, given, part_size=5)


def _with_item(output: Path, given: dict[str, Any]) -> None:
    _segmented(output, given, stac_item=True)


def _with_rules(output: Path, given: dict[str, Any]) -> None:
    _segmented(output, given, rules=["square"])


def _prompted(output: Path, given: dict[str, Any]) -> None:
    params = SegmentParameters(
        [str(inputs() / "world.tif")], str(output), prompts=str(inputs() / "boxes.gpkg"), **given
    )
    run(params, model=_oracle, cached=False)


def _oracle() -> OracleModel:
    return OracleModel(128, 64, candidates=1)


def _classified(output: Path, given: dict[str, Any]) -> None:
    folder = inputs()
    params = ClassifyParameters(
        str(folder / "objects.gpkg"), [str(folder / "world.tif")], str(output), tile_size=192,
        margin=32, examples=str(folder / "marks.gpkg"), class_field="kind",
        save_classifier=str(output.with_name("o.samgeo-classes")), **given,
    )  # fmt: skip
    classify_layer(params, factory=mobile_sam)


def _classes_of_objects(output: Path, given: dict[str, Any]) -> None:
    folder = inputs()
    params = SegmentParameters(
        [str(folder / "world.tif")], str(output), tile_size=192, margin=32, model="mobile_sam",
        examples=str(folder / "marks.gpkg"), class_field="kind", rules=["square"], **given,
    )  # fmt: skip
    from samgeo_core.jobs.classes import segment_classes

    segment_classes.model_factory = lambda _: mobile_sam  # type: ignore[assignment]
    run(params, segmenter=Squares())


@dataclass(frozen=True)
class Squares:
    """Finds the squares of the world, which are all that is not grey."""

    name: str = "squares"
    fingerprint: str = "squares 1"

    def cell_size(self, window_size: int) -> int:
        return 1

    def segment(self, image: TileImage) -> TileMasks:
        colour = ndimage.uniform_filter(image.pixels.astype(np.float32), (5, 5, 1))
        labels, _ = ndimage.label(np.ptp(colour, axis=2) > 40)
        window, masks = image.tile.window, []
        for number, (rows, cols) in enumerate(ndimage.find_objects(labels), 1):
            box = CellBox(window.row0 + rows.start, window.col0 + cols.start,
                          window.row0 + rows.stop, window.col0 + cols.stop)  # fmt: skip
            inside = labels[rows, cols] == number
            masks.append(Mask(box, np.where(inside, 32, -32).astype(np.int8), 0.9, 0.9))
        return TileMasks(image.tile.index, 1, masks)


def _mapped(shapes: str) -> Callable[[Path, dict[str, Any]], None]:
    def job(output: Path, given: dict[str, Any]) -> None:
        folder = inputs()
        params = MapParameters(
            [str(folder / "world.tif")], str(output), shapes, tile_size=192, margin=32,
            examples=str(folder / "strokes.gpkg"), class_field="kind",
            road_class="road" if shapes == "network" else None, **given,
        )  # fmt: skip
        map_classes(params, factory=mobile_sam)

    return job


def _straightened(output: Path, given: dict[str, Any]) -> None:
    known = {k: v for k, v in given.items() if k == "overwrite"}
    params = RegularizeParameters(str(inputs() / "objects.gpkg"), str(output), **known)
    regularize_layer(params, lambda *_: None)


def _tracked(output: Path, given: dict[str, Any]) -> None:
    known = {k: v for k, v in given.items() if k == "overwrite"}
    rasters = sorted(inputs().glob("land_*.tif"))
    track(inputs() / "ponds.gpkg", rasters, output, id_field="name", model=ColourOracle(), **known)


def _updated(output: Path, given: dict[str, Any], **more: Any) -> None:
    """What is told of the old layer that lies beside the output."""
    folder, old = inputs(), output.with_name("old.gpkg")
    params = UpdateParameters(
        str(old), [str(folder / "world.tif")], str(output), model="mobile_sam", id_field="id",
        **given, **more,
    )  # fmt: skip
    run_update.model_factory = lambda _: mobile_sam  # type: ignore[assignment]
    gather_evidence.make_candidates = lambda *_, **__: Squares()  # type: ignore[assignment]
    run_update.update_layer(params)


def _applied(output: Path, given: dict[str, Any]) -> None:
    _updated(output, given, apply=True)


def _scenes(output: Path, given: dict[str, Any], kind: str) -> None:
    params = SegmentParameters(
        [str(path) for path in sorted(inputs().glob("s?_*.tif"))], str(output), scenes=kind,
        tile_size=64, margin=16, simplify=0.0, **given,
    )  # fmt: skip
    run(params, segmenter=Bright())


def _each_scene(output: Path, given: dict[str, Any]) -> None:
    _scenes(output.with_name(f"o_{{scene}}{output.suffix}"), {**given, "stac_item": True}, "each")


def _scenes_in_one(output: Path, given: dict[str, Any]) -> None:
    _scenes(output, {**given, "stac_item": True}, "layer")


def _errors(output: Path, given: dict[str, Any]) -> None:
    folder = inputs()
    evaluate(folder / "old.gpkg", folder / "objects.gpkg", errors=output, **given)


def _imported(output: Path, given: dict[str, Any]) -> None:
    import_labels(inputs() / "labels", output, **given)


def _exported(form: str) -> Callable[[Path, dict[str, Any]], None]:
    def job(output: Path, given: dict[str, Any]) -> None:
        folder = inputs()
        export_labels(
            folder / "world.tif", folder / "objects.gpkg", output.with_name("o_labels"),
            form=form, options=CHIPS,
        )  # fmt: skip

    return job


JOBS: dict[str, Callable[[Path, dict[str, Any]], None]] = {
    "automatic": _segmented,
    "parts": _in_parts,
    "item": _with_item,
    "prompts": _prompted,
    "rules": _with_rules,
    "classify": _classified,
    "classes": _classes_of_objects,
    "surfaces": _mapped("coverage"),
    "roads": _mapped("network"),
    "regularize": _straightened,
    "track": _tracked,
    "update": _updated,
    "apply": _applied,
    "each": _each_scene,
    "layer": _scenes_in_one,
    "errors": _errors,
    "import": _imported,
    "export_coco": _exported("coco"),
    "export_sa1b": _exported("sa1b"),
    "export_yolo": _exported("yolo"),
    "export_masks": _exported("masks"),
}
OF_ONE_LAYER = ("regularize", "track", "errors", "import")
"""Jobs that have no name for their layer, so that they cannot add a second one to a file."""

ALL_FORMATS = ("automatic", "prompts", "layer", "each")
GEOPACKAGES = ("update", "apply")


def kept(kind: str, suffix: str) -> list[str]:
    """Folders that a job leaves to be found: a run of scenes is told by it which are done."""
    return [f"o_{{scene}}{suffix}.job"] if kind == "each" else []


# -- kills -----------------------------------------------------------------------------------------


def child(kind: str, folder: Path, suffix: str, given: dict[str, Any], at: int = 0) -> dict:
    """Run a job in a process of its own, killed before its file operation number ``at``."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        seen: list[str] = []

        def hook(event: str, args: tuple[Any, ...]) -> None:
            if event in EVENTS and _changes(event, args, str(folder)):
                seen.append(f"{event} {args[0]!r:.150}")
                if len(seen) == at:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        said = {"ok": True, "message": ""}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                JOBS[kind](folder / f"o{suffix}", given)
        except SamGeoError as error:
            said = {"ok": False, "message": f"{error.kind}: {error}"}
        except BaseException as error:
            said = {"ok": False, "message": f"not ours: {type(error).__name__}: {error}"}
        report = folder.with_name(f"{folder.name}.json")
        report.write_text(json.dumps({**said, "seen": seen}))
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return {"killed": True}
    return dict(json.loads(folder.with_name(f"{folder.name}.json").read_text()))


def _changes(event: str, args: tuple[Any, ...], root: str) -> bool:
    """Whether an operation changes something in a folder."""
    names = " ".join(str(arg) for arg in args[:2])
    if root not in names:  # shutil.rmtree names files by their folder's number
        return event in ("os.remove", "os.rmdir") and not names.startswith("/")
    if event != "open":
        return True
    mode, flags = args[1], args[2]
    if isinstance(mode, str):
        return any(letter in mode for letter in "wxa+")
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def content(folder: Path, *, rows: bool) -> dict[str, str]:
    """Digests of the outputs in a folder: of their bytes, or of all rows of a GeoPackage."""
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        output = inside.parts[0].startswith("o") and not inside.parts[0].endswith(".job")
        if path.is_file() and output and not path.name.endswith(_LEFT):
            by_rows = path.suffix == ".gpkg" and (rows or path.name == "old.gpkg")
            data = _rows(path) if by_rows else path.read_bytes()
            found[str(inside)] = hashlib.sha256(data).hexdigest()
    return found


_LEFT = ("-wal", "-shm", "-journal")


def _rows(path: Path) -> bytes:
    """All rows of a GeoPackage, but for when a layer that is edited in place was changed."""
    with closing(sqlite3.connect(path)) as db:
        db.text_factory = bytes
        said = [repr(db.execute("PRAGMA integrity_check").fetchall())]
        names = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        for (name,) in names.fetchall():
            table = name.decode()
            if table.startswith(("rtree_", "sqlite_sequence")):
                continue
            columns = [row[1].decode() for row in db.execute(f'PRAGMA table_info("{table}")')]
            if path.name == "old.gpkg":
                columns = [column for column in columns if column != "last_change"]
            listed = ", ".join(f'"{column}"' for column in columns)
            rows = db.execute(f'SELECT {listed} FROM "{table}" ORDER BY 1, 2').fetchall()
            said.append(repr((table, sorted(map(repr, rows)))))
    return "\n".join(said).encode()


def told(folder: Path) -> list[str]:
    """Which job each layer among the outputs says that it is from."""
    found = []
    for path in sorted(folder.glob("o*")):
        if path.suffix not in FORMATS or path.name == "old.gpkg":
            continue
        names = [None]
        if path.suffix == ".gpkg":
            names = [row[0] for row in pyogrio.list_layers(path) if row[1] is not None]
        found += [(read_provenance(path, name) or {}).get("job", "nothing") for name in names]
    return sorted(found)


def left(folder: Path) -> list[str]:
    """What is in a folder that is no output."""
    names = (
        p.name
        for p in folder.iterdir()
        if not p.name.startswith("o") or (p.is_dir() and p.name not in ("o_labels", "o.parquet"))
    )
    return sorted([*names, *(p.name for p in folder.iterdir() if p.name.endswith(_LEFT))])


def try_all(
    kind: str,
    suffix: str,
    mode: str,
    points: int,
    seed: int,
    part: tuple[int, int] = (1, 1),
    at: str = "",
    alike: int = 0,
) -> dict[str, Any]:
    """Kill a job at some of its operations; what went wrong, at which.

    Args:
        kind, suffix, mode: Which job, of :data:`JOBS`, :data:`FORMATS` and :data:`MODES`.
        points: How many operations; all of them where there are no more.
        seed: Of their choice.
        part: (k, n): only every n-th of the chosen ones, beginning with the k-th.
        at: Only operations that are described with this.
        alike: At most so many of the operations that differ in numbers only (one per tile); 0: all.
    """
    base = Path(tempfile.mkdtemp(prefix="kills-"))
    inputs()
    given: dict[str, Any] = {"overwrite": True} if mode == "overwrite" else {}
    if mode == "append":
        given = {"layer": "added"}
    before = base / "before"
    before.mkdir()
    try:
        if mode != "new":
            first: dict[str, Any] = {"layer": "first"} if mode == "append" else {}
            first |= {"part_size": 3} if kind == "parts" else {}
            other = "automatic" if kind != "automatic" else "prompts"
            made = child(other, before, suffix, first)
            assert made.get("ok"), made
            for name in ("o_dates.csv", "o_areas.csv"):
                if kind == "track":
                    (before / name).write_text("an older table")
            if kind == "each":
                for path in list(before.glob("o*")):
                    for scene in ("s0_2024-01-01", "s1_2024-01-02"):
                        shutil.copy(path, before / f"o_{scene}{path.suffix}")
        if kind in GEOPACKAGES:
            shutil.copy(inputs() / "old.gpkg", before)
        rows = mode != "new"
        # One path for all: an output may say where its inputs lie.
        folder = base / "run"
        shutil.copytree(before, folder)
        alone = child(kind, folder, suffix, given)
        assert alone.get("ok"), alone
        wanted, seen, says = content(folder, rows=rows), alone["seen"], told(folder)
        assert left(folder) == kept(kind, suffix), left(folder)
        shutil.rmtree(folder)
        # The last operations put the output in place: most of the points are there.
        rng = random.Random(seed)
        count = len(seen)
        late = range(max(1, count - 40), count + 1)
        chosen = {
            rng.choice(late) if rng.random() < 0.75 else rng.randint(1, count)
            for _ in range(points)
        }
        if points >= count:
            chosen = set(range(1, count + 1))
        faults = []
        states: collections.Counter[str] = collections.Counter()
        if at:
            fitting = [number for number, text in enumerate(seen, 1) if at in text]
            chosen = set(rng.sample(fitting, min(points, len(fitting))))
        if alike:
            chosen &= representatives(seen, alike)
        chosen = set(sorted(chosen)[part[0] - 1 :: part[1]])
        for number in sorted(chosen):
            shutil.copytree(before, folder)
            killed = child(kind, folder, suffix, given, number)
            assert killed.get("killed"), killed
            now = content(folder, rows=rows)
            old = content(before, rows=rows)
            states["new" if now == wanted else "old" if now == old else "between"] += 1
            again = child(kind, folder, suffix, given)
            wrong = []
            if not again.get("ok"):
                wrong.append(again["message"])
            elif content(folder, rows=rows) != wanted:
                wrong.append("another output")
            if left(folder) != kept(kind, suffix):
                wrong.append(f"left: {left(folder)}")
            if wrong:
                faults.append([number, seen[number - 1], *wrong])
            shutil.rmtree(folder)
        done = {"killed": len(chosen), "states": states, "faults": faults}
        return {"operations": count, **done, "told": says}
    finally:
        shutil.rmtree(base, ignore_errors=True)


def representatives(operations: list[str], count: int) -> set[int]:
    """Numbers of operations, from 1: of those that differ in numbers only the first, the last, and
    some between."""
    kinds: dict[str, list[int]] = {}
    for number, text in enumerate(operations, 1):
        kinds.setdefault(re.sub(r"[0-9a-f]{6,}|\d+", "#", text), []).append(number)
    return {
        numbers[round(at)]
        for numbers in kinds.values()
        for at in np.linspace(0, len(numbers) - 1, min(count, len(numbers)))
    }


def combinations() -> list[tuple[str, str, str]]:
    """All jobs in all modes, and all formats for two of them."""
    found = []
    for kind in JOBS:
        formats = FORMATS if kind in ALL_FORMATS else FORMATS[:2]
        if kind in GEOPACKAGES or kind.startswith("export"):
            formats = FORMATS[:1]
        if kind == "parts":
            formats = FORMATS[-1:]
        for suffix in formats:
            for mode in MODES[:1] if kind.startswith("export") else MODES:
                if mode == "append" and (suffix != ".gpkg" or kind in OF_ONE_LAYER):
                    continue
                found.append((kind, suffix, mode))
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="+", help="'all', or KIND SUFFIX MODE, with * for any")
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", default="1/1", help="e.g. 2/3: the second third of the points")
    parser.add_argument(
        "--alike", type=int, default=0, help="of operations that differ in numbers only; 0: all"
    )
    asked = parser.parse_args()
    first, _, of = asked.part.partition("/")
    which = ["*", "*", "*"] if asked.which == ["all"] else asked.which
    bad = 0
    for one in combinations():
        if any(want not in ("*", name) for want, name in zip(which, one, strict=True)):
            continue
        part = (int(first), int(of))
        said = try_all(*one, asked.points, asked.seed, part, alike=asked.alike)
        bad += len(said["faults"])
        print(json.dumps({"job": one, **said}), flush=True)
    shutil.rmtree(inputs(), ignore_errors=True)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
