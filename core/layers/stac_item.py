# SPDX-License-Identifier: GPL-2.0-or-later
"""A STAC item of a layer that was made: where it is, from what, by which model.

STAC 1.0 with the extensions MLM (https://github.com/stac-extensions/mlm), for the model,
Processing, for the software, and Table, for the columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pyogrio
import shapely
from pyproj import CRS

from ..addresses import without_secrets
from ..earth.crs import known_crs
from ..earth.reproject import Reprojection
from ..masks.job_folder import write_text
from ..parallel.atomic_write import write_atomically
from ..sources.dates import Moment, read_moment
from ..sources.vector_input.paths import for_pyogrio
from ..types import FloatArray
from .formats import files_of, format_of

EXTENSIONS = (
    "https://stac-extensions.github.io/mlm/v1.4.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/table/v1.2.0/schema.json",
)

MEDIA_TYPES = {
    ".gpkg": "application/geopackage+sqlite3",
    ".geojson": "application/geo+json",
    ".parquet": "application/vnd.apache.parquet",
    ".fgb": "application/vnd.flatgeobuf",
    ".shp": "application/vnd.shp",
}

_INPUT = {
    "name": "image",
    "bands": [],
    "input": {
        "shape": [-1, 3, -1, -1],
        "dim_order": ["batch", "channel", "height", "width"],
        "data_type": "uint8",
    },
}


def item_path(output: str | Path) -> Path:
    """Where the item of a layer is: ``town.gpkg`` has ``town.stac.json``."""
    path = Path(output)
    return path.with_name(f"{path.stem}.stac.json")


def write_item(
    output: str | Path,
    layer: str,
    *,
    provenance: Mapping[str, Any],
    sources: Sequence[str],
    dates: Sequence[str],
    modified: datetime,
    folder: Path | None = None,
) -> Path:
    """Write the item of a finished layer beside it.

    Args:
        output: The layer's file.
        layer: Its name.
        provenance: What made it, as the layer tells (``provenance.py``).
        sources: Rasters, as they were given.
        dates: When they were taken, ISO 8601, as far as is known.
        modified: Stands for the date where none is known, UTC.
        folder: Holds the file until it is whole; None for the layer's own.

    Raises:
        OutputError: It cannot be written.
    """
    path = Path(output)
    facts = _facts(path, layer)
    footprint = _in_degrees(facts)
    software, model = provenance["software"], provenance.get("model", {})
    tasks = ["instance-segmentation"]
    tasks += ["object-detection"] if provenance["options"].get("words") else []
    properties: dict[str, Any] = {
        **_time(dates, modified),
        "title": path.stem,
        "processing:software": {software["name"]: software["version"]},
        "processing:level": "L4",
        "table:row_count": facts.count,
        "table:columns": [{"name": name} for name in facts.fields],
        "mlm:name": model.get("name", ""),
        "mlm:architecture": model.get("architecture", model.get("name", "")),
        "mlm:tasks": tasks,
        "mlm:framework": "pytorch",
        "mlm:input": [_INPUT],
        "mlm:output": [
            {
                "name": "polygons",
                "tasks": tasks,
                "result": {
                    "shape": [-1, 1],
                    "dim_order": ["object", "geometry"],
                    "data_type": "other",
                },
            }
        ],
        "samgeo:model_fingerprint": model.get("fingerprint", ""),
        "samgeo:options": dict(provenance["options"]),
    }
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": list(EXTENSIONS),
        "id": path.stem,
        "geometry": None if footprint is None else shapely.geometry.mapping(footprint),
        "properties": properties,
        "links": [{"rel": "derived_from", "href": without_secrets(source)} for source in sources],
        "assets": {
            "data": {
                "href": f"./{path.name}",
                "type": MEDIA_TYPES.get(path.suffix.lower(), "application/octet-stream"),
                "roles": ["data"],
                "title": layer or path.stem,
            }
        },
    }
    if footprint is not None:
        item["bbox"] = list(footprint.bounds)
    place = item_path(path)
    text = json.dumps(item, indent=1, ensure_ascii=False)
    write_atomically(place, lambda partial: write_text(partial, text), folder=folder)
    return place


def _time(dates: Sequence[str], modified: datetime) -> dict[str, Any]:
    """STAC's datetime, or a beginning and an end."""
    moments: list[Moment] = [m for m in map(read_moment, dates) if m is not None]
    if not moments:
        return {"datetime": _text(modified)}
    first, last = min(m.start for m in moments), max(m.end for m in moments)
    if len(moments) == 1 and (last - first).total_seconds() <= 86_400:
        return {"datetime": _text(first)}
    return {"datetime": None, "start_datetime": _text(first), "end_datetime": _text(last)}


def _text(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class _Facts:
    """What is said of a layer: features, names of columns, bounds (x, y, x, y), CRS."""

    count: int
    fields: Sequence[str]
    bounds: FloatArray | None
    crs: CRS | None


def _facts(path: Path, layer: str) -> _Facts:
    form = format_of(path)
    if form.suffix == ".parquet":  # pyogrio's GDAL cannot read it
        return _facts_of_parquet(files_of(path) if path.is_dir() else [path])
    named = layer if form.named_layer and form.many_layers else None
    info = pyogrio.read_info(for_pyogrio(path), layer=named, force_total_bounds=True)
    bounds, crs = info.get("total_bounds"), info.get("crs")
    return _Facts(
        int(info["features"]),
        [str(name) for name in info["fields"]],
        None if bounds is None else np.array(bounds, np.float64),
        None if crs is None else known_crs(crs),
    )


def _facts_of_parquet(paths: Sequence[Path]) -> _Facts:
    """Of a GeoParquet file, or of the parts of one layer."""
    files = [pq.read_metadata(path) for path in paths]
    abouts = [json.loads((file.metadata or {})[b"geo"]) for file in files]
    name = abouts[0]["primary_column"]
    columns = [about["columns"][name] for about in abouts]
    own = {name, *(path[0] for path in columns[0]["covering"]["bbox"].values())}
    boxes = np.array([c["bbox"] for c in columns if c.get("bbox") is not None], np.float64)
    bounds = [*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0)] if len(boxes) else None
    crs = columns[0].get("crs")
    return _Facts(
        sum(file.num_rows for file in files),
        [n for n in pq.read_schema(paths[0]).names if n not in own],
        None if bounds is None else np.array(bounds, np.float64),
        None if crs is None else CRS.from_json_dict(crs),
    )


def _in_degrees(facts: _Facts) -> Any | None:
    """The layer's extent on the WGS 84 ellipsoid; None for an empty layer or one without CRS."""
    bounds = facts.bounds
    if facts.crs is None or bounds is None or not facts.count or not np.isfinite(bounds).all():
        return None
    box = shapely.segmentize(
        shapely.box(*bounds), max(np.ptp(bounds[::2]), np.ptp(bounds[1::2])) / 8
    )
    moved = Reprojection(facts.crs, known_crs("EPSG:4326"))(np.array([box]), "the STAC item")[0]
    return shapely.box(*shapely.bounds(moved))
