# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of a Dask cluster, one after the other, by hand; each run must give the serial bytes.

    python -m tests.core.parallel.dask_faults [--seconds 120] [--every 20]

The tiles sleep, so that a run takes long without much work. Needs root for the worker that does
not see the job's folder (a mount namespace of its own); that case is left out otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import rasterio
from samgeo_core.errors import SamGeoError
from samgeo_core.job import SegmentParameters
from samgeo_core.jobs.run import run
from samgeo_core.testing.bright import Bright

from ..jobs.scenes.made import write_scene
from ..scenes import MARGIN, TILE
from .test_dask import Cluster

SIZE = 1280
SCENES = 30


def write_squares(path: Path) -> Path:
    """Bright squares of several sizes: nothing that a new worker has to make first."""
    pixels = np.full((3, SIZE, SIZE), 20, np.uint8)
    for number, row in enumerate(range(5, SIZE - 60, 50)):
        for place, col in enumerate(range(5, SIZE - 60, 50)):
            side = 8 + (number * 7 + place * 5) % 36
            pixels[:, row : row + side, col : col + side] = 200
    place = rasterio.Affine(0.3, 0, 400_000, 0, -0.3, 3_000_000)
    with rasterio.open(
        path, "w", driver="GTiff", width=SIZE, height=SIZE, count=3, dtype="uint8",
        crs="EPSG:32645", transform=place, tiled=True, blockxsize=256, blockysize=256,
    ) as file:  # fmt: skip
        file.write(pixels)
    return path


class Faults:
    """A cluster, the serial results, and what is compared with them."""

    def __init__(self, folder: Path, seconds: float, every: float) -> None:
        self.folder, self.seconds, self.every = folder, seconds, every
        self.raster = write_squares(folder / "scene.tif")
        started = time.monotonic()
        self.tiles = run(self._job("serial.gpkg"), segmenter=Bright()).tiles
        self.bytes = (folder / "serial.gpkg").read_bytes()
        say(f"serial: {self.tiles} tiles, {time.monotonic() - started:.0f} s")
        # The clients' folder is hidden from the worker that sees nothing; Dask's own is elsewhere.
        own = Path(tempfile.mkdtemp(prefix="samgeo-dask-"))
        self.cluster = Cluster(own)

    def _job(self, name: str, **more: object) -> SegmentParameters:
        return SegmentParameters(
            [str(self.raster)], str(self.folder / name), tile_size=TILE, margin=MARGIN,
            simplify=0.0, layer="o", **more,
        )  # fmt: skip

    def begin(self, workers: int) -> None:
        self.cluster.stop()
        self.cluster.workers.clear()
        self.cluster.scheduler, self.cluster.address = None, ""
        (self.cluster.folder / "scheduler.json").unlink(missing_ok=True)
        self.cluster.start()
        for _ in range(workers):
            self.cluster.add()

    def far(self, name: str, slow: float) -> str:
        """Run on the cluster; "same bytes", or the sentence with which it ended."""
        job = self._job(name, cluster=self.cluster.address)
        try:
            result = run(job, segmenter=Bright(slow=slow))
        except SamGeoError as error:
            return f"{type(error).__name__}: {error}"
        same = (self.folder / name).read_bytes() == self.bytes
        assert not result.failed, result.failed
        assert same
        return "same bytes as the serial run"

    def done(self, name: str) -> int:
        return len(list((self.folder / f"{name}.job").glob("tiles/*.npz")))

    def workers_are_killed(self) -> None:
        self.begin(3)
        stop, killed = threading.Event(), []

        def kill() -> None:
            while not stop.wait(self.every):
                oldest = self.cluster.workers.pop(0)
                oldest.kill()
                oldest.wait()
                killed.append(self.done("killed.gpkg"))
                self.cluster.add()

        killer = threading.Thread(target=kill)
        killer.start()
        started = time.monotonic()
        answer = self.far("killed.gpkg", 3 * self.seconds / self.tiles)
        stop.set()
        killer.join()
        say(
            f"3 workers, one killed every {self.every:.0f} s ({len(killed)} kills, after "
            f"{killed} tiles), {time.monotonic() - started:.0f} s: {answer}"
        )

    def one_without_the_path(self) -> None:
        if os.geteuid() or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
            say("one without the path: left out, needs root")
            return
        self.begin(2)
        run_ = self.cluster._run

        def blind(module: str, *words: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
            code = f"from {module} import main; main()"
            hide = f'mount -t tmpfs none {self.folder} && exec "$@"'
            return subprocess.Popen(
                ["unshare", "-m", "sh", "-c", hide, "sh", sys.executable, "-c", code, *words],
                cwd=self.cluster.folder, env=self.cluster.env,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

        def join_late() -> None:
            while self.done("blind.gpkg") < 3:
                time.sleep(0.05)
            self.cluster._run = blind
            late.append(self.cluster.add())
            self.cluster._run = run_

        late: list[subprocess.Popen[bytes]] = []
        joiner = threading.Thread(target=join_late)
        joiner.start()
        say(f"a worker without the path joins: {self.far('blind.gpkg', 1.0)}")
        joiner.join()
        say(f"  again with it, {self.done('blind.gpkg')} tiles: {self.far('blind.gpkg', 1.0)}")
        late[0].kill()
        late[0].wait()
        time.sleep(2)
        say(f"  without it, {self.done('blind.gpkg')} tiles: {self.far('blind.gpkg', 0.1)}")

    def scheduler_is_restarted(self) -> None:
        self.begin(3)

        def kill() -> None:
            while self.done("restarted.gpkg") < 8:
                time.sleep(0.05)
            self.cluster.scheduler.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        started = time.monotonic()
        say(f"scheduler killed: {self.far('restarted.gpkg', 0.5)}")
        killer.join()
        say(f"  said after {time.monotonic() - started:.0f} s, {self.done('restarted.gpkg')} tiles")
        self.begin(3)
        say(f"  new scheduler: {self.far('restarted.gpkg', 0.1)}")

    def scenes(self) -> None:
        rasters = self.folder / "scenes"
        rasters.mkdir()
        for number in range(SCENES):
            write_scene(rasters / f"s{number:02d}_2024010{number % 3 + 1}.tif", 40.0 * number)
        (rasters / "s07_20240102.tif").write_bytes(b"no raster")
        for way in ("each", "layer"):
            found = {}
            for place in ("serial", "cluster"):
                out = self.folder / f"{way}_{place}"
                out.mkdir()
                name = "{scene}.parquet" if way == "each" else "all.parquet"
                given: dict[str, object] = {"scenes": way}
                if place == "cluster":
                    self.begin(3)
                    given["cluster"] = self.cluster.address
                job = SegmentParameters([str(rasters)], str(out / name), tile_size=64, **given)
                done: list[int] = []

                def kill_some(step: object, done: list[int] = done) -> None:
                    done.append(1)
                    if len(done) in (8, 16):
                        self.cluster.workers.pop(0).kill()
                        self.cluster.add()

                on_cluster = place == "cluster"
                result = run(
                    job,
                    segmenter=Bright(slow=0.3 if on_cluster else 0.0),
                    progress=kill_some if on_cluster else None,
                )
                digests = {
                    path.name: hashlib.blake2b(path.read_bytes()).hexdigest()
                    for path in sorted(out.glob("*.parquet"))
                }
                found[place] = result.features, result.failed, digests
            if found["serial"] != found["cluster"]:
                raise AssertionError([f[:2] for f in found.values()])
            features, failed, digests = found["serial"]
            say(
                f"--scenes {way}, 3 workers, two killed: {features} objects, {len(digests)} files, "
                f"failed: {failed}; the same as serial"
            )


def say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="Of the run with kills.")
    parser.add_argument("--every", type=float, default=20.0, help="Seconds between two kills.")
    parser.add_argument("--only", nargs="+", help="Names of cases.")
    args = parser.parse_args()
    cases = ("scenes", "scheduler_is_restarted", "one_without_the_path", "workers_are_killed")
    folder = Path(tempfile.mkdtemp(prefix="samgeo-faults-"))
    faults = Faults(folder, args.seconds, args.every)
    try:
        for name in args.only or cases:
            getattr(faults, name)()
    finally:
        faults.cluster.stop()
        shutil.rmtree(faults.cluster.folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
