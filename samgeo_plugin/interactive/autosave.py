# SPDX-License-Identifier: GPL-2.0-or-later
"""Saving what is digitised: by a button, and by itself while nobody is at work.

QGIS keeps edits in memory until they are saved. A layer that the plugin makes for the first object
lies in a GeoPackage and is saved by itself: a crash costs the last seconds, not the morning. Saving
ends QGIS's undo history; therefore it waits until nothing has been changed for a while.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Optional

from qgis.core import QgsApplication, QgsProject, QgsVectorLayer
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..i18n import tr
from . import editing

PROPERTY = "samgeo_seamless/autosave"
"""Custom property of a layer: it is saved by itself."""

IDLE_SECONDS = 30


def new_path(name: str) -> Path:
    """A GeoPackage that does not exist yet: beside the project, else in the user's profile.

    Args:
        name: What the objects are of.

    Raises:
        OSError: The folder cannot be made.
    """
    home = QgsProject.instance().homePath()
    folder = Path(home) if home else Path(QgsApplication.qgisSettingsDirPath()) / "samgeo_objects"
    folder.mkdir(parents=True, exist_ok=True)
    stem = re.sub(r"[^\w.-]+", "_", name).strip("._")[:60] or "objects"
    return free_path(folder, f"{stem}_{datetime.now():%Y-%m-%d}")


def free_path(folder: Path, stem: str) -> Path:
    """A GeoPackage of this name that does not exist yet, with a number where there is one."""
    path, number = folder / f"{stem}.gpkg", 2
    while path.exists():
        path = folder / f"{stem}_{number}.gpkg"
        number += 1
    return path


def unsaved(layer: Optional[QgsVectorLayer]) -> int:
    """Features of a layer that have been added, changed or deleted since it was last saved."""
    buffer = layer.editBuffer() if layer is not None else None
    if buffer is None or not layer.isModified():  # in a transaction, it keeps what was saved
        return 0
    changed = {*buffer.changedGeometries(), *buffer.changedAttributeValues()}
    return len({*buffer.addedFeatures(), *changed, *buffer.deletedFeatureIds()})


def saved_with(layer: QgsVectorLayer) -> list[QgsVectorLayer]:
    """Other layers with changes that a save of this one saves, too, by the project's transaction
    groups."""
    transaction = layer.dataProvider().transaction()

    def is_saved_too(other: QgsVectorLayer) -> bool:
        if editing.buffered_together():
            return True
        return transaction is not None and other.dataProvider().transaction() == transaction

    return [
        each
        for each in QgsProject.instance().mapLayers().values()
        if isinstance(each, QgsVectorLayer)
        and each.id() != layer.id()
        and each.isModified()
        and is_saved_too(each)
    ]


class Autosave(QObject):
    """Watches the target layer.

    Args:
        busy: Whether an object of it is in work, whose feature must stay as it is.
        report: Gets a level and a sentence.
        parent: Qt's owner.
    """

    changed = pyqtSignal()
    """The number of unsaved features is another one, perhaps."""

    def __init__(
        self,
        busy: Callable[[], bool],
        report: Callable[[str, str], None],
        parent: Optional[QObject] = None,
    ) -> None:
        super().__init__(parent)
        self._busy = busy
        self._report = report
        self.layer: Optional[QgsVectorLayer] = None
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(IDLE_SECONDS * 1000)
        self._idle.timeout.connect(self._save_by_itself)
        self._told = False
        """It was said that the layer waits for other layers."""

    @property
    def on(self) -> bool:
        """The layer is saved by itself."""
        return self._there() and bool(self.layer.customProperty(PROPERTY, ""))

    @property
    def waits_for(self) -> list[QgsVectorLayer]:
        """Other layers whose changes keep the layer from being saved by itself."""
        return saved_with(self.layer) if self.on and self.layer.isModified() else []

    def set_on(self, wanted: bool) -> None:
        if self._there():
            if wanted:
                self.layer.setCustomProperty(PROPERTY, "1")
                self._modified()
            else:
                self.layer.removeCustomProperty(PROPERTY)
                self._idle.stop()
            self.changed.emit()

    def watch(self, layer: Optional[QgsVectorLayer]) -> None:
        """Another target layer; edits of the one before are saved, where that one is."""
        if layer is self.layer:
            return
        if self._there():
            if self._idle.isActive() and self.layer.isModified() and not self._saves_others():
                self.save()  # also while an object is in work: nothing of it is written yet
            for signal in self._signals(self.layer):
                signal.disconnect(self._modified)
        self._idle.stop()
        self.layer = layer
        if layer is not None:
            for signal in self._signals(layer):
                signal.connect(self._modified)
        self.changed.emit()

    def release(self) -> None:
        """The plugin is being unloaded: edits stay as they are, for the user to save."""
        self._idle.stop()
        self.watch(None)

    @staticmethod
    def _signals(layer: QgsVectorLayer) -> tuple:
        return layer.layerModified, layer.afterCommitChanges, layer.afterRollBack

    def _there(self) -> bool:
        return self.layer is not None and not sip.isdeleted(self.layer)

    def _modified(self) -> None:
        if self.on and self.layer.isModified():
            self._idle.start()
        self.changed.emit()

    def _save_by_itself(self) -> None:
        if not self.on or not self.layer.isModified():
            return
        if self._busy() or self._saves_others():
            self._idle.start()
            self.changed.emit()
            return
        self.save()

    def _saves_others(self) -> bool:
        """Whether a save would take the choice to discard changes of other layers; that is said
        once, until the layer is saved."""
        others = saved_with(self.layer)
        if others and not self._told:
            self._told = True
            self._report(
                "info",
                tr(
                    "{layer} is not saved by itself now: in this project that would save the "
                    "changes of {others}, too. Save them when you want to."
                ).format(layer=self.layer.name(), others=", ".join(each.name() for each in others)),
            )
        return bool(others)

    def save(self) -> bool:
        """Save the layer's edits and go on editing; False, with a sentence, where it refuses."""
        self._idle.stop()
        if not self._there() or not self.layer.isEditable():
            return True
        if self.layer.commitChanges(False):
            self._told = False
            self.changed.emit()
            return True
        self._report("error", "; ".join(self.layer.commitErrors()))
        return False
