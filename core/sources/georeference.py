# SPDX-License-Identifier: GPL-2.0-or-later
"""Georeferencing without an affine transform: GCPs, RPCs, geolocation arrays."""

from __future__ import annotations

import math

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.transform import from_gcps
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as warp_points

from ..errors import RasterError
from ..job import option
from .gdal import GDAL_ERRORS, deepest

FIT = 0.5
"""Pixels by which ground control points without a CRS may miss one transform for all of them."""

WAYS = {
    "GCP": "ground control points",
    "RPC": "RPCs",
    "GEOLOC_ARRAY": "geolocation arrays",
}


def transform_of_points(dataset: rasterio.DatasetReader) -> Affine:
    """The transform that ground control points without a CRS agree on.

    Raises:
        RasterError: There are fewer than three, they lie on a line, or they do not agree: without
            a CRS there is no plane in which the raster could be warped.
    """
    points, _ = dataset.gcps
    check_points(dataset)
    try:
        found: Affine = from_gcps(points)
    except (*GDAL_ERRORS, ValueError) as error:
        raise RasterError(
            f"{dataset.name} cannot be placed by its {len(points)} ground control points: "
            f"{deepest(error)}"
        ) from error
    if found.is_degenerate or not all(map(math.isfinite, found)):
        raise RasterError(_no_plane(dataset))
    misses = [math.dist(~found @ (p.x, p.y), (p.col, p.row)) for p in points]
    if max(misses) > FIT:
        raise RasterError(
            f"{dataset.name} has {len(points)} ground control points without a coordinate system, "
            f"and they bend the raster (by {max(misses):.1f} pixels): name the raster's CRS "
            f"({option('raster_crs')}), or georeference it first, e.g. with gdalwarp."
        )
    return found


def check_points(dataset: rasterio.DatasetReader) -> None:
    """Refuse ground control points that place nothing.

    Raises:
        RasterError: There are fewer than three, or they lie on a line.
    """
    points, _ = dataset.gcps
    places = {(p.col, p.row) for p in points}
    if len(places) < 3:
        raise RasterError(
            f"{dataset.name} has {len(points)} ground control point"
            f"{'' if len(points) == 1 else 's'}, but three are needed to place a raster: "
            "georeference it first, e.g. with QGIS's Georeferencer."
        )
    for kind in ([(p.col, p.row) for p in points], [(p.x, p.y) for p in points]):
        xy = np.array(kind, np.float64)
        if not np.isfinite(xy).all():
            raise RasterError(_no_plane(dataset))
        spread = np.linalg.svd(xy - xy.mean(axis=0), compute_uv=False)
        if spread[0] == 0 or spread[1] < 1e-6 * spread[0]:
            raise RasterError(_no_plane(dataset))


def _no_plane(dataset: rasterio.DatasetReader) -> str:
    return (
        f"The ground control points of {dataset.name} lie on one line or nowhere, so that they "
        "place nothing: georeference the raster first, e.g. with QGIS's Georeferencer."
    )


def warp(dataset: rasterio.DatasetReader, crs: CRS, *, by: str) -> WarpedVRT:
    """A north-up view of a raster that is placed by points, RPCs or geolocation arrays.

    Geographic points are warped to the UTM zone (or polar stereographic) of their middle, because
    degrees would show every object stretched.

    Args:
        dataset: The raster.
        crs: CRS of the points.
        by: A key of :data:`WAYS`.

    Raises:
        RasterError: It cannot be placed by them.
    """
    if by == "GCP":
        check_points(dataset)
    try:
        target = _metric_crs(dataset, crs) if by != "GEOLOC_ARRAY" else crs
        interpretation = dataset.colorinterp
        smooth = ColorInterp.palette not in interpretation
        flags = set(dataset.mask_flag_enums[0])
        options: dict[str, object] = {
            "src_crs": crs,
            "crs": target,
            "resampling": Resampling.bilinear if smooth else Resampling.nearest,
        }
        if MaskFlags.nodata not in flags and ColorInterp.alpha not in interpretation:
            options["add_alpha"] = True
        if by == "GEOLOC_ARRAY":
            options["SRC_METHOD"] = by
        if by == "GCP" and len(dataset.gcps[0]) > 10:
            # A polynomial misses a dense grid of points by pixels; splines go through them.
            options["SRC_METHOD"] = "GCP_TPS"
        return WarpedVRT(dataset, **options)
    except (*GDAL_ERRORS, ValueError) as error:
        raise RasterError(
            f"{dataset.name} cannot be placed by its {WAYS[by]}: {deepest(error)}"
        ) from error


def _metric_crs(dataset: rasterio.DatasetReader, crs: CRS) -> CRS:
    if not crs.is_geographic:
        return crs
    points, _ = dataset.gcps
    if points:
        # Points on both sides of the date line are neighbours.
        xs = [p.x - 360.0 * round((p.x - points[0].x) / 360.0) for p in points]
        ys = [p.y for p in points]
        lon, lat = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    else:
        lon, lat = dataset.rpcs.long_off, dataset.rpcs.lat_off
    wgs84 = CRS.from_epsg(4326)
    if crs != wgs84:
        (lon,), (lat,) = warp_points(crs, wgs84, [lon], [lat])
    if not (math.isfinite(lon) and math.isfinite(lat)):
        raise ValueError(f"their middle is at {lon}, {lat}")
    if abs(lat) > 84:
        return CRS.from_epsg(5041 if lat > 0 else 5042)
    zone = int((lon + 180.0) // 6.0) % 60 + 1
    return CRS.from_epsg((32600 if lat >= 0 else 32700) + zone)
