# SPDX-License-Identifier: GPL-2.0-or-later
"""What the engine's layer tells of what made it, in the user's layer and with the user's names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from osgeo import gdal

from .given import SOURCE_FID

PROVENANCE = "samgeo_provenance"
"""What the engine calls the metadata of a layer that tell what made it."""


def keep_provenance(
    made: tuple[str, str], kept: tuple[str, str], handed: Mapping[str, str]
) -> None:
    """Copy it from the engine's layer to the user's layer of a GeoPackage.

    Args:
        made: File and layer of the engine; "" for its first layer.
        kept: Likewise of the user.
        handed: As :attr:`.given.Given.handed`.
    """
    try:
        source = gdal.OpenEx(made[0], gdal.OF_VECTOR)
        layer = source.GetLayerByName(made[1]) if made[1] else source.GetLayer(0)
        text = layer.GetMetadataItem(PROVENANCE)
        if text:
            file = gdal.OpenEx(kept[0], gdal.OF_VECTOR | gdal.OF_UPDATE)
            copy = file.GetLayerByName(kept[1]) if kept[1] else file.GetLayer(0)
            copy.SetMetadataItem(PROVENANCE, as_chosen(text, handed))
    except (AttributeError, RuntimeError):
        return  # not opened: the user's objects are there all the same
    finally:
        layer = copy = source = file = None  # in this order, which closes the files


def as_chosen(text: str, handed: Mapping[str, str]) -> str:
    """The document with the layers and fields that the user chose.

    Args:
        text: The engine's document, which names the files and columns that it was handed.
        handed: The user's names of these.
    """
    try:
        document = json.loads(text)
        options, layers = document.get("options", {}), document.get("layers", [])
        for layer in layers:
            layer["name"] = handed.get(layer["name"], layer["name"])
        for name, value in list(options.items()):
            if value == SOURCE_FID:  # each feature has its own id where nothing is chosen
                del options[name]
            elif isinstance(value, str) and value in handed:
                options[name] = handed[value]
                options.pop(f"{name}_layer", None)
            elif isinstance(value, list):
                options[name] = [_called(item, handed) for item in value]
    except (ValueError, AttributeError, KeyError, TypeError):
        return text
    return json.dumps(document)


def _called(value: Any, handed: Mapping[str, str]) -> Any:
    return handed.get(value, value) if isinstance(value, str) else value
