# SPDX-License-Identifier: GPL-2.0-or-later
"""What a raster consists of: each source is there, named, and part of a job's identity."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.windows import Window
from samgeo_core.errors import RasterError, SamGeoWarning
from samgeo_core.raster.polygon_sources import PolygonSources
from samgeo_core.raster.raster import Raster, RasterOptions, open_raster
from samgeo_core.sources.names import expand_sources
from samgeo_core.types import PixelBox
from shapely.geometry import box

Make = Callable[..., Path]
PLACE = Affine(1, 0, 500_000, 0, -1, 5_000_000)
RNG = np.random.default_rng(5)


def vrt_over(path: Path, sources: list[str | Path], side: int = 64) -> Path:
    """A virtual raster of one band over sources that lie beside one another."""
    parts = "".join(
        f'<SimpleSource><SourceFilename relativeToVRT="0">{source}</SourceFilename>'
        f'<SourceBand>1</SourceBand><SrcRect xOff="0" yOff="0" xSize="{side}" ySize="{side}"/>'
        f'<DstRect xOff="{k * side}" yOff="0" xSize="{side}" ySize="{side}"/></SimpleSource>'
        for k, source in enumerate(sources)
    )
    width = side * len(sources)
    path.write_text(
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{side}"><SRS>EPSG:32633</SRS>'
        "<GeoTransform>500000, 1, 0, 5000000, 0, -1</GeoTransform>"
        f'<VRTRasterBand dataType="Byte" band="1">{parts}</VRTRasterBand></VRTDataset>'
    )
    return path


def grey(make: Make, name: str, value: int = 9, **options: object) -> Path:
    options.setdefault("transform", PLACE)
    return make(np.full((64, 64), value, np.uint8), name, **options)


# -- missing sources -------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_missing_source_is_an_error_however_deep(
    make_raster: Make, tmp_path: Path, depth: int
) -> None:
    gone = tmp_path / "gone.tif"
    path = vrt_over(tmp_path / "v1.vrt", [grey(make_raster, "here.tif"), gone])
    for level in range(2, depth + 1):
        path = vrt_over(tmp_path / f"v{level}.vrt", [path])
    with pytest.raises(RasterError, match=r"gone\.tif, which is missing"):
        open_raster(path)


def test_a_source_that_is_no_raster_is_an_error(make_raster: Make, tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no raster")
    path = vrt_over(tmp_path / "v.vrt", [grey(make_raster, "here.tif"), tmp_path / "text.tif"])
    with pytest.raises(RasterError, match=r"text\.tif, which cannot be opened"):
        open_raster(path)


def test_a_virtual_raster_of_itself_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "v.vrt"
    vrt_over(path, [path])
    with pytest.raises(RasterError):
        open_raster(path)


def test_a_source_that_vanishes_stays_an_error_at_the_second_try(
    make_raster: Make, tmp_path: Path
) -> None:
    gone = grey(make_raster, "gone.tif")
    path = vrt_over(tmp_path / "v.vrt", [grey(make_raster, "here.tif"), gone])
    with open_raster(path, RasterOptions(percentiles=(0.0, 100.0))) as raster:
        spec = raster.spec
        gone.unlink()
    with Raster.from_spec(spec) as raster:
        for _ in range(3):
            with pytest.raises(RasterError):
                raster.read(raster.bounds)


def test_pixels_that_look_like_a_description_are_pixels(make_raster: Make) -> None:
    data = np.zeros((64, 64), np.uint8)
    data.flat[:11] = np.frombuffer(b"<VRTDataset", np.uint8)
    data.flat[64:71] = np.frombuffer(b"<Folder", np.uint8)
    with open_raster(make_raster(data)) as raster:
        assert raster.shape == (64, 64)


def test_a_page_of_a_website_under_the_name_of_a_raster_is_no_raster(tmp_path: Path) -> None:
    path = tmp_path / "download.tif"
    path.write_text("<!DOCTYPE html><html><a href='https://example.org'>Log in</a><br></html>")
    with pytest.raises(RasterError, match="cannot be opened as a raster"):
        open_raster(path)


# -- identity --------------------------------------------------------------------------------------


def changed_and_before(path: Path, name: str | Path, change: Callable[[], object]) -> bool:
    with open_raster(name) as raster:
        before = raster.identity
    change()
    with open_raster(name) as raster:
        return raster.identity != before


@pytest.mark.parametrize("way", ["plain", "zip", "directory", "url", "vrt", "vrt of zip", "nested"])
def test_other_bytes_of_the_same_size_and_time_are_another_raster(
    make_raster: Make, tmp_path: Path, way: str
) -> None:
    def put(value: int) -> None:
        path = grey(make_raster, "r.tif", value)
        if "zip" in way:
            with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
                packed.write(path, "r.tif")
        for file in tmp_path.iterdir():
            os.utime(file, ns=(10**18, 10**18))

    path, inner = tmp_path / "r.tif", f"/vsizip/{tmp_path}/a.zip/r.tif"
    put(9)
    name = {
        "plain": str(path),
        "zip": inner,
        "directory": f"GTIFF_DIR:1:{path}",
        "url": f"file://{path}",
    }.get(way)
    if name is None:
        first = vrt_over(tmp_path / "v.vrt", [inner if way == "vrt of zip" else path])
        name = str(vrt_over(tmp_path / "w.vrt", [first]) if way == "nested" else first)
    assert changed_and_before(path, name, lambda: put(200))


def test_a_change_in_the_middle_of_a_large_file_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_raster: Make
) -> None:
    monkeypatch.setattr("samgeo_core.sources.contents.READ_WHOLE", 100_000)
    data = RNG.integers(0, 255, (1000, 1000), dtype=np.uint8)
    path = make_raster(data, "r.tif")
    os.utime(path, ns=(10**18, 10**18))

    def change() -> None:
        make_raster(data[::-1], "r.tif")
        os.utime(path, ns=(10**18, 10**18))

    assert path.stat().st_size > 100_000
    assert changed_and_before(path, path, change)


def test_side_files_that_place_or_mask_count_and_statistics_do_not(
    make_raster: Make, tmp_path: Path
) -> None:
    path = grey(make_raster, "r.tif")
    side = tmp_path / "r.tif.aux.xml"
    statistics = (
        '<PAMDataset><PAMRasterBand band="1"><Metadata><MDI key="STATISTICS_MEAN">3</MDI>'
        "</Metadata></PAMRasterBand></PAMDataset>"
    )
    assert not changed_and_before(path, path, lambda: side.write_text(statistics))
    placed = "<PAMDataset><GeoTransform>1, 1, 0, 2, 0, -1</GeoTransform></PAMDataset>"
    assert changed_and_before(path, path, lambda: side.write_text(placed))
    with rasterio.open(path) as file:
        profile = file.profile
    profile.update(count=1, nodata=None)

    def mask() -> None:
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
            file.write_mask(np.eye(64, dtype=np.uint8) * 255)

    assert changed_and_before(path, path, mask)
    assert (tmp_path / "r.tif.msk").exists()


# -- folders, archives, names ----------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="limits are set otherwise there")
def test_a_folder_of_more_rasters_than_a_process_may_open_is_a_mosaic(tmp_path: Path) -> None:
    script = f"""
import resource
import numpy as np, rasterio
from affine import Affine
from samgeo_core import open_raster
resource.setrlimit(resource.RLIMIT_NOFILE, (128, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
for k in range(200):
    with rasterio.open({str(tmp_path)!r} + f"/t{{k:03}}.tif", "w", driver="GTiff", width=16,
                       height=16, count=1, dtype="uint8", crs="EPSG:32633",
                       transform=Affine(1, 0, 5e5 + 16 * k, 0, -1, 5e6)) as file:
        file.write(np.full((1, 16, 16), k, np.uint8))
with open_raster({str(tmp_path)!r}) as raster:
    assert raster.shape == (16, 3200), raster.shape
    values = raster.read(raster.bounds).pixels[0, ::16, 0]
    assert (np.diff(values.astype(int)) >= 0).all() and len(set(values.tolist())) > 150
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_hidden_files_previews_and_mosaics_of_the_folder_are_left_out(
    make_raster: Make, tmp_path: Path
) -> None:
    first = grey(make_raster, "a.tif")
    second = grey(make_raster, "b.tif", 99, transform=PLACE @ Affine.translation(64, 0))
    (tmp_path / "._a.tif").write_bytes(b"\0\5\x16\7" + b"\0" * 90)
    vrt_over(tmp_path / "m.vrt", [first, second])
    with rasterio.open(
        tmp_path / "preview.png", "w", driver="PNG", width=9, height=9, count=3, dtype="uint8"
    ) as file:
        file.write(np.zeros((3, 9, 9), np.uint8))
    (tmp_path / "preview.png.aux.xml").unlink(missing_ok=True)
    with (
        pytest.warns(SamGeoWarning, match=r"m\.vrt, preview\.png"),
        open_raster(tmp_path) as raster,
    ):
        assert raster.shape == (64, 128)


def test_an_archive_stands_for_the_rasters_in_it(make_raster: Make, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "tiles.zip", "w") as packed:
        packed.write(grey(make_raster, "a.tif"), "deep/a.tif")
        packed.write(
            grey(make_raster, "b.tif", transform=PLACE @ Affine.translation(64, 0)), "deep/b.tif"
        )
        packed.writestr("__MACOSX/._a.tif", b"no raster")
    with open_raster(tmp_path / "tiles.zip") as raster:
        assert raster.shape == (64, 128)


def test_urls_of_files_and_archives_make_a_mosaic(make_raster: Make, tmp_path: Path) -> None:
    first = grey(make_raster, "a b.tif")
    second = grey(make_raster, "b.tif", 99, transform=PLACE @ Affine.translation(64, 0))
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as packed:
        packed.write(second, "b.tif")
    names = [first.as_uri(), f"zip://{tmp_path}/z.zip!b.tif"]
    with open_raster(names, RasterOptions(percentiles=(0.0, 100.0))) as raster:
        assert raster.shape == (64, 128)
        values = raster.read(raster.bounds).pixels[..., 0]
        assert (values[:, :64] == 0).all()
        assert (values[:, 64:] == 255).all()


def test_a_folder_with_an_exclamation_mark_is_a_folder(make_raster: Make, tmp_path: Path) -> None:
    folder = tmp_path / "!work"
    folder.mkdir()
    for k in range(2):
        path = grey(make_raster, f"{k}!.tif", transform=PLACE @ Affine.translation(64 * k, 0))
        path.rename(folder / path.name)
    with open_raster(folder) as raster:
        assert raster.shape == (64, 128)


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes only there")
def test_a_name_in_another_encoding_is_refused_in_words(make_raster: Make, tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(str(tmp_path)) + b"/D\xe4cher.tif")
    grey(make_raster, "a.tif").rename(name)
    for given in (name, tmp_path):
        with pytest.raises(RasterError, match="rename") as caught:
            open_raster(given)
        str(caught.value).encode()


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [
        *(
            ("ecw", "ECW"),
            ("sid", "MrSID"),
            ("hdf", "QGIS"),
            ("las", "a point cloud"),
            ("dwg", "a"),
        ),
        *(
            ("zip", "unpack it"),
            ("tar", "unpack it"),
            ("xyz", "QGIS"),
            ("docx", "a whole copy|QGIS"),
        ),
    ],
)
def test_formats_that_cannot_be_read_come_with_advice(
    tmp_path: Path, suffix: str, kind: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"msid" + bytes(100))
    with pytest.raises(RasterError, match=f"{kind}.*(GeoTIFF|copy)"):
        open_raster([str(name) for name in expand_sources(path)])


def test_pages_after_the_first_are_said_and_can_be_named(make_raster: Make, tmp_path: Path) -> None:
    path = grey(make_raster, "pages.tif", 9)
    with rasterio.open(path, "r", driver="GTiff") as first:
        profile = first.profile
    with rasterio.open(path, "w", **{**profile, "APPEND_SUBDATASET": "NO"}) as file:
        file.write(np.full((1, 64, 64), 9, np.uint8))
    with rasterio.open(path, "w", **{**profile, "APPEND_SUBDATASET": "YES"}) as file:
        file.write(np.full((1, 64, 64), 200, np.uint8))
    other = grey(make_raster, "other.tif", transform=PLACE @ Affine.translation(64, 0))
    for given in ([path], [path, other]):
        with pytest.warns(SamGeoWarning, match=r"holds 2 rasters \(pages\): the first one is used"):
            opened = open_raster(given)
        with opened as raster:
            assert any("GTIFF_DIR:2:" in note for note in raster.notes)
            assert raster.read(PixelBox(0, 0, 64, 64)).pixels.max() < 200
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with open_raster(f"GTIFF_DIR:2:{path}") as second:
            assert second.info.size == (64, 64)


def test_a_virtual_raster_in_an_archive_needs_its_sources_there(
    make_raster: Make, tmp_path: Path
) -> None:
    vrt = vrt_over(tmp_path / "v.vrt", ["here.tif", "gone.tif"])
    vrt.write_text(vrt.read_text().replace('relativeToVRT="0"', 'relativeToVRT="1"'))
    here = grey(make_raster, "here.tif")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(vrt, "v.vrt")
        archive.write(here, "here.tif")
    for name in (f"/vsizip/{tmp_path}/a.zip/v.vrt", f"zip://{tmp_path}/a.zip!v.vrt"):
        with pytest.raises(RasterError, match=r"v\.vrt needs .*gone\.tif, which"):
            open_raster(name)


# -- overlaps, dates, names under polygons ---------------------------------------------------------


def dated(make: Make, *names: str) -> list[Path]:
    return [grey(make, name, 60 * (k + 1)) for k, name in enumerate(names)]


def test_rasters_of_one_place_on_different_dates_ask_for_a_rule(make_raster: Make) -> None:
    paths = dated(make_raster, "town_20190704.tif", "town_20090704.tif", "town_20140704.tif")
    with pytest.raises(RasterError, match=r"different dates.*overlap"):
        open_raster(paths)
    values = {}
    for rule in ("newest", "oldest", "first", "last"):
        options = RasterOptions(overlap=rule, percentiles=(0.0, 100.0))
        with pytest.warns(SamGeoWarning, match="overlap"):
            raster = open_raster(paths, options)
        with raster:
            source = raster.polygon_sources
            assert isinstance(source, PolygonSources)
            values[rule] = source([box(500_010, 4_999_950, 500_020, 4_999_980)])[0]
    assert values == {
        "newest": "town_20190704.tif",
        "oldest": "town_20090704.tif",
        "first": "town_20190704.tif",
        "last": "town_20140704.tif",
    }
    with pytest.raises(RasterError, match="overlap is error"):
        open_raster(paths, RasterOptions(overlap="error"))


def test_a_rule_by_dates_needs_dates(make_raster: Make) -> None:
    with pytest.raises(RasterError, match=r"b\.tif was taken"):
        open_raster(dated(make_raster, "a_2019.tif", "b.tif"), RasterOptions(overlap="newest"))


def test_rasters_that_only_touch_say_nothing(
    make_raster: Make, recwarn: pytest.WarningsRecorder
) -> None:
    paths = [
        grey(make_raster, "a_2019.tif"),
        grey(make_raster, "b_2021.tif", transform=PLACE @ Affine.translation(64, 0)),
    ]
    with open_raster(paths) as raster:
        assert raster.shape == (64, 128)
    assert not [w for w in recwarn if "overlap" in str(w.message)]


def test_each_polygon_names_the_raster_that_it_lies_on(make_raster: Make) -> None:
    upper = np.full((64, 64), 9, np.uint8)
    upper[:32] = 0
    paths = [
        grey(make_raster, "lower.tif", nodata=0),
        make_raster(upper, "upper.tif", nodata=0, transform=PLACE),
        grey(make_raster, "east.tif", nodata=0, transform=PLACE @ Affine.translation(64, 0)),
    ]
    with pytest.warns(SamGeoWarning), open_raster(paths) as raster:
        under = raster.polygon_sources
    assert isinstance(under, PolygonSources)
    assert under(
        [
            box(500_010, 4_999_980, 500_020, 4_999_990),  # the upper one has no data there
            box(500_010, 4_999_940, 500_020, 4_999_950),
            box(500_070, 4_999_940, 500_080, 4_999_950),
            box(500_060, 4_999_940, 500_080, 4_999_950),  # mostly in the east
        ]
    ) == ["lower.tif", "upper.tif", "east.tif", "east.tif"]


# -- placed by points ------------------------------------------------------------------------------


def with_points(path: Path, points: list[tuple[float, ...]], crs: str | None) -> Path:
    profile = {"driver": "GTiff", "width": 128, "height": 128, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile) as file:
        file.write(RNG.integers(0, 255, (1, 128, 128), dtype=np.uint8))
        file.gcps = (
            [GroundControlPoint(*p) for p in points],
            rasterio.crs.CRS() if crs is None else crs,
        )
    return path


SQUARE = [
    (0, 0, 500_000, 5_000_000),
    (0, 128, 500_128, 5_000_000),
    (128, 0, 500_000, 4_999_872),
    (128, 128, 500_128, 4_999_872),
]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("crs", [None, "EPSG:32633"])
@pytest.mark.parametrize(
    ("points", "words"),
    [
        (SQUARE[:1], "1 ground control point,"),
        (SQUARE[:2], "2 ground control points,"),
        ([(k, k, 500_000 + k, 5_000_000 - k) for k in (0, 50, 100)], "on one line"),
        ([(r, c, 500_000, 5_000_000) for r, c, *_ in SQUARE], "on one line"),
    ],
)
def test_points_that_place_nothing_are_refused(
    tmp_path: Path, points: list[tuple[float, ...]], words: str, crs: str | None
) -> None:
    with pytest.raises(RasterError, match=words):
        open_raster(with_points(tmp_path / "p.tif", points, crs))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_points_without_a_crs_place_the_raster_in_their_own_plane(tmp_path: Path) -> None:
    path = with_points(tmp_path / "p.tif", SQUARE, None)
    with pytest.warns(SamGeoWarning, match="no coordinate system"):
        raster = open_raster(path)
    with raster:
        assert raster.crs is None
        assert raster.transform.almost_equals(PLACE, 1e-6)
    bent = [*SQUARE[:3], (128, 128, 500_140, 4_999_872)]
    with pytest.raises(RasterError, match="raster_crs"):
        open_raster(with_points(tmp_path / "q.tif", bent, None))


# -- mostly empty and many bands -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "nodata", "alpha"])
def test_a_sparse_raster_of_a_million_squared_is_known_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "sparse.tif"
    size, at = 1_000_000, Window(512_000, 512_000, 600, 600)
    profile = {"driver": "GTiff", "width": size, "height": size, "dtype": "uint16"}
    profile |= {"tiled": True, "blockxsize": 2048, "blockysize": 2048, "sparse_ok": True}
    profile |= {"bigtiff": "YES", "crs": "EPSG:32633", "transform": PLACE, "compress": "deflate"}
    profile |= {"count": 2 if kind == "alpha" else 1, "nodata": 0 if kind == "nodata" else None}
    with rasterio.open(path, "w", **profile) as file:
        if kind == "alpha":
            names = rasterio.enums.ColorInterp
            file.colorinterp = [names.gray, names.alpha]
            file.write(np.full((600, 600), 65535, np.uint16), 2, window=at)
        file.write(RNG.integers(1000, 3000, (600, 600), dtype=np.uint16), 1, window=at)
    with open_raster(path) as raster:
        assert raster.stretch.high[0] == pytest.approx(2960, abs=40)
        assert raster.info.size == (size, size)
        assert raster.has_data(PixelBox(512_100, 512_100, 512_200, 512_200))
        assert not any(
            raster.has_data(PixelBox(0, col, 1000, col + 1000)) for col in range(0, size, 1000)
        )


def test_rasters_far_apart_are_sampled_where_they_are(make_raster: Make) -> None:
    data = RNG.integers(1000, 3000, (100, 100)).astype(np.uint16)
    paths = [
        make_raster(data, f"{k}.tif", transform=PLACE @ Affine.translation(500_000 * k, 0))
        for k in range(3)
    ]
    with open_raster(paths) as raster:
        assert raster.shape == (100, 1_000_100)
        assert raster.stretch.high[0] == pytest.approx(2960, abs=40)
        assert not raster.has_data(PixelBox(0, 1000, 100, 2000))


def test_a_raster_of_thousands_of_bands_is_described_in_a_moment(make_raster: Make) -> None:
    data = RNG.integers(0, 3000, (3000, 8, 8)).astype(np.uint16)
    path = make_raster(data, "many.tif", interleave="band")
    with open_raster(path) as raster:
        assert len(raster.info.to_json()["bands"]) == 3000
        assert raster.read(raster.bounds).valid.all()


# -- which pixels have data ------------------------------------------------------------------------


def test_nodata_on_some_bands_only_counts_there(make_raster: Make, tmp_path: Path) -> None:
    data = np.full((3, 64, 64), 100, np.uint8)
    source = make_raster(data, "b.tif", transform=PLACE)
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{band}">{nodata}<SimpleSource>'
        f"<SourceFilename>{source}</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource>"
        "</VRTRasterBand>"
        for band, nodata in ((1, ""), (2, "<NoDataValue>100</NoDataValue>"), (3, ""))
    )
    path = tmp_path / "v.vrt"
    path.write_text(f'<VRTDataset rasterXSize="64" rasterYSize="64">{bands}</VRTDataset>')
    with open_raster(path) as raster:
        window = raster.read(raster.bounds)
    assert window.pixels[0, 0].tolist() == [100, 0, 100]
    assert window.valid.all()


def test_near_infrared_that_is_called_alpha_hides_nothing(make_raster: Make) -> None:
    data = np.concatenate(
        [RNG.integers(1, 255, (3, 64, 64)), RNG.integers(20, 200, (1, 64, 64))]
    ).astype(np.uint8)
    data[3, 20:40, 20:40] = 0
    with open_raster(make_raster(data, photometric="RGB", alpha="YES")) as raster:
        assert raster.read(raster.bounds).valid.all()
        assert any("called alpha" in note for note in raster.notes)


@pytest.mark.parametrize("soft", [False, True])
def test_alpha_with_soft_edges_stays_alpha(make_raster: Make, soft: bool) -> None:
    data = np.full((4, 64, 64), 255, np.uint8)
    data[:3] = RNG.integers(1, 255, (3, 64, 64))
    data[3, :20] = 0
    if soft:
        data[3, 20:30] = np.linspace(10, 250, 10).astype(np.uint8)[:, None]
    with open_raster(make_raster(data, photometric="RGB", alpha="YES")) as raster:
        valid = raster.read(raster.bounds).valid
    assert not valid[:20].any()
    assert valid[20:].all()


@pytest.mark.parametrize("mosaic", [False, True])
def test_white_of_a_scan_is_white(make_raster: Make, mosaic: bool) -> None:
    data = np.zeros((64, 64), np.uint8)
    data[16:48, 16:48] = 255
    paths = [make_raster(data, "a.tif", photometric="MINISWHITE", transform=PLACE)]
    if mosaic:
        place = PLACE @ Affine.translation(64, 0)
        paths.append(make_raster(data, "b.tif", photometric="MINISWHITE", transform=place))
    with open_raster(paths) as raster:
        pixels = raster.read(raster.bounds).pixels
    assert pixels[0, 0].tolist() == [255] * 3
    assert pixels[32, 32].tolist() == [0] * 3


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read")
def test_a_file_that_cannot_be_read_is_an_error_of_ours():
    with pytest.raises(RasterError, match="/proc/self/mem cannot be opened"):
        open_raster("/proc/self/mem")
