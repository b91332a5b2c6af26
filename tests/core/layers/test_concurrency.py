# SPDX-License-Identifier: GPL-2.0-or-later
"""Other writers, editors and kills: nothing is lost, nothing is corrupt, or "in use" is said."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest
import shapely
from geopandas.testing import assert_geodataframe_equal
from samgeo_core.errors import OutputError
from samgeo_core.layers import geopackage
from samgeo_core.layers.provenance import SCHEMA, read_provenance
from samgeo_core.layers.publish import Workplace, output_digest, recover
from samgeo_core.layers.reader import read_vector
from samgeo_core.layers.writer import LayerWriter, write_layer
from shapely.geometry import box

from .test_writer import features, left_in, read

MODES = ["DELETE", "WAL"]
FUNCTIONS = ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY")
EDIT = "UPDATE base SET label = 'mine' WHERE fid <= 50"

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*at most 10 characters", "ignore:.*no name but", "ignore:.*user_version"
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geopackage, "BUSY_SECONDS", 0.3)
    monkeypatch.setattr(geopackage, "CHECK_SECONDS", 0.3)


def add(path: Path, layer: str, count: int = 20, **options: object) -> None:
    with LayerWriter(path, 32645, layer_name=layer, **options) as writer:
        writer.write(features(count))


def existing(folder: Path, mode: str = "DELETE", count: int = 200, **options: object) -> Path:
    path = folder / "town.gpkg"
    add(path, "base", count, **options)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0] == mode.lower()
    return path


def editor(path: Path) -> sqlite3.Connection:
    """A program that edits, as QGIS does."""
    db = sqlite3.connect(path, isolation_level=None)
    for name in FUNCTIONS:
        db.create_function(name, 1, lambda _: 0.0)
    return db


def state(path: Path) -> tuple[str, list[str], int, int]:
    """Integrity, layers, rows of the base and edited ones."""
    with closing(sqlite3.connect(path)) as db:
        sound = db.execute("PRAGMA integrity_check").fetchone()[0]
        layers = "SELECT table_name FROM gpkg_contents WHERE data_type = 'features' ORDER BY 1"
        names = [row[0] for row in db.execute(layers)]
        (rows,) = db.execute("SELECT count(*) FROM base").fetchone()
        (mine,) = db.execute("SELECT count(*) FROM base WHERE label = 'mine'").fetchone()
    return sound, names, rows, mine


# -- editors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_an_editor_that_is_open_loses_nothing_and_sees_the_new_layer(
    tmp_path: Path, mode: str
) -> None:
    path = existing(tmp_path, mode)
    with closing(editor(path)) as db:
        db.execute("SELECT count(*) FROM base").fetchone()
        add(path, "new")
        db.execute(EDIT)  # into the very file that is there now
        (seen,) = db.execute("SELECT count(*) FROM new").fetchone()
        assert seen == 20
    assert state(path) == ("ok", ["base", "new"], 200, 50)


@pytest.mark.parametrize("mode", MODES)
def test_a_commit_while_the_features_arrive_is_kept(tmp_path: Path, mode: str) -> None:
    path = existing(tmp_path, mode)
    with (
        closing(editor(path)) as db,
        LayerWriter(path, 32645, layer_name="new") as writer,
    ):
        writer.write(features())
        db.execute(EDIT)
    assert state(path) == ("ok", ["base", "new"], 200, 50)


@pytest.mark.parametrize("mode", MODES)
def test_an_open_write_transaction_is_said_and_can_be_committed(tmp_path: Path, mode: str) -> None:
    path = existing(tmp_path, mode)
    with closing(editor(path)) as db:
        db.execute("BEGIN IMMEDIATE")
        db.execute(EDIT)
        with pytest.raises(OutputError, match="in use by another program") as said:
            add(path, "new")
        assert "delete" not in str(said.value)
        db.execute("COMMIT")
    assert state(path) == ("ok", ["base"], 200, 50)
    add(path, "new")
    assert state(path) == ("ok", ["base", "new"], 200, 50)
    assert left_in(tmp_path) == ["town.gpkg"]


@pytest.mark.parametrize("mode", MODES)
def test_an_open_read_transaction_is_waited_for_or_said(tmp_path: Path, mode: str) -> None:
    path = existing(tmp_path, mode)
    with closing(editor(path)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM base").fetchone()
        if mode == "WAL":  # readers are in nobody's way
            add(path, "new")
        else:
            with pytest.raises(OutputError, match="in use by another program"):
                add(path, "new")
        db.execute("COMMIT")
    assert state(path) == ("ok", ["base", "new"] if mode == "WAL" else ["base"], 200, 0)


SPILLS = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
for name in ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):
    db.create_function(name, 1, lambda _: 0.0)
db.execute("PRAGMA cache_size = 5")
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE base SET label = hex(randomblob(400))")
print("half way", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("alive", [True, False])
def test_a_spilled_transaction_of_an_editor_never_meets_the_new_layer(
    tmp_path: Path, mode: str, alive: bool
) -> None:
    path = existing(tmp_path, mode)
    command = [sys.executable, "-c", SPILLS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        if alive:
            with pytest.raises(OutputError, match="in use by another program"):
                add(path, "new")
        other.kill()
    add(path, "new")  # what the editor did not commit is rolled back first
    assert state(path) == ("ok", ["base", "new"], 200, 0)


@pytest.mark.parametrize("mode", MODES)
def test_a_layer_whose_editor_was_killed_is_read_as_it_was_before(
    tmp_path: Path, mode: str
) -> None:
    told = {"schema": SCHEMA}
    path = existing(tmp_path, mode, provenance=json.dumps(told))
    command = [sys.executable, "-c", SPILLS, str(path)]
    before = geopackage.layer_digest(path, "base")
    for look in (
        lambda: geopackage.layer_digest(path, "base") == before,
        lambda: set(read_vector(path).texts("label")) == {"Häuser"},
        lambda: read_provenance(path) == told,
    ):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            other.kill()
        assert look()
    assert state(path) == ("ok", ["base"], 200, 0)


@pytest.mark.parametrize("suffix", ["-journal", "-wal"])
def test_journals_of_a_deleted_file_are_not_played_into_a_new_one(
    tmp_path: Path, suffix: str
) -> None:
    path = existing(tmp_path, "DELETE" if suffix == "-journal" else "WAL")
    command = [sys.executable, "-c", SPILLS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        other.kill()
    assert path.with_name(path.name + suffix).stat().st_size > 0
    path.unlink()
    add(path, "base")
    assert state(path) == ("ok", ["base"], 20, 0)
    assert left_in(tmp_path) == ["town.gpkg"]


# -- other jobs ------------------------------------------------------------------------------------

APPENDS = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.core.layers.test_concurrency import add
path = Path(sys.argv[1])
children = []
for number in range(20):
    child = os.fork()
    if child == 0:
        try:
            add(path, f"part{number}", 50)
        except BaseException as error:
            print(number, type(error).__name__, error, flush=True)
            os._exit(1)
        os._exit(0)
    children.append(child)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
@pytest.mark.parametrize("begun", [False, True])
def test_twenty_jobs_that_add_to_one_file_are_all_there(tmp_path: Path, begun: bool) -> None:
    path = tmp_path / "town.gpkg"
    if begun:
        add(path, "base", 2000)
    command = [sys.executable, "-c", APPENDS, str(path), str(Path(__file__).parents[3])]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    wanted = {f"part{number}" for number in range(20)} | ({"base"} if begun else set())
    assert wanted <= {str(name) for name, _ in pyogrio.list_layers(path)}
    assert {len(read(path, layer=f"part{number}")) for number in range(20)} == {50}
    assert left_in(tmp_path) == ["town.gpkg"]


def test_what_a_live_writer_has_is_no_leftover(tmp_path: Path) -> None:
    path = tmp_path / "town.gpkg"
    with LayerWriter(path, 32645, layer_name="slow") as slow:
        slow.write(features(5))
        add(path, "quick", 3)  # looks for leftovers
        recover(path)
        slow.write(features(5, first=5))
    assert len(read(path, layer="slow")) == 10
    assert len(read(path, layer="quick")) == 3


def test_an_output_that_appeared_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    for name in ("a.geojson", "a.shp", "a.fgb", "a.parquet"):
        path = tmp_path / name
        late = LayerWriter(path, 32645)
        add(path, "a", 7)
        with pytest.raises(OutputError, match="exists already"):
            write_layer([features(3)], late)
        assert len(read(path)) == 7


# -- kills -----------------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a process as far as it matters here: nothing is tidied up after it."""


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_shapefile_that_is_half_moved_is_finished_by_the_next_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    wanted = tmp_path / "wanted"
    wanted.mkdir()
    add(wanted / "a.shp", "a", 7)
    digest = output_digest(wanted / "a.shp", "a")
    replace, points = Path.replace, 0
    for stop in range(1, 40):
        folder = tmp_path / f"stop{stop}"
        folder.mkdir()
        path = folder / "a.shp"
        if overwrite:
            add(path, "a", 3)
            path.with_suffix(".qix").write_bytes(b"an index of the old one")
        moves = 0

        def killing(self: Path, target: Path, stop: int = stop) -> Path:
            nonlocal moves
            if self.parent.name.endswith((".part", "old")) or target.parent.name == "old":
                moves += 1
                if moves == stop:
                    raise Killed
            return replace(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", killing)
            try:
                add(path, "a", 7, overwrite=overwrite)
            except Killed:
                points += 1
            else:
                break
        if moves > 1:  # the move had begun: a mixed set is never to be seen
            assert not path.exists() or len(read(path)) in (3, 7)
        try:
            recover(path)
            if output_digest(path, "a") != digest:
                add(path, "a", 7, overwrite=overwrite)
        except OutputError as error:
            raise AssertionError(stop) from error
        assert output_digest(path, "a") == digest
        assert left_in(folder) == left_in(wanted), stop
    assert points >= (11 if overwrite else 6)


def test_a_writer_that_was_killed_leaves_a_folder_that_the_next_one_deletes(tmp_path: Path) -> None:
    place = Workplace(tmp_path / "a.gpkg")
    (place.folder / "features.arrow").write_bytes(b"half")
    (tmp_path / ".a.gpkg.lock").touch()
    place._lock.release()
    add(tmp_path / "a.gpkg", "a")
    assert left_in(tmp_path) == ["a.gpkg"]


# -- what joins a GeoPackage -----------------------------------------------------------------------


def test_a_layer_that_joins_is_like_one_of_its_own(tmp_path: Path) -> None:
    add(tmp_path / "own.gpkg", "new", 300)
    path = existing(tmp_path)
    add(path, "new", 300)
    assert_geodataframe_equal(read(path, layer="new"), read(tmp_path / "own.gpkg", layer="new"))
    some = (350_000.0, 3e6, 350_100.0, 3e6 + 10)
    assert len(read(path, layer="new", bbox=some)) == 6  # through the spatial index
    frame = read(path, layer="base").iloc[:1]
    pyogrio.write_dataframe(frame, path, layer="new", append=True, promote_to_multi=True)
    info = pyogrio.read_info(path, layer="new")
    assert info["features"] == 301
    with closing(sqlite3.connect(path)) as db:
        for table in ("gpkg_geometry_columns", "gpkg_extensions", "gpkg_ogr_contents"):
            (rows,) = db.execute(
                f"SELECT count(*) FROM {table} WHERE table_name = 'new'"
            ).fetchone()
            assert rows == 1


def test_a_page_size_of_its_own_and_utf_16_are_no_obstacle(tmp_path: Path) -> None:
    path = existing(tmp_path)
    other = tmp_path / "other.gpkg"
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(other)) as new:
        new.execute("PRAGMA encoding = 'UTF-16le'")
        new.execute("PRAGMA page_size = 512")
        for name in ("gpkg_spatial_ref_sys", "gpkg_contents"):
            query = "SELECT sql FROM sqlite_master WHERE name = ?"
            new.execute(old.execute(query, (name,)).fetchone()[0])
        new.execute("PRAGMA application_id = 0x47504B47")
        new.commit()
    add(other, "base", 300)
    assert state(other) == ("ok", ["base"], 300, 0)
    assert set(read(other, layer="base")["label"]) == {"Häuser"}
    assert len(read(other, layer="base", bbox=(350_000, 3e6, 350_100, 3e6 + 10))) == 6


def test_coordinate_systems_of_one_number_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "mars.gpkg"
    moons = [
        "+proj=eqc +a=3396190 +b=3396190 +type=crs",
        "+proj=eqc +a=1737400 +b=1737400 +type=crs",
    ]
    frame = gpd.GeoDataFrame({"id": ["x"]}, geometry=[box(0, 0, 10, 10)])
    for number, crs in enumerate([*moons, *moons]):
        with LayerWriter(path, crs, layer_name=f"m{number}") as writer:
            writer.write(frame.set_crs(crs))
    for number, crs in enumerate([*moons, *moons]):
        layer = read(path, layer=f"m{number}")
        assert layer.crs.ellipsoid.semi_major_metre == float(crs.split("+a=")[1].split()[0])
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT count(*) FROM gpkg_spatial_ref_sys WHERE organization = 'NONE'"
        assert db.execute(query).fetchone() == (4,)  # two undefined ones, and these two
        (blob,) = db.execute("SELECT geom FROM m1").fetchone()
        number = db.execute(
            "SELECT srs_id FROM gpkg_geometry_columns WHERE table_name = 'm1'"
        ).fetchone()[0]
    assert int.from_bytes(blob[4:8], "little") == number
    assert shapely.from_wkb(blob[40:]).area == 100


@pytest.mark.parametrize("turned", [False, True])
def test_a_coordinate_system_that_wkt_1_cannot_hold_is_told_from_others(
    tmp_path: Path, turned: bool
) -> None:
    path = tmp_path / "a.gpkg"
    tilted = "+proj=ob_tran +o_proj=longlat +o_lon_p={} +o_lat_p=39.25 +lon_0=180 +ellps=WGS84"
    wanted = {"flat": "+proj=laea +lat_0=45 +lon_0=10 +R=6370997"}
    wanted |= {f"by{pole}": tilted.format(pole) for pole in (-162, 20)}
    for layer, crs in reversed(wanted.items()) if turned else wanted.items():
        with LayerWriter(path, crs, layer_name=layer) as writer:
            writer.write(gpd.GeoDataFrame({"id": ["x"]}, geometry=[box(0, 0, 1, 1)], crs=crs))
    kept = {layer: str(read(path, layer=layer).crs.to_wkt()) for layer in wanted}
    assert "Lambert Azimuthal Equal Area" in kept["flat"]
    assert "-162" in kept["by-162"]
    assert "-162" not in kept["by20"]
    assert "ob_tran" in kept["by20"]


@pytest.mark.parametrize("count", [0, 3])
def test_the_same_rows_in_another_coordinate_system_replace_a_layer(
    tmp_path: Path, count: int
) -> None:
    path = tmp_path / "a.gpkg"
    moment = datetime(2024, 1, 1, tzinfo=timezone.utc)
    for crs in (32644, 32645):
        with LayerWriter(path, crs, overwrite=True, modified=moment) as writer:
            shapes = [box(350_000 + i, 3e6, 350_001 + i, 3e6 + 1) for i in range(count)]
            names = [str(i) for i in range(count)]
            writer.write(gpd.GeoDataFrame({"id": names}, geometry=shapes, crs=crs))
    assert read(path, layer="a").crs.to_epsg() == 32645


def test_a_replaced_layer_keeps_the_users_own_style_and_no_trace_of_the_old_one(
    tmp_path: Path,
) -> None:
    path = existing(tmp_path)
    add(path, "new", 50)
    with closing(sqlite3.connect(path)) as db:
        db.execute(
            "INSERT INTO layer_styles (f_table_name, f_geometry_column, styleName, styleQML, "
            "useAsDefault) VALUES ('new', 'geom', 'my own', '<qgis/>', 1)"
        )
        db.execute("UPDATE layer_styles SET useAsDefault = 0 WHERE styleName != 'my own'")
        db.commit()
    add(path, "NEW", 30, overwrite=True)
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT styleName, useAsDefault FROM layer_styles WHERE lower(f_table_name) = 'new'"
        assert sorted(db.execute(query)) == [("SamGeo objects", 0), ("my own", 1)]
        names = [row[0].lower() for row in db.execute("SELECT name FROM sqlite_master")]
    assert len(names) == len(set(names))
    assert len(read(path, layer="NEW")) == 30
    assert state(path) == ("ok", ["NEW", "base"], 200, 0)


def test_a_layer_that_is_there_as_it_would_be_changes_nothing(tmp_path: Path) -> None:
    from datetime import datetime, timezone

    path = existing(tmp_path)
    then = datetime(2024, 5, 6, tzinfo=timezone.utc)
    add(path, "new", modified=then)
    before = path.read_bytes()
    add(path, "new", overwrite=True, modified=then)
    assert path.read_bytes() == before


def test_names_that_another_layer_calls_itself_by_do_not_collide(tmp_path: Path) -> None:
    path = existing(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE gpkg_contents SET identifier = 'new' WHERE table_name = 'base'")
        db.commit()
    add(path, "new")
    assert state(path)[:2] == ("ok", ["base", "new"])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("CREATE TABLE new (a TEXT)", "no vector layer"),
        ("CREATE VIEW new AS SELECT * FROM base", "no vector layer"),
        (
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) "
            "VALUES ('new', 'tiles', 'new')",
            "a raster",
        ),
    ],
)
def test_what_is_no_vector_layer_is_never_replaced(tmp_path: Path, make: str, said: str) -> None:
    path = existing(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        db.execute(make)
        db.commit()
    before = path.read_bytes()
    with pytest.raises(OutputError, match=said):
        LayerWriter(path, 32645, layer_name="New", overwrite=True)
    assert path.read_bytes() == before


# -- links and names -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".shp"])
def test_an_output_through_a_link_goes_where_the_link_points(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / f"link{suffix}"
    try:
        link.symlink_to(tmp_path / "real" / f"a{suffix}")
    except OSError:
        pytest.skip("no symbolic links here")
    for overwrite in (False, True):
        add(link, "a", overwrite=overwrite)
        assert link.is_symlink()
        assert len(read(tmp_path / "real" / f"a{suffix}")) == 20
    assert left_in(tmp_path) == [f"link{suffix}", "real"]


def test_all_names_of_a_hard_linked_geopackage_see_the_layer(tmp_path: Path) -> None:
    path = existing(tmp_path)
    os.link(path, tmp_path / "other.gpkg")
    add(path, "new")
    assert state(tmp_path / "other.gpkg")[1] == ["base", "new"]


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("a.gpkg", "gpkg_contents"),
        ("a.gpkg", "rtree_a_geom"),
        ("a.gpkg", "sqlite_sequence"),
        ("a.gpkg", "Layer_Styles"),
        ("a.gpkg", " "),
        ("a.gpkg", "a\nb"),
        ("a.gpkg", 'the "best"'),
        ("x" * 300 + ".gpkg", None),
        ("x" * 246 + ".geojson", None),
        ("a\0b.gpkg", None),
    ],
)
def test_names_that_cannot_be_are_refused_before_the_work(
    tmp_path: Path, name: str, layer: str | None
) -> None:
    with pytest.raises(OutputError):
        LayerWriter(tmp_path / name, 32645, layer_name=layer)
    assert left_in(tmp_path) == []


def test_a_shapefile_never_takes_files_that_are_no_shapefiles(tmp_path: Path) -> None:
    (tmp_path / "a.dbf").write_bytes(b"my own table")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"a\.dbf"):
            LayerWriter(tmp_path / "a.shp", 32645, overwrite=overwrite)
    assert (tmp_path / "a.dbf").read_bytes() == b"my own table"


@pytest.mark.skipif(sys.platform == "win32", reason="makes a pipe")
def test_what_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.geojson")
    with pytest.raises(OutputError, match="not an ordinary file"):
        LayerWriter(tmp_path / "a.geojson", 32645, overwrite=True)
