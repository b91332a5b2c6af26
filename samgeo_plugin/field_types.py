# SPDX-License-Identifier: GPL-2.0-or-later
"""The types of fields, under Qt 5's names for them (QVariant) or Qt 6's (QMetaType)."""

from __future__ import annotations

from qgis.PyQt.QtCore import QMetaType, QVariant

if hasattr(QVariant, "String"):  # Qt 5, and QGIS's own additions to Qt 6
    TEXT, REAL, INTEGER, LONG = QVariant.String, QVariant.Double, QVariant.Int, QVariant.LongLong
    WHOLE = (QVariant.Int, QVariant.LongLong, QVariant.UInt, QVariant.ULongLong)
    TRUTH = QVariant.Bool
else:
    _KINDS = QMetaType.Type
    TEXT, REAL, INTEGER, LONG = _KINDS.QString, _KINDS.Double, _KINDS.Int, _KINDS.LongLong
    WHOLE = (_KINDS.Int, _KINDS.LongLong, _KINDS.UInt, _KINDS.ULongLong)
    TRUTH = _KINDS.Bool
