# SPDX-License-Identifier: GPL-2.0-or-later
"""Class names of YOLO's ``data.yaml``."""

from __future__ import annotations

from pathlib import Path

import yaml

from ..errors import ParameterError
from ..job import option


def class_names(path: Path) -> list[str]:
    """Names by number, numbers without a name by themselves; empty where the file names none.

    Args:
        path: Of a file whose ``names`` are a list, or a mapping of numbers to names.

    Raises:
        ParameterError: The file or its names cannot be read.
    """
    try:
        # The base loader leaves every value the text that it is: a class may be called "no" or 7.
        text = path.read_text("utf-8-sig")
        content = next(yaml.load_all(text, Loader=yaml.BaseLoader), None)
        names = _by_number(content.get("names") if isinstance(content, dict) else None)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ParameterError(
            f"The class names in {path} cannot be read ({reason}): write a list below names:, one "
            f"name per line, or give the names ({option('names')})."
        ) from error
    return [names.get(k, str(k)) for k in range(max(names, default=-1) + 1)]


def _by_number(names: object) -> dict[int, str]:
    if names in (None, "", "~", "null"):
        return {}
    if isinstance(names, list):
        entries = dict(enumerate(names))
    elif isinstance(names, dict):
        entries = {int(number): name for number, name in names.items()}
    else:
        raise ValueError(f"{names} is neither a list nor numbered names")
    for name in entries.values():
        if not isinstance(name, str) or not name:
            raise ValueError(f"{name or 'an entry without a text'} is no name")
    return entries
