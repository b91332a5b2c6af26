# SPDX-License-Identifier: GPL-2.0-or-later
"""Warnings reach the block that they are about, in threads, too, and Python's own state stays."""

import pickle
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import samgeo_core
from samgeo_core.errors import SamGeoWarning
from samgeo_core.jobs.result import collected_warnings
from samgeo_core.notes import collected, for_threads, silenced, told, warn, with_notes

USES_PYTHONS = {"notes.py", "cli/console.py", "worker/serve.py"}
"""The one way to warn, and two that have a process for themselves."""


def texts(said):
    return [str(one) for one in said]


def test_without_a_block_python_says_it_of_the_callers_line_each_time():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        for _ in range(2):
            with collected_warnings():
                warn("left out")
    assert [(str(one.message), one.filename) for one in shown] == [("left out", __file__)] * 2


def test_the_innermost_block_collects():
    with collected() as outer:
        warn("before")
        with collected() as inner:
            warn("within")
        warn("after")
    assert (texts(outer), texts(inner)) == (["before", "after"], ["within"])


def test_threads_that_work_for_a_block_reach_it():
    with collected() as said, ThreadPoolExecutor(1) as pool:
        pool.submit(for_threads(warn), "by a function").result()
        pool.submit(pickle.loads(pickle.dumps(for_threads(warn))), "pickled").result()
    assert texts(said) == ["by a function", "pickled"]


def test_what_others_say_to_python_reaches_the_block_each_time():
    def say():
        warnings.warn("of a segmenter", SamGeoWarning, stacklevel=1)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        say()  # Python passes over the second time, and says so to no filter
        with collected() as said:
            say()
            say()
            warnings.warn(SamGeoWarning("as an object"), stacklevel=1)
            warnings.warn("of a library", RuntimeWarning, stacklevel=1)
    assert texts(said) == ["of a segmenter", "of a segmenter", "as an object"]
    assert [str(one.message) for one in shown] == ["of a segmenter", "of a library"]


def test_what_a_process_says_is_said_where_its_result_arrives():
    function = pickle.loads(pickle.dumps(with_notes(warn)))
    with collected() as said:
        answer = function("left out")
        assert said == []
        assert told(answer) is None
    assert texts(said) == ["left out"]


def test_what_is_said_after_the_end_of_a_block_is_not_lost():
    with collected():
        late = for_threads(warn)
    with pytest.warns(SamGeoWarning, match="late"):
        late("late")


def overlapping(block, first, then):
    """Two threads in such a block at a time, of which ``first`` ends first."""
    both, gone = threading.Barrier(2), threading.Event()

    def work(number):
        with ExitStack() as stack:
            stack.enter_context(block())
            both.wait(10)
            if number != first:
                gone.wait(10)
                then()
        gone.set()

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("block", [collected, silenced])
@pytest.mark.parametrize("first", [0, 1])
def test_after_overlapping_blocks_python_shows_everything(block, first):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        overlapping(block, first, lambda: warnings.warn("within", RuntimeWarning, stacklevel=1))
        warnings.warn("of a library", RuntimeWarning, stacklevel=1)
        warn("ours")
    within = ["within"] if block is collected else []
    assert [str(one.message) for one in shown] == [*within, "of a library", "ours"]


def test_silence_is_of_one_thread_and_one_category_and_never_of_what_we_say():
    with warnings.catch_warnings(record=True) as shown, ThreadPoolExecutor(1) as pool:
        warnings.simplefilter("always")
        with silenced(RuntimeWarning):
            with silenced(ResourceWarning):
                warnings.warn("quiet", ResourceWarning, stacklevel=1)
                warnings.warn("quiet", RuntimeWarning, stacklevel=1)
            warnings.warn("loud", ResourceWarning, stacklevel=1)
            pool.submit(warnings.warn, "of another thread", RuntimeWarning).result()
        with silenced():
            warnings.warn("quiet", UserWarning, stacklevel=1)
            warn("ours")
    assert [str(one.message) for one in shown] == ["loud", "of another thread", "ours"]


def test_a_filter_of_the_caller_within_the_block_comes_first_again():
    with warnings.catch_warnings(record=True) as shown, silenced(RuntimeWarning):
        warnings.simplefilter("always")
        with silenced():
            warnings.warn("quiet", UserWarning, stacklevel=1)
    assert shown == []


def test_the_engine_says_everything_by_warn():
    core = Path(samgeo_core.__file__).parent
    found = {
        path.relative_to(core).as_posix()
        for path in core.rglob("*.py")
        if "\nimport warnings" in path.read_text("utf-8")
    }
    assert found == USES_PYTHONS
