# SPDX-License-Identifier: GPL-2.0-or-later
import numpy as np
import pytest
import shapely
from samgeo_core.classes.road_graph import NetworkOptions, road_network
from samgeo_core.classes.skeleton import MARGIN, SkeletonCells, block_skeleton
from samgeo_core.types import CellBox
from scipy import ndimage

SHAPE = 200, 300


def skeleton(mask, block=None):
    """Of a mask, in one block or in several."""
    whole = CellBox(0, 0, *mask.shape)
    size = block or max(mask.shape)
    parts = []
    for row in range(0, mask.shape[0], size):
        for col in range(0, mask.shape[1], size):
            box = CellBox(row, col, row + size, col + size).intersection(whole)
            wide = box.grown(MARGIN).intersection(whole)
            seen = mask[wide.slices(whole)].astype(np.float32)
            parts.append(block_skeleton(seen, np.ones(seen.shape, bool), wide, box, 0.5, 12))
    fields = ("rows", "cols", "half", "width", "probability")
    return SkeletonCells(*(np.concatenate([getattr(p, f) for p in parts]) for f in fields))


def network(mask, options=None, block=None, **others):
    sides = [] if block is None else [
        *((0, k) for k in range(block, mask.shape[0], block)),
        *((1, k) for k in range(block, mask.shape[1], block)),
    ]  # fmt: skip
    return road_network(skeleton(mask, block), 1, sides, options or NetworkOptions(), **others)


def road(mask, start, end, width=9):
    rows, cols = np.mgrid[0 : mask.shape[0], 0 : mask.shape[1]] + 0.5
    line = shapely.LineString([start[::-1], end[::-1]])
    near = shapely.dwithin(shapely.points(cols.ravel(), rows.ravel()), line, width / 2)
    mask |= near.reshape(mask.shape)
    return mask


def empty():
    return np.zeros(SHAPE, bool)


def total(lines):
    return sum(one.line.length for one in lines)


def test_a_crossing_is_four_lines_with_one_node():
    mask = road(road(empty(), (100, 5), (100, 295)), (5, 150), (195, 150))
    lines = network(mask)
    assert len(lines) == 4
    ends = [tuple(xy) for one in lines for xy in shapely.get_coordinates(one.line)[[0, -1]]]
    assert sorted(ends.count(end) for end in set(ends)) == [1, 1, 1, 1, 4]
    assert all(one.width == pytest.approx(9, abs=1.5) for one in lines)


def test_a_short_spur_goes_and_a_long_branch_stays():
    mask = road(empty(), (100, 5), (100, 295))
    spur = road(mask.copy(), (100, 80), (88, 80))
    branch = road(mask.copy(), (100, 80), (20, 80))
    assert len(network(spur)) == 1
    assert len(network(branch)) == 3


def test_a_gap_is_bridged_where_directions_and_widths_agree():
    along = road(road(empty(), (100, 5), (100, 130)), (100, 150), (100, 295))
    assert len(network(along)) == 1
    assert total(network(along)) > 270
    aside = road(road(empty(), (60, 5), (60, 130)), (85, 150), (85, 295))
    assert len(network(aside)) == 2
    wider = road(road(empty(), (100, 5), (100, 130), 5), (100, 155), (100, 295), 31)
    assert len(network(wider)) == 2
    far = road(road(empty(), (100, 5), (100, 100)), (100, 190), (100, 295))
    assert len(network(far)) == 2


def test_no_gap_is_bridged_where_the_widest_is_0():
    along = road(road(empty(), (100, 5), (100, 130)), (100, 150), (100, 295))
    assert len(network(along, NetworkOptions(max_gap=0.0))) == 2


def test_a_road_that_stops_short_of_another_runs_into_it():
    mask = road(road(empty(), (100, 5), (100, 295)), (5, 150), (85, 150))
    lines = network(mask)
    assert len(lines) == 3


def test_no_bridge_leads_over_what_is_certainly_no_road():
    along = road(road(empty(), (100, 5), (100, 130)), (100, 150), (100, 295))
    lines = network(along, sampler=lambda path: np.zeros(len(path)))
    assert len(lines) == 2


def test_loose_pieces_shorter_than_asked_go():
    mask = road(road(empty(), (100, 5), (100, 295)), (30, 30), (30, 60))
    assert len(network(mask)) == 2
    assert len(network(mask, NetworkOptions(min_length=60))) == 1


def test_a_dead_end_is_as_long_as_its_line_is_drawn():
    mask = road(road(empty(), (190, 5), (190, 295)), (190, 100), (130, 128))
    stub = min(network(mask), key=lambda one: one.line.length).line.length
    assert len(network(mask, NetworkOptions(min_length=stub - 0.5))) == 3
    assert len(network(mask, NetworkOptions(min_length=stub + 0.5))) == 1


def test_lengths_and_gaps_count_on_the_ground_where_cells_are_no_squares():
    mask = road(road(empty(), (100, 5), (100, 120)), (100, 150), (100, 295))
    mask = road(road(mask, (30, 30), (30, 90)), (30, 200), (90, 200))
    # A cell is 1 m high and 0.5 m wide: the gap has 15 m, the short road across 30 m, that down 70.
    lines = network(mask, NetworkOptions(min_length=40, max_gap=16, steps=(1.0, 0.5)))
    assert len(lines) == 3
    assert max(one.line.bounds[3] - one.line.bounds[1] for one in lines) > 60
    assert all(one.line.bounds[2] > 125 for one in lines)
    # 0.5 m high and 1 m wide: the gap has 30 m, the short road across 60 m, that down 35.
    lines = network(mask, NetworkOptions(min_length=40, max_gap=16, steps=(0.5, 1.0)))
    assert len(lines) == 3
    assert max(one.line.bounds[3] - one.line.bounds[1] for one in lines) < 10
    assert min(one.line.bounds[2] for one in lines) < 125


@pytest.mark.parametrize("block", [64, 100])
def test_blocks_leave_no_trace(block):
    mask = road(road(empty(), (90, 5), (110, 295)), (5, 140), (195, 160))
    mask = road(mask, (30, 20), (30, 280))
    one, many = network(mask), network(mask, block=block)
    assert len(one) == len(many)
    a = shapely.union_all([line.line for line in one])
    b = shapely.union_all([line.line for line in many])
    assert shapely.hausdorff_distance(a, b) < 2
    assert total(one) == pytest.approx(total(many), rel=0.02)


def test_lines_run_within_half_a_width_of_the_middle():
    rows, cols = np.mgrid[0:200, 0:300]
    mask = np.abs(rows - 100 - 40 * np.sin(cols / 40)) < 6
    (line,) = network(mask)
    xy = shapely.get_coordinates(line.line)
    inner = xy[(xy[:, 0] > 10) & (xy[:, 0] < 290)]
    assert np.abs(inner[:, 1] - 100.5 - 40 * np.sin((inner[:, 0] - 0.5) / 40)).max() < 3
    turns = np.diff(np.unwrap(np.arctan2(*np.diff(inner, axis=0).T)))
    assert np.abs(turns).max() < 0.5  # no staircase


def maze(seed):
    """Crooked ways of many widths, from noise."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(160, 200)), rng.uniform(3, 7))
    return np.abs(noise) < np.quantile(np.abs(noise), rng.uniform(0.25, 0.5))


@pytest.mark.parametrize("seed", [27, 62, 84, 148])
def test_lines_of_a_node_meet_there_alone(seed):
    lines = np.array([one.line for one in network(maze(seed))], object)
    first, second = shapely.STRtree(lines).query(lines, predicate="intersects")
    for a, b in zip(first, second, strict=True):
        if a < b:
            ends = [set(map(tuple, shapely.get_coordinates(lines[k])[[0, -1]])) for k in (a, b)]
            common = shapely.get_coordinates(shapely.intersection(lines[a], lines[b]))
            assert {tuple(xy) for xy in common} <= ends[0] & ends[1]


@pytest.mark.parametrize("seed", [84, 166, 219])
def test_no_loop_runs_around_nothing(seed):
    lines = [one.line for one in network(maze(seed))]
    assert all(line.length > 2 * np.pi for line in lines if line.is_ring)


def test_an_empty_surface_has_no_lines():
    assert network(empty()) == []


@pytest.mark.parametrize("width", [4, 5, 6, 8, 13])
def test_a_road_is_as_wide_as_its_surface_whatever_its_direction(width):
    for angle in np.linspace(0.1, 3.0, 6):
        step = 90 * np.array([np.sin(angle), np.cos(angle)])
        middle = np.array([100.2, 150.3])
        (line,) = network(road(empty(), middle - step, middle + step, width - 1e-6))
        assert line.width == pytest.approx(width, abs=0.6)


FRAME = 0.0, 0.0, 300.0, 200.0


@pytest.mark.parametrize("width", [5, 9, 16])
@pytest.mark.parametrize("rise", [0, 20, 60])
def test_a_road_that_leaves_the_map_ends_in_its_middle_on_the_border(width, rise):
    mask = road(empty(), (100 - rise, -40), (100 + rise, 340), width)
    (line,) = network(mask, frame=FRAME)
    (x0, y0), (x1, y1) = sorted(shapely.get_coordinates(line.line)[[0, -1]].tolist())
    assert (x0, x1) == (0, 300)
    slope = rise / 190
    assert y0 == pytest.approx(100 - 150 * slope, abs=max(1.5, width / 6))
    assert y1 == pytest.approx(100 + 150 * slope, abs=max(1.5, width / 6))


def test_a_dead_end_reaches_the_end_of_its_surface_in_the_middle():
    rows, cols = np.mgrid[0:200, 0:300] + 0.5
    for turn in (0.0, 0.3, 0.7):
        ahead = np.array([np.cos(turn), np.sin(turn)])
        along = (cols - 150) * ahead[0] + (rows - 100) * ahead[1]
        aside = (rows - 100) * ahead[0] - (cols - 150) * ahead[1]
        (line,) = network((np.abs(along) < 80) & (np.abs(aside) < 7), frame=FRAME)
        ends = shapely.get_coordinates(line.line)[[0, -1]] - (150, 100)
        assert np.abs(ends @ ahead) == pytest.approx([80, 80], abs=1.6)
        assert np.abs(ends @ (-ahead[1], ahead[0])).max() < 1.6
