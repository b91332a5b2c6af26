# SPDX-License-Identifier: GPL-2.0-or-later
"""What made a layer: a small JSON document in the layer's own file, whatever its format.

::

    {"schema": "samgeo-provenance", "version": 1,
     "software": {"name": "samgeo-seamless", "version": "0.1.0"},
     "job": "segment",
     "model": {"name": "sam2.1-tiny", "architecture": "sam2", "fingerprint": "5b0c..."},
     "rasters": ["town.tif"],
     "layers": [{"name": "old.gpkg", "provenance": {...}}],
     "options": {"min_area": 4.0}}

``model``, ``rasters`` and ``layers`` (what was read besides) are left out where there are none.
Files are named without their folders, addresses without their secrets. Nothing in it depends on
when, where or by how many processes the job was run, so that the same job writes the same bytes.
``formats.py`` says where it is in each format.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError

from .. import __version__
from ..addresses import without_secrets
from ..errors import OutputError
from ..job import (
    ClassifyParameters,
    EvaluateParameters,
    ImportLabelsParameters,
    MapParameters,
    RegularizeParameters,
    SegmentParameters,
    TrackParameters,
    UpdateParameters,
)
from ..models.catalogue import EMBEDDED
from ..sources.names import short_name
from ..sources.vector_input.opening import roll_back
from ..sources.vector_input.paths import for_pyogrio, parts_of
from .formats import PROVENANCE, files_of, format_of
from .shapefile import provenance_in_sidecar, sidecar

SCHEMA, VERSION = "samgeo-provenance", 1

NOT_OF_THE_RESULT = (
    *("output", "layer", "overwrite", "fresh", "job_folder", "rasters"),
    *("threads", "workers", "cluster", "device", "stac_item", "sign"),
)
"""Parameters that do not change the features; rasters are told in another place."""

NAME_FILES = (
    *(
        "prompts",
        "area",
        "exemplars",
        "examples",
        "like",
        "unlike",
        "classifier",
        "save_classifier",
    ),
    *("dates", "images", "truth"),
)
"""Options whose values are files or folders."""

MOST_RASTERS = 1000
"""Rasters that are named; of more, their number is told."""

MOST_REWRITTEN = 50_000_000
"""Bytes of a GeoJSON, rewritten by another program, that is read to its end."""

_JOBS = {
    SegmentParameters: "segment",
    ClassifyParameters: "classify",
    MapParameters: "map",
    UpdateParameters: "update",
    TrackParameters: "track",
    RegularizeParameters: "regularize",
    EvaluateParameters: "evaluate",
    ImportLabelsParameters: "import_labels",
}
"""The worker's methods, by their parameters."""

_TOLD_ELSEWHERE = frozenset((*NOT_OF_THE_RESULT, "model", "input"))
_STORE = re.compile(r"/vsi(s3|gs|az|adls|oss|swift|webhdfs|hdfs|curl)\b")


class _Info(Protocol):
    """What is told of a model: :class:`~samgeo_core.models.base.ModelInfo` is one."""

    @property
    def name(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...


@dataclass(frozen=True)
class ModelUsed:
    """A model, as a layer tells of it.

    Args:
        name: As in the column ``model``.
        architecture: Family of its network; "" where it is not known.
        fingerprint: Checksum over its weights and settings.
    """

    name: str
    architecture: str = ""
    fingerprint: str = ""

    @classmethod
    def of(cls, info: _Info) -> ModelUsed:
        family = "SamGeo embedded" if info.family == EMBEDDED else info.family
        return cls(info.name, family, info.fingerprint)


def provenance(
    kind: type,
    options: Mapping[str, Any],
    *,
    rasters: Sequence[str] = (),
    layers: Sequence[tuple[str | Path, str | None]] = (),
    model: ModelUsed | None = None,
) -> str:
    """The document for a layer, as text.

    Args:
        kind: Class of the job's parameters, in ``job``.
        options: The parameters' values; only those that differ from the defaults are told.
        rasters: Names of what was looked at.
        layers: File and name of the layers that were worked on; what they tell of themselves goes
            on.
        model: That was used, if any.
    """
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "software": {"name": "samgeo-seamless", "version": __version__},
        "job": _JOBS[kind],
    }
    if model is not None:
        document["model"] = {name: text for name, text in vars(model).items() if text}
    if rasters:
        document["rasters"] = [_shown(name) for name in rasters[:MOST_RASTERS]]
    if len(rasters) > MOST_RASTERS:
        document["raster_count"] = len(rasters)
    if layers:
        document["layers"] = [_layer(*layer) for layer in layers]
    document["options"] = _said(kind, options)
    return json.dumps(document)


def _said(kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Values that differ from the defaults, without folders and secrets."""
    said = {}
    for known in fields(kind):
        if known.name in _TOLD_ELSEWHERE or known.name not in options:
            continue
        value = options[known.name]
        if known.default_factory is not MISSING:
            usual: Any = known.default_factory()
        elif known.default is not MISSING:
            usual = known.default
        else:
            continue  # what is worked on, told in another place
        if value != usual:
            said[known.name] = _plain(value, is_file=known.name in NAME_FILES)
    return said


def _plain(value: Any, *, is_file: bool) -> Any:
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str):
        return _shown(value) if is_file else without_secrets(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item, is_file=is_file) for item in value]
    if isinstance(value, Mapping):
        return {_shown(str(name)): _plain(item, is_file=False) for name, item in value.items()}
    return value


def _shown(name: str) -> str:
    """A file by its name alone, what lies on a server by its address."""
    text = without_secrets(re.sub(r"^/vsicurl/(?=https?://)", "", name))
    return text if "://" in text or _STORE.match(text) else short_name(text)


def _layer(name: str | Path, layer: str | None) -> dict[str, Any]:
    path, layer, _ = parts_of(str(name), layer)
    before = None
    with contextlib.suppress(OutputError):  # of a format that is never written
        before = read_provenance(path, layer) if Path(path).exists() else None
    return {"name": _shown(str(path)), **({} if before is None else {"provenance": before})}


def read_provenance(path: str | Path, layer: str | None = None) -> dict[str, Any] | None:
    """What a layer's file tells of what made it; None where it tells nothing.

    Args:
        path: A file of any format that can be written.
        layer: In a GeoPackage with several; None for the one that has the file's name, or else the
            first one.

    Raises:
        OutputError: The extension names no such format.
    """
    path = Path(path)
    form = format_of(path)
    suffix = form.suffix
    try:
        if suffix == ".parquet":
            path = files_of(path)[0] if path.is_dir() else path
            text = (pq.read_schema(path).metadata or {}).get(PROVENANCE.encode())
        elif suffix == ".geojson":
            text = _in_geojson(path)
        elif suffix == ".shp":
            text = provenance_in_sidecar(sidecar(path))
        else:
            roll_back(path)
            name = for_pyogrio(path)
            known = [str(row[0]) for row in pyogrio.list_layers(name)]
            if not form.many_layers or layer is None:
                layer = path.stem if path.stem in known else known[0]
            info = pyogrio.read_info(name, layer=layer)
            text = (info.get("layer_metadata") or {}).get(PROVENANCE)
        found = json.loads(text) if text else None
    except (OSError, ValueError, IndexError, DataLayerError, DataSourceError, pa.ArrowException):
        return None
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else None


def _in_geojson(path: Path) -> str:
    """The member of the collection; in our files it stands before the features."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            name, _, rest = line.strip().partition(":")
            if name == f'"{PROVENANCE}"':
                return rest.rstrip(",")
            if name == '"features"':
                return ""
            if len(line) > 1 << 20:
                break
        if path.stat().st_size > MOST_REWRITTEN:
            return ""
        file.seek(0)
        return json.dumps(json.load(file).get(PROVENANCE))
