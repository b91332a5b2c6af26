# SPDX-License-Identifier: GPL-2.0-or-later
"""Words to look for: what was written, and which models on this computer understand them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Optional

from qgis.core import QgsProject

_SCOPE = "samgeo_seamless"
_ENTRY = "words"


@dataclass(frozen=True)
class WordSearch:
    """What is looked for by words.

    Args:
        words: Each is the class of what it finds.
        detector: The engine's name of the model that understands them; empty for the model that is
            chosen in the panel.
        least: Least score that is shown; None for the model's own.
    """

    words: tuple[str, ...] = ()
    detector: str = ""
    least: Optional[float] = None


NO_WORDS = WordSearch()


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, which commas part; each once."""
    parts = (" ".join(part.split()) for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def text_of(words: Iterable[str]) -> str:
    """Words as one writes them."""
    return ", ".join(words)


def stored() -> WordSearch:
    """What was looked for last in this project."""
    text, _ = QgsProject.instance().readEntry(_SCOPE, _ENTRY, "")
    try:
        values = json.loads(text) if text else {}
    except ValueError:
        values = {}
    if not isinstance(values, dict):
        return WordSearch()
    least = values.get("least")
    known = isinstance(least, (int, float)) and 0 <= least <= 1
    return WordSearch(
        words_of(str(values.get("words") or "")),
        str(values.get("detector") or ""),
        float(least) if known else None,
    )


def store(search: WordSearch) -> None:
    """Remember it with the project."""
    if search == stored():
        return
    values = {
        "words": text_of(search.words), "detector": search.detector, "least": search.least,
    }  # fmt: skip
    QgsProject.instance().writeEntry(_SCOPE, _ENTRY, json.dumps(values))


def word_models(models: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Titles by name of the models on this computer that understand words.

    Args:
        models: As the engine lists them.
    """
    return {
        str(model["name"]): str(model.get("title") or model["name"])
        for model in models
        if model.get("name") and model.get("state") == "on disk"
        and (model.get("kind") == "concept" or model.get("family") == "sam3")
    }  # fmt: skip
