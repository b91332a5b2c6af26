# SPDX-License-Identifier: GPL-2.0-or-later
"""A job's result and how it reports progress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..errors import Cancelled, IncompleteError, SamGeoWarning
from ..job import Progress, with_knobs
from ..notes import collected, warn
from ..parallel.cancellation import stopped_by
from .stages.opened import close_all

NO_POLYGONS = "No polygons: "
"""How the sentence begins that says why a layer is empty."""


@dataclass(frozen=True)
class JobResult:
    """What a job has made.

    Args:
        output: Path of the layer.
        layer: Its name in the file.
        features: Polygons in it.
        tiles: Tiles that were segmented (those without data are not counted), or batches of
            prompts.
        failed: Names of tiles, windows of the overview or the repair, batches or scenes that
            failed, each with its reason.
        seconds: Wall time.
        warnings: What was changed or left out on the way.
        scale: Pixels of the embedded model per working pixel; None for models without the choice,
            and for jobs other than segmentation.
        scenes: Rasters that were worked on one by one; 0 where they were one mosaic.
        outputs: Files of the layers, where each of these rasters has one.
    """

    output: str
    layer: str
    features: int
    tiles: int
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)
    scale: float | None = None
    scenes: int = 0
    outputs: list[str] = field(default_factory=list)

    def raise_if_incomplete(self) -> None:
        """Raise IncompleteError where something failed."""
        if self.failed:
            raise IncompleteError(
                f"{self.output} is incomplete: {self._what_failed()} failed "
                f"({'; '.join(self.failed[:3])}{' ...' if len(self.failed) > 3 else ''}). "
                "Run the same job again to retry them."
            )

    def _what_failed(self) -> str:
        """How many of which kind, e.g. "2 tiles and 1 window of the repair"."""
        if self.scenes:
            kinds = Counter({("scene", "scenes"): len(self.failed)})
        else:
            kinds = Counter(
                next((k for start, k in _KINDS.items() if name.startswith(start)), _TILES)
                for name in self.failed
            )
        *first, last = [f"{n} {names[n > 1]}" for names, n in kinds.items()]
        return f"{', '.join(first)} and {last}" if first else last


_TILES = ("tile", "tiles")

_KINDS = {
    "overview ": ("window of the overview", "windows of the overview"),
    "repair in ": ("window of the repair", "windows of the repair"),
    "batch ": ("batch of prompts", "batches of prompts"),
}
"""What the names in ``JobResult.failed`` begin with that are not of tiles, and what they are of."""


def all_left_out(found: int, filters: Sequence[str]) -> str:
    """What is said where no object that was found is written.

    Args:
        found: How many there were.
        filters: What may have left them out.
    """
    by = f" by {' or '.join(filters)}" if filters else ": they have no shape on the raster"
    return f"{NO_POLYGONS}{found} objects were found, and all were left out{by}."


class Report:
    """Progress reports to the caller, and cancellation from it.

    Args:
        progress: Called with each step.
        cancelled: Asked at each step; True stops the job.
    """

    def __init__(
        self,
        progress: Callable[[Progress], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._progress = progress
        self._cancelled = cancelled

    @property
    def given(self) -> dict[str, Any]:
        """``progress`` and ``cancelled`` for a job within this one."""
        return {"progress": self._progress, "cancelled": self._cancelled}

    def check(self) -> None:
        """Raise Cancelled where the job must stop."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("Stopped. What is finished is kept: the same job goes on from there.")

    def __call__(self, stage: str, done: int, total: int, message: str = "") -> None:
        self.check()
        if self._progress is not None:
            self._progress(Progress(None, stage, done, total, message))


@contextmanager
def reported(
    progress: Callable[[Progress], None] | None, cancelled: Callable[[], bool] | None
) -> Iterator[tuple[Report, list[str]]]:
    """Context of every job: cancellation works everywhere, warnings are collected, all is closed.

    Args:
        progress: Called with each step.
        cancelled: Asked between and within tiles and batches; True raises ``Cancelled``.

    Yields:
        The report, and the list that holds the warnings at the end of the block.
    """
    report = Report(progress, cancelled)
    with collected_warnings() as notes:
        try:
            with stopped_by(report.check):
                yield report, notes
        finally:
            close_all()


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """The project's warnings of a block, each once, filled in at its end.

    They are given again after the block.
    """
    notes: list[str] = []
    said: list[SamGeoWarning] = []
    try:
        with collected() as said:
            yield notes
    finally:
        # A raster is opened once per worker, and says the same each time.
        for template in dict.fromkeys(warning.template for warning in said):
            notes.append(with_knobs(template))
            warn(template)
