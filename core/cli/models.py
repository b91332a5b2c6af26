# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo models``: list, describe, download, verify, check, remove and export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..job import Progress
from .console import Console, human_size, reporting

if TYPE_CHECKING:
    from ..model_check.check import ModelCheck

_JSON = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")


@click.group(invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List, describe, download, verify, check and remove models. Alone: list."""
    if context.invoked_subcommand is None:
        context.invoke(list_)


@models.command("list")
@_JSON
def list_(as_json: bool = False) -> None:
    """List all known models and which are on this computer."""
    console = Console(as_json=as_json)
    with reporting(console):
        from ..models.weights.checkpoints import list_models

        known = list_models()
        if as_json:
            console.give_json(
                {
                    "models": [
                        {
                            "name": status.entry.name,
                            "family": status.entry.family,
                            "title": status.entry.title,
                            "licence": status.entry.licence,
                            "size": status.entry.size or status.bytes_here,
                            "memory": status.entry.memory or None,
                            "installed": status.installed,
                            "path": None if status.path is None else str(status.path),
                        }
                        for status in known
                    ]
                }
            )
            return
        rows = []
        for status in known:
            entry = status.entry
            state = "on disk" if status.installed else "to download"
            if not entry.files:
                state = "embedded" if entry.name == "embedded" else "trained here"
            size = human_size(entry.size or status.bytes_here)
            memory = human_size(entry.memory) if entry.memory else ""
            rows.append([entry.name, entry.title, size, memory, entry.licence, state])
        console.rows(["name", "model", "size", "memory", "licence", "state"], rows)


@models.command()
@click.option("--plot", type=click.Path(), help="SVG to write: figures by minutes of work.")
@_JSON
def log(plot: str | None, as_json: bool) -> None:
    """Tell what each trained model has gained, per minute of a person's work."""
    console = Console(as_json=as_json)
    with reporting(console):
        from ..models.weights import rounds
        from ..models.weights.checkpoints import models_folder
        from ..parallel.atomic_write import write_atomically

        found = rounds.rounds_of(models_folder())
        if plot is not None:
            text = rounds.plot(found)
            write_atomically(Path(plot), lambda path: path.write_text(text, encoding="utf-8"))
        if as_json:
            told = [{**asdict(each), "gain_per_minute": each.gain_per_minute} for each in found]
            console.give_json({"rounds": told})
            return
        rows = [
            [each.date[:10], each.name, each.base, str(each.objects),
             "" if each.minutes is None else f"{each.minutes:g}",
             each.figure, f"{each.before:.3f}", f"{each.after:.3f}",
             "" if each.gain_per_minute is None else f"{each.gain_per_minute:+.4f}"]
            for each in found
        ]  # fmt: skip
        head = ["date", "name", "base", "objects", "minutes", "figure", "before", "after",
                "gain per minute"]  # fmt: skip
        console.rows(head, rows)


@models.command()
@click.argument("name")
@_JSON
def info(name: str, as_json: bool) -> None:
    """Describe a model, by NAME or by the path of a file."""
    console = Console(as_json=as_json)
    with reporting(console):
        from ..models.load import details

        known = details(name)
        family = known.entry.family if known.entry else None
        values: dict[str, object] = {
            "name": known.name,
            "title": known.entry.title if known.entry else None,
            "family": known.recognised.family if known.recognised else family,
            "variant": known.recognised.variant if known.recognised else None,
            "licence": known.entry.licence if known.entry else None,
            "page": known.entry.page if known.entry else None,
            "size": known.size,
            "memory": (known.entry.memory or None) if known.entry else None,
            "parameters": known.parameters or None,
            "sha256": known.sha256 or None,
            "path": None if known.path is None else str(known.path),
        }
        if as_json:
            console.give_json({**values, "card": dict(known.card) or None})
        else:
            values |= _card_lines(known.card)
            memory = human_size(known.entry.memory) if known.entry and known.entry.memory else None
            console.table({**values, "size": human_size(known.size), "memory": memory})


def _card_lines(card: Mapping[str, Any]) -> dict[str, object]:
    """A trained model's card in a few lines."""
    if not card:
        return {}
    figures = {
        f"{name} (before, after)": f"{float(change['before']):.3f}, {float(change['after']):.3f}"
        for name, change in card.get("figures", {}).items()
    }
    return {
        "trained": f"{card.get('date')} on {card.get('raster')}",
        "objects": ", ".join(f"{count} {side}" for side, count in card.get("objects", {}).items()),
        **figures,
        **({"elsewhere": card["elsewhere"]} if card.get("elsewhere") else {}),
    }


@models.command()
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def download(name: str, yes: bool) -> None:
    """Download a model; goes on where an interrupted download stopped."""
    console = Console()
    with reporting(console):
        from ..models.catalogue import find
        from ..models.weights import checkpoints
        from ..models.weights.download import Listener

        entry = find(name)
        if not entry.files:
            checkpoints.download(name)  # says why before anyone is asked
        console.say(f"{entry.title}: {human_size(entry.size)}, licence {entry.licence}")
        console.say(f"  from  {entry.page}")
        console.say(f"  to    {checkpoints.models_folder()}")
        if not yes and not click.confirm("Download it?", default=True):
            return
        with console.progress() as show:
            listener = Listener(
                progress=lambda step: show(
                    Progress(None, step.filename, step.done, step.total or 0)
                )
            )
            path = checkpoints.download(name, listener)
        console.say(f"{path} is complete and its checksum is right.")


@models.command()
@click.argument("name")
@_JSON
def verify(name: str, as_json: bool) -> None:
    """Compare a model's files with their checksums."""
    console = Console(as_json=as_json)
    with reporting(console):
        from ..errors import CheckpointError
        from ..models.weights import checkpoints

        results = checkpoints.verify(name)
        if as_json:
            console.give_json({"files": [{**asdict(r), "path": str(r.path)} for r in results]})
        else:
            for result in results:
                console.say(f"{result.problem or 'right'}: {result.path}")
        if any(result.problem for result in results):
            raise CheckpointError(f"{name} is damaged: {_way_out(name)}.")


def _way_out(name: str) -> str:
    """What to do about a damaged model: it depends on where it came from."""
    from ..models.catalogue import CATALOGUE, EMBEDDED

    if name == EMBEDDED:
        return "it comes with SamGeo Seamless, install that again"
    if name in CATALOGUE:
        return f"remove it with 'samgeo models remove {name}' and download it again"
    return "get the file again, or choose another"


@models.command()
@click.argument("name")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, mps.")
@click.option("--threads", type=int, default=None, help="CPU threads. [default: torch's choice]")
@click.option("--precision", default="auto", show_default=True, help="As in samgeo segment.")
@_JSON
def check(name: str, device: str, threads: int | None, precision: str, as_json: bool) -> None:
    """Try a model (NAME or the path of a file) on a picture of known houses.

    Boxes, clicks, the automatic search and words must find the houses; every tensor of the
    checkpoint must have its place. Takes a second to some minutes. Exit code 5 where the model
    does not work as it should.
    """
    console = Console(as_json=as_json)
    with reporting(console):
        from ..model_check.check import check_model

        found = check_model(name, device, threads, precision)
        if as_json:
            properties = [{**asdict(one), "holds": one.holds} for one in found.properties]
            console.give_json({**asdict(found), "properties": properties, "passed": found.passed})
        else:
            console.rows(["property", "value", "at least", ""], _property_rows(found))
            times = ", ".join(f"{part} {took:.1f} s" for part, took in found.seconds.items())
            memory = f"; memory {human_size(found.memory)}" if found.memory else ""
            console.say(f"{found.name} ({found.family}) on {found.device}: {times}{memory}")
        found.raise_if_failed()
        if not as_json:
            console.say(f"{found.name} works as it should.")


def _property_rows(found: ModelCheck) -> list[list[str]]:
    """One row for each property: what was measured, reached, wanted, and whether it holds."""
    return [
        [
            one.title,
            f"{one.value:.2f}",
            "" if one.floor is None else f"{one.floor:.2f}",
            "" if one.floor is None else "holds" if one.holds else "FAILS",
        ]
        for one in found.properties
    ]


@models.command()
@click.argument("name")
def remove(name: str) -> None:
    """Delete a downloaded model."""
    console = Console()
    with reporting(console):
        from ..models.weights import checkpoints

        console.say(f"{human_size(checkpoints.remove(name))} freed.")


@models.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--name", help="Its name here. [default: the file's]")
def add(file: str, name: str | None) -> None:
    """Add a model trained with samgeo train: a .safetensors FILE."""
    console = Console()
    with reporting(console):
        from ..models.weights import checkpoints

        console.say(f"Added: {checkpoints.add(Path(file), name)}")


@models.command()
@click.argument("name")
@click.argument("folder", type=click.Path(file_okay=False))
def export(name: str, folder: str) -> None:
    """Write a model's encoder and decoders as ONNX files into FOLDER."""
    console = Console()
    with reporting(console):
        from ..models.export import export_onnx
        from ..models.load import load_model

        written = export_onnx(load_model(name, "cpu"), Path(folder))
        for file in written.files:
            console.say(str(written.folder / file))
        console.say(f"largest difference from torch: {written.difference:.1e}")
