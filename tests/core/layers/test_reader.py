# SPDX-License-Identifier: GPL-2.0-or-later
"""Features in memory are read as a file made from them."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from samgeo_core.errors import ParameterError
from samgeo_core.in_memory import layer_path
from samgeo_core.layers.reader import read_vector
from samgeo_core.layers.record import seen
from samgeo_core.tracking.run import _read

SPOTS = [shapely.box(0, 0, 1, 1), shapely.box(5, 5, 6, 6)]


def with_columns(*names, geometry="geometry"):
    """A frame whose n-th column holds n."""
    frame = gpd.GeoDataFrame({str(k): [k, k] for k in range(len(names))}, geometry=SPOTS, crs=32633)
    frame.columns = pd.Index([*names, geometry], dtype=object)
    return frame.set_geometry(geometry)


def ways_to_read(folder):
    return {
        "read_vector": lambda frame: read_vector(frame).attributes,
        "layer_path": lambda frame: gpd.read_parquet(layer_path(frame, folder, "examples")),
        "track": lambda frame: _read(frame, None),
    }


@pytest.mark.parametrize("way", ways_to_read(None))
@pytest.mark.parametrize(
    ("names", "geometry", "texts"),
    [
        ((2010, 2.0, np.int64(7), None), "geometry", ["2010", "2", "7", "None"]),
        ((1, "1"), 0, ["1_", "1"]),  # one that is a text keeps its name
        (("a", "a"), "shape", ["a", "a_"]),
    ],
)
def test_names_of_columns_are_texts(tmp_path, way, names, geometry, texts):
    frame = with_columns(*names, geometry=geometry)
    found = ways_to_read(tmp_path)[way](frame)
    assert [name for name in found.columns if name in texts] == texts
    assert [found[text].iloc[0] for text in texts] == list(range(len(texts)))
    assert list(frame.columns) == [*names, geometry]  # the caller's is as it was


@pytest.mark.parametrize("way", ways_to_read(None))
def test_columns_of_several_levels_are_refused_in_a_sentence(tmp_path, way):
    frame = gpd.GeoDataFrame({("roof", "kind"): [1, 2], ("roof", 0): [3, 4]}, geometry=SPOTS)
    seen(frame)
    with pytest.raises(ParameterError, match=r"has columns of 2 levels: give each one name \(fra"):
        ways_to_read(tmp_path)[way](frame)
    frame.columns = ["_".join(filter(None, map(str, column))) for column in frame.columns]
    assert list(frame.columns) == ["roof_kind", "roof_0", "geometry"]
    assert len(ways_to_read(tmp_path)[way](frame)) == 2


@pytest.mark.parametrize("way", ways_to_read(None))
def test_a_frame_without_geometries_is_refused_in_a_sentence(tmp_path, way):
    with pytest.raises(ParameterError, match="has no geometries: set_geometry first"):
        ways_to_read(tmp_path)[way](gpd.GeoDataFrame({"a": [1]}))


@pytest.mark.parametrize("way", ["read_vector", "track"])
def test_edges_the_long_way_round_the_earth_are_read_as_those_of_a_file(tmp_path, way):
    square = shapely.segmentize(shapely.box(-4120, 3320, -3120, 4120), 100.0)
    polar = gpd.GeoDataFrame({"n": [1]}, geometry=[square], crs=3413).to_crs(4326)
    polar.to_file(tmp_path / "polar.gpkg")
    shapes = {
        "read_vector": lambda source: read_vector(source).shapes,
        "track": lambda source: _read(source, None).geometry,
    }[way]
    assert shapely.equals_exact(*shapes(polar), *shapes(tmp_path / "polar.gpkg"), tolerance=0)
    assert not polar.is_valid.any()  # the caller's is as it was
