# SPDX-License-Identifier: GPL-2.0-or-later
"""Fields whose types a table of NumPy's loses: whole numbers, truth values and dates, with gaps."""

from __future__ import annotations

import datetime
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio

LARGE = 2**60 + 1
"""A whole number that no float holds."""

DATE = datetime.date(2020, 1, 2)
DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".fgb": "FlatGeobuf"}
TYPES = {"cadastre": "int64", "flag": "bool", "built": "datetime64[D]", "floors": "int32"}


def typed(shapes: list, crs: object, gap: int, **more: object) -> gpd.GeoDataFrame:
    """Features with the fields :data:`TYPES`, all of them empty in the feature number ``gap``."""
    rows = range(len(shapes))
    columns = {
        "cadastre": pd.array([None if k == gap else LARGE + k for k in rows], dtype="Int64"),
        "flag": pd.array([None if k == gap else k % 2 == 0 for k in rows], dtype="boolean"),
        "built": pd.array(
            [None if k == gap else DATE for k in rows], dtype=pd.ArrowDtype(pa.date32())
        ),
        "floors": pd.array([None if k == gap else k for k in rows], dtype="Int32"),
    }
    return gpd.GeoDataFrame({**columns, **more}, geometry=list(shapes), crs=crs)


def save_typed(frame: gpd.GeoDataFrame, path: Path) -> str:
    """The features as another program writes them, through Arrow, by which dates stay dates."""
    if path.suffix == ".parquet":
        frame.to_parquet(path)
        table = pq.read_table(path)
        pq.write_table(table.replace_schema_metadata({"geo": table.schema.metadata[b"geo"]}), path)
        return str(path)
    pyogrio.write_arrow(
        pa.table(frame.to_arrow(index=False, geometry_encoding="WKB")),
        path, driver=DRIVERS[path.suffix], geometry_name="geometry", geometry_type="Polygon",
        crs=frame.crs.to_wkt(),
    )  # fmt: skip
    return str(path)


def types_of(path: str | Path, layer: str) -> dict[str, str]:
    """Types of those fields of :data:`TYPES` that a layer has."""
    info = pyogrio.read_info(path, layer=layer)
    return {
        name: str(kind)
        for name, kind in zip(info["fields"], info["dtypes"], strict=True)
        if name in TYPES
    }


def values_of(path: str | Path, layer: str) -> list[tuple[object, ...]]:
    """The fields of :data:`TYPES`, feature by feature, without any rounding."""
    _, table = pyogrio.read_arrow(path, layer=layer, columns=list(TYPES), read_geometry=False)
    return list(zip(*(table[name].to_pylist() for name in TYPES), strict=True))


def carried(types: dict[str, str]) -> bool:
    """Whether an output has the types; we write whole numbers of 64 bits."""
    return types == {**TYPES, "floors": "int64"}
