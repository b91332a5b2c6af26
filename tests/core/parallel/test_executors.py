# SPDX-License-Identifier: GPL-2.0-or-later
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from samgeo_core.errors import Cancelled, JobError, ParameterError
from samgeo_core.parallel.cancellation import check, stopped_by
from samgeo_core.parallel.executors import ProcessExecutor, SerialExecutor, make_executor

from ..scenes import write_raster


def slow_for_small(number):
    time.sleep(0.02 / (1 + number))
    return number * number


def die(number):
    os._exit(9)


def refuse(number):
    raise ParameterError(f"not {number}")


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_items(workers):
    with make_executor(workers) as executor:
        assert list(executor.map(slow_for_small, range(20))) == [n * n for n in range(20)]


def test_items_are_taken_as_they_are_needed():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    with SerialExecutor() as executor:
        results = executor.map(slow_for_small, items())
        next(results)
        assert taken == [0]


def test_an_error_of_the_function_reaches_the_caller():
    with make_executor(2) as executor, pytest.raises(ParameterError, match="not 3"):
        list(executor.map(refuse, [3]))


def test_a_killed_worker_is_said_in_a_sentence():
    with ProcessExecutor(1) as executor, pytest.raises(JobError, match="fewer workers"):
        list(executor.map(die, [1]))


SCRIPT = """
import samgeo_core
from tests.core.scenes import MARGIN, TILE, SceneOracle
print("begins")
samgeo_core.segment({raster!r}, {output!r}, tile_size=TILE, margin=MARGIN, workers=2,
                    segmenter=SceneOracle())
"""


def test_a_script_without_a_guard_is_told_so(tmp_path):
    raster, script = write_raster(tmp_path / "a.tif"), tmp_path / "script.py"
    output = tmp_path / "a.gpkg"
    script.write_text(SCRIPT.format(raster=str(raster), output=str(output)))
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    command = [sys.executable, str(script)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    *_, last = done.stderr.strip().splitlines()
    assert "JobError: No worker process could start" in last
    assert "if __name__" in last
    assert "A worker process imports this script" in done.stderr
    assert "Another process works on the job" not in done.stderr


NOTEBOOK = """
from samgeo_core.parallel.executors import make_executor
class Square:
    def __call__(self, number):
        return number * number
with make_executor(2) as executor:
    print(list(executor.map(Square(), [1])))
"""


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (["-c", NOTEBOOK], r"ParameterError: .*'Square'.* put them into a module .*one worker"),
        (["-"], r"JobError: .* read from standard input: save it as a file, or use one worker"),
    ],
)
def test_what_workers_cannot_import_is_said_and_not_taken_for_memory(command, says):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *command], input=NOTEBOOK, env=environment, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    *_, last = done.stderr.strip().splitlines()
    assert re.search(says, last), done.stderr


def test_what_cannot_be_pickled_is_said():
    with (
        make_executor(2) as executor,
        pytest.raises(ParameterError, match="cannot be handed to worker processes"),
    ):
        list(executor.map(lambda number: number, [1]))


@pytest.mark.skipif(os.name == "nt", reason="looks for processes by signals")
def test_workers_end_when_their_main_process_is_killed():
    code = (
        "import os\n"
        "from samgeo_core.parallel.executors import ProcessExecutor\n"
        "from tests.core.parallel.test_executors import process_id\n"
        "if __name__ == '__main__':\n"
        "    with ProcessExecutor(2) as executor:\n"
        "        print(*set(executor.map(process_id, range(4))), flush=True)\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    workers = [int(word) for word in done.stdout.split()]
    assert workers, done.stderr
    end = time.monotonic() + 10
    while any(is_alive(pid) for pid in workers) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [pid for pid in workers if is_alive(pid)]


def process_id(_: int) -> int:
    time.sleep(0.2)
    return os.getpid()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    def client(address, **_):
        raise OSError(f"Timed out trying to connect to {address} after 30 s")

    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=client))
    with pytest.raises(ParameterError, match="No Dask scheduler answers at tcp://nowhere:1"):
        make_executor(address="tcp://nowhere:1")


def test_more_workers_than_the_system_can_have_are_refused(monkeypatch):
    def pool(*_, **__):
        raise ValueError("max_workers must be <= 61")

    monkeypatch.setattr("samgeo_core.parallel.executors.ProcessPoolExecutor", pool)
    with pytest.raises(ParameterError, match="cannot run 99 worker processes"):
        make_executor(99)


def wait_for_ever(path):
    path.touch()
    while True:
        check()
        time.sleep(0.01)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("workers", [1, 2])
def test_work_that_is_no_longer_wanted_ends_in_the_middle(tmp_path, workers):
    begun = tmp_path / "begun"

    def question():
        if begun.exists():
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled), stopped_by(question), make_executor(workers) as executor:
        list(executor.map(wait_for_ever, [begun]))
    check()  # the question is asked within its block only


def test_no_workers_are_refused():
    with pytest.raises(ParameterError, match="at least 1"):
        make_executor(0)
