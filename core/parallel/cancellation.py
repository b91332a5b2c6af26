# SPDX-License-Identifier: GPL-2.0-or-later
"""Cancellation of a job, checked within a tile.

A tile may take minutes; what works on it (any segmenter) knows its image and
nothing of the job. So the job leaves its question here, for this thread, and long loops ask it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_question: ContextVar[Callable[[], None] | None] = ContextVar("question", default=None)


@contextmanager
def stopped_by(asked: Callable[[], None]) -> Iterator[None]:
    """Within this block :func:`check` asks this; it raises ``Cancelled`` to stop the work."""
    token = _question.set(asked)
    try:
        yield
    finally:
        _question.reset(token)


def stop_for_good_by(asked: Callable[[], None]) -> None:
    """The same for the rest of this thread's life, as in a worker process."""
    _question.set(asked)


def question() -> Callable[[], None]:
    """What :func:`check` asks here and now, to be asked from within a block of another question."""
    return _question.get() or (lambda: None)


def check() -> None:
    """Go on, or raise ``Cancelled`` where the work is no longer wanted.

    Cheap: to be called every few tenths of a second of work.
    """
    asked = _question.get()
    if asked is not None:
        asked()
