# SPDX-License-Identifier: GPL-2.0-or-later
"""The project's classes: names with colours and number keys, saved with the project."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Optional

from qgis.core import QgsProject
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtGui import QColor

_SCOPE = "samgeo_seamless"
_CLASSES = "classes"
_CURRENT = "class"

MOST_KEYS = 9

COLOURS = (
    "#e6550d", "#3182bd", "#31a354", "#e7298a", "#756bb1", "#d9b302", "#17becf", "#8c564b",
    "#636363",
)  # fmt: skip
"""Of new classes, one after the other; told apart on aerial images and by the colour-blind."""


@dataclass(frozen=True)
class ObjectClass:
    """A class of objects.

    Args:
        name: As it stands in layers.
        colour: "#rrggbb".
    """

    name: str
    colour: str


def stored() -> tuple[ObjectClass, ...]:
    """The classes of the project."""
    text, _ = QgsProject.instance().readEntry(_SCOPE, _CLASSES, "")
    try:
        values = json.loads(text) if text else []
    except ValueError:
        values = []
    found: dict[str, ObjectClass] = {}
    for value in values if isinstance(values, list) else []:
        name, colour = _text(value, "name"), QColor(_text(value, "colour"))
        if name and name not in found:
            known = colour.name() if colour.isValid() else COLOURS[len(found) % len(COLOURS)]
            found[name] = ObjectClass(name, known)
    return tuple(found.values())


def _text(value: Any, key: str) -> str:
    return str(value.get(key) or "").strip() if isinstance(value, dict) else ""


class ClassList(QObject):
    """The project's classes in the order of their number keys, and the one in use.

    Args:
        parent: Qt's owner.
    """

    changed = pyqtSignal()
    current_changed = pyqtSignal(str)
    renamed = pyqtSignal(str, str)
    """The old name and the new one."""

    def __init__(self, parent: Optional[QObject] = None) -> None:
        super().__init__(parent)
        self.items: tuple[ObjectClass, ...] = ()
        self.current = ""
        project = QgsProject.instance()
        project.readProject.connect(self._read)
        project.cleared.connect(self._read)
        self._read()

    def release(self) -> None:
        """The plugin is being unloaded."""
        project = QgsProject.instance()
        project.readProject.disconnect(self._read)
        project.cleared.disconnect(self._read)

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.items]

    def colour(self, name: str) -> Optional[QColor]:
        """Of a class; None for one that is not in the list."""
        found = next((each for each in self.items if each.name == name), None)
        return None if found is None else QColor(found.colour)

    def add(self, name: str, use: bool = True) -> bool:
        """A new class; False where it is there or has no name.

        Args:
            name: Of the class.
            use: It becomes the one in use.
        """
        name = name.strip()
        if not name or name in self.names:
            return False
        taken = {each.colour for each in self.items}
        free = [colour for colour in COLOURS if colour not in taken]
        colour = free[0] if free else COLOURS[len(self.items) % len(COLOURS)]
        self._set((*self.items, ObjectClass(name, colour)))
        if use:
            self.choose(name)
        return True

    def remove(self, name: str) -> None:
        """Take a class off the list; layers stay as they are."""
        self._set(tuple(each for each in self.items if each.name != name))
        if self.current == name:
            self.choose("")

    def rename(self, old: str, new: str) -> bool:
        """Another name from now on; layers stay as they are, but for that of the examples."""
        new = new.strip()
        if not new or new in self.names:
            return False
        self._set(
            tuple(replace(each, name=new) if each.name == old else each for each in self.items)
        )
        self.renamed.emit(old, new)
        if self.current == old:
            self.choose(new)
        return True

    def set_colour(self, name: str, colour: QColor) -> None:
        chosen = colour.name()
        self._set(
            tuple(
                replace(each, colour=chosen) if each.name == name else each for each in self.items
            )
        )

    def choose(self, name: str) -> None:
        """The class that accepted objects get; empty for none."""
        if name and name not in self.names:
            return
        if name != self.current:
            self.current = name
            QgsProject.instance().writeEntry(_SCOPE, _CURRENT, name)
            self.current_changed.emit(name)

    def numbered(self, number: int) -> str:
        """The class of a number key (from 1); empty where there is none."""
        return self.items[number - 1].name if 1 <= number <= len(self.items[:MOST_KEYS]) else ""

    def _set(self, items: tuple[ObjectClass, ...]) -> None:
        if items == self.items:
            return
        self.items = items
        values = [{"name": each.name, "colour": each.colour} for each in items]
        QgsProject.instance().writeEntry(_SCOPE, _CLASSES, json.dumps(values))
        self.changed.emit()

    def _read(self, *_: object) -> None:
        """Another project."""
        self.items = stored()
        name, _known = QgsProject.instance().readEntry(_SCOPE, _CURRENT, "")
        self.current = name if name in self.names else ""
        self.changed.emit()
        self.current_changed.emit(self.current)
