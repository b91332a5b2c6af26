# SPDX-License-Identifier: GPL-2.0-or-later
"""``samgeo evaluate``: compare a result with ground truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..job import EvaluateParameters
from .console import Console, reporting
from .options import options_of, parsed

if TYPE_CHECKING:
    from ..evaluation.figures import Figures
    from ..evaluation.run import Evaluation

_COLUMNS = {
    "truth": "true",
    "found": "found",
    "matched": "pairs",
    "pq": "PQ",
    "sq": "SQ",
    "rq": "RQ",
    "recall": "recall",
    "precision": "prec.",
    "mean_iou": "mIoU",
    "boundary_iou": "bIoU",
    "ap": "AP",
    "duplicates": "dupl.",
    "merges": "merged",
    "splits": "split",
}


@click.command()
@click.argument("result", type=click.Path())
@click.argument("truth", type=click.Path())
@options_of(EvaluateParameters)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def evaluate(result: str, truth: str, as_json: bool, **options: Any) -> None:
    """Compare the layer RESULT with the layer TRUTH, polygons or lines, in any CRS.

    Polygons: PQ, AP, recall, precision, IoU, boundary IoU, by class and by size. Lines: relaxed
    correctness and completeness, and APLS. Areas and distances are metres on the ground.
    """
    console = Console(as_json=as_json)
    with reporting(console):
        params = EvaluateParameters.from_dict(
            {"result": result, "truth": truth, **parsed(EvaluateParameters, options)}
        )
        from ..evaluation.run import evaluate as compare

        done = compare(**vars(params))
        if as_json:
            console.give_json(done.to_json())
        else:
            _show(console, done)
            if params.errors is not None:
                console.say(f"What went wrong: {params.errors}")


def _show(console: Console, done: Evaluation) -> None:
    if done.overall is None:
        rows = [
            [f"{r.buffer:g} {done.unit}", _share(r.correctness), _share(r.completeness),
             _share(r.quality)]
            for r in done.relaxed
        ]  # fmt: skip
        console.rows(["within", "correctness", "completeness", "quality"], rows)
        if done.apls is not None:
            a = done.apls
            console.say(
                f"APLS {a.score:.3f} (true routes in the result {a.truth_to_found:.3f}, the "
                f"result's in the truth {a.found_to_truth:.3f})"
            )
        return
    rows = [["all", *_cells(done.overall)]]
    rows += [[name, *_cells(part)] for name, part in done.classes.items()]
    for size in done.sizes:
        limit = f"< {size.above:.4g}" if size.above is not None else f">= {size.least:.4g}"
        square = "m2" if done.unit == "m" else "sq. units"
        rows.append([f"{size.name}, {limit} {square}", *_cells(size.figures)])
    console.rows(["", *_COLUMNS.values()], rows)
    if done.mean_pq is not None:
        console.say(f"Mean PQ of the classes {done.mean_pq:.3f}.")
    if done.overall.ap50 is not None and done.overall.ap75 is not None:
        console.say(f"AP at IoU 0.5 {done.overall.ap50:.3f}, at 0.75 {done.overall.ap75:.3f}.")
    if done.boundary is not None:
        console.say(f"Boundary IoU within {done.boundary:.3g} {done.unit} of the contours.")


def _cells(figures: Figures) -> list[str]:
    values = [getattr(figures, name) for name in _COLUMNS]
    return [str(v) if isinstance(v, int) else _share(v) for v in values]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
