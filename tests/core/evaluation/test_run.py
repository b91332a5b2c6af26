# SPDX-License-Identifier: GPL-2.0-or-later
import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from samgeo_core.cli.commands import main
from samgeo_core.errors import OutputError, ParameterError, SamGeoWarning
from samgeo_core.evaluation.figures import average_precision
from samgeo_core.evaluation.objects import Objects, boundary_iou, match
from samgeo_core.evaluation.run import by_place, evaluate
from samgeo_core.layers.provenance import read_provenance
from samgeo_core.masks.job_folder import JobFolder
from shapely import box

UTM = "EPSG:32632"
EAST, NORTH = 500_000, 5_500_000


def layer(*shapes, crs=UTM, **columns):
    moved = [shapely.transform(s, lambda xy: xy + np.array([EAST, NORTH])) for s in shapes]
    return gpd.GeoDataFrame(columns, geometry=moved, crs=crs)


def square(x, y, side=10):
    return box(x, y, x + side, y + side)


def test_what_is_found_exactly_is_perfect_in_any_crs():
    truth = layer(square(0, 0), square(30, 0), square(60, 0))
    result = layer(square(0, 0), square(30, 0), square(60, 0), score=[0.9, 0.8, 0.7])
    for crs in ("EPSG:4326", "EPSG:3857", "EPSG:25833"):
        got = evaluate(result.to_crs(crs), truth).overall
        assert (got.matched, got.recall, got.precision, got.f1) == (3, 1, 1, 1)
        assert got.pq == pytest.approx(1, abs=1e-4)
        assert got.ap == 1
        assert got.boundary_iou == pytest.approx(1, abs=1e-3)


def test_areas_are_those_on_the_ground():
    """Web Mercator at 50 degrees shows areas 2.4 times too large."""
    truth = layer(*(square(30 * k, 0) for k in range(6))).to_crs("EPSG:3857")
    sizes = evaluate(truth, truth).sizes
    assert sizes[1].least == pytest.approx(100, rel=2e-3)


def test_missed_false_and_half_found_objects_by_hand():
    truth = layer(square(0, 0), square(30, 0), square(60, 0))
    result = layer(square(0, 0), box(30, 0, 38, 10), square(200, 0))
    got = evaluate(result, truth).overall
    assert (got.truth, got.found, got.matched) == (3, 3, 2)
    assert got.sq == pytest.approx((1 + 0.8) / 2, abs=1e-6)
    assert got.rq == got.f1 == pytest.approx(2 / 3)
    assert got.pq == pytest.approx(0.9 * 2 / 3, abs=1e-6)
    assert got.mean_iou == pytest.approx(1.8 / 3, abs=1e-6)


def test_merges_splits_and_duplicates_are_counted():
    truth = layer(square(0, 0), square(12, 0), square(60, 0, 20), square(100, 0))
    result = layer(
        box(0, 0, 22, 10),  # two in one
        box(60, 0, 70, 20), box(70, 0, 80, 20),  # one in two
        square(100, 0), box(100, 0, 110, 9),  # the same twice
    )  # fmt: skip
    got = evaluate(result, truth).overall
    assert (got.merges, got.splits, got.duplicates) == (1, 1, 1)


def test_an_object_within_another_is_no_merge():
    truth = layer(square(0, 0, 100), square(40, 40))
    assert evaluate(layer(square(0, 0, 100)), truth).overall.merges == 0


def test_objects_match_within_their_class_and_confusion_is_told():
    truth = layer(square(0, 0), square(30, 0), square(60, 0), kind=["a", "a", "b"])
    result = layer(square(0, 0), square(30, 0), square(60, 0), kind=["a", "b", "b"])
    got = evaluate(result, truth, class_field="kind")
    assert got.overall.matched == 3
    assert got.classes["a"].recall == 0.5
    assert got.classes["b"].precision == 0.5
    assert got.confusion == {"a -> a": 1, "a -> b": 1, "b -> b": 1}
    assert got.mean_pq == pytest.approx((2 / 3 + 2 / 3) / 2, abs=1e-6)


def test_what_lies_outside_the_area_is_neither_right_nor_wrong():
    truth = layer(square(0, 0), square(200, 0), square(95, 0))
    result = layer(square(0, 0), square(300, 0), square(96, 0))
    area = layer(box(-5, -5, 100.5, 20))  # 0.45 of the last result lies inside, 0.55 of its truth
    got = evaluate(result, truth, area=area).overall
    assert (got.truth, got.found, got.matched) == (2, 2, 2)


def test_boundary_iou_is_that_of_the_bands():
    # Bands of width 1: 36 of a square of side 10; moved by 1 the bands share 18 cells.
    one, other = np.array([square(0, 0)]), np.array([square(1, 0)])
    common = shapely.area(
        shapely.intersection(
            square(0, 0).difference(square(1, 1, 8)), square(1, 0).difference(square(2, 1, 8))
        )
    )
    assert boundary_iou(one, other, 1.0)[0] == pytest.approx(common / (72 - common))
    # A band that fills everything is the plain IoU.
    assert boundary_iou(one, other, 6.0)[0] == pytest.approx(90 / 110)


def test_lines_are_compared_in_metres():
    def streets(*lines):
        return layer(*(shapely.LineString(line) for line in lines))

    truth = streets([(0, 0), (1000, 0)], [(500, 0), (500, 500)])
    got = evaluate(streets([(0, 3), (1000, 3)]).to_crs("EPSG:4326"), truth, buffers=[4])
    assert got.geometry == "line"
    assert got.relaxed[0].correctness == pytest.approx(1)
    assert got.relaxed[0].completeness == pytest.approx(2 / 3, abs=0.01)
    assert 0 < got.apls.score < 1


@pytest.mark.parametrize("kind", ["polygon", "line"])
def test_errors_are_written_where_they_lie(tmp_path, kind):
    if kind == "polygon":
        truth = layer(square(0, 0), square(30, 0), square(60, 0, 20))
        result = layer(square(0, 0), box(60, 0, 74, 20), square(200, 0))
        wanted = {"missed", "false", "imprecise"}
    else:
        truth = layer(shapely.LineString([(0, 0), (100, 0)]))
        result = layer(shapely.LineString([(50, 0), (150, 0)]))
        wanted = {"missed", "false"}
    path = tmp_path / "errors.gpkg"
    evaluate(result.to_crs("EPSG:4326"), truth, errors=path)
    got = gpd.read_file(path, layer="errors")
    assert set(got["error"]) == wanted
    assert got.crs == "EPSG:4326"
    back = got.to_crs(UTM).set_index("error").geometry
    assert back["false"].centroid.x == pytest.approx(
        EAST + (205 if kind == "polygon" else 127), abs=1
    )
    with pytest.raises(OutputError, match="exists already"):
        evaluate(result, truth, errors=path)


def test_errors_tell_numbers_of_numpy(tmp_path):
    path, one = tmp_path / "errors.gpkg", layer(square(0, 0))
    evaluate(one, one, errors=path, boundary=np.float32(1), buffers=np.array([4, 8]))
    assert read_provenance(path)["options"] == {"boundary": 1}
    evaluate(one, one, errors=path, overwrite=True, buffers=[np.int64(5)])
    assert read_provenance(path)["options"] == {"buffers": [5]}


@pytest.mark.parametrize(
    ("result", "truth", "sentence"),
    [
        (layer(square(0, 0)), layer(shapely.LineString([(0, 0), (1, 1)])), "one kind"),
        (layer(shapely.Point(0, 0)), layer(square(0, 0)), "polygons only, or lines only"),
        (layer(square(0, 0), crs=None), layer(square(0, 0)), "coordinate system"),
        (layer(), layer(), "both empty"),
    ],
)
def test_layers_that_do_not_go_together_are_refused(result, truth, sentence):
    with pytest.raises(ParameterError, match=sentence):
        evaluate(result, truth)


def test_a_field_that_is_missing_is_named():
    with pytest.raises(ParameterError, match="no field 'kind'"):
        evaluate(layer(square(0, 0)), layer(square(0, 0)), class_field="kind")
    scored = layer(square(0, 0)).assign(sure=0.5, kind="roof")
    assert evaluate(scored, scored, score_field="sure").overall.ap == 1
    assert evaluate(scored, scored, score_field=None).overall.ap is None
    with pytest.raises(ParameterError, match="no field 'srue'"):
        evaluate(scored, scored, score_field="srue")
    with pytest.raises(ParameterError, match=r"kind .* no numbers: choose another score_field"):
        evaluate(scored, scored, score_field="kind")
    with pytest.raises(ParameterError, match="truth_class_field kind says nothing without class_"):
        evaluate(scored, scored, truth_class_field="kind")


def test_layers_without_a_crs_are_compared_in_their_units():
    one = layer(square(0, 0), crs=None)
    got = evaluate(one, one)
    assert got.unit == "units"
    assert got.overall.pq == 1


def test_a_local_system_in_feet_is_compared_in_metres(tmp_path):
    site = {unit: f'LOCAL_CS["site",UNIT["{unit}",{metres}]]'
            for unit, metres in (("metre", 1), ("foot", 0.3048))}  # fmt: skip
    done = {}
    for unit, size in (("metre", 1.0), ("foot", 1 / 0.3048)):

        def scaled(shapes, size=size):
            return [shapely.transform(shape, lambda xy: xy * size) for shape in shapes]

        truth = [square(30 * k, 0) for k in range(3)]
        result = [square(0, 0), square(30, 0), square(90, 5)]
        path = tmp_path / f"{unit}.gpkg"
        layers = [
            gpd.GeoDataFrame(geometry=scaled(each), crs=site[unit]) for each in (result, truth)
        ]
        done[unit] = evaluate(*layers, errors=path)
        errors = gpd.read_file(path)
        assert list(errors["size"]) == pytest.approx([100, 100])
        false = errors[errors["error"] == "false"].geometry.iloc[0]
        assert false.bounds == pytest.approx(layers[0].geometry[2].bounds)
    assert done["foot"].unit == "m"
    assert done["foot"].boundary == pytest.approx(done["metre"].boundary)
    assert done["foot"].sizes[1].least == pytest.approx(100)


def test_across_the_date_line_objects_are_whole():
    truth = gpd.GeoDataFrame(geometry=[box(179.999, 10, 180.001, 10.002)], crs="EPSG:4326")
    halves = shapely.multipolygons([box(179.999, 10, 180, 10.002), box(-180, 10, -179.999, 10.002)])
    got = evaluate(gpd.GeoDataFrame(geometry=[halves], crs="EPSG:4326"), truth).overall
    assert got.pq == pytest.approx(1, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_features_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    shapes = [square(*rng.uniform(0, 60, 2), rng.uniform(5, 20)) for _ in range(30)]
    scores = rng.random(15).round(1)
    truth, result = layer(*shapes[:15]), layer(*shapes[15:], score=scores)
    mixed = result.iloc[rng.permutation(15)]
    assert evaluate(result, truth) == evaluate(mixed, truth.iloc[::-1])


def objects(shapes, scores=None):
    shapes = np.array(shapes, object)
    count = len(shapes)
    return Objects(shapes, np.arange(count), np.ones(count, bool), None, scores)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_pairs_and_faults_are_those_of_the_benchmarks(seed):
    """The same definitions on pixels: whole-numbered boxes are exact in both."""
    from samgeo_core.testing.metrics import evaluate as by_pixels
    from samgeo_core.testing.scenes import Thing
    from samgeo_core.types import CellBox

    rng = np.random.default_rng(seed)

    def some(count):
        corner = rng.integers(0, 20, (count, 2))
        return np.concatenate([corner, corner + rng.integers(1, 12, (count, 2))], axis=1)

    both = [some(8), some(8)]
    things = [
        [Thing(CellBox(*map(int, b)), np.ones((b[2] - b[0], b[3] - b[1]), bool), "") for b in bs]
        for bs in both
    ]
    wanted = by_pixels(*things)
    shapes = [np.array([box(*b) for b in bs], object) for bs in both]
    got = match(*(objects(s[by_place(s)]) for s in shapes))
    # Pairs of equal IoU may be taken in another order, so only their number is compared loosely.
    assert abs(len(got.iou) - wanted.matched) <= 1
    assert len(got.duplicates) == wanted.duplicates
    assert len(got.merged) == wanted.merges


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_average_precision_is_that_of_pycocotools(seed):
    mask = pytest.importorskip("pycocotools.mask")
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    rng = np.random.default_rng(seed)

    def shapes(count):
        corner = rng.integers(0, 80, (count, 2))
        size = rng.integers(5, 20, (count, 2))
        return np.concatenate([corner, corner + size], axis=1)

    truth = shapes(12)
    found = np.concatenate([truth[:8] + rng.integers(-3, 4, (8, 4)), shapes(6)])
    found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
    found = np.clip(found, 0, 110)
    scores = rng.permutation(14) / 14

    def annotation(number, b):
        pixels = np.zeros((120, 120), np.uint8, order="F")
        pixels[b[1] : b[3], b[0] : b[2]] = 1
        code = mask.encode(pixels)
        area = int(pixels.sum())
        return {"id": number + 1, "image_id": 1, "category_id": 1, "segmentation": code,
                "area": area, "iscrowd": 0, "bbox": [0, 0, 1, 1]}  # fmt: skip

    data = coco.COCO()
    data.dataset = {
        "images": [{"id": 1, "width": 120, "height": 120}],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": [annotation(k, b) for k, b in enumerate(truth)],
    }
    data.createIndex()
    results = data.loadRes(
        [
            annotation(k, b) | {"score": float(s)}
            for k, (b, s) in enumerate(zip(found, scores, strict=True))
        ]
    )
    judge = COCOeval(data, results, "segm")
    judge.params.maxDets = [100, 100, 100]
    judge.params.areaRng, judge.params.areaRngLbl = [[0, 1e10]], ["all"]
    judge.evaluate()
    judge.accumulate()
    precision = judge.eval["precision"][:, :, 0, 0, 2]
    got = average_precision(
        objects([box(*b) for b in found], scores), objects([box(*b) for b in truth])
    )
    assert got[1] == pytest.approx(precision[0].mean(), abs=1e-9)
    assert got[2] == pytest.approx(precision[5].mean(), abs=1e-9)
    assert got[0] == pytest.approx(precision.mean(), abs=1e-9)


def test_the_command_prints_a_table_or_json(tmp_path):
    result, truth = tmp_path / "result.gpkg", tmp_path / "truth.gpkg"
    layer(square(0, 0), square(30, 0), square(90, 0), score=[0.9, 0.8, 0.1]).to_file(result)
    layer(square(0, 0), square(30, 0), square(60, 0)).to_file(truth)
    said = CliRunner().invoke(main, ["evaluate", str(result), str(truth)])
    assert said.exit_code == 0, said.output
    assert "PQ" in said.output
    said = CliRunner().invoke(main, ["evaluate", str(result), str(truth), "--json"])
    got = json.loads(said.stdout)
    assert got["overall"]["matched"] == 2
    assert pd.notna(got["overall"]["ap"])
    missing = CliRunner().invoke(main, ["evaluate", str(result), "nothing.gpkg"])
    assert missing.exit_code == 2
    assert "nothing.gpkg cannot be read: there is no such file" in missing.output


def test_the_errors_never_replace_what_is_compared(tmp_path):
    truth, result = tmp_path / "truth.gpkg", tmp_path / "result.gpkg"
    layer(square(0, 0)).to_file(truth)
    layer(square(2, 0)).to_file(result)
    before = truth.read_bytes(), result.read_bytes()
    for path, what in ((truth, "the truth"), (result, "the result")):
        with pytest.raises(OutputError, match=f"is also {what}"):
            evaluate(result, truth, errors=path, overwrite=True)
    assert (truth.read_bytes(), result.read_bytes()) == before


def test_errors_of_a_run_that_was_killed_are_its_own(tmp_path, monkeypatch):
    truth, result = tmp_path / "truth.gpkg", tmp_path / "result.gpkg"
    layer(square(0, 0), square(30, 0)).to_file(truth)
    layer(square(2, 0)).to_file(result)
    errors = tmp_path / "errors.geojson"

    class Killed(BaseException):
        pass

    def kill(folder):
        folder.release()  # as the system does with a dead process's locks
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(JobFolder, "remove", kill)
        with pytest.raises(Killed):
            evaluate(result, truth, errors=errors)
    before = errors.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        evaluate(result, truth, errors=errors, boundary=2.0)  # another run
    evaluate(result, truth, errors=errors)
    assert errors.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [errors.name, result.name, truth.name]
    with pytest.raises(OutputError, match="exists already"):
        evaluate(result, truth, errors=errors)


def test_features_without_a_place_are_left_out_and_said():
    whole = layer(square(0, 0), square(30, 0))
    nowhere = shapely.transform(
        square(60, 0), lambda xy: np.where(np.arange(5)[:, None] == 2, np.nan, xy)
    )
    more = pd.concat([whole, gpd.GeoDataFrame(geometry=[None, nowhere], crs=UTM)])
    with pytest.warns(SamGeoWarning, match="2 features of the result are left out"):
        assert evaluate(more, whole).overall.found == 2


def test_of_several_layers_the_option_that_names_another_is_said(tmp_path):
    for name in ("result", "truth", "area"):
        for inside in ("first", "second"):
            layer(square(0, 0)).to_file(tmp_path / f"{name}.gpkg", layer=inside)
    result, truth, area = (str(tmp_path / f"{name}.gpkg") for name in ("result", "truth", "area"))
    done = CliRunner().invoke(main, ["evaluate", result, truth, "--area", area])
    assert done.exit_code == 0
    said = " ".join(done.output.split())
    for path, how in ((result, "with --layer"), (truth, "with --truth-layer"),
                      (area, f"as {area}|layername=NAME")):  # fmt: skip
        assert f"{path} has several layers (first, second): the first one is taken; name " in said
        assert f"name another {how}." in said
