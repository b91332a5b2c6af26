# SPDX-License-Identifier: GPL-2.0-or-later
"""Raster layers as paths for the engine, and what QGIS shows of their bands.

Layers that are not files are rendered to one first, see :mod:`.rendering`.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from osgeo import gdal
from qgis.core import (
    QgsContrastEnhancement,
    QgsCoordinateReferenceSystem,
    QgsMapLayer,
    QgsProviderRegistry,
    QgsRasterLayer,
    QgsRasterMinMaxOrigin,
)

from .i18n import tr

_ONE = r'<MDI key="STATISTICS_[^"]*">[^<]*</MDI>\s*'
_STATISTICS = re.compile(rf"<Metadata>\s*(?:{_ONE})+</Metadata>\s*|{_ONE}")
"""What GDAL writes about a raster while somebody looks at it, in the XML of a virtual raster."""


class LayerError(Exception):
    """The layer cannot be used; the text says why and what to do."""


def file_of(layer: QgsMapLayer) -> Optional[str]:
    """The path (or GDAL's name) of a raster layer's data; None where it is not a file.

    Raises:
        LayerError: The layer is broken, or its file is gone.
    """
    if not isinstance(layer, QgsRasterLayer):
        raise LayerError(tr("{name} is no raster layer; choose one.").format(name=layer.name()))
    if layer.providerType() != "gdal":
        if not layer.isValid():
            raise LayerError(
                tr("The layer {name} is broken; repair its data source.").format(name=layer.name())
            )
        return None
    decoded = QgsProviderRegistry.instance().decodeUri("gdal", layer.source())
    path = str(decoded.get("path") or layer.source())
    sub_name = decoded.get("layerName")
    if sub_name:
        # A raster table of a GeoPackage, or a subdataset that QGIS names by its parts.
        path = layer.source()
    if Path(path).is_absolute() and not Path(path).exists():
        raise LayerError(
            tr("{file} was moved or deleted; repair the layer's data source.").format(file=path)
        )
    if not layer.isValid():
        raise LayerError(
            tr("The layer {name} cannot be read; repair its data source.").format(name=layer.name())
        )
    # The engine works in another folder than QGIS, which knows also names that are no paths.
    return path if os.path.isabs(path) or not os.path.exists(path) else os.path.abspath(path)


def file_as_shown(layer: QgsMapLayer, folder: Path) -> Optional[str]:
    """A raster layer's data for the engine, in the CRS that QGIS shows the layer in.

    Args:
        layer: The layer.
        folder: For a virtual raster, where the file says another CRS than the layer has.

    Returns:
        As of :func:`file_of`; None where it is not a file.

    Raises:
        LayerError: The layer is broken, its file is gone, or the virtual raster cannot be written.
    """
    path = file_of(layer)
    if path is not None and layer.dataProvider().crs() != layer.crs():
        path = with_crs(path, layer.crs(), folder)
    return path


def with_crs(path: str, crs: QgsCoordinateReferenceSystem, folder: Path) -> str:
    """A virtual raster (VRT) of a file that lies in another CRS than the file says, or in none.

    Args:
        path: The file.
        crs: Its CRS in truth.
        folder: Where to put it; the same raster has the same place there until its file is
            replaced. STAC items beside the file, which tell its date, go along.

    Raises:
        LayerError: It cannot be written.
    """
    virtual = "/vsimem/samgeo-declared.vrt"
    wkt = crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED_GDAL)
    try:
        made = gdal.Translate(virtual, path, format="VRT", outputSRS=wkt or None)
        if made is not None and not wkt:
            made.SetProjection("")  # not every GDAL knows the SRS "none"
    except RuntimeError:  # where another plugin has told GDAL to raise them
        made = None
    if made is None:
        raise LayerError(tr("{file} cannot be read; repair the layer's source.").format(file=path))
    text = _STATISTICS.sub("", made.GetMetadata("xml:VRT")[0])
    made = None
    gdal.Unlink(virtual)
    name = hashlib.sha256(f"{text}{stamp(path)}".encode()).hexdigest()[:20]
    source = Path(path)
    target = folder / name / f"{source.stem}.vrt"
    try:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_suffix(f".{os.getpid()}.part")
            part.write_text(text, encoding="utf-8")
            part.replace(target)
        for item, copy in ((f"{source.stem}.json", f"{source.stem}.json"),
                           (f"{source.name}.json", f"{target.name}.json")):  # fmt: skip
            if source.with_name(item).is_file():
                shutil.copyfile(source.with_name(item), target.with_name(copy))
        os.utime(target.parent)  # folders of jobs are removed by their age
    except OSError as error:
        raise LayerError(
            tr("{file} cannot be written ({why}); make room for it.").format(
                file=target, why=error.strerror
            )
        ) from error
    return str(target)


def usual_bands(layer: QgsRasterLayer) -> list[int]:
    """The bands that QGIS shows as red, green and blue; else the first three, or the only one.

    A style may name bands that the layer no longer has: QGIS keeps it where the source is changed.
    """
    renderer, there = layer.renderer(), range(1, layer.bandCount() + 1)
    if renderer is not None:
        shown = [band for band in renderer.usesBands() if band in there]
        if renderer.type() == "multibandcolor" and len(shown) >= 3:
            order = [renderer.redBand(), renderer.greenBand(), renderer.blueBand()]
            if all(band in there for band in order):
                return order
        if len(shown) == 1 and layer.bandCount() < 3:
            return shown
    return [1, 2, 3] if layer.bandCount() >= 3 else [1]


def user_stretch(layer: QgsRasterLayer, bands: Sequence[int]) -> Optional[list[list[float]]]:
    """[low, high] per band where the user has typed these limits; None where QGIS has found them.

    Args:
        layer: The layer with its styling.
        bands: The bands that are used, in their order.
    """
    renderer = layer.renderer()
    if renderer is None:
        return None
    if QgsRasterMinMaxOrigin.limitsString(renderer.minMaxOrigin().limits()) != "None":
        return None
    shown = {}
    if renderer.type() == "multibandcolor":
        shown = {
            renderer.redBand(): renderer.redContrastEnhancement(),
            renderer.greenBand(): renderer.greenContrastEnhancement(),
            renderer.blueBand(): renderer.blueContrastEnhancement(),
        }
    elif renderer.type() == "singlebandgray":
        shown = {renderer.grayBand(): renderer.contrastEnhancement()}
    none = QgsContrastEnhancement.ContrastEnhancementAlgorithm.NoEnhancement
    limits = []
    for band in bands:
        enhancement = shown.get(band)
        if enhancement is None or enhancement.contrastEnhancementAlgorithm() == none:
            return None
        low, high = enhancement.minimumValue(), enhancement.maximumValue()
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            return None
        limits.append([low, high])
    return limits or None


def stamp(path: str) -> Optional[tuple[int, int, int]]:
    """What changes when a file is replaced; None for what is no file."""
    try:
        facts = os.stat(path)
    except (OSError, ValueError):
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns
