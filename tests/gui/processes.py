# SPDX-License-Identifier: GPL-2.0-or-later
"""Which processes run below another one (Linux), to see that none is left behind."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Optional


def _state_and_parent(pid: int) -> Optional[tuple[str, int]]:
    """Its state's letter and its parent; None where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1])


def below(pid: int) -> set[int]:
    """Every living process below this one."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        found = _state_and_parent(int(folder.name)) if folder.name.isdigit() else None
        if found is not None and found[0] != "Z":
            parents[int(folder.name)] = found[1]
    made: set[int] = set()
    level = {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level} - made
        made |= level
    return made


def alive(pid: int) -> bool:
    """A zombie is dead."""
    found = _state_and_parent(pid)
    return found is not None and found[0] != "Z"


def left_of(pids: Iterable[int], seconds: float) -> list[int]:
    """Those that still live after this time; returns at once when none does."""
    end = time.monotonic() + seconds
    left = sorted(pids)
    while left and time.monotonic() < end:
        time.sleep(0.1)
        left = [pid for pid in left if alive(pid)]
    return left
