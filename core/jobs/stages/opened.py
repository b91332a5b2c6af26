# SPDX-License-Identifier: GPL-2.0-or-later
"""Per-process cache of a job's model and open rasters.

Stages are picklable and carry no open files; what is costly to open is opened once per process and
run, and kept here. A cluster's workers outlive a run, and the next one may have the same folder and
another model or raster: everything is kept under the run's name, and one run at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, cast


class Closable(Protocol):
    """Something that is closed at the end of a run."""

    def close(self) -> None: ...


M = TypeVar("M")
C = TypeVar("C", bound=Closable)

_models: dict[str, Any] = {}
_kept: dict[tuple[str, Hashable], Any] = {}
_keeping: list[str] = []
_open: dict[tuple[str, Hashable], Closable] = {}


def keep_model(run: str, model: Any) -> None:
    """Hand over a model that is loaded already, so that this process does not load it twice."""
    if run not in _models:
        close_all()
    _models[run] = model


def model_of(run: str, make: Callable[[], M]) -> M:
    """The run's model in this process; made at the first call."""
    if run not in _models:
        close_all()
        _models[run] = make()
    return cast(M, _models[run])


@contextmanager
def models_kept(run: str) -> Iterator[None]:
    """Models that :func:`loaded_once` loads in this block stay for the next block of the same run.

    A run of many scenes is many jobs, and each of them closes what it has opened.
    """
    for key in [key for key in _kept if key[0] != run]:
        del _kept[key]
    _keeping.append(run)
    try:
        yield
    finally:
        _keeping.pop()


def forget_kept() -> None:
    """Let go of the models that were kept."""
    _kept.clear()


def loaded_once(key: Hashable, load: Callable[[], M]) -> M:
    """A model: the one that is kept from an earlier job of this run, else newly loaded."""
    if not _keeping:
        return load()
    run = _keeping[-1]
    if (run, key) not in _kept:
        _kept[run, key] = load()
    return cast(M, _kept[run, key])


def opened(run: str, key: Hashable, make: Callable[[], C]) -> C:
    """What the run has open under a key in this process; made at the first call."""
    if (run, key) not in _open:
        _open[run, key] = make()
    return cast(C, _open[run, key])


def close_all() -> None:
    """Close what the stages of this process have open."""
    while _open:
        _open.popitem()[1].close()
    _models.clear()
