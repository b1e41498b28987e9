"""Batches made ahead by a thread: in order, with their errors, and without threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from pcip_core.training.task import Batch, ahead


def test_prefetched_batches_keep_order_and_errors() -> None:
    def numbered(n: int) -> Iterator[Batch]:
        for number in range(n):
            yield Batch((), torch.tensor([number]))
        raise ValueError("the last one")

    made = ahead(numbered(20), streamed=True)
    assert [int(next(made).truth) for _ in range(20)] == list(range(20))
    with pytest.raises(ValueError, match="the last one"):
        next(made)
    before = threading.active_count()
    made = ahead(numbered(20), streamed=True)
    assert int(next(made).truth) == 0
    assert threading.active_count() == before + 1
    made.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_prefetching_takes_no_thread_from_the_network() -> None:
    def threads() -> Iterator[Batch]:
        for _ in range(8):
            yield Batch((), torch.tensor([torch.get_num_threads()]))

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        made = ahead(threads(), streamed=True)
        first = int(next(made).truth)
        with ThreadPoolExecutor(1) as another:
            assert another.submit(torch.get_num_threads).result() == 2
        assert torch.get_num_threads() == 2
        assert [first, *(int(batch.truth) for batch in made)] == [1] * 8
        assert [int(batch.truth) for batch in ahead(threads(), streamed=False)] == [2] * 8
    finally:
        torch.set_num_threads(before)
