# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo train``: a better model from a user's own polygons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .console import Console, reporting

if TYPE_CHECKING:
    from ..training.finetuning.improve import Trained


@click.command()
@click.argument("rasters", nargs=-1, required=True, type=click.Path(), metavar="RASTER...")
@click.argument("labels", type=click.Path(), metavar="LABELS")
@click.option("--name", required=True, help="Name of the new model, as in --model NAME.")
@click.option("--model", default="embedded", show_default=True, help="What to begin with.")
@click.option(
    "--what",
    type=click.Choice(["adapter", "decoder", "whole"]),
    help="What is trained. [default: the embedded model's decoder; adapters of others]",
)
@click.option("--layer", help="Layer within LABELS.")
@click.option("--status-field", help="accepted, corrected, rejected. [default: status, if any]")
@click.option("--class-field", help="Field with the class; noted in the card.")
@click.option("--complete", type=click.Path(), help="Polygons inside which all is labelled.")
@click.option("--complete-everywhere", is_flag=True, help="All of RASTER is labelled.")
@click.option(
    "--held-back",
    type=click.FloatRange(0.1, 0.7),
    default=0.3,
    show_default=True,
    help="Share of the objects that the gain is measured on, at another place.",
)
@click.option("--steps", type=click.IntRange(1), default=400, show_default=True, help="At most.")
@click.option("--minutes", type=float, default=20.0, show_default=True, help="At most.")
@click.option("--rate", type=float, default=3e-4, show_default=True, help="Learning rate.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--window", type=click.IntRange(128), default=1024, show_default=True, help="Pixels.")
@click.option("--points-per-side", type=click.IntRange(1), default=32, show_default=True)
@click.option("--licence", default="", help="Of the new model, for its card.")
@click.option(
    "--work", type=click.Path(), help="Folder for checkpoints. [default: with the models]"
)
@click.option("--fresh", is_flag=True, help="Forget an unfinished run.")
@click.option("--overwrite", is_flag=True, help="Replace a model of that name.")
@click.option("--device", default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def train(
    rasters: tuple[str, ...],
    labels: str,
    name: str,
    work: str | None,
    fresh: bool,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Train a model on the polygons of LABELS, and keep it if it is better.

    The gain is measured on objects of another place that were held back, and shown. A run that was
    stopped goes on when the same command is given again.
    """
    console = Console(as_json=as_json)
    with reporting(console):
        from ..training.finetuning.examples import ExampleOptions
        from ..training.finetuning.finetune import LoopOptions
        from ..training.finetuning.improve import TrainOptions
        from ..training.finetuning.improve import train as improve

        def take(*names: str) -> dict[str, Any]:
            return {key: given[key] for key in names}

        options = TrainOptions(
            points=given["points_per_side"],
            examples=ExampleOptions(
                **take("layer", "status_field", "class_field", "complete", "complete_everywhere",
                       "held_back")
            ),
            loop=LoopOptions(**take("steps", "minutes", "rate", "seed")),
            **take("model", "what", "window", "licence", "device", "threads"),
        )  # fmt: skip
        with console.progress() as progress:
            done = improve(
                list(rasters), labels, name, options,
                work=work, fresh=fresh, overwrite=overwrite, progress=progress,
            )  # fmt: skip
        if as_json:
            console.print_json(done.to_json())
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
    for left in done.card.get("left_out", []):
        console.say(f"Left out: {left}.")
    console.say(done.verdict.reason)
    if done.path is not None:
        console.say(f"Use it with --model {done.name}: {done.path}")
