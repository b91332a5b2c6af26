# SPDX-License-Identifier: GPL-2.0-or-later
"""A small XYZ and WMS server on this machine, with a raster behind it (WSGI, rasterio).

    python tests/gui/tile_server.py RASTER

Prints its port. ``/{z}/{x}/{y}.png`` are tiles in Web Mercator; ``/wms`` answers WMS 1.3.0's
GetCapabilities and GetMap in EPSG:3857.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

HALF = 20037508.342789244
"""Metres: half the side of Web Mercator's square."""

CAPABILITIES = """<?xml version="1.0" encoding="UTF-8"?>
<WMS_Capabilities version="1.3.0" xmlns="http://www.opengis.net/wms"
 xmlns:xlink="http://www.w3.org/1999/xlink">
<Service><Name>WMS</Name><Title>Town</Title><OnlineResource xlink:href="{url}"/></Service>
<Capability><Request>
<GetCapabilities><Format>text/xml</Format><DCPType><HTTP><Get>
<OnlineResource xlink:href="{url}?"/></Get></HTTP></DCPType></GetCapabilities>
<GetMap><Format>image/png</Format><DCPType><HTTP><Get>
<OnlineResource xlink:href="{url}?"/></Get></HTTP></DCPType></GetMap>
</Request><Exception><Format>XML</Format></Exception>
<Layer><Title>Town</Title><CRS>EPSG:3857</CRS>
<Layer><Name>town</Name><Title>Town</Title><CRS>EPSG:3857</CRS>
<EX_GeographicBoundingBox><westBoundLongitude>{west}</westBoundLongitude>
<eastBoundLongitude>{east}</eastBoundLongitude><southBoundLatitude>{south}</southBoundLatitude>
<northBoundLatitude>{north}</northBoundLatitude></EX_GeographicBoundingBox>
<BoundingBox CRS="EPSG:3857" minx="{x0}" miny="{y0}" maxx="{x1}" maxy="{y1}"/>
</Layer></Layer></Capability></WMS_Capabilities>"""

Start = Callable[[str, list[tuple[str, str]]], object]


class Town:
    """Answers requests.

    Args:
        path: Of the raster.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, environ: dict[str, str], start: Start) -> Iterable[bytes]:
        tile = re.fullmatch(r"/(\d+)/(\d+)/(\d+)\.png", environ["PATH_INFO"])
        asked = {k.lower(): v[0] for k, v in parse_qs(environ.get("QUERY_STRING", "")).items()}
        if tile:
            z, x, y = (int(part) for part in tile.groups())
            side = 2 * HALF / 2**z
            west, north = -HALF + x * side, HALF - y * side
            kind, body = (
                "image/png",
                self.picture((west, north - side, west + side, north), 256, 256),
            )
        elif asked.get("request", "").lower() == "getmap":
            box = tuple(float(value) for value in asked["bbox"].split(","))
            kind, body = "image/png", self.picture(box, int(asked["width"]), int(asked["height"]))
        else:
            kind, body = "text/xml", self.capabilities(environ)
        start("200 OK", [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def capabilities(self, environ: dict[str, str]) -> bytes:
        url = f"http://{environ['HTTP_HOST']}/wms"
        with rasterio.open(self.path) as file:
            west, south, east, north = transform_bounds(file.crs, 4326, *file.bounds)
            x0, y0, x1, y1 = transform_bounds(file.crs, 3857, *file.bounds)
        return CAPABILITIES.format(**{k: v for k, v in locals().items() if k != "self"}).encode()

    def picture(self, box: tuple[float, ...], width: int, height: int) -> bytes:
        place = from_bounds(*box, width, height)
        with rasterio.open(self.path) as file, WarpedVRT(
            file, crs=3857, transform=place, width=width, height=height,
            resampling=Resampling.bilinear, add_alpha=True,
        ) as seen:  # fmt: skip
            pixels = seen.read()
        bands = np.concatenate([pixels[:3], pixels[-1:]])
        with MemoryFile() as memory:
            with memory.open(
                driver="PNG", width=width, height=height, count=4, dtype="uint8"
            ) as out:
                out.write(bands)
            return memory.read()


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    server = make_server("127.0.0.1", 0, Town(sys.argv[1]), _Threads, _Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
