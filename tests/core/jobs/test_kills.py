# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs that are killed before a file operation and run again; ``kills.py`` tries all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

CASES = [
    *(("automatic", suffix, "new") for suffix in (".geojson", ".parquet", ".fgb")),
    *(("automatic", ".shp", "overwrite"), ("prompts", ".gpkg", "append")),
    ("parts", ".parquet", "overwrite"),
    *(("rules", ".gpkg", "new"), ("surfaces", ".gpkg", "overwrite"), ("track", ".shp", "new")),
    *(("layer", ".gpkg", "new"), ("each", ".geojson", "new"), ("export_masks", ".gpkg", "new")),
    *(("import", ".shp", "new"), ("update", ".gpkg", "append")),
]
AT = [
    (("errors", ".shp", "new"), ".part/o."),  # a Shapefile's files are moved one by one
    (("regularize", ".shp", "overwrite"), ".part/o."),
    (("classify", ".gpkg", "new"), "samgeo-classes"),  # a saved classifier is a second output
    (("classify", ".gpkg", "new"), ".finished"),
    (("item", ".gpkg", "new"), ".stac.json"),  # the STAC item is another
]
"""Killed at operations that are described with the text."""
TOLD = {
    "classify": ["classify"],
    "surfaces": ["map"],
    "track": ["track"],
    "export_masks": [],
    "import": ["import_labels"],
    "update": ["segment", "update", "update"],
    "errors": ["evaluate"],
    "regularize": ["regularize"],
}
"""Which job the layers say that they are from; of all others, to segment."""


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
def test_a_job_that_was_killed_makes_the_same_when_it_is_run_again(tmp_path: Path) -> None:
    """One process for all: it imports once, and never runs a model before it forks."""
    code = (
        "import json, sys; from tests.core.jobs.kills import try_all\n"
        "for k, (case, at) in enumerate(json.loads(sys.argv[1])):\n"
        "    print(json.dumps([case, try_all(*case, 2, k, at=at)]), flush=True)"
    )
    cases = [*((case, "") for case in CASES), *AT]
    result = subprocess.run(
        [sys.executable, "-c", code, json.dumps(cases)],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    said = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(said) == len(cases)
    for case, found in said:
        assert found["killed"] >= 1, case
        assert found["faults"] == [], case
        assert found["told"] == TOLD.get(case[0], ["segment"] * len(found["told"])), case
