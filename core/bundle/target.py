# SPDX-License-Identifier: GPL-2.0-or-later
"""For which Python and system a bundle is, and how pip is told to choose packages for another one.

pip takes wheels by the tags it is given (``--platform``, ``--python-version``), but evaluates
environment markers (``nvidia-nccl-cu13; platform_system == "Linux"``) for the Python that runs it
(https://github.com/pypa/pip/issues/11664, open). For another Python or system it is therefore
started with the marker values of the target, as Pex does it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from . import install

PLATFORMS = {
    "linux-x86_64": (
        *(f"manylinux_2_{n}_x86_64" for n in range(28, 4, -1)),
        "manylinux2014_x86_64",
        "manylinux2010_x86_64",
        "manylinux1_x86_64",
    ),
    "linux-arm64": (
        *(f"manylinux_2_{n}_aarch64" for n in range(28, 16, -1)),
        "manylinux2014_aarch64",
    ),
    "windows-x86_64": ("win_amd64",),
    "macos-arm64": tuple(
        f"macosx_{n}_0_{k}" for n in (14, 13, 12, 11) for k in ("arm64", "universal2")
    ),
}
"""System to pip's tags, newest first. Macs with Intel processors are missing: the last PyTorch for
them is 2.2."""

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")

_SYSTEMS = {
    "linux": {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux"},
    "windows": {"os_name": "nt", "sys_platform": "win32", "platform_system": "Windows"},
    "macos": {"os_name": "posix", "sys_platform": "darwin", "platform_system": "Darwin"},
}
_MACHINES = {"linux-arm64": "aarch64", "windows-x86_64": "AMD64"}
"""Where a system calls its machine otherwise than bundles do."""

_PIP = """\
import json, runpy, sys
sys.path = [place for place in sys.path if place]  # less the working folder
from pip._vendor.packaging import markers
values = json.loads(sys.argv.pop(1))
markers.default_environment = lambda: dict(values)
if not all(markers.Marker(f"{name} == '{values[name]}'").evaluate() for name in values):
    sys.exit("ERROR: this pip cannot choose packages for another Python or system")
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
"""pip with other marker values: the first argument, JSON. That they count is checked first, as
pip promises nothing about its modules."""


@dataclass(frozen=True)
class Target:
    """A Python and a system.

    Args:
        python: One of :data:`VERSIONS`.
        system: One of :data:`PLATFORMS`.
    """

    python: str
    system: str

    def __str__(self) -> str:
        return f"Python {self.python} on {self.system}"

    @property
    def options(self) -> list[str]:
        """What ``pip download`` needs to take its wheels."""
        if self == here():
            return []
        options = ["--python-version", self.python, "--implementation", "cp"]
        for tag in PLATFORMS[self.system]:
            options += ["--platform", tag]
        return options

    @property
    def pip(self) -> list[str]:
        """The command that pip is, up to its arguments."""
        if self == here():
            return [sys.executable, "-m", "pip"]
        return [sys.executable, "-c", _PIP, json.dumps(self.markers)]

    @property
    def markers(self) -> dict[str, str]:
        """The values of environment markers there; versions of the system are not known."""
        kind, _, machine = self.system.partition("-")
        return {
            **_SYSTEMS[kind],
            "platform_machine": _MACHINES.get(self.system, machine),
            "platform_release": "",
            "platform_version": "",
            "platform_python_implementation": "CPython",
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
        }


def here() -> Target:
    """What runs now."""
    return Target(".".join(map(str, sys.version_info[:2])), install.system())
