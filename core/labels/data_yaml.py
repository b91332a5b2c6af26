# SPDX-License-Identifier: GPL-2.0-or-later
"""Class names of YOLO's ``data.yaml``, in the ways in which people and programs write them.

* a list or numbered lines, below ``names:``::

      names:            names:
        - building        0: building  # with a roof
        - road            1: road

* a list or a mapping in brackets, on one line or several::

      names: [building, 'road',        names: {0: building,
              tree]                            1: road}

The engine needs no other YAML, and so no library for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from ..errors import ParameterError
from ..job import option

_QUOTED = r'"(?:[^"\\]|\\[\s\S])*"|' + r"'(?:[^']|'')*'"
_HEAD = re.compile(r"""(["']?)names\1\s*:(.*)""")
_COMMENT = re.compile(rf"((?<![^\s\[{{,:-])(?:{_QUOTED}))|(?<!\S)#.*")
"""A quoted text, which may hold a #, or a comment."""
_KEY = r"""(\d+(?=\s*:\s)|"\d+"|'\d+')\s*:"""
_LINE = re.compile(rf"(?:-|{_KEY})\s+(.*)")
_ITEM = re.compile(rf"\s*(?:{_KEY}\s*)?({_QUOTED}|[^\[\]{{}},]*)\s*([,\]}}])")
_NO_TEXT = re.compile(r"""[\[\]{}&*!|>%@`"',]|.*:(\s|$)|$""", re.DOTALL)
"""What a text without quotes cannot be: empty, or another thing of YAML."""
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|U([0-9A-Fa-f]{8})|.)")
"""One of two escapes of YAML that JSON has not, or any other."""


def class_names(path: Path) -> list[str]:
    """Names by number, numbers without a name by themselves; empty where the file names none.

    Raises:
        ParameterError: The file or its names cannot be read.
    """
    try:
        names = _names(path.read_text("utf-8-sig").split("\n"))
    except (OSError, ValueError) as error:
        raise ParameterError(
            f"The class names in {path} cannot be read ({error}): write a list below names:, one "
            f"name per line, or give the names ({option('names')})."
        ) from error
    return [names.get(k, str(k)) for k in range(max(names, default=-1) + 1)]


def _names(lines: list[str]) -> dict[int, str]:
    for number, line in enumerate(lines):
        head = _HEAD.match(line)
        if head is not None:
            rest = head[2].strip()
            if rest.startswith(("[", "{")):
                return dict(_bracketed(_without_comments("\n".join([rest, *lines[number + 1 :]]))))
            if _without_comments(rest) not in ("", "~", "null"):
                raise ValueError(f"{rest} is neither a list nor numbered names")
            return dict(_below(lines[number + 1 :]))
    return {}


def _without_comments(text: str) -> str:
    return _COMMENT.sub(lambda found: found[1] or "", text).rstrip()


def _below(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Entries of a block, whose lines are indented or begin with a dash."""
    count = 0
    for line in map(_without_comments, lines):
        if not line:
            continue
        if line[0] not in " \t-" or line.startswith("---"):
            return
        entry = _LINE.fullmatch(line.strip())
        if entry is None:
            raise ValueError(f"{line.strip()} is no name after a dash or a number")
        yield _number(entry[1], count), _text(entry[2])
        count += 1


def _bracketed(text: str) -> Iterator[tuple[int, str]]:
    """Entries of a list or a mapping in brackets, with which the text begins."""
    close = {"[": "]", "{": "}"}[text[0]]
    at, count, end = 1, 0, ","
    while end == ",":
        item = _ITEM.match(text, at)
        if item is None:
            raise ValueError("a bracket does not close")
        key, value, end = item.groups()
        if key is None and not value and end == close:  # nothing at all, or after a last comma
            return
        if end not in (",", close) or (key is None) != (close == "]"):
            raise ValueError(f"{item[0].strip()} is no entry of a list or of numbered names")
        yield _number(key, count), _text(value)
        at, count = item.end(), count + 1


def _number(key: str | None, count: int) -> int:
    return count if key is None else int(key.strip("'\""))


def _text(written: str) -> str:
    """A text in quotes or without.

    Raises:
        ValueError: It is something else.
    """
    text = re.sub(r"\s*\n\s*", " ", written.strip())
    if re.fullmatch(_QUOTED, text):
        if text[0] == "'":
            return text[1:-1].replace("''", "'")
        return str(json.loads(_ESCAPE.sub(_as_json, text)))
    if _NO_TEXT.match(text):
        raise ValueError(f"{text or 'an entry without a text'} is no name")
    return text


def _as_json(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2]
    return escape[0] if code is None else json.dumps(chr(int(code, 16)))[1:-1]
