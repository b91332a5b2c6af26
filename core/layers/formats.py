# SPDX-License-Identifier: GPL-2.0-or-later
"""The formats of a vector layer: what each can hold, and which files one is made of.

GeoPackage, Shapefile, GeoJSON and FlatGeobuf are GDAL's (through pyogrio); GeoParquet is pyarrow's.
``write_format.py`` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import OutputError
from ..job import option
from .shapefile import SIDECAR, provenance_in_sidecar

PROVENANCE = "samgeo_provenance"
"""What the document about what made a layer (``provenance.py``) is called in a file: the layer's
metadata of GDAL in GeoPackage and FlatGeobuf, the file's in GeoParquet, a member of GeoJSON's
collection. Beside a Shapefile it is in ``NAME.shp.xml``."""


@dataclass(frozen=True)
class Format:
    """A file format.

    Args:
        name: For people.
        driver: GDAL's name, or "" for GeoParquet.
        suffix: Extension.
        many_layers: One file holds several layers.
        named_layer: A layer has a name besides the file's.
        wgs84: Coordinates are always WGS 84 degrees.
        multi: All shapes are written as multi-part, as the format knows one type per layer.
        options: Layer creation options.
        parts: Extensions of all files that make up one layer.
        folder: It is a folder of files with some of the features each.
    """

    name: str
    driver: str
    suffix: str
    many_layers: bool = False
    named_layer: bool = True
    wgs84: bool = False
    multi: bool = True
    options: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    folder: bool = False

    def files(self, path: Path) -> list[Path]:
        """The files that exist of an output, the one that it is named by last.

        What made a Shapefile that another program has deleted stays beside it: that is none.
        """
        if not self.parts:
            return [path] if path.exists() else []
        names = [path.with_suffix(s) for part in self.parts for s in (part, part.upper())]
        found: list[Path] = []
        for name in [name for name in names if name != path] + [path]:
            # Where names know no case, both spellings are one file.
            if name.exists() and not any(name.samefile(other) for other in found):
                found.append(name)
        if not path.exists():
            found = [one for one in found if not provenance_in_sidecar(one)]
        return found


FORMATS = {
    form.suffix: form
    for form in (
        Format("GeoPackage", "GPKG", ".gpkg", many_layers=True),
        Format(
            "Shapefile",
            "ESRI Shapefile",
            ".shp",
            named_layer=False,
            options={"2GB_LIMIT": "YES", "ENCODING": "UTF-8"},
            parts=(
                *(".shp", ".shx", ".dbf", ".prj", ".cpg", ".qix", ".qpj", ".sbn", ".sbx"),
                SIDECAR,
            ),
        ),
        Format(
            "GeoJSON",
            "GeoJSON",
            ".geojson",
            wgs84=True,
            multi=False,
            options={"RFC7946": "YES"},
        ),
        Format("FlatGeobuf", "FlatGeobuf", ".fgb"),
        Format("GeoParquet", "", ".parquet", named_layer=False),
    )
}
IN_PARTS = Format("GeoParquet in parts", "", ".parquet", named_layer=False, folder=True)
"""GeoParquet as a folder of ``part-0000.parquet`` ..., neighbours together: a data set for DuckDB,
pyarrow, geopandas and GDAL."""

_ALIASES = {".json": ".geojson", ".geoparquet": ".parquet"}


def format_of(path: Path, *, in_parts: bool = False) -> Format:
    """The format that a file name's extension stands for.

    Args:
        path: The output.
        in_parts: It is to be a folder of parts.

    Raises:
        OutputError: It stands for none, or for one that knows no parts.
    """
    suffix = path.suffix.lower()
    form = FORMATS.get(_ALIASES.get(suffix, suffix))
    if form is None:
        raise OutputError(
            f"The extension of {path.name} names no format that can be written: use "
            f"{', '.join(FORMATS)}."
        )
    if in_parts and form.suffix != IN_PARTS.suffix:
        raise OutputError(
            f"{option('part_size')} is about GeoParquet, and {path.name} is {form.name}: leave it "
            "out, or name a .parquet."
        )
    return IN_PARTS if in_parts else form


def files_of(folder: Path) -> list[Path]:
    """The files of a folder of parts, in order."""
    return sorted(folder.glob("part-*.parquet"))
