# SPDX-License-Identifier: GPL-2.0-or-later
"""Odd and damaged vector layers as prompts, areas, examples and polygons to straighten.

A short run is part of the suite; ``SAMGEO_FUZZ=250 pytest tests/fuzz/test_vectors.py`` is a long
one.
"""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from samgeo_core.classes.examples import ExampleLayer, read_examples
from samgeo_core.errors import SamGeoError
from samgeo_core.evaluation.run import evaluate
from samgeo_core.job import RegularizeParameters
from samgeo_core.jobs.classes.class_layer import place_layer
from samgeo_core.jobs.regularize import regularize_layer
from samgeo_core.prompts.prompt_layer import LayerOptions, read_prompts
from samgeo_core.raster.areas import AreaOfInterest
from samgeo_core.raster.raster import Raster, open_raster

from .mutate import at_most, damaged, memory_from_now, rounds

X, Y = 500_000.0, 5_000_000.0
SECONDS = 20
MEGABYTES = 900
SUFFIXES = (".gpkg", ".shp", ".geojson", ".fgb", ".parquet", ".csv", ".kml", ".gpx", ".gml")


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raster]:
    path = tmp_path_factory.mktemp("raster") / "r.tif"
    profile = {"driver": "GTiff", "count": 3, "dtype": "uint8", "height": 128, "width": 128}
    with rasterio.open(
        path, "w", crs="EPSG:32633", transform=Affine(1, 0, X, 0, -1, Y), **profile
    ) as file:
        file.write(np.full((3, 128, 128), 90, np.uint8))
    with open_raster(path) as opened:
        yield opened


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One sound layer of each format, as bytes."""
    folder = tmp_path_factory.mktemp("seeds")
    shapes = [shapely.box(X + 9 * k, Y - 60, X + 9 * k + 7, Y - 40) for k in range(6)]
    frame = gpd.GeoDataFrame({"kind": list("aabbcc")}, geometry=shapes, crs=32633)
    degrees = frame.to_crs(4326)
    found = {}
    for suffix in SUFFIXES:
        path = folder / f"layer{suffix}"
        if suffix == ".parquet":
            frame.to_parquet(path)
        elif suffix == ".csv":
            rows = [f'{k},"{shape.wkt}"' for k, shape in zip(frame["kind"], shapes, strict=True)]
            path.write_text("\n".join(["kind,WKT", *rows]))
        elif suffix == ".gpx":
            points = degrees.geometry.centroid
            marks = "".join(f'<wpt lat="{p.y}" lon="{p.x}"><name>a</name></wpt>' for p in points)
            head = '<gpx version="1.1" creator="x" xmlns="http://www.topografix.com/GPX/1/1">'
            path.write_text(f"{head}{marks}</gpx>")
        elif suffix == ".kml":
            marks = "".join(
                "<Placemark><name>a</name><Polygon><outerBoundaryIs><LinearRing><coordinates>"
                + " ".join(f"{x},{y},0" for x, y in shape.exterior.coords)
                + "</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark>"
                for shape in degrees.geometry
            )
            head = '<kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
            path.write_text(f"{head}{marks}</Document></kml>")
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frame.to_file(path, driver="GML" if suffix == ".gml" else None)
        found[suffix] = path.read_bytes()
    return found


ODD_NUMBERS = (0.0, -0.0, 1e-300, 1e15, 1e300, -1e308, math.inf, math.nan, 180.0, 95.0, X, Y)


def odd_coordinates(rng: np.random.Generator, depth: int) -> Any:
    """Lists of numbers of about the right depth, some of them absurd."""
    if depth == 0:
        near = [X + float(rng.integers(-50, 200)), Y + float(rng.integers(-200, 50))]
        if rng.random() < 0.2:
            near[int(rng.integers(2))] = ODD_NUMBERS[int(rng.integers(len(ODD_NUMBERS)))]
        if rng.random() < 0.1:
            return [near[0]] if rng.random() < 0.5 else ["x", None]
        return near + ([7.0] if rng.random() < 0.2 else [])
    count = int((0, 1, 2, 3, 4, 5, 40)[int(rng.integers(7))])
    items = [odd_coordinates(rng, depth - 1) for _ in range(count)]
    return items + items[:1] if depth == 1 and rng.random() < 0.7 else items


def odd_geometry(rng: np.random.Generator) -> Any:
    """A geometry of GeoJSON that no drawing program would write."""
    kinds = {
        "Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2,
        "MultiPolygon": 3, "Triangle": 2, "": 1,
    }  # fmt: skip
    if rng.random() < 0.1:
        return [None, {}, [], "POINT (0 0)", {"type": "Point"}][int(rng.integers(5))]
    if rng.random() < 0.1:
        inner = [odd_geometry(rng) for _ in range(int(rng.integers(3)))]
        return {"type": "GeometryCollection", "geometries": inner}
    name = list(kinds)[int(rng.integers(len(kinds)))]
    depth = max(0, kinds[name] + int(rng.choice([-1, 0, 0, 0, 0, 1])))
    return {"type": name, "coordinates": odd_coordinates(rng, depth)}


def odd_geojson(rng: np.random.Generator) -> bytes:
    """A collection of odd features, in an odd coordinate system."""
    names = ("urn:ogc:def:crs:EPSG::32633", "EPSG:32633", "urn:ogc:def:crs:EPSG::0", "", "x" * 300)
    values: tuple[Any, ...] = ("a", "b", None, 3, -(2**70), 1e400, {"a": [1]}, [None], "\ud7ff" * 9)
    features: list[Any] = []
    for _ in range(int(rng.integers(1, 9))):
        kind = (
            values[int(rng.integers(len(values)))]
            if rng.random() < 0.5
            else "ab"[len(features) % 2]
        )
        features.append(
            {"type": "Feature", "properties": {"kind": kind}, "geometry": odd_geometry(rng)}
        )
    whole: dict[str, Any] = {"type": "FeatureCollection", "features": features}
    if rng.random() < 0.8:
        name = names[0] if rng.random() < 0.7 else names[int(rng.integers(len(names)))]
        whole["crs"] = {"type": "name", "properties": {"name": name}}
    return json.dumps(whole).encode()


def cases(seeds: dict[str, bytes], seed: int, number: int) -> Iterator[tuple[str, bytes, str]]:
    """Files: suffix, bytes, and another suffix's content under a wrong name now and then."""
    rng = np.random.default_rng(seed)
    for k in range(number):
        suffix = SUFFIXES[k % len(SUFFIXES)]
        draw = rng.random()
        if draw < 0.4:
            yield ".geojson", odd_geojson(rng), "odd"
        elif draw < 0.95:
            yield suffix, damaged(seeds[suffix], rng), "damaged"
        else:
            yield SUFFIXES[int(rng.integers(len(SUFFIXES)))], seeds[suffix], "misnamed"


def uses(raster: Raster, folder: Path) -> dict[str, Callable[[Path], Any]]:
    """All that a vector file can be given for."""
    place = raster.transform, raster.crs, raster.shape

    truth = gpd.GeoDataFrame(geometry=[shapely.box(X, Y - 60, X + 9, Y - 40)], crs=32633)

    def straighten(path: Path) -> None:
        output = folder / "out.gpkg"
        output.unlink(missing_ok=True)
        regularize_layer(RegularizeParameters(str(path), str(output)), lambda *_: None)

    def roads(path: Path) -> None:
        output = folder / "lines.gpkg"
        output.unlink(missing_ok=True)
        asked = RegularizeParameters(str(path), str(output), method="centerlines")
        regularize_layer(asked, lambda *_: None)

    return {
        "prompts": lambda path: read_prompts(LayerOptions(str(path)), *place),
        "masks": lambda path: read_prompts(LayerOptions(str(path), prompt_as="mask"), *place),
        "area": lambda path: AreaOfInterest.from_layer(path, raster),
        "examples": lambda path: read_examples(
            [ExampleLayer(str(path), class_field="kind")], *place
        ),
        "classed": lambda path: place_layer(str(path), None, raster),
        "evaluated": lambda path: evaluate(path, truth),
        "straightened": straighten,
        "centre lines": roads,
    }


@pytest.mark.filterwarnings("ignore")
def test_odd_layers_are_used_or_refused_in_a_sentence(
    raster: Raster, seeds: dict[str, bytes], tmp_path: Path
) -> None:
    used, grown = 0, memory_from_now()
    faults: list[str] = []
    for number, (suffix, content, how) in enumerate(cases(seeds, 19, rounds(45))):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / f"layer{suffix}"
        path.write_bytes(content)
        for use, function in uses(raster, folder).items():
            started = time.process_time()
            try:
                with at_most(SECONDS):
                    function(path)
                used += 1
            except SamGeoError as error:
                if len(str(error)) >= 1500:
                    faults.append(f"{number} {use}: a message of {len(str(error))} characters")
            except Exception as error:
                said = f"{type(error).__name__}: {str(error)[:200]}"
                faults.append(f"{number} {how} {suffix} {use}: {said}")
            took = time.process_time() - started
            assert took < SECONDS, (number, suffix, use, took)
            assert grown() < MEGABYTES, (number, suffix, use, grown())
    assert not faults, "\n".join(faults)
    assert used > 0
