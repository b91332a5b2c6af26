# SPDX-License-Identifier: GPL-2.0-or-later
"""Job folders under concurrency and kills: nothing that was finished is ever taken for empty."""

from __future__ import annotations

import os
import shutil
import threading

import pytest
from samgeo_core.errors import JobError, OutputError
from samgeo_core.masks import job_folder
from samgeo_core.masks.job_folder import JobFolder
from samgeo_core.masks.store import JobStore, TileSet
from samgeo_core.parallel.file_lock import FileLock
from samgeo_core.types import TileIndex

from .test_store import INDEX, some_masks

TILES = [TileIndex(row, col) for row in range(3) for col in range(3)]


@pytest.fixture
def store(tmp_path):
    store = JobStore(tmp_path / "town.gpkg.job", 4)
    store.begin({"model": "a"})
    yield store
    store.release()


def test_a_finished_tile_that_is_missing_is_an_error(store):
    store.save(some_masks())
    store.seal([INDEX])
    assert len(store.load(INDEX).masks) == 1
    assert store.load(TileIndex(0, 0)).masks == ()  # was never wanted
    store.tile_path(INDEX).unlink()
    with pytest.raises(JobError, match=r"r00002_c00005 .* removed"):
        store.load(INDEX)


def test_masks_that_an_earlier_larger_area_left_are_not_read(store):
    store.save(some_masks())
    store.seal([])
    assert store.load(INDEX).masks == ()


def test_a_changed_tile_and_features_that_are_missing_are_errors(store):
    store.save(some_masks())
    store.save_patched(some_masks())
    changed = store.patched()
    assert len(changed.load(INDEX).masks) == 1
    store.patched_path(INDEX).unlink()
    with pytest.raises(JobError, match="Changed tile"):
        changed.load(INDEX)
    with pytest.raises(JobError, match="Batch 3"):
        store.finished_features(3)


def test_sets_of_tiles_hold_what_they_were_made_of():
    some = {TileIndex(0, 0), TileIndex(7, 3), TileIndex(2, 9)}
    found = TileSet.of(some)
    everything = [TileIndex(row, col) for row in range(-2, 12) for col in range(-2, 12)]
    assert {index for index in everything if index in found} == some
    assert TileIndex(0, 0) not in TileSet.of([])


def test_a_worker_that_is_late_does_not_bring_a_removed_folder_back(store):
    store.remove()
    with pytest.raises(OutputError):
        store.save(some_masks())
    with pytest.raises(JobError, match="removed"):
        store.overview(4)
    assert not store.folder.exists()


def test_eight_starts_during_removals_never_see_a_part_of_a_job(tmp_path):
    """Each thread works like a process: its lock is its own."""
    folder = tmp_path / "town.gpkg.job"
    wrong: list[str] = []
    finished: list[int] = []
    stop = threading.Event()

    def work(number):
        while not stop.is_set():
            store = JobStore(folder, 4)
            try:
                store.begin({"model": "a"})
            except JobError as error:
                if "Another process" not in str(error):
                    wrong.append(str(error))
                stop.wait(0.002)
                continue
            try:
                for index in TILES:
                    if not store.has(index):
                        store.save(some_masks(index))
                store.seal(TILES)
                if sum(len(store.load(index).masks) for index in TILES) != len(TILES):
                    wrong.append("a tile was empty")
                store.remove()
                finished.append(number)
                if len(finished) >= 24:
                    stop.set()
            except (JobError, OutputError) as error:
                wrong.append(str(error))
            finally:
                store.release()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert len(finished) >= 24
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moves", [True, False])
def test_a_removal_leaves_nothing_also_where_the_folder_cannot_be_moved(
    store, tmp_path, monkeypatch, moves
):
    """Windows moves no folder that holds an open file."""
    store.save(some_masks())
    store.note_finished({"digest": "x"})
    if not moves:

        def refuses(*_):
            raise PermissionError(13, "in use")

        monkeypatch.setattr(job_folder.os, "rename", refuses)
    store.remove()
    assert list(tmp_path.iterdir()) == []
    assert store.begin({"model": "a"}) is False  # and can be begun anew


def test_a_folder_that_another_process_works_in_is_not_removed(store):
    store.save(some_masks())
    JobStore(store.folder, 4).remove()
    assert store.has(INDEX)


@pytest.mark.parametrize("stop", [0, 1, 2, 3])
def test_a_removal_that_is_killed_anywhere_is_known_as_finished(store, tmp_path, monkeypatch, stop):
    class Killed(BaseException):
        pass

    store.save(some_masks())
    store.note_finished({"digest": "x"})
    steps = []

    def counted(real):
        def step(*values, **options):
            steps.append(real)
            if len(steps) == stop + 1:
                raise Killed
            return real(*values, **options)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(job_folder.os, "replace", counted(os.replace))
        patch.setattr(job_folder.os, "rename", counted(os.rename))
        patch.setattr(job_folder.shutil, "rmtree", counted(shutil.rmtree))
        patch.setattr(job_folder.Path, "unlink", counted(job_folder.Path.unlink))
        with pytest.raises(Killed):
            store.remove()
    again = JobStore(store.folder, 4)
    again.begin({"model": "a"})
    assert again.finished() == {"digest": "x"}
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_start_forgets_what_was_finished(store):
    store.note_finished({"digest": "x"})
    store.release()
    store.begin({"model": "a"}, fresh=True)
    assert store.finished() is None


def test_other_files_are_not_even_given_a_lock(tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(JobError, match="other files"):
        JobFolder(tmp_path).begin({})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("what", ["file", "link"])
def test_a_job_folder_that_cannot_be_one_is_said(tmp_path, what):
    path = tmp_path / "job"
    if what == "file":
        path.write_text("mine")
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="cannot be used"):
        JobFolder(path).begin({})


def test_a_lock_that_was_moved_away_is_not_taken_for_the_one_that_is_there(tmp_path):
    first, second, third = (FileLock(tmp_path / "job" / "lock") for _ in range(3))
    (tmp_path / "job").mkdir()
    assert first.acquire()
    assert not second.acquire()
    (tmp_path / "job").rename(tmp_path / "gone")
    with pytest.raises(FileNotFoundError):
        second.acquire()
    (tmp_path / "job").mkdir()
    assert second.acquire()
    first.release(delete=True)  # its own file is elsewhere: the new one stays
    assert not third.acquire()
    second.release(delete=True)
    assert list((tmp_path / "job").iterdir()) == []
