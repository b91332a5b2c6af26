# SPDX-License-Identifier: GPL-2.0-or-later
"""Rasters and layers in memory as the files that jobs read, and layers of files in memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import rasterio
import rasterio.errors
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.vrt import WarpedVRT

from .errors import ParameterError
from .layers.reader import frame_as_file
from .notes import silenced
from .parallel.file_lock import FileLock
from .sources.vector_input.opening import open_vector
from .sources.vector_input.reading import WITH_GAPS, as_text
from .types import GEOMETRY

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.io import DatasetWriter


MOST_COLOURS = 4
"""Values of a pixel in a picture; image libraries have them on the last axis."""


@dataclass(frozen=True, eq=False)
class ArrayRaster:
    """A raster in memory.

    Args:
        pixels: (height, width) or (bands, height, width), numbers or truth values. Where an array
            of ``numpy.ma`` is masked (``read(masked=True)``), there are no data.
        transform: Of pixel corners to the ground; None for pixels: x is the column, and y, which
            goes up, is the row with a minus, so that row 20 is at y = -20.
        crs: Anything rasterio understands; None for none.
        nodata: Value that stands for no data.
    """

    pixels: NDArray[Any]
    transform: Affine | None = None
    crs: Any = None
    nodata: float | None = None

    def write(self, path: Path) -> Path:
        """The raster as a GeoTIFF.

        Raises:
            ParameterError: The array is none of a raster, or what is said of it cannot be.
        """
        pixels = np.asanyarray(self.pixels)
        bands = pixels if pixels.ndim == 3 else pixels[None]
        if bands.ndim != 3 or 0 in bands.shape:
            raise ParameterError(
                "A raster in memory is an array of (height, width) or (bands, height, width), not "
                f"of {pixels.shape}."
            )
        if bands.shape[2] <= MOST_COLOURS and bands.shape[0] > 16 * bands.shape[2]:
            raise ParameterError(
                f"A raster in memory of {pixels.shape} would have {bands.shape[0]} bands and a "
                f"width of {bands.shape[2]}: bands come first, numpy.moveaxis(pixels, -1, 0)."
            )
        wider = {"bool": np.uint8, "float16": np.float32}.get(bands.dtype.name)
        bands = bands if wider is None else bands.astype(wider)
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
        # Pixels without a place are meant: what reads the file says so once.
        with silenced(rasterio.errors.NotGeoreferencedWarning):
            try:
                if self.transform is not None and not np.isfinite(np.array(self.transform)).all():
                    raise ValueError("a number of its transform is none")
                with rasterio.open(path, "w", **profile) as file:
                    _write_bands(file, bands)
            except (TypeError, ValueError, OverflowError) as error:
                raise ParameterError(
                    f"The raster in memory cannot be used ({error}): check its dtype "
                    f"({pixels.dtype}), transform, coordinate system and nodata."
                ) from error
        return path


def _write_bands(file: DatasetWriter, bands: NDArray[Any]) -> None:
    """Write all bands; where they are masked, the file has no data."""
    if not np.ma.isMaskedArray(bands):
        file.write(np.ascontiguousarray(bands))
    elif file.nodata is not None:
        file.write(np.ma.filled(bands, file.nodata))
    else:
        file.write(np.ascontiguousarray(np.ma.getdata(bands)))
        file.write_mask(~np.ma.getmaskarray(bands).any(axis=0))


@contextmanager
def temporary_folder(job: str | Path | None) -> Iterator[Path]:
    """A folder for what is in memory, deleted at the end; for one job it is always the same.

    A job that was interrupted goes on where its inputs have the same paths, sizes, times and bytes.
    Where another call works on this job, or somebody else has a folder of that name, it is another.

    Args:
        job: Folder of the job; None for a job that cannot go on.
    """
    with ExitStack() as closing:
        folder = None if job is None else _folder_of(job, closing)
        if folder is None:
            # Windows deletes no file that is open: it stays rather than end a finished job.
            temporary = tempfile.TemporaryDirectory(prefix="samgeo-", ignore_cleanup_errors=True)
            folder = Path(closing.enter_context(temporary))
        yield folder


def _folder_of(job: str | Path, closing: ExitStack) -> Path | None:
    """The temporary folder of a job, locked and empty; None where it cannot be had."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    digest = hashlib.sha256(os.fsencode(f"{user} {os.path.realpath(job)}")).hexdigest()
    base = Path(tempfile.gettempdir()) / f"samgeo-{digest[:24]}"
    lock = FileLock(base / "lock")
    files = base / "files"
    try:
        with suppress(FileExistsError):
            base.mkdir(mode=0o700)
        if not _is_ours(base) or not lock.acquire():
            return None
    except OSError:
        return None

    def tidy() -> None:
        shutil.rmtree(files, ignore_errors=True)
        lock.release(delete=True)
        with suppress(OSError):  # another call begins the same job
            base.rmdir()

    closing.callback(tidy)
    shutil.rmtree(files, ignore_errors=True)  # of a call that was killed
    try:
        files.mkdir()
    except OSError:
        return None
    return files


def _is_ours(folder: Path) -> bool:
    """Whether nobody else may have made, or may change, what is in a folder with a known name."""
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode):
        return False
    if not hasattr(os, "getuid"):
        return True  # Windows: each user has a temporary folder of their own
    return status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077


def set_times(folder: Path) -> None:
    """Give files that were just written a time by their bytes: when it was does not matter.

    It is the epoch, as of a raster that is no file, and some of the second after it.
    """
    for path in folder.iterdir():
        digest = hashlib.blake2b(digest_size=8)
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        time = int.from_bytes(digest.digest(), "big") % 10**9
        os.utime(path, ns=(time, time))


def raster_paths(raster: Any, folder: Path, *, for_processes: bool = False) -> list[str]:
    """Paths of what stands for one raster or several.

    Args:
        raster: Path, URL, rasterio dataset, pystac object, :class:`ArrayRaster`, or several.
        folder: Where rasters in memory are written; it must live as long as they are read.
        for_processes: Whether other processes read them, which do not see this one's memory.

    Raises:
        ParameterError: A dataset is open for writing or at an overview, or was in memory and is
            closed; an array has no shape of a raster; or it is none of these.
    """
    several = isinstance(raster, (Sequence, Iterator)) and not isinstance(raster, str)
    return [
        _raster_path(one, folder, number, for_processes)
        for number, one in enumerate(raster if several else [raster])
    ]


def _raster_path(raster: Any, folder: Path, number: int, for_processes: bool) -> str:
    """The path of a raster; one in memory is written to a folder first."""
    if isinstance(raster, ArrayRaster):
        return str(raster.write(folder / f"raster{number}.tif"))
    if hasattr(raster, "item_collection"):  # a search of pystac-client
        raster = raster.item_collection()
    if type(raster).__module__.split(".")[0] == "pystac":
        return _stac_path(raster, folder / f"raster{number}.json")
    if isinstance(raster, (str, Path)):
        return str(raster)
    kind = type(raster).__name__
    if not hasattr(type(raster), "profile") or isinstance(raster, WarpedVRT):
        raise ParameterError(
            f"{kind} is no raster: give a path, an open rasterio dataset, or pixels as "
            "samgeo_core.ArrayRaster(pixels, transform, crs)."
        )
    name = str(raster.name)
    in_memory = name.startswith(_IN_MEMORY)
    if raster.closed:
        if in_memory:
            raise ParameterError(f"{name} is closed, and with it its memory: leave it open.")
        return name
    if raster.mode != "r":
        raise ParameterError(f"{name} is open for writing: close it before it is used here.")
    if "overview_level" in map(str.lower, raster.options):
        raise ParameterError(
            f"{name} is open at an overview: give its path for all pixels, or the overview's "
            "pixels as samgeo_core.ArrayRaster(pixels, transform, crs)."
        )
    if in_memory and for_processes:
        copy = folder / f"raster{number}.tif"
        rasterio.shutil.copy(raster, copy, driver="GTiff", bigtiff="IF_SAFER")
        return str(copy)
    return name


_IN_MEMORY = ("/vsimem/", "/vsiriopener_")
"""How GDAL's names of files begin that only this process has."""


def with_index_field(layer: Any) -> tuple[Any, str | None]:
    """A GeoDataFrame with its index as a field of text, and the field's name; others unchanged."""
    if isinstance(layer, gpd.GeoSeries):
        layer = gpd.GeoDataFrame(geometry=layer)
    if not isinstance(layer, gpd.GeoDataFrame):
        return layer, None
    known = {str(column).casefold() for column in layer.columns}
    name = "index"
    while name in known:
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
    """The path of a layer; a GeoDataFrame is written to a folder first, as GeoParquet.

    That holds columns of any name and most types as they are; the others become text.

    Raises:
        ParameterError: A GeoDataFrame cannot be written as one table.
    """
    if isinstance(layer, gpd.GeoSeries):
        layer = gpd.GeoDataFrame(geometry=layer)
    if not isinstance(layer, gpd.GeoDataFrame):
        return layer
    layer = frame_as_file(layer, f"The GeoDataFrame of {name}")
    columns: dict[str, Any] = {}
    for number, column in enumerate(layer.columns):
        values = layer.iloc[:, number].array
        if isinstance(values.dtype, gpd.array.GeometryDtype):
            continue  # the active one is written anyway
        title = column
        while title in (*columns, GEOMETRY):
            title += "_"
        columns[title] = _storable(values)
    path = folder / f"{name}.parquet"
    frame = gpd.GeoDataFrame(columns, geometry=layer.geometry.array, crs=layer.crs)
    try:
        frame.to_parquet(path, index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ParameterError(
            f"The GeoDataFrame of {name} cannot be used ({error}): keep only the columns that are "
            "needed."
        ) from error
    return path


def frame_of(path: Path, layer: str) -> gpd.GeoDataFrame:
    """A written layer in memory, as GeoPandas reads it; but numbers with gaps keep all digits."""
    frame = open_vector(path, layer, parameter=None).read().reset_index(drop=True)
    for name in frame.columns:
        values = frame[name]
        if isinstance(values.dtype, pd.ArrowDtype):
            frame[name] = values.astype("datetime64[ms]")
        elif hasattr(values.dtype, "numpy_dtype") and not values.isna().any():
            frame[name] = values.astype(values.dtype.numpy_dtype)
    return frame


def _storable(values: Any) -> Any:
    """Values of a column as a table can hold them: single values of one type."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        # By way of types that have gaps: a missing value is of no category.
        kind = values.categories.dtype
        kinds = values.categories.astype(WITH_GAPS.get(str(kind), kind))
        values = kinds.array.take(values.codes, allow_fill=True)
    try:
        if not pa.types.is_nested(pa.array(pd.Series(values), from_pandas=True).type):
            return values
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass  # of several types, or of one that only Python has
    return [as_text(value) or None for value in values]
