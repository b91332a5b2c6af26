# SPDX-License-Identifier: GPL-2.0-or-later
import os
import pickle
import stat

import numpy as np
import pytest
from samgeo_core.errors import JobError, OutputError
from samgeo_core.masks.masks import Mask, PromptRef, TileMasks
from samgeo_core.masks.store import JobStore
from samgeo_core.parallel.atomic_write import write_atomically
from samgeo_core.types import CellBox, TileIndex

INDEX = TileIndex(2, 5)


def some_masks(index=INDEX):
    logits = np.arange(-6, 6, dtype=np.int8).reshape(3, 4)
    ref = PromptRef("7", "point", "Dach ä")
    return TileMasks(index, 4, [Mask(CellBox(1, 2, 4, 6), logits, 0.75, 0.5, ref)])


@pytest.fixture
def store(tmp_path):
    store = JobStore(tmp_path / "job", 4)
    store.begin({"model": "a", "tile": 512})
    yield store
    store.release()


def test_a_finished_tile_comes_back_as_it_was(store):
    store.save(some_masks())
    (mask,) = store.load(INDEX).masks
    (wanted,) = some_masks().masks
    assert (mask.box, mask.score, mask.stability, mask.prompt) == (
        wanted.box,
        wanted.score,
        wanted.stability,
        wanted.prompt,
    )
    np.testing.assert_array_equal(mask.logits, wanted.logits)


def test_a_tile_without_masks_is_finished_too(store):
    store.save(TileMasks(INDEX, 4, []))
    assert store.has(INDEX)
    assert list(store.load(INDEX).masks) == []


def test_a_skipped_tile_has_no_masks(store):
    assert not store.has(INDEX)
    assert list(store.load(INDEX).masks) == []


def test_the_same_tile_has_the_same_bytes(store):
    store.save(some_masks())
    first = store.tile_path(INDEX).read_bytes()
    store.save(some_masks())
    assert store.tile_path(INDEX).read_bytes() == first


def test_a_damaged_tile_is_named(store):
    store.save(some_masks())
    path = store.tile_path(INDEX)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(JobError, match="r00002_c00005"):
        store.load(INDEX)


def test_a_job_goes_on_with_the_same_parameters_only(store):
    store.save(some_masks())
    store.release()
    assert store.begin({"model": "a", "tile": 512}) is True
    assert store.has(INDEX)
    store.release()
    with pytest.raises(JobError, match="tile was 512 and is 1024"):
        store.begin({"model": "a", "tile": 1024})
    assert store.has(INDEX)
    assert store.begin({"model": "a", "tile": 1024}, fresh=True) is False
    assert not store.has(INDEX)


def test_a_damaged_description_is_said_and_can_be_started_over(store):
    store.release()
    (store.folder / "job.json").write_text('{"mod')
    with pytest.raises(JobError, match="start over with fresh"):
        store.begin({"model": "a", "tile": 512})
    assert store.begin({"model": "a", "tile": 512}, fresh=True) is False


def test_a_kill_while_the_description_is_written_does_no_harm(tmp_path):
    (tmp_path / ".job.json.4711.part").write_text('{"mod')
    store = JobStore(tmp_path, 4)
    assert store.begin({"model": "a"}) is False
    store.release()


def test_two_processes_never_share_a_job(store):
    with pytest.raises(JobError, match="Another process"):
        JobStore(store.folder, 4).begin({"model": "a", "tile": 512})


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    precious = tmp_path / "thesis.txt"
    precious.write_text("all of it")
    for fresh in (False, True):
        with pytest.raises(JobError, match="other files"):
            JobStore(tmp_path, 4).begin({}, fresh=fresh)
    assert precious.read_text() == "all of it"


def test_a_failure_is_forgotten_once_the_tile_is_done(store):
    store.fail(INDEX, "RasterError", "block 3 is damaged")
    assert [p.suffix for p in (store.folder / "tiles").iterdir()] == [".failed"]
    store.save(some_masks())
    assert [p.suffix for p in (store.folder / "tiles").iterdir()] == [".npz"]


def test_a_store_travels_to_workers_by_path(store):
    store.save(some_masks())
    copy = pickle.loads(pickle.dumps(store))
    assert len(copy.load(INDEX).masks) == 1


def test_nothing_half_written_stays(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")

    def fails(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_atomically(target, fails)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("a.bin", b"old")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(OutputError, match="job folder"):
        JobStore(tmp_path / "job", 4).begin({})
