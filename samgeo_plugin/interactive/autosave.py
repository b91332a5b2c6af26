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

import qgis.utils
from qgis.core import Qgis, QgsApplication, QgsProject, QgsVectorLayer
from qgis.gui import QgsMapTool
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..i18n import tr
from . import editing, reading

PROPERTY = "samgeo_seamless/autosave"
"""Custom property of a layer: it is saved by itself."""

IDLE_SECONDS = 30

_SAVING: set[str] = set()
"""Layers whose editing ends for a save, only to begin again."""


def new_path(name: str, in_profile: bool = False) -> Path:
    """A GeoPackage that does not exist yet: beside the project, else in the user's profile.

    Args:
        name: What the objects are of.
        in_profile: Not beside the project either.

    Raises:
        OSError: The folder cannot be made.
    """
    home = "" if in_profile else QgsProject.instance().homePath()
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


def save_edits(layer: QgsVectorLayer) -> bool:
    """Save a layer's edits and go on editing; False where it refuses (``commitErrors``)."""
    if not _stays_locked(layer):
        return bool(layer.commitChanges(False))
    _SAVING.add(layer.id())
    try:
        saved = bool(layer.commitChanges())
        if saved:
            layer.startEditing()
    finally:
        _SAVING.discard(layer.id())
    return saved


def is_saving() -> bool:
    """Editing of layers that ends just now begins again: it is :func:`save_edits` that ends it."""
    return bool(_SAVING)


def _stays_locked(layer: QgsVectorLayer) -> bool:
    """A save within editing would leave a lock on the layer's file.

    QGIS 3.22 does so in transaction groups: each further object is refused, after 20 s in which
    QGIS stands still. QGIS 3.40 does not; of versions between nothing is known.
    """
    is_file = layer.providerType() == "ogr"
    return Qgis.QGIS_VERSION_INT < 34000 and is_file and reading.in_transaction(layer)


def _is_drawing() -> bool:
    """One of QGIS's own editing tools is in hand; it is taken away, with what is drawn half, where
    editing ends."""
    window = qgis.utils.iface
    tool = window.mapCanvas().mapTool() if window is not None else None
    return tool is not None and bool(tool.flags() & QgsMapTool.Flag.EditTool)


def _is_on(layer: Optional[QgsVectorLayer]) -> bool:
    """The layer is there, and is saved by itself."""
    there = layer is not None and not sip.isdeleted(layer)
    return there and bool(layer.customProperty(PROPERTY, ""))


class Autosave(QObject):
    """Watches the target layer, and those before that have got something since.

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
        self._before: list[QgsVectorLayer] = []
        """Other layers into which something was written; they are saved with the target layer."""
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(IDLE_SECONDS * 1000)
        self._idle.timeout.connect(self._save_by_itself)
        self._told: set[str] = set()
        """Layers of which it was said that they wait for other layers."""

    @property
    def on(self) -> bool:
        """The layer is saved by itself."""
        return _is_on(self.layer)

    @property
    def waits_for(self) -> list[QgsVectorLayer]:
        """Other layers whose changes keep the layer from being saved by itself."""
        return self._others(self.layer) if self.on and self.layer.isModified() else []

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
            if self._idle.isActive() and self.layer in self._due() and self._may_save(self.layer):
                self.save()  # also while an object is in work: nothing of it is written yet
            for signal in self._signals(self.layer):
                signal.disconnect(self._modified)
        self._idle.stop()
        self.layer = layer
        if layer is not None:
            for signal in self._signals(layer):
                signal.connect(self._modified)
        if self._due():
            self._idle.start()
        self.changed.emit()

    def hear_of(self, layer: QgsVectorLayer) -> None:
        """Something was written into a layer, which need not be the target layer any more."""
        if layer is not self.layer and _is_on(layer):
            self._before = [each for each in self._before if each is not layer] + [layer]
            self._idle.start()

    def release(self) -> None:
        """The plugin is being unloaded: edits stay as they are, for the user to save."""
        self._idle.stop()
        self._before = []
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

    def _due(self) -> list[QgsVectorLayer]:
        """What is to be saved by itself."""
        self._before = [each for each in self._before if _is_on(each) and each.isModified()]
        layers = [each for each in self._before if each is not self.layer]
        return [self.layer, *layers] if self.on and self.layer.isModified() else layers

    def _save_by_itself(self) -> None:
        due = self._due()
        if not due:
            return
        if self._busy():
            self._idle.start()
            self.changed.emit()
            return
        for layer in due:
            waits = _stays_locked(layer) and _is_drawing()
            if waits or not self._may_save(layer):
                self._idle.start()
                self.changed.emit()
            elif layer.isModified():  # a transaction group saves all of its layers at once
                self._save(layer)

    def _others(self, layer: QgsVectorLayer) -> list[QgsVectorLayer]:
        """Other layers with changes that a save of this one would save, though nothing saves them
        by itself."""
        due = self._due()
        return [each for each in saved_with(layer) if each not in due]

    def _may_save(self, layer: QgsVectorLayer) -> bool:
        """Whether a save does not take the choice to discard changes of other layers; that is said
        once, until the layer is saved."""
        others = self._others(layer)
        if others and layer.id() not in self._told:
            self._told.add(layer.id())
            self._report(
                "info",
                tr(
                    "{layer} is not saved by itself now: in this project that would save the "
                    "changes of {others}, too. Save them when you want to."
                ).format(layer=layer.name(), others=", ".join(each.name() for each in others)),
            )
        return not others

    def save(self) -> bool:
        """Save the layer's edits and go on editing; False, with a sentence, where it refuses."""
        self._idle.stop()
        saved = not self._there() or not self.layer.isEditable() or self._save(self.layer)
        if self._before:
            self._idle.start()
        return saved

    def _save(self, layer: QgsVectorLayer) -> bool:
        if save_edits(layer):
            self._told.discard(layer.id())
            self.changed.emit()
            return True
        self._report("error", "; ".join(layer.commitErrors()))
        return False
