# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder that ``samgeo bundle`` made: the setup installs from it, without a network."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from .. import settings
from ..i18n import tr


@dataclass(frozen=True)
class SealedBundle:
    """What a bundle says of itself.

    Args:
        folder: Where it is.
        engine: Version of the engine in it.
        python: For which Python its wheels are, "3.12".
        system: For which system, "linux-x86_64".
        build: Of torch, "cpu" or "cuda".
        requirements: What to ask pip for.
        models: Names of the models in it.
        disk: Megabytes that the environment will have, about.
    """

    folder: Path
    engine: str
    python: str
    system: str
    build: str
    requirements: tuple[str, ...]
    models: tuple[str, ...]
    disk: int

    @property
    def version(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.python.split("."))


def read(folder: Path) -> Optional[SealedBundle]:
    """The bundle in a folder; None where there is none."""
    try:
        values = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        found = SealedBundle(
            folder=folder,
            engine=str(values["engine"]),
            python=str(values["python"]),
            system=str(values["system"]),
            build=str(values["build"]),
            requirements=tuple(str(text) for text in values["requirements"]),
            models=tuple(str(name) for name in values["models"]),
            disk=int(values["disk_mb"]),
        )
        return found if found.version else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def named() -> str:
    """The folder that the user, or for scripts ``SAMGEO_BUNDLE``, named; empty without."""
    return str(os.environ.get("SAMGEO_BUNDLE") or settings.BUNDLE.get())


def chosen() -> Optional[SealedBundle]:
    """The bundle to install from; None without one."""
    text = named()
    return read(Path(text)) if text else None


def system() -> str:
    """This computer, as bundles name it."""
    kind = {"Darwin": "macos"}.get(platform.system(), platform.system().lower())
    machine = platform.machine().lower()
    return f"{kind}-{ {'amd64': 'x86_64', 'aarch64': 'arm64'}.get(machine, machine) }"


def problem() -> Optional[str]:
    """Why the named bundle cannot be used here; None where it can, or none is named."""
    text = named()
    if not text:
        return None
    found = read(Path(text))
    if found is None:
        return tr(
            "{folder} holds no bundle; name the folder that 'samgeo bundle' made, or none."
        ).format(folder=text)
    if found.system != system():
        return tr("The bundle is for {theirs}, and this computer is {ours}.").format(
            theirs=found.system, ours=system()
        )
    return None
