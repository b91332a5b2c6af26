# SPDX-License-Identifier: GPL-2.0-or-later
"""Field types under their names in Qt 5 (QVariant) or Qt 6 (QMetaType)."""

from __future__ import annotations

import re
from typing import Any, Optional

from qgis.PyQt.QtCore import QMetaType, QVariant


def _kind(old: str, new: str) -> Any:
    """QGIS before 3.38 knows only the old name, QGIS 4 perhaps only the new one."""
    return getattr(QVariant, old) if hasattr(QVariant, old) else getattr(QMetaType.Type, new)


TEXT = _kind("String", "QString")
REAL = _kind("Double", "Double")
INTEGER = _kind("Int", "Int")
LONG = _kind("LongLong", "LongLong")
WHOLE = (INTEGER, LONG, _kind("UInt", "UInt"), _kind("ULongLong", "ULongLong"))
TRUTH = _kind("Bool", "Bool")
OBJECT = _kind("Map", "QVariantMap")
LISTS = (_kind("List", "QVariantList"), _kind("StringList", "QStringList"))
NESTED = (OBJECT, *LISTS)
"""Of columns with objects or lists, as of PostgreSQL's jsonb and arrays."""

_LITERAL = re.compile(r"'((?:[^']|'')*)'(?:::.*)?", re.DOTALL)


def is_left_to_source(value: Any) -> bool:
    """A value that the source fills in at the save, as QGIS marks it since 3.28."""
    return hasattr(value, "defaultValueClause")


def literal(clause: str) -> Optional[str]:
    """The text of a default, in PostgreSQL with its type (``'roof'::text``); None where the source
    computes it."""
    found = _LITERAL.fullmatch(clause)
    return None if found is None else found[1].replace("''", "'")
