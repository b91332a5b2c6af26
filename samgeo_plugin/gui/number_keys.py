# SPDX-License-Identifier: GPL-2.0-or-later
"""The number keys that choose classes."""

from __future__ import annotations

from typing import Any

from qgis.PyQt.QtCore import Qt

_KEYS = (
    Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3, Qt.Key.Key_4, Qt.Key.Key_5, Qt.Key.Key_6,
    Qt.Key.Key_7, Qt.Key.Key_8, Qt.Key.Key_9,
)  # fmt: skip


def number_of(event: Any) -> int:
    """The number of a key event from 1 to 9, without modifiers but the keypad's; else 0."""
    other = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    if other != Qt.KeyboardModifier.NoModifier or event.key() not in _KEYS:
        return 0
    return _KEYS.index(event.key()) + 1
