# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading a vector layer, with one clear error where it cannot be used."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from ..earth.crs import declared_crs
from ..earth.longitude import the_short_way
from ..errors import ParameterError
from ..notes import warn
from ..sources.vector_input.opening import open_vector
from ..sources.vector_input.reading import as_text

LayerLike: TypeAlias = "str | Path | gpd.GeoDataFrame | gpd.GeoSeries"
"""A path, or features that are in memory already."""


@dataclass(frozen=True, eq=False)
class VectorLayer:
    """Features of one layer.

    Args:
        name: For messages.
        shapes: (n,) shapely geometries, 2-D, valid, none missing or empty.
        attributes: (n,) rows, without geometry; the index holds the features' ids.
        crs: Of the shapes, or None.
    """

    name: str
    shapes: NDArray[Any]
    attributes: pd.DataFrame
    crs: CRS | None

    def __len__(self) -> int:
        return len(self.shapes)

    def column(self, field: str) -> pd.Series[Any]:
        """An attribute.

        Raises:
            ParameterError: There is no such field.
        """
        if field not in self.attributes.columns:
            known = ", ".join(map(str, self.attributes.columns)) or "none"
            raise ParameterError(f"{self.name} has no field {field!r}: its fields are {known}.")
        return self.attributes[field]

    def texts(self, field: str) -> list[str]:
        """An attribute as text; "" where it is missing. Whole numbers have no decimals."""
        return [as_text(value) for value in self.column(field)]

    def rows(self, keep: NDArray[Any]) -> VectorLayer:
        """Some of the features, by a mask or by numbers."""
        return VectorLayer(self.name, self.shapes[keep], self.attributes.iloc[keep], self.crs)


POLYGONS: Collection[int] = (3, 6)
LINES: Collection[int] = (1, 5)
"""Type numbers of shapely."""


def read_vector(
    source: LayerLike,
    layer: str | None = None,
    *,
    parameter: str | None = None,
    what: str = "",
    carried: bool = False,
) -> VectorLayer:
    """Read a layer.

    Args:
        source: Path, or a GeoDataFrame or GeoSeries.
        layer: Layer within the file.
        parameter: Field of a job's parameters that names the layer; None where there is none.
        what: What it is for messages, e.g. "The truth"; its path otherwise.
        carried: Its features go on into an output: say that their heights do not.

    Raises:
        ParameterError: It cannot be read, or has no geometries.
    """
    if isinstance(source, gpd.GeoSeries):
        source = gpd.GeoDataFrame(geometry=source)
    if isinstance(source, gpd.GeoDataFrame):
        name = what or "The layer"
        frame = frame_as_file(source, name)
        crs = declared_crs(source.crs)
    else:
        opened = open_vector(source, layer, parameter=parameter)
        frame, name, crs = opened.read(), f"{what} {source}".strip(), opened.crs
    shapes = np.asarray(frame.geometry.array, dtype=object)
    keep = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    coordinates, rows = shapely.get_coordinates(shapes, return_index=True)
    keep[rows[~np.isfinite(coordinates).all(axis=1)]] = False  # GEOS fails on them
    if carried:
        say_flattened(int(shapely.has_z(shapes[keep]).sum()), name)
    shapes = shapely.force_2d(shapes[keep])
    wrong = np.flatnonzero(~shapely.is_valid(shapes))
    shapes[wrong] = [mended(shape) for shape in shapes[wrong]]
    attributes = pd.DataFrame(frame.drop(columns=frame.geometry.name)).loc[keep]
    good = ~shapely.is_empty(shapes)
    say_left_out(len(keep) - int(good.sum()), name, "geometry")
    return VectorLayer(name, shapes[good], attributes.loc[good], crs)


def frame_as_file(frame: gpd.GeoDataFrame, name: str) -> gpd.GeoDataFrame:
    """A frame with the fields and shapes of a file made from it.

    Its index, where it has a name, is a field too, and names of columns are texts: of a column 2010
    it is "2010". Where several are the same, all but one get a "_", those that were no text first.
    What crosses itself only because its edges lead the long way round the Earth goes the short way.

    Args:
        frame: With geometries.
        name: For messages, e.g. "The truth".

    Raises:
        ParameterError: It has no geometries, or its columns have names of several levels.
    """
    if frame.active_geometry_name is None:
        raise ParameterError(f"{name} has no geometries: set_geometry first.")
    if frame.columns.nlevels > 1:
        raise ParameterError(
            f"{name} has columns of {frame.columns.nlevels} levels: give each one name (frame."
            "columns = ['_'.join(filter(None, map(str, column))) for column in frame.columns])."
        )
    levels = {
        title: frame.index.get_level_values(number).array
        for number, title in enumerate(frame.index.names)
        if title is not None and title not in frame.columns
    }
    found = frame.copy(deep=False)
    for place, (title, values) in enumerate(levels.items()):
        found.insert(place, title, values)
    place = list(found.columns).index(found.active_geometry_name)
    found.columns = pd.Index(_names(list(found.columns)), dtype=object)
    found = found.set_geometry(found.columns[place])
    shapes = the_short_way(np.asarray(found.geometry.array, dtype=object), declared_crs(found.crs))
    return found.set_geometry(gpd.GeoSeries(shapes, index=found.index, crs=found.crs))


def _names(columns: list[Any]) -> list[str]:
    """Names of columns as texts, no two the same."""
    texts = {column for column in columns if isinstance(column, str)}
    names: list[str] = []
    for column in columns:
        is_text = isinstance(column, str)
        name = column if is_text else as_text(column) or str(column)
        while name in names or (not is_text and name in texts):
            name += "_"
        names.append(name)
    return names


def say_left_out(count: int, name: str, needed: str) -> None:
    """Warn that features of a layer are left out.

    Args:
        count: How many; nothing is said of none.
        name: The layer's.
        needed: What they lack, e.g. "polygon".
    """
    if count:
        warn(
            f"{count} feature{'s' if count > 1 else ''} of {re.sub('^The ', 'the ', name)} "
            f"{'are' if count > 1 else 'is'} left out: no {needed} with coordinates that a map "
            "can show."
        )


def say_flattened(count: int, name: str) -> None:
    """Warn that the heights of a layer's features do not go on into the output.

    Args:
        count: How many have heights; nothing is said of none.
        name: The layer's.
    """
    if count:
        warn(
            f"The heights (Z) of {count} feature{'s' if count > 1 else ''} of "
            f"{re.sub('^The ', 'the ', name)} are not carried over: outlines are written in two "
            "dimensions."
        )


def mended(shape: Any) -> Any:
    """A valid shape of the same dimension."""
    try:
        if shapely.get_dimensions(shape) == 2:
            return shapely.make_valid(shape, method="structure", keep_collapsed=False)
        return shapely.make_valid(shape)
    except shapely.errors.GEOSException:  # e.g. a collection of polygons and lines
        return shapely.make_valid(shape)
