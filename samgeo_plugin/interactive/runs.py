# SPDX-License-Identifier: GPL-2.0-or-later
"""The history of automatic runs: settings and outcome of each, saved with the project."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Optional

from qgis.core import QgsProject
from qgis.PyQt.QtCore import QObject, pyqtSignal

_SCOPE = "samgeo_seamless"
_RUNS = "runs"

MOST = 50
"""Runs that are remembered; the oldest ones go."""

RUNNING = "running"
DONE = "done"
STOPPED = "stopped"
FAILED = "failed"

NOT_KNOWN = -1.0
"""As a run's least score."""


@dataclass(frozen=True)
class Run:
    """One automatic run.

    Args:
        number: Within the project, from 1.
        started: Local date and time, ISO 8601, to the second.
        raster: Id of the raster's layer.
        raster_name: Its name then.
        model: The engine's name of the model.
        what: As :attr:`.find_like.FindLike.what`.
        where: "view", "area" or "raster".
        area: WKT of the area in ``crs``; empty for the whole raster.
        crs: WKT of the CRS.
        least: Least probability of the class, or least score; :data:`NOT_KNOWN` of a search by
            words or for a class of the model that ended before the engine had told its own.
        into: Whether what is found goes into the target layer at the end.
        target: Id of the target layer; empty for a new one.
        state: :data:`RUNNING`, :data:`DONE`, :data:`STOPPED` or :data:`FAILED`.
        done: Tiles.
        tiles: Tiles in all.
        shown: Objects that were shown at the end.
        taken: Objects that went into the target layer.
        seconds: That it took.
        words: What was looked for by words, with commas.
        detector: The engine's name of the model that understands them; empty for ``model``.
        bands: Numbers of the bands, with commas; empty where they are not known.
        pixel_size: Ground units of ``crs`` a pixel of the map, at which a layer that is no file was
            rendered; 0 where it is not known.
    """

    number: int
    started: str
    raster: str
    raster_name: str
    model: str
    what: str
    where: str
    area: str
    crs: str
    least: float
    into: bool
    target: str
    state: str = RUNNING
    done: int = 0
    tiles: int = 0
    shown: int = 0
    taken: int = 0
    seconds: float = 0.0
    words: str = ""
    detector: str = ""
    bands: str = ""
    pixel_size: float = 0.0

    @property
    def band_numbers(self) -> tuple[int, ...]:
        """The numbers of :attr:`bands`; none where they cannot be read."""
        parts = self.bands.split(",")
        return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else ()


class Runs(QObject):
    """The project's runs, the oldest first.

    Args:
        parent: Qt's owner.
    """

    changed = pyqtSignal()

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self.items: tuple[Run, ...] = ()
        project = QgsProject.instance()
        project.readProject.connect(self._read)
        project.cleared.connect(self._read)
        self._read()

    def release(self) -> None:
        """The plugin is being unloaded."""
        project = QgsProject.instance()
        project.readProject.disconnect(self._read)
        project.cleared.disconnect(self._read)

    def find(self, number: int) -> Optional[Run]:
        return next((run for run in self.items if run.number == number), None)

    def add(self, **settings: Any) -> Run:
        """A run that begins.

        Args:
            settings: Of :class:`Run`, but for its number.
        """
        number = max((run.number for run in self.items), default=0) + 1
        run = Run(number=number, **settings)
        self._set((*self.items, run)[-MOST:])
        return run

    def update(self, number: int, **changes: Any) -> None:
        """What has become of a run; one that was forgotten meanwhile stays so."""
        self._set(
            tuple(replace(run, **changes) if run.number == number else run for run in self.items)
        )

    def forget(self, number: int) -> None:
        """Take a run off the list; layers stay as they are."""
        self._set(tuple(run for run in self.items if run.number != number))

    def _set(self, items: tuple[Run, ...]) -> None:
        if items != self.items:
            self.items = items
            values = json.dumps([asdict(run) for run in items])
            QgsProject.instance().writeEntry(_SCOPE, _RUNS, values)
            self.changed.emit()

    def _read(self, *_: object) -> None:
        """Another project; a run that QGIS did not see the end of was stopped."""
        text, _known = QgsProject.instance().readEntry(_SCOPE, _RUNS, "")
        try:
            values = json.loads(text) if text else []
        except ValueError:
            values = []
        read = [_run(value) for value in values] if isinstance(values, list) else []
        self.items = tuple(
            replace(run, state=STOPPED) if run.state == RUNNING else run
            for run in read
            if run is not None
        )
        self.changed.emit()


def _run(value: Any) -> Optional[Run]:
    """A run as the project's file has it; None where it is not one."""
    if not isinstance(value, dict):
        return None
    kinds = {"str": str, "int": int, "float": float, "bool": bool}
    known = {}
    for each in fields(Run):
        if each.name in value:
            try:
                known[each.name] = kinds[str(each.type)](value[each.name])
            except (TypeError, ValueError):
                return None
    try:
        return Run(**known)
    except TypeError:  # something is missing: another version wrote it
        return None
