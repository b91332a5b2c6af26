# SPDX-License-Identifier: GPL-2.0-or-later
"""Words in the panel: where they can be chosen, what is asked, remembered and written."""

from __future__ import annotations

import json

import pytest
from qgis.core import QgsProject
from qgis.PyQt.QtCore import QEvent, Qt
from qgis.PyQt.QtGui import QKeyEvent
from qgis.PyQt.QtTest import QTest
from qgis.PyQt.QtWidgets import QApplication
from test_automatic import finished, ids
from test_find_like import CRS, disc

from samgeo_plugin.interactive import runs, words
from samgeo_plugin.interactive.find_like import DONE
from samgeo_plugin.interactive.search_kinds import EVERYTHING, EXAMPLES, WORDS
from samgeo_plugin.interactive.words import WordSearch, stored, word_models, words_of


def clean() -> None:
    for entry in ("classes", "runs", "words"):
        QgsProject.instance().removeEntry("samgeo_seamless", entry)


@pytest.fixture
def panel(loaded, town, wait):
    """The panel with models of words on disk, told to look for words in the whole raster."""
    clean()
    loaded.words["text"] = "concepts tile=0.05"
    loaded.controller.classes._read()
    loaded.automatic.runs._read()
    loaded.controller.choose(raster=town.id())
    loaded.controller.new_target()
    panel = loaded.dock.find
    panel.words._read()
    loaded.controller.refresh_models()
    wait(lambda: panel.words.possible)
    panel.what.setCurrentIndex(panel.what.findData(WORDS))
    panel.where.setCurrentIndex(panel.where.findData("raster"))
    panel.into.setChecked(True)
    yield panel
    layer = loaded.controller.target_layer()
    if layer is not None and layer.isEditable():
        layer.rollBack()
    clean()


def write(panel, text: str) -> None:
    """As a person does."""
    panel.words.words.selectAll()
    QTest.keyClicks(panel.words.words, text)


def choose(panel, name: str) -> None:
    at = panel.words.detector.findData(name)
    panel.words.detector.setCurrentIndex(at)
    panel.words.detector.activated.emit(at)


def test_without_a_model_of_words_the_item_is_off_and_says_what_to_do(loaded, town, wait):
    clean()
    panel = loaded.dock.find
    item = panel.what.model().item(panel.what.findData(WORDS))
    assert not item.isEnabled()
    loaded.controller.refresh_models()
    wait(lambda: loaded.controller.models)
    assert not item.isEnabled()
    assert "download SAM 3, Grounding DINO or OWLv2" in item.toolTip()
    panel.what.setCurrentIndex(panel.what.findData(WORDS))  # as an earlier run's settings do
    assert not panel.start.isEnabled()
    assert "download" in panel.start.toolTip()
    panel.what.setCurrentIndex(panel.what.findData(EVERYTHING))
    assert panel.start.isEnabled()


def test_models_of_words_are_known_before_the_engine_starts_again(loaded, panel):
    assert panel.what.model().item(panel.what.findData(WORDS)).isEnabled()
    assert [panel.words.detector.itemData(k) for k in (0, 1)] == ["sam3", "owlv2-base"]
    loaded.controller.models = []
    assert list(loaded.controller.word_models) == ["sam3", "owlv2-base"]


def test_what_words_find_is_written_with_its_word_as_class(loaded, panel, wait):
    write(panel, "tin roof,  pool ,")
    panel.start.click()
    finished(loaded, wait)
    layer = loaded.controller.target_layer()
    # The model's own least score is .6; o3 has become a part of o4.
    assert ids(loaded) == {"o0", "o1", "o2", "o4", "o5", "o6"}
    said = {f["id"]: (f["class"], f["prompt_type"], f["model"]) for f in layer.getFeatures()}
    assert said["o0"] == ("tin roof", "text", "sam3+fake")
    assert said["o5"] == ("pool", "text", "sam3+fake")
    assert loaded.controller.classes.names == ["tin roof", "pool"]
    assert loaded.controller.classes.current == "", "the class of the next click stays"
    (run,) = loaded.automatic.runs.items
    assert (run.state, run.what, run.words, run.detector, run.taken) == (
        *(runs.DONE, WORDS, "tin roof, pool", "sam3"), 6,
    )  # fmt: skip


def test_results_are_live_and_the_slider_is_the_models_least_score_until_it_is_moved(
    loaded, panel, wait
):
    panel.into.setChecked(False)
    panel.least.setValue(50)
    write(panel, "pool")
    panel.start.click()
    wait(lambda: loaded.find.running and len(loaded.find.kept) == 4)
    assert panel.least.value() == 60
    finished(loaded, wait)
    panel.least.setValue(80)
    wait(lambda: set(loaded.find.kept) == {"o0", "o1", "o2"})
    assert stored() == WordSearch(("pool",), "sam3", 0.8)
    panel.start.click()
    wait(lambda: len(loaded.automatic.runs.items) == 2)
    finished(loaded, wait)
    assert set(loaded.find.kept) == {"o0", "o1", "o2"}
    panel.what.setCurrentIndex(panel.what.findData(EVERYTHING))
    panel.start.click()
    wait(lambda: len(loaded.automatic.runs.items) == 3)
    finished(loaded, wait)
    assert panel.least.value() == 50, "everything has its own least score"


def test_words_are_remembered_with_the_project(loaded, panel, tmp_path):
    write(panel, "roof, pool")
    choose(panel, "owlv2-base")
    project = QgsProject.instance()
    project.write(str(tmp_path / "town.qgz"))
    project.clear()
    assert panel.words.words.text() == ""
    project.read(str(tmp_path / "town.qgz"))
    assert panel.words.search == WordSearch(("roof", "pool"), "owlv2-base", None)
    for broken in ("{", "[]", '{"least": "x"}', '{"words": 3, "least": 7}'):
        project.writeEntry("samgeo_seamless", "words", broken)
        assert stored().least is None
    project.clear()


def test_a_run_of_words_is_repeated_and_its_settings_are_taken(loaded, panel, wait):
    write(panel, "roof, pool")
    choose(panel, "owlv2-base")
    panel.start.click()
    finished(loaded, wait)
    write(panel, "tree")
    choose(panel, "sam3")
    panel.what.setCurrentIndex(panel.what.findData(EVERYTHING))
    panel.show_runs()
    dialog = panel._runs_dialog
    assert dialog.table.item(0, 2).text() == "Words: roof, pool"
    dialog.use.click()
    assert panel.what.currentData() == WORDS
    assert panel.words.search == WordSearch(("roof", "pool"), "owlv2-base", 0.6)
    dialog.repeat.click()
    wait(lambda: len(loaded.automatic.runs.items) == 2)
    finished(loaded, wait)
    one, two = loaded.automatic.runs.items
    assert (two.words, two.detector, two.shown, two.taken) == (one.words, one.detector, 6, 0)


def test_the_least_score_of_words_is_none_of_other_searches(loaded, panel, town, wait):
    automatic, find = loaded.automatic, loaded.find
    panel.into.setChecked(False)
    panel.least.setValue(50)
    pools, all_objects = (
        automatic.runs.add(
            started="2026-01-01 10:00:00", raster=town.id(), raster_name="town", model="embedded",
            what=what, where="raster", area="", crs=CRS.toWkt(), least=least, into=False,
            target="", words=words, detector="sam3" if words else "", state=runs.DONE,
        )
        for what, least, words in ((WORDS, 0.15, "pool"), (EVERYTHING, 0.7, ""))
    )  # fmt: skip

    def everything() -> float:
        panel.what.setCurrentIndex(panel.what.findData(EVERYTHING))
        panel.start.click()
        finished(loaded, wait)
        return automatic.runs.items[-1].least

    panel._use_settings(pools)
    assert panel.words.search.least == 0.15
    assert everything() == 0.5
    automatic.repeat(pools.number)
    finished(loaded, wait)
    assert (find.what, find.leasts.shown) == (WORDS, 0.15)
    assert everything() == 0.5
    automatic.repeat(pools.number)
    finished(loaded, wait)
    panel._use_settings(all_objects)
    assert find.leasts.shown == 0.15, "what the words have found stays as it is shown"
    assert panel.words.search.least == 0.15
    assert everything() == 0.7
    automatic.repeat(pools.number)
    finished(loaded, wait)
    automatic.repeat(all_objects.number)
    finished(loaded, wait)
    assert automatic.runs.items[-1].least == 0.7, "a run is repeated with its own"


def test_words_that_were_stopped_at_once_go_on_with_their_models_own_least_score(
    loaded, panel, wait
):
    automatic, find = loaded.automatic, loaded.find
    panel.into.setChecked(False)
    panel.what.setCurrentIndex(panel.what.findData(EVERYTHING))
    panel.least.setValue(90)  # of other searches
    panel.what.setCurrentIndex(panel.what.findData(WORDS))
    write(panel, "pool")
    panel.start.click()
    automatic.stop()
    (run,) = automatic.runs.items
    assert (run.state, run.least) == (runs.FAILED, runs.NOT_KNOWN)
    panel._use_settings(run)
    assert panel.words.search.least is None
    automatic.go_on(run.number)
    finished(loaded, wait)
    assert (len(find.kept), find.leasts.shown) == (6, 0.6)
    assert automatic.runs.items[-1].least == 0.6


def test_a_least_score_that_is_chosen_before_the_search_is_that_of_the_words(loaded, panel, wait):
    panel.into.setChecked(False)
    write(panel, "pool")
    assert panel.least_text.text() == "–", "the model has not told its own"
    panel.least.setValue(80)
    assert panel.words.search.least == 0.8
    assert loaded.find.leasts.of(EXAMPLES) == 0.5, "that of other searches"
    panel.what.setCurrentIndex(panel.what.findData(EVERYTHING))
    assert panel.least.value() == 50
    panel.what.setCurrentIndex(panel.what.findData(WORDS))
    assert panel.least.value() == 80
    panel.start.click()
    finished(loaded, wait)
    assert set(loaded.find.kept) == {"o0", "o1", "o2"}


def test_what_is_chosen_for_one_models_scores_is_not_that_of_the_model_chosen_since(
    loaded, panel, wait
):
    panel.into.setChecked(False)
    write(panel, "pool")
    panel.start.click()
    finished(loaded, wait)
    choose(panel, "owlv2-base")
    panel.least.setValue(80)
    wait(lambda: set(loaded.find.kept) == {"o0", "o1", "o2"})
    assert panel.words.search.least is None


def test_the_slider_counts_while_the_words_are_still_on_their_way(loaded, panel, wait):
    panel.into.setChecked(False)
    write(panel, "pool")
    panel.start.click()
    panel.least.setValue(80)
    finished(loaded, wait)
    assert set(loaded.find.kept) == {"o0", "o1", "o2"}
    assert loaded.automatic.runs.items[0].least == 0.8


def test_the_box_takes_letters_spaces_digits_and_enter_while_it_has_the_focus(loaded, panel, wait):
    loaded.controller.classes.add("roof")
    loaded.controller.classes.choose("")
    loaded.tool_action.trigger()
    box = panel.words.words
    for key in (Qt.Key.Key_S, Qt.Key.Key_Space, Qt.Key.Key_1, Qt.Key.Key_M, Qt.Key.Key_Return):
        override = QKeyEvent(
            QEvent.Type.ShortcutOverride, key, Qt.KeyboardModifier.NoModifier,
            "" if key == Qt.Key.Key_Return else chr(key),
        )  # fmt: skip
        override.ignore()
        QApplication.sendEvent(box, override)
        assert override.isAccepted(), "no shortcut takes it"
    write(panel, "s m 1")
    assert box.text() == "s m 1"
    assert loaded.controller.classes.current == ""
    QTest.keyClick(box, Qt.Key.Key_Return)
    wait(lambda: loaded.automatic.runs.items)
    finished(loaded, wait)
    assert loaded.automatic.runs.items[0].words == "s m 1"


def test_no_words_and_a_model_that_knows_none_are_one_sentence(loaded, panel, wait):
    panel.start.click()
    assert "Write what to look for" in loaded.iface.text()
    assert loaded.automatic.runs.items == ()
    write(panel, "pool")
    loaded.automatic.repeat(
        loaded.automatic.runs.add(
            started="", raster=loaded.controller.choice.raster, raster_name="town",
            model="embedded", what=WORDS, where="raster", area="", crs="", least=0.5, into=False,
            target="", words="pool",
        ).number
    )  # fmt: skip
    wait(lambda: "does not understand words" in loaded.iface.text())
    wait(lambda: loaded.automatic.runs.items[-1].state == runs.FAILED)


def test_words_that_name_nothing_there_are_one_sentence(loaded, town, wait):
    clean()
    loaded.words["text"] = "concepts nothing"
    loaded.controller.choose(raster=town.id())
    loaded.controller.refresh_models()
    panel = loaded.dock.find
    wait(lambda: panel.words.possible)
    panel.what.setCurrentIndex(panel.what.findData(WORDS))
    write(panel, "pool")
    panel.start.click()
    wait(lambda: "Nothing was found for pool" in loaded.iface.text())
    assert loaded.automatic.runs.items[-1].state == runs.DONE
    clean()


def test_the_chosen_model_is_the_first_where_it_understands_words(loaded, panel):
    loaded.controller.choose(model="owlv2-base")
    box = panel.words.detector
    assert [box.itemData(k) for k in range(box.count())] == ["", "sam3"]
    assert box.itemText(0) == "OWLv2 (the chosen model)"


@pytest.mark.parametrize("takes", ["exemplars", ""])
def test_the_accepted_objects_are_exemplars_where_the_model_takes_them(
    loaded, town, wait, tmp_path, takes
):
    clean()
    asked = tmp_path / "asked.json"
    loaded.words["text"] = f"{takes} asked={asked}"
    loaded.controller.classes._read()
    loaded.controller.classes.add("roof")
    loaded.controller.choose(raster=town.id())
    loaded.controller.accepted_as.emit(disc(300005, 3000004), CRS, "roof")
    loaded.dock.find.start.click()
    wait(lambda: loaded.find.state == DONE and not loaded.find._sorting)
    said = json.loads(asked.read_text())
    assert said["by_examples"] is True
    assert [each["class"] for each in said["exemplars"]] == (["roof"] if takes else [])
    assert said["words"] == []
    assert said["detector"] is None
    clean()


def test_a_file_that_understands_words_can_be_chosen_once_the_raster_is_open(loaded, town, wait):
    clean()
    loaded.words["text"] = "exemplars"
    panel = loaded.dock.find
    loaded.controller.choose(raster=town.id(), model="/somewhere/sam3.pt")
    assert not panel.words.possible
    loaded._use_map()
    loaded._tool_wanted()
    wait(lambda: panel.words.possible)
    assert panel.words.detector.itemText(0) == "sam3.pt (the chosen model)"
    assert panel.words.detector.itemData(0) == ""
    loaded.controller.choose(model="embedded")
    assert not panel.words.possible


def test_texts_become_words():
    assert words_of(" swimming   pool,, roof ,roof, ") == ("swimming pool", "roof")
    assert words_of(" , ") == ()
    listed = [
        {"name": "a", "state": "on disk", "kind": "promptable", "family": "sam3", "title": "A"},
        {"name": "b", "state": "to download", "kind": "concept"},
        {"name": "c", "state": "on disk", "kind": "concept"},
        {"name": "d", "state": "on disk", "kind": "promptable", "family": "sam2"},
    ]
    assert word_models(listed) == {"a": "A", "c": "c"}
    assert words.text_of(("a", "b")) == "a, b"
