# SPDX-License-Identifier: GPL-2.0-or-later
"""Translations: one context, so that ``tools/translations.py`` finds every text."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from qgis.PyQt.QtCore import QCoreApplication, QLocale, QTranslator

from . import settings

CONTEXT = "SamGeo"
FOLDER = Path(__file__).parent / "resources" / "i18n"


def tr(text: str) -> str:
    """The text in the user's language; placeholders are filled in afterwards."""
    return QCoreApplication.translate(CONTEXT, text)


def language() -> str:
    """QGIS's language ("de", "pt_BR"), which may differ from the system's."""
    value = settings.qgis_value("locale/userLocale", "")
    if not value or not settings.qgis_flag("locale/overrideFlag"):
        value = value or QLocale.system().name()
    return str(value)


def install() -> Optional[QTranslator]:
    """Put the translation for the user's language in place, if there is one."""
    name = language()
    for candidate in (name, name.split("_")[0]):
        path = FOLDER / f"samgeo_{candidate}.qm"
        if path.is_file():
            translator = QTranslator()
            if translator.load(str(path)):
                QCoreApplication.installTranslator(translator)
                return translator
    return None
