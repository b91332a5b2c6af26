# SPDX-License-Identifier: GPL-2.0-or-later
"""The history of each object as a long table, a wide table and a layer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from affine import Affine

from ..errors import OutputError
from ..job import option
from ..parallel.atomic_write import replace_atomically
from ..sources.dates import Moment
from ..vectors.geodesic import measure
from ..vectors.schema import Field
from .tracker import Sighting

COLUMNS = (
    "id",
    "date",
    "status",
    "area_m2",
    "change_m2",
    "score",
    "visible",
    "likeness",
    "label",
    "source",
)
"""Of the long table, in this order."""

LAYER_FIELDS = (
    Field("date", "text"),
    Field("time", "datetime"),
    Field("status", "text"),
    Field("change_m2", "real"),
    Field("visible", "real"),
    Field("likeness", "real"),
)
"""Columns of the layer besides those that every layer has."""


def long_table(
    sightings: Sequence[Sighting],
    ids: Sequence[str],
    labels: Sequence[str],
    moments: Sequence[Moment],
    sources: Sequence[str],
    transform: Affine,
    crs: Any,
) -> gpd.GeoDataFrame:
    """One row per object and date, by object and then by date.

    Args:
        sightings: In any order.
        ids, labels: Of the objects.
        moments, sources: Of the dates.
        transform: Of the pixels that the sightings' shapes are in.
        crs: Of the ground.

    Returns:
        :data:`COLUMNS`, ``time`` (UTC, the first instant that the date can mean), ``stability``,
        ``perimeter_m`` and a geometry, which is None unless the object is present. Areas are on
        the ellipsoid, 0 where an object is gone and empty where it is hidden. ``change_m2`` is the
        area less that at the last date at which the object was not hidden.
    """
    rows = sorted(sightings, key=lambda one: (one.object, one.date))
    a, b, c, d, e, f = transform[:6]
    shapes = [
        None
        if one.shape is None
        else shapely.transform(
            one.shape,
            lambda xy: np.column_stack(
                [a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f]
            ),
        )
        for one in rows
    ]
    sizes = measure(shapes, crs)
    area = np.array(
        [
            size if one.status == "present" else 0.0 if one.status == "gone" else np.nan
            for one, size in zip(rows, sizes.area, strict=True)
        ]
    )
    change = np.full(len(rows), np.nan)
    before: dict[int, float] = {}
    for index, one in enumerate(rows):
        if one.status == "hidden":
            continue
        if one.object in before:
            change[index] = area[index] - before[one.object]
        before[one.object] = area[index]
    frame = {
        "id": [ids[one.object] for one in rows],
        "date": [moments[one.date].text for one in rows],
        "status": [one.status for one in rows],
        "area_m2": area,
        "change_m2": change,
        "score": np.array([one.score for one in rows], float),
        "visible": np.array([one.visible for one in rows], float),
        "likeness": np.array([one.likeness for one in rows], float),
        "label": [labels[one.object] for one in rows],
        "source": [sources[one.date] for one in rows],
        "time": pd.to_datetime([moments[one.date].start for one in rows], utc=True),
        "stability": np.array([one.stability for one in rows], float),
        "perimeter_m": np.where(np.isnan(area) | (area == 0), np.nan, sizes.perimeter),
    }
    return gpd.GeoDataFrame(frame, geometry=gpd.GeoSeries(shapes, crs=crs), crs=crs)


def wide_table(table: pd.DataFrame) -> pd.DataFrame:
    """One row per object: its area in m2 at each date; 0 where it is gone, empty where hidden."""
    dates = sorted(set(zip(table["time"], table["date"], strict=True)))
    wide = table.pivot(index="id", columns="date", values="area_m2")
    order = list(dict.fromkeys(table["id"]))
    return wide.reindex(index=order, columns=[text for _, text in dates]).rename_axis(None, axis=1)


def layer_features(table: gpd.GeoDataFrame, model: str) -> gpd.GeoDataFrame:
    """The rows of objects that are present as features of a layer."""
    present = table[table["status"] == "present"].copy()
    present["prompt_id"] = present["id"]
    present["prompt_type"] = "track"
    present["model"] = model
    return gpd.GeoDataFrame(present, geometry=present.geometry.name, crs=table.crs)


def table_paths(output: Path) -> tuple[Path, Path]:
    """Where the tables of a layer lie: long and wide."""
    stem = output.with_suffix("")
    return stem.with_name(f"{stem.name}_dates.csv"), stem.with_name(f"{stem.name}_areas.csv")


def check_tables(output: Path, *, overwrite: bool) -> None:
    """Refuse tables that would replace others without leave.

    Raises:
        OutputError: One exists.
    """
    for path in table_paths(output):
        if path.exists() and not overwrite:
            raise OutputError(
                f"The table {path} exists already: allow it to be replaced "
                f"({option('overwrite')}) or choose another name for the layer."
            )


def write_tables(table: pd.DataFrame, output: Path, folder: Path) -> tuple[Path, Path]:
    """Write the long and the wide table beside a layer; whole or not at all.

    Args:
        table: The long table.
        output: The layer.
        folder: Where they are written before they are moved; on the same drive.

    Raises:
        OutputError: One cannot be written.
    """
    paths = table_paths(output)
    for frame, path in (
        (pd.DataFrame(table)[list(COLUMNS)].set_index("id"), paths[0]),
        (wide_table(table), paths[1]),
    ):
        try:
            write = partial(frame.to_csv, float_format="%.3f")
            replace_atomically(path, write, folder=folder)
        except OSError as error:
            raise OutputError(f"The table {path} cannot be written: {error}.") from error
    return paths
