# SPDX-License-Identifier: GPL-2.0-or-later
import json
import os
import subprocess
import sys
import warnings

import pytest
from click.testing import CliRunner
from samgeo_core.cli.commands import main
from samgeo_core.cli.console import Console, reporting
from samgeo_core.errors import ModelError, SamGeoWarning
from samgeo_core.models.weights import checkpoints

from ..scenes import MARGIN, TILE, SceneOracle, scene, write_raster

MAKE = "samgeo_core.jobs.automatic.make_segmenter"


@pytest.fixture
def oracle(monkeypatch):
    """The command as it is, with the oracle in the place of the model."""
    made = []

    def make(params):
        made.append(params)
        return SceneOracle()

    monkeypatch.setattr(MAKE, make)
    return made


@pytest.fixture(scope="module")
def raster(tmp_path_factory):
    return str(write_raster(tmp_path_factory.mktemp("raster") / "scene.tif"))


def call(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


SIZES = ["--tile-size", TILE, "--margin", MARGIN]


def test_segment_says_what_it_has_made(oracle, raster, tmp_path):
    output = tmp_path / "a.fgb"
    result = call("segment", raster, output, *SIZES)
    assert result.exit_code == 0
    assert f"{len(scene().things)} polygons from 16 tiles" in result.output
    assert output.exists()


def test_a_plan_counts_one_scene_as_one(oracle, raster, tmp_path):
    said = call(
        "segment", raster, tmp_path / "{scene}.fgb", *SIZES, "--scenes", "each", "--dry-run"
    )
    assert said.exit_code == 0, said.output
    assert "1 scene " in said.output
    assert "1 scenes" not in said.output
    assert not list(tmp_path.iterdir())


def test_what_libraries_warn_of_is_not_the_users_business(capsys):
    with reporting(Console()):
        warnings.warn("numpy will change", DeprecationWarning, stacklevel=1)
        warnings.warn("the raster has no coordinate system", SamGeoWarning, stacklevel=1)
    said = capsys.readouterr().err
    assert "no coordinate system" in said
    assert "numpy" not in said


def test_one_tile_is_not_tiles(oracle, raster, tmp_path):
    result = call("segment", raster, tmp_path / "a.fgb", "--tile-size", 1024)
    assert " polygons from 1 tile in " in result.output


def test_json_is_one_object_and_nothing_else(oracle, raster, tmp_path):
    result = call("segment", raster, tmp_path / "a.fgb", *SIZES, "--json")
    values = json.loads(result.stdout)
    assert values["features"] == len(scene().things)
    assert values["failed"] == []


def test_warnings_in_json_name_the_options_of_the_command(oracle, raster, tmp_path):
    layer = tmp_path / "town.gpkg"
    arguments = ["segment", raster, layer, *SIZES, "--min-area", 1e9]
    assert "by --min-area 1e+09" in call(*arguments).stderr
    (note,) = json.loads(call(*arguments, "--overwrite", "--json").stdout)["warnings"]
    assert "by --min-area 1e+09" in note


def test_names_are_printed_as_they_are(oracle, raster, tmp_path):
    """A scale of 1:100:... is no emoji, and [bold] is no markup."""
    output = tmp_path / "a:100:[bold].fgb"
    result = call("segment", raster, output, *SIZES, "--json")
    assert json.loads(result.stdout)["output"] == str(output)


def test_options_reach_the_job(oracle, raster, tmp_path):
    call(
        *("segment", raster, tmp_path / "a.fgb", *SIZES, "--bands", "3,2,1", "--mode", "flat"),
        *("--min-area", 7, "--word", "roof", "--word", "road", "--no-repair", "--stretch", "[1,9]"),
    )
    (params, *_) = oracle
    assert (params.bands, params.mode, params.min_area) == ([3, 2, 1], "flat", 7)
    assert (params.words, params.repair, params.overview) == (["roof", "road"], False, True)
    assert params.stretch == [[1.0, 9.0]]


def test_errors_are_one_sentence_and_an_exit_code(raster, tmp_path):
    (tmp_path / "there.gpkg").write_bytes(b"")
    for code, text, arguments in [
        (3, "There is no file nope.tif", ["segment", "nope.tif", tmp_path / "a.gpkg"]),
        (2, "layer to write", ["segment", raster, raster]),
        (2, "--bands takes numbers", ["segment", raster, tmp_path / "a.gpkg", "--bands", "r,g"]),
        (2, "--extent takes 4", ["segment", raster, tmp_path / "a.gpkg", "--extent", "1,2"]),
        (2, "EPSG:999", ["segment", raster, tmp_path / "a.gpkg", "--crs", "EPSG:999"]),
        (2, "--simplify must be", ["segment", raster, tmp_path / "a.gpkg", "--simplify", "nan"]),
        (2, "without --word", ["segment", raster, tmp_path / "a.gpkg", "--detector", "sam3"]),
        (2, "without --prompts", ["segment", raster, tmp_path / "a.gpkg", "--prompt-id", "code"]),
        (
            *(2, "--prompts or --word"),
            ["segment", raster, tmp_path / "a.gpkg", "--prompts", "a.gpkg", "--word", "roof"],
        ),
        (2, "without --strokes", ["roads", raster, tmp_path / "a.gpkg", "--class-field", "kind"]),
        (
            *(2, "give --strokes once"),
            ["roads", raster, tmp_path / "a.gpkg", "--class-field=kind", *["--strokes=a.gpkg"] * 2],
        ),
        (6, "names no format", ["segment", raster, tmp_path / "a.xyz"]),
        (5, "no model named", ["segment", raster, tmp_path / "a.gpkg", "--model", "yolo"]),
        (3, "nope.tif", ["info", "nope.tif"]),
    ]:
        result = call(*arguments)
        assert (result.exit_code, result.exception.__class__) == (code, SystemExit), arguments
        assert text in result.output
        assert "Traceback" not in result.output
        result = call(*arguments, "--json")
        assert text in json.loads(result.stdout)["error"]["message"]


def test_a_job_with_failed_tiles_ends_with_its_own_code(monkeypatch, raster, tmp_path):
    broken = SceneOracle(broken="r00000_c00001")
    monkeypatch.setattr(MAKE, lambda params: broken)
    result = call("segment", raster, tmp_path / "a.fgb", *SIZES)
    assert result.exit_code == 8
    assert "r00000_c00001" in result.output
    assert (tmp_path / "a.fgb").exists()
    result = call("segment", raster, tmp_path / "a.fgb", *SIZES, "--json")
    values = json.loads(result.stdout)
    assert (result.exit_code, values["error"]["kind"]) == (8, "IncompleteError")
    assert values["failed"][0].startswith("r00000_c00001")


def test_ctrl_c_keeps_what_is_done(monkeypatch, raster, tmp_path):
    class Interrupted(SceneOracle):
        def segment(self, image):
            if image.tile.index.row == 1:
                raise KeyboardInterrupt
            return super().segment(image)

    monkeypatch.setattr(MAKE, lambda params: Interrupted())
    result = call("segment", raster, tmp_path / "a.fgb", *SIZES)
    assert result.exit_code == 130
    assert len(list((tmp_path / "a.fgb.job" / "tiles").glob("*.npz"))) == 4
    assert not (tmp_path / "a.fgb").exists()


def test_info_describes_a_raster(raster):
    result = call("info", raster)
    assert result.exit_code == 0
    assert "640 x 640 pixels" in result.output
    assert "EPSG:32645" in result.output
    assert json.loads(call("info", raster, "--json").stdout)["crs"] == "EPSG:32645"


def test_models_are_listed_with_their_state(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMGEO_MODELS_DIR", str(tmp_path))
    listed = json.loads(call("models", "list", "--json").stdout)["models"]
    assert {"embedded", "sam-vit-b", "sam2.1-tiny"} <= {m["name"] for m in listed}
    assert [m["name"] for m in listed if m["installed"]] == ["embedded"]
    assert "embedded" in call("models").output


def test_a_model_that_is_not_there_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMGEO_MODELS_DIR", str(tmp_path))
    result = call("models", "verify", "sam-vit-b")
    assert result.exit_code == ModelError.exit_code
    assert "samgeo models download sam-vit-b" in result.output


def test_verifying_a_damaged_model_names_what_can_be_done(monkeypatch, tmp_path):
    monkeypatch.setenv("SAMGEO_MODELS_DIR", str(tmp_path / "models"))
    file = tmp_path / "mine.pt"
    file.write_bytes(b"PK")
    result = call("models", "verify", file)
    assert result.exit_code == ModelError.exit_code
    assert "get the file again" in result.stderr
    monkeypatch.setattr(checkpoints, "EMBEDDED_WEIGHTS", file)
    result = call("models", "verify", "embedded")
    assert "it comes with SamGeo Seamless, install that again" in result.stderr
    folder = tmp_path / "models" / "sam-vit-b"
    folder.mkdir(parents=True)
    (folder / "w.pt").write_bytes(b"PK")
    files = [{"name": "w.pt", "sha256": "0", "size": 2}]
    (folder / "manifest.json").write_text(json.dumps({"files": files}))
    result = call("models", "verify", "sam-vit-b")
    assert "remove it with 'samgeo models remove sam-vit-b' and download it again" in result.stderr


@pytest.mark.parametrize("verb", ["download", "remove"])
def test_the_embedded_model_is_neither_got_nor_removed(verb):
    result = call("models", verb, "embedded")
    assert result.exit_code == ModelError.exit_code
    assert "comes with the package" in result.output
    assert "?" not in result.output


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_names_that_a_pipe_cannot_write_stop_nothing(tmp_path, sample_data, encoding):
    path = tmp_path / "屋顶_Dächer.tif"
    path.write_bytes((sample_data / "town_rotated.tif").read_bytes())
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C.UTF-8"}
    for arguments, code in (
        (["info", path], 0),
        (["info", "--json", path], 0),
        (["segment", tmp_path / "没有.tif", tmp_path / "x.gpkg"], 3),
    ):
        command = [sys.executable, "-m", "samgeo_core.cli.commands", *map(str, arguments)]
        ran = subprocess.run(command, capture_output=True, env=environment, check=False)
        assert ran.returncode == code, ran.stderr.decode(encoding)
        text = ran.stdout.decode(encoding)
        if "--json" in arguments:
            assert json.loads(text)["sources"] == [str(path)]


def test_the_command_says_how_rasters_of_different_dates_are_chosen(tmp_path, sample_data):
    content = (sample_data / "town_rotated.tif").read_bytes()
    paths = [tmp_path / "town_2019.tif", tmp_path / "town_2021.tif"]
    for path in paths:
        path.write_bytes(content)
    refused = CliRunner().invoke(main, ["info", *map(str, paths)])
    assert refused.exit_code == 3
    assert "--overlap newest" in refused.stderr
    done = CliRunner().invoke(main, ["info", "--overlap", "newest", *map(str, paths)])
    assert done.exit_code == 0, done.stderr


def test_notes_of_a_mosaic_name_no_parameter_of_python(tmp_path, sample_data):
    paths = [tmp_path / "a.tif", tmp_path / "b.tif"]
    for path in paths:
        path.write_bytes((sample_data / "town_rotated.tif").read_bytes())
    done = CliRunner().invoke(main, ["info", *map(str, paths)])
    assert "is on top (--overlap chooses)." in done.stderr
    notes = " ".join(done.stdout.partition("notes ")[2].split())
    assert notes.endswith("the last one given is on top.")
    given = json.loads(CliRunner().invoke(main, ["info", "--json", *map(str, paths)]).stdout)
    assert given["notes"][-1].endswith("the last one given is on top.")
