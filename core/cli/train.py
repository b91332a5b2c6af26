# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo train``: fine-tune a model on a user's own polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..job import TrainParameters
from .console import Console, reporting
from .options import options_of, parsed

if TYPE_CHECKING:
    from ..training.finetuning.training_job import Trained


@click.command()
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.argument("labels", type=click.Path(), metavar="LABELS")
@click.option("--name", required=True, help="Name of the new model, as in --model NAME.")
@options_of(TrainParameters)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def train(
    rasters: tuple[str, ...],
    labels: str,
    name: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a model on the polygons of LABELS, and keep it if it is better.

    The gain is measured on objects of another place that were held back, and shown. A run that was
    stopped goes on when the same command is given again.
    """
    console = Console(as_json=as_json)
    with reporting(console):
        params = TrainParameters.from_dict(
            {
                "rasters": list(rasters),
                "labels": labels,
                "name": name,
                **parsed(TrainParameters, options),
            }
        )
        from ..training.finetuning.improve import train_as_asked

        with console.progress() as progress:
            done = train_as_asked(params, progress=progress)
        if as_json:
            console.give_json(done.to_json())
        else:
            _show(console, done)


def _show(console: Console, done: Trained) -> None:
    from ..training.finetuning.gain import NAMES

    rows = [
        [NAMES[key], f"{c.before:.3f}", f"{c.after:.3f}", f"{c.difference:+.3f}",
         f"{c.low:+.3f} to {c.high:+.3f}"]
        for key, c in done.verdict.changes.items()
    ]  # fmt: skip
    console.rows([f"{done.verdict.objects} held back", "before", "after", "gain", "98 %"], rows)
    for key, (before, after) in done.card.get("sample_scene", {}).items():
        console.say(f"Sample scene, {NAMES[key]}: {before:.3f} before, {after:.3f} after.")
    if done.path is not None and done.card.get("elsewhere"):
        console.say(done.card["elsewhere"])
    for left in done.card.get("left_out", []):
        console.say(f"Left out: {left}.")
    console.say(done.verdict.reason)
    if done.path is not None:
        console.say(f"Use it with --model {done.name}: {done.path}")
