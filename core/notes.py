# SPDX-License-Identifier: GPL-2.0-or-later
"""Warnings: each reaches the job that it is about, whatever else this process does meanwhile.

Python keeps filters and recorders of warnings for the whole process. ``warnings.catch_warnings``
in a thread takes another thread's warnings, and where the block that began first ends first, the
other one puts its recorder or filters back for good. So the engine says :func:`warn`, which looks
at this thread's context; what no block collects goes to Python's own warnings. A segmenter of the
user's own says ``warnings.warn(text, SamGeoWarning)``: a filter of Python's sees it.
"""

from __future__ import annotations

import sys
import threading
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any, Generic, ParamSpec, TypeVar, cast

from .errors import SamGeoWarning

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

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

    So do warnings of this kind that others give to Python. What other threads do for the block,
    they do by a function of :func:`for_threads`, and processes by one of :func:`with_notes`.
    """
    _look_first()
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


@dataclass(frozen=True)
class _WithNotes(Generic[T, R]):
    function: Callable[[T], R]

    def __call__(self, item: T) -> tuple[R, tuple[str, ...]]:
        with collected() as said:
            result = self.function(item)
        return result, tuple(warning.template for warning in said)


def with_notes(function: Callable[[T], R]) -> Callable[[T], tuple[R, tuple[str, ...]]]:
    """The same function for other processes: beside its result, what was said meanwhile.

    Picklable where ``function`` is; :func:`told` takes both where the result arrives.
    """
    return _WithNotes(function)


def told(answer: tuple[R, Sequence[str]]) -> R:
    """The result of a function of :func:`with_notes`; what was said with it is said here."""
    result, said = answer
    for text in said:
        warn(text)
    return result


_given = threading.local()
"""The text of the warning for which Python looks at its filters, in each thread."""


class _Text:
    """Stands in a filter where a pattern does, and sees the text of each warning."""

    def match(self, text: Any) -> bool:
        _given.text = text
        return True


class _OfThisThread(type):
    def __subclasscheck__(cls, category: type) -> bool:
        text, _given.text = getattr(_given, "text", None), None
        if not issubclass(category, SamGeoWarning):
            return issubclass(category, _silenced.get())
        said = _collected.get(_collector.get())
        if said is None or text is None:
            return False
        said.append(SamGeoWarning(str(text)))
        return True


class _Taken(Warning, metaclass=_OfThisThread):
    """The category of all warnings that a block of this thread silences or collects.

    A filter of Python's that names it holds for that thread alone, and does nothing elsewhere or
    later: it stays, and no filter of the caller's is ever taken away or put back.
    """


_FILTER = ("ignore", _Text(), _Taken, None, 0)
_PLAIN = ("ignore", None, _Taken, None, 0)
"""As Python makes it, which asks for patterns; it takes nothing that the first one has not."""

_LOCK = threading.Lock()


def _filters() -> list[Any]:
    return cast(list[Any], warnings.filters)


def _look_first() -> None:
    """Put the filter before all others.

    Python looks at no filter for what a line has said before, until it knows of a change.
    """
    with _LOCK:
        with suppress(ValueError):
            _filters().remove(_FILTER)
        warnings.simplefilter("ignore", _Taken)
        with suppress(ValueError):  # another thread has put filters of its own back meanwhile
            filters = _filters()
            filters[filters.index(_PLAIN)] = _FILTER


@contextmanager
def silenced(category: type[Warning] = Warning) -> Iterator[None]:
    """Within this block Python shows no such warnings of libraries from this thread."""
    if _FILTER not in _filters()[:1]:
        _look_first()
    token = _silenced.set((*_silenced.get(), category))
    try:
        yield
    finally:
        _silenced.reset(token)
