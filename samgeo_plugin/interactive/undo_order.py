# SPDX-License-Identifier: GPL-2.0-or-later
"""In which order several layers were changed, so that the last change is undone first.

A decision in the review of an update changes the old layer, too. That step is the decision's: it
is taken back with it, by another step of the old layer::

    decisions   [ accepted ]            Ctrl+Z          [ ]
    old layer   [ added | reshaped ]  ---------->  [ added | reshaped | taken back ]

The last two change nothing together, so that the next Ctrl+Z undoes all three for "added". Where
the decision still holds, as after a save of the decisions alone, "added" cannot be undone without
it, and stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Optional

from qgis.core import QgsVectorLayer
from qgis.PyQt import sip


@dataclass(eq=False)
class _Step:
    """A step of a layer's undo stack that can be undone.

    Args:
        key: The layer's.
        is_caused: A change of another layer has made it.
        caused: Those that it has made in other layers.
        undone: Of one that was made so: all that its cause and the undoing of it have made, which
            change nothing together; empty as long as the cause holds.
    """

    key: str
    is_caused: bool = False
    caused: tuple[_Step, ...] = ()
    undone: frozenset[_Step] = frozenset()


@dataclass
class _Followed:
    layer: QgsVectorLayer
    steps: list[_Step]
    slot: Callable[[int], None]


class UndoOrder:
    """Follows the undo stacks of layers: what QGIS's own tools change, undo or save counts too.

    Args:
        is_caused: Says whether a change of another layer makes the step that is being made.
    """

    def __init__(self, is_caused: Callable[[], bool] = lambda: False) -> None:
        self._is_caused = is_caused
        self._followed: dict[str, _Followed] = {}
        self._order: list[_Step] = []
        """The steps that were made for themselves, the last one at the end."""
        self._caused: list[_Step] = []
        """The others, until the step that makes them, or its undoing, is complete."""

    def follow(self, layers: Sequence[QgsVectorLayer]) -> None:
        """Follow these and no others; changes of a new one count as older than all others."""
        wanted = {layer.id(): layer for layer in layers}
        for key, one in list(self._followed.items()):
            if wanted.get(key) is not one.layer:
                if not sip.isdeleted(one.layer):
                    one.layer.undoStack().indexChanged.disconnect(one.slot)
                del self._followed[key]
                self._order = [each for each in self._order if each.key != key]
        for key, layer in wanted.items():
            if key not in self._followed:
                stack = layer.undoStack()
                one = _Followed(
                    layer,
                    [_Step(key) for _ in range(stack.index())],
                    lambda index, key=key: self._moved(key, index),
                )
                self._followed[key] = one
                self._order[:0] = one.steps
                stack.indexChanged.connect(one.slot)

    def last(self) -> Optional[QgsVectorLayer]:
        """The layer whose change is undone next; None where nothing can be undone."""
        step = self._last()
        return None if step is None else self._followed[step.key].layer

    def undo(self) -> Optional[QgsVectorLayer]:
        """Undo the last change; returns its layer, or None where nothing can be undone."""
        step = self._last()
        if step is None:
            return None
        one = self._followed[step.key]
        one.layer.undoStack().setIndex(one.steps.index(step))
        return one.layer

    def _last(self) -> Optional[_Step]:
        for step in reversed(self._order):
            one = self._followed[step.key]
            layer = one.layer
            if sip.isdeleted(layer) or not layer.isEditable() or not layer.undoStack().canUndo():
                continue
            later = set(one.steps[one.steps.index(step) + 1 :])
            if all(undone and undone <= later for undone in {each.undone for each in later}):
                return step
        return None

    def _moved(self, key: str, index: int) -> None:
        """A layer's changes are more (made, redone) or fewer (undone, saved)."""
        one = self._followed.get(key)
        if one is None:
            return  # it is just being deleted, and cannot be disconnected any more
        while len(one.steps) < index:
            one.steps.append(self._made(key))
        saved = sip.isdeleted(one.layer) or not one.layer.undoStack().count()
        while len(one.steps) > index:
            self._gone(one.steps.pop(), saved)

    def _made(self, key: str) -> _Step:
        if self._is_caused():
            step = _Step(key, is_caused=True)
            self._caused.append(step)
        else:
            step = _Step(key, caused=tuple(self._caused))
            self._order.append(step)
            self._caused = []
        return step

    def _gone(self, step: _Step, saved: bool) -> None:
        """A step was undone, or saved with all others of its layer."""
        if step.is_caused:
            self._caused = [each for each in self._caused if each is not step]
            return
        self._order.remove(step)
        if not saved:
            undone = frozenset((*step.caused, *self._caused))
            for each in undone:
                each.undone = undone
        self._caused = []
