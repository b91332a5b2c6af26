# SPDX-License-Identifier: GPL-2.0-or-later
"""Moving files on Windows, simulated: what another program has open is refused for a moment."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from samgeo_core.errors import ModelError
from samgeo_core.in_memory import temporary_folder
from samgeo_core.layers.writer import LayerWriter
from samgeo_core.models.weights.own import check_name
from samgeo_core.parallel import atomic_write
from samgeo_core.parallel.atomic_write import move, new_folder, write_atomically
from samgeo_core.sources.scenes import _as_file_name

KINDS = ("town.gpkg", "town.geojson", "town.shp")


@pytest.fixture
def scanner(monkeypatch):
    """Have each file open for the first attempts to move it, as Windows's Defender does."""

    def make(attempts: int) -> None:
        left: dict[str, int] = {}
        real = Path.replace

        def replace(source: Path, target: Path) -> Path:
            if left.setdefault(str(source), attempts):
                left[str(source)] -= 1
                raise PermissionError(13, "The process cannot access the file", str(source))
            return real(source, target)

        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr(atomic_write, "_WAITS", (0.0, 0.0, 0.0))

    return make


def test_a_file_that_a_scanner_has_open_for_a_moment_is_written(tmp_path, scanner):
    scanner(3)
    write_atomically(tmp_path / "tile.npz", lambda path: path.write_text("masks"))
    assert (tmp_path / "tile.npz").read_text() == "masks"
    assert len(list(tmp_path.iterdir())) == 1


def test_one_that_stays_open_is_an_error(tmp_path, scanner):
    scanner(4)
    (tmp_path / "new").touch()
    with pytest.raises(PermissionError):
        move(tmp_path / "new", tmp_path / "old")
    assert (tmp_path / "new").exists()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("replaced", [False, True])
def test_a_layer_appears_although_a_scanner_looks_at_its_files(tmp_path, scanner, name, replaced):
    frame = gpd.GeoDataFrame(
        {"score": [0.5]}, geometry=[shapely.box(0, 0, 10, 10)], crs="EPSG:32633"
    )
    if replaced:
        with LayerWriter(tmp_path / name, frame.crs) as writer:
            writer.write(frame)
    scanner(2)
    with LayerWriter(tmp_path / name, frame.crs, overwrite=True) as writer:
        writer.write(frame)
    assert len(gpd.read_file(tmp_path / name)) == 1
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", KINDS)
def test_no_output_is_made_in_a_folder_for_the_user_alone(tmp_path, monkeypatch, name):
    """Windows gives a folder of mode 0o700 an access list that moves along with what is made in it
    (Python 3.12.4): on a share, nobody else could read the layer."""
    private, real = [], os.mkdir

    def mkdir(path: str, mode: int = 0o777, **where: int) -> None:
        if mode == 0o700:
            private.append(str(path))
        real(path, mode, **where)

    monkeypatch.setattr(os, "mkdir", mkdir)
    frame = gpd.GeoDataFrame({"score": [0.5]}, geometry=[shapely.box(0, 0, 1, 1)], crs=32633)
    with LayerWriter(tmp_path / name, frame.crs) as writer:
        writer.write(frame)
    assert [path for path in private if Path(path).parent == tmp_path] == []
    tempfile.mkdtemp(dir=tmp_path)
    assert len(private) == 1, "mkdtemp would have made one"


def test_a_folder_that_takes_no_files_is_said_at_once(tmp_path, monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(os, "mkdir", refused)
    with pytest.raises(PermissionError):
        new_folder(tmp_path, ".town.")


def test_a_temporary_folder_with_an_open_file_does_not_end_what_is_done(tmp_path, monkeypatch):
    """Windows deletes no open file."""

    def refused(path: str, *_: object, **__: object) -> None:
        raise PermissionError(13, "The process cannot access the file", str(path))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temporary_folder(None) as folder:
        (folder / "raster.tif").touch()
        monkeypatch.setattr(os, "unlink", refused)
    monkeypatch.undo()
    assert folder.exists()


@pytest.mark.parametrize("name", ["con", "nul", "aux.v2", "com1", "roofs."])
def test_names_that_windows_has_no_files_of_are_no_names_of_models(name):
    with pytest.raises(ModelError, match="cannot be the name"):
        check_name(name)
    assert check_name("contours") == "contours"


def test_layers_of_scenes_have_names_that_windows_knows():
    assert [_as_file_name(text) for text in ("AUX", "nul.2024", "2024-05-01T10:30:00Z")] == [
        "AUX_",
        "nul.2024_",
        "2024-05-01T10_30_00Z",
    ]
