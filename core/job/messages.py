# SPDX-License-Identifier: GPL-2.0-or-later
"""What the worker and its client say to each other, one JSON object per line."""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Optional, Union

from .fields import Json, MessageError, check_type

PROTOCOL_VERSION = 3
"""Both sides must name the same; raised with every change that the other side would notice."""

MAX_LINE = 16 * 1024 * 1024
"""Bytes that one line may have; larger data go through files."""


@dataclass(frozen=True)
class Request:
    """From the client. ``id`` is the client's own, new for every request."""

    id: int
    method: str
    params: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """The last message to a request that went well."""

    id: int
    result: dict[str, Json]


@dataclass(frozen=True)
class Failure:
    """The last message to a request that did not: a kind (``errors.py``) and a sentence."""

    id: Optional[int]
    kind: str
    message: str
    detail: str = ""


@dataclass(frozen=True)
class Progress:
    """On the way: ``done`` of ``total`` steps of a stage; ``total`` is 0 while unknown."""

    id: Optional[int]
    stage: str
    done: int
    total: int
    message: str = ""


@dataclass(frozen=True)
class Log:
    """For the log panel. Levels: "debug", "info", "warning", "error"."""

    level: str
    message: str
    id: Optional[int] = None


@dataclass(frozen=True)
class Hello:
    """The engine's first line, without being asked."""

    protocol: int
    engine: str
    python: str
    device: str


@dataclass(frozen=True)
class Heartbeat:
    """Every two seconds from the engine, also while it works."""

    busy: Optional[int] = None


Message = Union[Request, Result, Failure, Progress, Log, Hello, Heartbeat]

_KINDS: dict[str, type] = {
    kind.__name__.lower(): kind for kind in (Result, Failure, Progress, Log, Hello, Heartbeat)
}


def encode(message: Message) -> bytes:
    """One line of UTF-8 JSON with its line feed. NaN and infinity are refused.

    Raises:
        MessageError: A value has no JSON form, or the line is longer than :data:`MAX_LINE`.
    """
    values = asdict(message)
    if not isinstance(message, Request):
        values = {"event": type(message).__name__.lower(), **values}
    try:
        text = json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        try:
            line = text.encode("utf-8") + b"\n"
        except UnicodeEncodeError:  # half a character, which JSON can escape and UTF-8 cannot hold
            line = json.dumps(values, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    except (TypeError, ValueError) as error:
        raise MessageError(f"This message has no JSON form: {error}.") from error
    if len(line) > MAX_LINE:
        raise MessageError(f"A message of {len(line)} bytes exceeds the limit of {MAX_LINE}.")
    return line


def decode(line: bytes) -> Message:
    """The message in one line.

    Raises:
        MessageError: Too long, not JSON, or not a message of this protocol.
    """
    if len(line) > MAX_LINE:
        raise MessageError(f"A line of {len(line)} bytes exceeds the limit of {MAX_LINE}.")
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"This line is not JSON: {error}.") from error
    if not isinstance(values, dict):
        raise MessageError("A message must be a JSON object.")
    values = dict(values)
    event = values.pop("event", None)
    kind: Optional[type] = Request if event is None else _KINDS.get(str(event))
    if kind is None:
        raise MessageError(f"Unknown event {event!r}.")
    known = {f.name: f for f in fields(kind)}
    # Unknown members are left out, so that a newer side may say more.
    values = {name: value for name, value in values.items() if name in known}
    for name, f in known.items():
        if name in values:
            check_type(name, values[name], str(f.type))
        elif f.default is MISSING and f.default_factory is MISSING:
            raise MessageError(f"A {kind.__name__.lower()} message lacks {name!r}.")
    message: Message = kind(**values)
    return message
