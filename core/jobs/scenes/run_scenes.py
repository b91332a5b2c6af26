# SPDX-License-Identifier: GPL-2.0-or-later
"""Many rasters one by one: each a job of its own, side by side in the workers.

A run may be stopped or killed at any moment; the same run goes on with the scenes that are left. A
scene that fails, or takes its worker process with it, does not stop the others. The memory of this
process does not grow with the scenes, but for their names.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ... import __version__
from ...addresses import without_secrets
from ...errors import (
    JobError,
    ModelError,
    OutputError,
    ParameterError,
    SamGeoError,
    WorkerDied,
)
from ...job import Progress, SegmentParameters, option
from ...layers.formats import format_of
from ...layers.publish import real_path
from ...masks.job_folder import JobFolder
from ...models.catalogue import CATALOGUE
from ...notes import warn
from ...parallel.executors import LOOK_AHEAD, ProcessExecutor, make_executor
from ...parallel.file_lock import FileLock
from ...segmenters.segmenter import Segmenter
from ...sources.references import files_named
from ...sources.scenes import Scene, find_scenes
from ..finished import made_by
from ..options import with_absolute_paths
from ..result import JobResult, Report, reported
from ..stages.opened import forget_kept
from ..stages.stac_item import write_stac_item
from ..stages.tile_stage import SegmenterFactory
from .journal import FAILED, OUTSIDE, Journal, SceneOutcome
from .one_layer import LayerOfScenes
from .one_scene import NAME, SceneStage, same_raster, stamp_of


def segment_scenes(
    params: SegmentParameters,
    *,
    segmenter: Segmenter | SegmenterFactory | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> JobResult:
    """Segment rasters one by one; the arguments are those of :func:`~..run.run`.

    Returns:
        Of all scenes together; ``failed`` names those that failed, with the reason.

    Raises:
        SamGeoError: See ``errors.py``; scenes that are finished are kept.
        ModelError: All scenes failed.
    """
    started = time.monotonic()
    if params.cluster:
        params = with_absolute_paths(params)
    with reported(progress, cancelled) as (report, notes):
        folder = _folder(params)
        scenes = find_scenes(params.rasters, asset=params.asset, remote=params.allow_remote)
        together = LayerOfScenes.of(params, folder, scenes) if params.scenes == "layer" else None
        stage = SceneStage(
            params,
            params.output if together is None else str(folder / "parts" / f"{NAME}.parquet"),
            None if together is None else together.crs,
            segmenter,
            folder / "begun" if together is None else None,
        )
        _check_outputs(stage, scenes)
        if together is not None:
            earlier = together.completed(partial(_made_by, params, stage, scenes))
            if earlier is not None:
                JobFolder(folder).remove_all()
                for note in earlier.warnings:
                    warn(note)
                return replace(earlier, seconds=time.monotonic() - started, warnings=notes)
        with _locked(folder):
            journal = Journal(folder / "scenes.jsonl", _digest(params, stage), __version__)
            if params.fresh:
                for name in ("parts", "begun"):
                    shutil.rmtree(folder / name, ignore_errors=True)
                journal.path.unlink(missing_ok=True)
            for left in (folder / "begun").glob(".*.part"):  # of a run that was killed
                left.unlink(missing_ok=True)
            with journal:
                failed = _run(stage, scenes, journal, report)
            totals = _totals(journal, scenes)
            if failed and not totals.done:
                raise ModelError(
                    f"None of the {len(scenes)} scenes could be segmented; the first failed with: "
                    f"{failed[0]}"
                )
            if totals.outside == len(scenes):
                raise ParameterError(
                    f"The area of interest lies beside all {len(scenes)} scenes: check its "
                    "coordinates and coordinate system."
                )
            output, features = str(Path(params.output).parent), totals.features
            layer = ""
            if together is not None:
                output, layer, features = together.write(journal, report)
                if params.stac_item:
                    write_stac_item(params, output, layer, folder)
            outputs = [] if together is not None else totals.written
            result = JobResult(
                output,
                layer,
                features,
                totals.tiles,
                failed,
                warnings=list(notes),
                scenes=len(scenes),
                outputs=[str(stage.path(name)) for name in outputs],
            )
            tidy = together is not None and not failed and params.job_folder is None
            if together is not None and not failed:
                if tidy:
                    together.note_complete(_made_by(params, stage, scenes), result)
                together.forget()
        if tidy:
            JobFolder(folder).remove()
    return replace(result, seconds=time.monotonic() - started, warnings=notes)


def _folder(params: SegmentParameters) -> Path:
    """Where a run keeps what it has done; checks the output's name.

    Raises:
        ParameterError: The name does not suit what is asked for.
    """
    output = Path(params.output)
    folder = Path(params.job_folder or f"{params.output}.job")
    if params.scenes == "layer":
        if NAME in params.output:
            raise ParameterError(
                f"{params.output} names a layer per scene: give {option('scenes')} each, or "
                f"leave {NAME} out."
            )
        return folder
    if NAME not in output.name:
        raise ParameterError(
            f"{option('scenes')} each writes one layer per scene: put {NAME} into the output's "
            f"name, e.g. {output.with_suffix('') / (NAME + (output.suffix or '.gpkg'))}."
        )
    format_of(output)
    try:
        output.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"The folder {output.parent} cannot be made: {error.strerror or error}."
        ) from error
    return folder


def _check_outputs(stage: SceneStage, scenes: Sequence[Scene]) -> None:
    """Refuse a scene's layer in the place of any scene's raster."""
    inputs = {str(real_path(name)) for scene in scenes for name in files_named(scene.source)}
    for scene in scenes:
        path = stage.path(scene.id)
        if str(real_path(path)) in inputs:
            raise OutputError(f"The output {path} is also one of the rasters: choose another name.")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
        if not lock.acquire():
            raise JobError(
                f"Another process works on the scenes in {folder}: wait for it or stop it."
            )
    except OSError as error:
        raise OutputError(
            f"The folder {folder} cannot be used: {error.strerror or error}. Name another with "
            f"{option('job_folder')}."
        ) from error
    try:
        yield
    finally:
        lock.release(delete=True)


def _digest(params: SegmentParameters, stage: SceneStage) -> str:
    """Of all that the layers of scenes depend on, but for the scenes."""
    own = replace(params, scenes="mosaic", duplicates="date", sign=None, part_size=None)
    used: dict[str, Any] = {
        "crs": stage.crs,
        "segmenter": getattr(stage.segmenter, "fingerprint", ""),
    }
    # torch takes seconds to import: only models of this name or path are files of one's own.
    if stage.segmenter is None and params.model not in CATALOGUE:
        from ...models.weights.checkpoints import stamp_of as model_stamp

        used["model"] = model_stamp(params.model)  # it may be trained again under its name
    return made_by(own, used)


def _made_by(params: SegmentParameters, stage: SceneStage, scenes: Sequence[Scene]) -> str:
    """Digest of all that a layer of scenes depends on."""
    seen = sorted(
        (scene.id, stamp_of(scene.source) or without_secrets(scene.source), scene.date)
        for scene in scenes
    )
    asked = [_digest(params, stage), params.duplicates, params.part_size, seen]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def _run(stage: SceneStage, scenes: Sequence[Scene], journal: Journal, report: Report) -> list[str]:
    """Do what is not done yet; the failed ones, each with its reason."""
    known = {scene.id: scene for scene in scenes}
    without_item: list[tuple[Scene, str]] = []

    def keeps(outcome: SceneOutcome) -> SceneOutcome | None:
        scene, path = known.get(outcome.id), stage.path(outcome.id)
        same = scene is not None and same_raster(outcome, scene.source)
        if scene is not None and (not same or outcome.status == FAILED):
            # its tiles are of no use to the next try
            JobFolder(path.with_name(f"{path.name}.job")).remove()
        there = outcome.output == path.name and path.exists()
        if scene is not None and same and outcome.good and (there or outcome.status == OUTSIDE):
            stage.forget(outcome.id)
            date = scene.date or outcome.date  # a name or a side file may have been put right
            if there and stage.lacks_item(outcome.id, redated=date != outcome.date):
                without_item.append((scene, date))
            return replace(outcome, date=date)
        written_here = outcome.output in ("", path.name)
        stage.note_written(outcome.id, outcome.digest if written_here else "")
        return None

    kept = journal.begin(keeps)
    pending = [scene for scene in scenes if scene.id not in kept]
    done, total = len(scenes) - len(pending), len(scenes)
    failed: list[str] = []
    for scene, date in without_item:
        report.check()
        try:
            stage.write_item(scene, date)
        except SamGeoError as error:
            failed.append(f"{scene.id}: {error}")
    report("scenes", done, total)
    started = time.monotonic()
    with closing(_outcomes(stage, pending)) as outcomes:
        for number, outcome in enumerate(outcomes, 1):
            journal.add(outcome)
            stage.forget(outcome.id)
            if not outcome.good:
                failed.append(f"{outcome.id}: {outcome.message}")
            left = (time.monotonic() - started) / number * (len(pending) - number)
            report("scenes", done + number, total, _message(outcome, left))
    forget_kept()
    return failed


def _message(outcome: SceneOutcome, left: float) -> str:
    """What a step says: the scene that failed, or how long the run will take."""
    if not outcome.good:
        return f"{outcome.id}: {outcome.message}"
    return f"about {duration(left)} left" if left >= 1 else ""


def duration(seconds: float) -> str:
    """A time for people: 40 s, 12 min, 3.5 h, 2.1 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def _outcomes(stage: SceneStage, pending: Sequence[Scene]) -> Generator[SceneOutcome, None, None]:
    """Each scene's outcome, in their order; those that take their worker with them are failed."""
    params, first = stage.params, 0
    while first < len(pending):
        here = first
        try:
            with make_executor(params.workers, params.cluster) as executor:
                _require(executor, stage, pending)
                for outcome in executor.map(stage, pending[here:]):
                    first += 1
                    yield outcome
        except WorkerDied as error:
            if params.cluster:  # its scheduler has tried several workers with this very scene
                yield _lost(stage, pending[first], error)
                first += 1
                continue
            suspects = pending[first : first + params.workers * LOOK_AHEAD + 1]
            for outcome in _in_one_process(stage, suspects):
                first += 1
                yield outcome


def _require(executor: Any, stage: SceneStage, pending: Sequence[Scene]) -> None:
    """The workers see the outputs' folder, and of the scenes the folders that they lie in."""
    parent = stage.path("x").parent
    parent.mkdir(parents=True, exist_ok=True)
    if not stage.params.cluster:
        return
    folders = {Path(n).parent for scene in pending for n in files_named(scene.source)}
    marks = [] if stage.begun is None else [stage.begun.parent]
    executor.require([parent, *marks, *sorted(folders)])


def _in_one_process(
    stage: SceneStage, scenes: Sequence[Scene]
) -> Generator[SceneOutcome, None, None]:
    """Scenes one after the other: the one at which the process ends is known then."""
    done = 0
    while done < len(scenes):
        try:
            with ProcessExecutor(1) as executor:
                for outcome in executor.map(stage, scenes[done:]):
                    done += 1
                    yield outcome
        except WorkerDied as error:
            yield _lost(stage, scenes[done], error)
            done += 1


def _lost(stage: SceneStage, scene: Scene, error: WorkerDied) -> SceneOutcome:
    return SceneOutcome(
        scene.id,
        FAILED,
        stamp=stamp_of(scene.source),
        date=scene.date,
        digest=stage.written(scene.id),
        message=str(error),
    )


class _Totals:
    """Sums over the scenes of a run."""

    def __init__(self) -> None:
        self.features = self.tiles = self.done = self.outside = 0
        self.written: list[str] = []


def _totals(journal: Journal, scenes: Sequence[Scene]) -> _Totals:
    wanted = {scene.id for scene in scenes}
    totals = _Totals()
    for outcome in journal.outcomes():
        if outcome.id not in wanted:
            continue
        totals.features += outcome.features
        totals.tiles += outcome.tiles
        totals.done += outcome.status != FAILED
        totals.outside += outcome.status == OUTSIDE
        if outcome.output:
            totals.written.append(outcome.id)
    totals.written.sort()
    return totals
