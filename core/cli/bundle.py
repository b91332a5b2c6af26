# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo bundle``: one folder from which everything installs without a network."""

from __future__ import annotations

from pathlib import Path

import click

from ..job import Progress
from .console import Console, human_size, reporting


@click.command()
@click.argument("folder", type=click.Path(file_okay=False))
@click.option("--python", default="", help="Version of the Python there. [default: this one's]")
@click.option("--system", default="", help="E.g. linux-x86_64, windows-x86_64, macos-arm64.")
@click.option("--build", default="cpu", show_default=True, help="Of PyTorch: cpu or cuda.")
@click.option("--model", "models", multiple=True, help="Also these weights; may be repeated.")
@click.option("--extra", "extras", multiple=True, help="E.g. cluster; may be repeated.")
@click.option("--wheel", type=click.Path(dir_okay=False), help="The engine's wheel, from a file.")
def bundle(
    folder: str,
    python: str,
    system: str,
    build: str,
    models: tuple[str, ...],
    extras: tuple[str, ...],
    wheel: str | None,
) -> None:
    """Gather all that an installation needs in FOLDER: wheels, weights, checksums, licences.

    Run it where there is a network; carry FOLDER to where there is none, and start its install.py
    there, or name it in the plugin's settings.
    """
    console = Console()
    with reporting(console):
        from ..bundle.make import QGIS_EXTRAS, BundleOptions, make_bundle
        from ..models.weights.download import Listener

        wanted = tuple(dict.fromkeys((*QGIS_EXTRAS, *extras)))
        file = None if wheel is None else Path(wheel)
        options = BundleOptions(python, system, build, models, wanted, file)
        with console.progress() as show:
            listener = Listener(
                progress=lambda step: show(
                    Progress(None, step.filename, step.done, step.total or 0)
                )
            )
            made = make_bundle(Path(folder), options, say=console.say, listener=listener)
        console.say(
            f"{made.folder}: {made.wheels} wheels, {len(made.models)} models, "
            f"{human_size(made.size)}. Carry it over; README.txt in it says how to install."
        )
