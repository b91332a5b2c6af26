# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects of an area, tile by tile, sorted by examples; masks of an oracle, a tiny model."""

import os
import tempfile
import time

import numpy as np
import pytest
import shapely
from samgeo_core.classes.assign import Marked
from samgeo_core.classes.classifier import Basis, ClassifierOptions
from samgeo_core.classes.examples import NONE, Example
from samgeo_core.classes.features.object_table import FeatureTable
from samgeo_core.classes.features.window_features import feature_cell
from samgeo_core.classes.objects import LEAST_SCORE
from samgeo_core.classes.presumed import LEAST, with_presumed
from samgeo_core.errors import Cancelled, PromptError
from samgeo_core.interactive.cached_model import CachedModel
from samgeo_core.interactive.collection import Collection
from samgeo_core.jobs.make_segmenter import BUILDING_SCORE
from samgeo_core.models.embedding_cache import EmbeddingCache
from samgeo_core.raster.areas import AreaOfInterest
from samgeo_core.raster.raster import open_raster
from samgeo_core.testing.oracle import Oracle
from samgeo_core.testing.scenes import Thing
from samgeo_core.tiles.grid import choose_grid
from samgeo_core.types import CellBox

from ..classes.world import HEIGHT, WIDTH, mobile_sam, squares, write_world

CELL = 2


@pytest.fixture(scope="module")
def raster(tmp_path_factory):
    path, _ = write_world(tmp_path_factory.mktemp("world"))
    with open_raster(path) as opened:
        yield opened


def things():
    found = []
    for _, col, row, side in squares():
        box = CellBox(row // CELL, col // CELL, (row + side) // CELL, (col + side) // CELL)
        found.append(Thing(box, np.ones(box.shape, bool), "square"))
    return found


class Counting:
    """A model that counts what it encodes."""

    def __init__(self, model):
        self.model, self.encoded = model, 0

    def __getattr__(self, name):
        return getattr(self.model, name)

    def encode(self, images):
        self.encoded += len(images)
        return self.model.encode(images)


@pytest.fixture
def collect(raster, tmp_path):
    """Make a collection with its model."""

    def make(area=None, order=None, name="masks", features=True):
        grid = choose_grid(HEIGHT, WIDTH, lambda size: CELL, 192, 32)
        features = choose_grid(HEIGHT, WIDTH, feature_cell, 192, 32) if features else None
        model = Counting(mobile_sam())
        (tmp_path / name).mkdir()
        cache = EmbeddingCache(tmp_path / "cache")
        oracle = Oracle(things(), grid)
        made = Collection(raster, oracle, grid, features, model, cache, area, tmp_path / name)
        if order is not None:
            made._waiting = [made._waiting[k] for k in order]
        return made, model

    return make


def finished(collection):
    """All steps; what the client knows at the end."""
    known = {}
    while collection.done < collection.tiles:
        step = collection.step()
        for gone in step.gone:
            del known[gone]
        for each in step.found:
            assert each.id not in known
            known[each.id] = each
    return known


def example(name, kind, number=0):
    chosen = [s for s in squares() if s[0] == kind][number]
    _, col, row, side = chosen
    return Example(shapely.box(col, row, col + side, row + side), "polygon", name, "")


def test_objects_across_tiles_are_whole_and_told_once(collect):
    collection, _ = collect()
    known = finished(collection)
    assert len(known) == len(squares()) == len(collection.objects)
    areas = sorted(each.polygon.area for each in known.values())
    assert areas == pytest.approx(sorted(side**2 for *_, side in squares()), rel=0.1)
    assert collection.step().found == ()


def test_a_tile_whose_look_is_cancelled_is_looked_at_again_and_nothing_found_is_lost(
    collect, monkeypatch
):
    whole, _ = collect(name="whole")
    expected = sorted(each.id for each in finished(whole).values())
    collection, _ = collect()
    known, calls = set(), [0]
    for name in ("_segment", "_merge", "_pool"):
        does = getattr(collection, name)

        def or_cancelled(*args, does=does):
            calls[0] += 1
            if calls[0] % 3 == 0:
                raise Cancelled("stopped")
            return does(*args)

        monkeypatch.setattr(collection, name, or_cancelled)
    for turn in range(200):
        try:
            step = collection.rest() if turn % 5 == 0 else collection.step()
        except Cancelled:
            continue
        known -= set(step.gone)
        assert not known & {each.id for each in step.found}
        known |= {each.id for each in step.found}
        if collection.done == collection.tiles and len(known) == len(expected):
            break
    assert sorted(known) == expected
    assert collection.tiles == collection.done


def test_without_features_no_model_runs_and_examples_are_refused(collect):
    collection, model = collect(features=False)
    assert len(finished(collection)) == len(squares())
    assert model.encoded == 0
    with pytest.raises(PromptError, match="without examples"):
        collection.sort([example("roof", "roof")], 0.5)


def test_the_order_of_tiles_changes_nothing(collect):
    one, _ = collect()
    count = one.tiles
    other, _ = collect(order=np.random.default_rng(2).permutation(count), name="other")
    finished(one)
    finished(other)
    assert [each.id for each in one.objects] == [each.id for each in other.objects]
    examples = [example("roof", "roof"), example("field", "field")]
    said = [each.sort(examples, 0.5) for each in (one, other)]
    np.testing.assert_array_equal(*(each.classed.probabilities for each in said))


def test_only_objects_that_lie_mostly_in_the_area_are_found(collect, raster):
    a, e = raster.transform.a, raster.transform.e
    x, y = raster.transform.c, raster.transform.f
    area = AreaOfInterest(shapely.box(x, y + 120 * e, x + 150 * a, y), raster)
    collection, _ = collect(area)
    known = finished(collection)
    inside = [s for s in squares() if s[1] + s[3] / 2 < 150 and s[2] + s[3] / 2 < 120]
    assert len(known) == len(inside)
    assert collection.tiles < collect(name="all")[0].tiles


def test_examples_sort_all_objects_and_a_correction_runs_no_model(collect):
    collection, model = collect()
    finished(collection)
    roofs = [example("roof", "roof", k) for k in range(3)]
    fields = [example("field", "field", k) for k in range(3)]
    collection.sort([*roofs, *fields], 0.5)
    before = model.encoded
    ground = [
        Example(shapely.box(col, 54, col + 12, 66), "polygon", NONE, "") for col in (20, 130, 240)
    ]
    found = collection.sort([*roofs, *fields, *ground], 0.5, ask=5)
    assert model.encoded == before
    kinds = {}
    for each, name in zip(found.objects, found.classed.names, strict=True):
        if each.id:
            kinds.setdefault("roof" if each.polygon.area < 700 else "field", []).append(name)
    for kind, names in kinds.items():
        assert np.mean([name == kind for name in names]) > 0.9
    assert len(set(found.ask.tolist())) == 5
    assert not found.classed.marked[found.ask].any()


def test_examples_of_one_class_alone_are_told_from_what_is_unlike_them(collect):
    collection, _ = collect()
    finished(collection)
    found = collection.sort([example("roof", "roof", k) for k in range(4)], 0.5)
    kept = [each for each, keep in zip(found.objects, found.classed.kept, strict=True) if keep]
    small = [each for each in kept if each.polygon.area < 700]
    assert len(small) > 0.8 * sum(s[0] == "roof" for s in squares())
    assert len(kept) - len(small) < 0.2 * len(kept)


def test_a_drawn_example_is_an_object_of_its_own_and_stays_as_marked(collect):
    collection, _ = collect()
    finished(collection)
    drawn = Example(shapely.box(340, 240, 370, 270), "polygon", "ground", "")
    found = collection.sort([drawn, example("roof", "roof")], 0.5)
    assert found.objects[-1].id == ""
    assert found.classed.names[-1] == "ground"
    assert found.classed.kept[-1]


def test_examples_that_cannot_be_learnt_from_say_so(collect):
    collection, _ = collect()
    with pytest.raises(PromptError, match="No objects have been found yet"):
        collection.sort([example("roof", "roof")], 0.5)
    finished(collection)
    with pytest.raises(PromptError, match="of one class"):
        collection.sort([example(NONE, "field")], 0.5)
    with pytest.raises(PromptError, match="marked as"):
        collection.sort([example("roof", "roof"), example("field", "roof")], 0.5)


def test_real_counterexamples_take_the_place_of_presumed_ones():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 6)).astype(np.float32)
    values[:100, 0] += 6
    table = FeatureTable(
        values, tuple(f"encoder:{k}" for k in range(6)), ("encoder",) * 6, np.ones(400, bool), "m"
    )
    options = ClassifierOptions()
    basis = Basis.of(table, options)

    def presumed(*none):
        rows = np.array([*range(5), *none], np.int64)
        marked = Marked(rows, ["a"] * 5 + [NONE] * len(none), 0)
        made = with_presumed(table, marked, options, basis)
        assert set(rows.tolist()) <= set(made.rows.tolist())
        return [row for row in made.rows.tolist() if row not in rows.tolist()]

    assert len(presumed()) == LEAST
    assert min(presumed()) >= 100, "what is like the examples is not presumed to be unlike them"
    assert 0 < len(presumed(200)) < LEAST
    assert presumed(200, 201, 202) == []


def test_an_image_is_encoded_once_by_a_cached_model(tmp_path):
    model = Counting(mobile_sam())
    cached = CachedModel(model, EmbeddingCache(tmp_path))
    image = np.zeros((64, 64, 3), np.uint8)
    one, other = cached.encode([image])[0], cached.encode([image])[0]
    assert model.encoded == 1
    assert one.fingerprint == other.fingerprint
    assert cached.info is model.info


def test_the_workers_methods_tell_a_collection_and_its_classes(raster, tmp_path, monkeypatch):
    from samgeo_core.worker import collection_methods
    from samgeo_core.worker.job_methods import Context
    from samgeo_core.worker.session_methods import Engine

    grid = choose_grid(HEIGHT, WIDTH, lambda size: CELL, None, None)
    monkeypatch.setattr(collection_methods, "make_candidates", lambda *_: Oracle(things(), grid))
    monkeypatch.setattr(collection_methods, "MOST_VERTICES", 40)
    engine = Engine(lambda *_: mobile_sam(), EmbeddingCache(tmp_path))
    context = Context(lambda: None, lambda *_, **__: None, lambda *_: None)

    def ask(method, **params):
        return engine.methods[method](params, context)

    session = ask("open", rasters=[str(raster.files[0])])["session"]
    begun = ask("collect", session=session, crs="EPSG:4326")
    known, answers = {}, 0
    while True:
        said = ask("collect_next", collection=begun["collection"])
        answers += 1
        known.update({each["id"]: each for each in said["objects"]})
        if said["ready"]:
            break
    assert len(known) == len(squares())
    assert answers > begun["tiles"], "an answer holds so many vertices and no more"
    shapes = {key: shapely.geometry.shape(each["geometry"]) for key, each in known.items()}
    assert all(8 < shape.centroid.x < 10 for shape in shapes.values()), "in the CRS asked for"
    by_size = sorted(known, key=lambda key: known[key]["area_m2"])
    examples = [
        *({"geometry": known[key]["geometry"], "class": "roof"} for key in by_size[:3]),
        *({"geometry": known[key]["geometry"], "class": "none"} for key in by_size[-3:]),
    ]
    said = ask("collect_classes", collection=begun["collection"], examples=examples, ask=4)
    assert said["classes"] == ["roof"]
    kept = {key: probability for key, _, probability in said["kept"]}
    assert all(kept[key] == 1.0 for key in by_size[:3])
    assert not set(by_size[-3:]) & set(kept)
    assert dict(said["marked"]) == {
        **dict.fromkeys(by_size[:3], 0),
        **dict.fromkeys(by_size[-3:], -1),
    }
    assert len(said["ask"]) == 4
    folder = engine._collections._known[begun["collection"]].folder
    assert folder.exists()
    ask("close", session=session)
    assert not folder.exists(), "a closed session leaves nothing behind"
    engine.close()


@pytest.mark.parametrize("judges", [True, False])
def test_what_the_embedded_model_takes_for_no_object_is_of_no_class(
    raster, tmp_path, monkeypatch, judges
):
    """Scores of other models say less: all of their masks are candidates."""
    from samgeo_core.models.load import load_model
    from samgeo_core.worker import collection_methods
    from samgeo_core.worker.job_methods import Context
    from samgeo_core.worker.session_methods import Engine

    if not judges:
        grid = choose_grid(HEIGHT, WIDTH, lambda size: CELL, None, None)
        monkeypatch.setattr(
            collection_methods, "make_candidates", lambda *_: Oracle(things(), grid)
        )
    context = Context(lambda: None, lambda *_, **__: None, lambda *_: None)
    engine = Engine(load_model, EmbeddingCache(tmp_path))
    opened = engine.methods["open"]({"rasters": [str(raster.files[0])]}, context)
    begun = engine.methods["collect"]({"session": opened["session"]}, context)
    asked = {"collection": begun["collection"]}
    while not engine.methods["collect_next"](asked, context)["ready"]:
        pass
    collection = engine._collections._known[begun["collection"]].collection
    for each in collection.objects:
        each.score = LEAST_SCORE
    nothing, little, roof, other = collection.objects[:4]
    nothing.score, little.score = LEAST_SCORE - 0.01, np.nan
    examples = [
        Example(roof.polygon, "polygon", "roof", ""),
        Example(other.polygon, "polygon", NONE, ""),
    ]
    found = collection.sort(examples, 0.5, ask=len(collection.objects))
    considered = {found.objects[k] for k in found.ask}
    assert little in considered
    assert (nothing not in considered) is judges
    engine.close()


def test_a_search_for_a_class_tells_from_which_score_a_job_would_write_it(raster, tmp_path):
    from samgeo_core.models.load import load_model
    from samgeo_core.worker.job_methods import Context
    from samgeo_core.worker.session_methods import Engine

    engine = Engine(load_model, EmbeddingCache(tmp_path))
    context = Context(lambda: None, lambda *_, **__: None, lambda *_: None)
    opened = engine.methods["open"]({"rasters": [str(raster.files[0])]}, context)
    for classes, least in ((["building"], BUILDING_SCORE), (["road"], 0.0), ([], None)):
        asked = {"session": opened["session"], "by_examples": False, "classes": classes}
        assert engine.methods["collect"](asked, context)["min_score"] == least
    engine.close()


def test_folders_of_killed_engines_are_removed_and_those_of_running_searches_stay(
    tmp_path, monkeypatch
):
    from samgeo_core.worker import collection_methods

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    long_ago = time.time() - (collection_methods.FORGOTTEN_DAYS + 1) * 86_400
    left, running = (tmp_path / f"{collection_methods.PREFIX}{name}" for name in "ab")
    for folder in (left, running):
        (folder / "tiles").mkdir(parents=True)
        (folder / "tiles" / "r0_c0.npz").touch()
        for path in (folder / "tiles" / "r0_c0.npz", folder / "tiles", folder):
            os.utime(path, (long_ago, long_ago))
    (running / "tiles" / "r0_c1.npz").touch()
    os.utime(running, (long_ago, long_ago))
    collection_methods._remove_forgotten()
    assert list(tmp_path.iterdir()) == [running]
