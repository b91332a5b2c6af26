# SPDX-License-Identifier: GPL-2.0-or-later
import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samgeo_core import job
from samgeo_core.job import MessageError

MINIMAL = {"rasters": ["a.tif"], "output": "b.gpkg"}

texts = st.text(max_size=30)
numbers = st.integers(0, 2**53)
MESSAGES = st.one_of(
    st.builds(job.Request, numbers, texts, st.dictionaries(texts, numbers | texts, max_size=3)),
    st.builds(job.Result, numbers, st.dictionaries(texts, st.lists(numbers), max_size=3)),
    st.builds(job.Failure, st.none() | numbers, texts, texts, texts),
    st.builds(job.Progress, st.none() | numbers, texts, numbers, numbers, texts),
    st.builds(job.Log, texts, texts, st.none() | numbers),
    st.builds(job.Hello, numbers, texts, texts, texts),
    st.builds(job.Heartbeat, st.none() | numbers),
)


@given(MESSAGES)
def test_every_message_comes_back_from_its_line(message):
    line = job.encode(message)
    assert line.count(b"\n") == 1
    assert job.decode(line) == message


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_message_error(line):
    with contextlib.suppress(MessageError):
        job.decode(line)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
EVENTS = ["result", "failure", "progress", "log", "hello", "heartbeat"]
MEMBERS = st.sampled_from(["event", "id", "method", "params", "result", "kind", "stage", "done"])


@given(st.dictionaries(MEMBERS, JSON_VALUES | st.sampled_from(EVENTS), max_size=6))
def test_any_json_object_is_a_message_or_a_message_error(values):
    with contextlib.suppress(MessageError):
        job.decode(json.dumps(values).encode())


def test_members_of_a_newer_side_are_left_out():
    assert job.decode(b'{"event":"heartbeat","busy":3,"mood":"good"}') == job.Heartbeat(3)


def test_nan_and_long_lines_are_refused():
    with pytest.raises(MessageError, match="JSON form"):
        job.encode(job.Result(1, {"a": float("nan")}))
    with pytest.raises(MessageError, match="exceeds"):
        job.encode(job.Result(1, {"a": "x" * job.MAX_LINE}))
    with pytest.raises(MessageError, match="exceeds"):
        job.decode(b" " * (job.MAX_LINE + 1))


def test_parameters_survive_json():
    params = job.SegmentParameters(["a.tif"], "b.gpkg", stretch=[[0, 1.5]], words=["roof"])
    assert job.SegmentParameters.from_dict(json.loads(json.dumps(params.to_dict()))) == params


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rasters": "a.tif"}, "'rasters' must be a list"),
        ({"rasters": [1]}, "must be of type str"),
        ({"workers": True}, "must be of type int"),
        ({"workers": 1.5}, "must be of type int"),
        ({"extent": [1, "x"]}, "must be of type float"),
        ({"min_area": float("nan")}, "min_area must be a finite number"),
        ({"simplify": float("inf")}, "simplify must be a finite number"),
        ({"extent": [1, 2, 3]}, "extent must have 4 numbers, not 3"),
        ({"wokers": 2}, "Unknown parameter 'wokers'"),
    ],
)
def test_wrong_parameters_are_named(change, says):
    with pytest.raises(MessageError, match=says):
        job.SegmentParameters.from_dict({**MINIMAL, **change})


def test_missing_parameters_are_named():
    with pytest.raises(MessageError, match="Missing parameter 'output'"):
        job.SegmentParameters.from_dict({"rasters": []})


def test_every_annotation_of_a_parameter_is_understood():
    for kind in (job.SegmentParameters, job.OpenParameters, job.Prompt):
        values = {
            job.SegmentParameters: MINIMAL,
            job.OpenParameters: {"rasters": ["a"]},
            job.Prompt: {"type": "point", "coordinates": [[1, 2.5]]},
        }[kind]
        first = kind.from_dict(values)
        assert kind.from_dict(first.to_dict()) == replace(first)


@pytest.mark.parametrize("text", ["a\x00b", "\ud800 "])
def test_texts_that_no_file_can_have_are_refused(text):
    with pytest.raises(MessageError, match="a character that neither"):
        job.SegmentParameters.from_dict({**MINIMAL, "layer": text})


def test_file_names_in_other_encodings_stay():
    name = b"stra\xdfe.tif".decode("utf-8", "surrogateescape")
    assert job.SegmentParameters.from_dict({**MINIMAL, "rasters": [name]}).rasters == [name]


def test_half_a_character_travels_escaped():
    line = job.encode(job.Failure(1, "ModelError", "no model \ud800"))
    assert job.decode(line).message == "no model \ud800"


@pytest.mark.parametrize("command", ["classify", "surfaces", "roads"])
def test_a_command_without_exemplars_does_not_speak_of_them(command):
    from samgeo_core.cli.commands import main

    help_of = {option.name: getattr(option, "help", "") for option in main.commands[command].params}
    assert "class_field" in help_of
    assert "exemplars" not in help_of
    assert not [name for name, text in help_of.items() if "exemplar" in (text or "")]
