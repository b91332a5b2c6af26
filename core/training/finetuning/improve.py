# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo train``: a layer in, a better model out, or the reason why not.

::

    layer, raster -> examples -> split by place -> train | watched | held back
                                     |                          |
                    base model -> learner -> best weights ------+-> both models measured
                                                                |
                                                     a gain: model + card, else: none
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ...errors import JobError, OutputError
from ...in_memory import ArrayRaster, raster_paths
from ...job import Progress, TrainParameters, option
from ...layers.reader import LayerLike
from ...models.weights import checkpoints
from ...models.weights.own import (
    check_name,
    own_folder,
    save_own,
)
from ...parallel.file_lock import FileLock
from ...raster.raster import RasterOptions, open_raster
from .examples import (
    ExampleOptions,
)
from .finetune import STATE, LoopOptions
from .learners import What
from .training_job import EMBEDDINGS, Trained, TrainOptions, prepare

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

LOCK = "train.lock"
"""What a run leaves in its folder besides its checkpoint and embeddings."""


def train(
    raster: str | Path | DatasetReader | ArrayRaster | Sequence[str | Path | DatasetReader],
    labels: LayerLike,
    name: str,
    options: TrainOptions | None = None,
    *,
    work: str | Path | None = None,
    fresh: bool = False,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train a model on a user's own polygons, and keep it where it gains.

    Args:
        raster: As for :func:`~samgeo_core.segment`. A run of an array that was killed cannot go on:
            the next one must be ``fresh``.
        labels: Polygons in any CRS: accepted and corrected ones, and rejected ones by a status
            field.
        name: Of the model to make.
        options: See :class:`TrainOptions`.
        work: Folder for checkpoints and embeddings; one beside the models else. A run that was
            killed goes on from there, a finished one deletes what it put there.
        fresh: Forget an unfinished run.
        overwrite: Replace a model of that name.
        progress: Called with each step.

    Raises:
        ParameterError: The data do not do: too few objects, all at one place, overlapping, off the
            raster.
        JobError: An unfinished run is of other data.
        ModelError: The model is unknown, or cannot be trained.
        Cancelled: The user stopped it.
    """
    options = options or TrainOptions()
    check_name(name)
    models = checkpoints.models_folder()
    if (own_folder(models) / name).exists() and not overwrite:
        raise OutputError(
            f"A model named {name} exists already: choose another name, or allow it to be replaced "
            f"({option('overwrite')})."
        )
    folder = own_folder(models) / f".work-{name}" if work is None else Path(work)

    def report(stage: str, done: int, total: int) -> None:
        if progress is not None:
            progress(Progress(None, stage, done, total))

    looking = RasterOptions(allow_remote=options.allow_remote)
    with (
        _working(folder, fresh=fresh),
        tempfile.TemporaryDirectory(prefix="samgeo-", ignore_cleanup_errors=True) as memory,
        open_raster(raster_paths(raster, Path(memory)), looking) as opened,
    ):
        job = prepare(opened, labels, options, folder, report)
        done = job.run(name, report)
        if done.verdict.offered:
            path = save_own(
                models,
                name,
                job.learner.file(job.kept) if job.kept else {},
                job.notes,
                done.card,
                extra_notes=job.extra_notes,
                overwrite=overwrite,
                complete=job.put_classifier,
            )
            done = replace(done, path=str(path))
        _clear(folder)
    return done


def train_as_asked(
    params: TrainParameters, *, progress: Callable[[Progress], None] | None = None
) -> Trained:
    """The same with the parameters of the command and of QGIS; see :func:`train`."""
    options = TrainOptions(
        model=params.model,
        what=cast("What | None", params.what),
        window=params.window,
        points=params.points_per_side,
        confident=params.confident,
        licence=params.licence,
        person_minutes=params.person_minutes,
        allow_remote=params.allow_remote,
        device=params.device,
        threads=params.threads,
        examples=ExampleOptions(
            params.layer,
            params.status_field,
            params.class_field,
            params.complete,
            params.complete_everywhere,
            params.held_back,
        ),
        loop=LoopOptions(params.steps, params.minutes, params.rate, seed=params.seed),
    )
    return train(
        params.rasters,
        params.labels,
        params.name,
        options,
        work=params.work,
        fresh=params.fresh,
        overwrite=params.overwrite,
        progress=progress,
    )


@contextmanager
def _working(folder: Path, *, fresh: bool) -> Iterator[None]:
    """A folder for one run at a time; it goes where nothing of a run is left in it.

    Raises:
        JobError: Another process trains there.
        OutputError: It cannot be written to.
    """
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = lock.acquire()
    except OSError as error:
        raise OutputError(f"{folder} cannot be written to: {error.strerror or error}.") from error
    if not taken:
        raise JobError(
            f"Another process trains in {folder}: wait for it, or choose another folder "
            f"({option('work')})."
        )
    try:
        if fresh:
            _clear(folder)
        yield
    finally:
        # While the lock is held: afterwards the folder may be another run's.
        done = not (folder / STATE).exists()
        if done:
            # Only what this run made: the folder may be the user's own.
            _clear(folder)
        lock.release(delete=done)
        if done:
            with suppress(OSError):
                folder.rmdir()


def _clear(folder: Path) -> None:
    """Delete a run's checkpoint and embeddings, and nothing else."""
    (folder / STATE).unlink(missing_ok=True)
    shutil.rmtree(folder / EMBEDDINGS, ignore_errors=True)
