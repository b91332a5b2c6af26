# SPDX-License-Identifier: GPL-2.0-or-later
"""The documentation's notebooks run from top to bottom."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb"))


def test_there_are_three():
    assert len(NOTEBOOKS) >= 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") for cell in cells), "notebooks are kept without results"
    code = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    result = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-"],
        input=code,
        cwd=path.parent,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
