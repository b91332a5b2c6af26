# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask the package index whether constraints.txt can be installed: each Python and each system.

    python tools/check_pins.py [--python 3.10] [--system windows-x86_64]

Nothing is installed. Run it with the newest Python at hand: ``pip install`` compares what a wheel
requires with the Python that runs it, so that one which needs a newer one counts as missing.

``tests/test_project_files.py`` finds without an index what the installed packages say of
themselves.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from package import ROOT, build_wheel
from samgeo_core.bundle.target import PLATFORMS, VERSIONS, Target

EXTRAS = "dev,docs,fastsam,show"


def problem(target: Target, wheel: Path, folder: Path) -> str | None:
    """pip's last words on what cannot be installed; None where all can."""
    words = [*target.pip, "--disable-pip-version-check", "--no-input", "install", "--dry-run"]
    words += ["-q", "--ignore-installed", "--target", str(folder), "--only-binary", ":all:"]
    words += [*target.options, "-c", str(ROOT / "constraints.txt"), f"{wheel}[{EXTRAS}]"]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout.strip()[-2000:] if done.returncode else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", choices=VERSIONS, help="only this one")
    parser.add_argument("--system", choices=PLATFORMS, help="only this one")
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        wheel = build_wheel(Path(place))
        for system in [options.system] if options.system else PLATFORMS:
            for python in [options.python] if options.python else VERSIONS:
                target = Target(python, system)
                found = problem(target, wheel, Path(place) / "target")
                print(f"{target}: {found or 'can be installed'}", flush=True)
                failed += found is not None
    sys.exit(failed and f"{failed} of them cannot be installed: pin other versions.")


if __name__ == "__main__":
    main()
