# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from samgeo_core.errors import ModelError
from samgeo_core.models import runtime
from samgeo_core.models.base import Prompts
from samgeo_core.models.threads import side_by_side

from ..tiny_models import FAMILIES, SIDE, model


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_answers_come_in_order_from_threads_with_one_torch_thread_each() -> None:
    together = threading.Barrier(3)

    def work(item: int) -> tuple[int, int, str, bool]:
        if item < 3:
            together.wait(timeout=10)  # needs three at once
        name = threading.current_thread().name
        return item, torch.get_num_threads(), name, torch.is_inference_mode_enabled()

    with torch.inference_mode():
        done = side_by_side(work, range(20))
    assert [item for item, *_ in done] == list(range(20))
    assert {threads for _, threads, *_ in done} == {1}
    assert len({name for _, _, name, _ in done}) == 3
    assert all(inference for *_, inference in done)
    assert torch.get_num_threads() == 3
    assert not any(inference for *_, inference in side_by_side(work, range(3)))


def test_few_items_and_one_thread_stay_where_they_are() -> None:
    here = threading.current_thread().name

    def work(_: int) -> tuple[str, int]:
        return threading.current_thread().name, torch.get_num_threads()

    assert side_by_side(work, [1, 2]) == [(here, 3)] * 2
    torch.set_num_threads(1)
    assert side_by_side(work, range(5)) == [(here, 1)] * 5


def test_the_first_failure_is_raised_once_all_lanes_have_stopped() -> None:
    at_work = set()

    def work(item: int) -> int:
        at_work.add(item)
        if item == 2:
            at_work.remove(item)
            raise ValueError("two")
        at_work.remove(item)
        return item

    with pytest.raises(ValueError, match="two"):
        side_by_side(work, range(100))
    assert not at_work
    assert side_by_side(lambda item: item, range(4)) == [0, 1, 2, 3]


def test_memory_that_runs_out_in_a_lane_halves_its_batch() -> None:
    def work(items: range) -> list[int]:
        if len(items) > 1:
            raise MemoryError
        return list(items)

    done = runtime.in_batches(range(16), 4, work, "prompts", lanes=True)  # type: ignore[arg-type]
    assert [item for part in done for item in part] == list(range(16))

    def never(_: range) -> None:
        raise MemoryError

    with pytest.raises(ModelError, match="single one of the prompts"):
        list(runtime.in_batches(range(16), 4, never, "prompts", lanes=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES)
def test_lanes_change_no_bit_whatever_their_number(family: str) -> None:
    """What one thread answers, batch by batch, is what any number of lanes answer."""
    loaded = model(family)
    image = np.random.RandomState(2).randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    (embedding,) = loaded.encode([image])
    where = np.random.RandomState(3).uniform(0, SIDE, (13, 1, 2)).astype(np.float32)
    prompts = Prompts(points=where, labels=np.ones((13, 1), np.int8))
    torch.set_num_threads(1)
    expected = loaded.decode(embedding, prompts)
    for threads in (2, 3, 5):
        torch.set_num_threads(threads)
        found = loaded.decode(embedding, prompts)
        np.testing.assert_array_equal(found.logits, expected.logits)
        np.testing.assert_array_equal(found.scores, expected.scores)
