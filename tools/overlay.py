# SPDX-License-Identifier: GPL-2.0-or-later
"""Draw a polygon layer over its raster: ``tools/overlay.py RASTER LAYER PICTURE.png``."""

from __future__ import annotations

import argparse
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
from PIL import Image, ImageDraw
from samgeo_core.raster.raster import open_raster
from samgeo_core.types import PixelBox
from shapely.affinity import affine_transform
from shapely.geometry import Polygon

COLOURS = ["#ffd166", "#06d6a0", "#4cc9f0", "#f72585", "#ff9f1c", "#b8f2e6", "#c77dff", "#f94144"]


def overlay(
    raster_path: Path,
    layer_path: Path,
    picture: Path,
    *,
    box: PixelBox | None = None,
    zoom: int = 1,
    fill: int = 60,
) -> int:
    """Draw the polygons of a layer over a raster, or over a box of its pixels.

    Returns:
        Number of polygons drawn.
    """
    with open_raster(raster_path) as raster:
        box = box or PixelBox(0, 0, raster.height, raster.width)
        pixels = raster.read(box).pixels
        inverse, crs = ~raster.transform, raster.crs
    # A GeoPackage holds its style as another layer; the first is the polygons'.
    layer = geopandas.read_file(layer_path, layer=pyogrio.list_layers(layer_path)[0][0])
    if crs is not None and layer.crs is not None and layer.crs != crs:
        layer = layer.to_crs(crs)
    image = Image.fromarray(np.kron(pixels, np.ones((zoom, zoom, 1), np.uint8)), "RGB")
    veil = Image.new("RGBA", image.size, (0, 0, 0, 0))
    brush = ImageDraw.Draw(veil)
    matrix = [inverse.a, inverse.b, inverse.d, inverse.e, inverse.c, inverse.f]
    drawn = 0
    order = layer.geometry.area.sort_values(ascending=False).index
    for number, row in enumerate(order):
        shape = affine_transform(layer.geometry[row], matrix)
        colour = COLOURS[number % len(COLOURS)]
        for part in getattr(shape, "geoms", [shape]):
            if isinstance(part, Polygon) and not part.is_empty:
                rings = [part.exterior, *part.interiors]
                for ring in rings:
                    points = (np.asarray(ring.coords) - [box.col0, box.row0]) * zoom
                    brush.line([tuple(p) for p in points], fill=colour, width=2)
                if fill and not part.interiors:
                    points = (np.asarray(part.exterior.coords) - [box.col0, box.row0]) * zoom
                    rgb = tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))
                    brush.polygon([tuple(p) for p in points], fill=(*rgb, fill), outline=colour)
                drawn += 1
    Image.alpha_composite(image.convert("RGBA"), veil).convert("RGB").save(picture)
    return drawn


def main() -> None:
    """Parse and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raster", type=Path)
    parser.add_argument("layer", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--zoom", type=int, default=1)
    parser.add_argument("--box", help="row0,col0,row1,col1 in pixels")
    args = parser.parse_args()
    box = PixelBox(*map(int, args.box.split(","))) if args.box else None
    print(overlay(args.raster, args.layer, args.picture, box=box, zoom=args.zoom), "polygons drawn")


if __name__ == "__main__":
    main()
