# SPDX-License-Identifier: GPL-2.0-or-later
"""The engine's client against a worker that crashes, lies, prints and falls silent."""

from __future__ import annotations

import gc
import os
import signal
import sys

import pytest
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QProcessEnvironment

from samgeo_plugin.engine.client import READY, STOPPED, EngineClient, NoEngine
from samgeo_plugin.engine.process import (
    EngineCommand,
    LineBuffer,
    clean_environment,
    describe_engine,
)
from samgeo_plugin.job import MessageError


class Answers:
    def __init__(self) -> None:
        self.results: list = []
        self.failures: list = []
        self.progress: list = []

    def callbacks(self) -> dict:
        return {
            "on_result": self.results.append,
            "on_failure": self.failures.append,
            "on_progress": self.progress.append,
        }

    def complete(self) -> bool:
        return bool(self.results or self.failures)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_are_whole_however_the_pipe_cuts_them(size):
    text = '{"a":"größer €"}\n\n{"b":1}\nrest'.encode()
    buffer = LineBuffer()
    lines = []
    for at in range(0, len(text), size):
        lines += buffer.feed(text[at : at + size])
    assert lines == ['{"a":"größer €"}'.encode(), b"", b'{"b":1}']
    assert buffer.feed(b"!\n") == [b"rest!"]


def test_a_line_without_end_is_refused():
    buffer = LineBuffer(limit=10)
    buffer.feed(b"12345")
    with pytest.raises(MessageError):
        buffer.feed(b"6789012")


def test_the_engines_environment_has_nothing_of_qgis():
    source = QProcessEnvironment()
    for name in (
        "PROJ_DATA",
        "PROJ_LIB",
        "GDAL_DATA",
        "PYTHONPATH",
        "PYTHONHOME",
        "QT_PLUGIN_PATH",
    ):
        source.insert(name, "/opt/qgis/share")
    source.insert("HOME", "/home/me")
    source.insert("LD_LIBRARY_PATH", f"/opt/qgis/lib{os.pathsep}/usr/local/lib")
    cleaned = clean_environment(source, prefix="/opt/qgis")
    assert not {"PROJ_DATA", "PROJ_LIB", "GDAL_DATA", "PYTHONPATH", "PYTHONHOME"} & set(
        cleaned.keys()
    )
    assert not cleaned.contains("QT_PLUGIN_PATH")
    assert cleaned.value("HOME") == "/home/me"
    assert cleaned.value("LD_LIBRARY_PATH") == "/usr/local/lib"


@pytest.mark.parametrize("words", ["", "split", "garbage"])
def test_a_request_starts_the_engine_and_is_answered(client, wait, tmp_path, words):
    raster = tmp_path / "größer 1.tif"
    raster.touch()
    engine, answers = client(words), Answers()
    engine.request("open", {"rasters": [str(raster)]}, **answers.callbacks())
    assert not answers.complete(), "request() must not wait"
    wait(answers.complete)
    assert answers.results[0]["session"] == "s1"
    assert answers.progress[0].message == "größer"
    assert engine.state == READY


def test_what_the_engine_runs_on_is_said_once_it_is_known(client, wait):
    engine, answers = client(), Answers()
    engine.note_device("cpu")
    assert engine.hello is None, "no engine runs"
    engine.request("open", {"rasters": ["/nowhere.tif"]}, **answers.callbacks())
    wait(answers.complete)
    assert describe_engine(engine.hello) == "Engine 0.0.fake"
    engine.note_device("cuda:0")
    assert describe_engine(engine.hello) == "Engine 0.0.fake on cuda:0"


def test_a_refusal_arrives_as_kind_and_sentence(client, wait):
    engine, answers = client(), Answers()
    engine.request("open", {"rasters": ["/nowhere.tif"]}, **answers.callbacks())
    wait(answers.complete)
    assert answers.failures[0].kind == "RasterError"
    assert "/nowhere.tif" in answers.failures[0].message


def test_after_a_crash_there_is_a_message_and_the_next_request_works(client, wait, tmp_path):
    engine, first, second = client(f"crash=look once={tmp_path / 'mark'}"), Answers(), Answers()
    deaths = []
    engine.died.connect(lambda sentence, detail: deaths.append((sentence, detail)))
    engine.request("look", **first.callbacks())
    wait(first.complete)
    assert first.failures[0].kind == "EngineDied"
    assert len(deaths) == 1
    assert "Segmentation fault, says the test" in deaths[0][1]
    assert engine.state == STOPPED
    engine.request("look", **second.callbacks())
    wait(second.complete)
    assert second.results == [{"encoded": True}]


def test_what_is_asked_when_an_engine_dies_is_asked_of_the_next_one(client, wait, tmp_path):
    engine, first, second = client(f"crash=look once={tmp_path / 'mark'}"), Answers(), Answers()
    engine.died.connect(lambda *_: engine.request("look", **second.callbacks()))
    engine.request("look", **first.callbacks())
    wait(lambda: first.complete() and second.complete())
    assert first.failures[0].kind == "EngineDied"
    assert second.results == [{"encoded": True}]


def test_killed_in_the_middle_of_a_request(client, wait):
    engine, first, second = client("slow=0.4"), Answers(), Answers()
    engine.request("look", **first.callbacks())
    wait(lambda: engine.state == READY)
    os.kill(engine.pid, signal.SIGKILL)
    wait(first.complete)
    assert first.failures[0].kind == "EngineDied"
    assert "memory" in first.failures[0].message
    engine.request("look", **second.callbacks())
    wait(second.complete)
    assert second.results


def test_a_silent_engine_is_ended_and_said_to_be(client, wait):
    engine, answers = client("silent", silence=0.3, check=0.1), Answers()
    engine.request("look", **answers.callbacks())
    wait(answers.complete)
    assert answers.failures[0].kind == "EngineDied"
    assert "stopped answering" in answers.failures[0].message
    assert engine.state == STOPPED


def test_a_busy_engine_that_beats_is_left_alone(client, wait):
    engine, answers = client("slow=1.5 beat=0.1", silence=0.5, check=0.1), Answers()
    engine.request("look", **answers.callbacks())
    wait(answers.complete)
    assert answers.results


def test_an_engine_that_never_greets_is_given_up(client, wait):
    engine, answers = client("mute", start=0.3, check=0.1), Answers()
    engine.request("look", **answers.callbacks())
    wait(answers.complete)
    assert "did not start in time" in answers.failures[0].message


def test_another_protocol_is_refused_with_the_way_out(client, wait):
    engine, answers = client("protocol=99"), Answers()
    engine.request("look", **answers.callbacks())
    wait(answers.complete)
    assert "99" in answers.failures[0].message
    assert "update" in answers.failures[0].message


def test_a_python_without_the_engine_is_said_with_the_way_out(qgis_app, wait):
    command = EngineCommand(sys.executable, ("-m", "no_engine"))
    engine, answers = EngineClient(lambda: command), Answers()
    engine.request("look", **answers.callbacks())
    wait(answers.complete)
    said = answers.failures[0].message
    assert f"{sys.executable} lacks the package no_engine: install samgeo-seamless there" in said


@pytest.mark.parametrize("words", ["flood", "long"])
def test_something_that_is_no_engine_is_ended(client, wait, words):
    engine, answers = client(words), Answers()
    engine.request("look", **answers.callbacks())
    wait(answers.complete, 20)
    assert answers.failures[0].kind == "EngineDied"
    assert engine.state == STOPPED


def test_cancel_stops_a_request_that_runs(client, wait, tmp_path):
    engine, answers = client("tile=0.05"), Answers()
    request = engine.request(
        "segment", {"rasters": ["a.tif"], "output": str(tmp_path / "o.json")}, **answers.callbacks()
    )
    wait(lambda: answers.progress)
    engine.cancel(request)
    wait(answers.complete)
    assert answers.failures[0].kind == "Cancelled"
    assert len(answers.progress) < 20


def test_cancel_before_the_engine_is_there(client, wait):
    engine, answers = client(), Answers()
    engine.cancel(engine.request("look", **answers.callbacks()))
    assert answers.failures[0].kind == "Cancelled"


def test_no_environment_is_a_failure_and_not_an_exception(qgis_app, wait):
    def command():
        raise NoEngine("Set up the engine first.")

    engine, answers = EngineClient(command), Answers()
    engine.request("look", **answers.callbacks())
    assert not answers.complete()
    wait(answers.complete)
    assert answers.failures[0].kind == "NoEngine"
    assert answers.failures[0].message == "Set up the engine first."


def test_a_python_that_does_not_exist_is_said(qgis_app, wait):
    engine, answers = EngineClient(lambda: EngineCommand("/no/such/python")), Answers()
    engine.request("look", **answers.callbacks())
    wait(answers.complete)
    assert "/no/such/python" in answers.failures[0].message


@pytest.mark.parametrize("words", ["", "deaf"])
def test_stop_and_wait_leaves_no_process(client, wait, words):
    engine, answers = client(words), Answers()
    engine.request("look", **answers.callbacks())
    wait(answers.complete)
    pid = engine.pid
    engine.stop_and_wait(0.5)
    assert not is_running(pid)


def test_stop_returns_at_once_and_the_process_ends(client, wait):
    engine, answers = client("deaf", stop=0.2), Answers()
    engine.request("look", **answers.callbacks())
    wait(answers.complete)
    pid = engine.pid
    engine.stop()
    assert engine.state == STOPPED
    wait(lambda: not is_running(pid))


def test_a_client_that_qgis_deletes_with_its_engine_running_raises_nothing(
    fake_command, wait, monkeypatch
):
    """As where QGIS ends without unloading its plugins: what a slot raises ends the process."""
    deleted = EngineClient(fake_command)
    answers = Answers()
    deleted.request("hello", {}, **answers.callbacks())
    wait(lambda: deleted.state == READY)
    raised = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: raised.append(error))
    sip.delete(deleted)
    assert raised == []


def test_a_client_that_python_collects_with_its_engine_running_raises_nothing(
    fake_command, wait, monkeypatch
):
    """Python empties a cycle of objects before Qt hears of it."""
    lost = EngineClient(fake_command)
    lost.request("hello", {}, **Answers().callbacks())
    wait(lambda client=lost: client.state == READY)
    lost.itself = lost
    raised = []
    monkeypatch.setattr(sys, "excepthook", lambda *error: raised.append(error))
    del lost
    gc.collect()
    assert raised == []
