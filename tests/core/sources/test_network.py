# SPDX-License-Identifier: GPL-2.0-or-later
"""Nothing comes from the network because a local file says so: a server on this machine listens."""

from __future__ import annotations

import json
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import rasterio
from samgeo_core.errors import RasterError, SamGeoError
from samgeo_core.raster.raster import RasterOptions, open_raster
from samgeo_core.sources.gdal import gdal_env

Make = Callable[..., Path]


@dataclass
class Listener:
    """Accepts connections, says nothing, and counts them."""

    port: int
    contacts: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def server() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listener = Listener(listening.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.settimeout(2)
                    try:
                        listener.contacts.append(connection.recv(200))
                        connection.sendall(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")
                    except OSError:
                        listener.contacts.append(b"")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener
        listening.shutdown(socket.SHUT_RDWR)


def simple_vrt(source: str, more: str = "") -> str:
    return (
        '<VRTDataset rasterXSize="64" rasterYSize="64"><SRS>EPSG:32633</SRS>'
        "<GeoTransform>500000, 1, 0, 5000000, 0, -1</GeoTransform>"
        '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{source}</SourceFilename><SourceBand>1</SourceBand>"
        f"</SimpleSource></VRTRasterBand>{more}</VRTDataset>"
    )


def wms(url: str) -> str:
    return (
        f'<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl>'
        "</Service><DataWindow><UpperLeftX>-100</UpperLeftX><UpperLeftY>100</UpperLeftY>"
        "<LowerRightX>100</LowerRightX><LowerRightY>-100</LowerRightY><TileLevel>3</TileLevel>"
        "<TileCountX>1</TileCountX><TileCountY>1</TileCountY></DataWindow>"
        "<Projection>EPSG:3857</Projection><BlockSizeX>256</BlockSizeX>"
        "<BlockSizeY>256</BlockSizeY><BandsCount>3</BandsCount></GDAL_WMS>"
    )


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


def vrt(folder: Path, url: str, make: Make) -> Path:
    return write(folder / "a.vrt", simple_vrt(f"/vsicurl/{url}/x.tif"))


def vrt_of_a_plain_address(folder: Path, url: str, make: Make) -> Path:
    return write(folder / "a.vrt", simple_vrt(f"{url}/x.tif"))


def vrt_under_another_name(folder: Path, url: str, make: Make) -> Path:
    return write(folder / "picture.tif", " \n" + simple_vrt(f"/vsicurl/{url}/x.tif"))


def vrt_in_utf16(folder: Path, url: str, make: Make) -> Path:
    return write(folder / "a.vrt", simple_vrt(f"/vsicurl/{url}/x.tif"), "utf-16")


def vrt_with_escapes(folder: Path, url: str, make: Make) -> Path:
    escaped = "".join(f"&#{ord(letter)};" for letter in f"/vsicurl/{url}/x.tif")
    return write(folder / "a.vrt", simple_vrt(escaped))


def nested_vrt(folder: Path, url: str, make: Make) -> Path:
    vrt(folder, url, make)
    return write(folder / "outer.vrt", simple_vrt(str(folder / "a.vrt")))


def vrt_within_vrt_as_text(folder: Path, url: str, make: Make) -> Path:
    inner = simple_vrt(f"/vsicurl/{url}/x.tif").replace("<", "&lt;").replace('"', "&quot;")
    return write(folder / "outer.vrt", simple_vrt(inner))


def overviews_elsewhere(folder: Path, url: str, make: Make) -> Path:
    good = make(np.full((64, 64), 9, np.uint8), "good.tif")
    source = simple_vrt(str(good))
    overview = (
        f"<Overview><SourceFilename>/vsicurl/{url}/o.tif</SourceFilename>"
        "<SourceBand>1</SourceBand></Overview></VRTRasterBand>"
    )
    return write(folder / "a.vrt", source.replace("</VRTRasterBand>", overview))


def wms_description(folder: Path, url: str, make: Make) -> Path:
    return write(folder / "tiles.xml", wms(url))


def vrt_of_a_wms(folder: Path, url: str, make: Make) -> Path:
    return write(folder / "a.vrt", simple_vrt(str(wms_description(folder, url, make))))


def in_a_zip(folder: Path, url: str, make: Make) -> Path:
    with zipfile.ZipFile(folder / "a.zip", "w") as packed:
        packed.writestr("deep/a.vrt", simple_vrt(f"/vsicurl/{url}/x.tif"))
    return folder / "a.zip"


def vrt_of_a_vrt_in_a_zip(folder: Path, url: str, make: Make) -> Path:
    in_a_zip(folder, url, make)
    return write(folder / "b.vrt", simple_vrt(f"/vsizip/{folder}/a.zip/deep/a.vrt"))


def vectors(folder: Path, url: str, make: Make) -> Path:
    return write(
        folder / "v.vrt",
        f'<OGRVRTDataSource><OGRVRTLayer name="a"><SrcDataSource>{url}/a.geojson</SrcDataSource>'
        "</OGRVRTLayer></OGRVRTDataSource>",
    )


def side_file(folder: Path, url: str, make: Make) -> Path:
    path = make(np.full((64, 64), 9, np.uint8), "good.tif")
    write(
        folder / "good.tif.aux.xml",
        f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">/vsicurl/{url}/o.tif'
        "</MDI></Metadata></PAMDataset>",
    )
    return path


def items_of_a_catalogue(folder: Path, url: str, make: Make) -> Path:
    item = {
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.0.0/schema.json"],
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "properties": {"proj:epsg": 32633, "proj:shape": [64, 64]},
                "collection": "a",
                "assets": {
                    "B1": {
                        "href": f"{url}/x.tif",
                        "proj:transform": [1, 0, 500000, 0, -1, 5000000],
                        "proj:shape": [64, 64],
                        "proj:epsg": 32633,
                    }
                },
            }
        ],
    }
    return write(folder / "items.json", json.dumps(item))


def warped(folder: Path, url: str, make: Make) -> Path:
    return write(
        folder / "w.vrt",
        '<VRTDataset rasterXSize="64" rasterYSize="64" subClass="VRTWarpedDataset">'
        '<VRTRasterBand dataType="Byte" band="1" subClass="VRTWarpedRasterBand"/>'
        f"<GDALWarpOptions><SourceDataset>/vsicurl/{url}/x.tif</SourceDataset>"
        "</GDALWarpOptions></VRTDataset>",
    )


def arrays_of_places(folder: Path, url: str, make: Make) -> Path:
    good = make(np.full((64, 64), 9, np.uint8), "good.tif")
    more = (
        f'<Metadata domain="GEOLOCATION"><MDI key="X_DATASET">/vsicurl/{url}/x.tif</MDI></Metadata>'
    )
    return write(folder / "a.vrt", simple_vrt(str(good), more))


KINDS = [
    *(vrt, vrt_of_a_plain_address, vrt_under_another_name, vrt_in_utf16, vrt_with_escapes),
    *(nested_vrt, vrt_within_vrt_as_text, overviews_elsewhere, wms_description, vrt_of_a_wms),
    *(in_a_zip, vrt_of_a_vrt_in_a_zip, vectors, side_file, items_of_a_catalogue, warped),
    arrays_of_places,
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_local_file_that_leads_to_a_server_contacts_nobody(
    kind: Callable[[Path, str, Make], Path], server: Listener, tmp_path: Path, make_raster: Make
) -> None:
    path = kind(tmp_path, server.url, make_raster)
    with pytest.raises(SamGeoError) as caught, open_raster(path) as raster:
        raster.read(raster.bounds)
    assert server.contacts == []
    if kind is not items_of_a_catalogue:
        assert "127.0.0.1" in str(caught.value)
        assert "allow_remote" in str(caught.value)


def test_the_option_lets_a_file_lead_to_a_server(server: Listener, tmp_path: Path) -> None:
    path = write(tmp_path / "a.vrt", simple_vrt(f"/vsicurl/{server.url}/x.tif"))
    with (
        pytest.raises(RasterError),
        open_raster(path, RasterOptions(allow_remote=True)) as raster,
    ):
        raster.read(raster.bounds)
    assert server.contacts


@pytest.mark.parametrize("prefix", ["/vsicurl/", ""])
def test_gdal_itself_is_offline_behind_the_look_at_files(server: Listener, prefix: str) -> None:
    with pytest.raises(rasterio.errors.RasterioIOError), gdal_env():
        rasterio.open(f"{prefix}{server.url}/x.tif")
    assert server.contacts == []


def test_no_secret_of_an_address_is_in_the_refusal(tmp_path: Path) -> None:
    address = "/vsicurl/https://user:hush@example.org/x.tif?token=hidden"
    path = write(tmp_path / "a.vrt", simple_vrt(address))
    with pytest.raises(RasterError) as caught:
        open_raster(path)
    assert "example.org" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_raw_bytes_of_another_file_are_no_pixels_unless_allowed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_bytes(bytes(range(64)) * 64)
    path = write(
        tmp_path / "raw.vrt",
        '<VRTDataset rasterXSize="64" rasterYSize="64">'
        "<GeoTransform>500000, 1, 0, 5000000, 0, -1</GeoTransform>"
        '<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">'
        '<SourceFilename relativeToVRT="1">secret.txt</SourceFilename>'
        "<ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>64</LineOffset>"
        "</VRTRasterBand></VRTDataset>",
    )
    with pytest.raises(RasterError, match=r"secret\.txt.*allow_remote"):
        open_raster(path)
    with open_raster(path, RasterOptions(allow_remote=True)) as raster:
        assert raster.shape == (64, 64)


def test_a_pixel_function_in_python_never_runs(
    tmp_path: Path, make_raster: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_VRT_ENABLE_PYTHON", "YES")
    good = make_raster(np.full((64, 64), 9, np.uint8), "good.tif")
    mark = tmp_path / "ran"
    code = (
        "<PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>Python"
        "</PixelFunctionLanguage><PixelFunctionCode><![CDATA[\n"
        f"def f(*args, **kwargs):\n    open({str(mark)!r}, 'w')\n]]></PixelFunctionCode>"
    )
    text = simple_vrt(str(good)).replace(
        'band="1">', f'band="1" subClass="VRTDerivedRasterBand">{code}'
    )
    path = write(tmp_path / "a.vrt", text)
    for options in (RasterOptions(), RasterOptions(allow_remote=True)):
        with pytest.raises(RasterError, match="Python"), open_raster(path, options) as raster:
            raster.read(raster.bounds)
    assert not mark.exists()
