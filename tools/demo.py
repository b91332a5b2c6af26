# SPDX-License-Identifier: GPL-2.0-or-later
"""``make demo``: segment the sample raster with the embedded model, draw the result, say where."""

from __future__ import annotations

from pathlib import Path

from overlay import overlay
from samgeo_core.cli.console import Console
from samgeo_core.job import SegmentParameters
from samgeo_core.jobs.run import run

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Run the job that the README shows."""
    raster = ROOT / "sample_data" / "town.tif"
    folder = ROOT / "demo"
    folder.mkdir(exist_ok=True)
    params = SegmentParameters([str(raster)], str(folder / "town.gpkg"), overwrite=True)
    console = Console()
    with console.progress() as progress:
        result = run(params, progress=progress)
    picture = folder / "town.png"
    overlay(raster, Path(result.output), picture)
    console.say(f"{result.features} polygons in {result.seconds:.0f} s")
    console.say(f"  layer    {result.output}")
    console.say(f"  picture  {picture}")


if __name__ == "__main__":
    main()
