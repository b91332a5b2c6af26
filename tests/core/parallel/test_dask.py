# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs on a real Dask cluster on this machine: the same bytes, lost workers, unseen folders."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from samgeo_core.errors import JobError, ParameterError
from samgeo_core.job import ClassifyParameters, MapParameters, SegmentParameters
from samgeo_core.jobs.classes.classify import classify_layer
from samgeo_core.jobs.classes.map_classes import map_classes
from samgeo_core.jobs.options import with_absolute_paths
from samgeo_core.jobs.run import run
from samgeo_core.parallel import executors
from samgeo_core.parallel.executors import DaskExecutor, make_executor

from ..classes.world import mobile_sam, squares, write_points, write_world
from ..scenes import MARGIN, TILE, SceneOracle, write_raster

distributed = pytest.importorskip("distributed")
ROOT = Path(__file__).resolve().parents[3]


class Cluster:
    """A scheduler and workers as processes, as on several machines."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.workers = folder, []
        self.env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / '.dev'}"}
        self.env["DASK_DISTRIBUTED__WORKER__DAEMON"] = "False"
        self.scheduler, self.address = None, ""

    def start(self) -> None:
        file = self.folder / "scheduler.json"
        self.scheduler = self._run("distributed.cli.dask_scheduler", "--port", "0",
                                   "--host", "127.0.0.1", "--no-dashboard",
                                   "--scheduler-file", str(file))  # fmt: skip
        end = time.monotonic() + 60
        while not self.address:
            assert time.monotonic() < end
            time.sleep(0.1)
            if file.exists() and file.read_text().strip():
                import json

                self.address = json.loads(file.read_text())["address"]

    def add(self, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        worker = self._run("distributed.cli.dask_worker", self.address, "--nthreads", "1",
                           "--no-nanny", "--no-dashboard", "--local-directory",
                           str(self.folder), cwd=cwd)  # fmt: skip
        self.workers.append(worker)
        return worker

    def _run(self, module, *words, cwd=None):
        code = f"from {module} import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", code, *words],
            cwd=cwd or self.folder,
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                process.kill()
                process.wait()


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def raster(tmp_path_factory):
    return write_raster(tmp_path_factory.mktemp("raster") / "scene.tif")


def job(raster, output, **more):
    return SegmentParameters(
        [str(raster)], str(output), tile_size=TILE, margin=MARGIN, simplify=0.0, layer="o", **more
    )


def test_a_cluster_gives_the_same_bytes_though_a_worker_dies(
    cluster, raster, tmp_path, monkeypatch
):
    first = cluster.add()
    cluster.add()
    run(job(raster, tmp_path / "here.gpkg"), segmenter=SceneOracle())

    def kill():
        end = time.monotonic() + 60
        while time.monotonic() < end and not list(tmp_path.glob("far.gpkg.job/tiles/*.npz")):
            time.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        cluster.add()

    killer = threading.Thread(target=kill)
    killer.start()
    monkeypatch.chdir(tmp_path)  # paths may be relative to the client's folder
    result = run(job(raster, "far.gpkg", cluster=cluster.address), segmenter=SceneOracle(slow=0.2))
    killer.join()
    assert not result.failed
    assert (tmp_path / "far.gpkg").read_bytes() == (tmp_path / "here.gpkg").read_bytes()


def test_classes_of_objects_and_of_ground_are_the_same_bytes_on_a_cluster(
    cluster, tmp_path, monkeypatch
):
    monkeypatch.setenv("SAMGEO_CACHE_DIR", str(tmp_path / "cache"))
    cluster.add()
    cluster.add()
    raster, objects = write_world(tmp_path)
    points = write_points(tmp_path / "points.gpkg", squares()[:6])
    given = {
        "rasters": [str(raster)], "examples": str(points), "class_field": "kind",
        "tile_size": 192, "margin": 32,
    }  # fmt: skip
    for name, job_of, make, more in (
        ("classes", ClassifyParameters, classify_layer, {"input": str(objects)}),
        ("ground", MapParameters, map_classes, {}),
    ):
        written = []
        for place in ("here", "far"):
            output = tmp_path / place / f"{name}.gpkg"
            output.parent.mkdir(exist_ok=True)
            asked = {**given, **more, "output": str(output)}
            if place == "far":
                asked["cluster"] = cluster.address
            make(job_of.from_dict(asked), factory=mobile_sam)
            written.append(output.read_bytes())
        assert written[0] == written[1]


def test_workers_in_other_folders_get_the_same_rasters(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("r.gpkg", "P", "a:b.tif"):
        (tmp_path / name).touch()
    given = {
        "a.tif": f"{tmp_path}/a.tif",
        "a:b.tif": f"{tmp_path}/a:b.tif",
        "GPKG:r.gpkg:tab": f"GPKG:{tmp_path}/r.gpkg:tab",
        'NETCDF:"r.gpkg":band': f'NETCDF:"{tmp_path}/r.gpkg":band',
        "GPKG:P:tab": f"GPKG:{tmp_path}/P:tab",
        'ZARR:"/no/such.zarr":/x': 'ZARR:"/no/such.zarr":/x',
        "<VRTDataset/>": "<VRTDataset/>",
        "/vsimem/a.tif": "/vsimem/a.tif",
        "https://example.org/a.tif": "https://example.org/a.tif",
    }
    asked = with_absolute_paths(SegmentParameters(list(given), "a:100:b.fgb"))
    assert asked.rasters == list(given.values())
    assert asked.output == f"{tmp_path}/a:100:b.fgb"


def test_a_cluster_without_workers_is_said(cluster, monkeypatch):
    monkeypatch.setattr(executors, "NO_WORKER_SECONDS", 0.5)
    with pytest.raises(JobError, match="No worker is connected to the Dask scheduler"):
        make_executor(1, cluster.address)


def test_a_worker_that_does_not_see_a_path_is_named(cluster):
    cluster.add()
    with DaskExecutor(cluster.address) as executor:
        executor.require([Path("/")])
        with pytest.raises(JobError, match=r"worker at tcp://.* does not see /nowhere/town.tif"):
            executor.require([Path("/"), Path("/nowhere/town.tif")])


def test_losing_all_workers_ends_a_run_with_a_sentence(cluster, monkeypatch):
    monkeypatch.setattr(executors, "LOOK_WORKERS_SECONDS", 0.3)
    worker = cluster.add()
    with DaskExecutor(cluster.address) as executor:
        results = executor.map(time.sleep, [0.0, 30.0])
        next(results)
        worker.kill()
        with pytest.raises(JobError, match=r"start workers|was lost"):
            list(results)


def test_nobody_at_the_address_is_said(monkeypatch):
    monkeypatch.setattr(executors, "CONNECT_SECONDS", 1)
    with pytest.raises(ParameterError, match="No Dask scheduler answers at tcp://127"):
        DaskExecutor("tcp://127.0.0.1:9")
