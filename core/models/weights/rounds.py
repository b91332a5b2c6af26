# SPDX-License-Identifier: GPL-2.0-or-later
"""The log of rounds: what each trained model gained, by the minutes that a person worked for it.

It is read from the cards of the models (``own.py``). A round begins with the base model and learns
from all labels so far, so its minutes are those of all rounds with the same base together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from .own import list_own

FIGURES = ("f1", "recall", "click_iou", "box_iou")
"""What the gain is told by: the first that the card has."""

WIDTH, HEIGHT, EDGE = 640, 360, 50
"""Of the plot and its edge, pixels."""


@dataclass(frozen=True)
class Round:
    """One trained model in the log.

    Args:
        name, base: Of the trained model and of the one it began with.
        date: When it was trained, ISO 8601.
        objects: Polygons that it was trained and measured on.
        minutes: Of a person's work on the labels in all; None where nobody said.
        figure: One of :data:`FIGURES`; "" where nothing was measured.
        before, after: Its values.
    """

    name: str
    base: str
    date: str
    objects: int
    minutes: float | None
    figure: str
    before: float
    after: float

    @property
    def gain_per_minute(self) -> float | None:
        """Gain per minute of a person's work."""
        return (self.after - self.before) / self.minutes if self.minutes else None


def rounds_of(models: Path) -> list[Round]:
    """The models that were trained on this computer, oldest first.

    Args:
        models: The models folder.
    """
    found = [_round(model.name, model.card) for model in list_own(models) if model.card]
    return sorted(found, key=lambda each: (each.date, each.name))


def _round(name: str, card: dict[str, Any]) -> Round:
    figures = card.get("figures") or {}
    figure = next((key for key in FIGURES if key in figures), "")
    change = figures.get(figure) or {}
    minutes = card.get("person_minutes")
    return Round(
        name,
        str(card.get("base", "")),
        str(card.get("date", "")),
        sum((card.get("objects") or {}).values()),
        None if minutes is None else float(minutes),
        figure,
        float(change.get("before", 0)),
        float(change.get("after", 0)),
    )


def plot(rounds: Sequence[Round]) -> str:
    """Figures by minutes of a person's work as SVG, one line for each base and figure.

    Args:
        rounds: Those without minutes are left out.
    """
    lines: dict[tuple[str, str], list[Round]] = {}
    for each in rounds:
        if each.minutes is not None and each.figure:
            lines.setdefault((each.base, each.figure), []).append(each)
    longest = max((r.minutes or 0.0 for some in lines.values() for r in some), default=0.0) or 1.0

    def at(minutes: float, value: float) -> tuple[float, float]:
        return (
            EDGE + (WIDTH - 2 * EDGE) * minutes / longest,
            HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * value,
        )

    (left, bottom), (right, top) = at(0, 0), at(longest, 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="black"/>',
        f'<text x="{left - 8}" y="{top + 4}" text-anchor="end">1</text>',
        f'<text x="{left - 8}" y="{bottom + 4}" text-anchor="end">0</text>',
        f'<text x="{right}" y="{bottom + 18}" text-anchor="end">{longest:g}</text>',
        f'<text x="{(left + right) / 2}" y="{bottom + 34}" text-anchor="middle">'
        "minutes of a person's work</text>",
    ]
    for number, ((base, figure), some) in enumerate(sorted(lines.items())):
        colour = f"hsl({(210 + 137 * number) % 360}, 70%, 40%)"
        ordered = sorted(some, key=lambda each: (each.minutes or 0.0, each.date))
        spots = [at(0, ordered[0].before), *(at(r.minutes or 0.0, r.after) for r in ordered)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        for (x, y), name in zip(spots, [base, *(r.name for r in ordered)], strict=True):
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
                f'<text x="{x + 5:.1f}" y="{y - 6:.1f}">{escape(name)}</text>'
            )
        title = f"{figure}, from {base}"
        parts.append(
            f'<text x="{left + 10}" y="{top - 22 + 16 * number:.1f}" fill="{colour}">'
            f"{escape(title)}</text>"
        )
    return "\n".join([*parts, "</svg>\n"])
