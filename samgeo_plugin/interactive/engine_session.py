# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's session on one raster: its requests, in the map's CRS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsDateTimeRange,
    QgsGeometry,
    QgsMapSettings,
    QgsPointXY,
)

from ..crs import crs_text
from ..engine.client import EngineClient
from ..geojson import from_geometry, to_geometry
from ..job import Failure, MessageError, Progress, Prompt
from .candidates import Refinement

OnResult = Callable[[dict[str, Any]], None]
OnFailure = Callable[[Failure], None]
OnProgress = Callable[[Progress], None]
OnRefined = Callable[[Optional[QgsGeometry], Optional[Failure]], None]


@dataclass(frozen=True)
class View:
    """How the map stood when a prompt was given.

    Args:
        crs: Of the prompts and of the answer.
        pixel_size: Ground units of ``crs`` per screen pixel.
        times: What the temporal controller shows; None where it is off.
    """

    crs: QgsCoordinateReferenceSystem
    pixel_size: Optional[float] = None
    times: Optional[QgsDateTimeRange] = None

    @classmethod
    def of(cls, settings: QgsMapSettings) -> View:
        """How a map with these settings stands."""
        return cls(
            settings.destinationCrs(),
            settings.mapUnitsPerPixel() or None,
            settings.temporalRange() if settings.isTemporal() else None,
        )


class EngineSession:
    """What the engine calls a session: a raster and a model.

    Args:
        client: The engine.

    Attributes:
        name: From ``open``; empty while nothing is open.
        view: How the map stands now.
        has_crs: The raster's file has one; else QGIS draws it in the map's plane as it is, and
            the engine takes the map's coordinates for the raster's own.
    """

    def __init__(self, client: EngineClient) -> None:
        self.client = client
        self.name = ""
        self.view = View(QgsCoordinateReferenceSystem())
        self.has_crs = True

    @property
    def is_open(self) -> bool:
        return bool(self.name)

    @property
    def crs(self) -> QgsCoordinateReferenceSystem:
        """The map's, in which prompts and answers are."""
        return self.view.crs

    def close(self) -> None:
        if self.name:
            self.client.request("close", {"session": self.name})
        self.name = ""

    def reset(self) -> None:
        """The object in work is given up."""
        if self.name:
            self.client.request("reset", {"session": self.name})

    def give_up(self, request: int) -> None:
        """Neither work on this request nor hear of it."""
        self.client.forget(request)
        self.client.cancel(request)

    def ask(
        self,
        prompts: Sequence[Prompt],
        on_result: OnResult,
        on_failure: OnFailure,
        on_progress: Optional[OnProgress] = None,
        *,
        hover: bool = False,
        candidate: int = 0,
        view: Optional[View] = None,
    ) -> int:
        """Ask for the polygon of these prompts; three of them for a single point.

        Args:
            prompts: All of the object's.
            on_result: Gets the answer.
            on_failure: Gets the refusal.
            on_progress: Told on the way.
            hover: A preview under the cursor.
            candidate: Which of the last answer's candidates the newest prompt corrects.
            view: How the map stood; None for how it stands now.
        """
        return self._place(
            "prompt",
            {
                "prompts": [prompt.to_dict() for prompt in prompts],
                "multimask": len(prompts) == 1 and prompts[0].type == "point",
                "hover": hover,
                "simplify": None,
                "candidate": candidate,
            },
            on_result,
            on_failure,
            on_progress,
            view,
        )

    def look(
        self, at: QgsPointXY, before: QgsPointXY, on_result: OnResult, on_failure: OnFailure
    ) -> int:
        """Let the engine look ahead, there and where the cursor is going."""
        x, y = at.x(), at.y()
        params = {"x": x, "y": y, "dx": x - before.x(), "dy": y - before.y()}
        return self._place("look", params, on_result, on_failure)

    def _place(
        self,
        method: str,
        params: dict[str, Any],
        on_result: OnResult,
        on_failure: OnFailure,
        on_progress: Optional[OnProgress] = None,
        view: Optional[View] = None,
    ) -> int:
        """A request about a place on the map."""
        view = view or self.view
        where = {
            "session": self.name,
            "crs": self.named(view.crs),
            "pixel_size": view.pixel_size,
        }
        return self.client.request(
            method,
            {**where, **params},
            on_result=on_result,
            on_failure=on_failure,
            on_progress=on_progress,
        )

    def named(self, crs: QgsCoordinateReferenceSystem) -> Optional[str]:
        """A CRS as the engine is told of it; None where the map's plane is the raster's."""
        return crs_text(crs) if self.has_crs else None

    def accept(self, candidate: int, on_result: OnResult, on_failure: OnFailure) -> int:
        """Take one of the last answer's candidates; the next prompt begins another object."""
        return self.client.request(
            "accept",
            {"session": self.name, "candidate": candidate},
            on_result=on_result,
            on_failure=on_failure,
        )

    def refine(
        self,
        geometry: QgsGeometry,
        crs: QgsCoordinateReferenceSystem,
        refinement: Refinement,
        done: OnRefined,
    ) -> int:
        """Refine any polygon with the open raster's units; ``done`` gets it or a failure."""

        def finished(result: dict[str, Any]) -> None:
            try:
                done(to_geometry(result.get("geometry")), None)
            except MessageError as error:
                done(None, Failure(None, "MessageError", str(error)))

        return self.client.request(
            "refine",
            {
                "session": self.name,
                "geometry": from_geometry(geometry),
                "crs": self.named(crs),
                "simplify": refinement.simplify,
                "min_area": refinement.min_area,
                "min_hole": refinement.min_hole,
                "outlines": refinement.outlines,
            },
            on_result=finished,
            on_failure=lambda failure: done(None, failure),
        )
