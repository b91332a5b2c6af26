# SPDX-License-Identifier: GPL-2.0-or-later
"""Rasters and layers in memory as the files that jobs read."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import rasterio
import rasterio.errors
from numpy.typing import NDArray

from .errors import ParameterError

if TYPE_CHECKING:
    from affine import Affine


@dataclass(frozen=True, eq=False)
class ArrayRaster:
    """A raster in memory.

    Args:
        pixels: (height, width) or (bands, height, width), a dtype that GeoTIFF holds.
        transform: Of pixel corners to the ground; None for pixels.
        crs: Anything rasterio understands; None for none.
        nodata: Value that stands for no data.
    """

    pixels: NDArray[Any]
    transform: Affine | None = None
    crs: Any = None
    nodata: float | None = None

    def write(self, path: Path) -> Path:
        """The raster as a GeoTIFF."""
        bands = self.pixels if self.pixels.ndim == 3 else self.pixels[None]
        if bands.ndim != 3 or 0 in bands.shape:
            raise ParameterError(
                "A raster in memory is an array of (height, width) or (bands, height, width), not "
                f"of {self.pixels.shape}."
            )
        profile = {
            "driver": "GTiff",
            "count": bands.shape[0],
            "height": bands.shape[1],
            "width": bands.shape[2],
            "dtype": bands.dtype.name,
            "crs": self.crs,
            "transform": self.transform,
            "nodata": self.nodata,
        }
        with warnings.catch_warnings():
            # Pixels without a place are meant: what reads the file says so once.
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            file = rasterio.open(path, "w", **profile)
        with file:
            file.write(np.ascontiguousarray(bands))
        return path


def raster_paths(raster: Any, folder: Path) -> list[str]:
    """Paths of what stands for one raster or several.

    Args:
        raster: Path, URL, open rasterio dataset, pystac object, :class:`ArrayRaster`, or several.
        folder: Where rasters in memory are written; it must live as long as they are read.

    Raises:
        ParameterError: A dataset is open for writing, or an array has no shape of a raster.
    """
    several = isinstance(raster, Sequence) and not isinstance(raster, str)
    return [_raster_path(one, folder, k) for k, one in enumerate(raster if several else [raster])]


def _raster_path(raster: Any, folder: Path, number: int) -> str:
    """The path of a raster; one in memory is written to a folder first."""
    if isinstance(raster, ArrayRaster):
        return str(raster.write(folder / f"raster{number}.tif"))
    if hasattr(raster, "item_collection"):  # a search of pystac-client
        raster = raster.item_collection()
    if type(raster).__module__.split(".")[0] == "pystac":
        return _stac_path(raster, folder / f"raster{number}.json")
    name = getattr(raster, "name", None)
    if isinstance(name, str) and hasattr(raster, "read") and not isinstance(raster, Path):
        if raster.mode != "r":
            raise ParameterError(f"{name} is open for writing: close it before it is used here.")
        return name
    return str(raster)


def with_index_field(layer: Any) -> tuple[Any, str | None]:
    """A GeoDataFrame with its index as a field of text, and the field's name; others unchanged."""
    if isinstance(layer, gpd.GeoSeries):
        layer = gpd.GeoDataFrame(geometry=layer)
    if not isinstance(layer, gpd.GeoDataFrame):
        return layer, None
    name = "index"
    while name in layer.columns:
        name += "_"
    return layer.assign(**{name: layer.index.map(str)}), name


def _stac_path(stac: Any, path: Path) -> str:
    """Where a pystac object can be read: a catalogue where it is, items written to a file first."""
    if hasattr(stac, "get_items"):
        href = stac.get_self_href()
        if href is None:
            raise ParameterError(f"{stac!r} has no address: save it, or give its items.")
        return str(href)
    items = getattr(stac, "items", None)
    placed = [item.full_copy() if hasattr(item, "full_copy") else item for item in items or [stac]]
    for item in placed:
        item.make_asset_hrefs_absolute()
    features = [item.to_dict(transform_hrefs=False) for item in placed]
    collection = {"type": "FeatureCollection", "features": features}
    path.write_text(json.dumps(collection), encoding="utf-8")
    return str(path)


def layer_path(layer: Any, folder: Path, name: str) -> Any:
    """The path of a layer; a GeoDataFrame is written to a folder first."""
    if isinstance(layer, gpd.GeoSeries):
        layer = gpd.GeoDataFrame(geometry=layer)
    if not isinstance(layer, gpd.GeoDataFrame):
        return layer
    path = folder / f"{name}.gpkg"
    layer.to_file(path, layer=name)
    return path
