# SPDX-License-Identifier: GPL-2.0-or-later
"""One scene of many: a job of its own, whose failure is an answer and not the end."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely

from ...addresses import without_secrets, without_signature
from ...earth.crs import known_crs
from ...earth.longitude import moved_by, turn_of, turns_of_neighbours
from ...earth.reproject import Reprojection
from ...errors import Cancelled, OutputError, RasterError, SamGeoError
from ...job import SegmentParameters, option
from ...layers.publish import output_digest
from ...layers.stac_item import item_path
from ...layers.writer import check_output
from ...masks.job_folder import write_text
from ...notes import collected
from ...parallel import cancellation
from ...parallel.atomic_write import write_atomically
from ...parallel.executors import ONE_AT_A_TIME, new_run
from ...raster.areas import MissesRaster
from ...raster.raster import Raster, open_raster
from ...segmenters.segmenter import Segmenter
from ...sources.dates import moment_in_tags, moments_in_name
from ...sources.names import short_name
from ...sources.references import files_named, is_remote, references_of
from ...sources.scenes import Scene, signed
from ..one_raster import segment_one
from ..options import area_of_interest, raster_options
from ..stages.opened import models_kept
from ..stages.stac_item import write_stac_item
from ..stages.tile_stage import SegmenterFactory
from .journal import DONE, FAILED, INCOMPLETE, OUTSIDE, SceneOutcome

NAME = "{scene}"
"""What stands for a scene's name in the name of its output."""

MOST_NOTES = 5
"""Notes of a scene that are kept."""


@dataclass(frozen=True)
class SceneStage:
    """Scene -> its layer. Picklable; one call is one whole job in this process.

    Args:
        params: Of the run; rasters and output are a scene's own.
        output: Path of a scene's layer, with :data:`NAME` in it.
        crs: Of a layer that scenes share, as WKT; None where each has its own.
        segmenter: Instead of ``params.model``.
        begun: Folder with a mark for each scene whose layer this run may replace. An empty one is
            made where no layer was: one may be there although nobody has noted it, because the run,
            or a worker, was killed. One with a digest stands for the layer that this run has
            written: of another raster, of the same before it changed, or without tiles that failed.
        run: Names this run: its model stays loaded from one scene to the next.
    """

    params: SegmentParameters
    output: str
    crs: str | None = None
    segmenter: Segmenter | SegmenterFactory | None = None
    begun: Path | None = None
    run: str = field(default_factory=new_run)

    def path(self, scene: str) -> Path:
        """Where a scene's layer is."""
        return Path(self.output.replace(NAME, scene))

    def is_ours(self, scene: str) -> bool:
        """Whether a scene's layer, if there is one, was made by this run; marks that it will be."""
        if self.begun is None:
            return False
        mark = self.begun / scene
        noted = _text(mark)
        if noted == "":
            return True
        ours = noted is not None and noted == self._digest(scene)
        with contextlib.suppress(OutputError):  # a layer of others, or one that was edited
            check_output(self.path(scene), overwrite=ours, layer_name=self.params.layer)
            self.begun.mkdir(exist_ok=True)
            write_text(mark, "")
        return ours

    def note_written(self, scene: str, digest: str) -> None:
        """Let a scene's layer be replaced as long as it is what this run has written."""
        self.forget(scene)
        if self.begun is not None and digest:
            self.begun.mkdir(exist_ok=True)
            write_atomically(self.begun / scene, lambda path: write_text(path, digest))

    def written(self, scene: str) -> str:
        """Digest of a scene's layer as this run has left it, whether it came to an end or not; ""
        where there is none."""
        noted = None if self.begun is None else _text(self.begun / scene)
        return "" if noted is None else noted or self._digest(scene)

    def _digest(self, scene: str) -> str:
        path = self.path(scene)
        return output_digest(path, self.params.layer or path.stem) or ""

    def forget(self, scene: str) -> None:
        """What became of a scene is noted: from here on its layer is the user's."""
        if self.begun is not None:
            (self.begun / scene).unlink(missing_ok=True)

    def lacks_item(self, scene: str, *, redated: bool) -> bool:
        """Whether a STAC item is to be written for a layer that is there.

        Args:
            scene: Its name.
            redated: The date is another one by now: an item that tells the earlier one is removed.
        """
        if not self.params.stac_item or self.crs is not None:
            return False
        item = item_path(self.path(scene))
        if redated:
            item.unlink(missing_ok=True)
        return not item.exists()

    def write_item(self, scene: Scene, date: str) -> None:
        """Write the STAC item of a scene beside its layer.

        Raises:
            OutputError: It cannot be written.
        """
        path = self.path(scene.id)
        params = replace(self.params, rasters=[signed(scene.source, self.params.sign)])
        folder = self.begun if self.begun is not None and self.begun.is_dir() else None
        write_stac_item(params, str(path), self.params.layer or path.stem, folder, [date])

    def __call__(self, scene: Scene) -> SceneOutcome:
        """Segment one scene; whatever goes wrong with it is its outcome."""
        started = time.monotonic()
        outcome = SceneOutcome(
            scene.id,
            FAILED,
            source=without_secrets(scene.source),
            stamp=stamp_of(scene.source),
            date=scene.date,
        )
        with ONE_AT_A_TIME, models_kept(self.run), collected():  # they are in the outcome's notes
            try:
                outcome = self._segmented(scene, outcome)
            except Cancelled:
                raise
            except MissesRaster:
                outcome = replace(outcome, status=OUTSIDE)
            except SamGeoError as error:
                outcome = replace(outcome, message=str(error))
            except Exception as error:  # of a segmenter of the user's own, or of a library
                said = without_secrets(str(error))
                outcome = replace(outcome, message=f"{type(error).__name__}: {said}")
        if not outcome.digest:
            outcome = replace(outcome, digest=self.written(scene.id))
        return replace(outcome, seconds=round(time.monotonic() - started, 3))

    def _segmented(self, scene: Scene, outcome: SceneOutcome) -> SceneOutcome:
        params = replace(
            self.params,
            rasters=[signed(scene.source, self.params.sign)],
            output=str(self.path(scene.id)),
            scenes="mosaic",
            sign=None,
            stac_item=False,
            job_folder=None,
            part_size=None,
            workers=1,
            cluster=None,
            overwrite=self.params.overwrite or self.is_ours(scene.id),
        )
        if self.crs is not None:
            params = replace(params, crs=self.crs, overwrite=True, layer=None)
        if self.crs is not None or params.extent is not None or params.area is not None:
            with open_raster(params.rasters, raster_options(params)) as raster:
                area_of_interest(params, raster)  # refuses one that misses the scene
                if self.crs is not None:
                    outcome = replace(
                        outcome,
                        date=outcome.date or _date_in_tags(raster, scene),
                        footprint=_footprint(raster, self.crs),
                        modified=raster.modified.isoformat(),
                        pixel=raster.ground_pixel,
                    )
        result = segment_one(params, segmenter=self.segmenter, cancelled=_asked_outside())
        if self.params.stac_item and self.crs is None:
            self.write_item(scene, outcome.date)
        return replace(
            outcome,
            status=INCOMPLETE if result.failed else DONE,
            output=Path(result.output).name,
            digest="" if self.begun is None else self._digest(scene.id),
            features=result.features,
            tiles=result.tiles,
            notes=result.warnings[:MOST_NOTES],
            message="; ".join(result.failed[:3]),
        )


def _asked_outside() -> Callable[[], bool]:
    """Whether the run is to stop, asked from within a scene's job."""
    check = cancellation.question()

    def cancelled() -> bool:
        check()
        return False

    return cancelled


def stamp_of(source: str) -> str:
    """What tells a raster from another of the same name: size and time of change of its file and
    of those that a virtual raster refers to, or a digest of an address with a query, which is never
    stored; "" for other addresses."""
    address = without_signature(source)
    if address != without_secrets(source):
        return hashlib.blake2b(address.encode(), digest_size=16).hexdigest()
    stamps = []
    for name in _files_of(source, set()):
        try:
            status = os.stat(name)
        except OSError:
            continue
        stamps.append(f"{status.st_size}.{status.st_mtime_ns}")
    return " ".join(stamps)


def _files_of(name: str, seen: set[str]) -> Iterator[str]:
    """A raster's own files, then those of what it refers to."""
    if name in seen or is_remote(name):
        return
    seen.add(name)
    yield from files_named(name)
    try:
        references = references_of(name)
    except RasterError:
        return  # opening it says why
    for reference in references:
        yield from _files_of(reference.name, seen)


def same_raster(outcome: SceneOutcome, source: str) -> bool:
    """Whether a scene was made of a raster as it is now; what was not noted counts as the same."""
    stamp = stamp_of(source)
    # Of the files that a virtual raster refers to, earlier journals have no stamps.
    if outcome.stamp not in ("", stamp) and not stamp.startswith(f"{outcome.stamp} "):
        return False
    noted = outcome.source
    if noted in ("", without_secrets(source)):
        return True
    if not os.path.isfile(source):  # an address, or in an archive
        return False
    if os.path.exists(noted):
        return os.path.samefile(noted, source)
    return Path(noted).name == Path(source).name  # moved, or named from another folder


def _text(path: Path) -> str | None:
    """The content of a file; None where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _date_in_tags(raster: Raster, scene: Scene) -> str:
    """When a scene was taken whose name does not say it, or holds several dates."""
    taken, written = moment_in_tags(raster.tags)
    moment = taken or (None if moments_in_name(short_name(scene.source)) else written)
    return "" if moment is None else moment.text


def _footprint(raster: Raster, crs: str) -> list[list[float]]:
    """Outline of a raster in the CRS of the layer, dense enough to be bent.

    Where the layer's map is cut (at the date line) the outline goes on beyond it.
    """
    source: Any = known_crs(raster.crs)
    if source is None:
        raise RasterError(
            f"{raster.name} has no coordinate system, so that it cannot share a layer with others: "
            f"choose {option('scenes')} each."
        )
    height, width = raster.shape
    ring = shapely.segmentize(shapely.box(0, 0, width, height), max(height, width) / 8)
    t = raster.transform
    ground = shapely.transform(
        ring,
        lambda xy: np.column_stack(
            [t.a * xy[:, 0] + t.b * xy[:, 1] + t.c, t.d * xy[:, 0] + t.e * xy[:, 1] + t.f]
        ),
    )
    target = pyproj.CRS.from_wkt(crs)
    moved = Reprojection(source, target)(np.array([ground]), raster.name)[0]
    turn = turn_of(target)
    if moved.geom_type != "Polygon" and turn is not None:
        parts = shapely.get_parts(moved)
        turns = turns_of_neighbours([(part.bounds[0], part.bounds[2]) for part in parts], turn)
        beside = [moved_by(part, turn * n) for part, n in zip(parts, turns, strict=True)]
        moved = shapely.union_all(beside)
    outline = moved if moved.geom_type == "Polygon" else moved.convex_hull
    return [[float(x), float(y)] for x, y in shapely.get_coordinates(outline.exterior)]
