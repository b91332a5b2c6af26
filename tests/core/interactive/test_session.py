# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import shapely
from samgeo_core.errors import Cancelled, ParameterError, PromptError
from samgeo_core.interactive.corrections import near_changes
from samgeo_core.interactive.propagate import Limits
from samgeo_core.interactive.session import Session
from samgeo_core.job import Prompt
from samgeo_core.models.embedding_cache import EmbeddingCache
from samgeo_core.testing.promptable_oracle import LabelSource, OracleModel, oracle_session
from samgeo_core.testing.session_objects import (
    OBJECTS,
    WINDOW,
    iou,
    model,
    outline,
    point,
    seam_excess,
    truth,
)


@pytest.mark.parametrize("name", OBJECTS)
def test_one_click_anywhere_gives_the_whole_object_without_a_trace_of_windows(name):
    mask = OBJECTS[name]
    expected = truth(mask)
    labels = np.where(mask, 3, 0).astype(np.int32)
    rows, cols = np.nonzero(mask)
    rng = np.random.default_rng(5)
    found = []
    for place in rng.integers(0, len(rows), 4 if name == "three windows" else 2):
        session = oracle_session(labels, model=model())
        answer = session.prompt([point(cols[place] + 0.5, rows[place] + 0.5)])
        assert answer.limit is None
        polygon = outline(session, answer)
        assert polygon.geom_type == "Polygon"
        assert polygon.is_valid
        assert iou(polygon, expected) >= 0.99
        assert seam_excess(answer.candidates[0].known, mask, 2) <= 1.10
        found.append(polygon)
    assert min(iou(found[0], other) for other in found[1:]) >= 0.99


def test_touching_neighbours_stay_apart():
    labels = np.zeros((512, 640), np.int32)
    labels[100:400, 40:300] = 1
    labels[100:400, 300:600] = 2
    session = oracle_session(labels, model=model())
    answer = session.prompt([point(290, 390)])
    assert iou(outline(session, answer), shapely.box(40, 100, 300, 400)) >= 0.99


def test_a_limit_is_named_and_the_guide_finishes_the_outline():
    mask = OBJECTS["ten windows"]
    session = oracle_session(mask.astype(np.int32), model=model(), limits=Limits(windows=8))
    answer = session.prompt([point(768, 768)])
    assert "limit" in answer.limit
    assert len(answer.candidates[0].windows) == 8
    # Not closely, but no part of it is missing.
    assert iou(outline(session, answer), truth(mask)) >= 0.93


def test_an_object_in_very_many_parts_meets_the_limit_too():
    labels = np.zeros((1536, 1536), np.int32)
    for row in range(40, 1500, 160):
        for col in range(40, 1500, 160):
            labels[row : row + 40, col : col + 40] = 1
    oracle = model()
    session = oracle_session(labels, model=oracle, limits=Limits(windows=8))
    answer = session.prompt([Prompt("box", [[30, 30], [1520, 1520]])])
    assert len(answer.candidates[0].windows) == 8
    assert "limit" in answer.limit
    assert outline(session, answer).area > 0.8 * (labels > 0).sum()


def test_a_model_that_loses_the_object_says_so():
    class Lost(OracleModel):
        def decode(self, embedding, prompts, **more):
            decoded = super().decode(embedding, prompts, **more)
            if self.calls > 1:
                decoded.logits[:] = -8.0
            return decoded

    labels = np.zeros((512, 512), np.int32)
    labels[200:230, 20:500] = 1
    session = oracle_session(labels, model=Lost(WINDOW, 64, candidates=1))
    answer = session.prompt([point(250, 215)])
    assert "did not find the object again" in answer.limit
    assert len(answer.candidates) == 1


def test_nothing_of_an_object_is_followed_into_missing_data():
    labels = np.zeros((512, 512), np.int32)
    labels[200:230, 20:500] = 1
    valid = np.ones(labels.shape, bool)
    valid[:, 300:] = False
    session = oracle_session(labels, model=model(), valid=valid)
    answer = session.prompt([point(100, 215)])
    assert answer.limit is None
    assert iou(outline(session, answer), shapely.box(20, 200, 300, 230)) >= 0.97
    session.reset()
    with pytest.raises(PromptError, match="no data"):
        session.prompt([point(310, 215)])


def test_three_candidates_with_scores_best_first():
    labels = np.zeros((256, 256), np.int32)
    labels[30:80, 30:90] = 1
    labels[90:110, 20:110] = 2
    session = oracle_session(labels, model=model(candidates=3))
    answer = session.prompt([point(60, 60)])
    assert [c.score for c in answer.candidates] == sorted(
        (c.score for c in answer.candidates), reverse=True
    )
    areas = [outline(session, answer, k).area for k in range(3)]
    assert areas == pytest.approx([3000, 1500, 3000 + 1800], rel=0.05)
    single = session.prompt([point(60, 60), point(61, 61)], multimask=False)
    assert len(single.candidates) == 1


# -- corrections ---------------------------------------------------------------------------------


class Forgetful(OracleModel):
    """Once clicked on label 2, loses everything further than 30 pixels from a point."""

    def decode(self, embedding, prompts, **more):
        decoded = super().decode(embedding, prompts, **more)
        labels = embedding.arrays["labels"]
        at = np.zeros((0, 2), int) if prompts.points is None else prompts.points[0].astype(int)
        if (labels[at[:, 0], at[:, 1]] == 2).any():
            size = self.info.mask_size
            cell = self.info.input_size / size
            row, col = (np.mgrid[:size, :size] + 0.5) * cell
            near = np.zeros((size, size), bool)
            for r, c in prompts.points[0]:
                near |= np.hypot(row - r, col - c) < 30
            decoded.logits[:] = np.where(near, decoded.logits, -8.0)
        return decoded


def test_a_correction_never_loses_the_far_side():
    labels = np.zeros((512, 1024), np.int32)
    labels[200:240, 20:1000] = 1
    labels[240:262, 500:522] = 2  # a pier that belongs to it, as the user sees it
    session = oracle_session(labels, model=Forgetful(WINDOW, 64, candidates=1))
    first = [point(100, 220)]
    before = outline(session, session.prompt(first))
    assert iou(before, shapely.box(20, 200, 1000, 240)) >= 0.98
    after = outline(session, session.prompt([*first, point(511, 252)]))
    far = shapely.union_all([shapely.box(0, 0, 400, 512), shapely.box(620, 0, 1024, 512)])
    assert after.intersection(far).equals(before.intersection(far))
    assert after.intersection(shapely.box(500, 242, 522, 262)).area >= 0.9 * 22 * 20


def test_a_negative_click_takes_away_what_it_is_on_and_no_more():
    labels = np.zeros((512, 1024), np.int32)
    labels[200:240, 20:1000] = 1
    labels[240:280, 500:540] = 2

    class Leaky(OracleModel):
        """Takes both labels for one until it is told not to."""

        def _label(self, seen, prompt):
            found = super()._label(seen, prompt)
            negative = prompt.labels is not None and (prompt.labels == 0).any()
            return found if negative or not found else [1, 2]

    session = oracle_session(labels, model=Leaky(WINDOW, 64, candidates=1))
    first = [point(100, 220)]
    before = outline(session, session.prompt(first))
    assert before.area == pytest.approx(980 * 40 + 1600, rel=0.01)
    after = outline(session, session.prompt([*first, point(520, 262, positive=False)]))
    assert iou(after, shapely.box(20, 200, 1000, 240)) >= 0.98


def test_an_added_part_is_followed_beyond_its_window():
    labels = np.zeros((512, 1024), np.int32)
    labels[200:240, 20:1000] = 1
    labels[240:500, 400:430] = 2
    session = oracle_session(labels, model=model())
    first = [point(100, 220)]
    session.prompt(first)
    after = outline(session, session.prompt([*first, point(415, 250)]))
    expected = shapely.union_all([shapely.box(20, 200, 1000, 240), shapely.box(400, 240, 430, 500)])
    assert iou(after, expected) >= 0.98


def test_taking_a_prompt_back_brings_the_earlier_answer_back():
    labels = np.zeros((256, 256), np.int32)
    labels[60:120, 60:120] = 1
    labels[120:160, 60:120] = 2
    oracle = model()
    session = oracle_session(labels, model=oracle)
    first = [point(90, 90)]
    before = session.prompt(first)
    session.prompt([*first, point(90, 140)])
    calls = oracle.calls
    again = session.prompt(first)
    assert again.candidates == before.candidates
    assert oracle.calls == calls
    # Another first prompt begins anew.
    assert session.prompt([point(90, 140)]).candidates != before.candidates


def test_the_newest_prompt_corrects_the_candidate_that_was_chosen():
    labels = np.zeros((256, 256), np.int32)
    labels[40:100, 40:100] = 1
    labels[100:120, 40:100] = 2
    session = oracle_session(labels, model=model(candidates=3))
    first = [point(70, 90)]
    session.prompt(first)
    lower = session.prompt([*first, point(70, 110)], candidate=1, multimask=False)
    kept = outline(session, lower)
    assert kept.intersection(shapely.box(40, 100, 100, 120)).area >= 0.9 * 1200
    with pytest.raises(ParameterError, match="candidate 7"):
        session.prompt([*first, point(70, 110), point(71, 111)], candidate=7)


class Stubborn(OracleModel):
    """Keeps to the box and the mask that it is given; of several points it heeds the first."""

    def _label(self, seen, prompt):
        first = prompt
        if prompt.points is not None and prompt.points.shape[1] > 1:
            first = replace(prompt, points=prompt.points[:, :1], labels=prompt.labels[:, :1])
        return super()._label(seen, first)

    def decode(self, embedding, prompts, **more):
        decoded = super().decode(embedding, prompts, **more)
        size = self.info.mask_size
        allowed = np.ones((size, size), bool)
        if prompts.boxes is not None:
            row0, col0, row1, col1 = prompts.boxes[0] / (self.info.input_size / size)
            rows, cols = np.ogrid[:size, :size]
            allowed &= (rows >= row0) & (rows < row1) & (cols >= col0) & (cols < col1)
        if prompts.masks is not None:
            allowed &= prompts.masks[0] > 0
        decoded.logits[:] = np.where(allowed, decoded.logits, -8.0)
        return decoded


def polygon(x0, y0, x1, y1):
    return Prompt("polygon", [[x0, y0], [x1, y0], [x1, y1], [x0, y1]])


def test_a_click_outside_a_polygon_that_was_taken_up_adds_what_it_is_on():
    labels = np.zeros((256, 256), np.int32)
    labels[40:100, 40:100] = 1
    labels[100:140, 40:100] = 2
    session = oracle_session(labels, model=Stubborn(WINDOW, 64, candidates=1))
    first = [polygon(40, 40, 100, 100)]
    assert iou(outline(session, session.prompt(first)), shapely.box(40, 40, 100, 100)) >= 0.97
    after = outline(session, session.prompt([*first, point(70, 120)]))
    assert iou(after, shapely.box(40, 40, 100, 140)) >= 0.97


def test_a_negative_click_that_the_model_passes_over_takes_away_what_it_is_on():
    labels = np.zeros((256, 256), np.int32)
    labels[40:100, 40:100] = 1
    labels[100:140, 40:100] = 2

    class Whole(OracleModel):
        """Takes both labels for one wherever it is told more than one point."""

        def _label(self, seen, prompt):
            found = super()._label(seen, prompt)
            alone = prompt.points is not None and prompt.points.shape[1] == 1
            return found if alone or not found else [1, 2]

    session = oracle_session(labels, model=Whole(WINDOW, 64, candidates=1))
    first = [polygon(40, 40, 100, 140)]
    before = outline(session, session.prompt(first))
    assert iou(before, shapely.box(40, 40, 100, 140)) >= 0.97
    after = outline(session, session.prompt([*first, point(70, 120, positive=False)]))
    assert iou(after, shapely.box(40, 40, 100, 100)) >= 0.97


def test_changes_far_from_a_click_are_left_out_part_by_part():
    before = np.full((40, 40), -8.0, np.float32)
    before[5:35, 5:35] = 8.0
    after = before.copy()
    after[30:35, 30:35] = -8.0  # far
    after[5:35, 35:38] = 8.0  # touches the click's reach
    near = np.zeros((40, 40), bool)
    near[10:14, 33:37] = True
    share = near_changes(before, after, near)
    assert (share[5:35, 35:38] == 1).all()
    assert (share[30:35, 30:34] == 0).all()
    assert set(np.unique(share)) == {0.0, 1.0}


# -- sessions ------------------------------------------------------------------------------------


def test_the_second_opening_encodes_nothing(tmp_path):
    mask = OBJECTS["three windows"]
    first, second = model(), model()
    cold = oracle_session(mask.astype(np.int32), model=first, cache=EmbeddingCache(tmp_path))
    answer = cold.prompt([point(384, 384)])
    assert answer.encoded == first.encoded > 10
    warm = oracle_session(mask.astype(np.int32), model=second, cache=EmbeddingCache(tmp_path))
    again = warm.prompt([point(384, 384)])
    assert (again.encoded, second.encoded) == (0, 0)
    assert outline(warm, again).equals(outline(cold, answer))


def test_hovering_encodes_nothing_and_remembers_nothing():
    labels = np.zeros((512, 512), np.int32)
    labels[60:90, 60:90] = 1
    oracle = model()
    session = oracle_session(labels, model=oracle)
    assert session.hover([point(75, 75)]).candidates == ()
    assert oracle.encoded == 0
    level, windows = session.windows_ahead((75, 75))
    level.encode(windows[0])
    hover = session.hover([point(75, 75)])
    assert iou(outline(session, hover), shapely.box(60, 60, 90, 90)) >= 0.98
    assert session.last is None


def test_windows_ahead_are_those_in_the_direction_of_movement():
    session = oracle_session(np.zeros((1024, 1024), np.int32), model=model())
    level, windows = session.windows_ahead((512, 512), (30, 0))
    here = windows[0]
    assert here == level.lattice.around((512, 512, 512, 512))
    assert windows[1] == here.shifted(0, WINDOW // 2)
    assert all(window.col0 > here.col0 for window in windows[1:])
    assert session.windows_ahead((512, 512))[1] == [here]
    assert session.windows_ahead((5000, 5))[1] == []


def test_the_working_resolution_follows_the_zoom_with_hysteresis_but_not_under_an_object():
    labels = np.zeros((2048, 2048), np.int32)
    labels[1000:1100, 1000:1100] = 1
    session = oracle_session(labels, model=model())

    def octave(view):
        session.set_view((1024, 1024), view)
        return session.level(session.levels.octave_for(view)).octave

    assert [octave(v) for v in (1.0, 1.6, 1.7, 4.0, 2.5, 2.3)] == [0, 0, 1, 2, 2, 1]
    assert octave(1000) == session.levels.coarsest == 4
    session.reset()
    answer = session.prompt([point(1050, 1050)], pixel_size=4.0)
    assert answer.level.octave == 2
    later = session.prompt([point(1050, 1050), point(1060, 1060)], pixel_size=1.0)
    assert later.level.octave == 2
    session.reset()
    assert session.prompt([point(1050, 1050)], pixel_size=1.0).level.octave == 0


def test_zooming_in_beyond_the_pixels_magnifies_small_windows():
    labels = np.zeros((512, 512), np.int32)
    labels[100:112, 100:112] = 1
    session = oracle_session(labels, model=OracleModel(512, 128, candidates=1))
    close = session.prompt([point(106, 106)], pixel_size=0.25)
    assert close.level.octave == -2
    assert (close.level.cell, close.level.lattice.size) == (1, 128)
    assert iou(outline(session, close), shapely.box(100, 100, 112, 112)) >= 0.95


def test_prompts_wider_than_a_window_are_seen_from_afar_first():
    mask = OBJECTS["three windows"]
    session = oracle_session(mask.astype(np.int32), model=model())
    bounds = truth(mask).bounds
    answer = session.prompt([Prompt("box", [list(bounds[:2]), list(bounds[2:])])])
    assert answer.limit is None
    assert answer.level.octave == 0
    assert iou(outline(session, answer), truth(mask)) >= 0.99


@pytest.mark.parametrize(
    "prompts",
    [
        [Prompt("box", [[58, 59], [122, 121]])],
        [Prompt("polygon", [[60, 60], [120, 60], [120, 120], [60, 120]])],
        [Prompt("stroke", [[70, 70], [90, 110], [110, 80]])],
        [Prompt("point", [[90, 90]]), Prompt("stroke", [[10, 10], [30, 20]], positive=False)],
    ],
)
def test_every_kind_of_prompt_names_its_object(prompts):
    labels = np.zeros((256, 256), np.int32)
    labels[60:120, 60:120] = 1
    session = oracle_session(labels, model=model())
    assert iou(outline(session, session.prompt(prompts)), shapely.box(60, 60, 120, 120)) >= 0.98


def test_a_model_that_knows_no_masks_follows_objects_by_points():
    mask = OBJECTS["a river"]
    session = oracle_session(mask.astype(np.int32), model=model(accepts=("point", "box")))
    answer = session.prompt([point(512, 512)])
    assert iou(outline(session, answer), truth(mask)) >= 0.98


def test_cancelling_leaves_a_session_that_can_be_used():
    mask = OBJECTS["ten windows"]
    session = oracle_session(mask.astype(np.int32), model=model())
    steps = iter(range(1000))

    def check():
        if next(steps) > 20:
            raise Cancelled("Stopped.")

    with pytest.raises(Cancelled):
        session.prompt([point(768, 768)], check=check)
    assert session.last is None
    assert session.prompt([point(768, 768)]).limit is None


def test_prompts_off_the_raster_or_without_an_object_are_refused():
    session = oracle_session(np.ones((64, 64), np.int32), model=model())
    for prompts, words in (
        ([point(70, 5)], "outside"),
        ([point(5, 5, positive=False)], "All prompts are negative"),
        ([], "no prompt"),
        ([Prompt("circle", [[1, 1]])], "unknown"),
        ([Prompt("box", [[1, 1]])], "2 positions"),
        ([Prompt("point", [[float("nan"), 1]])], "not a number"),
    ):
        with pytest.raises(PromptError, match=words):
            session.prompt(prompts)


def test_a_raster_smaller_than_a_window_is_one_window():
    labels = np.ones((50, 70), np.int32)
    session = Session(lambda factor: LabelSource(labels), model(), EmbeddingCache(None))
    answer = session.prompt([point(35, 25)])
    assert iou(outline(session, answer), shapely.box(0, 0, 70, 50)) >= 0.999
