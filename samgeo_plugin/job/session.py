# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters of interactive sessions and of collections of objects in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from .fields import Json, Parameters, option_field
from .segment import shared


@dataclass(frozen=True)
class OpenParameters(Parameters):
    """A raster and a model for interactive work (method ``open``); names as in a job."""

    rasters: list[str]
    model: str = shared("model")
    device: str = shared("device")
    precision: str = shared("precision")
    threads: Optional[int] = shared("threads")
    bands: Optional[list[int]] = shared("bands")
    stretch: Optional[list[list[float]]] = shared("stretch")
    raster_crs: Optional[str] = shared("raster_crs")
    overlap: str = shared("overlap")
    allow_remote: bool = shared("allow_remote")


@dataclass(frozen=True)
class Prompt(Parameters):
    """One prompt of an interactive session.

    Args:
        type: "point", "box", "stroke" or "polygon".
        coordinates: [[x, y], ...] in ``crs``: one point; two opposite corners; the vertices of a
            freehand stroke; or a polygon's outer ring.
        positive: False for a point (or stroke) that does not belong to the object.
    """

    type: str
    coordinates: list[list[float]]
    positive: bool = True


@dataclass(frozen=True)
class PromptParameters(Parameters):
    """One question of an interactive session (method ``prompt``).

    Args:
        session: From ``open``.
        prompts: All prompts of the object in work, oldest first, each a :class:`Prompt`.
        crs: WKT or authority code of the prompts and of the answer; None for the raster's.
        pixel_size: Ground units of ``crs`` a screen pixel; None for full resolution.
        multimask: Three candidates rather than one.
        hover: A preview under the cursor: nothing is remembered, nothing is followed.
        simplify: Tolerance in ground units of the raster's CRS; None for half a working pixel.
        candidate: Which candidate of the last answer the newest prompt corrects.
    """

    session: str
    prompts: list[dict[str, Json]]
    crs: Optional[str] = None
    pixel_size: Optional[float] = None
    multimask: bool = True
    hover: bool = False
    simplify: Optional[float] = None
    candidate: int = 0


@dataclass(frozen=True)
class RefineParameters(Parameters):
    """Tidy one polygon (method ``refine``).

    Args:
        session: From ``open``.
        geometry: GeoJSON Polygon or MultiPolygon.
        crs: Its CRS and the answer's; None for the raster's.
        simplify: Tolerance in ground units of the raster's CRS; None for none.
        min_area: Smallest part kept, square metres.
        min_hole: Smallest hole kept, square metres.
        outlines: "contour" or "rectangles".
    """

    session: str
    geometry: dict[str, Json]
    crs: Optional[str] = None
    simplify: Optional[float] = None
    min_area: float = 0.0
    min_hole: float = 0.0
    outlines: str = "contour"


@dataclass(frozen=True)
class LookParameters(Parameters):
    """Where the cursor is and where it moves (method ``look``).

    Args:
        session: From ``open``.
        x: Place in ``crs``.
        y: Likewise.
        crs: None for the raster's.
        pixel_size: As in :class:`PromptParameters`.
        dx: Movement since the last call, ground units of ``crs``.
        dy: Likewise.
    """

    session: str
    x: float
    y: float
    crs: Optional[str] = None
    pixel_size: Optional[float] = None
    dx: float = 0.0
    dy: float = 0.0


@dataclass(frozen=True)
class EncodeParameters(OpenParameters):
    """Fill the embedding cache for an area (method ``encode``).

    Args:
        extent: [xmin, ymin, xmax, ymax]; None for the whole raster.
        extent_crs: Its CRS; None for the raster's.
    """

    extent: Optional[list[float]] = option_field("Area to encode.", length=4)
    extent_crs: Optional[str] = None


@dataclass(frozen=True)
class CollectParameters(Parameters):
    """Find all objects of an area, tile by tile (method ``collect``).

    Args:
        session: From ``open``.
        area: GeoJSON Polygon or MultiPolygon; None for the whole raster.
        crs: CRS of the area and of all geometries of the collection; None for the raster's.
        by_examples: The objects are to be classified by examples (``collect_classes``): weaker
            ones are found, too, and features are pooled under them. False for what an automatic
            job would find.
        classes: As in a job; not with ``by_examples``.
        words: As in a job: only what they name is found, and each object says its word. With
            ``by_examples``, the examples decide among it.
        detector: As in a job; None where the session's own model understands words.
        exemplars: Polygons around objects, each {"geometry": GeoJSON, "class": name}, in ``crs``:
            only what looks like them is found, and each object says their class. An empty class is
            what not to find.
    """

    session: str
    area: Optional[dict[str, Json]] = None
    crs: Optional[str] = None
    by_examples: bool = True
    classes: list[str] = shared("classes")
    words: list[str] = shared("words")
    detector: Optional[str] = shared("detector")
    exemplars: list[dict[str, Json]] = field(default_factory=list)


@dataclass(frozen=True)
class CollectionParameters(Parameters):
    """A collection (methods ``collect_next`` and ``collect_end``).

    Args:
        collection: From ``collect``.
        rest: Look at no further tile; only tell what is not told yet.
    """

    collection: str
    rest: bool = False


@dataclass(frozen=True)
class CollectClassesParameters(Parameters):
    """What the objects of a collection are (method ``collect_classes``).

    Args:
        collection: From ``collect``.
        examples: All examples, each {"geometry": GeoJSON, "class": name}; an empty name for what
            is none of the classes. Geometries in the CRS that ``collect`` was told.
        min_class_prob: Probability from which an object is of its class.
        ask: How many objects to name that are most worth an answer.
    """

    collection: str
    examples: list[dict[str, Json]]
    min_class_prob: float = shared("min_class_prob")
    ask: int = option_field("", 0, least=0, most=1000)
