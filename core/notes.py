# SPDX-License-Identifier: GPL-2.0-or-later
"""Warnings: each reaches the job that it is about, whatever else this process does meanwhile.

Python keeps filters and recorders of warnings for the whole process. ``warnings.catch_warnings``
in a thread takes another thread's warnings, and where the block that began first ends first, the
other one puts its recorder or filters back for good. So the engine says :func:`warn`, which looks
at this thread's context; what no block collects goes to Python's own warnings.
"""

from __future__ import annotations

import sys
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Generic, ParamSpec, TypeVar

from .errors import SamGeoWarning

P = ParamSpec("P")
R = TypeVar("R")

_collector: ContextVar[str] = ContextVar("collector", default="")
_collected: dict[str, list[SamGeoWarning]] = {}

_silenced: ContextVar[tuple[type[Warning], ...]] = ContextVar("silenced", default=())


def warn(text: str) -> None:
    """Say that something was changed, clipped or left out.

    What no block collects, Python says of the line that called the engine, each time: the next
    raster of a loop may have the same to be said of it.

    Args:
        text: A sentence or two, with options as :func:`~.job.option` names them.
    """
    said = _collected.get(_collector.get())
    if said is not None:
        said.append(SamGeoWarning(text))
        return
    frame = sys._getframe(1)
    while frame.f_back is not None and _module(frame).partition(".")[0] in _WITHIN:
        frame = frame.f_back
    where = frame.f_code.co_filename, frame.f_lineno, _module(frame)
    warnings.warn_explicit(text, SamGeoWarning, *where)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


_WITHIN = (__name__.partition(".")[0], "contextlib")


@contextmanager
def collected() -> Iterator[list[SamGeoWarning]]:
    """Within this block :func:`warn` appends to the list that the block is given.

    What other threads do for the block, they do by a function of :func:`for_threads`.
    """
    key = uuid.uuid4().hex
    said = _collected[key] = []
    token = _collector.set(key)
    try:
        yield said
    finally:
        _collector.reset(token)
        del _collected[key]


@dataclass(frozen=True)
class _ForThreads(Generic[P, R]):
    function: Callable[P, R]
    collector: str  # a name, and not the list: it is pickled for workers that may be threads

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        token = _collector.set(self.collector)
        try:
            return self.function(*args, **kwargs)
        finally:
            _collector.reset(token)


def for_threads(function: Callable[P, R]) -> Callable[P, R]:
    """The same function for other threads: its warnings reach the block that it is made in.

    Picklable where ``function`` is; in another process its warnings go to Python.
    """
    return _ForThreads(function, _collector.get())


class _OfThisThread(type):
    def __subclasscheck__(cls, category: type) -> bool:
        ours = issubclass(category, SamGeoWarning)
        return not ours and issubclass(category, _silenced.get())


class _Silenced(Warning, metaclass=_OfThisThread):
    """The category of all warnings that a block of this thread silences.

    A filter of Python's that names it holds for that thread alone, and does nothing elsewhere or
    later: it stays, and no filter of the caller's is ever taken away or put back.
    """


_FILTER = ("ignore", None, _Silenced, None, 0)


@contextmanager
def silenced(category: type[Warning] = Warning) -> Iterator[None]:
    """Within this block Python shows no such warnings of libraries from this thread."""
    if _FILTER not in warnings.filters[:1]:
        warnings.simplefilter("ignore", _Silenced)
    token = _silenced.set((*_silenced.get(), category))
    try:
        yield
    finally:
        _silenced.reset(token)
