# SPDX-License-Identifier: GPL-2.0-or-later
"""In which order several layers were changed, so that the last change is undone first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Optional

from qgis.core import QgsVectorLayer
from qgis.PyQt import sip


@dataclass
class _Followed:
    layer: QgsVectorLayer
    index: int
    """Of its undo stack: how many changes of it can be undone."""

    slot: Callable[[int], None]


class UndoOrder:
    """Follows the undo stacks of layers: what QGIS's own tools change, undo or save counts too."""

    def __init__(self) -> None:
        self._followed: dict[str, _Followed] = {}
        self._order: list[str] = []
        """The layer of each change that can be undone, the last one at the end."""

    def follow(self, layers: Sequence[QgsVectorLayer]) -> None:
        """Follow these and no others; changes of a new one count as older than all others."""
        wanted = {layer.id(): layer for layer in layers}
        for key, one in list(self._followed.items()):
            if wanted.get(key) is not one.layer:
                if not sip.isdeleted(one.layer):
                    one.layer.undoStack().indexChanged.disconnect(one.slot)
                del self._followed[key]
                self._order = [each for each in self._order if each != key]
        for key, layer in wanted.items():
            if key not in self._followed:
                stack = layer.undoStack()
                one = _Followed(
                    layer, stack.index(), lambda index, key=key: self._moved(key, index)
                )
                self._followed[key] = one
                self._order[:0] = [key] * one.index
                stack.indexChanged.connect(one.slot)

    def last(self) -> Optional[QgsVectorLayer]:
        """The layer whose change is undone next; None where nothing can be undone."""
        for key in reversed(self._order):
            layer = self._followed[key].layer
            if not sip.isdeleted(layer) and layer.isEditable() and layer.undoStack().canUndo():
                return layer
        return None

    def _moved(self, key: str, index: int) -> None:
        """A layer's changes are more (made, redone) or fewer (undone, saved)."""
        one = self._followed.get(key)
        if one is None:
            return  # it is just being deleted, and cannot be disconnected any more
        for _ in range(one.index, index):
            self._order.append(key)
        for _ in range(index, one.index):
            last = len(self._order) - 1 - self._order[::-1].index(key)
            del self._order[last]
        one.index = index
