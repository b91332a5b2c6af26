# SPDX-License-Identifier: GPL-2.0-or-later
"""The object in work, without widgets: prompts, candidates, undo, hover, crash, refinement."""

from __future__ import annotations

import os
import signal

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsPointXY

from samgeo_plugin.crs import crs_text
from samgeo_plugin.geojson import from_geometry, to_geometry
from samgeo_plugin.interactive.candidates import Refinement
from samgeo_plugin.interactive.engine_session import View
from samgeo_plugin.interactive.opening import CLOSED, READY
from samgeo_plugin.interactive.session import InteractiveSession
from samgeo_plugin.job import MessageError, OpenParameters, Prompt


def point(x: float, y: float, positive: bool = True) -> Prompt:
    return Prompt("point", [[x, y]], positive)


def raster(folder, name: str) -> OpenParameters:
    (folder / name).touch()
    return OpenParameters([str(folder / name)])


class Watched:
    def __init__(self, session: InteractiveSession) -> None:
        self.accepted: list = []
        self.messages: list = []
        self.hovers: list = []
        session.accepted.connect(self.accepted.append)
        session.message.connect(lambda *args: self.messages.append(args))
        session.hover_changed.connect(self.hovers.append)


@pytest.fixture
def opened(client, wait, tmp_path):
    """Make an open session on a fake worker with the given words."""

    def make(words: str = "", **patience: float):
        raster = tmp_path / "town.tif"
        raster.touch()
        session = InteractiveSession(client(words, **patience))
        session.use_map(View(QgsCoordinateReferenceSystem("EPSG:32645"), 0.5))
        session.open(OpenParameters([str(raster)]))
        wait(lambda: session.state == READY)
        return session, Watched(session)

    return make


def test_geojson_goes_to_geometry_and_back():
    polygon = {
        "type": "Polygon",
        "coordinates": [
            [[0.0, 0.0], [10.125, 0.0], [10.0, 10.0], [0.0, 0.0]],
            [[6.0, 2.0], [8.0, 2.0], [8.0, 4.0], [6.0, 2.0]],
        ],
    }
    geometry = to_geometry(polygon)
    assert geometry.isGeosValid()
    assert from_geometry(geometry) == polygon
    multi = {"type": "MultiPolygon", "coordinates": [polygon["coordinates"]] * 2}
    assert from_geometry(to_geometry(multi)) == multi
    for wrong in (
        None,
        {},
        {"type": "Point", "coordinates": [0, 0]},
        {"type": "Polygon", "coordinates": [["a"]]},
    ):
        with pytest.raises(MessageError):
            to_geometry(wrong)


def test_a_crs_is_named_by_code_or_wkt():
    assert crs_text(QgsCoordinateReferenceSystem()) is None
    assert crs_text(QgsCoordinateReferenceSystem("EPSG:4326")) == "EPSG:4326"
    custom = QgsCoordinateReferenceSystem()
    custom.createFromProj("+proj=laea +lat_0=10 +lon_0=20 +ellps=GRS80")
    assert crs_text(custom).startswith("PROJCRS[")


def test_a_click_gives_candidates_and_tab_goes_through_them(opened, wait):
    session, _ = opened()
    session.add(point(100, 200))
    assert session.is_waiting
    wait(lambda: session.candidates)
    assert [round(c.score, 1) for c in session.candidates] == [0.9, 0.8, 0.7]
    sizes = []
    for _ in range(3):
        sizes.append(session.geometry.area())
        session.next_candidate()
    assert len(set(sizes)) == 3
    assert session.index == 0
    assert session.geometry.contains(QgsPointXY(100, 200))


def test_undo_and_escape_go_back_in_steps(opened, wait):
    session, _ = opened()
    for x in (1, 2, 3):
        session.add(point(x, 0))
    assert session.escape()
    assert [p.coordinates[0][0] for p in session.prompts] == [1, 2]
    assert session.escape()
    assert session.prompts == ()
    assert not session.escape(), "with nothing left the tool itself is next"
    session.add(point(4, 0))
    assert session.undo()
    assert session.candidates == ()
    assert not session.undo()
    assert not session.is_waiting


def test_only_the_answer_to_the_last_question_counts(opened, wait):
    session, _ = opened("slow=0.1")
    session.add(point(0, 0))
    session.add(point(5, 5))
    session.clear()
    session.add(point(1000, 1000))
    wait(lambda: session.candidates)
    assert session.geometry.contains(QgsPointXY(1000, 1000))


def test_accept_hands_over_geometry_and_attributes_and_is_ready_for_the_next(opened, wait):
    session, watched = opened()
    session.add(point(100, 200))
    wait(lambda: session.candidates)
    session.next_candidate()
    shown = QgsGeometry(session.geometry)
    assert session.accept()
    assert session.prompts == ()
    wait(lambda: watched.accepted)
    accepted = watched.accepted[0]
    assert accepted.geometry.equals(shown)
    assert accepted.attributes["model"] == "fake"
    assert accepted.crs.authid() == "EPSG:32645"
    assert not session.accept(), "nothing is left to accept"


def test_accept_before_the_answer_waits_for_it(opened, wait):
    session, watched = opened("slow=0.1")
    session.add(point(100, 200))
    assert session.accept()
    assert not watched.accepted
    wait(lambda: watched.accepted)
    assert watched.accepted[0].geometry.contains(QgsPointXY(100, 200))


def test_the_first_click_of_a_double_click_is_no_prompt_of_its_own(opened, wait):
    session, watched = opened()
    session.add(point(100, 200))
    wait(lambda: session.candidates)
    session.next_candidate()
    wanted = QgsGeometry(session.geometry)
    session.add(point(500, 500))
    assert session.accept_before_last()
    wait(lambda: watched.accepted)
    assert watched.accepted[0].geometry.equals(wanted)
    session.add(point(7, 7))
    assert session.accept_before_last()
    wait(lambda: len(watched.accepted) == 2)
    assert watched.accepted[1].geometry.contains(QgsPointXY(7, 7))


def test_a_refused_prompt_is_taken_back_and_said(opened, wait):
    session, watched = opened()
    session.add(point(0, 0, positive=False))
    wait(lambda: watched.messages)
    assert "add a point" in watched.messages[0][1]
    assert session.prompts == ()


def test_hover_shows_a_polygon_under_the_cursor_until_there_is_a_prompt(opened, wait):
    session, watched = opened()
    session.move(QgsPointXY(50, 50))
    wait(lambda: any(watched.hovers))
    assert watched.hovers[-1].contains(QgsPointXY(50, 50))
    assert not session.is_preparing
    session.add(point(50, 50))
    assert watched.hovers[-1] is None
    session.move(QgsPointXY(51, 51))
    wait(lambda: session.candidates)
    assert watched.hovers[-1] is None


def test_an_image_is_only_said_to_be_prepared_while_the_cursor_is_on_the_map(opened, wait):
    session, _ = opened("slow=0.3")
    assert session.engine.client.hello.device == "cpu", "as the opened model says"
    assert not session.is_preparing
    changes: list = []
    session.changed.connect(lambda: changes.append(session.is_preparing))
    session.move(QgsPointXY(50, 50))
    assert changes == [True]
    session.leave()
    assert changes[-1] is False
    session.move(QgsPointXY(50, 50))
    assert session.is_preparing
    wait(lambda: not session.is_preparing)
    assert changes[-1] is False


def test_a_hover_answer_for_where_the_cursor_was_is_dropped(opened, wait):
    session, watched = opened("slow=0.1")
    session.move(QgsPointXY(50, 50))
    session.move(QgsPointXY(5000, 5000))
    wait(lambda: any(watched.hovers))
    shown = [hover for hover in watched.hovers if hover is not None]
    assert shown[0].contains(QgsPointXY(5000, 5000))


def test_killed_in_the_middle_of_a_click_the_object_survives(opened, wait):
    session, watched = opened("slow=0.2")
    session.add(point(100, 200))
    os.kill(session.engine.client.pid, signal.SIGKILL)
    wait(lambda: session.candidates, 20)
    assert session.geometry.contains(QgsPointXY(100, 200))
    assert [level for level, *_ in watched.messages] == ["warning"]
    assert "restarted" in watched.messages[0][1]


def killed_with_the_third_candidate(session, wait) -> float:
    """The area that is on the map when the engine dies."""
    session.add(point(100, 200))
    wait(lambda: session.candidates)
    session.next_candidate(2)
    os.kill(session.engine.client.pid, signal.SIGKILL)
    wait(lambda: session.state != READY)
    return session.geometry.area()


def test_the_candidate_on_the_map_is_accepted_after_the_death_of_the_engine(opened, wait):
    session, watched = opened("slow=0.1")
    seen = killed_with_the_third_candidate(session, wait)
    session.accept()
    wait(lambda: watched.accepted, 20)
    assert watched.accepted[0].geometry.area() == seen
    assert watched.accepted[0].raw.area() == pytest.approx(seen, rel=0.05), "the engine chose it"


def test_the_candidate_on_the_map_stays_after_the_death_of_the_engine(opened, wait):
    session, _ = opened()
    seen = killed_with_the_third_candidate(session, wait)
    wait(lambda: session.state == READY and not session.is_waiting, 20)
    assert session.geometry.area() == pytest.approx(seen)


def test_candidates_of_earlier_prompts_are_not_accepted_after_the_death_of_the_engine(opened, wait):
    session, watched = opened("slow=0.2")
    session.add(point(100, 200))
    wait(lambda: session.candidates)
    seen = session.geometry.area()
    session.add(point(105, 200))
    os.kill(session.engine.client.pid, signal.SIGKILL)
    wait(lambda: session.state != READY)
    session.accept()
    wait(lambda: watched.accepted, 20)
    assert watched.accepted[0].geometry.area() > 1.1 * seen, "of both prompts"


def test_killed_while_the_raster_is_opened_clicks_and_accepted_objects_survive(
    client, wait, tmp_path
):
    (tmp_path / "town.tif").touch()
    session = InteractiveSession(client("slow=0.2"))
    watched = Watched(session)
    session.open(OpenParameters([str(tmp_path / "town.tif")]))
    session.add(point(100, 200))
    session.accept()
    session.add(point(500, 200))
    wait(lambda: session.engine.client.state == READY)
    os.kill(session.engine.client.pid, signal.SIGKILL)
    wait(lambda: session.candidates, 20)
    assert len(watched.accepted) == 1
    assert session.geometry.contains(QgsPointXY(500, 200))
    assert [level for level, *_ in watched.messages] == ["warning"]


def test_an_engine_that_died_opens_a_raster_once(opened, wait, tmp_path, monkeypatch):
    session, _ = opened()
    (tmp_path / "other.tif").touch()
    client, asked = session.engine.client, []
    request = client.request
    monkeypatch.setattr(client, "request", lambda *a, **k: asked.append(a[0]) or request(*a, **k))
    session._opening._engine_died("It is gone.", "")
    session.open(OpenParameters([str(tmp_path / "other.tif")]))
    wait(lambda: session.state == READY)
    assert asked.count("open") == 1


@pytest.mark.parametrize("words", ["crash=open", "protocol=999"])
def test_an_engine_that_opens_nothing_is_given_up_with_an_error(client, wait, tmp_path, words):
    (tmp_path / "town.tif").touch()
    session = InteractiveSession(client(words))
    watched = Watched(session)
    session.open(OpenParameters([str(tmp_path / "town.tif")]))
    wait(lambda: session.state == CLOSED, 20)
    levels = [level for level, *_ in watched.messages]
    assert levels == (["warning"] * 2 + ["error"] if words == "crash=open" else ["error"])


def test_an_engine_that_always_crashes_is_not_restarted_for_ever(opened, wait):
    session, watched = opened("crash=prompt")
    session.add(point(100, 200))
    wait(lambda: session.state == CLOSED, 20)
    assert watched.messages[-1][0] == "error"
    assert len(watched.messages) == 3
    assert session.prompts == ()


def test_a_raster_that_is_opened_right_after_a_crash_is_opened_once(
    opened, wait, tmp_path, monkeypatch
):
    session, _ = opened("slow=0.1")
    asked: list = []
    request = session.engine.client.request
    monkeypatch.setattr(
        session.engine.client, "request", lambda *a, **k: asked.append(a[0]) or request(*a, **k)
    )
    again = raster(tmp_path, "town.tif")
    session.not_opened.connect(lambda: session.open(again))
    session.open(raster(tmp_path, "other.tif"))
    os.kill(session.engine.client.pid, signal.SIGKILL)
    wait(lambda: session.state == READY, 20)
    assert asked.count("open") == 2
    assert session.info["session"] == "s1", "the first one of the new process"


def test_refinement_shows_and_accepts_the_refined_polygon(opened, wait):
    session, watched = opened()
    session.set_refinement(Refinement(simplify=0.5))
    session.add(point(100, 200))
    wait(lambda: session.geometry is not None and session.geometry.constGet().nCoordinates() < 20)
    session.accept()
    wait(lambda: watched.accepted)
    assert watched.accepted[0].geometry.constGet().nCoordinates() < 20
    assert watched.accepted[0].raw.constGet().nCoordinates() == 33


def test_accept_right_after_a_click_waits_for_the_refinement_too(opened, wait):
    session, watched = opened("slow=0.05")
    session.set_refinement(Refinement(simplify=0.5))
    session.add(point(100, 200))
    session.accept()
    wait(lambda: watched.accepted)
    assert watched.accepted[0].geometry.constGet().nCoordinates() < 20


def test_a_raster_that_is_gone_closes_the_session_with_a_sentence(client, wait):
    session = InteractiveSession(client())
    watched = Watched(session)
    session.open(OpenParameters(["/nowhere/town.tif"]))
    wait(lambda: watched.messages)
    assert session.state == CLOSED
    assert watched.messages[0][0] == "error"
    assert "/nowhere/town.tif" in watched.messages[0][1]


def test_no_later_click_cancels_an_accept_and_it_belongs_to_the_next_object(opened, wait):
    session, watched = opened("slow=0.05")
    session.add(point(100, 200))
    session.accept()
    session.add(point(900, 200))
    session.add(point(905, 200))
    assert len(session.prompts) == 2
    assert session.pending == 1
    wait(lambda: watched.accepted and session.candidates)
    assert watched.accepted[0].geometry.contains(QgsPointXY(100, 200))
    assert not session.geometry.contains(QgsPointXY(100, 200))


def test_ctrl_z_gives_a_waiting_accepted_object_back(opened, wait):
    session, watched = opened("slow=0.05")
    for x in (100, 500):
        session.add(point(x, 0))
        session.accept()
    assert session.undo()
    assert [p.coordinates[0][0] for p in session.prompts] == [500]
    wait(lambda: watched.accepted and session.candidates)
    assert len(watched.accepted) == 1
    assert session.pending == 0


def test_accepted_objects_survive_the_death_of_the_engine(opened, wait):
    session, watched = opened("slow=0.05")
    for x in (100, 500, 900):
        session.add(point(x, 0))
        session.accept()
    wait(lambda: len(watched.accepted) == 1)
    os.kill(session.engine.client.pid, signal.SIGKILL)
    wait(lambda: len(watched.accepted) == 3, 20)
    centres = [round(a.geometry.boundingBox().center().x()) for a in watched.accepted]
    assert centres == [100, 500, 900]


def test_accepted_objects_of_a_raster_are_finished_before_another_is_opened(opened, wait, tmp_path):
    session, watched = opened("slow=0.05")
    for x in (100, 500):
        session.add(point(x, 0))
        session.accept()
    other = tmp_path / "other.tif"
    other.touch()
    session.open(OpenParameters([str(other)]))
    session.add(point(900, 0))
    wait(lambda: session.candidates, 20)
    assert len(watched.accepted) == 2
    session.accept()
    wait(lambda: len(watched.accepted) == 3)


@pytest.fixture
def questions(monkeypatch):
    """What is asked from now on: the raster's name, x of the first prompt, the candidate."""

    def watch(session: InteractiveSession) -> list:
        asked: list = []
        ask = session._engine.ask

        def noted(prompts, *args, **named):
            name = os.path.basename(session._opening.parameters.rasters[0])
            asked.append((name, prompts[0].coordinates[0][0], named.get("candidate", 0)))
            return ask(prompts, *args, **named)

        monkeypatch.setattr(session._engine, "ask", noted)
        return asked

    return watch


@pytest.mark.parametrize("then", ["back", "none", "third"])
def test_each_accepted_object_is_asked_of_the_raster_on_which_it_was_clicked(
    opened, wait, tmp_path, questions, then
):
    session, watched = opened("slow=0.05")
    asked = questions(session)
    session.add(point(100, 0))
    session.accept()
    session.close()
    session.open(raster(tmp_path, "other.tif"))
    session.add(point(500, 0))
    session.accept()
    assert [os.path.basename(path) for path in session.pending_files] == ["town.tif", "other.tif"]
    session.close()
    if then != "none":
        session.open(raster(tmp_path, "town.tif" if then == "back" else "third.tif"))
        session.add(point(900, 0))
    wait(lambda: len(watched.accepted) == 2 and (then == "none" or session.candidates), 20)
    chosen = {"back": [("town.tif", 900, 0)], "third": [("third.tif", 900, 0)], "none": []}[then]
    assert asked == [("town.tif", 100, 0), ("other.tif", 500, 0), *chosen]
    assert session.pending == 0
    wait(lambda: session.state == (CLOSED if then == "none" else READY))
    assert watched.messages == []


def test_objects_that_are_accepted_while_their_raster_is_opened_are_of_that_one(
    opened, wait, tmp_path, questions
):
    session, watched = opened("slow=0.05")
    asked = questions(session)
    session.open(raster(tmp_path, "other.tif"))
    session.add(point(500, 0))
    session.accept()
    session.open(raster(tmp_path, "third.tif"))
    wait(lambda: watched.accepted and session.state == READY)
    assert asked == [("other.tif", 500, 0)]


def test_a_raster_that_cannot_be_opened_costs_only_its_own_accepted_objects(opened, wait, tmp_path):
    session, watched = opened("slow=0.05")
    session.add(point(100, 0))
    session.accept()
    session.open(OpenParameters([str(tmp_path / "gone.tif")]))
    session.add(point(500, 0))
    session.accept()
    session.open(raster(tmp_path, "third.tif"))
    session.add(point(900, 0))
    wait(lambda: session.candidates, 20)
    assert len(watched.accepted) == 1
    assert [text for _, text, _ in watched.messages if "1 accepted objects" in text]
    assert session.pending == 0


def test_an_object_that_is_accepted_before_its_rendering_is_there_waits_for_it(
    opened, wait, tmp_path, questions
):
    session, watched = opened()
    asked = questions(session)
    for ends in (False, True):
        session.close(keep_object=True)
        session.add(point(500, 0))
        session.accept()
        assert session.pending == 1
        if ends:
            session.close()
        else:
            session.open(raster(tmp_path, "rendered.tif"), keep_object=True)
            wait(lambda: watched.accepted)
    assert asked == [("rendered.tif", 500, 0)]
    assert session.pending == 0
    assert "1 accepted objects" in watched.messages[-1][1], "another raster was chosen"


def test_an_object_that_is_taken_back_on_another_raster_is_given_up(opened, wait, tmp_path):
    session, watched = opened("slow=0.05")
    session.add(point(100, 0))
    session.accept()
    session.close()
    assert session.undo()
    assert (session.prompts, session.pending) == ((), 0)
    assert "Another raster" in watched.messages[0][1]
    assert session.state == CLOSED


def test_an_object_that_is_taken_back_in_another_crs_is_given_up(opened, wait):
    session, watched = opened("slow=0.05")
    session.add(point(100, 0))
    session.accept()
    assert session.pending_prompts
    told: list = []
    session.changed.connect(lambda: told.append(session.pending_prompts))
    session.use_map(View(QgsCoordinateReferenceSystem("EPSG:4326"), 0.00001))
    assert told == [()], "they are drawn where they are"
    assert session.pending == 1
    assert session.undo()
    assert (session.prompts, session.pending) == ((), 0)
    assert "CRS" in watched.messages[0][1]


def test_an_object_that_is_taken_back_corrects_the_same_candidate_and_has_its_class(
    opened, wait, questions
):
    session, watched = opened()
    session.say_class("roof")
    session.add(point(100, 200))
    wait(lambda: session.candidates)
    session.next_candidate(2)
    asked = questions(session)
    session.add(point(105, 200))
    session.accept()
    session.say_class("pool")
    assert session.undo()
    assert asked == [("town.tif", 100, 2)] * 2
    assert session.class_in_work == "roof"
    session.accept()
    session.add(point(500, 0))
    session.accept()
    wait(lambda: len(watched.accepted) == 2)
    assert [each.attributes["class"] for each in watched.accepted] == ["roof", "pool"]


def test_a_class_that_is_said_after_an_object_was_taken_back_is_its_class(opened, wait):
    session, _ = opened("slow=0.05")
    session.say_class("roof")
    session.add(point(100, 200))
    session.accept()
    session.undo()
    session.say_class("pool")
    assert session.class_in_work == "pool"


def test_the_class_of_an_object_that_was_taken_back_and_refused_is_not_the_next_ones(opened, wait):
    session, watched = opened("slow=0.03")
    session.say_class("roof")
    session.add(point(0, 0, positive=False))
    session.accept()
    session.say_class("pool")
    assert session.undo()
    assert session.class_in_work == "roof"
    wait(lambda: not session.is_waiting)
    assert session.prompts == ()
    session.add(point(500, 0))
    session.accept()
    wait(lambda: watched.accepted)
    assert watched.accepted[0].attributes["class"] == "pool"


def test_what_is_left_of_an_object_that_was_taken_back_and_refused_is_asked(opened, wait):
    session, watched = opened("most=1")
    session.add(point(100, 200))
    session.add(point(101, 200))
    session.accept()
    assert session.undo()
    wait(lambda: watched.messages and not session.is_waiting)
    assert session.prompts == (point(100, 200),)
    assert len(session.candidates) == 3
    assert session.accept()


def test_an_object_that_was_taken_back_is_given_up_where_its_question_is_cancelled(opened, wait):
    session, _ = opened("slow=0.05")
    session.add(point(100, 200))
    session.add(point(101, 200))
    session.accept()
    assert session.undo()
    session.cancel()
    wait(lambda: not session.is_waiting)
    assert session.prompts == ()


def test_clicks_that_are_cancelled_leave_the_polygon_that_is_there(opened, wait):
    session, _ = opened("slow=0.05")
    session.add(point(100, 200))
    wait(lambda: session.candidates)
    session.add(point(101, 200))
    session.add(point(102, 200))
    session.cancel()
    wait(lambda: not session.is_waiting)
    assert session.prompts == (point(100, 200),)
    assert session.accept()


def test_a_class_that_is_renamed_is_the_one_of_what_is_still_to_come(opened, wait):
    session, watched = opened("slow=0.03")
    session.say_class("roof")
    session.add(point(100, 200))
    session.accept()
    session.add(point(500, 0))
    session.accept()
    session.say_class("pool")
    assert session.undo()
    session.rename_class("roof", "house")
    assert session.class_in_work == "house"
    session.accept()
    wait(lambda: len(watched.accepted) == 2)
    assert [each.attributes["class"] for each in watched.accepted] == ["house", "house"]


def test_an_accepted_click_on_nothing_is_said_and_stops_nobody(opened, wait):
    session, watched = opened("slow=0.03")
    session.add(point(0, 0, positive=False))
    session.accept()
    session.add(point(500, 0))
    session.accept()
    wait(lambda: watched.accepted)
    assert len(watched.accepted) == 1
    assert "add a point" in watched.messages[0][1]


def test_objects_that_no_engine_will_make_are_counted_in_an_error(opened, wait):
    session, watched = opened("crash=prompt")
    for x in (100, 500):
        session.add(point(x, 0))
        session.accept()
    wait(lambda: session.state == CLOSED, 20)
    assert any("2 accepted objects" in text for _, text, _ in watched.messages)


def test_a_correction_is_of_the_candidate_that_was_chosen(opened, wait, monkeypatch):
    session, _ = opened()
    asked = []
    ask = session._engine.ask
    monkeypatch.setattr(
        session._engine, "ask", lambda *a, **k: asked.append(k.get("candidate")) or ask(*a, **k)
    )
    session.add(point(100, 200))
    wait(lambda: session.candidates)
    session.next_candidate(2)
    session.add(point(105, 200))
    assert asked == [0, 2]


def test_undo_goes_back_to_the_candidate_that_was_corrected(opened, wait):
    session, _ = opened()
    session.add(point(100, 200))
    wait(lambda: session.candidates)
    session.next_candidate(2)
    seen = session.geometry.area()
    session.add(point(105, 200))
    wait(lambda: len(session.candidates) == 1)
    session.undo()
    wait(lambda: len(session.candidates) == 3)
    assert session.geometry.area() == pytest.approx(seen)


def test_a_new_crs_of_the_project_gives_the_object_up(opened, wait):
    session, watched = opened()
    session.add(point(100, 200))
    session.use_map(View(QgsCoordinateReferenceSystem("EPSG:4326"), 0.00001))
    assert session.prompts == ()
    assert "CRS" in watched.messages[0][1]
