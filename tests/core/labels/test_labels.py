# SPDX-License-Identifier: GPL-2.0-or-later
import json
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio._err import CPLE_BaseError
from samgeo_core.cli.commands import main
from samgeo_core.errors import OutputError, ParameterError, SamGeoWarning
from samgeo_core.in_memory import ArrayRaster
from samgeo_core.labels import formats, rle
from samgeo_core.labels.chips import Chip, ChipOptions, Labelled, polygons_on
from samgeo_core.labels.data_yaml import class_names
from samgeo_core.labels.exporting import export_labels
from samgeo_core.labels.formats import FORMATS, keyhole, read_yolo
from samgeo_core.labels.importing import import_labels
from samgeo_core.labels.places import cut_by_place
from samgeo_core.layers.reader import read_vector
from samgeo_core.masks.job_folder import JobFolder
from samgeo_core.raster.raster import open_raster
from samgeo_core.types import PixelBox

from ..scenes import across_the_date_line

TRANSFORM = Affine.translation(500_000, 5_500_000) @ Affine.rotation(10) @ Affine.scale(0.5, -0.5)
SHAPES = [
    shapely.box(10, 10, 40, 30),
    shapely.Polygon([(50, 20), (90, 25), (80, 60), (55, 50)]),
    shapely.box(100, 90, 160, 150).difference(shapely.box(110, 100, 150, 140)),  # over four chips
    shapely.Point(200, 200).buffer(20),
    shapely.union(shapely.box(20, 150, 40, 170), shapely.box(50, 150, 60, 160)),  # two parts
]
CLASSES = ["roof", "field", "roof", "pond", "roof"]


def ground(shapes):
    """Shapes in pixels of the scene as a layer."""
    moved = [
        shapely.transform(s, lambda xy: np.column_stack(TRANSFORM @ (xy[:, 0], xy[:, 1])))
        for s in shapes
    ]
    return gpd.GeoDataFrame(geometry=moved, crs="EPSG:32632")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A raster of 256 x 256 turned by 10 degrees, and five polygons on it."""
    folder = tmp_path_factory.mktemp("scene")
    pixels = np.random.default_rng(0).integers(0, 255, (3, 256, 256), dtype=np.uint8)
    with rasterio.open(
        folder / "raster.tif", "w", driver="GTiff", width=256, height=256, count=3,
        dtype="uint8", crs="EPSG:32632", transform=TRANSFORM,
    ) as file:  # fmt: skip
        file.write(pixels)
    frame = ground(SHAPES).assign(kind=CLASSES)
    frame.to_file(folder / "labels.gpkg")
    return folder, frame, pixels


def export(scene, folder, **options):
    rest = {k: options.pop(k) for k in ("form", "image_format", "as_runs") if k in options}
    chips = ChipOptions(**{"size": 128, "class_field": "kind", "val_share": 0.0} | options)
    return export_labels(scene[0] / "raster.tif", scene[0] / "labels.gpkg", folder,
                         options=chips, **rest)  # fmt: skip


def test_chips_of_a_size_of_numpys(scene, tmp_path):
    assert export(scene, tmp_path / "own", size=np.int64(128), val_share=np.float32(0)) == replace(
        export(scene, tmp_path / "plain"), folder=str(tmp_path / "own")
    )
    for wrong in (128.0, "128", 16):
        with pytest.raises(ParameterError, match="32 to 8192 whole pixels"):
            ChipOptions(size=wrong)


def away(one, other):
    """Largest distance between two borders."""
    return shapely.hausdorff_distance(
        shapely.segmentize(one.boundary, 0.25), shapely.segmentize(other.boundary, 0.25)
    )


# --- run-length codes ----------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_run_length_codes_are_those_of_pycocotools(seed):
    mask = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(seed)
    pixels = rng.random((int(rng.integers(1, 40)), int(rng.integers(1, 400)))) < rng.random()
    runs = rle.to_runs(pixels)
    code = mask.encode(np.asfortranarray(pixels.astype(np.uint8)))["counts"].decode()
    assert rle.to_text(runs) == code
    assert rle.from_text(code) == runs
    np.testing.assert_array_equal(rle.from_runs(runs, pixels.shape), pixels)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_a_mask_as_a_polygon_burns_to_the_same_mask(seed):
    rng = np.random.default_rng(seed)
    pixels = rng.random((20, 30)) < 0.5
    pixels[5:15, 5:20] |= rng.random((10, 15)) < 0.8
    shape = rle.outlined(pixels)
    assert shape.is_valid
    np.testing.assert_array_equal(rle.burnt(shape, pixels.shape), pixels)


def test_a_damaged_code_is_refused():
    with pytest.raises(ParameterError, match="does not fit"):
        rle.from_runs([3, 4], (2, 2))
    with pytest.raises(ParameterError, match="middle of a number"):
        rle.from_text("o")


# --- round trips ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_exported_comes_back_on_the_same_ground(scene, tmp_path, form):
    export(scene, tmp_path / "out", form=form)
    got = import_labels(tmp_path / "out", tmp_path / "back.gpkg")
    assert got.classes == ["field", "pond", "roof"]
    back = gpd.read_file(tmp_path / "back.gpkg", layer="back")
    assert back.crs == scene[1].crs
    assert len(back) == len(SHAPES)  # objects over several chips are one again
    for truth, kind in zip(scene[1].geometry, CLASSES, strict=True):
        iou = back.intersection(truth).area / back.union(truth).area
        best = back.iloc[int(iou.argmax())]
        assert best["class"] == kind
        assert iou.max() > 0.95
        # In pixels of half a metre. Masks and codes are known at pixels' centres: sides are within
        # half a pixel, of a corner the tip may be lost (0.7 is half of a pixel's diagonal).
        corner = 0.01 if form == "yolo" else 0.7
        assert away(truth, best.geometry) / 0.5 <= corner


@pytest.mark.parametrize("form", FORMATS)
def test_arms_that_meet_on_a_late_chip_are_one_object(scene, tmp_path, form):
    arms = shapely.box(10, 10, 118, 118).difference(shapely.box(40, 0, 88, 80))
    export_labels(scene[0] / "raster.tif", ground([arms]), tmp_path / "out", form=form,
                  options=ChipOptions(64, val_share=0.0))  # fmt: skip
    assert import_labels(tmp_path / "out", tmp_path / "back.gpkg").objects == 1
    back = gpd.read_file(tmp_path / "back.gpkg", layer="back").geometry[0]
    assert len(shapely.get_parts(back)) == 1
    assert back.area == pytest.approx(arms.area / 4, rel=1e-3)


def test_coco_polygons_are_exact(scene, tmp_path):
    export(scene, tmp_path / "out")
    import_labels(tmp_path / "out" / "annotations_train.json", tmp_path / "back.gpkg")
    assert set(gpd.read_file(tmp_path / "back.gpkg")["split"]) == {"train"}
    back = gpd.read_file(tmp_path / "back.gpkg", layer="back")
    for number in (0, 1, 3, 4):  # without holes
        truth = scene[1].geometry[number]
        best = back.intersection(truth).area.idxmax()
        assert away(truth, back.geometry[best]) < 0.01


def test_pycocotools_reads_the_same_polygons_within_half_a_pixel(scene, tmp_path):
    """Its masks against ours of the exact shapes: they differ by pixels at borders only."""
    coco = pytest.importorskip("pycocotools.coco")
    for as_runs in (False, True):
        out = tmp_path / f"out{as_runs}"
        export(scene, out, size=256, as_runs=as_runs)
        data = coco.COCO(str(out / "annotations_train.json"))
        assert len(data.anns) == len(SHAPES)
        for item, shape, kind in zip(data.anns.values(), SHAPES, CLASSES, strict=True):
            mask = data.annToMask(item).astype(bool)
            assert data.cats[item["category_id"]]["name"] == kind
            # At pixels' centres nothing farther than half a pixel from the border is told wrong.
            inner, outer = shape.buffer(-0.5), shape.buffer(0.5)
            assert not (rle.burnt(inner, mask.shape) & ~mask).any()
            assert not (mask & ~rle.burnt(outer, mask.shape)).any()
            if isinstance(item["segmentation"], list):  # as pycocotools has them
                rings = [np.reshape(ring, (-1, 2)) for ring in item["segmentation"]]
                read = shapely.union_all([shapely.Polygon(ring) for ring in rings])
                assert away(read, shape) <= 0.01
            else:
                assert away(rle.outlined(mask), shape) <= 1.0  # of a sharp corner the tip is lost
            assert item["area"] == pytest.approx(shape.area, rel=1e-3)


def test_rasterio_reads_the_same_masks_on_the_same_ground(scene, tmp_path):
    export(scene, tmp_path / "out", form="masks", size=256)
    (path,) = (tmp_path / "out").glob("masks/train/*.tif")
    with rasterio.open(path) as file:
        numbers, classes = file.read()
        assert file.transform.almost_equals(TRANSFORM)
        assert file.crs == "EPSG:32632"
    assert numbers.max() == len(SHAPES)
    for number, shape in enumerate(SHAPES, 1):
        np.testing.assert_array_equal(numbers == number, rle.burnt(shape, (256, 256)))
    names = json.loads((tmp_path / "out" / "chips.json").read_text())["classes"]
    assert names[classes[numbers == 2][0] - 1] == "field"


@pytest.mark.parametrize("image_format", ["tif", "png"])
def test_images_keep_their_pixels_and_their_place(scene, tmp_path, image_format):
    export(scene, tmp_path / "out", image_format=image_format, keep_empty=True)
    paths = sorted((tmp_path / "out").glob(f"images/*/*.{image_format}"))
    assert len(paths) == 4
    with rasterio.open(paths[3]) as file:
        assert file.transform.almost_equals(TRANSFORM @ Affine.translation(128, 128))
        np.testing.assert_array_equal(file.read(), scene[2][:, 128:, 128:])


@pytest.mark.parametrize("form", FORMATS)
def test_tiny_objects_come_back_and_hidden_ones_are_counted(scene, tmp_path, form):
    twin, speck = shapely.box(40, 40, 50, 50), shapely.box(30.6, 30.6, 31.4, 31.4)
    on_edge = shapely.box(120.1, 60.6, 127.9, 60.9)  # without a pixel's centre
    frame = ground([twin, twin, speck, on_edge, shapely.box(100, 100, 110, 110)])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", SamGeoWarning)
        done = export_labels(scene[0] / "raster.tif", frame, tmp_path / "out", form=form,
                             options=ChipOptions(128, val_share=0.0))  # fmt: skip
    notes = [str(note.message) for note in said if note.category is SamGeoWarning]
    assert import_labels(tmp_path / "out", tmp_path / "back.gpkg").objects == done.objects["train"]
    if form == "masks":
        assert done.objects == {"train": 4}
        assert len(notes) == 1
        assert "1 of 5 objects on chips is not in the masks" in notes[0]
    else:
        assert (done.objects, notes) == ({"train": 5}, [])


@pytest.mark.parametrize("image_format", ["tif", "png", "jpg"])
def test_a_full_disk_is_named_and_nothing_stays(scene, tmp_path, monkeypatch, image_format):
    def fails(self, *_):
        raise CPLE_BaseError(3, 1, "Write Error")

    monkeypatch.setattr(rasterio.io.DatasetWriter, "__exit__", fails)
    monkeypatch.setattr(rasterio.io.BufferedDatasetWriter, "__exit__", fails)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    with pytest.raises(OutputError, match=rf"\.{image_format} cannot be written: the disk is full"):
        export(scene, tmp_path / "out", image_format=image_format)
    assert list(tmp_path.iterdir()) == []


def test_images_in_a_folder_called_masks_are_no_masks(scene, tmp_path):
    done = export(scene, tmp_path / "masks", form="masks", size=256)
    for number, source in enumerate((tmp_path / "masks", tmp_path / "masks" / "masks" / "train")):
        got = import_labels(source, tmp_path / f"back{number}.gpkg")
        assert got.objects == done.objects["train"] == len(SHAPES)


def test_crowds_are_marked_and_come_back(scene, tmp_path):
    frame = scene[1].assign(many=[0, 0, 0, 1, 0])
    export_labels(scene[0] / "raster.tif", frame, tmp_path / "out",
                  options=ChipOptions(256, "kind", "many", 0.0))  # fmt: skip
    data = json.loads((tmp_path / "out" / "annotations_train.json").read_text())
    (crowd,) = (a for a in data["annotations"] if a["iscrowd"])
    assert isinstance(crowd["segmentation"]["counts"], list)
    import_labels(tmp_path / "out", tmp_path / "back.gpkg")
    back = gpd.read_file(tmp_path / "back.gpkg", layer="back")
    assert list(back[back["crowd"].astype(bool)]["class"]) == ["pond"]


@pytest.mark.parametrize("form", FORMATS)
def test_no_crowd_is_lost_without_a_word(scene, tmp_path, form):
    frame = scene[1].assign(many=[0, 0, 0, 1, 0])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", SamGeoWarning)
        done = export_labels(scene[0] / "raster.tif", frame, tmp_path / "out", form=form,
                             options=ChipOptions(256, "kind", "many", 0.0))  # fmt: skip
    notes = [str(note.message) for note in said if note.category is SamGeoWarning]
    got = import_labels(tmp_path / "out", tmp_path / "back.gpkg")
    assert got.objects == done.objects["train"]
    back = gpd.read_file(tmp_path / "back.gpkg", layer="back")
    crowds = list(back[back["crowd"].astype(bool)]["class"])
    if form == "yolo":
        assert (done.objects, crowds) == ({"train": 4}, [])
        assert len(notes) == 1
        assert "1 of 5 objects on chips is not in the texts" in notes[0]
    else:
        assert (done.objects, crowds, notes) == ({"train": 5}, ["pond"], [])


def test_a_crowd_field_with_texts_is_named(scene, tmp_path):
    frame = scene[1].assign(many=["yes", "no", "no", None, "no"])
    with pytest.raises(ParameterError, match=r"field many .* true and false or 1 and 0"):
        export_labels(scene[0] / "raster.tif", frame, tmp_path / "out",
                      options=ChipOptions(256, "kind", "many", 0.0))  # fmt: skip
    assert list(tmp_path.iterdir()) == []


# --- labels of others ----------------------------------------------------------------------------


def test_rasters_in_memory_and_open_ones_are_cut_like_files(scene, tmp_path):
    folder, labels, pixels = scene
    chips = ChipOptions(128, class_field="kind", val_share=0.0)
    wanted = export(scene, tmp_path / "file")
    with rasterio.open(folder / "raster.tif") as file:
        array = ArrayRaster(pixels, file.transform, file.crs)
        for number, raster in enumerate((array, file, [file])):
            done = export_labels(raster, labels, tmp_path / f"{number}", options=chips)
            assert (done.chips, done.objects) == (wanted.chips, wanted.objects)


def test_labels_of_others_need_georeferenced_images(scene, tmp_path):
    data = {
        "images": [{"id": 7, "file_name": "a/raster.tif", "width": 256, "height": 256}],
        "categories": [{"id": 3, "name": "roof"}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 3, "iscrowd": 0,
             "segmentation": [[10, 10, 40, 10, 40, 30, 10, 30]]}
        ],
    }  # fmt: skip
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(data))
    with pytest.raises(ParameterError, match=r"\(images\)"):
        import_labels(path, tmp_path / "back.gpkg")
    import_labels(path, tmp_path / "back.gpkg", images=scene[0])
    back = gpd.read_file(tmp_path / "back.gpkg", layer="back")
    assert away(back.geometry[0], scene[1].geometry[0]) < 1e-3
    plain = tmp_path / "plain"
    plain.mkdir()
    with rasterio.open(plain / "raster.png", "w", driver="PNG", width=256, height=256, count=3,
                       dtype="uint8") as file:  # fmt: skip
        file.write(scene[2])
    with pytest.raises(ParameterError, match="no georeference"):
        import_labels(path, tmp_path / "other.gpkg", images=plain)


def test_annotations_without_a_segmentation_are_boxes_and_that_is_said(scene, tmp_path):
    outlines = [{"bbox": [10, 10, 30, 20], "segmentation": []}, {"bbox": [50, 50, 9, 9]},
                {"segmentation": []}]  # fmt: skip
    data = {
        "images": [{"id": 7, "file_name": "raster.tif", "width": 256, "height": 256}],
        "annotations": [{"id": k, "image_id": 7} | item for k, item in enumerate(outlines)],
    }
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(data))
    with pytest.warns(SamGeoWarning) as said:
        assert import_labels(path, tmp_path / "back.gpkg", images=scene[0]).objects == 2
    back = gpd.read_file(tmp_path / "back.gpkg", layer="back")
    assert away(back.geometry[0], scene[1].geometry[0]) < 1e-3
    notes = [str(note.message) for note in said]
    assert any("2 annotations of" in n and "their boxes are taken" in n for n in notes)
    assert any("1 object of" in n and "left out" in n for n in notes)
    data["annotations"] = data["annotations"][2:]
    path.write_text(json.dumps(data))
    with pytest.raises(ParameterError, match="nothing to import"):
        import_labels(path, tmp_path / "none.gpkg", images=scene[0])


def image(path, east, pixels=None, **profile):
    """A GeoTIFF of 64 x 64 pixels of a metre, whose west side is at an easting."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands = np.zeros((1, 64, 64), np.uint8) if pixels is None else pixels.reshape(-1, 64, 64)
    with rasterio.open(
        path, "w", driver="GTiff", width=64, height=64, count=len(bands), dtype=bands.dtype,
        crs="EPSG:32632", transform=Affine(1, 0, east, 0, -1, 5_500_000), **profile,
    ) as file:  # fmt: skip
        file.write(bands)


def coco_of(path, *files, box=(0, 0, 32, 32)):
    """A COCO file of another program: a rectangle on each image, numbered from 1."""
    numbers = range(1, len(files) + 1)
    size = {"width": 64, "height": 64}
    images = [{"id": k, "file_name": f} | size for k, f in zip(numbers, files, strict=True)]
    ring = shapely.get_coordinates(shapely.box(*box)).ravel().tolist()
    outlines = [{"id": k, "image_id": k, "segmentation": [ring]} for k in numbers]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": outlines}))


@pytest.mark.parametrize("form", ["coco", "sa1b", "masks"])
def test_neighbours_with_one_number_are_two_objects_where_another_program_counts(tmp_path, form):
    for name, east, left in (("west", 500_000, 32), ("east", 500_064, 0)):
        labels = tmp_path / f"labels/{name}.json"
        coco_of(labels, f"{name}.tif", box=(left, 8, left + 32, 40))
        pixels = np.zeros((64, 64), np.uint8)
        pixels[8:40, left : left + 32] = 1
        image(tmp_path / f"labels/{name}.tif", east, pixels)
        if form == "sa1b":
            data = json.loads(labels.read_text())
            labels.write_text(json.dumps(data | {"image": data.pop("images")[0]}))
        elif form == "masks":
            labels.unlink()
    import_labels(tmp_path / "labels", tmp_path / "back.gpkg")
    back = gpd.read_file(tmp_path / "back.gpkg", layer="back")
    assert list(back["source_id"]) == ["1", "1"]
    assert list(back.area) == pytest.approx([1024, 1024], rel=1e-3)


def text_of(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("0 0 0 0.5 0 0.5 0.5 0 0.5\n")


def west_sides(source, output, **options):
    import_labels(source, output, overwrite=True, **options)
    return sorted(gpd.read_file(output, layer=output.stem).bounds.minx)


def test_negative_numbers_and_no_data_of_a_mask_are_no_objects(tmp_path):
    out = tmp_path / "out.gpkg"
    numbers = np.zeros((64, 64), np.int16)
    numbers[5:15, 5:15], numbers[20:30, 20:30], numbers[40:, :] = 1, -1, 255
    kinds = np.full((64, 64), -1, np.int16)
    kinds[5:7, 5:15], kinds[7:9, 5:15] = 2, 255
    image(tmp_path / "one/m.tif", 500_000, numbers, nodata=255)
    image(tmp_path / "two/m.tif", 500_000, np.stack([numbers, kinds]), nodata=255)
    image(tmp_path / "none/m.tif", 500_000, np.stack([numbers, kinds * 0 - 1]), nodata=255)
    for folder, kind in (("one", "object"), ("two", "pond"), ("none", "object")):
        got = import_labels(tmp_path / folder, out, names=["roof", "pond"], overwrite=True)
        back = gpd.read_file(out, layer="out")
        assert (got.classes, list(back["source_id"])) == ([kind], ["1"])
        assert back.area[0] == pytest.approx(100, rel=0.01)
    image(tmp_path / "empty/m.tif", 500_000, kinds * 0 - 1)
    with pytest.raises(ParameterError, match="no objects"):
        import_labels(tmp_path / "empty", tmp_path / "empty.gpkg")


def test_a_mask_of_many_objects_is_read_in_one_pass(tmp_path, monkeypatch):
    """Work grows with the pixels of the objects, not with objects times pixels of the image."""
    numbers = np.zeros((128, 128), np.int32)
    cells = np.arange(1, 257).reshape(16, 16)
    numbers[:] = np.kron(cells, np.ones((8, 8), int)) * 1000  # with gaps between the numbers
    numbers[::8] = 0
    numbers[100:, 5:9] = 7000  # one object in several places, to the image's edge
    kinds = np.where(numbers > 100_000, 2, 1).astype(np.int32)
    with rasterio.open(
        tmp_path / "mask.tif", "w", driver="GTiff", width=128, height=128, count=2,
        dtype="int32", crs="EPSG:32632", transform=TRANSFORM, nodata=0,
    ) as file:  # fmt: skip
        file.write(np.stack([numbers, kinds]))
    seen = []
    outline = formats.outlined

    def counted(mask, *args):
        seen.append(mask.size)
        return outline(mask, *args)

    monkeypatch.setattr(formats, "outlined", counted)
    found = formats.read_mask(tmp_path / "mask.tif", ["a", "b"], [], [])
    expected = [value for value in np.unique(numbers).tolist() if value]
    assert [item.id for item in found.objects] == [str(value) for value in expected]
    for item, value in zip(found.objects, expected, strict=True):
        assert item.shape.equals(rle.outlined(numbers == value))
        assert item.label == ("b" if value > 100_000 else "a")
    assert sum(seen) < 4 * numbers.size


def test_suffixes_of_labels_are_known_in_capitals(tmp_path):
    numbers = np.zeros((64, 64), np.uint8)
    numbers[5:15, 5:15] = 1
    for k, name in enumerate(("a.tif", "b.TIF", "c.tiff")):
        image(tmp_path / "masks" / name, 500_000 + 100 * k, numbers)
    assert len(west_sides(tmp_path / "masks", tmp_path / "masks.gpkg")) == 3
    for suffix in ("txt", "JSON", "TXT"):
        folder = tmp_path / suffix
        image(folder / "a.tif", 500_000)
        if suffix == "JSON":
            coco_of(folder / "a.JSON", "a.tif")
        else:
            text_of(folder / f"a.{suffix}")
        assert west_sides(folder, tmp_path / f"{suffix}.gpkg") == [500_000]


def test_a_picture_is_no_mask_and_an_empty_name_no_folder(scene, tmp_path, monkeypatch):
    with pytest.raises(
        ParameterError, match=r"raster.tif has 3 bands: it is a picture.*with images"
    ):
        import_labels(scene[0], tmp_path / "out.gpkg")
    image(tmp_path / "masks/m.tif", 500_000, np.eye(64, dtype=np.uint8))
    monkeypatch.chdir(tmp_path / "masks")
    assert import_labels(".", tmp_path / "out.gpkg").images == 1
    with pytest.raises(ParameterError, match="name a file or a folder"):
        import_labels("", tmp_path / "none.gpkg")


SPLITS = (("train", 500_000), ("val", 600_000))


def test_images_of_one_name_in_several_folders_are_told_apart(tmp_path):
    out = tmp_path / "out.gpkg"
    both = [500_000, 600_000]
    for split, east in SPLITS:
        image(tmp_path / f"images/{split}/1.v2.tif", east)
        text_of(tmp_path / f"yolo/labels/{split}/1.v2.txt")
        coco_of(tmp_path / f"by_split/{split}.json", "1.v2.tif")
        image(tmp_path / f"roboflow/{split}/images/1.tif", east)
        text_of(tmp_path / f"roboflow/{split}/labels/1.txt")
        image(tmp_path / f"masks/{split}/1.tif", east, np.eye(64, dtype=np.uint8))
    coco_of(tmp_path / "c.json", "train/1.v2.jpg", "val/1.v2.jpg")
    images = tmp_path / "images"
    assert west_sides(tmp_path / "c.json", out, images=images) == both
    assert west_sides(tmp_path / "by_split", out, images=images) == both
    assert west_sides(tmp_path / "yolo/labels", out, images=images) == both
    assert west_sides(tmp_path / "roboflow", out) == both
    assert west_sides(tmp_path / "masks", out) == both


def test_an_image_that_may_be_one_of_several_is_not_guessed(tmp_path):
    for split, east in SPLITS:
        image(tmp_path / f"both/{split}/1.tif", east)
    image(tmp_path / "one/1.tif", 500_000)
    coco_of(tmp_path / "bare.json", "1.tif")
    coco_of(tmp_path / "two.json", "train/1.tif", "val/1.tif")
    coco_of(tmp_path / "twice/roofs.json", "1.tif")
    coco_of(tmp_path / "twice/roads.json", "images/1.tif")
    out = tmp_path / "out.gpkg"
    with pytest.raises(ParameterError, match=r"image 1.tif .* may be .*1.tif or .*1.tif.*images"):
        import_labels(tmp_path / "bare.json", out, images=tmp_path / "both")
    with pytest.raises(ParameterError, match=r"only image for train.1 and val.1 .* which are two"):
        import_labels(tmp_path / "two.json", out, images=tmp_path / "one")
    assert not out.exists()
    assert west_sides(tmp_path / "bare.json", out, images=tmp_path / "both/val") == [600_000]
    assert west_sides(tmp_path / "twice", out, images=tmp_path / "one") == [500_000, 500_000]


def test_yolo_classes_are_read_from_data_yaml(scene, tmp_path):
    export(scene, tmp_path / "out", form="yolo")
    (tmp_path / "out" / "chips.json").unlink()
    got = import_labels(tmp_path / "out", tmp_path / "back.gpkg")
    assert got.classes == ["field", "pond", "roof"]
    assert got.objects > len(SHAPES)  # without our notes pieces stay pieces


def test_yolo_classes_with_quotes_and_umlauts_come_back(scene, tmp_path):
    names = ['Gebäude "alt"', "a, b: c", "数字"]
    export_labels(scene[0] / "raster.tif", ground(SHAPES[:3]).assign(kind=names), tmp_path / "out",
                  form="yolo", options=ChipOptions(128, "kind", val_share=0.0))  # fmt: skip
    (tmp_path / "out" / "chips.json").unlink()
    assert "数字" in (tmp_path / "out" / "data.yaml").read_text("utf-8")
    got = import_labels(tmp_path / "out", tmp_path / "back.gpkg")
    assert got.classes == sorted(names)
    listed = json.dumps(sorted(names))
    (tmp_path / "out" / "data.yaml").write_text(f"names: {listed}\n", "utf-8")
    assert import_labels(tmp_path / "out", tmp_path / "b.gpkg").classes == sorted(names)


@pytest.mark.parametrize(
    "text",
    [
        "nc: 3\nnames: ['roof', 'king''s road',\n        'C# hut']  # of YOLOv5\nx: [1]\n",
        "names: [\n  roof,  # with ridges, [or] 'flat'\n  king's road, C# hut,\n]\n",
        "names: {0: roof, 1: king's road, 2: 'C# hut'}\nnc: 3\n",
        'names: {\n  "0":"roof",\n  "1":"king\\x27s\n  road",\n  "2": C# hut}\n',
        "names:  # classes\n  0: roof  # of any kind\n\n  # paved\n  1: king's road\n  2: C# hut\n",
        "\ufeff'names':\n- roof\n-   'king''s road' # x\n- \"C# hut\"\n--- \n- none\n",
        "names:\r\n  2: C# hut\r\n  1: king's road\r\n  '0': roof\r\npath: .\r\n",
    ],
)
def test_class_names_are_read_as_programs_and_people_write_them(tmp_path, text):
    path = tmp_path / "data.yaml"
    path.write_bytes(text.encode())
    assert class_names(path) == ["roof", "king's road", "C# hut"]


def test_a_class_may_be_called_no_or_7(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [no, 7, 1e3, ~, null, 2026-11-29]")
    assert class_names(tmp_path / "data.yaml") == ["no", "7", "1e3", "~", "null", "2026-11-29"]


@pytest.mark.parametrize(
    "text", ["", "nc: 3\n", "names:\nnc: 3\n", "names: []  # none\n", "names: {}"]
)
def test_no_class_names_are_none(tmp_path, text):
    (tmp_path / "data.yaml").write_text(text)
    assert class_names(tmp_path / "data.yaml") == []


@pytest.mark.parametrize(
    "names",
    ["[roof, road", "[[roof], road]", "{roof: 0}", "[a, , b]", '["a\\qb"]', "[\xff]",
     "coco.names", "|\n roof", "\n  roof\n  road", "\n  - *roof", "\n  0:\n  1: road",
     "\n  - a: roof", "\n\t0: roof"],
)  # fmt: skip
def test_class_names_that_cannot_be_read_are_said_and_not_numbered(tmp_path, names):
    text_of(tmp_path / "labels/1.txt")
    image(tmp_path / "images/1.tif", 500_000)
    (tmp_path / "data.yaml").write_bytes(f"names: {names}\nnc: 2\n".encode("latin-1"))
    with pytest.raises(ParameterError, match=r"class names in .*data.yaml cannot .*\(names\)"):
        import_labels(tmp_path, tmp_path / "out.gpkg")
    assert import_labels(tmp_path, tmp_path / "out.gpkg", names=["roof"]).classes == ["roof"]


def test_a_keyhole_fills_to_the_same_shape():
    for shape in (SHAPES[2], SHAPES[4]):
        ring = shapely.Polygon(keyhole(shape))
        sound = shapely.make_valid(ring, method="structure", keep_collapsed=False)
        assert sound.symmetric_difference(shape).area < 1e-9


@pytest.mark.parametrize("clockwise", [False, True])
def test_a_courtyard_stays_open_whatever_way_rings_run(scene, tmp_path, clockwise):
    shape = shapely.orient_polygons(SHAPES[2], exterior_cw=clockwise)
    export_labels(scene[0] / "raster.tif", ground([shape]), tmp_path / "out", form="yolo",
                  options=ChipOptions(256, val_share=0.0))  # fmt: skip
    import_labels(tmp_path / "out", tmp_path / "back.gpkg")
    (back,) = gpd.read_file(tmp_path / "back.gpkg", layer="back").geometry
    assert back.area == pytest.approx(ground([shape]).area[0], rel=1e-3)


def test_a_courtyard_of_another_program_stays_open(tmp_path):
    """Its ring runs as its outline does."""
    hole = "0.2 0.2 0.4 0.2 0.4 0.4 0.2 0.4 0.2 0.2"
    image(tmp_path / "a.tif", 500_000)
    (tmp_path / "a.txt").write_text(f"0 0 0 {hole} 0 0 0.6 0 0.6 0.6 0 0.6\n")
    import_labels(tmp_path, tmp_path / "back.gpkg")
    back = gpd.read_file(tmp_path / "back.gpkg", layer="back")
    assert back.area[0] == pytest.approx(64 * 64 * (0.36 - 0.04), rel=1e-3)


@pytest.mark.parametrize("text", ["not json", "{}", '{"images": [{}], "annotations": []}'])
def test_files_that_are_no_labels_are_refused(tmp_path, text):
    (tmp_path / "labels.json").write_text(text)
    with pytest.raises(ParameterError):
        import_labels(tmp_path / "labels.json", tmp_path / "back.gpkg")
    assert not (tmp_path / "back.gpkg").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"-1 0.1 0.1 0.9 0.1 0.5 0.9\n", "Line 1 .*the class -1"),
        (b"0 0.1 0.1 0.9 0.1 0.5 0.9\n0 0.1 0.1 0.9 nan 0.5 0.9\n", "Line 2 .*no number"),
        (b"0 0.1 0.1 0.9 0.1 0.5 0.9 \xff\xfe\n", "cannot be read as text"),
    ],
)
def test_a_text_that_is_no_polygons_is_said_with_its_line(tmp_path, content, reason):
    path = tmp_path / "1.txt"
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=reason):
        read_yolo(path, ["house", "road"], [])


def test_a_text_of_a_windows_editor_is_read(tmp_path):
    path = tmp_path / "1.txt"
    path.write_text("1 0.1 0.1 0.9 0.1 0.5 0.9\n", "utf-8-sig")
    assert [item.label for item in read_yolo(path, ["house", "road"], []).objects] == ["road"]


@pytest.mark.parametrize("form", ["coco", "masks"])
def test_nothing_beyond_the_raster_is_labelled(scene, tmp_path, form):
    beyond = [shapely.box(200, 220, 240, 276), shapely.box(255.9, 100, 320, 140)]
    export_labels(scene[0] / "raster.tif", ground(beyond), tmp_path / "out", form=form,
                  options=ChipOptions(96, val_share=0.0))  # fmt: skip
    if form == "coco":
        found = json.loads((tmp_path / "out" / "annotations_train.json").read_text())
        assert [one["bbox"] for one in found["annotations"]] == [[8, 28, 40, 36]]
        return
    (masks,) = (tmp_path / "out" / "masks" / "train").glob("*.tif")
    with (
        rasterio.open(masks) as file,
        rasterio.open(tmp_path / "out" / "images" / "train" / masks.name) as image,
    ):
        labelled = file.read(1) > 0
        assert labelled.sum() == 40 * 36
        assert image.read()[:, labelled].any(axis=0).all()


# --- splits and bad input ------------------------------------------------------------------------


def test_splits_lie_on_two_sides_of_a_line(scene, tmp_path):
    done = export(scene, tmp_path / "out", size=64, val_share=0.3)
    index = json.loads((tmp_path / "out" / "chips.json").read_text())["chips"]
    assert set(done.chips) == {"train", "val"}
    corner = {split: [c["image"].split("chip_")[1] for c in index if c["split"] == split]
              for split in ("train", "val")}  # fmt: skip
    rows = {s: {int(n[1:7]) for n in names} for s, names in corner.items()}
    cols = {s: {int(n[9:15]) for n in names} for s, names in corner.items()}
    assert max(rows["train"]) < min(rows["val"]) or max(cols["train"]) < min(cols["val"])


@given(st.integers(0, 10**6))
def test_a_cut_holds_back_about_its_share(seed):
    xy = np.random.default_rng(seed).random((60, 2)) * (100, 30)
    beyond = cut_by_place(xy, 0.3).beyond(xy)
    assert 0.19 <= beyond.mean() <= 0.41
    other = cut_by_place(xy[::-1], 0.3)
    assert other == cut_by_place(xy, 0.3)


def test_one_place_cannot_be_split():
    with pytest.raises(ParameterError, match="at one place"):
        cut_by_place(np.ones((10, 2)), 0.3)


@pytest.mark.parametrize(
    ("columns", "rows", "share", "axis", "held_back"),
    [
        ([40, 42, 39], [41, 40, 40], 0.2, 0, 39 / 121),  # no gap near the share: the nearest one
        ([39, 40, 42], [45, 37, 39], 0.5, 1, 76 / 121),
        ([50, 71], [121], 0.2, 0, 71 / 121),
        ([50, 71], [100, 21], 0.2, 1, 21 / 121),
    ],
)
def test_objects_of_few_chips_are_cut_between_chips(columns, rows, share, axis, held_back):
    chips = [np.repeat(np.arange(len(counts)), counts) + 0.5 for counts in (columns, rows)]
    xy = np.stack([chips[0], np.random.default_rng(0).permutation(chips[1])], axis=1)
    cut = cut_by_place(xy, share)
    assert cut.axis == axis
    assert cut.at == int(cut.at)
    assert cut.beyond(xy).mean() == pytest.approx(held_back)


def test_a_raster_of_few_chips_is_split_and_one_chip_refused(scene, tmp_path):
    done = export(scene, tmp_path / "out", size=128, val_share=0.2)
    assert set(done.chips) == {"train", "val"}
    with pytest.raises(ParameterError, match=r"one chip of 512 pixels.*chip_size.*val_share.* 0"):
        export(scene, tmp_path / "one", size=512, val_share=0.2)


class Killed(BaseException):
    pass


@pytest.fixture
def killed(monkeypatch):
    """Call a function that is killed when its output is in place."""

    def call(function):
        def kill(folder):
            folder.release()  # as the system does with a dead process's locks
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(JobFolder, "remove", kill)
            with pytest.raises(Killed):
                function()

    return call


def test_an_export_that_was_killed_is_recognised_and_leaves_nothing(scene, tmp_path, killed):
    folder = tmp_path / "labels"
    killed(lambda: export(scene, folder))
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(OutputError, match="not empty"):
        export(scene, folder, form="yolo")
    killed(lambda: export(scene, folder))  # once more
    assert export(scene, folder).classes == ["field", "pond", "roof"]
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    assert [p.name for p in tmp_path.iterdir()] == ["labels"]
    with pytest.raises(OutputError, match="not empty"):
        export(scene, folder)


def test_a_file_that_was_put_into_a_killed_export_stays(scene, tmp_path, killed):
    folder = tmp_path / "labels"
    killed(lambda: export(scene, folder))
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="not empty"):
        export(scene, folder)
    assert (folder / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
def test_an_import_that_was_killed_is_recognised(scene, tmp_path, killed, suffix):
    labels, output = tmp_path / "labels", tmp_path / "labels" / f"layer.{suffix}"
    export(scene, labels)
    killed(lambda: import_labels(labels, output))
    before = output.read_bytes()
    assert import_labels(labels, output).objects == 5
    if suffix == "geojson":  # a layer that is replaced in a GeoPackage has the same rows
        assert output.read_bytes() == before
    assert not list(labels.glob(".*"))
    with pytest.raises(OutputError, match="exists already"):
        import_labels(labels, output)


def test_labels_without_a_coordinate_system_and_other_shapes_are_said(scene, tmp_path):
    mixed = pd.concat([scene[1], gpd.GeoDataFrame(geometry=[scene[1].geometry[0].centroid])])
    mixed = mixed.set_crs(None, allow_override=True)
    with pytest.warns(SamGeoWarning) as said:
        export_labels(scene[0] / "raster.tif", mixed, tmp_path / "a",
                      options=ChipOptions(128, val_share=0.0))  # fmt: skip
    notes = [str(note.message) for note in said]
    assert any("1 feature of the layer is left out: no polygon" in note for note in notes)
    assert any("taken to be in the raster's" in note for note in notes)


def test_nothing_is_written_where_something_is_wrong(scene, tmp_path):
    far = scene[1].translate(1e6)
    with pytest.raises(ParameterError, match="lies on"):
        export_labels(scene[0] / "raster.tif", gpd.GeoDataFrame(geometry=far), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="not empty"):
        export(scene, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_the_commands_say_what_they_did(scene, tmp_path):
    folder, back = str(tmp_path / "out"), str(tmp_path / "back.gpkg")
    source = [str(Path(scene[0]) / name) for name in ("raster.tif", "labels.gpkg")]
    said = CliRunner().invoke(
        main, ["export-labels", *source, folder, "--class-field", "kind", "--chip-size", "128"]
    )
    assert said.exit_code == 0, said.output
    assert "3 classes" in said.output
    said = CliRunner().invoke(main, ["import-labels", folder, back, "--json"])
    assert json.loads(said.stdout)["objects"] == len(SHAPES)


def test_the_commands_say_one_of_a_thing_as_one(scene, tmp_path):
    raster, one = str(Path(scene[0]) / "raster.tif"), str(tmp_path / "one.gpkg")
    scene[1].iloc[:1].to_file(one)
    folder, back = str(tmp_path / "out"), str(tmp_path / "back.gpkg")
    given = ["--class-field", "kind", "--val-share", "0", "--chip-size", "2048"]
    said = CliRunner().invoke(main, ["export-labels", raster, one, folder, *given])
    assert "train: 1 chip, 1 object\n1 class (" in said.output
    said = CliRunner().invoke(main, ["import-labels", folder, back])
    assert "1 object of 1 class from 1 image: " in said.output


def test_labels_beyond_the_date_line_come_to_a_raster_that_crosses_it(tmp_path):
    path, layer = across_the_date_line(tmp_path)
    with open_raster([path]) as raster:
        _, (label,) = polygons_on(raster, read_vector(layer))
    assert label.bounds == pytest.approx((60, 60, 70, 80))


def test_more_objects_than_uint16_counts_keep_their_numbers(tmp_path):
    side, count = 512, 66_000
    cells = np.arange(count)
    shapes = shapely.box(cells % side, cells // side, cells % side + 1, cells // side + 1)
    objects = tuple(Labelled(str(k), "roof", shape) for k, shape in enumerate(shapes))
    chip = Chip("a", "train", PixelBox(0, 0, side, side), TRANSFORM, objects)
    assert formats.mask_file(tmp_path / "mask.tif", chip, ["roof"], None) == 0
    with rasterio.open(tmp_path / "mask.tif") as file:
        numbers, kinds = file.read()
    np.testing.assert_array_equal(numbers.ravel()[:count], cells + 1)
    assert not numbers.ravel()[count:].any()
    np.testing.assert_array_equal(kinds, numbers > 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda index: [],
        lambda index: "chips",
        lambda index: index | {"chips": 7},
        lambda index: index | {"chips": None},
        lambda index: index | {"chips": ["a.tif"]},
        lambda index: index | {"chips": [without(index["chips"][0], "image")]},
        lambda index: index | {"chips": [without(index["chips"][0], "transform")]},
        lambda index: index | {"chips": [without(index["chips"][0], "height")]},
        lambda index: index | {"chips": [index["chips"][0] | {"transform": [1, 2, None]}]},
        lambda index: index | {"chips": [index["chips"][0] | {"crs": "no such"}]},
        lambda index: index | {"chips": [index["chips"][0] | {"ids": 7}]},
        lambda index: index | {"classes": 7},
    ],
)
def test_an_index_of_chips_that_is_none_is_said_with_its_name(scene, tmp_path, change):
    export(scene, tmp_path / "out", form="masks")
    file = tmp_path / "out" / "chips.json"
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(ParameterError, match=r"chips\.json is damaged"):
        import_labels(tmp_path / "out", tmp_path / "back.gpkg")
    assert not (tmp_path / "back.gpkg").exists()


def without(item, key):
    return {name: value for name, value in item.items() if name != key}
