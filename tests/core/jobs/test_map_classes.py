# SPDX-License-Identifier: GPL-2.0-or-later
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.features import geometry_mask
from samgeo_core.classes.classifier import class_probabilities
from samgeo_core.classes.skeleton import smoothed
from samgeo_core.errors import (
    Cancelled,
    OutputError,
    ParameterError,
    PromptError,
    SamGeoWarning,
)
from samgeo_core.job import MapParameters
from samgeo_core.jobs import folder as jobs
from samgeo_core.jobs.classes import map_features
from samgeo_core.jobs.classes.class_map import ClassMap
from samgeo_core.jobs.classes.feature_stage import map_grid
from samgeo_core.jobs.classes.map_classes import map_classes
from samgeo_core.merge.nodes import lattice
from samgeo_core.models.load import load_model
from samgeo_core.raster.raster import open_raster

from ..classes.world import CRS, TRANSFORM, ShuffledExecutor, mobile_sam, sam2

HEIGHT, WIDTH, ROAD = 300, 420, 14


def ground(points):
    return shapely.LineString([TRANSFORM @ point for point in points])


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    """Two grey roads that cross on green, and a blue pond; strokes on each."""
    folder = tmp_path_factory.mktemp("streets")
    rng = np.random.default_rng(5)
    image = np.empty((HEIGHT, WIDTH, 3), float)
    image[:] = (70, 120, 60)
    image[143 : 143 + ROAD] = (150, 150, 155)
    image[:, 203 : 203 + ROAD] = (150, 150, 155)
    image[210:280, 280:380] = (40, 60, 140)
    image += rng.normal(0, 5, image.shape)
    raster = folder / "streets.tif"
    with rasterio.open(
        raster, "w", driver="GTiff", height=HEIGHT, width=WIDTH, count=3, dtype="uint8",
        crs=CRS, transform=TRANSFORM,
    ) as file:  # fmt: skip
        file.write(np.clip(image, 0, 255).astype("uint8").transpose(2, 0, 1))
    strokes = {
        "road": [ground([(20, 150), (80, 150)]), ground([(210, 20), (210, 80)])],
        "grass": [ground([(30, 40), (120, 90)]), ground([(300, 50), (380, 90)])],
        "water": [ground([(300, 240), (360, 250)]), ground([(300, 260), (350, 230)])],
    }
    kinds = [kind for kind, lines in strokes.items() for _ in lines]
    lines = [line for found in strokes.values() for line in found]
    layer = folder / "strokes.gpkg"
    gpd.GeoDataFrame({"kind": kinds}, geometry=lines, crs=CRS).to_file(layer)
    return raster, layer


@pytest.fixture(autouse=True)
def _no_shared_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SAMGEO_CACHE_DIR", str(tmp_path / "cache"))


def parameters(streets, output, **options):
    raster, layer = streets
    values = {
        "rasters": [str(raster)],
        "output": str(output),
        "examples": str(layer),
        "class_field": "kind",
        "tile_size": 192,
        "margin": 32,
        **options,
    }
    return MapParameters.from_dict(values)


@pytest.mark.parametrize("factory", [mobile_sam, sam2])
def test_two_roads_that_cross_become_four_lines_that_share_a_node(streets, tmp_path, factory):
    asked = parameters(streets, tmp_path / "out.gpkg", shapes="network", road_class="road")
    map_classes(asked, factory=factory)
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    lines = shapely.get_parts(found.geometry.values)
    assert len(lines) == 4
    ends = [tuple(xy) for line in lines for xy in shapely.get_coordinates(line)[[0, -1]]]
    assert max(ends.count(end) for end in ends) == 4  # exactly the same coordinates
    truth = shapely.union_all([ground([(0, 150), (WIDTH, 150)]), ground([(210, 0), (210, HEIGHT)])])
    assert all(truth.buffer(1.5).contains(line) for line in lines)
    assert found["length_m"].sum() == pytest.approx((HEIGHT + WIDTH) * 0.5, rel=0.06)
    assert found["width_m"].between(0.6 * ROAD * 0.5, 1.4 * ROAD * 0.5).all()
    assert found["class_prob"].between(0.6, 1).all()
    if factory is mobile_sam:
        with pytest.warns(SamGeoWarning, match=r"No lines: .* 1e\+06 m long\. Lower .* strokes"):
            empty = map_classes(replace(asked, min_length=1e6, overwrite=True), factory=factory)
        assert empty.features == 0


def test_widths_are_those_on_the_ground_where_pixels_are_in_degrees(streets, tmp_path):
    degree = 4.5e-6  # at 60 degrees 0.5 m down, 0.25 m across
    transform = rasterio.Affine(degree, 0, 15, 0, -degree, 60)
    with rasterio.open(streets[0]) as file:
        profile, image = file.profile, file.read()
    moved = tmp_path / "degrees.tif", tmp_path / "strokes.gpkg"
    with rasterio.open(
        moved[0], "w", **{**profile, "crs": "EPSG:4326", "transform": transform}
    ) as file:
        file.write(image)
    strokes = gpd.read_file(streets[1])
    to_degrees = (transform @ ~TRANSFORM).to_shapely()
    strokes.geometry = strokes.affine_transform(to_degrees)
    strokes.set_crs(4326, allow_override=True).to_file(moved[1])
    asked = parameters(moved, tmp_path / "out.gpkg", shapes="network", road_class="road")
    map_classes(asked, factory=mobile_sam)
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    bounds = found.geometry.bounds
    upright = bounds.maxy - bounds.miny > bounds.maxx - bounds.minx
    assert found[upright]["width_m"].to_numpy() == pytest.approx([ROAD / 4] * 2, rel=0.4)
    assert found[~upright]["width_m"].to_numpy() == pytest.approx([ROAD / 2] * 2, rel=0.4)


def test_ground_becomes_polygons_without_gaps_overlaps_or_staircases(streets, tmp_path):
    map_classes(parameters(streets, tmp_path / "out.gpkg"), factory=mobile_sam)
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    assert set(found["class"]) == {"road", "grass", "water"}
    whole = HEIGHT * WIDTH * 0.25
    assert found.geometry.area.sum() == pytest.approx(whole, rel=1e-6)
    assert shapely.union_all(found.geometry.values).area == pytest.approx(whole, rel=1e-6)
    assert shapely.coverage_is_valid(shapely.get_parts(found.geometry.values))
    pond = found[found["class"] == "water"].geometry.area.sum()
    assert pond == pytest.approx(70 * 100 * 0.25, rel=0.05)
    grass = shapely.get_parts(found[found["class"] == "grass"].geometry.values)
    assert sum(len(shapely.get_coordinates(part)) for part in grass) < 200


def test_no_polygon_is_smaller_than_asked_and_the_ground_stays_whole(streets, tmp_path):
    """Specks of many sizes, some of which simplification makes smaller than they were."""
    rng = np.random.default_rng(2)
    with rasterio.open(streets[0]) as file:
        profile, image = file.profile, file.read()
    for row, col in rng.integers(0, (HEIGHT - 30, WIDTH - 30), (60, 2)):
        height, width = rng.integers(6, 24, 2)
        image[:, row : row + height, col : col + width] = np.array([40, 60, 140])[:, None, None]
    raster = tmp_path / "specks.tif"
    with rasterio.open(raster, "w", **profile) as file:
        file.write(image)
    specks = raster, streets[1]
    asked = parameters(specks, tmp_path / "out.gpkg", min_area=10.0, simplify=4.0)
    map_classes(asked, factory=mobile_sam)
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    assert len(found) > 20
    assert found["area_m2"].min() >= 10
    assert found.geometry.area.sum() == pytest.approx(HEIGHT * WIDTH * 0.25, rel=1e-6)
    assert shapely.coverage_is_valid(shapely.get_parts(found.geometry.values))
    assert found["class_prob"].between(0, 1).all()


@pytest.mark.parametrize("shapes", ["network", "coverage"])
def test_a_tolerance_that_no_shape_would_survive_is_refused(streets, tmp_path, shapes):
    asked = parameters(streets, tmp_path / "out.gpkg", shapes=shapes, simplify=200.0)
    with pytest.raises(ParameterError, match=r"simplify 200 is 400 pixels .* at most 100 or leave"):
        map_classes(asked, factory=mobile_sam)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("shapes", ["network", "coverage"])
def test_the_same_bytes_for_shuffled_tiles_and_two_workers(streets, tmp_path, monkeypatch, shapes):
    outputs = []
    for name, workers, executor in (
        ("one", 1, None),
        ("two", 2, None),
        ("shuffled", 1, ShuffledExecutor()),
    ):
        if executor is not None:
            monkeypatch.setattr(jobs, "make_executor", lambda *_, e=executor: e)
        path = tmp_path / name / "out.gpkg"
        path.parent.mkdir()
        of = {"road_class": "road"} if shapes == "network" else {}
        asked = parameters(streets, path, shapes=shapes, workers=workers, **of)
        map_classes(asked, factory=mobile_sam)
        outputs.append(path.read_bytes())
    assert outputs[0] == outputs[1] == outputs[2]


def test_a_saved_classifier_maps_the_same(streets, tmp_path):
    saved = tmp_path / "ground.samgeo-classes"
    first = parameters(streets, tmp_path / "a.gpkg", save_classifier=str(saved))
    map_classes(first, factory=mobile_sam)
    again = {"examples": None, "class_field": None, "classifier": str(saved)}
    map_classes(parameters(streets, tmp_path / "b.gpkg", **again), factory=mobile_sam)
    one, two = (gpd.read_file(tmp_path / f"{n}.gpkg", layer=n) for n in "ab")
    assert one.geometry.geom_equals(two.geometry).all()


@pytest.mark.parametrize("least", [60.0, 1e6])
def test_ground_below_any_least_area_goes_to_what_is_beside_it(streets, tmp_path, least):
    """60 m2 are 240 cells, about what a block sees around it; 1e6 more than the raster."""
    map_classes(parameters(streets, tmp_path / "out.gpkg", min_area=least), factory=mobile_sam)
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    assert shapely.coverage_is_valid(found.geometry.values)
    assert found.area.sum() == pytest.approx(WIDTH * HEIGHT * abs(TRANSFORM.a * TRANSFORM.e))
    assert len(found) == 1 if least > 1e5 else found.area.min() >= 59.9


def test_the_probability_of_a_polygon_is_the_mean_over_its_cells(streets, tmp_path, monkeypatch):
    """Where blocks meet, too, and on what was of another class: the pond, 1750 m2."""
    monkeypatch.setattr(map_features, "BLOCK", 40)
    made = tmp_path / "made"
    options = {"simplify": 0.0, "min_area": 2000.0, "job_folder": str(made)}
    map_classes(parameters(streets, tmp_path / "out.gpkg", **options), factory=mobile_sam)
    found = gpd.read_file(tmp_path / "out.gpkg", layer="out")
    assert set(found["class"]) == {"road", "grass"}
    with open_raster(str(streets[0])) as raster:
        grid = map_grid(raster, mobile_sam().info, 192, 32, lines=False)
    classes = ["grass", "road", "water"]
    (folder,) = made.glob("features/map-*")
    logits, _ = ClassMap(folder, grid, len(classes)).logits(lattice(grid))
    said = class_probabilities(smoothed(logits))
    cells = TRANSFORM @ rasterio.Affine.scale(grid.cell)
    for shape, name, probability in zip(
        found.geometry, found["class"], found["class_prob"], strict=True
    ):
        inside = geometry_mask([shape], said.shape[:2], cells, invert=True)
        mean = said[inside][:, classes.index(name)].mean()
        assert probability == pytest.approx(mean, abs=0.002)


@pytest.mark.parametrize("side", [192, 256, 384])
def test_the_cells_of_a_map_do_not_depend_on_the_tiles(streets, side):
    with open_raster(str(streets[0])) as raster:
        cells = [
            [
                map_grid(raster, load_model("embedded").scaled(k).info, side, 32, lines=lines).cell
                for k in (0.5, 1.0, 2.0)
            ]
            for lines in (True, False)
        ]
    assert cells == [[4, 2, 1], [8, 4, 2]]


def test_bad_parameters_are_refused_in_a_sentence(streets, tmp_path):
    out = tmp_path / "out.gpkg"
    with pytest.raises(ParameterError, match="say which are roads"):
        map_classes(parameters(streets, out, shapes="network"), factory=mobile_sam)
    asked = parameters(streets, out, shapes="network", road_class="canal")
    with pytest.raises(ParameterError, match="no class 'canal'"):
        map_classes(asked, factory=mobile_sam)
    one = gpd.read_file(streets[1])
    one[one["kind"] == "road"].to_file(tmp_path / "one.gpkg")
    with pytest.raises(PromptError, match="of one class"):
        map_classes(
            parameters(streets, out, examples=str(tmp_path / "one.gpkg")), factory=mobile_sam
        )
    assert not out.exists()


def test_strokes_are_never_the_output(streets, tmp_path):
    strokes = tmp_path / "strokes.gpkg"
    strokes.write_bytes(streets[1].read_bytes())
    before = strokes.read_bytes()
    asked = parameters(streets, strokes, examples=str(strokes), overwrite=True)
    with pytest.raises(OutputError, match="is also a layer of examples"):
        map_classes(asked, factory=mobile_sam)
    assert strokes.read_bytes() == before


def test_a_map_that_was_stopped_goes_on_where_it_was(streets, tmp_path):
    whole = map_classes(parameters(streets, tmp_path / "whole.gpkg"), factory=mobile_sam)
    out, made = tmp_path / "out.gpkg", tmp_path / "out.gpkg.job"
    with pytest.raises(Cancelled):
        map_classes(
            parameters(streets, out),
            factory=mobile_sam,
            cancelled=lambda: len(list(made.glob("features/map-*/maps/*.npz"))) >= 2,
        )
    kept = {path: path.stat().st_mtime_ns for path in made.glob("features/map-*/maps/*.npz")}
    assert kept
    again = map_classes(parameters(streets, out, job_folder=str(made)), factory=mobile_sam)
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert again.features == whole.features
    one, two = (gpd.read_file(tmp_path / name) for name in ("whole.gpkg", "out.gpkg"))
    assert one.geometry.equals(two.geometry)
